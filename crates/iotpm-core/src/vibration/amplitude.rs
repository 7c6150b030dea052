//! Amplitude spectrum of one block of samples.

use super::welch::Detrend;
use crate::{
    Result,
    spectrum::{SpectrumPlanner, Window, sides},
};

/// Amplitude of a sine on each line, `np.abs(np.fft.rfft(x * w)) * sides / w.sum()` into `lines`: `n / 2 + 1` of them, in
/// the unit of `x`; `sides` is 1 for lines 0 and `n / 2` of an even `n`, else 2 (Heinzel, Rüdiger and Schilling, Spectrum
/// and spectral density estimation by the DFT, MPI Hannover 2002, section 9).
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for no samples or too many.
pub fn amplitude(
    planner: &mut SpectrumPlanner,
    x: &[f64],
    window: Window,
    detrend: Detrend,
    lines: &mut Vec<f64>,
) -> Result<()> {
    let n = x.len();
    let weights = planner.weights(window, n);
    let weighted = detrend.residuals(x).zip(&weights.each).map(|(x, weight)| x * weight);
    let transform = planner.filled(n, |samples| samples.extend(weighted))?;
    lines.clear();
    lines.extend(transform.iter().enumerate().map(|(k, line)| line.norm_sqr().sqrt() * (sides(k, n) / weights.sum)));
    Ok(())
}
