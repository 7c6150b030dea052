//! Rows of an asset against its model: score, anomaly, contributors.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Contribution, Detector, Maturity,
    alarm::{Alarm, Context, Doubt, Scored, Step},
    detect::{Fused, Verdict},
    feedback::{SignalLabels, Told},
    multivariate::{Explanation, FrameRow, Model, Scorer},
    ring::{Ring, Slot},
    settings::Settings,
};

/// Rows whose crossings an anomaly may begin with.
const RECENT_ROWS: usize = 16;
/// Score below which later models learn a row. What is normal but rare lies just above 1.0 until it is learned, and would
/// alarm for ever if rows had to be below; most faults are far above.
const LEARNED_BELOW: f64 = 2.0;
/// Signals that an anomaly names.
const CONTRIBUTORS: usize = 5;

/// What an anomaly of a row would be told as.
pub(crate) struct Cause<'a> {
    pub sequence: u64,
    pub position: u32,
    /// Of the asset's first signal.
    pub settings: &'a Settings,
    pub repeat_us: i64,
    /// Number and name of each column of the frame.
    pub members: &'a [super::Member],
    /// What operators said of every signal of the shard, by place.
    pub told: &'a [Option<Box<SignalLabels>>],
    pub period_us: i64,
}

/// A model in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub(crate) struct Watch {
    scorer: Scorer,
    /// Column of the frame that each of the model's is.
    columns: Vec<usize>,
    /// Columns of the frame that are or were the model's, each with the sequence of the message since which it is judged (from
    /// the next on): signals stay judged once they are.
    judged: Vec<(usize, u64)>,
    /// Of less than the learning time: what is raised is told as learning, and rows train whatever their score.
    provisional: bool,
    alarm: Alarm,
    ring: Ring,
    /// Of the latest crossing, or of an open anomaly's peak, greatest first; the anomaly is told as the first one's.
    contributions: Vec<Contribution>,
    reported: usize,
    peak: f64,
}

impl Watch {
    /// A model from the message of that sequence on.
    pub fn new(model: Model, columns: Vec<usize>, provisional: bool, sequence: u64) -> Self {
        Self {
            scorer: Scorer::new(Arc::new(model)),
            judged: columns.iter().map(|column| (*column, sequence)).collect(),
            columns,
            provisional,
            alarm: Alarm::default(),
            ring: Ring::default(),
            contributions: Vec::new(),
            reported: 0,
            peak: 0.0,
        }
    }

    /// Columns of the frame that the model knows.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Columns of the frame that are judged, each with the sequence since which it is.
    pub fn judged(&self) -> &[(usize, u64)] {
        &self.judged
    }

    /// Whether the model is of less than the learning time.
    pub fn is_provisional(&self) -> bool {
        self.provisional
    }

    /// Whether a model of other columns knows the one that an open anomaly is told of.
    pub fn can_go_on_with(&self, columns: &[usize]) -> bool {
        !self.alarm.is_open() || columns.contains(&self.columns[self.reported])
    }

    /// A later model takes over; an open anomaly goes on.
    pub fn renew(&mut self, model: Model, columns: Vec<usize>, provisional: bool, sequence: u64) {
        let told = self.columns[self.reported];
        self.reported = columns.iter().position(|column| *column == told).unwrap_or(0);
        for column in &columns {
            if !self.judged.iter().any(|(known, _)| known == column) {
                self.judged.push((*column, sequence));
            }
        }
        self.scorer = Scorer::new(Arc::new(model));
        (self.columns, self.provisional) = (columns, provisional);
    }

    /// Whether an anomaly is open.
    pub fn is_alarming(&self) -> bool {
        self.alarm.is_open()
    }

    /// A row that must not be judged.
    pub fn pass_over(&mut self) {
        self.alarm.observe_unusable();
    }

    /// Judges a row: whether later models may learn it, and what became of it.
    pub fn judge(&mut self, row: &FrameRow, cause: &Cause) -> (bool, Step) {
        let values: Vec<f64> = self.columns.iter().map(|column| row.values[*column]).collect();
        // The row has as many values as the model columns, so that the other outcome is a score that is not known.
        let score = self.scorer.score(&values).unwrap_or(f64::NAN);
        if score.is_nan() {
            self.pass_over();
            return (self.provisional, Step::Quiet);
        }
        let mut expected = f64::NAN;
        if score >= 1.0 {
            expected = self.attribute(score, &self.scorer.explain(&values), cause.members);
        }
        let maturity = if self.provisional { Maturity::Learning } else { self.scorer.model().maturity() };
        let verdict = Verdict { score, expected, maturity };
        let fused = Fused::by(Detector::AssetModel, verdict);
        let doubt = self.doubt(&values, cause.members);
        let scored = Scored { time_us: row.time_us, value: values[self.reported], fused, doubt };
        let step = self.observe(&scored, cause);
        let slot = Slot { time_us: row.time_us, value: scored.value, score: score as f32 };
        self.ring.push(slot, i64::MAX, RECENT_ROWS);
        (self.provisional || score < LEARNED_BELOW, step)
    }

