//! The rules of the journal, by name. A crash is a second connection beside one that was leaked, a copy of
//! the files as they lie on the disk, or a process that really aborts.

mod disk;
mod migrate;

use super::super::signer::{Policy, Request, Signer, Source};
use super::*;
use crate::domain::units::{Amount, FeePerGas, Gas, Net, Wei};
use alloy::primitives::{Bytes, U256, keccak256};
use secrecy::SecretString;
use std::fs;
use std::path::PathBuf;

const CHAIN: u64 = 1;
const ABORTS: &str = "BACKSTOP_TEST_ABORTS_WITH_JOURNAL";

struct Bench {
    dir: tempfile::TempDir,
    signer: Signer,
}

/// A public test key, and another.
fn key(chain_id: u64, byte: u8) -> Signer {
    let policy = Policy::new(chain_id, Some(Address::repeat_byte(0xee)), FeePerGas(1_000), Gas(1_000_000));
    Signer::load(Source::Environment(SecretString::from(format!("{byte:02x}").repeat(32))), policy).unwrap()
}

fn execute(signer: &Signer, nonce: u64, fee: u128) -> Signed {
    let (max_fee, tip, gas_limit) = (FeePerGas(fee), FeePerGas(1), Gas(500_000));
    signer
        .sign(Request::Execute { data: Bytes::from_static(b"plan"), nonce, gas_limit, max_fee, tip })
        .unwrap()
}

fn cancel(signer: &Signer, nonce: u64, fee: u128) -> Signed {
    signer.sign(Request::Cancel { nonce, max_fee: FeePerGas(fee), tip: FeePerGas(1) }).unwrap()
}

fn plan() -> Intent {
    Intent {
        market: "aave-v3-core".into(),
        account: Address::repeat_byte(1),
        debt_asset: Address::repeat_byte(2),
        collateral_asset: Address::repeat_byte(3),
        repay: Amount(U256::from(u128::MAX)),
        block: 100,
        deadline_block: 103,
        promised_gross: Wei::MAX,
        promised_gas: Gas(400_000),
        promised_net: Wei(U256::from(7)),
        detail: serde_json::json!({ "route": ["a", "b"] }),
    }
}

fn receipt(hash: B256, block: u64, succeeded: bool) -> Receipt {
    let block_hash = keccak256(block.to_be_bytes());
    Receipt {
        hash,
        block,
        block_hash,
        succeeded,
        gas_used: Gas(350_000),
        gas_price: FeePerGas(9),
        logs: vec![],
    }
}

fn verdict(outcome: Outcome) -> Verdict {
    let realised_net = Net::Loss(Wei(U256::from(3_150_000)));
    Verdict { outcome, realised_gross: Wei::ZERO, realised_net, gas_used: Gas(350_000) }
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), signer: key(CHAIN, 0x11) }
    }
    fn path(&self) -> PathBuf {
        self.dir.path().join("journal.db")
    }
    fn open(&self) -> Journal {
        Journal::open(&self.path(), CHAIN, self.signer.address()).unwrap()
    }
    fn refusal(&self) -> String {
        format!("{:#}", Journal::open(&self.path(), CHAIN, self.signer.address()).err().expect("a refusal"))
    }
    fn store(&self) -> Store {
        Store::open(&self.path(), CHAIN, self.signer.address()).unwrap()
    }
    fn execute(&self, nonce: u64) -> Signed {
        execute(&self.signer, nonce, 10)
    }
    /// Opens the journal anew and finds exactly these attempts to finish.
    async fn check_unfinished(&self, expected: &[&Durable]) {
        check_unfinished(&self.open(), expected).await;
    }
}

