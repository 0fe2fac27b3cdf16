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

    /// Swaps in the best pool but `locked`, and leaves it as it is after that: most out for what is given, or least in
    /// for what is taken. Answers the side that was not fixed.
    pub fn swap(
        &mut self,
        sold: Address,
        bought: Address,
        exact: Exact,
        locked: Option<usize>,
    ) -> Option<U256> {
        let given = if sold < bought { Given::Zero } else { Given::One };
        let open = self.between(sold, bought).iter().copied().filter(|index| Some(*index) != locked);
        let served = open.filter_map(|index| Some((index, self.listed[index].pool.swap(given, exact).ok()?)));
        let (index, done) = match exact {
            Exact::In(_) => served.max_by_key(|(_, done)| done.amount_out)?,
            Exact::Out(_) => served.min_by_key(|(_, done)| done.amount_in)?,
        };
        let pool = &mut self.listed[index].pool;
        self.made.push((index, pool.sqrt_price, pool.tick, pool.liquidity));
        (pool.tick, pool.sqrt_price, pool.liquidity) =
            (tick_of(done.sqrt_price, given), done.sqrt_price, done.liquidity);
        Some(match exact {
            Exact::In(_) => done.amount_out,
            Exact::Out(_) => done.amount_in,
        })
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
