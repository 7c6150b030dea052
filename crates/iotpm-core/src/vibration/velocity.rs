//! Velocity from acceleration, in the frequency domain: a line at `f` is divided by `2 pi i f`.
//!
//! Integration lifts what is slow, so the low end decides. Two ways, for two purposes:
//!
//! - [`velocity`], the waveform. A transform takes its block as one period of an endless signal; velocity would have to
//!   end as it began. So the mean goes and zeros follow for four periods of the cut-off, in which velocity stands still,
//!   and a smooth zero-phase high-pass, the squared magnitude of a Butterworth filter, brings it back. What is left is
//!   the unknown velocity at either end: of a sine up to half of its height there, 2 % of it a period of the cut-off
//!   further in, 0.2 % after two (order 4). Continuing the block by reflections is worse: the odd one, as
//!   `scipy.signal.filtfilt` has it, moves the mean acceleration at the ends.
//! - [`velocity_rms`], the number for ISO 20816. By Parseval it needs no waveform: the Hann-weighted power spectrum of the
//!   block, each line over `(2 pi f)^2`, summed over the band. The window takes the step out, its loss of power is made
//!   good by its square sum, and the limits of the band are sharp. A sine on line `k` spreads over its neighbours, of
//!   which the slower weighs more: it reads `0.5 / k^2` high (0.13 % at 20 Hz in a block of a second, 0.005 % at 100 Hz).
//!   Of what changes within the block the middle counts more.
//!
//! ISO 2954 and ISO 20816-1, 10 to 1000 Hz; integration by transform: Brandt, Noise and Vibration Analysis (2011),
//! section 3.4.

use std::f64::consts::TAU;

use realfft::num_complex::Complex;

use super::{FrequencyBand, welch::Detrend};
use crate::{
    Result,
    spectrum::{Scaling, SpectrumPlanner, Window, check, fast_length, invalid},
};

/// Zero-phase high-pass: the gain at `f` is `r / (1 + r)`, `r = (f / cutoff_hz)^(2 order)`, what a Butterworth filter of
/// that order has when run forwards and backwards; one half at the cut-off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HighPass {
    /// Where the gain is one half, Hz.
    pub cutoff_hz: f64,
    /// Order of the filter, 1 to 16.
    pub order: u32,
}

impl HighPass {
    fn gain(self, f: f64) -> f64 {
        let r = (f / self.cutoff_hz).powi(2 * self.order as i32);
        if r.is_infinite() { 1.0 } else { r / (1.0 + r) }
    }

    fn check(self, rate_hz: f64) -> Result<()> {
        if !(self.cutoff_hz > 0.0 && self.cutoff_hz <= rate_hz / 2.0) {
            return Err(invalid("cutoff_hz", &self.cutoff_hz, "greater than 0 and at most half the sample rate"));
        }
        if !(1..=16).contains(&self.order) {
            return Err(invalid("order", &self.order, "1 to 16"));
        }
        Ok(())
    }
}

/// Periods of the cut-off for which zeros follow a block, at most as many as it has samples.
const QUIET_PERIODS: f64 = 4.0;

/// Velocity of acceleration `x` into `v`, as many samples, in the unit of `x` times a second.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for no samples or too many, a rate or cut-off that
/// is not positive, an order out of range.
pub fn velocity(
    planner: &mut SpectrumPlanner,
    x: &[f64],
    rate_hz: f64,
    high_pass: HighPass,
    v: &mut Vec<f64>,
) -> Result<()> {
    check(x, rate_hz)?;
    high_pass.check(rate_hz)?;
    let quiet = (QUIET_PERIODS * rate_hz / high_pass.cutoff_hz).ceil().min(x.len() as f64) as usize;
    let n = 2 * fast_length((x.len() + quiet).div_ceil(2));
    let mut lines = Vec::new();
    v.clear();
    v.extend(Detrend::Constant.residuals(x));
    v.resize(n, 0.0);
    planner.forward(v, &mut lines)?;
    integrate(&mut lines, rate_hz / n as f64, high_pass);
    planner.inverse(&mut lines, v)?;
    v.truncate(x.len());
    v.iter_mut().for_each(|v| *v /= n as f64);
    Ok(())
}

fn integrate(lines: &mut [Complex<f64>], spacing_hz: f64, high_pass: HighPass) {
    let mut lines = lines.iter_mut().enumerate();
    if let Some((_, constant)) = lines.next() {
        *constant = Complex::default();
    }
    for (k, line) in lines {
        let f = k as f64 * spacing_hz;
        *line = Complex::new(line.im, -line.re) * (high_pass.gain(f) / (TAU * f));
    }
}

/// Velocity RMS of acceleration `x` within a band: with `f, P = scipy.signal.periodogram(x, rate_hz, 'hann')` and the
/// lines in the band, `np.sqrt(np.sum(P / (2 pi f)**2) * rate_hz / n)`, in the unit of `x` times a second.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for no samples or too many, a rate that is not
/// positive, a band that starts at 0, is empty or ends beyond half the rate, or holds no line because the block is too
/// short.
pub fn velocity_rms(planner: &mut SpectrumPlanner, x: &[f64], rate_hz: f64, band: FrequencyBand) -> Result<f64> {
    let mut powers = Vec::new();
    planner.psd(x, rate_hz, Window::Hann, Scaling::Density, &mut powers)?;
    let spacing_hz = rate_hz / x.len() as f64;
    let held = velocity_lines(band, x.len(), rate_hz)?;
    let square = |k: usize| powers[k] / (TAU * k as f64 * spacing_hz).powi(2);
    Ok((held.map(square).sum::<f64>() * spacing_hz).sqrt())
}

/// The lines of `n` samples that count for a velocity RMS.
pub(super) fn velocity_lines(band: FrequencyBand, n: usize, rate_hz: f64) -> Result<std::ops::Range<usize>> {
    band.check(rate_hz / 2.0)?;
    let held = band.lines(n / 2 + 1, rate_hz / n as f64);
    if held.start == 0 {
        return Err(invalid("low_hz", &band.low_hz, "greater than 0: velocity grows without bound towards 0 Hz"));
    }
    if held.is_empty() {
        return Err(invalid("samples", &n, "enough for a line in the band: rate_hz / n is the spacing"));
    }
    Ok(held)
}
