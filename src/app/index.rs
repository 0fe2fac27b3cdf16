//! Who ever borrowed: scanned once from the market's history, kept with a checkpoint, and taken up again from
//! there. A checkpoint that is not on this chain any more is given up for an older one that is.

use crate::abi::aave::Pool;
use crate::config::Config;
use crate::domain::chain::{BlockRef, Head};
use crate::domain::protocols::aave_v3::borrower;
use crate::exit::{Exit, ExitExt};
use crate::io::datadir::DataDir;
use crate::io::index::{Index, Stream};
use crate::io::logs::Scan;
use crate::io::rpc::Rpc;
use alloy::primitives::{Address, B256};
use alloy::sol_types::SolEvent;
use eyre::{Result, eyre};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeSet;
use std::io::IsTerminal;

/// A bar on a terminal; nothing elsewhere, where a log line tells of progress.
pub fn bar(length: u64, unit: &str) -> ProgressBar {
    // What is over in a moment needs no bar.
    if !std::io::stderr().is_terminal() || length < 1_000 {
        return ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden());
    }
    let template =
        format!("[{{elapsed_precise}}] {{bar:30}} {{human_pos}}/{{human_len}} {unit}  eta {{eta}}  {{msg}}");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

/// Every account that borrowed up to `head`. Scans only blocks that no earlier run has scanned.
///
/// # Errors
/// When the node or the disk fails; what was scanned until then is kept.
pub async fn borrowers(
    config: &Config,
    rpc: &Rpc,
    datadir: &DataDir,
    pool: Address,
    head: Head,
) -> Result<Vec<Address>> {
    let mut index = Index::open(&datadir.index()).exit(Exit::Configuration)?;
    let stream = stream(config, pool);
    let first = resume(&mut index, &stream, rpc, config.market.start_block).await?;
    let last = head.block.number;
    if config.market.start_block > last {
        return Err(eyre!(
            "markets.{}.start_block {} is beyond the newest block {last}: no borrower could be found",
            config.market.name,
            config.market.start_block
        ))
        .exit(Exit::Configuration);
    }
    if first <= last {
        tracing::info!(from = first, to = last, "scanning history for borrowers");
        scan(config, rpc, &mut index, &stream, (first, last), head).await?;
    } else {
        tracing::debug!(to = last, "history is scanned already");
    }
    index.borrowers(&stream).exit(Exit::Unexpected)
}

/// Another first block is another scan: what was found from a later one does not hold for it.
fn stream(config: &Config, pool: Address) -> Stream {
    Stream::new(pool, format!("borrowers from {}", config.market.start_block))
}

/// Writes down that every block after `from` and up to `head` was followed, with who borrowed in them. Nothing is
/// written where another process has gone further, or back, since.
///
/// # Errors
/// When the disk refuses.
pub fn follow(
    config: &Config,
    datadir: &DataDir,
    pool: Address,
    from: u64,
    head: BlockRef,
    found: &[(Address, u64)],
) -> Result<()> {
    let mut index = Index::open(&datadir.index())?;
    let stream = stream(config, pool);
    let newest = index.checkpoints(&stream)?.first().map(|(number, _)| *number);
    if newest.is_some_and(|newest| (from..head.number).contains(&newest)) {
        index.commit(&stream, (head.number, head.hash), found)?;
    }
    Ok(())
}

/// The first block that is still to be scanned: after the newest checkpoint that is on this chain.
async fn resume(index: &mut Index, stream: &Stream, rpc: &Rpc, start: u64) -> Result<u64> {
    let checkpoints = index.checkpoints(stream).exit(Exit::Unexpected)?;
    let newest = checkpoints.first().map(|(number, _)| *number);
    for (number, hash) in checkpoints {
        if on_chain(rpc, number, hash).await.exit(Exit::Network)? {
            if newest != Some(number) {
                tracing::warn!(to = number, "blocks scanned before were replaced: going back");
                index.rewind(stream, number).exit(Exit::Unexpected)?;
            }
            return Ok(number.saturating_add(1).max(start));
        }
    }
    if newest.is_some() {
        tracing::warn!("the index is of another chain: scanning anew");
        index.reset(stream).exit(Exit::Unexpected)?;
    }
    Ok(start)
}

async fn on_chain(rpc: &Rpc, number: u64, hash: B256) -> Result<bool> {
    Ok(rpc.try_block(&format!("{number:#x}")).await?.is_some_and(|head| head.block.hash == hash))
}

async fn scan(
    config: &Config,
    rpc: &Rpc,
    index: &mut Index,
    stream: &Stream,
    (first, last): (u64, u64),
    head: Head,
) -> Result<()> {
    let topic = Pool::Borrow::SIGNATURE_HASH;
    let mut steps = Scan::new(rpc.clone(), stream.pool, topic, first, last, config.rpc.log_range);
    let bar = bar(last.saturating_sub(first).saturating_add(1), "blocks");
    let mut known = index.borrowers(stream).exit(Exit::Unexpected)?.into_iter().collect::<BTreeSet<_>>();
    let mut told = first;
    while let Some(step) = steps.advance().await.exit(Exit::Network)? {
        let fresh = step
            .logs
            .iter()
            .filter_map(|(number, log)| Some((borrower(log)?, *number)))
            .filter(|(account, _)| known.insert(*account))
            .collect::<Vec<_>>();
        let reached = if step.to == last {
            head
        } else {
            rpc.block(&format!("{:#x}", step.to)).await.exit(Exit::Network)?
        };
        index.commit(stream, (step.to, reached.block.hash), &fresh).exit(Exit::Unexpected)?;
        bar.set_position(step.to.saturating_sub(first));
        bar.set_message(format!("{} borrowers", known.len()));
        if bar.is_hidden() && is_worth_telling(told, step.to, first, last) {
            told = step.to;
            tracing::info!(block = step.to, of = last, borrowers = known.len(), "scanned");
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// A line for every twentieth of the way.
fn is_worth_telling(told: u64, reached: u64, first: u64, last: u64) -> bool {
    reached.saturating_sub(told) >= last.saturating_sub(first) / 20 && reached != last
}
