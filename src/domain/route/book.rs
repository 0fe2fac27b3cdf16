//! The state of one Uniswap V3 pool at one block, as far as it was asked for; and what to ask for next, so that few
//! rounds of questions do.

use super::{Known, Part};
use crate::abi::uniswap::Pool;
use crate::domain::amm::{Exact, Gap, Given, Stop, v3};
use alloy::sol_types::SolCall;
use std::collections::BTreeSet;

/// A swap over more words of the bitmap than this, or over more initialized ticks, takes more gas than it could bring:
/// a pool that would need it does not serve.
const MOST_WORDS: i16 = 32;
const MOST_TICKS: usize = 128;
/// What is asked for at first: words on either side of the price, and ticks. Then all there may be.
const FIRST_WORDS: i16 = 1;
const FIRST_TICKS: usize = 16;

#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    pool: v3::Pool,
    has_price: bool,
    has_liquidity: bool,
    /// It does not answer as a pool of this kind.
    is_foreign: bool,
    /// What swaps came to in earlier blocks: asked for again together with the price.
    before: BTreeSet<Part>,
}

impl Book {
    pub(super) fn new(fee: u32) -> Self {
        Self { pool: v3::Pool { fee, ..v3::Pool::default() }, ..Self::default() }
    }

    /// Forgets what held for one block only. `all`: also what was of use longer ago than that.
    pub(super) fn expire(&mut self, all: bool) {
        if all {
            self.before.clear();
        }
        self.before.extend(self.pool.words.keys().map(|word| Part::Word(*word)));
        self.before.extend(self.pool.nets.keys().map(|tick| Part::Tick(*tick)));
        self.pool.words.clear();
        self.pool.nets.clear();
        (self.has_price, self.has_liquidity, self.is_foreign) = (false, false, false);
    }

    /// What a swap would do, from where the pool stands or where others have `moved` it; what is not known for that is put
    /// into `missing`.
    pub(super) fn swap(
        &self,
        moved: Option<v3::Spot>,
        given: Given,
        exact: Exact,
        missing: &mut Vec<Part>,
    ) -> Known<v3::Swapped> {
        if self.is_foreign {
            return Known::No;
        }
        if !self.has_price || !self.has_liquidity || self.pool.spacing == 0 {
            missing.extend([Part::Price, Part::Liquidity]);
            if self.pool.spacing == 0 {
                missing.push(Part::Spacing);
            }
            missing.extend(&self.before);
            return Known::NotYet;
        }
        match self.pool.swap_from(moved.unwrap_or(self.pool.spot()), given, exact) {
            Ok(swapped) => Known::Yes(swapped),
            Err(Stop::Refused) => Known::No,
            Err(Stop::Beyond(gap)) => {
                let parts = match gap {
                    Gap::Word(word) => self.words_from(word, given),
                    Gap::Tick(tick) => self.ticks_from(tick, given),
                };
                if parts.is_empty() {
                    return Known::No;
                }
                missing.extend(parts);
                Known::NotYet
            }
        }
    }

    /// This word and others, as far as a swap may walk. Empty where that is not as far.
    fn words_from(&self, word: i16, given: Given) -> Vec<Part> {
        let here = self.pool.word(self.pool.tick);
        let steps = match (word == here, given) {
            (true, _) => -FIRST_WORDS..=FIRST_WORDS,
            (false, Given::Zero) => -MOST_WORDS..=0,
            (false, Given::One) => 0..=MOST_WORDS,
        };
        if !steps.contains(&word.saturating_sub(here)) {
            return vec![];
        }
        let words = steps.map(|step| here.saturating_add(step));
        words.filter(|word| !self.pool.words.contains_key(word)).map(Part::Word).collect()
    }

    /// This tick and others behind it, as many as a swap may cross. Empty where they are too many.
    fn ticks_from(&self, tick: i32, given: Given) -> Vec<Part> {
        let ahead: Vec<i32> = match given {
            Given::Zero => self.pool.initialized().rev().filter(|one| *one <= self.pool.tick).collect(),
            Given::One => self.pool.initialized().filter(|one| *one > self.pool.tick).collect(),
        };
        let place = ahead.iter().position(|one| *one == tick).unwrap_or(MOST_TICKS);
        let most = if place == 0 { FIRST_TICKS } else { MOST_TICKS };
        let unread = ahead.into_iter().take(most).filter(|one| !self.pool.nets.contains_key(one));
        if place < MOST_TICKS { unread.map(Part::Tick).collect() } else { vec![] }
    }

    pub(super) fn learn(&mut self, part: Part, answer: Option<&[u8]>) {
        if answer.and_then(|data| self.note(part, data)).is_none() {
            self.is_foreign = true;
        }
    }

    fn note(&mut self, part: Part, data: &[u8]) -> Option<()> {
        match part {
            Part::Price => {
                let now = Pool::slot0Call::abi_decode_returns(data).ok()?;
                self.pool.sqrt_price = now.sqrtPriceX96.to();
                self.pool.tick = now.tick.as_i32();
                self.has_price = true;
            }
            Part::Liquidity => {
                self.pool.liquidity = Pool::liquidityCall::abi_decode_returns(data).ok()?;
                self.has_liquidity = true;
            }
            Part::Spacing => {
                let spacing = Pool::tickSpacingCall::abi_decode_returns(data).ok()?.as_i32();
                self.pool.spacing = Some(spacing).filter(|spacing| *spacing > 0)?;
            }
            Part::Word(word) => {
                let bits = Pool::tickBitmapCall::abi_decode_returns(data).ok()?;
                self.pool.words.insert(word, bits);
            }
            Part::Tick(tick) => {
                let net = Pool::ticksCall::abi_decode_returns(data).ok()?.net;
                self.pool.nets.insert(tick, net);
            }
        }
        Some(())
    }
}
