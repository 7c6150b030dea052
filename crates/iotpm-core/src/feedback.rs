//! What operators said of anomalies, and what follows: repeats of a false one are not told, the machine under
//! maintenance is not judged.
//!
//! An anomaly *looks like* one that was labelled false if it is on the same signal, of the same detector (and feature),
//! on the same side and of the same kind. It is muted as long as it is neither much greater ([`SCORE_MARGIN`]) nor much
//! longer ([`DURATION_MARGIN`]) than that one, and stays below every anomaly labelled true that it looks like: what was
//! labelled true is told however many false labels lie around it. Labels decide about telling alone: scores, learning,
//! and where an anomaly begins and ends are the same without them. So a withdrawn label leaves no trace.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{AnomalyKind, Detector, FrameFeature};

/// Labels in force at most.
pub const LABELS_MAX: usize = 4096;
/// Labels in force on one signal, or one asset, at most.
pub const LABELS_OF_ONE_MAX: usize = 64;
/// Times the peak score of a false example below which what looks like it is muted; divided by it, the peak score of a
/// true example from which on nothing is.
pub const SCORE_MARGIN: f64 = 1.25;
/// Times the duration of a false example up to which what looks like it is muted, and ...
pub const DURATION_MARGIN: f64 = 1.5;
/// ... this many sampling intervals more.
pub const DURATION_INTERVALS: i64 = 6;
/// Score of a critical limit: no label on an anomaly below it mutes one from it on.
const CRITICAL_LIMIT: f64 = 2.0;

/// An anomaly as its label describes it, so that nothing needs to be looked up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Name of its signal, `site/asset/signal`.
    pub signal: Arc<str>,
    /// The detector that raised it.
    pub detector: Detector,
    /// The feature of waveform frames that it judged.
    pub feature: Option<FrameFeature>,
    /// What it looked like.
    pub kind: AnomalyKind,
    /// Sign of value - expected at the peak.
    pub direction: i8,
    /// Greatest score; finite.
    pub peak_score: f64,
    /// From its start to its last reading at or above the boundary, microseconds; not negative.
    pub duration_us: i64,
}

/// What an operator said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Statement {
    /// There was nothing wrong.
    False(Example),
    /// There was a fault.
    True(Example),
    /// Someone works there; what is measured then is neither judged nor learned.
    Maintenance {
        /// `site/asset`, or `site/asset/signal` for one signal only.
        name: Arc<str>,
        /// Event time from which on, microseconds.
        from_us: i64,
        /// Event time before which.
        to_us: i64,
    },
}

impl Statement {
    /// The signal or asset that it is about.
    fn target(&self) -> &Arc<str> {
        match self {
            Self::False(example) | Self::True(example) => &example.signal,
            Self::Maintenance { name, .. } => name,
        }
    }
}

/// A statement with its number, by which it can be withdrawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Unique among the labels in force.
    pub id: Arc<str>,
    /// What was said.
    pub statement: Statement,
}

/// Why a label was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelRefused {
    /// Its number is taken.
    #[error("label '{id}' is in force already: withdraw it first, or give this one another id")]
    Known {
        /// The number.
        id: String,
    },
    /// No label has that number.
    #[error("no label '{id}' is in force: `iotpm feedback list` shows those that are")]
    Unknown {
        /// The number.
        id: String,
    },
    /// There are too many.
    #[error("{name}: {max} labels are in force, the most there can be: withdraw some")]
    TooMany {
        /// Signal or asset, or "all".
        name: String,
        /// The bound.
        max: usize,
    },
}

/// The labels in force, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels {
    list: Vec<Label>,
}

impl Labels {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds a label.
    ///
    /// # Errors
    /// [`LabelRefused::Known`], [`LabelRefused::TooMany`].
    pub fn add(&mut self, label: Label) -> Result<(), LabelRefused> {
        let name = label.statement.target();
        let too_many = |name: &str, max| Err(LabelRefused::TooMany { name: name.to_owned(), max });
        if self.list.iter().any(|known| known.id == label.id) {
            return Err(LabelRefused::Known { id: label.id.to_string() });
        }
        if self.list.len() >= LABELS_MAX {
            return too_many("all", LABELS_MAX);
        }
        if self.list.iter().filter(|known| known.statement.target() == name).count() >= LABELS_OF_ONE_MAX {
            return too_many(name, LABELS_OF_ONE_MAX);
        }
        self.list.push(label);
        Ok(())
    }

    /// Takes a label back, and says what it was.
    ///
    /// # Errors
    /// [`LabelRefused::Unknown`].
    pub fn withdraw(&mut self, id: &str) -> Result<Label, LabelRefused> {
        let at = self.list.iter().position(|label| &*label.id == id);
        at.map(|at| self.list.remove(at)).ok_or_else(|| LabelRefused::Unknown { id: id.to_owned() })
    }

