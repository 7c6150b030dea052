//! How far the RAW stream has been read, and whether it is still the same stream.

use crate::{
    connection::Connection,
    delivery::Delivery,
    jetstream::StreamInfo,
    stream_error::{StreamError, StreamResult},
};

/// Position in one stream.
#[derive(Clone, Debug)]
pub(crate) struct Position {
    stream: String,
    created: Option<String>,
    accepted: u64,
    accepted_ns: Option<i64>,
    gap_from: Option<u64>,
}

impl Position {
    /// Before message `start`.
    pub fn new(stream: &str, start: u64) -> Self {
        let accepted = start.saturating_sub(1);
        Self { stream: stream.to_owned(), created: None, accepted, accepted_ns: None, gap_from: None }
    }

    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Sequence of the last message accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Sequences were jumped over and nobody has checked yet whether they were deleted one by one (harmless) or
    /// dropped at the head of the stream before we read them (a loss).
    pub fn is_doubtful(&self) -> bool {
        self.gap_from.is_some()
    }

    pub fn accept(&mut self, delivery: &Delivery) {
        if delivery.stream_seq != self.accepted + 1 && self.gap_from.is_none() {
            self.gap_from = Some(self.accepted + 1);
        }
        self.accepted = delivery.stream_seq;
        self.accepted_ns = Some(delivery.stored_ns);
    }

    /// Compares the stream on the broker with what was read from it.
    ///
    /// # Errors
    /// What was found, if it is another stream, ends before the position, or lost what was still to be read.
    pub async fn verify(&mut self, connection: &Connection) -> StreamResult<StreamInfo> {
        let info = connection.stream_info(&self.stream).await?;
        self.check(&info)?;
        if let Some(expected_ns) = self.accepted_ns.filter(|_| self.accepted >= info.state.first_seq) {
            self.check_last_message(connection, expected_ns).await?;
        }
        self.gap_from = None;
        self.created.get_or_insert_with(|| info.created.clone());
        Ok(info)
    }

    fn check(&self, info: &StreamInfo) -> StreamResult<()> {
        let (stream, found) = (self.stream.clone(), &info.created);
        if let Some(expected) = self.created.clone().filter(|created| created != found) {
            return Err(StreamError::StreamRecreated { stream, expected, found: found.clone() });
        }
        let (last_sequence, accepted) = (info.state.last_seq, self.accepted);
        if last_sequence < accepted {
            return Err(StreamError::StreamShrunk { stream, last_sequence, accepted });
        }
        let (first_sequence, needed) = (info.state.first_seq, self.gap_from.unwrap_or(accepted + 1));
        if first_sequence > needed {
            return Err(StreamError::MessagesRemoved { stream, first_sequence, needed });
        }
        Ok(())
    }

    async fn check_last_message(&self, connection: &Connection, expected_ns: i64) -> StreamResult<()> {
        let stored = connection.stored_message(&self.stream, self.accepted).await?;
        let found = match stored {
            Some(message) if message.stored_ns() == Some(expected_ns) => return Ok(()),
            Some(message) => format!("at {}", message.time),
            None => "gone".into(),
        };
        Err(StreamError::MessageChanged { stream: self.stream.clone(), sequence: self.accepted, expected_ns, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::StreamState;

    fn info(created: &str, first_seq: u64, last_seq: u64) -> StreamInfo {
        StreamInfo {
            created: created.into(),
            state: StreamState { messages: (last_seq + 1).saturating_sub(first_seq), first_seq, last_seq },
        }
    }

    fn read_up_to(accepted: u64) -> Position {
        let mut position = Position::new("RAW_0", accepted);
        position.created = Some("t0".into());
        position.accept(&Delivery { stream_seq: accepted, consumer_seq: 1, stored_ns: 5, pending: 0 });
        position
    }

    #[test]
    fn the_same_stream_passes() {
        assert_eq!(read_up_to(10).check(&info("t0", 11, 10)), Ok(()));
        assert_eq!(read_up_to(10).check(&info("t0", 1, 99)), Ok(()));
        assert_eq!(Position::new("RAW_0", 1).check(&info("t0", 1, 0)), Ok(()));
    }

    #[test]
    fn another_a_shorter_and_a_holed_stream_are_told_apart() {
        assert!(matches!(read_up_to(10).check(&info("t1", 1, 99)), Err(StreamError::StreamRecreated { .. })));
        assert!(matches!(read_up_to(10).check(&info("t0", 1, 9)), Err(StreamError::StreamShrunk { accepted: 10, .. })));
        let removed = read_up_to(10).check(&info("t0", 12, 99)).unwrap_err();
        assert!(removed.to_string().contains("no longer holds messages 11 to 11"), "{removed}");
    }

    #[test]
    fn a_jump_is_harmless_only_if_older_messages_are_still_there() {
        let mut position = read_up_to(10);
        position.accept(&Delivery { stream_seq: 15, consumer_seq: 2, stored_ns: 6, pending: 0 });
        assert!(position.is_doubtful());
        assert_eq!(position.check(&info("t0", 3, 99)), Ok(()));
        assert!(matches!(
            position.check(&info("t0", 15, 99)),
            Err(StreamError::MessagesRemoved { needed: 11, first_sequence: 15, .. })
        ));
    }
}
