//! Distance to a robust centre: a training part with many bad rows does not move it.

use serde::{Deserialize, Serialize};

use super::{
    Random,
    hotelling::{contributions, pulls, root_mean_square},
    linear::{Matrix, axpy, log_determinant, whitener},
    normal_quantile,
    scaling::median,
    shrinkage::ledoit_wolf,
};
use crate::Result;

/// Random starts, C-steps given to each, starts that are followed to the end, and C-steps at most.
const STARTS: usize = 50;
const FIRST_STEPS: usize = 2;
const BEST: usize = 5;
const STEPS_MAX: usize = 30;
/// Rows that starts are tried on; more are thinned evenly, in order.
const ROWS_MAX: usize = 2_000;
/// Rows farther than this quantile of the chi-squared distribution do not count in the final estimate.
const REWEIGHT: f64 = 0.975;

/// Centre and inverse covariance factor by the minimum covariance determinant (Rousseeuw and Van Driessen, "A Fast
/// Algorithm for the Minimum Covariance Determinant Estimator", Technometrics 41, 1999), reweighted; every covariance is
/// shrunk (Ledoit-Wolf), so that fewer rows than columns give one as well, as in Boudt et al., "The minimum regularized
/// covariance determinant estimator", Statistics and Computing 30, 2020.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mahalanobis {
    pub centre: Vec<f64>,
    pub white: Matrix,
}

impl Mahalanobis {
    pub fn fit(z: &Matrix, seed: u64) -> Result<Self> {
        let thinned = thin(z);
        let (n, p) = (thinned.len(), thinned.columns());
        let half = n.midpoint(p + 1).min(n);
        let mut random = Random::new(seed);
        let mut starts = Vec::with_capacity(STARTS);
        for _ in 0..STARTS {
            let first = random.sample(n, (p + 1).min(half));
            starts.push(concentrate(&thinned, first, half, FIRST_STEPS)?);
        }
        starts.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut best: Option<(f64, Vec<usize>)> = None;
        for (_, rows) in starts.into_iter().take(BEST) {
            let found = concentrate(&thinned, rows, half, STEPS_MAX)?;
            best = best.filter(|best| best.0 <= found.0).or(Some(found));
        }
        let rows = best.map_or_else(|| (0..n).collect(), |best| best.1);
        reweighted(z, &Self::of(&thinned, &rows)?)
    }

    fn of(z: &Matrix, rows: &[usize]) -> Result<Self> {
        Ok(Self::with_covariance(z, rows)?.0)
    }

    fn with_covariance(z: &Matrix, rows: &[usize]) -> Result<(Self, Matrix)> {
        let mut centre = vec![0.0; z.columns()];
        rows.iter().for_each(|i| axpy(1.0 / rows.len() as f64, z.row(*i), &mut centre));
        let mut centred = Matrix::with_columns(z.columns());
        for i in rows {
            centred.push(&departure(z.row(*i), &centre));
        }
        let covariance = ledoit_wolf(&centred).0;
        Ok((Self { centre, white: whitener(&covariance)? }, covariance))
    }

    pub fn distance(&self, z: &[f64]) -> f64 {
        root_mean_square(&departure(z, &self.centre), &self.white, &mut vec![0.0; z.len()])
    }

    pub fn contributions(&self, z: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let departure = departure(z, &self.centre);
        (contributions(&departure, &self.white), pulls(&departure, &self.white))
    }
}

fn departure(z: &[f64], centre: &[f64]) -> Vec<f64> {
    z.iter().zip(centre).map(|(z, centre)| z - centre).collect()
}

fn thin(z: &Matrix) -> Matrix {
    let step = z.len().div_ceil(ROWS_MAX).max(1);
    let mut thinned = Matrix::with_columns(z.columns());
    (0..z.len()).step_by(step).for_each(|i| thinned.push(z.row(i)));
    thinned
}

/// C-steps: the `half` rows nearest to centre and covariance of the rows before, until the determinant falls no more.
fn concentrate(z: &Matrix, mut rows: Vec<usize>, half: usize, steps: usize) -> Result<(f64, Vec<usize>)> {
    let mut least = f64::INFINITY;
    for _ in 0..steps {
        let (estimate, _) = Mahalanobis::with_covariance(z, &rows)?;
        let distances: Vec<f64> = z.rows().map(|row| estimate.distance(row)).collect();
        let mut nearest: Vec<usize> = (0..z.len()).collect();
        nearest.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
        nearest.truncate(half);
        nearest.sort_unstable();
        let determinant = log_determinant(&Mahalanobis::with_covariance(z, &nearest)?.1);
        if determinant >= least {
            break;
        }
        (least, rows) = (determinant, nearest);
    }
    Ok((least, rows))
}

/// Centre and covariance of the rows within the 97.5 % distance, the median distance being the distribution's.
fn reweighted(z: &Matrix, raw: &Mahalanobis) -> Result<Mahalanobis> {
    let p = z.columns() as f64;
    let squares: Vec<f64> = z.rows().map(|row| raw.distance(row).powi(2) * p).collect();
    let correction = median(squares.iter().copied()) / chi_squared_quantile(p, 0.5);
    let farthest = correction * chi_squared_quantile(p, REWEIGHT);
    let near: Vec<usize> = (0..z.len()).filter(|i| squares[*i] <= farthest).collect();
    Mahalanobis::of(z, &near)
}

/// Wilson and Hilferty's approximation (PNAS 17, 1931), within 1 % for 2 degrees of freedom and more.
fn chi_squared_quantile(freedom: f64, q: f64) -> f64 {
    let step = 2.0 / (9.0 * freedom);
    freedom * (1.0 - step + normal_quantile(q) * step.sqrt()).max(0.0).powi(3)
}
