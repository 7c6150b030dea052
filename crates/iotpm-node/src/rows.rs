//! Readings given as columns.

use iotpm_core::{NO_STREAM_TIME, Quality, Reading, SignalId};

use crate::{
    NodeError,
    error::{Result, require},
};

/// Readings as columns, for use without a broker; all slices have the same length.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Numbers from [`crate::Pipeline::signal_id`].
    pub signals: &'a [u32],
    /// Event times, microseconds.
    pub times_us: &'a [i64],
    /// Values in the signals' units.
    pub values: &'a [f64],
    /// Qualities as in the table `readings`: 0 good, 1 uncertain, 2 bad; default: good.
    pub quality: Option<&'a [u8]>,
    /// Sequences, not descending; default: each row is a message of its own.
    pub sequences: Option<&'a [u64]>,
    /// Stream times, microseconds; without them there is no future check and no idle closing.
    pub stream_times_us: Option<&'a [i64]>,
}

impl Rows<'_> {
    /// Checks everything but the numbers of the signals; `after` is the last sequence that ran.
    pub(crate) fn check(&self, after: u64) -> Result<()> {
        self.check_lengths()?;
        let stated = self.quality.unwrap_or_default();
        if let Some(at) = stated.iter().position(|code| quality(*code).is_none()) {
            let allowed = "0 (good), 1 (uncertain) or 2 (bad)";
            return require(false, "quality", &format!("{} at row {at}", stated[at]), allowed);
        }
        check_sequences(after, self.sequences.unwrap_or_default())
    }

    fn check_lengths(&self) -> Result<()> {
        let expected = self.signals.len();
        let lengths = [
            ("times_us", Some(self.times_us.len())),
            ("values", Some(self.values.len())),
            ("quality", self.quality.map(<[u8]>::len)),
            ("sequences", self.sequences.map(<[u64]>::len)),
            ("stream_times_us", self.stream_times_us.map(<[i64]>::len)),
        ];
        let length = |(name, length): (&'static str, Option<usize>)| (name, length.unwrap_or(expected));
        if let Some((name, got)) = lengths.map(length).into_iter().find(|(_, got)| *got != expected) {
            return Err(NodeError::LengthMismatch { name, got, expected });
        }
        require(i32::try_from(expected).is_ok(), "readings", &expected, "at most 2147483647 in one call")
    }

    /// The readings of checked columns, in order.
    pub(crate) fn readings(&self, after: u64) -> impl Iterator<Item = Reading> {
        let mut last = (after, 0_u32);
        (0..self.signals.len()).map(move |at| {
            let sequence = self.sequences.map_or_else(|| after + 1 + at as u64, |sequences| sequences[at]);
            let position = if sequence == last.0 { last.1 + 1 } else { 0 };
            last = (sequence, position);
            Reading {
                signal: SignalId(self.signals[at]),
                time_us: self.times_us[at],
                value: self.values[at],
                quality: self.quality.and_then(|codes| quality(codes[at])).unwrap_or_default(),
                sequence,
                position,
                stream_time_us: self.stream_times_us.map_or(NO_STREAM_TIME, |times| times[at]),
            }
        })
    }
}

fn check_sequences(after: u64, sequences: &[u64]) -> Result<()> {
    let mut previous = after;
    for (at, &sequence) in sequences.iter().enumerate() {
        if sequence < previous || at == 0 && sequence == previous {
            return Err(NodeError::SequenceNotAscending { previous, sequence });
        }
        previous = sequence;
    }
    Ok(())
}

fn quality(code: u8) -> Option<Quality> {
    [Quality::Good, Quality::Uncertain, Quality::Bad].get(usize::from(code)).copied()
}
