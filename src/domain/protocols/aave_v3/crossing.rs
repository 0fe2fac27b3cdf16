//! Where a health factor first falls below a target, or first reaches it, as one number moves: a price, an amount
//! added, a debt that is left. Exact: the sums round as the contract rounds them, so that the factor is a staircase,
//! and up to 3.4, where the averaged threshold is floored to basis points, one that also steps down on the way up.
//!
//! Nothing is assumed to be monotone but the three sums themselves. A span of the number is decided when bounds
//! that hold everywhere inside it agree; what they leave open is halved, nearest half first.

use super::health::factor;
use super::math::{self, BPS, Rounding, WAD};
use super::rules::Rules;
use crate::domain::units::{HealthFactor, Overflow};
use alloy::primitives::{U256, U512, aliases::I512};

/// Points looked at before the search is given up: the usual search takes about a hundred. It needs more where the
/// same asset is supplied and owed in such amounts that a price moves both sides alike, to the unit.
const MOST_POINTS: u32 = 100_000;

/// The configuration keeps thresholds in sixteen bits.
const MOST_THRESHOLD: U256 = U256::from_limbs([0xffff, 0, 0, 0]);

/// `from + step * at`, to be divided by the reserve's unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ramp {
    pub from: U256,
    pub step: U256,
}

impl Ramp {
    /// What moves with a price.
    pub fn of_price(units: U256) -> Self {
        Self { from: U256::ZERO, step: units }
    }

    /// What stays as it is.
    pub fn flat(worth: U256) -> Self {
        Self { from: worth, step: U256::ZERO }
    }

    fn at(&self, at: U256) -> Result<U256, Overflow> {
        math::add(self.from, math::mul(self.step, at)?)
    }
}

/// A reserve whose worth to the account changes.
#[derive(Clone, Copy, Debug)]
pub struct Moving {
    pub supply: Ramp,
    /// Basis points.
    pub threshold: U256,
    pub debt: Ramp,
    pub unit: U256,
}

/// An account's health factor as a function of one number.
#[derive(Clone, Debug)]
pub struct Curve {
    pub rules: Rules,
    /// Below it is what is looked for.
    pub target: HealthFactor,
    /// What does not change: base currency; `weighted` times basis points.
    pub collateral: U256,
    pub weighted: U256,
    pub debt: U256,
    pub moving: Vec<Moving>,
}

/// The sums at one value of the number.
#[derive(Clone, Copy, Debug)]
struct Point {
    at: U256,
    collateral: U256,
    weighted: U256,
    debt: U256,
    below: bool,
}

/// Which end of the range is nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Low,
    High,
}

/// What a search gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    At(U256),
    Nowhere,
    /// It was given up.
    Undetermined,
}

impl Curve {
    /// The first value of `low..=high`, coming from the given end, at which the factor is below the target, or with
    /// `below` false is not. Values so large that the contract's own sums overflow are no answer: it reverts there.
    ///
    /// # Errors
    /// `Overflow` when the sums do not fit even at `low`.
    pub fn first(&self, low: U256, high: U256, from: From, below: bool) -> Result<Found, Overflow> {
        if low > high {
            return Ok(Found::Nowhere);
        }
        let first = self.point(low)?;
        let mut open = vec![(first, self.last(first, high)?)];
        let mut points = 0_u32;
        while let Some((left, right)) = open.pop() {
            match self.decide(&left, &right) {
                Some(found) if found == below => {
                    return Ok(Found::At(if from == From::Low { left.at } else { right.at }));
                }
                Some(_) => {}
                None => {
                    points = points.saturating_add(1);
                    if points > MOST_POINTS {
                        return Ok(Found::Undetermined);
                    }
                    let middle = middle(left.at, right.at);
                    let lower = (left, self.point(middle)?);
                    let upper = (self.point(middle.wrapping_add(U256::ONE))?, right);
                    let (near, far) = if from == From::Low { (lower, upper) } else { (upper, lower) };
                    open.extend([far, near]);
                }
            }
        }
        Ok(Found::Nowhere)
    }

    /// The last value up to `high` at which the sums fit.
    fn last(&self, first: Point, high: U256) -> Result<Point, Overflow> {
        if let Ok(last) = self.point(high) {
            return Ok(last);
        }
        let (mut fits, mut exceeds) = (first, high);
        while exceeds.wrapping_sub(fits.at) > U256::ONE {
            let middle = middle(fits.at, exceeds);
            match self.point(middle) {
                Ok(point) => fits = point,
                Err(Overflow) => exceeds = middle,
            }
        }
        Ok(fits)
    }

    fn point(&self, at: U256) -> Result<Point, Overflow> {
        let (mut collateral, mut weighted, mut debt) = (self.collateral, self.weighted, self.debt);
        for moving in &self.moving {
            let value = math::div(moving.supply.at(at)?, moving.unit)?;
            collateral = math::add(collateral, value)?;
            weighted = math::add(weighted, math::mul(value, moving.threshold)?)?;
            let owed = moving.debt.at(at)?;
            debt = math::add(debt, math::scale(owed, U256::ONE, moving.unit, self.rules.debt_value)?)?;
        }
        let below = factor(&self.rules, collateral, weighted, debt)? < self.target;
        Ok(Point { at, collateral, weighted, debt, below })
    }

