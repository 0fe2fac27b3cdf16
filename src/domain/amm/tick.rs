//! Ticks of Uniswap V3: the price of tick `i` is 1.0001^i, and pools keep its square root.

use crate::domain::units::Overflow;
use alloy::primitives::{U256, uint};

pub const MIN: i32 = -887_272;
pub const MAX: i32 = 887_272;
/// The square roots at both ends, Q64.96. A price is at least the first and below the second.
pub const MIN_SQRT_PRICE: U256 = uint!(4295128739_U256);
pub const MAX_SQRT_PRICE: U256 = uint!(1461446703485210103287273052203988822378723970342_U256);

/// 1.0001^(-2^i / 2) for bit `i` of a tick, Q128.128, to the nearest integer.
const HALVED: [U256; 20] = [
    uint!(0xfffcb933bd6fad37aa2d162d1a594001_U256),
    uint!(0xfff97272373d413259a46990580e213a_U256),
    uint!(0xfff2e50f5f656932ef12357cf3c7fdcc_U256),
    uint!(0xffe5caca7e10e4e61c3624eaa0941cd0_U256),
    uint!(0xffcb9843d60f6159c9db58835c926644_U256),
    uint!(0xff973b41fa98c081472e6896dfb254c0_U256),
    uint!(0xff2ea16466c96a3843ec78b326b52861_U256),
    uint!(0xfe5dee046a99a2a811c461f1969c3053_U256),
    uint!(0xfcbe86c7900a88aedcffc83b479aa3a4_U256),
    uint!(0xf987a7253ac413176f2b074cf7815e54_U256),
    uint!(0xf3392b0822b70005940c7a398e4b70f3_U256),
    uint!(0xe7159475a2c29b7443b29c7fa6e889d9_U256),
    uint!(0xd097f3bdfd2022b8845ad8f792aa5825_U256),
    uint!(0xa9f746462d870fdf8a65dc1f90e061e5_U256),
    uint!(0x70d869a156d2a1b890bb3df62baf32f7_U256),
    uint!(0x31be135f97d08fd981231505542fcfa6_U256),
    uint!(0x9aa508b5b7a84e1c677de54f3e99bc9_U256),
    uint!(0x5d6af8dedb81196699c329225ee604_U256),
    uint!(0x2216e584f5fa1ea926041bedfe98_U256),
    uint!(0x48a170391f7dc42444e8fa2_U256),
];

/// The square root of the price at a tick, Q64.96. Rounds up, from a product that rounds down at each bit.
/// Source: Uniswap V3 `TickMath.getSqrtRatioAtTick`.
///
/// # Errors
/// `Overflow` for a tick beyond the ends.
pub fn sqrt_price(tick: i32) -> Result<U256, Overflow> {
    let distance = tick.unsigned_abs();
    if distance > MAX.unsigned_abs() {
        return Err(Overflow);
    }
    let mut ratio = U256::ONE.wrapping_shl(128);
    for (bit, factor) in HALVED.iter().enumerate() {
        if distance.wrapping_shr(u32::try_from(bit).map_err(|_| Overflow)?) & 1 == 1 {
            // Neither is more than 2^128.
            ratio = ratio.wrapping_mul(*factor).wrapping_shr(128);
        }
    }
    if tick > 0 {
        ratio = U256::MAX.wrapping_div(ratio);
    }
    let is_whole = ratio.trailing_zeros() >= 32;
    let root = ratio.wrapping_shr(32);
    if is_whole { Ok(root) } else { root.checked_add(U256::ONE).ok_or(Overflow) }
}

/// The last tick whose price is not above this one.
/// Source: Uniswap V3 `TickMath.getTickAtSqrtRatio`, by halving.
///
/// # Errors
/// `Overflow` for a price below the first.
pub fn at(price: U256) -> Result<i32, Overflow> {
    if price < MIN_SQRT_PRICE {
        return Err(Overflow);
    }
    let (mut low, mut high) = (MIN, MAX.saturating_add(1));
    while high.saturating_sub(low) > 1 {
        let middle = low.midpoint(high);
        if sqrt_price(middle)? <= price { low = middle } else { high = middle }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::U512;

    #[test]
    fn a_price_is_of_the_last_tick_that_is_not_above_it() {
        for tick in [MIN, -221_818, -256, -1, 0, 1, 255, 256, 209_151, MAX] {
            let price = sqrt_price(tick).unwrap();
            assert_eq!(at(price), Ok(tick));
            if tick > MIN {
                assert_eq!(at(price - U256::ONE), Ok(tick - 1));
            }
        }
        assert_eq!(at(MIN_SQRT_PRICE - U256::ONE), Err(Overflow));
    }

    /// Squared, a root is the price that is 1.0001 to the tick: within two units of where it must lie.
    fn check(bit: usize, square: U512, expected: U512) {
        let one = U512::ONE << 128;
        assert!(
            square.abs_diff(expected) <= one * U512::from(2),
            "the factor of bit {bit} is not what it says"
        );
    }

    #[test]
    fn each_factor_is_the_square_of_the_one_before_and_the_first_that_of_one_tick() {
        let wide = |index: usize| U512::from(HALVED[index]);
        // 1 / 1.0001, in units of 2^-256.
        check(0, wide(0) * wide(0), (U512::from(10_000) << 256) / U512::from(10_001));
        for bit in 1..HALVED.len() {
            check(bit, wide(bit - 1) * wide(bit - 1), wide(bit) << 128);
        }
    }

    #[test]
    fn the_ends_are_where_the_contract_says() {
        assert_eq!(sqrt_price(MIN), Ok(MIN_SQRT_PRICE));
        assert_eq!(sqrt_price(MAX), Ok(MAX_SQRT_PRICE));
        assert_eq!(sqrt_price(0), Ok(U256::ONE << 96));
        assert_eq!(sqrt_price(MAX + 1), Err(Overflow));
        assert_eq!(sqrt_price(MIN - 1), Err(Overflow));
        assert_eq!(sqrt_price(i32::MIN), Err(Overflow));
    }
}
