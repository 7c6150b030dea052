//! The trend of one feature: a series of its own, judged like readings.

use serde::{Deserialize, Serialize};

use super::FrameFeature;
use crate::{
    Maturity,
    alarm::{Alarm, Context, Doubt, Scored, Step},
    detect::{BasicDetectors, Fused},
    ring::{Ring, Slot},
    settings::Settings,
};

/// Values that an anomaly may look back on: more than `begin_of` can be.
const LOOK_BACK: usize = 64;

/// State of one scored feature.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Trend {
    pub feature: FrameFeature,
    detectors: BasicDetectors,
    alarm: Alarm,
    ring: Ring,
}

impl Trend {
    pub fn new(feature: FrameFeature, settings: &Settings) -> Self {
        Self { feature, detectors: BasicDetectors::new(settings), alarm: Alarm::default(), ring: Ring::default() }
    }

    /// Whether an anomaly of this feature is open.
    pub fn is_alarmed(&self) -> bool {
        self.alarm.is_open()
    }

    pub fn maturity(&self, settings: &Settings) -> Maturity {
        self.detectors.maturity(settings)
    }

    pub fn reconfigure(&mut self, settings: &Settings) {
        self.detectors.reconfigure(settings);
    }

    /// The next values lie on another clock.
    pub fn forget_crossings(&mut self) {
        self.alarm.forget_crossings();
        self.ring.clear();
    }

    /// A frame that cannot be judged.
    pub fn skip(&mut self, time_us: i64) {
        self.alarm.observe_unusable();
        self.remember(time_us, f64::NAN, 0.0);
    }

    /// Takes the feature of the next frame; `at` names the feature.
    pub fn observe(
        &mut self,
        at: &Context,
        (time_us, value): (i64, f64),
        settings: &Settings,
        repeat_us: i64,
    ) -> (Fused, Step) {
        let fused = self.detectors.judge(time_us, value, settings).fused;
        let scored = Scored { time_us, value, fused, doubt: Doubt::None };
        let step = self.alarm.observe(at, &scored, &self.ring, settings, repeat_us);
        self.remember(time_us, value, fused.verdict.score);
        (fused, step)
    }

    fn remember(&mut self, time_us: i64, value: f64, score: f64) {
        self.ring.push(Slot { time_us, value, score: score as f32 }, i64::MAX, LOOK_BACK);
    }
}
