//! Half-space trees: how rarely readings came near the newest ones.

use serde::{Deserialize, Serialize};

use super::{
    series::{Explanation, SeriesDetector},
    usual::Usual,
};
use crate::multivariate::Random;

const TREES: usize = 25;
/// Halvings from a tree's root to its leaves.
const DEPTH: usize = 7;
const NODES: usize = (1 << (DEPTH + 1)) - 1;
/// Neighbouring readings that are one point.
const POINT: usize = 4;
/// Readings after which what was counted becomes what is compared with.
const WINDOW: u16 = 256;
/// Count below which a node is not followed further down.
const SMALL: u16 = WINDOW / 10;
/// Least deviation of a rarity, bits.
const DEVIATION_MIN: f64 = 0.5;
const SEED: u64 = 25;

/// Rarity = -log2 of how many of the last full 256 points fell near the newest one, in nodes of 25 random trees that halve
/// their space, counts weighted by 2^depth (Tan, Ting and Liu, "Fast Anomaly Detection for Streaming Data", IJCAI 2011); a
/// point is the last 4 readings, their range that of the first 256. Score by [`Usual`]. The trees are the same for every
/// signal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HalfSpaceTrees {
    /// The first readings, until their range is known; then the last ones.
    recent: Vec<f64>,
    /// Lowest and greatest of the first readings.
    range: Option<(f64, f64)>,
    trees: Vec<Tree>,
    seen: u64,
    counted: u16,
    usual: Usual,
    score: f64,
}

/// One tree; the children of node `n` are `2n + 1` and `2n + 2`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tree {
    /// Where each coordinate of a point lies in the space: lowest, greatest.
    space: [(f64, f64); POINT],
    /// Coordinate that a node halves.
    coordinates: Vec<u8>,
    reference: Vec<u16>,
    latest: Vec<u16>,
}

impl Default for HalfSpaceTrees {
    fn default() -> Self {
        let mut random = Random::new(SEED);
        Self {
            recent: Vec::new(),
            range: None,
            trees: (0..TREES).map(|_| Tree::new(&mut random)).collect(),
            seen: 0,
            counted: 0,
            usual: Usual::new(DEVIATION_MIN),
            score: 0.0,
        }
    }
}

impl Tree {
    fn new(random: &mut Random) -> Self {
        let mut space = [(0.0, 0.0); POINT];
        for side in &mut space {
            let centre = random.unit();
            let reach = 2.0 * centre.max(1.0 - centre);
            *side = (centre - reach, centre + reach);
        }
        let coordinates = (0..NODES).map(|_| (random.unit() * POINT as f64) as u8 % POINT as u8).collect();
        Self { space, coordinates, reference: vec![0; NODES], latest: vec![0; NODES] }
    }

    /// Counts a point down to its leaf and returns the weighted count of what it is compared with.
    fn count(&mut self, point: &[f64; POINT]) -> f64 {
        let (mut node, mut space, mut mass) = (0, self.space, None);
        for depth in 0..=DEPTH {
            self.latest[node] = self.latest[node].saturating_add(1);
            if mass.is_none() && (self.reference[node] <= SMALL || depth == DEPTH) {
                mass = Some(f64::from(self.reference[node]) * f64::from(1_u32 << depth));
            }
            if depth == DEPTH {
                break;
            }
            let coordinate = usize::from(self.coordinates[node]);
            let side = &mut space[coordinate];
            let half = f64::midpoint(side.0, side.1);
            let upper = point[coordinate] >= half;
            if upper {
                side.0 = half;
            } else {
                side.1 = half;
            }
            node = 2 * node + 1 + usize::from(upper);
        }
        mass.unwrap_or_default()
    }

    fn turn(&mut self) {
        std::mem::swap(&mut self.reference, &mut self.latest);
        self.latest.fill(0);
    }
}

impl HalfSpaceTrees {
    fn learn_range(&mut self, value: f64) {
        self.recent.push(value);
        if self.recent.len() == usize::from(WINDOW) {
            let fold = |of: fn(f64, f64) -> f64, from| self.recent.iter().copied().fold(from, of);
            let (low, high) = (fold(f64::min, f64::INFINITY), fold(f64::max, f64::NEG_INFINITY));
            self.range = Some((low, if high > low { high } else { low + low.abs().max(1.0) }));
            self.recent.drain(..usize::from(WINDOW) - POINT);
        }
    }

    fn take(&mut self, point: &[f64; POINT]) {
        let mass: f64 = self.trees.iter_mut().map(|tree| tree.count(point)).sum();
        self.counted += 1;
        let known = self.seen > 2 * u64::from(WINDOW);
        if known {
            self.score = self.usual.judge(-(mass / TREES as f64 + 1.0).log2());
        }
        if self.counted == WINDOW {
            self.counted = 0;
            self.trees.iter_mut().for_each(Tree::turn);
        }
    }
}

impl SeriesDetector for HalfSpaceTrees {
    fn update(&mut self, _time_us: i64, value: f64) {
        self.seen += 1;
        let Some((low, high)) = self.range else { return self.learn_range(value) };
        self.recent.rotate_left(1);
        self.recent[POINT - 1] = value;
        let scaled = |k: usize| (self.recent[k] - low) / (high - low);
        let point = std::array::from_fn(scaled);
        self.take(&point);
    }

    fn score(&self) -> f64 {
        self.score
    }

    fn explain(&self) -> Explanation {
        Explanation { baseline_readings: u64::from(WINDOW).min(self.seen), ..Explanation::none("shape") }
    }

    fn heap_bytes(&self) -> usize {
        TREES * (size_of::<Tree>() + NODES * 5) + 8 * self.recent.capacity() + Usual::heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::usual::noise, *};

    fn scores(values: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut trees = HalfSpaceTrees::default();
        let mut score = |value| {
            trees.update(0, value);
            trees.score()
        };
        values.map(&mut score).collect()
    }

    #[test]
    fn a_count_is_that_of_the_points_in_the_same_node() {
        let mut tree = Tree::new(&mut Random::new(1));
        let (here, there) = ([0.1; POINT], [0.9; POINT]);
        assert_eq!((0..200).map(|_| tree.count(&here)).sum::<f64>(), 0.0, "nothing to compare with yet");
        tree.turn();
        assert_eq!(tree.reference[0], 200);
        assert_eq!(tree.reference.iter().map(|n| u32::from(*n)).sum::<u32>(), 200 * (DEPTH as u32 + 1));
        assert_eq!(tree.count(&here), 200.0 * f64::from(1_u32 << DEPTH));
        assert_eq!(tree.count(&there), 0.0);
    }

    #[test]
    fn readings_where_none_were_are_rare() {
        let values = (0..4_000).map(|i| noise(i) + if (3_000..3_010).contains(&i) { 4.0 } else { 0.0 });
        let scores = scores(values);
        assert!(scores[..3_000].iter().filter(|score| **score >= 1.0).count() < 5);
        assert!(scores[3_000..3_010].iter().any(|score| *score > 1.0));
    }

    #[test]
    fn a_constant_is_never_rare() {
        assert!(scores(std::iter::repeat_n(7.5, 2_000)).iter().all(|score| *score == 0.0));
    }

    #[test]
    fn unit_and_offset_do_not_matter() {
        let plain = scores((0..1_500).map(noise));
        let moved = scores((0..1_500).map(|i| 64.0 * noise(i) + 1024.0));
        assert!(plain.iter().zip(&moved).all(|(a, b)| (a - b).abs() < 1e-9));
    }
}
