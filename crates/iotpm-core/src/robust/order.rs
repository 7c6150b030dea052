//! Values in order, addressed by rank. Both layouts offer the same four steps: read a rank, count the lesser values,
//! and move a run of ranks by one towards either end to close the gap that a leaving value made and open one for the
//! next.

use std::hint::select_unpredictable;

use crate::prefetch::prefetch;

/// Greatest capacity that is kept as one array.
pub(super) const FLAT_MAX: usize = 512;

/// The layout, by capacity alone.
#[derive(Clone)]
pub(super) enum Order {
    Flat(Flat),
    Blocked(Blocked),
}

impl Order {
    pub(super) fn new(capacity: usize) -> Self {
        if capacity <= FLAT_MAX {
            Self::Flat(Flat { values: Vec::new(), capacity })
        } else {
            Self::Blocked(Blocked::new(capacity))
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Flat(flat) => flat.len(),
            Self::Blocked(blocks) => blocks.len(),
        }
    }

    pub(super) fn at(&self, rank: usize) -> f64 {
        match self {
            Self::Flat(flat) => flat.at(rank),
            Self::Blocked(blocks) => blocks.at(rank),
        }
    }

    /// How many of the first `len` values are less than `x`.
    pub(super) fn lower_bound(&self, x: f64, len: usize) -> usize {
        match self {
            Self::Flat(flat) => count_less(&flat.values[..len], x),
            Self::Blocked(blocks) => blocks.lower_bound(x, len),
        }
    }

    /// How many of all values are less than `x`, and how many less than `y`.
    pub(super) fn lower_bounds(&self, x: f64, y: f64) -> (usize, usize) {
        match self {
            Self::Flat(flat) => count_less_pair(&flat.values, x, y),
            Self::Blocked(blocks) => (blocks.lower_bound(x, blocks.len()), blocks.lower_bound(y, blocks.len())),
        }
    }

    /// Asks for a flat layout's memory; see [`super::RollingWindow::prefetch`].
    pub(super) fn prefetch(&self) {
        if let Self::Flat(flat) = self {
            prefetch(&flat.values);
        }
    }

    /// Makes room for one more rank, at the end and with any value; [`Self::shift_up`] fills it.
    pub(super) fn grow(&mut self) {
        match self {
            Self::Flat(flat) => flat.grow(),
            Self::Blocked(blocks) => blocks.grow(),
        }
    }

    /// Drops the last rank.
    pub(super) fn shrink(&mut self) {
        match self {
            Self::Flat(flat) => _ = flat.values.pop(),
            Self::Blocked(blocks) => blocks.shrink(),
        }
    }

    /// The value of rank `from` leaves, and `x` comes in before what had rank `to`.
    #[inline]
    pub(super) fn exchange(&mut self, from: usize, to: usize, x: f64) {
        match self {
            Self::Flat(flat) => exchange(&mut flat.values, from, to, x),
            Self::Blocked(blocks) if to > from => blocks.shift_down(from, to - 1, x),
            Self::Blocked(blocks) => blocks.shift_up(to, from, x),
        }
    }

    /// Ranks `from + 1 ..= to` move down by one; `x` becomes rank `to`.
    pub(super) fn shift_down(&mut self, from: usize, to: usize, x: f64) {
        match self {
            Self::Flat(flat) => shift_down(&mut flat.values, from, to, x),
            Self::Blocked(blocks) => blocks.shift_down(from, to, x),
        }
    }

    /// Ranks `to .. from` move up by one; `x` becomes rank `to`.
    pub(super) fn shift_up(&mut self, to: usize, from: usize, x: f64) {
        match self {
            Self::Flat(flat) => shift_up(&mut flat.values, to, from, x),
            Self::Blocked(blocks) => blocks.shift_up(to, from, x),
        }
    }
}

/// How many of the ascending `values` are less than `x`; without a branch on the data.
#[inline]
fn count_less(values: &[f64], x: f64) -> usize {
    super::partition_point(values.len(), |i| values[i] < x)
}

