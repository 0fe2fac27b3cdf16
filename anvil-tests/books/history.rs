//! The history of a live run is what its receipts say, that of a dry run what it printed; in every form it has.

use std::collections::BTreeMap;

use alloy::{
    primitives::{B256, Bytes, I256, U256},
    providers::Provider,
    sol_types::SolEvent,
};
use backstop::{abi::executor::Executor, bed::assets::DOLLAR, io::journal::Outcome};
use eyre::{Result, ensure, eyre};
use serde_json::Value;

use super::{Stand, ended};

fn number(row: &Value, key: &str) -> Result<I256> {
    let text = row[key].as_str().map(str::to_owned).unwrap_or_else(|| row[key].to_string());
    I256::from_dec_str(&text).map_err(|_| eyre!("{key} of {row} is no number"))
}

/// Ether falls; the transaction with everybody in it is made to fail while it waits to be mined, and won when they are
/// no longer left alone; then ether falls further, and the next are won.
#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_a_live_run_is_what_its_receipts_say() -> Result<()> {
    let stand = Stand::live().await?;
    let executor = stand.operator.executor.ok_or_else(|| eyre!("no executor"))?;
    let code = stand.fork.provider.get_code_at(executor).await?;
    stand.fork.set_price("WETH", 1_840 * DOLLAR).await?;
    stand.fork.chain.set_automine(false).await?;
    let daemon = stand.start().await?;
    stand.pooled().await?;
    stand.fork.chain.set_code(executor, Bytes::from_static(&[0xfe])).await?;
    stand.fork.mine(1).await?;
    stand.until("reverted", |entries| ended(entries, Outcome::Reverted) >= 1).await?;
    stand.fork.chain.set_code(executor, code).await?;
    stand.fork.chain.set_automine(true).await?;
    stand.fork.mine(12).await?;
    stand.until("won", |entries| ended(entries, Outcome::Won) >= 1).await?;
    stand.fork.set_price("WETH", 1_780 * DOLLAR).await?;
    stand.until("won twice", |entries| ended(entries, Outcome::Won) >= 2).await?;
    // Beside the running daemon, and the same after it.
    let beside = stand.rows(&["history", "--limit", "5000"])?;
    ensure!(beside.iter().any(|row| row["verdict"] == "reverted"), "{beside:#?}");
    daemon.stop()?;
    let [said, log] = ["stdout.log", "stderr.log"].map(|name| stand.operator.folder.join(name));
    let said = std::fs::read_to_string(said)?;
    stand.check_silence(&std::fs::read_to_string(log)?)?;
    stand.check_silence(&said)?;
    let rows = stand.rows(&["history", "--limit", "5000"])?;
    ensure!(rows.len() >= beside.len());

    let mut promised: BTreeMap<String, String> = BTreeMap::new();
    for line in said.lines() {
        let event: Value = serde_json::from_str(line)?;
        if event["event"] == "sent" {
            promised.insert(
                event["transaction"].as_str().unwrap_or_default().into(),
                event["net_wei"].as_str().unwrap_or_default().into(),
            );
        }
    }
    let (mut won, mut reverted, mut total, mut largest) = (0, 0, I256::ZERO, 0);
    for row in rows.iter().filter(|row| row["kind"] == "liquidation" && row["verdict"] != "pending") {
        let hash: B256 = row["transaction"].as_str().unwrap_or_default().parse()?;
        let receipt = stand.fork.provider.get_transaction_receipt(hash).await?;
        let receipt = receipt.ok_or_else(|| eyre!("{hash} has no receipt"))?;
        let gains = receipt
            .logs()
            .iter()
            .filter(|log| log.address() == executor)
            .filter_map(|log| Executor::Executed::decode_log(&log.inner).ok())
            .map(|event| event.profit)
            .collect::<Vec<_>>();
        let gross = I256::try_from(gains.iter().sum::<U256>())?;
        let cost = I256::try_from(U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price))?;
        assert_eq!(number(row, "realised_gross_wei")?, gross, "{row}");
        assert_eq!(number(row, "realised_net_wei")?, gross - cost, "{row}");
        assert_eq!(number(row, "gas_used")?, I256::try_from(receipt.gas_used)?);
        assert_eq!(number(row, "mined_block")?, I256::try_from(receipt.block_number.unwrap_or_default())?);
        assert_eq!(
            promised.get(&hash.to_string()).map(String::as_str),
            row["promised_net_wei"].as_str(),
            "{row}"
        );
        total += gross - cost;
        if receipt.status() {
            assert_eq!(row["verdict"], "won");
            let (kept, foretold) = (number(row, "realised_gross_wei")?, number(row, "promised_gross_wei")?);
            ensure!(kept * I256::try_from(1_000)? >= foretold * I256::try_from(990)?, "{row}");
            assert_eq!(row["liquidations"], gains.len(), "{row}");
            largest = largest.max(gains.len());
            won += 1;
        } else {
            assert_eq!((row["verdict"].as_str(), gross), (Some("reverted"), I256::ZERO));
            reverted += 1;
        }
        let decided = rows.iter().any(|one| {
            one["kind"] == "decision" && one["verdict"] == "send" && one["account"] == row["account"]
        });
        ensure!(decided, "no decision stands before {row}");
    }
    eprintln!("won {won}, reverted {reverted}, {} rows", rows.len());
    ensure!(
        won >= 2 && reverted == 1 && largest > 1,
        "{won} won, {reverted} reverted, up to {largest} at once"
    );
    check_shared(&stand, &rows)?;
    check_forms(&stand, &rows, reverted, total)
}

