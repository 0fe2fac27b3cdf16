//! What was asked and answered about pools, what follows from it, and what is still to be asked.

use super::book::Book;
use super::division::Search;
use super::{Division, Known, Pair, Pairs, PoolKind, Question, TIERS, Venue, address_in, given};
use crate::abi::uniswap::UniswapPair;
use crate::domain::amm::{Exact, v2, v3};
use crate::domain::chain::Answer;
use crate::domain::plan::Swap;
use crate::domain::units::Amount;
use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use std::collections::{BTreeMap, BTreeSet};

/// Pools outlive a block; what they and others hold does not.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// Where pairs of Uniswap V2 are looked for; without, they are not.
    pairs: Option<Pairs>,
    pools: BTreeMap<(Pair, PoolKind), Option<Address>>,
    held: BTreeMap<(Address, Address), Option<Amount>>,
    books: BTreeMap<Address, Book>,
    /// Of pairs; nothing of what does not answer as one.
    reserves: BTreeMap<Address, Option<v2::Pair>>,
    /// What swaps that were walked have made of pools.
    moved: Walked,
    missing: BTreeSet<Question>,
}

impl Knowledge {
    /// Nothing yet of this venue.
    pub fn of(venue: &Venue) -> Self {
        Self { pairs: venue.pairs, ..Self::default() }
    }

