//! The journal's tables and its one writer. Everything here blocks; `journal` gives it a thread.

use super::super::signer::{Kind, Signed};
use super::super::sqlite::{self, Trouble, explain, int};
use super::read;
use super::schema::SHAPE;
use super::types::{Durable, Entry, Errand, Intent, IntentId, Mined, NotDurable, Open, Outcome, Verdict};
use alloy::primitives::{Address, B256, keccak256};
use eyre::{Report, Result, WrapErr as _, ensure, eyre};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use std::path::{Path, PathBuf};

pub(super) struct Store {
    pub(super) db: Connection,
    path: PathBuf,
    chain_id: u64,
    from: Address,
    /// Why nothing is written any more. After a failed fsync the disk's answers mean nothing until reopened.
    broken: Option<String>,
}

impl Store {
    pub(super) fn open(path: &Path, chain_id: u64, from: Address) -> Result<Self> {
        let mut db = sqlite::open(path, &SHAPE).map_err(|trouble| said(trouble, path))?;
        let held = claim(&mut db, chain_id).map_err(|error| explain(error, path)).wrap_err("journal")?;
        let shown = path.display();
        ensure!(
            held == chain_id,
            "journal {shown} is of chain {held}, not {chain_id}: name another data directory"
        );
        Ok(Self { db, path: path.to_owned(), chain_id, from, broken: None })
    }

    pub(super) fn record(&mut self, intent: &Intent, signed: Signed) -> Result<Durable, NotDurable> {
        self.begin(Kind::Execute, signed, |tx, signed| {
            tx.execute(
                "INSERT INTO intent (purpose, sender, nonce, market, account, debt_asset, collateral_asset,
                                     repay, block, deadline_block, promised_gross, promised_gas,
                                     promised_net, detail)
                 VALUES ('liquidate', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                params![
                    signed.from().as_slice(),
                    int(signed.nonce())?,
                    intent.market,
                    intent.account.as_slice(),
                    intent.debt_asset.as_slice(),
                    intent.collateral_asset.as_slice(),
                    intent.repay.to_string(),
                    int(intent.block)?,
                    int(intent.deadline_block)?,
                    intent.promised_gross.to_string(),
                    int(intent.promised_gas.0)?,
                    intent.promised_net.to_string(),
                    intent.detail.to_string(),
                ],
            )
        })
    }

    /// What is signed by a command for people: no plan, only a sentence about it.
    pub(super) fn record_errand(
        &mut self,
        errand: Errand,
        detail: &serde_json::Value,
        signed: Signed,
    ) -> Result<Durable, NotDurable> {
        let kind = match errand {
            Errand::Deploy => Kind::Deploy,
            Errand::Sweep => Kind::Salvage,
        };
        self.begin(kind, signed, |tx, signed| {
            tx.execute(
                "INSERT INTO intent (purpose, sender, nonce, detail) VALUES (?1, ?2, ?3, ?4)",
                params![errand.as_str(), signed.from().as_slice(), int(signed.nonce())?, detail.to_string()],
            )
        })
    }

    pub(super) fn record_raise(&mut self, intent: IntentId, signed: Signed) -> Result<Durable, NotDurable> {
        if signed.kind() == Kind::Cancel {
            return Err(NotDurable::Refused(format!("a cancel is no raise of intent {intent}")));
        }
        self.follow(intent, signed)
    }

    pub(super) fn record_cancel(&mut self, intent: IntentId, signed: Signed) -> Result<Durable, NotDurable> {
        self.expect(Kind::Cancel, &signed)?;
        self.follow(intent, signed)
    }

    pub(super) fn sent(&mut self, hash: B256, outcome: &str) -> Result<(), NotDurable> {
        self.write(|tx| {
            known(tx, hash)?;
            tx.execute(
                "INSERT INTO broadcast (hash, outcome) VALUES (?1, ?2)",
                params![hash.as_slice(), outcome],
            )?;
            Ok(())
        })
    }

