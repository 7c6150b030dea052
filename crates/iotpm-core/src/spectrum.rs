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

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex::Complex};
use rustfft::{Fft, FftPlanner};

use crate::{CoreError, Result, features::time::sum_of};

/// Lengths whose plans are kept; the one unused for longest makes room.
pub const PLANS_MAX: usize = 64;

/// Most samples in one transform.
pub const SAMPLES_MAX: usize = 1 << 24;

/// The weight of each sample: `scipy.signal.get_window(name, n)`, the periodic form,
/// `sum((-1)^j a_j cos(2 pi i j / n))`; coefficients and merits: Harris, Proc. IEEE 66 (1978) 51; Nuttall, IEEE Trans.
/// ASSP 29 (1981) 84; for the flat top D'Antona and Ferrero, Digital Signal Processing for Measurement Systems (2006).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// All 1: the narrowest line, the greatest leakage.
    #[default]
    Boxcar,
    /// For nearly everything: leakage falls by 18 dB an octave.
    Hann,
    /// Leakage of the nearest lines below -43 dB, of far ones hardly less.
    Hamming,
    /// Leakage below -58 dB.
    Blackman,
    /// Leakage below -92 dB.
    BlackmanHarris,
    /// Leakage below -98 dB.
    Nuttall,
    /// A sine between two lines loses less than 0.01 dB: for calibrating.
    FlatTop,
}

impl Window {
    /// Every window.
    pub const ALL: [Self; 7] =
        [Self::Boxcar, Self::Hann, Self::Hamming, Self::Blackman, Self::BlackmanHarris, Self::Nuttall, Self::FlatTop];

    /// SciPy's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boxcar => "boxcar",
            Self::Hann => "hann",
            Self::Hamming => "hamming",
            Self::Blackman => "blackman",
            Self::BlackmanHarris => "blackmanharris",
            Self::Nuttall => "nuttall",
            Self::FlatTop => "flattop",
        }
    }

    /// The window of a name.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`] for any other.
    pub fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|window| window.name() == name).ok_or_else(|| {
            invalid("window", &name, "boxcar, hann, hamming, blackman, blackmanharris, nuttall or flattop")
        })
    }

    /// Weight of sample `i` of `n`.
    fn weight(self, i: usize, n: usize) -> f64 {
        let angle = TAU * i as f64 / n as f64;
        let term = |(j, a): (usize, &f64)| if j % 2 == 0 { *a } else { -a } * (angle * j as f64).cos();
        self.coefficients().iter().enumerate().map(term).sum()
    }

    /// `a_0, a_1, ..`
    fn coefficients(self) -> &'static [f64] {
        match self {
            Self::Boxcar => &[1.0],
            Self::Hann => &[0.5, 0.5],
            Self::Hamming => &[0.54, 0.46],
            Self::Blackman => &[0.42, 0.5, 0.08],
            Self::BlackmanHarris => &[0.358_75, 0.488_29, 0.141_28, 0.011_68],
            Self::Nuttall => &[0.363_581_9, 0.489_177_5, 0.136_599_5, 0.010_641_1],
            Self::FlatTop => &[0.215_578_95, 0.416_631_58, 0.277_263_158, 0.083_578_947, 0.006_947_368],
        }
    }
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

impl Scaling {
    /// The scaling of a name: `density` or `spectrum`.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`] for any other.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "density" => Ok(Self::Density),
            "spectrum" => Ok(Self::Spectrum),
            _ => Err(invalid("scaling", &name, "density or spectrum")),
        }
    }
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

