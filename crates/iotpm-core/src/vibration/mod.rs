//! Condition monitoring on waveforms: spectra, envelopes and the features that a vibration analyst reads.
//!
//! Samples are equally spaced, in any unit; a result's unit follows from it. Every formula names its source.

mod amplitude;
mod band;
pub mod bearing;
mod cepstrum;
mod channel;
mod envelope;
pub mod gear;
mod interpolation;
pub mod iso20816;
mod kurtogram;
pub mod order;
mod peaks;
mod range;
mod synchronous_average;
mod velocity;
mod waveform_features;
mod welch;

pub use amplitude::amplitude;
pub use band::BandFeatures;
pub use cepstrum::{QuefrencyPeak, cepstrum, quefrency_peaks};
pub use channel::{ChannelAnalyser, ChannelFeatures, ChannelOptions};
pub use envelope::{envelope, envelope_spectrum};
pub use interpolation::{Between, interpolate};
pub use kurtogram::{Cell, Kurtogram, LEVELS_MAX, default_levels, kurtogram};
pub use peaks::{Interpolation, Peak, PeakOptions, peaks};
pub use range::FrequencyBand;
pub use synchronous_average::synchronous_average;
pub use velocity::{HighPass, velocity, velocity_rms};
pub use waveform_features::WaveformFeatures;
pub use welch::{Average, Detrend, Welch, welch};
