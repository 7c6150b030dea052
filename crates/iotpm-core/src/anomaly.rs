//! An anomaly and its revisions: begin, worse, end.

use std::{borrow::Cow, cmp::Ordering};

use serde::{Deserialize, Serialize};

use crate::{FrameFeature, Quality, SignalId, features::WindowFeatures};

/// How much history stands behind a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum Maturity {
    /// Too little seen to judge: rules only.
    #[default]
    Cold = 0,
    /// Some history, less than the detector wants.
    Learning = 1,
    /// The detector's whole history is there.
    Mature = 2,
    /// Too little seen to judge by itself: what the template says is usual for its class stands in. More than cold, less than
    /// learning.
    Prior = 3,
}

impl Maturity {
    /// How much it is, where the code in tables only names it.
    fn rank(self) -> u8 {
        match self {
            Self::Cold => 0,
            Self::Prior => 1,
            Self::Learning => 2,
            Self::Mature => 3,
        }
    }
}

impl PartialOrd for Maturity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Maturity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// The detector that raised a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Detector {
    /// Lo-lo, lo, hi, hi-hi.
    Limits = 0,
    /// Rate of change.
    RateOfChange = 1,
    /// The value does not move.
    Flatline = 2,
    /// Modified z-score over a rolling window.
    ModifiedZ = 3,
    /// Exponentially weighted baseline.
    EmaBaseline = 4,
    /// No readings.
    Gap = 5,
    /// Novelty of value, difference and spread.
    Novelty = 6,
    /// Adaptive resonance on shape.
    Resonance = 7,
    /// Earlier days at the same time.
    Day = 8,
    /// EWMA control chart.
    Ewma = 9,
    /// Two-sided cumulated sum.
    Cusum = 10,
    /// Page-Hinkley test.
    PageHinkley = 11,
    /// Medians of neighbouring windows.
    LevelShift = 12,
    /// The same hour of the week.
    Seasonal = 13,
    /// The first healthy week.
    FrozenBaseline = 14,
    /// The asset's signals together.
    AssetModel = 15,
    /// The nearest earlier stretch of readings is far.
    Discord = 16,
    /// Few readings ever came near.
    HalfSpaceTrees = 17,
}

/// What kind of anomaly it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum AnomalyKind {
    /// A short excursion.
    Spike = 0,
    /// A slow departure.
    Drift = 1,
    /// The value stopped moving.
    Stuck = 2,
    /// The scatter grew.
    Noise = 3,
    /// The level moved and stayed.
    LevelShift = 4,
    /// Readings stopped.
    Gap = 5,
    /// A configured limit was crossed.
    Limit = 6,
    /// The value moved faster than configured.
    Rate = 7,
}

/// Where an anomaly is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum AnomalyState {
    /// It was raised.
    Begin = 0,
    /// Its severity rose.
    Worse = 1,
    /// It is over.
    End = 2,
}

/// How bad, from the peak score: low from 1, medium from 2, high from 4, critical from 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Severity {
    /// Peak score below 2.
    Low = 0,
    /// Peak score from 2.
    Medium = 1,
    /// Peak score from 4.
    High = 2,
    /// Peak score from 8.
    Critical = 3,
}

impl Severity {
    /// Severity of a peak score.
    #[must_use]
    pub fn of(peak_score: f64) -> Self {
        match peak_score {
            s if s >= 8.0 => Self::Critical,
            s if s >= 4.0 => Self::High,
            s if s >= 2.0 => Self::Medium,
            _ => Self::Low,
        }
    }
}

