//! Data plane of iotpm: JetStream, codec, shards, chunks.
//!
//! ```text
//! RawMessage -> codec -> registry (names, units) -> shards (one engine each) -> Arrow tables -> Chunk
//! ```
#![forbid(unsafe_code)]

mod chunk;
mod counters;
mod error;
mod message;
mod options;

pub use chunk::{Chunk, OutboxEvent, Tables};
pub use counters::PipelineCounters;
pub use error::{NodeError, Result};
pub use message::{RawMessage, message_hash};
pub use options::PipelineOptions;
