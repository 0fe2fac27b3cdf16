//! Where the money of a loan comes from: the protocol itself where it lends the debt, else a pool.

use super::Scope;
use crate::domain::plan::{Funding, Liquidation};
use crate::domain::protocol::Protocol;
use crate::domain::route::{Knowledge, Known, Pair, TIERS};
use crate::domain::units::{Amount, Bps, Overflow, Round, mul_div};
use alloy::primitives::{Address, U256};

/// A debt that is closed whole grows until we are included: seven days at 10 % a year are 19 basis points. What is
/// borrowed too much costs its premium only.
const GROWTH: Bps = Bps(20);

/// What must be borrowed for these calls: what they repay, with room for growth where all of a debt is closed.
pub(super) fn borrowed(calls: &[Liquidation]) -> Result<Amount, Overflow> {
    calls.iter().try_fold(Amount::ZERO, |sum, call| {
        let repaid = call.outcome.repaid;
        if call.outcome.cover != U256::MAX {
            return sum.plus(repaid);
        }
        let growth = repaid.times(GROWTH, Round::Up)?.max(Amount::new(U256::from(10)));
        sum.plus(repaid)?.plus(growth)
    })
}

/// The cheapest loan of `amount` for these calls, which are of one debt, and its premium.
pub(super) fn fund<P: Protocol>(
    scope: &Scope<'_, P>,
    calls: &[Liquidation],
    debt: Address,
    amount: Amount,
    knowledge: &mut Knowledge,
) -> Known<(Funding, Amount)> {
    if let Some(terms) = scope.protocol.flash(debt, amount) {
        // What is lent cannot be seized at the same time.
        let same = calls.iter().filter(|call| call.collateral_asset == debt);
        let needed = same.map(|call| call.outcome.seized).try_fold(amount, Amount::plus);
        if needed.is_ok_and(|needed| terms.available >= needed) {
            return Known::Yes((Funding::Lender(terms.lender), terms.premium));
        }
    }
    let is_on_route = |partner: Address| {
        partner == scope.venue.wrapped_native || calls.iter().any(|call| call.collateral_asset == partner)
    };
    let mut best: Option<(bool, Amount, Funding)> = None;
    let mut waiting = false;
    for partner in scope.partners.iter().copied().filter(|partner| *partner != debt) {
        for tier in TIERS {
            let pool = match knowledge.pool(Pair::of(debt, partner), tier) {
                Known::Yes(pool) => pool,
                Known::No => continue,
                Known::NotYet => {
                    waiting = true;
                    continue;
                }
            };
            match knowledge.holds(debt, pool) {
                Known::Yes(held) if held >= amount => {
                    let Ok(fee) = mul_div(amount.0, U256::from(tier), U256::from(1_000_000), Round::Up)
                    else {
                        continue;
                    };
                    // A pool that lends is locked: one that the swaps do not want comes first.
                    let candidate =
                        (is_on_route(partner), Amount(fee), Funding::Pool { partner, tier, pool });
                    if best.is_none_or(|(wanted, fee, _)| (candidate.0, candidate.1) < (wanted, fee)) {
                        best = Some(candidate);
                    }
                }
                Known::NotYet => waiting = true,
                _ => {}
            }
        }
    }
    match best {
        _ if waiting => Known::NotYet,
        Some((_, fee, funding)) => Known::Yes((funding, fee)),
        None => Known::No,
    }
}
