//! What the operator decided: the typed configuration and the way it is read.
//!
//! `file`, the environment and the flags are laid over the defaults in `layers`; `keys` knows which there are;
//! `values` makes each a typed value; `check` puts them together and sets them against each other. Every
//! mistake is found in one go (`Mistakes`), each with its place, and none repeats a secret.

mod check;
mod file;
mod keys;
mod layers;
mod mistakes;
mod need;
mod presets;
mod secret;
mod show;
mod values;

pub use layers::{Flag, Sources};
pub use mistakes::{Mistake, Mistakes, Place};
pub use need::Need;
pub use presets::{Preset, presets};
pub use secret::{Secret, redact};
pub use show::Shown;
pub use values::{fixed_point, parse_address};

use crate::domain::cost::FeePolicy;
use crate::domain::route::{Pairs, Venue};
use crate::domain::size::Holding;
use crate::domain::units::{Bps, Wei};
use alloy::primitives::{Address, B256};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Everything decided before the start. Values are in range and agree with each other; what one command needs
/// beyond that is asked with [`Config::require`].
#[derive(Clone, Debug)]
pub struct Config {
    pub mode: Mode,
    /// The one market this process works on.
    pub market: Market,
    /// Where journal, history and index live. Absolute unless the working directory is gone.
    pub datadir: PathBuf,
    pub rpc: Rpc,
    pub executor: Executor,
    pub wallet: Wallet,
    /// The key of the executor's owner, for `sweep`. It belongs on another machine.
    pub owner: Wallet,
    pub profit: Profit,
    pub fees: FeePolicy,
    pub log: Log,
    /// Where each value came from.
    pub origins: Origins,
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// All mistakes, not only the first: unknown keys, wrong values, what is missing, what contradicts.
    pub fn load(sources: &Sources) -> Result<Self, Mistakes> {
        check::load(sources)
    }

    /// Every key with the value in effect, secrets hidden.
    ///
    /// # Errors
    /// As `load`.
    pub fn shown(sources: &Sources) -> Result<Vec<Shown>, Mistakes> {
        show::shown(sources)
    }

    /// Whether what `need` asks for is there. Looks for the files of the wallet, and reads nothing else.
    ///
    /// # Errors
    /// All that is missing.
    pub fn require(&self, need: Need) -> Result<(), Mistakes> {
        need::require(self, need)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Decides and tells; signs nothing.
    DryRun,
    /// Signs and sends.
    Live,
}

/// One deployment of one lending protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Market {
    /// The name of its table.
    pub name: String,
    pub kind: Kind,
    pub chain_id: u64,
    pub addresses_provider: Address,
    /// The block the scan for borrowers begins at: that of the deployment, or an earlier one.
    pub start_block: u64,
    /// Why nothing is ever planned or sent here; `None`: it may be.
    pub observe_only: Option<String>,
    pub route: Option<Route>,
    /// What may be held as the market's own tokens; `None`: nothing.
    pub holding: Option<Holding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    AaveV3,
}

/// The venues that turn what was seized into what is owed: Uniswap V3, and V2 where it is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub factory: Address,
    pub quoter: Address,
    pub router: Address,
    /// The native coin as a token.
    pub wrapped_native: Address,
    /// Uniswap V2.
    pub pairs: Option<Pairs>,
}

impl Route {
    pub fn venue(&self) -> Venue {
        let Self { factory, quoter, router, wrapped_native, pairs } = *self;
        Venue { factory, quoter, router, wrapped_native, pairs }
    }
}

#[derive(Clone, Debug)]
pub struct Rpc {
    pub http: Secret,
    /// `None`: heads are polled.
    pub ws: Option<Secret>,
    /// Between two looks at the head.
    pub poll: Duration,
    /// The deadline of one request.
    pub timeout: Duration,
    /// Blocks in the first `eth_getLogs`; adapts to what the node takes.
    pub log_range: u64,
    /// Reads in one call.
    pub batch: usize,
}

/// Our contract, and who it belongs to and pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executor {
    /// `None`: not deployed.
    pub address: Option<Address>,
    /// Of the code that must be there.
    pub code_hash: B256,
    pub owner: Option<Address>,
    /// Where profits go.
    pub receiver: Option<Address>,
}

#[derive(Clone, Debug)]
pub struct Wallet {
    pub key: Key,
}

/// Where a signing key is found.
#[derive(Clone, Debug)]
pub enum Key {
    None,
    /// A keystore (version 3). Without a password file, the password is asked for.
    Keystore {
        path: PathBuf,
        password_file: Option<PathBuf>,
    },
    /// 64 hex digits, with or without 0x.
    Environment(SecretString),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profit {
    /// Least net worth sending for, after gas, fees and swaps.
    pub minimum: Wei,
    /// What a swap may give less than was quoted.
    pub slippage: Bps,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: Format,
    pub level: Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Terminal,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    /// As `tracing` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Where each value came from, by the key's path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// The file that was read.
    pub file: Option<PathBuf>,
    pub places: BTreeMap<String, Place>,
}
