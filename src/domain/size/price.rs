//! What given calls for one account come to: a loan for each debt in a row, the swaps that repay it, and what is left.

use super::deal::Deal;
use super::fund::{borrowed, loans};
use super::{CALL_GAS, LOAN_GAS, NEXT_LOAN_GAS, Refusal, SWAP_GAS, Scope};
use crate::domain::plan::{Draft, Funding, Liquidation, Loan, Reason, by_asset};
use crate::domain::protocol::{Opportunity, Protocol};
use crate::domain::route::{Knowledge, Known};
use crate::domain::units::{Amount, Gas, Net, Overflow, Wei};
use std::cmp::Reverse;

/// So many loans of one debt are tried with all that come behind.
const MOST_CHOICES: usize = 4;

/// The draft that makes these calls in their order, through the pools that leave most. Loans behind the first meet the
/// pools as those before them leave them, so that what is best for one by itself need not be best for all.
pub(super) fn draft<P: Protocol>(
    scope: &Scope<'_, P>,
    pairs: &[Opportunity],
    calls: &[Liquidation],
    knowledge: &mut Knowledge,
) -> Known<Result<Draft, Refusal>> {
    let Some(weakest) = pairs.first() else { return Known::No };
    let groups = calls.chunk_by(|one, other| one.debt_asset == other.debt_asset).collect::<Vec<_>>();
    let all = all(scope, &[], &groups, LOAN_GAS, knowledge);
    all.map(|all| {
        Draft::new(weakest.account, weakest.health, all?.0).map_err(|_| Refusal::bare(Reason::Overflow))
    })
}

/// Loans and what they leave after gas.
type Sum = (Vec<Loan>, Net);

/// The best loans for all these calls behind `before`, the first of which takes so much gas by itself.
fn all<P: Protocol>(
    scope: &Scope<'_, P>,
    before: &[Liquidation],
    groups: &[&[Liquidation]],
    base: Gas,
    knowledge: &mut Knowledge,
) -> Known<Result<Sum, Refusal>> {
    let Some((calls, rest)) = groups.split_first() else {
        return Known::Yes(Ok((vec![], Net::Gain(Wei::ZERO))));
    };
    let by_now = [before, calls].concat();
    let mut loans = match choices(scope, before, (calls, !rest.is_empty()), base, knowledge) {
        Known::Yes(Ok(loans)) => loans,
        other => {
            // What the others need to know is asked at once.
            if matches!(other, Known::NotYet) {
                let _ = all(scope, &by_now, rest, NEXT_LOAN_GAS, knowledge);
            }
            return other.map(|refused| refused.map(|_| (vec![], Net::Gain(Wei::ZERO))));
        }
    };
    let net = |loan: &Loan| Net::of(loan.gross, loan.gas.cost(scope.base_fee));
    loans.sort_by_key(|loan| Reverse(net(loan)));
    if rest.is_empty() {
        let Some(loan) = loans.into_iter().next() else { return Known::No };
        let net = net(&loan);
        return Known::Yes(Ok((vec![loan], net)));
    }
    // What comes behind several more is not looked at in every combination.
    loans.truncate(if rest.len() == 1 { MOST_CHOICES } else { 2 });
    let mut best: Option<Sum> = None;
    let mut refusal: Option<Refusal> = None;
    let mut is_waiting = false;
    for loan in loans {
        let walked = match knowledge.walk(&loan.swaps) {
            Known::Yes(walked) => walked,
            Known::No => continue,
            Known::NotYet => {
                is_waiting = true;
                continue;
            }
        };
        let behind = all(scope, &by_now, rest, NEXT_LOAN_GAS, knowledge);
        knowledge.walk_back(walked);
        match behind {
            Known::Yes(Ok((behind, more))) => {
                let Ok(sum) = net(&loan).plus(more) else { continue };
                if best.as_ref().is_none_or(|(_, most)| sum > *most) {
                    best = Some(([loan].into_iter().chain(behind).collect(), sum));
                }
            }
            Known::Yes(Err(other)) => refusal = Some(Refusal::nearest(refusal, other)),
            Known::No => {}
            Known::NotYet => is_waiting = true,
        }
    }
    ended(is_waiting, best, refusal)
}

