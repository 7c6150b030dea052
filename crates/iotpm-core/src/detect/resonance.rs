//! Adaptive resonance on shape: the last blocks of readings against a bounded set of learned categories.
//!
//! Fuzzy ART (Carpenter, Grossberg and Rosen, "Fuzzy ART", Neural Networks 4, 1991) with two vigilances, as the published
//! `ARTime` detector uses it, but with a range that is causal: that of the warm-up, widened.

use serde::{Deserialize, Serialize};

use super::series::{Explanation, SeriesDetector};

/// Blocks of a pattern.
const BLOCKS: usize = 8;
/// Numbers of a pattern: blocks, their Haar transform, and the complement of both.
const FEATURES: usize = 4 * BLOCKS;
/// Blocks of a warm-up.
const WARM_UP_BLOCKS: usize = 104;
/// Most patterns that are compared with each other at the end of a warm-up.
const PATTERNS_MAX: usize = 2 * WARM_UP_BLOCKS;
/// Blocks that the moving average spans.
const AVERAGE_BLOCKS: f64 = 8.0;
const CATEGORIES_MAX: usize = 256;
/// Greatest upper vigilance; above it noise alone makes categories without end.
const UPPER_MAX: f64 = 0.9;
/// Share of the upper vigilance at which the lower one begins.
const LOWER_START: f64 = 0.9;
/// Share of the way to the recent minimum that the lower vigilance goes at each adaptation.
const LOWER_STEP: f64 = 0.19;
/// Blocks without an alarm after which the next one may follow; before, its match must be worse than the last one's.
const QUIET_BLOCKS: u32 = 12;
const WORSE_SHARE: f64 = 0.7;
/// What a match must lack to the lower vigilance: a shape just below it is learned and not told. With it, any upper
/// vigilance from .9 to .97 finds the same.
const MARGIN: f64 = 0.1;

type Pattern = [f64; FEATURES];

/// The intersection of the patterns it learned: a box around them, as the complement is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Category {
    weights: Pattern,
    /// The block that last resonated.
    used: u64,
}

impl Category {
    fn of(pattern: &Pattern, used: u64) -> Self {
        Self { weights: *pattern, used }
    }

    /// (sum min(x, w) / sum x)^3 E^2, with E the same on the newest block and its complement; 1 is a perfect match.
    ///
    /// The sum of a complement-coded pattern is half its length, so this bounds how large a box may grow; relative to
    /// sum w, as in the choice function of fuzzy ART, boxes grow by small steps until everything resonates.
    fn matches(&self, x: &Pattern) -> f64 {
        let w = &self.weights;
        let (newest, complement) = (BLOCKS - 1, 3 * BLOCKS - 1);
        let shared = sum_of_minima(x, w) / (FEATURES / 2) as f64;
        let end = x[newest].min(w[newest]) + x[complement].min(w[complement]);
        shared * shared * shared * end * end
    }

    fn shrink(&mut self, x: &Pattern, now: u64) {
        self.weights.iter_mut().zip(x).for_each(|(w, x)| *w = w.min(*x));
        self.used = now;
    }
}

/// Eight sums side by side, then together: one order on every machine, and no addition waits for the one before.
fn sum_of_minima(x: &Pattern, w: &Pattern) -> f64 {
    let mut sums = [0.0; 8];
    for (x, w) in x.chunks_exact(8).zip(w.chunks_exact(8)) {
        (0..8).for_each(|lane| sums[lane] += if x[lane] < w[lane] { x[lane] } else { w[lane] });
    }
    sums.iter().sum()
}

/// Blocks scaled to 0..1 by the range (clipped), their orthonormal Haar transform with each coefficient scaled to 0..1 by
/// what it can reach, and the complement of both.
fn pattern(blocks: &[f64], (low, high): (f64, f64)) -> Pattern {
    let mut x = [0.0; FEATURES];
    for (scaled, block) in x.iter_mut().zip(blocks) {
        *scaled = ((block - low) / (high - low)).clamp(0.0, 1.0);
    }
    haar(&mut x);
    for i in 0..2 * BLOCKS {
        x[2 * BLOCKS + i] = 1.0 - x[i];
    }
    x
}

