//! The way to the node breaks, mends, lies still or lacks a part: the keeper follows the chain all the same, and
//! what it knows afterwards is what the contract says.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use alloy::{
    eips::BlockId,
    primitives::{Address, U256},
};
use backstop::bed::{assets::DOLLAR, operator::Daemon};
use eyre::{Result, ensure, eyre};
use serde_json::{Value, json};

use super::{PATIENCE, Stand, proxy::Fault};

impl Stand {
    /// Starts the daemon in dry-run mode, telling its results as JSON.
    async fn dry_run(&self) -> Result<Daemon> {
        let mut daemon = self.operator.start(&["run", "--json", "-v"])?;
        daemon.says("ready", PATIENCE).await?;
        Ok(daemon)
    }

    /// The daemon has dealt with the present head; what it said holds no secret.
    async fn caught_up(&self, daemon: &mut Daemon) -> Result<()> {
        let head = self.fork.chain.block_number().await?;
        daemon.says(&format!("block block={head} "), PATIENCE).await?;
        self.check_silence(&daemon.stderr())
    }
}

impl Stand {
    async fn repay_everything(&self, debtor: Address) -> Result<()> {
        for symbol in ["USDC", "DAI", "WBTC", "WETH"] {
            if self.fork.debt("v36", debtor, symbol).await? > U256::ZERO {
                self.fork.repay("v36", debtor, symbol, U256::MAX).await?;
            }
        }
        Ok(())
    }
}

/// The accounts a dry run would liquidate, by the last word it had on each.
fn wanted(stdout: &str) -> Result<Vec<(String, String)>> {
    let mut last = std::collections::BTreeMap::new();
    for line in stdout.lines() {
        let line: Value = serde_json::from_str(line)?;
        let account = line["account"].as_str().unwrap_or_default().to_owned();
        last.insert(account, line["event"].as_str().unwrap_or_default().to_owned());
    }
    Ok(last.into_iter().filter(|(_, event)| event == "would-send").collect())
}

