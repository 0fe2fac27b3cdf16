//! The deciding part. Pure: no async, no I/O, no clock, no logging, no globals.

pub mod chain;
pub mod units;
