//! The swaps of one size: which pools turn what is seized into what is owed, and what they leave.

use crate::domain::plan::{Reason, Swap};
use crate::domain::route::{Division, Knowledge, Known, Share};
use crate::domain::units::{Amount, Bps, Net, Round, Wei};
use alloy::primitives::{Address, U256};

/// The answer, or an early return that says why there is none yet.
macro_rules! found {
    ($known:expr) => {
        match $known {
            Known::Yes(value) => value,
            Known::No => return no_route(),
            Known::NotYet => return Known::NotYet,
        }
    };
}

/// What the swaps have to do: turn `seized` collateral into `missing` debt and as much native as there is.
pub(super) struct Deal {
    pub collateral: Address,
    pub debt: Address,
    pub native: Address,
    pub seized: Amount,
    pub missing: Amount,
    pub slippage: Bps,
    pub locked: Option<Address>,
    /// What the gas of one more swap costs.
    pub swap_cost: Wei,
}

/// One way to do it, and the wrapped native coin it leaves.
#[derive(Clone)]
pub(super) struct Path {
    pub swaps: Vec<Swap>,
    pub route: Vec<Address>,
    pub tiers: Vec<u32>,
    pub left: Wei,
}

/// Why a way leaves nothing, and by how much native coin it falls short where that is known.
pub(super) struct Poor {
    pub reason: Reason,
    pub short: Option<Wei>,
}

pub(super) type Way = Known<Result<Path, Poor>>;

impl Deal {
    /// The way that leaves most after gas.
    pub fn best_path(&self, knowledge: &mut Knowledge, net: impl Fn(&Path) -> Net) -> Way {
        if self.collateral == self.debt {
            return self.same_asset(knowledge);
        }
        if self.debt == self.native {
            return self.native_debt(knowledge);
        }
        if self.collateral == self.native {
            return self.native_collateral(knowledge);
        }
        let mut ways = vec![self.through_native(knowledge)];
        ways.extend(self.direct(knowledge));
        if ways.iter().any(|way| matches!(way, Known::NotYet)) {
            return Known::NotYet;
        }
        let mut refusal = Poor { reason: Reason::NoRoute, short: None };
        let mut found = Vec::new();
        for way in ways {
            match way {
                Known::Yes(Ok(path)) => found.push(path),
                Known::Yes(Err(poor)) if poor.reason != Reason::NoRoute && refusal.short.is_none() => {
                    refusal = poor
                }
                _ => {}
            }
        }
        Known::Yes(found.into_iter().max_by_key(net).ok_or(refusal))
    }

    fn same_asset(&self, knowledge: &mut Knowledge) -> Way {
        let Some(rest) = self.seized.minus(self.missing).filter(|rest| !rest.is_zero()) else {
            return poor(Reason::Unprofitable, None);
        };
        if self.debt == self.native {
            return done(vec![], vec![self.debt], vec![], rest);
        }
        let sale = found!(self.to_native(rest, knowledge));
        let swaps = self.sale(self.collateral, self.native, &sale);
        done(swaps, vec![self.collateral, self.native], vec![sale.fee()], sale.total)
    }

    fn native_debt(&self, knowledge: &mut Knowledge) -> Way {
        let sale = found!(self.to_native(self.seized, knowledge));
        let Some(left) = sale.total.minus(self.missing) else { return short(self.missing, sale.total) };
        let swaps = self.sale(self.collateral, self.debt, &sale);
        done(swaps, vec![self.collateral, self.debt], vec![sale.fee()], left)
    }

    fn native_collateral(&self, knowledge: &mut Knowledge) -> Way {
        let purchase = found!(self.with_native(knowledge));
        let Some(left) = self.seized.minus(purchase.total) else { return short(purchase.total, self.seized) };
        let swaps = self.purchase(self.collateral, self.debt, &purchase);
        done(swaps, vec![self.collateral, self.debt], vec![purchase.fee()], left)
    }

    fn through_native(&self, knowledge: &mut Knowledge) -> Way {
        let sale = self.to_native(self.seized, knowledge);
        let purchase = self.with_native(knowledge);
        let (sale, purchase) = match (sale, purchase) {
            (Known::Yes(sale), Known::Yes(purchase)) => (sale, purchase),
            (Known::NotYet, _) | (_, Known::NotYet) => return Known::NotYet,
            _ => return no_route(),
        };
        let Some(left) = sale.total.minus(purchase.total) else { return short(purchase.total, sale.total) };
        let mut swaps = self.sale(self.collateral, self.native, &sale);
        swaps.extend(self.purchase(self.native, self.debt, &purchase));
        let route = vec![self.collateral, self.native, self.debt];
        done(swaps, route, vec![sale.fee(), purchase.fee()], left)
    }

