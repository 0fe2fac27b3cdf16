//! The books: every decision of a daemon, once per change. What was signed and what came of it stays with the
//! journal; this file loses at most its last moments in a power cut, and losing it loses no money. So writing
//! never holds a block up and a failure is told, not acted on; whether something changed is left to the caller.
//!
//! One connection on a thread of its own, given a batch a block. Readers open the file beside it.

mod read;

pub use read::{Filter, Reader};

use super::sqlite::{self, Shape, Synchronous, Trouble, int};
use crate::domain::units::{Amount, Net};
use alloy::primitives::Address;
use eyre::{Result, WrapErr as _};
use rusqlite::{Connection, TransactionBehavior, params};
use std::path::Path;
use std::sync::mpsc::{self, TrySendError};
use std::thread::JoinHandle;

/// Blocks whose decisions may wait for the disk; more are dropped and told.
const WAITING: usize = 64;

const SHAPE: Shape = Shape {
    name: "history",
    id: 0x6273_6869, // "bshi"
    synchronous: Synchronous::Normal,
    steps: &["
        CREATE TABLE decision (
            id               INTEGER PRIMARY KEY AUTOINCREMENT,
            at               INTEGER NOT NULL DEFAULT (unixepoch()),
            market           TEXT NOT NULL,
            block            INTEGER NOT NULL,
            account          BLOB NOT NULL,
            verdict          TEXT NOT NULL,
            reason           TEXT NOT NULL,
            why              TEXT NOT NULL,
            debt_asset       BLOB,
            collateral_asset BLOB,
            repay            TEXT,
            net              TEXT
        ) STRICT;
        CREATE INDEX decisions_at ON decision (at);
        CREATE INDEX decisions_of ON decision (account);
        CREATE TABLE asset (
            address  BLOB PRIMARY KEY,
            symbol   TEXT NOT NULL,
            decimals INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
    "],
};

/// What was decided of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub market: String,
    /// The head it was decided at.
    pub block: u64,
    pub account: Address,
    /// `would-send`, `send`, `held` or `skip`.
    pub verdict: String,
    /// The word of the refusal; empty where there is none.
    pub reason: String,
    /// The same in a sentence. May hold what a contract said.
    pub why: String,
    pub debt_asset: Option<Address>,
    pub collateral_asset: Option<Address>,
    pub repay: Option<Amount>,
    /// As it was expected, after gas, in wei of the native coin.
    pub net: Option<Net>,
}

/// How amounts of a token are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    pub address: Address,
    /// As the token gives it, without what a terminal could act on.
    pub symbol: String,
    pub decimals: u8,
}

/// Why decisions are missing from the books.
#[derive(Debug, thiserror::Error)]
pub enum Missed {
    #[error("the disk is too slow for them")]
    Behind,
    #[error("its thread has ended")]
    Stopped,
}

struct Batch {
    decisions: Vec<Decision>,
    assets: Vec<Asset>,
}

/// The open books of one chain. Dropped, it waits for what is not written yet.
pub struct History {
    batches: Option<mpsc::SyncSender<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl History {
    /// Opens `path`, made if missing (0600); a damaged file is moved aside first, and told.
    ///
    /// # Errors
    /// A file of a newer schema or of somebody else, or a disk that does not write.
    pub fn open(path: &Path) -> Result<Self> {
        let mut db = match sqlite::open(path, &SHAPE) {
            Ok(db) => db,
            Err(Trouble::Damaged(why)) => {
                let aside = sqlite::set_aside(path)?;
                let aside = aside.display();
                tracing::warn!(why, %aside, "the history was damaged: moved away, and begun anew");
                sqlite::open(path, &SHAPE).map_err(said)?
            }
            Err(trouble) => return Err(said(trouble)),
        };
        let (batches, inbox) = mpsc::sync_channel::<Batch>(WAITING);
        let thread = std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || {
                for batch in inbox {
                    if let Err(error) = write(&mut db, &batch) {
                        let decisions = batch.decisions.len();
                        tracing::error!(%error, decisions, "the history did not take them");
                    }
                }
            })
            .wrap_err("thread of the history")?;
        Ok(Self { batches: Some(batches), thread: Some(thread) })
    }

    /// Hands over what was decided at one head, and the tokens it names. Returns at once.
    ///
    /// # Errors
    /// `Missed`: then none of them is written.
    pub fn record(&self, decisions: Vec<Decision>, assets: Vec<Asset>) -> Result<(), Missed> {
        let batches = self.batches.as_ref().ok_or(Missed::Stopped)?;
        batches.try_send(Batch { decisions, assets }).map_err(|error| match error {
            TrySendError::Full(_) => Missed::Behind,
            TrySendError::Disconnected(_) => Missed::Stopped,
        })
    }
}

impl Drop for History {
    fn drop(&mut self) {
        drop(self.batches.take());
        // A thread that panicked has said so itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn write(db: &mut Connection, batch: &Batch) -> rusqlite::Result<()> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for asset in &batch.assets {
        let mut insert = tx.prepare_cached(
            "INSERT INTO asset VALUES (?1, ?2, ?3)
             ON CONFLICT (address) DO UPDATE SET symbol = excluded.symbol, decimals = excluded.decimals",
        )?;
        insert.execute(params![asset.address.as_slice(), asset.symbol, asset.decimals])?;
    }
    for one in &batch.decisions {
        let mut insert = tx.prepare_cached(
            "INSERT INTO decision (market, block, account, verdict, reason, why, debt_asset, collateral_asset,
                                   repay, net)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        insert.execute(params![
            one.market,
            int(one.block)?,
            one.account.as_slice(),
            one.verdict,
            one.reason,
            one.why,
            one.debt_asset.as_ref().map(|asset| asset.as_slice()),
            one.collateral_asset.as_ref().map(|asset| asset.as_slice()),
            one.repay.map(|repay| repay.to_string()),
            one.net.map(|net| net.to_string()),
        ])?;
    }
    tx.commit()
}

fn said(trouble: Trouble) -> eyre::Report {
    match trouble {
        Trouble::Damaged(why) => {
            eyre::eyre!("the history is damaged ({why}): move it away, and a new one is begun")
        }
        Trouble::Other(report) => report.wrap_err("history"),
    }
}

#[cfg(test)]
mod tests;
