//! The swaps of one loan: which pools turn what is seized into what is owed, and what they leave.

use crate::domain::plan::{Reason, Swap};
use crate::domain::route::{Knowledge, Known};
use crate::domain::units::{Amount, Bps, Net, Overflow, Round, Wei};
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
}

/// One way to do it, and the wrapped native coin it leaves.
#[derive(Clone)]
pub(super) struct Path {
    pub swaps: Vec<Swap>,
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
        let of_debt = self.seized.iter().find(|(asset, _)| *asset == self.debt);
        let own = of_debt.map_or(Amount::ZERO, |(_, amount)| *amount);
        let Some(missing) = self.missing.minus(own).filter(|missing| !missing.is_zero()) else {
            // The collateral is the debt, and there is enough of it.
            return self.sell(knowledge, (self.debt, self.missing));
        };
        if self.debt == self.native {
            return self.sell(knowledge, (self.debt, self.missing));
        }
        let mut ways = vec![self.through_native(knowledge, missing)];
        let others = self.seized.iter().filter(|(asset, _)| *asset != self.debt && *asset != self.native);
        for (collateral, amount) in others {
            ways.push(self.direct(knowledge, (*collateral, *amount), missing));
        }
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
        Known::Yes(found.into_iter().max_by_key(net).ok_or(refusal))
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
        let purchase = knowledge.best_purchase(self.native, self.debt, missing, self.locked);
        // What both need to know is asked at once.
        let ((mut swaps, proceeds), (tier, given)) = (found!(sales), found!(purchase));
        let Some(left) = proceeds.minus(given) else { return short(given, proceeds) };
        swaps.push(self.purchase(self.native, tier, given, missing));
        done(swaps, left)
    }

    /// Buys the debt with one of the collaterals, then sells what is left of it and the others.
    fn direct(
        &self,
        knowledge: &mut Knowledge,
        (collateral, held): (Address, Amount),
        missing: Amount,
    ) -> Way {
        let (tier, given) = found!(knowledge.best_purchase(collateral, self.debt, missing, self.locked));
        if held < given {
            return poor(Reason::Unprofitable, None);
        }
        let mut swaps = vec![self.purchase(collateral, tier, given, missing)];
        let rest = Self { seized: self.seized.clone(), ..*self };
        let rest = rest.without(self.debt, Amount::MAX).without(collateral, given);
        let (sales, left) = found!(rest.sales(knowledge, None));
        if left.is_zero() {
            return poor(Reason::Unprofitable, None);
        }
        swaps.extend(sales);
        done(swaps, left)
    }

    fn without(mut self, asset: Address, amount: Amount) -> Self {
        for (seized, units) in &mut self.seized {
            if *seized == asset {
                *units = units.minus(amount).unwrap_or(Amount::ZERO);
            }
        }
        self
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
                match knowledge.best_sale(*asset, self.native, amount, self.locked) {
                    Known::Yes((tier, proceeds)) => {
                        swaps.push(self.sale(*asset, tier, amount, proceeds));
                        proceeds
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

    fn sale(&self, sold: Address, tier: u32, given: Amount, taken: Amount) -> Swap {
        let given_up = taken.times(self.slippage, Round::Up).unwrap_or_default();
        let limit = taken.minus(given_up).unwrap_or_default().max(Amount::new(U256::ONE));
        Swap { sold, bought: self.native, tier, buys: false, given, taken, limit }
    }

    fn purchase(&self, sold: Address, tier: u32, given: Amount, taken: Amount) -> Swap {
        let more = given.times(self.slippage, Round::Up).unwrap_or_default();
        let limit = given.plus(more).unwrap_or(given);
        Swap { sold, bought: self.debt, tier, buys: true, given, taken, limit }
    }
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