/// A transaction of several is found by each of those it took.
fn check_shared(stand: &Stand, rows: &[Value]) -> Result<()> {
    for row in rows.iter().filter(|row| row["kind"] == "liquidation") {
        let detail: Value = serde_json::from_str(row["detail"].as_str().unwrap_or_default())?;
        for part in detail["liquidations"].as_array().into_iter().flatten() {
            let account = part["account"].as_str().unwrap_or_default();
            let found = stand.rows(&["history", "--limit", "5000", "--account", account])?;
            ensure!(
                found.iter().any(|one| one["transaction"] == row["transaction"]),
                "{account}: {found:#?}"
            );
        }
    }
    ensure!(
        stand.expect(&["history", "--verdict", "won"])?.contains(" more  promised "),
        "no word of the others"
    );
    Ok(())
}

/// The same books as text, as CSV, filtered and summed up.
fn check_forms(stand: &Stand, rows: &[Value], reverted: usize, total: I256) -> Result<()> {
    eprintln!("{}", stand.expect(&["history", "--limit", "12"])?);
    eprintln!("{}", stand.expect(&["history", "--summary"])?);
    let csv = stand.expect(&["history", "--csv", "--limit", "5000"])?;
    assert_eq!(csv.matches("\r\n").count(), rows.len() + 1, "a record each, and the header");
    ensure!(csv.starts_with("kind,verdict,at,time,market,block,account,"), "{csv}");
    let account = rows.iter().find(|row| row["verdict"] == "reverted").map(|row| row["account"].clone());
    let account = account.and_then(|account| account.as_str().map(str::to_owned)).unwrap_or_default();
    let count = |arguments: &[&str]| stand.rows(&[&["history"], arguments].concat()).map(|rows| rows.len());
    assert_eq!(count(&["--verdict", "reverted"])?, reverted);
    ensure!(count(&["--verdict", "reverted", "--account", &account, "--since", "2h"])? >= 1);
    assert_eq!(count(&["--until", "2h"])?, 0);
    assert_eq!(count(&["--since", "2001-01-01", "--limit", "1"])?, 1);
    let summary = stand.rows(&["history", "--summary"])?.remove(0);
    let mut sum = I256::ZERO;
    for line in summary["profit"].as_array().ok_or_else(|| eyre!("no profit in {summary}"))? {
        if line["kind"] == "liquidation" {
            sum += number(line, "realised_net_wei")?;
        }
    }
    assert_eq!(sum, total, "the days do not add up: {summary:#}");
    let counted = |word: &str| {
        summary["counts"].as_array().is_some_and(|counts| counts.iter().any(|one| one["verdict"] == word))
    };
    ensure!(counted("won") && counted("reverted") && counted("send"), "{summary:#}");
    Ok(())
}

/// What a dry run printed is what stands in the books, each once.
#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_a_dry_run_is_what_it_printed() -> Result<()> {
    let mut stand = Stand::new(None).await?;
    stand.fork.set_price("WETH", 1_700 * DOLLAR).await?;
    // Some of them are not worth it.
    stand.set("BACKSTOP_PROFIT__MINIMUM_WEI", "100000000000000000");
    let printed = stand.rows(&["run", "--blocks", "1"])?;
    let rows = stand.rows(&["history", "--limit", "5000"])?;
    let count = |rows: &[Value], key: &str, word: &str| rows.iter().filter(|row| row[key] == word).count();
    for word in ["would-send", "skip"] {
        let times = count(&printed, "event", word);
        ensure!(times > 0, "nothing was printed of {word}: {printed:#?}");
        assert_eq!(count(&rows, "verdict", word), times, "{word}");
    }
    assert_eq!(rows.len(), printed.len());
    for row in &rows {
        let event = printed.iter().find(|event| event["account"] == row["account"]);
        let event = event.ok_or_else(|| eyre!("{row} was not printed"))?;
        assert_eq!(event["net_wei"], row["promised_net_wei"], "{event}");
        assert_eq!(event["block"], row["block"]);
        if row["verdict"] == "skip" {
            assert_eq!((&event["reason"], &event["why"]), (&row["reason"], &row["why"]));
        }
    }
    eprintln!("{}", stand.expect(&["history", "--limit", "6"])?);
    eprintln!("{}", stand.expect(&["history", "--summary"])?);
    Ok(())
}
