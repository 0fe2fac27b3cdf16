//! Random markets with one account that may be liquidated, and random pools around them.

use super::venue::{Listed, Pools};
use crate::aave::world::{NOW, RELEASES, asset, hold, list, market, terms};
use crate::properties::dice::Dice;
use crate::properties::pools::read_around;
use alloy::primitives::{Address, U256, uint};
use backstop::domain::amm::{tick, v3};
use backstop::domain::prices::Moment;
use backstop::domain::protocol::{Health, Protocol};
use backstop::domain::protocols::aave_v3::Market;
use backstop::domain::route::Venue;
use backstop::domain::units::{Amount, FeePerGas, HealthFactor};

pub const BORROWER: Address = Address::repeat_byte(0xB0);
const RAY: U256 = uint!(1_000_000_000_000_000_000_000_000_000_U256);
/// One dollar as the oracle counts it.
const DOLLAR: f64 = 1e8;
const TIERS: [(u32, i32); 4] = [(100, 1), (500, 10), (3_000, 60), (10_000, 200)];
/// Words of the bitmap on either side of the price: what a swap would walk beyond is not worth its gas.
const REACH: i16 = 33;

pub struct World {
    pub seed: u64,
    pub market: Market,
    pub assets: Vec<Address>,
    pub native: Address,
    pub pools: Pools,
    pub base_fee: FeePerGas,
    pub health: Health,
}

impl World {
    pub fn when(&self) -> Moment<'_> {
        Moment { timestamp: NOW, prices: &self.market.prices }
    }

    /// The world of a seed: the first of its dice whose account may be liquidated.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        loop {
            let world = Self::thrown(seed, &mut dice);
            if world.health.factor.is_liquidatable() {
                return world;
            }
        }
    }

    fn thrown(seed: u64, dice: &mut Dice) -> Self {
        let mut market = market(RELEASES[dice.below(8) as usize]);
        market.flash_premium = U256::from([0, 5, 9][dice.below(3) as usize]);
        let count = 3 + dice.below(4) as u16;
        let native_id = dice.below(u64::from(count)) as u16;
        let assets = (0..count).map(|id| reserve(dice, &mut market, id, id == native_id)).collect::<Vec<_>>();
        let native = assets[usize::from(native_id)];
        open(dice, &mut market, &assets);
        let health = market.health(BORROWER, &Moment { timestamp: NOW, prices: &market.prices }).unwrap();
        let pools = pools(dice, &market, &assets, native);
        let base_fee = FeePerGas(10_u128.pow(6 + dice.below(5) as u32) * u128::from(1 + dice.below(10)));
        Self { seed, market, assets, native, pools, base_fee, health }
    }
}

/// Between the two, of every order of magnitude alike.
fn spread(dice: &mut Dice, least: f64, most: f64) -> f64 {
    least * (most / least).powf(share(dice))
}

/// From zero to one.
fn share(dice: &mut Dice) -> f64 {
    dice.below(1 << 32) as f64 / f64::from(u32::MAX)
}

fn reserve(dice: &mut Dice, market: &mut Market, id: u16, is_native: bool) -> Address {
    let decimals = if is_native { 18 } else { [6, 8, 18][dice.below(3) as usize] };
    let dollars = match dice.below(3) {
        _ if is_native => spread(dice, 400.0, 5_000.0),
        0 => spread(dice, 0.98, 1.02),
        _ => spread(dice, 0.05, 90_000.0),
    };
    let threshold = 6_000 + dice.below(3_500);
    let bonus = 10_100 + dice.below(900).min(9_950_u64.saturating_mul(10_000) / threshold - 10_000);
    let fee = [0, 1_000, 2_000][dice.below(3) as usize];
    let mut configuration = terms(decimals, threshold, bonus, fee);
    configuration.0.set_bit(63, dice.below(8) != 0);
    let mut index = || RAY + U256::from(dice.next()) * U256::from(dice.below(1 << 24));
    let (income, debt_index) = (index(), index());
    list(market, asset(id, configuration, income, debt_index), U256::from(dollars * DOLLAR))
}

/// A health factor: most just under one, near the bound of the close factor, or between them.
fn aim(dice: &mut Dice) -> f64 {
    let (low, high) = match dice.below(20) {
        0..4 => (0.9985, 0.99999),
        4..8 => (0.98, 0.9985),
        8..11 => (0.952, 0.98),
        11..15 => (0.948, 0.952),
        15..18 => (0.9, 0.95),
        _ => (0.5, 0.9),
    };
    low + (high - low) * share(dice)
}

