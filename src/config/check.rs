//! Typed values out of the merged layers, and what they must be to each other.

mod route;
mod shares;

use super::layers::{self, Merged, Sources};
use super::mistakes::{Mistake, Mistakes, Place};
use super::values::{self, Raw};
use super::{
    Config, Executor, Format, Key, Kind, Level, Log, Market, Mode, Origins, Profit, Rpc, Wallet, keys,
};
use crate::domain::cost::FeePolicy;
use crate::domain::executor;
use crate::domain::units::Bps;
use alloy::primitives::Address;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Faster polling than a block is made anywhere; slower than anybody wants.
const POLL: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_mins(10);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(5);

/// A proposer given more than nine tenths of the net leaves nothing for a wrong estimate.
const MOST_TIP_SHARE: Bps = Bps(9_000);

pub(super) fn load(sources: &Sources) -> Result<Config, Mistakes> {
    let mut mistakes = Vec::new();
    let merged = layers::merge(sources, &mut mistakes);
    if !merged.readable {
        return Err(Mistakes::new(mistakes));
    }
    let mut reader = Reader { sources, merged, mistakes };
    let config = reader.config();
    match config {
        Some(config) if reader.mistakes.is_empty() => Ok(config),
        _ => Err(Mistakes::new(reader.mistakes)),
    }
}

