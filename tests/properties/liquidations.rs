//! Random positions: what a liquidation may never do, and how health moves.

use super::dice::{Dice, for_all};
use crate::aave::world::{NOW, asset, hold, list, market, terms};
use alloy::primitives::{Address, U256, uint};
use backstop::domain::prices::{Moment, Prices};
use backstop::domain::protocol::{Opportunity, Protocol, Unknown};
use backstop::domain::protocols::aave_v3::Market;
use backstop::domain::protocols::aave_v3::math::{Rounding, percent_mul, ray_mul};
use backstop::domain::protocols::aave_v3::rules::CloseFactor;
use backstop::domain::units::{Amount, HealthFactor, Price};
use std::cell::Cell;

const BORROWER: Address = Address::repeat_byte(0xB0);
const RAY: U256 = uint!(1_000_000_000_000_000_000_000_000_000_U256);
const DECIMALS: [u64; 5] = [2, 6, 8, 18, 27];

fn index(dice: &mut Dice) -> U256 {
    RAY + U256::from(dice.next()) * U256::from(dice.below(1 << 28))
}

/// An account with up to three assets on both sides, near the line more often than not.
fn position(dice: &mut Dice, revision: u64) -> Market {
    let mut market = market(revision);
    for id in 0..3 {
        let decimals = DECIMALS[dice.below(5) as usize];
        let threshold = dice.between(100, 9_700);
        let bonus = 10_000 + dice.below(2_000);
        let fee = [0, 1_000, 2_000, dice.below(10_001)][dice.below(4) as usize];
        let (income, debt_index) = (index(dice), index(dice));
        let price = U256::from(dice.between(1, 10_000_000_000_000));
        let reserve = asset(id, terms(decimals, threshold, bonus, fee), income, debt_index);
        let unit = reserve.unit();
        let address = list(&mut market, reserve, price);
        // Worth up to some hundred thousand on each side.
        let mut units = |chance: u64| {
            let worth = U256::from(dice.between(0, 50_000_000_000_000));
            if dice.below(chance) == 0 { U256::ZERO } else { worth * unit / price }
        };
        let (supply, debt) = (units(3), units(3));
        hold(&mut market, BORROWER, address, supply, debt);
    }
    market
}

fn pairs(market: &Market) -> Option<Vec<Opportunity>> {
    let when = Moment { timestamp: NOW, prices: &market.prices };
    market.opportunities(BORROWER, &[], &when).unwrap().ok()
}

fn no_liquidation_goes_too_far(revision: u64) {
    let (tried, whole, refused) = (Cell::new(0), Cell::new(0), Cell::new(0));
    for_all(|dice| {
        let market = position(dice, revision);
        let rules = market.rules.unwrap();
        let when = Moment { timestamp: NOW, prices: &market.prices };
        let health = market.health(BORROWER, &when).unwrap();
        for pair in pairs(&market).unwrap_or_default() {
            let (collateral, debt) =
                (&market.reserves[&pair.collateral_asset], &market.reserves[&pair.debt_asset]);
            let balance = |id: u16| market.accounts[&BORROWER].balances[&id];
            let owed = ray_mul(balance(debt.id).debt, debt.borrow_index, rules.debt).unwrap();
            let supplied =
                ray_mul(balance(collateral.id).supply, collateral.liquidity_index, rules.supply).unwrap();
            let deep = health.factor.0 <= uint!(950_000_000_000_000_000_U256);
            let price = market.prices.get(debt.asset).unwrap().0;
            let most = match rules.close_factor {
                CloseFactor::PerReserve if !deep => owed.div_ceil(U256::from(2)),
                CloseFactor::WholePosition if !deep => {
                    let small = uint!(200_000_000_000_U256);
                    let value = market.prices.get(collateral.asset).unwrap().0 * supplied / collateral.unit();
                    let half = percent_mul(health.debt.0, U256::from(5_000), Rounding::HalfUp).unwrap();
                    let is_small = value < small || (price * owed).div_ceil(debt.unit()) < small;
                    if is_small { owed } else { owed.min(half * debt.unit() / price) }
                }
                _ => owed,
            };
            assert!(pair.most.0 <= most, "{pair:?}: more than {most}");
            let asked = match dice.below(4) {
                0 => U256::MAX,
                1 => pair.most.0,
                2 => pair.kinks.first().map_or(U256::ONE, |kink| kink.0),
                _ => pair.most.0 * U256::from(dice.below(1_000)) / U256::from(1_000),
            };
            let Ok(outcome) = market.outcome(&pair, Amount(asked), &when).unwrap() else {
                refused.set(refused.get() + 1);
                continue;
            };
            let what = format!("{pair:?} asked {asked}: {outcome:?}");
            assert!(outcome.repaid.0 <= most.min(owed), "{what}: more than {most} of {owed}");
            // What takes the collateral to its last unit asks for all that is allowed, lest interest leave dust. Of that
            // the protocol's share may lose what two scaled units are worth: both transfers round.
            let everything = outcome.cover == U256::MAX;
            let two_shares = U256::from(2) * collateral.liquidity_index.div_ceil(RAY);
            let exhausts = supplied - (outcome.seized.0 + outcome.fee.0).min(supplied) <= two_shares;
            assert!(outcome.repaid.0 <= asked.max(U256::ONE) || exhausts, "{what}: more than asked");
            assert!(!everything || exhausts || outcome.repaid.0 == owed, "{what}: neither side is closed");
            assert!(outcome.seized.0 + outcome.fee.0 <= supplied, "{what}: more than {supplied}");
            assert!(outcome.cover == U256::MAX || outcome.cover <= asked, "{what}: the call asks for more");
            // The call must do what was promised: its own size gives the same outcome.
            assert_eq!(market.outcome(&pair, Amount(outcome.cover), &when), Ok(Ok(outcome)), "{what}");
            if rules.forbids_dust && !everything {
                let left = supplied - outcome.seized.0 - outcome.fee.0;
                let value = market.prices.get(collateral.asset).unwrap().0 * left / collateral.unit();
                assert!(value >= uint!(100_000_000_000_U256), "{what}: leaves {value}");
            }
            tried.set(tried.get() + 1);
            whole.set(whole.get() + u32::from(outcome.cover == U256::MAX));
        }
    });
    let (tried, whole, refused) = (tried.get(), whole.get(), refused.get());
    println!("pool revision {revision}: {tried} liquidations, {whole} whole, {refused} refused");
    assert!(tried > 1_000 && whole > 100 && tried - whole > 100, "the cases are too tame");
}

