//! Scores of a stream of rows, and why.

use std::sync::Arc;

use super::{
    model::{Fitted, Model},
    settings::invalid,
    state::State,
};
use crate::{CoreError, Result};

/// A stream's scores against a model: bounded state, one row after the other.
#[derive(Clone, Debug)]
pub struct Scorer {
    model: Arc<Model>,
    state: State,
    parts: [f64; 2],
}

/// One column's part in a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Contributor {
    /// Which column.
    pub column: usize,
    /// Its share of the channel's contributions, 0 to 1; all shares together are 1, or 0 where nothing departs.
    pub share: f64,
    /// What the model expected of this row, given the rows before it, in the column's unit.
    pub expected: f64,
    /// The training rows' median, in the column's unit.
    pub usual: f64,
    /// What came: NaN where the value was missing.
    pub actual: f64,
    /// 1: higher than the others and the past make it, -1: lower, 0: no side (energy).
    pub direction: i8,
}

/// Why the newest row has its score.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The channel that has the greater part in the score.
    pub channel: &'static str,
    /// The score, 1.0 = limit.
    pub score: f64,
    /// Largest share first, ties by column.
    pub contributors: Vec<Contributor>,
    /// Columns without a value that is young enough: they say nothing.
    pub missing: Vec<usize>,
}

/// The statistic of channels whose squares sum to its square.
pub(crate) fn joined([first, second]: [f64; 2]) -> f64 {
    (first * first + second * second).sqrt()
}

/// Raw statistics of the next row; the caller has checked its length and what is missing.
pub(crate) fn stream_parts(fitted: &Fitted, state: &mut State, row: &[f64], age_max: u32) -> [f64; 2] {
    let first = state.rows == 0;
    if !first {
        fitted.statistic.expect(state);
    }
    state.take(row, &fitted.scaling, age_max);
    if first {
        state.fill_past();
        fitted.statistic.expect(state);
        silence_missing(state);
    }
    fitted.statistic.step(state)
}

/// A column that is missing from the first row on has no residual either.
fn silence_missing(state: &mut State) {
    let State { z, expected, missing, .. } = state;
    z.iter_mut().zip(expected).zip(missing).filter(|(_, missing)| **missing).for_each(|((z, x), _)| *z = *x);
}

impl Scorer {
    /// A new stream.
    #[must_use]
    pub fn new(model: Arc<Model>) -> Self {
        let state = State::new(model.columns(), model.settings.lags);
        Self { model, state, parts: [f64::NAN; 2] }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Takes the next row and returns its score; NaN, and no other effect, when more than half of the columns have no value
    /// that is young enough.
    ///
    /// # Errors
    /// A row of another length.
    pub fn score(&mut self, row: &[f64]) -> Result<f64> {
        if row.len() != self.model.columns() {
            return Err(invalid("values in a row", &row.len(), "as many as the model has columns"));
        }
        let age_max = self.model.settings.age_max_rows;
        if 2 * self.state.too_old(row, age_max) > row.len() {
            self.parts = [f64::NAN; 2];
            return Ok(f64::NAN);
        }
        let parts = stream_parts(&self.model.fitted, &mut self.state, row, age_max);
        self.parts = parts.map(|part| part / self.model.limit);
        Ok(joined(self.parts))
    }

    /// The newest row's channels: the squares of both sum to the square of its score.
    #[must_use]
    pub fn parts(&self) -> [f64; 2] {
        self.parts
    }

    /// Why the newest row, which was `row`, has its score: the columns' parts in the channel that is greatest.
    #[must_use]
    pub fn explain(&self, row: &[f64]) -> Explanation {
        let channel = usize::from(self.parts[1] > self.parts[0]);
        let (parts, sides) = self.model.fitted.statistic.contributions(&self.state, channel);
        let total: f64 = parts.iter().sum();
        let mut contributors: Vec<Contributor> = (0..parts.len())
            .map(|j| Contributor {
                column: j,
                share: if total > 0.0 { parts[j] / total } else { 0.0 },
                expected: self.model.fitted.scaling.unscale(j, self.state.expected[j]),
                usual: self.model.fitted.scaling.centre[j],
                actual: row.get(j).copied().unwrap_or(f64::NAN),
                direction: i8::from(sides[j] > 0.0) - i8::from(sides[j] < 0.0),
            })
            .collect();
        contributors.sort_by(|a, b| b.share.total_cmp(&a.share));
        let missing = (0..parts.len()).filter(|j| self.state.missing[*j]).collect();
        Explanation { channel: self.model.channels()[channel], score: joined(self.parts), contributors, missing }
    }

    /// The stream's state as bytes.
    ///
    /// # Errors
    /// None that is expected: the serialiser's own.
    pub fn snapshot(&self) -> Result<Vec<u8>> {
        let stored = (self.model.hash()?, &self.state, self.parts);
        postcard::to_stdvec(&stored).map_err(|error| CoreError::InvalidSnapshot { reason: error.to_string() })
    }

    /// A stream where a snapshot left it.
    ///
    /// # Errors
    /// Bytes of something else, or of a stream of another model.
    pub fn restore(model: Arc<Model>, bytes: &[u8]) -> Result<Self> {
        let refused = |reason: String| CoreError::InvalidSnapshot { reason };
        let (hash, state, parts): (u64, State, [f64; 2]) =
            postcard::from_bytes(bytes).map_err(|error| refused(format!("not a scorer's state: {error}")))?;
        if hash != model.hash()? || !state.fits(model.columns(), model.settings.lags) {
            return Err(refused("the state is of another model".into()));
        }
        Ok(Self { model, state, parts })
    }
}
