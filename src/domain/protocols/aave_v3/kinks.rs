//! The sizes at which a liquidation changes its form, and those of a first one that open more for a second.

use super::liquidation::{FULL_CLOSE, LEAST_LEFTOVER, Pair, SMALL_POSITION};
use super::math::{self, Rounding};
use super::rules::CloseFactor;
use super::state::Market;
use crate::domain::protocol::{Attempt, Health, Unknown};
use crate::domain::units::{Amount, HealthFactor, Overflow};
use alloy::primitives::{Address, U256, uint};

/// How far beyond a bound a first call leaves the account, of one: until a second one runs, the market earns interest, and
/// premiums of the loans in the same transaction, and a side may grow back over its bound.
const HEADROOM: U256 = uint!(200_000_000_000_000_U256);

/// What one basis point of an averaged threshold of a half or more makes of a health factor about one.
const STAIR: U256 = uint!(200_000_000_000_000_U256);
/// So many places are looked at for that.
const LOOKS: u64 = 128;

/// The headroom of this value. Rounds up.
fn part(of: U256) -> Result<U256, Overflow> {
    math::scale(of, HEADROOM, math::WAD, Rounding::Ceil)
}

/// What a call leaves: of its debt and of its collateral, by base value, and the account's health.
struct Left {
    owed: U256,
    supplied: U256,
    health: Health,
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
        let takes_all = factor < FULL_CLOSE || self.judged.rules.close_factor == CloseFactor::PerReserve;
        if by_health || takes_all {
            return Ok(by_health);
        }
        let (sides, headroom) = (self.sides()?, part(SMALL_POSITION)?);
        let small = math::sub(SMALL_POSITION, headroom)?;
        if sides.iter().any(|side| *side <= small) {
            return Ok(false);
        }
        let half = self.health.debt.0.wrapping_shr(1);
        let [_, owed] = sides;
        Ok(sides.into_iter().any(|side| is_near(side, SMALL_POSITION, headroom))
            || is_near(owed, half, part(half)?))
    }

    /// First repays after which a second call may take more than `most` leaves it, each with headroom: the largest after
    /// which the account is still liquidatable, or still so weak that the close factor is everything; the least after which
    /// it is, for its health, for what is left of a side, or as no more than half of all debt is in this asset; the largest
    /// after which that is still so of another, or half of all debt still takes all of a collateral.
    pub fn openings(&self, market: &Market, most: U256) -> Result<Vec<Amount>, Unknown> {
        let mut found = Vec::new();
        let weak = |left: &Left, bound: U256| left.health.factor.0 < bound.wrapping_sub(HEADROOM);
        for bound in [HealthFactor::ONE.0, FULL_CLOSE] {
            found.extend(
                self.last_before(market, most, &|left, slack| Ok(weak(left, math::add(bound, slack)?)))?,
            );
        }
        let mut look = |turned: &dyn Fn(&Left) -> Result<bool, Overflow>| {
            found.extend(self.boundary(market, most, turned)?.map(|(_, first)| first));
            Ok::<_, Unknown>(())
        };
        look(&|left| Ok(weak(left, FULL_CLOSE)))?;
        if self.judged.rules.close_factor == CloseFactor::WholePosition {
            found.extend(self.openings_by_value(market, most)?);
        }
        Ok(found.into_iter().map(Amount).collect())
    }

    /// Those of a close factor that counts the whole position: for what is left of a side, and for what half of all debt is
    /// beside one debt, or beside what takes all of one collateral, of which a part would be dust.
    fn openings_by_value(&self, market: &Market, most: U256) -> Result<Vec<U256>, Unknown> {
        let small = math::sub(SMALL_POSITION, part(SMALL_POSITION)?)?;
        let half = |left: &Left| {
            let half = left.health.debt.0.wrapping_shr(1);
            math::sub(half, part(half)?)
        };
        let worth = |left: &Left| math::percent_div(left.supplied, self.bonus, Rounding::Ceil);
        let mut found = Vec::new();
        let mut look = |turned: &dyn Fn(&Left) -> Result<bool, Overflow>| {
            found.extend(self.boundary(market, most, turned)?.map(|(_, first)| first));
            Ok::<_, Unknown>(())
        };
        // Each side by itself: other debts of the account, or other collaterals, may be what is taken next.
        look(&|left| Ok(left.owed < small))?;
        look(&|left| Ok(left.supplied < small))?;
        look(&|left| Ok(left.owed < half(left)?))?;
        look(&|left| Ok(worth(left)? < half(left)?))?;
        // Of the others the largest that leaves each of them as it is.
        for other in self.other_debts(market)?.into_iter().chain(self.other_collaterals(market)?) {
            let is_more = |left: &Left| Ok(other >= half(left)?);
            found.extend(self.boundary(market, most, &is_more)?.map(|(last, _)| last));
        }
        Ok(found)
    }

    /// What the account owes in each other asset, by base value.
    fn other_debts(&self, market: &Market) -> Result<Vec<U256>, Unknown> {
        let owed = market.reserves.values().filter(|reserve| self.judged.account.borrows(reserve.id));
        let others = owed.filter(|reserve| reserve.id != self.debt.id);
        others.map(|reserve| self.judged.debt_value(reserve, self.judged.price(reserve)?)).collect()
    }

    /// What repays each other collateral whole, by base value.
    fn other_collaterals(&self, market: &Market) -> Result<Vec<U256>, Unknown> {
        let held = market.reserves.values().filter(|reserve| self.judged.counts(reserve));
        let others = held.filter(|reserve| reserve.id != self.collateral.id);
        let needed = others.map(|reserve| {
            let value = self.judged.supply_value(reserve, self.judged.price(reserve)?)?;
            let bonus = self.judged.bonus(reserve);
            Ok((!bonus.is_zero()).then(|| math::percent_div(value, bonus, Rounding::Ceil)).transpose()?)
        });
        needed.filter_map(Result::transpose).collect()
    }

    /// The largest repays after which the account is still weaker than a bound. Where the averaged threshold is floored,
    /// health falls back a little each time that gains a basis point, and what is no longer weak is so again further on: of
    /// those the last one, too.
    fn last_before(
        &self,
        market: &Market,
        most: U256,
        is_weak: &dyn Fn(&Left, U256) -> Result<bool, Overflow>,
    ) -> Result<Vec<U256>, Unknown> {
        let is_strong = |slack: U256| move |left: &Left| Ok(!is_weak(left, slack)?);
        let Some((first, _)) = self.boundary(market, most, &is_strong(U256::ZERO))? else {
            return Ok(vec![]);
        };
        let mut found = vec![first];
        if self.judged.rules.floors_threshold {
            let far = self.boundary(market, most, &is_strong(STAIR))?.map_or(most, |(_, far)| far);
            let gap = far.saturating_sub(first).div_ceil(U256::from(LOOKS)).max(U256::ONE);
            let mut high = far;
            while high.saturating_sub(gap) > first {
                let low = high.saturating_sub(gap);
                if let Some(left) = self.left_by(market, low)?
                    && is_weak(&left, U256::ZERO)?
                {
                    found.push(self.turn(market, (low, high), &is_strong(U256::ZERO))?);
                    break;
                }
                high = low;
            }
        }
        Ok(found)
    }

    /// The last repay up to `most` before an answer turns to yes, and the first after.
    fn boundary(
        &self,
        market: &Market,
        most: U256,
        turned: &dyn Fn(&Left) -> Result<bool, Overflow>,
    ) -> Result<Option<(U256, U256)>, Unknown> {
        let at = |cover: U256| {
            let left = self.left_by(market, cover)?;
            Ok::<_, Unknown>(left.as_ref().map(turned).transpose()?)
        };
        // A repay so small that a second behind it gains nothing; single units are refused from 3.5 on.
        let least = most.wrapping_shr(12).wrapping_add(U256::from(2));
        if at(least)? != Some(false) {
            return Ok(None);
        }
        // Up to where what is left is no dust and the reserve can pay, then beyond.
        let mut ends = vec![most];
        ends.extend(self.dust_bound()?.filter(|bound| *bound < most));
        ends.extend(self.liquid_bound(most)?);
        ends.sort_unstable();
        for end in ends {
            if least < end && at(end)? == Some(true) {
                let last = self.turn(market, (least, end), turned)?;
                return Ok(Some((last, last.wrapping_add(U256::ONE))));
            }
        }
        Ok(None)
    }

    /// The last repay before the answer turns, between one where it has not and one where it has.
    fn turn(
        &self,
        market: &Market,
        (mut before, mut after): (U256, U256),
        turned: &dyn Fn(&Left) -> Result<bool, Overflow>,
    ) -> Result<U256, Unknown> {
        while after.wrapping_sub(before) > U256::ONE {
            let middle = before.wrapping_add(after.wrapping_sub(before).wrapping_shr(1));
            // A size that the contract refuses is on neither side: the search goes on towards what is known.
            let left = self.left_by(market, middle)?;
            if left.as_ref().map(turned).transpose()? == Some(true) {
                after = middle
            } else {
                before = middle
            }
        }
        Ok(before)
    }

    /// What a repay leaves; `None` where the contract refuses it.
    fn left_by(&self, market: &Market, cover: U256) -> Result<Option<Left>, Unknown> {
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
        Ok(Some(Left {
            owed: self.debt_value(said.owed.0)?,
            supplied: self.collateral_value(said.supplied.0)?,
            health: said.health,
        }))
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
