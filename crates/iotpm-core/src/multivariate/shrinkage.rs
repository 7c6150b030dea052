//! Covariance shrunk to a multiple of the identity.

use super::linear::{Matrix, dot, gram};

/// Covariance of zero-mean rows, shrunk to a scaled identity: `(1 - w) S + w m I` with `m` the mean variance and `w` the
/// estimated share of sampling noise in `|S - m I|^2` (Ledoit and Wolf, "A well-conditioned estimator for
/// large-dimensional covariance matrices", J. Multivariate Analysis 88, 2004, eq. 14). Positive definite also for fewer
/// rows than columns. Also the weight `w`, 0 to 1.
pub(crate) fn ledoit_wolf(rows: &Matrix) -> (Matrix, f64) {
    let (n, p) = (rows.len() as f64, rows.columns() as f64);
    let mut sample = gram(rows.columns(), rows.rows());
    sample.scale(1.0 / n);
    let scale = sample.trace() / p;
    let squares: f64 = dot(sample.values(), sample.values());
    let distance = (squares - p * scale * scale).max(0.0) / p;
    let fourth = rows.rows().map(|row| dot(row, row).powi(2)).sum::<f64>() / n;
    let noise = ((fourth - squares) / n / p).clamp(0.0, distance);
    let weight = if distance > 0.0 { noise / distance } else { 1.0 };
    sample.scale(1.0 - weight);
    sample.add_to_diagonal(weight * scale);
    (sample, weight)
}
