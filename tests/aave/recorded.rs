//! Replays recordings of the real contracts (tests/data): every reserve's indices, every account's health and
//! every liquidation, attempted or refused, to the last digit.

use super::world::{asset, attempt, big, list, market, offered};
use alloy::primitives::{Address, U256};
use backstop::domain::prices::Moment;
use backstop::domain::protocol::{Protocol, Revert};
use backstop::domain::protocols::aave_v3::Market;
use backstop::domain::protocols::aave_v3::state::{Balances, Configuration, EMode};
use backstop::domain::units::{Amount, Price};
use serde_json::Value;
use std::collections::BTreeMap;

const LIQUIDATION: &str = "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286";
const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
const COLLATERAL_CHANGED: &str = "0x637febbda9275aea2e85c0ff690444c8d87eb2e8339bbede9715abcc89cb0995";
const CATEGORY: &str = "0x0acf8b4a3cace10779798a89a206a0ae73a71b63acdd3be2801d39c2ef7ab3cb";
const IN_CATEGORY: &str = "0x79409190108b26fcb0e4570f8e240f627bf18fd01a55f751010224d5bd486098";
/// What the recorded reserve had left when its underlying ran out, in wei.
const DRAINED: u64 = 1_000_000_000_000_000;

/// One line.
struct Line(Value);

impl Line {
    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_else(|| panic!("no {key} in {}", self.0))
    }
    fn is(&self, kind: &str) -> bool {
        self.text("k") == kind
    }
    fn number(&self, key: &str) -> U256 {
        big(self.text(key))
    }
    fn address(&self, key: &str) -> Address {
        let text = self.text(key).to_lowercase();
        format!("0x{}", &text[text.len() - 40..]).parse().unwrap()
    }
    fn time(&self) -> u64 {
        self.text("ts").parse().unwrap()
    }
    /// The `index`th word of the log's data.
    fn word(&self, index: usize) -> U256 {
        let digits = &self.text("data")[2 + index * 64..2 + index * 64 + 64];
        U256::from_str_radix(digits, 16).unwrap()
    }
    fn is_log(&self, topic: &str) -> bool {
        self.is("log") && self.text("t0") == topic
    }
}

/// What was compared.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    indices: usize,
    healths: usize,
    liquidations: usize,
    refusals: usize,
}

struct Replay {
    lines: Vec<Line>,
    market: Market,
    counted: Counted,
}

impl Replay {
    fn of(revision: u64, recording: &str) -> Self {
        let lines =
            recording.lines().map(|line| Line(serde_json::from_str(line).unwrap())).collect::<Vec<_>>();
        let mut replay = Self { lines, market: market(revision), counted: Counted::default() };
        replay.list_assets();
        replay
    }

    /// Reserves with the terms that the configuration's events gave; their indices follow.
    fn list_assets(&mut self) {
        let meta = self.lines.iter().find(|line| line.is("meta")).unwrap();
        let assets = [("U", 6_u8), ("B", 8), ("W", 18)].map(|(key, decimals)| (meta.address(key), decimals));
        for (id, (address, decimals)) in (0..).zip(assets) {
            let configured = |line: &&Line| line.is_log(COLLATERAL_CHANGED) && line.address("t1") == address;
            let (threshold, bonus) = self
                .lines
                .iter()
                .find(configured)
                .map_or((U256::ZERO, U256::ZERO), |line| (line.word(1), line.word(2)));
            let terms = super::world::terms(u64::from(decimals), threshold.to(), bonus.to(), 1_000);
            let mut reserve = asset(id, terms, U256::ZERO, U256::ZERO);
            reserve.asset = address;
            list(&mut self.market, reserve, U256::ZERO);
        }
    }

    /// Takes over one line, comparing what it says with what we calculate.
    fn step(&mut self, at: usize) {
        let line = &self.lines[at];
        if line.is("price") {
            self.market.prices.set(line.address("asset"), Some(Price(line.number("p"))));
        } else if line.is("res") {
            self.on_reserve(at);
        } else if line.is("bal") {
            self.on_balance(at);
        } else if line.is("user") {
            self.on_user(at);
        } else if line.is("pre") {
            self.on_attempt(at);
        } else if line.is_log(CATEGORY) {
            let id = line.address("t1").0[19];
            let (threshold, bonus) = (line.word(1), line.word(2));
            let category =
                EMode { threshold, bonus, price_source: Address::ZERO, collaterals: 0, label: String::new() };
            self.market.emodes.insert(id, category);
        } else if line.is_log(IN_CATEGORY) {
            let (asset, id) = (line.address("t1"), line.word(0).to::<u8>());
            self.market.emodes.get_mut(&id).unwrap().collaterals |=
                u128::from(!line.word(1).is_zero()) << self.id(asset);
        }
    }

