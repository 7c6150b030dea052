//! What a data plane says about itself.

use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use crate::{histogram::HistogramSummary, plane::Shared};

/// Counters, queue depths, sizes and latencies of a plane.
#[derive(Clone, Debug, Serialize)]
pub struct PlaneStats {
    /// Messages accepted by the reader.
    pub messages: u64,
    /// Bytes of their subjects and payloads.
    pub bytes: u64,
    /// Sequence of the last message accepted.
    pub last_sequence: u64,
    /// Last sequence of the stream, a second old at most.
    pub stream_last_sequence: u64,
    /// Sequence of the last message committed.
    pub committed_sequence: u64,
    /// Stream's last sequence minus the last committed one.
    pub lag: u64,
    /// Chunks handed from reader to pipeline.
    pub chunks: u64,
    /// Chunks committed.
    pub committed_chunks: u64,
    /// Snapshots captured.
    pub snapshots: u64,
    /// Messages in the chunk that grows now.
    pub growing_messages: u64,
    /// Bytes in it.
    pub growing_bytes: u64,
    /// Chunks that wait for the committer: 0 or 1.
    pub held_chunks: u64,
    /// Times the growing chunk was full and nobody asked for it.
    pub backpressure: u64,
    /// Consumers made after the first one.
    pub consumers_recreated: u64,
    /// Of these: because consumer sequences were not contiguous.
    pub sequence_gaps: u64,
    /// Of these: because the link was silent.
    pub stalls: u64,
    /// Whether nothing can be read now: the link is silent, or no consumer could be made yet.
    pub cut_off: bool,
    /// Why the last consumer was given up, or could not be made.
    pub last_renewal: String,
    /// Times the reader's connection was lost.
    pub disconnects: u64,
    /// Messages that the client library dropped; the contiguity check repairs it.
    pub client_drops: u64,
    /// Events handed to the outbox.
    pub outbox_accepted: u64,
    /// Events stored by the broker.
    pub outbox_published: u64,
    /// Events that the broker held already.
    pub outbox_already_published: u64,
    /// Events on their way.
    pub outbox_pending: u64,
    /// Times publishing failed and continued behind the last stored event.
    pub outbox_resumed: u64,
    /// `outbox_seq` of the last event stored.
    pub outbox_last_published: u64,
    /// Why publishing failed last.
    pub outbox_last_failure: String,
    /// Messages a chunk.
    pub chunk_messages: HistogramSummary,
    /// Seconds a chunk spends in the pipeline.
    pub pipeline_seconds: HistogramSummary,
    /// Seconds from handing a chunk out to its commit.
    pub commit_seconds: HistogramSummary,
    /// Seconds from the broker storing a chunk's last message to its commit.
    pub storing_seconds: HistogramSummary,
    /// Seconds from the broker storing the cause of an event to the broker storing the event.
    pub scoring_seconds: HistogramSummary,
}

impl PlaneStats {
    pub(crate) fn of(shared: &Shared) -> Self {
        let (reader, outbox) = (&shared.reader, &shared.outbox);
        let connection = shared.connection.lock().ok().and_then(|connection| connection.clone()).unwrap_or_default();
        let (committed_sequence, stream_last_sequence) = (shared.committed_seq.load(Relaxed), last_sequence(shared));
        Self {
            messages: reader.messages.load(Relaxed),
            bytes: reader.bytes.load(Relaxed),
            last_sequence: reader.last_sequence.load(Relaxed),
            stream_last_sequence,
            committed_sequence,
            lag: lag(shared),
            chunks: reader.chunks.load(Relaxed),
            committed_chunks: shared.committed_chunks.load(Relaxed),
            snapshots: shared.snapshots.load(Relaxed),
            growing_messages: reader.growing_messages.load(Relaxed),
            growing_bytes: reader.growing_bytes.load(Relaxed),
            held_chunks: shared.held_chunks.load(Relaxed),
            backpressure: reader.backpressure.load(Relaxed),
            consumers_recreated: reader.consumers_recreated.load(Relaxed),
            sequence_gaps: reader.sequence_gaps.load(Relaxed),
            stalls: reader.stalls.load(Relaxed),
            cut_off: reader.cut_off.load(Relaxed),
            last_renewal: text(&reader.last_renewal),
            disconnects: connection.disconnects.load(Relaxed),
            client_drops: connection.dropped.load(Relaxed),
            outbox_accepted: outbox.accepted.load(Relaxed),
            outbox_published: outbox.published.load(Relaxed),
            outbox_already_published: outbox.already_published.load(Relaxed),
            outbox_pending: outbox.pending(),
            outbox_resumed: outbox.resumed.load(Relaxed),
            outbox_last_published: outbox.last_published.load(Relaxed),
            outbox_last_failure: text(&outbox.last_failure),
            chunk_messages: shared.chunk_messages.summary(),
            pipeline_seconds: shared.pipeline_seconds.summary(),
            commit_seconds: shared.commit_seconds.summary(),
            storing_seconds: shared.storing_seconds.summary(),
            scoring_seconds: outbox.latency.summary(),
        }
    }
}

/// Messages of the stream that are not committed yet, as far as is known.
pub(crate) fn lag(shared: &Shared) -> u64 {
    last_sequence(shared).saturating_sub(shared.committed_seq.load(Relaxed))
}

fn last_sequence(shared: &Shared) -> u64 {
    shared.reader.stream_last_sequence.load(Relaxed).max(shared.reader.last_sequence.load(Relaxed))
}

fn text(mutex: &std::sync::Mutex<String>) -> String {
    mutex.lock().map(|text| text.clone()).unwrap_or_default()
}
