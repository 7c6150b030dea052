//! What a fit is asked for.

use serde::{Deserialize, Serialize};

use crate::{CoreError, Result};

/// Columns at most: a fit takes memory and time of their square and cube.
pub const COLUMNS_MAX: usize = 512;

/// Which statistic a model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Autoregressive residual, adaptive MEWMA, shrunk T; channels `level` and `energy`.
    #[default]
    Mewma,
    /// Distance to a robust centre by a robust covariance (minimum covariance determinant); channel `distance`.
    Mahalanobis,
    /// T in the principal subspace and the residual's size outside it, averaged; channels `t2` and `q`.
    Pca,
    /// Path lengths in random trees; channel `isolation`.
    IsolationForest,
}

impl Method {
    /// The method of a name.
    ///
    /// # Errors
    /// Any name but `mewma`, `mahalanobis`, `pca` and `isolation_forest`.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "mewma" => Ok(Self::Mewma),
            "mahalanobis" => Ok(Self::Mahalanobis),
            "pca" => Ok(Self::Pca),
            "isolation_forest" => Ok(Self::IsolationForest),
            _ => Err(invalid("method", &name, "mewma, mahalanobis, pca or isolation_forest")),
        }
    }
}

/// Settings of a fit; the defaults are the product's one default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The statistic.
    pub method: Method,
    /// Rows before a row that its expectation is made of.
    pub lags: usize,
    /// Ridge of the autoregression, a share of the number of rows.
    pub ridge: f64,
    /// Weight of the newest row in the average.
    pub rate: f64,
    /// Whitened size of a departure beyond which the average follows faster.
    pub jump: f64,
    /// Weight of the newest row in the energy.
    pub energy_rate: f64,
    /// Scaled values are limited to this.
    pub clip: f64,
    /// Share of healthy rows that may score above 1.0.
    pub false_alarm_rate: f64,
    /// Numbers of contiguous held-out folds that limits are made of.
    pub folds: Vec<usize>,
    /// Whether the second channel (energy; `q` of PCA) counts.
    pub energy: bool,
    /// As many columns' worth the energy weighs in the score of `mewma`.
    pub energy_weight: f64,
    /// Whether contaminated training rows are left out of the limit.
    pub clean: bool,
    /// Share of the time in which an asset shows what is normal for it that the training rows are of, above 0. Below 1 the score of
    /// `mewma` is less the farther the asset stands from what was learned.
    pub seen_share: f64,
    /// Smallest step of each column's sensor, or empty: a floor of its spread.
    pub resolution: Vec<f64>,
    /// Rows for which the last value stands for a missing one.
    pub age_max_rows: u32,
    /// Seed of random starts and trees.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            method: Method::Mewma,
            lags: 2,
            ridge: 0.01,
            rate: 0.05,
            jump: 4.0,
            energy_rate: 0.05,
            clip: 20.0,
            false_alarm_rate: 1e-3,
            folds: vec![6, 8, 10],
            energy: true,
            energy_weight: 2.0,
            clean: true,
            seen_share: 1.0,
            resolution: Vec::new(),
            age_max_rows: 10,
            seed: 0,
        }
    }
}

impl Settings {
    /// Refuses what cannot be used with so many columns.
    pub(crate) fn check(&self, columns: usize) -> Result<()> {
        within("columns", columns as f64, 1.0, COLUMNS_MAX as f64, "1 to 512")?;
        within("lags", self.lags as f64, 1.0, 8.0, "1 to 8")?;
        within("ridge", self.ridge, 1e-9, 10.0, "1e-9 to 10")?;
        within("rate", self.rate, 1e-3, 1.0, "0.001 to 1")?;
        within("energy_rate", self.energy_rate, 1e-3, 1.0, "0.001 to 1")?;
        within("jump", self.jump, 1.0, 1e6, "1 to 1e6")?;
        within("clip", self.clip, 3.0, 1e6, "3 to 1e6")?;
        within("false_alarm_rate", self.false_alarm_rate, 1e-9, 0.1, "1e-9 to 0.1")?;
        within("seen_share", self.seen_share, 1e-6, 1.0, "0.000001 to 1")?;
        within("energy_weight", self.energy_weight, 1e-3, 1e3, "0.001 to 1000")?;
        within("number of fold counts", self.folds.len() as f64, 1.0, 8.0, "1 to 8")?;
        self.folds.iter().try_for_each(|count| within("folds", *count as f64, 2.0, 20.0, "2 to 20"))?;
        self.check_resolution(columns)
    }

    fn check_resolution(&self, columns: usize) -> Result<()> {
        if !self.resolution.is_empty() && self.resolution.len() != columns {
            return Err(invalid("resolution", &self.resolution.len(), "one step per column, or none"));
        }
        self.resolution.iter().try_for_each(|step| within("resolution", *step, 0.0, f64::MAX, "0 or positive"))
    }

    /// Training rows below which a fit is refused.
    #[must_use]
    pub fn rows_min(columns: usize) -> usize {
        (3 * columns).max(50)
    }

    /// Training rows from which a model is mature.
    #[must_use]
    pub fn rows_mature(columns: usize) -> usize {
        (6 * columns).max(300)
    }
}

fn within(name: &'static str, value: f64, low: f64, high: f64, allowed: &'static str) -> Result<()> {
    if value >= low && value <= high { Ok(()) } else { Err(invalid(name, &value, allowed)) }
}

pub(crate) fn invalid(name: &'static str, value: &dyn ToString, allowed: &'static str) -> CoreError {
    CoreError::InvalidParameter { name, value: value.to_string(), allowed }
}
