//! backstop: a liquidation keeper for EVM lending protocols.

pub mod config;
pub mod domain;

#[doc(hidden)]
#[path = "../anvil-tests/bed/mod.rs"]
pub mod bed;
