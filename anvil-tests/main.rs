//! Tests against the real contracts on a local chain. They need `npm ci --ignore-scripts --prefix anvil-tests` once.

mod faults;
mod smoke;
