//! A bounded choice of an asset's rows over all of its history: many short blocks of neighbours, spread over the whole.
//!
//! Short ones, because what is normal at a change of shift must be among them; at places that follow no clock, because
//! blocks that lie eight hours apart would all see the same part of a shift.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Neighbouring rows of a block: what follows what is learned within them.
const ROWS: u64 = 30;
/// Blocks at most. When there are so many one of every two goes, and later ones lie twice as far apart.
const BLOCKS: u64 = 192;

/// Rows to learn from: at least half of `ROWS * BLOCKS` once so many came, however many follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Blocks {
    /// What the values are kept as differences from, so that few digits do for each.
    origin: Vec<f64>,
    #[serde(with = "crate::byte_block")]
    values: Vec<f32>,
    /// Rows of the stretch that one block stands for.
    stride: u64,
    seen: u64,
}

impl Blocks {
    pub fn new(columns: usize) -> Self {
        Self { origin: vec![f64::NAN; columns], values: Vec::new(), stride: ROWS, seen: 0 }
    }

    /// Takes the next row, missing values as NaN.
    pub fn push(&mut self, row: &[f64]) {
        if self.rows() == ROWS * BLOCKS && self.seen.is_multiple_of(self.stride) {
            self.thin();
        }
        let (number, at) = (self.seen / self.stride, self.seen % self.stride);
        let begin = place_of(number, self.stride);
        self.seen += 1;
        if !(begin..begin + ROWS).contains(&at) {
            return;
        }
        for (origin, value) in self.origin.iter_mut().zip(row) {
            if origin.is_nan() {
                *origin = *value;
            }
            self.values.push((value - *origin) as f32);
        }
    }

    fn columns(&self) -> usize {
        self.origin.len()
    }

    /// Rows that were pushed.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Rows that are kept.
    pub fn rows(&self) -> u64 {
        (self.values.len() / self.columns()) as u64
    }

    fn thin(&mut self) {
        let block = ROWS as usize * self.columns();
        for pair in 0..BLOCKS as usize / 2 {
            let stays = 2 * pair + usize::from(later_stays(pair as u64, self.stride));
            self.values.copy_within(stays * block..(stays + 1) * block, pair * block);
        }
        self.values.truncate(BLOCKS as usize / 2 * block);
        self.stride *= 2;
    }

    /// Columns that have a value in at least nine of ten rows.
    pub fn present(&self) -> Vec<usize> {
        let rows = || self.values.chunks_exact(self.columns());
        let count = |column: usize| rows().filter(|row| row[column].is_finite()).count();
        (0..self.columns()).filter(|column| count(*column) * 10 >= rows().len() * 9).collect()
    }

    /// The rows' values of some columns, row-major, with an empty row (NaN) between two blocks.
    pub fn matrix(&self, columns: &[usize]) -> Vec<f64> {
        let mut values = Vec::with_capacity(self.rows() as usize * columns.len());
        for (number, row) in self.values.chunks_exact(self.columns()).enumerate() {
            if number > 0 && (number as u64).is_multiple_of(ROWS) {
                values.extend(columns.iter().map(|_| f64::NAN));
            }
            values.extend(columns.iter().map(|column| self.origin[*column] + f64::from(row[*column])));
        }
        values
    }
}

/// Which of two neighbouring blocks stays. Were it always the earlier one, blocks would crowd at the beginning of their longer
/// stretches, the older the more, and where a shift is a multiple of a stretch whole parts of it would never be learned.
fn later_stays(pair: u64, stride: u64) -> bool {
    let mut name = [0; 16];
    name[..8].copy_from_slice(&pair.to_le_bytes());
    name[8..].copy_from_slice(&stride.to_le_bytes());
    xxh3_64(&name) & 1 == 1
}

/// Where in its stretch of `stride` rows a block begins.
fn place_of(number: u64, stride: u64) -> u64 {
    xxh3_64(&number.to_le_bytes()) % (stride - ROWS + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_rows(count: u64) -> Blocks {
        let mut blocks = Blocks::new(2);
        (0..count).for_each(|n| blocks.push(&[1e6 + n as f64, if n % 4 == 0 { f64::NAN } else { 1.0 }]));
        blocks
    }

    #[test]
    fn it_holds_everything_at_first_and_a_bounded_choice_of_any_length() {
        assert_eq!(of_rows(1_000).rows(), 1_000);
        for count in [6_000, 50_000, 1_000_000] {
            let rows = of_rows(count).rows();
            assert!((ROWS * (BLOCKS / 2 - 1)..=ROWS * BLOCKS).contains(&rows), "{rows} of {count}");
        }
    }

    #[test]
    fn blocks_are_neighbours_spread_over_the_whole_and_follow_no_clock() {
        let matrix = of_rows(100_000).matrix(&[0]);
        let blocks: Vec<_> = matrix.split(|x| x.is_nan()).collect();
        assert!(blocks.iter().all(|block| block.windows(2).all(|pair| pair[1] - pair[0] == 1.0)));
        let begins: Vec<_> = blocks.iter().map(|block| block[0] - 1e6).collect();
        let stride = 960.0;
        assert!(begins.iter().enumerate().all(|(k, begin)| (begin / stride).floor() == k as f64), "{begins:?}");
        assert!(begins.iter().any(|begin| begin % stride > stride / 2.0) && begins.len() > 96);
    }

    #[test]
    fn old_blocks_lie_as_evenly_in_their_stretches_as_new_ones() {
        let matrix = of_rows(180_000).matrix(&[0]);
        let stride = 960.0;
        let begins: Vec<f64> = matrix.split(|x| x.is_nan()).map(|block| (block[0] - 1e6) % stride).collect();
        let oldest = &begins[..begins.len() / 4];
        let late = oldest.iter().filter(|begin| **begin > stride / 2.0).count();
        assert!((oldest.len() / 4..=oldest.len() * 3 / 4).contains(&late), "{late} of {}", oldest.len());
    }

    #[test]
    fn a_column_that_is_often_missing_is_left_out() {
        assert_eq!(of_rows(400).present(), [0]);
    }
}
