//! What the keeper is told, what it wants done, and what it says about it: the words between the deciding and
//! its hands.

use crate::domain::chain::{Answer, BlockRef, Head, Log, Read, Receipt};
use crate::domain::cost::{FeePolicy, Fees};
use crate::domain::lane::{Attempt, Flight, News};
use crate::domain::plan::{Call, Plan, Skip, Submission, Trial};
use crate::domain::protocol::Undecodable;
use crate::domain::route::Venue;
use crate::domain::size::{Holding, MOST_LOANS, Purse};
use crate::domain::units::{Amount, Bps, FeePerGas, Wei};
use crate::domain::verdict::Verdict;
use alloy::primitives::{Address, B256};
use std::collections::BTreeMap;

/// What the operator wants. Without it the keeper only keeps the market true.
#[derive(Clone, Debug)]
pub struct Terms {
    pub venue: Venue,
    /// The lending pool that is called to liquidate.
    pub lender: Address,
    pub executor: Address,
    /// Assets whose pools with the debt may lend it.
    pub partners: Vec<Address>,
    pub minimum: Wei,
    pub slippage: Bps,
    /// What may be held as shares, where anything may.
    pub holding: Option<Holding>,
    pub fees: FeePolicy,
    /// Several liquidations may share a transaction: the node can try them one after another.
    pub bundles: bool,
    /// Sign and send; otherwise decide and say so.
    pub live: bool,
}

impl Terms {
    /// Loans that one draft may need: each may fail alone, which has to be tried.
    pub fn most_loans(&self) -> usize {
        if self.bundles { MOST_LOANS } else { 1 }
    }

    /// What pays for shares, less what is `spent` of it already.
    pub fn purse<'a>(&'a self, spent: &'a BTreeMap<Address, Amount>) -> Option<Purse<'a>> {
        self.holding.as_ref().map(|holding| Purse { executor: self.executor, holding, spent })
    }
}

/// A fact.
#[derive(Clone, Debug)]
pub enum Input {
    Head {
        dropped: Vec<BlockRef>,
        /// The new blocks and their logs, oldest first.
        added: Vec<(Head, Vec<Log>)>,
        /// Logs do not cover what changed.
        jumped: bool,
        /// When the next block is expected, seconds since 1970.
        next_timestamp: u64,
    },
    /// To `Effect::Read`.
    Answers(Vec<Answer>),
    /// To `Effect::Try`.
    Trials(Vec<Trial>),
    /// To `Effect::Follow`.
    News(News),
    /// To `Effect::Submit` and `Effect::Withdraw`: what was journaled and sent.
    Flying { intent: i64, nonce: u64, attempt: Attempt },
    /// To `Effect::Submit`: nothing was sent.
    Grounded,
}

/// What the hands are to do, in order. A head is dealt with when nothing is left to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask contracts at this block.
    Read { at: BlockRef, reads: Vec<Read> },
    /// Run these calls as of this block, at the next block's time: each on the block as it is, or
    /// `in_sequence`, each on what those before it left.
    Try { at: Head, timestamp: u64, base_fee: FeePerGas, calls: Vec<Call>, in_sequence: bool },
    /// Sign, commit to the journal, send.
    Submit(Box<Submission>),
    /// Sign and journal a transaction to ourselves with the flight's nonce, send.
    Withdraw { flight: Box<Flight>, fees: Fees },
    /// Send the journaled bytes with this hash once more.
    Resend(B256),
    /// Send again what was mined with this nonce and is not any more.
    Restore(u64),
    /// Ask for receipts and our next nonce.
    Follow(Box<Flight>),
    /// The flight is over.
    Book { flight: Box<Flight>, verdict: Box<Verdict>, receipt: Option<Box<Receipt>> },
}

/// What was decided about one head.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub head: Option<Head>,
    /// Accounts were judged at this head; while a transaction is under way they are not.
    pub judged: bool,
    pub plans: Vec<Plan>,
    pub skips: Vec<Skip>,
    /// Accounts whose health could not be judged.
    pub unknown: usize,
    /// Price feeds that spoke in the blocks up to this head, each with the assets that hang on it.
    pub moved: Vec<(Address, Vec<Address>)>,
    /// Accounts and reserves that were otherwise than their logs had told, and were healed.
    pub drift: usize,
}

/// What makes the keeper stop rather than go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    #[error(
        "the pool runs revision {0}, which this version of backstop does not know: it is observed, never acted on"
    )]
    UnknownRevision(u64),
    #[error("no end to the questions about block {0}")]
    Endless(u64),
    #[error(
        "nonce {0} of our key was used by a transaction that is not in the journal: the key is used elsewhere, or stolen"
    )]
    ForeignNonce(u64),
    #[error("an answer came that nothing had asked for")]
    Unasked,
}
