//! Which liquidations of an account there are, how large they may be, and at which sizes their form changes. What a
//! call does is worked out in `execution`.
//! Source: Aave V3 `LiquidationLogic` and `ValidationLogic`, releases 3.0 to 3.7.

use super::execution::Taken;
use super::health::Judged;
use super::math::{self, Rounding};
use super::rules::CloseFactor;
use super::state::{Market, Reserve};
use crate::domain::explain::Pairing;
use crate::domain::protocol::{Attempt, Health, Opportunity, Outcome, Revert, Step, Unknown};
use crate::domain::units::{Amount, Bps, HealthFactor, Overflow};
use alloy::primitives::{Address, U256, uint};

/// At or below this health factor all of a debt may be repaid. Source: `CLOSE_FACTOR_HF_THRESHOLD`.
const FULL_CLOSE: U256 = uint!(950_000_000_000_000_000_U256);
/// Half. Source: `DEFAULT_LIQUIDATION_CLOSE_FACTOR`.
const HALF: U256 = uint!(5_000_U256);
/// Below this base value of a side all of the debt may be repaid (3.3 and later).
/// Source: `MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD`, 2,000 of an 8-decimal base currency.
const SMALL_POSITION: U256 = uint!(200_000_000_000_U256);
/// Neither side may be left with less, unless with nothing. Source: `MIN_LEFTOVER_BASE`.
pub(super) const LEAST_LEFTOVER: U256 = uint!(100_000_000_000_U256);

/// How far beyond a bound a first call leaves the account, of one: until a second one runs, the market earns interest, and
/// premiums of the loans in the same transaction, and a side may grow back over its bound.
const HEADROOM: U256 = uint!(200_000_000_000_000_U256);

/// One pair of one account, with the numbers that every size of liquidation shares.
pub(super) struct Pair<'a> {
    pub judged: &'a Judged<'a>,
    pub health: Health,
    pub debt: &'a Reserve,
    pub collateral: &'a Reserve,
    pub debt_price: U256,
    pub collateral_price: U256,
    /// Units owed and supplied.
    pub owed: U256,
    pub supplied: U256,
    pub bonus: U256,
}

impl Market {
    pub(super) fn pairs(
        &self,
        judged: &Judged<'_>,
        after: &[Step],
    ) -> Result<Result<Vec<Opportunity>, Revert>, Unknown> {
        let health = self.health_of(judged)?;
        if !health.factor.is_liquidatable() {
            return Ok(Err(Revert::Healthy));
        }
        let held = |wanted: fn(&Judged<'_>, &Reserve) -> bool| {
            self.reserves.values().filter(|reserve| wanted(judged, reserve)).collect::<Vec<_>>()
        };
        let debts = held(|judged, reserve| judged.account.borrows(reserve.id));
        let collaterals = held(|judged, reserve| judged.counts(reserve));
        let mut refusal = Revert::NotCollateral;
        let mut found = Vec::new();
        for debt in &debts {
            for collateral in &collaterals {
                match Pair::of(judged, health, debt, collateral)?.opportunity(self, after)? {
                    Ok(opportunity) => found.push(opportunity),
                    Err(why) => refusal = why,
                }
            }
        }
        Ok(if found.is_empty() { Err(refusal) } else { Ok(found) })
    }

    /// Every debt with every asset that is switched on as collateral, legal or not.
    pub(super) fn all_pairs(&self, judged: &Judged<'_>) -> Result<Vec<Pairing>, Unknown> {
        let health = self.health_of(judged)?;
        let mut found = Vec::new();
        for debt in self.reserves.values().filter(|reserve| judged.account.borrows(reserve.id)) {
            for collateral in
                self.reserves.values().filter(|reserve| judged.account.collateralizes(reserve.id))
            {
                found.push(Pair::of(judged, health, debt, collateral)?.pairing(self)?);
            }
        }
        Ok(found)
    }

    pub(super) fn liquidate(
        &self,
        judged: &Judged<'_>,
        opportunity: &Opportunity,
        repay: Amount,
    ) -> Result<Result<Outcome, Revert>, Unknown> {
        let pair = self.pair(judged, opportunity.debt_asset, opportunity.collateral_asset)?;
        if let Err(refused) = pair.permitted(self) {
            return Ok(Err(refused));
        }
        pair.outcome(repay.0)
    }

    pub(super) fn pair<'a>(
        &'a self,
        judged: &'a Judged<'a>,
        debt: Address,
        collateral: Address,
    ) -> Result<Pair<'a>, Unknown> {
        let reserve = |asset: Address| self.reserves.get(&asset).ok_or(Unknown::Reserve(asset));
        Pair::of(judged, self.health_of(judged)?, reserve(debt)?, reserve(collateral)?)
    }
}

