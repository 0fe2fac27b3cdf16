//! What a command needs beyond a configuration that is right in itself.

use super::mistakes::{Mistake, Mistakes, Place};
use super::{Config, Key, keys};
use std::path::Path;

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Reads the chain: what every configuration that loads can do.
    Read,
    /// Reads the chain, and whatever else is written must hold: the wallet's files are there.
    Written,
    /// Prices opportunities: the venues to sell at.
    Route,
    /// Signs and sends liquidations.
    Live,
    /// Signs and sends the executor's deployment.
    Deploy,
    /// Signs and sends what moves the executor's holdings, with its owner's key.
    Sweep,
}

pub(super) fn require(config: &Config, need: Need) -> Result<(), Mistakes> {
    let mut missing = Missing { config, all: Vec::new() };
    if !matches!(need, Need::Read | Need::Written)
        && let Some(why) = &config.market.observe_only
    {
        let key = format!("markets.{}.observe_only", config.market.name);
        missing.say(&key, &format!("this market is only observed: {why}. Use `backstop positions`"));
        return Err(Mistakes::new(missing.all));
    }
    if matches!(need, Need::Route | Need::Live | Need::Deploy) {
        missing.route();
    }
    let has_wallet = !matches!(config.wallet.key, Key::None);
    if matches!(need, Need::Live | Need::Deploy) || (need == Need::Written && has_wallet) {
        missing.wallet("wallet", &config.wallet.key);
    }
    if need == Need::Sweep {
        missing.wallet("owner", &config.owner.key);
    }
    if matches!(need, Need::Live | Need::Sweep) {
        missing.executor("address", config.executor.address.is_none(), "`backstop deploy` prints it");
    }
    if need == Need::Deploy {
        missing.executor("owner", config.executor.owner.is_none(), "who may change the executor");
        missing.executor("receiver", config.executor.receiver.is_none(), "where profits go");
    }
    if missing.all.is_empty() { Ok(()) } else { Err(Mistakes::new(missing.all)) }
}

struct Missing<'a> {
    config: &'a Config,
    all: Vec<Mistake>,
}

impl Missing<'_> {
    fn say(&mut self, key: &str, what: &str) {
        let place = self.config.origins.places.get(key).filter(|place| **place != Place::Default);
        self.all.push(Mistake::new(place.cloned(), key, what));
    }

    fn route(&mut self) {
        let name = &self.config.market.name;
        if self.config.market.route.is_none() {
            let key = format!("markets.{name}.route");
            let what = format!(
                "missing: opportunities cannot be priced; add [{key}] with uniswap_v3_factory, \
                 uniswap_v3_quoter, uniswap_v3_router and wrapped_native"
            );
            self.say(&key, &what);
        }
    }

    fn executor(&mut self, field: &str, absent: bool, meaning: &str) {
        if absent {
            let key = format!("executor.{field}");
            let what = format!("missing ({meaning}): set it or {}", keys::variable(&key));
            self.say(&key, &what);
        }
    }

    fn wallet(&mut self, table: &str, key: &Key) {
        match key {
            Key::Environment(_) => {}
            Key::Keystore { path, password_file } => {
                self.file(&format!("{table}.keystore"), path);
                if let Some(path) = password_file {
                    self.file(&format!("{table}.password_file"), path);
                }
            }
            Key::None => {
                let variable = keys::variable(&format!("{table}.private_key"));
                let what = format!(
                    "missing: nothing can be signed; set {table}.keystore and {table}.password_file, or the \
                     variable {variable}"
                );
                self.say(table, &what);
            }
        }
    }

    fn file(&mut self, key: &str, path: &Path) {
        if !path.is_file() {
            self.say(
                key,
                "there is no such file; relative paths start at the configuration file's directory, and a \
                 keystore without a slash is one in ~/.foundry/keystores",
            );
        }
    }
}
