//! One error type for the crate.

use std::sync::Arc;

use iotpm_core::CoreError;

use crate::StreamError;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, NodeError>;

/// What this crate refuses, always naming the thing, the value and the way out.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Options that are no JSON of the documented keys.
    #[error("options: {detail}")]
    InvalidOptions {
        /// What the parser says.
        detail: String,
    },
    /// One option outside its allowed range.
    #[error("option {name} = {value}: must be {allowed}")]
    InvalidOption {
        /// Which option.
        name: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// What the engine refuses.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// What goes wrong between us and the broker.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A snapshot that is damaged, or that this version cannot read.
    #[error("snapshot: {reason}; use an older one or rebuild the state from the stream")]
    InvalidSnapshot {
        /// What is wrong with it.
        reason: String,
    },
    /// A snapshot's file that could not be written.
    #[error("snapshot {}: {reason}; the older one and the stream still hold everything", path.display())]
    SnapshotNotWritten {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A message at or below one that has already run.
    #[error("sequence {sequence} follows {previous}: sequences must ascend; continue after the last one")]
    SequenceNotAscending {
        /// The last sequence that ran.
        previous: u64,
        /// The sequence given.
        sequence: u64,
    },
    /// A signal name that is not `site/asset/signal`.
    #[error("signal '{name}': must be 'site/asset/signal', at most {max_bytes} bytes")]
    InvalidSignalName {
        /// The name given.
        name: String,
        /// Longest name.
        max_bytes: usize,
    },
    /// More signals than the table of names may hold.
    #[error("signal '{name}': the limit of {max} signals is reached; raise max_signals")]
    TooManySignals {
        /// The name that found no room.
        name: String,
        /// The limit.
        max: usize,
    },
    /// Arrays that must have the same length and do not.
    #[error("{name} has {got} values: must have {expected}, one for every reading")]
    LengthMismatch {
        /// Which array.
        name: &'static str,
        /// Its length.
        got: usize,
        /// The length it must have.
        expected: usize,
    },
    /// An argument outside its allowed range.
    #[error("{name} = {value}: must be {allowed}")]
    InvalidArgument {
        /// Which argument.
        name: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A table that could not be built.
    #[error("table '{table}': {reason}; cut smaller chunks")]
    Table {
        /// Its name.
        table: &'static str,
        /// What Arrow says.
        reason: Arc<str>,
    },
    /// A shard's thread is gone: it panicked, or its machine refused a thread.
    #[error("shard {shard} has stopped: {reason}; restart from the last snapshot")]
    ShardStopped {
        /// Its number.
        shard: usize,
        /// Why.
        reason: String,
    },
    /// The pipeline failed before and its state can no longer be trusted.
    #[error("the pipeline failed before ({first}): restart from the last snapshot")]
    Failed {
        /// The first failure.
        first: String,
    },
}

/// [`NodeError::InvalidArgument`] unless it holds.
pub(crate) fn require(holds: bool, name: &'static str, value: &dyn ToString, allowed: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(NodeError::InvalidArgument { name, value: value.to_string(), allowed }) }
}
