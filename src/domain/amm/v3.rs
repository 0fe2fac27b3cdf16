//! A Uniswap V3 pool as far as it was read, and what swaps in it do.

use super::step::step;
use super::tick::{self, MAX_SQRT_PRICE, MIN_SQRT_PRICE};
use super::{Exact, Gap, Given, Stop};
use alloy::primitives::U256;
use std::collections::BTreeMap;

/// Ticks that share a word of the bitmap.
const WORD: i32 = 256;

/// State of one pool at one block. Its prices are square roots, Q64.96.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    pub sqrt_price: U256,
    pub tick: i32,
    /// In range now.
    pub liquidity: u128,
    /// Millionths of what is given.
    pub fee: u32,
    /// Only ticks that are multiples of this can be initialized.
    pub spacing: i32,
    /// The words of the bitmap that were read: a bit for each multiple of the spacing.
    pub words: BTreeMap<i16, U256>,
    /// What crossing a tick upwards adds to the liquidity, for those that were read.
    pub nets: BTreeMap<i32, i128>,
}

/// Where a pool stands. The price is a square root, Q64.96.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    pub sqrt_price: U256,
    /// The price's; behind a swap the last that it passed, until the pool is `settled`.
    pub tick: i32,
    /// In range.
    pub liquidity: u128,
}

impl Spot {
    /// With the price's own tick, as pools write it down: where the next swap's steps end hangs on it, and each of them
    /// rounds. What came down to the very price of a tick stays below it.
    ///
    /// # Errors
    /// `Stop::Refused` where no tick has this price.
    pub fn settled(self) -> Result<Self, Stop> {
        let above = self.tick.saturating_add(1);
        if above <= tick::MAX && tick::sqrt_price(above)? == self.sqrt_price {
            return Ok(self);
        }
        Ok(Self { tick: tick::at(self.sqrt_price)?, ..self })
    }
}

/// What a swap did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swapped {
    /// Units given, fee included. Less than what was exact where the pool ran dry.
    pub amount_in: U256,
    pub amount_out: U256,
    /// Where the pool stands afterwards.
    pub spot: Spot,
    /// Initialized ticks on the way.
    pub crossed: u32,
}

impl Pool {
    /// The swap that the pool's router makes: as far as the exact amount goes. What is given beyond what the pool can
    /// use stays with the giver; less out than what was exact is refused.
    /// Source: Uniswap V3 `UniswapV3Pool.swap`, `SwapRouter`.
    ///
    /// # Errors
    /// `Stop::Refused` where the contracts revert, `Stop::Beyond` with what must be read first.
    pub fn swap(&self, given: Given, exact: Exact) -> Result<Swapped, Stop> {
        self.swap_from(self.spot(), given, exact)
    }

    pub fn spot(&self) -> Spot {
        Spot { sqrt_price: self.sqrt_price, tick: self.tick, liquidity: self.liquidity }
    }

    /// The same for a pool that other swaps have moved.
    ///
    /// # Errors
    /// As for `swap`.
    pub fn swap_from(&self, from: Spot, given: Given, exact: Exact) -> Result<Swapped, Stop> {
        let (Exact::In(wanted) | Exact::Out(wanted)) = exact;
        // Amounts are signed there.
        if wanted.is_zero() || wanted.bit(255) {
            return Err(Stop::Refused);
        }
        let limit = match given {
            Given::Zero => MIN_SQRT_PRICE.wrapping_add(U256::ONE),
            Given::One => MAX_SQRT_PRICE.wrapping_sub(U256::ONE),
        };
        let is_before = |price: U256| match given {
            Given::Zero => price > limit,
            Given::One => price < limit,
        };
        if from.sqrt_price.is_zero() || self.spacing <= 0 || !is_before(from.sqrt_price) {
            return Err(Stop::Refused);
        }
        let mut left = wanted;
        let mut done = Swapped { amount_in: U256::ZERO, amount_out: U256::ZERO, spot: from, crossed: 0 };
        while !left.is_zero() && done.spot.sqrt_price != limit {
            let (next, is_initialized) = self.next_tick(done.spot.tick, given)?;
            let at_next = tick::sqrt_price(next)?;
            let target = if is_before(at_next) { at_next } else { limit };
            let side = match exact {
                Exact::In(_) => Exact::In(left),
                Exact::Out(_) => Exact::Out(left),
            };
            let step = step(given, done.spot.sqrt_price, target, done.spot.liquidity, side, self.fee)?;
            let paid = step.amount_in.checked_add(step.fee).ok_or(Stop::Refused)?;
            let used = match exact {
                Exact::In(_) => paid,
                Exact::Out(_) => step.amount_out,
            };
            left = left.checked_sub(used).ok_or(Stop::Refused)?;
            done.amount_in = done.amount_in.checked_add(paid).ok_or(Stop::Refused)?;
            done.amount_out = done.amount_out.checked_add(step.amount_out).ok_or(Stop::Refused)?;
            done.spot.sqrt_price = step.sqrt_price;
            if step.sqrt_price == at_next {
                if is_initialized {
                    done.spot.liquidity = self.cross(next, given, done.spot.liquidity)?;
                    done.crossed = done.crossed.saturating_add(1);
                }
                done.spot.tick = match given {
                    Given::Zero => next.saturating_sub(1),
                    Given::One => next,
                };
            }
        }
        match exact {
            Exact::Out(wanted) if done.amount_out != wanted => Err(Stop::Refused),
            // Nothing but empty ranges: routers do not take that for a swap.
            _ if done.amount_in.is_zero() => Err(Stop::Refused),
            _ => Ok(done),
        }
    }

