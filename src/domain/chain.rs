//! What the chain tells us and what we ask of it: blocks, logs, reads and receipts, as plain values.

use super::units::{FeePerGas, Gas};
use alloy::primitives::{Address, B256, Bytes, LogData};

/// A block by number and hash, with the time its contracts saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockRef {
    pub number: u64,
    pub hash: B256,
    /// Seconds since 1970.
    pub timestamp: u64,
}

/// A block we may build upon: its link and what the next block's fee follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub block: BlockRef,
    pub parent: B256,
    pub base_fee: FeePerGas,
    pub gas_used: Gas,
    pub gas_limit: Gas,
}

/// One log of a block, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub address: Address,
    pub data: LogData,
}

/// A question to a contract, answered at one block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    pub to: Address,
    pub data: Bytes,
}

/// The contract's answer: its return data, or `None` where the call reverted (which is an answer too;
/// a node that does not answer is an error of the asking, never an `Answer`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer(pub Option<Bytes>);

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub hash: B256,
    pub block: u64,
    pub block_hash: B256,
    pub succeeded: bool,
    pub gas_used: Gas,
    pub gas_price: FeePerGas,
    pub logs: Vec<Log>,
}
