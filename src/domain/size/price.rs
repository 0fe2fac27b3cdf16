//! What given calls for one account come to: a loan for each debt in a row, the swaps that repay it, and what is left.

use super::deal::{Deal, Path};
use super::fund::{borrowed, fund};
use super::{CALL_GAS, LOAN_GAS, NEXT_LOAN_GAS, Refusal, SWAP_GAS, Scope};
use crate::domain::plan::{Draft, Funding, Liquidation, Loan, Reason, by_asset};
use crate::domain::protocol::{Opportunity, Protocol};
use crate::domain::route::{Knowledge, Known};
use crate::domain::units::{Amount, Gas, Net, Overflow};
use alloy::primitives::Address;

/// The draft that makes these calls in their order, through the best pools. Loans behind the first meet the pools as those
/// before them leave them.
pub(super) fn draft<P: Protocol>(
    scope: &Scope<'_, P>,
    pairs: &[Opportunity],
    calls: &[Liquidation],
    knowledge: &mut Knowledge,
) -> Known<Result<Draft, Refusal>> {
    let Some(weakest) = pairs.first() else { return Known::No };
    let mut loans = Vec::new();
    let mut ending = Known::Yes(Ok(()));
    for calls in calls.chunk_by(|one, other| one.debt_asset == other.debt_asset) {
        match loan(scope, calls, loans.is_empty(), knowledge) {
            Known::Yes(Ok(loan)) => {
                knowledge.walk(&loan.swaps);
                loans.push(loan);
            }
            Known::Yes(Err(refusal)) if ending != Known::NotYet => ending = Known::Yes(Err(refusal)),
            Known::Yes(Err(_)) => {}
            Known::No => ending = Known::No,
            // The others are looked at too: what they need to know is asked at once.
            Known::NotYet => ending = Known::NotYet,
        }
    }
    knowledge.walk_back();
    ending.map(|ending| {
        ending?;
        Draft::new(weakest.account, weakest.health, loans).map_err(|_| Refusal::bare(Reason::Overflow))
    })
}

/// The loan for calls of one debt.
fn loan<P: Protocol>(
    scope: &Scope<'_, P>,
    calls: &[Liquidation],
    is_first: bool,
    knowledge: &mut Knowledge,
) -> Known<Result<Loan, Refusal>> {
    let refused = |reason: Reason| Known::Yes(Err(Refusal::bare(reason)));
    let Some(debt) = calls.first().map(|call| call.debt_asset) else { return Known::No };
    let seized = by_asset(calls.iter().map(|call| (call.collateral_asset, call.outcome.seized)));
    let (Ok(repaid), Ok(borrowed)) = (repaid(calls), borrowed(calls)) else {
        return refused(Reason::Overflow);
    };
    let deal = |missing: Amount, locked: Option<Address>| Deal {
        seized: seized.clone(),
        debt,
        native: scope.venue.wrapped_native,
        missing,
        slippage: scope.slippage,
        locked,
        swap_cost: SWAP_GAS.cost(scope.base_fee),
    };
    let (funding, premium) = match fund(scope, calls, debt, borrowed, knowledge) {
        Known::Yes(terms) => terms,
        Known::No => return refused(Reason::NoFunding),
        Known::NotYet => {
            // What the swaps need to know is asked in the same round.
            let _ = deal(repaid, None).best_path(knowledge, |path| Net::Gain(path.left));
            return Known::NotYet;
        }
    };
    let Ok(missing) = repaid.plus(premium) else { return refused(Reason::Overflow) };
    let locked = match funding {
        Funding::Pool { pool, .. } => Some(pool),
        Funding::Lender(_) => None,
    };
    let more = u64::try_from(calls.len().saturating_sub(1)).unwrap_or(u64::MAX);
    let base = if is_first { LOAN_GAS } else { NEXT_LOAN_GAS };
    let base = base.0.saturating_add(CALL_GAS.0.saturating_mul(more));
    let gas = |path: &Path| {
        let swaps = u64::try_from(path.swaps.len()).unwrap_or(u64::MAX);
        Gas(base.saturating_add(SWAP_GAS.0.saturating_mul(swaps)))
    };
    let path =
        deal(missing, locked).best_path(knowledge, |path| Net::of(path.left, gas(path).cost(scope.base_fee)));
    path.map(|path| match path {
        Ok(path) => Ok(Loan {
            funding,
            borrowed,
            calls: calls.to_vec(),
            gross: path.left,
            gas: gas(&path),
            swaps: path.swaps,
        }),
        Err(poor) => {
            // What is missing, and the gas of the cheapest call there is.
            let loss = poor.short.and_then(|short| short.plus(Gas(base).cost(scope.base_fee)).ok());
            Err(Refusal { reason: poor.reason, repay: Some(repaid), net: loss.map(Net::Loss) })
        }
    })
}

fn repaid(calls: &[Liquidation]) -> Result<Amount, Overflow> {
    calls.iter().map(|call| call.outcome.repaid).try_fold(Amount::ZERO, Amount::plus)
}
