//! The rules of the index, by name. Crashes are a second connection opened beside one that was leaked.

use super::*;
use std::fs;

struct Bench {
    dir: tempfile::TempDir,
    stream: Stream,
}

impl Bench {
    fn new() -> Self {
        let stream = Stream::new(Address::repeat_byte(1), "borrow");
        Self { dir: tempfile::tempdir().unwrap(), stream }
    }
    fn path(&self) -> PathBuf {
        self.dir.path().join("index.db")
    }
    fn open(&self) -> Index {
        Index::open(&self.path()).unwrap()
    }
    fn refusal(&self) -> String {
        format!("{:#}", Index::open(&self.path()).err().expect("a refusal"))
    }
    fn check(&self, borrowers: &[u8], checkpoints: &[u64]) {
        let mut index = self.open();
        let found = index.borrowers(&self.stream).unwrap();
        assert_eq!(found, borrowers.iter().map(|byte| account(*byte)).collect::<Vec<_>>());
        let found = index.checkpoints(&self.stream).unwrap();
        assert_eq!(found, checkpoints.iter().map(|number| (*number, hash(*number))).collect::<Vec<_>>());
    }
    /// Commits accounts `1..=n` first seen at blocks `10 * n`, with a checkpoint at each.
    fn fill(&self, n: u8) -> Index {
        let mut index = self.open();
        for byte in 1..=n {
            let block = u64::from(byte) * 10;
            index.commit(&self.stream, (block, hash(block)), &[(account(byte), block)]).unwrap();
        }
        index
    }
}

fn account(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

fn hash(number: u64) -> B256 {
    B256::from(alloy::primitives::U256::from(number))
}

#[test]
fn what_was_committed_is_there_after_a_kill() {
    let bench = Bench::new();
    std::mem::forget(bench.fill(3));
    bench.check(&[1, 2, 3], &[30, 20, 10]);
}

#[test]
fn borrowers_and_their_checkpoint_come_together_or_not_at_all() {
    let bench = Bench::new();
    let mut index = bench.fill(1);
    let late = index.commit(&bench.stream, (20, hash(20)), &[(account(2), 15), (account(3), 21)]);
    assert!(late.is_err());
    bench.check(&[1], &[10]);
}

#[test]
fn a_rewind_drops_what_was_first_seen_after_it_and_nothing_else() {
    let bench = Bench::new();
    let mut index = bench.fill(3);
    index.commit(&bench.stream, (40, hash(40)), &[(account(1), 35), (account(4), 40)]).unwrap();
    index.rewind(&bench.stream, 20).unwrap();
    bench.check(&[1, 2], &[20, 10]);
}

#[test]
fn an_account_keeps_the_earliest_block_that_named_it() {
    let bench = Bench::new();
    let mut index = bench.fill(2);
    index.commit(&bench.stream, (30, hash(30)), &[(account(2), 5), (account(2), 30)]).unwrap();
    index.rewind(&bench.stream, 10).unwrap();
    bench.check(&[2, 1], &[10]);
}

#[test]
fn a_reset_leaves_other_streams_alone() {
    let mut bench = Bench::new();
    let mut index = bench.fill(2);
    let other = Stream::new(Address::repeat_byte(2), "borrow");
    index.commit(&other, (7, hash(7)), &[(account(9), 7)]).unwrap();
    index.reset(&bench.stream).unwrap();
    bench.check(&[], &[]);
    bench.stream = other;
    bench.check(&[9], &[7]);
}

#[test]
fn a_scan_that_was_rewound_under_its_feet_must_look_again() {
    let bench = Bench::new();
    let mut scan = bench.fill(2);
    bench.open().reset(&bench.stream).unwrap();
    let refused = scan.commit(&bench.stream, (30, hash(30)), &[]).unwrap_err();
    assert!(refused.chain().any(|cause| cause.is::<Stale>()), "{refused:#}");
    bench.check(&[], &[]);
    assert!(scan.checkpoints(&bench.stream).unwrap().is_empty());
    scan.commit(&bench.stream, (30, hash(30)), &[]).unwrap();
    bench.check(&[], &[30]);
}

#[test]
fn a_scan_and_a_daemon_write_at_once_and_a_third_reads() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for half in [0_u8, 1] {
            let bench = &bench;
            scope.spawn(move || {
                let mut index = bench.open();
                for byte in (1..=40_u8).filter(|byte| byte % 2 == half) {
                    let block = u64::from(byte);
                    index.commit(&bench.stream, (block, hash(block)), &[(account(byte), block)]).unwrap();
                    index.borrowers(&bench.stream).unwrap();
                }
            });
        }
    });
    bench.check(&(1..=40).collect::<Vec<_>>(), &(1..=40).rev().collect::<Vec<_>>());
}

#[test]
fn the_last_sixty_four_checkpoints_are_kept_and_older_ones_thin_out() {
    let mut kept: Vec<u64> = Vec::new();
    for number in 1..=5_000 {
        kept.insert(0, number);
        let gone = superfluous(&kept);
        kept.retain(|number| !gone.contains(number));
    }
    assert_eq!(kept[..64], (4_937..=5_000).rev().collect::<Vec<_>>());
    assert!((4..20).contains(&(kept.len() - 64)), "{:?}", &kept[64..]);
    assert_eq!(kept.last(), Some(&1), "the way back to the start is never lost");
}

fn check_damage(harm: impl FnOnce(&Path)) {
    let bench = Bench::new();
    drop(bench.fill(3));
    harm(&bench.path());
    bench.check(&[], &[]);
    assert!(bench.dir.path().join("index.db.damaged-1").exists());
    bench.fill(2);
    bench.check(&[1, 2], &[20, 10]);
}

#[test]
fn a_file_that_is_no_database_is_moved_aside_and_built_again() {
    check_damage(|path| fs::write(path, "no database, although long enough to be one").unwrap());
}

#[test]
fn a_torn_file_is_moved_aside_and_built_again() {
    check_damage(|path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[4_096..].fill(0xaa);
        fs::write(path, bytes).unwrap();
    });
}

#[test]
fn an_emptied_file_is_moved_aside_and_built_again() {
    check_damage(|path| fs::write(path, "").unwrap());
}

#[test]
fn a_newer_schema_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    bench.fill(1).db.pragma_update(None, "user_version", 99).unwrap();
    assert!(bench.refusal().contains("newer backstop"), "{}", bench.refusal());
    assert!(!bench.dir.path().join("index.db.damaged-1").exists());
}

#[test]
fn another_programs_database_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    Connection::open(bench.path()).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(bench.refusal().contains("not a backstop index"), "{}", bench.refusal());
}
