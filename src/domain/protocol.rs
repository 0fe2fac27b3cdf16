//! What the keeper needs of a lending protocol, whichever it is. Logs mark what may have changed, reads
//! pinned to one block make it true again, and the protocol's own integer arithmetic says who may be
//! liquidated and what that moves.

use super::chain::{Answer, BlockRef, Log, Read};
use super::prices::{Moment, Prices};
use super::units::{Amount, Base, HealthFactor, Overflow, Round};
use alloy::primitives::{Address, U256};

/// The contract's verdict on one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    pub collateral: Base,
    pub debt: Base,
    pub factor: HealthFactor,
}

/// Why a position cannot be judged. It is never taken for healthy, and never acted on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    #[error("pool revision {0} is not known to this version: it is observed, never acted on")]
    Revision(u64),
    #[error("account {0} is not in the index")]
    Account(Address),
    #[error("account {0} was not read yet at this block")]
    Stale(Address),
    #[error("no price for {0}")]
    NoPrice(Address),
    #[error("stable-rate debt in {0}, which this version does not project")]
    StableDebt(Address),
    #[error("reserve {0} could not be read or runs token code this version does not know")]
    Reserve(Address),
    #[error("account {0} holds a reserve that is not in the market's list")]
    Unlisted(Address),
    #[error("e-mode category {0} could not be read")]
    EMode(u8),
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

/// One legal (debt, collateral) pair of a liquidatable account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opportunity {
    pub account: Address,
    pub health: HealthFactor,
    pub debt_asset: Address,
    pub collateral_asset: Address,
    /// Most of the debt that may be repaid now, in debt units.
    pub most: Amount,
    /// Repay amounts at which the outcome changes its form (close factor, dust, collateral exhausted).
    pub kinks: Vec<Amount>,
    /// Repay amounts that leave the account so that a second call may take most: just not healthy, with a close factor of
    /// everything, or with one that just takes all of a collateral. Empty after a first step.
    pub openings: Vec<Amount>,
    /// Liquidations of the same account that run before this one in the same transaction.
    pub after: Vec<Step>,
}

/// A liquidation that was decided upon, to be called just so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub debt_asset: Address,
    pub collateral_asset: Address,
    /// `debtToCover`.
    pub cover: U256,
}

/// What a liquidation of one size moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `debtToCover` to call with: the maximum integer where everything is taken, so that interest until
    /// the block that includes us cannot leave dust behind.
    pub cover: U256,
    /// Debt units the liquidator pays.
    pub repaid: Amount,
    /// Collateral units the liquidator receives, after the protocol's fee.
    pub seized: Amount,
    /// Collateral units the protocol keeps.
    pub fee: Amount,
}

/// A liquidation as anybody may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub account: Address,
    pub debt_asset: Address,
    pub collateral_asset: Address,
    /// Most debt units to repay; the protocol takes less where its rules say so.
    pub cover: U256,
    /// The liquidator takes the protocol's own token of the collateral, for which no underlying is needed.
    pub takes_shares: bool,
    pub liquidator: Address,
}

/// What the protocol's log of a liquidation says, in the order in which it says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The account does not use this asset as collateral any more.
    CollateralDisabled(Address),
    /// Debt in this asset that nobody will repay, in its units.
    DeficitCreated(Address, Amount),
    Liquidated {
        paid: Amount,
        received: Amount,
    },
}

/// What an attempt moves, to the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Debt units the liquidator pays.
    pub paid: Amount,
    /// Collateral units the liquidator receives.
    pub received: Amount,
    /// Collateral units the protocol keeps.
    pub fee: Amount,
    /// Units of this debt and of this collateral that the account has afterwards.
    pub owed: Amount,
    pub supplied: Amount,
    pub events: Vec<Event>,
    pub health: Health,
}

impl Execution {
    /// Debt that is written off, asset by asset, in its units.
    pub fn written_off(&self) -> impl Iterator<Item = (Address, Amount)> + '_ {
        self.events.iter().filter_map(|event| match event {
            Event::DeficitCreated(asset, amount) => Some((*asset, *amount)),
            _ => None,
        })
    }
}

/// Why the contract would refuse this call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Revert {
    #[error("nobody may liquidate himself")]
    Oneself,
    #[error("health factor is not below one")]
    Healthy,
    #[error("a reserve is inactive")]
    Inactive,
    #[error("a reserve is paused")]
    Paused,
    #[error("the liquidation grace period is running")]
    GracePeriod,
    #[error("the sequencer sentinel forbids liquidation")]
    Sentinel,
    #[error("the asset is not this account's collateral")]
    NotCollateral,
    #[error("the account owes nothing in this asset")]
    NoDebt,
    #[error("dust would be left behind")]
    Dust,
    #[error("the collateral has no bonus outside of its category, by which the contract would divide")]
    NoBonus,
    #[error("the reserve lacks the underlying to pay out")]
    Illiquid,
    #[error("nothing would move")]
    Nothing,
}

