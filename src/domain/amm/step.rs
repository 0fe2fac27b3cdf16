//! One step of a Uniswap V3 swap: between two prices at constant liquidity. Products are whole (512 bits), as the
//! contract's `mulDiv` has them; where it multiplies plainly and falls back on overflow, so do we.
//! Source: Uniswap V3 `SqrtPriceMath`, `SwapMath`.

use super::{Exact, Given};
use crate::domain::units::{Overflow, Round, mul_div};
use alloy::primitives::{U256, uint};

/// 2^96: one, as square roots of prices count.
const ONE: U256 = uint!(0x1000000000000000000000000_U256);
/// Fees are in millionths.
const WHOLE: U256 = uint!(1_000_000_U256);
const WIDTH: usize = 160;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub sqrt_price: U256,
    /// Without the fee.
    pub amount_in: U256,
    pub amount_out: U256,
    pub fee: U256,
}

/// From `price` towards `target`, as far as what is left of the exact side goes. Amounts in round up, amounts out
/// down. `fee` in millionths.
///
/// # Errors
/// `Overflow` where the contract reverts.
pub(super) fn step(
    given: Given,
    price: U256,
    target: U256,
    liquidity: u128,
    left: Exact,
    fee: u32,
) -> Result<Step, Overflow> {
    let fee = U256::from(fee);
    let kept = WHOLE.checked_sub(fee).ok_or(Overflow)?;
    let sqrt_price = match left {
        Exact::In(left) => {
            let after_fee = mul_div(left, kept, WHOLE, Round::Down)?;
            let whole = amount(given, price, target, liquidity, Side::In)?;
            if after_fee >= whole { target } else { after_input(given, price, liquidity, after_fee)? }
        }
        Exact::Out(left) => {
            let whole = amount(given, price, target, liquidity, Side::Out)?;
            if left >= whole { target } else { after_output(given, price, liquidity, left)? }
        }
    };
    let amount_in = amount(given, price, sqrt_price, liquidity, Side::In)?;
    let mut amount_out = amount(given, price, sqrt_price, liquidity, Side::Out)?;
    let fee = match left {
        // What is left over after the last step is fee.
        Exact::In(left) if sqrt_price != target => left.checked_sub(amount_in).ok_or(Overflow)?,
        _ => mul_div(amount_in, fee, kept, Round::Up)?,
    };
    if let Exact::Out(left) = left {
        amount_out = amount_out.min(left);
    }
    Ok(Step { sqrt_price, amount_in, amount_out, fee })
}

/// Which amount of a step.
#[derive(Clone, Copy)]
enum Side {
    In,
    Out,
}

/// What moves between two prices: in rounds up, out rounds down.
fn amount(given: Given, from: U256, to: U256, liquidity: u128, side: Side) -> Result<U256, Overflow> {
    let (low, high) = if from < to { (from, to) } else { (to, from) };
    let round = match side {
        Side::In => Round::Up,
        Side::Out => Round::Down,
    };
    match (given, side) {
        (Given::Zero, Side::In) | (Given::One, Side::Out) => amount0(low, high, liquidity, round),
        (Given::One, Side::In) | (Given::Zero, Side::Out) => amount1(low, high, liquidity, round),
    }
}

/// `L * (1 / low - 1 / high)`.
fn amount0(low: U256, high: U256, liquidity: u128, round: Round) -> Result<U256, Overflow> {
    if low.is_zero() {
        return Err(Overflow);
    }
    let gap = high.checked_sub(low).ok_or(Overflow)?;
    let over_high = mul_div(scaled(liquidity), gap, high, round)?;
    mul_div(over_high, U256::ONE, low, round)
}

/// `L * (high - low)`.
fn amount1(low: U256, high: U256, liquidity: u128, round: Round) -> Result<U256, Overflow> {
    mul_div(U256::from(liquidity), high.checked_sub(low).ok_or(Overflow)?, ONE, round)
}

/// The price after `amount` was given, without its fee.
fn after_input(given: Given, price: U256, liquidity: u128, amount: U256) -> Result<U256, Overflow> {
    solid(price, liquidity)?;
    match given {
        Given::Zero => {
            if amount.is_zero() {
                return Ok(price);
            }
            let scaled = scaled(liquidity);
            let sum = amount.checked_mul(price).and_then(|product| scaled.checked_add(product));
            match sum {
                Some(sum) => narrow(mul_div(scaled, price, sum, Round::Up)?),
                None => {
                    let sum = scaled.checked_div(price).and_then(|root| root.checked_add(amount));
                    narrow(mul_div(scaled, U256::ONE, sum.ok_or(Overflow)?, Round::Up)?)
                }
            }
        }
        Given::One => {
            let rise = mul_div(amount, ONE, U256::from(liquidity), Round::Down)?;
            narrow(price.checked_add(rise).ok_or(Overflow)?)
        }
    }
}

/// The price after `amount` was taken.
fn after_output(given: Given, price: U256, liquidity: u128, amount: U256) -> Result<U256, Overflow> {
    solid(price, liquidity)?;
    match given {
        Given::Zero => {
            let fall = mul_div(amount, ONE, U256::from(liquidity), Round::Up)?;
            price.checked_sub(fall).filter(|price| !price.is_zero()).ok_or(Overflow)
        }
        Given::One => {
            if amount.is_zero() {
                return Ok(price);
            }
            let scaled = scaled(liquidity);
            let rest = amount.checked_mul(price).and_then(|product| scaled.checked_sub(product));
            let rest = rest.filter(|rest| !rest.is_zero()).ok_or(Overflow)?;
            narrow(mul_div(scaled, price, rest, Round::Up)?)
        }
    }
}

fn solid(price: U256, liquidity: u128) -> Result<(), Overflow> {
    if price.is_zero() || liquidity == 0 { Err(Overflow) } else { Ok(()) }
}

fn narrow(price: U256) -> Result<U256, Overflow> {
    if price.bit_len() <= WIDTH { Ok(price) } else { Err(Overflow) }
}

/// Liquidity times one. 128 and 96 bits fit.
fn scaled(liquidity: u128) -> U256 {
    U256::from(liquidity).wrapping_shl(96)
}
