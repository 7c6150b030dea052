//! Features of the values themselves: moments and quartiles.

use crate::robust::quantile_by_rank;

/// Independent partial sums, so that additions need not wait for each other and the compiler can use vectors. The order
/// of additions is fixed by this number: results do not vary with the machine.
pub(crate) const LANES: usize = 8;

/// First pass over a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sums {
    /// Values.
    pub count: usize,
    /// `np.sum(x)`
    pub sum: f64,
    /// `np.sum(x**2)`
    pub square_sum: f64,
    /// `np.min(x)`; infinite for none.
    pub min: f64,
    /// `np.max(x)`; negatively infinite for none.
    pub max: f64,
}

impl Sums {
    /// `np.mean(x)`
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.min == self.max { self.min } else { self.sum / self.count as f64 }
    }

    /// `np.sqrt(np.mean(x**2))`
    #[must_use]
    pub fn rms(&self) -> f64 {
        (self.square_sum / self.count as f64).sqrt()
    }

    /// `np.max(np.abs(x)) / rms`
    #[must_use]
    pub fn crest_factor(&self) -> f64 {
        self.max.max(-self.min) / self.rms()
    }
}

/// Sum, sum of squares and extremes in one pass.
#[must_use]
pub fn sums(values: &[f64]) -> Sums {
    let (mut sum, mut square) = ([0.0; LANES], [0.0; LANES]);
    let (mut min, mut max) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    let mut add = |lane: usize, x: f64| {
        sum[lane] += x;
        square[lane] += x * x;
        min[lane] = if x < min[lane] { x } else { min[lane] };
        max[lane] = if x > max[lane] { x } else { max[lane] };
    };
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        (0..LANES).for_each(|lane| add(lane, block[lane]));
    }
    rest.iter().enumerate().for_each(|(lane, &x)| add(lane, x));
    Sums {
        count: values.len(),
        sum: total(sum),
        square_sum: total(square),
        min: min.into_iter().fold(f64::INFINITY, f64::min),
        max: max.into_iter().fold(f64::NEG_INFINITY, f64::max),
    }
}

/// Sum of the partial sums, in one fixed order.
pub(crate) fn total(lanes: [f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Sum by lanes, for terms that are not a slice.
pub(crate) fn sum_of(mut terms: impl ExactSizeIterator<Item = f64>) -> f64 {
    let mut lanes = [0.0; LANES];
    while terms.len() >= LANES {
        lanes.iter_mut().zip(&mut terms).for_each(|(lane, term)| *lane += term);
    }
    lanes.iter_mut().zip(terms).for_each(|(lane, term)| *lane += term);
    total(lanes)
}

/// Mean and central moments of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CentralMoments {
    /// `np.mean(x)`, corrected by the mean of the residuals.
    pub mean: f64,
    /// `np.mean((x - mean)**2)`
    pub second: f64,
    /// `np.mean((x - mean)**3)`
    pub third: f64,
    /// `np.mean((x - mean)**4)`
    pub fourth: f64,
}

impl CentralMoments {
    /// Whether the window is constant up to rounding, as `scipy.stats.skew` decides it.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.second <= (1e-15 * self.mean).powi(2)
    }

    /// `np.std(x)`
    #[must_use]
    pub fn std(&self) -> f64 {
        self.second.sqrt()
    }

    /// `scipy.stats.skew(x)`; NaN for a constant window.
    #[must_use]
    pub fn skewness(&self) -> f64 {
        if self.is_constant() { f64::NAN } else { self.third / (self.second * self.second.sqrt()) }
    }

    /// `scipy.stats.kurtosis(x)`; NaN for a constant window.
    #[must_use]
    pub fn kurtosis(&self) -> f64 {
        if self.is_constant() { f64::NAN } else { self.fourth / (self.second * self.second) - 3.0 }
    }
}

