//! A waveform frame's way from arrival to window, trends, anomalies and kept samples.

use std::sync::Arc;

use super::{Context, Run, SignalState, context, is_future, reject};
use crate::{
    Maturity, Quality, Reading, ScoreRow, VibrationRow, Waveform, WaveformRow,
    features::WindowFeatures,
    reorder::Arrival,
    settings::Settings,
    waveform::{Decided, FrameScore, Frames, VibrationFeatures},
};

impl SignalState {
    /// Takes a frame through the time rules.
    pub fn take_waveform(&mut self, frame: &Arc<Waveform>, run: &mut Run) {
        let Some(settings) = &run.settings.frames else { return };
        let reading = as_reading(frame);
        if is_future(frame.start_us, frame.stream_time_us, run.settings) {
            return reject(&reading, run);
        }
        let frames = self.frames.get_or_insert_with(|| Box::new(Frames::new(settings)));
        match frames.arrive(frame.start_us, run.settings.lateness_us) {
            Arrival::Duplicate => self.count_duplicate(run),
            Arrival::Late(watermark_us) => self.keep_late(&reading, watermark_us, run),
            Arrival::Accepted => self.accept_frame(frame, run),
            Arrival::ClockStep => {
                self.restart_frames(frame.start_us, run);
                self.accept_frame(frame, run);
            }
        }
    }

    fn accept_frame(&mut self, frame: &Arc<Waveform>, run: &mut Run) {
        self.last_stream_us = frame.stream_time_us;
        if self.idle {
            self.wake(frame.start_us, run);
        }
        let Some(frames) = &mut self.frames else { return };
        frames.wait(frame);
        let (released, early) = frames.release(run.settings);
        run.output.counters.reorder_overflow += early;
        released.iter().for_each(|frame| self.release_frame(frame, run));
    }

    /// Releases the frames that wait.
    pub(super) fn release_frames(&mut self, run: &mut Run) {
        let released = self.frames.as_mut().map(|frames| frames.release_all()).unwrap_or_default();
        released.iter().for_each(|frame| self.release_frame(frame, run));
    }

    fn restart_frames(&mut self, start_us: i64, run: &mut Run) {
        self.release_frames(run);
        self.segment += 1;
        run.output.counters.clock_steps += 1;
        if let Some(frames) = &mut self.frames {
            frames.restart(start_us, run.settings.lateness_us);
        }
    }

    /// Takes the next frame in the order of starts.
    fn release_frame(&mut self, frame: &Arc<Waveform>, run: &mut Run) {
        let quality = quality(&frame.samples, run.settings);
        if let Some(frames) = &mut self.frames {
            frames.pass(frame.start_us);
            if !quality.is_usable() {
                frames.skip(frame.start_us);
            }
        }
        if quality.is_usable() {
            self.judge_frame(frame, run);
        } else {
            self.count_bad_frame(quality, run);
        }
        self.keep(run, |frames, policy| frames.keeper.take(frame, policy));
    }

    fn count_bad_frame(&mut self, quality: Quality, run: &mut Run) {
        self.counts.bad += 1;
        match quality {
            Quality::NonFinite => run.output.counters.non_finite += 1,
            _ => run.output.counters.out_of_range += 1,
        }
    }

    /// Window, vibration features and trends of a good frame.
    fn judge_frame(&mut self, frame: &Waveform, run: &mut Run) {
        let Some(settings) = &run.settings.frames else { return };
        let scratch = &mut *run.scratch;
        scratch.values.clear();
        scratch.values.extend(frame.samples.iter().map(|sample| f64::from(*sample)));
        let window = WindowFeatures::compute(&scratch.values, Some(frame.rate_hz), &mut scratch.features);
        let vibration = scratch.analysis.of_frame(&scratch.values, frame, settings);
        let end_us = frame.start_us.saturating_add(length_us(frame));
        self.keep_window(frame.start_us, end_us, window);
        let score = self.score_frame(frame, &window, &vibration, run);
        let count = frame.samples.len() as u32;
        self.emit_window(frame.start_us, end_us, (count, 0), score, window, run);
        self.emit_vibration(frame, vibration, run);
    }

