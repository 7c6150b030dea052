//! The 17 features of a window of one signal.
//!
//! Kernels are in [`time`] and [`frequency`]; [`WindowFeatures::compute`] puts them together. Windows are independent:
//! a feature depends on the window's values, in order, and the rate, on nothing else.

pub mod frequency;
pub mod time;

use serde::{Deserialize, Serialize};

use crate::spectrum::SpectrumPlanner;

/// Fewest readings for spectral features and a sampling rate.
pub const SPECTRAL_MIN: usize = 16;

/// Greatest jitter (standard deviation of the intervals over their mean) of readings that count as equally spaced.
pub const JITTER_MAX: f64 = 0.01;

/// The 17 window features; NaN stands for "undefined here" and is stored as null.
///
/// In the definitions `x` are the window's `n` values, `fs` its rate, `rms = np.sqrt(np.mean(x**2))`, and
/// `f, P = scipy.signal.periodogram(x, fs, window='boxcar', detrend='constant', scaling='spectrum')` without line 0
/// (`f, P = f[1:], P[1:]`). Undefined are: everything for no values; skewness, kurtosis, crest factor and the spectral
/// features of a constant window, that is where SciPy calls it constant,
/// `np.var(x) <= (1e-15 * np.mean(x))**2`; the spectral features also below [`SPECTRAL_MIN`] readings or without a
/// rate; and whatever overflows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowFeatures(pub [f64; 17]);

macro_rules! features {
    ($($(#[$doc:meta])+ $name:ident = $index:literal,)+) => {
        impl WindowFeatures {
            /// Names, in the order of the array and of the `windows` table.
            pub const NAMES: [&'static str; 17] = [$(stringify!($name)),+];

            $(
                $(#[$doc])+
                #[must_use]
                pub fn $name(&self) -> f64 {
                    self.0[$index]
                }
            )+
        }
    };
}

features! {
    /// `np.mean(x)`
    mean = 0,
    /// `np.std(x)`
    std = 1,
    /// `np.min(x)`
    min = 2,
    /// `np.max(x)`
    max = 3,
    /// `np.sqrt(np.mean(x**2))`
    rms = 4,
    /// `np.ptp(x)`
    peak_to_peak = 5,
    /// `scipy.stats.skew(x)`
    skewness = 6,
    /// `scipy.stats.kurtosis(x)`: excess, 0 for a normal distribution.
    kurtosis = 7,
    /// `np.max(np.abs(x)) / rms`; null for a constant window.
    crest_factor = 8,
    /// `f[np.argmax(P)]`, Hz
    dominant_frequency = 9,
    /// `np.sqrt(np.max(P) * (1 if f[np.argmax(P)] == fs / 2 else 2))`: the amplitude of a sine on that line.
    dominant_amplitude = 10,
    /// `scipy.stats.entropy(P) / np.log(len(P))`: 0 for one line, 1 for a flat spectrum.
    spectral_entropy = 11,
    /// `np.sum(f * P) / np.sum(P)`, Hz
    spectral_centroid = 12,
    /// `np.percentile(x, 25)`
    q25 = 13,
    /// `np.percentile(x, 50)`
    median = 14,
    /// `np.percentile(x, 75)`
    q75 = 15,
    /// `np.percentile(x, 75) - np.percentile(x, 25)`
    iqr = 16,
}

/// What [`WindowFeatures::compute`] needs between windows: plans by length (bounded) and buffers. Holds no results:
/// fresh and used scratch give equal features.
#[derive(Debug, Default)]
pub struct FeatureScratch {
    spectrum: SpectrumPlanner,
    powers: Vec<f64>,
    quartiles: time::QuartileScratch,
}

impl FeatureScratch {
    /// Empty: memory comes with the first window.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl WindowFeatures {
    /// Features of `values`, in order of time, finite; `rate_hz` from [`sampling_rate_hz`] or a waveform's header.
    #[must_use]
    pub fn compute(values: &[f64], rate_hz: Option<f64>, scratch: &mut FeatureScratch) -> Self {
        if values.is_empty() {
            return Self([f64::NAN; 17]);
        }
        let sums = time::sums(values);
        let moments = time::central_moments(values, sums.mean());
        let [q25, median, q75] = time::quartiles(values, sums.min, sums.max, &mut scratch.quartiles);
        let spectral = match rate_hz {
            Some(rate_hz) if rate_hz > 0.0 && values.len() >= SPECTRAL_MIN && !moments.is_constant() => {
                frequency::of_window(values, moments.mean, rate_hz, scratch)
            }
            _ => frequency::Spectral::UNDEFINED,
        };
        Self(
            [
                moments.mean,
                moments.std(),
                sums.min,
                sums.max,
                sums.rms(),
                sums.max - sums.min,
                moments.skewness(),
                moments.kurtosis(),
                if moments.is_constant() { f64::NAN } else { sums.crest_factor() },
                spectral.dominant_frequency_hz,
                spectral.dominant_amplitude,
                spectral.entropy,
                spectral.centroid_hz,
                q25,
                median,
                q75,
                q75 - q25,
            ]
            .map(|feature| if feature.is_finite() { feature } else { f64::NAN }),
        )
    }
}

/// Sampling rate of readings at `times_us` (ascending), Hz: `1e6 / np.mean(np.diff(times_us))`.
///
/// `None` below [`SPECTRAL_MIN`] readings, or if the jitter `np.std(d) / np.mean(d)`, `d = np.diff(times_us)`, is above
/// [`JITTER_MAX`], or if time does not advance.
#[must_use]
pub fn sampling_rate_hz(times_us: &[i64]) -> Option<f64> {
    let (first, last) = (*times_us.first()?, *times_us.last()?);
    let mean = last.checked_sub(first)? as f64 / (times_us.len() - 1) as f64;
    if times_us.len() < SPECTRAL_MIN || mean <= 0.0 {
        return None;
    }
    let square = |pair: &[i64]| (pair[1].wrapping_sub(pair[0]) as f64 - mean).powi(2);
    let variance = time::sum_of(times_us.windows(2).map(square)) / (times_us.len() - 1) as f64;
    (variance.sqrt() <= JITTER_MAX * mean).then(|| 1e6 / mean)
}
