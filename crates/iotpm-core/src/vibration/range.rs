//! A range of frequencies, and the lines in it.

use crate::{Result, spectrum::invalid};

/// Frequencies from `low_hz` to `high_hz`, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrequencyBand {
    /// Lowest, Hz.
    pub low_hz: f64,
    /// Highest, Hz.
    pub high_hz: f64,
}

/// Part of a line's spacing by which a limit may miss a line that lies on it: limits come from divisions too.
const SLACK: f64 = 1e-9;

impl FrequencyBand {
    /// The velocity band of ISO 20816-1: 10 to 1000 Hz.
    pub const ISO: Self = Self { low_hz: 10.0, high_hz: 1000.0 };

    /// Refuses limits that are not `0 <= low < high <= highest`.
    pub(super) fn check(self, highest_hz: f64) -> Result<()> {
        if !(self.low_hz >= 0.0 && self.low_hz < self.high_hz) {
            return Err(invalid("low_hz", &self.low_hz, "at least 0 and less than high_hz"));
        }
        if self.high_hz > highest_hz * (1.0 + SLACK) {
            return Err(invalid("high_hz", &self.high_hz, "at most half the sample rate"));
        }
        Ok(())
    }

    /// The lines `k` of `count`, `k * spacing_hz` within the band; empty if none is.
    pub(super) fn lines(self, count: usize, spacing_hz: f64) -> std::ops::Range<usize> {
        let first = (self.low_hz / spacing_hz - SLACK).ceil().max(0.0) as usize;
        let end = (self.high_hz / spacing_hz + SLACK).floor() as usize;
        first..end.saturating_add(1).min(count).max(first)
    }
}