impl<'a> Pair<'a> {
    fn of(
        judged: &'a Judged<'a>,
        health: Health,
        debt: &'a Reserve,
        collateral: &'a Reserve,
    ) -> Result<Self, Unknown> {
        Ok(Self {
            health,
            debt,
            collateral,
            debt_price: judged.debt_price(debt)?.0,
            collateral_price: judged.price(collateral)?.0,
            owed: judged.debt(debt)?,
            supplied: judged.supply(collateral)?,
            bonus: judged.bonus(collateral),
            judged,
        })
    }

    fn pairing(&self, market: &Market) -> Result<Pairing, Unknown> {
        let opportunity = self.opportunity(market, &[])?;
        let largest = match &opportunity {
            Err(refused) => Err(*refused),
            Ok(opportunity) => {
                let mut sizes = opportunity.kinks.clone();
                sizes.sort_unstable_by(|a, b| b.cmp(a));
                let mut largest = Err(Revert::Nothing);
                for size in sizes {
                    let outcome = self.outcome(size.0)?;
                    // The refusal of the largest size says most.
                    if outcome.is_ok() || largest == Err(Revert::Nothing) {
                        largest = outcome;
                    }
                    if largest.is_ok() {
                        break;
                    }
                }
                largest
            }
        };
        Ok(Pairing {
            debt_asset: self.debt.asset,
            collateral_asset: self.collateral.asset,
            close_factor: self.close_factor()?,
            owed: Amount(self.owed),
            largest,
            opportunity: opportunity.ok(),
        })
    }

    /// What the close factor is for this pair now: half, or everything.
    fn close_factor(&self) -> Result<Bps, Overflow> {
        let deep = self.health.factor.0 <= FULL_CLOSE;
        let whole = match self.judged.rules.close_factor {
            CloseFactor::PerReserve => deep,
            CloseFactor::WholePosition => deep || self.is_small()?,
        };
        Ok(if whole { Bps::ONE } else { Bps(5_000) })
    }

    /// A side is so small that all of the debt may be repaid.
    fn is_small(&self) -> Result<bool, Overflow> {
        let sides = [self.collateral_value(self.supplied)?, self.debt_value(self.owed)?];
        Ok(sides.iter().any(|side| *side < SMALL_POSITION))
    }

    fn opportunity(&self, market: &Market, after: &[Step]) -> Result<Result<Opportunity, Revert>, Unknown> {
        if let Err(refused) = self.permitted(market) {
            return Ok(Err(refused));
        }
        if self.bonus.is_zero() {
            return Ok(Err(Revert::NoBonus));
        }
        if self.supplied.is_zero() {
            return Ok(Err(Revert::Nothing));
        }
        // Above what exhausts the collateral nothing changes, but the call must ask for more than that to
        // take it to the last unit: the close factor's bound stays among the sizes to try.
        let allowed = self.most()?;
        let most = allowed.min(self.exhausting()?);
        let mut kinks = vec![Amount(most), Amount(allowed)];
        if self.judged.rules.forbids_dust {
            kinks.extend(self.dust_bound()?.map(Amount));
        }
        kinks.retain(|kink| !kink.is_zero() && kink.0 <= allowed);
        Ok(Ok(Opportunity {
            account: self.judged.address,
            health: self.health.factor,
            debt_asset: self.debt.asset,
            collateral_asset: self.collateral.asset,
            most: Amount(most),
            kinks,
            openings: if after.is_empty() { self.openings(market, most)? } else { vec![] },
            after: after.to_vec(),
        }))
    }

