//! Features of a window's spectrum.

use realfft::num_complex::Complex;

use super::FeatureScratch;
use crate::spectrum::sides;

/// The spectral features of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spectral {
    /// Frequency of the greatest line, Hz.
    pub dominant_frequency_hz: f64,
    /// Amplitude of a sine on that line.
    pub dominant_amplitude: f64,
    /// Entropy of the lines' shares of the power, over that of a flat spectrum.
    pub entropy: f64,
    /// Mean frequency weighted by power, Hz.
    pub centroid_hz: f64,
}

impl Spectral {
    /// Where there is no spectrum.
    pub const UNDEFINED: Self = Self {
        dominant_frequency_hz: f64::NAN,
        dominant_amplitude: f64::NAN,
        entropy: f64::NAN,
        centroid_hz: f64::NAN,
    };
}

/// Transform of the residuals, then [`of_powers`].
pub(super) fn of_window(values: &[f64], mean: f64, rate_hz: f64, scratch: &mut FeatureScratch) -> Spectral {
    let n = values.len();
    let centre = |samples: &mut Vec<f64>| samples.extend(values.iter().map(|x| x - mean));
    let Some(lines) = scratch.spectrum.transform(n, centre) else { return Spectral::UNDEFINED };
    line_powers(&lines[1..], n, &mut scratch.powers);
    of_powers(&scratch.powers, n, rate_hz)
}

/// Powers of the lines 1 to `n / 2` from their unscaled transform of `n` samples:
/// `scipy.signal.periodogram(..., scaling='spectrum')[1][1:]`.
pub fn line_powers(lines: &[Complex<f64>], n: usize, powers: &mut Vec<f64>) {
    let scale = 2.0 / (n as f64 * n as f64);
    powers.clear();
    powers.extend(lines.iter().map(|line| line.norm_sqr() * scale));
    if let (0, Some(nyquist)) = (n % 2, powers.last_mut()) {
        *nyquist /= 2.0;
    }
}

/// Features from the powers of the lines 1 to `n / 2` of `n` samples.
#[must_use]
pub fn of_powers(powers: &[f64], n: usize, rate_hz: f64) -> Spectral {
    let greatest = powers.iter().copied().fold(0.0, f64::max);
    let Some(index) = powers.iter().position(|&power| power == greatest && power > 0.0) else {
        return Spectral::UNDEFINED;
    };
    let shares = relative_sums(powers, 1.0 / greatest);
    let spacing_hz = rate_hz / n as f64;
    Spectral {
        dominant_frequency_hz: (index + 1) as f64 * spacing_hz,
        dominant_amplitude: (greatest * sides(index + 1, n)).sqrt(),
        entropy: shares.entropy() / (powers.len() as f64).ln(),
        centroid_hz: spacing_hz * shares.moment / shares.sum,
    }
}

/// Sums over `r = P / max(P)`.
struct Shares {
    sum: f64,
    /// Sum of `k r`, `k` from 1.
    moment: f64,
    /// Sum of `-r ln r`.
    information: f64,
}

impl Shares {
    /// `-sum(p ln p)` with `p = r / sum(r)`, as two terms that are both positive, so that nothing cancels.
    fn entropy(&self) -> f64 {
        self.sum.ln() + self.information / self.sum
    }
}

fn relative_sums(powers: &[f64], scale: f64) -> Shares {
    let mut shares = Shares { sum: 0.0, moment: 0.0, information: 0.0 };
    for (index, power) in powers.iter().enumerate() {
        let r = power * scale;
        shares.sum += r;
        shares.moment += r * (index + 1) as f64;
        shares.information -= if r > 0.0 { r * r.ln() } else { 0.0 };
    }
    shares
}
