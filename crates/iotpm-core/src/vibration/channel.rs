//! The fast path: everything that is watched on a channel, from one block of `f32` samples at a time.
//!
//! Three transforms a block: the centred samples (amplitude spectrum, velocity and the band of the envelope all come from
//! it), the inverse of the band, and that of the envelope. The Hann window is applied to the lines, not the samples: the
//! periodic one is exactly `h[k] = x[k] / 2 - (x[k - 1] + x[k + 1]) / 4` there (Harris, Proc. IEEE 66 (1978) 51, section
//! V.C), and a mean is taken out of line 0 before. Samples are centred and scaled by a power of two, so that powers of
//! them neither overflow nor vanish; sums run in `f32` over short blocks and in `f64` beyond, which keeps 1e-4 with room
//! to spare. Nothing is allocated after [`ChannelAnalyser::new`].

use std::{f64::consts::TAU, fmt, ops::Range, sync::Arc};

use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex};
use rustfft::{Fft, FftPlanner};

use super::{FrequencyBand, velocity::velocity_lines};
use crate::{
    Result,
    features::time::{CentralMoments, moved},
    spectrum::{SAMPLES_MAX, invalid, sides},
};

/// What a channel is watched for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelOptions {
    /// Samples a second, Hz.
    pub rate_hz: f64,
    /// Samples in a block, 16 or more.
    pub samples: usize,
    /// Band of the velocity RMS.
    pub velocity_band: FrequencyBand,
    /// Band of which the envelope is taken.
    pub envelope_band: FrequencyBand,
}

/// Figures of a block. Units are those of the samples `x`; NaN where undefined (a constant block).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelFeatures {
    /// `np.sqrt(np.mean(x**2))`
    pub rms: f64,
    /// `np.max(np.abs(x))`
    pub peak: f64,
    /// `peak / rms`
    pub crest_factor: f64,
    /// `scipy.stats.skew(x)`
    pub skewness: f64,
    /// `scipy.stats.kurtosis(x)`: excess, 0 for a normal distribution.
    pub kurtosis: f64,
    /// [`super::velocity_rms`] of the velocity band, in the unit of the samples times a second.
    pub velocity_rms: f64,
}

impl ChannelFeatures {
    /// Names of [`Self::to_array`]'s values.
    pub const NAMES: [&'static str; 6] = ["rms", "peak", "crest_factor", "skewness", "kurtosis", "velocity_rms"];

    /// The figures by [`Self::NAMES`].
    #[must_use]
    pub fn to_array(self) -> [f64; 6] {
        [self.rms, self.peak, self.crest_factor, self.skewness, self.kurtosis, self.velocity_rms]
    }
}

/// Plans and buffers for blocks of one length; holds no results. One a thread.
pub struct ChannelAnalyser {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    /// The lines of the envelope's band.
    band: Range<usize>,
    velocity: VelocityWeights,
    samples: Vec<f32>,
    lines: Vec<Complex<f32>>,
    analytic: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl ChannelAnalyser {
    /// Plans everything.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for a rate that is not positive, fewer than 16
    /// samples or too many, and bands that start at 0 (velocity), end beyond half the rate or hold no line.
    pub fn new(options: &ChannelOptions) -> Result<Self> {
        let (n, rate_hz) = (options.samples, options.rate_hz);
        if !(16..=SAMPLES_MAX).contains(&n) {
            return Err(invalid("samples", &n, "16 to 16777216"));
        }
        if !(rate_hz.is_finite() && rate_hz > 0.0) {
            return Err(invalid("rate_hz", &rate_hz, "finite and greater than 0"));
        }
        options.envelope_band.check(rate_hz / 2.0)?;
        let (forward, inverse) = (RealFftPlanner::new().plan_fft_forward(n), FftPlanner::new().plan_fft_inverse(n));
        let scratch = forward.get_scratch_len().max(inverse.get_inplace_scratch_len());
        Ok(Self {
            band: options.envelope_band.lines(n / 2 + 1, rate_hz / n as f64),
            velocity: VelocityWeights::of(options.velocity_band, n, rate_hz)?,
            samples: vec![0.0; n],
            lines: vec![Complex::default(); n / 2 + 1],
            analytic: vec![Complex::default(); n],
            scratch: vec![Complex::default(); scratch],
            forward,
            inverse,
        })
    }

    /// Samples in a block.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples.len()
    }

