//! Which rows of the training part an estimate may use.

use std::ops::Range;

use super::{linear::Matrix, scaling::Scaling};

/// Fewer settled rows than this give no covariance of the average; then all used rows give it.
const SETTLED_MIN: usize = 10;

/// Rows with their holes: those that are absent (a value missing, or dropped as contaminated), and those held out.
#[derive(Clone, Debug)]
pub(crate) struct Training<'a> {
    pub rows: &'a Matrix,
    pub present: &'a [bool],
    pub hold: Range<usize>,
}

impl Training<'_> {
    /// Rows that estimates may use.
    pub fn kept(&self) -> Vec<bool> {
        self.present.iter().enumerate().map(|(i, present)| *present && !self.hold.contains(&i)).collect()
    }

    /// Kept rows whose `lags` predecessors are kept as well.
    pub fn used(&self, lags: usize) -> Vec<bool> {
        let kept = self.kept();
        (0..kept.len()).map(|i| i >= lags && kept[i - lags..=i].iter().all(|kept| *kept)).collect()
    }

    /// Rows that are absent or have an absent one among their predecessors: a stream knows nothing of them.
    pub fn skipped(&self, lags: usize) -> Vec<bool> {
        let known = |i: usize| self.present[i.saturating_sub(lags)..=i].iter().all(|present| *present);
        (0..self.present.len()).map(|i| !known(i)).collect()
    }

    /// Used rows that are further than `memory` from the beginning and from the end of the part held out.
    pub fn settled(&self, used: &[bool], memory: usize) -> Vec<bool> {
        let first = memory.min(used.len() / 4);
        let after = if self.hold.is_empty() { 0..0 } else { self.hold.end..self.hold.end + memory };
        let settled: Vec<bool> =
            used.iter().enumerate().map(|(i, used)| *used && i >= first && !after.contains(&i)).collect();
        if settled.iter().filter(|settled| **settled).count() >= SETTLED_MIN { settled } else { used.to_vec() }
    }

    /// All rows scaled, absent ones zero.
    pub fn scaled(&self, scaling: &Scaling) -> Matrix {
        let mut z = Matrix::with_columns(self.rows.columns());
        for (row, present) in self.rows.rows().zip(self.present) {
            let scale = |(j, x): (usize, &f64)| if *present { scaling.scale(j, *x) } else { 0.0 };
            z.push(&row.iter().enumerate().map(scale).collect::<Vec<_>>());
        }
        z
    }

    /// The kept rows, scaled.
    pub fn kept_scaled(&self, scaling: &Scaling) -> Matrix {
        let (all, mut z) = (self.scaled(scaling), Matrix::with_columns(self.rows.columns()));
        all.rows().zip(self.kept()).filter(|(_, kept)| *kept).for_each(|(row, _)| z.push(row));
        z
    }
}
