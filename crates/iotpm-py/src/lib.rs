//! Python extension module `iotpm._core`: the only user of `PyO3`. Classes are frozen, the GIL is released around work,
//! arrays are copied in first, and one function maps errors to the exceptions of `iotpm.errors`.
#![allow(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]

mod bench;
mod crossings;
mod detect;
mod engine;
mod errors;
mod features;
mod input;
mod load;
mod machine;
mod multiresolution;
mod multivariate;
mod orders;
mod output;
mod plane;
mod publisher;
mod rows;
mod tables;
mod template;
mod time_features;
mod vibration;

/// Messages are allocated by the reader's thread and freed by the pipeline's, two or three pieces each; glibc spends
/// half of the reader's time on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::{
        bench::bench_engine,
        crossings::crossings,
        detect::{SeriesScorer, ranking_level, record_filter, series_detectors},
        engine::{Engine, message_hash},
        features::{feature_names, modified_z, psd, window_features},
        load::LoadGenerator,
        machine::{band_rms, bearing_diagnose, bearing_elements, bearing_orders, severity_zone, unit_conversion},
        multiresolution::MultiResolution,
        multivariate::{
            HealthyTail, MultivariateModel, MultivariateScorer, align_frames, isolation_scores, ledoit_wolf,
            principal_axes, robust_distances,
        },
        orders::{
            cepstrum, gear_families, gear_frequencies, interpolate, order_positions_from_pulses,
            order_positions_from_speed, quefrency_peaks, synchronous_average, tacho_pulses,
        },
        output::Output,
        plane::{Chunk, DataPlane, drain_only, snapshot_span},
        publisher::Publisher,
        tables::Table,
        template::default_template,
        time_features::{waveform_feature_names, waveform_features},
        vibration::{
            amplitude_spectrum, channel_feature_names, channels, envelope, kurtogram, spectrum_band, spectrum_peaks,
            velocity, velocity_rms, welch,
        },
    };
}