    /// Lines of each spectrum: `samples / 2 + 1`, `rate_hz / samples` apart.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// Figures of a block, its amplitude spectrum, and that of its envelope, both Hann-weighted and without their means:
    /// [`super::amplitude`] and [`super::envelope_spectrum`].
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for blocks and spectra of other lengths than
    /// planned, and samples that are not finite.
    pub fn analyse(&mut self, x: &[f32], amplitude: &mut [f32], envelope: &mut [f32]) -> Result<ChannelFeatures> {
        self.check(x.len(), amplitude.len().min(envelope.len()), amplitude.len().max(envelope.len()))?;
        let level = Level::of(x)?;
        let moments = centre(x, level, &mut self.samples);
        self.transform()?;
        hann_squares(&self.lines, self.samples.len(), amplitude);
        let velocity_rms = self.velocity.rms(amplitude) / f64::from(level.scale);
        self.envelope();
        to_amplitudes(amplitude, level.scale);
        self.transform()?;
        hann_squares(&self.lines, self.samples.len(), envelope);
        to_amplitudes(envelope, level.scale);
        Ok(features(level, moments, velocity_rms))
    }

    fn check(&self, samples: usize, lines_min: usize, lines_max: usize) -> Result<()> {
        if samples != self.samples.len() {
            return Err(invalid("samples", &samples, "as many as planned"));
        }
        if lines_min != self.lines.len() || lines_max != self.lines.len() {
            return Err(invalid("lines", &lines_min, "samples / 2 + 1 for both spectra"));
        }
        Ok(())
    }

    /// The lines of the samples, without line 0: their mean. What was in the samples is lost.
    fn transform(&mut self) -> Result<()> {
        let scratch = &mut self.scratch[..self.forward.get_scratch_len()];
        let done = self.forward.process_with_scratch(&mut self.samples, &mut self.lines, scratch);
        done.map_err(|error| invalid("samples", &error, "as many as planned"))?;
        self.lines[0] = Complex::default();
        Ok(())
    }

    /// Envelope of the band into the samples.
    fn envelope(&mut self) {
        let n = self.samples.len();
        let Range { start, end } = self.band;
        self.analytic.fill(Complex::default());
        let kept = self.analytic[start..end].iter_mut().zip(&self.lines[start..end]);
        kept.for_each(|(to, line)| *to = line * (2.0 / n as f32));
        if n.is_multiple_of(2) && end == self.lines.len() {
            self.analytic[n / 2] /= 2.0;
        }
        self.inverse.process_with_scratch(&mut self.analytic, &mut self.scratch);
        self.samples.iter_mut().zip(&self.analytic).for_each(|(x, z)| *x = (z.re * z.re + z.im * z.im).sqrt());
    }
}

impl fmt::Debug for ChannelAnalyser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelAnalyser").field("samples", &self.samples()).finish_non_exhaustive()
    }
}

fn features(level: Level, moments: CentralMoments, velocity_rms: f64) -> ChannelFeatures {
    let scale = f64::from(level.scale);
    let mean = f64::from(level.about) + moments.mean / scale;
    let rms = (moments.second / (scale * scale) + mean * mean).sqrt();
    let peak = f64::from(level.max.max(-level.min));
    let constant = level.min == level.max;
    let unless_constant = |value: f64| if constant { f64::NAN } else { value };
    ChannelFeatures {
        rms: if constant { peak } else { rms },
        peak,
        crest_factor: unless_constant(peak / rms),
        skewness: unless_constant(moments.skewness()),
        kurtosis: unless_constant(moments.kurtosis()),
        velocity_rms,
    }
}

/// Samples summed in `f32` before the sum goes on in `f64`, and partial sums within: 16 additions follow each other.
const BLOCK: usize = 256;
const LANES: usize = 16;

/// Where a block lies.
#[derive(Clone, Copy)]
struct Level {
    min: f32,
    max: f32,
    /// Its mean, nearly.
    about: f32,
    /// Power of two that brings what is left without it to within -2 and 2.
    scale: f32,
}

impl Level {
    fn of(x: &[f32]) -> Result<Self> {
        let (mut min, mut max, mut sum) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES], 0.0);
        for block in x.chunks(BLOCK) {
            let mut part = [0.0_f32; LANES];
            let (rows, rest) = block.as_chunks::<LANES>();
            let mut add = |lane: usize, x: f32| {
                part[lane] += x;
                min[lane] = if x < min[lane] { x } else { min[lane] };
                max[lane] = if x > max[lane] { x } else { max[lane] };
            };
            rows.iter().for_each(|row| (0..LANES).for_each(|lane| add(lane, row[lane])));
            rest.iter().enumerate().for_each(|(lane, &x)| add(lane, x));
            sum += total(part);
        }
        if !sum.is_finite() {
            return Err(not_finite(x));
        }
        let (min, max) = (min.into_iter().fold(min[0], f32::min), max.into_iter().fold(max[0], f32::max));
        let about = (sum / x.len() as f64) as f32;
        Ok(Self { min, max, about, scale: scale_of((max - about).max(about - min)) })
    }
}

