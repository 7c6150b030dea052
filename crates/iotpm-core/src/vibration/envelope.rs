//! Envelope: what modulates a band, such as the impacts of a bearing that ring a structure.
//!
//! Band-pass and Hilbert transform in one pass: of the transform only the lines of the band are kept, doubled, without
//! their mirror images; the inverse is the analytic signal of the band, its magnitude the envelope. Marple, IEEE Trans.
//! Signal Process. 47 (1999) 2600; for bearings Randall and Antoni, Mech. Syst. Signal Process. 25 (2011) 485, section 4.

use realfft::num_complex::Complex;

use super::{FrequencyBand, amplitude::amplitude, welch::Detrend};
use crate::{
    Result,
    spectrum::{SpectrumPlanner, Window, check, sides},
};

/// Envelope of the band of `x` into `envelope`, as many samples, in the unit of `x`: `np.abs(scipy.signal.hilbert(b))`
/// with `b` of the lines of `x` in the band (limits included). The block counts as one period: the first and last few
/// periods of the band's width are disturbed where its end does not meet its start.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for no samples or too many, a rate that is not
/// positive, or a band that is not within 0 and half the rate.
pub fn envelope(
    planner: &mut SpectrumPlanner,
    x: &[f64],
    rate_hz: f64,
    band: FrequencyBand,
    envelope: &mut Vec<f64>,
) -> Result<()> {
    check(x, rate_hz)?;
    band.check(rate_hz / 2.0)?;
    let n = x.len();
    let mut analytic = vec![Complex::default(); n];
    let held = band.lines(n / 2 + 1, rate_hz / n as f64);
    // A band above line 0 has no part in the mean, but would have in its rounding.
    let detrend = if held.start > 0 { Detrend::Constant } else { Detrend::None };
    let transform = planner.filled(n, |samples| samples.extend(detrend.residuals(x)))?;
    for k in held {
        analytic[k] = transform[k] * (sides(k, n) / n as f64);
    }
    planner.complex_inverse(&mut analytic)?;
    envelope.clear();
    envelope.extend(analytic.iter().map(|z| z.norm_sqr().sqrt()));
    Ok(())
}

/// Amplitude spectrum of an envelope without its mean: a modulation of amplitude `A` on a line has `A` there.
///
/// # Errors
/// As [`amplitude`].
pub fn envelope_spectrum(
    planner: &mut SpectrumPlanner,
    envelope: &[f64],
    window: Window,
    lines: &mut Vec<f64>,
) -> Result<()> {
    amplitude(planner, envelope, window, Detrend::Constant, lines)
}
