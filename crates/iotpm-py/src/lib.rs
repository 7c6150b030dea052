//! Python extension module `iotpm._core`: the only user of `PyO3`. Classes are frozen, the GIL is released around work,
//! arrays are copied in first, and one function maps errors to the exceptions of `iotpm.errors`.

mod bench;
mod crossings;
mod engine;
mod errors;
mod features;
mod input;
mod output;
mod tables;

#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::{
        bench::bench_engine,
        crossings::crossings,
        engine::{Engine, message_hash},
        features::{feature_names, modified_z, psd, window_features},
        output::Output,
        tables::Table,
    };
}
