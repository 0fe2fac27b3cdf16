//! The outside: one thing a file. Knows the domain's values, never decides.

pub mod heads;
pub mod logs;
pub mod reader;
pub mod rpc;
pub mod simulate;
