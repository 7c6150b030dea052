//! Cepstrum: the spectrum of a logarithmic spectrum, which gathers families of harmonics and sidebands.

use realfft::num_complex::Complex;

use super::welch::Detrend;
use crate::{
    Result,
    spectrum::{SpectrumPlanner, Window, invalid},
};

/// Lines below this share of the greatest count as this share: a line of 0 has no logarithm.
pub(super) const FLOOR: f64 = 1e-15;

/// Real cepstrum of `x` into `cepstrum`, `n` values: `np.fft.irfft(np.log(np.abs(np.fft.rfft((x - mean) * w))), n)`, with
/// the magnitudes at least `1e-15` of their greatest; value `i` is at quefrency `i / rate_hz` seconds, the second half
/// mirrors the first (Bogert, Healy and Tukey 1963; Randall, Mech. Syst. Signal Process. 97 (2017) 3, eq. 3).
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for no samples, too many, or samples that are all
/// the same (less their mean) or whose spectrum is 0 throughout.
pub fn cepstrum(
    planner: &mut SpectrumPlanner,
    x: &[f64],
    window: Window,
    detrend: Detrend,
    cepstrum: &mut Vec<f64>,
) -> Result<()> {
    let n = x.len();
    // Less its mean, a constant is rounding.
    let constant = x.first().filter(|first| detrend != Detrend::None && x.iter().all(|x| x == *first));
    if let Some(constant) = constant {
        return Err(invalid("x", &format!("{constant} throughout"), "samples that vary"));
    }
    let weights = planner.weights(window, n);
    let weighted = detrend.residuals(x).zip(&weights.each).map(|(x, weight)| x * weight);
    let magnitudes: Vec<f64> =
        planner.filled(n, |samples| samples.extend(weighted))?.iter().map(|line| line.norm_sqr().sqrt()).collect();
    let greatest = magnitudes.iter().copied().fold(0.0, f64::max);
    if greatest == 0.0 {
        return Err(invalid("x", &"0 at every frequency", "samples that vary"));
    }
    let logarithm = |magnitude: &f64| Complex::new(magnitude.max(greatest * FLOOR).ln() / n as f64, 0.0);
    let mut lines: Vec<Complex<f64>> = magnitudes.iter().map(logarithm).collect();
    cepstrum.resize(n, 0.0);
    planner.inverse(&mut lines, cepstrum)
}

/// A peak of a cepstrum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuefrencyPeak {
    /// Index of its greatest value.
    pub index: usize,
    /// Where the parabola through three values is greatest, seconds; its inverse is the spacing of the family, Hz.
    pub quefrency_s: f64,
    /// Height of that parabola.
    pub value: f64,
}

/// The `count` greatest peaks between two quefrencies in seconds, greatest first; only the first half of a cepstrum is
/// looked at.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for limits that do not ascend or a rate that is not
/// positive.
pub fn quefrency_peaks(
    cepstrum: &[f64],
    rate_hz: f64,
    [least_s, most_s]: [f64; 2],
    count: usize,
) -> Result<Vec<QuefrencyPeak>> {
    if !(rate_hz.is_finite() && rate_hz > 0.0) {
        return Err(invalid("rate_hz", &rate_hz, "finite and greater than 0"));
    }
    if !(least_s >= 0.0 && least_s < most_s) {
        return Err(invalid("quefrency_s", &format!("{least_s} to {most_s}"), "two quefrencies that ascend from 0"));
    }
    let half = &cepstrum[..(cepstrum.len() / 2 + 1).min(cepstrum.len())];
    let inside = |i: usize| (least_s..=most_s).contains(&(i as f64 / rate_hz));
    let mut found: Vec<QuefrencyPeak> = half
        .windows(3)
        .enumerate()
        .filter(|(i, three)| three[1] > three[0] && three[1] >= three[2] && inside(i + 1))
        .map(|(i, three)| peak(i + 1, [three[0], three[1], three[2]], rate_hz))
        .collect();
    found.sort_by(|a, b| b.value.total_cmp(&a.value));
    found.truncate(count);
    Ok(found)
}

fn peak(index: usize, [before, at, after]: [f64; 3], rate_hz: f64) -> QuefrencyPeak {
    let bend = before - 2.0 * at + after;
    let offset = if bend < 0.0 { 0.5 * (before - after) / bend } else { 0.0 };
    QuefrencyPeak {
        index,
        quefrency_s: (index as f64 + offset) / rate_hz,
        value: at - 0.25 * (before - after) * offset,
    }
}
