//! What a configuration that is right comes out as.

use super::given::*;
use alloy::primitives::U256;
use backstop::config::{Config, Format, Key, Kind, Level, Mode, Place};
use backstop::domain::size::Holding;
use backstop::domain::units::{Bps, FeePerGas, Gas, Wei};
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn flags_cover_the_environment_which_covers_the_file() {
    let given = with("[log]\nlevel = \"warn\"\n[profit]\nminimum_wei = 1")
        .variable("BACKSTOP_LOG__LEVEL", "error")
        .variable("BACKSTOP_RPC__LOG_RANGE", "5_000")
        .flag("-v", "log.level", "debug");
    let config = given.config();
    assert_eq!(
        (config.log.level, config.rpc.log_range, config.profit.minimum),
        (Level::Debug, 5_000, Wei(U256::from(1)))
    );
    let place = |key: &str| config.origins.places.get(key).map(ToString::to_string).unwrap_or_default();
    assert_eq!(place("log.level"), "flag -v");
    assert_eq!(place("rpc.log_range"), "environment BACKSTOP_RPC__LOG_RANGE");
    assert_eq!(place("profit.minimum_wei"), "backstop.toml:9");
    assert_eq!(config.origins.places.get("rpc.batch"), Some(&Place::Default));
}

#[test]
fn everything_may_come_from_the_environment() {
    let given = no_file()
        .variable("BACKSTOP_ANVIL", "1")
        .variable("BACKSTOP_RPC__HTTP", "https://node.example/key")
        .variable("BACKSTOP_MODE", "\"live\"")
        .variable("BACKSTOP_MARKETS__V30__CHAIN_ID", "0x7a69")
        .variable("BACKSTOP_MARKETS__V30__ADDRESSES_PROVIDER", ACCOUNT);
    let config = given.config();
    assert_eq!(
        (config.market.name.as_str(), config.market.chain_id, config.mode),
        ("v30", 31337, Mode::Live)
    );
    assert_eq!(config.rpc.http.alias(), "node.example:443");
    assert_eq!(config.datadir, given.directory.path().join("home/.local/share/backstop"));
    let hyphened =
        file(&BASE.replace("v30", "v3-0")).variable("BACKSTOP_MARKETS__V3_0__CHAIN_ID", "5").config();
    assert_eq!((hyphened.market.name.as_str(), hyphened.market.chain_id), ("v3-0", 5));
}

#[test]
fn paths_start_where_they_were_written() {
    let mut given = no_file().variable("BACKSTOP_DATADIR", "data");
    let below = given.directory.path().join("etc");
    std::fs::create_dir(&below).unwrap();
    std::fs::write(
        below.join("b.toml"),
        format!("{BASE}[wallet]\nkeystore = \"./key.json\"\npassword_file = \"~/p\""),
    )
    .unwrap();
    given.sources.file = Some("etc/b.toml".into());
    let config = given.config();
    assert_eq!(config.datadir, given.directory.path().join("data"));
    let Key::Keystore { path, password_file } = config.wallet.key else { panic!("no keystore") };
    assert_eq!((path, password_file), (below.join("key.json"), Some(given.directory.path().join("home/p"))));
}

#[test]
fn a_keystore_without_a_slash_is_one_of_foundrys() {
    let given = no_file()
        .variable("BACKSTOP_OWNER__KEYSTORE", "cold")
        .variable("BACKSTOP_WALLET__KEYSTORE", "keys/hot")
        .variable("BACKSTOP_RPC__HTTP", "http://127.0.0.1:8545")
        .variable("BACKSTOP_MARKETS__V30__CHAIN_ID", "5")
        .variable("BACKSTOP_MARKETS__V30__ADDRESSES_PROVIDER", ACCOUNT);
    let config = given.config();
    let at = |key: Key| match key {
        Key::Keystore { path, password_file: None } => path,
        other => panic!("{other:?}"),
    };
    let root = given.directory.path();
    assert_eq!(at(config.owner.key), root.join("home/.foundry/keystores/cold"));
    assert_eq!(at(config.wallet.key), root.join("keys/hot"));
}

#[test]
fn the_example_is_the_defaults() {
    let text = include_str!("../../config.example.toml");
    let example = file(text).config();
    let least = format!("{BASE}{ROUTE}")
        .replace("v30", "ethereum")
        .replace("31337", "1")
        .replace("/c4nary5ecret", "");
    let defaults = file(&least).config();
    // The directories differ; the places do; the rest must not.
    let shown = |config: &Config| {
        let rest = (&config.rpc, config.executor, &config.wallet, config.profit, config.fees, config.log);
        format!("{:?} {:?} {rest:?}", config.mode, config.market)
    };
    assert_eq!(shown(&example), shown(&defaults));
    let absent: BTreeSet<_> = example
        .origins
        .places
        .iter()
        .filter(|(_, place)| **place == Place::Default)
        .map(|(key, _)| key)
        .collect();
    assert!(absent.is_empty(), "the example leaves out {absent:?}");
    assert!(example.datadir.ends_with("home/.local/share/backstop"));
}

#[test]
fn shares_are_held_only_where_a_table_says_so() {
    let other = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2";
    let holding = Some(Holding {
        collaterals: vec![other.parse().unwrap()],
        debts: vec![ACCOUNT.parse().unwrap(), other.parse().unwrap()],
        discount: Bps(150),
    });
    let table = |debts: &str| {
        format!("[markets.v30.shares]\ncollateral = \"{other}\"\ndebt = {debts}\ndiscount_bps = 150\n")
    };
    assert_eq!(with("").config().market.holding, None);
    for debts in [format!("[\"{other}\", \"{ACCOUNT}\"]"), format!("\"{other},{ACCOUNT}\"")] {
        assert_eq!(with(&table(&debts)).config().market.holding, holding, "{debts}");
    }
    let named = with(&table("[\"${ONE}\", \"${TWO}\"]")).variable("ONE", other).variable("TWO", ACCOUNT);
    assert_eq!(named.config().market.holding, holding);
    let environment = with("")
        .variable("BACKSTOP_MARKETS__V30__SHARES__COLLATERAL", other)
        .variable("BACKSTOP_MARKETS__V30__SHARES__DEBT", &format!("{other} {ACCOUNT}"))
        .variable("BACKSTOP_MARKETS__V30__SHARES__DISCOUNT_BPS", "150");
    assert_eq!(environment.config().market.holding, holding);
}

#[test]
fn the_defaults_are_these() {
    let config = with("").config();
    assert_eq!((config.mode, config.market.kind, config.market.start_block), (Mode::DryRun, Kind::AaveV3, 0));
    assert_eq!((config.rpc.poll, config.rpc.timeout), (Duration::from_secs(2), Duration::from_secs(10)));
    assert_eq!((config.rpc.log_range, config.rpc.batch), (10_000, 150));
    assert_eq!(config.profit.minimum, Wei(U256::from(1_000_000_000_000_000_u64)));
    assert_eq!((config.profit.slippage, config.fees.tip_share), (Bps(50), Bps(1_000)));
    assert_eq!(config.fees.max_fee, FeePerGas(300_000_000_000));
    assert_eq!((config.fees.max_tip, config.fees.gas_limit), (FeePerGas(50_000_000_000), Gas(16_777_216)));
    assert_eq!((config.log.format, config.log.level), (Format::Terminal, Level::Info));
    assert!(matches!(config.wallet.key, Key::None) && config.executor.address.is_none());
}