/// Second pass: moments of the residuals from `about`, an approximate mean, then moved to the mean itself
/// (the corrected two-pass algorithm: Chan, Golub & LeVeque, The American Statistician 37 (1983) 242, eq. 1.7, extended
/// by the binomial theorem to the third and fourth). An offset of `values` costs no digits beyond those it took
/// already.
#[must_use]
pub fn central_moments(values: &[f64], about: f64) -> CentralMoments {
    let (mut first, mut second) = ([0.0; LANES], [0.0; LANES]);
    let (mut third, mut fourth) = ([0.0; LANES], [0.0; LANES]);
    let mut add = |lane: usize, x: f64| {
        let d = x - about;
        let square = d * d;
        first[lane] += d;
        second[lane] += square;
        third[lane] += square * d;
        fourth[lane] += square * square;
    };
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        (0..LANES).for_each(|lane| add(lane, block[lane]));
    }
    rest.iter().enumerate().for_each(|(lane, &x)| add(lane, x));
    let n = values.len() as f64;
    moved(about, [first, second, third, fourth].map(|lanes| total(lanes) / n))
}

/// Moments about `about` to central moments.
pub(crate) fn moved(about: f64, [d, second, third, fourth]: [f64; 4]) -> CentralMoments {
    let square = d * d;
    CentralMoments {
        mean: about + d,
        second: (second - square).max(0.0),
        third: third - 3.0 * d * second + 2.0 * d * square,
        fourth: fourth - 4.0 * d * third + 6.0 * square * second - 3.0 * square * square,
    }
}

/// Buckets of [`quartiles`], as many as a `u8` can name.
const BUCKETS: usize = 256;

/// Adding it to a number from 0 to 255 leaves that number, rounded, in the lowest byte: 2^52.
const ROUND_TO_BITS: f64 = 4_503_599_627_370_496.0;

/// Buffers of [`quartiles`].
#[derive(Clone, Debug)]
pub struct QuartileScratch {
    keys: Vec<u8>,
    values: Vec<f64>,
    /// Where each bucket's values end, once they are dealt out.
    ends: [u32; BUCKETS],
}

impl Default for QuartileScratch {
    fn default() -> Self {
        Self { keys: Vec::new(), values: Vec::new(), ends: [0; BUCKETS] }
    }
}

/// `np.percentile(x, [25, 50, 75])` of values between `min` and `max`; NaN of none.
///
/// Selection by counting: values are dealt into buckets of equal width, in order of value, and only the few buckets
/// that hold a wanted rank are looked into. Exact for any values; quickest where they spread over their range.
#[must_use]
pub fn quartiles(values: &[f64], min: f64, max: f64, scratch: &mut QuartileScratch) -> [f64; 3] {
    let scale = (BUCKETS - 1) as f64 / (max - min);
    if max - min == 0.0 && !values.is_empty() {
        return [min; 3];
    }
    scratch.deal(values, min, if scale.is_finite() && max - min < f64::INFINITY { scale } else { 0.0 });
    [0.25, 0.5, 0.75].map(|q| quantile_by_rank(values.len(), q, |rank| scratch.at(rank)))
}

impl QuartileScratch {
    /// Deals values into buckets; all into the first if the scale is 0.
    fn deal(&mut self, values: &[f64], min: f64, scale: f64) {
        self.keys.clear();
        self.keys.extend(values.iter().map(|x| ((x - min) * scale + ROUND_TO_BITS).to_bits() as u8));
        if scale == 0.0 {
            self.keys.fill(0);
        }
        self.ends.fill(0);
        self.keys.iter().for_each(|&key| self.ends[key as usize] += 1);
        self.starts();
        self.values.resize(values.len(), 0.0);
        for (&key, &x) in self.keys.iter().zip(values) {
            let place = &mut self.ends[key as usize];
            self.values[*place as usize] = x;
            *place += 1;
        }
    }

    /// Counts become starts; dealing makes them ends.
    fn starts(&mut self) {
        let mut start = 0;
        for count in &mut self.ends {
            start += std::mem::replace(count, start);
        }
    }

    /// The value of a rank below the number of values.
    fn at(&mut self, rank: usize) -> f64 {
        let bucket = self.ends.partition_point(|&end| end as usize <= rank);
        let start = if bucket == 0 { 0 } else { self.ends[bucket - 1] as usize };
        let values = &mut self.values[start..self.ends[bucket] as usize];
        if let [only] = values { *only } else { *values.select_nth_unstable_by(rank - start, f64::total_cmp).1 }
    }
}
