//! Which liquidations of an account there are, how large they may be, and at which sizes their form changes. What a
//! call does is worked out in `execution`.
//! Source: Aave V3 `LiquidationLogic` and `ValidationLogic`, releases 3.0 to 3.7.

use super::execution::Taken;
use super::health::Judged;
use super::math::{self, Rounding};
use super::rules::CloseFactor;
use super::state::{Market, Reserve};
use crate::domain::explain::Pairing;
use crate::domain::prices::Moment;
use crate::domain::protocol::{Health, Opportunity, Outcome, Revert, Step, Unknown};
use crate::domain::units::{Amount, Bps, Overflow};
use alloy::primitives::{Address, U256, uint};

/// At or below this health factor all of a debt may be repaid. Source: `CLOSE_FACTOR_HF_THRESHOLD`.
pub(super) const FULL_CLOSE: U256 = uint!(950_000_000_000_000_000_U256);
/// Half. Source: `DEFAULT_LIQUIDATION_CLOSE_FACTOR`.
const HALF: U256 = uint!(5_000_U256);
/// Below this base value of a side all of the debt may be repaid (3.3 and later).
/// Source: `MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD`, 2,000 of an 8-decimal base currency.
pub(super) const SMALL_POSITION: U256 = uint!(200_000_000_000_U256);
/// Neither side may be left with less, unless with nothing. Source: `MIN_LEFTOVER_BASE`.
pub(super) const LEAST_LEFTOVER: U256 = uint!(100_000_000_000_U256);

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
                let pair = Pair::of(judged, health, debt, collateral)?;
                match pair.opportunity(self, after)? {
                    Ok(_) if !after.is_empty() && pair.is_at_a_bound()? => {}
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

    /// What repaying `repay` does behind the calls that go before it.
    pub(super) fn outcome_for(
        &self,
        opportunity: &Opportunity,
        repay: Amount,
        takes: Taken,
        when: &Moment<'_>,
    ) -> Result<Result<Outcome, Revert>, Unknown> {
        let judged = self.judged(opportunity.account, when)?;
        let (state, drawn) = match self.stepped(&judged, &opportunity.after)? {
            Ok(stepped) => stepped,
            Err(revert) => return Ok(Err(revert)),
        };
        let judged = self.judged_as(opportunity.account, &state, judged.rules, when)?.after(drawn);
        let pair = self.pair(&judged, opportunity.debt_asset, opportunity.collateral_asset)?;
        if let Err(refused) = pair.permitted(self) {
            return Ok(Err(refused));
        }
        // Where a repay opens something for the next call, a unit less may not.
        let is_exact = opportunity.openings.contains(&repay);
        pair.outcome(if is_exact { repay.0 } else { pair.least_for(repay.0)? }, takes)
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
                    let outcome = self.outcome(size.0, Taken::Underlying)?;
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
        Ok(self.sides()?.iter().any(|side| *side < SMALL_POSITION))
    }

    /// What the account has of this collateral and owes of this debt, by base value.
    pub fn sides(&self) -> Result<[U256; 2], Overflow> {
        Ok([self.collateral_value(self.supplied)?, self.debt_value(self.owed)?])
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
        let kinks = self.kinks(most, allowed)?;
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
    fn outcome(&self, asked: U256, takes: Taken) -> Result<Result<Outcome, Revert>, Unknown> {
        let most = self.most()?;
        let mut covered = asked.min(most);
        if self.reward(covered)? >= self.supplied {
            // All of the collateral goes, be it to the very unit: then the call must ask for all there is, or what
            // the collateral earns until it runs is left as dust, which from 3.3 on the contract refuses.
            covered = most;
        }
        let moved = match self.moved(covered, takes)? {
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
        math::percent_mul(self.unrewarded(covered)?, self.bonus, self.judged.rules.reward)
    }

    /// The same without the bonus.
    fn unrewarded(&self, covered: U256) -> Result<U256, Overflow> {
        let worth = math::mul(math::mul(self.debt_price, covered)?, self.collateral.unit())?;
        math::div(worth, math::mul(self.collateral_price, self.debt.unit())?)
    }

    /// The least debt units that take as much collateral as so many do: of coarse collateral the last unit may cost much
    /// more than it is worth. A debt that is paid whole stays so.
    fn least_for(&self, asked: U256) -> Result<U256, Overflow> {
        let covered = asked.min(self.most()?);
        if covered == self.owed {
            return Ok(covered);
        }
        let worth = math::mul(self.collateral_price, self.debt.unit())?;
        let per_unit = math::mul(self.debt_price, self.collateral.unit())?;
        let least = math::scale(self.unrewarded(covered)?, worth, per_unit, Rounding::Ceil)?;
        Ok(if least.is_zero() { covered } else { least.min(covered) })
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

    pub fn debt_value(&self, units: U256) -> Result<U256, Overflow> {
        math::scale(units, self.debt_price, self.debt.unit(), self.judged.rules.debt_value)
    }

    pub fn collateral_value(&self, units: U256) -> Result<U256, Overflow> {
        math::scale(units, self.collateral_price, self.collateral.unit(), Rounding::Floor)
    }
}
