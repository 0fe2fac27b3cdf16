//! backstop: a liquidation keeper for EVM lending protocols.

pub mod abi;
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod exit;
pub mod io;

#[doc(hidden)]
#[path = "../anvil-tests/bed/mod.rs"]
pub mod bed;
