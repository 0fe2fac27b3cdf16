//! An account's limits: the legs it stands on, the prices at which the contract's verdict on it turns, and what would
//! keep it from that. The searching is done in `crossing`.

use super::crossing::{Curve, Found, From, Moving, Ramp, worth};
use super::health::Judged;
use super::math::{self, BPS};
use super::state::{Market, Reserve};
use crate::domain::explain::{Crossing, Direction, Leg, LiquidationPrice, Remedy};
use crate::domain::prices::Moment;
use crate::domain::protocol::Unknown;
use crate::domain::units::{Amount, Base, Bps, HealthFactor, Overflow, Price};
use alloy::primitives::{Address, U256, U512, uint};

/// Prices that are looked at. Beyond them are neither feeds nor money.
const LEAST_PRICE: U256 = U256::ONE;
const MOST_PRICE: U256 = uint!(79_228_162_514_264_337_593_543_950_336_U256);
/// Most units that are thought of as added: scaled balances have 120 bits from 3.4 on.
const MOST_UNITS: U256 = uint!(1_329_227_995_784_915_872_903_807_060_280_344_576_U256);

/// One reserve of an account, in units.
struct Held<'a> {
    reserve: &'a Reserve,
    source: Address,
    price: Price,
    /// Zero where it does not count.
    supply: U256,
    debt: U256,
    threshold: U256,
}

impl Held<'_> {
    fn moving(&self, supply: Ramp, debt: Ramp) -> Moving {
        Moving { supply, threshold: self.threshold, debt, unit: self.reserve.unit() }
    }

    fn supply_worth(&self) -> Result<U256, Overflow> {
        worth(self.supply, self.price.0)
    }

    fn debt_worth(&self) -> Result<U256, Overflow> {
        worth(self.debt, self.price.0)
    }
}

impl Market {
    pub(super) fn account_legs(&self, account: Address, when: &Moment<'_>) -> Result<Vec<Leg>, Unknown> {
        let judged = self.judged(account, when)?;
        let mut legs = Vec::new();
        for reserve in self.reserves.values().filter(|reserve| judged.account.touches(reserve.id)) {
            let price = judged.price(reserve)?;
            legs.push(Leg {
                asset: reserve.asset,
                price,
                supplied: Amount(judged.supply(reserve)?),
                owed: Amount(judged.debt(reserve)?),
                supplied_value: Base(judged.supply_value(reserve, price)?),
                owed_value: Base(judged.debt_value(reserve, price)?),
                is_collateral: judged.account.collateralizes(reserve.id),
                threshold: Bps(judged.threshold(reserve).saturating_to()),
            });
        }
        Ok(legs)
    }

    pub(super) fn crossings(
        &self,
        account: Address,
        when: &Moment<'_>,
    ) -> Result<Vec<LiquidationPrice>, Unknown> {
        let is_liquidatable = self.account_health(account, when)?.factor.is_liquidatable();
        let judged = self.judged(account, when)?;
        let held = self.held(&judged)?;
        let mut found = Vec::new();
        for one in &held {
            let moves = |other: &Held<'_>| other.source == one.source;
            let curve = curve(&judged, &held, HealthFactor::ONE, |other| {
                moves(other).then(|| other.moving(Ramp::of_price(other.supply), Ramp::of_price(other.debt)))
            })?;
            let direction =
                if is_liquidatable != rising_hurts(&curve) { Direction::Up } else { Direction::Down };
            let turn = |direction| crossing(&curve, one.price, direction, !is_liquidatable);
            found.push(LiquidationPrice {
                asset: one.reserve.asset,
                source: one.source,
                current: one.price,
                is_liquidatable,
                direction,
                first: turn(direction)?,
                other: turn(direction.opposite())?,
            });
        }
        Ok(found)
    }

