//! Journals of earlier versions, opened by this one.

use super::super::schema::SHAPE;
use super::*;
use crate::io::sqlite::{self, Shape};

/// A journal as the first version left it: one thing won, one under way.
fn first_version(bench: &Bench) -> (Signed, Signed) {
    let (won, open) = (bench.execute(5), bench.execute(6));
    let steps = SHAPE.steps.split_at(1).0;
    let Ok(db) = sqlite::open(&bench.path(), &Shape { steps, ..SHAPE }) else { panic!("not made") };
    db.execute("INSERT INTO meta VALUES (1, ?1)", [CHAIN.cast_signed()]).unwrap();
    for (id, settled, signed) in [(1, 1, &won), (2, 0, &open)] {
        let (sender, nonce, hash) = (signed.from(), signed.nonce().cast_signed(), signed.hash());
        db.execute(
            "INSERT INTO intent VALUES (?1, 1000, ?2, ?3, 'liquidate', ?4, 'core', ?2, ?2, ?2, '1', 2, 3, '4', 5, '6', '{}')",
            rusqlite::params![id, sender.as_slice(), nonce, settled],
        )
        .unwrap();
        db.execute(
            "INSERT INTO attempt VALUES (?1, ?2, 1000, ?3, ?4, 0, 'execute', '1', '1', 1, ?5)",
            rusqlite::params![hash.as_slice(), id, sender.as_slice(), nonce, signed.raw.as_ref()],
        )
        .unwrap();
        db.execute("INSERT INTO broadcast (hash, outcome) VALUES (?1, 'accepted')", [hash.as_slice()])
            .unwrap();
    }
    let hash = won.hash();
    db.execute("INSERT INTO receipt VALUES (1, ?1, 1000, 9, ?1, 1, 7, '8')", [hash.as_slice()]).unwrap();
    db.execute("INSERT INTO verdict VALUES (1, 1000, 'won', '40', '30', 7)", []).unwrap();
    (won, open)
}

#[tokio::test]
async fn a_journal_of_the_first_version_keeps_everything_and_takes_sweeps() {
    let bench = Bench::new();
    let (won, open) = first_version(&bench);
    let journal = bench.open();
    let told = journal.history(9).await.unwrap();
    assert_eq!(
        told.iter().map(|one| (one.id.0, one.at, one.hash)).collect::<Vec<_>>(),
        [(2, 1000, open.hash()), (1, 1000, won.hash())]
    );
    assert_eq!(told[1].verdict.unwrap().outcome, Outcome::Won);
    assert_eq!(told[1].mined.unwrap().block, 9);
    let unfinished = journal.unfinished().await.unwrap();
    assert_eq!((unfinished.len(), unfinished[0].attempts[0].hash()), (1, open.hash()));

    // What the tables held before, they still hold; numbers go on where they were.
    drop(journal);
    let mut store = bench.store();
    let broken: i64 =
        store.db.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!(broken, 0);
    let refused = store.record(&plan(), bench.execute(7)).unwrap_err();
    assert_eq!(refused, NotDurable::InFlight { live: IntentId(2), nonce: 6 });
    store.mined(open.hash(), Mined::from(&receipt(open.hash(), 10, false))).unwrap();
    store.settle(IntentId(2), verdict(Outcome::Reverted)).unwrap();
    let sweep = bench.salvage(8);
    let durable = store.record_errand(Errand::Sweep, &serde_json::json!({ "token": "0x" }), sweep).unwrap();
    assert_eq!(durable.intent(), IntentId(3));
    let told = store.history(1).unwrap().remove(0);
    assert_eq!(told.errand, Some((Errand::Sweep, serde_json::json!({ "token": "0x" }))));
}

#[tokio::test]
async fn a_sweep_is_no_deployment_and_no_plan() {
    let bench = Bench::new();
    let journal = bench.open();
    let detail = || serde_json::json!({});
    let refused = journal.record_errand(Errand::Deploy, detail(), bench.salvage(0)).await.unwrap_err();
    assert!(refused.to_string().contains("Salvage where Deploy belongs"), "{refused}");
    let refused = journal.record_errand(Errand::Sweep, detail(), bench.execute(0)).await.unwrap_err();
    assert!(refused.to_string().contains("Execute where Salvage belongs"), "{refused}");
    journal.record_errand(Errand::Sweep, detail(), bench.salvage(0)).await.unwrap();
    let open = journal.unfinished().await.unwrap().remove(0);
    assert_eq!(
        (open.errand, open.intent, open.attempts[0].kind()),
        (Some(Errand::Sweep), None, crate::io::signer::Kind::Salvage)
    );
}

impl Bench {
    /// The bench's key as an owner's.
    fn salvage(&self, nonce: u64) -> Signed {
        let policy = Policy::sweep(CHAIN, Address::repeat_byte(0xee), FeePerGas(1_000), Gas(500_000));
        let owner = Signer::load(Source::Environment(SecretString::from("11".repeat(32))), policy).unwrap();
        let (max_fee, tip, gas_limit) = (FeePerGas(10), FeePerGas(1), Gas(100_000));
        owner.sign(Request::Salvage { token: Address::ZERO, nonce, gas_limit, max_fee, tip }).unwrap()
    }
}
