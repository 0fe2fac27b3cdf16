//! The configuration as it is in effect: every key with its value and origin, and no secret.

use super::layers::{self, Sources};
use super::mistakes::{Mistakes, Place};
use super::{Config, Secret};

/// One key of the configuration in effect.
#[derive(Clone, Debug)]
pub struct Shown {
    pub key: String,
    /// As a file would hold it: text in quotes, numbers without.
    pub value: String,
    pub place: Place,
}

/// Keys that are written without quotes.
const NUMBERS: [&str; 7] =
    ["chain_id", "start_block", "log_range", "batch", "slippage_bps", "tip_share", "gas_limit"];

pub(super) fn shown(sources: &Sources) -> Result<Vec<Shown>, Mistakes> {
    let config = Config::load(sources)?;
    // No mistakes came out of the same sources a moment ago.
    let merged = layers::merge(sources, &mut Vec::new());
    let all = merged.values.into_iter().map(|(key, (raw, place))| {
        let text = raw.plain();
        let field = key.rsplit('.').next().unwrap_or(&key);
        let value = match key.as_str() {
            "rpc.http" => set(Some(&config.rpc.http)),
            "rpc.ws" => set(config.rpc.ws.as_ref()),
            "wallet.private_key" if text.trim().is_empty() => quoted(""),
            "wallet.private_key" => quoted("[set]"),
            "market" => quoted(&config.market.name),
            "datadir" => quoted(&config.datadir.to_string_lossy()),
            _ if NUMBERS.contains(&field) => text,
            _ => quoted(&text),
        };
        Shown { key, value, place }
    });
    let mut all: Vec<Shown> = all.collect();
    // Plain keys first, as a file must have them, then the tables.
    all.sort_by_key(|shown| (shown.key.contains('.'), shown.key.clone()));
    Ok(all)
}

fn set(url: Option<&Secret>) -> String {
    url.map_or_else(|| quoted(""), |url| quoted(&format!("[set] {}", url.alias())))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
