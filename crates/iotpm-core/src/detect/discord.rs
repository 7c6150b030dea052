//! Left discord: how far the newest stretch of readings is from the most similar earlier one.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{
    Resolution,
    series::{Explanation, SeriesDetector},
    usual::Usual,
};

/// Readings of a stretch.
const LENGTH: usize = 32;
/// Farthest begin of an earlier stretch, readings before the newest's.
const LAG_MAX: usize = 512;
/// Least deviation of a distance, of the greatest possible one.
const DEVIATION_MIN: f64 = 0.02;

/// Distance = least Euclidean distance of the last 32 readings to the same number of readings that begin 32 to 512 readings
/// earlier, each stretch with mean 0 and deviation 1: the left matrix profile (Yeh et al., "Matrix Profile I", ICDM 2016;
/// Lu et al., "DAMP", KDD 2022) over bounded history. Score by [`Usual`]. Dot products are carried on from reading to reading, so one costs 481 multiplications; one of them is
/// computed anew with each reading, so that rounding does not add up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Discord {
    /// Differences from the first reading, the newest last.
    values: VecDeque<f64>,
    /// (mean, deviation) of the stretches that end at the last readings, the newest last.
    shapes: VecDeque<(f64, f64)>,
    /// Of the newest stretch and that which begins `LENGTH + k` readings earlier.
    products: Vec<f64>,
    origin: f64,
    renewed: usize,
    resolution: Resolution,
    usual: Usual,
    distance: f64,
    score: f64,
}

impl Default for Discord {
    fn default() -> Self {
        Self {
            values: VecDeque::new(),
            shapes: VecDeque::new(),
            products: vec![0.0; LAG_MAX - LENGTH + 1],
            origin: f64::NAN,
            renewed: 0,
            resolution: Resolution::default(),
            usual: Usual::new(DEVIATION_MIN * 2.0 * (LENGTH as f64).sqrt()),
            distance: f64::NAN,
            score: 0.0,
        }
    }
}

impl Discord {
    /// Value of `age` readings ago, 0 for the newest.
    fn value(&self, age: usize) -> f64 {
        self.values.len().checked_sub(age + 1).map_or(0.0, |at| self.values[at])
    }

    /// Carries the dot products on; what lies before the first reading counts as 0 and leaves again as such.
    fn carry_on(&mut self) {
        let (newest, left) = (self.value(0), self.value(LENGTH));
        for k in 0..self.products.len() {
            let lag = LENGTH + k;
            self.products[k] += newest * self.value(lag) - left * self.value(LENGTH + lag);
        }
        let lag = LENGTH + self.renewed;
        self.products[self.renewed] = (0..LENGTH).map(|age| self.value(age) * self.value(age + lag)).sum();
        self.renewed = (self.renewed + 1) % self.products.len();
    }

    fn shape(&self, step: f64) -> (f64, f64) {
        let mean = (0..LENGTH).map(|age| self.value(age)).sum::<f64>() / LENGTH as f64;
        let squares: f64 = (0..LENGTH).map(|age| (self.value(age) - mean).powi(2)).sum();
        let deviation = (squares / LENGTH as f64).sqrt();
        (mean, if deviation > step { deviation } else { 0.0 })
    }

    /// Squared distance to the stretch `lag` readings earlier. Flat ones are alike, and as far from others as noise is.
    fn squared_distance(&self, lag: usize) -> f64 {
        let at = self.shapes.len() - 1;
        let ((mean, deviation), (other_mean, other)) = (self.shapes[at], self.shapes[at - lag]);
        let length = LENGTH as f64;
        if deviation == 0.0 || other == 0.0 {
            return if deviation == other { 0.0 } else { 2.0 * length };
        }
        let correlation = (self.products[lag - LENGTH] / length - mean * other_mean) / (deviation * other);
        2.0 * length * (1.0 - correlation.clamp(-1.0, 1.0))
    }
}

impl SeriesDetector for Discord {
    fn update(&mut self, _time_us: i64, value: f64) {
        let step = self.resolution.update(value);
        if self.origin.is_nan() {
            self.origin = value;
        }
        if self.values.len() == LAG_MAX + LENGTH + 1 {
            self.values.pop_front();
        }
        self.values.push_back(value - self.origin);
        self.carry_on();
        if self.values.len() < LENGTH {
            return;
        }
        if self.shapes.len() == LAG_MAX + 1 {
            self.shapes.pop_front();
        }
        self.shapes.push_back(self.shape(step));
        let earlier = LENGTH..self.shapes.len();
        if let Some(least) = earlier.map(|lag| self.squared_distance(lag)).min_by(f64::total_cmp) {
            self.distance = least.sqrt();
            self.score = self.usual.judge(self.distance);
        }
    }

    fn score(&self) -> f64 {
        self.score
    }

    fn explain(&self) -> Explanation {
        Explanation { baseline_readings: self.values.len() as u64, ..Explanation::none("shape") }
    }

    fn heap_bytes(&self) -> usize {
        let shapes = self.shapes.capacity() * size_of::<(f64, f64)>();
        8 * (self.values.capacity() + self.products.capacity()) + shapes + Usual::heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::usual::noise, *};

    fn distances(values: &[f64]) -> Vec<f64> {
        let mut discord = Discord::default();
        values
            .iter()
            .map(|value| {
                discord.update(0, *value);
                discord.distance
            })
            .collect()
    }

    /// The same by its definition.
    fn naive(values: &[f64], end: usize) -> f64 {
        let stretch = |end: usize| {
            let x = &values[end + 1 - LENGTH..=end];
            let mean = x.iter().sum::<f64>() / LENGTH as f64;
            let deviation = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / LENGTH as f64).sqrt();
            x.iter().map(|x| (x - mean) / deviation).collect::<Vec<_>>()
        };
        let newest = stretch(end);
        let to = |lag: usize| newest.iter().zip(stretch(end - lag)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        (LENGTH..=LAG_MAX.min(end + 1 - LENGTH)).map(to).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn distances_are_those_of_the_definition_also_far_from_zero_and_late() {
        for offset in [0.0, 1e6] {
            let values: Vec<f64> = (0..3_000).map(|i| offset + (i as f64 / 7.0).sin() + 0.3 * noise(i)).collect();
            let found = distances(&values);
            for end in [63, 64, 100, 700, 1_500, 2_999] {
                assert!(
                    (found[end] - naive(&values, end)).abs() < 1e-6,
                    "{end}: {} {}",
                    found[end],
                    naive(&values, end)
                );
            }
        }
    }

    #[test]
    fn a_beat_that_was_never_seen_is_a_discord_and_a_repeated_one_is_none() {
        let beat = |i: usize| (i as f64 / 5.0).sin() + 0.05 * noise(i);
        let mut values: Vec<f64> = (0..3_000).map(beat).collect();
        let other = |i: usize| (i as f64 / 2.0).sin() + 0.05 * noise(i);
        values.splice(2_500..2_532, (0..32).map(other));
        let mut discord = Discord::default();
        let scores: Vec<f64> = values
            .iter()
            .map(|value| {
                discord.update(0, *value);
                discord.score()
            })
            .collect();
        assert!(scores[..2_500].iter().all(|score| *score < 1.0));
        assert!(scores[2_500..2_540].iter().any(|score| *score > 1.0));
        assert!(scores[2_600..].iter().all(|score| *score < 1.0));
    }

    #[test]
    fn flat_stretches_are_alike() {
        let found = distances(&[5.0; 700]);
        assert!(found[100..].iter().all(|distance| *distance == 0.0));
    }
}
