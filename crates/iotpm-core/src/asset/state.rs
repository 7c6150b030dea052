//! One asset: readings of its signals become rows, rows a model, and the model judges the rows that follow.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Member,
    blocks::Blocks,
    timing::Timing,
    watch::{Cause, Watch},
};
use crate::{
    AnomalyRevision, Output, Quality, Reading,
    alarm::Step,
    feedback::SignalLabels,
    multivariate::{AssetFrame, FrameRow, Model, Settings as ModelSettings},
    settings::{AssetSettings, Settings},
};

/// Periods after which the last value of a signal no longer stands for it.
const AGE_PERIODS: i64 = 3;
/// Lateness in periods at most.
const LATENESS_PERIODS: i64 = 1_000;
/// The model is fitted again after 2 and 4 times the learning time, each time to rows of all that time, and then stays.
const FITS: u8 = 3;
/// So often is the learning time halved for the first of the provisional models, which are fitted at each doubling. They know
/// part of a day and take what they have not seen for a fault, but only once: the signals' own detectors do so each for
/// itself and again and again. Where operating states are told there are none: detectors of single signals know each speed
/// by itself, and a part of a day has hardly all of them.
const PROVISIONAL_HALVINGS: u32 = 4;
/// Periods after an anomaly in which it is not raised again unless it is worse.
const REPEAT_PERIODS: i64 = 32;
/// Assets begin to be judged over this share of the learning time, so that they are not all fitted at once.
const SPREAD: f64 = 0.05;

/// Everything an asset remembers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct AssetState {
    pub members: Vec<Member>,
    timing: Timing,
    /// Once the period is known.
    framing: Option<Framing>,
    pub watch: Option<Box<Watch>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Framing {
    frame: AssetFrame,
    period_us: i64,
    /// Time of the first row.
    since_us: Option<i64>,
    next_fit_us: i64,
    /// Time in which the asset is learned.
    whole_us: i64,
    /// Models of the whole learning time and more.
    fits: u8,
    /// What the next model is fitted to; `None` after the last.
    training: Option<Blocks>,
}

/// What a reading or the end of the series caused.
pub(crate) struct At<'a> {
    pub sequence: u64,
    pub position: u32,
    /// Of the asset's first signal.
    pub settings: &'a Settings,
    pub asset: &'a AssetSettings,
    /// Whether the machine's state lets a row of that time train and score.
    pub admits: &'a dyn Fn(i64) -> bool,
    /// What operators said of every signal of the shard, by place.
    pub told: &'a [Option<Box<SignalLabels>>],
}

/// What was said of the signal at a place.
pub(super) fn labels_at(told: &[Option<Box<SignalLabels>>], place: u32) -> Option<&SignalLabels> {
    told.get(place as usize).and_then(Option::as_deref)
}

impl AssetState {
    /// Gives a signal that appears a column. What was collected without it is dropped, unless a model of the whole learning
    /// time is in force: then the signal stays outside of it, and its own detectors go on speaking for it.
    pub fn join(&mut self, member: impl FnOnce() -> Member) -> Option<u32> {
        if self.watch.as_ref().is_some_and(|watch| !watch.is_provisional()) {
            return None;
        }
        self.members.push(member());
        (self.timing, self.framing) = (Timing::default(), None);
        Some(self.members.len() as u32 - 1)
    }

    /// Takes a usable reading of a column; `true` if a model came into force.
    pub fn take(&mut self, column: usize, reading: &Reading, at: &At, output: &mut Output) -> bool {
        self.members[column].uncertain = reading.quality == Quality::Uncertain;
        let Some(framing) = &mut self.framing else {
            if let Some(period_us) = self.timing.observe(column, reading.time_us) {
                self.framing = Framing::new(self.members.len(), period_us, at.settings.lateness_us);
            }
            return false;
        };
        let mut rows = Vec::new();
        // The column is one of the frame's.
        let _known = framing.frame.push(column, reading.time_us, reading.value, &mut rows);
        self.run(&rows, at, output)
    }

    /// The series has ended: rows up to the newest reading are complete.
    pub fn end(&mut self, at: &At, output: &mut Output) -> bool {
        let mut rows = Vec::new();
        if let Some(framing) = &mut self.framing {
            framing.frame.finish(&mut rows);
        }
        self.run(&rows, at, output)
    }

    fn run(&mut self, rows: &[FrameRow], at: &At, output: &mut Output) -> bool {
        let mut fitted = false;
        for row in rows {
            let healthy = self.judge(row, at, output);
            fitted |= self.learn(row, healthy, at);
        }
        fitted
    }

    /// Whether someone works on one of the signals.
    fn in_maintenance(&self, time_us: i64, at: &At) -> bool {
        let mut told = self.members.iter().filter_map(|member| labels_at(at.told, member.place));
        told.any(|labels| labels.in_maintenance(time_us))
    }

    /// Whether the row may train.
    fn judge(&mut self, row: &FrameRow, at: &At, output: &mut Output) -> bool {
        let admitted = (at.admits)(row.time_us) && !self.in_maintenance(row.time_us, at);
        let (Some(watch), Some(framing)) = (&mut self.watch, &self.framing) else { return admitted };
        if !admitted {
            watch.pass_over();
            return false;
        }
        let cause = Cause {
            sequence: at.sequence,
            position: at.position,
            settings: at.settings,
            repeat_us: at.settings.repeat_us.unwrap_or(framing.period_us * REPEAT_PERIODS),
            members: &self.members,
            told: at.told,
            period_us: framing.period_us,
        };
        let (healthy, step) = watch.judge(row, &cause);
        match step {
            Step::Quiet => {}
            Step::Suppressed => output.counters.suppressed += 1,
            Step::Muted => output.counters.muted += 1,
            Step::Revised(revision) => log(*revision, output),
        }
        healthy
    }

