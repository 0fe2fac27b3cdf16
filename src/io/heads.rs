//! Follows the chain's head. A subscription is a hint to look; the look itself asks for the newest block and
//! walks back by parent hash to what we knew, so that gaps are filled and replaced blocks are named.

use super::rpc::{Doing, Rpc};
use crate::domain::chain::{BlockRef, Head};
use crate::domain::units::{FeePerGas, Gas};
use alloy::providers::{Provider, ProviderBuilder, WsConnect};
use alloy::rpc::types::Block;
use eyre::{Result, bail, eyre};
use serde_json::json;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How many heads we can go back over. Deeper replacements make everything be read again.
const REMEMBERED: usize = 256;
/// Pauses between attempts to subscribe.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// What changed since the last look, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Blocks that are no longer part of the chain.
    pub dropped: Vec<BlockRef>,
    pub added: Vec<Head>,
    /// The gap was too long to link block by block: logs cannot tell what changed.
    pub jumped: bool,
}

/// The chain's head, looked at again and again.
pub struct Heads {
    rpc: Rpc,
    known: VecDeque<Head>,
    /// What a step that could not be used had told, for the next one to tell again.
    owed: Step,
    poll: Duration,
    hints: mpsc::Receiver<()>,
    subscription: Option<JoinHandle<()>>,
}

impl Drop for Heads {
    fn drop(&mut self) {
        if let Some(task) = &self.subscription {
            task.abort();
        }
    }
}

impl Heads {
    /// Looks every `poll`, and at once when the node at `ws` announces a head.
    pub fn new(rpc: Rpc, ws: Option<String>, poll: Duration) -> Self {
        let (sender, hints) = mpsc::channel(1);
        #[allow(clippy::disallowed_methods, reason = "`subscription` owns it; its end only means polling")]
        let subscription = ws.map(|url| tokio::task::spawn(announce(url, sender)));
        Self { rpc, known: VecDeque::new(), owed: Step::default(), poll, hints, subscription }
    }

    /// The newest head we know.
    pub fn last(&self) -> Option<Head> {
        self.known.back().copied()
    }

    /// Takes a step back that could not be used, so that the next look finds it again and tells again what it
    /// had dropped.
    pub fn forget(&mut self, step: &Step) {
        self.known.retain(|head| !step.added.contains(head));
        self.owed.dropped.extend(&step.dropped);
        // With nothing left to link to, the next look cannot see a gap.
        self.owed.jumped |= step.jumped || self.known.is_empty();
    }

    /// Seconds to the next block as recent ones came: the shortest gap between the last few, at least one.
    pub fn spacing(&self) -> u64 {
        let times = self.known.iter().rev().take(8).map(|head| head.block.timestamp).collect::<Vec<_>>();
        let gaps = times.windows(2).filter_map(|pair| pair.first()?.checked_sub(*pair.get(1)?));
        gaps.min().unwrap_or(1).clamp(1, 60)
    }

    /// Waits until there is reason to look.
    pub async fn wait(&mut self) {
        if self.subscription.is_some() {
            let _either = tokio::time::timeout(self.poll, self.hints.recv()).await;
        } else {
            tokio::time::sleep(self.poll).await;
        }
    }

    /// Looks now.
    ///
    /// # Errors
    /// When the node fails; nothing is forgotten then.
    pub async fn look(&mut self) -> Result<Step> {
        let mut step = self.step().await?;
        if !step.added.is_empty() {
            let owed = std::mem::take(&mut self.owed);
            step.dropped.splice(0..0, owed.dropped);
            step.jumped |= owed.jumped;
        }
        Ok(step)
    }

    async fn step(&mut self) -> Result<Step> {
        let newest = self.rpc.block("latest").await?;
        match self.last() {
            Some(last) if newest.block.hash == last.block.hash => Ok(Step::default()),
            Some(last) if newest.block.number.saturating_sub(last.block.number) <= REMEMBERED as u64 => {
                self.link(newest).await
            }
            known => {
                self.known.clear();
                self.known.push_back(newest);
                Ok(Step { added: vec![newest], jumped: known.is_some(), ..Step::default() })
            }
        }
    }

