//! From Rust's errors to the exceptions in `iotpm.errors`.

use iotpm_core::CoreError;
use iotpm_node::{NodeError, StreamError};
use pyo3::{PyErr, import_exception};

import_exception!(iotpm.errors, BrokerError);
import_exception!(iotpm.errors, ConfigError);
import_exception!(iotpm.errors, EngineError);
import_exception!(iotpm.errors, InputError);
import_exception!(iotpm.errors, PublishRefused);
import_exception!(iotpm.errors, ResumeRefused);
import_exception!(iotpm.errors, SnapshotError);
import_exception!(iotpm.errors, StreamMismatch);

/// The exception of an error.
pub fn raise(error: impl Into<NodeError>) -> PyErr {
    let error = error.into();
    let text = error.to_string();
    match error {
        NodeError::InvalidOptions { .. }
        | NodeError::InvalidOption { .. }
        | NodeError::Core(CoreError::InvalidTemplate { .. }) => ConfigError::new_err((vec![text],)),
        NodeError::InvalidSnapshot { .. }
        | NodeError::SnapshotNotWritten { .. }
        | NodeError::Core(CoreError::InvalidSnapshot { .. }) => SnapshotError::new_err(text),
        NodeError::SequenceNotAscending { .. }
        | NodeError::InvalidSignalName { .. }
        | NodeError::TooManySignals { .. }
        | NodeError::LengthMismatch { .. }
        | NodeError::InvalidArgument { .. }
        | NodeError::Core(CoreError::InvalidParameter { .. } | CoreError::UnknownSignal { .. }) => {
            InputError::new_err(text)
        }
        NodeError::Stream(error) => of_stream(&error, text),
        _ => EngineError::new_err(text),
    }
}

fn of_stream(error: &StreamError, text: String) -> PyErr {
    match error {
        StreamError::InvalidOption { .. } => ConfigError::new_err((vec![text],)),
        StreamError::Refused { .. } => PublishRefused::new_err(text),
        StreamError::StreamRecreated { .. }
        | StreamError::StreamShrunk { .. }
        | StreamError::MessagesRemoved { .. }
        | StreamError::MessageChanged { .. } => ResumeRefused::new_err(text),
        StreamError::ForeignMessage { .. } | StreamError::StreamMissing { .. } => StreamMismatch::new_err(text),
        StreamError::Panic { .. } => EngineError::new_err(text),
        _ => BrokerError::new_err(text),
    }
}

/// An argument that cannot be used.
pub fn input(text: impl Into<String>) -> PyErr {
    InputError::new_err(text.into())
}
