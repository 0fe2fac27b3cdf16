//! What a sequence of calls is worth: what is left in wrapped native coin once loans are repaid and gas is paid. The one
//! place that knows how a sequence is financed, which swaps it may take, and what gas it counts with:
//!
//! - Calls with the same debt in a row are one loan, with swaps after its last call. It takes [`LOAN_GAS`], behind another
//!   one [`NEXT_LOAN_GAS`], [`CALL_GAS`] for each further call and [`SWAP_GAS`] a swap. Each loan pays for itself.
//! - The loan is the market's where it lends as much, else that of any pool, which is locked then. What closes a side is
//!   asked for without a number, and is borrowed with [`GROWTH`].
//! - What was seized in the debt itself pays for it. The rest of the debt is bought with native coin that all else was
//!   sold for, or with one of the collaterals, of which the rest is sold. Each swap takes the best pool, as the swaps
//!   before it have left that, or, with `divides`, the best two where that is worth another swap's gas.

use super::venue::Pools;
use alloy::primitives::{Address, U256};
use backstop::domain::amm::Exact;
use backstop::domain::plan::{Draft, Funding, Loan};
use backstop::domain::protocol::Protocol;
use backstop::domain::protocols::aave_v3::Market;
use backstop::domain::route::PoolKind;
use backstop::domain::size::{CALL_GAS, GROWTH, LOAN_GAS, NEXT_LOAN_GAS, SWAP_GAS};
use backstop::domain::units::{Amount, FeePerGas, Gas, Round};
use std::collections::BTreeMap;

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
    /// Swaps over two pools are looked at.
    pub divides: bool,
}

