//! Tests from outside, as one program: a module for each part.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and says on its output what it did"
)]

mod aave;
mod attacks;
mod canary;
mod cli;
mod config;
mod exit;
mod golden;
mod keeper;
mod properties;
mod refusals;
mod search;
mod tidy;
mod walkthrough;
mod wallet;
