//! Pulls a stream and throws it away: what the broker and the pull can do without a pipeline behind them.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, watch};

use crate::{
    connection::{Connection, ConnectionOptions, runtime},
    growing::ChunkLimits,
    reader::{HandOver, Mode, Reader, ReaderCounters, ReaderOptions},
    stream_error::{StreamError, StreamResult},
};

/// How often the count is looked at.
const POLL: Duration = Duration::from_millis(1);

/// What was pulled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drained {
    /// Messages.
    pub messages: u64,
    /// Bytes of subjects and payloads.
    pub bytes: u64,
    /// From the first request to the last message.
    pub seconds: f64,
    /// Consumers made after the first one.
    pub consumers_recreated: u64,
}

/// Pulls `messages` messages of `stream` from its first one, with the data plane's own reader, and throws them away.
///
/// # Errors
/// If the server or the stream is not there, or fewer messages arrive within `limit`.
pub fn drain_only(options: &ConnectionOptions, stream: &str, messages: u64, limit: Duration) -> StreamResult<Drained> {
    runtime()?.block_on(async {
        let connection = options.connect("iotpm-drain-only").await?;
        let start_sequence = connection.stream_info(stream).await?.state.first_seq;
        measure(connection, reader_options(stream, start_sequence), messages, limit).await
    })
}

fn reader_options(stream: &str, start_sequence: u64) -> ReaderOptions {
    let limits = ChunkLimits { age: Duration::ZERO, messages: 122_880, bytes: 20 << 20 };
    ReaderOptions { stream: stream.to_owned(), start_sequence, limits, discard: true }
}

async fn measure(
    connection: Connection,
    options: ReaderOptions,
    messages: u64,
    limit: Duration,
) -> StreamResult<Drained> {
    let counters = Arc::new(ReaderCounters::default());
    let (control, watched) = watch::channel(Mode::Run);
    let (_demand, demands) = mpsc::channel(1);
    let (chunks, _chunk) = crossbeam_channel::bounded(1);
    let server = connection.server.to_string();
    let reader = Reader::new(connection, &options, Arc::clone(&counters), watched, HandOver { demands, chunks });
    let begin = Instant::now();
    let mut reading = std::pin::pin!(reader.run());
    while counters.messages.load(Relaxed) < messages {
        tokio::select! {
            ended = &mut reading => ended?,
            () = tokio::time::sleep(POLL) => {}
        }
        if begin.elapsed() > limit {
            let what = format!("pulling {messages} messages of {}", options.stream);
            return Err(StreamError::Timeout { server, what, timeout_ms: limit.as_millis() as u64 });
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    control.send_replace(Mode::Stop);
    reading.await?;
    Ok(Drained {
        messages: counters.messages.load(Relaxed),
        bytes: counters.bytes.load(Relaxed),
        seconds,
        consumers_recreated: counters.consumers_recreated.load(Relaxed),
    })
}
