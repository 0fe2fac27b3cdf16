//! States in which an account is not judged, or a pair not offered: what is not known is never acted on.

use super::world::{NOW, RELEASES, asset, attempt, big, hold, list, market, terms};
use alloy::primitives::{Address, B256, Bytes, LogData, U256};
use backstop::domain::chain::{Answer, BlockRef, Log};
use backstop::domain::prices::Moment;
use backstop::domain::protocol::{Protocol, Revert, Unknown};
use backstop::domain::protocols::aave_v3::Market;
use backstop::domain::protocols::aave_v3::state::{EMode, Stage};
use backstop::domain::units::{Amount, Overflow};

const BORROWER: Address = Address::repeat_byte(0xB0);
const RAY: &str = "1000000000000000000000000000";

/// Ten WETH of collateral and 8,700 USDX of debt at a price of 1,000: health is 0.988.
fn weak(revision: u64) -> (Market, (Address, Address)) {
    let mut market = market(revision);
    let usdx = asset(0, terms(6, 7_800, 10_450, 1_000), big(RAY), big(RAY));
    let weth = asset(1, terms(18, 8_600, 10_500, 1_000), big(RAY), big(RAY));
    let usdx = list(&mut market, usdx, U256::from(100_000_000));
    let weth = list(&mut market, weth, U256::from(100_000_000_000_u64));
    hold(&mut market, BORROWER, usdx, U256::ZERO, U256::from(8_700_000_000_u64));
    hold(&mut market, BORROWER, weth, big("10000000000000000000"), U256::ZERO);
    (market, (weth, usdx))
}

/// What trying to take everything gives after `change`.
fn after(revision: u64, change: impl Fn(&mut Market, (Address, Address))) -> Result<U256, Revert> {
    let (mut market, pair) = weak(revision);
    change(&mut market, pair);
    attempt(&market, BORROWER, pair, U256::MAX, NOW).map(|outcome| outcome.repaid.0)
}

/// Why the account cannot be judged after `change`.
fn unknown(revision: u64, change: impl Fn(&mut Market, (Address, Address))) -> Unknown {
    let (mut market, pair) = weak(revision);
    change(&mut market, pair);
    let when = Moment { timestamp: NOW, prices: &market.prices };
    let why = market.health(BORROWER, &when).unwrap_err();
    assert_eq!(market.opportunities(BORROWER, &[], &when), Err(why.clone()));
    why
}

fn set(market: &mut Market, asset: Address, bit: usize, value: bool) {
    market.reserves.get_mut(&asset).unwrap().configuration.0.set_bit(bit, value);
}

#[test]
fn the_contracts_refusals() {
    let half = Ok(U256::from(4_350_000_000_u64));
    for revision in RELEASES {
        assert_eq!(after(revision, |_, _| ()), half);
        assert_eq!(after(revision, |market, pair| set(market, pair.0, 56, false)), Err(Revert::Inactive));
        assert_eq!(after(revision, |market, pair| set(market, pair.1, 60, true)), Err(Revert::Paused));
        let sentinel = if revision == 11 { half } else { Err(Revert::Sentinel) };
        assert_eq!(after(revision, |market, _| market.liquidation_allowed = false), sentinel, "gone in 3.7");
        let no_flag =
            |market: &mut Market, _| market.accounts.get_mut(&BORROWER).unwrap().bitmap.set_bit(3, false);
        // Without its collateral the account is deep under water, and the pair is not one.
        assert_eq!(after(revision, no_flag), Err(Revert::NotCollateral));
        let drained = |market: &mut Market, pair: (Address, Address)| {
            market.reserves.get_mut(&pair.0).unwrap().available = Amount::new(U256::from(1_000));
        };
        assert_eq!(after(revision, drained), Err(Revert::Illiquid));
    }
    let grace = |until: u64| {
        move |market: &mut Market, pair: (Address, Address)| {
            market.reserves.get_mut(&pair.1).unwrap().grace_until = until;
        }
    };
    assert_eq!(after(10, grace(NOW)), Err(Revert::GracePeriod), "up to and including its last second");
    assert_eq!(after(10, grace(NOW - 1)), half);
    assert_eq!(after(1, grace(NOW)), half, "3.0 has no such period");
}

