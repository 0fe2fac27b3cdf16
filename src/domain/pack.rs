//! Several liquidations in one transaction: which, in what order, and at what least profit each. Their profits are
//! taken from a rehearsal in which each runs on what those before it left, so that legs that sell into the same
//! pool are priced as they will be.

use super::chain::Head;
use super::cost::{self, FeePolicy, TRANSACTION_CAP, fees, gas_limit};
use super::executor::call_data;
use super::keeper::{Terms, least_of, orders};
use super::plan::{Call, Draft, Loan, Plan, Submission, Swap, Trial};
use super::units::{Amount, Bps, FeePerGas, Gas, Net, Overflow, Round, Wei, mul_div};
use crate::abi::executor::Executor;
use alloy::primitives::U256;
use std::cmp::Reverse;

/// How much worse than alone a swap may be when others go before it. What a leg must bring is held by its own
/// least profit, which is taken from the rehearsal.
const ROOM: Bps = Bps(1_000);
/// What a leg takes in the transaction of others, of what it takes by itself: the call is paid once, and what they
/// touch too is warm. On the real contracts 55 to 60 in 100. Chooses and weighs only; the proof has the last word.
const BESIDE_OTHERS: (u64, u64) = (7, 10);
/// What small plans may cost the rest, of what that leaves: one that is not worth its gas at the price of the whole
/// goes along for so much. Sent by itself it would hold the lane for a block, if it is still there by then.
const SMALL_CHANGE: Bps = Bps(100);

/// What is to be done next about plans that are to share a transaction. Each step has fewer plans than the one before
/// it, or is a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try them one behind the other.
    Rehearse(Vec<Plan>),
    /// All pay, in this order: try the call as a whole.
    Prove(Vec<Plan>, Call),
    Send(Box<Submission>),
    /// The best of them goes by itself.
    Alone,
}

/// The plans that share a transaction, best net per gas first, as many as one may carry.
pub fn choose(mut plans: Vec<Plan>, head: &Head, policy: &FeePolicy) -> Step {
    plans.sort_by_key(|plan| Reverse(net_per_gas(plan)));
    let most = most_gas(head, policy);
    let mut sum = Gas(0);
    plans.retain(|plan| {
        let with = Gas(sum.0.saturating_add(beside_others(plan.gas).0));
        let fits = gas_limit(with, Gas(u64::MAX)) <= most;
        if fits {
            sum = with;
        }
        fits
    });
    if plans.len() < 2 { Step::Alone } else { Step::Rehearse(plans) }
}

/// Most gas a transaction may carry in the next block.
fn most_gas(head: &Head, policy: &FeePolicy) -> Gas {
    policy.gas_limit.min(head.gas_limit).min(TRANSACTION_CAP)
}

fn beside_others(gas: Gas) -> Gas {
    let (times, of) = BESIDE_OTHERS;
    Gas(gas.0.saturating_mul(times).div_ceil(of))
}

/// Scaled, as gas is far less than wei.
fn net_per_gas(plan: &Plan) -> U256 {
    let net = plan.net.gain().unwrap_or(Wei::ZERO);
    mul_div(net.0, U256::from(1_000_000_u64), U256::from(plan.gas.0.max(1)), Round::Down).unwrap_or(U256::MAX)
}

/// The calls of a rehearsal: each loan of each plan by itself, with nothing but the room its swaps have to hold it.
pub fn rehearsal(plans: &[Plan], terms: &Terms) -> Vec<Call> {
    let calls = |plan: &Plan| {
        let orders = encode(plan, terms, |_| Ok(Wei::ZERO)).unwrap_or_default();
        let call = |order| Call {
            to: terms.executor,
            data: call_data(vec![order], terms.venue.wrapped_native, Wei::ZERO),
        };
        orders.into_iter().map(call).collect::<Vec<_>>()
    };
    plans.iter().flat_map(calls).collect()
}

/// Weighs each plan by what its loans brought behind the others. What was refused there, or does not pay, is left out.
pub fn weigh(plans: Vec<Plan>, trials: &[Trial], head: &Head, terms: &Terms) -> Step {
    let count = plans.len();
    let mut trials = trials.iter();
    let rehearsed = plans.into_iter().filter_map(|plan| {
        let trials = trials.by_ref().take(plan.proposal.draft.loans.len()).collect::<Vec<_>>();
        rehearsed(plan, &trials)
    });
    let kept = worthwhile(rehearsed.collect(), cost::next_base_fee(head), terms);
    match kept.len() {
        0 | 1 => Step::Alone,
        left if left < count => Step::Rehearse(kept),
        _ => whole(kept, head, terms),
    }
}

/// The plan with what its loans brought, where none was refused.
fn rehearsed(mut plan: Plan, trials: &[&Trial]) -> Option<Plan> {
    let draft = &mut plan.proposal.draft;
    if trials.len() != draft.loans.len() {
        return None;
    }
    for (loan, trial) in draft.loans.iter_mut().zip(trials) {
        let Trial::Profit { gross, gas, .. } = trial else { return None };
        (loan.gross, loan.gas) = (loan.brought(*gross), *gas);
    }
    *draft = Draft::new(draft.account, draft.health, std::mem::take(&mut draft.loans)).ok()?;
    let (gross, gas) = (draft.gross, draft.gas);
    Some(Plan { gross, gas, ..plan })
}