/// An account with one to three debts and one to three collaterals.
fn open(dice: &mut Dice, market: &mut Market, assets: &[Address]) {
    let dollars = match dice.below(8) {
        0 | 1 => spread(dice, 900.0, 8_000.0),
        2..6 => spread(dice, 8_000.0, 500_000.0),
        _ => spread(dice, 500_000.0, 30_000_000.0),
    };
    let mut picked = assets.to_vec();
    for place in (1..picked.len()).rev() {
        picked.swap(place, dice.below(place as u64 + 1) as usize);
    }
    let (debts, collaterals) = (1 + dice.below(3) as usize, 1 + dice.below(3) as usize);
    let mut sides = vec![(0.0, 0.0); picked.len()];
    let few = picked.len();
    for place in 0..debts {
        sides[place % few].1 = spread(dice, 0.1, 1.0);
    }
    // Now and then an asset is on both sides.
    let first = if dice.below(8) == 0 { debts - 1 } else { debts };
    for place in first..first + collaterals {
        sides[place % few].0 = spread(dice, 0.1, 1.0);
    }
    let threshold =
        |asset: &Address| market.reserves[asset].configuration.threshold().to::<u32>() as f64 / 10_000.0;
    let owed: f64 = sides.iter().map(|side| side.1).sum();
    let backing: f64 = picked.iter().zip(&sides).map(|(asset, side)| side.0 * threshold(asset)).sum();
    let scale = aim(dice) * dollars / backing;
    for (asset, (supply, debt)) in picked.iter().zip(sides) {
        let (supply, debt) = (supply * scale, debt / owed * dollars);
        if supply == 0.0 && debt == 0.0 {
            continue;
        }
        let reserve = &market.reserves[asset];
        let price = market.prices.get(*asset).unwrap().0;
        let units = |dollars: f64| U256::from(dollars * DOLLAR) * reserve.unit() / price;
        let scaled = |dollars: f64, index: U256| units(dollars) * RAY / index;
        let held = (scaled(supply, reserve.liquidity_index), scaled(debt, reserve.borrow_index));
        // Here and there a reserve has less than the account would take or borrow of it.
        let available = match dice.below(10) {
            0 => units(supply.max(debt) * spread(dice, 0.05, 1.5)),
            _ => units(1e10),
        };
        hold(market, BORROWER, *asset, held.0, held.1);
        market.reserves.get_mut(asset).unwrap().available = Amount(available);
    }
}

/// Pools of most assets with the native coin, and of some with each other.
fn pools(dice: &mut Dice, market: &Market, assets: &[Address], native: Address) -> Pools {
    let mut listed = Vec::new();
    for (place, low) in assets.iter().enumerate() {
        for high in &assets[place + 1..] {
            let chance = if [*low, *high].contains(&native) { 6 } else { 2 };
            for (fee, spacing) in TIERS {
                if dice.below(10) >= chance {
                    continue;
                }
                let address = Address::left_padding_from(&(0x1_0000 + listed.len() as u64).to_be_bytes());
                // An asset's price in dollars for one of its smallest units.
                let price = |asset: &Address| {
                    f64::from(market.prices.get(*asset).unwrap().0)
                        / f64::from(market.reserves[asset].unit())
                        / DOLLAR
                };
                let (pool, held) = pool(dice, [price(low), price(high)], fee, spacing);
                listed.push(Listed { address, tokens: [*low, *high], pool, held });
            }
        }
    }
    let contract = Address::repeat_byte;
    let venue = Venue {
        factory: contract(0xFA),
        quoter: contract(0xFB),
        router: contract(0xFC),
        wrapped_native: native,
        pairs: None,
    };
    Pools::new(venue, listed)
}

/// One position over everything and some near the price, which is within 1 % of the oracle's.
fn pool(dice: &mut Dice, prices: [f64; 2], fee: u32, spacing: i32) -> (v3::Pool, [U256; 2]) {
    let ratio = prices[0] / prices[1] * (0.99 + 0.02 * share(dice));
    let middle = (ratio.ln() / 1.0001_f64.ln()).floor() as i32;
    let low = tick::sqrt_price(middle).unwrap();
    let gap = tick::sqrt_price(middle + 1).unwrap() - low;
    let sqrt_price = low + U256::from(dice.below(gap.saturating_to::<u64>().max(1)));
    let mut pool = v3::Pool { sqrt_price, tick: middle, fee, spacing, ..v3::Pool::default() };
    let depth = spread(dice, 1e4, 1e9);
    let whole = depth / prices[1] / ratio.sqrt();
    let mut add = |from: i32, to: i32, liquidity: f64| {
        let (low, high) = (from.div_euclid(spacing) * spacing, to.div_euclid(spacing) * spacing);
        let liquidity = U256::from(liquidity.max(1.0)).to::<i128>();
        *pool.nets.entry(low).or_default() += liquidity;
        *pool.nets.entry(high).or_default() -= liquidity;
        if (low..high).contains(&middle) {
            pool.liquidity += liquidity.unsigned_abs();
        }
    };
    add(tick::MIN + spacing, tick::MAX, whole);
    for _ in 0..dice.below(6) {
        let from = middle - dice.below(1_200) as i32;
        let to = from + spacing + dice.below(2_400) as i32;
        add(from, to, whole * spread(dice, 0.1, 30.0));
    }
    read_around(&mut pool, REACH);
    (pool, [U256::from(depth / prices[0]), U256::from(depth / prices[1])])
}

pub fn is_between(factor: HealthFactor, low: f64, high: f64) -> bool {
    let factor = f64::from(factor.0) / 1e18;
    (low..high).contains(&factor)
}
