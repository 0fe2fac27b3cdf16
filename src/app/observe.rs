//! What happened, in words: one function an event, so that level, fields and wording are decided in one place.
//! Log lines go to standard error; what a dry run would send is its result and goes to standard output.

use super::books::{Change, Fate};
use super::show::{Opportunity, Skipped, native, tell};
use crate::domain::chain::Receipt;
use crate::domain::keeper::Report;
use crate::domain::lane::Flight;
use crate::domain::plan::Submission;
use crate::domain::protocols::aave_v3::Market;
use crate::domain::units::{Net, Wei};
use crate::domain::verdict::{Outcome, Verdict};
use crate::io::history::Missed;
use crate::io::journal::{Durable, NotDurable};
use crate::io::out;
use crate::io::signer::Refused;
use alloy::primitives::{Address, B256};
use eyre::Result;
use serde::Serialize;
use serde_json::json;

pub fn ready(market: &str, live: bool, borrowers: usize, executor: Address) {
    let mode = if live { "live" } else { "dry-run" };
    tracing::info!(market, mode, borrowers, %executor, "ready");
}

pub fn head(report: &Report, took_ms: u128, in_flight: bool) {
    if let Some(head) = report.head {
        tracing::info!(
            block = head.block.number,
            opportunities = report.plans.len(),
            skipped = report.skips.len(),
            in_flight,
            took_ms,
            "block"
        );
    }
    for (feed, assets) in &report.moved {
        let assets = assets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        tracing::debug!(%feed, assets, "a price feed spoke: these hang on it");
    }
    if report.drift > 0 {
        tracing::warn!(
            drift = report.drift,
            "accounts or reserves were otherwise than their logs had told: what was read counts"
        );
    }
}

pub fn replaced(blocks: usize) {
    tracing::warn!(blocks, "blocks were replaced: what they had changed is read again");
}

pub fn stale(block: u64, age_s: u64) {
    tracing::warn!(block, age_s, "no newer block for long: the chain stands still, or the node does");
}

pub fn not_indexed(error: &eyre::Report) {
    let told = crate::exit::line(error);
    tracing::warn!(error = told, "the index was not written: the next start scans these blocks again");
}

pub fn trouble(error: &eyre::Report, retry_s: u64) {
    let told = crate::exit::line(error);
    tracing::error!(error = told, retry_s, "this block could not be dealt with");
}

pub fn resent(hash: B256, said: &str) {
    tracing::info!(transaction = %hash, said, "sent again");
}

pub fn restored(nonce: u64, hash: B256, said: &str) {
    tracing::warn!(nonce, transaction = %hash, said, "no longer mined after a reorganisation: sent again");
}

pub fn no_funds(address: Address, balance: Wei, needed: Wei) {
    let (balance, needed) = (native(Net::Gain(balance)), native(Net::Gain(needed)));
    tracing::error!(%address, balance, needed, "the key cannot pay for gas: nothing sent; fund it");
}

pub fn not_signed(refused: &Refused) {
    tracing::error!(%refused, "the signer refused: nothing sent");
}

pub fn not_written(fault: &NotDurable) {
    tracing::error!(%fault, "the journal did not take it: nothing sent");
}

pub fn not_in_the_books(missed: &Missed, decisions: usize) {
    tracing::warn!(%missed, decisions, "the history lacks decisions");
}

pub fn paused(why: &str) {
    tracing::warn!(why, "paused: nothing new is sent until `backstop resume`");
}

pub fn resumed() {
    tracing::info!("resumed: what pays is sent again");
}

pub fn held_back(liquidations: usize) {
    tracing::info!(liquidations, "paused: not sent");
}

/// Tells of what was sent: a log line for people, and with `--json` a line on standard output.
pub struct Voice {
    pub market: String,
    pub json: bool,
}

impl Voice {
    fn event(&self, event: &str, what: impl Serialize) {
        if self.json
            && let Err(error) = out::json(&Event { v: 1, event, market: &self.market, what })
        {
            tracing::warn!(%error, "standard output cannot be written");
        }
    }

    pub fn sending(&self, submission: &Submission, durable: &Durable) {
        let (transaction, nonce) = (durable.hash(), durable.nonce());
        let (promised, gas) = (native(submission.net), submission.gas.0);
        let accounts = submission.plans.iter().map(|plan| plan.proposal.draft.account).collect::<Vec<_>>();
        tracing::info!(accounts = list(&accounts), %transaction, nonce, promised, gas, "sent");
        let block = submission.plans.first().map(|plan| plan.proposal.at.number);
        self.event(
            "sent",
            json!({ "block": block, "accounts": accounts, "transaction": transaction, "nonce": nonce,
                "net_wei": submission.net, "gas": submission.gas }),
        );
    }

