//! Data plane of iotpm: JetStream, codec, shards, chunks.
//!
//! ```text
//! RawMessage -> codec -> registry (names, units) -> shards (one engine each) -> Arrow tables -> Chunk
//! ```
#![forbid(unsafe_code)]

mod atomic;
mod chunk;
mod columns;
mod connection;
mod counters;
mod delivery;
mod drain_only;
mod error;
mod event;
mod feedback;
mod growing;
mod histogram;
mod ingest;
mod intake;
mod jetstream;
mod load;
mod message;
mod options;
mod outbox;
mod pipeline;
mod plane;
mod plane_options;
mod plane_stats;
mod position;
mod priority;
mod publisher;
mod pull;
mod reader;
mod registry;
mod row_ticks;
mod rows;
mod seed;
mod shards;
mod snapshot;
mod sources;
mod stream_error;
mod tables;
mod wall_clock;

pub use chunk::{Chunk, OutboxEvent, Tables};
pub use connection::{Connection, ConnectionCounters, ConnectionOptions};
pub use counters::PipelineCounters;
pub use drain_only::{Drained, drain_only};
pub use error::{NodeError, Result};
pub use histogram::{Histogram, HistogramSummary};
pub use ingest::{IngestCounters, Outgoing};
pub use load::{InjectedSpike, LoadFormat, LoadGenerator, LoadOptions, LoadReport, Until};
pub use message::{RawMessage, message_hash};
pub use options::PipelineOptions;
pub use pipeline::Pipeline;
pub use plane::{DataPlane, PlaneChunk};
pub use plane_options::{PlaneOptions, StreamOptions};
pub use plane_stats::PlaneStats;
pub use publisher::{Publisher, outgoing};
pub use reader::ReaderCounters;
pub use rows::Rows;
pub use snapshot::{CapturedState, SnapshotSpan, snapshot_span};
pub use stream_error::{StreamError, StreamResult};
