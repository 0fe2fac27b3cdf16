//! The swaps of one size: which pools turn what is seized into what is owed, and what they leave.

use crate::domain::plan::{Reason, Swap};
use crate::domain::route::{Knowledge, Known};
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
        let ways = [self.through_native(knowledge), self.direct(knowledge)];
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
        let (tier, proceeds) = found!(knowledge.best_sale(self.collateral, self.native, rest, self.locked));
        let sale = self.sale(self.collateral, self.native, tier, proceeds);
        done(vec![sale], vec![self.collateral, self.native], vec![tier], proceeds)
    }

    fn native_debt(&self, knowledge: &mut Knowledge) -> Way {
        let (tier, proceeds) =
            found!(knowledge.best_sale(self.collateral, self.debt, self.seized, self.locked));
        let Some(left) = proceeds.minus(self.missing) else { return short(self.missing, proceeds) };
        let sale = self.sale(self.collateral, self.debt, tier, proceeds);
        done(vec![sale], vec![self.collateral, self.debt], vec![tier], left)
    }

    fn native_collateral(&self, knowledge: &mut Knowledge) -> Way {
        let (tier, given) =
            found!(knowledge.best_purchase(self.collateral, self.debt, self.missing, self.locked));
        let Some(left) = self.seized.minus(given) else { return short(given, self.seized) };
        let purchase = self.purchase(self.collateral, self.debt, tier, given);
        done(vec![purchase], vec![self.collateral, self.debt], vec![tier], left)
    }

    fn through_native(&self, knowledge: &mut Knowledge) -> Way {
        let sale = knowledge.best_sale(self.collateral, self.native, self.seized, self.locked);
        let purchase = knowledge.best_purchase(self.native, self.debt, self.missing, self.locked);
        let (Known::Yes((first, proceeds)), Known::Yes((second, given))) = (sale, purchase) else {
            let waiting = sale == Known::NotYet || purchase == Known::NotYet;
            return if waiting { Known::NotYet } else { no_route() };
        };
        let Some(left) = proceeds.minus(given) else { return short(given, proceeds) };
        let swaps = vec![
            self.sale(self.collateral, self.native, first, proceeds),
            self.purchase(self.native, self.debt, second, given),
        ];
        done(swaps, vec![self.collateral, self.native, self.debt], vec![first, second], left)
    }

    /// Buys the debt with collateral, then sells the rest of the collateral.
    fn direct(&self, knowledge: &mut Knowledge) -> Way {
        let (tier, given) =
            found!(knowledge.best_purchase(self.collateral, self.debt, self.missing, self.locked));
        let Some(rest) = self.seized.minus(given).filter(|rest| !rest.is_zero()) else {
            return poor(Reason::Unprofitable, None);
        };
        let (last, left) = found!(knowledge.best_sale(self.collateral, self.native, rest, self.locked));
        let swaps = vec![
            self.purchase(self.collateral, self.debt, tier, given),
            self.sale(self.collateral, self.native, last, left),
        ];
        done(swaps, vec![self.collateral, self.debt], vec![tier], left)
    }

    fn sale(&self, sold: Address, bought: Address, tier: u32, proceeds: Amount) -> Swap {
        let given_up = proceeds.times(self.slippage, Round::Up).unwrap_or_default();
        let limit = proceeds.minus(given_up).unwrap_or_default().max(Amount::new(U256::ONE));
        Swap { sold, bought, tier, buys: false, limit }
    }

    fn purchase(&self, sold: Address, bought: Address, tier: u32, given: Amount) -> Swap {
        let more = given.times(self.slippage, Round::Up).unwrap_or_default();
        Swap { sold, bought, tier, buys: true, limit: given.plus(more).unwrap_or(given) }
    }
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
