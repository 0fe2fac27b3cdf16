//! What happened, in words: one function an event, so that level, fields and wording are decided in one place.
//! Log lines go to standard error; what a dry run would send is its result and goes to standard output.

use super::show::{Opportunity, Skipped, native, tell};
use crate::domain::chain::Receipt;
use crate::domain::keeper::Report;
use crate::domain::lane::Flight;
use crate::domain::plan::{Plan, Skip, Submission};
use crate::domain::protocols::aave_v3::Market;
use crate::domain::units::{Net, Wei};
use crate::domain::verdict::{Outcome, Verdict};
use crate::io::journal::{Durable, NotDurable};
use crate::io::out;
use crate::io::signer::Refused;
use alloy::primitives::{Address, B256};
use eyre::Result;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

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
        tracing::warn!(accounts = list(&flight.accounts), nonce, %transaction, "late: withdrawn");
        self.event(
            "withdrawn",
            json!({ "accounts": flight.accounts, "transaction": transaction, "nonce": nonce }),
        );
    }

    pub fn booked(&self, flight: &Flight, verdict: &Verdict, receipt: Option<&Receipt>) {
        let promised = native(Net::Gain(flight.promised));
        let realised = native(Net::Gain(verdict.gross));
        let (net, cost) = (native(verdict.net), native(Net::Gain(verdict.cost)));
        let accounts = list(&verdict.taken);
        let failed = flight.accounts.len().saturating_sub(verdict.taken.len());
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
                accounts = list(&flight.accounts),
                block,
                transaction,
                nonce = flight.nonce,
                cost,
                gas,
                "{word}"
            ),
        }
        for (place, why) in &verdict.failed {
            let account = flight.accounts.get(*place).map_or_else(String::new, Address::to_string);
            tracing::warn!(account, why, "failed alone");
        }
        self.event(
            word,
            json!({ "block": receipt.map(|receipt| receipt.block), "accounts": verdict.taken, "failed": failed,
            "transaction": receipt.map(|receipt| receipt.hash), "nonce": flight.nonce, "gas": gas,
            "promised_gross_wei": flight.promised, "gross_wei": verdict.gross, "cost_wei": verdict.cost,
            "net_wei": verdict.net }),
        );
    }
}

fn list(accounts: &[Address]) -> String {
    accounts.iter().map(Address::to_string).collect::<Vec<_>>().join(" ")
}

/// What was printed of each account last, so that it is printed again only when it changes.
#[derive(Default)]
pub struct Printed(BTreeMap<Address, String>);

/// A line of standard output where it goes on.
#[derive(Serialize)]
struct Event<'a, T> {
    v: u8,
    event: &'a str,
    market: &'a str,
    #[serde(flatten)]
    what: T,
}

impl Printed {
    /// Prints what is new in `report`: each opportunity and each refusal once per change.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn report(
        &mut self,
        name: &str,
        market: &Market,
        report: &Report,
        live: bool,
        json: bool,
    ) -> Result<()> {
        if !report.judged {
            return Ok(());
        }
        let block = report.head.map_or(0, |head| head.block.number);
        let mut current = BTreeMap::new();
        for plan in &report.plans {
            let account = plan.proposal.draft.account;
            let key = plan_key(plan);
            let new = self.0.get(&account) != Some(&key);
            current.insert(account, key);
            if !new || live {
                continue;
            }
            if json {
                let what = At { block, what: Opportunity::from(plan) };
                out::json(&Event { v: 1, event: "would-send", market: name, what })?;
            } else {
                let told = tell(market, plan);
                out::line(&format!(
                    "would send  block {block}  {account}  health {}  seize {}  repay {}  net {}  gas {}  {}",
                    super::show::factor(plan.proposal.draft.health),
                    told.seize,
                    told.repay,
                    native(plan.net),
                    plan.gas.0,
                    told.via
                ))?;
            }
        }
        for skip in &report.skips {
            let key = skip_key(skip);
            let new = self.0.get(&skip.account) != Some(&key);
            current.insert(skip.account, key);
            if !new {
                continue;
            }
            if json {
                let what = At { block, what: Skipped::from(skip) };
                out::json(&Event { v: 1, event: "skip", market: name, what })?;
            } else {
                let net = skip.net.map_or(String::new(), |net| format!("  net {}", native(net)));
                out::line(&format!("skip        block {block}  {}{net}  {}", skip.account, skip.reason))?;
            }
        }
        self.0 = current;
        Ok(())
    }
}

/// A decision with the block it was taken at.
#[derive(Serialize)]
struct At<T> {
    block: u64,
    #[serde(flatten)]
    what: T,
}

/// Interest moves every amount a little at every block: a change is one in the first three digits.
fn plan_key(plan: &Plan) -> String {
    let draft = &plan.proposal.draft;
    let net = plan.net.gain().map_or_else(String::new, |net| coarse(&net.0.to_string()));
    let repay = coarse(&draft.outcome.repaid.0.to_string());
    format!("{} {} {repay} {net}", draft.debt_asset, draft.collateral_asset)
}

fn skip_key(skip: &Skip) -> String {
    format!("{} {:?} {:?}", skip.reason.word(), skip.debt_asset, skip.collateral_asset)
}

fn coarse(digits: &str) -> String {
    format!("{}e{}", digits.get(..3).unwrap_or(digits), digits.len())
}
