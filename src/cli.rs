//! What may be typed, and what it means: commands, flags, and the configuration keys the flags stand for.

mod books;
mod demo;
mod telling;
mod wallet;

pub use books::{History, Pause, Sweep, Token, Verdict, When};
pub use demo::{Demo, DemoMarket};
pub use telling::{completions, man};
pub use wallet::{Import, Named, Wallet, WalletCommand, Where};

use crate::config::{self, Flag, Mode, Need, Sources};
use crate::domain::units::HealthFactor;
use alloy::primitives::Address;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

const LONG_ABOUT: &str = "\
Watches the borrowers of an Aave V3 market, sees the moment one of them may be liquidated, works out what that \
is worth after gas, fees and slippage, and takes it, or says why not.

Reading needs a node (rpc.http) and a market (a built-in one, or a table [markets.<name>]). Settings come from backstop.toml (--config, \
BACKSTOP_CONFIG, ./backstop.toml, then ~/.config/backstop/backstop.toml), from variables such as \
BACKSTOP_RPC__HTTP, and from flags; the later win. config.example.toml explains every key.";

const AFTER_HELP: &str = "\
Examples:
  backstop demo                          see it work on a local chain, no configuration needed
  backstop markets                       the markets that are built in
  backstop doctor -m ethereum            is everything in order, and what to do where it is not
  backstop positions --below 1.05        who is near the line
  backstop explain 0x…                   why one account is, or is not, liquidated
  backstop scan                          what could be liquidated now, and what it would be worth
  backstop run                           watch and decide; signs nothing until mode = \"live\"
  backstop history --since 7days         what was decided, sent and earned

Exit codes:
  0  done
  1  unexpected fault
  2  wrong use of the command line
  3  configuration: every mistake is listed with its place
  4  nothing found (scan --exit-code)
  5  the node does not answer, or not in time
  6  a check came out different from the chain
  7  a transaction was reverted or refused

Results go to stdout, everything else to stderr.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "backstop", version, about = "A liquidation keeper for Aave V3", long_about = LONG_ABOUT)]
#[command(after_help = AFTER_HELP, max_term_width = 110, arg_required_else_help = true)]
pub struct Cli {
    /// Configuration file [default: ./backstop.toml]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where journal, history and index are kept (key: datadir)
    #[arg(long, global = true, value_name = "DIR")]
    pub datadir: Option<PathBuf>,

    /// The market to work on: a built-in one (`backstop markets`) or the name of a markets table (key: market)
    #[arg(short, long, global = true, value_name = "NAME")]
    pub market: Option<String>,

    /// The node's HTTP URL (key: rpc.http). Other users can see it in the process list: a URL that holds a key
    /// belongs in the file as "${VARIABLE}"
    #[arg(long, global = true, value_name = "URL")]
    pub rpc_url: Option<RpcUrl>,

    /// Print the result as JSON: one object, or one a line where it goes on
    #[arg(long, global = true)]
    pub json: bool,

    /// Log more: -v debug, -vv trace (key: log.level)
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Log less: -q warnings, -qq errors, -qqq nothing (key: log.level)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub quiet: u8,

    #[command(subcommand)]
    pub command: Command,
}

/// A URL as typed. No content in `Debug`: it may hold a key.
#[derive(Clone)]
pub struct RpcUrl(String);

impl From<String> for RpcUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for RpcUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RpcUrl(…)")
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch the market and decide at every block; send when mode = "live"
    #[command(after_help = "\
Needs rpc.http, a market and its route. With mode = \"live\" also wallet and executor.address; without it \
nothing is signed.

  backstop run --blocks 10               stop after ten heads
  BACKSTOP_MODE=live backstop run        send (everything else from backstop.toml)")]
    Run(Run),

    /// Look once: what could be liquidated now, and what it would be worth
    #[command(after_help = "\
Needs rpc.http, a market and its route. Sends nothing.

  backstop scan --json
  backstop scan --exit-code || echo \"nothing to do\"    code 4 when nothing is found")]
    Scan(Scan),

    /// List borrowers with their health, the weakest first
    #[command(after_help = "\
Needs rpc.http and a market.

  backstop positions --below 1.05
  backstop positions --audit             exit code 6 when our arithmetic differs from the chain's")]
    Positions(Positions),

    /// Explain one account: what it stands on, where it falls, what would help, and what it would bring
    #[command(after_help = "\
Needs rpc.http and a market; with its route, liquidations are priced and tried too. Sends nothing.

  backstop explain 0x… --target 1.2      what would bring it to a health factor of 1.2
  backstop explain 0x… --json")]
    Explain(Explain),

    /// Deploy the executor contract, which borrows, liquidates, swaps, repays and forwards the profit
    #[command(after_help = "\
