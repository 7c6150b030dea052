//! Histograms with fixed buckets, written by one thread and read by another.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// Buckets per decade: quantiles are exact to 12 %.
const PER_DECADE: i32 = 20;
/// Every so many buckets one bound is listed for Prometheus.
const LISTED_EVERY: usize = 5;

/// Counts of values in buckets whose bounds grow by a constant factor.
#[derive(Debug)]
pub struct Histogram {
    bounds: Vec<f64>,
    counts: Vec<AtomicU64>,
    /// Sum in millionths, so that it can be added to without a lock.
    sum_millionths: AtomicU64,
    max_bits: AtomicU64,
}

/// What a histogram says.
#[derive(Clone, Debug, Serialize)]
pub struct HistogramSummary {
    /// Values recorded.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Greatest.
    pub max: f64,
    /// Median: the upper bound of its bucket, as the next two.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// (upper bound, values at or below it).
    pub buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// For durations in seconds, 0.1 ms to 1,000 s.
    #[must_use]
    pub fn seconds() -> Self {
        Self::decades(-4, 7)
    }

    /// For sizes, 1 to a million.
    #[must_use]
    pub fn sizes() -> Self {
        Self::decades(0, 6)
    }

    fn decades(first: i32, decades: i32) -> Self {
        let bound = |step: i32| 10f64.powf(f64::from(first) + f64::from(step) / f64::from(PER_DECADE));
        let bounds: Vec<f64> = (0..=decades * PER_DECADE).map(bound).collect();
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum_millionths: AtomicU64::new(0), max_bits: AtomicU64::new(0) }
    }

    /// Records one value; negative and non-finite ones count as 0.
    pub fn record(&self, value: f64) {
        let value = if value.is_finite() { value.max(0.0) } else { 0.0 };
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum_millionths.fetch_add((value * 1e6) as u64, Relaxed);
        // The bits of floats that are not negative order as the floats do.
        self.max_bits.fetch_max(value.to_bits(), Relaxed);
    }

    /// What was recorded so far.
    #[must_use]
    pub fn summary(&self) -> HistogramSummary {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        let count = counts.iter().sum();
        let max = f64::from_bits(self.max_bits.load(Relaxed));
        let quantile = |q: f64| self.quantile(&counts, count, q).min(max);
        HistogramSummary {
            count,
            sum: self.sum_millionths.load(Relaxed) as f64 / 1e6,
            max,
            p50: quantile(0.50),
            p95: quantile(0.95),
            p99: quantile(0.99),
            buckets: self.listed(&counts),
        }
    }

    fn quantile(&self, counts: &[u64], total: u64, q: f64) -> f64 {
        let rank = (q * total as f64).ceil() as u64;
        let mut seen = 0;
        let bucket = counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        bucket.and_then(|bucket| self.bounds.get(bucket).copied()).unwrap_or(f64::INFINITY)
    }

    fn listed(&self, counts: &[u64]) -> Vec<(f64, u64)> {
        let mut at_or_below = 0;
        let cumulative = self.bounds.iter().zip(counts).map(|(bound, count)| {
            at_or_below += count;
            (*bound, at_or_below)
        });
        cumulative.step_by(LISTED_EVERY).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_are_exact_to_a_bucket(mut values in prop::collection::vec(1e-3f64..900.0, 1..300)) {
            let histogram = Histogram::seconds();
            for value in &values {
                histogram.record(*value);
            }
            values.sort_by(f64::total_cmp);
            let summary = histogram.summary();
            for (q, found) in [(0.5, summary.p50), (0.95, summary.p95), (0.99, summary.p99)] {
                let exact = values[((q * values.len() as f64).ceil() as usize).max(1) - 1];
                prop_assert!(found >= exact * (1.0 - 1e-9) && found <= exact * 1.123, "{q}: {found} for {exact}");
            }
            prop_assert_eq!(summary.count, values.len() as u64);
            prop_assert_eq!(summary.max, values[values.len() - 1]);
            prop_assert_eq!(summary.buckets.last().map(|bucket| bucket.1), Some(summary.count));
        }
    }

    #[test]
    fn what_is_no_duration_counts_as_zero() {
        let histogram = Histogram::seconds();
        for value in [f64::NAN, -1.0, f64::INFINITY] {
            histogram.record(value);
        }
        let summary = histogram.summary();
        assert_eq!((summary.count, summary.max, summary.p99), (3, 0.0, 0.0));
    }
}
