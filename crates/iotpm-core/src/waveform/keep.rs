//! Which frames' samples are kept: every Nth, and those around an anomaly.

use std::{collections::VecDeque, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{HELD_SAMPLES_MAX, WaveformTemplate};
use crate::Waveform;

/// Decides frame by frame, from the order of the frames alone. What an anomaly may still save is held, bounded by
/// `keep_around_anomaly` frames and [`HELD_SAMPLES_MAX`] samples.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Keeper {
    /// Frames so far.
    frames: u64,
    /// Frames still to be kept because of the last revision.
    after: u32,
    /// Undecided frames with their numbers, oldest first.
    held: VecDeque<(u64, Arc<Waveform>)>,
    /// An anomaly of the signal was revised since the last frame.
    alarmed: bool,
}

/// What became of frames.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    /// To be stored, in order.
    pub kept: Vec<Arc<Waveform>>,
    /// Frames whose samples are gone.
    pub dropped: u64,
}

impl Keeper {
    /// An anomaly of the signal has a new revision.
    pub fn alarm(&mut self) {
        self.alarmed = true;
    }

    /// Takes the next frame, after its features were scored.
    pub fn take(&mut self, frame: &Arc<Waveform>, policy: &WaveformTemplate) -> Decided {
        let number = self.frames;
        self.frames += 1;
        let counted = policy.keep_every > 0 && number.is_multiple_of(u64::from(policy.keep_every));
        let alarmed = self.alarmed;
        let mut decided = self.save(policy);
        if alarmed || counted || self.after > 0 {
            decided.kept.push(Arc::clone(frame));
        } else {
            self.held.push_back((number, Arc::clone(frame)));
        }
        if !alarmed {
            self.after = self.after.saturating_sub(1);
        }
        decided.dropped = self.forget(policy.keep_around_anomaly);
        decided
    }

    /// Keeps what is held, and the frames to come, if an anomaly was revised: silence raises one without a frame.
    pub fn save(&mut self, policy: &WaveformTemplate) -> Decided {
        if !std::mem::take(&mut self.alarmed) {
            return Decided::default();
        }
        self.after = policy.keep_around_anomaly;
        Decided { kept: self.held.drain(..).map(|(_, frame)| frame).collect(), dropped: 0 }
    }

    /// Lets go of frames that the next one's anomaly would not reach, and of the oldest beyond the bound.
    fn forget(&mut self, around: u32) -> u64 {
        let mut samples: usize = self.held.iter().map(|(_, frame)| frame.samples.len()).sum();
        let mut dropped = 0;
        while let Some((number, frame)) = self.held.front() {
            if number + u64::from(around) >= self.frames && samples <= HELD_SAMPLES_MAX {
                break;
            }
            samples -= frame.samples.len();
            self.held.pop_front();
            dropped += 1;
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{NO_STREAM_TIME, SampleScale, SignalId};

    fn frame(number: usize, samples: usize) -> Arc<Waveform> {
        Arc::new(Waveform {
            signal: SignalId(0),
            start_us: number as i64,
            rate_hz: 1.0,
            samples: vec![0.0; samples],
            scale: SampleScale::Unknown,
            sequence: number as u64,
            position: 0,
            stream_time_us: NO_STREAM_TIME,
        })
    }

    fn policy(keep_every: u32, keep_around_anomaly: u32) -> WaveformTemplate {
        WaveformTemplate { keep_every, keep_around_anomaly, ..WaveformTemplate::default() }
    }

    /// Starts of the frames that are kept, and how many are dropped.
    fn run(alarms: &[bool], policy: &WaveformTemplate, samples: usize, restart: bool) -> (Vec<i64>, u64, Keeper) {
        let (mut keeper, mut kept, mut dropped) = (Keeper::default(), Vec::new(), 0);
        for (number, alarm) in alarms.iter().enumerate() {
            if *alarm {
                keeper.alarm();
            }
            let decided = keeper.take(&frame(number, samples), policy);
            kept.extend(decided.kept.iter().map(|frame| frame.start_us));
            dropped += decided.dropped;
            assert!(keeper.held.len() <= policy.keep_around_anomaly as usize);
            if restart {
                keeper = postcard::from_bytes(&postcard::to_stdvec(&keeper).unwrap()).unwrap();
            }
        }
        (kept, dropped, keeper)
    }

    proptest! {
        /// Kept are exactly the frames whose number is a multiple of N and those near a frame with an alarm, each once,
        /// in order; every other frame is dropped or held.
        #[test]
        fn equals_the_definition(
            alarms in prop::collection::vec(prop::bool::weighted(0.1), 0..120), every in 0u32..7, around in 0u32..5,
            restart: bool
        ) {
            let (kept, dropped, keeper) = run(&alarms, &policy(every, around), 1, restart);
            let near = |at: usize| {
                let from = at.saturating_sub(around as usize);
                alarms[from..=(at + around as usize).min(alarms.len() - 1)].contains(&true)
            };
            let by_count = |at: usize| every > 0 && at.is_multiple_of(every as usize);
            let wanted: BTreeSet<i64> =
                (0..alarms.len()).filter(|at| near(*at) || by_count(*at)).map(|at| at as i64).collect();
            prop_assert!(kept.len() == wanted.len() && kept.iter().all(|start| wanted.contains(start)));
            prop_assert_eq!(kept.len() as u64 + dropped + keeper.held.len() as u64, alarms.len() as u64);
        }
    }

    #[test]
    fn long_frames_are_held_within_the_bound_of_samples() {
        let samples = HELD_SAMPLES_MAX / 3 + 1;
        let (kept, dropped, keeper) = run(&[false; 10], &policy(0, 8), samples, false);
        assert_eq!((kept.len(), dropped, keeper.held.len()), (0, 8, 2));
    }

    #[test]
    fn silence_saves_the_frames_before_it_and_those_after_it() {
        let policy = policy(0, 2);
        let (_, _, mut keeper) = run(&[false; 5], &policy, 1, false);
        keeper.alarm();
        let starts: Vec<_> = keeper.save(&policy).kept.iter().map(|frame| frame.start_us).collect();
        assert_eq!(starts, [3, 4]);
        let kept: Vec<_> = (5..9).map(|number| keeper.take(&frame(number, 1), &policy).kept.len()).collect();
        assert_eq!(kept, [1, 1, 0, 0]);
    }
}
