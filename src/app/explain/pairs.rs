//! Each debt with each collateral: what a liquidation in the next block would bring, tried; or what the pool says to
//! somebody who only asks.

use crate::abi::aave::Pool;
use crate::app::bench::Bench;
use crate::app::wire::Wire;
use crate::domain::chain::Read;
use crate::domain::cost::next_base_fee;
use crate::domain::executor::NOBODY;
use crate::domain::explain::{Explain, Pairing};
use crate::domain::keeper::{propose, weigh};
use crate::domain::plan::{Call, Draft, Plan, Proposal, Reason, Skip};
use crate::domain::prices::Moment;
use crate::domain::protocol::{Opportunity, Protocol};
use crate::domain::refusal::refusal;
use crate::domain::route::{Knowledge, Known};
use crate::domain::size::{Scope, best};
use crate::exit::{Exit, ExitExt};
use crate::io::simulate;
use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolCall;
use eyre::Result;

/// Rounds of quotes after which something is wrong.
const MOST_ROUNDS: usize = 64;

/// One pair, and what became of it.
pub struct Prospect {
    pub pairing: Pairing,
    pub ending: Ending,
    /// The call that was tried through the executor, with its size and route.
    pub tried: Option<Proposal>,
    /// The call that was asked of the pool itself, without money, and what it said.
    pub call: Read,
    pub said: String,
}

pub enum Ending {
    Pays(Box<Plan>),
    Skipped(Box<Skip>),
    /// The pool would refuse any size.
    Illegal,
    /// Legal, but nothing was priced: there is no route in the configuration.
    Unpriced,
}

/// Every pair of the account, as of the next block. Empty where our arithmetic does not know the account.
///
/// # Errors
/// When the node fails.
pub async fn prospects(wire: &Wire, bench: Option<&Bench>, account: Address) -> Result<Vec<Prospect>> {
    let market = &wire.keeper.market;
    // Judged as `scan` judges, at the head's own second; no block can be simulated at that.
    let when = Moment { timestamp: wire.head.block.timestamp, prices: market.prices() };
    let timestamp = when.timestamp.saturating_add(1);
    let Ok(pairings) = market.pairings(account, &when) else { return Ok(vec![]) };
    let mut found = Vec::new();
    for pairing in pairings {
        let (ending, tried) = match (&pairing.opportunity, bench) {
            (None, _) => (Ending::Illegal, None),
            (Some(_), None) => (Ending::Unpriced, None),
            (Some(opportunity), Some(bench)) => match draft(wire, bench, &when, opportunity).await? {
                Ok(draft) => tried(wire, bench, timestamp, draft).await?,
                Err(reason) => {
                    let skip = Skip::bare(account, Some(opportunity.health), reason);
                    (Ending::Skipped(Box::new(skip)), None)
                }
            },
        };
        let call = bare_call(market.addresses.pool, &pairing, account);
        let answer =
            simulate::answer(&wire.rpc, wire.head.block.hash, NOBODY, &call).await.exit(Exit::Network)?;
        let said = match answer {
            Ok(_) => "accepted".into(),
            Err(data) => refusal(&data),
        };
        found.push(Prospect { pairing, ending, tried, call, said });
    }
    Ok(found)
}

/// The best size and route, by as many rounds of quotes as it takes.
async fn draft(
    wire: &Wire,
    bench: &Bench,
    when: &Moment<'_>,
    opportunity: &Opportunity,
) -> Result<Result<Draft, Reason>> {
    let terms = &bench.terms;
    let scope = Scope {
        protocol: &wire.keeper.market,
        when: *when,
        venue: &terms.venue,
        partners: &terms.partners,
        base_fee: next_base_fee(&wire.head),
        slippage: terms.slippage,
    };
    let mut knowledge = Knowledge::default();
    for _ in 0..MOST_ROUNDS {
        let found = best(&scope, std::slice::from_ref(opportunity), &mut knowledge);
        let missing = knowledge.missing();
        if missing.is_empty() {
            return Ok(match found {
                Known::Yes(found) => found.map_err(|(_, refusal)| refusal.reason),
                Known::No | Known::NotYet => Err(Reason::NoRoute),
            });
        }
        let reads = missing.iter().map(|question| question.read(&terms.venue)).collect::<Vec<_>>();
        let answers = wire.reader.answers_apart(wire.head.block.hash, &reads).await.exit(Exit::Network)?;
        knowledge.learn(&missing, &answers);
    }
    Ok(Err(Reason::NoRoute))
}

async fn tried(
    wire: &Wire,
    bench: &Bench,
    timestamp: u64,
    draft: Draft,
) -> Result<(Ending, Option<Proposal>)> {
    let base_fee = next_base_fee(&wire.head);
    let proposal = match propose(draft.clone(), &bench.terms, &wire.head) {
        Ok(proposal) => proposal,
        Err(overflow) => {
            let skip = Skip::of(&draft, overflow.into(), None);
            return Ok((Ending::Skipped(Box::new(skip)), None));
        }
    };
    let when = simulate::Moment { at: wire.head, timestamp, base_fee };
    let call = Call { to: proposal.to, data: proposal.data.clone() };
    let trials = bench.simulator.attempt_all(&when, &[call]).await.exit(Exit::Network)?;
    let ending = match trials.into_iter().next() {
        Some(trial) => match weigh(proposal.clone(), trial, &bench.terms, base_fee) {
            Ok(plan) => Ending::Pays(Box::new(plan)),
            Err(skip) => Ending::Skipped(skip),
        },
        None => Ending::Unpriced,
    };
    Ok((ending, Some(proposal)))
}

/// `liquidationCall` of the largest legal size, or of everything.
fn bare_call(pool: Address, pairing: &Pairing, user: Address) -> Read {
    let call = Pool::liquidationCallCall {
        collateralAsset: pairing.collateral_asset,
        debtAsset: pairing.debt_asset,
        user,
        debtToCover: pairing.largest.map_or(U256::MAX, |outcome| outcome.cover),
        receiveAToken: false,
    };
    Read { to: pool, data: Bytes::from(call.abi_encode()) }
}
