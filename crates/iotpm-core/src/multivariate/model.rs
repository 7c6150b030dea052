//! Fit: rows in, a model out.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    cleaning::clean,
    limit::label_free_limit,
    linear::Matrix,
    scaling::Scaling,
    scorer::{joined, stream_parts},
    settings::{Settings, invalid},
    state::State,
    statistic::Statistic,
    training::Training,
};
use crate::{CoreError, Maturity, Result};

/// Version of the serialised form.
const VERSION: u16 = 3;

/// Scaling and statistic of one set of rows, without limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fitted {
    pub scaling: Scaling,
    pub statistic: Statistic,
}

impl Fitted {
    pub fn fit(training: &Training<'_>, settings: &Settings) -> Result<Self> {
        let scaling = Scaling::fit(training.rows, &training.kept(), &settings.resolution, settings.clip);
        let statistic = Statistic::fit(training, &scaling, settings)?;
        Ok(Self { scaling, statistic })
    }
}

/// What healthy rows of an asset look like, and where 1.0 lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    version: u16,
    pub(crate) settings: Settings,
    pub(crate) fitted: Fitted,
    pub(crate) limit: f64,
    training_rows: u64,
    cleaned_rows: u64,
}

impl Model {
    /// Fits to `rows`, row-major, `columns` values each, in time order. A row with a value that is not finite is left
    /// out of every estimate; one without any value parts two stretches that are no neighbours.
    ///
    /// # Errors
    /// Settings out of range, a length that is no multiple of `columns`, or fewer usable rows than
    /// [`Settings::rows_min`].
    pub fn fit(rows: &[f64], columns: usize, settings: &Settings) -> Result<Self> {
        settings.check(columns)?;
        let rows = matrix(rows, columns)?;
        let present: Vec<bool> = rows.rows().map(|row| row.iter().all(|x| x.is_finite())).collect();
        let usable = present.iter().filter(|present| **present).count();
        if usable < Settings::rows_min(columns) {
            return Err(too_few(usable, columns));
        }
        let mut counted = present.clone();
        let cleaned_rows = if settings.clean { clean(&rows, &mut counted, settings)? as u64 } else { 0 };
        let fitted = Fitted::fit(&Training { rows: &rows, present: &present, hold: 0..0 }, settings)?;
        let limit = limit(&rows, &present, &counted, settings)?;
        let settings = settings.clone();
        Ok(Self { version: VERSION, settings, fitted, limit, training_rows: usable as u64, cleaned_rows })
    }

    /// Columns of a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.fitted.scaling.centre.len()
    }

    /// Names of the channels that count.
    #[must_use]
    pub fn channels(&self) -> &'static [&'static str] {
        let all = self.fitted.statistic.channels();
        if self.settings.energy { all } else { &all[..1] }
    }

    /// Raw statistic at 1.0.
    #[must_use]
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// Rows that the estimates are of.
    #[must_use]
    pub fn training_rows(&self) -> u64 {
        self.training_rows
    }

    /// Rows left out of the limit as contaminated.
    #[must_use]
    pub fn cleaned_rows(&self) -> u64 {
        self.cleaned_rows
    }

    /// Learning below [`Settings::rows_mature`] rows: with 100 to 300 rows twice as many faults are missed.
    #[must_use]
    pub fn maturity(&self) -> Maturity {
        let enough = self.training_rows >= Settings::rows_mature(self.columns()) as u64;
        if enough { Maturity::Mature } else { Maturity::Learning }
    }

    /// The model as bytes.
    ///
    /// # Errors
    /// None that is expected: the serialiser's own.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        postcard::to_stdvec(self).map_err(|error| CoreError::InvalidSnapshot { reason: error.to_string() })
    }

    /// A model from its bytes.
    ///
    /// # Errors
    /// Bytes of something else or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let refused = |reason: String| CoreError::InvalidSnapshot { reason };
        let model: Self = postcard::from_bytes(bytes).map_err(|error| refused(format!("not a model: {error}")))?;
        if model.version != VERSION || model.settings.check(model.columns()).is_err() {
            return Err(refused(format!("model of version {}, this is {VERSION}: fit again", model.version)));
        }
        Ok(model)
    }

    /// XXH3 of the model's bytes: equal rows, settings and seed give equal hashes.
    ///
    /// # Errors
    /// As [`Self::to_bytes`].
    pub fn hash(&self) -> Result<u64> {
        Ok(xxh3_64(&self.to_bytes()?))
    }
}

fn matrix(values: &[f64], columns: usize) -> Result<Matrix> {
    if !values.len().is_multiple_of(columns) {
        return Err(invalid("rows", &values.len(), "values of whole rows"));
    }
    let mut matrix = Matrix::with_columns(columns);
    values.chunks_exact(columns).for_each(|row| matrix.push(row));
    Ok(matrix)
}

fn too_few(usable: usize, columns: usize) -> CoreError {
    let least = Settings::rows_min(columns);
    CoreError::InvalidParameter {
        name: "usable training rows",
        value: format!("{usable} (of {columns} columns, {least} needed)"),
        allowed: "at least 50 and 3 per column, without missing values; train on a longer healthy period",
    }
}

/// Where 1.0 lies, from those of the held-out rows that are counted.
fn limit(rows: &Matrix, present: &[bool], counted: &[bool], settings: &Settings) -> Result<f64> {
    label_free_limit(rows.len(), &settings.folds, settings.false_alarm_rate, |hold: Range<usize>| {
        let fitted = Fitted::fit(&Training { rows, present, hold: hold.clone() }, settings)?;
        let begin = || State::new(rows.columns(), settings.lags);
        let mut state = begin();
        let mut score = |i: usize| {
            if rows.row(i).iter().all(|x| x.is_nan()) {
                state = begin();
            }
            counted[i].then(|| joined(stream_parts(&fitted, &mut state, rows.row(i), settings.age_max_rows)))
        };
        Ok(hold.filter_map(&mut score).collect())
    })
}
