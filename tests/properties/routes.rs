//! Random venues of V3 pools and a pair: what the search for the best division of a swap finds is held against every
//! division there is, computed by itself.

use super::dice::{Dice, for_each};
use alloy::primitives::{Address, B256, Bytes, U256, b256, keccak256};
use alloy::sol_types::SolValue;
use backstop::domain::amm::{Exact, Given, tick, v2, v3};
use backstop::domain::chain::Answer;
use backstop::domain::route::{Division, Knowledge, Known, Pairs, PoolKind, Question, Venue};
use backstop::domain::units::Amount;
use std::cell::Cell;
use std::collections::BTreeMap;

const SOLD: Address = Address::repeat_byte(1);
const BOUGHT: Address = Address::repeat_byte(2);
const FACTORY: Address = Address::repeat_byte(0xfa);
/// Of the code of a pair, as it is deployed everywhere.
const PAIR_CODE: B256 = b256!("0x96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f");
const TIERS: [(u32, i32); 4] = [(100, 1), (500, 10), (3_000, 60), (10_000, 200)];
const CASES: u64 = 16;
/// A second swap that costs nothing.
const FREE: Option<Amount> = Some(Amount::ZERO);
/// Words of a bitmap on either side of the price that swaps walk over, and no further.
const REACH: i16 = 32;
/// Divisions that are tried one by one.
const DIVISIONS: u32 = 4_096;

/// What the chain of one venue answers.
struct World {
    venue: Venue,
    pools: BTreeMap<Address, v3::Pool>,
    pair: v2::Pair,
    pair_at: Address,
    has_pair: bool,
}

fn venue() -> Venue {
    let [factory, quoter, router, wrapped_native] = [3, 4, 5, 2].map(Address::repeat_byte);
    let pairs = Some(Pairs { factory: FACTORY, router: Address::repeat_byte(6) });
    Venue { factory, quoter, router, wrapped_native, pairs }
}

fn pool_at(tier: u32) -> Address {
    Address::left_padding_from(&tier.to_be_bytes())
}

impl World {
    /// Pools about one price, as arbitrage leaves them: some tiers, some of them with steps in their depth, and mostly a
    /// pair.
    fn new(dice: &mut Dice) -> Self {
        let middle = dice.below(160_000) as i32 - 80_000;
        let depth = 60 + dice.below(20) as usize;
        let mut pools = BTreeMap::new();
        for (fee, spacing) in TIERS {
            if dice.below(3) == 0 {
                continue;
            }
            let at = middle + dice.below(fee.into()) as i32 / 100 - fee.cast_signed() / 200;
            let mut pool = v3::Pool { fee, spacing, tick: at, ..v3::Pool::default() };
            pool.sqrt_price = tick::sqrt_price(at).unwrap();
            let whole = tick::MAX / spacing * spacing;
            let mut provide = |low: i32, high: i32, liquidity: u128| {
                *pool.nets.entry(low).or_default() += liquidity.cast_signed();
                *pool.nets.entry(high).or_default() -= liquidity.cast_signed();
                if (low..high).contains(&at) {
                    pool.liquidity += liquidity;
                }
            };
            let liquidity = (u128::from(dice.between(1 << 20, 1 << 40)) << depth) >> 40;
            provide(-whole, whole, liquidity.max(1_000));
            for _ in 0..dice.below(4) {
                let start = at.div_euclid(spacing) - dice.below(40) as i32;
                let end = start + 1 + dice.below(80) as i32;
                provide(start * spacing, end * spacing, liquidity * u128::from(dice.below(8)));
            }
            pool.nets.retain(|_, net| *net != 0);
            for tick in pool.nets.keys() {
                let place = tick / spacing;
                *pool.words.entry(place.div_euclid(256) as i16).or_default() |=
                    U256::ONE << place.rem_euclid(256) as usize;
            }
            let here = pool.word(at);
            for word in here - REACH..=here + REACH {
                pool.words.entry(word).or_default();
            }
            pools.insert(pool_at(fee), pool);
        }
        // A price of one to one is a tick of zero.
        let root = tick::sqrt_price(middle).unwrap();
        let liquidity = (U256::from(dice.between(1 << 20, 1 << 40)) << depth) >> 40;
        let pair = v2::Pair { reserve0: (liquidity << 96) / root, reserve1: (liquidity * root) >> 96 };
        let salt = keccak256((SOLD, BOUGHT).abi_encode_packed());
        Self {
            venue: venue(),
            pools,
            pair,
            pair_at: FACTORY.create2(salt, PAIR_CODE),
            has_pair: dice.below(4) != 0,
        }
    }