    fn id(&self, asset: Address) -> u16 {
        // Categories are configured before the first snapshot says which reserve has which number.
        let numbered =
            |line: &&Line| line.is("res") && line.address("asset") == asset && line.0.get("id").is_some();
        self.lines
            .iter()
            .find(numbered)
            .map_or(self.market.reserves[&asset].id, |line| line.text("id").parse().unwrap())
    }

    /// Compares what was stored before, projected to now, and takes over what is stored now.
    fn on_reserve(&mut self, at: usize) {
        let line = &self.lines[at];
        let now = line.time();
        let form = self.market.rules.unwrap().compound;
        let reserve = self.market.reserves.get_mut(&line.address("asset")).unwrap();
        let (income, debt_index) = (line.number("ni"), line.number("nd"));
        if line.0.get("li").is_none() {
            (reserve.liquidity_index, reserve.borrow_index, reserve.last_update) = (income, debt_index, now);
            return;
        }
        let projected = |reserve: &backstop::domain::protocols::aave_v3::state::Reserve| {
            (reserve.income(now).unwrap(), reserve.debt_index(now, form).unwrap())
        };
        // Nothing was stored in between: the older snapshot must lead here.
        if reserve.last_update == line.text("lu").parse::<u64>().unwrap() {
            assert_eq!(projected(reserve), (income, debt_index), "line {}: projected from earlier", at + 1);
        }
        reserve.id = line.text("id").parse().unwrap();
        reserve.configuration = Configuration(line.number("cfg"));
        (reserve.liquidity_index, reserve.borrow_index) = (line.number("li"), line.number("vi"));
        (reserve.liquidity_rate, reserve.borrow_rate) = (line.number("lr"), line.number("vr"));
        reserve.last_update = line.text("lu").parse().unwrap();
        assert_eq!(projected(reserve), (income, debt_index), "line {}: projected", at + 1);
        self.counted.indices += 2;
    }

    fn on_balance(&mut self, at: usize) {
        let line = &self.lines[at];
        let (account, asset) = (line.address("user"), line.address("asset"));
        let id = self.id(asset);
        let held = self.market.accounts.entry(account).or_default();
        let balances =
            Balances { supply: line.number("sa"), debt: line.number("sd"), has_stable_debt: false };
        if self.market.revision == 1 {
            // This recording has no bitmaps; everything supplied in it is collateral.
            held.bitmap.set_bit(usize::from(id) * 2, !balances.debt.is_zero());
            held.bitmap.set_bit(usize::from(id) * 2 + 1, !balances.supply.is_zero());
        }
        held.balances.insert(id, balances);
    }

    fn on_user(&mut self, at: usize) {
        let now = self.lines[at].time();
        let account = self.lines[at].address("user");
        if self.market.revision == 1 {
            // The indices of this moment follow the first account of a snapshot.
            let reserves = (at..self.lines.len())
                .filter(|next| self.lines[*next].is("res") && self.lines[*next].time() == now);
            for next in reserves.collect::<Vec<_>>() {
                self.on_reserve(next);
            }
        } else {
            let line = &self.lines[at];
            let held = self.market.accounts.entry(account).or_default();
            (held.bitmap, held.emode) = (line.number("cfg"), line.text("emode").parse().unwrap());
            // Its balances follow it.
            let next = (at + 1..self.lines.len()).take_while(|next| self.lines[*next].is("bal"));
            for next in next.collect::<Vec<_>>() {
                self.on_balance(next);
            }
        }
        let line = &self.lines[at];
        let health =
            self.market.health(account, &Moment { timestamp: now, prices: &self.market.prices }).unwrap();
        let found = (health.collateral.0, health.debt.0, health.factor.0);
        let expected = (line.number("coll"), line.number("debt"), line.number("hf"));
        assert_eq!(found, expected, "line {}: {} {account}", at + 1, line.text("label"));
        self.counted.healths += 1;
    }

