//! The wall clock. Nothing is decided by it: decisions take the time of blocks.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970; zero on a machine whose clock is before that.
#[allow(clippy::disallowed_methods, reason = "the one place that asks")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
