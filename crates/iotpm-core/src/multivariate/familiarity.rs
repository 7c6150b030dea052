//! Where an asset stands, against where it was when its model was learned.

use serde::{Deserialize, Serialize};

use super::{
    hotelling::root_mean_square,
    linear::{Matrix, axpy, whitener},
    scaling::Scaling,
    shrinkage::ledoit_wolf,
    state::State,
    training::Training,
};
use crate::Result;

/// Weight of the newest row in where the asset stands: slower than the level, so that what begins suddenly is judged by the
/// place that it left.
const RATE: f64 = 0.02;

/// How much wider the boundary is far from what was learned, while only a share of the time was seen in which an asset shows
/// what is normal for it.
///
/// The error of a regression's prediction has the variance `s^2 (1 + h)`, `h` growing with the square of the distance from
/// the rows that it was learned of (Draper and Smith, "Applied Regression Analysis", ch. 3). What `h` leaves out is that rows of
/// some hours are of one load and one shift. Loads, shifts and weather vary at all time scales, so each doubling of the time
/// seen brings about as much that is new as the one before: the statistic is divided by `sqrt(1 + log2(1 / seen) d^2)`, with `d`
/// the Mahalanobis distance, as a root mean square over the columns, of the running average of the scaled rows. With the
/// whole seen it is left as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Familiarity {
    centre: Vec<f64>,
    factor: Matrix,
    /// Doublings of the time seen that are to come.
    doublings: f64,
}

impl Familiarity {
    /// Of the kept rows; `None` where the whole was seen.
    pub fn fit(training: &Training<'_>, scaling: &Scaling, seen_share: f64) -> Result<Option<Self>> {
        if seen_share >= 1.0 {
            return Ok(None);
        }
        let mut z = training.kept_scaled(scaling);
        let (mut centre, share) = (vec![0.0; z.columns()], 1.0 / z.len() as f64);
        z.rows().for_each(|row| axpy(share, row, &mut centre));
        (0..z.len()).for_each(|i| axpy(-1.0, &centre, z.row_mut(i)));
        let factor = whitener(&ledoit_wolf(&z).0)?;
        Ok(Some(Self { centre, factor, doublings: -seen_share.log2() }))
    }

    /// Follows the newest row; what its statistic is divided by, at least 1.
    pub fn widening(&self, state: &mut State, scratch: &mut [f64]) -> f64 {
        let State { place, z, .. } = state;
        if place.is_empty() {
            place.clone_from(z);
        }
        place.iter_mut().zip(z.iter()).for_each(|(place, z)| *place += RATE * (z - *place));
        let away: Vec<f64> = place.iter().zip(&self.centre).map(|(place, centre)| place - centre).collect();
        (1.0 + self.doublings * root_mean_square(&away, &self.factor, scratch).powi(2)).sqrt()
    }
}
