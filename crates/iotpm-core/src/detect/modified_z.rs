//! Modified z-score over a rolling window.

use serde::{Deserialize, Serialize};

use super::{ReadingDetector, Sample, Verdict};
use crate::{
    Maturity,
    robust::{MODIFIED_Z_FACTOR, RollingWindow, modified_z},
    settings::Settings,
};

/// Readings before the first score.
const COLD_READINGS: usize = 16;
/// While the window fills, the boundary is wider by 1 + this / n: a median deviation of few readings is often too small.
const LEARNING_WIDTH: f64 = 8.0;
/// Readings that the usual step is the mean of.
const STEP_MEMORY: u32 = 256;
/// A step counts at most this many times the usual one: a spike must not hide a lesser one, and what goes on is learned.
const STEP_TIMES_MAX: f64 = 8.0;
/// Share of the signal's usual wander below which a window's scatter is taken for a quiet stretch.
const WANDER_SHARE: f64 = 0.45;

/// Score = |0.6745 (x - median) / max(MAD, floor)| / boundary, median and MAD of the last W readings before x.
///
/// Source: Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993), boundary 3.5. The floor is the larger of the
/// sensor's resolution, which keeps a constant signal with one step from alarming, and a share of the signal's usual
/// wander, which keeps a slow signal from alarming whenever it leaves a quiet stretch. Where more than half of the window
/// is one value, so that the MAD is 0, the root mean square deviation from the median takes its place: the source's own
/// substitute, the mean absolute deviation, would call a level that is visited every fifth reading an outlier.
///
/// The third floor is what the signal does from one reading to the next all the time: half the mean square successive
/// difference is the variance of readings that do not depend on each other, and less than it of those that do (von Neumann,
/// "Distribution of the Ratio of the Mean Square Successive Difference to the Variance", 1941). A counting sensor whose
/// readings lie on 32 and 33 but for a jitter of thousandths has a MAD of thousandths, and one count is no outlier there.
///
/// Where the template says what is usual for the signal's class, that scores the first reading and fades as the window fills:
/// of n readings in a window of W, median and variance are those of the mixture of both, the class weighing 1 - n / W.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ModifiedZ {
    window: RollingWindow,
    steps: UsualStep,
    /// Where the last search for the MAD ended: it makes the next one short and changes no result.
    #[serde(skip)]
    mad_place: usize,
}

/// Mean square of the steps between successive readings: of all, later of about the last [`STEP_MEMORY`].
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct UsualStep {
    previous: f64,
    mean_square: f64,
    readings: u32,
}

impl UsualStep {
    #[inline]
    fn update(&mut self, value: f64) {
        if self.readings > 0 {
            let square = (value - self.previous).powi(2);
            let known = self.readings as usize >= COLD_READINGS && self.mean_square > 0.0;
            let counted = if known { square.min(STEP_TIMES_MAX.powi(2) * self.mean_square) } else { square };
            self.mean_square += (counted - self.mean_square) / f64::from(self.readings);
        }
        self.readings = STEP_MEMORY.min(self.readings + 1);
        self.previous = value;
    }

    /// Deviation of independent readings with such steps.
    fn deviation(&self) -> f64 {
        (0.5 * self.mean_square).sqrt()
    }
}

impl ModifiedZ {
    pub fn new(readings: usize) -> Self {
        Self { window: RollingWindow::new(readings), steps: UsualStep::default(), mad_place: 0 }
    }

    /// Changes the window's length and keeps the newest readings.
    pub fn resize(&mut self, readings: usize) {
        if readings != self.window.capacity() {
            let mut window = RollingWindow::new(readings);
            self.window.values().for_each(|value| {
                window.push(value);
            });
            self.window = window;
        }
    }

    /// See [`RollingWindow::prefetch`].
    pub fn prefetch(&self) {
        self.window.prefetch();
    }

    pub fn maturity(&self) -> Maturity {
        match self.window.len() {
            n if n < COLD_READINGS => Maturity::Cold,
            _ if !self.window.is_full() => Maturity::Learning,
            _ => Maturity::Mature,
        }
    }

    fn deviation(&self, median: f64) -> f64 {
        let squares: f64 = self.window.values().map(|value| (value - median).powi(2)).sum();
        (squares / self.window.len() as f64).sqrt()
    }

    /// Median and deviation of what is in the window.
    fn own(&mut self) -> (f64, f64) {
        if self.window.is_empty() {
            return (0.0, 0.0);
        }
        let (median, mad) = self.window.median_and_mad();
        (median, if mad > 0.0 { mad / MODIFIED_Z_FACTOR } else { self.deviation(median) })
    }

    /// Score while the class of the signal has a say.
    #[cold]
    fn by_class(&mut self, sample: &Sample, boundary: f64, (usual, deviation): (f64, f64)) -> Verdict {
        let maturity = self.maturity().max(Maturity::Prior);
        let share = self.window.len() as f64 / self.window.capacity() as f64;
        let (median, own) = self.own();
        let expected = share * median + (1.0 - share) * usual;
        let apart = share * (1.0 - share) * (median - usual).powi(2);
        let variance = share * own.powi(2) + (1.0 - share) * deviation.powi(2) + apart;
        let width = 1.0 + LEARNING_WIDTH / self.window.capacity() as f64;
        let z = modified_z(sample.value, expected, MODIFIED_Z_FACTOR * variance.sqrt(), sample.resolution);
        Verdict { score: z.abs() / (boundary * width), expected, maturity }
    }