/// Level by level: the means go on, the halved differences around .5 stay (the orthonormal ones are multiples of these).
fn haar(x: &mut Pattern) {
    let mut means = [0.0; BLOCKS];
    means.copy_from_slice(&x[..BLOCKS]);
    let mut length = BLOCKS;
    while length > 1 {
        length /= 2;
        for i in 0..length {
            let (left, right) = (means[2 * i], means[2 * i + 1]);
            means[i] = f64::midpoint(left, right);
            x[BLOCKS + length + i] = (left - right) / 2.0 + 0.5;
        }
    }
    x[BLOCKS] = means[0];
}

/// The block that fills: the reading farther from a moving average stands for it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Block {
    readings: u32,
    extreme: f64,
    average: f64,
    /// Readings of the whole series.
    seen: u64,
}

impl Block {
    /// Takes a reading; the block's extreme once it is full.
    fn update(&mut self, value: f64, length: u32) -> Option<f64> {
        if self.seen == 0 {
            self.average = value;
        }
        self.seen += 1;
        let rate = (1.0 / (AVERAGE_BLOCKS * f64::from(length))).max(1.0 / self.seen as f64);
        self.average += rate * (value - self.average);
        if self.readings == 0 || (value - self.average).abs() > (self.extreme - self.average).abs() {
            self.extreme = value;
        }
        self.readings += 1;
        (self.readings >= length).then(|| {
            self.readings = 0;
            self.extreme
        })
    }
}

/// How well the blocks since the last adaptation matched.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Recent {
    blocks: u32,
    sum: f64,
    least: f64,
}

impl Recent {
    const NONE: Self = Self { blocks: 0, sum: 0.0, least: f64::INFINITY };

    fn include(&mut self, best: f64) {
        self.blocks += 1;
        self.sum += best;
        self.least = self.least.min(best);
    }
}

/// A block of 1/104 of the warm-up that does not resonate with the known shapes is an alarm, if twelve were quiet before it
/// or it matches worse than .7 of the last alarm's. Score of an alarm: 1 + what the match lacks to the vigilance; the
/// readings between block ends score 0.
///
/// The warm-up's blocks are kept and learned when it ends, so that the one reading does a bounded burst of work (some 200
/// patterns against each other). What lies beyond the widened range is clipped: there the value's novelty speaks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Resonance {
    warm_up: u64,
    length: u32,
    block: Block,
    range: (f64, f64),
    /// Blocks of the warm-up, then the last [`BLOCKS`].
    blocks: Vec<f64>,
    categories: Vec<Category>,
    matches: Vec<f64>,
    learned: u64,
    upper: f64,
    lower: f64,
    recent: Recent,
    quiet: u32,
    last_match: f64,
    direction: i8,
    score: f64,
}

impl Resonance {
    pub fn new(warm_up: usize) -> Self {
        Self {
            warm_up: warm_up.max(BLOCKS) as u64,
            length: (warm_up / WARM_UP_BLOCKS).max(1) as u32,
            block: Block::default(),
            range: (f64::INFINITY, f64::NEG_INFINITY),
            blocks: Vec::new(),
            categories: Vec::new(),
            matches: Vec::new(),
            learned: 0,
            upper: 0.0,
            lower: 0.0,
            recent: Recent::NONE,
            quiet: QUIET_BLOCKS,
            last_match: 0.0,
            direction: 0,
            score: 0.0,
        }
    }

    fn is_warm(&self) -> bool {
        self.block.seen > self.warm_up
    }

    fn warm_up_with(&mut self, value: f64) {
        self.range = (self.range.0.min(value), self.range.1.max(value));
        if let Some(extreme) = self.block.update(value, self.length) {
            self.blocks.push(extreme);
        }
        if self.block.seen == self.warm_up {
            self.end_warm_up();
        }
    }

