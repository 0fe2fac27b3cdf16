//! Where the money of a loan comes from: the protocol itself where it lends the debt, else a pool.

use super::Scope;
use crate::domain::plan::{Funding, Liquidation};
use crate::domain::protocol::Protocol;
use crate::domain::route::{Knowledge, Known, Pair, TIERS};
use crate::domain::units::{Amount, Bps, Overflow, Round, mul_div};
use alloy::primitives::{Address, U256};

/// A debt that is closed whole grows until we are included: seven days at 10 % a year are 19 basis points. What is
/// borrowed too much costs its premium only.
pub const GROWTH: Bps = Bps(20);

/// So many loans are weighed.
const MOST_OFFERS: usize = 6;

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

/// A loan there is, and its premium.
pub(super) type Terms = (Funding, Amount);

/// The loans of `amount` for these calls, which are of one debt and behind `before`, that may be the best: the protocol's own where it lends as
/// much, else pools'. A pool that lends is locked: those that the swaps may want come along with the cheapest other one
/// where they cost less.
pub(super) fn loans<P: Protocol>(
    scope: &Scope<'_, P>,
    before: &[Liquidation],
    calls: &[Liquidation],
    debt: Address,
    amount: Amount,
    knowledge: &mut Knowledge,
) -> Known<Vec<Terms>> {
    if let Some(terms) = scope.protocol.flash(debt, amount) {
        // What is lent cannot be seized at the same time, and what was seized before is gone.
        let same = before.iter().chain(calls).filter(|call| call.collateral_asset == debt);
        let needed = same.map(|call| call.outcome.seized).try_fold(amount, Amount::plus);
        if needed.is_ok_and(|needed| terms.available >= needed) {
            return Known::Yes(vec![(Funding::Lender(terms.lender), terms.premium)]);
        }
    }
    let is_on_route = |partner: Address| {
        partner == scope.venue.wrapped_native || calls.iter().any(|call| call.collateral_asset == partner)
    };
    let mut found = Vec::new();
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
                    let fee = mul_div(amount.0, U256::from(tier), U256::from(1_000_000), Round::Up);
                    let Ok(fee) = fee else { continue };
                    found.push((Amount(fee), is_on_route(partner), Funding::Pool { partner, tier, pool }));
                }
                Known::NotYet => waiting = true,
                _ => {}
            }
        }
    }
    if waiting {
        return Known::NotYet;
    }
    found.sort_by_key(|(fee, is_on_route, _)| (*fee, *is_on_route));
    let others = found.iter().position(|(_, is_on_route, _)| !is_on_route);
    found.truncate(others.map_or(found.len(), |place| place.saturating_add(1)).min(MOST_OFFERS));
    if found.is_empty() {
        Known::No
    } else {
        Known::Yes(found.into_iter().map(|(fee, _, from)| (from, fee)).collect())
    }
}
