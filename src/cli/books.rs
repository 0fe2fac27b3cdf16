//! What may be typed to look at the books and to stop and empty what runs.

use super::{account, whole};
use alloy::primitives::Address;
use clap::{Args, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, Args)]
pub struct History {
    /// Only this borrower
    #[arg(long, value_name = "ADDRESS", value_parser = account)]
    pub account: Option<Address>,

    /// From then on: a time (2026-11-22, 2026-11-22T11:08:28Z) or how long ago (2h, 7days)
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub since: Option<When>,

    /// Until then, as --since
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub until: Option<When>,

    /// Only what came out like this
    #[arg(long, value_name = "WORD")]
    pub verdict: Option<Verdict>,

    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value = "100", value_parser = whole::<NonZeroUsize>)]
    pub limit: NonZeroUsize,

    /// Profit by day and by debt and collateral, and how often each verdict was reached, instead of the list
    #[arg(long)]
    pub summary: bool,

    /// As CSV, for a spreadsheet
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

/// The words of decisions, then those of what was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verdict {
    /// A dry run would have sent it
    WouldSend,
    /// It was handed to the signer
    Send,
    /// It pays, but had to wait: paused, or another one goes first
    Held,
    /// It was left alone, with the reason
    Skip,
    /// Signed, and not settled yet
    Pending,
    Won,
    Reverted,
    /// Withdrawn, as nobody mined it in time
    Cancelled,
    /// Its nonce was used by a transaction we did not sign
    ForeignNonce,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::WouldSend => "would-send",
            Self::Send => "send",
            Self::Held => "held",
            Self::Skip => "skip",
            Self::Pending => "pending",
            Self::Won => "won",
            Self::Reverted => "reverted",
            Self::Cancelled => "cancelled",
            Self::ForeignNonce => "foreign-nonce",
        }
    }
}

/// A time as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Seconds since 1970.
    At(u64),
    Ago(Duration),
}

impl When {
    /// In seconds since 1970, `now` being that too.
    pub fn at(self, now: u64) -> u64 {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.saturating_sub(ago.as_secs()),
        }
    }
}

fn when(text: &str) -> Result<When, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(When::Ago(ago));
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let at = humantime::parse_rfc3339_weak(&whole).ok();
    let since_1970 = at.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since_1970.map(|at| When::At(at.as_secs())).ok_or_else(|| {
        "is no time: write how long ago (2h, 7days), a day (2026-11-22) or a time (2026-11-22T11:08:28Z, in UTC)"
            .to_owned()
    })
}

#[derive(Clone, Debug, Args)]
pub struct Pause {
    /// The reason, for whoever finds it paused
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub why: String,
}

#[derive(Clone, Debug, Args)]
pub struct Sweep {
    /// Only this token, or all: the native coin and every token of the market
    #[arg(long, value_name = "ADDRESS|native|all", default_value = "all", value_parser = token)]
    pub token: Token,

    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,

    /// The owner's keystore: a path, or a name in ~/.foundry/keystores (key: owner.keystore)
    #[arg(long, value_name = "FILE|NAME")]
    pub keystore: Option<PathBuf>,

    /// The file with its password; without one it is asked for (key: owner.password_file)
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// What is to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    All,
    /// The zero address is the native coin.
    One(Address),
}

fn token(text: &str) -> Result<Token, String> {
    match text {
        "all" => Ok(Token::All),
        "native" => Ok(Token::One(Address::ZERO)),
        zero if zero.parse() == Ok(Address::ZERO) => Ok(Token::One(Address::ZERO)),
        other => account(other).map(Token::One),
    }
}
