//! Values between equally spaced samples. Positions are in samples: 0 is the first, 1 the second.

use std::f64::consts::PI;

use crate::{Result, spectrum::invalid};

/// How values between samples are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Between {
    /// `scipy.interpolate.CubicSpline(np.arange(n), x)`, not-a-knot. Quick, exact for cubics; good below a quarter of the
    /// rate. What lies above half the new rate folds down.
    Cubic,
    /// Band-limited: a windowed sinc of 64 samples. Where the new samples lie wider apart than the old ones it is
    /// stretched, so that what lies above half the new rate is taken out instead of folding down.
    #[default]
    BandLimited,
}

impl Between {
    /// By name: `cubic` or `band_limited`.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for any other.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "cubic" => Ok(Self::Cubic),
            "band_limited" => Ok(Self::BandLimited),
            _ => Err(invalid("interpolation", &name, "cubic or band_limited")),
        }
    }
}

/// `x` at ascending `positions` within it.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for no samples, or a position outside 0 to the last
/// one.
pub fn interpolate(x: &[f64], positions: &[f64], between: Between) -> Result<Vec<f64>> {
    let last = x.len().checked_sub(1).ok_or_else(|| invalid("samples", &0, "1 or more"))? as f64;
    if let Some(outside) = positions.iter().find(|position| !(0.0..=last).contains(*position)) {
        return Err(invalid("positions", outside, "between 0 and the last sample"));
    }
    Ok(match between {
        Between::Cubic => {
            let spline = CubicSpline::of(x);
            positions.iter().map(|&position| spline.at(position)).collect()
        }
        Between::BandLimited => {
            let at = |(i, &position): (usize, &f64)| band_limited(x, position, spacing(positions, i));
            positions.iter().enumerate().map(at).collect()
        }
    })
}

/// Distance of the new samples around one of them, in old samples.
fn spacing(positions: &[f64], i: usize) -> f64 {
    let (from, to) = (i.saturating_sub(1), (i + 1).min(positions.len() - 1));
    if to > from { (positions[to] - positions[from]) / (to - from) as f64 } else { 1.0 }
}

/// Zeros of the sinc on either side.
const ZEROS: f64 = 32.0;

/// Sum of the samples around `position`, weighted with a sinc that ends at half the lower of both rates, over the sum of
/// the weights, so that a constant stays what it is, at the ends as well (Smith, Digital Audio Resampling, CCRMA 2002,
/// with the 4-term Blackman-Harris window; Harris, Proc. IEEE 66 (1978) 51, table 1).
fn band_limited(x: &[f64], position: f64, spacing: f64) -> f64 {
    let cutoff = 1.0 / spacing.max(1.0);
    let half = ZEROS / cutoff;
    let first = (position - half).ceil().max(0.0) as usize;
    let last = ((position + half).floor().max(0.0) as usize).min(x.len() - 1);
    let distance = first as f64 - position;
    // Sine and cosine go on from sample to sample by a rotation.
    let (mut carrier, mut taper) = (Rotation::of(PI * cutoff, distance), Rotation::of(PI / half, distance));
    let (mut sum, mut weights) = (0.0, 0.0);
    for (k, x) in x[first..=last].iter().enumerate() {
        let angle = PI * cutoff * (distance + k as f64);
        let sinc = if angle.abs() < 1e-9 { 1.0 } else { carrier.sine / angle };
        let weight = sinc * blackman_harris(taper.cosine);
        sum += weight * x;
        weights += weight;
        carrier.turn();
        taper.turn();
    }
    sum / weights
}

/// The window from the cosine of its angle, which is 0 at its middle.
fn blackman_harris(c: f64) -> f64 {
    let square = c * c;
    0.35875 + 0.48829 * c + 0.14128 * (2.0 * square - 1.0) + 0.01168 * c * (4.0 * square - 3.0)
}

struct Rotation {
    sine: f64,
    cosine: f64,
    step: (f64, f64),
}

impl Rotation {
    fn of(per_sample: f64, samples: f64) -> Self {
        let (sine, cosine) = (per_sample * samples).sin_cos();
        Self { sine, cosine, step: per_sample.sin_cos() }
    }

    fn turn(&mut self) {
        let (sine, cosine) = self.step;
        (self.sine, self.cosine) = (self.sine * cosine + self.cosine * sine, self.cosine * cosine - self.sine * sine);
    }
}

/// `scipy.interpolate.CubicSpline(np.arange(n), y)`: not-a-knot, of at least one value.
pub(super) struct CubicSpline<'a> {
    y: &'a [f64],
    slopes: Vec<f64>,
}

impl<'a> CubicSpline<'a> {
    pub fn of(y: &'a [f64]) -> Self {
        let slopes = match *y {
            [] | [_] => vec![0.0; y.len()],
            [a, b] => vec![b - a; 2],
            [a, b, c] => vec![2.0 * b - 1.5 * a - 0.5 * c, (c - a) / 2.0, 1.5 * c - 2.0 * b + 0.5 * a],
            _ => slopes(y),
        };
        Self { y, slopes }
    }

    /// Value at a position; beyond the ends the cubics of the ends go on.
    pub fn at(&self, position: f64) -> f64 {
        if self.y.len() < 2 {
            return self.y.first().copied().unwrap_or(f64::NAN);
        }
        let i = (position.max(0.0) as usize).min(self.y.len() - 2);
        let t = position - i as f64;
        let ([a, b], [from, to]) = ([self.y[i], self.y[i + 1]], [self.slopes[i], self.slopes[i + 1]]);
        let rise = b - a;
        a + t * (from + t * ((3.0 * rise - 2.0 * from - to) + t * (from + to - 2.0 * rise)))
    }
}

/// Slopes at the knots: continuous second derivatives inside, and a continuous third one at the second and the last but
/// one knot (de Boor, *A Practical Guide to Splines*, 1978, chapter IV), by Thomas' algorithm.
fn slopes(y: &[f64]) -> Vec<f64> {
    let n = y.len();
    let rise = |i: usize| y[i + 1] - y[i];
    // Upper diagonal and right side once the rows above are eliminated; the last row's lower element is 2.
    let (mut upper, mut slopes) = (vec![2.0; n], vec![0.0; n]);
    slopes[0] = f64::midpoint(5.0 * rise(0), rise(1));
    for i in 1..n - 1 {
        let pivot = 4.0 - upper[i - 1];
        upper[i] = 1.0 / pivot;
        slopes[i] = (3.0 * (rise(i - 1) + rise(i)) - slopes[i - 1]) / pivot;
    }
    let end = f64::midpoint(5.0 * rise(n - 2), rise(n - 3));
    slopes[n - 1] = (end - 2.0 * slopes[n - 2]) / (1.0 - 2.0 * upper[n - 2]);
    for i in (0..n - 1).rev() {
        slopes[i] -= upper[i] * slopes[i + 1];
    }
    slopes
}
