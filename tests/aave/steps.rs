//! Two liquidations of one account behind one another: where a first one opens more for a second, and that the second
//! is judged on what the first has left.

use super::world::{NOW, RELEASES, asset, big, hold, list, market, terms};
use alloy::primitives::{Address, U256};
use backstop::domain::explain::Explain;
use backstop::domain::prices::Moment;
use backstop::domain::protocol::{Attempt, Opportunity, Protocol, Revert, Step};
use backstop::domain::protocols::aave_v3::Market;
use backstop::domain::units::Amount;

const BORROWER: Address = Address::repeat_byte(0xB0);
const RAY: &str = "1000000000000000000000000000";
const ONE: u64 = 1_000_000_000_000_000_000;
/// How far beyond a bound a first call goes.
const HEADROOM: u64 = 200_000_000_000_000;

/// Collateral of ten WETH at 1,000 dollars, and debt of so many dollars, in millionths.
fn world(revision: u64, threshold: u64, bonus: u64, debt: u64) -> Market {
    let mut market = market(revision);
    let usdx = list(&mut market, asset(0, terms(6, 7_800, 10_450, 0), big(RAY), big(RAY)), big("100000000"));
    let weth = asset(1, terms(18, threshold, bonus, 1_000), big(RAY), big(RAY));
    let weth = list(&mut market, weth, big("100000000000"));
    hold(&mut market, BORROWER, weth, big("10000000000000000000"), U256::ZERO);
    hold(&mut market, BORROWER, usdx, U256::ZERO, U256::from(debt));
    market
}

fn offered(market: &Market, after: &[Step]) -> Result<Opportunity, Revert> {
    let when = Moment { timestamp: NOW, prices: &market.prices };
    Ok(market.opportunities(BORROWER, after, &when).unwrap()?.remove(0))
}

fn step(pair: &Opportunity, cover: U256) -> Step {
    Step { debt_asset: pair.debt_asset, collateral_asset: pair.collateral_asset, cover }
}

/// The health factor that the contract has after the step.
fn health(market: &Market, step: &Step) -> U256 {
    let Step { debt_asset, collateral_asset, cover } = *step;
    let liquidator = Address::ZERO;
    let attempt =
        Attempt { account: BORROWER, debt_asset, collateral_asset, cover, takes_shares: false, liquidator };
    let when = Moment { timestamp: NOW, prices: &market.prices };
    market.execution(&attempt, &when).unwrap().unwrap().health.factor.0
}

/// Debt units of both calls together with the best opening, and of the largest single call.
fn together(market: &Market) -> (U256, U256) {
    let pair = offered(market, &[]).unwrap();
    let both = pair.openings.iter().filter_map(|opening| {
        let second = offered(market, &[step(&pair, opening.0)]).ok()?;
        Some(opening.0 + second.most.0)
    });
    (both.max().unwrap_or(pair.most.0), pair.most.0)
}

#[test]
fn the_largest_first_repay_that_leaves_it_liquidatable_is_found_to_the_unit() {
    for revision in RELEASES {
        // Health 0.98: a half makes it healthy.
        let market = world(revision, 8_250, 10_500, 8_418_367_346);
        let pair = offered(&market, &[]).unwrap();
        assert!(health(&market, &step(&pair, pair.most.0)) >= U256::from(ONE));
        let opening = pair.openings[0].0;
        let bound = U256::from(ONE - HEADROOM);
        assert!(health(&market, &step(&pair, opening)) < bound, "{revision}");
        assert!(health(&market, &step(&pair, opening + U256::ONE)) >= bound, "{revision}");
        // (1 - HF) / (1 - LT (1 + b)) of the debt, and half of the rest behind it: 15 % more than half of all.
        let (both, single) = together(&market);
        let gain = (both - single) * U256::from(10_000) / single;
        assert!((1_400..1_600).contains(&gain.to::<u64>()), "{revision}: {gain}");
    }
}

/// With thresholds so close that each repay hurts, a first call pushes it to where all may be repaid.
#[test]
fn where_repaying_hurts_a_first_repay_opens_everything() {
    for revision in RELEASES {
        // Health 0.955 with 97 % and a bonus of 3 %: 97 % of 1.03 is more than 0.955.
        let market = world(revision, 9_700, 10_300, 10_157_068_062);
        let pair = offered(&market, &[]).unwrap();
        let opening = pair
            .openings
            .iter()
            .find(|opening| health(&market, &step(&pair, opening.0)) <= big("950000000000000000"));
        let opening = opening.unwrap_or_else(|| panic!("{revision}: {pair:?}")).0;
        let bound = big("950000000000000000") - U256::from(HEADROOM);
        assert!(health(&market, &step(&pair, opening)) <= bound);
        assert!(health(&market, &step(&pair, opening - U256::ONE)) > bound);
        let second = offered(&market, &[step(&pair, opening)]).unwrap();
        let left = U256::from(10_157_068_062_u64) - opening;
        assert!(second.most.0 > left * U256::from(9) / U256::from(10), "{revision}: {second:?} of {left}");
    }
}

