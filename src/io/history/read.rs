//! Reads the books, next to the daemon that writes them.

use super::super::sqlite::{self, decimal, explain, net, number};
use super::{Asset, Decision, SHAPE, said};
use crate::domain::units::Amount;
use alloy::primitives::Address;
use eyre::{Result, WrapErr as _};
use rusqlite::{Connection, Row};
use std::path::{Path, PathBuf};

/// The books as other commands see them. Its calls block for milliseconds.
pub struct Reader {
    db: Connection,
    path: PathBuf,
}

/// Which decisions are wanted; what is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub account: Option<Address>,
    /// Seconds since 1970: from this one, and before that one.
    pub since: Option<u64>,
    pub until: Option<u64>,
    pub verdict: Option<String>,
    pub limit: Option<usize>,
}

impl Reader {
    /// `None` when nothing was recorded yet.
    ///
    /// # Errors
    /// A damaged file, or one of another schema than this build's.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let db = sqlite::open_to_read(path, &SHAPE).map_err(said)?;
        Ok(db.map(|db| Self { db, path: path.to_owned() }))
    }

    /// The newest that pass, newest first, each with its time in seconds since 1970.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn decisions(&self, filter: &Filter) -> Result<Vec<(u64, Decision)>> {
        let sql = "
            SELECT * FROM decision
            WHERE (?1 IS NULL OR account = ?1) AND (?2 IS NULL OR at >= ?2) AND (?3 IS NULL OR at < ?3)
              AND (?4 IS NULL OR verdict = ?4)
            ORDER BY id DESC LIMIT ?5";
        let past = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let limit = filter.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let read = || {
            let mut rows = self.db.prepare_cached(sql)?;
            let asked = rusqlite::params![
                filter.account.as_ref().map(|account| account.as_slice()),
                filter.since.map(past),
                filter.until.map(past),
                filter.verdict,
                limit,
            ];
            rows.query_map(asked, |row| Ok((number(row, "at")?, decision(row)?)))?
                .collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| explain(error, &self.path)).wrap_err("decisions of the history")
    }

    /// How many decisions of each verdict and reason there are among those that pass; the limit does not count.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn counts(&self, filter: &Filter) -> Result<Vec<(String, String, u64)>> {
        let sql = "
            SELECT verdict, reason, count(*) AS times FROM decision
            WHERE (?1 IS NULL OR account = ?1) AND (?2 IS NULL OR at >= ?2) AND (?3 IS NULL OR at < ?3)
              AND (?4 IS NULL OR verdict = ?4)
            GROUP BY verdict, reason ORDER BY times DESC, verdict, reason";
        let past = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let read = || {
            let mut rows = self.db.prepare_cached(sql)?;
            let account = filter.account.as_ref().map(|account| account.as_slice());
            let asked =
                rusqlite::params![account, filter.since.map(past), filter.until.map(past), filter.verdict];
            rows.query_map(asked, |row| Ok((row.get("verdict")?, row.get("reason")?, number(row, "times")?)))?
                .collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| explain(error, &self.path)).wrap_err("decisions of the history")
    }

    /// Every token that was ever named.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn assets(&self) -> Result<Vec<Asset>> {
        let read = || {
            self.db
                .prepare_cached("SELECT * FROM asset")?
                .query_map([], |row| {
                    let address = sqlite::address(row, "address")?;
                    Ok(Asset { address, symbol: row.get("symbol")?, decimals: row.get("decimals")? })
                })?
                .collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| explain(error, &self.path)).wrap_err("tokens of the history")
    }
}

fn decision(row: &Row<'_>) -> rusqlite::Result<Decision> {
    Ok(Decision {
        market: row.get("market")?,
        block: number(row, "block")?,
        account: sqlite::address(row, "account")?,
        verdict: row.get("verdict")?,
        reason: row.get("reason")?,
        why: row.get("why")?,
        debt_asset: token(row, "debt_asset")?,
        collateral_asset: token(row, "collateral_asset")?,
        repay: row.get::<_, Option<String>>("repay")?.map(|_| decimal(row, "repay")).transpose()?.map(Amount),
        net: row.get::<_, Option<String>>("net")?.map(|_| net(row, "net")).transpose()?,
    })
}

fn token(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Address>> {
    Ok(row.get::<_, Option<[u8; 20]>>(column)?.map(Address::from))
}