    pub fn withdrawing(&self, flight: &Flight, durable: &Durable) {
        let (transaction, nonce) = (durable.hash(), flight.nonce);
        tracing::warn!(accounts = list(&flight.accounts()), nonce, %transaction, "late: withdrawn");
        self.event(
            "withdrawn",
            json!({ "accounts": flight.accounts(), "transaction": transaction, "nonce": nonce }),
        );
    }

    pub fn booked(&self, flight: &Flight, verdict: &Verdict, receipt: Option<&Receipt>) {
        let promised = native(Net::Gain(flight.promised));
        let realised = native(Net::Gain(verdict.gross));
        let (net, cost) = (native(verdict.net), native(Net::Gain(verdict.cost)));
        let accounts = list(&verdict.taken);
        let untaken = flight.accounts().iter().filter(|account| !verdict.taken.contains(account)).count();
        let failed = untaken.max(verdict.failed.len());
        let (block, gas) = receipt.map_or((0, 0), |receipt| (receipt.block, receipt.gas_used.0));
        let transaction = receipt.map_or(String::new(), |receipt| receipt.hash.to_string());
        let word = verdict.outcome.word();
        match verdict.outcome {
            Outcome::Won => {
                tracing::info!(
                    accounts,
                    failed,
                    block,
                    transaction,
                    promised,
                    realised,
                    cost,
                    net,
                    gas,
                    "{word}"
                );
            }
            _ => tracing::warn!(
                accounts = list(&flight.accounts()),
                block,
                transaction,
                nonce = flight.nonce,
                cost,
                gas,
                "{word}"
            ),
        }
        for (place, why) in &verdict.failed {
            let account =
                flight.places.get(*place).map_or_else(String::new, |place| place.account.to_string());
            tracing::warn!(account, why, "failed alone");
        }
        for (token, units) in &verdict.shares {
            tracing::info!(%token, %units, "shares went to the receiver: booked at the oracle's prices when it was planned, less your discount");
        }
        self.event(
            word,
            json!({ "block": receipt.map(|receipt| receipt.block), "accounts": verdict.taken, "failed": failed,
            "transaction": receipt.map(|receipt| receipt.hash), "nonce": flight.nonce, "gas": gas,
            "promised_gross_wei": flight.promised, "gross_wei": verdict.gross, "cost_wei": verdict.cost,
            "net_wei": verdict.net, "shares": verdict.shares.iter().map(|(token, units)| {
                json!({ "token": token, "units": units })
            }).collect::<Vec<_>>() }),
        );
    }
}

fn list(accounts: &[Address]) -> String {
    accounts.iter().map(Address::to_string).collect::<Vec<_>>().join(" ")
}

/// A line of standard output where it goes on.
#[derive(Serialize)]
struct Event<'a, T> {
    v: u8,
    event: &'a str,
    market: &'a str,
    #[serde(flatten)]
    what: T,
}

/// A decision, on standard output. What is sent is told by `Voice`, and what waits is told once it does not.
///
/// # Errors
/// When standard output cannot be written.
pub fn decided(name: &str, market: &Market, block: u64, change: &Change<'_>, json: bool) -> Result<()> {
    match change {
        Change::Plan(_, Fate::Send | Fate::Waits) => Ok(()),
        Change::Plan(plan, fate) if json => {
            let what = At { block, what: Opportunity::from(*plan) };
            out::json(&Event { v: 1, event: fate.words().0, market: name, what })
        }
        Change::Plan(plan, fate) => {
            let told = tell(market, &plan.proposal.draft);
            let word = if *fate == Fate::Paused { "paused    " } else { "would send" };
            out::line(&format!(
                "{word}  block {block}  {}  health {}  seize {}  repay {}  net {}  gas {}  {}",
                plan.proposal.draft.account,
                super::show::factor(plan.proposal.draft.health),
                told.seize,
                told.repay,
                native(plan.net),
                plan.gas.0,
                told.via
            ))
        }
        Change::Skip(skip) if json => {
            let what = At { block, what: Skipped::from(*skip) };
            out::json(&Event { v: 1, event: "skip", market: name, what })
        }
        Change::Skip(skip) => {
            let net = skip.net.map_or(String::new(), |net| format!("  net {}", native(net)));
            out::line(&format!("skip        block {block}  {}{net}  {}", skip.account, skip.reason))
        }
    }
}

/// A decision with the block it was taken at.
#[derive(Serialize)]
struct At<T> {
    block: u64,
    #[serde(flatten)]
    what: T,
}
