//! Level and energy of the residuals: adaptive multivariate EWMA and its shrunk T, and the energy around it.

use serde::{Deserialize, Serialize};

use super::{
    Settings,
    energy::{Energy, UsualEnergy},
    familiarity::Familiarity,
    hotelling::{contributions, pulls, root_mean_square},
    linear::{Matrix, axpy, dot, whitener},
    scaling::Scaling,
    shrinkage::ledoit_wolf,
    state::State,
    training::Training,
    var_residual::VarModel,
};
use crate::Result;

/// Multivariate EWMA (Lowry et al., "A Multivariate EWMA Control Chart", Technometrics 34, 1992) of autoregressive
/// residuals, following jumps at once (Capizzi and Masarotto, "An Adaptive Exponentially Weighted Moving Average Control
/// Chart", Technometrics 45, 2003, Huber's score), joined with the energy around it: the statistic is
/// `sqrt((p T^2 + w z^2) / (p + w))` with `T` the size of the average of `p` columns, `z` the excess of the energy's logarithm
/// in its deviations and `w` as many columns as it weighs. One statistic has one limit, and what shows a little in both
/// counts more than what shows in one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mewma {
    var: VarModel,
    /// Factor of the inverse covariance of a residual, and of the average on healthy rows: the latter absorbs what
    /// autocorrelation is left.
    white: Matrix,
    level: Matrix,
    rate: f64,
    jump: f64,
    energy_rate: f64,
    energy: UsualEnergy,
    /// 0 where the energy does not count.
    energy_weight: f64,
    /// Where only a part was seen of what is normal.
    familiarity: Option<Familiarity>,
}

impl Mewma {
    pub fn fit(training: &Training<'_>, scaling: &Scaling, settings: &Settings) -> Result<Self> {
        let (z, used) = (training.scaled(scaling), training.used(settings.lags));
        let (var, residuals) = VarModel::fit(&z, &used, settings.lags, settings.ridge)?;
        let white = whitener(&ledoit_wolf(&select(&residuals, &used)).0)?;
        let (rate, jump, energy_rate) = (settings.rate, settings.jump, settings.energy_rate);
        let energy_weight = if settings.energy { settings.energy_weight } else { 0.0 };
        let energy = UsualEnergy::of(std::iter::once(0.0));
        let familiarity = Familiarity::fit(training, scaling, settings.seen_share)?;
        let level = white.clone();
        let mut model = Self { var, white, level, rate, jump, energy_rate, energy, energy_weight, familiarity };
        let (averages, energies) = model.averages(&residuals, &training.skipped(settings.lags));
        let settled = training.settled(&used, (1.0 / rate) as usize);
        model.level = whitener(&ledoit_wolf(&select(&averages, &settled)).0)?;
        model.energy = UsualEnergy::of(energies.iter().zip(&settled).filter(|(_, settled)| **settled).map(|(x, _)| *x));
        Ok(model)
    }

    /// Averages, and logarithms of the energy, of all rows; those skipped leave both as they were.
    fn averages(&self, residuals: &Matrix, skipped: &[bool]) -> (Matrix, Vec<f64>) {
        let p = residuals.columns();
        let (mut averages, mut e) = (Matrix::with_columns(p), vec![0.0; p]);
        let (mut energies, mut energy, mut logarithm) = (Vec::with_capacity(residuals.len()), Energy::default(), 0.0);
        let (mut departure, mut scratch) = (vec![0.0; p], vec![0.0; p]);
        for (residual, skipped) in residuals.rows().zip(skipped) {
            if !skipped {
                let mean_square = self.average(residual, &mut e, &mut departure, &mut scratch);
                logarithm = self.take_energy(&mut energy, mean_square);
            }
            averages.push(&e);
            energies.push(logarithm);
        }
        (averages, energies)
    }

    fn take_energy(&self, energy: &mut Energy, mean_square: f64) -> f64 {
        energy.update(mean_square, self.jump * self.jump, self.energy_rate)
    }

    /// `d = r - e`, `e += lambda d` with `lambda` rising from `rate` to 1 as the whitened `d` grows beyond `jump`; the mean
    /// square of the whitened `d`.
    fn average(&self, residual: &[f64], e: &mut [f64], departure: &mut [f64], scratch: &mut [f64]) -> f64 {
        departure.copy_from_slice(residual);
        axpy(-1.0, e, departure);
        self.white.left_multiply_lower(departure, scratch);
        let mean_square = dot(scratch, scratch) / e.len() as f64;
        let size = mean_square.sqrt();
        let rate =
            if size <= self.jump { self.rate } else { self.rate.max(1.0 - self.jump * (1.0 - self.rate) / size) };
        axpy(rate, departure, e);
        mean_square
    }

    /// What is expected of the next row, scaled.
    pub fn expect(&self, state: &mut State) {
        let State { past, expected, .. } = state;
        self.var.predict(past, expected);
    }

    /// `[level, energy]` of the newest row: the roots of their shares in the square of the statistic, which is less the farther
    /// the asset stands from what was learned.
    pub fn step(&self, state: &mut State) -> [f64; 2] {
        let p = state.z.len();
        let (mut residual, mut departure, mut scratch) = (state.z.clone(), vec![0.0; p], vec![0.0; p]);
        axpy(-1.0, &state.expected, &mut residual);
        let mean_square = self.average(&residual, &mut state.level, &mut departure, &mut scratch);
        state.remember(&departure);
        state.shift_past();
        let excess = self.energy.excess(self.take_energy(&mut state.energy, mean_square));
        let (columns, weight) = (p as f64, self.energy_weight);
        let widening = self.familiarity.as_ref().map_or(1.0, |familiarity| familiarity.widening(state, &mut scratch));
        let share = |of: f64| (of / (columns + weight)).sqrt() / widening;
        [share(columns) * root_mean_square(&state.level, &self.level, &mut scratch), share(weight) * excess]
    }

    /// Contribution of each column to the channel, and the side it departs to.
    pub fn contributions(&self, state: &State, channel: usize) -> (Vec<f64>, Vec<f64>) {
        if channel == 0 {
            return (contributions(&state.level, &self.level), pulls(&state.level, &self.level));
        }
        let (mut sum, mut weight) = (vec![0.0; state.z.len()], 1.0);
        for departure in state.recent.iter().rev() {
            axpy(weight, &contributions(departure, &self.white), &mut sum);
            weight *= 1.0 - self.energy_rate;
        }
        let sides = vec![0.0; sum.len()];
        (sum, sides)
    }
}

fn select(rows: &Matrix, used: &[bool]) -> Matrix {
    let mut selected = Matrix::with_columns(rows.columns());
    rows.rows().zip(used).filter(|(_, used)| **used).for_each(|(row, _)| selected.push(row));
    selected
}
