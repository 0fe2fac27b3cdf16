//! backstop: a liquidation keeper for EVM lending protocols.

pub mod domain;
pub mod io;

#[doc(hidden)]
#[path = "../anvil-tests/bed/mod.rs"]
pub mod bed;