async fn check_unfinished(journal: &Journal, expected: &[&Durable]) {
    let open = journal.unfinished().await.unwrap();
    let found: Vec<_> = open.iter().flat_map(|open| &open.attempts).map(Attempt::again).collect();
    let seen = |durable: &Durable| (durable.intent(), durable.hash(), durable.nonce(), durable.raw().clone());
    assert_eq!(
        found.iter().map(seen).collect::<Vec<_>>(),
        expected.iter().map(|one| seen(one)).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn what_was_recorded_is_there_after_a_kill_bytes_and_all() {
    let bench = Bench::new();
    let journal = bench.open();
    let durable = journal.record(plan(), bench.execute(5)).await.unwrap();
    assert_eq!(keccak256(durable.raw()), durable.hash());

    // As the disk has it at this moment, without a word from the process that wrote it.
    let copy = tempfile::tempdir().unwrap();
    for name in ["journal.db", "journal.db-wal"] {
        fs::copy(bench.dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let after = Journal::open(&copy.path().join("journal.db"), CHAIN, bench.signer.address()).unwrap();
    check_unfinished(&after, &[&durable]).await;

    std::mem::forget(journal);
    bench.check_unfinished(&[&durable]).await;
    let open = bench.open().unfinished().await.unwrap();
    assert_eq!((open[0].intent.clone(), open[0].nonce), (Some(plan()), 5));
    assert_eq!(open[0].from, bench.signer.address());
}

/// Not a test of its own: the process that the next test starts, and that dies.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "the parent names the folder in the environment")]
async fn aborting_child() {
    let Some(dir) = std::env::var_os(ABORTS) else { return };
    let signer = key(CHAIN, 0x11);
    let journal = Journal::open(&PathBuf::from(dir).join("journal.db"), CHAIN, signer.address()).unwrap();
    let first = journal.record(plan(), execute(&signer, 0, 10)).await.unwrap();
    journal.record_cancel(first.intent(), cancel(&signer, 0, 20)).await.unwrap();
    std::process::abort();
}

#[tokio::test]
async fn an_aborted_process_loses_nothing_it_was_told_is_durable() {
    let bench = Bench::new();
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "io::journal::tests::aborting_child"])
        .env(ABORTS, bench.dir.path())
        .output()
        .unwrap()
        .status;
    assert_eq!(status.code(), None, "the child is to die by a signal");
    let open = bench.open().unfinished().await.unwrap();
    let kinds: Vec<_> = open.iter().flat_map(|open| &open.attempts).map(|one| one.kind()).collect();
    assert_eq!(kinds, [super::super::signer::Kind::Execute, super::super::signer::Kind::Cancel]);
}

#[tokio::test]
async fn a_second_intent_is_refused_until_the_first_is_settled() {
    let bench = Bench::new();
    let journal = bench.open();
    let first = journal.record(plan(), bench.execute(5)).await.unwrap();
    let refused = journal.record(plan(), bench.execute(6)).await.unwrap_err();
    assert_eq!(refused, NotDurable::InFlight { live: first.intent(), nonce: 5 });
    journal.mined(&receipt(first.hash(), 101, true)).await.unwrap();
    journal.settle(first.intent(), verdict(Outcome::Won)).await.unwrap();
    let second = journal.record(plan(), bench.execute(6)).await.unwrap();
    bench.check_unfinished(&[&second]).await;
}

#[tokio::test]
async fn of_many_that_ask_at_once_exactly_one_is_recorded() {
    let bench = Bench::new();
    let journal = bench.open();
    let asked: Vec<_> = (0..16)
        .map(|nonce| {
            let (journal, signed) = (journal.clone(), bench.execute(nonce % 3));
            tokio::spawn(async move { journal.record(plan(), signed).await })
        })
        .collect();
    let mut recorded = 0;
    for one in asked {
        recorded += usize::from(one.await.unwrap().is_ok());
    }
    assert_eq!(recorded, 1);
}

#[tokio::test]
async fn a_nonce_is_never_given_to_a_second_intent() {
    let bench = Bench::new();
    let journal = bench.open();
    let first = journal.record(plan(), bench.execute(5)).await.unwrap();
    journal.settle(first.intent(), verdict(Outcome::ForeignNonce)).await.unwrap();
    let refused = journal.record(plan(), execute(&bench.signer, 5, 11)).await.unwrap_err();
    assert_eq!(refused, NotDurable::NonceTaken { nonce: 5 });
    bench.check_unfinished(&[]).await;
}

#[test]
fn the_tables_themselves_hold_the_nonce_and_the_one_in_flight() {
    let bench = Bench::new();
    let mut store = bench.store();
    store.record(&plan(), bench.execute(5)).unwrap();
    let copy = |sql: &str| {
        let error = store.db.execute(sql, []).unwrap_err();
        assert!(error.to_string().contains("UNIQUE"), "{error}");
    };
    copy(
        "INSERT INTO attempt
         SELECT randomblob(32), intent, at, sender, nonce, seq, kind, max_fee, tip, gas_limit, raw
         FROM attempt",
    );
    copy("INSERT INTO intent (purpose, sender, nonce, detail) SELECT 'deploy', sender, 6, '' FROM intent");
}

#[tokio::test]
async fn raises_and_cancels_join_the_intent_on_its_own_nonce() {
    let bench = Bench::new();
    let journal = bench.open();
    let first = journal.record(plan(), bench.execute(5)).await.unwrap();
    let intent = first.intent();
    let raise = journal.record_raise(intent, execute(&bench.signer, 5, 12)).await.unwrap();
    let withdrawn = journal.record_cancel(intent, cancel(&bench.signer, 5, 14)).await.unwrap();
    bench.check_unfinished(&[&first, &raise, &withdrawn]).await;
    let open = journal.unfinished().await.unwrap();
    let told: Vec<_> = open[0].attempts.iter().map(|one| (one.seq, one.max_fee.0, one.gas_limit.0)).collect();
    assert_eq!(told, [(0, 10, 500_000), (1, 12, 500_000), (2, 14, 21_000)]);
}

#[tokio::test]
async fn what_does_not_belong_is_refused() {
    let bench = Bench::new();
    let journal = bench.open();
    let refused = |result: Result<Durable, NotDurable>, words: &str| match result {
        Err(NotDurable::Refused(said)) => assert!(said.contains(words), "{said}"),
        other => panic!("{other:?}"),
    };
    refused(journal.record(plan(), execute(&key(CHAIN, 0x22), 5, 10)).await, "signed by");
    refused(journal.record(plan(), execute(&key(10, 0x11), 5, 10)).await, "for chain 10");
    refused(journal.record(plan(), cancel(&bench.signer, 5, 10)).await, "Cancel where Execute belongs");
    refused(
        journal.record_errand(Errand::Deploy, serde_json::json!({}), bench.execute(5)).await,
        "Execute where Deploy belongs",
    );
    refused(journal.record_cancel(IntentId(1), cancel(&bench.signer, 5, 10)).await, "unknown");
    let first = journal.record(plan(), bench.execute(5)).await.unwrap();
    let intent = first.intent();
    refused(journal.record_cancel(intent, bench.execute(5)).await, "Execute where Cancel belongs");
    refused(journal.record_cancel(intent, cancel(&bench.signer, 6, 10)).await, "is on nonce 5");
    refused(journal.record_raise(intent, cancel(&bench.signer, 5, 10)).await, "no raise");
    refused(journal.record_raise(intent, bench.execute(5)).await, "UNIQUE");
    assert!(journal.mined(&receipt(B256::ZERO, 1, true)).await.is_err());
    assert!(journal.sent(B256::ZERO, "main: accepted").await.is_err());
    bench.check_unfinished(&[&first]).await;
}

#[tokio::test]
async fn a_verdict_needs_a_receipt_that_bears_it_out_and_is_given_once() {
    let bench = Bench::new();
    let journal = bench.open();
    let first = journal.record(plan(), bench.execute(5)).await.unwrap();
    let intent = first.intent();
    let settled = async |outcome| journal.settle(intent, verdict(outcome)).await.is_ok();
    assert!(
        !settled(Outcome::Won).await
            && !settled(Outcome::Reverted).await
            && !settled(Outcome::Cancelled).await
    );
    journal.mined(&receipt(first.hash(), 101, false)).await.unwrap();
    assert!(!settled(Outcome::Won).await && !settled(Outcome::Cancelled).await);
    assert!(settled(Outcome::Reverted).await);
    assert!(!settled(Outcome::Reverted).await, "once");
}

#[tokio::test]
async fn after_a_reorg_the_receipt_told_last_counts() {
    let bench = Bench::new();
    let journal = bench.open();
    let first = journal.record(plan(), bench.execute(5)).await.unwrap();
    for block in [101, 102, 101] {
        journal.mined(&receipt(first.hash(), block, true)).await.unwrap();
        let open = journal.unfinished().await.unwrap();
        assert_eq!(open[0].attempts[0].mined, Some(Mined::from(&receipt(first.hash(), block, true))));
    }
}

#[tokio::test]
async fn the_history_is_read_beside_the_daemon_newest_first() {
    let bench = Bench::new();
    assert!(Reader::open(&bench.path()).unwrap().is_none());
    let journal = bench.open();
    let first = journal.record(plan(), bench.execute(5)).await.unwrap();
    let withdrawn = journal.record_cancel(first.intent(), cancel(&bench.signer, 5, 20)).await.unwrap();
    journal.sent(withdrawn.hash(), "main: accepted").await.unwrap();
    journal.mined(&receipt(withdrawn.hash(), 101, true)).await.unwrap();
    journal.settle(first.intent(), verdict(Outcome::Cancelled)).await.unwrap();
    let second = journal.record(plan(), bench.execute(6)).await.unwrap();

    let reader = Reader::open(&bench.path()).unwrap().unwrap();
    let told = reader.history(10).unwrap();
    let lines: Vec<_> =
        told.iter().map(|one| (one.id, one.nonce, one.hash, one.attempts, one.verdict)).collect();
    let cancelled = Some(verdict(Outcome::Cancelled));
    assert_eq!(
        lines,
        [(second.intent(), 6, second.hash(), 1, None), (first.intent(), 5, withdrawn.hash(), 2, cancelled)]
    );
    assert_eq!(told[1].intent, Some(plan()));
    assert_eq!(told[1].mined, Some(Mined::from(&receipt(withdrawn.hash(), 101, true))));
    assert_eq!((reader.history(1).unwrap().len(), reader.unfinished().unwrap().len()), (1, 1));
    let shown = serde_json::to_string(&told).unwrap() + &format!("{told:?} {first:?} {second:?}");
    assert!(
        !shown.contains(&alloy::primitives::hex::encode(&first.raw()[..40])),
        "signed bytes are not shown"
    );
}

#[tokio::test]
async fn a_deployment_is_journaled_like_a_plan() {
    let bench = Bench::new();
    let policy = Policy::deploy(CHAIN, FeePerGas(1_000), Gas(3_000_000));
    let deployer = Signer::load(Source::Environment(SecretString::from("11".repeat(32))), policy).unwrap();
    let (max_fee, tip, gas_limit) = (FeePerGas(10), FeePerGas(1), Gas(2_000_000));
    let init_code = Bytes::from_static(&[0x60]);
    let signed = deployer.sign(Request::Deploy { init_code, nonce: 0, gas_limit, max_fee, tip }).unwrap();
    let journal = bench.open();
    let durable = journal
        .record_errand(Errand::Deploy, serde_json::json!({ "contract": "Executor" }), signed)
        .await
        .unwrap();
    bench.check_unfinished(&[&durable]).await;
    assert!(journal.unfinished().await.unwrap()[0].intent.is_none());
    assert!(matches!(journal.record(plan(), bench.execute(1)).await, Err(NotDurable::InFlight { .. })));
    journal.mined(&receipt(durable.hash(), 3, true)).await.unwrap();
    journal.settle(durable.intent(), verdict(Outcome::Won)).await.unwrap();
}
