//! Liquidations that take the protocol's own token of the collateral, where its reserve cannot pay out. No loan can be repaid
//! with that, so that they are paid from a purse that the executor's owner has filled; and it is worth what the protocol's
//! oracle says, less what the operator takes off.

use super::fund::borrowed;
use super::{Refusal, SHARES_GAS, Scope, Search};
use crate::domain::plan::{Draft, Funding, Liquidation, Loan, Reason};
use crate::domain::protocol::{Opportunity, Protocol, Revert, Unknown};
use crate::domain::route::Known;
use crate::domain::units::{Amount, Bps, Net, Overflow, Round, Wei};
use alloy::primitives::{Address, U256};

/// What the operator allows to be held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Collaterals whose shares may be taken.
    pub collaterals: Vec<Address>,
    /// Debts that the purse may pay for them.
    pub debts: Vec<Address>,
    /// What a share is worth less than the oracle says.
    pub discount: Bps,
}

impl<P: Protocol> Search<'_, '_, P> {
    /// The best call of `pair` for shares. `None` where that is not allowed, or not called for, or where something must be
    /// asked first.
    pub(super) fn in_shares(&mut self, pair: &Opportunity) -> Option<Result<Draft, Refusal>> {
        let holding = self.scope.holding?;
        let is_allowed =
            holding.debts.contains(&pair.debt_asset) && holding.collaterals.contains(&pair.collateral_asset);
        if !is_allowed || !self.scope.is_illiquid(pair) {
            return None;
        }
        let purse = match self.knowledge.holds(pair.debt_asset, self.scope.executor) {
            Known::Yes(purse) => purse,
            Known::No => Amount::ZERO,
            Known::NotYet => {
                self.is_waiting = true;
                return None;
            }
        };
        // Each unit brings the same: the largest of what is legal is the best.
        let mut refusal = Refusal::bare(Reason::EmptyPurse);
        let mut best: Option<Draft> = None;
        for size in pair.kinks.iter().copied().chain([purse.min(pair.most)]).filter(|size| !size.is_zero()) {
            match self.scope.for_shares(holding, pair, size, purse) {
                Ok(draft)
                    if best.as_ref().is_none_or(|best| self.scope.net(&draft) > self.scope.net(best)) =>
                {
                    best = Some(draft);
                }
                Ok(_) => {}
                Err(other) => refusal = refusal.nearer(other),
            }
        }
        let draft = best.ok_or(refusal);
        Some(draft.and_then(|draft| match self.scope.net(&draft) {
            Net::Gain(_) => Ok(draft),
            loss => {
                let repay = draft.first().map(|(.., repaid)| repaid);
                Err(Refusal { reason: Reason::Unprofitable, repay, net: Some(loss) })
            }
        }))
    }
}

impl<P: Protocol> Scope<'_, P> {
    /// The reserve cannot pay out what the largest call would take.
    fn is_illiquid(&self, pair: &Opportunity) -> bool {
        matches!(self.protocol.outcome(pair, pair.most, &self.when), Ok(Err(Revert::Illiquid)))
    }

    fn for_shares(
        &self,
        holding: &Holding,
        pair: &Opportunity,
        size: Amount,
        purse: Amount,
    ) -> Result<Draft, Refusal> {
        let unknown = |unknown: Unknown| Refusal::bare(Reason::Unknown(unknown));
        let overflow = |_: Overflow| Refusal::bare(Reason::Overflow);
        let outcome = self.protocol.outcome_in_shares(pair, size, &self.when).map_err(unknown)?;
        let (shares, outcome) = outcome.map_err(|revert| Refusal::bare(Reason::Refused(revert)))?;
        let (debt_asset, collateral_asset) = (pair.debt_asset, pair.collateral_asset);
        let calls = vec![Liquidation { debt_asset, collateral_asset, outcome }];
        let most = borrowed(&calls).map_err(overflow)?;
        if most > purse {
            return Err(Refusal::bare(Reason::EmptyPurse));
        }
        let native = self.venue.wrapped_native;
        let worth = |held, round| self.protocol.worth(held, native, round, &self.when).map_err(unknown);
        let given = worth((debt_asset, outcome.repaid), Round::Up)?;
        let taken = worth((collateral_asset, outcome.seized), Round::Down)?;
        let discount = taken.times(holding.discount, Round::Up).map_err(overflow)?;
        let Some(gross) = taken.minus(discount).and_then(|taken| taken.minus(given)) else {
            return Err(Refusal { repay: Some(outcome.repaid), ..Refusal::bare(Reason::Unprofitable) });
        };
        let slippage = outcome.seized.times(self.slippage, Round::Up).map_err(overflow)?;
        let least = outcome.seized.minus(slippage).unwrap_or_default().max(Amount::new(U256::ONE));
        let loan = Loan {
            funding: Funding::Purse { shares, least },
            borrowed: most,
            calls,
            swaps: vec![],
            gross: Wei(gross.0),
            gas: SHARES_GAS,
        };
        Draft::new(pair.account, pair.health, vec![loan]).map_err(overflow)
    }
}
