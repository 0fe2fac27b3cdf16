//! The scan for borrowers is taken up where it ended: no block is asked for twice, unless the chain has another one
//! in its place.

use std::time::Duration;

use alloy::{providers::ext::AnvilApi, rpc::types::anvil::ReorgOptions};
use backstop::bed::{Bed, Options};
use eyre::{Result, ensure};

use super::{PATIENCE, Stand, proxy::Fault};

/// Runs `positions` and gives the block ranges it asked for. The last of them ends at the head.
async fn positions(stand: &Stand) -> Result<Vec<(u64, u64)>> {
    stand.proxy.forget();
    let ended = stand.run(&["positions", "--audit", "--json"])?;
    let borrowers = stand.fork.manifest.market("v36")?.borrowers.len();
    ensure!(ended.code == Some(0), "ended with {:?}: {}", ended.code, ended.stderr);
    ensure!(ended.stdout.lines().count() == borrowers, "not all {borrowers} borrowers: {}", ended.stdout);
    let ranges = stand.proxy.ranges()?;
    let head = stand.fork.chain.block_number().await?;
    if let Some((_, last)) = ranges.last() {
        assert_eq!(*last, head);
    }
    Ok(ranges)
}

/// Every block from `first` on is in exactly one range, and the ranges are in order.
fn check_seamless(ranges: &[(u64, u64)], first: u64) {
    let mut next = first;
    for (from, to) in ranges {
        assert_eq!(*from, next, "{ranges:?}");
        next = to + 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_block_is_scanned_twice() -> Result<()> {
    let mut stand = Stand::new().await?;
    stand.set("BACKSTOP_RPC__LOG_RANGE", "64");
    let start = stand.fork.manifest.market("v36")?.start_block;
    let first = positions(&stand).await?;
    check_seamless(&first, start);
    assert!(first.len() > 1, "{first:?}");

    stand.fork.mine(7).await?;
    let scanned = first.last().map_or(0, |range| range.1);
    check_seamless(&positions(&stand).await?, scanned + 1);

    assert_eq!(positions(&stand).await?, [], "the head was reached before");
    stand.proxy.forget();
    assert_eq!(stand.run(&["scan"])?.code, Some(0));
    assert_eq!(stand.proxy.ranges()?, [], "scan uses what positions found");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_scan_goes_on_from_its_last_checkpoint() -> Result<()> {
    let mut stand = Stand::new().await?;
    stand.set("BACKSTOP_RPC__LOG_RANGE", "8");
    stand.proxy.rule("eth_getLogs", Fault::Delay(Duration::from_millis(60)));
    let start = stand.fork.manifest.market("v36")?.start_block;
    let killed = stand.operator.start(&["positions"])?;
    let began = std::time::Instant::now();
    while stand.proxy.ranges()?.len() < 6 {
        ensure!(began.elapsed() < PATIENCE, "the scan does not get on: {}", killed.stderr());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    killed.kill()?;
    let before = stand.proxy.ranges()?;
    check_seamless(&before, start);
    stand.proxy.heal();
    let after = positions(&stand).await?;
    let resumed = after.first().map_or(0, |range| range.0);
    check_seamless(&after, resumed);
    // Only what was under way when it died may be asked for again.
    let (from, to) = before.last().copied().unwrap_or_default();
    assert!(resumed == from || resumed == to + 1, "killed at {from} to {to}, resumed at {resumed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_over_the_checkpoint_is_noticed_and_scanned_again() -> Result<()> {
    let stand = Stand::new().await?;
    let first = positions(&stand).await?;
    let kept = first.last().map_or(0, |range| range.1);
    stand.fork.mine(5).await?;
    check_seamless(&positions(&stand).await?, kept + 1);
    stand.fork.provider.anvil_reorg(ReorgOptions { depth: 4, tx_block_pairs: vec![] }).await?;
    check_seamless(&positions(&stand).await?, kept + 1);
    assert_eq!(positions(&stand).await?, []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_of_another_chain_with_the_same_addresses_is_not_believed() -> Result<()> {
    let stand = Stand::new().await?;
    positions(&stand).await?;
    let other = Bed::build(Options::default(), |_| ()).await?;
    let provider = other.manifest.market("v36")?.addresses_provider;
    assert_eq!(provider, stand.fork.manifest.market("v36")?.addresses_provider);
    stand.proxy.set_upstream(&other.http());
    stand.proxy.forget();
    let ended = stand.run(&["positions"])?;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("the index is of another chain"), "{}", ended.stderr);
    check_seamless(&stand.proxy.ranges()?, other.manifest.market("v36")?.start_block);
    Ok(())
}

/// How nodes say that a range is too long: code and text, none like another.
const DIALECTS: [(i64, &str); 9] = [
    (-32005, "query returned more than 10000 results"),
    (-32602, "eth_getLogs range 0x1 to 0x40 exceeds limit of 10000"),
    (-32600, "You can make eth_getLogs requests with up to a 500 block range. Try 0x1 to 0x1f3"),
    (-32614, "eth_getLogs is limited to a 10,000 range"),
    (-32600, "block range is too wide"),
    (
        -32701,
        "Please specify an address in your request or, to remove restrictions, order a dedicated full node",
    ),
    (-32000, "query exceeds max results 20000"),
    (-32005, "limit exceeded"),
    (-32046, "Max range: 1000"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_on_ranges_is_learned_however_it_is_worded() -> Result<()> {
    let mut stand = Stand::new().await?;
    for (number, (code, text)) in DIALECTS.into_iter().enumerate() {
        let datadir = stand.operator.folder.join(format!("data-{number}"));
        stand.set("BACKSTOP_DATADIR", &datadir.display().to_string());
        stand.proxy.heal();
        stand.proxy.rule("eth_getLogs", Fault::LogRange(40, code, text));
        let asked = positions(&stand).await?;
        let taken = asked.iter().copied().filter(|(from, to)| to - from < 40).collect::<Vec<_>>();
        check_seamless(&taken, stand.fork.manifest.market("v36")?.start_block);
        let refused = asked.len() - taken.len();
        assert!(refused < 12, "{text}: refused {refused} times: {asked:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_fault_in_the_middle_of_a_scan_is_asked_again() -> Result<()> {
    let mut stand = Stand::new().await?;
    stand.set("BACKSTOP_RPC__LOG_RANGE", "64");
    let faults = [
        Fault::Drop,
        Fault::SwallowReply,
        Fault::Error(429, "too many requests"),
        Fault::Http(429, "slow down"),
        Fault::Http(502, "<html>bad gateway</html>"),
        Fault::Http(503, ""),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let datadir = stand.operator.folder.join(format!("data-{number}"));
        stand.set("BACKSTOP_DATADIR", &datadir.display().to_string());
        stand.proxy.rule_for(1, "eth_getLogs", fault.clone());
        let asked = positions(&stand).await?;
        assert!(asked.windows(2).any(|pair| pair[0].0 == pair[1].0), "{fault:?} was not met: {asked:?}");
        let mut asked = asked;
        asked.dedup_by_key(|range| range.0);
        check_seamless(&asked[1..], asked[0].1 + 1);
    }
    Ok(())
}
