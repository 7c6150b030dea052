//! Detectors of many signals of one asset, on rows that are already aligned ([`AssetFrame`]).
//!
//! ```text
//! rows -> scaling -> VAR residual -> adaptive MEWMA -> T of the average: level
//!                                               \-> EWMA of the squared departures from it: energy
//! statistic = both together, the energy as two more columns; score = statistic / limit, the limit from held-out folds of the
//! training rows
//! ```
//!
//! [`Model::fit`] is a pure function of rows, settings and seed. A [`Scorer`] takes one row after the other in bounded
//! memory; its scores depend on the rows so far only.

mod cleaning;
mod energy;
mod familiarity;
mod frame;
mod hotelling;
mod isolation_forest;
mod limit;
mod linear;
mod mahalanobis;
mod mewma;
mod model;
mod pca;
mod random;
mod scaling;
mod scorer;
mod settings;
mod shrinkage;
mod state;
mod statistic;
mod training;
mod var_residual;

pub use frame::{AssetFrame, FrameCounters, FrameRow};
pub(crate) use limit::normal_quantile;
pub use model::Model;
pub(crate) use random::Random;
pub use scorer::{Contributor, Explanation, Scorer};
pub use settings::{Method, Settings};

/// Least squares pieces by themselves, for checks against other implementations.
pub mod estimators;

#[cfg(test)]
mod tests;
