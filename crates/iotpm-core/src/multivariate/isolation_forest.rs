//! How quickly random cuts separate a row from the training rows.

use serde::{Deserialize, Serialize};

use super::{Random, linear::Matrix};

const TREES: usize = 100;
const SAMPLE: usize = 256;
const EULER: f64 = 0.577_215_664_901_532_9;

/// Isolation forest (Liu, Ting and Zhou, "Isolation Forest", ICDM 2008): `2^(-mean path / c(sample))`, in (0, 1].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct IsolationForest {
    trees: Vec<Vec<Node>>,
    /// Mean path of as many rows as each tree has seen.
    normal: f64,
}

/// A cut (rows below go to the next node, the others to `above`), or a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Node {
    Cut { column: u32, value: f64, above: u32 },
    Leaf { path: f64 },
}

impl IsolationForest {
    pub fn fit(z: &Matrix, seed: u64) -> Self {
        let (mut random, sample) = (Random::new(seed), SAMPLE.min(z.len()));
        let depth_max = (sample as f64).log2().ceil() as usize;
        let tree = |_| {
            let mut nodes = Vec::new();
            let mut rows = random.sample(z.len(), sample);
            grow(z, &mut rows, 0, depth_max, &mut random, &mut nodes);
            nodes
        };
        Self { trees: (0..TREES).map(tree).collect(), normal: mean_path(sample) }
    }

    pub fn score(&self, z: &[f64]) -> f64 {
        (-1.0 / self.ratio(z)).exp2()
    }

    /// Mean path of a random tree over the row's: the score's own order, without its upper bound, so that it has a tail.
    pub fn ratio(&self, z: &[f64]) -> f64 {
        let paths: f64 = self.trees.iter().map(|tree| path(tree, z)).sum();
        self.normal.max(1.0) / (paths / TREES as f64).max(f64::MIN_POSITIVE)
    }

    /// Share of the cuts on the way, each weighted by how early it came: a column that isolates a row cuts it early.
    pub fn contributions(&self, z: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let mut parts = vec![0.0; z.len()];
        for tree in &self.trees {
            let length = path(tree, z);
            walk(tree, z, |column, depth| parts[column] += 1.0 / ((1.0 + depth as f64) * length.max(1.0)));
        }
        (parts, vec![0.0; z.len()])
    }
}

/// Mean path of an unsuccessful search among `n` (the paper's eq. 1).
fn mean_path(n: usize) -> f64 {
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => 2.0 * (((n - 1) as f64).ln() + EULER) - 2.0 * (n - 1) as f64 / n as f64,
    }
}

fn walk(tree: &[Node], z: &[f64], mut seen: impl FnMut(usize, usize)) -> f64 {
    let (mut at, mut depth) = (0, 0);
    loop {
        match tree[at] {
            Node::Leaf { path } => return path,
            Node::Cut { column, value, above } => {
                seen(column as usize, depth);
                at = if z[column as usize] < value { at + 1 } else { above as usize };
                depth += 1;
            }
        }
    }
}

fn path(tree: &[Node], z: &[f64]) -> f64 {
    walk(tree, z, |_, _| ())
}

fn grow(z: &Matrix, rows: &mut [usize], depth: usize, depth_max: usize, random: &mut Random, nodes: &mut Vec<Node>) {
    let cut = if depth < depth_max { choose_cut(z, rows, random) } else { None };
    let Some((column, value)) = cut else {
        nodes.push(Node::Leaf { path: depth as f64 + mean_path(rows.len()) });
        return;
    };
    let at = nodes.len();
    nodes.push(Node::Cut { column: column as u32, value, above: 0 });
    rows.sort_by_key(|i| z.at(*i, column) >= value);
    let middle = rows.partition_point(|i| z.at(*i, column) < value);
    let (below, above) = rows.split_at_mut(middle);
    grow(z, below, depth + 1, depth_max, random, nodes);
    nodes[at] = Node::Cut { column: column as u32, value, above: nodes.len() as u32 };
    grow(z, above, depth + 1, depth_max, random, nodes);
}

/// A column in which the rows differ, and a value strictly above the lowest.
fn choose_cut(z: &Matrix, rows: &[usize], random: &mut Random) -> Option<(usize, f64)> {
    let range = |j: usize| {
        rows.iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), i| (low.min(z.at(*i, j)), high.max(z.at(*i, j))))
    };
    let varied: Vec<usize> = (0..z.columns()).filter(|j| rows.len() > 1 && range(*j).0 < range(*j).1).collect();
    if varied.is_empty() {
        return None;
    }
    let column = varied[random.below(varied.len())];
    let (low, high) = range(column);
    let value = high - random.unit() * (high - low);
    Some((column, if value > low { value } else { high }))
}
