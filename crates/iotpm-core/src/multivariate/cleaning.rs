//! Rows of the training part that are not healthy, from a robust start. The limit is set without them, for a handful of rows
//! far out decides a tail; the estimates keep them, for what is rare may be normal.

use super::{
    Settings,
    hotelling::root_mean_square,
    limit::quantile,
    linear::{Matrix, whitener},
    scaling::{Scaling, median},
    shrinkage::ledoit_wolf,
    training::Training,
    var_residual::VarModel,
};
use crate::{Result, robust::MAD_TO_DEVIATION};

/// A residual is far when the logarithm of its size is this many robust deviations above the middle.
const FAR_DEVIATIONS: f64 = 6.0;
/// What recurs is normal: nothing is dropped beyond this share of rows or number of episodes.
const DROPPED_SHARE_MAX: f64 = 0.1;
const EPISODES_MAX: usize = 10;
/// Far rows this near to one another are one episode, and as many rows after each are dropped with it.
const AFTER: usize = 2;

/// Takes the rows in the far tail of the residuals, and the two after each, out of `counted`, at first those present; how
/// many it took.
pub(crate) fn clean(rows: &Matrix, counted: &mut [bool], settings: &Settings) -> Result<usize> {
    let sizes = residual_sizes(&Training { rows, present: counted, hold: 0..0 }, settings)?;
    let far = far_rows(&sizes);
    let dropped: Vec<usize> = (0..rows.len()).filter(|i| far[i.saturating_sub(AFTER)..=*i].contains(&true)).collect();
    let episodes = dropped.iter().enumerate().filter(|(k, i)| *k == 0 || dropped[k - 1] + 1 < **i).count();
    if dropped.len() as f64 > DROPPED_SHARE_MAX * rows.len() as f64 || episodes > EPISODES_MAX {
        return Ok(0);
    }
    let before = counted.iter().filter(|counted| **counted).count();
    dropped.iter().for_each(|i| counted[*i] = false);
    Ok(before - counted.iter().filter(|counted| **counted).count())
}

/// Whitened sizes of the residuals, by the covariance of the half of the rows that are nearest in every column; zero of
/// rows that are not used.
fn residual_sizes(training: &Training<'_>, settings: &Settings) -> Result<Vec<f64>> {
    let used = training.used(settings.lags);
    let scaling = Scaling::fit(training.rows, &training.kept(), &settings.resolution, settings.clip);
    let (_, residuals) = VarModel::fit(&training.scaled(&scaling), &used, settings.lags, settings.ridge)?;
    let widest = widest_departures(&residuals, &used);
    let chosen: Vec<f64> = used.iter().zip(&widest).filter(|(used, _)| **used).map(|(_, widest)| *widest).collect();
    let middle = quantile(&chosen, 0.5);
    let mut half = Matrix::with_columns(residuals.columns());
    (0..residuals.len()).filter(|i| used[*i] && widest[*i] <= middle).for_each(|i| half.push(residuals.row(i)));
    let (white, mut scratch) = (whitener(&ledoit_wolf(&half).0)?, vec![0.0; residuals.columns()]);
    let size = |(row, used): (&[f64], &bool)| if *used { root_mean_square(row, &white, &mut scratch) } else { 0.0 };
    Ok(residuals.rows().zip(&used).map(size).collect())
}

/// Largest departure of a row from the columns' medians, in median absolute deviations.
fn widest_departures(residuals: &Matrix, used: &[bool]) -> Vec<f64> {
    let mut widest = vec![0.0_f64; residuals.len()];
    for j in 0..residuals.columns() {
        let column = || (0..residuals.len()).filter(|i| used[*i]).map(|i| residuals.at(i, j));
        let middle = median(column());
        let mad = median(column().map(|x| (x - middle).abs())).max(1e-9);
        widest.iter_mut().enumerate().for_each(|(i, w)| *w = w.max((residuals.at(i, j) - middle).abs() / mad));
    }
    widest
}

fn far_rows(sizes: &[f64]) -> Vec<bool> {
    let logs = || sizes.iter().filter(|size| **size > 0.0).map(|size| size.ln());
    let middle = median(logs());
    let deviation = MAD_TO_DEVIATION * median(logs().map(|x| (x - middle).abs()));
    let limit = (middle + FAR_DEVIATIONS * deviation).exp();
    sizes.iter().map(|size| *size > limit).collect()
}
