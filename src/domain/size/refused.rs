//! Why nothing is planned, and of several reasons the one that says most.

use crate::domain::plan::{Reason, Skip};
use crate::domain::protocol::{Opportunity, Revert};
use crate::domain::units::{Amount, Net};

/// Why a size, a pair or an account is refused, with its numbers as far as there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    pub repay: Option<Amount>,
    pub net: Option<Net>,
}

impl Refusal {
    pub fn bare(reason: Reason) -> Self {
        Self { reason, repay: None, net: None }
    }

    /// Told of the pair it is about.
    pub fn skip(self, pair: &Opportunity) -> Skip {
        Skip {
            account: pair.account,
            health: Some(pair.health),
            reason: self.reason,
            debt_asset: Some(pair.debt_asset),
            collateral_asset: Some(pair.collateral_asset),
            repay: self.repay,
            net: self.net,
        }
    }

    /// Of several refusals the one nearest to a plan is told: what loses least, else what came furthest.
    pub(super) fn nearer(self, other: Self) -> Self {
        let near = |refusal: &Self| {
            let rank = match refusal.reason {
                Reason::Unprofitable => 4,
                Reason::NoRoute => 3,
                Reason::NoFunding | Reason::EmptyPurse => 2,
                Reason::Refused(Revert::Illiquid) => 1,
                _ => 0,
            };
            (rank, refusal.net)
        };
        if near(&other) > near(&self) { other } else { self }
    }

    /// The same of what was known before, if anything was.
    pub(super) fn nearest(known: Option<Self>, other: Self) -> Self {
        match known {
            Some(known) => known.nearer(other),
            None => other,
        }
    }
}
