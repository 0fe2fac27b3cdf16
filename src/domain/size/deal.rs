//! The swaps of one loan: which pools turn what is seized into what is owed, and what they leave.

use crate::domain::plan::{Reason, Swap};
use crate::domain::route::{Division, Knowledge, Known, Share};
use crate::domain::units::{Amount, Bps, Overflow, Round, Wei};
use alloy::primitives::{Address, U256};

/// The answer, or an early return that says why there is none yet.
macro_rules! found {
    ($known:expr) => {
        match $known {
            Known::Yes(value) => value,
            Known::No => return poor(Reason::NoRoute, None),
            Known::NotYet => return Known::NotYet,
        }
    };
}

/// What the swaps have to do: turn what is seized into `missing` debt and as much native coin as there is.
pub(super) struct Deal {
    /// Units by collateral asset, each of them once.
    pub seized: Vec<(Address, Amount)>,
    pub debt: Address,
    pub native: Address,
    pub missing: Amount,
    pub slippage: Bps,
    pub locked: Option<Address>,
    /// What the gas of one more swap costs.
    pub swap_cost: Wei,
    /// Swaps may go over two pools.
    pub divides: bool,
    /// Other loans come behind, whose swaps these may leave a better pool.
    pub is_followed: bool,
}

/// One way to do it, and the wrapped native coin it leaves.
pub(super) struct Path {
    pub swaps: Vec<Swap>,
    pub left: Wei,
}

impl Path {
    /// An amount goes over two pools: the first of them names its part.
    fn is_divided(&self) -> bool {
        self.swaps.iter().any(|swap| swap.part.is_some())
    }
}

/// Why a way leaves nothing, and by how much native coin it falls short where that is known.
pub(super) struct Poor {
    pub reason: Reason,
    pub short: Option<Wei>,
}

type Way = Known<Result<Path, Poor>>;

impl Deal {
    /// Every way that there is; or why none of them leaves anything. Where other loans come behind, what takes two pools
    /// is there through one as well.
    pub fn ways(&self, knowledge: &mut Knowledge) -> Known<Result<Vec<Path>, Poor>> {
        let mut ways = self.all(knowledge);
        let is_divided = |way: &Way| matches!(way, Known::Yes(Ok(path)) if path.is_divided());
        if self.is_followed && ways.iter().any(is_divided) {
            ways.extend(Self { seized: self.seized.clone(), divides: false, ..*self }.all(knowledge));
        }
        told(ways)
    }

    fn all(&self, knowledge: &mut Knowledge) -> Vec<Way> {
        let of_debt = self.seized.iter().find(|(asset, _)| *asset == self.debt);
        let own = of_debt.map_or(Amount::ZERO, |(_, amount)| *amount);
        match self.missing.minus(own).filter(|missing| !missing.is_zero()) {
            Some(missing) if self.debt != self.native => {
                let mut ways = vec![self.through_native(knowledge, missing)];
                let others =
                    self.seized.iter().filter(|(asset, _)| *asset != self.debt && *asset != self.native);
                for (collateral, _) in others {
                    ways.extend(self.direct(knowledge, *collateral, missing));
                }
                ways
            }
            // The debt is native coin, or the collateral is the debt and there is enough of it.
            _ => vec![self.sell(knowledge, (self.debt, self.missing))],
        }
    }

    /// What a second swap of one amount must bring more than the first alone, in native coin.
    fn second(&self) -> Option<Amount> {
        self.divides.then_some(Amount(self.swap_cost.0))
    }

    /// Sells everything for native coin, but for what is `kept` of one asset: the loan is repaid with that.
    fn sell(&self, knowledge: &mut Knowledge, kept: (Address, Amount)) -> Way {
        let (swaps, proceeds) = found!(self.sales(knowledge, (kept.0 != self.native).then_some(kept)));
        if kept.0 != self.native {
            return if proceeds.is_zero() { poor(Reason::Unprofitable, None) } else { done(swaps, proceeds) };
        }
        match proceeds.minus(self.missing) {
            Some(left) => done(swaps, left),
            None => short(self.missing, proceeds),
        }
    }

    /// Sells everything, and buys the debt with that.
    fn through_native(&self, knowledge: &mut Knowledge, missing: Amount) -> Way {
        let own = (self.debt, Amount::MAX);
        let sales = self.sales(knowledge, Some(own));
        let purchase = knowledge.best_purchase(self.native, self.debt, missing, self.locked, self.second());
        // What both need to know is asked at once.
        let ((mut swaps, proceeds), purchase) = (found!(sales), found!(purchase));
        let Some(left) = proceeds.minus(purchase.total) else { return short(purchase.total, proceeds) };
        swaps.extend(self.purchase(self.native, &purchase));
        done(swaps, left)
    }

    /// Buys the debt with one of the collaterals, then sells what is left of it and the others. Where two pools want less
    /// collateral than one for the purchase there are two ways: what the difference is worth shows when the rest is sold.
    fn direct(&self, knowledge: &mut Knowledge, collateral: Address, missing: Amount) -> Vec<Way> {
        let buy = |second, knowledge: &mut Knowledge| {
            knowledge.best_purchase(collateral, self.debt, missing, self.locked, second)
        };
        let alone = |knowledge: &mut Knowledge| {
            let purchase = buy(None, knowledge);
            self.and_the_rest(collateral, purchase, knowledge)
        };
        if !self.divides {
            return vec![alone(knowledge)];
        }
        let second = match self.in_collateral(collateral, knowledge) {
            Known::Yes(cost) => cost,
            Known::No => return vec![alone(knowledge)],
            Known::NotYet => {
                // What the swaps need to know is asked in the same round.
                let _ = alone(knowledge);
                return vec![Known::NotYet];
            }
        };
        let purchase = buy(Some(second), knowledge);
        let is_divided = matches!(&purchase, Known::Yes(best) if best.shares.len() > 1);
        let mut ways = vec![self.and_the_rest(collateral, purchase, knowledge)];
        if is_divided {
            ways.push(alone(knowledge));
        }
        ways
    }

