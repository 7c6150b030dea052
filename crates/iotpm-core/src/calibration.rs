//! Thresholds for a stated false-alarm budget, from a healthy period alone: peaks over threshold.
//!
//! A [`Tail`] is fitted once to healthy scores; it then serves any budget, also ones rarer than the period is long, each
//! with an interval. Alarms come in bursts, so neighbouring exceedances are one peak: budgets count alarms, not rows.

use serde::{Deserialize, Serialize};

use crate::{CoreError, Result, multivariate::normal_quantile, robust::quantile_by_rank};

/// Peaks below which no tail is fitted.
const PEAKS_MIN: usize = 10;
/// Peaks kept: the largest. More sharpen nothing and cost time.
const PEAKS_MAX: usize = 2_000;
/// Shapes that are searched: from a tail that ends at its largest peaks to one without a mean.
const SHAPE_MIN: f64 = -0.5;
const SHAPE_MAX: f64 = 1.0;
/// Steps between them at which the likelihood of a level is looked at before it is refined.
const SHAPES: usize = 30;

/// How a healthy period becomes a tail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TailOptions {
    /// Share of the scores that lie above the tail's beginning, 0.005 to 0.5.
    pub tail_share: f64,
    /// Exceedances with at most so many rows between them are one peak.
    pub run_gap: usize,
    /// Probability that the interval holds the threshold, 0.5 to 0.999, reached with many peaks: with 200 peaks, intervals
    /// of 0.9 held in 336 of 400 samples.
    pub confidence: f64,
    /// Least difference from the tail's beginning that counts: an effect smaller than the sensor's resolution is none.
    pub effect_min: f64,
}

impl Default for TailOptions {
    fn default() -> Self {
        Self { tail_share: 0.1, run_gap: 20, confidence: 0.9, effect_min: 0.0 }
    }
}

/// A threshold and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Score that healthy rows exceed as often as the budget says.
    pub value: f64,
    /// Interval of the value at the tail's confidence.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Whether the budget is rarer than the healthy period could show: the value is extrapolated.
    pub extrapolated: bool,
}

/// Generalised Pareto distribution of the excess over the tail's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pareto {
    /// Shape `xi`: negative tails end, positive ones are heavy.
    pub shape: f64,
    /// Scale `sigma`, positive.
    pub scale: f64,
}

impl Pareto {
    /// Maximum likelihood by the one-dimensional profile in `theta = xi / sigma` (Davison and Smith, "Models for
    /// exceedances over high thresholds", J. R. Statist. Soc. B 52, 1990), `xi` within -0.5 and 1.
    ///
    /// # Errors
    /// Fewer than 10 excesses, or one that is negative or not finite.
    pub fn fit(excesses: &[f64]) -> Result<Self> {
        if excesses.len() < PEAKS_MIN {
            return Err(invalid("excesses", &excesses.len(), "at least 10"));
        }
        if let Some(x) = excesses.iter().find(|x| !x.is_finite() || **x < 0.0) {
            return Err(invalid("excesses", x, "finite and not negative"));
        }
        let mean = excesses.iter().sum::<f64>() / excesses.len() as f64;
        if mean <= 0.0 {
            return Ok(Self { shape: 0.0, scale: f64::MIN_POSITIVE });
        }
        Ok(Self::profile_maximum(excesses, mean))
    }

    /// The profile has one inner maximum for data that a tail can be fitted to: a grid finds its neighbourhood, golden
    /// section the place.
    fn profile_maximum(excesses: &[f64], mean: f64) -> Self {
        let largest = excesses.iter().fold(0.0_f64, |a, b| a.max(*b));
        let thetas: Vec<f64> = grid(largest, mean);
        let best = (0..thetas.len()).fold((0, f64::NEG_INFINITY), |best, k| {
            let likelihood = Self::at(thetas[k], excesses, mean).1;
            if likelihood > best.1 { (k, likelihood) } else { best }
        });
        let (low, high) = (thetas[best.0.saturating_sub(1)], thetas[(best.0 + 1).min(thetas.len() - 1)]);
        let theta = golden_maximum(low, high, |theta| Self::at(theta, excesses, mean).1);
        Self::at(theta, excesses, mean).0
    }

    /// The best tail of a `theta`, and its mean log-likelihood; the exponential at zero.
    fn at(theta: f64, excesses: &[f64], mean: f64) -> (Self, f64) {
        if (theta * mean).abs() < 1e-9 {
            return (Self { shape: 0.0, scale: mean }, -mean.ln() - 1.0);
        }
        let raw = excesses.iter().map(|x| (theta * x).ln_1p()).sum::<f64>() / excesses.len() as f64;
        let shape = raw.clamp(SHAPE_MIN, SHAPE_MAX);
        let scale = shape / theta;
        (Self { shape, scale }, -scale.ln() - (1.0 + 1.0 / shape) * raw)
    }

