//! Departure inside and outside the space in which healthy rows lie.

use serde::{Deserialize, Serialize};

use super::{
    linear::{Matrix, axpy, dot, eigen, gram},
    state::State,
};

/// Share of the variance that the principal subspace holds.
const EXPLAINED: f64 = 0.9;
/// Components of less than this share of the mean variance count as none.
const NEGLIGIBLE: f64 = 1e-9;

/// `t2 = sqrt(sum t_k^2 / l_k / components)` of the components that hold 90 % of the variance and `q`, the residual's size
/// outside them (Jackson and Mudholkar, "Control Procedures for Residuals Associated With Principal Component Analysis",
/// Technometrics 21, 1979), both of an exponentially weighted average of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pca {
    mean: Vec<f64>,
    /// (components, columns), and their variances.
    vectors: Matrix,
    variances: Vec<f64>,
    rate: f64,
}

impl Pca {
    pub fn fit(z: &Matrix, rate: f64) -> Self {
        let (n, p) = (z.len() as f64, z.columns());
        let mut mean = vec![0.0; p];
        z.rows().for_each(|row| axpy(1.0 / n, row, &mut mean));
        let mut centred = z.clone();
        (0..z.len()).for_each(|i| axpy(-1.0, &mean, centred.row_mut(i)));
        let mut covariance = gram(p, centred.rows());
        covariance.scale(1.0 / n);
        let (variances, all) = eigen(&covariance);
        let kept = components(&variances);
        let mut vectors = Matrix::with_columns(p);
        (0..kept).for_each(|k| vectors.push(all.row(k)));
        Self { mean, vectors, variances: variances[..kept].to_vec(), rate }
    }

    fn average(&self, state: &mut State) {
        let State { z, level, .. } = state;
        for ((e, z), mean) in level.iter_mut().zip(z).zip(&self.mean) {
            *e += self.rate * (*z - mean - *e);
        }
    }

    pub fn step(&self, state: &mut State) -> [f64; 2] {
        self.average(state);
        let scores = self.vectors.multiply(&state.level);
        let t2: f64 = scores.iter().zip(&self.variances).map(|(t, variance)| t * t / variance).sum();
        let outside = self.outside(&state.level);
        [(t2 / scores.len().max(1) as f64).sqrt(), dot(&outside, &outside).sqrt()]
    }

    fn outside(&self, x: &[f64]) -> Vec<f64> {
        let mut outside = x.to_vec();
        for (score, vector) in self.vectors.multiply(x).iter().zip(self.vectors.rows()) {
            axpy(-score, vector, &mut outside);
        }
        outside
    }

    /// Of `t2` the squared terms of the column (complete decomposition), of `q` the squared residual.
    pub fn contributions(&self, state: &State, channel: usize) -> (Vec<f64>, Vec<f64>) {
        let sides = if channel == 0 { self.inside(&state.level) } else { self.outside(&state.level) };
        (sides.iter().map(|x| x * x).collect(), sides)
    }

    /// `x C^(-1/2)`: its squares sum to the square of `t2` times the components.
    fn inside(&self, x: &[f64]) -> Vec<f64> {
        let mut inside = vec![0.0; x.len()];
        let scores = self.vectors.multiply(x);
        for ((score, variance), vector) in scores.iter().zip(&self.variances).zip(self.vectors.rows()) {
            axpy(score / variance.sqrt(), vector, &mut inside);
        }
        inside
    }
}

/// As few as hold the share of the variance, none that is negligible.
fn components(variances: &[f64]) -> usize {
    let total: f64 = variances.iter().sum();
    let mut held = 0.0;
    let enough = variances.iter().position(|variance| {
        held += variance;
        held >= EXPLAINED * total
    });
    let real = variances.iter().filter(|v| **v > NEGLIGIBLE * total / variances.len() as f64).count();
    enough.map_or(variances.len(), |k| k + 1).min(real)
}
