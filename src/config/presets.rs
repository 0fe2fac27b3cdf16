//! The markets that are built in: `presets/aave-v3.toml`, which `scripts/presets` writes. They lie below everything
//! that is written, key by key. Only a market's addresses provider is trusted; the rest is read on the chain.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

const TEXT: &str = include_str!("../../presets/aave-v3.toml");

/// One built-in market.
#[derive(Clone, Debug)]
pub struct Preset {
    pub name: String,
    pub chain_id: u64,
    pub addresses_provider: String,
    /// Why nothing is ever planned or sent there; `None`: it may be.
    pub observe_only: Option<String>,
    /// Whether it says where to sell.
    pub has_route: bool,
    /// Its keys, written in full, as a file would set them.
    pub(super) values: Vec<(String, String)>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    markets: BTreeMap<String, Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    chain_id: u64,
    addresses_provider: String,
    observe_only: Option<String>,
    #[serde(default)]
    route: BTreeMap<String, String>,
}

/// All of them, by name.
pub fn presets() -> &'static [Preset] {
    // The text is compiled in; a test reads it too, so that it cannot be broken here.
    static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        let file: File = toml::from_str(TEXT).unwrap_or_default();
        file.markets.into_iter().map(|(name, table)| preset(name, table)).collect()
    });
    &PRESETS
}

fn preset(name: String, table: Table) -> Preset {
    let key = |field: &str| format!("markets.{name}.{field}");
    let mut values = vec![
        (key("chain_id"), table.chain_id.to_string()),
        (key("addresses_provider"), table.addresses_provider.clone()),
    ];
    values.extend(table.observe_only.iter().map(|why| (key("observe_only"), why.clone())));
    values.extend(table.route.iter().map(|(field, value)| (key(&format!("route.{field}")), value.clone())));
    Preset {
        chain_id: table.chain_id,
        addresses_provider: table.addresses_provider,
        observe_only: table.observe_only,
        has_route: !table.route.is_empty(),
        values,
        name,
    }
}
