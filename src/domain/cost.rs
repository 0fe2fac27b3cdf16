//! What a transaction costs: the next block's base fee, the tip we offer, and the ceiling we set.

use super::chain::Head;
use super::units::{Bps, FeePerGas, Gas, Overflow, Round, Wei, mul_div};
use alloy::eips::eip1559::BaseFeeParams;
use alloy::primitives::U256;

/// What the operator allows to be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeePolicy {
    /// Share of the expected net that is offered as tip.
    pub tip_share: Bps,
    /// Hard ceiling per unit of gas, base fee and tip together.
    pub max_fee: FeePerGas,
    pub max_tip: FeePerGas,
    /// Most gas one transaction may carry.
    pub gas_limit: Gas,
}

/// The fee fields of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    pub max_fee: FeePerGas,
    pub tip: FeePerGas,
    /// What each unit of gas is expected to cost in the next block.
    pub expected: FeePerGas,
}

/// Most gas of one transaction on Ethereum. Source: EIP-7825.
pub const TRANSACTION_CAP: Gas = Gas(16_777_216);
/// Gas limit over what the simulation used: refunds, up to a fifth, are paid back only at the end, every inner call
/// keeps back a 64th, and prices move a little until we are included.
const GAS_ROOM: (u64, u64) = (14, 10);
const GAS_FLOOR: u64 = 60_000;

/// The gas limit of a transaction that was seen to use `used`, at most `most`.
pub fn gas_limit(used: Gas, most: Gas) -> Gas {
    let (times, of) = GAS_ROOM;
    let roomy = used.0.saturating_mul(times).checked_div(of).unwrap_or(used.0).saturating_add(GAS_FLOOR);
    Gas(roomy.min(most.0))
}

/// The base fee of the block after `head`. Exact. Source: EIP-1559.
pub fn next_base_fee(head: &Head) -> FeePerGas {
    let base_fee = u64::try_from(head.base_fee.0).unwrap_or(u64::MAX);
    let next = BaseFeeParams::ethereum().next_block_base_fee(head.gas_used.0, head.gas_limit.0, base_fee);
    FeePerGas(u128::from(next))
}

/// Fees for a transaction that brings `gross` for `gas`. `None` when even without a tip it does not pay, or
/// the base fee is above the ceiling.
///
/// # Errors
/// `Overflow` when the amounts are beyond any real one.
pub fn fees(gross: Wei, gas: Gas, base_fee: FeePerGas, policy: &FeePolicy) -> Result<Option<Fees>, Overflow> {
    if base_fee > policy.max_fee || gas.0 == 0 {
        return Ok(None);
    }
    let Some(net) = gross.minus(gas.cost(base_fee)) else { return Ok(None) };
    let offered = net.times(policy.tip_share, Round::Down)?;
    let tip = per_gas(offered, gas)?.min(policy.max_tip);
    let room = FeePerGas(policy.max_fee.0.saturating_sub(base_fee.0));
    let tip = tip.min(room);
    // What the plan is worth per unit of gas is the most that may be paid, should the base fee rise first.
    let worth = per_gas(gross, gas)?;
    let expected = FeePerGas(base_fee.0.saturating_add(tip.0));
    let max_fee = FeePerGas(base_fee.0.saturating_mul(2).saturating_add(tip.0))
        .min(worth)
        .min(policy.max_fee)
        .max(expected);
    Ok(Some(Fees { max_fee, tip, expected }))
}

fn per_gas(total: Wei, gas: Gas) -> Result<FeePerGas, Overflow> {
    let each = mul_div(total.0, U256::ONE, U256::from(gas.0), Round::Down)?;
    Ok(FeePerGas(each.saturating_to()))
}

/// The fees that replace a pending transaction: both raised by an eighth. Nodes ask for a tenth; an eighth
/// leaves room for rounding on chains with tiny fees. `None` above the ceiling.
pub fn bumped(last: Fees, base_fee: FeePerGas, policy: &FeePolicy) -> Option<Fees> {
    let raise = |fee: FeePerGas| FeePerGas(fee.0.saturating_add(fee.0.div_ceil(8)).saturating_add(1));
    let tip = raise(last.tip);
    let needed = FeePerGas(base_fee.0.saturating_add(tip.0));
    let max_fee = raise(last.max_fee).max(needed);
    let ceiling = FeePerGas(policy.max_fee.0.max(raise(last.max_fee).0.min(policy.max_fee.0)));
    (max_fee <= ceiling).then_some(Fees { max_fee, tip, expected: needed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u128 = 1_000_000_000;

    fn policy() -> FeePolicy {
        FeePolicy {
            tip_share: Bps(1_000),
            max_fee: FeePerGas(100 * GWEI),
            max_tip: FeePerGas(5 * GWEI),
            gas_limit: Gas(3_000_000),
        }
    }

    /// gross in gwei for 1,000 gas at a base fee in gwei -> (max fee, tip) in gwei.
    fn check(gross: u128, base: u128, expected: Option<(u128, u128)>) {
        let found = fees(Wei::new(U256::from(gross * GWEI)), Gas(1_000), FeePerGas(base * GWEI), &policy());
        let found = found.unwrap().map(|fees| (fees.max_fee.0 / GWEI, fees.tip.0 / GWEI));
        assert_eq!(found, expected, "gross {gross} gwei at base fee {base} gwei");
    }

    #[test]
    fn the_tip_is_a_share_of_what_is_left_after_the_base_fee() {
        // 30,000 left after 10,000: a tenth is 3,000, which is 3 per gas.
        check(40_000, 10, Some((23, 3)));
    }

    #[test]
    fn the_tip_has_a_ceiling_of_its_own() {
        check(1_010_000, 10, Some((25, 5)));
    }

    #[test]
    fn nobody_pays_more_than_the_plan_is_worth() {
        check(11_000, 10, Some((11, 0)));
    }

    #[test]
    fn what_does_not_pay_the_base_fee_has_no_fees() {
        check(9_000, 10, None);
    }

    #[test]
    fn a_base_fee_above_the_ceiling_is_waited_out() {
        check(1_000_000, 101, None);
    }

    #[test]
    fn a_replacement_raises_both_fees_by_an_eighth_or_is_not_made() {
        let last = Fees { max_fee: FeePerGas(80), tip: FeePerGas(8), expected: FeePerGas(50) };
        let raised = bumped(last, FeePerGas(10), &policy()).unwrap();
        assert_eq!((raised.max_fee.0, raised.tip.0), (91, 10));
        let at_ceiling = Fees { max_fee: policy().max_fee, ..last };
        assert_eq!(bumped(at_ceiling, FeePerGas(10), &policy()), None);
    }
}