    /// First repays after which a second call may take more than `most` leaves it: the largest after which the account is
    /// still liquidatable, and the least after which its health factor, or what is left of a side, is so small that the
    /// close factor is everything; each with headroom.
    fn openings(&self, market: &Market, most: U256) -> Result<Vec<Amount>, Unknown> {
        let headroom = math::scale(SMALL_POSITION, HEADROOM, math::WAD, Rounding::Ceil)?;
        let bound = math::sub(SMALL_POSITION, headroom)?;
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
            let is_small = sides.iter().any(|side| *side < bound);
            Ok::<_, Unknown>(Some((said.health.factor.0, is_small)))
        };
        // A repay so small that a second behind it gains nothing; single units are refused from 3.5 on.
        let least = most.wrapping_shr(12).wrapping_add(U256::from(2));
        // The boundary up to `most` at which an answer turns, as its last value before and its first after.
        let boundary = |turned: &dyn Fn(U256, bool) -> bool| -> Result<Option<(U256, U256)>, Unknown> {
            let at =
                |cover: U256| Ok::<_, Unknown>(look(cover)?.map(|(factor, small)| turned(factor, small)));
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
            let small = |_, small| small;
            found.extend(boundary(&small)?.map(|(_, after)| after));
        }
        Ok(found.into_iter().map(Amount).collect())
    }

    /// The contract's own checks, in its order.
    pub fn permitted(&self, market: &Market) -> Result<(), Revert> {
        let both = [self.collateral, self.debt];
        if both.iter().any(|reserve| !reserve.configuration.is_active()) {
            return Err(Revert::Inactive);
        }
        if both.iter().any(|reserve| reserve.configuration.is_paused()) {
            return Err(Revert::Paused);
        }
        let deep = self.health.factor.0 < FULL_CLOSE;
        if self.judged.rules.has_sentinel && !deep && !market.liquidation_allowed {
            return Err(Revert::Sentinel);
        }
        let now = self.judged.when.timestamp;
        if self.judged.rules.has_grace_period && both.iter().any(|reserve| reserve.grace_until >= now) {
            return Err(Revert::GracePeriod);
        }
        if !self.health.factor.is_liquidatable() {
            return Err(Revert::Healthy);
        }
        if !self.judged.counts(self.collateral) {
            return Err(Revert::NotCollateral);
        }
        if self.owed.is_zero() {
            return Err(Revert::NoDebt);
        }
        Ok(())
    }

    /// Most debt units the close factor lets anybody repay in one call.
    pub fn most(&self) -> Result<U256, Overflow> {
        let deep = self.health.factor.0 <= FULL_CLOSE;
        match self.judged.rules.close_factor {
            CloseFactor::PerReserve if deep => Ok(self.owed),
            CloseFactor::PerReserve => math::percent_mul(self.owed, HALF, Rounding::HalfUp),
            CloseFactor::WholePosition => {
                let owed_value = self.debt_value(self.owed)?;
                let half = math::percent_mul(self.health.debt.0, HALF, Rounding::HalfUp)?;
                if deep || self.is_small()? || owed_value <= half {
                    return Ok(self.owed);
                }
                math::scale(half, self.debt.unit(), self.debt_price, Rounding::Floor)
            }
        }
    }

    /// What repaying `asked` moves, by the call that does it.
    fn outcome(&self, asked: U256) -> Result<Result<Outcome, Revert>, Unknown> {
        let most = self.most()?;
        let mut covered = asked.min(most);
        if self.reward(covered)? >= self.supplied {
            // All of the collateral goes, be it to the very unit: then the call must ask for all there is, or what
            // the collateral earns until it runs is left as dust, which from 3.3 on the contract refuses.
            covered = most;
        }
        let moved = match self.moved(covered, Taken::Underlying)? {
            Ok(moved) => moved,
            Err(revert) => return Ok(Err(revert)),
        };
        // Balances grow until the block that includes us: what closes a side must not name its size.
        let closes = moved.total == self.supplied || moved.paid == self.owed;
        Ok(Ok(Outcome {
            cover: if closes { U256::MAX } else { covered },
            repaid: Amount(moved.paid),
            seized: Amount(moved.received),
            fee: Amount(moved.fee),
        }))
    }

    /// Collateral units for `covered` debt units, bonus included.
    pub fn reward(&self, covered: U256) -> Result<U256, Overflow> {
        let worth = math::mul(math::mul(self.debt_price, covered)?, self.collateral.unit())?;
        let base = math::div(worth, math::mul(self.collateral_price, self.debt.unit())?)?;
        math::percent_mul(base, self.bonus, self.judged.rules.reward)
    }

    /// Debt units that take the whole collateral.
    pub fn exhausting(&self) -> Result<U256, Overflow> {
        let worth = math::mul(math::mul(self.collateral_price, self.supplied)?, self.debt.unit())?;
        let base = math::div(worth, math::mul(self.debt_price, self.collateral.unit())?)?;
        math::percent_div(base, self.bonus, self.judged.rules.needed)
    }

    /// The protocol's share of the bonus, in collateral units.
    pub fn protocol_fee(&self, total: U256) -> Result<U256, Overflow> {
        let share = self.collateral.configuration.protocol_fee();
        if share.is_zero() {
            return Ok(U256::ZERO);
        }
        let rules = &self.judged.rules;
        let without_bonus = math::percent_div(total, self.bonus, rules.unrewarded)?;
        math::percent_mul(math::sub(total, without_bonus)?, share, rules.fee)
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

    pub fn debt_value(&self, units: U256) -> Result<U256, Overflow> {
        math::scale(units, self.debt_price, self.debt.unit(), self.judged.rules.debt_value)
    }

    pub fn collateral_value(&self, units: U256) -> Result<U256, Overflow> {
        math::scale(units, self.collateral_price, self.collateral.unit(), Rounding::Floor)
    }
}
