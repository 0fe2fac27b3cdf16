//! The journal: what was promised, signed, sent and mined. Signed bytes are on the disk before they leave, so
//! after any crash the same bytes are sent again instead of others being signed. Never a cache: nothing here
//! removes or repairs a journal. When to raise, withdraw or settle is left to the lane and to recovery.
//!
//! The order a caller keeps: sign in memory, `record`, send. It is hard to do otherwise: `record` takes the
//! `Signed`, which cannot be sent, and gives back the `Durable`, which can.
//!
//! One connection on a thread of its own, asked over a channel: writes happen in the order in which they were
//! asked, an fsync never holds up the runtime, and a panic in here ends the journal (every later call says
//! `Stopped`), not half of it. A caller that stops waiting does not undo its write; so whatever the journal
//! holds counts as "maybe sent".

mod read;
mod schema;
mod store;
mod types;

pub use read::Reader;
pub use types::{
    Attempt, Durable, Entry, Errand, Intent, IntentId, Mined, NotDurable, Open, Outcome, Part, Verdict,
};

use super::signer::Signed;
use crate::domain::chain::Receipt;
use alloy::primitives::{Address, B256};
use eyre::{Result, WrapErr as _};
use std::path::Path;
use std::sync::mpsc;
use store::Store;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// The open journal of one account on one chain. Clones share the one writer.
#[derive(Clone)]
pub struct Journal {
    jobs: mpsc::Sender<Job>,
}

impl Journal {
    /// Opens `path`, made if missing (0600), for the account `from` on `chain_id`. Blocks for the time of an
    /// integrity check. Hold the data directory's lock.
    ///
    /// # Errors
    /// A damaged file, one of another chain or a newer schema, a disk that does not keep commits: says what
    /// to do. The file is left as it is.
    pub fn open(path: &Path, chain_id: u64, from: Address) -> Result<Self> {
        let mut store = Store::open(path, chain_id, from)?;
        let (jobs, inbox) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || inbox.into_iter().for_each(|job| job(&mut store)))
            .wrap_err("thread of the journal")?;
        Ok(Self { jobs })
    }

    /// Writes a plan and its first signed transaction, both or neither. Returns once they are on the disk.
    ///
    /// # Errors
    /// Then nothing may be sent: `InFlight` while an earlier intent of this account is not settled,
    /// `NonceTaken`, `Refused` (signed by another account, for another chain, or not an execution), or a disk
    /// that does not write.
    pub async fn record(&self, intent: Intent, signed: Signed) -> Result<Durable, NotDurable> {
        self.ask(move |store| store.record(&intent, signed)).await?
    }

    /// As `record`, for what a command signs. `detail` is for people.
    ///
    /// # Errors
    /// As `record`.
    pub async fn record_errand(
        &self,
        errand: Errand,
        detail: serde_json::Value,
        signed: Signed,
    ) -> Result<Durable, NotDurable> {
        self.ask(move |store| store.record_errand(errand, &detail, signed)).await?
    }

    /// Adds the same plan signed again at higher fees, on the same nonce.
    ///
    /// # Errors
    /// As `record`; `Refused` also when `intent` is settled or has another nonce.
    pub async fn record_raise(&self, intent: IntentId, signed: Signed) -> Result<Durable, NotDurable> {
        self.ask(move |store| store.record_raise(intent, signed)).await?
    }

    /// Adds a cancel on the same nonce.
    ///
    /// # Errors
    /// As `record`; `Refused` also when `intent` is settled or has another nonce.
    pub async fn record_cancel(&self, intent: IntentId, signed: Signed) -> Result<Durable, NotDurable> {
        self.ask(move |store| store.record_cancel(intent, signed)).await?
    }

    /// Notes what a node said to the bytes of `hash`, e.g. "main: accepted". For people; must hold no URL.
    ///
    /// # Errors
    /// `Refused` for an unknown hash, or a disk that does not write.
    pub async fn sent(&self, hash: B256, outcome: impl Into<String>) -> Result<(), NotDurable> {
        let outcome = outcome.into();
        self.ask(move |store| store.sent(hash, &outcome)).await?
    }

    /// Notes that one of our transactions is in a block. A receipt of another block (after a reorg) is kept
    /// beside the first, and counts as the newer one. Its logs are not kept.
    ///
    /// # Errors
    /// `Refused` for a transaction that is not in the journal, or a disk that does not write.
    pub async fn mined(&self, receipt: &Receipt) -> Result<(), NotDurable> {
        let hash = receipt.hash;
        let mined = Mined::from(receipt);
        self.ask(move |store| store.mined(hash, mined)).await?
    }

    /// Closes an intent for good and frees its account for the next. For when the receipt is final.
    ///
    /// # Errors
    /// `Refused` when it is already settled, or when no recorded receipt bears the outcome out (all but a
    /// foreign nonce need one); or a disk that does not write.
    pub async fn settle(&self, intent: IntentId, verdict: Verdict) -> Result<(), NotDurable> {
        self.ask(move |store| store.settle(intent, verdict)).await?
    }

    /// What a start has to finish first, oldest first: intents that are not settled, of any account that ever
    /// used this journal, each with all its attempts. Each attempt was maybe sent.
    ///
    /// # Errors
    /// When the file cannot be read, or stored bytes do not have their hash.
    pub async fn unfinished(&self) -> Result<Vec<Open>> {
        self.ask(|store| store.unfinished()).await?
    }

    /// What was mined with a nonce whose intent is settled: to be sent again where a reorganisation has taken it
    /// out of the chain.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn mined_at(&self, nonce: u64) -> Result<Vec<Durable>> {
        self.ask(move |store| store.mined_at(nonce)).await?
    }

    /// The newest `limit` intents, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn history(&self, limit: usize) -> Result<Vec<Entry>> {
        self.ask(move |store| store.history(limit)).await?
    }

    async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, NotDurable> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |store| {
            // Nobody waiting any more is no reason not to have written.
            let _ = answer.send(job(store));
        });
        self.jobs.send(job).map_err(|_| NotDurable::Stopped)?;
        answered.await.map_err(|_| NotDurable::Stopped)
    }
}

#[cfg(test)]
mod tests;