#[test]
fn the_sentinel_does_not_protect_what_is_deep_under_water() {
    let deep = |market: &mut Market, pair: (Address, Address)| {
        market.liquidation_allowed = false;
        hold(market, BORROWER, pair.1, U256::ZERO, U256::from(9_100_000_000_u64));
    };
    assert_eq!(after(10, deep), Ok(U256::from(9_100_000_000_u64)));
}

#[test]
fn what_is_not_known_is_said() {
    for revision in RELEASES {
        let price = |market: &mut Market, pair: (Address, Address)| market.prices.set(pair.0, None);
        assert!(matches!(unknown(revision, price), Unknown::NoPrice(_)));
        let stale = |market: &mut Market, _| market.mark(BORROWER);
        assert_eq!(unknown(revision, stale), Unknown::Stale(BORROWER));
        let code = |market: &mut Market, pair: (Address, Address)| {
            market.reserves.get_mut(&pair.1).unwrap().tokens_known = false;
        };
        assert!(matches!(unknown(revision, code), Unknown::Reserve(_)));
        let emode = |market: &mut Market, _| market.accounts.get_mut(&BORROWER).unwrap().emode = 7;
        assert_eq!(unknown(revision, emode), Unknown::EMode(7));
        let rules = |market: &mut Market, _| market.rules = None;
        assert_eq!(unknown(revision, rules), Unknown::Revision(revision));
        let stranger = |market: &mut Market, _| drop(market.accounts.remove(&BORROWER));
        assert_eq!(unknown(revision, stranger), Unknown::Account(BORROWER));
    }
    let stable = |market: &mut Market, _: (Address, Address)| {
        let held = market.accounts.get_mut(&BORROWER).unwrap();
        held.balances.get_mut(&0).unwrap().has_stable_debt = true;
    };
    assert!(matches!(unknown(1, stable), Unknown::StableDebt(_)));
}

#[test]
fn debt_in_a_reserve_that_is_not_listed_is_not_taken_for_none() {
    for revision in RELEASES {
        for bit in [2 * 9, 2 * 9 + 1, 255] {
            let elsewhere = |market: &mut Market, _| {
                market.accounts.get_mut(&BORROWER).unwrap().bitmap.set_bit(bit, true)
            };
            assert_eq!(unknown(revision, elsewhere), Unknown::Unlisted(BORROWER));
        }
    }
}

/// GHO's discounts are in no log: from 3.4 on there are none.
#[test]
fn debt_with_a_discount_is_not_judged() {
    for revision in RELEASES {
        let discounted = |market: &mut Market, pair: (Address, Address)| set(market, pair.1, 252, false);
        if [4, 5, 7].contains(&revision) {
            assert!(matches!(unknown(revision, discounted), Unknown::Reserve(_)));
        } else {
            assert_eq!(after(revision, discounted), Ok(U256::from(4_350_000_000_u64)));
        }
    }
}

#[test]
fn decimals_beyond_256_bits_do_not_wrap() {
    // 10^256 is zero when it wraps, 10^78 is another number.
    for decimals in [78_u64, 100, 255] {
        let odd = |market: &mut Market, pair: (Address, Address)| {
            market.reserves.get_mut(&pair.1).unwrap().configuration = terms(decimals, 7_800, 10_450, 0);
        };
        assert_eq!(unknown(10, odd), Unknown::Overflow(Overflow));
    }
}

/// Ether mode with a bonus of 1 %: the account's threshold and bonus are the category's where it takes the asset.
fn category(collaterals: u128) -> EMode {
    let (threshold, bonus) = (U256::from(8_650), U256::from(10_100));
    EMode { threshold, bonus, price_source: Address::ZERO, collaterals, label: String::new() }
}