#[test]
fn no_liquidation_of_release_3_0_goes_too_far() {
    no_liquidation_goes_too_far(1);
}

#[test]
fn no_liquidation_of_release_3_3_goes_too_far() {
    no_liquidation_goes_too_far(7);
}

#[test]
fn no_liquidation_of_release_3_7_goes_too_far() {
    no_liquidation_goes_too_far(11);
}

#[test]
fn no_liquidation_of_release_3_6_goes_too_far() {
    no_liquidation_goes_too_far(10);
}

/// Of an asset on one side only, a higher price is better for collateral and worse for debt.
#[test]
fn health_moves_one_way_with_each_price() {
    for_all(|dice| {
        let market = position(dice, 10);
        let factor =
            |prices: &Prices| market.health(BORROWER, &Moment { timestamp: NOW, prices }).unwrap().factor;
        for (address, reserve) in &market.reserves {
            let held = market.accounts[&BORROWER].balances[&reserve.id];
            if !held.supply.is_zero() && !held.debt.is_zero() {
                continue;
            }
            let mut prices = market.prices.clone();
            let price = prices.get(*address).unwrap().0;
            let higher = price + U256::from(1 + dice.below(1 << 40));
            let before = factor(&prices);
            prices.set(*address, Some(Price(higher)));
            let after = factor(&prices);
            let ordered = if held.debt.is_zero() { before <= after } else { before >= after };
            assert!(ordered, "{address} from {price} to {higher}: {before} became {after}");
            prices.set(*address, None);
            let blind = market.health(BORROWER, &Moment { timestamp: NOW, prices: &prices });
            let touched = !held.supply.is_zero() || !held.debt.is_zero();
            assert_eq!(blind.is_err(), touched, "a price that is needed and not known: {blind:?}");
        }
    });
}

/// Numbers beyond all reason are unknown, never a panic and never healthy.
#[test]
fn what_overflows_is_unknown() {
    let (fine, beyond) = (Cell::new(0), Cell::new(0));
    for_all(|dice| {
        let revision = if dice.below(2) == 0 { 1 } else { 10 };
        let mut market = position(dice, revision);
        for reserve in market.reserves.values_mut() {
            reserve.liquidity_index = dice.wide();
            reserve.borrow_index = dice.wide();
            reserve.liquidity_rate = dice.wide();
            reserve.borrow_rate = dice.wide();
            reserve.last_update = dice.next();
        }
        for balances in market.accounts.get_mut(&BORROWER).unwrap().balances.values_mut() {
            (balances.supply, balances.debt) = (dice.wide(), dice.wide());
        }
        let mut prices = Prices::default();
        for address in market.reserves.keys() {
            prices.set(*address, Some(Price(dice.wide().max(U256::ONE))));
        }
        let when = Moment { timestamp: dice.next(), prices: &prices };
        match market.health(BORROWER, &when) {
            Ok(health) => {
                assert_eq!(health.factor == HealthFactor::MAX, health.debt.is_zero());
                fine.set(fine.get() + 1);
                if let Ok(Ok(pairs)) = market.opportunities(BORROWER, &[], &when) {
                    for pair in pairs {
                        drop(market.outcome(&pair, Amount(dice.wide()), &when));
                    }
                }
            }
            Err(Unknown::Overflow(_)) => beyond.set(beyond.get() + 1),
            Err(other) => panic!("{other}"),
        }
    });
    let (fine, beyond) = (fine.get(), beyond.get());
    assert!(fine > 100 && beyond > 100, "{fine} fine, {beyond} beyond");
}
