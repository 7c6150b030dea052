//! Features of a window's spectrum.

use realfft::num_complex::Complex;

use super::{
    FeatureScratch,
    time::{LANES, total},
};
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
    let greatest = greatest(powers);
    let Some(index) = powers.iter().position(|&power| power == greatest && power > 0.0) else {
        return Spectral::UNDEFINED;
    };
    let shares = Shares::of(powers, 1.0 / greatest);
    let spacing_hz = rate_hz / n as f64;
    Spectral {
        dominant_frequency_hz: (index + 1) as f64 * spacing_hz,
        dominant_amplitude: (greatest * sides(index + 1, n)).sqrt(),
        entropy: shares.entropy() / (powers.len() as f64).ln(),
        centroid_hz: spacing_hz * shares.moment / shares.sum,
    }
}

fn greatest(powers: &[f64]) -> f64 {
    let (blocks, rest) = powers.as_chunks::<LANES>();
    let larger = |a: f64, b: f64| if b > a { b } else { a };
    let lanes = blocks.iter().fold([0.0; LANES], |max, block| std::array::from_fn(|i| larger(max[i], block[i])));
    lanes.iter().chain(rest).copied().fold(0.0, larger)
}

/// Lines taken at a time: enough for the compiler to make a loop of vectors of it.
const BLOCK: usize = 4 * LANES;

/// A block of lines, filled up with zeros, which count for nothing.
fn scaled(powers: &[f64], scale: f64) -> [f64; BLOCK] {
    let mut block = [0.0; BLOCK];
    block.iter_mut().zip(powers).for_each(|(r, power)| *r = power * scale);
    block
}

/// Sums over `r = P / max(P)`.
pub(crate) struct Shares {
    pub(crate) sum: f64,
    /// Sum of `k r`, `k` from 1.
    pub(crate) moment: f64,
    /// Sum of `-r ln r`.
    information: f64,
}

impl Shares {
    pub(crate) fn of(powers: &[f64], scale: f64) -> Self {
        let (mut sum, mut moment, mut information) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        let mut line: [f64; LANES] = std::array::from_fn(|lane| lane as f64 + 1.0);
        for block in powers.chunks(BLOCK) {
            let shares = scaled(block, scale);
            let terms = shares.map(|r| r * ln(r));
            for (shares, terms) in shares.as_chunks::<LANES>().0.iter().zip(terms.as_chunks::<LANES>().0) {
                for lane in 0..LANES {
                    sum[lane] += shares[lane];
                    moment[lane] += shares[lane] * line[lane];
                    information[lane] -= terms[lane];
                    line[lane] += LANES as f64;
                }
            }
        }
        Self { sum: total(sum), moment: total(moment), information: total(information) }
    }

    /// `-sum(p ln p)` with `p = r / sum(r)`, as two terms neither of which is negative, so that nothing cancels.
    pub(crate) fn entropy(&self) -> f64 {
        self.sum.ln() + self.information / self.sum
    }
}

/// Bits of 1.0 and of the square root of one half.
const ONE: u64 = 0x3FF0_0000_0000_0000;
const ROOT_HALF: u64 = 0x3FE6_A09E_667F_3BCD;
const MANTISSA: u64 = 0x000F_FFFF_FFFF_FFFF;

/// Natural logarithm of a finite, positive, normal number to 1e-15, free of branches and tables, so that the compiler
/// can take several at once; of 0 and subnormal numbers some finite value below -700.
///
/// `x = 2^e m` with `m` from the square root of one half to that of two, and `ln m = 2 atanh(s)`, `s = (m - 1)/(m +
/// 1)`, by the polynomial of FDLIBM `e_log.c` (Sun Microsystems, 1993).
#[inline(always)]
#[allow(clippy::inline_always, reason = "the caller's loop becomes vectors only if this is part of it")]
fn ln(x: f64) -> f64 {
    // An integer below 2^52 in the mantissa of 2^52 becomes that integer once 2^52 is subtracted.
    const SHIFTED: u64 = 0x4330_0000_0000_0000;
    let bits = x.to_bits().wrapping_add(ONE - ROOT_HALF);
    let exponent = f64::from_bits(SHIFTED | (bits >> 52)) - (4_503_599_627_370_496.0 + 1023.0);
    let m = f64::from_bits((bits & MANTISSA) + ROOT_HALF);
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w * (0.399_999_999_994_094_2 + w * (0.222_221_984_321_497_84 + w * 0.153_138_376_992_093_73));
    let odd = z
        * (0.666_666_666_666_673_5
            + w * (0.285_714_287_436_623_9 + w * (0.181_835_721_616_180_5 + w * 0.147_981_986_051_165_86)));
    let half_square = 0.5 * f * f;
    exponent * std::f64::consts::LN_2 + (f - (half_square - s * (half_square + (even + odd))))
}

#[cfg(test)]
mod tests {
    use super::ln;

    #[test]
    fn ln_is_that_of_the_standard_library() {
        let mut x = 1e-300_f64;
        while x < 1e300_f64 {
            for x in [x, 1.0 + x.min(1.0), 1.0 - x.min(0.5)] {
                assert!((ln(x) - x.ln()).abs() <= 1e-15 * (1.0 + x.ln().abs()), "{x:e}: {:e} {:e}", ln(x), x.ln());
            }
            x *= 1.037;
        }
        assert!([0.0, 1e-310, f64::MIN_POSITIVE / 2.0].iter().all(|&x| ln(x).is_finite() && ln(x) < -700.0));
        assert_eq!(ln(1.0), 0.0);
    }
}
