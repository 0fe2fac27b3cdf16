//! What happened inside a mined transaction: every call, and how it ended.

use alloy::{
    primitives::{Address, B256, Bytes},
    providers::Provider,
};
use eyre::{Result, WrapErr, ensure};
use serde::Deserialize;

use super::stage::{Stage, words};

/// One call, without those it made.
#[derive(Debug, Clone, Deserialize)]
pub struct Frame {
    pub from: Address,
    pub to: Option<Address>,
    pub input: Bytes,
    #[serde(default)]
    pub output: Bytes,
    pub error: Option<String>,
    #[serde(default)]
    calls: Vec<Frame>,
}

impl Stage {
    /// Every call of a mined transaction, each before those it made.
    pub async fn calls(&self, transaction: B256) -> Result<Vec<Frame>> {
        let tracer = serde_json::json!({ "tracer": "callTracer" });
        let root: Frame = self
            .fork
            .provider
            .raw_request("debug_traceTransaction".into(), (transaction, tracer))
            .await
            .wrap_err("tracing")?;
        let mut frames = vec![root];
        let mut next = 0;
        while next < frames.len() {
            let inner = std::mem::take(&mut frames[next].calls);
            next += 1;
            frames.splice(next..next, inner);
        }
        Ok(frames)
    }

    /// The intruder's calls to the executor in a mined transaction: each must have been refused with one of these. How
    /// many there were.
    pub async fn were_refused(
        &self,
        transaction: B256,
        intruder: Address,
        refusals: &[Vec<u8>],
    ) -> Result<usize> {
        let is_his = |frame: &Frame| frame.from == intruder && frame.to == Some(self.executor);
        self.refused(transaction, is_his, refusals).await
    }

    /// The same of all calls that `are_meant`, but for the transaction itself.
    pub async fn refused(
        &self,
        transaction: B256,
        are_meant: impl Fn(&Frame) -> bool,
        refusals: &[Vec<u8>],
    ) -> Result<usize> {
        let mut tried = 0;
        for frame in self.calls(transaction).await?.iter().skip(1).filter(|frame| are_meant(frame)) {
            tried += 1;
            let what = format!("{} of {}", frame.selector(), frame.from);
            ensure!(frame.error.is_some(), "{what} was allowed");
            let is_expected = refusals.iter().any(|refusal| *refusal == frame.output);
            ensure!(is_expected, "{what} was refused with {}", words(&frame.output));
        }
        Ok(tried)
    }
}

impl Frame {
    /// The first four bytes of what was asked, or all of fewer.
    pub fn selector(&self) -> Bytes {
        self.input.slice(..self.input.len().min(4))
    }
}
