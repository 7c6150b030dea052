//! Spectra of real, equally spaced samples: planned once per length, no allocation once warm.
//!
//! A spectrum of `n` samples at `rate_hz` has `n / 2 + 1` lines; line `k` is at `k * rate_hz / n` Hz. Results depend on
//! the samples alone, not on what was planned before; the transform itself uses the vector instructions of the CPU it
//! runs on.

use std::{
    f64::consts::TAU,
    fmt,
    sync::{Arc, OnceLock},
};

use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex};

use crate::{CoreError, Result, features::time::sum_of};

/// Lengths whose plans are kept; the one unused for longest makes room.
pub const PLANS_MAX: usize = 64;

/// Most samples in one transform.
pub const SAMPLES_MAX: usize = 1 << 24;

/// The weight of each sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// All 1: `scipy.signal.get_window('boxcar', n)`.
    #[default]
    Boxcar,
    /// `0.5 - 0.5 cos(2 pi i / n)`, periodic: `scipy.signal.get_window('hann', n)`.
    Hann,
}

/// What a line of the spectrum means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scaling {
    /// Power per hertz: the sum over lines times their spacing is the mean square of the detrended samples.
    #[default]
    Density,
    /// Power: a sine of amplitude `A` on a line has `A * A / 2` there.
    Spectrum,
}

/// One-sided power spectrum, `scipy.signal.periodogram(x, rate_hz, window, detrend='constant', scaling=scaling)[1]`:
/// `n / 2 + 1` lines, in squared units of `x` (per hertz if [`Scaling::Density`]).
///
/// # Errors
/// [`CoreError::InvalidParameter`] for no samples, more than [`SAMPLES_MAX`], or a rate that is not finite and
/// positive.
pub fn psd(x: &[f64], rate_hz: f64, window: Window, scaling: Scaling) -> Result<Vec<f64>> {
    let mut lines = Vec::new();
    SpectrumPlanner::new().psd(x, rate_hz, window, scaling, &mut lines)?;
    Ok(lines)
}

/// Frequencies of the lines of `n` samples, Hz: `np.fft.rfftfreq(n, 1 / rate_hz)`.
#[must_use]
pub fn frequencies(n: usize, rate_hz: f64) -> impl DoubleEndedIterator<Item = f64> {
    let spacing = rate_hz / n.max(1) as f64;
    (0..=n / 2).map(move |k| k as f64 * spacing)
}

/// Plans by length, at most [`PLANS_MAX`], and the buffers of a transform.
#[derive(Default)]
pub struct SpectrumPlanner {
    plans: Vec<Plan>,
    clock: u64,
    samples: Vec<f64>,
    lines: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
}

struct Plan {
    len: usize,
    last_used: u64,
    fft: Arc<dyn RealToComplex<f64>>,
    /// Made when first asked for.
    hann: OnceLock<Weights>,
}

impl Plan {
    /// A planner of its own for each length: a shared one would build on the parts of earlier lengths, and so round
    /// differently with history.
    fn new(len: usize) -> Self {
        Self { len, last_used: 0, fft: RealFftPlanner::new().plan_fft_forward(len), hann: OnceLock::new() }
    }

    fn hann(&self) -> &Weights {
        self.hann.get_or_init(|| Weights::hann(self.len))
    }
}

impl SpectrumPlanner {
    /// Without plans.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lengths planned at present.
    #[must_use]
    pub fn planned(&self) -> usize {
        self.plans.len()
    }

    /// As [`psd`], into `lines`, whose memory is reused.
    ///
    /// # Errors
    /// As [`psd`].
    pub fn psd(
        &mut self,
        x: &[f64],
        rate_hz: f64,
        window: Window,
        scaling: Scaling,
        lines: &mut Vec<f64>,
    ) -> Result<()> {
        check(x, rate_hz)?;
        let plan = self.plan(x.len());
        let mean = sum_of(x.iter().copied()) / x.len() as f64;
        self.samples.clear();
        let scale = match window {
            Window::Boxcar => {
                self.samples.extend(x.iter().map(|x| x - mean));
                scaling.of(x.len() as f64, x.len() as f64, rate_hz)
            }
            Window::Hann => {
                let hann = self.plans[plan].hann();
                self.samples.extend(x.iter().zip(&hann.each).map(|(x, weight)| (x - mean) * weight));
                scaling.of(hann.sum, hann.square_sum, rate_hz)
            }
        };
        let n = x.len();
        let transform = self.run(plan)?;
        lines.clear();
        lines.extend(transform.iter().enumerate().map(|(k, line)| line.norm_sqr() * (scale * sides(k, n))));
        Ok(())
    }

