//! The deciding part. Pure: no async, no I/O, no clock, no logging, no globals.

pub mod amm;
pub mod chain;
pub mod cost;
pub mod executor;
pub mod explain;
pub mod keeper;
pub mod lane;
pub mod pack;
pub mod plan;
pub mod prices;
pub mod protocol;
pub mod protocols;
pub mod refusal;
pub mod route;
pub mod size;
pub mod units;
pub mod verdict;
