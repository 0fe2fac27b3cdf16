//! What can be said about one account beyond its verdict: what it stands on, at which prices the verdict turns, what
//! would keep it from that, and which of its debts can be liquidated against which collateral.

use super::prices::Moment;
use super::protocol::{Attempt, Execution, Opportunity, Outcome, Protocol, Revert, Unknown};
use super::units::{Amount, Base, Bps, HealthFactor, Price};
use alloy::primitives::Address;

/// One asset of an account: what it has of it, what it owes in it, and what that counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    pub asset: Address,
    pub price: Price,
    /// With interest, in the asset's units. Of what is supplied only what is collateral is known.
    pub supplied: Amount,
    pub owed: Amount,
    pub supplied_value: Base,
    pub owed_value: Base,
    /// Switched on as collateral.
    pub is_collateral: bool,
    /// Share of the supplied value that backs debt, as it is for this account.
    pub threshold: Bps,
}

/// Which way a price goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

impl Direction {
    pub fn opposite(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// Where a price, moving one way from where it is, first turns the contract's verdict on an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    At(Price),
    /// At no price that an oracle could give.
    Never,
    /// It would take too long to find: the two sides of the account cancel out to the last unit.
    Undetermined,
}

/// What the price of one asset alone can do to an account: for a healthy one, the first price at which it may be
/// liquidated; for one that may be liquidated now, the first at which it may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiquidationPrice {
    pub asset: Address,
    /// Whose oracle price moves: the asset's own, or that by which its category replaces it.
    pub source: Address,
    pub current: Price,
    /// The account may be liquidated now.
    pub is_liquidatable: bool,
    /// The direction that turns the verdict: what hurts a healthy account, what heals another.
    pub direction: Direction,
    pub first: Crossing,
    /// In the other direction, where roundings can do what the price itself does not.
    pub other: Crossing,
}

/// What would bring an account to a health factor: any one of these, all else being as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    pub target: HealthFactor,
    /// Collateral assets of the account, and how many units more of one reach the target.
    pub add: Vec<(Address, Option<Amount>)>,
    /// Its debts, and how many units to repay; `None` where repaying all of it is not enough.
    pub repay: Vec<(Address, Option<Amount>)>,
}

/// One debt of an account with one collateral of it, liquidatable or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairing {
    pub debt_asset: Address,
    pub collateral_asset: Address,
    /// Share of the debt (before 3.3) or of the whole position that one call may repay.
    pub close_factor: Bps,
    pub owed: Amount,
    /// What the contract would move at most, or why it would refuse.
    pub largest: Result<Outcome, Revert>,
    /// The pair as it may be planned with, where it is legal.
    pub opportunity: Option<Opportunity>,
}

/// A protocol that can explain an account.
pub trait Explain: Protocol {
    /// Every asset that the account has as collateral or owes.
    ///
    /// # Errors
    /// `Unknown` as for `health`.
    fn legs(&self, account: Address, when: &Moment<'_>) -> Result<Vec<Leg>, Unknown>;
    /// For each of these assets, the price at which the contract's verdict turns; exact, all other prices and the
    /// time being as they are at the moment.
    ///
    /// # Errors
    /// `Unknown` as for `health`.
    fn liquidation_prices(
        &self,
        account: Address,
        when: &Moment<'_>,
    ) -> Result<Vec<LiquidationPrice>, Unknown>;
    /// What would bring the account to `target`. Exact but for the unit by which tokens round what moves.
    ///
    /// # Errors
    /// `Unknown` as for `health`.
    fn remedy(&self, account: Address, target: HealthFactor, when: &Moment<'_>) -> Result<Remedy, Unknown>;
    /// Every debt with every collateral, legal or not.
    ///
    /// # Errors
    /// `Unknown` as for `health`.
    fn pairings(&self, account: Address, when: &Moment<'_>) -> Result<Vec<Pairing>, Unknown>;
    /// What this very call would do at the moment, or why the contract would refuse it.
    ///
    /// # Errors
    /// `Unknown` as for `health`.
    fn execution(&self, attempt: &Attempt, when: &Moment<'_>) -> Result<Result<Execution, Revert>, Unknown> {
        self.executions(std::slice::from_ref(attempt), when)
    }
    /// What calls for one account would do one behind the other: the amounts and events of all, and what the last leaves;
    /// or the first refusal.
    ///
    /// # Errors
    /// `Unknown` as for `health`, and where there is no call.
    fn executions(
        &self,
        attempts: &[Attempt],
        when: &Moment<'_>,
    ) -> Result<Result<Execution, Revert>, Unknown>;
}
