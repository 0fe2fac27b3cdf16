//! What was decided: a liquidation with its size, its swaps, its funding and its price, or the reason not to.

use super::chain::BlockRef;
use super::cost::Fees;
use super::protocol::{Outcome, Revert, Unknown};
use super::route::PoolKind;
use super::units::{Amount, Bps, Gas, HealthFactor, Net, Overflow, Round, Wei, mul_div};
use alloy::primitives::{Address, Bytes};

/// Where the borrowed debt comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funding {
    /// A flash loan of the lending pool itself.
    Lender(Address),
    /// A flash of the Uniswap V3 pool of the debt asset, `partner` and `tier`.
    Pool { partner: Address, tier: u32, pool: Address },
    /// No loan: what the executor's owner has put in. It pays one call that takes the protocol's own token of the collateral,
    /// and that is what is earned.
    Purse(Shares),
}

/// The protocol's own token that a call takes instead of the collateral, and what it is worth at the plan's prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    pub token: Address,
    pub units: Amount,
    /// Least units the call may bring.
    pub least: Amount,
    /// Of all units.
    pub worth: Wei,
    /// Debt units they are paid with, and what those are worth.
    pub paid: Amount,
    pub cost: Wei,
}

impl Shares {
    /// By how much so many units are worth more than so much debt, at the plan's prices; nothing where they are not. Rounds down.
    pub fn gain(&self, units: Amount, paid: Amount) -> Wei {
        let part = |of: Wei, units: Amount, all: Amount, round| mul_div(of.0, units.0, all.0, round).ok();
        let worth = part(self.worth, units, self.units, Round::Down);
        let cost = part(self.cost, paid, self.paid, Round::Up);
        worth.zip(cost).and_then(|(worth, cost)| Wei(worth).minus(Wei(cost))).unwrap_or_default()
    }
}

/// One swap through one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swap {
    pub sold: Address,
    pub bought: Address,
    pub pool: PoolKind,
    /// Buys what is missing to repay the loan; otherwise sells.
    pub buys: bool,
    /// So much, when selling, or at most so much of what is missing. `None`: all there is, or all that is missing.
    pub part: Option<Amount>,
    /// Units of `sold` that it gives and of `bought` that it takes, by the pool's arithmetic.
    pub given: Amount,
    pub taken: Amount,
    /// Least received when selling, most given when buying.
    pub limit: Amount,
}

/// One `liquidationCall` and what it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liquidation {
    pub debt_asset: Address,
    pub collateral_asset: Address,
    pub outcome: Outcome,
}

/// One loan, the calls it pays for, and the swaps behind them that repay it: one plan of the executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loan {
    pub funding: Funding,
    /// Units of the debt asset, which is that of all the calls; of a purse, what it pays at most.
    pub borrowed: Amount,
    /// In their order; never empty.
    pub calls: Vec<Liquidation>,
    pub swaps: Vec<Swap>,
    /// Wrapped native coin left over after everything but gas, by the pools' arithmetic. Of what a purse bought: by how much it
    /// is worth more than what was paid.
    pub gross: Wei,
    /// Expected gas, before it was simulated.
    pub gas: Gas,
}

impl Loan {
    /// What is taken and kept.
    pub fn shares(&self) -> Option<Shares> {
        match self.funding {
            Funding::Purse(shares) => Some(shares),
            Funding::Lender(_) | Funding::Pool { .. } => None,
        }
    }

    /// What it brought, where the executor says that it gained `reported` by it alone: of shares that is no native coin, and they
    /// are worth what they were planned for.
    pub fn brought(&self, reported: Wei) -> Wei {
        if self.shares().is_some() { self.gross } else { reported }
    }
}

/// What is to be done about one account in one transaction, at the pools' prices of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub account: Address,
    pub health: HealthFactor,
    /// In their order, one for each debt in a row; never empty.
    pub loans: Vec<Loan>,
    /// As of its loans, summed up.
    pub gross: Wei,
    pub gas: Gas,
}

