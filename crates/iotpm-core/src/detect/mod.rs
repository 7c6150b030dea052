//! Streaming detectors of one signal, one file each: the set `basic` behind `ReadingDetector`, the others behind
//! [`SeriesDetector`].
//!
//! A detector scores a reading against what it has seen before and learns from it afterwards, so a score never depends
//! on its own reading's effect or on later ones. Scores are >= 0 and 1.0 is the alarm boundary of every detector.

mod cusum;
mod day;
mod discord;
mod ema_baseline;
mod ewma;
mod flatline;
mod frozen_baseline;
mod half_space_trees;
mod level_shift;
mod limits;
mod modified_z;
mod novelty;
mod rate_of_change;
mod record;
mod resolution;
mod resonance;
mod seasonal;
mod series;
mod usual;
mod zone;

use serde::{Deserialize, Serialize};

pub(crate) use ema_baseline::{EmaBaseline, EmaWeights};
pub(crate) use flatline::Flatline;
pub(crate) use limits::LimitCheck;
pub(crate) use modified_z::ModifiedZ;
pub(crate) use rate_of_change::RateOfChange;
pub use record::{LEVEL_WEIGHT, RECENT_READINGS, RankingLevel, RecordFilter};
pub(crate) use resolution::Resolution;
pub use series::{Explanation, SERIES_DETECTORS, SeriesDetector, SeriesScorer, WARM_UP_READINGS};
pub use zone::Zone;

use crate::{Detector, DetectorSet, Maturity, settings::Settings};

/// A usable reading, in event-time order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub time_us: i64,
    pub value: f64,
    /// Smallest step of the sensor as known so far.
    pub resolution: f64,
    /// How far the signal usually wanders from its long baseline; 0 while that is unknown.
    pub wander: f64,
}

/// What a detector says of one reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub score: f64,
    /// What it expected; NaN if it expects nothing.
    pub expected: f64,
    pub maturity: Maturity,
}

impl Verdict {
    /// Nothing to say yet.
    pub const COLD: Self = Self { score: 0.0, expected: f64::NAN, maturity: Maturity::Cold };

    /// A rule needs no history.
    pub fn by_rule(score: f64) -> Self {
        Self { score, expected: f64::NAN, maturity: Maturity::Mature }
    }
}

/// One detector of one signal.
pub(crate) trait ReadingDetector {
    /// Scores a reading, then learns from it.
    fn judge(&mut self, sample: &Sample, settings: &Settings) -> Verdict;
}

/// The verdict with the greatest score, and its detector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fused {
    pub verdict: Verdict,
    pub detector: Option<Detector>,
    /// All detectors that reached 1.0.
    pub agreeing: DetectorSet,
}

/// What the set `basic` says of a reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    /// All of its detectors.
    pub fused: Fused,
    /// Those that need no statistics: limits, rate of change, flatline.
    pub rules: Fused,
}

impl Fused {
    /// Nobody has said anything yet.
    pub const NONE: Self = Self { verdict: Verdict::COLD, detector: None, agreeing: DetectorSet::NONE };

    /// One detector's verdict.
    #[inline]
    pub fn by(detector: Detector, verdict: Verdict) -> Self {
        let agreeing = if verdict.score >= 1.0 { DetectorSet::of(detector) } else { DetectorSet::NONE };
        Self { verdict, detector: Some(detector), agreeing }
    }

    /// Adds a detector's verdict.
    #[inline]
    fn weigh(&mut self, detector: Detector, verdict: Verdict) {
        let greater = verdict.score > self.verdict.score;
        let maturity = if greater { verdict.maturity } else { self.verdict.maturity.max(verdict.maturity) };
        *self = self.or(Self::by(detector, verdict));
        self.verdict.maturity = maturity;
    }

    /// The one with the greater score; this one if they are equal.
    #[inline]
    pub fn or(self, other: Self) -> Self {
        let agreeing = self.agreeing.with(other.agreeing);
        Self { agreeing, ..Self::either(other.verdict.score > self.verdict.score, other, self) }
    }

