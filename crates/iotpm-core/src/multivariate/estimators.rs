//! The estimators inside the detectors, on plain rows, for checks against other implementations. Rows are row-major,
//! `columns` values each; all results are row-major.

use super::{
    isolation_forest::IsolationForest,
    linear::{Matrix, eigen, gram},
    mahalanobis::Mahalanobis,
    settings::invalid,
    shrinkage,
};
use crate::Result;

fn rows_of(rows: &[f64], columns: usize) -> Result<Matrix> {
    if columns == 0 || rows.is_empty() || !rows.len().is_multiple_of(columns) {
        return Err(invalid("rows", &rows.len(), "values of at least one whole row"));
    }
    if let Some(x) = rows.iter().find(|x| !x.is_finite()) {
        return Err(invalid("rows", x, "finite"));
    }
    let mut matrix = Matrix::with_columns(columns);
    rows.chunks_exact(columns).for_each(|row| matrix.push(row));
    Ok(matrix)
}

/// Shrunk covariance (columns, columns) of zero-mean rows, and the weight of the identity.
///
/// # Errors
/// No rows, or values that are not finite.
pub fn ledoit_wolf(rows: &[f64], columns: usize) -> Result<(Vec<f64>, f64)> {
    let (covariance, weight) = shrinkage::ledoit_wolf(&rows_of(rows, columns)?);
    Ok((covariance.values().to_vec(), weight))
}

/// Robust distances `sqrt(d^2 / columns)` of the rows, and their robust centre.
///
/// # Errors
/// No rows, or values that are not finite.
pub fn robust_distances(rows: &[f64], columns: usize, seed: u64) -> Result<(Vec<f64>, Vec<f64>)> {
    let rows = rows_of(rows, columns)?;
    let fitted = Mahalanobis::fit(&rows, seed)?;
    Ok((rows.rows().map(|row| fitted.distance(row)).collect(), fitted.centre))
}

/// Variances, descending, and principal axes (columns, columns), the largest component of each positive, of zero-mean
/// rows.
///
/// # Errors
/// No rows, or values that are not finite.
pub fn principal_axes(rows: &[f64], columns: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let rows = rows_of(rows, columns)?;
    let mut covariance = gram(columns, rows.rows());
    covariance.scale(1.0 / rows.len() as f64);
    let (variances, axes) = eigen(&covariance);
    Ok((variances, axes.values().to_vec()))
}

/// Isolation scores, (0, 1], of the rows by a forest grown of them.
///
/// # Errors
/// No rows, or values that are not finite.
pub fn isolation_scores(rows: &[f64], columns: usize, seed: u64) -> Result<Vec<f64>> {
    let rows = rows_of(rows, columns)?;
    let forest = IsolationForest::fit(&rows, seed);
    Ok(rows.rows().map(|row| forest.score(row)).collect())
}