    pub(super) fn mined(&mut self, hash: B256, mined: Mined) -> Result<(), NotDurable> {
        self.write(|tx| {
            known(tx, hash)?;
            // Replacing gives a new row number: what was told last is the newest.
            tx.execute(
                "INSERT OR REPLACE INTO receipt (hash, block, block_hash, succeeded, gas_used, gas_price)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    hash.as_slice(),
                    int(mined.block)?,
                    mined.block_hash.as_slice(),
                    mined.succeeded,
                    int(mined.gas_used.0)?,
                    mined.gas_price.0.to_string(),
                ],
            )?;
            Ok(())
        })
    }

    pub(super) fn settle(&mut self, intent: IntentId, verdict: Verdict) -> Result<(), NotDurable> {
        self.write(|tx| {
            live(tx, intent)?;
            let outcome = verdict.outcome.as_str();
            if !borne_out(tx, intent, verdict.outcome)? {
                let reason =
                    format!("intent {intent} has no receipt by which it was {outcome}: record it first");
                return Err(NotDurable::Refused(reason));
            }
            tx.execute(
                "INSERT INTO verdict (intent, outcome, realised_gross, realised_net, gas_used)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    intent.0,
                    outcome,
                    verdict.realised_gross.to_string(),
                    verdict.realised_net.to_string(),
                    int(verdict.gas_used.0)?,
                ],
            )?;
            tx.execute("UPDATE intent SET settled = 1 WHERE id = ?1", [intent.0])?;
            Ok(())
        })
    }

    pub(super) fn unfinished(&self) -> Result<Vec<Open>> {
        read::unfinished(&self.db, &self.path)
    }

    pub(super) fn history(&self, limit: usize) -> Result<Vec<Entry>> {
        read::history(&self.db, &self.path, limit)
    }

    pub(super) fn mined_at(&self, nonce: u64) -> Result<Vec<Durable>> {
        read::mined_at(&self.db, &self.path, self.from, nonce)
    }

    /// A new intent, written by `insert`, with its first attempt.
    fn begin(
        &mut self,
        kind: Kind,
        signed: Signed,
        insert: impl FnOnce(&Transaction<'_>, &Signed) -> rusqlite::Result<usize>,
    ) -> Result<Durable, NotDurable> {
        self.expect(kind, &signed)?;
        let intent = self.write(|tx| {
            let (sender, nonce) = (signed.from(), signed.nonce());
            let sql = "SELECT id, nonce FROM intent WHERE sender = ?1 AND settled = 0";
            let in_flight = tx
                .query_row(sql, [sender.as_slice()], |row| {
                    Ok((row.get("id")?, sqlite::number(row, "nonce")?))
                })
                .optional()?;
            if let Some((live, nonce)) = in_flight {
                return Err(NotDurable::InFlight { live: IntentId(live), nonce });
            }
            let sql = "SELECT EXISTS (SELECT 1 FROM attempt WHERE sender = ?1 AND nonce = ?2)";
            if tx.query_row(sql, params![sender.as_slice(), int(nonce)?], |row| row.get(0))? {
                return Err(NotDurable::NonceTaken { nonce });
            }
            insert(tx, &signed)?;
            let intent = IntentId(tx.last_insert_rowid());
            add(tx, intent, 0, &signed)?;
            Ok(intent)
        })?;
        Ok(durable(intent, signed))
    }

    /// Another attempt at a live intent, on the nonce it has.
    fn follow(&mut self, intent: IntentId, signed: Signed) -> Result<Durable, NotDurable> {
        self.expect(signed.kind(), &signed)?;
        self.write(|tx| {
            let (sender, nonce) = live(tx, intent)?;
            if (sender, nonce) != (signed.from(), signed.nonce()) {
                let (other, asked) = (signed.from(), signed.nonce());
                let reason =
                    format!("intent {intent} is on nonce {nonce} of {sender}, not {asked} of {other}");
                return Err(NotDurable::Refused(reason));
            }
            let sql = "SELECT max(seq) + 1 FROM attempt WHERE intent = ?1";
            let seq = tx.query_row(sql, [intent.0], |row| row.get(0))?;
            add(tx, intent, seq, &signed)
        })?;
        Ok(durable(intent, signed))
    }

    /// Refuses what was signed for another purpose, account or chain than this journal's.
    fn expect(&self, kind: Kind, signed: &Signed) -> Result<(), NotDurable> {
        let (ours, theirs) = ((self.chain_id, self.from), (signed.chain_id(), signed.from()));
        if signed.kind() != kind {
            let reason = format!("{:?} where {kind:?} belongs", signed.kind());
            return Err(NotDurable::Refused(reason));
        }
        if ours != theirs {
            let reason =
                format!("signed by {} for chain {}, kept for {} on {}", theirs.1, theirs.0, ours.1, ours.0);
            return Err(NotDurable::Refused(reason));
        }
        Ok(())
    }

    /// One transaction, on the disk when this returns `Ok`.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, NotDurable>,
    ) -> Result<T, NotDurable> {
        if let Some(reason) = &self.broken {
            return Err(NotDurable::Failed(reason.clone()));
        }
        let written = write(&mut self.db, work);
        if let Err(NotDurable::Failed(reason)) = &written {
            self.broken = Some(reason.clone());
        }
        written
    }
}

