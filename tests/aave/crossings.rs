//! Liquidation prices against brute force: at the price found the verdict turns, and at none before it.

use super::world::{NOW, RELEASES, asset, big, hold, list, market, terms};
use crate::properties::dice::Dice;
use alloy::primitives::{Address, U256};
use backstop::domain::explain::{Crossing, Direction, Explain, LiquidationPrice};
use backstop::domain::prices::{Moment, Prices};
use backstop::domain::protocol::Protocol;
use backstop::domain::protocols::aave_v3::Market;
use backstop::domain::units::{HealthFactor, Price};

const BORROWER: Address = Address::repeat_byte(0xB0);
const RAY: &str = "1000000000000000000000000000";

/// Reserves `(decimals, threshold, price, supplied, owed)` and one account in all of them.
fn world(revision: u64, legs: &[(u64, u64, u64, u128, u128)]) -> Market {
    let mut market = market(revision);
    for (id, (decimals, threshold, price, supplied, owed)) in (0..).zip(legs) {
        let reserve = asset(id, terms(*decimals, *threshold, 10_500, 0), big(RAY), big(RAY));
        let address = list(&mut market, reserve, U256::from(*price));
        hold(&mut market, BORROWER, address, U256::from(*supplied), U256::from(*owed));
    }
    market
}

fn factor(market: &Market, prices: &Prices) -> HealthFactor {
    market.health(BORROWER, &Moment { timestamp: NOW, prices }).unwrap().factor
}

fn falls(market: &Market, asset: Address, price: U256) -> bool {
    let mut prices = market.prices.clone();
    prices.set(asset, Some(Price(price)));
    factor(market, &prices).is_liquidatable()
}

fn lines(market: &Market) -> Vec<LiquidationPrice> {
    let when = Moment { timestamp: NOW, prices: &market.prices };
    market.liquidation_prices(BORROWER, &when).unwrap()
}

fn at(crossing: Crossing) -> Option<u64> {
    match crossing {
        Crossing::At(price) => Some(price.0.to()),
        Crossing::Never => None,
        Crossing::Undetermined => panic!("undetermined"),
    }
}

/// The first price at which the verdict turns, by looking at every price up to `reach` away.
fn brute(market: &Market, line: &LiquidationPrice, direction: Direction, reach: u64) -> Option<u64> {
    let current: u64 = line.current.0.to();
    let turned = |price: &u64| falls(market, line.asset, U256::from(*price)) != line.is_liquidatable;
    match direction {
        Direction::Down => (current.saturating_sub(reach).max(1)..current).rev().find(turned),
        Direction::Up => (current + 1..=current + reach).find(turned),
    }
}

#[test]
fn a_long_falls_when_its_collateral_does_and_a_short_when_its_debt_rises() {
    for revision in RELEASES {
        // Ten of the first at 1,000 with a threshold of 80 % against 6,000 of the second.
        let long = [
            (18, 8_000, 100_000_000_000, 10 * 10_u128.pow(18), 0),
            (6, 7_500, 100_000_000, 0, 6_000_000_000),
        ];
        let found = lines(&world(revision, &long));
        assert_eq!(
            found.iter().map(|line| at(line.first)).collect::<Vec<_>>(),
            [Some(74_999_999_999), Some(133_333_334)]
        );
        assert_eq!(
            found.iter().map(|line| line.direction).collect::<Vec<_>>(),
            [Direction::Down, Direction::Up]
        );
        assert!(found.iter().all(|line| line.other == Crossing::Never && !line.is_liquidatable));
    }
}

#[test]
fn who_may_be_liquidated_is_told_where_that_ends() {
    for revision in RELEASES {
        let weak =
            [(18, 8_000, 70_000_000_000, 10 * 10_u128.pow(18), 0), (6, 7_500, 100_000_000, 0, 6_000_000_000)];
        let found = lines(&world(revision, &weak));
        assert_eq!(
            found.iter().map(|line| at(line.first)).collect::<Vec<_>>(),
            [Some(75_000_000_000), Some(93_333_333)]
        );
        assert_eq!(
            found.iter().map(|line| line.direction).collect::<Vec<_>>(),
            [Direction::Up, Direction::Down]
        );
    }
}

#[test]
fn nothing_falls_without_debt_or_with_more_than_enough_of_another_collateral() {
    for revision in RELEASES {
        let alone = [(18, 8_000, 100_000_000_000, 10 * 10_u128.pow(18), 0)];
        assert_eq!(lines(&world(revision, &alone))[0].first, Crossing::Never);
        let backed = [
            (18, 8_000, 100_000_000_000, 10_u128.pow(18), 0),
            (6, 8_000, 100_000_000, 100_000_000_000, 0),
            (8, 7_500, 100_000_000, 0, 100_000_000),
        ];
        let found = lines(&world(revision, &backed));
        assert_eq!(found[0].first, Crossing::Never, "the second is enough by itself");
        assert!(at(found[2].first).is_some());
    }
}

