//! The lending protocols, one folder each. They never import one another.

pub mod aave_v3;