Needs rpc.http, a market and its route, wallet, executor.owner and executor.receiver. Prints the address \
and the code's hash, to set as executor.address and executor.code_hash. Shows what it will cost and asks first, unless told --yes.")]
    Deploy(Deploy),

    /// List what was decided, what was sent and what came of it; with --summary what was earned
    #[command(after_help = "\
Needs a market, for its chain. Asks no node, and works beside a running daemon.

  backstop history --since 2h --verdict reverted
  backstop history --summary --since 2026-11-01 --until 2026-12-01
  backstop history --csv --limit 100000 > books.csv")]
    History(History),

    /// Send nothing new from now on; what is under way is followed to its end
    #[command(after_help = "\
Needs a market, for its chain. A running daemon obeys before its next transaction, and one that is started later \
too, until `backstop resume`.

  backstop pause --why \"the oracle looks odd\"")]
    Pause(Pause),

    /// Let a paused daemon send again
    #[command(after_help = "\
Needs a market, for its chain.")]
    Resume,

    /// Move what the executor holds to its receiver, with its owner's key
    #[command(after_help = "\
Needs rpc.http, a market, executor.address and the owner's key: --keystore, the owner table or the variable \
BACKSTOP_OWNER__PRIVATE_KEY. Shows what it would move and asks first, unless told --yes. The daemon must not run \
on the same data directory.

  backstop sweep --keystore owner        the native coin and every token of the market
  backstop sweep --token 0x…             one token; native for the native coin")]
    Sweep(Sweep),

    /// Make, import and look at keystores, in Foundry's format and folder
    #[command(after_help = "\
Needs no configuration and no node. Passwords and keys are asked for on the terminal or read from files that nobody \
else may read. What has a name here is what wallet.keystore = \"name\" means.

  backstop wallet new hot
  backstop wallet import hot --key-file key.txt --password-file password.txt
  backstop wallet list")]
    Wallet(Wallet),

    /// Look everything over: configuration, node, market, wallet, executor, routes, journal
    #[command(after_help = "\
Needs nothing: what is not configured is said to be so. Signs and sends nothing, and writes no file. A part that \
fails does not hide those that can still be looked at. Ends with the code of the first failure: 3, 5, 6 or 7.

  backstop doctor -m ethereum --rpc-url http://127.0.0.1:8545
  backstop doctor --json | jq '.checks[] | select(.state == \"fail\")'")]
    Doctor,

    /// List the markets that are built in
    #[command(after_help = "\
Needs nothing. Use one with --market NAME or market = \"NAME\"; a table [markets.NAME] covers it key by key.")]
    Markets,

    /// Show, check or explain the configuration
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },

    /// Print the completions for a shell
    #[command(after_help = "\
Needs nothing.

  backstop completions bash > ~/.local/share/bash-completion/completions/backstop")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },

    /// Print the manual page, or that of one command
    #[command(after_help = "\
Needs nothing.

  backstop man > backstop.1
  backstop man scan | man -l -")]
    Man {
        /// The command to explain
        command: Option<String>,
    },

    /// Watch a liquidation from beginning to end on a local chain
    #[command(after_help = "\
Needs anvil, and no configuration. Deploys the protocol's own contracts, opens positions, drops a price and \
lets the keeper work.

  backstop demo --market v30 --fast
  backstop demo --stay                   be the keeper yourself: see docs/walkthrough.md")]
    Demo(Demo),

    /// Replay a recording of the real contracts and compare every number in it
    #[command(hide = true, disable_version_flag = true)]
    #[command(after_help = "Needs nothing. Code 6 when a number differs or an attempt was not foretold.")]
    ReplayFixture(ReplayFixture),
}

#[derive(Clone, Debug, Args)]
pub struct ReplayFixture {
    /// Lines of JSON; tests/data/README.md has their form
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The release whose rules hold, e.g. 3.3
    #[arg(long = "version", value_name = "RELEASE")]
    pub release: String,
}

#[derive(Clone, Debug, Args)]
pub struct Run {
    /// Stop after this many heads
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU64>)]
    pub blocks: Option<NonZeroU64>,
}

#[derive(Clone, Debug, Args)]
pub struct Scan {
    /// End with code 4 when there is no opportunity
    #[arg(long)]
    pub exit_code: bool,

    /// Only this borrower
    #[arg(long, value_name = "ADDRESS", value_parser = account)]
    pub account: Option<Address>,
}

#[derive(Clone, Debug, Args)]
pub struct Positions {
    /// Compare every health factor with the contract's own answer
    #[arg(long)]
    pub audit: bool,

    /// At this block instead of the head (older ones need an archive node)
    #[arg(long, value_name = "N", value_parser = whole::<u64>)]
    pub block: Option<u64>,