    /// A row is doubtful if the signal that it is told of is, or if any is missing.
    fn doubt(&self, values: &[f64], members: &[super::Member]) -> Doubt {
        match members[self.columns[self.reported]].uncertain {
            true => Doubt::Value,
            false if values.iter().any(|value| value.is_nan()) => Doubt::Neighbours,
            false => Doubt::None,
        }
    }

    /// Notes who contributes; what was expected of the signal that it is told of.
    fn attribute(&mut self, score: f64, why: &Explanation, members: &[super::Member]) -> f64 {
        if !self.alarm.is_open() {
            self.reported = why.contributors.first().map_or(0, |first| first.column);
        }
        if !self.alarm.is_open() || score > self.peak {
            self.peak = score;
            let named = why.contributors.iter().take(CONTRIBUTORS).filter(|one| one.share > 0.0);
            self.contributions = named
                .map(|one| Contribution {
                    signal: members[self.columns[one.column]].id,
                    share: one.share,
                    expected: one.expected,
                    actual: one.actual,
                    direction: one.direction,
                })
                .collect();
        }
        let reported = why.contributors.iter().find(|one| one.column == self.reported);
        reported.map_or(f64::NAN, |one| one.expected)
    }

    fn observe(&mut self, scored: &Scored, cause: &Cause) -> Step {
        let member = &cause.members[self.columns[self.reported]];
        let (sequence, position) = (cause.sequence, cause.position);
        let labels = super::state::labels_at(cause.told, member.place);
        let told = labels.map(|labels| Told { labels, interval_us: cause.period_us });
        let (signal, name) = (member.id, &*member.name);
        let at = Context { signal, name, window: None, feature: None, told, sequence, position };
        let mut step = self.alarm.observe(&at, scored, &self.ring, cause.settings, cause.repeat_us);
        if let Step::Revised(revision) = &mut step {
            revision.contributions = self.contributions.clone().into();
        }
        step
    }

    /// As the beginning of another stream: it judges from the first message on, and no anomaly is open.
    pub fn begin_anew(&mut self) {
        self.judged.iter_mut().for_each(|(_, since)| *since = 0);
        self.alarm = Alarm::default();
        self.contributions.clear();
        (self.reported, self.peak) = (0, 0.0);
    }
}

/// As it is stored: the scorer's state knows its model by its hash.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    #[serde(with = "serde_bytes")]
    model: Vec<u8>,
    #[serde(with = "serde_bytes")]
    scorer: Vec<u8>,
    columns: Vec<usize>,
    judged: Vec<(usize, u64)>,
    provisional: bool,
    alarm: Alarm,
    ring: Ring,
    contributions: Vec<Contribution>,
    reported: usize,
    peak: f64,
}

impl From<Watch> for Stored {
    fn from(watch: Watch) -> Self {
        // Serialising numbers into memory does not fail; if it did, restoring would refuse the empty state.
        let (model, scorer) = (watch.scorer.model().to_bytes(), watch.scorer.snapshot());
        Self {
            model: model.unwrap_or_default(),
            scorer: scorer.unwrap_or_default(),
            columns: watch.columns,
            judged: watch.judged,
            provisional: watch.provisional,
            alarm: watch.alarm,
            ring: watch.ring,
            contributions: watch.contributions,
            reported: watch.reported,
            peak: watch.peak,
        }
    }
}

impl TryFrom<Stored> for Watch {
    type Error = crate::CoreError;

    fn try_from(stored: Stored) -> crate::Result<Self> {
        let model = Model::from_bytes(&stored.model)?;
        let known = stored.columns.len() == model.columns() && stored.reported < stored.columns.len();
        if !known {
            let reason = "an asset's model and its signals do not fit".into();
            return Err(crate::CoreError::InvalidSnapshot { reason });
        }
        Ok(Self {
            scorer: Scorer::restore(Arc::new(model), &stored.scorer)?,
            columns: stored.columns,
            judged: stored.judged,
            provisional: stored.provisional,
            alarm: stored.alarm,
            ring: stored.ring,
            contributions: stored.contributions,
            reported: stored.reported,
            peak: stored.peak,
        })
    }
}
