//! What holds for every number, tried on many: seeded, so that a failure can be had again. A failure names its seed.

pub mod dice;
mod liquidations;
pub mod pools;
mod routes;

use alloy::primitives::{B256, U256, U512};
use backstop::domain::chain::{BlockRef, Head};
use backstop::domain::cost::{FeePolicy, bumped, fees, next_base_fee};
use backstop::domain::plan::least_profit;
use backstop::domain::protocols::aave_v3::math::{self, Rounding};
use backstop::domain::units::{Bps, FeePerGas, Gas, Overflow, Round, Wei, mul_div};
use dice::{Dice, for_all};

#[test]
fn mul_div_is_the_quotient_of_the_whole_product() {
    for_all(|dice| {
        let (a, b, d) = (dice.wide(), dice.wide(), dice.wide());
        let product = U512::from(a) * U512::from(b);
        let expected = |up: bool| {
            let divisor = U512::from(d);
            if d.is_zero() {
                return Err(Overflow);
            }
            // By multiplying back, not by the same division.
            let mut quotient = product / divisor;
            assert!(quotient * divisor <= product && product - quotient * divisor < divisor);
            if up && quotient * divisor != product {
                quotient += U512::ONE;
            }
            if quotient > U512::from(U256::MAX) { Err(Overflow) } else { Ok(quotient.to::<U256>()) }
        };
        assert_eq!(mul_div(a, b, d, Round::Down), expected(false), "{a} * {b} / {d} down");
        assert_eq!(mul_div(a, b, d, Round::Up), expected(true), "{a} * {b} / {d} up");
    });
}

#[test]
fn the_contracts_own_division_overflows_where_its_product_does() {
    for_all(|dice| {
        let (a, b, d) = (dice.wide(), dice.wide(), dice.wide());
        let product = U512::from(a) * U512::from(b);
        let added = [(Rounding::Floor, U512::ZERO), (Rounding::HalfUp, U512::from(d / U256::from(2)))];
        let top = U512::from(U256::MAX);
        for (rounding, more) in added {
            let fits = !d.is_zero() && product <= top && product + more <= top;
            let expected = fits.then(|| ((product + more) / U512::from(d)).to::<U256>()).ok_or(Overflow);
            assert_eq!(math::scale(a, b, d, rounding), expected, "{a} * {b} / {d} {rounding:?}");
        }
        let fits = !d.is_zero() && product <= top;
        let ceiling = fits.then(|| product.div_ceil(U512::from(d)).to::<U256>()).ok_or(Overflow);
        assert_eq!(math::scale(a, b, d, Rounding::Ceil), ceiling, "{a} * {b} / {d} up");
    });
}

#[test]
fn the_least_profit_is_never_above_gross_and_never_below_gas_where_gross_pays_it() {
    for_all(|dice| {
        let (gross, floor) = (Wei(dice.wide()), Wei(dice.wide()));
        let slippage = Bps(dice.below(10_001) as u32);
        let least = least_profit(gross, slippage, floor).unwrap();
        assert!(least <= gross, "{least} of {gross}");
        assert!(floor > gross || least >= floor, "{least} under {floor} of {gross}");
        let kept =
            mul_div(gross.0, U256::from(10_000 - slippage.0), U256::from(10_000), Round::Down).unwrap();
        assert!(least.0 >= kept, "{least} gives up more than {slippage:?} of {gross}");
        assert_eq!(least_profit(gross, Bps(10_001), floor).is_err(), !gross.is_zero());
    });
}

fn policy(dice: &mut Dice) -> FeePolicy {
    FeePolicy {
        tip_share: Bps(dice.below(10_001) as u32),
        max_fee: FeePerGas(u128::from(dice.next() >> dice.below(64))),
        max_tip: FeePerGas(u128::from(dice.next() >> dice.below(64))),
        gas_limit: Gas(30_000_000),
    }
}

#[test]
fn fees_never_pass_a_ceiling_nor_what_the_plan_is_worth() {
    for_all(|dice| {
        let policy = policy(dice);
        let base_fee = FeePerGas(u128::from(dice.next() >> dice.below(64)));
        let gas = Gas(dice.below(30_000_001));
        let gross = Wei(dice.wide() >> 100);
        let Some(fees) = fees(gross, gas, base_fee, &policy).unwrap() else { return };
        let what = format!("{fees:?} under {policy:?} at {base_fee:?} for {gas:?} and {gross}");
        assert!(fees.max_fee <= policy.max_fee, "{what}");
        assert!(fees.tip <= policy.max_tip && fees.tip <= fees.max_fee, "{what}");
        assert!(fees.max_fee >= base_fee && fees.expected <= fees.max_fee, "{what}");
        assert!(gas.cost(fees.max_fee) <= gross, "{what}: more than it brings");
        let left = gross.minus(gas.cost(base_fee)).unwrap();
        assert!(gas.cost(fees.tip) <= left.times(policy.tip_share, Round::Up).unwrap(), "{what}: tip");
    });
}

#[test]
fn a_replacement_is_acceptable_to_nodes_and_under_the_ceiling_or_not_made() {
    for_all(|dice| {
        let policy = policy(dice);
        let base_fee = FeePerGas(u128::from(dice.next() >> dice.below(64)));
        let gross = Wei(dice.wide() >> 100);
        let Some(last) = fees(gross, Gas(500_000), base_fee, &policy).unwrap() else { return };
        let later = FeePerGas(u128::from(dice.next() >> dice.below(64)));
        let Some(raised) = bumped(last, later, &policy) else { return };
        let what = format!("{last:?} -> {raised:?} under {policy:?}");
        // Nodes ask for a tenth more on both fields, rounded up.
        for (old, new) in [(last.max_fee, raised.max_fee), (last.tip, raised.tip)] {
            assert!(new.0 >= (old.0 * 11).div_ceil(10), "{what}: too little");
        }
        assert!(raised.max_fee <= policy.max_fee, "{what}: above the ceiling");
        assert!(raised.max_fee.0 >= later.0 + raised.tip.0, "{what}: not included at {later:?}");
    });
}

#[test]
fn the_next_base_fee_is_the_formula_of_eip_1559() {
    for_all(|dice| {
        let gas_limit = 2 * (1 + dice.below(1 << 32));
        let gas_used = dice.below(gas_limit + 1);
        let base_fee = dice.next() >> (16 + dice.below(48));
        let head = Head {
            block: BlockRef { number: 1, hash: B256::ZERO, timestamp: 1 },
            parent: B256::ZERO,
            base_fee: FeePerGas(u128::from(base_fee)),
            gas_used: Gas(gas_used),
            gas_limit: Gas(gas_limit),
        };
        let (base, used, target) = (u128::from(base_fee), u128::from(gas_used), u128::from(gas_limit / 2));
        let change = |distance: u128| base * distance / target / 8;
        let expected = match used.cmp(&target) {
            std::cmp::Ordering::Equal => base,
            std::cmp::Ordering::Greater => base + change(used - target).max(1),
            std::cmp::Ordering::Less => base - change(target - used),
        };
        assert_eq!(next_base_fee(&head).0, expected, "{base_fee} with {gas_used} of {gas_limit}");
    });
}
