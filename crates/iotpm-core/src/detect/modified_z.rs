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
/// Where the template says what is usual for the signal's class, that scores the first reading and fades as the window fills:
/// of n readings in a window of W, median and variance are those of the mixture of both, the class weighing 1 - n / W.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ModifiedZ {
    window: RollingWindow,
    /// Where the last search for the MAD ended: it makes the next one short and changes no result.
    #[serde(skip)]
    mad_place: usize,
}

impl ModifiedZ {
    pub fn new(readings: usize) -> Self {
        Self { window: RollingWindow::new(readings), mad_place: 0 }
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
        let floor = sample.resolution.max(MODIFIED_Z_FACTOR * WANDER_SHARE * sample.wander);
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
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Template;

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
}
