//! An account's collateral, debt and health factor, integer for integer as `getUserAccountData` answers at
//! the moment's timestamp. Source: Aave V3 `GenericLogic.calculateUserAccountData`.

use super::math::{self, BPS, Rounding};
use super::rules::{EModeForm, Rules};
use super::state::{Account, EMode, Market, Reserve, Stage};
use crate::domain::prices::Moment;
use crate::domain::protocol::{Health, Unknown};
use crate::domain::units::{Base, HealthFactor, Overflow, Price};
use alloy::primitives::{Address, U256};
use std::collections::BTreeMap;

/// Underlying units that left reserves, by asset.
pub(super) type Drawn = BTreeMap<Address, U256>;

/// An account with everything its judgement needs at hand.
pub(super) struct Judged<'a> {
    pub rules: Rules,
    pub address: Address,
    pub account: &'a Account,
    /// The account's own category, when it is in one.
    pub category: Option<(u8, &'a EMode)>,
    pub when: &'a Moment<'a>,
    /// By calls in the same transaction.
    pub drawn: Drawn,
}

impl Market {
    pub(super) fn judged<'a>(
        &'a self,
        account: Address,
        when: &'a Moment<'a>,
    ) -> Result<Judged<'a>, Unknown> {
        let rules = self.rules.ok_or(Unknown::Revision(self.revision))?;
        let held = self.accounts.get(&account).ok_or(Unknown::Account(account))?;
        if matches!(self.marks.accounts.get(&account), Some(Stage::Bitmap | Stage::Balances)) {
            return Err(Unknown::Stale(account));
        }
        self.judged_as(account, held, rules, when)
    }

    /// The account as if it were in this state.
    pub(super) fn judged_as<'a>(
        &'a self,
        address: Address,
        account: &'a Account,
        rules: Rules,
        when: &'a Moment<'a>,
    ) -> Result<Judged<'a>, Unknown> {
        let category = match account.emode {
            0 => None,
            id => Some((id, self.emodes.get(&id).ok_or(Unknown::EMode(id))?)),
        };
        Ok(Judged { rules, address, account, category, when, drawn: Drawn::new() })
    }

    /// The contract's answer for `account` at the moment.
    pub(super) fn account_health(&self, account: Address, when: &Moment<'_>) -> Result<Health, Unknown> {
        self.health_of(&self.judged(account, when)?)
    }

    pub(super) fn health_of(&self, judged: &Judged<'_>) -> Result<Health, Unknown> {
        let when = judged.when;
        if let Some(source) = judged.source()
            && when.prices.get(source).is_none()
        {
            return Err(Unknown::NoPrice(source));
        }
        let mut collateral = U256::ZERO;
        let mut weighted = U256::ZERO;
        let mut debt = U256::ZERO;
        let mut unlisted = judged.account.bitmap;
        for reserve in self.reserves.values() {
            if !judged.account.touches(reserve.id) {
                continue;
            }
            Account::clear(&mut unlisted, reserve.id);
            let is_discounted = judged.rules.has_discounts && !reserve.configuration.has_virtual_accounting();
            if !reserve.tokens_known || is_discounted {
                return Err(Unknown::Reserve(reserve.asset));
            }
            let price = judged.price(reserve)?;
            if judged.counts(reserve) {
                let value = judged.supply_value(reserve, price)?;
                collateral = math::add(collateral, value)?;
                weighted = math::add(weighted, math::mul(value, judged.threshold(reserve))?)?;
            }
            if judged.account.borrows(reserve.id) {
                debt = math::add(debt, judged.debt_value(reserve, price)?)?;
            }
        }
        if !unlisted.is_zero() {
            return Err(Unknown::Unlisted(judged.address));
        }
        let factor = factor(&judged.rules, collateral, weighted, debt)?;
        Ok(Health { collateral: Base(collateral), debt: Base(debt), factor })
    }
}

