//! The wall clock, for latencies and for generated loads only: results never depend on it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the epoch.
#[must_use]
pub(crate) fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}
