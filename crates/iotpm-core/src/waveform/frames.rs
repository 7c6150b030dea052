//! What a signal of waveforms remembers: the order of its frames, their trends, and what may still be kept.

use std::{collections::VecDeque, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{FrameFeature, HELD_SAMPLES_MAX, VibrationFeatures, keep::Keeper, template::FrameSettings, trend::Trend};
use crate::{
    AnomalyRevision, Maturity, Waveform,
    alarm::{Context, Step},
    detect::Fused,
    features::WindowFeatures,
    reorder::{Arrival, Reorder, Waiting},
    settings::Settings,
};

/// Intervals whose median is the typical one, as for readings.
const TYPICAL_INTERVALS: usize = 32;
/// Released starts in which a repeat is recognised.
const STARTS_MAX: usize = 64;

/// State of the frames of one signal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Frames {
    reorder: Reorder,
    waiting: Vec<Arc<Waveform>>,
    /// Starts of the last released frames, ascending.
    starts_us: VecDeque<i64>,
    intervals_us: Vec<i64>,
    typical_us: Option<i64>,
    trends: Vec<Trend>,
    pub keeper: Keeper,
}

/// What the trends say of a frame.
#[derive(Debug)]
pub(crate) struct FrameScore {
    /// The verdict with the greatest score, and the feature it is of.
    pub fused: Fused,
    pub feature: Option<FrameFeature>,
    pub revisions: Vec<AnomalyRevision>,
    pub suppressed: u64,
    pub muted: u64,
}

impl Frames {
    pub fn new(settings: &FrameSettings) -> Self {
        let trend = |feature: &FrameFeature| Trend::new(*feature, settings.trend(*feature));
        Self {
            reorder: Reorder::default(),
            waiting: Vec::new(),
            starts_us: VecDeque::new(),
            intervals_us: Vec::new(),
            typical_us: None,
            trends: settings.features.iter().map(trend).collect(),
            keeper: Keeper::default(),
        }
    }

    pub fn greatest_us(&self) -> Option<i64> {
        self.reorder.greatest_us()
    }

    /// Typical interval between starts; before it is known the greatest one, and `None` before the second frame.
    pub fn interval_us(&self) -> Option<i64> {
        self.typical_us.or_else(|| self.intervals_us.iter().max().copied())
    }

    /// Median of the first intervals between starts, once they are known.
    pub fn typical_us(&self) -> Option<i64> {
        self.typical_us
    }

    /// Applies the time rules to a frame by its start.
    pub fn arrive(&mut self, start_us: i64, lateness_us: i64) -> Arrival {
        let known = self.reorder.greatest_us().is_some_and(|greatest| start_us <= greatest);
        if known && self.starts_us.binary_search(&start_us).is_ok() {
            return Arrival::Duplicate;
        }
        self.reorder.arrive(start_us, lateness_us)
    }

    /// Forgets the old clock and begins a new one with this start.
    pub fn restart(&mut self, start_us: i64, lateness_us: i64) {
        self.reorder.restart();
        self.starts_us.clear();
        self.trends.iter_mut().for_each(Trend::forget_crossings);
        self.reorder.arrive(start_us, lateness_us);
    }

    /// Puts an accepted frame in order.
    pub fn wait(&mut self, frame: &Arc<Waveform>) {
        self.reorder.wait(Waiting { time_us: frame.start_us, value: 0.0, uncertain: false });
        let at = self.waiting.partition_point(|other| other.start_us < frame.start_us);
        self.waiting.insert(at, Arc::clone(frame));
    }

    /// Frames that the watermark has passed, in order, and how many left early because too much waited.
    pub fn release(&mut self, settings: &Settings) -> (Vec<Arc<Waveform>>, u64) {
        let longest = self.waiting.iter().map(|frame| frame.samples.len()).max().unwrap_or(1).max(1);
        let bound = (HELD_SAMPLES_MAX / longest).min(settings.max_reorder);
        let mut released = Vec::new();
        let early = self.reorder.release(settings.lateness_us, bound, &mut released);
        (self.waiting.drain(..released.len()).collect(), early)
    }

    /// All frames that wait, in order.
    pub fn release_all(&mut self) -> Vec<Arc<Waveform>> {
        self.reorder.release_all(&mut Vec::new());
        std::mem::take(&mut self.waiting)
    }

    /// Notes the start of the next frame in order.
    pub fn pass(&mut self, start_us: i64) {
        if let Some(before_us) = self.starts_us.back()
            && self.typical_us.is_none()
        {
            self.intervals_us.push(start_us.saturating_sub(*before_us));
            self.learn_interval();
        }
        if self.starts_us.len() >= STARTS_MAX {
            self.starts_us.pop_front();
        }
        self.starts_us.push_back(start_us);
    }

    fn learn_interval(&mut self) {
        if self.intervals_us.len() >= TYPICAL_INTERVALS {
            let mut intervals = std::mem::take(&mut self.intervals_us);
            let (_, median, _) = intervals.select_nth_unstable(TYPICAL_INTERVALS / 2);
            self.typical_us = Some(*median);
        }
    }

    /// A frame that no detector may judge.
    pub fn skip(&mut self, start_us: i64) {
        self.trends.iter_mut().for_each(|trend| trend.skip(start_us));
    }

    /// Judges the features of the next frame.
    pub fn score(
        &mut self,
        at: &Context,
        start_us: i64,
        (window, vibration): (&WindowFeatures, &VibrationFeatures),
        settings: &FrameSettings,
        repeat_us: i64,
    ) -> FrameScore {
        let fused = Fused::NONE;
        let mut score = FrameScore { fused, feature: None, revisions: Vec::new(), suppressed: 0, muted: 0 };
        for trend in &mut self.trends {
            let value = trend.feature.of(window, vibration);
            if value.is_finite() {
                let at = at.of_feature(trend.feature);
                let (fused, step) = trend.observe(&at, (start_us, value), settings.trend(trend.feature), repeat_us);
                score.weigh(trend.feature, fused, step);
            } else {
                trend.skip(start_us);
            }
        }
        self.drop_unwanted(settings);
        score
    }

    /// Maturity of the slowest learner of the trends.
    pub fn maturity(&self, settings: &FrameSettings) -> Maturity {
        self.trends.iter().map(|trend| trend.maturity(settings.trend(trend.feature))).min().unwrap_or_default()
    }

    /// New settings act from here on: trends are added, and those no longer wanted go once their anomalies are over.
    pub fn reconfigure(&mut self, settings: &FrameSettings) {
        for feature in &settings.features {
            match self.trends.iter_mut().find(|trend| trend.feature == *feature) {
                Some(trend) => trend.reconfigure(settings.trend(*feature)),
                None => self.trends.push(Trend::new(*feature, settings.trend(*feature))),
            }
        }
        self.drop_unwanted(settings);
    }

    fn drop_unwanted(&mut self, settings: &FrameSettings) {
        self.trends.retain(|trend| trend.is_alarmed() || settings.features.contains(&trend.feature));
    }
}

impl FrameScore {
    fn weigh(&mut self, feature: FrameFeature, fused: Fused, step: Step) {
        let maturity = self.fused.verdict.maturity.max(fused.verdict.maturity);
        if fused.verdict.score > self.fused.verdict.score {
            (self.fused, self.feature) = (fused, Some(feature));
        }
        self.fused.verdict.maturity = maturity;
        match step {
            Step::Quiet => {}
            Step::Suppressed => self.suppressed += 1,
            Step::Muted => self.muted += 1,
            Step::Revised(revision) => self.revisions.push(*revision),
        }
    }
}