#[test]
fn e_mode_counts_by_bitmap_from_3_2_and_by_the_reserve_before() {
    let factor = |revision: u64, collaterals: u128, of_reserve: u64| {
        let (mut market, pair) = weak(revision);
        market.emodes.insert(1, category(collaterals));
        market.accounts.get_mut(&BORROWER).unwrap().emode = 1;
        market.reserves.get_mut(&pair.0).unwrap().configuration.0 |= U256::from(of_reserve) << 168;
        let when = Moment { timestamp: NOW, prices: &market.prices };
        market.health(BORROWER, &when).unwrap().factor.0.to_string()
    };
    let (base, better) = ("988505747126436781", "994252873563218390");
    let (base_half_up, better_half_up) = ("988505747126436782", "994252873563218391");
    assert_eq!([factor(10, 0b10, 0).as_str(), factor(10, 0b01, 1).as_str()], [better, base]);
    assert_eq!([factor(1, 0, 1).as_str(), factor(1, 0b10, 2).as_str()], [better_half_up, base_half_up]);
}

#[test]
fn collateral_without_a_threshold_of_its_own_counts_in_e_mode_from_3_6_only() {
    let collateral = |revision: u64| {
        let (mut market, pair) = weak(revision);
        market.emodes.insert(1, category(0b10));
        market.accounts.get_mut(&BORROWER).unwrap().emode = 1;
        let reserve = market.reserves.get_mut(&pair.0).unwrap();
        reserve.configuration.0 = terms(18, 0, 0, 0).0 | U256::ONE << 168;
        let when = Moment { timestamp: NOW, prices: &market.prices };
        let health = market.health(BORROWER, &when).unwrap();
        (health.collateral.0, attempt(&market, BORROWER, pair, U256::MAX, NOW).err())
    };
    assert_eq!(collateral(10), (U256::from(1_000_000_000_000_u64), None));
    assert_eq!(collateral(1), (U256::ZERO, Some(Revert::NotCollateral)));
}

#[test]
fn a_pool_that_was_upgraded_is_read_anew() {
    let (mut market, _) = weak(1);
    let answer = |number: u64| Answer(Some(Bytes::from(B256::from(U256::from(number)).to_vec())));
    let at = BlockRef { number: 1, hash: B256::ZERO, timestamp: NOW };
    market.emodes.insert(3, category(0));
    market.marks.pool = true;
    market.settle(at, &[answer(1)]).unwrap();
    assert!(market.reads().is_empty(), "the same revision changes nothing");
    market.marks.pool = true;
    market.settle(at, &[answer(10)]).unwrap();
    assert_eq!(market.rules.map(|rules| rules.release), Some("3.6"));
    assert!(market.marks.addresses && market.marks.emodes.contains(&3), "categories have bitmaps now");
    assert_eq!(market.marks.accounts.get(&BORROWER), Some(&Stage::Bitmap));
    let when = Moment { timestamp: NOW, prices: &market.prices };
    assert_eq!(market.health(BORROWER, &when), Err(Unknown::Stale(BORROWER)));
}

/// Repay(reserve, user, repayer, amount, useATokens): the only mark of a stable-rate debt paid back.
#[test]
fn a_repay_marks_its_borrower() {
    let (mut market, _) = weak(1);
    market.addresses.pool = Address::repeat_byte(0xA0);
    let topic = "0xa534c8dbe71f871f9f3530e97a74601fea17b426cae02e1c5aee42c96c784051".parse().unwrap();
    let topics = vec![topic, B256::ZERO, BORROWER.into_word(), B256::ZERO];
    let data = LogData::new_unchecked(topics, Bytes::new());
    market.on_log(&Log { address: market.addresses.pool, data }, NOW);
    assert_eq!(market.marks.accounts.get(&BORROWER), Some(&Stage::Confirm));
}