impl Draft {
    /// # Errors
    /// `Overflow` when the loans' profits do not fit.
    pub fn new(account: Address, health: HealthFactor, loans: Vec<Loan>) -> Result<Self, Overflow> {
        let gross = loans.iter().map(|loan| loan.gross).try_fold(Wei::ZERO, Wei::plus)?;
        let gas = Gas(loans.iter().fold(0, |sum: u64, loan| sum.saturating_add(loan.gas.0)));
        Ok(Self { account, health, loans, gross, gas })
    }

    /// The debt that it takes from the purse, and how much of it at most.
    pub fn purse(&self) -> Option<(Address, Amount)> {
        let loan = self.loans.iter().find(|loan| loan.shares().is_some())?;
        Some((loan.calls.first()?.debt_asset, loan.borrowed))
    }

    /// What it brought, where the executor says that it gained `reported` in native coin by all loans together. Shares are
    /// taken by a draft of their own.
    pub fn brought(&self, reported: Wei) -> Wei {
        if let [loan] = self.loans.as_slice() { loan.brought(reported) } else { reported }
    }

    /// The calls of all loans in their order.
    pub fn calls(&self) -> impl Iterator<Item = &Liquidation> {
        self.loans.iter().flat_map(|loan| &loan.calls)
    }

    pub fn swaps(&self) -> impl Iterator<Item = &Swap> {
        self.loans.iter().flat_map(|loan| &loan.swaps)
    }

    /// Units repaid by debt asset, in the order of the calls.
    pub fn repaid(&self) -> Vec<(Address, Amount)> {
        by_asset(self.calls().map(|call| (call.debt_asset, call.outcome.repaid)))
    }

    /// Units seized by collateral asset, in the order of the calls.
    pub fn seized(&self) -> Vec<(Address, Amount)> {
        by_asset(self.calls().map(|call| (call.collateral_asset, call.outcome.seized)))
    }

    /// The pair that stands for all where there is room for one: that of the first call, with all that is repaid of its
    /// debt.
    pub fn first(&self) -> Option<(Address, Address, Amount)> {
        let call = self.calls().next()?;
        let (_, repaid) = self.repaid().into_iter().next()?;
        Some((call.debt_asset, call.collateral_asset, repaid))
    }
}

/// Sums by asset, each where it comes first; what does not fit is the greatest number.
pub fn by_asset(amounts: impl Iterator<Item = (Address, Amount)>) -> Vec<(Address, Amount)> {
    let mut sums: Vec<(Address, Amount)> = Vec::new();
    for (asset, amount) in amounts {
        match sums.iter_mut().find(|(known, _)| *known == asset) {
            Some((_, sum)) => *sum = sum.plus(amount).unwrap_or(Amount::MAX),
            None => sums.push((asset, amount)),
        }
    }
    sums
}

/// A draft with the exact call, before anybody ran it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub draft: Draft,
    pub at: BlockRef,
    pub to: Address,
    pub data: Bytes,
    pub min_profit: Wei,
    /// Last block the call may run in.
    pub deadline: u64,
}

/// A call to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub to: Address,
    pub data: Bytes,
}

/// What running the exact call at the next block's time gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// `done`: how many of the call's loans were carried out. Of several each may fail alone.
    Profit {
        gross: Wei,
        gas: Gas,
        done: usize,
    },
    Refused {
        why: String,
    },
}

/// A simulated proposal that pays: the only thing that may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub proposal: Proposal,
    pub gross: Wei,
    pub gas: Gas,
    pub fees: Fees,
    pub cost: Wei,
    pub net: Net,
}

/// What is sent: one plan by itself, or several in one transaction in which each may fail alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// In the order in which they run; never empty.
    pub plans: Vec<Plan>,
    pub to: Address,
    pub data: Bytes,
    pub gross: Wei,
    pub gas: Gas,
    pub fees: Fees,
    pub cost: Wei,
    pub net: Net,
}

/// One loan of a transaction: whose, and the shares that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub account: Address,
    pub shares: Option<Shares>,
}

