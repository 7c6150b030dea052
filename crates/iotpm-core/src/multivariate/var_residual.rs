//! What a row is given the rows before it: a vector autoregression, by ridge.

use serde::{Deserialize, Serialize};

use super::linear::{Matrix, axpy, gram, solve};
use crate::Result;

/// `prediction = [z1, .., zk] B + mean` of scaled rows; `z1` is the row before.
///
/// The residual of a row is what the asset does that its own recent past does not explain: slow common movement is
/// predicted, a departure from it is not (Lütkepohl, "New Introduction to Multiple Time Series Analysis", 2005, ch. 3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VarModel {
    /// (lags p, p)
    weights: Matrix,
    mean: Vec<f64>,
}

/// Row `i`'s predecessors side by side, the newest first; before the first row there is the first row.
fn past(z: &Matrix, i: usize, out: &mut [f64]) {
    for (k, out) in out.chunks_exact_mut(z.columns()).enumerate() {
        out.copy_from_slice(z.row(i.saturating_sub(k + 1)));
    }
}

fn mean_of(rows: &Matrix, used: &[bool]) -> Vec<f64> {
    let (mut mean, n) = (vec![0.0; rows.columns()], used.iter().filter(|used| **used).count() as f64);
    rows.rows().zip(used).filter(|(_, used)| **used).for_each(|(row, _)| axpy(1.0 / n, row, &mut mean));
    mean
}

impl VarModel {
    /// `B = (P'P + ridge n I)^-1 P'Z` over the used rows; also the residuals of all rows.
    pub fn fit(z: &Matrix, used: &[bool], lags: usize, ridge: f64) -> Result<(Self, Matrix)> {
        let (p, q) = (z.columns(), lags * z.columns());
        let (mut lagged, mut cross, mut row) = (Matrix::with_columns(q), Matrix::zeros(q, p), vec![0.0; q]);
        for i in (0..z.len()).filter(|i| used[*i]) {
            past(z, i, &mut row);
            lagged.push(&row);
            row.iter().enumerate().for_each(|(k, x)| axpy(*x, z.row(i), cross.row_mut(k)));
        }
        let mut squares = gram(q, lagged.rows());
        squares.add_to_diagonal(ridge * lagged.len() as f64);
        let mut model = Self { weights: solve(&squares, &cross)?, mean: vec![0.0; p] };
        let mut residuals = model.residuals(z, lags);
        model.mean = mean_of(&residuals, used);
        (0..z.len()).for_each(|i| axpy(-1.0, &model.mean, residuals.row_mut(i)));
        Ok((model, residuals))
    }

    fn residuals(&self, z: &Matrix, lags: usize) -> Matrix {
        let (mut residuals, mut row) = (z.clone(), vec![0.0; lags * z.columns()]);
        let mut expected = vec![0.0; z.columns()];
        for i in 0..z.len() {
            past(z, i, &mut row);
            self.predict(&row, &mut expected);
            axpy(-1.0, &expected, residuals.row_mut(i));
        }
        residuals
    }

    /// Expected row, given its predecessors side by side.
    pub fn predict(&self, past: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&self.mean);
        self.weights.left_multiply_add(past, out);
    }
}