    /// The liquidity behind an initialized tick.
    fn cross(&self, tick: i32, given: Given, liquidity: u128) -> Result<u128, Stop> {
        let net = *self.nets.get(&tick).ok_or(Stop::Beyond(Gap::Tick(tick)))?;
        let behind = match given {
            Given::Zero => liquidity.checked_sub_signed(net),
            Given::One => liquidity.checked_add_signed(net),
        };
        behind.ok_or(Stop::Refused)
    }

    /// The next initialized tick on the way, or the end of the word where there is none in it, and whether it is
    /// initialized. The steps of a swap end at both, and each of them rounds.
    /// Source: Uniswap V3 `TickBitmap.nextInitializedTickWithinOneWord`.
    fn next_tick(&self, tick: i32, given: Given) -> Result<(i32, bool), Stop> {
        let place = tick.div_euclid(self.spacing);
        let place = match given {
            Given::Zero => place,
            Given::One => place.saturating_add(1),
        };
        let (word, bit) = word_of(place);
        let bits = *self.words.get(&word).ok_or(Stop::Beyond(Gap::Word(word)))?;
        let (next, is_initialized) = match given {
            Given::Zero => {
                // This place and those below it.
                let bits = bits.wrapping_shl(usize::from(u8::MAX.saturating_sub(bit)));
                let distance = if bits.is_zero() { i32::from(bit) } else { small(bits.leading_zeros()) };
                (place.saturating_sub(distance), !bits.is_zero())
            }
            Given::One => {
                let bits = bits.wrapping_shr(usize::from(bit));
                let to_end = i32::from(u8::MAX.saturating_sub(bit));
                let distance = if bits.is_zero() { to_end } else { small(bits.trailing_zeros()) };
                (place.saturating_add(distance), !bits.is_zero())
            }
        };
        Ok((next.saturating_mul(self.spacing).clamp(tick::MIN, tick::MAX), is_initialized))
    }

    /// The initialized ticks of the words that were read, in order.
    pub fn initialized(&self) -> impl DoubleEndedIterator<Item = i32> {
        self.words.iter().flat_map(move |(word, bits)| {
            let first = i32::from(*word).saturating_mul(WORD);
            let set = (0..WORD).filter(|bit| bits.bit(usize::try_from(*bit).unwrap_or_default()));
            set.map(move |bit| first.saturating_add(bit).saturating_mul(self.spacing))
        })
    }

    /// The word of the bitmap that holds a tick.
    pub fn word(&self, tick: i32) -> i16 {
        word_of(tick.checked_div_euclid(self.spacing).unwrap_or_default()).0
    }
}

/// The word of a place in the bitmap, and the bit in it. Places are within 20 bits.
fn word_of(place: i32) -> (i16, u8) {
    let word = i16::try_from(place.div_euclid(WORD)).unwrap_or_default();
    (word, u8::try_from(place.rem_euclid(WORD)).unwrap_or_default())
}

/// A distance within a word.
fn small(distance: usize) -> i32 {
    i32::try_from(distance).unwrap_or_default()
}