    /// `a` if the condition holds, else `b`: part by part, for a copy of the whole waits until its parts are in memory.
    #[inline]
    pub fn either(condition: bool, a: Self, b: Self) -> Self {
        Self {
            verdict: Verdict {
                score: if condition { a.verdict.score } else { b.verdict.score },
                expected: if condition { a.verdict.expected } else { b.verdict.expected },
                maturity: if condition { a.verdict.maturity } else { b.verdict.maturity },
            },
            detector: if condition { a.detector } else { b.detector },
            agreeing: if condition { a.agreeing } else { b.agreeing },
        }
    }
}

/// The detector set `basic`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BasicDetectors {
    limits: LimitCheck,
    rate_of_change: RateOfChange,
    flatline: Flatline,
    modified_z: ModifiedZ,
    ema_baseline: EmaBaseline,
    resolution: Resolution,
}

/// What detectors learn of a signal's level, as against rules and the sensor's own traits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Learned {
    modified_z: ModifiedZ,
    ema_baseline: EmaBaseline,
}

impl Learned {
    pub fn new(settings: &Settings) -> Self {
        Self { modified_z: ModifiedZ::new(settings.modified_z_window), ema_baseline: EmaBaseline::default() }
    }

    /// See [`BasicDetectors::reconfigure`].
    pub fn reconfigure(&mut self, settings: &Settings) {
        self.modified_z.resize(settings.modified_z_window);
    }
}

impl BasicDetectors {
    pub fn new(settings: &Settings) -> Self {
        Self {
            limits: LimitCheck::default(),
            rate_of_change: RateOfChange::default(),
            flatline: Flatline::default(),
            modified_z: ModifiedZ::new(settings.modified_z_window),
            ema_baseline: EmaBaseline::default(),
            resolution: Resolution::default(),
        }
    }

    /// Scores a usable reading with every detector the template runs; ties go to the first.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "handing the verdicts over in memory costs as much as a detector")]
    pub fn judge(&mut self, time_us: i64, value: f64, settings: &Settings) -> Judged {
        let resolution = settings.resolution.unwrap_or_else(|| self.resolution.update(value));
        let wander = self.ema_baseline.wander(settings);
        let sample = Sample { time_us, value, resolution, wander };
        let mut fused = Fused::NONE;
        let mut weigh = |detector, verdict: Verdict| fused.weigh(detector, verdict);
        if settings.limits.is_some() {
            weigh(Detector::Limits, self.limits.judge(&sample, settings));
        }
        if settings.max_rate_per_s.is_some() {
            weigh(Detector::RateOfChange, self.rate_of_change.judge(&sample, settings));
        }
        if settings.flatline_readings.is_some() {
            weigh(Detector::Flatline, self.flatline.judge(&sample, settings));
        }
        let rules = fused;
        let mut weigh = |detector, verdict: Verdict| fused.weigh(detector, verdict);
        if settings.modified_z_boundary.is_some() {
            weigh(Detector::ModifiedZ, self.modified_z.judge(&sample, settings));
        }
        if settings.ema_boundary.is_some() {
            weigh(Detector::EmaBaseline, self.ema_baseline.judge(&sample, settings));
        }
        Judged { fused, rules }
    }

    /// Exchanges what was learned for what was learned elsewhere.
    pub fn swap(&mut self, learned: &mut Learned) {
        std::mem::swap(&mut self.modified_z, &mut learned.modified_z);
        std::mem::swap(&mut self.ema_baseline, &mut learned.ema_baseline);
    }

    /// Asks for the memory that the next reading will need.
    pub fn prefetch(&self) {
        self.modified_z.prefetch();
    }

    /// Adapts to changed settings, keeping what was learned.
    pub fn reconfigure(&mut self, settings: &Settings) {
        self.modified_z.resize(settings.modified_z_window);
    }

    /// Maturity of the slowest learner that runs; the class's, while it knows nothing itself.
    pub fn maturity(&self, settings: &Settings) -> Maturity {
        let modified_z = settings.modified_z_boundary.map(|_| self.modified_z.maturity());
        let ema_baseline = settings.ema_boundary.map(|_| self.ema_baseline.maturity(settings));
        let least = modified_z.into_iter().chain(ema_baseline).min().unwrap_or(Maturity::Mature);
        if settings.prior.is_some() && modified_z.is_some() { least.max(Maturity::Prior) } else { least }
    }
}