    /// Walks back from `newest` until its line meets ours.
    async fn link(&mut self, newest: Head) -> Result<Step> {
        let mut added = vec![newest];
        let mut kept = self.known.len();
        loop {
            let oldest = *added.last().ok_or_else(|| eyre!("no head to link"))?;
            while kept > 0
                && self
                    .known
                    .get(kept.saturating_sub(1))
                    .is_some_and(|head| head.block.number >= oldest.block.number)
            {
                kept = kept.saturating_sub(1);
            }
            match kept.checked_sub(1).and_then(|index| self.known.get(index)) {
                Some(head) if head.block.hash == oldest.parent => break,
                Some(_) if added.len() <= REMEMBERED => added.push(self.by_hash(oldest).await?),
                _ => {
                    self.known.clear();
                    self.known.push_back(newest);
                    return Ok(Step { added: vec![newest], jumped: true, ..Step::default() });
                }
            }
        }
        added.reverse();
        let dropped = self.known.drain(kept..).map(|head| head.block).collect();
        self.known.extend(added.iter().copied());
        while self.known.len() > REMEMBERED {
            self.known.pop_front();
        }
        Ok(Step { dropped, added, jumped: false })
    }

    async fn by_hash(&self, child: Head) -> Result<Head> {
        let block: Option<Block> = self
            .rpc
            .ask("eth_getBlockByHash", json!([child.parent, false]))
            .await
            .doing("following the chain back")?;
        let block = block.ok_or_else(|| {
            eyre!(
                "the node at {} does not have block {}, the parent of {}",
                self.rpc.node(),
                child.parent,
                child.block.number
            )
        })?;
        let head = head(&block)?;
        if head.block.hash != child.parent {
            bail!("the node at {} answered for block {} with another one", self.rpc.node(), child.parent);
        }
        Ok(head)
    }
}

impl Rpc {
    /// A block by tag or hexadecimal number.
    ///
    /// # Errors
    /// When the node fails or does not have it.
    pub async fn block(&self, tag: &str) -> Result<Head> {
        let found = self.try_block(tag).await?;
        let number = tag.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let named = number.map_or_else(|| tag.to_owned(), |number| number.to_string());
        found.ok_or_else(|| eyre!("the node at {} does not have block {named}", self.node()))
    }

    /// A block by tag or hexadecimal number, `None` where there is none.
    ///
    /// # Errors
    /// When the node fails.
    pub async fn try_block(&self, tag: &str) -> Result<Option<Head>> {
        let block: Option<Block> =
            self.ask("eth_getBlockByNumber", json!([tag, false])).await.doing("asking for a block")?;
        block.as_ref().map(head).transpose()
    }
}

fn head(block: &Block) -> Result<Head> {
    let header = &block.header;
    let fee = header.base_fee_per_gas.ok_or_else(|| {
        eyre!("block {} has no base fee: chains without EIP-1559 are not supported", header.number)
    })?;
    Ok(Head {
        block: BlockRef { number: header.number, hash: header.hash, timestamp: header.timestamp },
        parent: header.parent_hash,
        base_fee: FeePerGas(u128::from(fee)),
        gas_used: Gas(header.gas_used),
        gas_limit: Gas(header.gas_limit),
    })
}

/// Whether a node takes subscriptions to new heads at `url`.
///
/// # Errors
/// What happened instead, as the end of a sentence; without the URL.
pub async fn announces(url: String, within: Duration) -> Result<(), &'static str> {
    let subscribe = async {
        let provider = ProviderBuilder::new()
            .connect_ws(WsConnect::new(url))
            .await
            .map_err(|_| "does not take a WebSocket connection")?;
        provider.subscribe_blocks().await.map(drop).map_err(|_| "does not take a subscription to new heads")
    };
    tokio::time::timeout(within, subscribe).await.unwrap_or(Err("does not answer on its WebSocket in time"))
}

/// Says "look" for every head the node announces, and subscribes anew when it stops. Never says what the
/// head is: that is for the look. Trouble is told once, until it is over.
async fn announce(url: String, hint: mpsc::Sender<()>) {
    let mut pause = FIRST_RETRY;
    let mut told = false;
    loop {
        // The transport would try to connect again for minutes and say nothing meanwhile.
        let connect = WsConnect::new(url.clone()).with_max_retries(0);
        if let Ok(provider) = ProviderBuilder::new().connect_ws(connect).await
            && let Ok(mut heads) = provider.subscribe_blocks().await
        {
            pause = FIRST_RETRY;
            if std::mem::take(&mut told) {
                tracing::info!("subscribed to new heads again");
            }
            while heads.recv().await.is_ok() {
                if hint.is_closed() {
                    return;
                }
                // A full channel already says what we would say.
                let _already_said = hint.try_send(());
            }
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!("subscription to new heads ended or was refused: polling meanwhile");
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(LAST_RETRY);
    }
}