    /// What they say of every signal they touch, found by its name.
    pub(crate) fn index(&self) -> Index {
        let mut by_target: HashMap<Arc<str>, SignalLabels> = HashMap::new();
        for label in &self.list {
            let of_target = by_target.entry(Arc::clone(label.statement.target())).or_default();
            match &label.statement {
                Statement::False(example) => of_target.false_ones.push(example.clone()),
                Statement::True(example) => of_target.true_ones.push(example.clone()),
                Statement::Maintenance { from_us, to_us, .. } => of_target.maintenance.push((*from_us, *to_us)),
            }
        }
        Index { by_target }
    }
}

/// The labels in force by the signal or asset they are about.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_target: HashMap<Arc<str>, SignalLabels>,
}

impl Index {
    pub fn is_empty(&self) -> bool {
        self.by_target.is_empty()
    }

    /// What is said of a signal and its asset, if anything is.
    pub fn of(&self, name: &str) -> Option<Box<SignalLabels>> {
        let asset = name.rsplit_once('/').and_then(|(asset, _)| self.by_target.get(asset));
        let mut labels = match (self.by_target.get(name), asset) {
            (None, None) => return None,
            (own, _) => own.cloned().unwrap_or_default(),
        };
        labels.maintenance.extend(asset.into_iter().flat_map(|asset| &asset.maintenance));
        labels.maintenance.sort_unstable();
        Some(Box::new(labels))
    }
}

/// What operators said of one signal.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SignalLabels {
    false_ones: Vec<Example>,
    true_ones: Vec<Example>,
    /// From, inclusive, to, exclusive; in order of their beginnings.
    maintenance: Vec<(i64, i64)>,
}

/// An anomaly so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub detector: Detector,
    pub feature: Option<FrameFeature>,
    pub kind: AnomalyKind,
    pub direction: i8,
    pub peak_score: f64,
    pub duration_us: i64,
}

impl SignalLabels {
    /// Whether an anomaly, as far as it has come, is no more than what was labelled false; `interval_us` is the signal's
    /// typical sampling interval, 0 while unknown.
    pub fn mute(&self, seen: &Seen, interval_us: i64) -> bool {
        self.false_ones.iter().any(|example| {
            looks_like(example, seen)
                && seen.duration_us <= longest_us(example, interval_us)
                && seen.peak_score < self.boundary(example, interval_us)
        })
    }

    /// Score from which on nothing that looks like a false example is muted.
    fn boundary(&self, example: &Example, interval_us: i64) -> f64 {
        let longest_us = longest_us(example, interval_us);
        let told = |fault: &&Example| fault.duration_us <= longest_us && looks_like(example, &Seen::of(fault));
        let faults = self.true_ones.iter().filter(told).map(|fault| fault.peak_score / SCORE_MARGIN);
        faults.fold(greatest(example), f64::min)
    }

    /// Whether someone works there at that time.
    pub fn in_maintenance(&self, time_us: i64) -> bool {
        self.maintenance.iter().any(|(from_us, to_us)| (*from_us..*to_us).contains(&time_us))
    }

    /// The first time from `time_us` on at which nobody works there.
    pub fn after_maintenance(&self, time_us: i64) -> i64 {
        // In order of their beginnings, so that one pass also joins those that overlap.
        self.maintenance.iter().fold(
            time_us,
            |time_us, (from_us, to_us)| {
                if (*from_us..*to_us).contains(&time_us) { *to_us } else { time_us }
            },
        )
    }
}

impl Seen {
    fn of(example: &Example) -> Self {
        Self {
            detector: example.detector,
            feature: example.feature,
            kind: example.kind,
            direction: example.direction,
            peak_score: example.peak_score,
            duration_us: example.duration_us,
        }
    }
}

/// Every excursion begins as a spike, and noise begins on one side.
fn looks_like(example: &Example, seen: &Seen) -> bool {
    let noise = example.kind == AnomalyKind::Noise;
    let kind =
        seen.kind == example.kind || seen.kind == AnomalyKind::Spike || noise && seen.kind == AnomalyKind::LevelShift;
    (example.detector, example.feature) == (seen.detector, seen.feature)
        && kind
        && (noise || example.direction == seen.direction)
}

fn longest_us(example: &Example, interval_us: i64) -> i64 {
    let scaled_us = (example.duration_us as f64 * DURATION_MARGIN) as i64;
    scaled_us.saturating_add(interval_us.saturating_mul(DURATION_INTERVALS))
}

/// A label on the crossing of a limit says nothing of the critical limit beyond it.
fn greatest(example: &Example) -> f64 {
    let score = example.peak_score * SCORE_MARGIN;
    let below_critical = example.detector == Detector::Limits && example.peak_score < CRITICAL_LIMIT;
    if below_critical { score.min(CRITICAL_LIMIT) } else { score }
}

/// What operators said of the signal at hand, and what is needed to compare with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub labels: &'a SignalLabels,
    /// Typical sampling interval of the signal, 0 while unknown.
    pub interval_us: i64,
}

impl Told<'_> {
    pub fn mutes(&self, seen: &Seen) -> bool {
        self.labels.mute(seen, self.interval_us)
    }
}