    /// Whether the factor is below the target everywhere from `left` to `right`, or nowhere; `None` where these
    /// bounds cannot tell. At a single point they always can.
    fn decide(&self, left: &Point, right: &Point) -> Option<bool> {
        if left.at == right.at {
            return Some(left.below);
        }
        if left.below != right.below {
            return None;
        }
        self.by_box(left, right).or_else(|| self.by_line(left, right))
    }

    /// All three sums grow from left to right: most collateral with least debt is the best there can be, and least
    /// with most the worst. Exact where one side stands still.
    fn by_box(&self, left: &Point, right: &Point) -> Option<bool> {
        let (best, worst) = if self.rules.floors_threshold {
            let (low, high) = self.averages(left, right);
            // As the contract's factor, of a collateral with this average.
            let factor = |collateral: U256, average: U256, debt: U256| {
                let weighted = math::mul(collateral, average).ok()?;
                factor(&self.rules, collateral, weighted, debt).ok()
            };
            (factor(right.collateral, high, left.debt)?, factor(left.collateral, low, right.debt)?)
        } else {
            let factor =
                |point: &Point, debt: U256| factor(&self.rules, point.collateral, point.weighted, debt).ok();
            (factor(right, left.debt)?, factor(left, right.debt)?)
        };
        if best < self.target {
            Some(true)
        } else if worst >= self.target {
            Some(false)
        } else {
            None
        }
    }

    /// Least and greatest averaged threshold between the points, basis points.
    fn averages(&self, left: &Point, right: &Point) -> (U256, U256) {
        let average = |weighted: U256, collateral: U256| weighted.checked_div(collateral).unwrap_or_default();
        let ends = (average(left.weighted, left.collateral), average(right.weighted, right.collateral));
        let mut thresholds =
            self.moving.iter().filter(|moving| !moving.supply.step.is_zero()).map(|moving| moving.threshold);
        let first = thresholds.next();
        if thresholds.all(|other| Some(other) == first) {
            // One threshold pulls the average towards itself, all the way.
            return (ends.0.min(ends.1), ends.0.max(ends.1));
        }
        let least = average(left.weighted, right.collateral);
        let most = right.weighted.checked_div(left.collateral).unwrap_or(MOST_THRESHOLD);
        (least, most)
    }

    /// Debt and weighted collateral both follow straight lines, but for their roundings: what they leave of one
    /// another lies between its values at the ends, give or take one unit of rounding for each. Decides where one
    /// number moves both sides and the box is too wide.
    fn by_line(&self, left: &Point, right: &Point) -> Option<bool> {
        let (low, high) = self.averages(left, right);
        let level = self.rules.floors_threshold && low == high;
        let wide = |value: U256| I512::from_raw(U512::from(value));
        let per_debt = wide(self.target.0).checked_mul(wide(BPS))?;
        // target * debt - weighted, times the contract's 10^22.
        let missing = |point: &Point| {
            let weighted = if level { math::mul(point.collateral, low).ok()? } else { point.weighted };
            wide(point.debt).checked_mul(per_debt)?.checked_sub(wide(weighted).checked_mul(wide(WAD))?)
        };
        let mut rounding = I512::ZERO;
        for moving in &self.moving {
            if !moving.debt.step.is_zero() {
                rounding = rounding.checked_add(per_debt)?;
            }
            if !moving.supply.step.is_zero() {
                let weight = if level { low } else { moving.threshold };
                rounding = rounding.checked_add(wide(weight).checked_mul(wide(WAD))?)?;
            }
        }
        let (first, last) = (missing(left)?, missing(right)?);
        let least = first.min(last).checked_sub(rounding)?;
        let most = first.max(last).checked_add(rounding)?;
        // What the contract's last divisions and the floored average may add or take.
        let half = |debt: U256| {
            let half = wide(debt.wrapping_shr(1));
            if self.rules.floors_threshold { half.checked_mul(wide(BPS)) } else { Some(half) }
        };
        let (mut gains, mut loses) = (half(right.debt)?, I512::ZERO);
        if self.rules.floors_threshold {
            let percent = wide(math::div(BPS, U256::from(2)).ok()?).checked_mul(wide(WAD))?;
            gains = gains.checked_add(percent)?;
            loses = percent;
            if !level {
                loses = loses.checked_add(wide(right.collateral).checked_mul(wide(WAD))?)?;
            }
        }
        if least > gains {
            Some(true)
        } else if most.checked_add(loses)? <= I512::ZERO {
            Some(false)
        } else {
            None
        }
    }
}

fn middle(low: U256, high: U256) -> U256 {
    low.wrapping_add(high.wrapping_sub(low).wrapping_shr(1))
}

/// Units' worth before it is divided by the unit.
pub fn worth(units: U256, price: U256) -> Result<U256, Overflow> {
    math::scale(units, price, U256::ONE, Rounding::Floor)
}
