//! The markets that are built in.

use super::given::*;
use backstop::config::{Config, Need, Place, parse_address, presets};

const NODE: &str = "[rpc]\nhttp = \"http://127.0.0.1:8545\"\n";

#[test]
fn a_built_in_market_needs_only_its_name() {
    let config = file(NODE).flag("--market", "market", "ethereum").config();
    assert_eq!((config.market.name.as_str(), config.market.chain_id), ("ethereum", 1));
    assert!(config.market.route.is_some() && config.require(Need::Route).is_ok());
    let place = config.origins.places.get("markets.ethereum.chain_id");
    assert_eq!(place, Some(&Place::Preset("ethereum".into())));
    let named = file(&format!("market = \"${{WHICH}}\"\n{NODE}")).variable("WHICH", "ethereum-lido");
    assert_eq!(named.config().market.chain_id, 1);
}

#[test]
fn a_table_covers_what_is_built_in_key_by_key() {
    let text = format!("{NODE}[markets.ethereum]\nchain_id = 31337\nstart_block = 7\n");
    let config = file(&text).config();
    assert_eq!((config.market.chain_id, config.market.start_block), (31337, 7));
    assert!(config.market.route.is_some());
    let lido = file(NODE)
        .variable("BACKSTOP_MARKET", "ethereum-lido")
        .variable("BACKSTOP_MARKETS__ETHEREUM_LIDO__START_BLOCK", "9")
        .config();
    assert_eq!((lido.market.chain_id, lido.market.start_block), (1, 9));
}

#[test]
fn a_file_of_ones_own_is_not_touched() {
    let config = with("").config();
    assert!(config.market.name == "v30" && config.market.route.is_none());
    assert!(!config.origins.places.values().any(|place| matches!(place, Place::Preset(_))));
}

#[test]
fn what_is_only_observed_is_refused_with_the_reason() {
    let zksync = || file(NODE).flag("--market", "market", "zksync");
    assert!(zksync().config().require(Need::Read).is_ok());
    for need in [Need::Route, Need::Live, Need::Deploy] {
        let line = "preset zksync: markets.zksync.observe_only: this market is only observed: ZKsync";
        check_all(&zksync(), need, 1, &[line, "Use `backstop positions`"]);
    }
}

#[test]
fn every_built_in_market_loads() {
    assert_eq!(presets().len(), 24);
    for preset in presets() {
        parse_address(&preset.addresses_provider).unwrap();
        let given = file(NODE).flag("--market", "market", "");
        let mut sources = given.sources.clone();
        sources.flags[0].value.clone_from(&preset.name);
        let config = Config::load(&sources).unwrap_or_else(|mistakes| panic!("{}: {mistakes}", preset.name));
        assert_eq!(
            (config.market.chain_id, config.market.route.is_some()),
            (preset.chain_id, preset.has_route)
        );
        // Uniswap names no router of pairs on Celo.
        if let Some(route) = config.market.route {
            assert_eq!(route.pairs.is_none(), preset.name == "celo", "{}", preset.name);
        }
    }
}

#[test]
fn pairs_are_both_addresses_or_none_and_may_be_left_out_of_a_built_in_market() {
    let pairs = |given: Given| given.config().market.route.unwrap().pairs;
    assert_eq!(pairs(with(ROUTE)), None);
    let named = pairs(with(&format!("{ROUTE}{PAIRS}")));
    assert_eq!(pairs(file(NODE).flag("--market", "market", "ethereum")), named);
    assert!(named.is_some());
    let without = "[markets.ethereum.route]\nuniswap_v2_factory = \"\"\nuniswap_v2_router = \"\"\n";
    assert_eq!(pairs(file(&format!("{NODE}{without}"))), None);
}

#[test]
fn what_is_written_must_hold_in_a_dry_run_too() {
    let given = with("[wallet]\nkeystore = \"key.json\"\npassword_file = \"word\"").beside("word", "");
    check_all(&given, Need::Written, 1, &["wallet.keystore: there is no such file"]);
    assert!(given.config().require(Need::Read).is_ok());
    assert!(with("").config().require(Need::Written).is_ok());
}