/// The health factor of these sums. `weighted`: collateral times its thresholds in basis points.
pub(super) fn factor(
    rules: &Rules,
    collateral: U256,
    weighted: U256,
    debt: U256,
) -> Result<HealthFactor, Overflow> {
    if debt.is_zero() {
        Ok(HealthFactor::MAX)
    } else if rules.floors_threshold {
        let average = weighted.checked_div(collateral).unwrap_or_default();
        let backed = math::percent_mul(collateral, average, Rounding::HalfUp)?;
        Ok(HealthFactor(math::wad_div(backed, debt)?))
    } else {
        Ok(HealthFactor(math::div(math::wad_div(weighted, debt)?, BPS)?))
    }
}

impl<'a> Judged<'a> {
    /// Behind calls that took so much out of the reserves.
    pub fn after(self, drawn: Drawn) -> Self {
        Self { drawn, ..self }
    }

    pub fn price(&self, reserve: &Reserve) -> Result<Price, Unknown> {
        let source = self.price_source(reserve);
        self.when.prices.get(source).ok_or(Unknown::NoPrice(source))
    }

    /// Whose price the pool uses for this reserve: up to 3.1 a category may replace it by its own.
    pub fn price_source(&self, reserve: &Reserve) -> Address {
        self.source().filter(|_| self.category_of(reserve).is_some()).unwrap_or(reserve.asset)
    }

    /// The price of a debt in a liquidation: up to 3.1 the category's own for any debt of an account in it, as the
    /// contract holds such an account to owe nothing else.
    pub fn debt_price(&self, reserve: &Reserve) -> Result<Price, Unknown> {
        match self.source() {
            Some(source) => self.when.prices.get(source).ok_or(Unknown::NoPrice(source)),
            None => self.price(reserve),
        }
    }

    /// The price source of the account's category (up to 3.1), which the pool asks for whatever the account holds.
    fn source(&self) -> Option<Address> {
        let (_, category) = self.category.filter(|_| self.rules.emode == EModeForm::PerReserve)?;
        (!category.price_source.is_zero()).then_some(category.price_source)
    }

    /// The category, when the account is in one that takes this reserve as collateral.
    pub fn category_of(&self, reserve: &Reserve) -> Option<&'a EMode> {
        self.category
            .filter(|(id, category)| category.takes(reserve, *id, self.rules.emode))
            .map(|(_, category)| category)
    }

    pub fn threshold(&self, reserve: &Reserve) -> U256 {
        self.category_of(reserve).map_or(reserve.configuration.threshold(), |category| category.threshold)
    }

    /// Liquidation bonus, basis points of the debt's worth (10,500 = 5 % on top).
    pub fn bonus(&self, reserve: &Reserve) -> U256 {
        self.category_of(reserve).map_or(reserve.configuration.bonus(), |category| category.bonus)
    }

    /// Whether this reserve is collateral that counts.
    pub fn counts(&self, reserve: &Reserve) -> bool {
        self.account.collateralizes(reserve.id)
            && !(self.rules.skips_zero_threshold && reserve.configuration.threshold().is_zero())
    }

    /// Supplied units with interest.
    pub fn supply(&self, reserve: &Reserve) -> Result<U256, Unknown> {
        let scaled = self.balances(reserve).supply;
        Ok(math::ray_mul(scaled, reserve.income(self.when.timestamp)?, self.rules.supply)?)
    }

    /// Owed units with interest.
    pub fn debt(&self, reserve: &Reserve) -> Result<U256, Unknown> {
        let balances = self.balances(reserve);
        if balances.has_stable_debt {
            return Err(Unknown::StableDebt(reserve.asset));
        }
        let index = reserve.debt_index(self.when.timestamp, self.rules.compound)?;
        Ok(math::ray_mul(balances.debt, index, self.rules.debt)?)
    }

    pub fn supply_value(&self, reserve: &Reserve, price: Price) -> Result<U256, Unknown> {
        Ok(math::scale(self.supply(reserve)?, price.0, reserve.unit(), Rounding::Floor)?)
    }

    pub fn debt_value(&self, reserve: &Reserve, price: Price) -> Result<U256, Unknown> {
        Ok(math::scale(self.debt(reserve)?, price.0, reserve.unit(), self.rules.debt_value)?)
    }

    pub fn balances(&self, reserve: &Reserve) -> super::state::Balances {
        self.account.balances.get(&reserve.id).copied().unwrap_or_default()
    }
}