    /// Excess that is exceeded with probability `p`.
    #[must_use]
    pub fn exceeded_with(&self, p: f64) -> f64 {
        if self.shape.abs() < 1e-9 {
            -self.scale * p.ln()
        } else {
            self.scale * (p.powf(-self.shape) - 1.0) / self.shape
        }
    }
}

/// Thetas from just inside the support's end to far into the heavy tails, denser near zero.
fn grid(largest: f64, mean: f64) -> Vec<f64> {
    let heavy = (0..=20).map(|k| 1e-4 * 10.0_f64.powf(f64::from(k) * 0.3) / mean);
    let ending = (1..=20).rev().map(|k| -(1.0 - 10.0_f64.powf(-f64::from(k) * 0.2)) / largest);
    ending.chain([-1e-4 / largest, 0.0]).chain(heavy).collect()
}

/// The tail of a healthy period's scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    options: TailOptions,
    rows: u64,
    /// Where the tail begins, and the largest values up to there that a frequent budget is read from.
    beginning: f64,
    peaks: Vec<f64>,
    peak_count: u64,
    pareto: Pareto,
}

impl Tail {
    /// Fits to scores in time order; those that are not finite are left out.
    ///
    /// # Errors
    /// Options out of range, or fewer than 10 separate peaks above the tail's beginning.
    pub fn fit(healthy: &[f64], options: TailOptions) -> Result<Self> {
        check(&options)?;
        let scores: Vec<f64> = healthy.iter().copied().filter(|x| x.is_finite()).collect();
        let mut sorted = scores.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let beginning = quantile_by_rank(sorted.len(), 1.0 - options.tail_share, |k| sorted[k]);
        let mut peaks = peaks(&scores, beginning, options.run_gap);
        if peaks.len() < PEAKS_MIN {
            return Err(too_few(peaks.len(), scores.len()));
        }
        let peak_count = peaks.len() as u64;
        peaks.sort_unstable_by(|a, b| b.total_cmp(a));
        peaks.truncate(PEAKS_MAX);
        let beginning = if (peaks.len() as u64) < peak_count { peaks[PEAKS_MAX - 1] } else { beginning };
        let pareto = Pareto::fit(&excesses(&peaks, beginning))?;
        let peak_count = peaks.len() as u64;
        Ok(Self { options, rows: scores.len() as u64, beginning, peaks, peak_count, pareto })
    }

    /// The fitted distribution of peaks over the beginning.
    #[must_use]
    pub fn pareto(&self) -> Pareto {
        self.pareto
    }

    /// Where the tail begins.
    #[must_use]
    pub fn beginning(&self) -> f64 {
        self.beginning
    }

    /// Separate peaks above the beginning.
    #[must_use]
    pub fn peaks(&self) -> u64 {
        self.peak_count
    }

    /// Rows of the healthy period.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Threshold that `alarms` healthy alarms in `rows` rows exceed, and its interval. A budget more generous than the
    /// tail's peaks gives the tail's beginning.
    ///
    /// # Errors
    /// A budget that is not positive.
    pub fn threshold(&self, alarms: f64, rows: f64) -> Result<Threshold> {
        let rate = alarms / rows;
        if !(rate.is_finite() && rate > 0.0) {
            return Err(invalid("false alarms per row", &rate, "positive"));
        }
        let p = (rate * self.rows as f64 / self.peak_count.max(1) as f64).min(1.0);
        let found = self.pareto.exceeded_with(p).max(0.0);
        let (low, high) = if p < 1.0 && found > 0.0 { self.interval(found, p) } else { (found, found) };
        let value = |excess: f64| self.beginning + excess.max(self.options.effect_min);
        let extrapolated = rate * (self.rows as f64) < 1.0;
        Ok(Threshold { value: value(found), low: value(low), high: value(high), extrapolated })
    }

    /// Excesses around `found` that the peaks do not contradict: the profile likelihood of the level exceeded with
    /// probability `p` (Coles, "An Introduction to Statistical Modeling of Extreme Values", 2001, 4.3.3), which is as
    /// skewed as the matter is. The number of peaks is taken as known: its error is small beside that of a rare level.
    fn interval(&self, found: f64, p: f64) -> (f64, f64) {
        let excesses = excesses(&self.peaks, self.beginning);
        let best = profile_likelihood(found, p, &excesses);
        let lost = normal_quantile(f64::midpoint(1.0, self.options.confidence)).powi(2) / (2.0 * excesses.len() as f64);
        let held = |ratio: f64| profile_likelihood(found * ratio, p, &excesses) >= best - lost;
        (found * farthest(0.5, held), found * farthest(2.0, held))
    }

