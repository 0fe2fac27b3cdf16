//! The keeper under faults: the real binary, the real contracts, and between them a node that misbehaves to order.

mod crash;
pub mod proxy;
mod refusals;
mod resume;
mod transport;

use std::{path::Path, time::Duration};

use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    eips::eip2718::Decodable2718 as _,
    primitives::{Address, B256, Bytes, keccak256},
    providers::Provider,
};
use backstop::{
    bed::{
        Fork,
        assets::DOLLAR,
        operator::{Custody, Daemon, Ended, Operator},
        shared,
    },
    io::journal::{Entry, Outcome, Reader},
};
use eyre::{Result, ensure, eyre};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

use self::proxy::Proxy;

/// Part of every URL the keeper is given. It must never be seen again.
pub const CANARY: &str = "canary7f3a";
/// Long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(40);
const MARKET: &str = "v36";
/// The price of ether at which a handful of accounts may be liquidated.
const FALLEN: u64 = 1_880 * DOLLAR;

/// A fork, a proxy before it, and an operator who knows only the proxy.
pub struct Stand {
    pub operator: Operator,
    pub proxy: Proxy,
    pub fork: Fork,
    _folder: TempDir,
}

impl Stand {
    /// An operator in dry-run mode who polls.
    pub async fn new() -> Result<Self> {
        Self::kept_in(Custody::Environment).await
    }

    /// One who keeps the key so.
    pub async fn kept_in(custody: Custody) -> Result<Self> {
        let fork = shared().await?.fork().await?;
        let proxy = Proxy::before(&fork.http())?;
        let folder = tempfile::tempdir()?;
        let binary = Path::new(env!("CARGO_BIN_EXE_backstop"));
        let operator = Operator::new(&fork, MARKET, folder.path(), binary, custody)?;
        let mut stand = Self { operator, proxy, fork, _folder: folder };
        stand.set("BACKSTOP_RPC__HTTP", &stand.http());
        stand.set("BACKSTOP_RPC__WS", "");
        stand.set("BACKSTOP_RPC__POLL", "50ms");
        stand.set("BACKSTOP_RPC__TIMEOUT", "2s");
        Ok(stand)
    }

    /// One with money and an executor, in live mode. Nothing of that is on record.
    pub async fn live() -> Result<Self> {
        let mut stand = Self::new().await?;
        stand.operator.enlist(&stand.fork).await?;
        stand.proxy.forget();
        stand.proxy.watch(stand.operator.journal(stand.fork.manifest.chain_id));
        Ok(stand)
    }

    /// The proxy's URL, with secrets wherever a URL can have them.
    pub fn http(&self) -> String {
        format!("http://user:{CANARY}@127.0.0.1:{}/{CANARY}?key={CANARY}", self.proxy.port())
    }

    pub fn ws(&self) -> String {
        self.http().replacen("http", "ws", 1)
    }

    /// Sets a variable of the keeper's environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.operator.environment.retain(|(known, _)| known != name);
        self.operator.environment.push((name.into(), value.into()));
    }

    /// Runs a command to its end; what it says holds no secret.
    pub fn run(&self, arguments: &[&str]) -> Result<Ended> {
        let ended = self.operator.run(arguments)?;
        self.check_silence(&ended.stdout)?;
        self.check_silence(&ended.stderr)?;
        Ok(ended)
    }

    /// Starts the daemon and waits until it is at work.
    pub async fn start(&self) -> Result<Daemon> {
        let mut daemon = self.operator.start(&["run", "-v"])?;
        daemon.says("ready", PATIENCE).await?;
        Ok(daemon)
    }

    /// Neither the URL's secrets nor the key are in this.
    pub fn check_silence(&self, text: &str) -> Result<()> {
        let folder = self.operator.folder.display();
        let key = keccak256(format!("operator of {} in {folder}", self.operator.market)).to_string();
        ensure!(!text.contains(CANARY), "a URL's secret was told: {text}");
        ensure!(!text.contains(key.trim_start_matches("0x")), "the key was told");
        Ok(())
    }

    /// Ether falls in the oracle: several accounts may be liquidated, at a profit.
    pub async fn fall(&self) -> Result<()> {
        self.fork.set_price("WETH", FALLEN).await
    }

    pub fn entries(&self) -> Result<Vec<Entry>> {
        let reader = Reader::open(&self.operator.journal(self.fork.manifest.chain_id))?;
        let mut entries = reader.map_or(Ok(vec![]), |reader| reader.history(100))?;
        entries.retain(|entry| entry.intent.is_some());
        entries.reverse();
        Ok(entries)
    }

    /// Waits until the journal's liquidations satisfy `wanted`.
    pub async fn until(&self, what: &str, wanted: impl Fn(&[Entry]) -> bool) -> Result<Vec<Entry>> {
        let began = std::time::Instant::now();
        loop {
            let entries = self.entries()?;
            if wanted(&entries) {
                return Ok(entries);
            }
            ensure!(began.elapsed() < PATIENCE, "not {what} within {PATIENCE:?}: {entries:#?}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// What must hold whatever went wrong: bytes were in the journal before they were sent, at most one
    /// transaction a nonce is mined, and the journal's verdicts are the chain's.
    pub async fn check_books(&self) -> Result<()> {
        let mut mined = BTreeMap::<u64, BTreeSet<B256>>::new();
        for (raw, journaled) in self.proxy.sent()? {
            ensure!(journaled, "sent before it was in the journal: {raw}");
            let hash = keccak256(&raw);
            if self.fork.provider.get_transaction_receipt(hash).await?.is_some() {
                mined.entry(nonce(&raw)?).or_default().insert(hash);
            }
        }
        for (nonce, hashes) in &mined {
            ensure!(hashes.len() == 1, "nonce {nonce} was mined {} times", hashes.len());
        }
        for entry in self.entries()? {
            let Some(verdict) = entry.verdict.filter(|verdict| verdict.outcome != Outcome::ForeignNonce)
            else {
                continue;
            };
            let receipt = self.fork.provider.get_transaction_receipt(entry.hash).await?;
            let status = receipt.map(|receipt| receipt.status());
            let expected = match verdict.outcome {
                Outcome::Won | Outcome::Cancelled => Some(true),
                Outcome::Reverted => Some(false),
                Outcome::ForeignNonce => None,
            };
            ensure!(status == expected, "booked {:?}, the chain says {status:?}", verdict.outcome);
        }
        Ok(())
    }

    /// Distinct raw transactions seen, by nonce.
    pub fn distinct(&self) -> Result<BTreeMap<u64, BTreeSet<Bytes>>> {
        let mut found = BTreeMap::<u64, BTreeSet<Bytes>>::new();
        for (raw, _) in self.proxy.sent()? {
            found.entry(nonce(&raw)?).or_default().insert(raw);
        }
        Ok(found)
    }

    /// Any method of the node itself, past the proxy.
    pub async fn command(&self, method: &'static str, params: Value) -> Result<Value> {
        Ok(self.fork.provider.raw_request(method.into(), params).await?)
    }

    /// Anvil without automatic blocks: transactions stay in the pool.
    pub async fn hold_blocks(&self) -> Result<()> {
        self.fork.chain.set_automine(false).await
    }
}

pub fn decode(raw: &Bytes) -> Result<TxEnvelope> {
    Ok(TxEnvelope::decode_2718(&mut raw.as_ref())?)
}

fn nonce(raw: &Bytes) -> Result<u64> {
    Ok(decode(raw)?.nonce())
}

pub fn address(text: &str) -> Result<Address> {
    text.parse().map_err(|_| eyre!("not an address: {text}"))
}
