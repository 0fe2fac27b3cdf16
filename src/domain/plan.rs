//! What was decided: a liquidation with its size, its swaps, its funding and its price, or the reason not to.

use super::chain::BlockRef;
use super::cost::Fees;
use super::protocol::{Outcome, Revert, Unknown};
use super::route::PoolKind;
use super::units::{Amount, Bps, Gas, HealthFactor, Net, Overflow, Round, Wei};
use alloy::primitives::{Address, Bytes};

/// Where the borrowed debt comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funding {
    /// A flash loan of the lending pool itself.
    Lender(Address),
    /// A flash of the Uniswap V3 pool of the debt asset, `partner` and `tier`.
    Pool { partner: Address, tier: u32, pool: Address },
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
    /// Least received when selling, most given when buying.
    pub limit: Amount,
}

/// A liquidation as it would be executed, at the pools' prices of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub account: Address,
    pub health: HealthFactor,
    pub debt_asset: Address,
    pub collateral_asset: Address,
    /// A call for the same pair before the last one, which opens more for that.
    pub first: Option<Outcome>,
    /// The last call.
    pub outcome: Outcome,
    pub funding: Funding,
    pub borrowed: Amount,
    pub swaps: Vec<Swap>,
    /// Tokens from the collateral to the debt, and the tiers between them.
    pub route: Vec<Address>,
    pub tiers: Vec<u32>,
    /// Wrapped native coin left over after everything but gas, by the pools' arithmetic.
    pub gross: Wei,
    /// Expected gas, before it was simulated.
    pub gas: Gas,
}

impl Draft {
    /// The calls in their order: one, or two.
    pub fn calls(&self) -> impl Iterator<Item = &Outcome> {
        self.first.iter().chain([&self.outcome])
    }

    /// Debt units that all calls repay. What does not fit was refused before.
    pub fn repaid(&self) -> Amount {
        self.sum(|call| call.repaid)
    }

    /// Collateral units that all calls seize.
    pub fn seized(&self) -> Amount {
        self.sum(|call| call.seized)
    }

    fn sum(&self, what: impl Fn(&Outcome) -> Amount) -> Amount {
        self.calls().try_fold(Amount::ZERO, |sum, call| sum.plus(what(call))).unwrap_or(Amount::MAX)
    }
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
    Profit { gross: Wei, gas: Gas },
    Refused { why: String },
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
        Self {
            account: draft.account,
            health: Some(draft.health),
            reason,
            debt_asset: Some(draft.debt_asset),
            collateral_asset: Some(draft.collateral_asset),
            repay: Some(draft.repaid()),
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
