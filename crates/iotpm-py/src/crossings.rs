//! How often Python and Rust called each other.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::pyfunction;

static CROSSINGS: AtomicU64 = AtomicU64::new(0);

/// Counts one call; every entry point begins with it.
pub fn count() {
    CROSSINGS.fetch_add(1, Ordering::Relaxed);
}

/// Calls so far.
pub fn total() -> u64 {
    CROSSINGS.load(Ordering::Relaxed)
}

/// Calls between Rust and Python since the extension was loaded, over all its functions, methods and tables.
#[pyfunction]
pub fn crossings() -> u64 {
    total()
}
