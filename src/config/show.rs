//! The configuration as it is in effect: every key with its value and origin, and no secret.

use super::layers::{self, Sources};
use super::mistakes::{Mistakes, Place};
use super::{Config, Secret, redact};

/// One key of the configuration in effect.
#[derive(Clone, Debug)]
pub struct Shown {
    pub key: String,
    /// Without quotes; a secret is `[set]`, a URL with its host.
    pub value: String,
    pub place: Place,
}

/// Keys that are written without quotes.
const NUMBERS: [&str; 8] = [
    "chain_id",
    "start_block",
    "log_range",
    "batch",
    "slippage_bps",
    "tip_share",
    "gas_limit",
    "discount_bps",
];

impl Shown {
    /// As a file would hold it.
    pub fn line(&self) -> String {
        let field = self.key.rsplit('.').next().unwrap_or(&self.key);
        if NUMBERS.contains(&field) {
            return format!("{} = {}", self.key, self.value);
        }
        format!("{} = {}", self.key, toml::Value::String(self.value.clone()))
    }
}

pub(super) fn shown(sources: &Sources) -> Result<Vec<Shown>, Mistakes> {
    let config = Config::load(sources)?;
    // No mistakes came out of the same sources a moment ago.
    let merged = layers::merge(sources, &mut Vec::new());
    let all = merged.values.into_iter().map(|(key, (raw, place))| {
        let value = match key.as_str() {
            "rpc.http" => set(Some(&config.rpc.http)),
            "rpc.ws" => set(config.rpc.ws.as_ref()),
            "wallet.private_key" if raw.plain().trim().is_empty() => String::new(),
            "wallet.private_key" => "[set]".to_owned(),
            "market" => config.market.name.clone(),
            "executor.code_hash" => config.executor.code_hash.to_string(),
            "datadir" => redact(&config.datadir.to_string_lossy()),
            // A URL in the wrong place is a secret all the same.
            _ => redact(&raw.plain()),
        };
        Shown { key, value, place }
    });
    let mut all: Vec<Shown> = all.collect();
    // Plain keys first, as a file must have them, then the tables.
    all.sort_by_key(|shown| (shown.key.contains('.'), shown.key.clone()));
    Ok(all)
}

fn set(url: Option<&Secret>) -> String {
    url.map_or_else(String::new, |url| format!("[set] {}", url.alias()))
}
