//! A Uniswap V2 pair: constant product, three thousandths of what is given as fee.

use super::{Exact, Given, Stop};
use alloy::primitives::{U256, uint};

const WHOLE: U256 = uint!(1_000_U256);
/// What counts of an amount that is given.
const KEPT: U256 = uint!(997_U256);
/// A pair keeps its reserves in so many bits.
const WIDTH: usize = 112;

/// State of one pair at one block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    pub reserve0: U256,
    pub reserve1: U256,
}

/// What a swap does: units given and taken, and the pair after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swapped {
    pub amount_in: U256,
    pub amount_out: U256,
    pub reserves: Pair,
}

impl Pair {
    /// The swap that the pair's router makes. What is taken rounds down; what is given rounds up, and then one more,
    /// as there.
    /// Source: Uniswap V2 `UniswapV2Library`, `UniswapV2Pair.swap`.
    ///
    /// # Errors
    /// `Stop::Refused` where the contracts revert.
    pub fn swap(&self, given: Given, exact: Exact) -> Result<Swapped, Stop> {
        let (reserve_in, reserve_out) = self.reserves(given);
        let (amount_in, amount_out) = match exact {
            Exact::In(amount_in) => {
                // Plain products there: what overflows reverts.
                let counted = amount_in.checked_mul(KEPT).ok_or(Stop::Refused)?;
                let product = counted.checked_mul(reserve_out).ok_or(Stop::Refused)?;
                let whole = reserve_in.checked_mul(WHOLE).and_then(|whole| whole.checked_add(counted));
                let amount_out = product.checked_div(whole.ok_or(Stop::Refused)?).ok_or(Stop::Refused)?;
                (amount_in, amount_out)
            }
            Exact::Out(amount_out) => {
                let rest = reserve_out.checked_sub(amount_out).ok_or(Stop::Refused)?;
                let product =
                    reserve_in.checked_mul(amount_out).and_then(|product| product.checked_mul(WHOLE));
                let below = rest.checked_mul(KEPT).ok_or(Stop::Refused)?;
                let quotient = product.ok_or(Stop::Refused)?.checked_div(below).ok_or(Stop::Refused)?;
                (quotient.checked_add(U256::ONE).ok_or(Stop::Refused)?, amount_out)
            }
        };
        let after_in = reserve_in.checked_add(amount_in).ok_or(Stop::Refused)?;
        let after_out = reserve_out.checked_sub(amount_out).ok_or(Stop::Refused)?;
        let is_served = !amount_in.is_zero()
            && !amount_out.is_zero()
            && !reserve_in.is_zero()
            && !after_out.is_zero()
            && after_in.bit_len() <= WIDTH;
        let (reserve0, reserve1) = match given {
            Given::Zero => (after_in, after_out),
            Given::One => (after_out, after_in),
        };
        let reserves = Self { reserve0, reserve1 };
        if is_served { Ok(Swapped { amount_in, amount_out, reserves }) } else { Err(Stop::Refused) }
    }

    fn reserves(&self, given: Given) -> (U256, U256) {
        match given {
            Given::Zero => (self.reserve0, self.reserve1),
            Given::One => (self.reserve1, self.reserve0),
        }
    }
}
