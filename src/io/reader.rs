//! Answers reads, all pinned to one block hash: through Multicall3 where the chain has it, in JSON-RPC
//! batches where it does not. A contract's refusal is an answer; a node's silence is an error.

use super::gather::gather;
use super::rpc::{Doing, Fault, Rpc};
use crate::abi::multicall::{Call3, Multicall3};
use crate::domain::chain::{Answer, Read};
use alloy::primitives::{Address, B256, Bytes, address};
use alloy::sol_types::SolCall;
use eyre::{Result, WrapErr, bail};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The same on every chain that has it.
const MULTICALL: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");

/// Asks contracts in bulk.
#[derive(Clone)]
pub struct Reader {
    rpc: Rpc,
    /// Reads per round trip.
    batch: usize,
    multicall: bool,
}

impl Reader {
    /// Looks at the chain once to choose the way to ask.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn new(rpc: Rpc, batch: usize) -> Result<Self> {
        let code: Bytes =
            rpc.ask("eth_getCode", json!([MULTICALL, "latest"])).await.doing("looking for Multicall3")?;
        Ok(Self { rpc, batch: batch.max(1), multicall: !code.is_empty() })
    }

    pub fn uses_multicall(&self) -> bool {
        self.multicall
    }

    /// The answers in the order of `reads`, all as of the block `at`.
    ///
    /// # Errors
    /// When the node fails or does not know the block; a reverted call is an `Answer(None)`.
    pub async fn answers(&self, at: B256, reads: &[Read]) -> Result<Vec<Answer>> {
        self.in_chunks(at, reads, self.multicall, &|_| {}).await
    }

    /// As `answers`, and says after each round trip how many reads are answered.
    ///
    /// # Errors
    /// As `answers`.
    pub async fn answers_with(
        &self,
        at: B256,
        reads: &[Read],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Answer>> {
        self.in_chunks(at, reads, self.multicall, progress).await
    }

    /// As `answers`, each read as a call of its own: one that burns all the gas it is given then spoils
    /// nobody else's answer.
    ///
    /// # Errors
    /// As `answers`.
    pub async fn answers_apart(&self, at: B256, reads: &[Read]) -> Result<Vec<Answer>> {
        self.in_chunks(at, reads, false, &|_| {}).await
    }

    async fn in_chunks(
        &self,
        at: B256,
        reads: &[Read],
        together: bool,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Answer>> {
        let jobs = reads.chunks(self.batch).map(|chunk| {
            let (reader, chunk) = (self.clone(), chunk.to_vec());
            async move { reader.chunk(at, &chunk, together).await }
        });
        let done = AtomicUsize::new(0);
        let count = |part: &Vec<Answer>| {
            let before = done.fetch_add(part.len(), Ordering::Relaxed);
            progress(before.saturating_add(part.len()));
        };
        let parts = gather(jobs, &count).await;
        Ok(parts.wrap_err_with(|| format!("reading contracts at block {at}"))?.concat())
    }

    async fn chunk(&self, at: B256, reads: &[Read], together: bool) -> Result<Vec<Answer>> {
        if together && reads.len() > 1 {
            self.by_multicall(at, reads).await
        } else {
            self.by_batch(at, reads).await
        }
    }

    async fn by_multicall(&self, at: B256, reads: &[Read]) -> Result<Vec<Answer>> {
        let calls = reads
            .iter()
            .map(|read| Call3 { target: read.to, allowFailure: true, callData: read.data.clone() })
            .collect();
        let data = Bytes::from(Multicall3::aggregate3Call { calls }.abi_encode());
        let raw: Bytes = self.rpc.ask("eth_call", pinned(MULTICALL, &data, at)).await?;
        let results = Multicall3::aggregate3Call::abi_decode_returns(&raw)?;
        if results.len() != reads.len() {
            bail!("{} calls got {} results", reads.len(), results.len());
        }
        let mut answers =
            results.into_iter().map(|one| Answer(one.success.then_some(one.returnData))).collect::<Vec<_>>();
        // A call that failed in a crowd may have run out of the crowd's gas: it is believed when it fails alone.
        let failed = (0..reads.len()).filter(|index| answers.get(*index).is_some_and(|one| one.0.is_none()));
        let failed = failed.collect::<Vec<_>>();
        let alone = failed.iter().filter_map(|index| reads.get(*index).cloned()).collect::<Vec<_>>();
        if !alone.is_empty() {
            for (index, answer) in failed.into_iter().zip(self.by_batch(at, &alone).await?) {
                if let Some(slot) = answers.get_mut(index) {
                    *slot = answer;
                }
            }
        }
        Ok(answers)
    }

    async fn by_batch(&self, at: B256, reads: &[Read]) -> Result<Vec<Answer>> {
        let questions = reads.iter().map(|read| pinned(read.to, &read.data, at)).collect::<Vec<_>>();
        let mut answers = Vec::with_capacity(reads.len());
        for result in self.rpc.ask_batch("eth_call", &questions).await? {
            answers.push(match result {
                Ok(value) => Answer(Some(serde_json::from_value(value)?)),
                Err(fault) if fault.revert().is_some() => Answer(None),
                Err(fault) => return Err(fault.into()),
            });
        }
        Ok(answers)
    }

    /// The code at `address` as of the block `at`.
    ///
    /// # Errors
    /// When the node fails.
    pub async fn code(&self, at: B256, address: Address) -> Result<Bytes, Fault> {
        self.rpc.ask("eth_getCode", json!([address, block(at)])).await
    }
}

/// EIP-1898: by hash, so that a node that does not have this very block says so.
pub fn block(at: B256) -> Value {
    json!({ "blockHash": at })
}

fn pinned(to: Address, data: &Bytes, at: B256) -> Value {
    json!([{ "to": to, "data": data }, block(at)])
}
