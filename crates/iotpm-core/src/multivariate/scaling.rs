//! Columns of any unit brought to one scale.

use serde::{Deserialize, Serialize};

use super::linear::Matrix;
/// A spread below this is a constant column near zero: its unit is kept.
const SPREAD_MIN: f64 = 1e-6;
/// Relative spread below which a column counts as constant: the resolution of a good sensor.
const RELATIVE_SPREAD_MIN: f64 = 1e-3;

/// `z = clip((x - median) / spread, -clip, clip)` with `spread = max(standard deviation, 1e-3 |median|, resolution)`: a
/// shift of less than the sensor's resolution never counts as large, and one wild value moves nothing for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scaling {
    pub centre: Vec<f64>,
    pub spread: Vec<f64>,
    pub clip: f64,
}

impl Scaling {
    /// Of the rows that are kept; `resolution` is empty or has one step per column.
    pub fn fit(rows: &Matrix, keep: &[bool], resolution: &[f64], clip: f64) -> Self {
        let (centre, spread) = (0..rows.columns())
            .map(|j| {
                let kept = || (0..rows.len()).filter(|i| keep[*i]).map(|i| rows.at(i, j));
                let centre = median(kept());
                (centre, spread(deviation(kept()), centre, resolution.get(j).copied().unwrap_or(0.0)))
            })
            .unzip();
        Self { centre, spread, clip }
    }

    /// Scaled value of column `j`.
    pub fn scale(&self, j: usize, x: f64) -> f64 {
        ((x - self.centre[j]) / self.spread[j]).clamp(-self.clip, self.clip)
    }

    /// Value of column `j` in its own unit.
    pub fn unscale(&self, j: usize, z: f64) -> f64 {
        self.centre[j] + self.spread[j] * z
    }
}

fn spread(deviation: f64, centre: f64, resolution: f64) -> f64 {
    let spread = deviation.max(RELATIVE_SPREAD_MIN * centre.abs());
    if spread.max(resolution) < SPREAD_MIN { 1.0 } else { spread.max(resolution) }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    let n = values.len();
    if n == 0 {
        return f64::NAN;
    }
    let (below, middle, _) = values.select_nth_unstable_by(n / 2, f64::total_cmp);
    let upper = *middle;
    if n % 2 == 1 {
        return upper;
    }
    f64::midpoint(below.iter().copied().max_by(f64::total_cmp).unwrap_or(upper), upper)
}

/// Population standard deviation, in two passes.
fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let (n, sum) = values.clone().fold((0.0, 0.0), |(n, sum), x| (n + 1.0, sum + x));
    let mean = sum / n;
    (values.map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt()
}
