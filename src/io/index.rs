//! The index: which accounts ever borrowed, and up to which block we know that. A cache of the chain: it may
//! be deleted at any time, and a damaged one is moved aside and built again. What a borrower owes is left to
//! reads; scanning is left to the log reader.
//!
//! All calls block for milliseconds (a large `commit` for longer): use a blocking thread. Several processes
//! may have it open at once.

use super::sqlite::{self, Shape, Synchronous, Trouble, explain, int};
use alloy::primitives::{Address, B256};
use eyre::{Result, WrapErr as _, bail};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// As many newest checkpoints are kept as a reorg could plausibly need; of the older ones a few.
const RECENT: usize = 64;

const SHAPE: Shape = Shape {
    name: "index",
    id: 0x6273_6978, // "bsix"
    synchronous: Synchronous::Normal,
    steps: &["
        CREATE TABLE stream (
            id    INTEGER PRIMARY KEY,
            pool  BLOB NOT NULL,
            name  TEXT NOT NULL,
            epoch INTEGER NOT NULL DEFAULT 0,
            UNIQUE (pool, name)
        ) STRICT;
        CREATE TABLE borrower (
            stream      INTEGER NOT NULL REFERENCES stream,
            address     BLOB NOT NULL,
            first_block INTEGER NOT NULL,
            PRIMARY KEY (stream, address)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE checkpoint (
            stream INTEGER NOT NULL REFERENCES stream,
            number INTEGER NOT NULL,
            hash   BLOB NOT NULL,
            PRIMARY KEY (stream, number)
        ) STRICT, WITHOUT ROWID;
    "],
};

/// What one scan follows: one market's pool, under one name (a new way to scan takes a new name).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stream {
    pub pool: Address,
    pub name: String,
}

impl Stream {
    pub fn new(pool: Address, name: impl Into<String>) -> Self {
        Self { pool, name: name.into() }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.pool)
    }
}

/// Another process rewound or reset the stream since its checkpoints were read here, so that what is
/// committed would not join on to what is there. Read the checkpoints again and scan from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another process rewound this stream: read its checkpoints again")]
pub struct Stale;

/// The open index. Cheap to keep, one per thread that needs it.
pub struct Index {
    db: Connection,
    path: PathBuf,
    /// The epoch in which this handle last read each stream's checkpoints.
    epochs: HashMap<Stream, i64>,
}

impl Index {
    /// Opens `path`, made if missing. A damaged file is moved to `<path>.damaged-<n>` and replaced by an
    /// empty one, with a warning: the next scan fills it again.
    ///
    /// # Errors
    /// A schema newer than this build, another program's database, or a disk that refuses.
    pub fn open(path: &Path) -> Result<Self> {
        let db = match sqlite::open(path, &SHAPE) {
            Err(Trouble::Damaged(why)) => {
                let aside = sqlite::set_aside(path).wrap_err("moving the damaged index aside")?;
                tracing::warn!(why, aside = %aside.display(), "the index is damaged: it will be built again");
                sqlite::open(path, &SHAPE)
            }
            other => other,
        };
        match db {
            Ok(db) => Ok(Self { db, path: path.to_owned(), epochs: HashMap::new() }),
            Err(Trouble::Damaged(why)) => bail!("{}: damaged as soon as made: {why}", path.display()),
            Err(Trouble::Other(report)) => Err(report.wrap_err("index")),
        }
    }

    /// Everyone known to have borrowed, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn borrowers(&self, stream: &Stream) -> Result<Vec<Address>> {
        let sql = "SELECT address FROM borrower JOIN stream ON stream.id = stream
                   WHERE pool = ?1 AND name = ?2 ORDER BY first_block, address";
        let read = || {
            let mut rows = self.db.prepare_cached(sql)?;
            rows.query_map(params![stream.pool.as_slice(), stream.name], |row| {
                sqlite::address(row, "address")
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error| explain(error, &self.path)).wrap_err_with(|| format!("borrowers of {stream}"))
    }

    /// Adds what a scan found, together with the block it has now reached: both or neither. `to` says that
    /// every block from the newest checkpoint (or the pool's first block) up to `to` was scanned; each of
    /// `found` is an account and the block that first named it. Finding an account again changes nothing.
    ///
    /// # Errors
    /// `Stale` (in the chain of causes) when another process rewound the stream meanwhile; an account first
    /// seen after `to`; a disk that refuses. Then nothing was added.
    pub fn commit(&mut self, stream: &Stream, to: (u64, B256), found: &[(Address, u64)]) -> Result<()> {
        if let Some((account, block)) = found.iter().find(|(_, block)| *block > to.0) {
            bail!(
                "{stream}: {account} found in block {block}, after the checkpoint {} that should cover it",
                to.0
            );
        }
        let seen = self.epochs.get(stream).copied();
        let epoch = self.write(stream, |tx, id, epoch| {
            if seen.is_some_and(|seen| seen != epoch) {
                return Ok(Err(Stale));
            }
            let mut insert = tx.prepare_cached(
                "INSERT INTO borrower VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE
                 SET first_block = excluded.first_block WHERE excluded.first_block < first_block",
            )?;
            for (account, block) in found {
                insert.execute(params![id, account.as_slice(), int(*block)?])?;
            }
            let sql = "INSERT OR REPLACE INTO checkpoint VALUES (?1, ?2, ?3)";
            tx.execute(sql, params![id, int(to.0)?, to.1.as_slice()])?;
            thin(tx, id)?;
            Ok(Ok(epoch))
        })?;
        self.epochs
            .insert(stream.clone(), epoch.wrap_err_with(|| format!("commit of {stream} at {}", to.0))?);
        Ok(())
    }

    /// The blocks the scan is known to have reached, newest first: the last 64 and a few older ones, further
    /// and further apart. The newest whose hash is still the chain's is where the next scan begins.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn checkpoints(&mut self, stream: &Stream) -> Result<Vec<(u64, B256)>> {
        let read = |db: &mut Connection| {
            let tx = db.transaction()?;
            let Some((id, epoch)) = find(&tx, stream)? else { return Ok((None, Vec::new())) };
            let sql = "SELECT number, hash FROM checkpoint WHERE stream = ?1 ORDER BY number DESC";
            let rows = tx
                .prepare_cached(sql)?
                .query_map([id], |row| Ok((sqlite::number(row, "number")?, sqlite::hash(row, "hash")?)))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok((Some(epoch), rows))
        };
        let (epoch, rows) = read(&mut self.db)
            .map_err(|error| explain(error, &self.path))
            .wrap_err_with(|| format!("checkpoints of {stream}"))?;
        match epoch {
            Some(epoch) => self.epochs.insert(stream.clone(), epoch),
            None => self.epochs.remove(stream),
        };
        Ok(rows)
    }