/// A run that is counted whole rather than halved on: its comparisons do not wait for each other.
const COUNTED_MAX: usize = 32;

/// [`count_less`] of two values at once: the steps of the two searches do not wait for each other.
#[inline]
fn count_less_pair(values: &[f64], x: f64, y: f64) -> (usize, usize) {
    let (mut x_base, mut y_base, mut size) = (0, 0, values.len());
    while size > COUNTED_MAX {
        let half = size / 2;
        x_base = select_unpredictable(values[x_base + half - 1] < x, x_base + half, x_base);
        y_base = select_unpredictable(values[y_base + half - 1] < y, y_base + half, y_base);
        size -= half;
    }
    (x_base + count_each(&values[x_base..x_base + size], x), y_base + count_each(&values[y_base..y_base + size], y))
}

#[inline]
fn count_each(values: &[f64], x: f64) -> usize {
    values.iter().map(|value| u64::from(*value < x)).sum::<u64>() as usize
}

/// One move whichever way it goes: a branch would be guessed wrongly half the time.
#[inline]
fn exchange(values: &mut [f64], from: usize, to: usize, x: f64) {
    let down = to > from;
    let start = select_unpredictable(down, from + 1, to);
    let place = select_unpredictable(down, from, to + 1);
    let count = select_unpredictable(down, to.wrapping_sub(from + 1), from.wrapping_sub(to));
    values.copy_within(start..start + count, place);
    values[select_unpredictable(down, to.wrapping_sub(1), to)] = x;
}

fn shift_down(values: &mut [f64], from: usize, to: usize, x: f64) {
    values.copy_within(from + 1..=to, from);
    values[to] = x;
}

fn shift_up(values: &mut [f64], to: usize, from: usize, x: f64) {
    values.copy_within(to..from, to + 1);
    values[to] = x;
}

/// One sorted array.
#[derive(Clone)]
pub(super) struct Flat {
    values: Vec<f64>,
    capacity: usize,
}

impl Flat {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    #[inline]
    pub(super) fn at(&self, rank: usize) -> f64 {
        self.values[rank]
    }

    fn grow(&mut self) {
        if self.values.capacity() < self.capacity {
            self.values.reserve_exact(self.capacity);
        }
        self.values.push(0.0);
    }
}

/// Blocks of equal size `1 << shift`, each a ring, all full but the last: rank `k` is in block `k >> shift`, so a rank
/// is read at once, and moving a whole block by one rank costs one value (a tiered vector: Goodrich & Kloss, WADS
/// 1999).
#[derive(Clone)]
pub(super) struct Blocked {
    shift: u32,
    len: usize,
    values: Vec<f64>,
    /// Where in its block each ring begins.
    heads: Vec<u32>,
    /// The least value of each block, so that a search touches two short arrays only.
    firsts: Vec<f64>,
}

