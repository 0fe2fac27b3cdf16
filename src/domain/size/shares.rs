//! Liquidations that take the protocol's own token of the collateral, where its reserve cannot pay out. No loan can be repaid
//! with that, so that they are paid from a purse that the executor's owner has filled; and it is worth what the protocol's
//! oracle says, less what the operator takes off.

use super::fund::{GROWTH, borrowed};
use super::{Refusal, SHARES_GAS, Scope, Search};
use crate::domain::plan::{Draft, Funding, Liquidation, Loan, Reason, Shares};
use crate::domain::protocol::{Opportunity, Protocol, Revert, Unknown};
use crate::domain::route::Known;
use crate::domain::units::{Amount, Bps, Net, Overflow, Round, Wei, mul_div};
use alloy::primitives::{Address, U256};
use std::collections::BTreeMap;

/// What a token that counts in shares may show less than it was sent.
const ROUNDED: Amount = Amount(U256::from_limbs([2, 0, 0, 0]));

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

/// Whose money pays for shares, and what is not to be counted on any more.
#[derive(Clone, Copy)]
pub struct Purse<'a> {
    pub executor: Address,
    pub holding: &'a Holding,
    /// What plans for others take of it, by debt.
    pub spent: &'a BTreeMap<Address, Amount>,
}

impl<P: Protocol> Search<'_, '_, P> {
    /// The best call of `pair` for shares. `None` where that is not allowed, or not called for, or where something must be
    /// asked first.
    pub(super) fn in_shares(&mut self, pair: &Opportunity) -> Option<Result<Draft, Refusal>> {
        let Purse { executor, holding, spent } = self.scope.purse?;
        let is_allowed =
            holding.debts.contains(&pair.debt_asset) && holding.collaterals.contains(&pair.collateral_asset);
        if !is_allowed || !self.scope.is_illiquid(pair) {
            return None;
        }
        let held = match self.knowledge.holds(pair.debt_asset, executor) {
            Known::Yes(held) => held,
            Known::No => {
                let unknown = Reason::Unknown(Unknown::Reserve(pair.debt_asset));
                return Some(Err(Refusal::bare(unknown)));
            }
            Known::NotYet => {
                self.is_waiting = true;
                return None;
            }
        };
        let spent = spent.get(&pair.debt_asset).copied().unwrap_or(Amount::ZERO);
        let left = held.minus(spent).unwrap_or(Amount::ZERO);
        // Each unit brings the same: the largest of what is legal is the best. What closes a side is paid with room for growth.
        let without_room = mul_div(left.0, U256::from(10_000), U256::from(10_000 + GROWTH.0), Round::Down);
        let sizes = pair.kinks.iter().copied().chain([left, Amount(without_room.unwrap_or_default())]);
        let mut refusal: Option<Refusal> = None;
        let mut best: Option<Draft> = None;
        for size in sizes.map(|size| size.min(pair.most)).filter(|size| !size.is_zero()) {
            match self.scope.for_shares(holding, pair, size, left) {
                Ok(draft)
                    if best.as_ref().is_none_or(|best| self.scope.net(&draft) > self.scope.net(best)) =>
                {
                    best = Some(draft);
                }
                Ok(_) => {}
                Err(other) => refusal = Some(Refusal::nearest(refusal, other)),
            }
        }
        let draft = best.ok_or(refusal.unwrap_or(Refusal::bare(Reason::EmptyPurse)));
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
    /// The reserve cannot pay out what one of the large calls would take.
    fn is_illiquid(&self, pair: &Opportunity) -> bool {
        let sizes = pair.kinks.iter().copied().chain([pair.most]);
        let mut outcomes = sizes.map(|size| self.protocol.outcome(pair, size, &self.when));
        outcomes.any(|outcome| matches!(outcome, Ok(Err(Revert::Illiquid))))
    }

    /// The draft that pays `size` of a pair's debt with what is `left` in the purse.
    fn for_shares(
        &self,
        holding: &Holding,
        pair: &Opportunity,
        size: Amount,
        left: Amount,
    ) -> Result<Draft, Refusal> {
        let unknown = |unknown: Unknown| Refusal::bare(Reason::Unknown(unknown));
        let overflow = |_: Overflow| Refusal::bare(Reason::Overflow);
        let outcome = self.protocol.outcome_in_shares(pair, size, &self.when).map_err(unknown)?;
        let (token, outcome) = outcome.map_err(|revert| Refusal::bare(Reason::Refused(revert)))?;
        let (debt_asset, collateral_asset) = (pair.debt_asset, pair.collateral_asset);
        let calls = vec![Liquidation { debt_asset, collateral_asset, outcome }];
        let most = borrowed(&calls).map_err(overflow)?;
        if most > left {
            return Err(Refusal::bare(Reason::EmptyPurse));
        }
        let native = self.venue.wrapped_native;
        let worth = |held, round| self.protocol.worth(held, native, round, &self.when).map_err(unknown);
        let cost = worth((debt_asset, outcome.repaid), Round::Up)?;
        let taken = worth((collateral_asset, outcome.seized), Round::Down)?;
        let discount = taken.times(holding.discount, Round::Up).map_err(overflow)?;
        let taken = taken.minus(discount).unwrap_or_default();
        let Some(gross) = taken.minus(cost) else {
            return Err(Refusal { repay: Some(outcome.repaid), ..Refusal::bare(Reason::Unprofitable) });
        };
        let slippage = outcome.seized.times(self.slippage, Round::Up).and_then(|given| given.plus(ROUNDED));
        let least = outcome.seized.minus(slippage.map_err(overflow)?).unwrap_or_default();
        let shares = Shares {
            token,
            units: outcome.seized,
            least: least.max(Amount(U256::ONE)),
            worth: Wei(taken.0),
            paid: outcome.repaid,
            cost: Wei(cost.0),
        };
        let funding = Funding::Purse(shares);
        let gross = Wei(gross.0);
        let loan = Loan { funding, borrowed: most, calls, swaps: vec![], gross, gas: SHARES_GAS };
        Draft::new(pair.account, pair.health, vec![loan]).map_err(overflow)
    }
}
