//! From scores to alerts and to a level for ranking.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Readings whose scores an alert must exceed.
pub const RECENT_READINGS: usize = 100;
/// Weight of the newest score in the level for ranking.
pub const LEVEL_WEIGHT: f64 = 0.02;

/// Lets a score through only if it exceeds every one of the last `recent`: an event is told once, and again if it worsens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordFilter {
    recent: u64,
    readings: u64,
    /// (reading, score) that no later score reached yet, falling; the first is the record.
    records: VecDeque<(u64, f64)>,
}

impl Default for RecordFilter {
    fn default() -> Self {
        Self::new(RECENT_READINGS)
    }
}

impl RecordFilter {
    /// A filter over the last `recent` scores, at least one.
    #[must_use]
    pub fn new(recent: usize) -> Self {
        Self { recent: recent.max(1) as u64, readings: 0, records: VecDeque::new() }
    }

    /// The score if it is a record, else 0; amortised constant work, at most `recent` records kept. NaN counts as a reading
    /// and is handed back.
    pub fn update(&mut self, score: f64) -> f64 {
        let now = self.readings;
        self.readings += 1;
        while self.records.front().is_some_and(|(reading, _)| reading + self.recent < now) {
            self.records.pop_front();
        }
        if score.is_nan() {
            return score;
        }
        let record = self.records.front().map_or(0.0, |(_, greatest)| *greatest);
        while self.records.back().is_some_and(|(_, lesser)| *lesser <= score) {
            self.records.pop_back();
        }
        self.records.push_back((now, score));
        if score > record { score } else { 0.0 }
    }
}

/// Exponentially weighted mean (weight .02) of the scores to the power 1.5, from 0: the level by which readings are ranked.
///
/// The power lets one clear departure outrank the background of many weak ones.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct RankingLevel {
    level: f64,
}

impl RankingLevel {
    /// Takes a score and returns the level; a NaN leaves it.
    pub fn update(&mut self, score: f64) -> f64 {
        if !score.is_nan() {
            self.level += LEVEL_WEIGHT * (score * score.sqrt() - self.level);
        }
        self.level
    }
}
