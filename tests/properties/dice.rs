//! Chance with a seed (splitmix64). `BACKSTOP_SEED` runs one case again.

use alloy::primitives::U256;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Cases of each property.
pub const CASES: u64 = 20_000;

pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Less than `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Of every size alike: as likely to have 10 bits as 250; now and then an extreme.
    pub fn wide(&mut self) -> U256 {
        match self.below(32) {
            0 => U256::ZERO,
            1 => U256::ONE,
            2 => U256::MAX,
            _ => {
                let word = U256::from_limbs([self.next(), self.next(), self.next(), self.next()]);
                word >> self.below(256)
            }
        }
    }

    /// Between the two, of every size alike.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        let span = (most - least).max(1);
        let shift = self.below(u64::from(span.ilog2()) + 1);
        least + self.below((span >> shift).max(1))
    }
}

/// Runs `property` on many dice. The seed of one that fails is printed.
pub fn for_all(property: impl Fn(&mut Dice)) {
    for_each(CASES, property);
}

/// The same on so many dice, where each takes its time.
pub fn for_each(cases: u64, property: impl Fn(&mut Dice)) {
    let chosen = std::env::var("BACKSTOP_SEED").ok().and_then(|text| text.parse().ok());
    let seeds = chosen.map_or(0..cases, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let run = catch_unwind(AssertUnwindSafe(|| property(&mut Dice::new(seed))));
        if let Err(panic) = run {
            eprintln!("failed with BACKSTOP_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
