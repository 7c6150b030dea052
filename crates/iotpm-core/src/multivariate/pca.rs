//! Departure inside and outside the space in which healthy rows lie.

use serde::{Deserialize, Serialize};

use super::{
    limit::quantile,
    linear::{Matrix, axpy, dot, eigen, gram},
    state::State,
};

/// Share of the variance that the principal subspace holds.
const EXPLAINED: f64 = 0.9;
/// Weight of the newest row in the average.
const RATE: f64 = 0.1;
/// Components of less than this share of the mean variance count as none.
const NEGLIGIBLE: f64 = 1e-9;
/// Units are this quantile of healthy rows, and at least so much.
const UNIT: f64 = 0.99;
const UNIT_MIN: f64 = 1e-3;

/// `t2 = sqrt(sum t_k^2 / l_k / components)` of the components that hold 90 % of the variance and `q`, the residual's size
/// outside them (Jackson and Mudholkar, "Control Procedures for Residuals Associated With Principal Component Analysis",
/// Technometrics 21, 1979), both of an exponentially weighted average of the rows and in units of what a hundredth of the healthy
/// ones exceed; together as the combined index of Yue and Qin (Ind. Eng. Chem. Res. 40, 2001).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pca {
    mean: Vec<f64>,
    /// (components, columns), and their variances.
    vectors: Matrix,
    variances: Vec<f64>,
    /// Units of both; infinite where one does not count.
    units: [f64; 2],
}

impl Pca {
    pub fn fit(z: &Matrix, outside_counts: bool) -> Self {
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
        let mut pca = Self { mean, vectors, variances: variances[..kept].to_vec(), units: [1.0; 2] };
        pca.units = pca.units_of(z);
        if !outside_counts {
            pca.units[1] = f64::INFINITY;
        }
        pca
    }

    fn units_of(&self, healthy: &Matrix) -> [f64; 2] {
        let mut level = vec![0.0; healthy.columns()];
        let sizes: Vec<[f64; 2]> = healthy.rows().map(|row| self.sizes(row, &mut level)).collect();
        let unit_of = |k: usize| quantile(&sizes.iter().map(|sizes| sizes[k]).collect::<Vec<_>>(), UNIT);
        [0, 1].map(|k| unit_of(k).max(UNIT_MIN))
    }

    fn average(&self, z: &[f64], level: &mut [f64]) {
        for ((e, z), mean) in level.iter_mut().zip(z).zip(&self.mean) {
            *e += RATE * (*z - mean - *e);
        }
    }

    pub fn step(&self, state: &mut State) -> [f64; 2] {
        let State { z, level, .. } = state;
        self.sizes(z, level)
    }

    fn sizes(&self, z: &[f64], level: &mut [f64]) -> [f64; 2] {
        self.average(z, level);
        let scores = self.vectors.multiply(level);
        let t2: f64 = scores.iter().zip(&self.variances).map(|(t, variance)| t * t / variance).sum();
        let outside = self.outside(level);
        let [inside_unit, outside_unit] = self.units;
        [(t2 / scores.len().max(1) as f64).sqrt() / inside_unit, dot(&outside, &outside).sqrt() / outside_unit]
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