impl Revert {
    /// The word by which the reason is counted, stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Oneself => "oneself",
            Self::NoBonus => "no-bonus",
            Self::Healthy => "healthy",
            Self::Inactive => "reserve-inactive",
            Self::Paused => "reserve-paused",
            Self::GracePeriod => "grace-period",
            Self::Sentinel => "sequencer-sentinel",
            Self::NotCollateral => "not-collateral",
            Self::NoDebt => "no-debt",
            Self::Dust => "leaves-dust",
            Self::Illiquid => "collateral-illiquid",
            Self::Nothing => "nothing-moves",
        }
    }
}

/// An answer that no contract of this protocol gives: wrong address, wrong version, or a broken node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} of {contract} could not be read: {why}")]
pub struct Undecodable {
    pub what: String,
    pub contract: Address,
    pub why: String,
}

/// What a round of answers settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Values that were taken over.
    pub values: usize,
    /// Accounts and reserves that were otherwise than logs had told: taken over as read.
    pub drift: usize,
    /// The market's code changed to a revision whose rules are not known: nothing may be acted on.
    pub unknown_revision: Option<u64>,
}

/// How a flash loan of one asset from the protocol itself would go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashTerms {
    pub lender: Address,
    /// Underlying in the reserve, in its units.
    pub available: Amount,
    /// What a loan of the asked size costs, in its units; rounds as the contract does.
    pub premium: Amount,
}

/// One deployment of one lending protocol.
pub trait Protocol {
    /// Marks what any block may change.
    fn on_head(&mut self);
    /// Takes over what this log of a block of `timestamp` proves, and marks what it may have changed. The reading confirms
    /// what was taken over.
    fn on_log(&mut self, log: &Log, timestamp: u64);
    /// The log's block is gone: marks what it had changed, and believes nothing that it said.
    fn on_dropped_log(&mut self, log: &Log);
    /// Price feeds that spoke since this was last asked, each with every asset whose price hangs on it. A notice, not a
    /// price: that is read.
    fn moved(&mut self) -> Vec<(Address, Vec<Address>)>;
    /// Marks one account.
    fn mark(&mut self, account: Address);
    /// Marks everything, as after a gap that logs do not cover.
    fn mark_all(&mut self);
    /// The questions whose answers make everything marked true again. Empty when all is settled.
    fn reads(&self) -> Vec<Read>;
    /// Takes over the answers to `reads()`, all given at `at`.
    ///
    /// # Errors
    /// `Undecodable` when a contract answers what its kind never answers; nothing is taken over then.
    fn settle(&mut self, at: BlockRef, answers: &[Answer]) -> Result<Settled, Undecodable>;
    /// Oracle prices as last read.
    fn prices(&self) -> &Prices;
    /// Every account that ever borrowed, in ascending order.
    fn accounts(&self) -> Vec<Address>;
    /// The contract's own verdict, to the last digit.
    ///
    /// # Errors
    /// `Unknown` when anything it depends on is not known.
    fn health(&self, account: Address, when: &Moment<'_>) -> Result<Health, Unknown>;
    /// Every legal pair once these steps are taken (none: as the account is), or the reason why there is none.
    ///
    /// # Errors
    /// `Unknown` as for `health`.
    fn opportunities(
        &self,
        account: Address,
        after: &[Step],
        when: &Moment<'_>,
    ) -> Result<Result<Vec<Opportunity>, Revert>, Unknown>;
    /// What repaying `repay` does, or the least that seizes as much unless it is one of the openings; or why the contract
    /// would refuse.
    ///
    /// # Errors
    /// `Unknown` as for `health`.
    fn outcome(
        &self,
        opportunity: &Opportunity,
        repay: Amount,
        when: &Moment<'_>,
    ) -> Result<Result<Outcome, Revert>, Unknown>;
    /// As `outcome`, but for the protocol's own token of the collateral, in which its units count as the collateral's own and for
    /// which nothing need be left in the reserve. And which token that is.
    ///
    /// # Errors
    /// `Unknown` as for `health`.
    fn outcome_in_shares(
        &self,
        opportunity: &Opportunity,
        repay: Amount,
        when: &Moment<'_>,
    ) -> Result<Result<(Address, Outcome), Revert>, Unknown>;
    /// What these units of an asset are worth in units of another, by the protocol's oracle. Rounds as told, once.
    ///
    /// # Errors
    /// `Unknown` when either is not a reserve, or has no price.
    fn worth(
        &self,
        held: (Address, Amount),
        other: Address,
        round: Round,
        when: &Moment<'_>,
    ) -> Result<Amount, Unknown>;
    /// Terms of a flash loan of `amount` of `asset`, or `None` where the protocol does not lend it.
    fn flash(&self, asset: Address, amount: Amount) -> Option<FlashTerms>;
}