/// The least number, `n` or more, that has no prime factor above 5: such transforms are quick
/// (`scipy.fft.next_fast_len(n, real=True)`).
#[must_use]
pub fn fast_length(n: usize) -> usize {
    let powers = |base: usize, n: usize| std::iter::successors(Some(1), move |p| (*p < n).then(|| p * base));
    let n = n.max(1);
    let up_to_a_power_of_two = |part: usize| part * n.div_ceil(part).next_power_of_two();
    powers(5, n).flat_map(|five| powers(3, n).map(move |three| up_to_a_power_of_two(five * three))).min().unwrap_or(n)
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

/// What a length needs, each made when first asked for. A planner of its own for each transform: a shared one would
/// build on the parts of earlier lengths, and so round differently with history.
struct Plan {
    len: usize,
    last_used: u64,
    forward: OnceLock<Arc<dyn RealToComplex<f64>>>,
    inverse: OnceLock<Arc<dyn ComplexToReal<f64>>>,
    complex_inverse: OnceLock<Arc<dyn Fft<f64>>>,
    weights: [OnceLock<Arc<Weights>>; Window::ALL.len()],
}

impl Plan {
    fn new(len: usize) -> Self {
        Self {
            len,
            last_used: 0,
            forward: OnceLock::new(),
            inverse: OnceLock::new(),
            complex_inverse: OnceLock::new(),
            weights: Default::default(),
        }
    }

    fn forward(&self) -> &dyn RealToComplex<f64> {
        self.forward.get_or_init(|| RealFftPlanner::new().plan_fft_forward(self.len)).as_ref()
    }

    fn inverse(&self) -> &dyn ComplexToReal<f64> {
        self.inverse.get_or_init(|| RealFftPlanner::new().plan_fft_inverse(self.len)).as_ref()
    }

    fn complex_inverse(&self) -> &dyn Fft<f64> {
        self.complex_inverse.get_or_init(|| FftPlanner::new().plan_fft_inverse(self.len)).as_ref()
    }

    fn weights(&self, window: Window) -> Arc<Weights> {
        self.weights[window as usize].get_or_init(|| Arc::new(Weights::of(window, self.len))).clone()
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

    /// Samples of all lengths planned at present: what the plans take is in proportion.
    #[must_use]
    pub fn planned_samples(&self) -> usize {
        self.plans.iter().map(|plan| plan.len).sum()
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
        let (n, mean) = (x.len(), sum_of(x.iter().copied()) / x.len() as f64);
        let weights = self.weights(window, n);
        let scale = scaling.of(&weights, rate_hz);
        let transform = self.filled(n, |samples| {
            samples.extend(x.iter().zip(&weights.each).map(|(x, weight)| (x - mean) * weight));
        })?;
        lines.clear();
        lines.extend(transform.iter().enumerate().map(|(k, line)| line.norm_sqr() * (scale * sides(k, n))));
        Ok(())
    }

    /// A window's weights and their sums.
    pub(crate) fn weights(&mut self, window: Window, n: usize) -> Arc<Weights> {
        let plan = self.plan(n);
        self.plans[plan].weights(window)
    }

    /// As [`Self::filled`].
    pub(crate) fn transform(&mut self, n: usize, fill: impl FnOnce(&mut Vec<f64>)) -> Option<&[Complex<f64>]> {
        self.filled(n, fill).ok()
    }

    /// The transform (unscaled, `n / 2 + 1` lines) of samples that `fill` puts into an empty buffer; zeros follow if they
    /// are fewer than `n`.
    pub(crate) fn filled(&mut self, n: usize, fill: impl FnOnce(&mut Vec<f64>)) -> Result<&[Complex<f64>]> {
        let mut samples = std::mem::take(&mut self.samples);
        samples.clear();
        fill(&mut samples);
        samples.resize(n, 0.0);
        let mut lines = std::mem::take(&mut self.lines);
        let done = self.forward(&mut samples, &mut lines);
        (self.samples, self.lines) = (samples, lines);
        done.map(|()| self.lines.as_slice())
    }

    /// `np.fft.rfft(samples)` into `lines`, unscaled: `n / 2 + 1` of them. What is in `samples` is lost.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`] for no samples or more than [`SAMPLES_MAX`].
    pub fn forward(&mut self, samples: &mut [f64], lines: &mut Vec<Complex<f64>>) -> Result<()> {
        check_length(samples.len())?;
        lines.resize(samples.len() / 2 + 1, Complex::default());
        let plan = self.plan(samples.len());
        let fft = self.plans[plan].forward();
        let scratch = room(&mut self.scratch, fft.get_scratch_len());
        fft.process_with_scratch(samples, lines, scratch).map_err(|error| mismatch(&error))
    }

    /// `n * np.fft.irfft(lines, n)` into `samples`, `n` of them. What is in `lines` is lost; the imaginary parts of line
    /// 0 and, if `n` is even, of the last one count as 0.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`] for no samples, more than [`SAMPLES_MAX`], or not `n / 2 + 1` lines.
    pub fn inverse(&mut self, lines: &mut [Complex<f64>], samples: &mut [f64]) -> Result<()> {
        check_length(samples.len())?;
        if let Some(first) = lines.first_mut() {
            first.im = 0.0;
        }
        if let (0, Some(last)) = (samples.len() % 2, lines.last_mut()) {
            last.im = 0.0;
        }
        let plan = self.plan(samples.len());
        let fft = self.plans[plan].inverse();
        let scratch = room(&mut self.scratch, fft.get_scratch_len());
        fft.process_with_scratch(lines, samples, scratch).map_err(|error| mismatch(&error))
    }

    /// `n * np.fft.ifft(lines)` in place.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`] for no lines or more than [`SAMPLES_MAX`].
    pub fn complex_inverse(&mut self, lines: &mut [Complex<f64>]) -> Result<()> {
        check_length(lines.len())?;
        let plan = self.plan(lines.len());
        let fft = self.plans[plan].complex_inverse();
        let scratch = room(&mut self.scratch, fft.get_inplace_scratch_len());
        fft.process_with_scratch(lines, scratch);
        Ok(())
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
pub(crate) struct Weights {
    pub(crate) each: Vec<f64>,
    pub(crate) sum: f64,
    pub(crate) square_sum: f64,
}

impl Weights {
    /// Of one sample: 1, as SciPy's.
    fn of(window: Window, n: usize) -> Self {
        let each: Vec<f64> = if n == 1 { vec![1.0] } else { (0..n).map(|i| window.weight(i, n)).collect() };
        let (sum, square_sum) = (sum_of(each.iter().copied()), sum_of(each.iter().map(|w| w * w)));
        Self { each, sum, square_sum }
    }
}

impl Scaling {
    /// Factor of a squared line.
    pub(crate) fn of(self, weights: &Weights, rate_hz: f64) -> f64 {
        match self {
            Self::Density => 1.0 / (rate_hz * weights.square_sum),
            Self::Spectrum => 1.0 / (weights.sum * weights.sum),
        }
    }
}

/// How many lines of the two-sided spectrum line `k` stands for.
pub(crate) fn sides(k: usize, n: usize) -> f64 {
    if k == 0 || 2 * k == n { 1.0 } else { 2.0 }
}

/// The scratch of a transform; what was in it does not matter.
fn room(scratch: &mut Vec<Complex<f64>>, needed: usize) -> &mut [Complex<f64>] {
    if scratch.len() < needed {
        scratch.resize(needed, Complex::default());
    }
    &mut scratch[..needed]
}

/// Refuses no samples, too many, and a rate that is not finite and positive.
pub(crate) fn check(x: &[f64], rate_hz: f64) -> Result<()> {
    check_length(x.len())?;
    if !(rate_hz.is_finite() && rate_hz > 0.0) {
        return Err(invalid("rate_hz", &rate_hz, "finite and greater than 0"));
    }
    Ok(())
}

fn check_length(n: usize) -> Result<()> {
    if (1..=SAMPLES_MAX).contains(&n) { Ok(()) } else { Err(invalid("samples", &n, "1 to 16777216")) }
}

fn mismatch(error: &dyn ToString) -> CoreError {
    invalid("samples", error, "as many as planned, and n / 2 + 1 lines")
}

/// An argument outside its range.
pub(crate) fn invalid(name: &'static str, value: &dyn ToString, allowed: &'static str) -> CoreError {
    CoreError::InvalidParameter { name, value: value.to_string(), allowed }
}
