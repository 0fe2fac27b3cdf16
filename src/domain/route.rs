//! Venues: which pools there are and what they pay at one block. Everything is asked of the chain; this file
//! says what to ask and keeps what was answered.

use super::chain::{Answer, Read};
use super::units::Amount;
use crate::abi::erc20::Erc20;
use crate::abi::uniswap::{ExactInput, ExactOutput, Factory, QuoterV2};
use alloy::primitives::{Address, U160, U256, aliases::U24};
use alloy::sol_types::{SolCall, SolValue};
use std::collections::{BTreeMap, BTreeSet};

/// Fee tiers that factories of the Uniswap V3 kind have enabled somewhere, in hundredths of a basis point.
pub const TIERS: [u32; 8] = [100, 200, 300, 400, 500, 2_500, 3_000, 10_000];

/// One deployment of Uniswap V3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Venue {
    pub factory: Address,
    pub quoter: Address,
    pub router: Address,
    pub wrapped_native: Address,
}

/// A pool, named as its factory names it.
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

/// Something only the chain can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// The pool of a pair and tier.
    Pool(Pair, u32),
    /// What of `token` is in `holder`.
    Holds { token: Address, holder: Address },
    /// What `amount` of `sold` brings in `bought`.
    Sell { sold: Address, bought: Address, tier: u32, amount: Amount },
    /// What must be given of `sold` for `amount` of `bought`.
    Buy { sold: Address, bought: Address, tier: u32, amount: Amount },
}

impl Question {
    pub fn read(&self, venue: &Venue) -> Read {
        let (to, data) = match *self {
            Self::Pool(pair, tier) => {
                let call = Factory::getPoolCall { tokenA: pair.low, tokenB: pair.high, fee: U24::from(tier) };
                (venue.factory, call.abi_encode())
            }
            Self::Holds { token, holder } => (token, Erc20::balanceOfCall { owner: holder }.abi_encode()),
            Self::Sell { sold, bought, tier, amount } => {
                let params = ExactInput {
                    tokenIn: sold,
                    tokenOut: bought,
                    amountIn: amount.0,
                    fee: U24::from(tier),
                    sqrtPriceLimitX96: U160::ZERO,
                };
                (venue.quoter, QuoterV2::quoteExactInputSingleCall { params }.abi_encode())
            }
            Self::Buy { sold, bought, tier, amount } => {
                let params = ExactOutput {
                    tokenIn: sold,
                    tokenOut: bought,
                    amount: amount.0,
                    fee: U24::from(tier),
                    sqrtPriceLimitX96: U160::ZERO,
                };
                (venue.quoter, QuoterV2::quoteExactOutputSingleCall { params }.abi_encode())
            }
        };
        Read { to, data: data.into() }
    }

    /// Pools stay; prices and balances are of one block.
    fn outlives_block(&self) -> bool {
        matches!(self, Self::Pool(..))
    }
}

/// What was asked and answered, and what is still to be asked.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    answers: BTreeMap<Question, Option<U256>>,
    missing: BTreeSet<Question>,
}

impl Knowledge {
    /// Forgets what held for one block only, and now and then (`all`) which pools do not exist.
    pub fn expire(&mut self, all: bool) {
        self.answers.retain(|question, answer| question.outlives_block() && (answer.is_some() || !all));
        self.missing.clear();
    }

    /// What is still to be asked, in order; `learn` takes the answers.
    pub fn missing(&self) -> Vec<Question> {
        self.missing.iter().copied().collect()
    }

    pub fn learn(&mut self, questions: &[Question], answers: &[Answer]) {
        for (question, answer) in questions.iter().zip(answers) {
            // Every answer starts with the word that matters; a venue's refusal means it cannot serve this.
            let word = answer.0.as_ref().and_then(|data| data.get(..32)).map(U256::from_be_slice);
            let found = match question {
                Question::Pool(..) => word.filter(|pool| !pool.is_zero()),
                _ => word,
            };
            self.answers.insert(*question, found);
            self.missing.remove(question);
        }
    }

    fn ask(&mut self, question: Question) -> Known<U256> {
        match self.answers.get(&question) {
            Some(Some(word)) => Known::Yes(*word),
            Some(None) => Known::No,
            None => {
                self.missing.insert(question);
                Known::NotYet
            }
        }
    }

    /// The address of a pool.
    pub fn pool(&mut self, pair: Pair, tier: u32) -> Known<Address> {
        self.ask(Question::Pool(pair, tier)).map(|word| Address::from_word(word.into()))
    }

    /// What of `token` is in `holder`.
    pub fn holds(&mut self, token: Address, holder: Address) -> Known<Amount> {
        self.ask(Question::Holds { token, holder }).map(Amount)
    }

    /// Every tier that has a pool for this pair, but for `locked`, a pool that cannot be used.
    fn tiers(&mut self, pair: Pair, locked: Option<Address>) -> Known<Vec<u32>> {
        let mut tiers = Vec::new();
        let mut waiting = false;
        for tier in TIERS {
            match self.pool(pair, tier) {
                Known::Yes(pool) if Some(pool) != locked => tiers.push(tier),
                Known::NotYet => waiting = true,
                _ => {}
            }
        }
        if waiting { Known::NotYet } else { Known::Yes(tiers) }
    }

    /// The tier that pays most for `amount` of `sold`, and what it pays.
    pub fn best_sale(
        &mut self,
        sold: Address,
        bought: Address,
        amount: Amount,
        locked: Option<Address>,
    ) -> Known<(u32, Amount)> {
        self.best(
            sold,
            bought,
            locked,
            |tier| Question::Sell { sold, bought, tier, amount },
            |new, old| new > old,
        )
    }

    /// The tier that wants least of `sold` for `amount` of `bought`, and what it wants.
    pub fn best_purchase(
        &mut self,
        sold: Address,
        bought: Address,
        amount: Amount,
        locked: Option<Address>,
    ) -> Known<(u32, Amount)> {
        self.best(
            sold,
            bought,
            locked,
            |tier| Question::Buy { sold, bought, tier, amount },
            |new, old| new < old,
        )
    }

    fn best(
        &mut self,
        sold: Address,
        bought: Address,
        locked: Option<Address>,
        question: impl Fn(u32) -> Question,
        beats: impl Fn(U256, U256) -> bool,
    ) -> Known<(u32, Amount)> {
        let tiers = match self.tiers(Pair::of(sold, bought), locked) {
            Known::Yes(tiers) => tiers,
            Known::No => return Known::No,
            Known::NotYet => return Known::NotYet,
        };
        let mut best: Option<(u32, U256)> = None;
        let mut waiting = false;
        for tier in tiers {
            match self.ask(question(tier)) {
                Known::Yes(amount) if best.is_none_or(|(_, known)| beats(amount, known)) => {
                    best = Some((tier, amount));
                }
                Known::NotYet => waiting = true,
                _ => {}
            }
        }
        match best {
            _ if waiting => Known::NotYet,
            Some((tier, amount)) => Known::Yes((tier, Amount(amount))),
            None => Known::No,
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
