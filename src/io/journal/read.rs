//! Reads the journal back: for recovery and history, in the daemon or next to it. Writing is left to `store`.

use super::super::signer::Kind;
use super::super::sqlite::{self, address, decimal, explain, hash, int, net, number, unreadable};
use super::schema::SHAPE;
use super::store::said;
use super::types::{Attempt, Durable, Entry, Errand, Intent, IntentId, Mined, Open, Outcome, Verdict};
use crate::domain::units::{Amount, FeePerGas, Gas, Wei};
use alloy::primitives::{Address, Bytes, keccak256};
use eyre::{Result, WrapErr as _, ensure};
use rusqlite::{Connection, Row, params};
use std::path::{Path, PathBuf};

/// The journal as other commands see it, next to the daemon that writes it. Its calls block for milliseconds.
pub struct Reader {
    db: Connection,
    path: PathBuf,
}

impl Reader {
    /// `None` when there is no journal yet.
    ///
    /// # Errors
    /// A damaged file, or one of another schema than this build's.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let db = sqlite::open_to_read(path, &SHAPE).map_err(|trouble| said(trouble, path))?;
        Ok(db.map(|db| Self { db, path: path.to_owned() }))
    }

    /// Whether the whole file is what SQLite wrote.
    ///
    /// # Errors
    /// When it is not, with what to do.
    pub fn sound(&self) -> Result<()> {
        sqlite::sound(&self.db, &self.path).map_err(|trouble| said(trouble, &self.path))
    }

    /// As `Journal::unfinished`.
    ///
    /// # Errors
    /// As `Journal::unfinished`.
    pub fn unfinished(&self) -> Result<Vec<Open>> {
        unfinished(&self.db, &self.path)
    }

    /// As `Journal::history`.
    ///
    /// # Errors
    /// As `Journal::history`.
    pub fn history(&self, limit: usize) -> Result<Vec<Entry>> {
        history(&self.db, &self.path, limit)
    }
}

