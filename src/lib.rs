//! backstop: a liquidation keeper for EVM lending protocols.

#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::disallowed_methods,
        reason = "a test that overflows fails, and its tasks end with it"
    )
)]

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