/// A power of two that brings a greatest distance to between 1 and 2; 1 for none.
fn scale_of(distance: f32) -> f32 {
    const EXPONENT: u32 = 0x7F80_0000;
    // 2^127 over 2^e is 2^(127 - e), in the exponent's own terms.
    let exponent = (distance.to_bits() & EXPONENT).clamp(1 << 23, 253 << 23);
    if distance > 0.0 { f32::from_bits((254 << 23) - exponent) } else { 1.0 }
}

fn not_finite(x: &[f32]) -> crate::CoreError {
    let found = x.iter().enumerate().find(|(_, x)| !x.is_finite());
    let text = found.map_or_else(|| "too large to be added up".to_owned(), |(i, x)| format!("{x} at sample {i}"));
    invalid("x", &text, "finite; leave bad samples out")
}

fn total(lanes: [f32; LANES]) -> f64 {
    lanes.into_iter().map(f64::from).sum()
}

/// Samples without their level and scaled, and their moments.
fn centre(x: &[f32], level: Level, samples: &mut [f32]) -> CentralMoments {
    let mut sums = [0.0; 4];
    for (x, centred) in x.chunks(BLOCK).zip(samples.chunks_mut(BLOCK)) {
        centred.iter_mut().zip(x).for_each(|(to, x)| *to = (x - level.about) * level.scale);
        let parts = powers(centred);
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += total(part));
    }
    moved(0.0, sums.map(|sum| sum / x.len() as f64))
}

/// Sums of the first four powers, by lanes.
fn powers(block: &[f32]) -> [[f32; LANES]; 4] {
    let mut sums = [[0.0; LANES]; 4];
    let mut add = |lane: usize, d: f32| {
        let square = d * d;
        sums[0][lane] += d;
        sums[1][lane] += square;
        sums[2][lane] += square * d;
        sums[3][lane] += square * square;
    };
    let (rows, rest) = block.as_chunks::<LANES>();
    rows.iter().for_each(|row| (0..LANES).for_each(|lane| add(lane, row[lane])));
    rest.iter().enumerate().for_each(|(lane, &d)| add(lane, d));
    sums
}

/// Squared amplitude of a sine on each line of `n` samples, Hann-weighted, from the transform of the samples.
fn hann_squares(lines: &[Complex<f32>], n: usize, squares: &mut [f32]) {
    // Of a real signal the line before 0 is the mirror image of line 1, that after the last one likewise.
    let last = lines.len() - 1;
    let beyond = if n.is_multiple_of(2) { lines[last - 1] } else { lines[last] }.conj();
    let scale = 4.0 / n as f32;
    let square = |before: Complex<f32>, at: Complex<f32>, after: Complex<f32>, scale: f32| {
        let re = scale * (0.5 * at.re - 0.25 * (before.re + after.re));
        let im = scale * (0.5 * at.im - 0.25 * (before.im + after.im));
        re * re + im * im
    };
    let inner = squares[1..last].iter_mut().zip(&lines[..last - 1]).zip(&lines[1..last]).zip(&lines[2..]);
    inner.for_each(|(((to, before), at), after)| *to = square(*before, *at, *after, scale));
    squares[0] = square(lines[1].conj(), lines[0], lines[1], scale / 2.0);
    squares[last] = square(lines[last - 1], lines[last], beyond, scale / 2.0 * sides(last, n) as f32);
}

fn to_amplitudes(squares: &mut [f32], scale: f32) {
    let factor = scale.recip();
    squares.iter_mut().for_each(|square| *square = square.sqrt() * factor);
}

/// Weights of squared amplitudes in a squared velocity.
struct VelocityWeights {
    first: usize,
    each: Vec<f64>,
}

impl VelocityWeights {
    /// Of a line at `f` with squared amplitude `a`: its power `a / 2` (`a` itself at half the rate), times 2 / 3 for the
    /// width of the window, over the square of `2 pi f`.
    fn of(band: FrequencyBand, n: usize, rate_hz: f64) -> Result<Self> {
        let held = velocity_lines(band, n, rate_hz)?;
        let weight = |k: usize| 2.0 / (3.0 * sides(k, n)) / (TAU * k as f64 * rate_hz / n as f64).powi(2);
        Ok(Self { first: held.start, each: held.map(weight).collect() })
    }

    fn rms(&self, squares: &[f32]) -> f64 {
        let held = squares[self.first..].iter().zip(&self.each);
        held.map(|(&square, weight)| f64::from(square) * weight).sum::<f64>().sqrt()
    }
}