/// Reads key after key. `None` is a key whose mistake is noted, or one that is missing and noted as that.
struct Reader<'a> {
    sources: &'a Sources,
    merged: Merged,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn config(&mut self) -> Option<Config> {
        let mode =
            self.read("mode", |raw| values::word(raw, &[("dry-run", Mode::DryRun), ("live", Mode::Live)]));
        let datadir = self.datadir();
        let (rpc, market) = (self.rpc(), self.market());
        let executor = self.executor();
        let (wallet, owner) = (self.wallet("wallet"), self.wallet("owner"));
        let (profit, fees, log) = (self.profit(), self.fees(), self.log());
        let places = self.merged.values.iter().map(|(key, (_, place))| (key.clone(), place.clone()));
        let tables = self.merged.tables.iter().map(|(key, place)| (key.clone(), place.clone()));
        let places: BTreeMap<String, Place> = tables.chain(places).collect();
        let origins = Origins { file: self.merged.file.clone(), places };
        if let (Some(executor), Some(market)) = (&executor, &market) {
            self.apart(executor, market);
        }
        if let (Some(executor), Some(wallet)) = (&executor, &wallet) {
            self.receiver_is_not_the_key(executor, wallet);
        }
        Some(Config {
            mode: mode?,
            market: market?,
            datadir: datadir?,
            rpc: rpc?,
            executor: executor?,
            wallet: wallet?,
            owner: owner?,
            profit: profit?,
            fees: fees?,
            log: log?,
            origins,
        })
    }

    fn rpc(&mut self) -> Option<Rpc> {
        let http = self.read("rpc.http", |raw| values::secret(raw, ["http", "https"]));
        if http.as_ref().is_none_or(Option::is_none) {
            self.missing(
                "rpc.http",
                "the node's HTTP URL, e.g. http = \"http://127.0.0.1:8545\" below [rpc]",
            );
        }
        let ws = self.read("rpc.ws", |raw| values::secret(raw, ["ws", "wss"]));
        let poll = self.read("rpc.poll", |raw| values::duration(raw, POLL));
        let timeout = self.read("rpc.timeout", |raw| values::duration(raw, TIMEOUT));
        let log_range = self.read("rpc.log_range", |raw| values::whole(raw, 1..=10_000_000, "blocks"));
        let batch = self.read("rpc.batch", |raw| values::whole(raw, 1..=2_000, "reads"));
        Some(Rpc {
            http: http??,
            ws: ws?,
            poll: poll?,
            timeout: timeout?,
            log_range: log_range?,
            batch: usize::try_from(batch?).ok()?,
        })
    }

    /// Checks every market's table and gives the one that is chosen.
    fn market(&mut self) -> Option<Market> {
        let names: Vec<String> = self.merged.markets.iter().cloned().collect();
        let markets: Vec<Option<Market>> = names.iter().map(|name| self.one_market(name)).collect();
        if names.is_empty() {
            let what = "none is chosen: set market to a built-in one (`backstop markets` lists them), or add a table \
                [markets.<name>] with chain_id and addresses_provider";
            self.mistakes.push(Mistake::new(None, "markets", what));
            return None;
        }
        let chosen = self.read("market", |raw| values::name(raw, &names))?;
        let at = match (&chosen, names.len()) {
            (Some(chosen), _) => names.iter().position(|name| name == chosen),
            (None, 1) => Some(0),
            (None, _) => {
                let which = names.join(", ");
                let what = format!("missing: which of {which}? Set market = \"<name>\" or --market");
                self.mistakes.push(Mistake::new(None, "market", what));
                None
            }
        };
        markets.into_iter().nth(at?)?
    }

    fn one_market(&mut self, name: &str) -> Option<Market> {
        let key = |field: &str| format!("markets.{name}.{field}");
        let kind = self.read(&key("kind"), |raw| values::word(raw, &[("aave-v3", Kind::AaveV3)]));
        // Signatures over a chain id beyond 63 bits are not understood everywhere.
        let chain_id = self.needed(&key("chain_id"), "the chain's number, e.g. 1 for Ethereum", |raw| {
            values::whole(raw, 1..=u64::MAX / 2, "(a chain id)").map(Some)
        });
        let provider = "the market's PoolAddressesProvider contract";
        let addresses_provider = self.needed(&key("addresses_provider"), provider, values::address);
        let start_block =
            self.read(&key("start_block"), |raw| values::whole(raw, 0..=u64::MAX / 2, "(a block number)"));
        let observe_only = self.read(&key("observe_only"), values::text);
        let route = match self.merged.tables.contains_key(&key("route")) {
            false => Some(None),
            true => self.route(&key("route")).map(Some),
        };
        let holding = match self.merged.tables.contains_key(&key("shares")) {
            false => Some(None),
            true => self.shares(&key("shares")).map(Some),
        };
        Some(Market {
            name: name.to_owned(),
            kind: kind?,
            chain_id: chain_id?,
            addresses_provider: addresses_provider?,
            start_block: start_block?,
            observe_only: observe_only?,
            route: route?,
            holding: holding?,
        })
    }

    fn executor(&mut self) -> Option<Executor> {
        let address = self.read("executor.address", values::address);
        let code_hash = self.read("executor.code_hash", values::hash);
        let owner = self.read("executor.owner", values::address);
        let receiver = self.read("executor.receiver", values::address);
        Some(Executor {
            address: address?,
            code_hash: code_hash?.unwrap_or_else(executor::code_hash),
            owner: owner?,
            receiver: receiver?,
        })
    }

    /// The key that a table names: `wallet` or `owner`.
    fn wallet(&mut self, table: &str) -> Option<Wallet> {
        let [keystore_key, password_key, private_key_key] =
            ["keystore", "password_file", "private_key"].map(|field| format!("{table}.{field}"));
        let keystore = self.keystore(&keystore_key);
        let password_file = self.path(&password_key);
        let private_key = self.read(&private_key_key, values::text).flatten();
        if let Some(private_key) = &private_key {
            let digits = private_key.strip_prefix("0x").unwrap_or(private_key);
            if digits.len() != 64 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
                self.refuse(&private_key_key, "is not a private key: 64 hex digits (value not shown)");
                return None;
            }
        }
        for (key, path) in [("wallet.keystore", &keystore), ("wallet.password_file", &password_file)] {
            if path.as_ref().and_then(Option::as_ref).is_some_and(|path| looks_like_a_key(path)) {
                self.refuse(
                    key,
                    "is a private key, not the path of a file (value not shown); it has been in a configuration, so use \
                     another");
                return None;
            }
        }
        let key = match (keystore?, password_file?, private_key) {
            (Some(_), _, Some(_)) => {
                let what = format!("there is a {keystore_key} too: leave out one of them");
                self.refuse(&private_key_key, &what);
                return None;
            }
            (None, Some(_), _) => {
                let what = format!("there is no {keystore_key} for this password to open");
                self.refuse(&password_key, &what);
                return None;
            }
            (Some(path), password_file, None) => Key::Keystore { path, password_file },
            (None, None, Some(private_key)) => Key::Environment(SecretString::from(private_key)),
            (None, None, None) => Key::None,
        };
        Some(Wallet { key })
    }

    /// A path, or without a slash the name of one of Foundry's keystores.
    fn keystore(&mut self, key: &str) -> Option<Option<PathBuf>> {
        let written = self.merged.values.get(key).and_then(|(raw, _)| values::text(raw).ok().flatten());
        let Some(name) = written.filter(|text| !text.contains('/') && !text.starts_with('~')) else {
            return self.path(key);
        };
        let Some(folder) = self.sources.keystores() else {
            self.refuse(
                key,
                "is a name in ~/.foundry/keystores, and HOME is not set; write the path in full",
            );
            return None;
        };
        Some(Some(folder.join(name)))
    }

    fn profit(&mut self) -> Option<Profit> {
        let minimum = self.read("profit.minimum_wei", values::wei);
        let unit = "basis points (50 is 0.5 %)";
        let slippage = self.read("profit.slippage_bps", |raw| values::whole(raw, 0..=1_000, unit));
        Some(Profit { minimum: minimum?, slippage: Bps(u32::try_from(slippage?).ok()?) })
    }

    fn fees(&mut self) -> Option<FeePolicy> {
        let tip_share = self.read("fees.tip_share", |raw| values::share(raw, MOST_TIP_SHARE));
        let max_fee = self.read("fees.max_fee", values::fee);
        let max_tip = self.read("fees.max_tip", values::fee);
        let gas_limit = self.read("fees.gas_limit", |raw| values::gas(raw, 100_000..=100_000_000));
        if max_fee.is_some_and(|fee| fee.0 == 0) {
            self.refuse("fees.max_fee", "is zero: nothing could ever be sent");
        } else if let (Some(fee), Some(tip)) = (max_fee, max_tip)
            && tip > fee
        {
            // The one somebody wrote is the one to point at.
            let (key, what) = match self.place("fees.max_tip") {
                Some(Place::Default) => {
                    ("fees.max_fee", "is below fees.max_tip, which is part of it: lower that too")
                }
                _ => {
                    ("fees.max_tip", "is above fees.max_fee, which it is part of: lower it or raise the fee")
                }
            };
            self.refuse(key, what);
        }
        Some(FeePolicy { tip_share: tip_share?, max_fee: max_fee?, max_tip: max_tip?, gas_limit: gas_limit? })
    }

    fn log(&mut self) -> Option<Log> {
        let format = self.read("log.format", |raw| {
            values::word(raw, &[("terminal", Format::Terminal), ("json", Format::Json)])
        });
        let levels = [Level::Off, Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace]
            .map(|l| (l.as_str(), l));
        let level = self.read("log.level", |raw| values::word(raw, &levels));
        Some(Log { format: format?, level: level? })
    }

    fn datadir(&mut self) -> Option<PathBuf> {
        let set = self.path("datadir")?;
        let found = set
            .or_else(|| self.sources.xdg("XDG_DATA_HOME", ".local/share").map(|path| path.join("backstop")));
        if found.is_none() {
            self.missing("datadir", "neither XDG_DATA_HOME nor HOME is set, so there is no default");
        }
        found
    }

    /// Profits leave the machine: not to the key that is kept on it, and not into the contract that keeps nothing.
    fn receiver_is_not_the_key(&mut self, executor: &Executor, wallet: &Wallet) {
        let (Some(receiver), Key::Keystore { path, .. }) = (executor.receiver, &wallet.key) else { return };
        if keystore_address(path) == Some(receiver) {
            let what =
                "is the keystore's own account: profits would stay with the hot key; name another account";
            self.refuse("executor.receiver", what);
        }
    }

    fn apart(&mut self, executor: &Executor, market: &Market) {
        let Some(address) = executor.address else { return };
        if executor.receiver == Some(address) {
            self.refuse("executor.receiver", "is the executor itself, which keeps nothing: name an account");
        }
        if market.addresses_provider == address {
            self.refuse("executor.address", "is the market's addresses_provider, not our contract");
        }
    }

    // The four ways to look at one key.

    fn place(&self, key: &str) -> Option<&Place> {
        self.merged.values.get(key).map(|(_, place)| place)
    }

    fn refuse(&mut self, key: &str, what: &str) {
        let place = self.place(key).cloned();
        self.mistakes.push(Mistake::new(place, key, what));
    }

    /// `None` when it is missing or wrong; wrong is noted.
    fn read<T>(&mut self, key: &str, parse: impl FnOnce(&Raw) -> Result<T, String>) -> Option<T> {
        let (raw, place) = self.merged.values.get(key)?;
        if raw.is_refused() {
            return None;
        }
        match parse(raw) {
            Ok(value) => Some(value),
            Err(what) => {
                self.mistakes.push(Mistake::new(Some(place.clone()), key, what));
                None
            }
        }
    }

    /// Like `read`, and a key that is absent or empty is noted as missing.
    fn needed<T>(
        &mut self,
        key: &str,
        meaning: &str,
        parse: impl FnOnce(&Raw) -> Result<Option<T>, String>,
    ) -> Option<T> {
        let value = self.read(key, parse).flatten();
        if value.is_none() {
            self.missing(key, meaning);
        }
        value
    }

    /// Notes `key` as missing, at the table it belongs in, unless something was noted for it already.
    fn missing(&mut self, key: &str, meaning: &str) {
        let written = self.merged.values.get(key);
        let refused = self.mistakes.iter().any(|mistake| mistake.key == key);
        if refused || written.is_some_and(|(raw, _)| raw.is_refused()) {
            return;
        }
        let table = key.rsplit_once('.').and_then(|(table, _)| self.merged.tables.get(table));
        let place = written.filter(|(raw, _)| values::is_unset(raw)).map(|(_, place)| place).or(table);
        let place = place.filter(|place| **place != Place::Default).cloned();
        let what = format!("missing: {meaning}; or set {}", keys::variable(key));
        self.mistakes.push(Mistake::new(place, key, what));
    }

    /// A path, relative to the place it was written in.
    fn path(&mut self, key: &str) -> Option<Option<PathBuf>> {
        let directory = self.sources.directory.clone();
        let base = match self.place(key) {
            Some(Place::File { path, .. }) => directory.join(path).parent().map(Path::to_owned),
            _ => None,
        };
        let home = self.sources.variable("HOME");
        self.read(key, |raw| values::path(raw, base.as_deref().unwrap_or(&directory), home))
    }
}

fn looks_like_a_key(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let digits = name.strip_prefix("0x").unwrap_or(&name);
    digits.len() == 64 && digits.chars().all(|c| c.is_ascii_hexdigit())
}

/// The account a keystore says it holds; `None` where the file is not there or does not say.
fn keystore_address(path: &Path) -> Option<Address> {
    let content: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    content.get("address")?.as_str()?.parse().ok()
}
