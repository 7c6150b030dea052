//! What a vibration analyst reads off the samples themselves.

use crate::features::time::{CentralMoments, LANES, Sums, central_moments, sums, total};

macro_rules! features {
    ($(#[$about:meta])+ names: $($(#[$doc:meta])+ $name:ident,)+) => {
        $(#[$about])+
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct WaveformFeatures {
            $($(#[$doc])+ pub $name: f64,)+
        }

        impl WaveformFeatures {
            /// Names, in the order of [`WaveformFeatures::to_array`].
            pub const NAMES: [&'static str; 18] = [$(stringify!($name)),+];

            /// In the order of [`WaveformFeatures::NAMES`].
            #[must_use]
            pub fn to_array(&self) -> [f64; 18] {
                [$(self.$name),+]
            }

            /// What overflowed is undefined, and so is everything of no samples.
            fn or_undefined(self, empty: bool) -> Self {
                let defined = |x: f64| if x.is_finite() && !empty { x } else { f64::NAN };
                Self { $($name: defined(self.$name)),+ }
            }
        }
    };
}

features! {
    /// Features of a waveform `x` of `n` samples; NaN stands for "undefined here".
    ///
    /// In the definitions `rms = np.sqrt(np.mean(x**2))`, `peak = np.max(np.abs(x))`, `dx = np.diff(x)`. Peak, crest, shape,
    /// impulse and clearance factor: Lei, *Intelligent Fault Diagnosis and Remaining Useful Life Prediction of Rotating
    /// Machinery*, 2017, table 2.1 (crest factor also ISO 13373-1:2002, 5.3.3). Hjorth parameters: Hjorth,
    /// Electroencephalography and Clinical Neurophysiology 29 (1970) 306, per sample: times the rate they are per second.
    ///
    /// Undefined are: everything for no samples; the factors where all samples are 0; skewness, kurtosis, mobility and
    /// complexity of constant samples (where SciPy calls them constant); complexity also where `dx` is constant, and of
    /// fewer than 3 samples.
    names:
    /// `np.mean(x)`
    mean,
    /// `np.std(x)`
    std,
    /// `np.min(x)`
    min,
    /// `np.max(x)`
    max,
    /// `np.sqrt(np.mean(x**2))`
    rms,
    /// `np.max(np.abs(x))`
    peak,
    /// `np.ptp(x)`
    peak_to_peak,
    /// `peak / rms`
    crest_factor,
    /// `rms / np.mean(np.abs(x))`
    shape_factor,
    /// `peak / np.mean(np.abs(x))`
    impulse_factor,
    /// `peak / np.mean(np.sqrt(np.abs(x)))**2`
    clearance_factor,
    /// `scipy.stats.skew(x)`
    skewness,
    /// `scipy.stats.kurtosis(x)`: excess, 0 for a normal distribution.
    kurtosis,
    /// `np.count_nonzero(np.diff(x < 0))`
    zero_crossings,
    /// `np.count_nonzero(np.diff(x < np.mean(x)))`: an offset does not change it.
    mean_crossings,
    /// `np.var(x)`: Hjorth's activity.
    activity,
    /// `np.sqrt(np.var(dx) / np.var(x))`: Hjorth's mobility, the mean angular frequency in radians a sample.
    mobility,
    /// Mobility of `dx` over mobility of `x`: Hjorth's complexity, 1 for a sine.
    complexity,
}

impl WaveformFeatures {
    /// Features of finite samples, in order of time.
    #[must_use]
    pub fn of(x: &[f64]) -> Self {
        let sums = sums(x);
        let moments = central_moments(x, sums.mean());
        Self::from_parts(x, &sums, &moments)
    }

    /// As [`WaveformFeatures::of`], from passes that were already made over the same samples.
    #[must_use]
    pub fn from_parts(x: &[f64], sums: &Sums, moments: &CentralMoments) -> Self {
        let n = x.len() as f64;
        let sizes = Sizes::of(x, moments.mean);
        let (peak, rms, mean_size) = (sums.max.max(-sums.min), sums.rms(), sizes.sum / n);
        let (mobility, complexity) = hjorth(x, moments, peak);
        Self {
            mean: moments.mean,
            std: moments.std(),
            min: sums.min,
            max: sums.max,
            rms,
            peak,
            peak_to_peak: sums.max - sums.min,
            crest_factor: peak / rms,
            shape_factor: rms / mean_size,
            impulse_factor: peak / mean_size,
            clearance_factor: peak / (sizes.root_sum / n).powi(2),
            skewness: moments.skewness(),
            kurtosis: moments.kurtosis(),
            zero_crossings: sizes.zero_crossings as f64,
            mean_crossings: sizes.mean_crossings as f64,
            activity: moments.second,
            mobility,
            complexity,
        }
        .or_undefined(x.is_empty())
    }
}

/// Sums over `|x|`, and crossings.
struct Sizes {
    sum: f64,
    root_sum: f64,
    zero_crossings: usize,
    mean_crossings: usize,
}

impl Sizes {
    fn of(x: &[f64], mean: f64) -> Self {
        let (mut sum, mut root) = ([0.0; LANES], [0.0; LANES]);
        let (blocks, rest) = x.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                sum[lane] += block[lane].abs();
                root[lane] += block[lane].abs().sqrt();
            }
        }
        for (lane, x) in rest.iter().enumerate() {
            sum[lane] += x.abs();
            root[lane] += x.abs().sqrt();
        }
        let pairs = || x.iter().zip(x.iter().skip(1));
        let count = |level: f64| pairs().filter(|(a, b)| (**a < level) != (**b < level)).count();
        Self { sum: total(sum), root_sum: total(root), zero_crossings: count(0.0), mean_crossings: count(mean) }
    }
}

/// Mobility and complexity. The differences' means are known from their ends, so that one pass gives their variances.
fn hjorth(x: &[f64], moments: &CentralMoments, peak: f64) -> (f64, f64) {
    let ([first, .., before, last], false) = (x, moments.is_constant()) else { return of_two(x, moments) };
    let (n, mean_step) = (x.len() as f64, (last - first) / (x.len() - 1) as f64);
    let mean_bend = ((last - before) - (x[1] - first)) / (n - 2.0);
    let (steps, bends) = difference_squares(x, mean_step, mean_bend);
    let (steps, bends) = (steps / (n - 1.0), bends / (n - 2.0));
    let mobility = (steps / moments.second).sqrt();
    // Rounding of the samples alone makes steps vary by this much.
    let complexity = if steps.sqrt() <= 1e-15 * peak { f64::NAN } else { (bends / steps).sqrt() / mobility };
    (mobility, complexity)
}

/// Two different samples have one step, which does not vary.
fn of_two(x: &[f64], moments: &CentralMoments) -> (f64, f64) {
    (if x.len() == 2 && !moments.is_constant() { 0.0 } else { f64::NAN }, f64::NAN)
}

/// Sums of the squares of first and second differences' distances from their means, of at least 3 samples.
fn difference_squares(x: &[f64], mean_step: f64, mean_bend: f64) -> (f64, f64) {
    let n = x.len();
    let (mut steps, mut bends) = ([0.0; LANES], [0.0; LANES]);
    let mut add = |lane: usize, a: f64, b: f64, c: f64| {
        let (step, bend) = (b - a - mean_step, (c - b) - (b - a) - mean_bend);
        steps[lane] += step * step;
        bends[lane] += bend * bend;
    };
    let (a, b, c) = (x[..n - 2].as_chunks::<LANES>(), x[1..n - 1].as_chunks::<LANES>(), x[2..].as_chunks::<LANES>());
    for ((a, b), c) in a.0.iter().zip(b.0).zip(c.0) {
        (0..LANES).for_each(|lane| add(lane, a[lane], b[lane], c[lane]));
    }
    for (lane, ((a, b), c)) in a.1.iter().zip(b.1).zip(c.1).enumerate() {
        add(lane, *a, *b, *c);
    }
    let last = x[n - 1] - x[n - 2] - mean_step;
    (total(steps) + last * last, total(bends))
}
