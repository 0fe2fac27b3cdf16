//! `pause` and `resume`: the operator's word to a running daemon, and the daemon's ear for it.

use super::observe;
use crate::cli;
use crate::config::Config;
use crate::exit::{Exit, ExitExt};
use crate::io::datadir::DataDir;
use crate::io::out;
use crate::io::pause::Pause;
use eyre::Result;
use serde_json::json;

/// # Errors
/// Exit code 3 when the data directory cannot be written.
pub fn pause(config: &Config, arguments: &cli::Pause, json: bool) -> Result<()> {
    let datadir = open(config)?;
    Pause::at(datadir.pause()).set(&arguments.why).exit(Exit::Configuration)?;
    let chain = config.market.chain_id;
    if json {
        return out::json(&json!({ "v": 1, "chain_id": chain, "paused": true, "why": arguments.why }));
    }
    out::line(&format!("paused on chain {chain}: nothing new is sent until `backstop resume`"))
}

/// # Errors
/// Exit code 3 when the data directory cannot be written.
pub fn resume(config: &Config, json: bool) -> Result<()> {
    let lifted = Pause::at(open(config)?.pause()).lift().exit(Exit::Configuration)?;
    let chain = config.market.chain_id;
    if json {
        return out::json(&json!({ "v": 1, "chain_id": chain, "paused": false, "was_paused": lifted }));
    }
    let was = if lifted { "resumed" } else { "was not paused" };
    out::line(&format!("{was} on chain {chain}"))
}

fn open(config: &Config) -> Result<DataDir> {
    DataDir::open(&config.datadir, config.market.chain_id).exit(Exit::Configuration)
}

/// Looks whether the keeper is paused, and says so when that changes.
pub struct Switch {
    pause: Pause,
    seen: Option<String>,
}

impl Switch {
    pub fn of(datadir: &DataDir) -> Self {
        Self { pause: Pause::at(datadir.pause()), seen: None }
    }

    /// Whether it is paused now.
    pub fn look(&mut self) -> bool {
        let now = self.pause.reason();
        match &now {
            Some(why) if self.seen.as_ref() != Some(why) => observe::paused(why),
            None if self.seen.is_some() => observe::resumed(),
            _ => {}
        }
        self.seen = now;
        self.seen.is_some()
    }
}