impl Blocked {
    fn new(capacity: usize) -> Self {
        let shift = (capacity.ilog2() + 1).div_ceil(2).clamp(5, 16);
        Self { shift, len: 0, values: Vec::new(), heads: Vec::new(), firsts: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn size(&self) -> usize {
        1 << self.shift
    }

    #[inline]
    fn slot(&self, rank: usize) -> usize {
        let (block, mask) = (rank >> self.shift, self.size() - 1);
        (block << self.shift) | ((self.heads[block] as usize + rank) & mask)
    }

    #[inline]
    pub(super) fn at(&self, rank: usize) -> f64 {
        self.values[self.slot(rank)]
    }

    fn lower_bound(&self, x: f64, len: usize) -> usize {
        let blocks = len.div_ceil(self.size());
        let Some(block) = count_less(&self.firsts[..blocks], x).checked_sub(1) else { return 0 };
        let start = block << self.shift;
        start + self.count_less_in(block, (len - start).min(self.size()), x)
    }

    fn count_less_in(&self, block: usize, len: usize, x: f64) -> usize {
        let ring = &self.values[block << self.shift..][..self.size()];
        let (head, mask) = (self.heads[block] as usize, ring.len() - 1);
        super::partition_point(len, |i| ring[(head + i) & mask] < x)
    }

    fn grow(&mut self) {
        if self.len == self.values.len() {
            self.values.resize(self.len + self.size(), 0.0);
            self.heads.push(0);
            self.firsts.push(0.0);
        }
        self.len += 1;
    }

    fn shrink(&mut self) {
        self.len -= 1;
    }

    fn shift_down(&mut self, from: usize, to: usize, x: f64) {
        let (first, last) = (from >> self.shift, to >> self.shift);
        let mut carry = x;
        for block in (first..=last).rev() {
            let low = if block == first { from & (self.size() - 1) } else { 0 };
            let high = if block == last { to & (self.size() - 1) } else { self.size() - 1 };
            carry = self.shift_block_down(block, low, high, carry);
        }
    }

    fn shift_up(&mut self, to: usize, from: usize, x: f64) {
        let (first, last) = (to >> self.shift, from >> self.shift);
        let mut carry = x;
        for block in first..=last {
            let low = if block == first { to & (self.size() - 1) } else { 0 };
            let high = if block == last { from & (self.size() - 1) } else { self.size() - 1 };
            carry = self.shift_block_up(block, low, high, carry);
        }
    }

    /// Offsets `low + 1 ..= high` of a block move down by one, `x` becomes offset `high`; returns what was at `low`.
    #[inline]
    fn shift_block_down(&mut self, block: usize, low: usize, high: usize, x: f64) -> f64 {
        let (mask, shift) = (self.size() - 1, self.shift);
        let (ring, head) = (&mut self.values[block << shift..][..=mask], self.heads[block] as usize);
        let left = ring[(head + low) & mask];
        if low == 0 && high == mask {
            ring[head] = x;
            self.heads[block] = ((head + 1) & mask) as u32;
        } else {
            ring_down(ring, (head + low) & mask, high - low);
            ring[(head + high) & mask] = x;
        }
        self.refresh_first(block);
        left
    }

    /// Offsets `low .. high` of a block move up by one, `x` becomes offset `low`; returns what was at `high`.
    #[inline]
    fn shift_block_up(&mut self, block: usize, low: usize, high: usize, x: f64) -> f64 {
        let (mask, shift) = (self.size() - 1, self.shift);
        let (ring, head) = (&mut self.values[block << shift..][..=mask], self.heads[block] as usize);
        let left = ring[(head + high) & mask];
        if low == 0 && high == mask {
            let head = (head + mask) & mask;
            ring[head] = x;
            self.heads[block] = head as u32;
        } else {
            ring_up(ring, (head + low) & mask, high - low);
            ring[(head + low) & mask] = x;
        }
        self.refresh_first(block);
        left
    }

    #[inline]
    fn refresh_first(&mut self, block: usize) {
        self.firsts[block] = self.values[(block << self.shift) | self.heads[block] as usize];
    }
}

/// Moves the `count` values after slot `start` of a ring one slot back.
fn ring_down(ring: &mut [f64], start: usize, count: usize) {
    let straight = count.min(ring.len() - 1 - start);
    ring.copy_within(start + 1..=start + straight, start);
    if straight < count {
        let last = ring.len() - 1;
        ring[last] = ring[0];
        ring.copy_within(1..count - straight, 0);
    }
}

/// Moves the `count` values from slot `start` of a ring on one slot forward.
fn ring_up(ring: &mut [f64], start: usize, count: usize) {
    let straight = count.min(ring.len() - 1 - start);
    if straight < count {
        let wrapped = count - straight - 1;
        ring.copy_within(0..wrapped, 1);
        ring[0] = ring[ring.len() - 1];
    }
    ring.copy_within(start..start + straight, start + 1);
}