    pub(super) fn account_remedy(
        &self,
        account: Address,
        target: HealthFactor,
        when: &Moment<'_>,
    ) -> Result<Remedy, Unknown> {
        self.account_health(account, when)?;
        let judged = self.judged(account, when)?;
        let held = self.held(&judged)?;
        let mut remedy = Remedy { target, add: vec![], repay: vec![] };
        for one in &held {
            let asset = one.reserve.asset;
            let alone =
                |other: &Held<'_>, moving: Moving| (other.reserve.id == one.reserve.id).then_some(moving);
            if judged.counts(one.reserve) {
                let supply = Ramp { from: one.supply_worth()?, step: one.price.0 };
                let moving = one.moving(supply, Ramp::flat(one.debt_worth()?));
                let curve = curve(&judged, &held, target, |other| alone(other, moving))?;
                let added = amount(curve.first(U256::ZERO, MOST_UNITS, From::Low, false)?);
                remedy.add.push((asset, added.map(Amount)));
            }
            if judged.account.borrows(one.reserve.id) {
                // What may be left of the debt.
                let moving = one.moving(Ramp::flat(one.supply_worth()?), Ramp::of_price(one.price.0));
                let curve = curve(&judged, &held, target, |other| alone(other, moving))?;
                let left = amount(curve.first(U256::ZERO, one.debt, From::High, false)?);
                remedy.repay.push((asset, left.and_then(|left| one.debt.checked_sub(left)).map(Amount)));
            }
        }
        Ok(remedy)
    }

    fn held<'a>(&'a self, judged: &Judged<'a>) -> Result<Vec<Held<'a>>, Unknown> {
        let touched = self.reserves.values().filter(|reserve| judged.account.touches(reserve.id));
        let held = touched.map(|reserve| {
            Ok(Held {
                reserve,
                source: judged.price_source(reserve),
                price: judged.price(reserve)?,
                supply: if judged.counts(reserve) { judged.supply(reserve)? } else { U256::ZERO },
                debt: if judged.account.borrows(reserve.id) { judged.debt(reserve)? } else { U256::ZERO },
                threshold: judged.threshold(reserve),
            })
        });
        held.collect()
    }
}

/// The account's health as a function of what `moving` gives; the rest is as it is.
fn curve(
    judged: &Judged<'_>,
    held: &[Held<'_>],
    target: HealthFactor,
    moving: impl Fn(&Held<'_>) -> Option<Moving>,
) -> Result<Curve, Overflow> {
    let zero = U256::ZERO;
    let rules = judged.rules;
    let mut curve = Curve { rules, target, collateral: zero, weighted: zero, debt: zero, moving: Vec::new() };
    for one in held {
        if let Some(moving) = moving(one) {
            curve.moving.push(moving);
            continue;
        }
        let unit = one.reserve.unit();
        let value = math::div(one.supply_worth()?, unit)?;
        let owed = math::scale(one.debt_worth()?, U256::ONE, unit, rules.debt_value)?;
        curve.collateral = math::add(curve.collateral, value)?;
        curve.weighted = math::add(curve.weighted, math::mul(value, one.threshold)?)?;
        curve.debt = math::add(curve.debt, owed)?;
    }
    Ok(curve)
}

/// Whether a higher price costs the account more than it gives: its debts in the asset against what its collateral in
/// it backs.
fn rising_hurts(curve: &Curve) -> bool {
    // Finer than any unit is.
    let scale = U512::from(10).pow(U512::from(77));
    let sum = |units: &dyn Fn(&Moving) -> (U256, U256)| {
        curve.moving.iter().fold(U512::ZERO, |sum, moving| {
            let (units, weight) = units(moving);
            let weighted: U512 = units.widening_mul(weight);
            let fine = scale.checked_div(U512::from(moving.unit)).unwrap_or_default();
            sum.saturating_add(weighted.saturating_mul(fine))
        })
    };
    let owed = sum(&|moving| (moving.debt.step, BPS));
    let backed = sum(&|moving| (moving.supply.step, moving.threshold));
    owed > backed
}

fn crossing(curve: &Curve, current: Price, direction: Direction, below: bool) -> Result<Crossing, Overflow> {
    let found = match direction {
        Direction::Down => {
            curve.first(LEAST_PRICE, current.0.saturating_sub(U256::ONE), From::High, below)?
        }
        Direction::Up => match curve.first(current.0.saturating_add(U256::ONE), MOST_PRICE, From::Low, below)
        {
            // The contract reverts from here on.
            Err(Overflow) => Found::Nowhere,
            found => found?,
        },
    };
    Ok(match found {
        Found::At(price) => Crossing::At(Price(price)),
        Found::Nowhere => Crossing::Never,
        Found::Undetermined => Crossing::Undetermined,
    })
}

fn amount(found: Found) -> Option<U256> {
    match found {
        Found::At(amount) => Some(amount),
        Found::Nowhere | Found::Undetermined => None,
    }
}