impl Submission {
    /// What is at each place of the transaction, a loan each. An account may have several.
    pub fn places(&self) -> Vec<Place> {
        let drafts = self.plans.iter().map(|plan| &plan.proposal.draft);
        let place = |draft: &Draft, loan: &Loan| Place { account: draft.account, shares: loan.shares() };
        drafts.flat_map(|draft| draft.loans.iter().map(|loan| place(draft, loan))).collect()
    }
}

impl From<Plan> for Submission {
    fn from(plan: Plan) -> Self {
        let Plan { gross, gas, fees, cost, net, .. } = plan;
        let (to, data) = (plan.proposal.to, plan.proposal.data.clone());
        Self { plans: vec![plan], to, data, gross, gas, fees, cost, net }
    }
}

/// Why a liquidatable account is left alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("cannot be judged: {0}")]
    Unknown(Unknown),
    #[error("the protocol refuses: {0}")]
    Refused(Revert),
    #[error(
        "there is no pool on the way from the collateral to the debt, or none is deep enough for any size"
    )]
    NoRoute,
    #[error("neither the protocol nor a pool can lend the debt")]
    NoFunding,
    #[error(
        "the reserve cannot pay the collateral out, and the executor's purse has too little of the debt to take shares"
    )]
    EmptyPurse,
    #[error("the pools could not be looked at in as many rounds of questions as a block has time for")]
    Questions,
    #[error("it would lose money")]
    Unprofitable,
    #[error("it earns less than the configured minimum")]
    BelowMinimum,
    #[error("the base fee is above the configured ceiling")]
    FeeCeiling,
    #[error("it needs more gas than one transaction may carry")]
    GasLimit,
    #[error("the simulation refused: {0}")]
    Simulation(String),
    #[error("an amount is out of range")]
    Overflow,
}

impl Reason {
    /// The word by which it is counted, stored and shown.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown",
            Self::Refused(revert) => revert.word(),
            Self::NoRoute => "no-route",
            Self::NoFunding => "no-funding",
            Self::EmptyPurse => "empty-purse",
            Self::Questions => "too-many-questions",
            Self::Unprofitable => "unprofitable",
            Self::BelowMinimum => "below-minimum",
            Self::FeeCeiling => "fee-ceiling",
            Self::GasLimit => "gas-limit",
            Self::Simulation(_) => "simulation-refused",
            Self::Overflow => "overflow",
        }
    }
}

impl From<Overflow> for Reason {
    fn from(_: Overflow) -> Self {
        Self::Overflow
    }
}

/// A refusal with the numbers that led to it, as far as there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    pub account: Address,
    pub health: Option<HealthFactor>,
    pub reason: Reason,
    pub debt_asset: Option<Address>,
    pub collateral_asset: Option<Address>,
    pub repay: Option<Amount>,
    pub net: Option<Net>,
}

impl Skip {
    pub fn bare(account: Address, health: Option<HealthFactor>, reason: Reason) -> Self {
        Self { account, health, reason, debt_asset: None, collateral_asset: None, repay: None, net: None }
    }

    pub fn of(draft: &Draft, reason: Reason, net: Option<Net>) -> Self {
        let first = draft.first();
        Self {
            account: draft.account,
            health: Some(draft.health),
            reason,
            debt_asset: first.map(|(debt, ..)| debt),
            collateral_asset: first.map(|(_, collateral, _)| collateral),
            repay: first.map(|(.., repaid)| repaid),
            net,
        }
    }
}

/// Least wrapped native coin a call may bring before it undoes itself: what it promises less the slippage the
/// operator allows, and never less than gas is expected to cost, where it promises that much at all.
///
/// # Errors
/// `Overflow` when the slippage is more than everything.
pub fn least_profit(gross: Wei, slippage: Bps, gas_cost: Wei) -> Result<Wei, Overflow> {
    let given = gross.times(slippage, Round::Up)?;
    let kept = gross.minus(given).ok_or(Overflow)?;
    Ok(if gas_cost <= gross { kept.max(gas_cost) } else { kept })
}