/// How what is missing is bought.
#[derive(Clone, Copy)]
enum Way {
    WithNative,
    With(Address),
    /// Over two pools, where that wants less of it.
    WithDivided(Address),
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
        self.best(&plans, 0, LOAN_GAS)
    }

    /// What these plans leave one behind the other, the first of which takes so much gas by itself.
    fn best(&mut self, plans: &[&[Moved]], place: usize, base: Gas) -> Option<Net> {
        let (before, rest) = plans.split_at(place);
        let Some((plan, _)) = rest.split_first() else { return Some(0) };
        let mut best: Option<Net> = None;
        for (missing, locked) in self.loans(&before.concat(), plan) {
            for way in self.ways(plan) {
                let mark = self.pools.mark();
                if let Some((left, swaps)) = self.swapped(plan, missing, locked, way)
                    && let Some(others) = self.best(plans, place + 1, NEXT_LOAN_GAS)
                {
                    let calls = plan.len() as u64 - 1;
                    let gas = Gas(base.0 + CALL_GAS.0 * calls + SWAP_GAS.0 * swaps);
                    let net = signed(left) - signed(gas.cost(self.base_fee).0) + others;
                    best = best.max(Some(net));
                }
                self.pools.undo(mark);
            }
        }
        best
    }

    /// What must be repaid for each loan there is, and the pool that it locks.
    fn loans(&self, before: &[Moved], plan: &[Moved]) -> Vec<(U256, Option<usize>)> {
        let debt = plan[0].debt;
        let paid = plan.iter().fold(U256::ZERO, |sum, call| sum + call.paid);
        let mut borrowed = paid;
        if plan.iter().any(|call| call.closes) {
            borrowed += Amount(paid).times(GROWTH, Round::Up).unwrap().0.max(U256::from(10));
        }
        // What was seized is not there to be lent.
        let seized = before.iter().chain(plan).filter(|call| call.collateral == debt);
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
            ways.extend(sold.iter().copied().map(Way::With));
            ways.extend(sold.into_iter().filter(|_| self.divides).map(Way::WithDivided));
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
        let second = self.divides.then(|| SWAP_GAS.cost(self.base_fee).0);
        let direct = match way {
            Way::WithNative => None,
            Way::With(sold) => Some((sold, None)),
            Way::WithDivided(sold) => Some((sold, Some(U256::ZERO))),
        };
        if let Some((sold, second)) = direct
            && !missing.is_zero()
        {
            let (given, made) = self.pools.swap((sold, debt), Exact::Out(missing), locked, second)?;
            let (_, amount) = held.iter_mut().find(|(asset, _)| *asset == sold)?;
            *amount = amount.checked_sub(given)?;
            (missing, swaps) = (U256::ZERO, made);
        }
        let mut left = U256::ZERO;
        for (asset, amount) in held.into_iter().filter(|(_, amount)| !amount.is_zero()) {
            if asset == native {
                left += amount;
            } else {
                let (taken, made) = self.pools.swap((asset, native), Exact::In(amount), locked, second)?;
                left += taken;
                swaps += made;
            }
        }
        if debt == native {
            left = left.checked_sub(missing)?;
        } else if !missing.is_zero() {
            let (given, made) = self.pools.swap((native, debt), Exact::Out(missing), locked, second)?;
            left = left.checked_sub(given)?;
            swaps += made;
        }
        Some((left, swaps))
    }

    /// What a draft leaves when its swaps are made one behind the other in the very pools that it names.
    pub fn carried_out(&mut self, draft: &Draft, moved: &[Moved]) -> Result<Net, String> {
        let mark = self.pools.mark();
        let mut moved = moved.iter();
        let mut net = -signed(draft.gas.cost(self.base_fee).0);
        for loan in &draft.loans {
            let calls = moved.by_ref().take(loan.calls.len()).copied().collect::<Vec<_>>();
            net += self.repaid(loan, &calls)?;
        }
        self.pools.undo(mark);
        Ok(net)
    }

    /// Native coin that one loan leaves once it is repaid; nothing else may be left but what was borrowed too much.
    fn repaid(&mut self, loan: &Loan, calls: &[Moved]) -> Result<Net, String> {
        let debt = calls[0].debt;
        let mut held = BTreeMap::<Address, U256>::new();
        *held.entry(debt).or_default() += loan.borrowed.0;
        for call in calls {
            let of_debt = held.get_mut(&debt).ok_or("no debt token")?;
            *of_debt = of_debt.checked_sub(call.paid).ok_or("the loan does not cover the calls")?;
            *held.entry(call.collateral).or_default() += call.received;
        }
        let owed = match loan.funding {
            Funding::Lender(_) => {
                let terms = self.market.flash(debt, loan.borrowed).ok_or("the market does not lend")?;
                loan.borrowed.0 + terms.premium.0
            }
            Funding::Pool { tier, .. } => {
                let premium = loan.borrowed.0 * U256::from(tier);
                loan.borrowed.0 + premium.div_ceil(U256::from(1_000_000))
            }
            Funding::Purse(_) => return Err("nobody filled a purse".into()),
        };
        for swap in &loan.swaps {
            let PoolKind::V3(tier) = swap.pool else { return Err("a pool that is not there".into()) };
            let exact = if swap.buys { Exact::Out(swap.taken.0) } else { Exact::In(swap.given.0) };
            let made = self.pools.through((swap.sold, swap.bought), tier, exact).ok_or("a pool refuses")?;
            if made != (swap.given.0, swap.taken.0) {
                return Err(format!("{swap:?} does {made:?}"));
            }
            let sold = held.entry(swap.sold).or_default();
            *sold = sold.checked_sub(swap.given.0).ok_or_else(|| format!("not enough for {swap:?}"))?;
            *held.entry(swap.bought).or_default() += swap.taken.0;
        }
        let of_debt = held.get_mut(&debt).ok_or("no debt token")?;
        *of_debt = of_debt.checked_sub(owed).ok_or("the loan is not repaid")?;
        let native = held.remove(&self.native).unwrap_or_default();
        match held.into_iter().find(|(_, amount)| !amount.is_zero()) {
            Some((asset, amount)) => Err(format!("{amount} of {asset} are left")),
            None => Ok(signed(native)),
        }
    }
}

pub fn signed(wei: U256) -> Net {
    wei.to::<i128>()
}