/// Every loan that may be the best for calls of one debt, behind which others may come: each there is, with each way to
/// repay it.
fn choices<P: Protocol>(
    scope: &Scope<'_, P>,
    before: &[Liquidation],
    (calls, is_followed): (&[Liquidation], bool),
    base: Gas,
    knowledge: &mut Knowledge,
) -> Known<Result<Vec<Loan>, Refusal>> {
    let refused = |reason: Reason| Known::Yes(Err(Refusal::bare(reason)));
    let Some(debt) = calls.first().map(|call| call.debt_asset) else { return Known::No };
    let (Ok(repaid), Ok(borrowed)) = (repaid(calls), borrowed(calls)) else {
        return refused(Reason::Overflow);
    };
    let mut deal = Deal {
        seized: by_asset(calls.iter().map(|call| (call.collateral_asset, call.outcome.seized))),
        debt,
        native: scope.venue.wrapped_native,
        missing: repaid,
        slippage: scope.slippage,
        locked: None,
        swap_cost: SWAP_GAS.cost(scope.base_fee),
        divides: true,
        is_followed,
    };
    let loans = match loans(scope, before, calls, debt, borrowed, knowledge) {
        Known::Yes(loans) => loans,
        Known::No => return refused(Reason::NoFunding),
        Known::NotYet => {
            // What the swaps need to know is asked in the same round.
            let _ = deal.ways(knowledge);
            return Known::NotYet;
        }
    };
    let more = u64::try_from(calls.len().saturating_sub(1)).unwrap_or(u64::MAX);
    let base = Gas(base.0.saturating_add(CALL_GAS.0.saturating_mul(more)));
    let mut found = Vec::new();
    let mut refusal: Option<Refusal> = None;
    let mut is_waiting = false;
    for (funding, premium) in loans {
        let Ok(missing) = repaid.plus(premium) else { return refused(Reason::Overflow) };
        deal.missing = missing;
        deal.locked = match funding {
            Funding::Pool { pool, .. } => Some(pool),
            Funding::Lender(_) | Funding::Purse(_) => None,
        };
        match deal.ways(knowledge) {
            Known::Yes(Ok(paths)) => found.extend(paths.into_iter().map(|path| {
                let swaps = u64::try_from(path.swaps.len()).unwrap_or(u64::MAX);
                let gas = Gas(base.0.saturating_add(SWAP_GAS.0.saturating_mul(swaps)));
                Loan { funding, borrowed, calls: calls.to_vec(), swaps: path.swaps, gross: path.left, gas }
            })),
            Known::Yes(Err(poor)) => {
                // What is missing, and the gas of the cheapest call there is.
                let loss = poor.short.and_then(|short| short.plus(base.cost(scope.base_fee)).ok());
                let poor = Refusal { reason: poor.reason, repay: Some(repaid), net: loss.map(Net::Loss) };
                refusal = Some(Refusal::nearest(refusal, poor));
            }
            Known::No => {}
            Known::NotYet => is_waiting = true,
        }
    }
    ended(is_waiting, (!found.is_empty()).then_some(found), refusal)
}

/// What was found, else why not, unless something must be asked first.
fn ended<T>(is_waiting: bool, found: Option<T>, refusal: Option<Refusal>) -> Known<Result<T, Refusal>> {
    match (found, refusal) {
        _ if is_waiting => Known::NotYet,
        (Some(found), _) => Known::Yes(Ok(found)),
        (None, Some(refusal)) => Known::Yes(Err(refusal)),
        (None, None) => Known::No,
    }
}

fn repaid(calls: &[Liquidation]) -> Result<Amount, Overflow> {
    calls.iter().map(|call| call.outcome.repaid).try_fold(Amount::ZERO, Amount::plus)
}