/// From 3.3 on all of a debt may be repaid once a side is worth less than 2,000.
#[test]
fn a_first_repay_that_makes_a_side_small_opens_the_rest() {
    for revision in RELEASES {
        // 2.6 WETH and 2,210 dollars at a health of 0.97.
        let mut market = world(revision, 8_250, 10_500, 2_211_340_206);
        let weth = market.reserves.values().find(|reserve| reserve.id == 1).unwrap().asset;
        hold(&mut market, BORROWER, weth, big("2600000000000000000"), U256::ZERO);
        let (both, single) = together(&market);
        if revision < 7 {
            assert!(both < U256::from(1_400_000_000_u64), "{revision}: {both} after {single}");
        } else {
            assert_eq!(both, U256::from(2_211_340_206_u64), "{revision}: everything");
        }
    }
}

/// From 3.5 on a single unit is refused where the index is above one: the search does not begin there.
#[test]
fn an_opening_is_found_where_single_units_are_refused() {
    for revision in RELEASES {
        let mut market = world(revision, 8_250, 10_500, 8_418_367_346);
        let index = big("1000000000000000000123456789");
        market.reserves.values_mut().find(|reserve| reserve.id == 0).unwrap().borrow_index = index;
        let pair = offered(&market, &[]).unwrap();
        assert_eq!(pair.openings.len(), 1, "{revision}: {pair:?}");
    }
}

#[test]
fn openings_are_found_where_the_reserve_cannot_pay_the_largest_repay() {
    for revision in RELEASES {
        let mut market = world(revision, 8_250, 10_500, 8_418_367_346);
        let openings = offered(&market, &[]).unwrap().openings;
        let weth = market.reserves.values_mut().find(|reserve| reserve.id == 1).unwrap();
        // The largest takes more than four of them, the opening less than two.
        weth.available = Amount(big("2000000000000000000"));
        assert_eq!(offered(&market, &[]).unwrap().openings, openings, "{revision}");
        assert!(!openings.is_empty(), "{revision}");
    }
}

/// From 3.3 on half of all debt is the most, and a first call leaves less of that: beyond some size the next one cannot take
/// all of another collateral any more, and must leave more than dust of it.
#[test]
fn the_largest_first_repay_that_leaves_the_next_all_of_a_collateral_is_found() {
    for revision in RELEASES.into_iter().filter(|revision| *revision >= 7) {
        // Ten WETH and 7,000 of another dollar, at a health of 0.98.
        let mut market = world(revision, 8_250, 10_500, 14_311_224_489);
        let other = asset(2, terms(6, 8_250, 10_500, 0), big(RAY), big(RAY));
        let other = list(&mut market, other, big("100000000"));
        hold(&mut market, BORROWER, other, U256::from(7_000_000_000_u64), U256::ZERO);
        let when = Moment { timestamp: NOW, prices: &market.prices };
        let pair = offered(&market, &[]).unwrap();
        assert_ne!(pair.collateral_asset, other);
        let takes_all = |first: U256| {
            let pairs = market.opportunities(BORROWER, &[step(&pair, first)], &when).unwrap();
            let Ok(pairs) = pairs else { return false };
            let next = pairs.iter().find(|pair| pair.collateral_asset == other).unwrap();
            let outcome = market.outcome(next, Amount(U256::MAX), &when).unwrap();
            outcome.is_ok_and(|outcome| outcome.cover == U256::MAX)
        };
        let more = |first: U256| first + first / U256::from(250);
        let found = pair.openings.iter().any(|first| takes_all(first.0) && !takes_all(more(first.0)));
        assert!(found, "{revision}: {pair:?}");
    }
}

#[test]
fn what_the_first_step_leaves_is_what_the_second_finds() {
    let market = world(11, 8_250, 10_500, 8_418_367_346);
    let pair = offered(&market, &[]).unwrap();
    let first = step(&pair, pair.openings[0].0);
    let second = offered(&market, &[first]).unwrap();
    assert_eq!(second.after, [first]);
    assert_eq!(second.health.0, health(&market, &first));
    assert!(second.openings.is_empty(), "there is no third");
    let when = Moment { timestamp: NOW, prices: &market.prices };
    let outcome = market.outcome(&second, Amount(U256::MAX), &when).unwrap().unwrap();
    assert_eq!(outcome.repaid, second.most);
    // The whole close factor at first, and there is nothing left to liquidate.
    let healed = step(&pair, pair.most.0);
    assert_eq!(offered(&market, &[healed]), Err(Revert::Healthy));
    // A first step that the contract refuses refuses the whole.
    assert_eq!(offered(&market, &[step(&pair, U256::ZERO)]), Err(Revert::Nothing));
}