    /// Alarms of healthy rows expected in `rows` rows at a threshold: what a threshold costs.
    #[must_use]
    pub fn expected_alarms(&self, threshold: f64, rows: f64) -> f64 {
        let per_row = self.peak_count as f64 / self.rows as f64;
        let excess = (threshold - self.beginning).max(0.0);
        let Pareto { shape, scale } = self.pareto;
        let beyond = if shape.abs() < 1e-9 {
            (-excess / scale).exp()
        } else {
            (1.0 + shape * excess / scale).max(0.0).powf(-1.0 / shape)
        };
        per_row * beyond * rows
    }
}

/// Highest mean log-likelihood of tails that exceed `level` with probability `p`, over the shapes.
fn profile_likelihood(level: f64, p: f64, excesses: &[f64]) -> f64 {
    let of = |shape: f64| mean_log_likelihood(shape, level, p, excesses);
    let shape_at = |k: usize| SHAPE_MIN + (SHAPE_MAX - SHAPE_MIN) * k as f64 / SHAPES as f64;
    let best = (0..=SHAPES).max_by(|a, b| of(shape_at(*a)).total_cmp(&of(shape_at(*b)))).unwrap_or(0);
    let (low, high) = (shape_at(best.saturating_sub(1)), shape_at((best + 1).min(SHAPES)));
    of(golden_maximum(low, high, of))
}

/// Of the tail of that shape which exceeds `level` with probability `p`; minus infinity where it ends before the largest.
fn mean_log_likelihood(shape: f64, level: f64, p: f64, excesses: &[f64]) -> f64 {
    let n = excesses.len() as f64;
    if shape.abs() < 1e-6 {
        let scale = -level / p.ln();
        return -scale.ln() - excesses.iter().sum::<f64>() / (n * scale);
    }
    let scale = shape * level / (p.powf(-shape) - 1.0);
    let logarithms: f64 = excesses.iter().map(|x| (1.0 + shape * x / scale).max(0.0).ln()).sum();
    if logarithms.is_finite() { -scale.ln() - (1.0 + 1.0 / shape) * logarithms / n } else { f64::NEG_INFINITY }
}

/// The ratio farthest from 1 that is still `held`, found outwards in steps of `step` and then by halving; bounded.
fn farthest(step: f64, held: impl Fn(f64) -> bool) -> f64 {
    let (mut inside, mut outside) = (1.0_f64, step);
    for _ in 0..20 {
        if !held(outside) {
            break;
        }
        (inside, outside) = (outside, outside * step);
    }
    for _ in 0..30 {
        let middle = (inside * outside).sqrt();
        if held(middle) { inside = middle } else { outside = middle }
    }
    inside
}

/// Place of the maximum between `low` and `high` of a function with one.
fn golden_maximum(mut low: f64, mut high: f64, of: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..30 {
        let (a, b) = (high - 0.618_034 * (high - low), low + 0.618_034 * (high - low));
        if of(a) < of(b) { low = a } else { high = b }
    }
    f64::midpoint(low, high)
}

fn excesses(peaks: &[f64], beginning: f64) -> Vec<f64> {
    peaks.iter().map(|peak| (peak - beginning).max(0.0)).collect()
}

/// Largest score of each run of exceedances; runs are separated by more than `gap` rows below.
fn peaks(scores: &[f64], beginning: f64, gap: usize) -> Vec<f64> {
    let mut peaks: Vec<f64> = Vec::new();
    let mut last = None;
    for (i, score) in scores.iter().enumerate().filter(|(_, score)| **score > beginning) {
        match (last, peaks.last_mut()) {
            (Some(last), Some(peak)) if i - last <= gap + 1 => *peak = peak.max(*score),
            _ => peaks.push(*score),
        }
        last = Some(i);
    }
    peaks
}

fn check(options: &TailOptions) -> Result<()> {
    if !(0.005..=0.5).contains(&options.tail_share) {
        return Err(invalid("tail_share", &options.tail_share, "0.005 to 0.5"));
    }
    if !(0.5..=0.999).contains(&options.confidence) {
        return Err(invalid("confidence", &options.confidence, "0.5 to 0.999"));
    }
    if !(options.effect_min.is_finite() && options.effect_min >= 0.0) {
        return Err(invalid("effect_min", &options.effect_min, "0 or positive"));
    }
    Ok(())
}

fn invalid(name: &'static str, value: &dyn ToString, allowed: &'static str) -> CoreError {
    CoreError::InvalidParameter { name, value: value.to_string(), allowed }
}

fn too_few(peaks: usize, rows: usize) -> CoreError {
    invalid("separate peaks", &format!("{peaks} in {rows} healthy scores"), "at least 10; use a longer healthy period")
}
