//! The outside: one thing a file. Knows the domain's values, never decides.

pub mod clock;
pub mod datadir;
mod gather;
pub mod heads;
pub mod history;
pub mod index;
pub mod journal;
pub mod logs;
pub mod out;
pub mod pause;
pub mod person;
pub mod reader;
pub mod rpc;
pub mod send;
pub mod signer;
pub mod simulate;
mod sqlite;
