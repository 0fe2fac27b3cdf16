//! Logs of one block, by its hash, and of long ranges, in steps that adapt to what the node allows.

use super::reader::block;
use super::rpc::{Doing, Fault, Rpc};
use crate::domain::chain::Log;
use alloy::primitives::{Address, B256, LogData};
use alloy::rpc::types::Log as RpcLog;
use eyre::{Result, bail};
use serde_json::json;

/// After this many full answers in a row a step may be twice as long.
const PATIENCE: u32 = 3;

impl Rpc {
    /// The logs of these contracts in the block `at`, in order.
    ///
    /// # Errors
    /// When the node fails, does not know the block, or answers with logs of another.
    pub async fn logs_at(&self, at: B256, sources: &[Address]) -> Result<Vec<Log>> {
        let mut filter = block(at);
        if let Some(object) = filter.as_object_mut() {
            object.insert("address".into(), json!(sources));
        }
        let found: Vec<RpcLog> = self.ask("eth_getLogs", json!([filter])).await.doing("asking for logs")?;
        if found.iter().any(|log| log.block_hash != Some(at) || !sources.contains(&log.address())) {
            bail!(
                "the node at {} answered a log query for block {at} with logs of something else",
                self.node()
            );
        }
        Ok(found.into_iter().map(plain).collect())
    }
}

pub fn plain(log: RpcLog) -> Log {
    Log {
        address: log.inner.address,
        data: LogData::new_unchecked(log.inner.data.topics().to_vec(), log.inner.data.data.clone()),
    }
}

/// A walk over the history of one contract and event.
pub struct Scan {
    rpc: Rpc,
    source: Address,
    topic: B256,
    next: u64,
    last: u64,
    step: u64,
    longest: u64,
    streak: u32,
}

/// What one step found.
pub struct Found {
    pub from: u64,
    pub to: u64,
    /// With the number of the block each is in.
    pub logs: Vec<(u64, Log)>,
}

impl Scan {
    /// From `first` to `last`, both included, at most `longest` blocks a step.
    pub fn new(rpc: Rpc, source: Address, topic: B256, first: u64, last: u64, longest: u64) -> Self {
        let longest = longest.max(1);
        Self { rpc, source, topic, next: first, last, step: longest, longest, streak: 0 }
    }

    /// The next step's logs, or `None` at the end. Refused steps are halved and asked again.
    ///
    /// # Errors
    /// When the node fails, or refuses even a single block.
    pub async fn advance(&mut self) -> Result<Option<Found>> {
        while self.next <= self.last {
            let to = self.next.saturating_add(self.step).saturating_sub(1).min(self.last);
            match self.ask(self.next, to).await {
                Ok(logs) => {
                    let from = std::mem::replace(&mut self.next, to.saturating_add(1));
                    self.lengthen();
                    return Ok(Some(Found { from, to, logs }));
                }
                Err(fault @ Fault::Refused { .. }) | Err(fault @ Fault::Timeout { .. }) => {
                    if self.step == 1 {
                        return Err(fault).doing("scanning history block by block");
                    }
                    self.step = (self.step / 2).max(1);
                    self.streak = 0;
                    tracing::debug!(step = self.step, %fault, "log range refused: asking for less");
                }
                Err(fault) => return Err(fault).doing("scanning history"),
            }
        }
        Ok(None)
    }

    fn lengthen(&mut self) {
        self.streak = self.streak.saturating_add(1);
        if self.streak >= PATIENCE && self.step < self.longest {
            self.step = self.step.saturating_mul(2).min(self.longest);
            self.streak = 0;
        }
    }

    async fn ask(&self, from: u64, to: u64) -> Result<Vec<(u64, Log)>, Fault> {
        let filter = json!([{
            "address": self.source,
            "topics": [self.topic],
            "fromBlock": format!("{from:#x}"),
            "toBlock": format!("{to:#x}"),
        }]);
        let found: Vec<RpcLog> = self.rpc.ask("eth_getLogs", filter).await?;
        let mut logs = Vec::with_capacity(found.len());
        for log in found {
            let number = log.block_number.filter(|number| (from..=to).contains(number));
            match number {
                Some(number) if log.address() == self.source && log.topic0() == Some(&self.topic) => {
                    logs.push((number, plain(log)));
                }
                _ => {
                    return Err(Fault::Malformed {
                        node: self.rpc.node().into(),
                        method: "eth_getLogs".into(),
                        why: format!("a log outside the blocks {from} to {to} or of another contract"),
                    });
                }
            }
        }
        Ok(logs)
    }
}
