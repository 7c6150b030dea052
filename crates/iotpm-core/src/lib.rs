//! Signal processing and detection of iotpm: no clock, no I/O, no threads, no Python.
//!
//! The flow through this crate, for one shard of the plant ([`Engine`]):
//!
//! ```text
//! Batch -> quality -> reorder -> ring -> reading detectors -> fuse -> anomalies
//!           |                      \-> window -> features
//!           \-> rows of an asset -> model of its signals together -> anomalies
//! ```
//!
//! Time is data: event time is in the reading, stream time comes with the message and with ticks.
//! The same messages give the same rows, however they are cut into batches or spread over shards.
#![deny(unsafe_code)]

mod alarm;
mod anomaly;
mod asset;
mod batch;
mod byte_block;
mod calendar;
pub mod calibration;
pub mod detect;
mod engine;
mod error;
pub mod features;
mod feedback;
mod grouping;
mod machine;
pub mod multiresolution;
pub mod multivariate;
mod operating;
mod output;
mod prefetch;
mod reading;
mod reorder;
mod ring;
pub mod robust;
mod settings;
mod signal;
pub mod spectrum;
mod template;
pub mod vibration;
mod waveform;
mod window;

pub use anomaly::{
    AnomalyKind, AnomalyRevision, AnomalyState, Contribution, Detector, DetectorSet, Maturity, Severity,
};
pub use batch::{Barrier, BarrierKind, Batch, NewSignal};
pub use calendar::{Calendar, CalendarTemplate};
pub use engine::{Engine, EngineOptions, SignalSnapshot, SignalStats};
pub use error::{CoreError, Result};
pub use feedback::{
    DURATION_INTERVALS, DURATION_MARGIN, Example, LABELS_MAX, LABELS_OF_ONE_MAX, Label, LabelRefused, Labels,
    SCORE_MARGIN, Statement,
};
pub use machine::{BearingFacts, Machine, Mounting};
pub use operating::{OperatingState, StateTemplate};
pub use output::{
    Counters, LateReading, Output, ReadingRow, RejectReason, Rejected, ScoreRow, VibrationRow, WaveformRow, WindowRow,
};
pub use reading::{NO_STREAM_TIME, Quality, Reading, SignalId, Waveform};
pub use template::{Limits, Template, Templates, Usual};
pub use waveform::{FrameFeature, SampleScale, VibrationFeatures, WaveformTemplate};