    fn end_warm_up(&mut self) {
        let (low, high) = self.range;
        let width = (high - low).max(f64::MIN_POSITIVE).max(1e-9 * high.abs().max(low.abs()));
        self.range = (low - width, high + width);
        let newest = &self.blocks[self.blocks.len().saturating_sub(PATTERNS_MAX + BLOCKS - 1)..];
        let patterns: Vec<Pattern> = newest.windows(BLOCKS).map(|blocks| pattern(blocks, self.range)).collect();
        let usual = usual_match(&patterns);
        (self.upper, self.lower) = (usual.min(UPPER_MAX), LOWER_START * usual);
        for x in &patterns {
            self.learn(x);
        }
        self.blocks.drain(..self.blocks.len().saturating_sub(BLOCKS));
        self.blocks.shrink_to(BLOCKS + 1);
    }

    /// Best match, and whether the pattern resonates or nearly does. Every category at or above the upper vigilance shrinks to what it
    /// shares with the pattern; if none does, the pattern is a category of its own.
    fn learn(&mut self, x: &Pattern) -> (f64, bool) {
        self.learned += 1;
        self.matches.clear();
        self.matches.extend(self.categories.iter().map(|category| category.matches(x)));
        let best = self.matches.iter().copied().fold(0.0, f64::max);
        let mut known = false;
        for (category, _) in self.categories.iter_mut().zip(&self.matches).filter(|(_, m)| **m >= self.upper) {
            category.shrink(x, self.learned);
            known = true;
        }
        if !known {
            self.add(x);
        }
        (best, known || best > self.lower - MARGIN)
    }

    fn add(&mut self, x: &Pattern) {
        let category = Category::of(x, self.learned);
        if self.categories.len() < CATEGORIES_MAX {
            self.categories.push(category);
        } else if let Some(oldest) = self.categories.iter_mut().min_by_key(|category| category.used) {
            *oldest = category;
        }
    }

    fn judge(&mut self, extreme: f64) {
        self.blocks.push(extreme);
        if self.blocks.len() > BLOCKS {
            self.blocks.remove(0);
        }
        if self.blocks.len() < BLOCKS {
            return;
        }
        let (best, resonates) = self.learn(&pattern(&self.blocks, self.range));
        self.quiet = self.quiet.saturating_add(1);
        if !resonates && (self.quiet > QUIET_BLOCKS || best < WORSE_SHARE * self.last_match) {
            self.score = 1.0 + (self.lower - best).max(0.0);
            self.direction = super::series::sign(extreme - self.block.average);
            (self.quiet, self.last_match) = (0, best);
        }
        self.recent.include(best);
        self.adapt();
    }

    fn adapt(&mut self) {
        let period = (self.warm_up as u32 / 2 / self.length).max(4);
        if self.recent.blocks >= period {
            self.upper = (self.recent.sum / f64::from(self.recent.blocks)).min(UPPER_MAX);
            self.lower += LOWER_STEP * (self.recent.least - self.lower);
            self.recent = Recent::NONE;
        }
    }
}

/// Mean of each pattern's best match with those before it.
fn usual_match(patterns: &[Pattern]) -> f64 {
    let categories: Vec<Category> = patterns.iter().map(|x| Category::of(x, 0)).collect();
    let best = |i: usize| categories[..i].iter().map(|category| category.matches(&patterns[i])).fold(0.0, f64::max);
    let compared = patterns.len().saturating_sub(1);
    if compared == 0 { UPPER_MAX } else { (1..patterns.len()).map(best).sum::<f64>() / compared as f64 }
}

impl SeriesDetector for Resonance {
    fn update(&mut self, _time_us: i64, value: f64) {
        self.score = 0.0;
        if self.block.seen < self.warm_up {
            self.warm_up_with(value);
        } else if let Some(extreme) = self.block.update(value, self.length) {
            self.judge(extreme);
        }
    }

    fn score(&self) -> f64 {
        self.score
    }

    fn explain(&self) -> Explanation {
        let seen = if self.is_warm() { self.block.seen } else { 0 };
        Explanation { direction: self.direction, baseline_readings: seen, ..Explanation::none("shape") }
    }

    fn heap_bytes(&self) -> usize {
        let categories = self.categories.capacity() * size_of::<Category>();
        categories + 8 * (self.blocks.capacity() + self.matches.capacity())
    }
}