    /// Forgets what was learnt after block `to`: checkpoints beyond it, and accounts first seen beyond it.
    ///
    /// # Errors
    /// When the file cannot be written. Then nothing was forgotten.
    pub fn rewind(&mut self, stream: &Stream, to: u64) -> Result<()> {
        self.forget(stream, |tx, id| {
            let to = int(to)?;
            let gone =
                tx.execute("DELETE FROM checkpoint WHERE stream = ?1 AND number > ?2", params![id, to])?;
            let lost =
                tx.execute("DELETE FROM borrower WHERE stream = ?1 AND first_block > ?2", params![id, to])?;
            Ok(gone.saturating_add(lost))
        })
    }

    /// Forgets the stream: the next scan begins at the pool's first block.
    ///
    /// # Errors
    /// When the file cannot be written. Then nothing was forgotten.
    pub fn reset(&mut self, stream: &Stream) -> Result<()> {
        self.forget(stream, |tx, id| {
            let gone = tx.execute("DELETE FROM checkpoint WHERE stream = ?1", [id])?;
            let lost = tx.execute("DELETE FROM borrower WHERE stream = ?1", [id])?;
            Ok(gone.saturating_add(lost))
        })
    }

    fn forget(
        &mut self,
        stream: &Stream,
        delete: impl FnOnce(&Transaction<'_>, i64) -> rusqlite::Result<usize>,
    ) -> Result<()> {
        let epoch = self.write(stream, |tx, id, epoch| {
            if delete(tx, id)? == 0 {
                return Ok(epoch);
            }
            tx.query_row("UPDATE stream SET epoch = epoch + 1 WHERE id = ?1 RETURNING epoch", [id], |row| {
                row.get(0)
            })
        })?;
        self.epochs.insert(stream.clone(), epoch);
        Ok(())
    }

    /// One transaction on one stream, which is made if new.
    fn write<T>(
        &mut self,
        stream: &Stream,
        work: impl FnOnce(&Transaction<'_>, i64, i64) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let write = |db: &mut Connection| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let (id, epoch) = match find(&tx, stream)? {
                Some(known) => known,
                None => {
                    let sql = "INSERT INTO stream (pool, name) VALUES (?1, ?2)";
                    tx.execute(sql, params![stream.pool.as_slice(), stream.name])?;
                    (tx.last_insert_rowid(), 0)
                }
            };
            let value = work(&tx, id, epoch)?;
            tx.commit()?;
            Ok(value)
        };
        write(&mut self.db)
            .map_err(|error| explain(error, &self.path))
            .wrap_err_with(|| format!("index of {stream}"))
    }
}

/// The stream's row number and epoch.
fn find(tx: &Transaction<'_>, stream: &Stream) -> rusqlite::Result<Option<(i64, i64)>> {
    tx.prepare_cached("SELECT id, epoch FROM stream WHERE pool = ?1 AND name = ?2")?
        .query_row(params![stream.pool.as_slice(), stream.name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Drops the checkpoints that `superfluous` names.
fn thin(tx: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    let numbers = tx
        .prepare_cached("SELECT number FROM checkpoint WHERE stream = ?1 ORDER BY number DESC")?
        .query_map([id], |row| sqlite::number(row, "number"))?
        .collect::<rusqlite::Result<Vec<u64>>>()?;
    for number in superfluous(&numbers) {
        tx.execute("DELETE FROM checkpoint WHERE stream = ?1 AND number = ?2", params![id, int(number)?])?;
    }
    Ok(())
}

/// Which of `numbers` (newest first) to drop: behind the recent ones, all but the oldest in each doubling of
/// the distance to the newest. The oldest, because it moves on to the next doubling and leaves room.
fn superfluous(numbers: &[u64]) -> Vec<u64> {
    let newest = numbers.first().copied().unwrap_or(0);
    let older = numbers.get(RECENT..).unwrap_or(&[]);
    let mut kept = HashSet::new();
    let doubling = |number: u64| newest.saturating_sub(number).checked_ilog2();
    older.iter().rev().copied().filter(|number| !kept.insert(doubling(*number))).collect()
}

#[cfg(test)]
mod tests;
