//! What the journal does when the disk is full, damaged, readable by others, or somebody else's.

use super::*;

#[test]
fn each_commit_is_on_the_disk_before_it_returns() {
    let store = Bench::new().store();
    let pragma = |name: &str| store.db.pragma_query_value(None, name, |row| row.get::<_, String>(0));
    assert_eq!(pragma("journal_mode").unwrap(), "wal");
    let synchronous: i32 = store.db.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    assert_eq!(synchronous, 2);
}

#[test]
fn a_full_disk_records_nothing_and_recovers_with_space() {
    let bench = Bench::new();
    let mut store = bench.store();
    let pages: u32 = store.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let limit = |store: &Store, pages: u32| {
        store.db.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, u32>(0)).unwrap()
    };
    limit(&store, pages);
    let bulky = Intent { detail: "x".repeat(100_000).into(), ..plan() };
    assert_eq!(store.record(&bulky, bench.execute(5)).unwrap_err(), NotDurable::DiskFull);
    assert!(store.unfinished().unwrap().is_empty());
    limit(&store, 1_000_000);
    store.record(&bulky, bench.execute(5)).unwrap();
}

#[test]
fn after_a_failed_write_nothing_is_recorded_until_a_restart() {
    let bench = Bench::new();
    let mut store = bench.store();
    let fsync = || NotDurable::Failed("disk I/O error".into());
    assert!(store.write(|_| Err::<(), _>(fsync())).is_err());
    assert_eq!(store.record(&plan(), bench.execute(5)).unwrap_err(), fsync());
    assert!(fsync().is_fatal());
    drop(store);
    bench.store().record(&plan(), bench.execute(5)).unwrap();
}

#[tokio::test]
async fn a_journal_whose_thread_died_says_so() {
    let journal = Bench::new().open();
    assert_eq!(journal.ask(|_| panic!("on purpose")).await.map(|()| {}), Err(NotDurable::Stopped));
    assert!(journal.unfinished().await.is_err());
    assert!(NotDurable::Stopped.is_fatal() && !NotDurable::DiskFull.is_fatal());
}

#[cfg(unix)]
#[tokio::test]
async fn its_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    let journal = bench.open();
    journal.record(plan(), bench.execute(0)).await.unwrap();
    let files: Vec<_> = fs::read_dir(bench.dir.path()).unwrap().map(|file| file.unwrap()).collect();
    assert!(files.len() >= 2);
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

#[test]
fn a_journal_of_another_chain_or_a_newer_schema_is_refused() {
    let bench = Bench::new();
    bench.store();
    let other = Journal::open(&bench.path(), 10, bench.signer.address()).err().unwrap();
    assert!(format!("{other:#}").contains("is of chain 1, not 10"), "{other:#}");
    bench.store().db.pragma_update(None, "user_version", 99).unwrap();
    assert!(bench.refusal().contains("newer backstop"), "{}", bench.refusal());
    assert!(Reader::open(&bench.path()).is_err());
}

/// A harmed journal is refused with advice, and left byte for byte as it is.
async fn check_damage(harm: impl FnOnce(&Path)) {
    let bench = Bench::new();
    let mut store = bench.store();
    store.record(&plan(), bench.execute(5)).unwrap();
    drop(store);
    harm(&bench.path());
    let before = fs::read(bench.path()).unwrap();
    let said = bench.refusal();
    assert!(said.contains("is damaged") && said.contains("by hand"), "{said}");
    assert_eq!(fs::read(bench.path()).unwrap(), before);
    assert_eq!(fs::read_dir(bench.dir.path()).unwrap().count(), 1, "nothing was put beside it");
}

#[tokio::test]
async fn a_damaged_journal_is_refused_and_left_alone() {
    check_damage(|path| fs::write(path, "no database, although long enough to be one").unwrap()).await;
    check_damage(|path| fs::write(path, "").unwrap()).await;
    check_damage(|path| {
        let mut bytes = fs::read(path).unwrap();
        let half = bytes.len() / 2;
        bytes[half..].fill(0xaa);
        fs::write(path, bytes).unwrap();
    })
    .await;
    check_damage(|path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 8_192]).unwrap();
    })
    .await;
}

#[test]
fn a_log_without_its_journal_is_damage_not_a_new_start() {
    let bench = Bench::new();
    let mut store = bench.store();
    store.record(&plan(), bench.execute(5)).unwrap();
    fs::remove_file(bench.path()).unwrap();
    assert!(bench.refusal().contains("is damaged"), "{}", bench.refusal());
}

#[test]
fn bytes_that_rotted_are_not_sent() {
    let bench = Bench::new();
    let mut store = bench.store();
    store.record(&plan(), bench.execute(5)).unwrap();
    store.db.execute("UPDATE attempt SET raw = zeroblob(100)", []).unwrap();
    let said = format!("{:#}", store.unfinished().unwrap_err());
    assert!(said.contains("another hash"), "{said}");
}
