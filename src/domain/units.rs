//! The money and rate types. None converts into another by accident, and none has wrapping operators:
//! alloy's `U256` wraps silently in `+ - * <<`, so money moves through the checked calls below, which
//! say how they round.

use alloy::primitives::{U256, U512};
use serde::{Serialize, Serializer};
use std::fmt;

/// How a quotient that is not whole is made whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    Down,
    Up,
}

/// An arithmetic result that does not fit, or a division by zero. The contract reverts where we say this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("arithmetic overflow or division by zero")]
pub struct Overflow;

/// `a * b / d` with a 512-bit product, so that only the quotient must fit. Rounds as told.
///
/// # Errors
/// `Overflow` when `d` is zero or the quotient exceeds 256 bits.
pub fn mul_div(a: U256, b: U256, d: U256, round: Round) -> Result<U256, Overflow> {
    if d.is_zero() {
        return Err(Overflow);
    }
    let product: U512 = a.widening_mul(b);
    let (quotient, remainder) = product.div_rem(U512::from(d));
    let exact = U256::uint_try_from(quotient)?;
    match round {
        Round::Up if !remainder.is_zero() => exact.checked_add(U256::ONE).ok_or(Overflow),
        _ => Ok(exact),
    }
}

trait Narrow: Sized {
    fn uint_try_from(wide: U512) -> Result<Self, Overflow>;
}

impl Narrow for U256 {
    fn uint_try_from(wide: U512) -> Result<Self, Overflow> {
        let limbs = wide.into_limbs();
        if limbs[4..].iter().any(|limb| *limb != 0) {
            return Err(Overflow);
        }
        Ok(U256::from_limbs([limbs[0], limbs[1], limbs[2], limbs[3]]))
    }
}

/// Defines a unit: an unsigned integer that is compared, shown and stored, and only combined through
/// checked calls with its own kind.
macro_rules! unit {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub U256);

        impl $name {
            pub const ZERO: Self = Self(U256::ZERO);
            pub const MAX: Self = Self(U256::MAX);

            pub fn new(raw: impl Into<U256>) -> Self {
                Self(raw.into())
            }
            /// # Errors
            /// `Overflow` when the sum exceeds 256 bits.
            pub fn plus(self, other: Self) -> Result<Self, Overflow> {
                self.0.checked_add(other.0).map(Self).ok_or(Overflow)
            }
            /// `None` when `other` is more than there is.
            pub fn minus(self, other: Self) -> Option<Self> {
                self.0.checked_sub(other.0).map(Self)
            }
            /// `self * share`, rounded as told.
            ///
            /// # Errors
            /// `Overflow` when the result exceeds 256 bits.
            pub fn times(self, share: Bps, round: Round) -> Result<Self, Overflow> {
                mul_div(self.0, U256::from(share.0), U256::from(Bps::ONE.0), round).map(Self)
            }
            pub fn is_zero(self) -> bool {
                self.0.is_zero()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        /// Written as a decimal string: the integers exceed what JSON numbers keep.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }
    };
}

unit!(
    /// A quantity of one token in its smallest unit. Which token is said by the place that holds it.
    Amount
);
unit!(
    /// The chain's native coin, 10^-18.
    Wei
);
unit!(
    /// A value in a market's base currency, as its oracle counts it (Aave's own markets: US dollars, 10^-8).
    Base
);
unit!(
    /// What the protocol's oracle says one whole token is worth, in base currency units.
    Price
);
unit!(
    /// Health factor, 10^18 = 1. Liquidatable strictly below one; no debt is 2^256 - 1.
    HealthFactor
);

impl HealthFactor {
    /// 1.0: at or above it nobody may liquidate.
    pub const ONE: Self = Self(U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]));

    pub fn is_liquidatable(self) -> bool {
        self < Self::ONE
    }
}

/// Gas units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Gas(pub u64);

/// Wei per unit of gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FeePerGas(pub u128);

impl Gas {
    /// What this much gas costs at `fee`. Exact: 64 x 128 bits fit.
    pub fn cost(self, fee: FeePerGas) -> Wei {
        Wei(U256::from(self.0).wrapping_mul(U256::from(fee.0)))
    }
}

/// Hundredths of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Bps(pub u32);

impl Bps {
    /// The whole: 100 %.
    pub const ONE: Self = Self(10_000);
}

/// A difference of native amounts: profit when positive, loss when negative.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Net {
    Gain(Wei),
    Loss(Wei),
}

impl Net {
    pub fn of(gross: Wei, cost: Wei) -> Self {
        match gross.minus(cost) {
            Some(gain) => Self::Gain(gain),
            None => Self::Loss(Wei(cost.0.wrapping_sub(gross.0))),
        }
    }
    /// Both together.
    ///
    /// # Errors
    /// `Overflow` beyond all money.
    pub fn plus(self, other: Self) -> Result<Self, Overflow> {
        Ok(match (self, other) {
            (Self::Gain(a), Self::Gain(b)) => Self::Gain(a.plus(b)?),
            (Self::Loss(a), Self::Loss(b)) => Self::Loss(a.plus(b)?),
            (Self::Gain(gain), Self::Loss(loss)) | (Self::Loss(loss), Self::Gain(gain)) => {
                Self::of(gain, loss)
            }
        })
    }
    /// The gain, or `None` for a loss.
    pub fn gain(self) -> Option<Wei> {
        match self {
            Self::Gain(wei) => Some(wei),
            Self::Loss(_) => None,
        }
    }
}

impl Ord for Net {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Gain(a), Self::Gain(b)) => a.cmp(b),
            (Self::Loss(a), Self::Loss(b)) => b.cmp(a),
            (Self::Gain(_), Self::Loss(_)) => std::cmp::Ordering::Greater,
            (Self::Loss(_), Self::Gain(_)) => std::cmp::Ordering::Less,
        }
    }
}

impl PartialOrd for Net {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gain(wei) => wei.fmt(f),
            Self::Loss(wei) => write!(f, "-{wei}"),
        }
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Net({self})")
    }
}

impl Serialize for Net {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `raw` with `decimals` places, for people: trimmed to `places` digits behind the point, never rounded up.
pub fn show(raw: U256, decimals: u8, places: usize) -> String {
    let digits = format!("{raw:0>width$}", width = usize::from(decimals).saturating_add(1));
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(usize::from(decimals)));
    let cut = fraction.get(..places.min(fraction.len())).unwrap_or(fraction);
    let grouped = whole
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|three| String::from_utf8_lossy(three).into_owned())
        .collect::<Vec<_>>()
        .join(" ");
    if cut.is_empty() { grouped } else { format!("{grouped}.{cut}") }
}