    /// Buys the debt with collateral, then sells the rest of the collateral. Where two pools want less collateral than one
    /// for the purchase there are two ways: what the difference is worth shows when the rest is sold.
    fn direct(&self, knowledge: &mut Knowledge) -> Vec<Way> {
        let alone = |knowledge: &mut Knowledge| {
            let purchase = self.with_collateral(None, knowledge);
            self.and_the_rest(purchase, knowledge)
        };
        let swap_cost = match self.in_collateral(self.swap_cost, knowledge) {
            Known::Yes(cost) => cost,
            Known::No => return vec![alone(knowledge)],
            Known::NotYet => {
                // What the swaps need to know is asked in the same round.
                let _ = alone(knowledge);
                return vec![Known::NotYet];
            }
        };
        let purchase = self.with_collateral(Some(swap_cost), knowledge);
        let is_divided = matches!(&purchase, Known::Yes(best) if best.shares.len() > 1);
        let mut ways = vec![self.and_the_rest(purchase, knowledge)];
        if is_divided {
            ways.push(alone(knowledge));
        }
        ways
    }

    fn with_collateral(&self, second: Option<Amount>, knowledge: &mut Knowledge) -> Known<Division> {
        knowledge.best_purchase(self.collateral, self.debt, self.missing, self.locked, second)
    }

    fn and_the_rest(&self, purchase: Known<Division>, knowledge: &mut Knowledge) -> Way {
        let purchase = found!(purchase);
        let Some(rest) = self.seized.minus(purchase.total).filter(|rest| !rest.is_zero()) else {
            return poor(Reason::Unprofitable, None);
        };
        let sale = found!(self.to_native(rest, knowledge));
        let mut swaps = self.purchase(self.collateral, self.debt, &purchase);
        swaps.extend(self.sale(self.collateral, self.native, &sale));
        done(swaps, vec![self.collateral, self.debt], vec![purchase.fee()], sale.total)
    }

    /// Collateral sold for native coin.
    fn to_native(&self, amount: Amount, knowledge: &mut Knowledge) -> Known<Division> {
        let swap_cost = Some(Amount(self.swap_cost.0));
        knowledge.best_sale(self.collateral, self.native, amount, self.locked, swap_cost)
    }

    /// What is missing, bought with native coin.
    fn with_native(&self, knowledge: &mut Knowledge) -> Known<Division> {
        let swap_cost = Some(Amount(self.swap_cost.0));
        knowledge.best_purchase(self.native, self.debt, self.missing, self.locked, swap_cost)
    }

    /// How much collateral must be sold for so much native coin, before anything else is.
    fn in_collateral(&self, cost: Wei, knowledge: &mut Knowledge) -> Known<Amount> {
        if cost.is_zero() {
            return Known::Yes(Amount::ZERO);
        }
        let sale = knowledge.best_purchase(self.collateral, self.native, Amount(cost.0), self.locked, None);
        sale.map(|sale| sale.total)
    }

    fn sale(&self, sold: Address, bought: Address, division: &Division) -> Vec<Swap> {
        let swap = |(part, share): (Option<Amount>, &Share)| {
            let given_up = share.result.times(self.slippage, Round::Up).unwrap_or_default();
            let limit = share.result.minus(given_up).unwrap_or_default().max(Amount::new(U256::ONE));
            Swap { sold, bought, pool: share.pool, buys: false, part, limit }
        };
        parts(division).map(swap).collect()
    }

    fn purchase(&self, sold: Address, bought: Address, division: &Division) -> Vec<Swap> {
        let swap = |(part, share): (Option<Amount>, &Share)| {
            let more = share.result.times(self.slippage, Round::Up).unwrap_or_default();
            let limit = share.result.plus(more).unwrap_or(share.result);
            Swap { sold, bought, pool: share.pool, buys: true, part, limit }
        };
        parts(division).map(swap).collect()
    }
}

/// Each share with the amount its swap names: the last takes what there is then.
fn parts(division: &Division) -> impl Iterator<Item = (Option<Amount>, &Share)> {
    let last = division.shares.len().saturating_sub(1);
    let shares = division.shares.iter().enumerate();
    shares.map(move |(place, share)| ((place < last).then_some(share.part), share))
}

fn poor(reason: Reason, short: Option<Wei>) -> Way {
    Known::Yes(Err(Poor { reason, short }))
}

fn no_route() -> Way {
    poor(Reason::NoRoute, None)
}

/// Native coin that is needed and not there.
fn short(needed: Amount, there: Amount) -> Way {
    poor(Reason::Unprofitable, needed.minus(there).map(|short| Wei(short.0)))
}

fn done(swaps: Vec<Swap>, route: Vec<Address>, tiers: Vec<u32>, left: Amount) -> Way {
    Known::Yes(Ok(Path { swaps, route, tiers, left: Wei(left.0) }))
}
