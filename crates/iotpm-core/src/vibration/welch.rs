//! Welch's power spectrum: the mean or median of the periodograms of overlapping segments.
//!
//! P. D. Welch, IEEE Trans. Audio Electroacoust. 15 (1967) 70; the median and its bias: B. Allen et al., Phys. Rev. D 85
//! (2012) 122006, appendix B. Equal to `scipy.signal.welch`.

use crate::{
    Result,
    features::time::sum_of,
    spectrum::{SAMPLES_MAX, Scaling, SpectrumPlanner, Window, check, invalid, sides},
};

/// What is taken out of each segment before it is weighted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detrend {
    /// Nothing.
    None,
    /// Its mean.
    #[default]
    Constant,
    /// Its least squares line.
    Linear,
}

impl Detrend {
    /// The kind of a name: `none`, `constant` or `linear`.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for any other.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "none" => Ok(Self::None),
            "constant" => Ok(Self::Constant),
            "linear" => Ok(Self::Linear),
            _ => Err(invalid("detrend", &name, "none, constant or linear")),
        }
    }

    /// Level and slope to take out: sample `i` becomes `x[i] - level - slope * (i - (n - 1) / 2)`.
    pub(crate) fn line(self, x: &[f64]) -> (f64, f64) {
        let mean = || sum_of(x.iter().copied()) / x.len().max(1) as f64;
        match self {
            Self::None => (0.0, 0.0),
            Self::Constant => (mean(), 0.0),
            Self::Linear => (mean(), slope(x)),
        }
    }

    /// `x` without its line.
    pub(crate) fn residuals(self, x: &[f64]) -> impl ExactSizeIterator<Item = f64> {
        let (level, slope) = self.line(x);
        let middle = (x.len() as f64 - 1.0) / 2.0;
        x.iter().enumerate().map(move |(i, x)| x - level - slope * (i as f64 - middle))
    }
}

/// Least squares slope a sample: `sum(u x) / sum(u^2)` with `u = i - (n - 1) / 2`, and `sum(u^2) = n (n^2 - 1) / 12`.
fn slope(x: &[f64]) -> f64 {
    let n = x.len() as f64;
    let middle = (n - 1.0) / 2.0;
    let product = sum_of(x.iter().enumerate().map(|(i, x)| (i as f64 - middle) * x));
    if x.len() < 2 { 0.0 } else { product / (n * (n * n - 1.0) / 12.0) }
}

/// How the periodograms of the segments become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Average {
    /// The mean.
    #[default]
    Mean,
    /// The median over its bias: what happens in a few segments only does not count.
    Median,
}

impl Average {
    /// The average of a name: `mean` or `median`.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for any other.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "mean" => Ok(Self::Mean),
            "median" => Ok(Self::Median),
            _ => Err(invalid("average", &name, "mean or median")),
        }
    }
}

/// How [`welch`] cuts, weights and averages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welch {
    /// Weight of each sample of a segment.
    pub window: Window,
    /// Samples in a segment: the lines are `rate_hz / segment` wide.
    pub segment: usize,
    /// Samples that neighbouring segments share, fewer than `segment`.
    pub overlap: usize,
    /// Samples transformed at a time, `segment` or more: zeros are added, and lines lie closer.
    pub fft_length: usize,
    /// What is taken out of each segment.
    pub detrend: Detrend,
    /// What a line means.
    pub scaling: Scaling,
    /// How segments become one spectrum.
    pub average: Average,
}

impl Welch {
    /// Hann segments, half overlapping, without their means; density; mean: what `scipy.signal.welch` does by default.
    #[must_use]
    pub fn of(segment: usize) -> Self {
        Self {
            window: Window::Hann,
            segment,
            overlap: segment / 2,
            fft_length: segment,
            detrend: Detrend::Constant,
            scaling: Scaling::Density,
            average: Average::Mean,
        }
    }

    fn check(&self, n: usize) -> Result<()> {
        if !(1..=n).contains(&self.segment) {
            return Err(invalid("segment", &self.segment, "at least 1 and at most the number of samples"));
        }
        if self.overlap >= self.segment {
            return Err(invalid("overlap", &self.overlap, "less than segment"));
        }
        if !(self.segment..=SAMPLES_MAX).contains(&self.fft_length) {
            return Err(invalid("fft_length", &self.fft_length, "at least segment, at most 16777216"));
        }
        Ok(())
    }

