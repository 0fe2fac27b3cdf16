//! What was signed is finished whatever happens in between: the keeper dies, the node loses the transaction or its
//! answer, nobody mines it, somebody else is faster. One transaction a nonce, and the journal knew it first.

use std::time::Duration;

use alloy::{
    consensus::Transaction as _,
    primitives::{Address, U256},
    providers::{Provider, ext::AnvilApi},
};
use backstop::{
    bed::{assets::DOLLAR, operator::Daemon},
    io::journal::{Entry, Outcome},
};
use eyre::{Result, ensure, eyre};
use serde_json::json;

use super::{PATIENCE, Stand, decode, proxy::Fault};

/// The first liquidation is signed and sent, and waits in the pool: blocks come only when the test makes them.
async fn in_flight() -> Result<(Stand, Daemon)> {
    let stand = Stand::live().await?;
    stand.fall().await?;
    stand.hold_blocks().await?;
    let daemon = stand.start().await?;
    stand.pooled().await?;
    Ok((stand, daemon))
}

impl Stand {
    /// Waits until the node has been sent this many raw transactions.
    async fn sent_by_now(&self, times: usize) -> Result<()> {
        let began = std::time::Instant::now();
        while self.proxy.sent()?.len() < times {
            ensure!(began.elapsed() < PATIENCE, "sent {} of {times}", self.proxy.sent()?.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until a transaction is in the node's pool.
    async fn pooled(&self) -> Result<()> {
        let began = std::time::Instant::now();
        while self.command("txpool_status", json!([])).await?["pending"] == "0x0" {
            ensure!(began.elapsed() < PATIENCE, "nothing is in the pool");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until the `number`th liquidation has this outcome.
    async fn booked(&self, number: usize, outcome: Outcome) -> Result<Entry> {
        let is_booked = |entries: &[Entry]| entries.get(number).is_some_and(|entry| entry.verdict.is_some());
        let entries = self.until("booked", is_booked).await?;
        let entry = entries.get(number).cloned().ok_or_else(|| eyre!("no entry {number}"))?;
        let found = entry.verdict.map(|verdict| verdict.outcome);
        ensure!(found == Some(outcome), "booked {found:?}, not {outcome:?}");
        Ok(entry)
    }

    /// The first nonce was signed for once, and what was signed is mined and won; the books are in order.
    async fn check_won_once(&self) -> Result<()> {
        let entry = self.booked(0, Outcome::Won).await?;
        let distinct = self.distinct()?;
        let raw = distinct.get(&entry.nonce).ok_or_else(|| eyre!("nothing was sent for {}", entry.nonce))?;
        assert_eq!(raw.len(), 1, "one transaction for nonce {}", entry.nonce);
        assert_eq!(entry.attempts, 1);
        self.check_books().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_in_flight_and_dropped_by_the_node_the_same_bytes_are_sent_again() -> Result<()> {
    let (stand, daemon) = in_flight().await?;
    daemon.kill()?;
    stand.fork.provider.anvil_drop_all_transactions().await?;
    let _daemon = stand.start().await?;
    stand.pooled().await?;
    stand.fork.mine(1).await?;
    stand.check_won_once().await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_journal_and_the_node_the_same_bytes_are_sent() -> Result<()> {
    let stand = Stand::live().await?;
    stand.fall().await?;
    stand.hold_blocks().await?;
    stand.proxy.rule("eth_sendRawTransaction", Fault::Hang);
    let daemon = stand.start().await?;
    stand.sent_by_now(1).await?;
    daemon.kill()?;
    assert_eq!(stand.entries()?.len(), 1);
    stand.proxy.heal();
    let _daemon = stand.start().await?;
    stand.pooled().await?;
    stand.fork.mine(1).await?;
    stand.check_won_once().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_after_acceptance_makes_no_second_signature() -> Result<()> {
    let stand = Stand::live().await?;
    stand.fall().await?;
    stand.hold_blocks().await?;
    stand.proxy.rule_for(1, "eth_sendRawTransaction", Fault::SwallowReply);
    let _daemon = stand.start().await?;
    stand.pooled().await?;
    stand.fork.mine(1).await?;
    stand.check_won_once().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_mined_while_we_were_down_is_booked_and_not_sent_again() -> Result<()> {
    let (stand, daemon) = in_flight().await?;
    daemon.kill()?;
    stand.fork.mine(1).await?;
    let before = stand.proxy.sent()?;
    let _daemon = stand.start().await?;
    stand.check_won_once().await?;
    let nonce = stand.entries()?[0].nonce;
    let again = stand.proxy.sent()?.split_off(before.len());
    for (raw, _) in again {
        assert!(decode(&raw)?.nonce() > nonce, "sent again although mined");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_mines_is_withdrawn_and_the_next_chance_taken() -> Result<()> {
    let (stand, _daemon) = in_flight().await?;
    let original = decode(&stand.proxy.sent()?[0].0)?;
    // One above what it offers: no block takes it.
    let base_fee = U256::from(original.max_fee_per_gas() + 1);
    let began = std::time::Instant::now();
    while stand.distinct()?.get(&original.nonce()).is_none_or(|raw| raw.len() < 2) {
        ensure!(began.elapsed() < PATIENCE, "not withdrawn");
        stand.fork.chain.set_next_base_fee(base_fee).await?;
        stand.fork.mine(1).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let raw = stand.distinct()?[&original.nonce()].clone();
    let mut withdrawn = raw.iter().map(decode).collect::<Result<Vec<_>>>()?;
    withdrawn.retain(|one| one.to() == Some(stand.operator.address));
    let cancel = withdrawn.first().ok_or_else(|| eyre!("no transaction to ourselves"))?;
    assert!(cancel.input().is_empty() && cancel.value().is_zero());
    let tip = |one: &alloy::consensus::TxEnvelope| one.max_priority_fee_per_gas().unwrap_or_default();
    assert!(cancel.max_fee_per_gas() * 8 >= original.max_fee_per_gas() * 9, "an eighth more");
    assert!(tip(cancel) * 8 >= tip(&original) * 9, "an eighth more tip");
    stand.fork.chain.set_automine(true).await?;
    stand.fork.mine(1).await?;
    stand.booked(0, Outcome::Cancelled).await?;
    let next = stand.booked(1, Outcome::Won).await?;
    assert_eq!(next.nonce, original.nonce() + 1);
    stand.check_books().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_used_by_somebody_else_stops_the_keeper() -> Result<()> {
    let (stand, mut daemon) = in_flight().await?;
    stand.fork.provider.anvil_drop_all_transactions().await?;
    let own = stand.operator.address;
    stand
        .command("eth_sendTransaction", json!([{ "from": own, "to": Address::ZERO, "value": "0x1" }]))
        .await?;
    // Receipts may lag behind the nonce: it takes a few heads to be sure.
    for _ in 0..6 {
        stand.fork.mine(1).await?;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let code = daemon.ends(PATIENCE).await?;
    let said = daemon.stderr();
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("was used by a transaction that is not in the journal"), "{said}");
    let entry = stand.booked(0, Outcome::ForeignNonce).await?;
    assert_eq!(entry.attempts, 1);
    stand.check_silence(&said)?;
    stand.check_books().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mined_revert_is_booked_and_its_account_left_alone_for_a_while() -> Result<()> {
    let (stand, _daemon) = in_flight().await?;
    let first = stand.entries()?[0].intent.clone().ok_or_else(|| eyre!("no intent"))?.account;
    // The node loses it, ether is back up, and then the keeper's repetition arrives.
    stand.proxy.rule("eth_sendRawTransaction", Fault::Drop);
    stand.fork.provider.anvil_drop_all_transactions().await?;
    stand.fork.chain.set_automine(true).await?;
    stand.fork.set_price("WETH", 2_000 * DOLLAR).await?;
    stand.proxy.heal();
    stand.fork.mine(1).await?;
    stand.booked(0, Outcome::Reverted).await?;
    let reverted_at = stand.fork.chain.block_number().await?;
    stand.fall().await?;
    while stand.entries()?.len() < 2 {
        ensure!(stand.fork.chain.block_number().await? < reverted_at + 30, "never taken again");
        tokio::time::sleep(Duration::from_millis(700)).await;
        stand.fork.mine(1).await?;
    }
    let next = stand.booked(1, Outcome::Won).await?;
    let intent = next.intent.ok_or_else(|| eyre!("no intent"))?;
    assert!(intent.block >= reverted_at + 9, "cooled from {reverted_at} to {}", intent.block);
    assert!(intent.detail.to_string().to_lowercase().contains(&first.to_string().to_lowercase()));
    stand.check_books().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reorg_takes_out_again_is_not_signed_twice() -> Result<()> {
    let (stand, daemon) = in_flight().await?;
    // Anvil's own reorg leaves the state of a fork as it was: the way back is a snapshot's.
    let snapshot = stand.fork.snapshot().await?;
    stand.fork.mine(1).await?;
    stand.booked(0, Outcome::Won).await?;
    let nonce = stand.entries()?[0].nonce;
    stand.fork.revert(snapshot).await?;
    stand.fork.provider.anvil_drop_all_transactions().await?;
    stand.fork.chain.set_automine(true).await?;
    let began = std::time::Instant::now();
    while stand.fork.provider.get_transaction_count(stand.operator.address).await? <= nonce {
        ensure!(began.elapsed() < PATIENCE, "not sent again: {}{}", daemon.stderr(), daemon.stdout());
        stand.fork.mine(1).await?;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    assert_eq!(stand.distinct()?[&nonce].len(), 1, "signed twice for nonce {nonce}");
    stand.check_books().await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_nothing_is_signed_twice() -> Result<()> {
    let stand = Stand::live().await?;
    stand.fall().await?;
    for round in 0..4_u64 {
        let daemon = stand.operator.start(&["run"])?;
        tokio::time::sleep(Duration::from_millis(900 + 170 * round)).await;
        daemon.kill()?;
    }
    let _daemon = stand.start().await?;
    stand.fork.mine(1).await?;
    stand.booked(0, Outcome::Won).await?;
    for (nonce, raw) in stand.distinct()? {
        assert_eq!(raw.len(), 1, "nonce {nonce}");
    }
    stand.check_books().await
}