/// What pays by itself behind the others, and does not cost them more than small change: a transaction has one price for
/// all its gas, and where much is to be had much is offered, more than a small plan may be worth.
fn worthwhile(mut all: Vec<Plan>, base_fee: FeePerGas, terms: &Terms) -> Vec<Plan> {
    all.retain(|plan| Net::of(plan.gross, plan.gas.cost(base_fee)) >= Net::Gain(terms.minimum));
    let mut some = all.clone();
    while let Some((price, net)) = together(&some, base_fee, &terms.fees) {
        let count = some.len();
        some.retain(|plan| plan.gross > beside_others(plan.gas).cost(price));
        if some.len() == count {
            let whole = together(&all, base_fee, &terms.fees);
            return if whole.is_some_and(|(_, whole)| whole >= but_for_small_change(net)) {
                all
            } else {
                some
            };
        }
    }
    vec![]
}

/// What each unit of gas is expected to cost in the transaction of all these, and what they leave at that price; `None`
/// when they do not pay.
fn together(plans: &[Plan], base_fee: FeePerGas, policy: &FeePolicy) -> Option<(FeePerGas, Net)> {
    let gross = plans.iter().map(|plan| plan.gross).try_fold(Wei::ZERO, Wei::plus).ok()?;
    let gas = Gas(plans.iter().fold(0, |sum: u64, plan| sum.saturating_add(beside_others(plan.gas).0)));
    let price = fees(gross, gas, base_fee, policy).ok()??.expected;
    Some((price, Net::of(gross, gas.cost(price))))
}

/// The least that `net` may become for the sake of others.
fn but_for_small_change(net: Net) -> Net {
    let Some(gain) = net.gain() else { return net };
    let change = gain.times(SMALL_CHANGE, Round::Down).unwrap_or_default();
    Net::of(gain, change)
}

/// The call that carries out all of them.
fn whole(plans: Vec<Plan>, head: &Head, terms: &Terms) -> Step {
    let base_fee = cost::next_base_fee(head);
    let mut encoded = Vec::with_capacity(plans.len());
    let mut least = Wei::ZERO;
    // Shares are no native coin: where some are taken the others may all fail, and it is still worth its gas.
    let earns_coin = plans.iter().all(|plan| plan.proposal.draft.purse().is_none());
    for plan in &plans {
        let floor = if earns_coin { plan.gas.cost(base_fee) } else { Wei::ZERO };
        let Ok(sum) = least.plus(floor) else { return Step::Alone };
        least = sum;
        let draft = &plan.proposal.draft;
        let own = |loan: &Loan| least_of(loan, draft, terms.slippage, base_fee);
        let Ok(orders) = encode(plan, terms, own) else { return Step::Alone };
        encoded.extend(orders);
    }
    // Over all: at least what the gas of all costs. A leg that fails alone takes its share with it.
    let data = call_data(encoded, terms.venue.wrapped_native, least);
    Step::Prove(plans, Call { to: terms.executor, data })
}

/// What follows from the trial of the whole. `alone`: what the best plan of all leaves by itself, tip included.
pub fn prove(
    mut plans: Vec<Plan>,
    call: Call,
    trial: &Trial,
    head: &Head,
    terms: &Terms,
    alone: Net,
) -> Step {
    let base_fee = cost::next_base_fee(head);
    let (gross, gas) = match trial {
        Trial::Profit { gross, gas, done }
            if gas_limit(*gas, Gas(u64::MAX)) <= most_gas(head, &terms.fees) =>
        {
            let Some(gross) = with_shares(&plans, *gross, *done) else { return Step::Alone };
            (gross, *gas)
        }
        // It does not fit, or ran out of gas on the way: the last third waits. Nothing changes for those before it.
        _ => {
            plans.truncate(plans.len().saturating_mul(2) / 3);
            return if plans.len() < 2 { Step::Alone } else { whole(plans, head, terms) };
        }
    };
    let Ok(Some(fees)) = fees(gross, gas, base_fee, &terms.fees) else { return Step::Alone };
    let cost = gas.cost(fees.expected);
    let net = Net::of(gross, cost);
    if net < but_for_small_change(alone) {
        return Step::Alone;
    }
    Step::Send(Box::new(Submission { plans, to: call.to, data: call.data, gross, gas, fees, cost, net }))
}

/// The native coin that all together brought, and what the shares among them are worth, where all were carried out.
fn with_shares(plans: &[Plan], reported: Wei, done: usize) -> Option<Wei> {
    let loans = || plans.iter().flat_map(|plan| &plan.proposal.draft.loans);
    let shares = loans().filter(|loan| loan.shares().is_some() && done == loans().count());
    shares.map(|loan| loan.gross).try_fold(reported, Wei::plus).ok()
}

/// The plan's orders with room for their swaps, and for gas.
fn encode(
    plan: &Plan,
    terms: &Terms,
    least: impl Fn(&Loan) -> Result<Wei, Overflow>,
) -> Result<Vec<(Executor::Plan, Gas)>, Overflow> {
    let mut draft = plan.proposal.draft.clone();
    draft.loans.iter_mut().flat_map(|loan| &mut loan.swaps).for_each(|swap| *swap = roomy(swap));
    orders(&draft, terms, plan.proposal.deadline, |loan| {
        Ok((least(loan)?, gas_limit(loan.gas, Gas(u64::MAX))))
    })
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

#[cfg(test)]
mod tests;