    /// Only this borrower
    #[arg(long, value_name = "ADDRESS", value_parser = account)]
    pub account: Option<Address>,

    /// Only health factors below this, e.g. 1.05
    #[arg(long, value_name = "HF", value_parser = health_factor)]
    pub below: Option<HealthFactor>,
}

#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// The account, borrower or not
    #[arg(value_name = "ADDRESS", value_parser = account)]
    pub account: Address,

    /// A health factor to reach
    #[arg(long, value_name = "HF", value_parser = health_factor, default_value = "1.05")]
    pub target: HealthFactor,
}

#[derive(Clone, Debug, Args)]
pub struct Deploy {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every value in effect; secrets as [set]
    #[command(after_help = "Needs a configuration without mistakes.")]
    Show {
        /// With the place each came from
        #[arg(long)]
        sources: bool,
    },
    /// Print config.example.toml: every key with its unit and default
    #[command(after_help = "Needs nothing.\n\n  backstop config example > backstop.toml")]
    Example,
    /// List every mistake; code 3 when there is one
    #[command(after_help = "Needs a configuration; with --online also the node.")]
    Check {
        /// Also look at the chain: its id, and the code at every configured address
        #[arg(long)]
        online: bool,
    },
}

impl Command {
    /// What the configuration must hold for this command; `None` where it reads no configuration.
    pub fn need(&self, mode: Mode) -> Option<Need> {
        match (self, mode) {
            (Self::Run(_), Mode::Live) => Some(Need::Live),
            (Self::Run(_) | Self::Scan(_), _) => Some(Need::Route),
            (Self::Positions(_) | Self::Explain(_) | Self::History(_) | Self::Pause(_) | Self::Resume, _) => {
                Some(Need::Read)
            }
            (Self::Sweep(_), _) => Some(Need::Sweep),
            (Self::Deploy(_), _) => Some(Need::Deploy),
            (
                Self::Demo(_)
                | Self::Wallet(_)
                | Self::Doctor
                | Self::Markets
                | Self::ReplayFixture(_)
                | Self::Config { .. }
                | Self::Completions { .. }
                | Self::Man { .. },
                _,
            ) => None,
        }
    }
}

impl Cli {
    /// The process's own arguments. Help and mistakes are printed.
    ///
    /// # Errors
    /// The code to end with: 0 after help or version, 2 after a mistake.
    pub fn read() -> Result<Self, ExitCode> {
        Self::read_from(std::env::args_os()).map_err(|error| telling::mistake(&error))
    }

    /// # Errors
    /// clap's own error, whose text repeats what was typed.
    pub fn read_from<A: Into<OsString> + Clone>(
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self, clap::Error> {
        let cli = Self::try_parse_from(arguments)?;
        if let Command::Demo(demo) = &cli.command
            && DemoMarket::from_str(&demo.market, false).is_err()
        {
            // Typed before the command, where clap takes it for a market's name.
            let what = "demo has the markets v30 and v36: backstop demo --market v36\n";
            return Err(clap::Error::raw(clap::error::ErrorKind::InvalidValue, what));
        }
        Ok(cli)
    }

    /// The sources of the configuration: this process's environment, with the flags on top.
    pub fn sources(&self) -> Sources {
        Sources { file: self.config.clone(), flags: self.flags(), ..Sources::of_process() }
    }

    /// The flags as keys.
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        let mut set = |flag, key, value: Option<String>| {
            flags.extend(value.map(|value| Flag { flag, key, value }));
        };
        set("--datadir", "datadir", self.datadir.as_ref().map(|path| path.to_string_lossy().into_owned()));
        set("--market", "market", self.market.clone());
        set("--rpc-url", "rpc.http", self.rpc_url.as_ref().map(|url| url.0.clone()));
        if let Command::Sweep(sweep) = &self.command {
            let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
            set("--keystore", "owner.keystore", text(&sweep.keystore));
            set("--password-file", "owner.password_file", text(&sweep.password_file));
        }
        let more = ["debug", "trace"].get(usize::from(self.verbose.min(2)).wrapping_sub(1));
        let less = ["warn", "error", "off"].get(usize::from(self.quiet.min(3)).wrapping_sub(1));
        set("-v", "log.level", more.map(|level| (*level).to_owned()));
        set("-q", "log.level", less.map(|level| (*level).to_owned()));
        flags
    }
}

fn account(text: &str) -> Result<Address, String> {
    config::parse_address(text)
}

/// A count. The library's own words name types of the language.
fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| match text {
        "0" => "is nothing to count to: 1 is the least".to_owned(),
        _ => "is not a whole number".to_owned(),
    })
}

fn health_factor(text: &str) -> Result<HealthFactor, String> {
    config::fixed_point(text, 18).map(HealthFactor)
}
