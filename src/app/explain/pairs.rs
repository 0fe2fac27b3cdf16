//! Each debt with each collateral: what a liquidation in the next block would bring, tried; or what the pool says to
//! somebody who only asks.

use crate::abi::aave::Pool;
use crate::app::bench::Bench;
use crate::app::inquiry::answered;
use crate::app::wire::Wire;
use crate::domain::chain::Read;
use crate::domain::cost::next_base_fee;
use crate::domain::executor::NOBODY;
use crate::domain::explain::{Explain, Pairing};
use crate::domain::keeper::{propose, weigh};
use crate::domain::plan::{Call, Draft, Plan, Proposal, Reason, Skip};
use crate::domain::prices::Moment;
use crate::domain::protocol::{Attempt, Execution, Opportunity, Protocol, Revert, Unknown};
use crate::domain::protocols::aave_v3::Market;
use crate::domain::refusal::refusal;
use crate::domain::route::Known;
use crate::domain::size::{MOST_CALLS, Refusal, Scope, best};
use crate::exit::{Exit, ExitExt};
use crate::io::simulate;
use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolCall;
use eyre::Result;
use std::collections::{BTreeMap, BTreeSet};

/// One pair, and what became of it.
pub struct Prospect {
    pub pairing: Pairing,
    pub ending: Ending,
    /// The call that was tried through the executor, with its size and route.
    pub tried: Option<Proposal>,
    /// By our arithmetic, what the liquidation that was tried would do, or else the largest one.
    pub foretold: Result<Execution, Revert>,
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
    // As `scan` judges: at the earliest second the next block can have.
    let when = Moment { timestamp: wire.head.block.timestamp, prices: market.prices() };
    let Ok(pairings) = market.pairings(account, &when) else { return Ok(vec![]) };
    let mut found = Vec::new();
    for pairing in pairings {
        let (ending, tried) = match (&pairing.opportunity, bench) {
            (None, _) => (Ending::Illegal, None),
            (Some(_), None) => (Ending::Unpriced, None),
            (Some(opportunity), Some(bench)) => {
                match draft(wire, bench, &when, std::slice::from_ref(opportunity)).await? {
                    Ok(draft) => tried(wire, bench, draft).await?,
                    Err(refusal) => (Ending::Skipped(Box::new(refusal.skip(opportunity))), None),
                }
            }
        };
        let largest = pairing.largest.map_or(U256::MAX, |largest| largest.cover);
        let covers = match &tried {
            Some(proposal) => proposal.draft.calls().map(|call| call.outcome.cover).collect(),
            None => vec![largest],
        };
        let takes_shares = tried.as_ref().is_some_and(|proposal| proposal.draft.purse().is_some());
        let Ok(foretold) = foretell(market, account, &pairing, (covers, takes_shares), &when) else {
            continue;
        };
        let call = bare_call(market.addresses.pool, &pairing, (account, takes_shares));
        let answer =
            simulate::answer(&wire.rpc, wire.head.block.hash, NOBODY, &call).await.exit(Exit::Network)?;
        let said = match answer {
            Ok(_) => "accepted".into(),
            Err(data) => refusal(&data),
        };
        found.push(Prospect { pairing, ending, tried, foretold, call, said });
    }
    Ok(found)
}

/// The plan over all pairs, where it is not one of a single pair.
///
/// # Errors
/// When the node fails.
pub async fn together(wire: &Wire, bench: &Bench, account: Address) -> Result<Option<(Proposal, Ending)>> {
    let market = &wire.keeper.market;
    let when = Moment { timestamp: wire.head.block.timestamp, prices: market.prices() };
    let Ok(Ok(pairs)) = market.opportunities(account, &[], &when) else { return Ok(None) };
    let Ok(draft) = draft(wire, bench, &when, &pairs).await? else { return Ok(None) };
    let pairs = draft.calls().map(|call| (call.debt_asset, call.collateral_asset));
    if pairs.collect::<BTreeSet<_>>().len() < 2 {
        return Ok(None);
    }
    let (ending, proposal) = tried(wire, bench, draft).await?;
    Ok(proposal.map(|proposal| (proposal, ending)))
}

/// What these calls would do one behind the other, by our arithmetic: the amounts of all, and what the last leaves.
fn foretell(
    market: &Market,
    account: Address,
    pairing: &Pairing,
    (covers, takes_shares): (Vec<U256>, bool),
    when: &Moment<'_>,
) -> Result<Result<Execution, Revert>, Unknown> {
    let attempts = covers.into_iter().map(|cover| Attempt {
        account,
        debt_asset: pairing.debt_asset,
        collateral_asset: pairing.collateral_asset,
        cover,
        takes_shares,
        liquidator: NOBODY,
    });
    market.executions(&attempts.collect::<Vec<_>>(), when)
}

/// The best size and route.
async fn draft(
    wire: &Wire,
    bench: &Bench,
    when: &Moment<'_>,
    pairs: &[Opportunity],
) -> Result<Result<Draft, Refusal>> {
    let terms = &bench.terms;
    let unspent = BTreeMap::new();
    let scope = Scope {
        protocol: &wire.keeper.market,
        when: *when,
        venue: &terms.venue,
        partners: &terms.partners,
        base_fee: next_base_fee(&wire.head),
        slippage: terms.slippage,
        most_calls: MOST_CALLS,
        most_loans: terms.most_loans(),
        gas_limit: terms.fees.gas_limit,
        purse: terms.purse(&unspent),
    };
    let found = answered(&wire.reader, wire.head.block, &terms.venue, |known| best(&scope, pairs, known));
    Ok(match found.await? {
        Known::Yes(found) => found.map_err(|(_, refusal)| refusal),
        Known::No | Known::NotYet => Err(Refusal::bare(Reason::NoRoute)),
    })
}

async fn tried(wire: &Wire, bench: &Bench, draft: Draft) -> Result<(Ending, Option<Proposal>)> {
    let base_fee = next_base_fee(&wire.head);
    let proposal = match propose(draft.clone(), &bench.terms, &wire.head) {
        Ok(proposal) => proposal,
        Err(overflow) => {
            let skip = Skip::of(&draft, overflow.into(), None);
            return Ok((Ending::Skipped(Box::new(skip)), None));
        }
    };
    // No block can be simulated at its parent's second.
    let timestamp = wire.head.block.timestamp.saturating_add(1);
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
fn bare_call(pool: Address, pairing: &Pairing, (user, takes_shares): (Address, bool)) -> Read {
    let call = Pool::liquidationCallCall {
        collateralAsset: pairing.collateral_asset,
        debtAsset: pairing.debt_asset,
        user,
        debtToCover: pairing.largest.map_or(U256::MAX, |outcome| outcome.cover),
        receiveAToken: takes_shares,
    };
    Read { to: pool, data: Bytes::from(call.abi_encode()) }
}
