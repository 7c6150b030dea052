//! Row-major matrices: products in row order by plain loops (so sums never depend on threads or blocking), factorisations
//! by `nalgebra`.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::{CoreError, Result};

/// A row-major matrix.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Matrix {
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { columns, values: vec![0.0; rows * columns] }
    }

    pub fn with_columns(columns: usize) -> Self {
        Self { columns, values: Vec::new() }
    }

    pub fn push(&mut self, row: &[f64]) {
        debug_assert_eq!(row.len(), self.columns, "a row of this matrix");
        self.values.extend_from_slice(row);
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.columns).unwrap_or(0)
    }

    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.columns..(i + 1) * self.columns]
    }

    pub fn row_mut(&mut self, i: usize) -> &mut [f64] {
        &mut self.values[i * self.columns..(i + 1) * self.columns]
    }

    pub fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.columns.max(1))
    }

    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.columns + j]
    }

    pub fn add_to_diagonal(&mut self, x: f64) {
        let step = self.columns + 1;
        self.values.iter_mut().step_by(step).for_each(|value| *value += x);
    }

    pub fn trace(&self) -> f64 {
        self.values.iter().step_by(self.columns + 1).sum()
    }

    pub fn scale(&mut self, factor: f64) {
        self.values.iter_mut().for_each(|value| *value *= factor);
    }

    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// `out += x M`.
    pub fn left_multiply_add(&self, x: &[f64], out: &mut [f64]) {
        for (x, row) in x.iter().zip(self.rows()) {
            axpy(*x, row, out);
        }
    }

    /// `out = x L` of a lower triangular matrix.
    pub fn left_multiply_lower(&self, x: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for (i, (x, row)) in x.iter().zip(self.rows()).enumerate() {
            axpy(*x, &row[..=i], &mut out[..=i]);
        }
    }

    /// `L y`, a column.
    pub fn multiply(&self, y: &[f64]) -> Vec<f64> {
        self.rows().map(|row| dot(row, y)).collect()
    }

    /// `diag(M M')`: of a Cholesky factor the diagonal of what it is a factor of.
    pub fn row_squares(&self) -> Vec<f64> {
        self.rows().map(|row| dot(row, row)).collect()
    }

    fn dense(&self) -> DMatrix<f64> {
        DMatrix::from_row_slice(self.len(), self.columns, &self.values)
    }

    fn of(dense: &DMatrix<f64>) -> Self {
        Self { columns: dense.ncols(), values: dense.transpose().as_slice().to_vec() }
    }
}

/// `out += a x`.
pub(crate) fn axpy(a: f64, x: &[f64], out: &mut [f64]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out += a * x);
}

pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// `sum of x' x` over rows: only the upper triangle is summed, then mirrored.
pub(crate) fn gram<'a>(columns: usize, rows: impl Iterator<Item = &'a [f64]>) -> Matrix {
    let mut sum = Matrix::zeros(columns, columns);
    for x in rows {
        for (i, xi) in x.iter().enumerate() {
            axpy(*xi, &x[i..], &mut sum.row_mut(i)[i..]);
        }
    }
    mirror(&mut sum);
    sum
}

fn mirror(square: &mut Matrix) {
    for i in 0..square.columns {
        for j in 0..i {
            square.values[i * square.columns + j] = square.values[j * square.columns + i];
        }
    }
}

fn not_positive() -> CoreError {
    CoreError::InvalidParameter {
        name: "training rows",
        value: "a covariance that is not positive definite".into(),
        allowed: "finite and not all equal; leave out columns of wildly different scale",
    }
}

/// Solution `W` of `A W = Y` for symmetric positive definite `A`.
pub(crate) fn solve(a: &Matrix, y: &Matrix) -> Result<Matrix> {
    let factor = a.dense().cholesky().ok_or_else(not_positive)?;
    Ok(Matrix::of(&factor.solve(&y.dense())))
}

/// Lower triangular `L` with `L L' = (S + jitter I)^-1`, so that `x L` has unit covariance: `jitter` is a millionth of the
/// mean variance.
pub(crate) fn whitener(covariance: &Matrix) -> Result<Matrix> {
    let mut regular = covariance.clone();
    regular.add_to_diagonal((1e-6 * covariance.trace() / covariance.columns as f64).max(1e-12));
    let inverse = regular.dense().cholesky().ok_or_else(not_positive)?.inverse();
    let symmetric = (&inverse + inverse.transpose()) * 0.5;
    Ok(Matrix::of(&symmetric.cholesky().ok_or_else(not_positive)?.l()))
}

/// Eigenvalues, descending, and eigenvectors as rows, the largest component of each positive (the first of equal ones),
/// so that the same rows always give the same signs.
pub(crate) fn eigen(symmetric: &Matrix) -> (Vec<f64>, Matrix) {
    let found = symmetric.dense().symmetric_eigen();
    let mut order: Vec<usize> = (0..symmetric.columns).collect();
    order.sort_by(|a, b| found.eigenvalues[*b].total_cmp(&found.eigenvalues[*a]));
    let mut vectors = Matrix::with_columns(symmetric.columns);
    for k in &order {
        let column = found.eigenvectors.column(*k);
        let largest = column.iter().fold(0.0_f64, |best, x| if x.abs() > best.abs() { *x } else { best });
        let sign = if largest < 0.0 { -1.0 } else { 1.0 };
        vectors.push(&column.iter().map(|x| sign * x).collect::<Vec<_>>());
    }
    (order.iter().map(|k| found.eigenvalues[*k].max(0.0)).collect(), vectors)
}

/// Sum of the logarithms of a positive definite matrix's eigenvalues; infinity below zero where it is singular.
pub(crate) fn log_determinant(symmetric: &Matrix) -> f64 {
    symmetric
        .dense()
        .cholesky()
        .map_or(f64::NEG_INFINITY, |factor| 2.0 * factor.l_dirty().diagonal().iter().map(|x| x.ln()).sum::<f64>())
}
