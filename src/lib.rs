//! backstop: a liquidation keeper for EVM lending protocols.

#[doc(hidden)]
#[path = "../anvil-tests/bed/mod.rs"]
pub mod bed;
