//! The methods behind one set of calls.

use serde::{Deserialize, Serialize};

use super::{
    isolation_forest::IsolationForest,
    mahalanobis::Mahalanobis,
    mewma::Mewma,
    pca::Pca,
    scaling::Scaling,
    settings::{Method, Settings},
    state::State,
    training::Training,
};
use crate::Result;

/// A fitted statistic of scaled rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Statistic {
    Mewma(Mewma),
    Mahalanobis(Mahalanobis),
    Pca(Pca),
    IsolationForest(IsolationForest),
}

impl Statistic {
    pub fn fit(training: &Training<'_>, scaling: &Scaling, settings: &Settings) -> Result<Self> {
        Ok(match settings.method {
            Method::Mewma => Self::Mewma(Mewma::fit(training, scaling, settings)?),
            Method::Mahalanobis => Self::Mahalanobis(Mahalanobis::fit(&training.kept_scaled(scaling), settings.seed)?),
            Method::Pca => Self::Pca(Pca::fit(&training.kept_scaled(scaling), settings.energy)),
            Method::IsolationForest => {
                Self::IsolationForest(IsolationForest::fit(&training.kept_scaled(scaling), settings.seed))
            }
        })
    }

    pub fn channels(&self) -> &'static [&'static str] {
        match self {
            Self::Mewma(_) => &["level", "energy"],
            Self::Mahalanobis(_) => &["distance"],
            Self::Pca(_) => &["t2", "q"],
            Self::IsolationForest(_) => &["isolation"],
        }
    }

    /// Sets what is expected of the next row.
    pub fn expect(&self, state: &mut State) {
        match self {
            Self::Mewma(model) => model.expect(state),
            _ => state.expected.fill(0.0),
        }
    }

    /// The channels of the newest row, whose squares sum to the square of the statistic; the second is 0 where there is one
    /// only.
    pub fn step(&self, state: &mut State) -> [f64; 2] {
        match self {
            Self::Mewma(model) => model.step(state),
            Self::Mahalanobis(model) => [model.distance(&state.z), 0.0],
            Self::Pca(model) => model.step(state),
            Self::IsolationForest(model) => [model.ratio(&state.z), 0.0],
        }
    }

    /// Contribution of each column to a channel, >= 0, and the side to which it departs (0: none).
    pub fn contributions(&self, state: &State, channel: usize) -> (Vec<f64>, Vec<f64>) {
        match self {
            Self::Mewma(model) => model.contributions(state, channel),
            Self::Mahalanobis(model) => model.contributions(&state.z),
            Self::Pca(model) => model.contributions(state, channel),
            Self::IsolationForest(model) => model.contributions(&state.z),
        }
    }
}
