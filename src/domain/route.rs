//! Venues: which pools there are and what they pay at one block. Everything is asked of the chain: this file says
//! what to ask; `knowledge` keeps what was answered, and swaps are computed from that.

mod book;
mod division;
mod knowledge;

pub use division::{Division, Share};
pub use knowledge::Knowledge;

use super::amm::Given;
use super::chain::{Answer, Read};
use super::units::Amount;
use crate::abi::erc20::Erc20;
use crate::abi::uniswap::{ExactInput, Factory, PairFactory, PairRouter, Pool, QuoterV2, UniswapPair};
use alloy::primitives::aliases::{I24, U24};
use alloy::primitives::{Address, B256, U160, b256, keccak256};
use alloy::sol_types::{SolCall, SolValue};

/// Fee tiers that factories of the Uniswap V3 kind have enabled somewhere, in hundredths of a basis point.
pub const TIERS: [u32; 8] = [100, 200, 300, 400, 500, 2_500, 3_000, 10_000];

/// What a pair keeps of what is given to it, in hundredths of a basis point as the tiers are.
const PAIR_FEE: u32 = 3_000;
/// Of the code that makes a pair of Uniswap V2, the same on every chain. Source: `UniswapV2Library.pairFor`.
const PAIR_CODE: B256 = b256!("0x96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f");

/// One deployment of Uniswap V3, and one of V2 where its pairs serve too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Venue {
    pub factory: Address,
    /// Asked by `doctor` whether our arithmetic is this venue's; the search does without.
    pub quoter: Address,
    pub router: Address,
    pub wrapped_native: Address,
    pub pairs: Option<Pairs>,
}

/// One deployment of Uniswap V2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs {
    pub factory: Address,
    pub router: Address,
}

/// Which of the pools of two tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolKind {
    /// The Uniswap V3 pool of this tier.
    V3(u32),
    /// The Uniswap V2 pair.
    V2,
}

impl PoolKind {
    /// What it keeps of what is given, in hundredths of a basis point.
    pub fn fee(self) -> u32 {
        match self {
            Self::V3(tier) => tier,
            Self::V2 => PAIR_FEE,
        }
    }
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

impl Pairs {
    /// What the router says that a sale through the pair brings: an array, what is sold and what is received.
    pub fn quote(&self, sold: Address, bought: Address, amount: Amount) -> Read {
        let call = PairRouter::getAmountsOutCall { amountIn: amount.0, path: vec![sold, bought] };
        Read { to: self.router, data: call.abi_encode().into() }
    }

    /// Where Uniswap's own code for this pair is, if it is anywhere: an address that commits to code without a setter
    /// and with one fee. What this factory names instead is no pair that our arithmetic is about.
    fn address_of(&self, pair: Pair) -> Address {
        let salt = keccak256((pair.low, pair.high).abi_encode_packed());
        self.factory.create2(salt, PAIR_CODE)
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
    /// The pool of this kind for two tokens.
    Pool(Pair, PoolKind),
    /// What of `token` is in `holder`.
    Holds { token: Address, holder: Address },
    /// A part of the state of a Uniswap V3 pool.
    State(Address, Part),
    /// What a Uniswap V2 pair holds and counts on.
    Reserves(Address),
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
            Self::Pool(pair, PoolKind::V3(tier)) => {
                let call = Factory::getPoolCall { tokenA: pair.low, tokenB: pair.high, fee: U24::from(tier) };
                (venue.factory, call.abi_encode())
            }
            Self::Pool(pair, PoolKind::V2) => {
                let call = PairFactory::getPairCall { tokenA: pair.low, tokenB: pair.high };
                // Asked for only where there is one.
                (venue.pairs.map_or(Address::ZERO, |pairs| pairs.factory), call.abi_encode())
            }
            Self::Holds { token, holder } => (token, Erc20::balanceOfCall { owner: holder }.abi_encode()),
            Self::State(pool, part) => (pool, part.call()),
            Self::Reserves(pair) => (pair, UniswapPair::getReservesCall {}.abi_encode()),
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