macro_rules! names {
    ($type:ty { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// The name used in tables, events and on screens.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// All of them.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The one of that name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

names!(Maturity { Cold => "cold", Learning => "learning", Mature => "mature", Prior => "prior" });
names!(Detector {
    Limits => "limits",
    RateOfChange => "rate_of_change",
    Flatline => "flatline",
    ModifiedZ => "modified_z",
    EmaBaseline => "ema_baseline",
    Gap => "gap",
    Novelty => "novelty",
    Resonance => "resonance",
    Day => "day",
    Ewma => "ewma",
    Cusum => "cusum",
    PageHinkley => "page_hinkley",
    LevelShift => "level_shift",
    Seasonal => "seasonal",
    FrozenBaseline => "frozen_baseline",
    AssetModel => "asset_model",
    Discord => "discord",
    HalfSpaceTrees => "half_space_trees",
});
names!(AnomalyKind {
    Spike => "spike",
    Drift => "drift",
    Stuck => "stuck",
    Noise => "noise",
    LevelShift => "level_shift",
    Gap => "gap",
    Limit => "limit",
    Rate => "rate",
});
names!(AnomalyState { Begin => "begin", Worse => "worse", End => "end" });
names!(Severity { Low => "low", Medium => "medium", High => "high", Critical => "critical" });

impl Detector {
    /// Whether it judges by a rule that needs no statistics of what was before.
    #[must_use]
    pub fn is_rule(self) -> bool {
        matches!(self, Self::Limits | Self::RateOfChange | Self::Flatline | Self::Gap)
    }

    /// Its name in tables and events: `modified_z`, and `modified_z.rms` where it judged that feature of frames.
    #[must_use]
    pub fn name_of(self, feature: Option<FrameFeature>) -> Cow<'static, str> {
        feature.map_or(self.name().into(), |feature| format!("{}.{}", self.name(), feature.name()).into())
    }

    /// The detector, and the feature of frames, of a name in tables and events.
    #[must_use]
    pub fn of_name(name: &str) -> Option<(Self, Option<FrameFeature>)> {
        let Some((detector, feature)) = name.split_once('.') else { return Some((Self::named(name)?, None)) };
        Some((Self::named(detector)?, Some(FrameFeature::named(feature)?)))
    }
}

/// Some of the detectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectorSet(u32);

impl DetectorSet {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// The one detector.
    #[must_use]
    pub fn of(detector: Detector) -> Self {
        Self(1 << detector as u32)
    }

    /// Those of both sets.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Each of them, in order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Detector> {
        Detector::ALL.into_iter().filter(move |detector| self.0 >> *detector as u32 & 1 == 1)
    }
}

/// One signal's part in an anomaly of its asset.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// The signal.
    pub signal: SignalId,
    /// Its share, 0 to 1.
    pub share: f64,
    /// What the other signals and the past made expect of it.
    pub expected: f64,
    /// What came (NaN where it was missing).
    pub actual: f64,
    /// 1: higher than expected, -1: lower, 0: more restless.
    pub direction: i8,
}

/// One line of the append-only anomaly log.
#[derive(Clone, Debug, PartialEq)]
pub struct AnomalyRevision {
    /// Hash of signal name, detector and start: the same in every run of the same messages.
    pub id: u64,
    /// The signal.
    pub signal: SignalId,
    /// The detector that raised it.
    pub detector: Detector,
    /// The feature of waveform frames that it judged; `None` for readings and gaps.
    pub feature: Option<FrameFeature>,
    /// What it looks like so far.
    pub kind: AnomalyKind,
    /// 0 for the first revision of this anomaly, then 1, 2, ...
    pub revision: u32,
    /// Begin, worse or end.
    pub state: AnomalyState,
    /// Severity of the peak so far.
    pub severity: Severity,
    /// Event time of the first reading at or above the boundary.
    pub start_us: i64,
    /// Event time at which this revision was decided.
    pub time_us: i64,
    /// Event time of the last reading at or above the boundary; only with `End`.
    pub end_us: Option<i64>,
    /// Event time of the peak.
    pub peak_us: i64,
    /// Greatest score so far.
    pub peak_score: f64,
    /// Value at the peak (NaN for a gap).
    pub peak_value: f64,
    /// Score of this revision's reading.
    pub score: f64,
    /// Value of this revision's reading (NaN for a gap).
    pub value: f64,
    /// What the detector expected at the peak (NaN if it expects nothing, as with limits).
    pub expected: f64,
    /// Sign of value - expected at the peak: -1, 0 or 1.
    pub direction: i8,
    /// History behind the score.
    pub maturity: Maturity,
    /// The signal's latest closed window, if any: (start, end, features).
    pub window: Option<(i64, i64, Box<WindowFeatures>)>,
    /// [`Quality::Uncertain`] if most of the readings that crossed were doubtful; see [`crate::Template`]'s `begin_count`.
    pub quality: Quality,
    /// Detectors that reached 1.0 during it, the one that raised it among them.
    pub agreeing: DetectorSet,
    /// Of an anomaly of an asset: the signals with the greatest shares at its peak, greatest first; it is told as the
    /// first signal's of its begin. Else empty.
    pub contributions: Box<[Contribution]>,
    /// Stream sequence that caused this revision.
    pub sequence: u64,
    /// Position within that message.
    pub position: u32,
}
