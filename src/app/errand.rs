//! What the commands that sign for a person share: the question before, and the way from signed bytes to a settled
//! receipt. Interrupted, it is finished by running the same command again.

use crate::domain::chain::Receipt;
use crate::domain::units::{Net, Wei};
use crate::exit::{Exit, ExitExt};
use crate::io::journal::{Durable, Errand, IntentId, Journal, Outcome, Verdict};
use crate::io::person;
use crate::io::rpc::Rpc;
use alloy::primitives::Address;
use eyre::{Result, WrapErr, eyre};
use std::path::PathBuf;
use std::time::Duration;

/// How often, and how many times, the receipt is asked for.
const POLL: Duration = Duration::from_millis(500);
const POLLS: u32 = 600;
/// Looks for which the nonce may be used without a receipt of ours: receipts may lag behind.
const DOUBT: u32 = 10;

/// Asks on a terminal; elsewhere only `--yes` will do.
///
/// # Errors
/// Exit code 2 where there is nobody to ask, 7 after a no.
pub fn agreed(question: &str, instead: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !person::is_there() {
        return Err(eyre!("{instead} without being asked")).exit(Exit::Usage);
    }
    if person::agrees(question)? {
        return Ok(());
    }
    Err(eyre!("nothing was sent")).exit(Exit::Refused)
}

/// The journal of `chain_id` at `path`, for what `from` signs.
///
/// # Errors
/// Exit code 3, with what is wrong with the file.
pub async fn journal(path: PathBuf, chain_id: u64, from: Address) -> Result<Journal> {
    tokio::task::spawn_blocking(move || Journal::open(&path, chain_id, from))
        .await
        .wrap_err("opening the journal was interrupted")?
        .exit(Exit::Configuration)
}

/// Sends journaled bytes, waits for their receipt and settles them, whichever way they went.
///
/// # Errors
/// The node fails, nobody mines them for minutes, or their nonce was used by something else (exit code 7).
pub async fn finish(
    rpc: &Rpc,
    journal: &Journal,
    durable: &Durable,
    from: Address,
    errand: Errand,
) -> Result<Receipt> {
    let said = rpc.send(durable).await;
    tracing::info!(transaction = %durable.hash(), said, "sent");
    journal.sent(durable.hash(), said).await.exit(Exit::Unexpected)?;
    let mut doubts: u32 = 0;
    for _ in 0..POLLS {
        // The nonce is asked first: a receipt that comes in between is then still found.
        let is_used = rpc.next_nonce(from).await.exit(Exit::Network)? > durable.nonce();
        if let Some(receipt) = rpc.receipt_of(&[durable.hash()]).await.exit(Exit::Network)? {
            settle(journal, durable.intent(), &receipt).await?;
            return Ok(receipt);
        }
        doubts = if is_used { doubts.saturating_add(1) } else { 0 };
        if doubts > DOUBT {
            return foreign(journal, durable).await;
        }
        tokio::time::sleep(POLL).await;
    }
    let command = errand.as_str();
    Err(eyre!(
        "{} is not mined yet: run `backstop {command}` again, which sends the same bytes",
        durable.hash()
    ))
    .exit(Exit::Network)
}

async fn settle(journal: &Journal, intent: IntentId, receipt: &Receipt) -> Result<()> {
    journal.mined(receipt).await.exit(Exit::Unexpected)?;
    let cost = receipt.gas_used.cost(receipt.gas_price);
    let verdict = Verdict {
        outcome: if receipt.succeeded { Outcome::Won } else { Outcome::Reverted },
        realised_gross: Wei::ZERO,
        realised_net: Net::of(Wei::ZERO, cost),
        gas_used: receipt.gas_used,
    };
    journal.settle(intent, verdict).await.exit(Exit::Unexpected)
}

/// A person's key is used elsewhere too, so this is no alarm; but nothing of ours was done.
async fn foreign(journal: &Journal, durable: &Durable) -> Result<Receipt> {
    let verdict = Verdict {
        outcome: Outcome::ForeignNonce,
        realised_gross: Wei::ZERO,
        realised_net: Net::Gain(Wei::ZERO),
        gas_used: crate::domain::units::Gas(0),
    };
    journal.settle(durable.intent(), verdict).await.exit(Exit::Unexpected)?;
    Err(eyre!(
        "nonce {} was used by another transaction of this key, so {} can no longer happen: run it again",
        durable.nonce(),
        durable.hash()
    ))
    .exit(Exit::Refused)
}
