//! Kurtogram: which band of which width holds the most impulsive part of a signal.
//!
//! The 1/3-binary grid and the kurtosis of complex envelopes are those of J. Antoni, Fast computation of the kurtogram for
//! the detection of transient faults, Mech. Syst. Signal Process. 21 (2007) 108: level `l` has `2^l` bands, level `l + 0.6`
//! has `3 * 2^(l - 1)`. In place of his trees of short filters the bands are cut from one transform with sharp limits, and
//! each is brought back by an inverse as short as its width allows: the same number of operations, no filter skirts, and
//! each figure equals that of the band-passed analytic signal at the full rate.

use realfft::num_complex::Complex;

use super::welch::Detrend;
use crate::{
    Result,
    spectrum::{SpectrumPlanner, check, fast_length, invalid},
};

/// Fewest samples of a kurtogram.
const SAMPLES_MIN: usize = 16;

/// Deepest level.
pub const LEVELS_MAX: usize = 16;

/// Share of the signal's power below which a band counts as empty: what is there is rounding.
const EMPTY: f64 = 1e-12;

/// One band.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Binary logarithm of the number of bands of this width: 0, 1, 1.585, 2, 2.585, ..
    pub level: f64,
    /// Lower limit, Hz, not included.
    pub low_hz: f64,
    /// Upper limit, Hz.
    pub high_hz: f64,
    /// `mean(|z|^4) / mean(|z|^2)^2 - 2` of the band's analytic signal `z`: 0 for Gaussian noise, -1 for a steady sine;
    /// NaN if the band is empty.
    pub kurtosis: f64,
}

/// Every band of every level.
#[derive(Clone, Debug, PartialEq)]
pub struct Kurtogram {
    /// By level, then frequency.
    pub cells: Vec<Cell>,
}

impl Kurtogram {
    /// The cell of the greatest kurtosis, the widest of equal ones; none if all are empty.
    #[must_use]
    pub fn best(&self) -> Option<&Cell> {
        let filled = self.cells.iter().filter(|cell| !cell.kurtosis.is_nan());
        filled.reduce(|best, cell| if cell.kurtosis > best.kurtosis { cell } else { best })
    }
}

/// Levels for `n` samples if nobody says: the binary logarithm less 7, so that the narrowest band has some 64 lines.
#[must_use]
pub fn default_levels(n: usize) -> usize {
    (n.max(1).ilog2() as usize).saturating_sub(7).min(LEVELS_MAX)
}

/// Levels and numbers of bands: `2^l` for `l = 0 ..= levels`, and `3 * 2^(l - 1)` between.
fn splits(levels: usize) -> impl Iterator<Item = usize> {
    (0..=levels).flat_map(move |level| {
        let third = (level > 0 && level < levels).then(|| 3 << (level - 1));
        std::iter::once(1 << level).chain(third)
    })
}

/// Kurtogram of `x` down to a level, [`default_levels`] if none is given.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for fewer than 16 samples or too many, a rate that
/// is not positive, more levels than [`LEVELS_MAX`] or than leave two lines to a band.
pub fn kurtogram(planner: &mut SpectrumPlanner, x: &[f64], rate_hz: f64, levels: Option<usize>) -> Result<Kurtogram> {
    check(x, rate_hz)?;
    if x.len() < SAMPLES_MIN {
        return Err(invalid("samples", &x.len(), "at least 16 for a kurtogram"));
    }
    let levels = levels.unwrap_or_else(|| default_levels(x.len()));
    if levels > LEVELS_MAX || (x.len() >> levels) < 4 {
        return Err(invalid("levels", &levels, "at most 16, and at least two lines in a band"));
    }
    // No cell holds line 0; taken out before, a mean leaves no rounding in the others.
    let mut lines = planner.filled(x.len(), |samples| samples.extend(Detrend::Constant.residuals(x)))?.to_vec();
    if x.iter().all(|sample| *sample == x[0]) {
        lines.fill(Complex::default());
    }
    let mut cutter = Cutter::new(planner, &lines, x.len());
    let mut cells = Vec::new();
    for bands in splits(levels) {
        for band in 0..bands {
            cells.push(cutter.cell(band, bands, rate_hz)?);
        }
    }
    Ok(Kurtogram { cells })
}

/// Cuts bands out of a transform.
struct Cutter<'a> {
    planner: &'a mut SpectrumPlanner,
    lines: &'a [Complex<f64>],
    n: usize,
    total: f64,
    band: Vec<Complex<f64>>,
}

impl<'a> Cutter<'a> {
    fn new(planner: &'a mut SpectrumPlanner, lines: &'a [Complex<f64>], n: usize) -> Self {
        let total = power(&lines[1..=(n - 1) / 2]);
        Self { planner, lines, n, total, band: Vec::new() }
    }

    /// Lines above the lower limit, up to the upper one; neither line 0 nor that of half the rate, which have no side.
    fn held(&self, band: usize, bands: usize) -> std::ops::Range<usize> {
        let last = |edge: usize| (edge * self.n / (2 * bands)).min((self.n - 1) / 2);
        last(band) + 1..last(band + 1) + 1
    }

    fn cell(&mut self, band: usize, bands: usize, rate_hz: f64) -> Result<Cell> {
        let held = self.held(band, bands);
        let edge = |band: usize| band as f64 * rate_hz / (2 * bands) as f64;
        let kurtosis = self.kurtosis(held)?;
        Ok(Cell { level: (bands as f64).log2(), low_hz: edge(band), high_hz: edge(band + 1), kurtosis })
    }

    /// Moved to 0 Hz, `b` lines need `2 b - 1` samples for `|z|^4` to have no alias in its mean; more change nothing.
    fn kurtosis(&mut self, held: std::ops::Range<usize>) -> Result<f64> {
        let held = &self.lines[held];
        let square = power(held);
        if held.is_empty() || square <= EMPTY * self.total {
            return Ok(f64::NAN);
        }
        let length = fast_length(2 * held.len());
        self.band.clear();
        self.band.extend_from_slice(held);
        self.band.resize(length, Complex::default());
        self.planner.complex_inverse(&mut self.band)?;
        let fourth = self.band.iter().map(|z| z.norm_sqr() * z.norm_sqr()).sum::<f64>() / length as f64;
        Ok(fourth / (square * square) - 2.0)
    }
}

/// Sum of squares: by Parseval the mean square of the inverse, unscaled.
fn power(lines: &[Complex<f64>]) -> f64 {
    lines.iter().map(Complex::norm_sqr).sum()
}
