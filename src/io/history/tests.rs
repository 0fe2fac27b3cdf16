//! The rules of the books, by name.

use super::*;
use crate::domain::units::Wei;
use alloy::primitives::U256;
use std::path::PathBuf;

fn decision(account: u8, verdict: &str, net: Net) -> Decision {
    Decision {
        market: "core".into(),
        block: 7,
        account: Address::repeat_byte(account),
        verdict: verdict.into(),
        reason: "below-minimum".into(),
        why: "=1+1".into(),
        debt_asset: Some(Address::repeat_byte(0xd)),
        collateral_asset: None,
        repay: Some(Amount(U256::MAX)),
        net: Some(net),
    }
}

fn weth() -> Asset {
    Asset { address: Address::repeat_byte(0xd), symbol: "WETH".into(), decimals: 18 }
}

struct Books {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

fn books() -> Books {
    let dir = tempfile::tempdir().unwrap();
    Books { path: dir.path().join("history.db"), _dir: dir }
}

impl Books {
    fn found(&self, filter: &Filter) -> Vec<Decision> {
        let reader = Reader::open(&self.path).unwrap().expect("books");
        reader.decisions(filter).unwrap().into_iter().map(|(_, one)| one).collect()
    }
}

#[test]
fn what_was_recorded_is_read_back_newest_first_and_is_on_the_disk_when_the_daemon_ends() {
    let books = books();
    assert!(Reader::open(&books.path).unwrap().is_none());
    let won = decision(1, "send", Net::Gain(Wei(U256::MAX)));
    let lost = decision(2, "skip", Net::Loss(Wei(U256::from(5))));
    let history = History::open(&books.path).unwrap();
    history.record(vec![won.clone()], vec![weth()]).unwrap();
    history.record(vec![lost.clone()], vec![weth()]).unwrap();
    drop(history);
    assert_eq!(books.found(&Filter::default()), [lost, won]);
    assert_eq!(Reader::open(&books.path).unwrap().unwrap().assets().unwrap(), [weth()]);
}

#[test]
fn filters_are_all_obeyed_at_once() {
    let books = books();
    let gain = Net::Gain(Wei(U256::ONE));
    let history = History::open(&books.path).unwrap();
    history.record(vec![decision(1, "skip", gain), decision(1, "send", gain)], vec![]).unwrap();
    history.record(vec![decision(2, "skip", gain), decision(2, "skip", gain)], vec![]).unwrap();
    let beside = Reader::open(&books.path).unwrap().expect("beside the writer");
    drop(history);
    let check = |filter: Filter, times: usize| {
        assert_eq!(beside.decisions(&filter).unwrap().len(), times, "{filter:?}");
    };
    let skip = Some("skip".to_owned());
    let one = Some(Address::repeat_byte(1));
    check(Filter { account: one, ..Filter::default() }, 2);
    check(Filter { account: one, verdict: skip.clone(), ..Filter::default() }, 1);
    check(Filter { limit: Some(3), ..Filter::default() }, 3);
    check(Filter { since: Some(u64::MAX), ..Filter::default() }, 0);
    check(Filter { since: Some(1), until: Some(u64::MAX), ..Filter::default() }, 4);
    check(Filter { until: Some(1), ..Filter::default() }, 0);
    let counts = beside.counts(&Filter::default()).unwrap();
    let count = |verdict: &str, times| (verdict.to_owned(), "below-minimum".to_owned(), times);
    assert_eq!(counts, [count("skip", 3), count("send", 1)]);
}

#[test]
fn a_damaged_history_is_kept_aside_and_begun_anew() {
    let books = books();
    std::fs::write(&books.path, "not a database, not even nearly one").unwrap();
    drop(History::open(&books.path).unwrap());
    assert!(books.found(&Filter::default()).is_empty());
    let aside = books.path.with_file_name("history.db.damaged-1");
    assert!(std::fs::read_to_string(aside).unwrap().starts_with("not a database"));
}