    /// Forgets what held for one block only, and now and then (`all`) which pools do not exist.
    pub fn expire(&mut self, all: bool) {
        self.pools.retain(|_, pool| pool.is_some() || !all);
        self.held.clear();
        self.reserves.clear();
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
                Question::Pool(pair, kind) => {
                    let pool = address_in(answer).filter(|pool| match kind {
                        PoolKind::V3(_) => !pool.is_zero(),
                        PoolKind::V2 => self.pairs.is_some_and(|pairs| pairs.address_of(pair) == *pool),
                    });
                    self.pools.insert((pair, kind), pool);
                    if let (Some(pool), PoolKind::V3(tier)) = (pool, kind) {
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
                Question::Reserves(pair) => {
                    let reserves =
                        data.and_then(|data| UniswapPair::getReservesCall::abi_decode_returns(data).ok());
                    let reserves = reserves
                        .map(|now| v2::Pair { reserve0: now.reserve0.to(), reserve1: now.reserve1.to() });
                    self.reserves.insert(pair, reserves);
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

    /// The address of a Uniswap V3 pool.
    pub fn pool(&mut self, pair: Pair, tier: u32) -> Known<Address> {
        self.find(pair, PoolKind::V3(tier))
    }

    fn find(&mut self, pair: Pair, kind: PoolKind) -> Known<Address> {
        let known = self.pools.get(&(pair, kind)).copied();
        self.ask(known, Question::Pool(pair, kind))
    }

    /// What of `token` is in `holder`, behind the swaps that were walked.
    pub fn holds(&mut self, token: Address, holder: Address) -> Known<Amount> {
        let known = self.held.get(&(token, holder)).copied();
        match (self.ask(known, Question::Holds { token, holder }), self.moved.flows.get(&(token, holder))) {
            (Known::Yes(held), Some(flow)) => {
                let now = held.plus(flow.given).ok().and_then(|held| held.minus(flow.taken));
                now.map_or(Known::No, Known::Yes)
            }
            (known, _) => known,
        }
    }

    /// From now on, and until that is walked back, these swaps have been made too. Answers what had been before; `No` where
    /// a pool refuses one, and nothing has been made then.
    pub fn walk(&mut self, swaps: &[Swap]) -> Known<Walked> {
        let before = self.moved.clone();
        for swap in swaps {
            let exact = if swap.buys { Exact::Out(swap.taken.0) } else { Exact::In(swap.given.0) };
            let mut missing = Vec::new();
            let made = match self.find(Pair::of(swap.sold, swap.bought), swap.pool) {
                Known::Yes(pool) => self
                    .swap((swap.pool, pool), (swap.sold, swap.bought), exact, &mut missing)
                    .map(|made| (pool, made)),
                Known::No => Known::No,
                Known::NotYet => Known::NotYet,
            };
            self.missing.extend(missing);
            match made {
                Known::Yes((pool, made)) if self.moved.make(swap, pool, &made).is_some() => {}
                Known::NotYet => {
                    self.moved = before;
                    return Known::NotYet;
                }
                _ => {
                    self.moved = before;
                    return Known::No;
                }
            }
        }
        Known::Yes(before)
    }

    pub fn walk_back(&mut self, before: Walked) {
        self.moved = before;
    }

    /// The pools that pay most for `amount` of `sold`, one or two, and what they pay. Two only where that brings more than
    /// `second` more: what the second swap costs, in `bought`; `None` for one alone. `locked`: a pool that cannot be used.
    pub fn best_sale(
        &mut self,
        sold: Address,
        bought: Address,
        amount: Amount,
        locked: Option<Address>,
        second: Option<Amount>,
    ) -> Known<Division> {
        self.best((sold, bought), Exact::In(amount.0), locked, second)
    }

    /// The pools that want least of `sold` for `amount` of `bought`, one or two, and what they want. Two only where that
    /// saves more than `second` of `sold`.
    pub fn best_purchase(
        &mut self,
        sold: Address,
        bought: Address,
        amount: Amount,
        locked: Option<Address>,
        second: Option<Amount>,
    ) -> Known<Division> {
        self.best((sold, bought), Exact::Out(amount.0), locked, second)
    }

    /// What the pair pays for `amount` of `sold`.
    pub fn pair_sale(&mut self, sold: Address, bought: Address, amount: Amount) -> Known<Amount> {
        if self.pairs.is_none() {
            return Known::No;
        }
        let pair = match self.find(Pair::of(sold, bought), PoolKind::V2) {
            Known::Yes(pair) => pair,
            Known::No => return Known::No,
            Known::NotYet => return Known::NotYet,
        };
        let mut missing = Vec::new();
        let paid = self.result((PoolKind::V2, pair), (sold, bought), Exact::In(amount.0), &mut missing);
        self.missing.extend(missing);
        paid.map(Amount)
    }

    fn best(
        &mut self,
        ends: (Address, Address),
        exact: Exact,
        locked: Option<Address>,
        second: Option<Amount>,
    ) -> Known<Division> {
        let pair = Pair::of(ends.0, ends.1);
        let kinds = TIERS.map(PoolKind::V3).into_iter().chain(self.pairs.map(|_| PoolKind::V2));
        let (mut kinds, mut pools) = (kinds.collect::<Vec<_>>(), Vec::new());
        let mut waiting = false;
        kinds.retain(|kind| match self.find(pair, *kind) {
            Known::Yes(pool) if Some(pool) != locked => {
                pools.push(pool);
                true
            }
            Known::NotYet => {
                waiting = true;
                false
            }
            _ => false,
        });
        let mut missing = Vec::new();
        let swap = |place: usize, exact: Exact| match (kinds.get(place), pools.get(place)) {
            (Some(kind), Some(pool)) => self.result((*kind, *pool), ends, exact, &mut missing),
            _ => Known::No,
        };
        // What is still to be found may be better: until then one pool says what to ask for.
        let second = second.filter(|_| !waiting);
        let best = Search { pools: &kinds, exact, second, swap }.best();
        self.missing.extend(missing);
        if waiting { Known::NotYet } else { best }
    }

    /// What a swap brings, or wants, in one pool; what is not known for that is put into `missing`.
    fn result(
        &self,
        pool: (PoolKind, Address),
        ends: (Address, Address),
        exact: Exact,
        missing: &mut Vec<Question>,
    ) -> Known<U256> {
        self.swap(pool, ends, exact, missing).map(|made| match exact {
            Exact::In(_) => made.amount_out,
            Exact::Out(_) => made.amount_in,
        })
    }

    fn swap(
        &self,
        (kind, pool): (PoolKind, Address),
        (sold, bought): (Address, Address),
        exact: Exact,
        missing: &mut Vec<Question>,
    ) -> Known<Made> {
        let given = given(sold, bought);
        let moved = self.moved.stands.get(&pool).copied();
        match kind {
            PoolKind::V3(_) => {
                let Some(book) = self.books.get(&pool) else { return Known::No };
                let mut parts = Vec::new();
                let spot =
                    moved.and_then(|stand| if let Stand::V3(spot) = stand { Some(spot) } else { None });
                let swapped = book.swap(spot, given, exact, &mut parts);
                missing.extend(parts.into_iter().map(|part| Question::State(pool, part)));
                swapped.map(|v3::Swapped { amount_in, amount_out, spot, .. }| Made {
                    amount_in,
                    amount_out,
                    stand: Stand::V3(spot),
                })
            }
            PoolKind::V2 => {
                let reserves = match (moved, self.reserves.get(&pool).copied()) {
                    (Some(Stand::V2(reserves)), _) | (_, Some(Some(reserves))) => reserves,
                    (_, Some(None)) => return Known::No,
                    (_, None) => {
                        missing.push(Question::Reserves(pool));
                        return Known::NotYet;
                    }
                };
                let Ok(swapped) = reserves.swap(given, exact) else { return Known::No };
                let v2::Swapped { amount_in, amount_out, reserves } = swapped;
                Known::Yes(Made { amount_in, amount_out, stand: Stand::V2(reserves) })
            }
        }
    }
}

/// Swaps that have been made.
#[derive(Clone, Debug, Default)]
pub struct Walked {
    /// Where pools stand.
    stands: BTreeMap<Address, Stand>,
    /// By token and pool.
    flows: BTreeMap<(Address, Address), Flow>,
}

impl Walked {
    /// `None` where no pool can stand so.
    fn make(&mut self, swap: &Swap, pool: Address, made: &Made) -> Option<()> {
        let stand = match made.stand {
            Stand::V3(spot) => Stand::V3(spot.settled().ok()?),
            reserves => reserves,
        };
        self.stands.insert(pool, stand);
        let sold = self.flows.entry((swap.sold, pool)).or_default();
        sold.given = sold.given.plus(Amount(made.amount_in)).ok()?;
        let bought = self.flows.entry((swap.bought, pool)).or_default();
        bought.taken = bought.taken.plus(Amount(made.amount_out)).ok()?;
        Some(())
    }
}

/// What pools were given of a token, and what was taken from them.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    given: Amount,
    taken: Amount,
}

/// Where a pool stands.
#[derive(Clone, Copy, Debug)]
enum Stand {
    V3(v3::Spot),
    V2(v2::Pair),
}

/// A swap in one pool, and where it leaves the pool.
struct Made {
    amount_in: U256,
    amount_out: U256,
    stand: Stand,
}
