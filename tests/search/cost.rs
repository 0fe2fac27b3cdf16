//! What a sequence of calls is worth: what is left in wrapped native coin once loans are repaid and gas is paid. The one
//! place that knows how a sequence is financed, which swaps it may take, and what gas it counts with:
//!
//! - Calls with the same debt are one plan: one loan, and swaps after its last call. It takes [`BASE_GAS`], [`CALL_GAS`]
//!   for each further call and [`SWAP_GAS`] a swap. Another debt is another plan behind it, which pays for itself.
//! - The loan is the market's where it lends as much, else that of any pool, which is locked then. What closes a side is
//!   asked for without a number, and is borrowed with [`GROWTH`].
//! - What was seized in the debt itself pays for it. The rest of the debt is bought with native coin that all else was
//!   sold for, or with one of the collaterals, of which the rest is sold. Each swap takes the best tier, as the swaps
//!   before it have left that.

use super::venue::Pools;
use alloy::primitives::{Address, U256};
use backstop::domain::amm::Exact;
use backstop::domain::protocol::Protocol;
use backstop::domain::protocols::aave_v3::Market;
use backstop::domain::size::{BASE_GAS, CALL_GAS, GROWTH, SWAP_GAS};
use backstop::domain::units::{Amount, FeePerGas, Gas, Round};

/// Wei, negative for a loss.
pub type Net = i128;

/// What one call moved.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    pub debt: Address,
    pub collateral: Address,
    pub paid: U256,
    pub received: U256,
    /// Nothing is left of a side.
    pub closes: bool,
}

pub struct Books<'a> {
    pub market: &'a Market,
    pub native: Address,
    pub base_fee: FeePerGas,
    pub pools: Pools,
}

/// How what is missing is bought.
#[derive(Clone, Copy)]
enum Way {
    WithNative,
    With(Address),
}

impl Books<'_> {
    /// What calls leave that run in this order; `None` where they cannot be paid for.
    pub fn value(&mut self, calls: &[Moved]) -> Option<Net> {
        // Calls do not give back what others need to take out of a reserve.
        let is_there = calls.iter().all(|call| {
            let all = calls.iter().filter(|other| other.collateral == call.collateral);
            let taken = all.fold(U256::ZERO, |sum, other| sum + other.received);
            taken <= self.market.reserves[&call.collateral].available.0
        });
        if !is_there {
            return None;
        }
        let plans = calls.chunk_by(|a, b| a.debt == b.debt).collect::<Vec<_>>();
        self.best(&plans)
    }

    /// What these plans leave one behind the other.
    fn best(&mut self, plans: &[&[Moved]]) -> Option<Net> {
        let Some((plan, behind)) = plans.split_first() else { return Some(0) };
        let mut best: Option<Net> = None;
        for (missing, locked) in self.loans(plan) {
            for way in self.ways(plan) {
                let mark = self.pools.mark();
                if let Some((left, swaps)) = self.swapped(plan, missing, locked, way)
                    && let Some(others) = self.best(behind)
                {
                    let calls = plan.len() as u64 - 1;
                    let gas = Gas(BASE_GAS.0 + CALL_GAS.0 * calls + SWAP_GAS.0 * swaps);
                    let net = signed(left) - signed(gas.cost(self.base_fee).0) + others;
                    best = best.max(Some(net));
                }
                self.pools.undo(mark);
            }
        }
        best
    }

    /// What must be repaid for each loan there is, and the pool that it locks.
    fn loans(&self, plan: &[Moved]) -> Vec<(U256, Option<usize>)> {
        let debt = plan[0].debt;
        let paid = plan.iter().fold(U256::ZERO, |sum, call| sum + call.paid);
        let mut borrowed = paid;
        if plan.iter().any(|call| call.closes) {
            borrowed += Amount(paid).times(GROWTH, Round::Up).unwrap().0.max(U256::from(10));
        }
        let seized = plan.iter().filter(|call| call.collateral == debt);
        let needed = seized.fold(borrowed, |sum, call| sum + call.received);
        match self.market.flash(debt, Amount(borrowed)) {
            Some(terms) if terms.available.0 >= needed => vec![(paid + terms.premium.0, None)],
            _ => {
                let million = U256::from(1_000_000);
                let premium = |fee: u32| (borrowed * U256::from(fee)).div_ceil(million);
                let lenders = self.pools.lenders(debt, borrowed).into_iter();
                lenders.map(|(pool, fee)| (paid + premium(fee), Some(pool))).collect()
            }
        }
    }

    fn ways(&self, plan: &[Moved]) -> Vec<Way> {
        let mut ways = vec![Way::WithNative];
        let debt = plan[0].debt;
        if debt != self.native {
            let mut sold = plan.iter().map(|call| call.collateral).collect::<Vec<_>>();
            sold.dedup();
            sold.retain(|asset| *asset != debt && *asset != self.native);
            ways.extend(sold.into_iter().map(Way::With));
        }
        ways
    }

    /// Native coin left once `missing` is paid, and how many swaps that takes.
    fn swapped(
        &mut self,
        plan: &[Moved],
        mut missing: U256,
        locked: Option<usize>,
        way: Way,
    ) -> Option<(U256, u64)> {
        let (debt, native) = (plan[0].debt, self.native);
        let mut swaps = 0;
        let mut held: Vec<(Address, U256)> = Vec::new();
        for call in plan {
            match held.iter_mut().find(|(asset, _)| *asset == call.collateral) {
                Some((_, amount)) => *amount += call.received,
                None => held.push((call.collateral, call.received)),
            }
        }
        if let Some((_, amount)) = held.iter_mut().find(|(asset, _)| *asset == debt) {
            let used = missing.min(*amount);
            (missing, *amount) = (missing - used, *amount - used);
        }
        if let Way::With(sold) = way
            && !missing.is_zero()
        {
            let given = self.pools.swap(sold, debt, Exact::Out(missing), locked)?;
            let (_, amount) = held.iter_mut().find(|(asset, _)| *asset == sold)?;
            *amount = amount.checked_sub(given)?;
            (missing, swaps) = (U256::ZERO, 1);
        }
        let mut left = U256::ZERO;
        for (asset, amount) in held.into_iter().filter(|(_, amount)| !amount.is_zero()) {
            if asset == native {
                left += amount;
            } else {
                left += self.pools.swap(asset, native, Exact::In(amount), locked)?;
                swaps += 1;
            }
        }
        if debt == native {
            left = left.checked_sub(missing)?;
        } else if !missing.is_zero() {
            let given = self.pools.swap(native, debt, Exact::Out(missing), locked)?;
            left = left.checked_sub(given)?;
            swaps += 1;
        }
        Some((left, swaps))
    }
}

pub fn signed(wei: U256) -> Net {
    wei.to::<i128>()
}
