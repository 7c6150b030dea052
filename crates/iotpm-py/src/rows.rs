//! Two-dimensional arrays from Python, a row at a time, whatever their strides, as `f64`.

use iotpm_core::CoreError;
use numpy::{
    IntoPyArray, PyArray2, PyArrayMethods, PyReadonlyArray2,
    ndarray::{ArrayViewMut2, Axis, Slice},
};
use pyo3::prelude::*;

use crate::errors::raise;

/// Samples copied in at once: 4 MiB, which stays in the cache and is reused, where a copy of a large array would take
/// a page fault for every 512 samples. A block is milliseconds of work, so the GIL changes hands rarely.
const BLOCK: usize = 1 << 19;

/// Rows of samples: (rows, samples of each), of either float type.
#[derive(FromPyObject)]
pub enum Rows<'py> {
    /// Double precision.
    #[pyo3(transparent, annotation = "float64 array")]
    F64(PyReadonlyArray2<'py, f64>),
    /// Single precision, converted block by block.
    #[pyo3(transparent, annotation = "float32 array")]
    F32(PyReadonlyArray2<'py, f32>),
}

impl Rows<'_> {
    /// Number of rows, and of samples in each.
    pub fn shape(&self) -> (usize, usize) {
        match self {
            Self::F64(x) => x.as_array().dim(),
            Self::F32(x) => x.as_array().dim(),
        }
    }

    /// Hands each row to `work`, in order, without the GIL.
    ///
    /// # Errors
    /// A sample that is not finite, and whatever `work` raises first.
    pub fn for_each(
        &self,
        py: Python<'_>,
        mut work: impl FnMut(&[f64]) -> Result<(), CoreError> + Send,
    ) -> PyResult<()> {
        let (rows, samples) = self.shape();
        if samples == 0 {
            return (0..rows).try_for_each(|_| work(&[])).map_err(raise);
        }
        let at_once = (BLOCK / samples).clamp(1, rows.max(1));
        let mut block = vec![0.0; at_once * samples];
        for first in (0..rows).step_by(at_once) {
            let count = at_once.min(rows - first);
            let block = &mut block[..count * samples];
            self.copy(first, count, block);
            py.detach(|| run(block, samples, &mut work)).map_err(raise)?;
        }
        Ok(())
    }

    /// An array (rows, width) of what `work` puts into an empty row for each row.
    ///
    /// # Errors
    /// As [`Rows::for_each`], and rows that are not of that width.
    pub fn map<'py>(
        &self,
        py: Python<'py>,
        width: usize,
        mut work: impl FnMut(&[f64], &mut Vec<f64>) -> Result<(), CoreError> + Send,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (rows, _) = self.shape();
        let (mut row, mut all) = (Vec::with_capacity(width), Vec::with_capacity(rows * width));
        self.for_each(py, |x| {
            row.clear();
            work(x, &mut row)?;
            all.extend_from_slice(&row);
            Ok(())
        })?;
        all.into_pyarray(py).reshape([rows, width])
    }

    /// Rows from `first` into `block`, which has room for exactly `count`.
    fn copy(&self, first: usize, count: usize, block: &mut [f64]) {
        let rows = Slice::from(first..first + count);
        let samples = block.len() / count;
        let Ok(mut block) = ArrayViewMut2::from_shape((count, samples), block) else { return };
        match self {
            Self::F64(x) => block.assign(&x.as_array().slice_axis(Axis(0), rows)),
            Self::F32(x) => block.zip_mut_with(&x.as_array().slice_axis(Axis(0), rows), |to, &x| *to = f64::from(x)),
        }
    }
}

fn run(block: &[f64], samples: usize, work: &mut impl FnMut(&[f64]) -> Result<(), CoreError>) -> Result<(), CoreError> {
    block.chunks_exact(samples).try_for_each(|row| check_finite(row).and_then(|()| work(row)))
}

/// Refuses samples that are not finite.
pub fn check_finite(values: &[f64]) -> Result<(), CoreError> {
    // `0 x` is 0, or NaN if `x` is not finite: no branches, so that the compiler can take several at once.
    let (blocks, rest) = values.as_chunks::<8>();
    let lanes = blocks.iter().fold([0.0; 8], |sum, block| std::array::from_fn(|i| sum[i] + 0.0 * block[i]));
    if lanes.iter().chain(rest).all(|value| value.is_finite()) {
        return Ok(());
    }
    let value = values.iter().find(|value| !value.is_finite()).copied().unwrap_or(f64::NAN);
    Err(invalid("x", &value, "finite; leave bad samples out"))
}

/// A parameter outside its range.
pub fn invalid(name: &'static str, value: &dyn ToString, allowed: &'static str) -> CoreError {
    CoreError::InvalidParameter { name, value: value.to_string(), allowed }
}

/// Refuses a rate that is not a positive number.
pub fn check_rate(rate_hz: f64) -> Result<(), CoreError> {
    if rate_hz.is_finite() && rate_hz > 0.0 {
        Ok(())
    } else {
        Err(invalid("rate_hz", &rate_hz, "a positive number of hertz"))
    }
}