/// The accounts that `scan` finds, with what each would bring to three digits and the call's selector and target.
fn found(stdout: &str) -> Result<Vec<(String, String, String)>> {
    let scan: Value = serde_json::from_str(stdout)?;
    let plans = scan["opportunities"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |plan: &Value| (text(&plan["account"]), text(&plan["call"]["data"]), text(&plan["gross_wei"]));
    let mut rows = plans.iter().map(row).collect::<Vec<_>>();
    rows.sort();
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_head_is_dealt_with_at_once() -> Result<()> {
    let mut stand = Stand::new().await?;
    stand.set("BACKSTOP_RPC__WS", &stand.ws());
    stand.set("BACKSTOP_RPC__POLL", "60s");
    let mut daemon = stand.dry_run().await?;
    stand.caught_up(&mut daemon).await?;
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stand.proxy.forget();
        let mined = Instant::now();
        stand.fork.mine(1).await?;
        stand.caught_up(&mut daemon).await?;
        let looked = stand.proxy.calls("eth_getBlockByNumber");
        let looked = looked.first().ok_or_else(|| eyre!("the chain was not looked at"))?.at;
        fastest = fastest.min(looked.saturating_duration_since(mined));
    }
    ensure!(fastest < Duration::from_millis(150), "looked after {fastest:?} at the soonest");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_subscription_the_keeper_polls_and_says_so_once() -> Result<()> {
    let mut stand = Stand::new().await?;
    stand.set("BACKSTOP_RPC__WS", &stand.ws());
    let told = "ended or was refused: polling meanwhile";
    stand.proxy.refuse_sockets(true);
    let mut daemon = stand.dry_run().await?;
    daemon.says(told, PATIENCE).await?;
    stand.fork.mine(2).await?;
    stand.caught_up(&mut daemon).await?;
    // Refused again meanwhile, which is not told; then it works, and then it dies.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(daemon.stderr().matches(told).count(), 1);
    stand.proxy.refuse_sockets(false);
    daemon.says("subscribed to new heads again", PATIENCE).await?;
    stand.proxy.refuse_sockets(true);
    stand.proxy.cut();
    stand.fork.mine(1).await?;
    stand.caught_up(&mut daemon).await?;
    let began = Instant::now();
    while daemon.stderr().matches(told).count() < 2 {
        ensure!(began.elapsed() < PATIENCE, "the end of the subscription is not told: {}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(daemon.stop()?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_heals_without_anybody() -> Result<()> {
    let stand = Stand::new().await?;
    let mut daemon = stand.dry_run().await?;
    stand.caught_up(&mut daemon).await?;
    stand.proxy.set_down(true);
    let borrower = stand.fork.manifest.market("v36")?.borrowers[0];
    stand.fork.repay("v36", borrower, "USDC", U256::from(1)).await.ok();
    stand.fall().await?;
    daemon.says("cannot be reached", PATIENCE).await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    stand.proxy.set_down(false);
    stand.caught_up(&mut daemon).await?;
    assert!(!wanted(&daemon.stdout())?.is_empty());
    // It does not hammer a node that is down: pauses double.
    assert!(daemon.stderr().matches("could not be dealt with").count() < 8, "{}", daemon.stderr());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reorg_undoes_is_undone_in_our_book() -> Result<()> {
    let stand = Stand::new().await?;
    let mut daemon = stand.dry_run().await?;
    stand.fall().await?;
    stand.caught_up(&mut daemon).await?;
    let before = opportunities(&daemon)?;
    let scan = stand.run(&["scan", "--json"])?.expect_ok()?;
    for (depth, (account, ..)) in (1..=3_u64).zip(found(&scan)?) {
        // Anvil's own reorg leaves the state of a fork as it was, so the way back is a snapshot's. What is taken back
        // is that somebody in danger has repaid.
        let debtor = super::address(&account)?;
        let snapshot = stand.fork.snapshot().await?;
        stand.repay_everything(debtor).await?;
        stand.fork.mine(depth).await?;
        stand.caught_up(&mut daemon).await?;
        assert!(opportunities(&daemon)? < before, "{debtor} has repaid");
        let height = stand.fork.chain.block_number().await?;
        stand.fork.revert(snapshot).await?;
        let height = height - stand.fork.chain.block_number().await?;
        stand.fork.mine(height + 1).await?;
        stand.caught_up(&mut daemon).await?;
        assert_eq!(opportunities(&daemon)?, before, "{debtor} has not repaid after all: {}", daemon.stderr());
        assert_eq!(daemon.stderr().matches("blocks were replaced").count() as u64, depth);
    }
    let fresh = found(&stand.run(&["scan", "--json"])?.expect_ok()?)?;
    assert_eq!(fresh.len(), before, "a fresh look");
    assert_eq!(stand.run(&["positions", "--audit"])?.code, Some(0));
    Ok(())
}

/// How many opportunities the daemon saw in the last head it dealt with.
fn opportunities(daemon: &Daemon) -> Result<usize> {
    let log = daemon.stderr();
    let last = log.rsplit("opportunities=").next().and_then(|rest| rest.split(' ').next());
    last.and_then(|number| number.parse().ok()).ok_or_else(|| eyre!("no block was dealt with: {log}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_gap_too_long_to_link_everything_is_read_again() -> Result<()> {
    let stand = Stand::new().await?;
    let mut daemon = stand.dry_run().await?;
    stand.caught_up(&mut daemon).await?;
    stand.proxy.set_down(true);
    // A borrower whom nobody has seen before, and who is in danger as soon as ether falls.
    let newcomer = Address::repeat_byte(0x5c);
    stand.fork.supply("v36", newcomer, "WETH", stand.fork.amount("WETH", 20_000)?).await?;
    let room = stand.fork.account_data("v36", newcomer, BlockId::latest()).await?;
    let dollars = room.availableBorrowsBase * U256::from(99) / U256::from(100);
    stand.fork.borrow("v36", newcomer, "USDC", dollars / U256::from(100)).await?;
    stand.fork.mine(300).await?;
    stand.fork.set_price("WETH", 1_820 * DOLLAR).await?;
    stand.proxy.set_down(false);
    stand.caught_up(&mut daemon).await?;
    let followed = wanted(&daemon.stdout())?.into_iter().map(|(account, _)| account).collect::<Vec<_>>();
    let scan = stand.run(&["scan", "--json"])?.expect_ok()?;
    let fresh = found(&scan)?.into_iter().map(|(account, ..)| account).collect::<Vec<_>>();
    assert_eq!(followed, fresh, "the daemon and a fresh look");
    assert!(fresh.contains(&newcomer.to_string()), "{newcomer} is not found: {fresh:?}");
    Ok(())
}

/// Accounts that are taken with several loans: their plans name several debts.
fn with_several_loans(stdout: &str) -> Result<BTreeSet<String>> {
    let scan: Value = serde_json::from_str(stdout)?;
    let several = scan["opportunities"].as_array().into_iter().flatten().filter(|plan| {
        let legs = plan["legs"].as_array().cloned().unwrap_or_default();
        legs.windows(2).any(|legs| legs[0]["debt_asset"] != legs[1]["debt_asset"])
    });
    Ok(several.filter_map(|plan| plan["account"].as_str().map(str::to_owned)).collect())
}

/// The same to the byte, but for accounts that are taken with several loans: each may fail alone, which such a node cannot
/// show, so that there they are taken with one.
#[tokio::test(flavor = "multi_thread")]
async fn without_block_simulation_the_same_opportunities_are_found() -> Result<()> {
    let stand = Stand::new().await?;
    stand.fall().await?;
    let exact = stand.run(&["scan", "--json"])?.expect_ok()?;
    stand.proxy.rule("eth_simulateV1", Fault::Error(-32601, "the method eth_simulateV1 does not exist"));
    stand.proxy.forget();
    let ended = stand.run(&["scan", "--json"])?;
    assert!(ended.stderr.contains("no eth_simulateV1"), "{}", ended.stderr);
    let estimated = ended.expect_ok()?;
    let several = with_several_loans(&exact)?;
    let (exact, fewer) = (found(&exact)?, with_several_loans(&estimated)?);
    let estimated = found(&estimated)?;
    let accounts =
        |rows: &[(String, String, String)]| rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>();
    assert_eq!(accounts(&exact), accounts(&estimated));
    assert!(!several.is_empty() && fewer.is_empty(), "{several:?} {fewer:?}");
    let of_one = |rows: Vec<(String, String, String)>| {
        rows.into_iter().filter(|row| !several.contains(&row.0)).collect::<Vec<_>>()
    };
    let (exact, estimated) = (of_one(exact), of_one(estimated));
    assert_eq!(exact, estimated);
    assert!(!exact.is_empty());
    assert!(!stand.proxy.calls("eth_estimateGas").is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_without_overrides_cannot_simulate_is_left_alone_and_told() -> Result<()> {
    let stand = Stand::new().await?;
    stand.fall().await?;
    stand.proxy.rule("eth_simulateV1", Fault::Error(-32601, "the method eth_simulateV1 does not exist"));
    stand.proxy.refuse_overrides();
    let ended = stand.run(&["scan", "--json"])?;
    let scan: Value = serde_json::from_str(&ended.expect_ok()?)?;
    assert_eq!(scan["opportunities"], json!([]));
    let skipped = scan["skipped"].as_array().cloned().unwrap_or_default();
    let not_simulated = skipped.iter().filter(|skip| {
        skip["why"].as_str().is_some_and(|why| why.contains("not simulated") && why.contains("too many"))
    });
    assert!(not_simulated.count() > 0, "{skipped:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_live_mode_a_node_without_overrides_is_enough() -> Result<()> {
    let stand = Stand::live().await?;
    stand.proxy.rule("eth_simulateV1", Fault::Error(-32601, "the method eth_simulateV1 does not exist"));
    stand.proxy.refuse_overrides();
    let _daemon = stand.start().await?;
    stand.fall().await?;
    stand.until("won", |entries| entries.iter().any(|entry| entry.verdict.is_some())).await?;
    stand.check_books().await
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_answers_are_errors_and_pass() -> Result<()> {
    let stand = Stand::new().await?;
    let mut daemon = stand.dry_run().await?;
    let faults = [
        Fault::Http(200, "<html>welcome</html>"),
        Fault::Http(200, "{\"jsonrpc\":\"2.0\",\"id\":1,\"resu"),
        Fault::Http(200, "[]"),
        Fault::Http(429, ""),
        Fault::Http(401, "{\"error\":\"key revoked\"}"),
        Fault::Error(-32000, "header not found"),
        Fault::Answer(Value::Null),
        Fault::Answer(json!("0x")),
        Fault::Drop,
    ];
    for fault in faults {
        for method in ["eth_getBlockByNumber", "eth_getLogs", "eth_call"] {
            stand.proxy.rule_for(1, method, fault.clone());
        }
        stand.fork.mine(1).await?;
        stand.caught_up(&mut daemon).await?;
        stand.proxy.heal();
    }
    assert!(daemon.stop()?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_told_to_stop_does_so_though_the_node_hangs() -> Result<()> {
    let mut stand = Stand::new().await?;
    stand.set("BACKSTOP_RPC__TIMEOUT", "30s");
    let mut daemon = stand.dry_run().await?;
    stand.caught_up(&mut daemon).await?;
    stand.proxy.rule("*", Fault::Hang);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    assert_eq!(daemon.stop()?.code(), Some(0), "while following");
    assert!(began.elapsed() < Duration::from_secs(5));

    let starting = stand.operator.start(&["run"])?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(starting.stop()?.code(), Some(0), "while starting");
    Ok(())
}