pub(super) fn unfinished(db: &Connection, path: &Path) -> Result<Vec<Open>> {
    let read = || {
        // One snapshot, whatever the daemon writes meanwhile.
        let tx = db.unchecked_transaction()?;
        let open: Vec<Open> = tx
            .prepare_cached("SELECT * FROM intent WHERE settled = 0 ORDER BY id")?
            .query_map([], |row| {
                let (id, from) = (IntentId(row.get("id")?), address(row, "sender")?);
                Ok(Open {
                    id,
                    from,
                    nonce: number(row, "nonce")?,
                    intent: intent(row)?,
                    errand: errand(row)?,
                    attempts: Vec::new(),
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        open.into_iter()
            .map(|open| Ok(Open { attempts: attempts(&tx, open.id)?, ..open }))
            .collect::<rusqlite::Result<_>>()
    };
    let open: Vec<Open> =
        read().map_err(|error| explain(error, path)).wrap_err("unfinished intents of the journal")?;
    for attempt in open.iter().flat_map(|open| &open.attempts) {
        let sound = keccak256(&attempt.durable.raw) == attempt.hash();
        let shown = path.display();
        ensure!(
            sound,
            "journal {shown} is damaged: the bytes of {} have another hash. Nothing is sent",
            attempt.hash()
        );
    }
    Ok(open)
}

pub(super) fn history(db: &Connection, path: &Path, limit: usize) -> Result<Vec<Entry>> {
    let sql = "
        SELECT intent.*, outcome, realised_gross, realised_net, verdict.gas_used AS spent,
               (SELECT count(*) FROM attempt WHERE attempt.intent = intent.id) AS attempts
        FROM intent LEFT JOIN verdict ON verdict.intent = intent.id
        ORDER BY intent.id DESC LIMIT ?1";
    let read = || {
        let tx = db.unchecked_transaction()?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        tx.prepare_cached(sql)?.query_map([limit], |row| entry(&tx, row))?.collect::<rusqlite::Result<_>>()
    };
    read().map_err(|error| explain(error, path)).wrap_err("history of the journal")
}

fn entry(db: &Connection, row: &Row<'_>) -> rusqlite::Result<Entry> {
    let id = IntentId(row.get("id")?);
    let latest = "
        SELECT hash, receipt.* FROM attempt LEFT JOIN receipt USING (hash) WHERE attempt.intent = ?1
        ORDER BY receipt.id DESC NULLS LAST, seq DESC LIMIT 1";
    let (hash, mined) =
        db.prepare_cached(latest)?.query_row([id.0], |row| Ok((hash(row, "hash")?, mined(row)?)))?;
    Ok(Entry {
        id,
        at: number(row, "at")?,
        from: address(row, "sender")?,
        nonce: number(row, "nonce")?,
        intent: intent(row)?,
        errand: match errand(row)? {
            Some(errand) => Some((errand, decimal(row, "detail")?)),
            None => None,
        },
        attempts: row.get("attempts")?,
        hash,
        mined,
        verdict: verdict(row)?,
    })
}

pub(super) fn mined_at(db: &Connection, path: &Path, from: Address, nonce: u64) -> Result<Vec<Durable>> {
    let read = || {
        let tx = db.unchecked_transaction()?;
        let intents = tx
            .prepare_cached("SELECT id FROM intent WHERE sender = ?1 AND nonce = ?2 AND settled = 1")?
            .query_map(params![from.as_slice(), int(nonce)?], |row| row.get("id").map(IntentId))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let mut found = Vec::new();
        for intent in intents {
            let mined = attempts(&tx, intent)?.into_iter().filter(|attempt| attempt.mined.is_some());
            found.extend(mined.map(|attempt| attempt.durable));
        }
        Ok(found)
    };
    read()
        .map_err(|error| explain(error, path))
        .wrap_err_with(|| format!("what was mined with nonce {nonce}"))
}

fn attempts(db: &Connection, intent: IntentId) -> rusqlite::Result<Vec<Attempt>> {
    let sql = "
        SELECT attempt.*, block, block_hash, succeeded, gas_used, gas_price
        FROM attempt LEFT JOIN receipt
          ON receipt.id = (SELECT max(id) FROM receipt WHERE receipt.hash = attempt.hash)
        WHERE intent = ?1 ORDER BY seq";
    db.prepare_cached(sql)?
        .query_map([intent.0], |row| {
            let raw = Bytes::from(row.get::<_, Vec<u8>>("raw")?);
            let (nonce, kind) = (number(row, "nonce")?, kind(row)?);
            Ok(Attempt {
                seq: row.get("seq")?,
                max_fee: FeePerGas(decimal(row, "max_fee")?),
                tip: FeePerGas(decimal(row, "tip")?),
                gas_limit: Gas(number(row, "gas_limit")?),
                mined: mined(row)?,
                durable: Durable { intent, hash: hash(row, "hash")?, nonce, kind, raw },
            })
        })?
        .collect()
}

/// `None` where the row is of a liquidation.
fn errand(row: &Row<'_>) -> rusqlite::Result<Option<Errand>> {
    match row.get_ref("purpose")?.as_str()? {
        "liquidate" => Ok(None),
        errand => named(Errand::ALL, Errand::as_str, errand).map(Some),
    }
}

/// `None` where the row is of an errand.
fn intent(row: &Row<'_>) -> rusqlite::Result<Option<Intent>> {
    if errand(row)?.is_some() {
        return Ok(None);
    }
    Ok(Some(Intent {
        market: row.get("market")?,
        account: address(row, "account")?,
        debt_asset: address(row, "debt_asset")?,
        collateral_asset: address(row, "collateral_asset")?,
        repay: Amount(decimal(row, "repay")?),
        block: number(row, "block")?,
        deadline_block: number(row, "deadline_block")?,
        promised_gross: Wei(decimal(row, "promised_gross")?),
        promised_gas: Gas(number(row, "promised_gas")?),
        promised_net: Wei(decimal(row, "promised_net")?),
        detail: decimal(row, "detail")?,
    }))
}

/// `None` where no receipt was joined.
fn mined(row: &Row<'_>) -> rusqlite::Result<Option<Mined>> {
    if row.get_ref("block_hash")? == rusqlite::types::ValueRef::Null {
        return Ok(None);
    }
    Ok(Some(Mined {
        block: number(row, "block")?,
        block_hash: hash(row, "block_hash")?,
        succeeded: row.get("succeeded")?,
        gas_used: Gas(number(row, "gas_used")?),
        gas_price: FeePerGas(decimal(row, "gas_price")?),
    }))
}

/// `None` where no verdict was joined.
fn verdict(row: &Row<'_>) -> rusqlite::Result<Option<Verdict>> {
    let Some(outcome) = row.get::<_, Option<String>>("outcome")? else { return Ok(None) };
    Ok(Some(Verdict {
        outcome: named(Outcome::ALL, Outcome::as_str, &outcome)?,
        realised_gross: Wei(decimal(row, "realised_gross")?),
        realised_net: net(row, "realised_net")?,
        gas_used: Gas(number(row, "spent")?),
    }))
}

fn kind(row: &Row<'_>) -> rusqlite::Result<Kind> {
    named(
        [Kind::Execute, Kind::Cancel, Kind::Deploy, Kind::Salvage],
        kind_name,
        row.get_ref("kind")?.as_str()?,
    )
}

pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Execute => "execute",
        Kind::Cancel => "cancel",
        Kind::Deploy => "deploy",
        Kind::Salvage => "salvage",
    }
}

fn named<T: Copy, const N: usize>(
    all: [T; N],
    name: fn(T) -> &'static str,
    text: &str,
) -> rusqlite::Result<T> {
    let unknown = || unreadable(std::io::Error::other(format!("{text:?} is not known to this build")));
    all.into_iter().find(|one| name(*one) == text).ok_or_else(unknown)
}
