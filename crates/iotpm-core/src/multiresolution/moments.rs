//! Count, extremes and central moments that can be merged.

use serde::{Deserialize, Serialize};

use crate::features::time::{CentralMoments, central_moments, sums};

/// Count, extremes, mean and sums of powers of the distances from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    min: f64,
    max: f64,
    mean: f64,
    /// Sums of `(x - mean)**2`, `**3` and `**4`.
    powers: [f64; 3],
}

impl Moments {
    /// Of finite values.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        let (sums, n) = (sums(values), values.len() as f64);
        let CentralMoments { mean, second, third, fourth } = central_moments(values, sums.mean());
        let powers = [second * n, third * n, fourth * n];
        Self { count: values.len() as u64, min: sums.min, max: sums.max, mean, powers }
    }

    /// Makes these the moments of both sets of values together.
    ///
    /// Chan, Golub and LeVeque 1979 for the second, Pébay, Sandia report SAND2008-6212, eq. 3.1 for the third and fourth.
    pub fn merge(&mut self, other: &Self) {
        if self.count == 0 || other.count == 0 {
            *self = if self.count == 0 { *other } else { *self };
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let n = a + b;
        let [a2, a3, a4] = self.powers;
        let [b2, b3, b4] = other.powers;
        let d = other.mean - self.mean;
        let step = d / n;
        self.powers = [
            a2 + b2 + d * step * a * b,
            a3 + b3 + d * step * step * a * b * (a - b) + 3.0 * step * (a * b2 - b * a2),
            a4 + b4
                + d * step * step * step * a * b * (a * a - a * b + b * b)
                + 6.0 * step * step * (a * a * b2 + b * b * a2)
                + 4.0 * step * (a * b3 - b * a3),
        ];
        self.mean += step * b;
        (self.min, self.max) = (self.min.min(other.min), self.max.max(other.max));
        self.count = self.count.saturating_add(other.count);
    }

    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// `np.mean(x)`; NaN of none, as all that follow.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.or_nan(self.mean)
    }

    /// `np.min(x)`
    #[must_use]
    pub fn min(&self) -> f64 {
        self.or_nan(self.min)
    }

    /// `np.max(x)`
    #[must_use]
    pub fn max(&self) -> f64 {
        self.or_nan(self.max)
    }

    /// `np.std(x)`
    #[must_use]
    pub fn std(&self) -> f64 {
        self.central().std()
    }

    /// `np.sqrt(np.mean(x**2))`
    #[must_use]
    pub fn rms(&self) -> f64 {
        (self.mean() * self.mean + self.central().second).sqrt()
    }

    /// `scipy.stats.skew(x)`; NaN of equal values.
    #[must_use]
    pub fn skewness(&self) -> f64 {
        self.central().skewness()
    }

    /// `scipy.stats.kurtosis(x)`: excess; NaN of equal values.
    #[must_use]
    pub fn kurtosis(&self) -> f64 {
        self.central().kurtosis()
    }

    fn central(&self) -> CentralMoments {
        let [second, third, fourth] = self.powers.map(|power| power / self.count as f64);
        CentralMoments { mean: self.mean, second, third, fourth }
    }

    fn or_nan(&self, x: f64) -> f64 {
        if self.count == 0 { f64::NAN } else { x }
    }
}
