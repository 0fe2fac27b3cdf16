//! The keeper's own words against the real contracts: what `positions` and `scan` print is compared with what the
//! contracts answer and with what happens when the printed call is sent.

mod burst;
mod divided;
mod explain;
mod explained;
mod forced;
mod funding;
mod fuzz;
mod health;
mod opportunities;
mod pairs;
mod pools;
mod promise;
mod recorded;
mod refusals;
mod rounds;
mod several;
mod shares;
mod sizes;
mod stand;
mod twice;

pub const MARKETS: [&str; 2] = ["v30", "v36"];

/// The seed of a random scene: from the environment variable SEED when that is set. Printed, so that a failure can be
/// repeated.
#[allow(clippy::disallowed_methods, reason = "a test may ask its environment")]
pub fn seed(scene: &str, usual: u64) -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    eprintln!("{scene}: SEED={seed}");
    seed
}
