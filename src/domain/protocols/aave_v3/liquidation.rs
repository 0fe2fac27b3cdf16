//! What a `liquidationCall` would move, or why the contract would refuse it.
//! Source: Aave V3 `LiquidationLogic.executeLiquidationCall` and `ValidationLogic`, releases 3.0 and 3.6.

use super::health::Judged;
use super::math::{self, Rounding};
use super::rules::CloseFactor;
use super::state::{Market, Reserve};
use crate::domain::explain::Pairing;
use crate::domain::prices::Moment;
use crate::domain::protocol::{Health, Opportunity, Outcome, Revert, Unknown};
use crate::domain::units::{Amount, Bps, Overflow};
use alloy::primitives::{Address, U256, uint};

/// At or below this health factor all of a debt may be repaid. Source: `CLOSE_FACTOR_HF_THRESHOLD`.
const FULL_CLOSE: U256 = uint!(950_000_000_000_000_000_U256);
/// Half. Source: `DEFAULT_LIQUIDATION_CLOSE_FACTOR`.
const HALF: U256 = uint!(5_000_U256);
/// Below this base value of a side all of the debt may be repaid (3.3 and later).
/// Source: `MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD`, 2,000 of an 8-decimal base currency.
const SMALL_POSITION: U256 = uint!(200_000_000_000_U256);
/// Neither side may be left with less, unless with nothing. Source: `MIN_LEFTOVER_BASE`.
const LEAST_LEFTOVER: U256 = uint!(100_000_000_000_U256);

/// One pair of one account, with the numbers that every size of liquidation shares.
struct Pair<'a> {
    judged: Judged<'a>,
    health: Health,
    debt: &'a Reserve,
    collateral: &'a Reserve,
    debt_price: U256,
    collateral_price: U256,
    /// Units owed and supplied.
    owed: U256,
    supplied: U256,
    bonus: U256,
}

impl Market {
    pub(super) fn pairs(
        &self,
        account: Address,
        when: &Moment<'_>,
    ) -> Result<Result<Vec<Opportunity>, Revert>, Unknown> {
        let health = self.account_health(account, when)?;
        if !health.factor.is_liquidatable() {
            return Ok(Err(Revert::Healthy));
        }
        let judged = self.judged(account, when)?;
        let held = |wanted: fn(&Judged<'_>, &Reserve) -> bool| {
            self.reserves.values().filter(|reserve| wanted(&judged, reserve)).collect::<Vec<_>>()
        };
        let debts = held(|judged, reserve| judged.account.borrows(reserve.id));
        let collaterals = held(|judged, reserve| judged.counts(reserve));
        let mut refusal = Revert::NotCollateral;
        let mut found = Vec::new();
        for debt in &debts {
            for collateral in &collaterals {
                let pair = self.pair(account, debt.asset, collateral.asset, when)?;
                match pair.opportunity(self, account)? {
                    Ok(opportunity) => found.push(opportunity),
                    Err(why) => refusal = why,
                }
            }
        }
        Ok(if found.is_empty() { Err(refusal) } else { Ok(found) })
    }

    /// Every debt with every asset that is switched on as collateral, legal or not.
    pub(super) fn all_pairs(&self, account: Address, when: &Moment<'_>) -> Result<Vec<Pairing>, Unknown> {
        let judged = self.judged(account, when)?;
        let mut found = Vec::new();
        for debt in self.reserves.values().filter(|reserve| judged.account.borrows(reserve.id)) {
            for collateral in
                self.reserves.values().filter(|reserve| judged.account.collateralizes(reserve.id))
            {
                found.push(self.pair(account, debt.asset, collateral.asset, when)?.pairing(self, account)?);
            }
        }
        Ok(found)
    }

    pub(super) fn liquidate(
        &self,
        opportunity: &Opportunity,
        repay: Amount,
        when: &Moment<'_>,
    ) -> Result<Result<Outcome, Revert>, Unknown> {
        let pair =
            self.pair(opportunity.account, opportunity.debt_asset, opportunity.collateral_asset, when)?;
        if let Err(refused) = pair.permitted(self) {
            return Ok(Err(refused));
        }
        pair.outcome(repay.0)
    }