    /// The word a contract would answer with. Every pool has all words; what is not initialized is zero.
    fn answer(&self, question: &Question) -> Answer {
        use backstop::domain::route::Part;
        let words = |words: &[U256]| {
            Some(Bytes::from(words.iter().flat_map(U256::to_be_bytes::<32>).collect::<Vec<_>>()))
        };
        let signed = |value: i128| {
            let size = U256::from(value.unsigned_abs());
            if value < 0 { size.wrapping_neg() } else { size }
        };
        let address = |address: Address| words(&[address.into_word().into()]);
        Answer(match *question {
            Question::Pool(_, PoolKind::V3(tier)) => {
                let known = self.pools.contains_key(&pool_at(tier));
                address(if known { pool_at(tier) } else { Address::ZERO })
            }
            Question::Pool(_, PoolKind::V2) => {
                address(if self.has_pair { self.pair_at } else { Address::ZERO })
            }
            Question::Reserves(_) => words(&[self.pair.reserve0, self.pair.reserve1, U256::ZERO]),
            Question::Holds { .. } => words(&[U256::MAX]),
            Question::State(at, part) => {
                let pool = &self.pools[&at];
                match part {
                    Part::Price => words(&[pool.sqrt_price, signed(pool.tick.into())]),
                    Part::Liquidity => words(&[U256::from(pool.liquidity)]),
                    Part::Spacing => words(&[signed(pool.spacing.into())]),
                    Part::Word(word) => words(&[pool.words.get(&word).copied().unwrap_or_default()]),
                    Part::Tick(tick) => {
                        words(&[U256::ZERO, signed(pool.nets.get(&tick).copied().unwrap_or_default())])
                    }
                }
            }
        })
    }

    fn best(&self, exact: Exact, second: Option<Amount>) -> Option<Division> {
        let mut knowledge = Knowledge::of(&self.venue);
        loop {
            let found = match exact {
                Exact::In(amount) => knowledge.best_sale(SOLD, BOUGHT, Amount(amount), None, second),
                Exact::Out(amount) => knowledge.best_purchase(SOLD, BOUGHT, Amount(amount), None, second),
            };
            match found {
                Known::Yes(division) => return Some(division),
                Known::No => return None,
                Known::NotYet => {
                    let questions = knowledge.missing();
                    assert!(!questions.is_empty(), "it waits for nothing");
                    let answers = questions.iter().map(|one| self.answer(one)).collect::<Vec<_>>();
                    knowledge.learn(&questions, &answers);
                }
            }
        }
    }

    /// What one pool brings or wants by the arithmetic itself, all of the pool being known.
    fn alone(&self, kind: PoolKind, exact: Exact) -> Option<U256> {
        let (gave, took) = match kind {
            PoolKind::V2 => {
                let done = self.pair.swap(Given::Zero, exact).ok()?;
                (done.amount_in, done.amount_out)
            }
            PoolKind::V3(tier) => {
                let done = self.pools[&pool_at(tier)].swap(Given::Zero, exact).ok()?;
                (done.amount_in, done.amount_out)
            }
        };
        Some(if matches!(exact, Exact::In(_)) { took } else { gave })
    }

    fn kinds(&self) -> Vec<PoolKind> {
        let tiers = self.pools.values().map(|pool| PoolKind::V3(pool.fee));
        tiers.chain(self.has_pair.then_some(PoolKind::V2)).collect()
    }

    /// The best of one pool, and the best of every division over any two.
    fn brute(&self, exact: Exact) -> (Option<U256>, Option<U256>) {
        let (Exact::In(amount) | Exact::Out(amount)) = exact;
        let of = |part: U256| if matches!(exact, Exact::In(_)) { Exact::In(part) } else { Exact::Out(part) };
        let better = |a: U256, b: U256| if matches!(exact, Exact::In(_)) { a.max(b) } else { a.min(b) };
        let kinds = self.kinds();
        let single = kinds.iter().filter_map(|kind| self.alone(*kind, exact)).reduce(better);
        // What is left of a part is another of them, but for a unit.
        let curves = kinds.iter().map(|kind| {
            let parts = (1..DIVISIONS).map(|part| amount * U256::from(part) / U256::from(DIVISIONS));
            parts.map(|part| self.alone(*kind, of(part))).collect::<Vec<_>>()
        });
        let curves = curves.collect::<Vec<_>>();
        let mut two = None;
        for (one, parts) in curves.iter().enumerate() {
            for rests in &curves[one + 1..] {
                for pair in parts.iter().zip(rests.iter().rev()) {
                    if let (Some(part), Some(rest)) = pair {
                        let sum = *part + *rest;
                        two = Some(two.map_or(sum, |known| better(known, sum)));
                    }
                }
            }
        }
        (single, two)
    }
}

