//! The integer primitives of Aave V3 and its interest formulas, operation by operation. Products are plain
//! 256-bit as in the contract: what overflows there reverts, and is `Overflow` here.
//! Source: Aave V3 `WadRayMath`, `PercentageMath`, `MathUtils`, releases 3.0 to 3.6.

use crate::domain::units::{Overflow, Round};
use alloy::primitives::{U256, uint};

pub const RAY: U256 = uint!(1_000_000_000_000_000_000_000_000_000_U256);
pub const WAD: U256 = uint!(1_000_000_000_000_000_000_U256);
pub const BPS: U256 = uint!(10_000_U256);
/// 365 days in seconds; rates are per such a year.
pub const YEAR: U256 = uint!(31_536_000_U256);

/// How the contract of one version rounds one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    Floor,
    Ceil,
    HalfUp,
}

impl From<Round> for Rounding {
    fn from(round: Round) -> Self {
        match round {
            Round::Down => Self::Floor,
            Round::Up => Self::Ceil,
        }
    }
}

type Checked = Result<U256, Overflow>;

pub fn add(a: U256, b: U256) -> Checked {
    a.checked_add(b).ok_or(Overflow)
}

pub fn sub(a: U256, b: U256) -> Checked {
    a.checked_sub(b).ok_or(Overflow)
}

pub fn mul(a: U256, b: U256) -> Checked {
    a.checked_mul(b).ok_or(Overflow)
}

/// `a / b`, rounded down.
pub fn div(a: U256, b: U256) -> Checked {
    a.checked_div(b).ok_or(Overflow)
}

/// `a * b / d` with a 256-bit product and the given rounding.
pub fn scale(a: U256, b: U256, d: U256, rounding: Rounding) -> Checked {
    let product = mul(a, b)?;
    match rounding {
        Rounding::Floor => div(product, d),
        Rounding::HalfUp => div(add(product, d.wrapping_shr(1))?, d),
        Rounding::Ceil => {
            let quotient = div(product, d)?;
            if product.checked_rem(d).is_some_and(|rest| !rest.is_zero()) {
                add(quotient, U256::ONE)
            } else {
                Ok(quotient)
            }
        }
    }
}

pub fn ray_mul(a: U256, b: U256, rounding: Rounding) -> Checked {
    scale(a, b, RAY, rounding)
}

/// `a / b` as a wad, half up.
pub fn wad_div(a: U256, b: U256) -> Checked {
    scale(a, WAD, b, Rounding::HalfUp)
}

pub fn percent_mul(value: U256, bps: U256, rounding: Rounding) -> Checked {
    scale(value, bps, BPS, rounding)
}

pub fn percent_div(value: U256, bps: U256, rounding: Rounding) -> Checked {
    scale(value, BPS, bps, rounding)
}

/// Growth of one ray over `elapsed` seconds at a simple `rate` (ray a year). Rounds down.
pub fn linear_interest(rate: U256, elapsed: u64) -> Checked {
    add(RAY, div(mul(rate, U256::from(elapsed))?, YEAR)?)
}

/// The contract's approximation of compound growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compound {
    /// Three terms of the binomial series (up to 3.3).
    Binomial,
    /// Three terms of the exponential series (from 3.4).
    Exponential,
}

/// Growth of one ray over `elapsed` seconds at `rate` (ray a year), by the version's approximation.
pub fn compound_interest(rate: U256, elapsed: u64, form: Compound) -> Checked {
    if elapsed == 0 {
        return Ok(RAY);
    }
    let time = U256::from(elapsed);
    let linear = div(mul(rate, time)?, YEAR)?;
    match form {
        Compound::Binomial => {
            let one_less = U256::from(elapsed.saturating_sub(1));
            let two_less = U256::from(elapsed.saturating_sub(2));
            let square = div(ray_mul(rate, rate, Rounding::HalfUp)?, mul(YEAR, YEAR)?)?;
            let cube = div(ray_mul(square, rate, Rounding::HalfUp)?, YEAR)?;
            let pairs = mul(time, one_less)?;
            let second = div(mul(pairs, square)?, U256::from(2))?;
            let third = div(mul(mul(pairs, two_less)?, cube)?, U256::from(6))?;
            add(add(add(RAY, linear)?, second)?, third)
        }
        Compound::Exponential => {
            let half = div(linear, U256::from(2))?;
            let sixth = div(linear, U256::from(6))?;
            let tail = add(half, ray_mul(linear, sixth, Rounding::HalfUp)?)?;
            add(add(RAY, linear)?, ray_mul(linear, tail, Rounding::HalfUp)?)
        }
    }
}