    fn pair<'a>(
        &'a self,
        account: Address,
        debt: Address,
        collateral: Address,
        when: &'a Moment<'a>,
    ) -> Result<Pair<'a>, Unknown> {
        let reserve = |asset: Address| self.reserves.get(&asset).ok_or(Unknown::Reserve(asset));
        let (debt, collateral) = (reserve(debt)?, reserve(collateral)?);
        let health = self.account_health(account, when)?;
        let judged = self.judged(account, when)?;
        Ok(Pair {
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
}

impl Pair<'_> {
    fn pairing(&self, market: &Market, account: Address) -> Result<Pairing, Unknown> {
        let opportunity = self.opportunity(market, account)?;
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

    fn opportunity(&self, market: &Market, account: Address) -> Result<Result<Opportunity, Revert>, Unknown> {
        if let Err(refused) = self.permitted(market) {
            return Ok(Err(refused));
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
            account,
            health: self.health.factor,
            debt_asset: self.debt.asset,
            collateral_asset: self.collateral.asset,
            most: Amount(most),
            kinks,
        }))
    }

    /// The contract's own checks, in its order.
    fn permitted(&self, market: &Market) -> Result<(), Revert> {
        let both = [self.collateral, self.debt];
        if both.iter().any(|reserve| !reserve.configuration.is_active()) {
            return Err(Revert::Inactive);
        }
        if both.iter().any(|reserve| reserve.configuration.is_paused()) {
            return Err(Revert::Paused);
        }
        let deep = self.health.factor.0 < FULL_CLOSE;
        if !deep && !market.liquidation_allowed {
            return Err(Revert::Sentinel);
        }
        let now = self.judged.when.timestamp;
        if self.judged.rules.has_grace_period && both.iter().any(|reserve| reserve.grace_until >= now) {
            return Err(Revert::GracePeriod);
        }
        if !self.health.factor.is_liquidatable() {
            return Err(Revert::Healthy);
        }
        if !self.judged.counts(self.collateral) || self.bonus.is_zero() || self.supplied.is_zero() {
            return Err(Revert::NotCollateral);
        }
        if self.owed.is_zero() {
            return Err(Revert::NoDebt);
        }
        Ok(())
    }

    /// Most debt units the close factor lets anybody repay in one call.
    fn most(&self) -> Result<U256, Overflow> {
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

    /// What repaying `asked` moves.
    fn outcome(&self, asked: U256) -> Result<Result<Outcome, Revert>, Unknown> {
        let most = self.most()?;
        let mut covered = asked.min(most);
        if self.reward(covered)? >= self.supplied {
            // All of the collateral goes, be it to the very unit: then the call must ask for all there is, or what
            // the collateral earns until it runs is left as dust, which from 3.3 on the contract refuses.
            covered = most;
        }
        let wanted = self.reward(covered)?;
        let exhausted = wanted > self.supplied;
        let (total, needed) = if exhausted { (self.supplied, self.exhausting()?) } else { (wanted, covered) };
        if needed.is_zero() || total.is_zero() {
            return Ok(Err(Revert::Nothing));
        }
        if self.judged.rules.forbids_dust && needed < self.owed && total < self.supplied {
            let debt_left = self.debt_value(math::sub(self.owed, needed)?)?;
            let collateral_left = self.collateral_value(math::sub(self.supplied, total)?)?;
            if debt_left < LEAST_LEFTOVER || collateral_left < LEAST_LEFTOVER {
                return Ok(Err(Revert::Dust));
            }
        }
        let fee = self.protocol_fee(total)?;
        let seized = math::sub(total, fee)?;
        if seized > self.collateral.available.0 {
            return Ok(Err(Revert::Illiquid));
        }
        // Balances grow until the block that includes us: what closes a side must not name its size.
        let cover = if total == self.supplied || needed == self.owed { U256::MAX } else { covered };
        Ok(Ok(Outcome { cover, repaid: Amount(needed), seized: Amount(seized), fee: Amount(fee) }))
    }

    /// Collateral units for `covered` debt units, bonus included.
    fn reward(&self, covered: U256) -> Result<U256, Overflow> {
        let worth = math::mul(math::mul(self.debt_price, covered)?, self.collateral.unit())?;
        let base = math::div(worth, math::mul(self.collateral_price, self.debt.unit())?)?;
        math::percent_mul(base, self.bonus, Rounding::HalfUp)
    }

    /// Debt units that take the whole collateral.
    fn exhausting(&self) -> Result<U256, Overflow> {
        let worth = math::mul(math::mul(self.collateral_price, self.supplied)?, self.debt.unit())?;
        let base = math::div(worth, math::mul(self.debt_price, self.collateral.unit())?)?;
        math::percent_div(base, self.bonus, self.judged.rules.needed)
    }

    /// The protocol's share of the bonus, in collateral units.
    fn protocol_fee(&self, total: U256) -> Result<U256, Overflow> {
        let share = self.collateral.configuration.protocol_fee();
        if share.is_zero() {
            return Ok(U256::ZERO);
        }
        let without_bonus = math::percent_div(total, self.bonus, Rounding::HalfUp)?;
        math::percent_mul(math::sub(total, without_bonus)?, share, Rounding::HalfUp)
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

    fn debt_value(&self, units: U256) -> Result<U256, Overflow> {
        math::scale(units, self.debt_price, self.debt.unit(), self.judged.rules.debt_value)
    }

    fn collateral_value(&self, units: U256) -> Result<U256, Overflow> {
        math::scale(units, self.collateral_price, self.collateral.unit(), Rounding::Floor)
    }
}
