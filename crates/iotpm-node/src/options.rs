//! Options of the pipeline.

use iotpm_core::Template;
use serde::{Deserialize, Serialize};

use crate::{NodeError, error::Result};

/// How messages become rows. Unknown keys are errors; absent ones take their default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineOptions {
    /// Subjects `<raw_prefix>.<site>.<asset>[.<signal>]` carry readings.
    pub raw_prefix: String,
    /// Anomalies go to `<anomaly_prefix>.<site>.<asset>`.
    pub anomaly_prefix: String,
    /// The token `<p>` of `iotpm.tick.<p>` and `iotpm.ctl.<p>.<kind>`.
    pub partition: String,
    /// Templates of a fresh pipeline; a snapshot brings its own.
    pub templates: Vec<Template>,
    /// Threads the signals are spread over; 1 runs in the caller's thread. Never changes a result.
    pub shards: usize,
    /// Most signals; a reading of one more is a dead letter.
    pub max_signals: usize,
    /// Most producers whose high water is remembered; the one that advanced longest ago leaves first.
    pub max_sources: usize,
    /// Stream time is the header `Iotpm-Time` instead of the broker's clock.
    pub virtual_time: bool,
    /// Outputs caused by sequences up to this one are already stored: they are discarded and not numbered. Must not be
    /// behind the snapshot; default: there is no store.
    pub discard_through: Option<u64>,
    /// Number of the next outbox event; default: as the snapshot says, else 1.
    pub next_outbox_seq: Option<u64>,
    /// Emit the score of every reading.
    pub emit_scores: bool,
    /// `source` of the published `CloudEvents`.
    pub source: String,
    /// Readings given as columns bring a tick along at every multiple of so many microseconds that their stream time
    /// passes; default: none.
    pub tick_every_us: Option<i64>,
    /// The snapshot was learned from history: the stream's own messages begin after this sequence, and nothing that
    /// belonged to the history's sequences, producers and counts is kept. Default: the snapshot is the stream's own.
    pub seed_at: Option<u64>,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            raw_prefix: "iotpm.raw".into(),
            anomaly_prefix: "iotpm.anomaly".into(),
            partition: "0".into(),
            templates: Vec::new(),
            shards: 1,
            max_signals: 200_000,
            max_sources: 10_000,
            virtual_time: false,
            discard_through: None,
            next_outbox_seq: None,
            emit_scores: false,
            source: "iotpm".into(),
            tick_every_us: None,
            seed_at: None,
        }
    }
}

impl PipelineOptions {
    /// Its keys, for whoever embeds them in a larger flat object.
    pub const KEYS: [&'static str; 14] = [
        "raw_prefix",
        "anomaly_prefix",
        "partition",
        "templates",
        "shards",
        "max_signals",
        "max_sources",
        "virtual_time",
        "discard_through",
        "next_outbox_seq",
        "emit_scores",
        "source",
        "tick_every_us",
        "seed_at",
    ];

    /// Most shards.
    pub const MAX_SHARDS: usize = 64;

    /// Options from JSON.
    ///
    /// # Errors
    /// [`NodeError::InvalidOptions`] says where the JSON is wrong.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|error| NodeError::InvalidOptions { detail: error.to_string() })
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`NodeError::InvalidOption`] names the option, the value and what is allowed.
    pub fn check(&self) -> Result<()> {
        within("shards", self.shards, 1, Self::MAX_SHARDS, "between 1 and 64")?;
        within("max_signals", self.max_signals, 1, u32::MAX as usize - 1, "between 1 and 4294967294")?;
        within("max_sources", self.max_sources, 1, u32::MAX as usize - 1, "between 1 and 4294967294")?;
        if let Some(every_us) = self.tick_every_us.filter(|every_us| *every_us < 1_000) {
            let (name, allowed) = ("tick_every_us", "at least 1000");
            return Err(NodeError::InvalidOption { name, value: every_us.to_string(), allowed });
        }
        subject("raw_prefix", &self.raw_prefix)?;
        subject("anomaly_prefix", &self.anomaly_prefix)?;
        subject("partition", &self.partition)
    }
}

fn within(name: &'static str, value: usize, low: usize, high: usize, allowed: &'static str) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(NodeError::InvalidOption { name, value: value.to_string(), allowed })
}

fn subject(name: &'static str, value: &str) -> Result<()> {
    let token = |t: &str| !t.is_empty() && !t.contains(['*', '>']) && !t.contains(char::is_whitespace);
    if value.split('.').all(token) {
        return Ok(());
    }
    Err(NodeError::InvalidOption { name, value: format!("{value:?}"), allowed: "subject tokens joined by '.'" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_fields() {
        let json = serde_json::to_value(PipelineOptions::default()).unwrap();
        let mut fields: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut keys = PipelineOptions::KEYS;
        fields.sort_unstable();
        keys.sort_unstable();
        assert_eq!(fields, keys);
    }

    #[test]
    fn unknown_keys_and_ranges_are_refused() {
        assert!(PipelineOptions::from_json(r#"{"shard": 1}"#).unwrap_err().to_string().contains("shard"));
        let refused = PipelineOptions { shards: 0, ..Default::default() }.check().unwrap_err();
        assert_eq!(refused.to_string(), "option shards = 0: must be between 1 and 64");
        assert!(PipelineOptions { partition: "a b".into(), ..Default::default() }.check().is_err());
    }
}
