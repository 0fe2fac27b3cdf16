//! What goes into the journal and comes out of it. How it is stored is left to `store` and `read`.

use super::super::signer::Kind;
use crate::domain::chain::Receipt;
use crate::domain::plan::{Place, Shares};
use crate::domain::units::{Amount, FeePerGas, Gas, Net, Wei};
use alloy::primitives::{Address, B256, Bytes, U256};
use rusqlite::ErrorCode;
use serde::Serialize;
use std::fmt;

/// One decision to act, with all the transactions that came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct IntentId(pub i64);

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is signed by a command of its own, for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Errand {
    /// The creation of the executor.
    Deploy,
    /// A token out of the executor, signed by its owner.
    Sweep,
}

impl Errand {
    pub(super) const ALL: [Self; 2] = [Self::Deploy, Self::Sweep];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Sweep => "sweep",
        }
    }
}

/// What a plan promised when it was signed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Intent {
    pub market: String,
    pub account: Address,
    pub debt_asset: Address,
    pub collateral_asset: Address,
    /// Of `debt_asset`, in its smallest unit.
    pub repay: Amount,
    /// The block whose state the plan was made on.
    pub block: u64,
    /// The first block in which it is too late.
    pub deadline_block: u64,
    pub promised_gross: Wei,
    pub promised_gas: Gas,
    /// After gas.
    pub promised_net: Wei,
    /// Whatever else explains the plan to people: route, prices, health.
    pub detail: serde_json::Value,
}

/// Whom an intent was to liquidate, of what and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub account: Address,
    pub debt_asset: Address,
    pub collateral_asset: Address,
}

impl Intent {
    /// All calls of the transaction, in the order in which they run: the columns have the first, the detail every one.
    /// Never empty.
    pub fn parts(&self) -> Vec<Part> {
        let parts = self.listed().flat_map(|one| {
            let legs = one.get("legs").and_then(serde_json::Value::as_array);
            // One call was written without a list of legs once.
            let legs = legs.map_or(std::slice::from_ref(one), Vec::as_slice);
            legs.iter().filter_map(|leg| {
                let account = address(one, "account")?;
                let [debt_asset, collateral_asset] =
                    [address(leg, "debt_asset")?, address(leg, "collateral_asset")?];
                Some(Part { account, debt_asset, collateral_asset })
            })
        });
        let parts = parts.collect::<Vec<_>>();
        let Self { account, debt_asset, collateral_asset, .. } = *self;
        if parts.is_empty() { vec![Part { account, debt_asset, collateral_asset }] } else { parts }
    }

    /// What is at each place of the transaction, a loan each. An account may have several. Never empty.
    pub fn places(&self) -> Vec<Place> {
        let shares = |one: &serde_json::Value| {
            let shares = one.get("shares")?;
            let number = |key: &str| shares.get(key)?.as_str()?.parse::<U256>().ok();
            Some(Shares {
                token: address(shares, "token")?,
                units: Amount(number("units")?),
                least: Amount(number("least")?),
                worth: Wei(number("worth_wei")?),
                paid: Amount(number("paid")?),
                cost: Wei(number("cost_wei")?),
            })
        };
        let place = |one| Some(Place { account: address(one, "account")?, shares: shares(one) });
        let places = self.listed().filter_map(place).collect::<Vec<_>>();
        if places.is_empty() { vec![Place { account: self.account, shares: None }] } else { places }
    }

    fn listed(&self) -> impl Iterator<Item = &serde_json::Value> {
        self.detail.get("liquidations").and_then(serde_json::Value::as_array).into_iter().flatten()
    }
}

fn address(value: &serde_json::Value, key: &str) -> Option<Address> {
    value.get(key)?.as_str()?.parse().ok()
}

/// Signed bytes that are on the disk: the only thing that may be sent. Sending them twice is harmless, one
/// nonce having one mined transaction.
#[derive(Clone)]
pub struct Durable {
    pub(super) intent: IntentId,
    pub(super) hash: B256,
    pub(super) nonce: u64,
    pub(super) kind: Kind,
    pub(super) raw: Bytes,
}

impl Durable {
    pub fn intent(&self) -> IntentId {
        self.intent
    }
    pub fn hash(&self) -> B256 {
        self.hash
    }
    pub fn nonce(&self) -> u64 {
        self.nonce
    }
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// EIP-2718 bytes for `eth_sendRawTransaction`. Not for logs.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
}

