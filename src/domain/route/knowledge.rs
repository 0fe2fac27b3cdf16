//! What was asked and answered about pools, what follows from it, and what is still to be asked.

use super::book::Book;
use super::{Known, Pair, Question, TIERS, address_in, given};
use crate::domain::amm::{Exact, v3};
use crate::domain::chain::Answer;
use crate::domain::plan::Swap;
use crate::domain::units::Amount;
use alloy::primitives::{Address, U256};
use std::collections::{BTreeMap, BTreeSet};

/// Pools outlive a block; what they and others hold does not.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    pools: BTreeMap<(Pair, u32), Option<Address>>,
    held: BTreeMap<(Address, Address), Option<Amount>>,
    books: BTreeMap<Address, Book>,
    /// Where pools stand after the swaps that were walked.
    moved: BTreeMap<Address, v3::Spot>,
    missing: BTreeSet<Question>,
}

impl Knowledge {
    /// Forgets what held for one block only, and now and then (`all`) which pools do not exist.
    pub fn expire(&mut self, all: bool) {
        self.pools.retain(|_, pool| pool.is_some() || !all);
        self.held.clear();
        self.books.values_mut().for_each(|book| book.expire(all));
        self.missing.clear();
    }

    /// What is still to be asked, in order; `learn` takes the answers.
    pub fn missing(&self) -> Vec<Question> {
        self.missing.iter().copied().collect()
    }

    pub fn learn(&mut self, questions: &[Question], answers: &[Answer]) {
        for (question, answer) in questions.iter().zip(answers) {
            let data = answer.0.as_ref().map(|data| data.as_ref());
            match *question {
                Question::Pool(pair, tier) => {
                    let pool = address_in(answer).filter(|pool| !pool.is_zero());
                    self.pools.insert((pair, tier), pool);
                    if let Some(pool) = pool {
                        self.books.entry(pool).or_insert_with(|| Book::new(tier));
                    }
                }
                Question::Holds { token, holder } => {
                    let word = data.and_then(|data| data.get(..32)).map(U256::from_be_slice);
                    self.held.insert((token, holder), word.map(Amount));
                }
                Question::State(pool, part) => {
                    if let Some(book) = self.books.get_mut(&pool) {
                        book.learn(part, data);
                    }
                }
            }
            self.missing.remove(question);
        }
    }

    fn ask<T: Copy>(&mut self, known: Option<Option<T>>, question: Question) -> Known<T> {
        match known {
            Some(Some(value)) => Known::Yes(value),
            Some(None) => Known::No,
            None => {
                self.missing.insert(question);
                Known::NotYet
            }
        }
    }

    /// The address of a pool.
    pub fn pool(&mut self, pair: Pair, tier: u32) -> Known<Address> {
        let known = self.pools.get(&(pair, tier)).copied();
        self.ask(known, Question::Pool(pair, tier))
    }

    /// What of `token` is in `holder`.
    pub fn holds(&mut self, token: Address, holder: Address) -> Known<Amount> {
        let known = self.held.get(&(token, holder)).copied();
        self.ask(known, Question::Holds { token, holder })
    }

    /// What a swap of `sold` for `bought` does in this pool.
    fn swap(&mut self, pool: Address, sold: Address, bought: Address, exact: Exact) -> Known<v3::Swapped> {
        let Some(book) = self.books.get(&pool) else { return Known::No };
        let mut parts = Vec::new();
        let moved = self.moved.get(&pool).copied();
        let swapped = book.swap(moved, given(sold, bought), exact, &mut parts);
        self.missing.extend(parts.into_iter().map(|part| Question::State(pool, part)));
        swapped
    }

    /// From now on, and until they are walked back, these swaps have been made.
    pub fn walk(&mut self, swaps: &[Swap]) {
        for swap in swaps {
            let exact = if swap.buys { Exact::Out(swap.taken.0) } else { Exact::In(swap.given.0) };
            if let Known::Yes(pool) = self.pool(Pair::of(swap.sold, swap.bought), swap.tier)
                && let Known::Yes(swapped) = self.swap(pool, swap.sold, swap.bought, exact)
            {
                self.moved.insert(pool, swapped.spot);
            }
        }
    }

    pub fn walk_back(&mut self) {
        self.moved.clear();
    }

    /// The tier that pays most for `amount` of `sold`, and what it pays.
    pub fn best_sale(
        &mut self,
        sold: Address,
        bought: Address,
        amount: Amount,
        locked: Option<Address>,
    ) -> Known<(u32, Amount)> {
        let proceeds = |swapped: v3::Swapped| swapped.amount_out;
        self.best((sold, bought), Exact::In(amount.0), locked, proceeds, |new, old| new > old)
    }

    /// The tier that wants least of `sold` for `amount` of `bought`, and what it wants.
    pub fn best_purchase(
        &mut self,
        sold: Address,
        bought: Address,
        amount: Amount,
        locked: Option<Address>,
    ) -> Known<(u32, Amount)> {
        let price = |swapped: v3::Swapped| swapped.amount_in;
        self.best((sold, bought), Exact::Out(amount.0), locked, price, |new, old| new < old)
    }

    /// Over every tier that has a pool for this pair, but for `locked`, a pool that cannot be used.
    fn best(
        &mut self,
        (sold, bought): (Address, Address),
        exact: Exact,
        locked: Option<Address>,
        counted: impl Fn(v3::Swapped) -> U256,
        beats: impl Fn(U256, U256) -> bool,
    ) -> Known<(u32, Amount)> {
        let mut best: Option<(u32, U256)> = None;
        let mut waiting = false;
        for tier in TIERS {
            let swapped = match self.pool(Pair::of(sold, bought), tier) {
                Known::Yes(pool) if Some(pool) != locked => self.swap(pool, sold, bought, exact),
                Known::NotYet => Known::NotYet,
                _ => Known::No,
            };
            match swapped.map(&counted) {
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