fn exact(world: &World, dice: &mut Dice) -> Exact {
    // From next to nothing to several times what the pair holds.
    let bits = dice.below(20) as usize;
    if dice.below(2) == 0 {
        Exact::In((world.pair.reserve0 << 3) >> bits | U256::ONE)
    } else {
        Exact::Out((world.pair.reserve1 << 1) >> bits | U256::ONE)
    }
}

/// What one is better than the other by; nothing where it is not.
fn gain(exact: Exact, better: U256, than: U256) -> Option<U256> {
    match exact {
        Exact::In(_) => better.checked_sub(than),
        Exact::Out(_) => than.checked_sub(better),
    }
}

#[test]
fn a_division_is_as_good_as_any_of_4096_and_never_worse_than_one_pool() {
    let (divided, gained) = (Cell::new(0_u64), Cell::new(0_u64));
    for_each(CASES, |dice| {
        let world = World::new(dice);
        let exact = exact(&world, dice);
        let (single, two) = world.brute(exact);
        let found = world.best(exact, FREE);
        let what = || format!("{exact:?}: {found:?}; one pool {single:?}, two {two:?}");
        let Some(best) = &found else {
            // A hundredth of a percent of nothing: no pool serves, nor do two where they are tried.
            assert!(single.is_none(), "{}", what());
            return;
        };
        let total = best.total.0;
        // It is what its shares are, by the arithmetic itself.
        let sum = best.shares.iter().map(|share| {
            let of = match exact {
                Exact::In(_) => Exact::In(share.part.0),
                Exact::Out(_) => Exact::Out(share.part.0),
            };
            assert_eq!(world.alone(share.pool, of), Some(share.result.0), "{}", what());
            share.part.0
        });
        let (Exact::In(amount) | Exact::Out(amount)) = exact;
        assert_eq!(sum.sum::<U256>(), amount, "{}", what());
        assert_eq!(best.shares.iter().map(|share| share.result.0).sum::<U256>(), total, "{}", what());
        assert!(best.shares.is_sorted_by_key(|share| share.part), "{}", what());
        if let Some(single) = single {
            assert!(gain(exact, total, single).is_some(), "worse than one pool: {}", what());
        }
        if let Some(two) = two {
            let short = gain(exact, two, total).unwrap_or_default();
            // And a unit or two of rounding for each pool.
            assert!(short <= two / U256::from(10_000) + U256::from(4), "{short} short: {}", what());
        }
        if best.shares.len() == 2 {
            divided.set(divided.get() + 1);
            let more = single.and_then(|single| gain(exact, total, single)).unwrap_or(total);
            gained.set(gained.get() + u64::from(more > total / U256::from(1_000)));
        }
    });
    let (divided, gained) = (divided.get(), gained.get());
    assert!(
        divided > CASES / 4 && gained > CASES / 10,
        "{divided} divided, {gained} of them for a thousandth"
    );
}

#[test]
fn a_second_pool_must_gain_more_than_its_swap_costs() {
    let decided = Cell::new(0_u64);
    for_each(15 * CASES, |dice| {
        let world = World::new(dice);
        let exact = exact(&world, dice);
        let (free, alone) = (world.best(exact, FREE), world.best(exact, None));
        let Some(alone) = alone else { return };
        let free = free.unwrap();
        assert_eq!(alone.shares.len(), 1);
        let Some(gain) = gain(exact, free.total.0, alone.total.0).filter(|gain| !gain.is_zero()) else {
            return assert_eq!(free, alone);
        };
        let at = |cost: U256| world.best(exact, Some(Amount(cost))).unwrap();
        assert_eq!(at(gain), alone, "{exact:?}: it gains {gain}");
        // What is a few thousandths of one part is not looked for.
        if gain > alone.total.0 / U256::from(100_000) {
            assert_eq!(at(gain - U256::ONE), free, "{exact:?}: it gains {gain} of {}", alone.total);
            decided.set(decided.get() + 1);
        }
    });
    assert!(decided.get() > CASES, "{} decided", decided.get());
}

/// A factory may name what it likes: only what stands where Uniswap's own code must stand is a pair.
#[test]
fn a_pair_that_is_not_at_the_address_of_uniswaps_code_is_not_believed() {
    for_each(CASES, |dice| {
        let mut world = World::new(dice);
        world.has_pair = true;
        let exact = exact(&world, dice);
        let mut without = World { has_pair: false, pools: world.pools.clone(), ..World::new(dice) };
        without.venue.pairs = None;
        world.pair_at = Address::repeat_byte(0x77);
        assert_eq!(world.best(exact, FREE), without.best(exact, FREE));
    });
}
