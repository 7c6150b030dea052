//! Quantiles in bounded memory, with a bound on their error that the data cannot break.

use serde::{Deserialize, Serialize};

/// Most points of a sketch.
pub const POINTS_MAX: usize = 4096;

/// Some values in order, each standing for `count / values.len()` readings.
///
/// Up to the number of points it holds all readings, so its quantiles are exact. Above, readings or sketches are collapsed
/// to equally many readings a point (the COLLAPSE of Manku, Rajagopalan and Lindsay, SIGMOD 1998, section 3.2): a point is
/// the value at the middle rank of its share. Ranks are then off by at most half a share more than before, and the sketch
/// carries the sum of that: `error` bounds it for any data. It compares values and never adds them, so a change of scale
/// or offset changes the quantiles and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sketch {
    /// In order.
    values: Vec<f64>,
    count: u64,
    /// Greatest distance, in readings, of a rank from the true one.
    error: f64,
    /// Collapses behind it: ranks between two values go up and down by turns.
    depth: u32,
}

impl Sketch {
    /// Of readings, which are put in order.
    pub fn of(values: &mut [f64], points: usize) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let whole = Self { values: values.to_vec(), count: values.len() as u64, error: 0.0, depth: 0 };
        if values.len() <= points { whole } else { Self::merged(&[&whole], points) }
    }

    /// Of the readings of all of them together.
    pub fn merged(parts: &[&Self], points: usize) -> Self {
        let count = parts.iter().map(|part| part.count).fold(0, u64::saturating_add);
        let (error, depth) = (parts.iter().map(|part| part.error).sum(), parts.iter().map(|part| part.depth).max());
        let depth = depth.unwrap_or(0);
        let weighted = weighted(parts);
        if count <= points as u64 {
            return Self { values: weighted.into_iter().map(|(value, _)| value).collect(), count, error, depth };
        }
        let share = count as f64 / points as f64;
        let values = collapse(&weighted, share, points, depth % 2 == 0);
        Self { values, count, error: error + share / 2.0, depth: depth + 1 }
    }

    /// Readings it stands for.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.values.capacity() * size_of::<f64>()
    }

    /// Readings a value stands for.
    fn weight(&self) -> f64 {
        self.count as f64 / self.values.len().max(1) as f64
    }
}

/// All values with their weights, in order of value.
fn weighted(parts: &[&Sketch]) -> Vec<(f64, f64)> {
    let weighted = |part: &&Sketch| -> Vec<(f64, f64)> {
        let weight = part.weight();
        part.values.iter().map(|&value| (value, weight)).collect()
    };
    let mut all: Vec<(f64, f64)> = parts.iter().flat_map(weighted).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all
}

/// The values at the middle rank of each of `points` equal shares.
fn collapse(weighted: &[(f64, f64)], share: f64, points: usize, lower: bool) -> Vec<f64> {
    let (mut at, mut rank) = (0, weighted.first().map_or(0.0, |(_, weight)| *weight));
    let value = |i: usize| {
        let middle = (i as f64 + 0.5) * share;
        while at + 1 < weighted.len() && (rank < middle || (!lower && rank == middle)) {
            at += 1;
            rank += weighted[at].1;
        }
        weighted[at].0
    };
    if weighted.is_empty() { Vec::new() } else { (0..points).map(value).collect() }
}

/// Values of several sketches by rank, for quantiles.
pub(super) struct Ranked {
    /// Rank of the middle of a value's share, and the value; both ascend.
    values: Vec<(f64, f64)>,
    count: u64,
    error: f64,
}

impl Ranked {
    /// Of sketches whose readings lie between `min` and `max`, which are some of them.
    pub fn of(parts: &[&Sketch], min: f64, max: f64) -> Self {
        let count = parts.iter().map(|part| part.count).fold(0, u64::saturating_add);
        let coarsest = parts.iter().map(|part| part.weight()).fold(1.0, f64::max);
        let error = parts.iter().map(|part| part.error).sum::<f64>() + (coarsest - 1.0) / 2.0;
        let mut below = 0.0;
        let middle = |(value, weight): (f64, f64)| {
            let middle = below + (weight - 1.0) / 2.0;
            below += weight;
            (middle, value)
        };
        let inner: Vec<(f64, f64)> = weighted(parts).into_iter().map(middle).collect();
        let ends = |rank: f64, value: f64| (count > 0).then_some((rank, value));
        let last = count.saturating_sub(1) as f64;
        Self { values: ends(0.0, min).into_iter().chain(inner).chain(ends(last, max)).collect(), count, error }
    }

    /// `np.quantile(x, q)` where every reading is held, else between the values whose shares are next to its rank; NaN of
    /// no readings.
    pub fn quantile(&self, q: f64) -> f64 {
        let rank = q * self.count.saturating_sub(1) as f64;
        // The least value comes first, though others of rank 0 may follow it.
        let above = self.values.partition_point(|(middle, _)| *middle <= rank && rank > 0.0);
        let (Some(&(from, a)), to) = (self.values.get(above.saturating_sub(1)), self.values.get(above)) else {
            return f64::NAN;
        };
        match to {
            Some(&(to, b)) if to > from => crate::robust::interpolate(a, b, (rank - from) / (to - from)),
            _ => a,
        }
    }

    /// Greatest distance of a quantile's rank from the true one, as a share of the readings.
    pub fn rank_error(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.error / self.count as f64).min(1.0) }
    }
}
