//! Tests against the real contracts on a local chain. They need `npm ci --ignore-scripts --prefix anvil-tests` once.

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

mod books;
mod doctor;
mod executor;
mod faults;
mod scenes;
mod smoke;