    /// Keeps a healthy row to learn from, and fits a model when it is time for one.
    fn learn(&mut self, row: &FrameRow, healthy: bool, at: &At) -> bool {
        let Some(framing) = &mut self.framing else { return false };
        let Some(training) = &mut framing.training else { return false };
        if healthy {
            training.push(&row.values);
        }
        let halvings = if at.settings.state.is_some() { 0 } else { PROVISIONAL_HALVINGS };
        framing.begin(row.time_us, halvings, || learning_us(&self.members, at.asset.learning_us));
        let waits = self.watch.as_ref().is_some_and(|watch| !watch.is_provisional() && watch.is_alarming());
        if waits || row.time_us < framing.next_fit_us || !framing.has_seen_enough() {
            return false;
        }
        self.fit_now(row.time_us, at)
    }

    fn fit_now(&mut self, now_us: i64, at: &At) -> bool {
        let Some(framing) = &mut self.framing else { return false };
        let Some(training) = &framing.training else { return false };
        let columns = match &self.watch {
            // Signals stay judged once they are: later models are of the same ones.
            Some(watch) if !watch.is_provisional() => watch.columns().to_vec(),
            _ => training.present(),
        };
        let goes_on = self.watch.as_ref().is_none_or(|watch| watch.can_go_on_with(&columns));
        let fitted = if goes_on { fit(training, &columns, at.asset, framing.seen_share(now_us)) } else { None };
        let provisional = framing.plan_next(now_us, fitted.is_some());
        let Some(model) = fitted else { return false };
        match &mut self.watch {
            Some(watch) => watch.renew(model, columns, provisional, at.sequence),
            None => self.watch = Some(Box::new(Watch::new(model, columns, provisional, at.sequence))),
        }
        true
    }
}

impl Framing {
    /// `None` where the period does not do: then the next readings are looked at.
    fn new(columns: usize, period_us: i64, lateness_us: i64) -> Option<Self> {
        let lateness_us = lateness_us.min(period_us.saturating_mul(LATENESS_PERIODS));
        let frame = AssetFrame::new(columns, period_us, period_us.saturating_mul(AGE_PERIODS), lateness_us).ok()?;
        let training = Some(Blocks::new(columns));
        Some(Self { frame, period_us, since_us: None, next_fit_us: i64::MAX, whole_us: 0, fits: 0, training })
    }

    /// Notes the first row; the first model is of the learning time halved so often.
    fn begin(&mut self, now_us: i64, halvings: u32, whole_us: impl FnOnce() -> i64) {
        if self.since_us.is_none() {
            (self.since_us, self.whole_us) = (Some(now_us), whole_us());
            self.next_fit_us = now_us.saturating_add(self.whole_us >> halvings);
        }
    }

    /// Share of the learning time that was observed; the whole for every model fitted after it, as gaps are what they were.
    fn seen_share(&self, now_us: i64) -> f64 {
        let lasted_us = now_us.saturating_sub(self.since_us.unwrap_or(now_us));
        if lasted_us >= self.whole_us { 1.0 } else { (self.seen_us() as f64 / self.whole_us as f64).min(1.0) }
    }

    /// Time that the learned rows stand for.
    fn seen_us(&self) -> i64 {
        let rows = self.training.as_ref().map_or(0, Blocks::seen);
        self.period_us.saturating_mul(i64::try_from(rows).unwrap_or(i64::MAX))
    }

    /// Whether the learned rows stand for the time of the first provisional model: silence teaches nothing.
    fn has_seen_enough(&self) -> bool {
        self.seen_us() >= self.whole_us >> PROVISIONAL_HALVINGS
    }

    /// Twice as long after each model, but not past the learning time; half as long again where there was too little to learn
    /// from. Whether a model of now is provisional.
    fn plan_next(&mut self, now_us: i64, fitted: bool) -> bool {
        let since_us = self.since_us.unwrap_or(now_us);
        let lasted_us = now_us.saturating_sub(since_us).max(self.period_us);
        self.next_fit_us = now_us.saturating_add(if fitted { lasted_us } else { lasted_us / 2 });
        if lasted_us < self.whole_us {
            self.next_fit_us = self.next_fit_us.min(since_us.saturating_add(self.whole_us));
            return true;
        }
        self.fits += u8::from(fitted);
        if self.fits == FITS {
            self.training = None;
        }
        false
    }
}

fn log(revision: AnomalyRevision, output: &mut Output) {
    output.counters.anomalies += u64::from(revision.revision == 0);
    output.anomalies.push(revision);
}

/// A model of these columns; `None` where they or the rows are too few, or the values do not allow one.
fn fit(training: &Blocks, columns: &[usize], asset: &AssetSettings, seen_share: f64) -> Option<Model> {
    let enough = columns.len() > 1 && training.rows() >= ModelSettings::rows_mature(columns.len()) as u64;
    let false_alarm_rate = asset.false_alarm_rate;
    let settings = ModelSettings { false_alarm_rate, seen_share, ..ModelSettings::default() };
    enough.then(|| Model::fit(&training.matrix(columns), columns.len(), &settings).ok())?
}

/// Time in which the asset is learned, spread a little so that assets are not all fitted at once.
fn learning_us(members: &[Member], learning_us: i64) -> i64 {
    let asset = members.first().map_or("", |first| super::asset_of(&first.name));
    let share = (xxh3_64(asset.as_bytes()) >> 32) as f64 / f64::from(u32::MAX);
    (learning_us as f64 * (1.0 + SPREAD * share)) as i64
}
