//! Thresholds for a stated false-alarm budget, from a healthy period alone: peaks over threshold.
//!
//! A [`Tail`] is fitted once to healthy scores; it then serves any budget, also ones rarer than the period is long, each
//! with an interval. Alarms come in bursts, so neighbouring exceedances are one peak: budgets count alarms, not rows.

use serde::{Deserialize, Serialize};

use crate::{CoreError, Result, multivariate::Random, robust::quantile_by_rank};

/// Peaks below which no tail is fitted.
const PEAKS_MIN: usize = 10;
/// Peaks kept: the largest. More sharpen nothing and cost time.
const PEAKS_MAX: usize = 2_000;
/// Refits of samples drawn from the fitted tail, for the interval.
const RESAMPLES: usize = 200;
/// Shapes that are searched: from a tail that ends at its largest peaks to one without a mean.
const SHAPE_MIN: f64 = -0.5;
const SHAPE_MAX: f64 = 1.0;

/// How a healthy period becomes a tail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TailOptions {
    /// Share of the scores that lie above the tail's beginning, 0.005 to 0.5.
    pub tail_share: f64,
    /// Exceedances with at most so many rows between them are one peak.
    pub run_gap: usize,
    /// Probability that the interval holds the threshold, 0.5 to 0.999.
    pub confidence: f64,
    /// Least difference from the tail's beginning that counts: an effect smaller than the sensor's resolution is none.
    pub effect_min: f64,
    /// Seed of the interval's resamples.
    pub seed: u64,
}

impl Default for TailOptions {
    fn default() -> Self {
        Self { tail_share: 0.1, run_gap: 20, confidence: 0.9, effect_min: 0.0, seed: 0 }
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
        let (mut low, mut high) = (thetas[best.0.saturating_sub(1)], thetas[(best.0 + 1).min(thetas.len() - 1)]);
        for _ in 0..30 {
            let (a, b) = (high - 0.618_034 * (high - low), low + 0.618_034 * (high - low));
            if Self::at(a, excesses, mean).1 < Self::at(b, excesses, mean).1 { low = a } else { high = b }
        }
        Self::at(f64::midpoint(low, high), excesses, mean).0
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

    /// Threshold that `alarms` healthy alarms in `rows` rows exceed, and its interval by refits of samples drawn from the
    /// fitted tail. A budget more generous than the tail's peaks gives the tail's beginning.
    ///
    /// # Errors
    /// A budget that is not positive.
    pub fn threshold(&self, alarms: f64, rows: f64) -> Result<Threshold> {
        let rate = alarms / rows;
        if !(rate.is_finite() && rate > 0.0) {
            return Err(invalid("false alarms per row", &rate, "positive"));
        }
        let excess = |pareto: &Pareto, peaks: f64| {
            let p = (rate * self.rows as f64 / peaks.max(1.0)).min(1.0);
            pareto.exceeded_with(p).max(0.0)
        };
        let found = excess(&self.pareto, self.peak_count as f64);
        let (low, high) = self.interval(found, self.resample(excess)?);
        let value = |excess: f64| self.beginning + excess.max(self.options.effect_min);
        let extrapolated = rate * (self.rows as f64) < 1.0;
        Ok(Threshold { value: value(found), low: value(low), high: value(high), extrapolated })
    }

    /// The basic bootstrap interval of the logarithm: what refits miss below, the truth may lie above, and refits of tails
    /// lie below on the average (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, 5.2).
    fn interval(&self, found: f64, mut resampled: Vec<f64>) -> (f64, f64) {
        resampled.sort_unstable_by(f64::total_cmp);
        let beyond = (1.0 - self.options.confidence) / 2.0;
        let mirrored = |q: f64| {
            let x = quantile_by_rank(resampled.len(), q, |k| resampled[k]);
            if x > 0.0 { found * (found / x) } else { found }
        };
        (mirrored(1.0 - beyond).min(found), mirrored(beyond).max(found))
    }

    /// `of` each refit: number of peaks normal around what was counted, peaks drawn from the fitted tail.
    fn resample(&self, of: impl Fn(&Pareto, f64) -> f64) -> Result<Vec<f64>> {
        let (mut random, count) = (Random::new(self.options.seed), self.peak_count as f64);
        let refit = |_| {
            let normal = crate::multivariate::normal_quantile(random.unit().clamp(1e-12, 1.0 - 1e-12));
            let peaks = (count + count.sqrt() * normal).round().max(PEAKS_MIN as f64);
            let drawn: Vec<f64> =
                (0..peaks as usize).map(|_| self.pareto.exceeded_with(1.0 - random.unit()).max(0.0)).collect();
            Ok(of(&Pareto::fit(&drawn)?, peaks))
        };
        (0..RESAMPLES).map(refit).collect()
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