/// Without the bytes: whoever reads a log must not be able to send them first.
impl fmt::Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durable({:?}, intent {}, nonce {}, {})", self.kind, self.intent, self.nonce, self.hash)
    }
}

/// One signed transaction of an intent.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// 0 for the first; raises and cancels follow.
    pub seq: u32,
    pub max_fee: FeePerGas,
    pub tip: FeePerGas,
    pub gas_limit: Gas,
    /// Where it was last seen mined, if it was.
    pub mined: Option<Mined>,
    pub(super) durable: Durable,
}

impl Attempt {
    pub fn hash(&self) -> B256 {
        self.durable.hash
    }
    pub fn kind(&self) -> Kind {
        self.durable.kind
    }
    /// The very same bytes, to be sent again.
    pub fn again(&self) -> Durable {
        self.durable.clone()
    }
}

/// An intent that is not settled.
#[derive(Clone, Debug)]
pub struct Open {
    pub id: IntentId,
    pub from: Address,
    pub nonce: u64,
    /// `None`: an errand.
    pub intent: Option<Intent>,
    /// `None`: a liquidation.
    pub errand: Option<Errand>,
    /// In the order they were signed; never empty.
    pub attempts: Vec<Attempt>,
}

/// A receipt, without its logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mined {
    pub block: u64,
    pub block_hash: B256,
    pub succeeded: bool,
    pub gas_used: Gas,
    pub gas_price: FeePerGas,
}

impl From<&Receipt> for Mined {
    fn from(receipt: &Receipt) -> Self {
        let Receipt { block, block_hash, succeeded, gas_used, gas_price, .. } = *receipt;
        Self { block, block_hash, succeeded, gas_used, gas_price }
    }
}

/// How an intent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Won,
    Reverted,
    Cancelled,
    /// The nonce was used by a transaction that is not in the journal: somebody else has the key.
    ForeignNonce,
}

impl Outcome {
    pub(super) const ALL: [Self; 4] = [Self::Won, Self::Reverted, Self::Cancelled, Self::ForeignNonce];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Reverted => "reverted",
            Self::Cancelled => "cancelled",
            Self::ForeignNonce => "foreign-nonce",
        }
    }
}

/// What an intent came to, once it is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub outcome: Outcome,
    pub realised_gross: Wei,
    /// After gas: a loss when nothing was won.
    pub realised_net: Net,
    pub gas_used: Gas,
}

/// One line of the history.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub id: IntentId,
    /// Seconds since 1970, when it was recorded.
    pub at: u64,
    pub from: Address,
    pub nonce: u64,
    /// `None`: an errand.
    pub intent: Option<Intent>,
    /// With what explains it to people. `None`: a liquidation.
    pub errand: Option<(Errand, serde_json::Value)>,
    /// How many transactions were signed for it.
    pub attempts: u32,
    /// The transaction that was mined last, or else the one signed last.
    pub hash: B256,
    pub mined: Option<Mined>,
    /// `None` while it is not settled.
    pub verdict: Option<Verdict>,
}

/// Why something is not on the disk. What was to be written counts as not written, and must not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDurable {
    #[error("intent {live} is still in flight on nonce {nonce}: settle it first")]
    InFlight { live: IntentId, nonce: u64 },
    #[error(
        "nonce {nonce} was used before by this account (a test chain started anew needs a new data directory)"
    )]
    NonceTaken { nonce: u64 },
    #[error("refused by the journal: {0}")]
    Refused(String),
    #[error("the disk is full: free some space; nothing is sent until then")]
    DiskFull,
    #[error("another process has been writing the journal for seconds")]
    Busy,
    /// The disk failed, so that what it last said is in doubt. Everything after is refused too.
    #[error("the journal failed and stays closed: {0}. Restart, and look at the disk")]
    Failed(String),
    #[error("the journal's thread has ended: restart")]
    Stopped,
}

impl NotDurable {
    /// Whether only a restart helps.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Stopped)
    }
}

impl From<rusqlite::Error> for NotDurable {
    fn from(error: rusqlite::Error) -> Self {
        let reason = error.to_string();
        match (error.sqlite_error_code(), error) {
            (Some(ErrorCode::DiskFull), _) => Self::DiskFull,
            (Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked), _) => Self::Busy,
            (Some(ErrorCode::ConstraintViolation), _) | (_, rusqlite::Error::ToSqlConversionFailure(_)) => {
                Self::Refused(reason)
            }
            _ => Self::Failed(reason),
        }
    }
}