/// In 3.0 a rising price can lower the averaged threshold by a whole basis point.
#[test]
fn in_3_0_a_price_may_hurt_the_wrong_way() {
    // Average between 90 % and 50 %: each unit more of the second pulls it down.
    let mut seen = 0;
    for owed in 0..400_u128 {
        let legs = [
            (8, 9_000, 100_000_000, 100_000_000_000, 0),
            (8, 5_000, 100_000_000, 1_000_000_000, 0),
            (8, 5_000, 100_000_000, 0, 90_480_000_000 + owed * 100_000),
        ];
        let market = world(1, &legs);
        let line = &lines(&market)[1];
        if line.is_liquidatable {
            continue;
        }
        assert_eq!(line.direction, Direction::Down);
        if let Some(price) = at(line.other) {
            seen += 1;
            assert!(falls(&market, line.asset, U256::from(price)));
            assert!(!falls(&market, line.asset, U256::from(price - 1)));
        }
    }
    assert!(seen > 0, "no account falls by a rising price");
}

/// Small numbers, so that every price can be tried: both directions, all roles, all releases.
#[test]
fn the_first_crossing_is_the_first() {
    let mut dice = Dice::new(20_260_401);
    let (mut compared, mut found_some) = (0, 0);
    for round in 0..400 {
        let revision = RELEASES[round % RELEASES.len()];
        let count = 1 + dice.below(3);
        let legs = (0..count.max(2))
            .map(|_| {
                let decimals = dice.below(5);
                let amount = |dice: &mut Dice| match dice.below(3) {
                    0 => 0,
                    1 => u128::from(dice.below(40)),
                    _ => u128::from(dice.below(200_000)),
                };
                let (supplied, owed) = (amount(&mut dice), amount(&mut dice) * 7 / 10);
                (decimals, dice.below(101) * 100, 1 + dice.below(480), supplied, owed)
            })
            .collect::<Vec<_>>();
        let market = world(revision, &legs);
        for line in lines(&market) {
            for (direction, crossing) in
                [(line.direction, line.first), (line.direction.opposite(), line.other)]
            {
                let ours = at(crossing);
                let theirs = brute(&market, &line, direction, 500);
                let beyond = ours.is_some_and(|price| price > u64::try_from(line.current.0).unwrap() + 500);
                assert!(ours == theirs || (beyond && theirs.is_none()), "{legs:?} {line:?} {theirs:?}");
                compared += 1;
                found_some += usize::from(ours.is_some());
            }
        }
    }
    assert!(compared > 1_500 && found_some > 200, "{compared} {found_some}");
}

/// Real sizes: the price found and its neighbour, and a sample of all that lie before.
#[test]
fn the_crossing_holds_at_real_sizes() {
    let mut dice = Dice::new(20_260_402);
    let mut found_some = 0;
    for round in 0..400 {
        let revision = RELEASES[round % RELEASES.len()];
        let legs = (0..2 + dice.below(3))
            .map(|_| {
                let decimals = [6, 8, 18][usize::try_from(dice.below(3)).unwrap()];
                let price = 1 + dice.below(1_000_000_000_000);
                // Up to a million dollars of each.
                let unit = 10_u128.pow(u32::try_from(decimals).unwrap());
                let dollars =
                    |dice: &mut Dice| u128::from(dice.below(100_000_000_000_000)) * unit / u128::from(price);
                let (supplied, owed) = match dice.below(4) {
                    0 => (0, dollars(&mut dice) / 2),
                    1 => (dollars(&mut dice), dollars(&mut dice) / 2),
                    _ => (dollars(&mut dice), 0),
                };
                (decimals, 5_000 + dice.below(4_500), price, supplied, owed)
            })
            .collect::<Vec<_>>();
        let market = world(revision, &legs);
        for line in lines(&market) {
            for (direction, crossing) in
                [(line.direction, line.first), (line.direction.opposite(), line.other)]
            {
                let current = line.current.0;
                let end = match crossing {
                    Crossing::At(price) => {
                        found_some += 1;
                        assert_ne!(falls(&market, line.asset, price.0), line.is_liquidatable);
                        price.0
                    }
                    Crossing::Never if direction == Direction::Down => U256::ZERO,
                    Crossing::Never => current * U256::from(1_000),
                    Crossing::Undetermined => panic!("undetermined: {legs:?} {line:?}"),
                };
                let (low, high) = (end.min(current), end.max(current));
                for part in 1..60_u64 {
                    let near = match direction {
                        Direction::Down => low + U256::from(part),
                        Direction::Up => high - U256::from(part).min(high),
                    };
                    let far = low + (high - low) * U256::from(part) / U256::from(60);
                    for price in [near, far] {
                        if price > low && price < high {
                            assert_eq!(
                                falls(&market, line.asset, price),
                                line.is_liquidatable,
                                "{legs:?} {line:?} {price}"
                            );
                        }
                    }
                }
            }
        }
    }
    assert!(found_some > 300, "{found_some}");
}

