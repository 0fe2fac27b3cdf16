//! Aave V3's arithmetic against integers that the real contracts gave: worked examples with their inputs, and
//! recordings replayed line by line.

mod crossings;
mod feeds;
mod recorded;
mod states;
mod steps;
mod worked;
pub mod world;
