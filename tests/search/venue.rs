//! A venue of pools that are held whole: it answers what the keeper asks of contracts as they do, and it swaps for the
//! brute force, each swap on what the one before has left.

use alloy::primitives::{Address, I256, U256};
use alloy::sol_types::SolCall;
use backstop::abi::erc20::Erc20;
use backstop::abi::uniswap::{Factory, Pool};
use backstop::domain::amm::{Exact, Given, tick, v3};
use backstop::domain::chain::{Answer, Read};
use backstop::domain::route::Venue;
use std::collections::BTreeMap;

/// Parts of an amount that is divided over two pools.
const DIVISIONS: u64 = 24;

/// A pool, whose tokens are in its order.
#[derive(Clone, Debug)]
pub struct Listed {
    pub address: Address,
    pub tokens: [Address; 2],
    pub pool: v3::Pool,
    /// What it has of each token.
    pub held: [U256; 2],
}

/// Price, tick and liquidity of a pool before a swap.
type Before = (usize, U256, i32, u128);

#[derive(Clone, Debug)]
pub struct Pools {
    pub venue: Venue,
    listed: Vec<Listed>,
    by_pair: BTreeMap<[Address; 2], Vec<usize>>,
    /// Swaps that were made and can be undone, the last one last.
    made: Vec<Before>,
}

impl Pools {
    pub fn new(venue: Venue, listed: Vec<Listed>) -> Self {
        let mut by_pair = BTreeMap::<_, Vec<usize>>::new();
        for (index, one) in listed.iter().enumerate() {
            by_pair.entry(one.tokens).or_default().push(index);
        }
        Self { venue, listed, by_pair, made: vec![] }
    }

    pub fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// The factory's, a pool's or a token's answer, word for word.
    pub fn answer(&self, read: &Read) -> Answer {
        let data = read.data.as_ref();
        if read.to == self.venue.factory {
            let call = Factory::getPoolCall::abi_decode(data).expect("factories are asked for pools");
            let mut wanted = self.between(call.tokenA, call.tokenB).iter().map(|index| &self.listed[*index]);
            let found = wanted.find(|one| U256::from(one.pool.fee) == U256::from(call.fee));
            return words(&[found.map_or(U256::ZERO, |one| one.address.into_word().into())]);
        }
        match self.listed.iter().find(|one| one.address == read.to) {
            Some(one) => state(&one.pool, data),
            None => {
                let owner =
                    Erc20::balanceOfCall::abi_decode(data).expect("tokens are asked for balances").owner;
                let holder = self.listed.iter().find(|one| one.address == owner);
                let held = holder.and_then(|one| Some(one.held[place(one, read.to)?]));
                words(&[held.unwrap_or_default()])
            }
        }
    }

    /// The pools of two tokens.
    fn between(&self, a: Address, b: Address) -> &[usize] {
        self.by_pair.get(&if a < b { [a, b] } else { [b, a] }).map_or(&[], Vec::as_slice)
    }

    /// The pools that have so much of a token to lend, each with its fee in millionths.
    pub fn lenders(&self, token: Address, amount: U256) -> Vec<(usize, u32)> {
        let all = self.listed.iter().enumerate();
        all.filter(|(_, one)| place(one, token).is_some_and(|place| one.held[place] >= amount))
            .map(|(index, one)| (index, one.pool.fee))
            .collect()
    }

    /// Swaps in the best pool but `locked`, or over the best two where that is better by more than `second`, and leaves them
    /// as they are after that: most out for what is given, or least in for what is taken. Answers the side that was not
    /// fixed, and how many swaps it takes.
    pub fn swap(
        &mut self,
        ends: (Address, Address),
        exact: Exact,
        locked: Option<usize>,
        second: Option<U256>,
    ) -> Option<(U256, u64)> {
        let open = self.between(ends.0, ends.1).iter().copied().filter(|index| Some(*index) != locked);
        let mut served =
            open.filter_map(|index| Some((self.quote(index, ends, exact)?, index))).collect::<Vec<_>>();
        served.sort_unstable();
        if matches!(exact, Exact::In(_)) {
            served.reverse();
        }
        let &(alone, best) = served.first()?;
        if let (Some(cost), Some(&(_, other))) = (second, served.get(1))
            && let Some((parts, together)) = self.divided(ends, exact, (best, other))
            && match exact {
                Exact::In(_) => together > alone + cost,
                Exact::Out(_) => together + cost < alone,
            }
        {
            self.make(best, ends, parts.0)?;
            self.make(other, ends, parts.1)?;
            return Some((together, 2));
        }
        self.make(best, ends, exact)?;
        Some((alone, 1))
    }