    /// Starts of the whole segments in `n` samples.
    fn starts(&self, n: usize) -> impl Iterator<Item = usize> {
        let step = self.segment - self.overlap;
        (0..=(n - self.segment) / step).map(move |i| i * step)
    }
}

/// One-sided power spectrum `scipy.signal.welch(x, rate_hz, window, segment, overlap, fft_length, detrend,
/// scaling=scaling, average=average)[1]` into `lines`: `fft_length / 2 + 1` of them, `rate_hz / fft_length` apart, in
/// squared units of `x` (per hertz if [`Scaling::Density`]). Samples after the last whole segment are left out.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for no samples, a rate that is not finite and positive, a segment longer than `x`, an
/// overlap as long as the segment, a transform shorter than it.
pub fn welch(
    planner: &mut SpectrumPlanner,
    x: &[f64],
    rate_hz: f64,
    options: &Welch,
    lines: &mut Vec<f64>,
) -> Result<()> {
    check(x, rate_hz)?;
    options.check(x.len())?;
    match options.average {
        Average::Mean => mean(planner, x, rate_hz, options, lines),
        Average::Median => medians(planner, x, rate_hz, options, lines),
    }
}

/// Calls `add` with the place and power of every line of every segment.
fn periodograms(
    planner: &mut SpectrumPlanner,
    x: &[f64],
    rate_hz: f64,
    options: &Welch,
    mut add: impl FnMut(usize, f64),
) -> Result<()> {
    let weights = planner.weights(options.window, options.segment);
    let scale = options.scaling.of(&weights, rate_hz);
    for start in options.starts(x.len()) {
        let segment = options.detrend.residuals(&x[start..start + options.segment]);
        let weighted = segment.zip(&weights.each).map(|(x, weight)| x * weight);
        let transform = planner.filled(options.fft_length, |samples| samples.extend(weighted))?;
        transform.iter().enumerate().for_each(|(k, line)| add(k, line.norm_sqr() * scale));
    }
    Ok(())
}

fn mean(planner: &mut SpectrumPlanner, x: &[f64], rate_hz: f64, options: &Welch, lines: &mut Vec<f64>) -> Result<()> {
    lines.clear();
    lines.resize(options.fft_length / 2 + 1, 0.0);
    periodograms(planner, x, rate_hz, options, |k, power| lines[k] += power)?;
    let segments = options.starts(x.len()).count() as f64;
    lines.iter_mut().enumerate().for_each(|(k, line)| *line *= sides(k, options.fft_length) / segments);
    Ok(())
}

fn medians(
    planner: &mut SpectrumPlanner,
    x: &[f64],
    rate_hz: f64,
    options: &Welch,
    lines: &mut Vec<f64>,
) -> Result<()> {
    let (width, segments) = (options.fft_length / 2 + 1, options.starts(x.len()).count());
    let mut columns = vec![Vec::with_capacity(segments); width];
    periodograms(planner, x, rate_hz, options, |k, power| columns[k].push(power))?;
    let bias = median_bias(segments);
    lines.clear();
    lines.extend(columns.iter_mut().enumerate().map(|(k, line)| median(line) * sides(k, options.fft_length) / bias));
    Ok(())
}

/// `np.median(values)` of at least one value.
fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    let odd = values.len() % 2 == 1;
    let (lower, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let below = lower.iter().copied().max_by(f64::total_cmp);
    below.filter(|_| !odd).map_or(upper, |below| f64::midpoint(below, upper))
}

/// Median of `n` powers of noise over their mean: `1 + sum over i = 1 .. (n - 1) / 2 of 1 / (2 i + 1) - 1 / (2 i)`
/// (Allen et al., eq. B2 and B4; `n` even counts as `n - 1`).
fn median_bias(n: usize) -> f64 {
    let term = |i: usize| 1.0 / (2 * i + 1) as f64 - 1.0 / (2 * i) as f64;
    1.0 + (1..=n.saturating_sub(1) / 2).map(term).sum::<f64>()
}