    #[inline]
    fn verdict(&mut self, sample: &Sample, boundary: f64, prior: Option<(f64, f64)>) -> Verdict {
        let maturity = self.maturity();
        if let Some(prior) = prior.filter(|_| maturity < Maturity::Mature) {
            return self.by_class(sample, boundary, prior);
        }
        if maturity == Maturity::Cold {
            return Verdict::COLD;
        }
        let (median, mad) = self.window.median_and_mad_near(&mut self.mad_place);
        let width = if maturity == Maturity::Mature { 1.0 } else { 1.0 + LEARNING_WIDTH / self.window.len() as f64 };
        let usual = self.steps.deviation().max(WANDER_SHARE * sample.wander);
        let floor = sample.resolution.max(MODIFIED_Z_FACTOR * usual);
        let spread = if mad > 0.0 { mad } else { MODIFIED_Z_FACTOR * self.deviation(median) };
        let z = modified_z(sample.value, median, spread, floor);
        Verdict { score: z.abs() / (boundary * width), expected: median, maturity }
    }
}

impl ReadingDetector for ModifiedZ {
    #[inline]
    fn judge(&mut self, sample: &Sample, settings: &Settings) -> Verdict {
        let verdict = settings
            .modified_z_boundary
            .map_or(Verdict::COLD, |boundary| self.verdict(sample, boundary, settings.prior));
        self.window.push(sample.value);
        self.steps.update(sample.value);
        verdict
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Template, detect::Resolution};

    fn scores(values: impl Iterator<Item = f64>) -> Vec<f64> {
        let settings = Settings::of(&Template::default());
        let mut detector = ModifiedZ::new(settings.modified_z_window);
        let sample = |value| Sample { time_us: 0, value, resolution: 1e-6, wander: 0.0 };
        values.map(|v| detector.judge(&sample(v), &settings).score).collect()
    }

    #[test]
    fn a_signal_of_few_levels_may_change_between_them() {
        let levels = (0..400).map(|i| if i % 5 == 0 { 33.0 } else { 32.0 });
        assert!(scores(levels).iter().all(|score| *score < 1.0));
    }

    #[test]
    fn and_still_may_not_leave_them() {
        let levels = (0..400).map(|i| if i % 5 == 0 { 33.0 } else { 32.0 });
        assert!(scores(levels.chain([40.0])).last().is_some_and(|score| *score >= 1.0));
    }

    /// What a counting sensor shows: whole counts of `step` from `offset` on, and a jitter of up to a share of a count.
    fn counted(counts: &[u8], jitter: &[f64], offset: f64, step: f64) -> Vec<f64> {
        let whole = counts.iter().map(|count| f64::from(*count));
        whole.zip(jitter).map(|(count, jitter)| offset + step * (count + jitter)).collect()
    }

    /// Scores with the resolution that is learned of the values.
    fn judged(values: &[f64]) -> Vec<f64> {
        let settings = Settings::of(&Template::default());
        let (mut detector, mut resolution) = (ModifiedZ::new(settings.modified_z_window), Resolution::default());
        let mut sample = |value| Sample { time_us: 0, value, resolution: resolution.update(value), wander: 0.0 };
        values.iter().map(|value| detector.judge(&sample(*value), &settings).score).collect()
    }

    /// A count that is now and then one more, with a share of the readings between a sixth and a half.
    fn now_and_then() -> impl Strategy<Value = Vec<u8>> {
        (0.17..0.5).prop_flat_map(|share| prop::collection::vec(prop::bool::weighted(share).prop_map(u8::from), 600))
    }

    proptest! {
        #[test]
        fn one_count_of_a_jittering_sensor_that_counts_now_and_then_one_more_is_nothing(
            counts in now_and_then(),
            jitter in prop::collection::vec(-0.005..0.005, 600),
            offset in -1e3..1e3,
            step in 1e-3..1e3,
        ) {
            let mut values = counted(&counts, &jitter, offset, step);
            prop_assert!(judged(&values)[200..].iter().all(|score| *score < 1.0));
            values.push(offset + 15.0 * step);
            prop_assert!(judged(&values)[600] >= 2.0);
        }

        #[test]
        fn one_count_of_a_coarse_sensor_is_nothing_however_rare(
            rests in prop::collection::vec((20_usize..150, 0_u8..4), 12..20),
            step in 0.011_f64..1e3,
        ) {
            let neighbours = [0, 1, 0, 1, 2, 1, 2, 3, 2, 1, 0, 1, 0, 1].into_iter().map(|count| (1, count));
            let walk = rests.iter().scan(1, |at: &mut u8, (rest, to)| {
                *at = if to > at { *at + 1 } else { at.saturating_sub(1) };
                Some((*rest, *at))
            });
            let counts: Vec<u8> = neighbours.chain(walk).flat_map(|(rest, count)| vec![count; rest]).collect();
            let values = counted(&counts, &vec![0.0; counts.len()], 0.0, (step * 1e6).round() / 1e6);
            prop_assert!(judged(&values).iter().all(|score| *score < 1.0));
        }

        #[test]
        fn a_great_spike_hides_no_lesser_one(noise in prop::collection::vec(0.0..1.0, 400), great in 20.0..1e6) {
            let mut values = noise;
            values.extend([great, 0.4, 0.6, 0.5, 0.3, 6.0]);
            let scores = judged(&values);
            prop_assert!(scores[400] >= 2.0);
            prop_assert!(scores[405] >= 1.0);
        }

        #[test]
        fn what_readings_do_all_the_time_hides_no_spike(
            noise in prop::collection::vec(0.0..1.0, 400),
            spikes in 1_usize..4,
        ) {
            let mut values = noise;
            for _ in 0..spikes {
                values.extend([8.0, 0.4, 0.6, 0.5, 0.3]);
                let scores = judged(&values);
                prop_assert!(scores[values.len() - 5] >= 1.0);
            }
        }
    }
}
