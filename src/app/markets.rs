//! `markets`: what is built in.

use super::show::table;
use crate::config::presets;
use crate::io::out;
use eyre::Result;
use serde_json::json;

/// # Errors
/// When standard output cannot be written.
pub fn markets(json: bool) -> Result<()> {
    if json {
        let markets = presets().iter().map(|preset| {
            json!({
                "name": preset.name,
                "kind": "aave-v3",
                "chain_id": preset.chain_id,
                "addresses_provider": preset.addresses_provider,
                "has_route": preset.has_route,
                "observe_only": preset.observe_only,
            })
        });
        return out::json(&json!({ "v": 1, "markets": markets.collect::<Vec<_>>() }));
    }
    let mut rows = table(&["MARKET", "CHAIN", "ADDRESSES PROVIDER", "NOTE"]);
    for preset in presets() {
        let note = match (&preset.observe_only, preset.has_route) {
            (Some(why), _) => format!("observe only: {why}"),
            (None, false) => {
                format!("no route built in: `scan` and `run` need [markets.{}.route]", preset.name)
            }
            (None, true) => String::new(),
        };
        let chain = preset.chain_id.to_string();
        rows.add_row([preset.name.as_str(), &chain, &preset.addresses_provider, &note]);
    }
    for line in rows.to_string().lines() {
        out::line(line.trim())?;
    }
    out::line("")?;
    out::line(&format!(
        "{} markets. Use one with --market NAME. `backstop doctor` says which release it runs.",
        presets().len()
    ))
}
