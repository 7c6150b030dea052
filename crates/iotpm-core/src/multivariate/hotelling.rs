//! Size of a departure against a covariance, and each column's part of it.

use super::linear::{Matrix, dot};

/// `T = sqrt(x S^-1 x' / p)` from the factor `L L' = S^-1`: Hotelling's `T^2` as a root mean square, so that scores of
/// assets with few and many columns compare (Hotelling, "Multivariate Quality Control", 1947).
pub(crate) fn root_mean_square(x: &[f64], factor: &Matrix, scratch: &mut [f64]) -> f64 {
    factor.left_multiply_lower(x, scratch);
    (dot(scratch, scratch) / x.len() as f64).sqrt()
}

/// Reconstruction-based contribution of each column: how far `T^2` falls when the column is set to what the others make
/// of it, `(S^-1 x)_j^2 / (S^-1)_jj`. For a fault of one column it is largest there, which the plain terms of the sum do
/// not guarantee (Alcala and Qin, "Reconstruction-based contribution for process monitoring", Automatica 45, 2009, eq. 12).
pub(crate) fn contributions(x: &[f64], factor: &Matrix) -> Vec<f64> {
    let pulls = pulls(x, factor);
    pulls.iter().zip(factor.row_squares()).map(|(pull, scale)| pull * pull / scale.max(f64::MIN_POSITIVE)).collect()
}

/// `S^-1 x`: its sign says to which side a column departs from what the others make of it.
pub(crate) fn pulls(x: &[f64], factor: &Matrix) -> Vec<f64> {
    let mut white = vec![0.0; x.len()];
    factor.left_multiply_lower(x, &mut white);
    factor.multiply(&white)
}