fn write<T>(
    db: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, NotDurable>,
) -> Result<T, NotDurable> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&tx)?;
    tx.commit()?;
    Ok(value)
}

/// The chain this file is of: `chain_id` if it was of none.
fn claim(db: &mut Connection, chain_id: u64) -> rusqlite::Result<u64> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute("INSERT OR IGNORE INTO meta (id, chain_id) VALUES (1, ?1)", [int(chain_id)?])?;
    let held = tx.query_row("SELECT chain_id FROM meta", [], |row| sqlite::number(row, "chain_id"))?;
    tx.commit()?;
    Ok(held)
}

fn add(tx: &Transaction<'_>, intent: IntentId, seq: u32, signed: &Signed) -> Result<(), NotDurable> {
    debug_assert_eq!(keccak256(&signed.raw), signed.hash());
    tx.execute(
        "INSERT INTO attempt (hash, intent, sender, nonce, seq, kind, max_fee, tip, gas_limit, raw)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            signed.hash().as_slice(),
            intent.0,
            signed.from().as_slice(),
            int(signed.nonce())?,
            seq,
            read::kind_name(signed.kind()),
            signed.max_fee().0.to_string(),
            signed.tip().0.to_string(),
            int(signed.gas_limit().0)?,
            signed.raw.as_ref(),
        ],
    )?;
    Ok(())
}

fn durable(intent: IntentId, signed: Signed) -> Durable {
    let (hash, nonce, kind) = (signed.hash(), signed.nonce(), signed.kind());
    Durable { intent, hash, nonce, kind, raw: signed.raw }
}

/// The account and nonce of an intent that is not settled.
fn live(tx: &Transaction<'_>, intent: IntentId) -> Result<(Address, u64), NotDurable> {
    let sql = "SELECT sender, nonce FROM intent WHERE id = ?1 AND settled = 0";
    tx.query_row(sql, [intent.0], |row| Ok((sqlite::address(row, "sender")?, sqlite::number(row, "nonce")?)))
        .optional()?
        .ok_or_else(|| NotDurable::Refused(format!("intent {intent} is settled or unknown")))
}

fn known(tx: &Transaction<'_>, hash: B256) -> Result<(), NotDurable> {
    let sql = "SELECT EXISTS (SELECT 1 FROM attempt WHERE hash = ?1)";
    if tx.query_row(sql, [hash.as_slice()], |row| row.get(0))? {
        return Ok(());
    }
    Err(NotDurable::Refused(format!("transaction {hash} is not in the journal")))
}

/// Whether a receipt says what the outcome says. A foreign nonce has none: ours can no longer be mined.
fn borne_out(tx: &Transaction<'_>, intent: IntentId, outcome: Outcome) -> rusqlite::Result<bool> {
    let condition = match outcome {
        Outcome::Won => "kind <> 'cancel' AND succeeded = 1",
        Outcome::Reverted => "kind <> 'cancel' AND succeeded = 0",
        Outcome::Cancelled => "kind = 'cancel'",
        Outcome::ForeignNonce => return Ok(true),
    };
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM receipt JOIN attempt USING (hash)
                        WHERE attempt.intent = ?1 AND {condition})"
    );
    tx.query_row(&sql, [intent.0], |row| row.get(0))
}

/// Why the journal does not open, with what to do. It is never moved or repaired by us.
pub(super) fn said(trouble: Trouble, path: &Path) -> Report {
    match trouble {
        Trouble::Damaged(why) => eyre!(
            "journal {} is damaged ({why}). It is the record of what was signed and sent, so it stays as it \
             is, and nothing can be sent. Observing still works. To send again: make sure on the chain that \
             the account has no pending transaction, move this file and its -wal away by hand, and start",
            path.display()
        ),
        Trouble::Other(report) => report.wrap_err("journal"),
    }
}
