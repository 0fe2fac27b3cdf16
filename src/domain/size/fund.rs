//! Where the money of a loan comes from: the protocol itself where it lends the debt, else a pool.

use super::Scope;
use crate::domain::plan::{Funding, Liquidation};
use crate::domain::protocol::{Opportunity, Protocol};
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
    let offers = match offers(scope, debt, knowledge) {
        Known::Yes(offers) => offers,
        Known::No => return Known::No,
        Known::NotYet => return Known::NotYet,
    };
    let enough = offers.into_iter().filter(|offer| offer.held >= amount);
    let mut found = Vec::new();
    for Offer { partner, tier, pool, .. } in enough {
        let fee = mul_div(amount.0, U256::from(tier), U256::from(1_000_000), Round::Up);
        let Ok(fee) = fee else { continue };
        found.push((Amount(fee), is_on_route(partner), Funding::Pool { partner, tier, pool }));
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

/// A pool that may lend, and what it holds of the debt.
struct Offer {
    partner: Address,
    tier: u32,
    pool: Address,
    held: Amount,
}

/// The pools that may lend this debt, cheap ones first.
fn offers<P>(scope: &Scope<'_, P>, debt: Address, knowledge: &mut Knowledge) -> Known<Vec<Offer>> {
    let mut found = Vec::new();
    let mut is_waiting = false;
    for tier in TIERS {
        for partner in scope.partners.iter().copied().filter(|partner| *partner != debt) {
            let pool = match knowledge.pool(Pair::of(debt, partner), tier) {
                Known::Yes(pool) => pool,
                Known::No => continue,
                Known::NotYet => {
                    is_waiting = true;
                    continue;
                }
            };
            match knowledge.holds(debt, pool) {
                Known::Yes(held) => found.push(Offer { partner, tier, pool, held }),
                Known::No => {}
                Known::NotYet => is_waiting = true,
            }
        }
    }
    if is_waiting { Known::NotYet } else { Known::Yes(found) }
}

/// The largest sizes of a pair behind these calls for which a loan is still there that larger ones cannot have: what the
/// protocol lends beside what it has lent or paid out by then, and what those pools hold that lend for less than the one
/// that is always there.
pub(super) fn limits<P: Protocol>(
    scope: &Scope<'_, P>,
    before: &[Liquidation],
    pair: &Opportunity,
    knowledge: &mut Knowledge,
) -> Known<Vec<Amount>> {
    let debt = pair.debt_asset;
    let same = before.iter().rev().take_while(|call| call.debt_asset == debt);
    let repaid = same.map(|call| call.outcome.repaid).try_fold(Amount::ZERO, Amount::plus);
    let drawn = before.iter().filter(|call| call.collateral_asset == debt);
    let drawn = drawn.map(|call| call.outcome.seized).try_fold(Amount::ZERO, Amount::plus);
    let (Ok(repaid), Ok(drawn)) = (repaid, drawn) else { return Known::No };
    let mut limits = Vec::new();
    if let Some(terms) = scope.protocol.flash(debt, pair.most) {
        let most = terms.available.minus(drawn).and_then(|rest| rest.minus(repaid));
        let most = most.map(|most| scope.beside_seized(pair, most));
        if most.is_some_and(|most| most >= pair.most) {
            return Known::Yes(vec![]);
        }
        limits.extend(most);
    }
    let offers = match offers(scope, debt, knowledge) {
        Known::Yes(offers) => offers,
        Known::No => return Known::No,
        Known::NotYet => return Known::NotYet,
    };
    let is_there = |offer: &Offer| {
        let is_on_route = [scope.venue.wrapped_native, pair.collateral_asset].contains(&offer.partner);
        !is_on_route && offer.held.minus(repaid).is_some_and(|rest| rest >= pair.most)
    };
    let cheaper = offers.iter().take_while(|offer| !is_there(offer));
    limits.extend(cheaper.filter_map(|offer| offer.held.minus(repaid)).take(MOST_OFFERS));
    limits.retain(|limit| !limit.is_zero() && *limit < pair.most);
    Known::Yes(limits)
}

impl<P: Protocol> Scope<'_, P> {
    /// How much of `most` can be lent for a pair, as what is seized of the same asset cannot be lent at the same time.
    fn beside_seized(&self, pair: &Opportunity, most: Amount) -> Amount {
        if pair.debt_asset != pair.collateral_asset {
            return most;
        }
        let Ok(call) = self.liquidation(pair, pair.most) else { return most };
        let both = call.outcome.repaid.plus(call.outcome.seized);
        let part = both.and_then(|both| mul_div(most.0, call.outcome.repaid.0, both.0, Round::Down));
        part.map_or(most, Amount)
    }
}
