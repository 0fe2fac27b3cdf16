//! What a refused call said, in words: which contract's language it is, the name of the reason, and its numbers. What
//! nobody here knows is shown by its selector. The bytes are a stranger's: only plain characters pass.

use crate::abi::executor::Executor::ExecutorErrors;
use crate::abi::refusals::{AAVE_CODES, Aave::AaveErrors, OpenZeppelin::OpenZeppelinErrors};
use alloy::primitives::{Bytes, U256};
use alloy::sol_types::{Panic, Revert, SolError, SolInterface};
use std::fmt;

/// Most characters of a contract's own words that are shown.
const LONGEST: usize = 120;

/// Reasons of Uniswap V3 that are letters only. Its periphery says the rest in whole words.
const UNISWAP: [(&str, &str); 17] = [
    ("STF", "the token could not be taken: too little balance or allowance"),
    ("TF", "the token could not be paid out"),
    ("ST", "the token could not be paid out"),
    ("SA", "the approval failed"),
    ("STE", "the native coin could not be paid out"),
    ("LOK", "the pool is locked: it is being used in this same call"),
    ("SPL", "the price limit is on the wrong side"),
    ("AS", "the amount is zero"),
    ("IIA", "the pool was not paid what the swap costs"),
    ("AI", "the pool is initialized already"),
    ("F0", "the first token of the flash was not paid back"),
    ("F1", "the second token of the flash was not paid back"),
    ("L", "the pool has no liquidity to lend"),
    ("LS", "more liquidity is taken than there is"),
    ("LA", "more liquidity is added than fits"),
    ("R", "the price is beyond what a pool can hold"),
    ("T", "the tick is beyond what a pool can hold"),
];

/// Whose words a refusal is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    Executor,
    Aave,
    Uniswap,
    Token,
    /// The compiler's own checks.
    Solidity,
    /// A sentence that could be anybody's.
    Plain,
    Unknown,
}

/// A refusal, understood as far as it can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub speaker: Speaker,
    pub words: String,
}

impl Refusal {
    fn new(speaker: Speaker, words: impl Into<String>) -> Self {
        Self { speaker, words: words.into() }
    }

    /// Understands the bytes that a call reverted with.
    pub fn of(data: &[u8]) -> Self {
        if data.is_empty() {
            return Self::new(Speaker::Unknown, "no reason given");
        }
        if let Ok(revert) = Revert::abi_decode(data) {
            return of_sentence(&revert.reason);
        }
        if let Ok(panic) = Panic::abi_decode(data) {
            return Self::new(Speaker::Solidity, of_panic(panic.code));
        }
        if let Ok(error) = ExecutorErrors::abi_decode(data) {
            return Self::new(Speaker::Executor, told(&format!("{error:?}")));
        }
        if let Ok(error) = AaveErrors::abi_decode(data) {
            return Self::new(Speaker::Aave, told(&format!("{error:?}")));
        }
        if let Ok(error) = OpenZeppelinErrors::abi_decode(data) {
            return Self::new(Speaker::Token, told(&format!("{error:?}")));
        }
        match data.get(..4) {
            Some(selector) => {
                let selector = Bytes::copy_from_slice(selector);
                Self::new(Speaker::Unknown, format!("unknown error {selector}"))
            }
            None => Self::new(Speaker::Unknown, "a reason that is none"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.speaker {
            Speaker::Aave => write!(f, "Aave: {}", self.words),
            Speaker::Uniswap => write!(f, "Uniswap: {}", self.words),
            Speaker::Token => write!(f, "token: {}", self.words),
            Speaker::Executor | Speaker::Solidity | Speaker::Plain | Speaker::Unknown => {
                f.write_str(&self.words)
            }
        }
    }
}

/// What a refused call said, as one line.
pub fn refusal(data: &[u8]) -> String {
    Refusal::of(data).to_string()
}

fn of_sentence(reason: &str) -> Refusal {
    let plain = reason.chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>();
    let name = plain.parse::<usize>().ok().and_then(|code| AAVE_CODES.get(code));
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        return Refusal::new(Speaker::Aave, format!("{name} ({plain})"));
    }
    if let Some((_, meaning)) = UNISWAP.iter().find(|(short, _)| *short == plain) {
        return Refusal::new(Speaker::Uniswap, format!("{plain}, {meaning}"));
    }
    let speaker = match plain.as_str() {
        "Too little received" | "Too much requested" | "Transaction too old" | "Not WETH9" => {
            Speaker::Uniswap
        }
        text if text.starts_with("UniswapV2") => Speaker::Uniswap,
        text if text.starts_with("ERC20") || text.starts_with("SafeERC20") => Speaker::Token,
        _ => Speaker::Plain,
    };
    Refusal::new(speaker, plain)
}

fn of_panic(code: U256) -> String {
    let what = match u64::try_from(code) {
        Ok(0x01) => "an assertion failed",
        Ok(0x11) => "arithmetic overflow or underflow",
        Ok(0x12) => "division by zero",
        Ok(0x21) => "a value outside its enumeration",
        Ok(0x22) => "broken storage of bytes",
        Ok(0x31) => "pop of an empty array",
        Ok(0x32) => "an index out of bounds",
        Ok(0x41) => "out of memory",
        Ok(0x51) => "a call of no function",
        _ => "a check of the compiler",
    };
    format!("Panic({code:#x}): {what}")
}

/// `Name(Name)` and `Name(Name { field: 1 })`, as the bindings print them, without the repetition.
fn told(debug: &str) -> String {
    let inner = debug.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(debug);
    inner.chars().filter(|c| !c.is_control()).take(LONGEST.saturating_mul(2)).collect()
}
