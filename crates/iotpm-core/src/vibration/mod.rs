//! Condition monitoring on waveforms: spectra, envelopes and the features that a vibration analyst reads.
//!
//! Samples are equally spaced, in any unit; a result's unit follows from it. Every formula names its source.
