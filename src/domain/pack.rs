//! Several liquidations in one transaction: which, in what order, and at what least profit each. Their profits are
//! taken from a rehearsal in which each runs on what those before it left, so that legs that sell into the same
//! pool are priced as they will be.

use super::chain::Head;
use super::cost::{self, FeePolicy, TRANSACTION_CAP, fees, gas_limit};
use super::executor::{Order, call_data, many_data};
use super::keeper::Terms;
use super::plan::{Call, Plan, Submission, Swap, Trial, least_profit};
use super::units::{Amount, Bps, Gas, Net, Round, Wei, mul_div};
use crate::abi::executor::Executor;
use alloy::primitives::U256;
use std::cmp::Reverse;

/// How much worse than alone a swap may be when others go before it. What a leg must bring is held by its own
/// least profit, which is taken from the rehearsal.
const ROOM: Bps = Bps(1_000);

/// The plans that share a transaction, best net per gas first, as many as one may carry.
pub fn choose(mut plans: Vec<Plan>, head: &Head, policy: &FeePolicy) -> Vec<Plan> {
    plans.sort_by_key(|plan| Reverse(net_per_gas(plan)));
    let most = most_gas(head, policy);
    let mut sum = Gas(0);
    plans.retain(|plan| {
        let with = Gas(sum.0.saturating_add(plan.gas.0));
        let fits = gas_limit(with, Gas(u64::MAX)) <= most;
        if fits {
            sum = with;
        }
        fits
    });
    plans
}

/// Most gas a transaction may carry in the next block.
fn most_gas(head: &Head, policy: &FeePolicy) -> Gas {
    policy.gas_limit.min(head.gas_limit).min(TRANSACTION_CAP)
}

/// Scaled, as gas is far less than wei.
fn net_per_gas(plan: &Plan) -> U256 {
    let net = plan.net.gain().unwrap_or(Wei::ZERO);
    mul_div(net.0, U256::from(1_000_000_u64), U256::from(plan.gas.0.max(1)), Round::Down).unwrap_or(U256::MAX)
}

/// The calls of a rehearsal: each plan by itself, with nothing but the room its swaps have to hold it.
pub fn rehearsal(plans: &[Plan], terms: &Terms) -> Vec<Call> {
    let call = |plan: &Plan| Call { to: terms.executor, data: call_data(encode(plan, terms, Wei::ZERO)) };
    plans.iter().map(call).collect()
}

/// What a rehearsal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rehearsed {
    /// All pay, in this order: the call to be tried as a whole.
    Ready(Vec<Plan>, Call),
    /// Some do not pay behind the others: rehearse these again.
    Again(Vec<Plan>),
    /// Fewer than two are left: nothing to share.
    Alone,
}

/// Weighs each plan by what it brought behind the others.
pub fn weigh(plans: Vec<Plan>, trials: &[Trial], head: &Head, terms: &Terms) -> Rehearsed {
    let base_fee = cost::next_base_fee(head);
    let count = plans.len();
    let mut kept = Vec::new();
    for (plan, trial) in plans.into_iter().zip(trials) {
        let Trial::Profit { gross, gas } = trial else { continue };
        let net = Net::of(*gross, gas.cost(base_fee));
        if net >= Net::Gain(terms.minimum) {
            kept.push(Plan { gross: *gross, gas: *gas, net, ..plan });
        }
    }
    if kept.len() < 2 {
        return Rehearsed::Alone;
    }
    if kept.len() < count {
        return Rehearsed::Again(kept);
    }
    let mut encoded = Vec::with_capacity(count);
    let mut least = Wei::ZERO;
    for plan in &kept {
        let floor = plan.gas.cost(base_fee);
        let Ok(own) = least_profit(plan.gross, terms.slippage, floor) else { return Rehearsed::Alone };
        let Ok(sum) = least.plus(floor) else { return Rehearsed::Alone };
        least = sum;
        encoded.push(encode(plan, terms, own));
    }
    // Over all: at least what the gas of all costs. A leg that fails alone takes its share with it.
    let data = many_data(encoded, terms.venue.wrapped_native, least);
    Rehearsed::Ready(kept, Call { to: terms.executor, data })
}

/// The submission that the whole becomes after its trial; `None` when the parts are better sent alone.
pub fn submission(
    plans: Vec<Plan>,
    call: Call,
    trial: &Trial,
    head: &Head,
    terms: &Terms,
) -> Option<Submission> {
    let Trial::Profit { gross, gas } = *trial else { return None };
    let base_fee = cost::next_base_fee(head);
    let fees = fees(gross, gas, base_fee, &terms.fees).ok()??;
    let cost = gas.cost(fees.expected);
    let net = Net::of(gross, cost);
    let best_alone = plans.iter().map(|plan| plan.net).max()?;
    (net > best_alone && gas_limit(gas, Gas(u64::MAX)) <= most_gas(head, &terms.fees)).then_some(Submission {
        plans,
        to: call.to,
        data: call.data,
        gross,
        gas,
        fees,
        cost,
        net,
    })
}

fn encode(plan: &Plan, terms: &Terms, min_profit: Wei) -> Executor::Plan {
    let draft = &plan.proposal.draft;
    let swaps = draft.swaps.iter().map(roomy).collect::<Vec<_>>();
    Order {
        lender: terms.lender,
        account: draft.account,
        debt_asset: draft.debt_asset,
        collateral_asset: draft.collateral_asset,
        outcome: &draft.outcome,
        funding: draft.funding,
        borrowed: draft.borrowed,
        swaps: &swaps,
        venue: &terms.venue,
        min_profit,
        deadline: plan.proposal.deadline,
    }
    .encode()
}

fn roomy(swap: &Swap) -> Swap {
    let room = swap.limit.times(ROOM, Round::Up).unwrap_or_default();
    let limit = if swap.buys {
        swap.limit.plus(room).unwrap_or(swap.limit)
    } else {
        swap.limit.minus(room).unwrap_or_default().max(Amount(U256::ONE))
    };
    Swap { limit, ..*swap }
}
