//! How large the residuals are around their level: what an average cannot see.

/// EWMA of the squared whitened departure from the level, as a root; it begins at its expectation, 1.
///
/// Symmetric oscillation and a rise of noise leave the average where it was and raise this. It is taken around the running
/// level and not around zero, so that a slow drift is counted once, by the level, and not by both. A departure counts at most as the square of the size from which the level follows it at once:
/// single wild rows are the level's, what lasts is the energy's.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Energy(f64);

impl Default for Energy {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Energy {
    /// Takes in a mean square, limited to `most`, and returns the root of the average.
    pub fn update(&mut self, mean_square: f64, most: f64, rate: f64) -> f64 {
        self.0 += rate * (mean_square.min(most) - self.0);
        self.0.sqrt()
    }
}
