//! The executor tried on the real contracts: what docs/executor.md promises, rule by rule (T1 to T12).
//! The stage and the plans are built here from nothing but the contract's ABI; the keeper's own encoder is left out.

mod bounds;
mod callbacks;
mod code;
mod counterparties;
mod doubles;
mod invariants;
mod ledger;
mod lists;
mod many;
mod markets;
mod mutations;
mod pairs;
mod paths;
mod pools;
mod positions;
mod purse;
mod quirks;
mod reentry;
mod replays;
mod roles;
mod sandwich;
mod stage;
mod strangers;
mod tokens;
mod trace;
mod world;
mod zoo;

pub use backstop::abi::executor::Executor;
pub use positions::{Shape, WETH_FOR_USDC};
pub use stage::{OPERATOR, OWNER, RECEIVER, STRANGER, SUCCESSOR, Stage};

pub const MARKETS: [&str; 2] = ["v30", "v36"];