#[test]
fn a_remedy_is_just_enough() {
    let mut dice = Dice::new(20_260_403);
    let when = |market: &Market| factor(market, &market.prices);
    let mut looked = 0;
    for round in 0..300 {
        let revision = RELEASES[round % RELEASES.len()];
        let whole = 10_u128.pow(18);
        let legs = [
            (18, 8_250, 200_000_000_000, whole * u128::from(1 + dice.below(90)) / 10, 0),
            (8, 7_000, 500_000_000_000, u128::from(dice.below(100_000_000)), 0),
            (6, 8_000, 100_000_000, 0, u128::from(1 + dice.below(20_000_000_000))),
        ];
        let market = world(revision, &legs);
        let target = HealthFactor(big("1050000000000000000"));
        let remedy =
            market.remedy(BORROWER, target, &Moment { timestamp: NOW, prices: &market.prices }).unwrap();
        let balance = |asset: Address| market.accounts[&BORROWER].balances[&market.reserves[&asset].id];
        let changed = |asset: Address, supply: U256, debt: U256| {
            let mut market = market.clone();
            hold(&mut market, BORROWER, asset, supply, debt);
            when(&market)
        };
        for (asset, added) in remedy.add {
            let (added, now) = (added.unwrap().0, balance(asset));
            looked += 1;
            assert!(changed(asset, now.supply + added, now.debt) >= target);
            if !added.is_zero() {
                assert!(changed(asset, now.supply + added - U256::ONE, now.debt) < target);
            }
        }
        for (asset, repaid) in remedy.repay {
            let (repaid, now) = (repaid.unwrap().0, balance(asset));
            assert!(changed(asset, now.supply, now.debt - repaid) >= target);
            if !repaid.is_zero() {
                assert!(changed(asset, now.supply, now.debt - repaid + U256::ONE) < target);
            }
        }
    }
    assert!(looked > 300, "{looked}");
}

/// The same asset supplied and owed so that a price moves both sides almost alike: what is left is mostly rounding. At a
/// hundredth of a token the first crossing is always found; at nothing at all it may be said that it was not.
#[test]
fn where_both_sides_almost_cancel_out_the_first_is_found() {
    let mut dice = Dice::new(20_260_404);
    let mut found_some = 0;
    for round in 0..60 {
        let revision = RELEASES[round % RELEASES.len()];
        let decimals = [6, 8, 18][usize::try_from(dice.below(3)).unwrap()];
        let unit = 10_u128.pow(u32::try_from(decimals).unwrap());
        let apart = if round < 54 { unit / 100 * u128::from(1 + dice.below(5)) } else { 0 };
        let whole = unit / 10 * u128::from(1 + dice.below(1_000)) + u128::from(dice.below(100_000));
        // 80 % of the supply is owed, but for what they are apart.
        let (supplied, owed) = (5 * whole, 4 * whole);
        let owed = if dice.below(2) == 0 { owed + apart } else { owed.saturating_sub(apart) };
        let legs = [
            (decimals, 8_000, 1 + dice.below(400_000_000_000), supplied, owed),
            (2, 10_000, 100, u128::from(dice.below(6)), u128::from(dice.below(3))),
        ];
        let market = world(revision, &legs);
        let line = &lines(&market)[0];
        for (direction, crossing) in [(line.direction, line.first), (line.direction.opposite(), line.other)] {
            let near = brute(&market, line, direction, 300).map(U256::from);
            match crossing {
                Crossing::At(Price(price)) => {
                    found_some += 1;
                    assert_ne!(falls(&market, line.asset, price), line.is_liquidatable);
                    let is_near = price.abs_diff(line.current.0) <= U256::from(300);
                    assert_eq!(near, is_near.then_some(price), "{legs:?} {line:?}");
                }
                Crossing::Never => assert_eq!(near, None, "{legs:?} {line:?}"),
                Crossing::Undetermined => assert!(apart == 0 && near.is_none(), "{legs:?} {line:?}"),
            }
        }
    }
    assert!(found_some > 10, "{found_some}");
}
