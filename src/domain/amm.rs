//! What pools pay, by their own integer arithmetic: the contracts' operations in the contracts' order, each rounded
//! as there. Everything is answered from state that was read; what the state does not reach is said, never guessed.

mod step;
pub mod tick;
pub mod v2;
pub mod v3;

use super::units::Overflow;
use alloy::primitives::U256;

/// Which of a pool's two tokens is given to it. Tokens are ordered by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Given {
    Zero,
    One,
}

/// The side of a swap that is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exact {
    /// Units of the token that is given, fee included.
    In(U256),
    /// Units of the token that is taken.
    Out(U256),
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    #[error("the pool or its router refuses")]
    Refused,
    /// It walks beyond what was read: this comes next.
    #[error("it goes beyond what was read of the pool: {0:?} is next")]
    Beyond(Gap),
}

/// State of a Uniswap V3 pool that a swap comes to and that was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// A word of the bitmap of initialized ticks.
    Word(i16),
    /// The liquidity that begins at an initialized tick.
    Tick(i32),
}

/// What overflows here reverts there.
impl From<Overflow> for Stop {
    fn from(_: Overflow) -> Self {
        Self::Refused
    }
}