    fn and_the_rest(&self, collateral: Address, purchase: Known<Division>, knowledge: &mut Knowledge) -> Way {
        let purchase = found!(purchase);
        let rest = Self { seized: self.seized.clone(), ..*self };
        let Some(rest) = rest.without(self.debt).less(collateral, purchase.total) else {
            return poor(Reason::Unprofitable, None);
        };
        let (sales, left) = found!(rest.sales(knowledge, None));
        if left.is_zero() {
            return poor(Reason::Unprofitable, None);
        }
        let mut swaps = self.purchase(collateral, &purchase).collect::<Vec<_>>();
        swaps.extend(sales);
        done(swaps, left)
    }

    /// How much of a collateral must be sold for what one more swap costs, before anything else is.
    fn in_collateral(&self, collateral: Address, knowledge: &mut Knowledge) -> Known<Amount> {
        if self.swap_cost.is_zero() {
            return Known::Yes(Amount::ZERO);
        }
        let cost = Amount(self.swap_cost.0);
        knowledge.best_purchase(collateral, self.native, cost, self.locked, None).map(|sale| sale.total)
    }

    fn without(mut self, asset: Address) -> Self {
        self.seized.retain(|(seized, _)| *seized != asset);
        self
    }

    /// `None` where there is less of it.
    fn less(mut self, asset: Address, amount: Amount) -> Option<Self> {
        let (_, units) = self.seized.iter_mut().find(|(seized, _)| *seized == asset)?;
        *units = units.minus(amount)?;
        Some(self)
    }

    /// Sales of everything for native coin, which itself is not sold, but for what is `kept`; and the native coin there
    /// is then.
    fn sales(
        &self,
        knowledge: &mut Knowledge,
        kept: Option<(Address, Amount)>,
    ) -> Known<(Vec<Swap>, Amount)> {
        let mut swaps = Vec::new();
        let mut sum = Amount::ZERO;
        let mut ending = Known::Yes(());
        for (asset, seized) in &self.seized {
            let kept = kept.filter(|(kept, _)| kept == asset).map_or(Amount::ZERO, |(_, amount)| amount);
            let Some(amount) = seized.minus(kept).filter(|amount| !amount.is_zero()) else { continue };
            let proceeds = if *asset == self.native {
                amount
            } else {
                match knowledge.best_sale(*asset, self.native, amount, self.locked, self.second()) {
                    Known::Yes(division) => {
                        swaps.extend(self.sale(*asset, &division));
                        division.total
                    }
                    other => {
                        // The others are looked at too: what they need to know is asked at once.
                        if ending != Known::No {
                            ending = other.map(|_| ());
                        }
                        continue;
                    }
                }
            };
            match sum.plus(proceeds) {
                Ok(more) => sum = more,
                Err(Overflow) => return Known::No,
            }
        }
        ending.map(|()| (swaps, sum))
    }

    fn sale(&self, sold: Address, division: &Division) -> impl Iterator<Item = Swap> {
        parts(division).map(move |(part, &Share { pool, part: given, result: taken })| {
            let given_up = taken.times(self.slippage, Round::Up).unwrap_or_default();
            let limit = taken.minus(given_up).unwrap_or_default().max(Amount::new(U256::ONE));
            Swap { sold, bought: self.native, pool, buys: false, part, given, taken, limit }
        })
    }

    fn purchase(&self, sold: Address, division: &Division) -> impl Iterator<Item = Swap> {
        parts(division).map(move |(part, &Share { pool, part: taken, result: given })| {
            let more = given.times(self.slippage, Round::Up).unwrap_or_default();
            let limit = given.plus(more).unwrap_or(given);
            Swap { sold, bought: self.debt, pool, buys: true, part, given, taken, limit }
        })
    }
}

/// The ways that leave something; or why none does.
fn told(ways: Vec<Way>) -> Known<Result<Vec<Path>, Poor>> {
    if ways.iter().any(|way| matches!(way, Known::NotYet)) {
        return Known::NotYet;
    }
    let mut refusal = Poor { reason: Reason::NoRoute, short: None };
    let mut found = Vec::new();
    for way in ways {
        match way {
            Known::Yes(Ok(path)) => found.push(path),
            Known::Yes(Err(poor)) if poor.reason != Reason::NoRoute && refusal.short.is_none() => {
                refusal = poor;
            }
            _ => {}
        }
    }
    Known::Yes(if found.is_empty() { Err(refusal) } else { Ok(found) })
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

/// Native coin that is needed and not there.
fn short(needed: Amount, there: Amount) -> Way {
    poor(Reason::Unprofitable, needed.minus(there).map(|short| Wei(short.0)))
}

fn done(swaps: Vec<Swap>, left: Amount) -> Way {
    Known::Yes(Ok(Path { swaps, left: Wei(left.0) }))
}