    /// The greatest score of the frame's features.
    fn score_frame(
        &mut self,
        frame: &Waveform,
        window: &WindowFeatures,
        vibration: &VibrationFeatures,
        run: &mut Run,
    ) -> f64 {
        if run.in_maintenance(frame.start_us) {
            run.output.counters.maintenance += 1;
            return self.skip(frame.start_us);
        }
        if !self.admits(frame.start_us, run.settings) {
            run.output.counters.transient += 1;
            return self.skip(frame.start_us);
        }
        let at = context(self.id, &self.name, self.latest_window.as_ref(), run);
        let Some((frames, settings)) = self.frames.as_mut().zip(run.settings.frames.as_ref()) else { return 0.0 };
        let repeat_us = run.settings.repeat_us.unwrap_or_else(|| length_us(frame));
        let score = frames.score(&at, frame.start_us, (window, vibration), settings, repeat_us);
        let Context { signal, .. } = at;
        if run.emit_scores {
            run.output.scores.push(score_row(signal, frame.start_us, &score, run.sequence));
        }
        run.output.counters.scored += 1;
        run.output.counters.suppressed += score.suppressed;
        run.output.counters.muted += score.muted;
        score.revisions.into_iter().for_each(|revision| self.log(revision, run));
        score.fused.verdict.score
    }

    /// A frame that neither trains nor is scored.
    fn skip(&mut self, start_us: i64) -> f64 {
        if let Some(frames) = &mut self.frames {
            frames.skip(start_us);
        }
        0.0
    }

    fn emit_vibration(&self, frame: &Waveform, features: VibrationFeatures, run: &mut Run) {
        run.output.vibration.push(VibrationRow {
            signal: self.id,
            start_us: frame.start_us,
            rate_hz: frame.rate_hz,
            count: frame.samples.len() as u32,
            features,
            sequence: run.sequence,
            position: run.position,
        });
    }

    /// Keeps the samples that an anomaly just raised without a frame saves.
    pub(super) fn keep_saved(&mut self, run: &mut Run) {
        self.keep(run, |frames, policy| frames.keeper.save(policy));
    }

    fn keep(&mut self, run: &mut Run, decide: impl FnOnce(&mut Frames, &crate::WaveformTemplate) -> Decided) {
        let Some((frames, settings)) = self.frames.as_mut().zip(run.settings.frames.as_ref()) else { return };
        let decided = decide(frames, &settings.template);
        run.output.counters.waveforms_kept += decided.kept.len() as u64;
        run.output.counters.waveforms_dropped += decided.dropped;
        let (sequence, position) = (run.sequence, run.position);
        let row = |waveform| WaveformRow { waveform, sequence, position };
        run.output.waveforms.extend(decided.kept.into_iter().map(row));
    }

    pub(super) fn reconfigure_frames(&mut self, run: &mut Run) {
        if let Some((frames, settings)) = self.frames.as_mut().zip(run.settings.frames.as_ref()) {
            frames.reconfigure(settings);
        }
    }

    /// Maturity of the slowest detector that runs.
    pub fn maturity(&self, settings: &Settings) -> Maturity {
        match self.frames.as_ref().zip(settings.frames.as_ref()) {
            Some((frames, settings)) if self.ring.len() == 0 => frames.maturity(settings),
            _ => self.detectors.maturity(settings),
        }
    }

    /// Median of the first intervals between readings, or between frames' starts, once they are known.
    pub fn typical_interval_us(&self) -> Option<i64> {
        self.typical_us.or_else(|| self.frames.as_ref().and_then(|frames| frames.typical_us()))
    }
}

/// The frame's place in time as the time rules see it.
fn as_reading(frame: &Waveform) -> Reading {
    Reading {
        signal: frame.signal,
        time_us: frame.start_us,
        value: f64::NAN,
        quality: Quality::Good,
        sequence: frame.sequence,
        position: frame.position,
        stream_time_us: frame.stream_time_us,
    }
}

/// One bad sample makes a frame bad: every feature would be wrong.
fn quality(samples: &[f32], settings: &Settings) -> Quality {
    let (low, high) = settings.physical;
    if !samples.iter().all(|sample| sample.is_finite()) {
        Quality::NonFinite
    } else if samples.iter().all(|sample| (low..=high).contains(&f64::from(*sample))) {
        Quality::Good
    } else {
        Quality::OutOfRange
    }
}

fn length_us(frame: &Waveform) -> i64 {
    ((frame.samples.len() as f64 / frame.rate_hz * 1e6).round() as i64).max(1)
}

fn score_row(signal: crate::SignalId, time_us: i64, score: &FrameScore, sequence: u64) -> ScoreRow {
    let verdict = score.fused.verdict;
    ScoreRow {
        signal,
        time_us,
        score: verdict.score,
        detector: score.fused.detector,
        feature: score.feature,
        expected: verdict.expected,
        maturity: verdict.maturity,
        sequence,
    }
}
