//! What a stream of rows remembers between two rows.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{energy::Energy, scaling::Scaling};

/// Departures kept to say which columns an energy is made of.
const RECENT_MAX: usize = 32;

/// Bounded by the columns alone: a stream of any length needs the same memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub rows: u64,
    /// Last value of each column, scaled, and how many rows ago it came.
    held: Vec<f64>,
    age: Vec<u32>,
    /// The newest row, scaled and filled; what was expected of it; which columns say nothing.
    pub z: Vec<f64>,
    pub expected: Vec<f64>,
    pub missing: Vec<bool>,
    /// Scaled rows before the newest, newest first, side by side.
    pub past: Vec<f64>,
    pub level: Vec<f64>,
    /// Running average of the rows; empty where no part of the score depends on it.
    pub place: Vec<f64>,
    pub energy: Energy,
    pub recent: VecDeque<Vec<f64>>,
}

impl State {
    pub fn new(columns: usize, lags: usize) -> Self {
        let zeros = vec![0.0; columns];
        Self {
            rows: 0,
            held: zeros.clone(),
            age: vec![u32::MAX; columns],
            z: zeros.clone(),
            expected: zeros.clone(),
            missing: vec![false; columns],
            past: vec![0.0; lags * columns],
            level: zeros,
            place: Vec::new(),
            energy: Energy::default(),
            recent: VecDeque::new(),
        }
    }

    /// Whether the state belongs to a model of so many columns and lags.
    pub fn fits(&self, columns: usize, lags: usize) -> bool {
        let sized =
            [self.held.len(), self.age.len(), self.z.len(), self.expected.len(), self.missing.len(), self.level.len()];
        sized.iter().all(|len| *len == columns)
            && self.past.len() == lags * columns
            && (self.place.is_empty() || self.place.len() == columns)
            && self.recent.len() <= RECENT_MAX
            && self.recent.iter().all(|row| row.len() == columns)
    }

    /// Columns of `row` that are missing and whose last value is older than `age_max` rows.
    pub fn too_old(&self, row: &[f64], age_max: u32) -> usize {
        let old = |(x, age): (&f64, &u32)| !x.is_finite() && age.saturating_add(1) > age_max;
        row.iter().zip(&self.age).filter(|pair| old(*pair)).count()
    }

    /// Makes `row` the newest: a missing value is the last one for at most `age_max` rows, then what is expected.
    pub fn take(&mut self, row: &[f64], scaling: &Scaling, age_max: u32) {
        for (j, x) in row.iter().enumerate() {
            self.age[j] = if x.is_finite() { 0 } else { self.age[j].saturating_add(1) };
            if x.is_finite() {
                self.held[j] = scaling.scale(j, *x);
            }
            self.missing[j] = self.age[j] > age_max;
            self.z[j] = if self.missing[j] { self.expected[j] } else { self.held[j] };
        }
        self.rows += 1;
    }

    /// The newest row becomes the first of the past.
    pub fn shift_past(&mut self) {
        let (p, older) = (self.z.len(), self.past.len().saturating_sub(self.z.len()));
        self.past.copy_within(..older, p);
        self.past[..p].copy_from_slice(&self.z);
    }

    /// The first row stands for the rows before it.
    pub fn fill_past(&mut self) {
        self.past.chunks_exact_mut(self.z.len()).for_each(|past| past.copy_from_slice(&self.z));
    }

    pub fn remember(&mut self, departure: &[f64]) {
        let mut row = if self.recent.len() == RECENT_MAX { self.recent.pop_front() } else { None }.unwrap_or_default();
        row.clear();
        row.extend_from_slice(departure);
        self.recent.push_back(row);
    }
}