    fn on_attempt(&mut self, at: usize) {
        let (account, now) = (self.lines[at].address("user"), self.lines[at].time());
        let pair = (self.lines[at].address("c"), self.lines[at].address("d"));
        if self.market.revision == 1 {
            // Indices are stored as this very moment's in the snapshot that follows.
            for asset in [pair.0, pair.1] {
                let snapshot = (at..self.lines.len()).find(|next| {
                    let line = &self.lines[*next];
                    line.is("res") && line.time() == now && line.address("asset") == asset
                });
                self.on_reserve(snapshot.expect("a snapshot of the same second"));
            }
        }
        let label = self.lines[at].text("label");
        let end =
            (at + 1..self.lines.len()).find(|next| self.lines[*next].is("pre")).unwrap_or(self.lines.len());
        let rest = &self.lines[at..end];
        let how = rest.iter().find(|line| line.is("liq")).unwrap();
        if label == "A10a_illiquid_underlying" {
            self.market.reserves.get_mut(&pair.0).unwrap().available = Amount::new(U256::from(DRAINED));
        }
        let asked = self.lines[at].number("amt");
        let found = attempt(&self.market, account, pair, asked, now);
        self.market.reserves.get_mut(&pair.0).unwrap().available = Amount::MAX;
        if how.text("ok") == "0" {
            assert_eq!(found, Err(revert(how.text("err"))), "{label}");
            self.counted.refusals += 1;
            return;
        }
        let event = rest.iter().find(|line| line.is_log(LIQUIDATION)).unwrap();
        let (none, liquidator) = (Address::ZERO, Address::from_word(event.word(2).into()));
        let fee = rest.iter().take_while(|line| !line.is_log(LIQUIDATION)).find(|line| {
            let from_borrower = line.is_log(TRANSFER) && line.address("t1") == account;
            from_borrower && ![none, liquidator].contains(&line.address("t2"))
        });
        let expected = (event.word(0), event.word(1), fee.unwrap().word(0));
        let outcome = found.unwrap_or_else(|revert| panic!("{label}: {revert}"));
        assert_eq!((outcome.repaid.0, outcome.seized.0, outcome.fee.0), expected, "{label}");
        if asked == U256::MAX {
            assert_eq!(
                offered(&self.market, account, pair, now).most,
                outcome.repaid,
                "{label}: largest repay"
            );
        }
        self.counted.liquidations += 1;
    }
}

fn revert(error: &str) -> Revert {
    let known = [
        ("0x930bb771", Revert::Healthy),
        ("0x979b5ce8", Revert::NotCollateral),
        ("0x3653732b", Revert::NoDebt),
        ("0xb629b0e4", Revert::Dust),
        ("0x4e487b71", Revert::Illiquid),
        ("execution reverted: \"45\"", Revert::Healthy),
    ];
    known.into_iter().find(|(start, _)| error.starts_with(start)).unwrap_or_else(|| panic!("new: {error}")).1
}

fn check(revision: u64, recording: &str, expected: &Counted) {
    let mut replay = Replay::of(revision, recording);
    for at in 0..replay.lines.len() {
        replay.step(at);
    }
    println!("pool revision {revision}: {:?}", replay.counted);
    assert_eq!(&replay.counted, expected);
}

#[test]
fn release_3_0_as_recorded() {
    let expected = Counted { indices: 0, healths: 40, liquidations: 3, refusals: 3 };
    check(1, include_str!("../data/aave_v3.0.jsonl"), &expected);
}

#[test]
fn release_3_6_as_recorded_on_3_5() {
    let expected = Counted { indices: 138, healths: 66, liquidations: 9, refusals: 6 };
    check(10, include_str!("../data/aave_v3.5.jsonl"), &expected);
}

/// The examples A5 to A8 and A10 by name: the recording has these very integers.
#[test]
fn the_recording_has_the_worked_examples() {
    let recording = include_str!("../data/aave_v3.5.jsonl");
    let lines = recording.lines().map(|line| Line(serde_json::from_str(line).unwrap())).collect::<Vec<_>>();
    let mut label = String::new();
    let mut found = BTreeMap::new();
    for line in &lines {
        if line.is("pre") {
            label = line.text("label").to_owned();
        } else if line.is_log(LIQUIDATION) {
            found.insert(label.clone(), (line.word(0), line.word(1)));
        }
    }
    let expected = [
        ("A1_cf50", "6506490463", "4625362267914965985"),
        ("A2_full", "13413380354", "9535362224442176870"),
        ("A3_collateral_limited_deficit", "11428658314", "9952456615117765802"),
        ("A4_small_cf100", "1301298089", "925072451023809524"),
        ("A5_multi_receiveAToken", "1000000000", "836000000000000000"),
        ("A7b_sameasset_ok", "3200000000", "3344000000"),
        ("A8_emode", "28007432", "4829154873265822785"),
        ("A10b_receiveAToken", "6506490680", "5230217508153846153"),
    ];
    for (label, paid, seized) in expected {
        assert_eq!(found.get(label), Some(&(big(paid), big(seized))), "{label}");
    }
}
