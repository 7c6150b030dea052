//! What goes wrong between us and the broker.

/// Shorthand for results of the broker side.
pub type StreamResult<T> = Result<T, StreamError>;

/// Errors of the broker side, each naming the thing, what was found and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// An option that cannot be used.
    #[error("{name} = {value}: {reason}")]
    InvalidOption {
        /// Which option.
        name: &'static str,
        /// The value given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server cannot be reached or refuses us.
    #[error("NATS server {server}: cannot connect: {reason}; check url, credentials and TLS files")]
    Connect {
        /// Its URL without secrets.
        server: String,
        /// What the client library said.
        reason: String,
    },
    /// A request to the server failed; trying again may help.
    #[error("NATS server {server}: {what} failed: {reason}")]
    Request {
        /// Its URL without secrets.
        server: String,
        /// What was asked.
        what: String,
        /// Why it failed.
        reason: String,
    },
    /// The `JetStream` API answered with an error.
    #[error("NATS server {server}: {what} refused: {description} (error {code})")]
    Api {
        /// Its URL without secrets.
        server: String,
        /// What was asked.
        what: String,
        /// `JetStream` error code, for example 10059.
        code: u64,
        /// The server's words.
        description: String,
    },
    /// The stream does not exist.
    #[error("stream {stream} does not exist on {server}; create it, or start a new epoch with --new-epoch REASON")]
    StreamMissing {
        /// The stream.
        stream: String,
        /// The server's URL without secrets.
        server: String,
    },
    /// The stream is not the one that was read so far.
    #[error(
        "stream {stream} was re-created: created {found}, read so far was the one of {expected}; \
             continue with --new-epoch REASON"
    )]
    StreamRecreated {
        /// The stream.
        stream: String,
        /// Creation time of the one read so far (RFC 3339).
        expected: String,
        /// Creation time found (RFC 3339).
        found: String,
    },
    /// The stream ends before what was already read from it.
    #[error(
        "stream {stream} went backwards: its last sequence is {last_sequence}, but {accepted} was already read; \
             the broker lost acknowledged messages: continue with --new-epoch REASON"
    )]
    StreamShrunk {
        /// The stream.
        stream: String,
        /// Its last sequence.
        last_sequence: u64,
        /// The last sequence that was read.
        accepted: u64,
    },
    /// Messages were removed before they were read.
    #[error("stream {stream} no longer holds messages {needed} to {}: its first sequence is {first_sequence}; \
             they were removed before they were read: continue with --new-epoch REASON", first_sequence - 1)]
    MessagesRemoved {
        /// The stream.
        stream: String,
        /// Its first sequence.
        first_sequence: u64,
        /// The first sequence that was still needed.
        needed: u64,
    },
    /// A message that was already read is gone or another one.
    #[error(
        "stream {stream}: message {sequence} was stored at {expected_ns} ns when it was read, now {found}; \
             the stream was changed: continue with --new-epoch REASON"
    )]
    MessageChanged {
        /// The stream.
        stream: String,
        /// Its sequence.
        sequence: u64,
        /// When it was stored, nanoseconds since the epoch.
        expected_ns: i64,
        /// What is there now.
        found: String,
    },
    /// The anomaly stream holds something that we did not write.
    #[error("stream {stream}: message {sequence} {reason}; only one node may write to it")]
    ForeignMessage {
        /// The stream.
        stream: String,
        /// Its sequence.
        sequence: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A message was refused by the broker.
    #[error("message {position} of this publisher (subject {subject}) was not stored: {reason}")]
    Refused {
        /// How many messages were published before it.
        position: u64,
        /// Its subject.
        subject: String,
        /// The refusal.
        reason: String,
    },
    /// The broker did not answer in time.
    #[error("NATS server {server}: {what} not confirmed within {timeout_ms} ms")]
    Timeout {
        /// The server's URL without secrets.
        server: String,
        /// What was not confirmed.
        what: String,
        /// How long we waited.
        timeout_ms: u64,
    },
    /// A call that needs the plane or publisher to be running.
    #[error("{what}: {reason}")]
    NotRunning {
        /// What was called.
        what: &'static str,
        /// Why it cannot be done.
        reason: String,
    },
    /// A thread ended by a panic.
    #[error("thread {thread} ended by a panic: {message}; this is a defect of iotpm, please report it")]
    Panic {
        /// The thread.
        thread: String,
        /// The panic's message.
        message: String,
    },
}

impl StreamError {
    /// Whether asking again later may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Request { .. } | Self::Api { .. } | Self::Connect { .. } | Self::Timeout { .. })
    }
}