    /// The transform (unscaled, `n / 2 + 1` lines) of samples that `fill` puts into an empty buffer.
    pub(crate) fn transform(&mut self, n: usize, fill: impl FnOnce(&mut Vec<f64>)) -> Option<&[Complex<f64>]> {
        self.samples.clear();
        fill(&mut self.samples);
        if self.samples.len() != n || n == 0 || n > SAMPLES_MAX {
            return None;
        }
        let plan = self.plan(n);
        self.run(plan).ok()
    }

    fn run(&mut self, plan: usize) -> Result<&[Complex<f64>]> {
        let (n, fft) = (self.samples.len(), &self.plans[plan].fft);
        self.lines.resize(n / 2 + 1, Complex::default());
        let needed = fft.get_scratch_len();
        if self.scratch.len() < needed {
            self.scratch.resize(needed, Complex::default());
        }
        fft.process_with_scratch(&mut self.samples, &mut self.lines, &mut self.scratch[..needed])
            .map_err(|error| invalid("samples", &error, "as many as planned"))?;
        Ok(&self.lines)
    }

    fn plan(&mut self, len: usize) -> usize {
        self.clock += 1;
        let index = self.plans.iter().position(|plan| plan.len == len).unwrap_or_else(|| self.add(len));
        self.plans[index].last_used = self.clock;
        index
    }

    fn add(&mut self, len: usize) -> usize {
        let unused = (0..self.plans.len()).min_by_key(|&index| self.plans[index].last_used);
        match unused {
            Some(index) if self.plans.len() == PLANS_MAX => {
                self.plans[index] = Plan::new(len);
                index
            }
            _ => {
                self.plans.push(Plan::new(len));
                self.plans.len() - 1
            }
        }
    }
}

impl fmt::Debug for SpectrumPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpectrumPlanner").field("planned", &self.planned()).finish_non_exhaustive()
    }
}

/// A window's weights and their sums.
struct Weights {
    each: Vec<f64>,
    sum: f64,
    square_sum: f64,
}

impl Weights {
    /// Of one sample: 1, as SciPy's.
    fn hann(n: usize) -> Self {
        let weight = |i: usize| if n == 1 { 1.0 } else { 0.5 - 0.5 * (TAU * i as f64 / n as f64).cos() };
        let each: Vec<f64> = (0..n).map(weight).collect();
        let (sum, square_sum) = (sum_of(each.iter().copied()), sum_of(each.iter().map(|w| w * w)));
        Self { each, sum, square_sum }
    }
}

impl Scaling {
    /// Factor of a squared line, for a window of these sums.
    fn of(self, sum: f64, square_sum: f64, rate_hz: f64) -> f64 {
        match self {
            Self::Density => 1.0 / (rate_hz * square_sum),
            Self::Spectrum => 1.0 / (sum * sum),
        }
    }
}

/// How many lines of the two-sided spectrum line `k` stands for.
pub(crate) fn sides(k: usize, n: usize) -> f64 {
    if k == 0 || 2 * k == n { 1.0 } else { 2.0 }
}

fn check(x: &[f64], rate_hz: f64) -> Result<()> {
    if x.is_empty() || x.len() > SAMPLES_MAX {
        return Err(invalid("samples", &x.len(), "1 to 16777216"));
    }
    if !(rate_hz.is_finite() && rate_hz > 0.0) {
        return Err(invalid("rate_hz", &rate_hz, "finite and greater than 0"));
    }
    Ok(())
}

fn invalid(name: &'static str, value: &dyn ToString, allowed: &'static str) -> CoreError {
    CoreError::InvalidParameter { name, value: value.to_string(), allowed }
}
