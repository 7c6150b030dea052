//! Multi-resolution statistics of one signal as a class.

use std::sync::{Mutex, MutexGuard, PoisonError};

use iotpm_core::multiresolution::{MultiResolution as Statistics, Tier, Tiers};
use numpy::PyReadonlyArray1;
use pyo3::{prelude::*, types::PyBytes};

use crate::{
    crossings,
    errors::{input, raise},
};

/// Start and end in microseconds, readings, then mean, standard deviation, minimum, maximum, RMS, skewness and kurtosis,
/// the quantiles, and the bound on their ranks' error.
type Horizon = (i64, i64, u64, [f64; 7], Vec<f64>, f64);

/// Statistics of one signal over many horizons.
#[pyclass(frozen, module = "iotpm._core")]
pub struct MultiResolution {
    state: Mutex<Statistics>,
}

impl MultiResolution {
    fn state(&self) -> MutexGuard<'_, Statistics> {
        // Pushing does not panic half way: what a poisoned lock guards is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl MultiResolution {
    /// From tiers (width in microseconds, panes), finest first.
    #[new]
    #[pyo3(signature = (tiers=None, lateness_us=0, points=32))]
    fn new(tiers: Option<Vec<(i64, u32)>>, lateness_us: i64, points: usize) -> PyResult<Self> {
        crossings::count();
        let tiers = match tiers {
            Some(tiers) => tiers.into_iter().map(|(width_us, panes)| Tier { width_us, panes }).collect(),
            None => Tiers::default().iter().collect(),
        };
        let state = Tiers::new(tiers, points).and_then(|tiers| Statistics::new(tiers, lateness_us)).map_err(raise)?;
        Ok(Self { state: Mutex::new(state) })
    }

    /// As it was at [`MultiResolution::snapshot`].
    #[staticmethod]
    fn restore(snapshot: &[u8]) -> PyResult<Self> {
        crossings::count();
        Ok(Self { state: Mutex::new(Statistics::restore(snapshot).map_err(raise)?) })
    }

    /// Adds readings.
    fn push(
        &self,
        py: Python<'_>,
        times_us: PyReadonlyArray1<'_, i64>,
        values: PyReadonlyArray1<'_, f64>,
    ) -> PyResult<()> {
        crossings::count();
        let (times_us, values) = (times_us.as_array().to_vec(), values.as_array().to_vec());
        if times_us.len() != values.len() {
            return Err(input(format!("times_us has {} entries, values has {}", times_us.len(), values.len())));
        }
        py.detach(|| {
            let mut state = self.state();
            times_us.iter().zip(values).for_each(|(&time_us, value)| state.push(time_us, value));
        });
        Ok(())
    }

    /// Statistics of the newest `horizon_us`.
    #[allow(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]
    fn over(&self, py: Python<'_>, horizon_us: i64, quantiles: Vec<f64>) -> PyResult<Horizon> {
        crossings::count();
        let found = py.detach(|| self.state().over(horizon_us, &quantiles)).map_err(raise)?;
        let m = found.moments;
        let numbers = [m.mean(), m.std(), m.min(), m.max(), m.rms(), m.skewness(), m.kurtosis()];
        Ok((found.start_us, found.end_us, m.count(), numbers, found.quantiles, found.rank_error))
    }

    /// The state as bytes.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        crossings::count();
        let bytes = py.detach(|| self.state().snapshot()).map_err(raise)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Width in microseconds and panes of each tier, finest first.
    #[getter]
    fn tiers(&self) -> Vec<(i64, u32)> {
        crossings::count();
        self.state().tiers().iter().map(|tier| (tier.width_us, tier.panes)).collect()
    }

    /// Readings left out: late ones, and ones that were not finite.
    #[getter]
    fn left_out(&self) -> (u64, u64) {
        crossings::count();
        let state = self.state();
        (state.late(), state.refused())
    }

    /// Bytes of the state in memory.
    #[getter]
    fn nbytes(&self) -> usize {
        crossings::count();
        self.state().bytes()
    }
}
