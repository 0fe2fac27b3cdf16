//! The sizes at which a liquidation changes its form, and those of a first one that open more for a second.

use super::liquidation::{FULL_CLOSE, LEAST_LEFTOVER, Pair, SMALL_POSITION};
use super::math::{self, Rounding};
use super::rules::CloseFactor;
use super::state::Market;
use crate::domain::protocol::{Attempt, Unknown};
use crate::domain::units::{Amount, HealthFactor, Overflow};
use alloy::primitives::{Address, U256, uint};

/// How far beyond a bound a first call leaves the account, of one: until a second one runs, the market earns interest, and
/// premiums of the loans in the same transaction, and a side may grow back over its bound.
const HEADROOM: U256 = uint!(200_000_000_000_000_U256);

/// How near to the bound of a small side is too near to tell.
fn small_headroom() -> Result<U256, Overflow> {
    math::scale(SMALL_POSITION, HEADROOM, math::WAD, Rounding::Ceil)
}

impl Pair<'_> {
    /// Where the outcome changes its form, up to `allowed`: `most`, above which no more collateral is there; what leaves no
    /// dust; what the reserve can pay out.
    pub fn kinks(&self, most: U256, allowed: U256) -> Result<Vec<Amount>, Overflow> {
        let mut kinks = vec![Amount(most), Amount(allowed)];
        if self.judged.rules.forbids_dust {
            kinks.extend(self.dust_bound()?.map(Amount));
        }
        kinks.extend(self.liquid_bound(most)?.map(Amount));
        kinks.retain(|kink| !kink.is_zero() && kink.0 <= allowed);
        Ok(kinks)
    }

    /// So near to where the close factor or the verdict turns that what happens before the call may decide it.
    pub fn is_at_a_bound(&self) -> Result<bool, Overflow> {
        let is_near = |value: U256, bound: U256, headroom: U256| value.abs_diff(bound) < headroom;
        let factor = self.health.factor.0;
        let by_health =
            is_near(factor, HealthFactor::ONE.0, HEADROOM) || is_near(factor, FULL_CLOSE, HEADROOM);
        if by_health || self.judged.rules.close_factor == CloseFactor::PerReserve {
            return Ok(by_health);
        }
        let headroom = small_headroom()?;
        Ok(self.sides()?.into_iter().any(|side| is_near(side, SMALL_POSITION, headroom)))
    }

    /// First repays after which a second call may take more than `most` leaves it: the largest after which the account is
    /// still liquidatable, and the least after which its health factor, or what is left of a side, is so small that the
    /// close factor is everything; each with headroom.
    pub fn openings(&self, market: &Market, most: U256) -> Result<Vec<Amount>, Unknown> {
        let bound = math::sub(SMALL_POSITION, small_headroom()?)?;
        let look = |cover: U256| {
            let attempt = Attempt {
                account: self.judged.address,
                debt_asset: self.debt.asset,
                collateral_asset: self.collateral.asset,
                cover,
                takes_shares: false,
                liquidator: Address::ZERO,
            };
            let Ok(executed) = market.execute(self.judged, &attempt)? else { return Ok(None) };
            let said = executed.said;
            let sides = [self.debt_value(said.owed.0)?, self.collateral_value(said.supplied.0)?];
            Ok::<_, Unknown>(Some((said.health.factor.0, sides)))
        };
        // A repay so small that a second behind it gains nothing; single units are refused from 3.5 on.
        let least = most.wrapping_shr(12).wrapping_add(U256::from(2));
        // The boundary up to `most` at which an answer turns, as its last value before and its first after.
        let boundary = |turned: &dyn Fn(U256, [U256; 2]) -> bool| -> Result<Option<(U256, U256)>, Unknown> {
            let at =
                |cover: U256| Ok::<_, Unknown>(look(cover)?.map(|(factor, sides)| turned(factor, sides)));
            let (mut before, mut after) = (least, most);
            if before >= after || at(before)? != Some(false) || at(after)? != Some(true) {
                return Ok(None);
            }
            while after.wrapping_sub(before) > U256::ONE {
                let middle = before.wrapping_add(after.wrapping_sub(before).wrapping_shr(1));
                // A size that the contract refuses is on neither side: the search goes on towards what is known.
                if at(middle)? == Some(true) { after = middle } else { before = middle }
            }
            Ok(Some((before, after)))
        };
        let mut found = Vec::new();
        let healthy = |factor: U256, _| factor >= HealthFactor::ONE.0.wrapping_sub(HEADROOM);
        found.extend(boundary(&healthy)?.map(|(before, _)| before));
        let deep = |factor: U256, _| factor <= FULL_CLOSE.wrapping_sub(HEADROOM);
        found.extend(boundary(&deep)?.map(|(_, after)| after));
        if self.judged.rules.close_factor == CloseFactor::WholePosition {
            // Each by itself: the other debts of the account, or its other collaterals, may be what is taken next.
            found.extend(boundary(&|_, [debt, _]| debt < bound)?.map(|(_, after)| after));
            found.extend(boundary(&|_, [_, collateral]| collateral < bound)?.map(|(_, after)| after));
        }
        Ok(found.into_iter().map(Amount).collect())
    }

    /// The largest repay, where it is not `most`, whose collateral the reserve can pay out.
    fn liquid_bound(&self, most: U256) -> Result<Option<U256>, Overflow> {
        let available = self.available();
        let is_paid = |covered: U256| {
            let total = self.reward(covered)?.min(self.supplied);
            Ok(math::sub(total, self.protocol_fee(total)?)? <= available)
        };
        if is_paid(most)? {
            return Ok(None);
        }
        let (mut paid, mut refused) = (U256::ZERO, most);
        while refused.wrapping_sub(paid) > U256::ONE {
            let middle = paid.wrapping_add(refused.wrapping_sub(paid).wrapping_shr(1));
            if is_paid(middle)? { paid = middle } else { refused = middle }
        }
        Ok(Some(paid))
    }

    /// The largest partial repay that leaves neither side with dust, if there is one.
    fn dust_bound(&self) -> Result<Option<U256>, Overflow> {
        let debt_floor = math::scale(LEAST_LEFTOVER, self.debt.unit(), self.debt_price, Rounding::Ceil)?;
        let collateral_floor =
            math::scale(LEAST_LEFTOVER, self.collateral.unit(), self.collateral_price, Rounding::Ceil)?;
        let by_debt = self.owed.checked_sub(debt_floor);
        let by_collateral = match self.supplied.checked_sub(collateral_floor) {
            None => None,
            Some(takeable) => {
                let worth = math::mul(math::mul(self.collateral_price, takeable)?, self.debt.unit())?;
                let base = math::div(worth, math::mul(self.debt_price, self.collateral.unit())?)?;
                math::percent_div(base, self.bonus, Rounding::Floor)?.checked_sub(U256::ONE)
            }
        };
        Ok(by_debt.zip(by_collateral).map(|(debt, collateral)| debt.min(collateral)))
    }
}
