//! `history`: what was decided, what was signed and what came of it, from the books and the journal. Asks no node
//! and takes no lock.

mod rows;
mod summary;

use crate::cli::{self, Verdict};
use crate::config::Config;
use crate::exit::{Exit, ExitExt};
use crate::io::datadir::DataDir;
use crate::io::history::{Asset, Filter, Reader};
use crate::io::journal::{self, Entry};
use crate::io::out;
use alloy::primitives::Address;
use eyre::Result;
use rows::{COLUMNS, Row, csv};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// How amounts of a token are shown.
type Tokens = BTreeMap<Address, Asset>;

/// # Errors
/// Exit code 3 for files that cannot be read.
pub fn history(config: &Config, arguments: &cli::History, json: bool) -> Result<()> {
    let datadir = DataDir::open(&config.datadir, config.market.chain_id).exit(Exit::Configuration)?;
    let books = Reader::open(&datadir.history()).exit(Exit::Configuration)?;
    let journal = journal::Reader::open(&datadir.journal()).exit(Exit::Configuration)?;
    let tokens: Tokens = match &books {
        Some(books) => books.assets().exit(Exit::Configuration)?,
        None => vec![],
    }
    .into_iter()
    .map(|asset| (asset.address, asset))
    .collect();
    let wanted = wanted(arguments, now()?);
    let signed = match &journal {
        Some(journal) => journal.history(usize::MAX).exit(Exit::Configuration)?,
        None => vec![],
    };
    let signed = signed.into_iter().filter(|entry| passes(entry, &wanted)).collect::<Vec<_>>();
    if arguments.summary {
        let counts = match &books {
            Some(books) => books.counts(&wanted).exit(Exit::Configuration)?,
            None => vec![],
        };
        return summary::print(&signed, &counts, &tokens, arguments.csv, json);
    }
    let limit = arguments.limit.get();
    // One more than wanted, to know whether there is one.
    let filter = Filter { limit: Some(limit.saturating_add(1)), ..wanted };
    let decisions = match &books {
        Some(books) => books.decisions(&filter).exit(Exit::Configuration)?,
        None => vec![],
    };
    let decisions = decisions.iter().map(|(at, decision)| Row::of_decision(*at, decision, &tokens));
    let mut rows =
        decisions.chain(signed.iter().map(|entry| Row::of_entry(entry, &tokens))).collect::<Vec<_>>();
    rows.sort_by_key(Row::order);
    if let Some(older) = rows.len().checked_sub(limit).filter(|older| *older > 0) {
        rows.drain(..older);
        out::aside(&format!("older ones are left out: the newest {limit} follow; see --limit"));
    }
    if rows.is_empty() && !arguments.csv && !json {
        out::aside(&format!("nothing of it is in the books of {}", datadir.path().display()));
    }
    print(&rows, arguments.csv, json)
}

fn wanted(arguments: &cli::History, now: u64) -> Filter {
    Filter {
        account: arguments.account,
        since: arguments.since.map(|when| when.at(now)),
        until: arguments.until.map(|when| when.at(now)),
        verdict: arguments.verdict.map(|verdict: Verdict| verdict.word().to_owned()),
        limit: None,
    }
}

fn passes(entry: &Entry, wanted: &Filter) -> bool {
    let takes = |only| {
        let intent = entry.intent.as_ref();
        intent.is_some_and(|intent| intent.parts().iter().any(|part| part.account == only))
    };
    wanted.account.is_none_or(takes)
        && wanted.since.is_none_or(|since| entry.at >= since)
        && wanted.until.is_none_or(|until| entry.at < until)
        && wanted.verdict.as_ref().is_none_or(|only| rows::outcome(entry) == only)
}

fn print(rows: &[Row], as_csv: bool, json: bool) -> Result<()> {
    if as_csv {
        // The line ends with what the standard wants before the line feed.
        out::line(&format!(
            "{}\r",
            csv(COLUMNS.iter().map(|(name, _)| rows::Cell::Text((*name).to_owned())))
        ))?;
        return rows.iter().try_for_each(|row| out::line(&format!("{}\r", csv(row.cells()))));
    }
    rows.iter().try_for_each(|row| if json { out::json(row) } else { out::line(&row.line()) })
}

#[allow(
    clippy::disallowed_methods,
    reason = "`2h` is meant by the clock on the wall; nothing is decided by it"
)]
fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}
