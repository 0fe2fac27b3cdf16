//! Venues: which pools there are and what they pay at one block. Everything is asked of the chain: this file says
//! what to ask; `knowledge` keeps what was answered, and swaps are computed from that.

mod book;
mod knowledge;

pub use knowledge::Knowledge;

use super::amm::Given;
use super::chain::{Answer, Read};
use super::units::Amount;
use crate::abi::erc20::Erc20;
use crate::abi::uniswap::{ExactInput, Factory, Pool, QuoterV2};
use alloy::primitives::aliases::{I24, U24};
use alloy::primitives::{Address, U160};
use alloy::sol_types::{SolCall, SolValue};

/// Fee tiers that factories of the Uniswap V3 kind have enabled somewhere, in hundredths of a basis point.
pub const TIERS: [u32; 8] = [100, 200, 300, 400, 500, 2_500, 3_000, 10_000];

/// One deployment of Uniswap V3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Venue {
    pub factory: Address,
    /// Asked by `doctor` whether our arithmetic is this venue's; the search does without.
    pub quoter: Address,
    pub router: Address,
    pub wrapped_native: Address,
}

impl Venue {
    /// What the venue's own quoter says that a sale brings, in the first word.
    pub fn quote(&self, sold: Address, bought: Address, tier: u32, amount: Amount) -> Read {
        let params = ExactInput {
            tokenIn: sold,
            tokenOut: bought,
            amountIn: amount.0,
            fee: U24::from(tier),
            sqrtPriceLimitX96: U160::ZERO,
        };
        let data = QuoterV2::quoteExactInputSingleCall { params }.abi_encode().into();
        Read { to: self.quoter, data }
    }
}

/// Two tokens that have a pool, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    low: Address,
    high: Address,
}

impl Pair {
    pub fn of(a: Address, b: Address) -> Self {
        if a < b { Self { low: a, high: b } } else { Self { low: b, high: a } }
    }
}

/// Which of their pool's tokens a seller of `sold` gives.
fn given(sold: Address, bought: Address) -> Given {
    if sold < bought { Given::Zero } else { Given::One }
}

/// Something only the chain can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// The pool of a pair and tier.
    Pool(Pair, u32),
    /// What of `token` is in `holder`.
    Holds { token: Address, holder: Address },
    /// A part of a pool's state.
    State(Address, Part),
}

/// A part of the state of a Uniswap V3 pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Price and tick.
    Price,
    /// In range.
    Liquidity,
    /// Between ticks that can be initialized.
    Spacing,
    /// A word of the bitmap of initialized ticks.
    Word(i16),
    /// What begins at a tick.
    Tick(i32),
}

impl Question {
    pub fn read(&self, venue: &Venue) -> Read {
        let (to, data) = match *self {
            Self::Pool(pair, tier) => {
                let call = Factory::getPoolCall { tokenA: pair.low, tokenB: pair.high, fee: U24::from(tier) };
                (venue.factory, call.abi_encode())
            }
            Self::Holds { token, holder } => (token, Erc20::balanceOfCall { owner: holder }.abi_encode()),
            Self::State(pool, part) => (pool, part.call()),
        };
        Read { to, data: data.into() }
    }
}

impl Part {
    fn call(self) -> Vec<u8> {
        match self {
            Self::Price => Pool::slot0Call {}.abi_encode(),
            Self::Liquidity => Pool::liquidityCall {}.abi_encode(),
            Self::Spacing => Pool::tickSpacingCall {}.abi_encode(),
            Self::Word(word) => Pool::tickBitmapCall { word }.abi_encode(),
            // Ticks are within 24 bits.
            Self::Tick(tick) => {
                Pool::ticksCall { tick: I24::try_from(tick).unwrap_or_default() }.abi_encode()
            }
        }
    }
}

/// An answer, its absence, or the need to ask first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<T> {
    Yes(T),
    No,
    NotYet,
}

impl<T> Known<T> {
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Self::Yes(value) => Known::Yes(change(value)),
            Self::No => Known::No,
            Self::NotYet => Known::NotYet,
        }
    }
}

/// Decodes a single address, as factories answer.
pub fn address_in(answer: &Answer) -> Option<Address> {
    Address::abi_decode(answer.0.as_ref()?).ok()
}
