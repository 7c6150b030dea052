//! How large the residuals are around their level: what an average cannot see.

use serde::{Deserialize, Serialize};

/// An asset whose signals all stand still has no logarithm of its energy below this.
const ENERGY_MIN: f64 = 1e-9;
/// Deviations of the logarithm below this are of rows that are all alike.
const DEVIATION_MIN: f64 = 1e-3;

/// EWMA of the squared whitened departure from the level; it begins at its expectation, 1.
///
/// Symmetric oscillation and a rise of noise leave the average where it was and raise this. It is taken around the running
/// level and not around zero, so that a slow drift is counted once, by the level, and not by both. A departure counts at most as the square of the size from which the level follows it at once:
/// single wild rows are the level's, what lasts is the energy's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Energy(f64);

impl Default for Energy {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Energy {
    /// Takes in a mean square, limited to `most`, and returns the logarithm of the average.
    pub fn update(&mut self, mean_square: f64, most: f64, rate: f64) -> f64 {
        self.0 += rate * (mean_square.min(most) - self.0);
        self.0.max(ENERGY_MIN).ln()
    }
}

/// The logarithm of the energy on healthy rows: near normal, so that it joins the level as if it were further columns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UsualEnergy {
    mean: f64,
    deviation: f64,
}

impl UsualEnergy {
    /// Of the logarithms on healthy rows, at least one.
    pub fn of(logarithms: impl Iterator<Item = f64> + Clone) -> Self {
        let n = logarithms.clone().count().max(1) as f64;
        let mean = logarithms.clone().sum::<f64>() / n;
        let variance = logarithms.map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        Self { mean, deviation: variance.sqrt().max(DEVIATION_MIN) }
    }

    /// Deviations above the usual; 0 below it, for a calmer asset is no fault.
    pub fn excess(&self, logarithm: f64) -> f64 {
        ((logarithm - self.mean) / self.deviation).max(0.0)
    }
}