    /// The best of the divisions of an amount over two pools, and what both bring or want.
    fn divided(
        &self,
        ends: (Address, Address),
        exact: Exact,
        pools: (usize, usize),
    ) -> Option<((Exact, Exact), U256)> {
        let (Exact::In(whole) | Exact::Out(whole)) = exact;
        let side =
            |amount| if matches!(exact, Exact::In(_)) { Exact::In(amount) } else { Exact::Out(amount) };
        let divisions = (1..DIVISIONS).filter_map(|part| {
            let first = whole * U256::from(part) / U256::from(DIVISIONS);
            let parts = (side(first), side(whole - first));
            let sum = self.quote(pools.0, ends, parts.0)? + self.quote(pools.1, ends, parts.1)?;
            Some((parts, sum))
        });
        match exact {
            Exact::In(_) => divisions.max_by_key(|(_, sum)| *sum),
            Exact::Out(_) => divisions.min_by_key(|(_, sum)| *sum),
        }
    }

    fn quote(&self, index: usize, (sold, bought): (Address, Address), exact: Exact) -> Option<U256> {
        let done = self.listed[index].pool.swap(given(sold, bought), exact).ok()?;
        Some(match exact {
            Exact::In(_) => done.amount_out,
            Exact::Out(_) => done.amount_in,
        })
    }

    /// Swaps in the pool of this tier: what is given and what is taken.
    pub fn through(&mut self, ends: (Address, Address), tier: u32, exact: Exact) -> Option<(U256, U256)> {
        let mut pools = self.between(ends.0, ends.1).iter().copied();
        let index = pools.find(|index| self.listed[*index].pool.fee == tier)?;
        self.make(index, ends, exact)
    }

    fn make(
        &mut self,
        index: usize,
        (sold, bought): (Address, Address),
        exact: Exact,
    ) -> Option<(U256, U256)> {
        let given = given(sold, bought);
        let pool = &mut self.listed[index].pool;
        let done = pool.swap(given, exact).ok()?;
        self.made.push((index, pool.sqrt_price, pool.tick, pool.liquidity));
        let v3::Spot { sqrt_price, liquidity, .. } = done.spot;
        (pool.tick, pool.sqrt_price, pool.liquidity) = (tick_of(sqrt_price, given), sqrt_price, liquidity);
        Some((done.amount_in, done.amount_out))
    }

    /// How many swaps were made, for `undo`.
    pub fn mark(&self) -> usize {
        self.made.len()
    }

    pub fn undo(&mut self, mark: usize) {
        for (index, price, tick, liquidity) in self.made.drain(mark..).rev() {
            let pool = &mut self.listed[index].pool;
            (pool.sqrt_price, pool.tick, pool.liquidity) = (price, tick, liquidity);
        }
    }
}

fn given(sold: Address, bought: Address) -> Given {
    if sold < bought { Given::Zero } else { Given::One }
}

fn place(one: &Listed, token: Address) -> Option<usize> {
    one.tokens.iter().position(|own| *own == token)
}

fn state(pool: &v3::Pool, data: &[u8]) -> Answer {
    let signed = |number: i128| I256::try_from(number).unwrap().into_raw();
    let selector: [u8; 4] = data[..4].try_into().unwrap();
    match selector {
        Pool::slot0Call::SELECTOR => {
            // What follows is of the pool's own oracle, and that it is unlocked.
            let [zero, one] = [U256::ZERO, U256::ONE];
            words(&[pool.sqrt_price, signed(pool.tick.into()), zero, one, one, zero, one])
        }
        Pool::liquidityCall::SELECTOR => words(&[U256::from(pool.liquidity)]),
        Pool::tickSpacingCall::SELECTOR => words(&[signed(pool.spacing.into())]),
        Pool::tickBitmapCall::SELECTOR => {
            let word = Pool::tickBitmapCall::abi_decode(data).unwrap().word;
            words(&[pool.words.get(&word).copied().unwrap_or_default()])
        }
        Pool::ticksCall::SELECTOR => {
            let net = pool.nets.get(&Pool::ticksCall::abi_decode(data).unwrap().tick.as_i32()).copied();
            let mut answer = [U256::ZERO; 8];
            answer[0] = U256::from(net.unwrap_or_default().unsigned_abs());
            answer[1] = signed(net.unwrap_or_default());
            answer[7] = U256::from(u64::from(net.is_some()));
            words(&answer)
        }
        other => panic!("pools are not asked {other:?}"),
    }
}

fn words(words: &[U256]) -> Answer {
    Answer(Some(words.iter().flat_map(U256::to_be_bytes::<32>).collect::<Vec<u8>>().into()))
}

/// The tick of a price that a swap has come to: the last one at or below it; below it where the swap came down to the
/// very tick, which it has crossed then.
pub fn tick_of(sqrt_price: U256, given: Given) -> i32 {
    let root = f64::from(sqrt_price) / 2_f64.powi(96);
    let mut tick = (2.0 * root.ln() / 1.0001_f64.ln()).floor() as i32;
    let at = |tick: i32| tick::sqrt_price(tick).unwrap();
    while at(tick) > sqrt_price {
        tick -= 1;
    }
    while tick < tick::MAX && at(tick + 1) <= sqrt_price {
        tick += 1;
    }
    if given == Given::Zero && at(tick) == sqrt_price { tick - 1 } else { tick }
}
