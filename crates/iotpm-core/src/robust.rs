//! Robust statistics of a sliding window, exact at every reading: order statistics, median, MAD, quantiles, modified z.
//!
//! All results equal NumPy's on the same values (`np.median`, `np.median(np.abs(x - np.median(x)))`, `np.quantile`),
//! bit for bit. Values are finite; `-0.0` counts as `0.0`. Cost per reading with `W` values: O(log W) to find and to
//! take the MAD, one memory move of at most `W` (up to 512 values) or about `sqrt(W)` values (above) to replace.

mod order;

use std::fmt;

use order::Order;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::prefetch::prefetch;

/// Consistency factor of the modified z-score: 0.75 quantile of the standard normal distribution, as Iglewicz & Hoaglin
/// round it.
pub const MODIFIED_Z_FACTOR: f64 = 0.6745;

/// Deviation of a normal sample by its median absolute deviation.
pub(crate) const MAD_TO_DEVIATION: f64 = 1.4826;

/// Greatest magnitude that [`modified_z`] returns.
pub const MODIFIED_Z_LIMIT: f64 = 1e6;

/// Modified z-score, `0.6745 (x - median) / max(mad, floor)`, limited to ±[`MODIFIED_Z_LIMIT`].
///
/// It is 0 where `x == median`, whatever the scale; where both `mad` and `floor` are 0 any other `x` gives the limit
/// with the sign of `x - median`. It is never infinite.
///
/// Source: Iglewicz & Hoaglin, *How to Detect and Handle Outliers*, ASQC 1993, section 3.3; they flag scores above 3.5.
#[must_use]
pub fn modified_z(x: f64, median: f64, mad: f64, floor: f64) -> f64 {
    if x == median {
        return 0.0;
    }
    (MODIFIED_Z_FACTOR * (x - median) / mad.max(floor).max(0.0)).clamp(-MODIFIED_Z_LIMIT, MODIFIED_Z_LIMIT)
}

/// `np.quantile(sorted, q)` (linear interpolation) of values given by rank; NaN of none.
pub(crate) fn quantile_by_rank(len: usize, q: f64, mut at: impl FnMut(usize) -> f64) -> f64 {
    if len == 0 {
        return f64::NAN;
    }
    let position = q.clamp(0.0, 1.0) * (len - 1) as f64;
    let below = (position as usize).min(len - 1);
    interpolate(at(below), at((below + 1).min(len - 1)), position - below as f64)
}

/// NumPy's interpolation between neighbours (`_lerp`): symmetric, and exact at both ends.
pub(crate) fn interpolate(a: f64, b: f64, t: f64) -> f64 {
    let difference = b - a;
    if t >= 0.5 { b - difference * (1.0 - t) } else { a + difference * t }
}

/// A bounded multiset of finite values, kept in order.
///
/// Up to 512 values it is one sorted array, above that blocks of equal size, so that any rank is found at once.
/// Memory grows with the values held, not with the capacity.
///
/// ```
/// let mut window = iotpm_core::robust::SortedWindow::new(3);
/// for x in [4.0, 1.0, 10.0] {
///     assert!(window.insert(x));
/// }
/// assert!(!window.insert(7.0), "full");
/// assert!(window.replace(1.0, 6.0));
/// assert_eq!(window.median_and_mad(), (6.0, 2.0));
/// ```
#[derive(Clone)]
pub struct SortedWindow {
    capacity: usize,
    order: Order,
}

impl SortedWindow {
    /// An empty window of at most `capacity` values (at least one).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { capacity, order: Order::new(capacity) }
    }

    /// Adds a value; false, and nothing changes, if the window is full or the value is not finite.
    #[must_use = "false means that the value was refused"]
    pub fn insert(&mut self, x: f64) -> bool {
        if self.len() == self.capacity || !x.is_finite() {
            return false;
        }
        let x = x + 0.0; // -0.0 becomes 0.0
        self.order.grow();
        self.order.shift_up(self.order.lower_bound(x, self.len() - 1), self.len() - 1, x);
        true
    }

    /// Takes one copy of a value out; false, and nothing changes, if it is not there.
    #[must_use = "false means that the value was not there"]
    pub fn remove(&mut self, x: f64) -> bool {
        let Some(rank) = self.rank_of(x) else { return false };
        self.order.shift_down(rank, self.len() - 1, x);
        self.order.shrink();
        true
    }

    /// Replaces one copy of `old` by `new`: as remove and insert, but moves only the values between the two.
    /// False, and nothing changes, if `old` is not there or `new` is not finite.
    #[must_use = "false means that nothing was replaced"]
    pub fn replace(&mut self, old: f64, new: f64) -> bool {
        let new = new + 0.0; // -0.0 becomes 0.0
        let (from, to) = self.order.lower_bounds(old, new);
        if from == self.len() || self.order.at(from) != old || !new.is_finite() {
            return false;
        }
        self.order.exchange(from, to, new);
        true
    }

    fn rank_of(&self, x: f64) -> Option<usize> {
        let rank = self.order.lower_bound(x, self.len());
        (rank < self.len() && self.order.at(rank) == x).then_some(rank)
    }

    /// Values held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values it may hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The `k`-th smallest value, from 0.
    #[must_use]
    pub fn kth(&self, k: usize) -> Option<f64> {
        (k < self.len()).then(|| self.order.at(k))
    }

    /// `np.median(x)`; NaN of none.
    #[must_use]
    pub fn median(&self) -> f64 {
        match &self.order {
            Order::Flat(flat) => median(flat.len(), |k| flat.at(k)),
            Order::Blocked(blocks) => median(blocks.len(), |k| blocks.at(k)),
        }
    }

    /// Median absolute deviation, `np.median(np.abs(x - np.median(x)))`, not scaled; NaN of none.
    #[must_use]
    pub fn mad(&self) -> f64 {
        self.median_and_mad().1
    }

    /// [`Self::median`] and [`Self::mad`].
    #[must_use]
    pub fn median_and_mad(&self) -> (f64, f64) {
        self.median_and_mad_near(&mut (self.len() / 4))
    }

    /// [`Self::median_and_mad`], quicker if `below`, in which each call leaves its place for the next one, comes from
    /// before a small change; it never changes the result.
    #[must_use]
    pub fn median_and_mad_near(&self, below: &mut usize) -> (f64, f64) {
        match &self.order {
            Order::Flat(flat) => median_and_mad(flat.len(), |k| flat.at(k), below),
            Order::Blocked(blocks) => median_and_mad(blocks.len(), |k| blocks.at(k), below),
        }
    }

    /// `np.quantile(x, q)` (linear), `q` limited to [0, 1]; NaN of none or for a NaN `q`.
    #[must_use]
    pub fn quantile(&self, q: f64) -> f64 {
        if q.is_nan() { f64::NAN } else { quantile_by_rank(self.len(), q, |k| self.order.at(k)) }
    }

    /// The values, ascending.
    pub fn values(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.len()).map(|k| self.order.at(k))
    }
}

impl fmt::Debug for SortedWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SortedWindow")
            .field("capacity", &self.capacity)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

fn median(n: usize, at: impl Fn(usize) -> f64) -> f64 {
    match (n, n % 2) {
        (0, _) => f64::NAN,
        (_, 1) => at(n / 2),
        _ => f64::midpoint(at(n / 2 - 1), at(n / 2)),
    }
}

/// The half of the values nearest to the median is a run of consecutive ranks: `h = n / 2` of them, beginning `i` ranks
/// below rank `h`. The greatest `i` for which the run's lowest value is nearer than the value that follows the run is
/// found from where it was before; the middle of the deviations is then at the run's ends.
#[inline]
fn median_and_mad(n: usize, at: impl Fn(usize) -> f64, near: &mut usize) -> (f64, f64) {
    if n == 0 {
        return (f64::NAN, f64::NAN);
    }
    let (middle, h) = (median(n, &at), n / 2);
    let below = |i: usize| if i < h { middle - at(h - 1 - i) } else { f64::INFINITY };
    let above = |j: usize| if j < n - h { at(h + j) - middle } else { f64::INFINITY };
    // For i < h both lie among the values.
    let nearer = |i: usize| middle - at(h - 1 - i) < at(2 * h - 1 - i) - middle;
    let i = partition_point_near(h, *near, nearer);
    *near = i;
    let upper = below(i).min(above(h - i));
    if n % 2 == 1 {
        return (middle, upper);
    }
    let last_below = if i > 0 { below(i - 1) } else { 0.0 };
    let last_above = if h > i { above(h - i - 1) } else { 0.0 };
    (middle, f64::midpoint(last_below.max(last_above), upper))
}

/// How many of `0..n` come before the first for which `holds` is false; without a branch on the data.
#[inline]
fn partition_point(n: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut base, mut size) = (0, n);
    while size > 1 {
        let half = size / 2;
        base = std::hint::select_unpredictable(holds(base + half - 1), base + half, base);
        size -= half;
    }
    base + usize::from(size == 1 && holds(base))
}

/// How many places around where the partition point was before are looked at, all of them at once.
const NEAR: usize = 4;

/// [`partition_point`], looked for first around `near`, where it was before a small change; also there without a branch on
/// the data.
#[inline]
fn partition_point_near(n: usize, near: usize, holds: impl Fn(usize) -> bool) -> usize {
    if n > NEAR {
        let from = near.saturating_sub(NEAR / 2).min(n - NEAR);
        let count = (0..NEAR).map(|i| usize::from(holds(from + i))).sum::<usize>();
        if (count > 0 || from == 0) && (count < NEAR || from + NEAR == n) {
            return from + count;
        }
    }
    partition_point(n, holds)
}

/// The last `capacity` values in order of arrival, with their robust statistics.
///
/// Serialised as capacity and values only; the order is made anew. Equal histories of pushes give equal windows, and a
/// window that was serialised and read back gives the same statistics ever after.
#[derive(Clone, Debug)]
pub struct RollingWindow {
    sorted: SortedWindow,
    /// Ring; the oldest value is at `oldest` once it is full, at 0 before.
    ring: Vec<f64>,
    oldest: usize,
}

impl RollingWindow {
    /// An empty window of at most `capacity` values (at least one).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { sorted: SortedWindow::new(capacity), ring: Vec::new(), oldest: 0 }
    }

    /// Adds a value and returns the one that had to leave for it. A value that is not finite is ignored: keep it out.
    pub fn push(&mut self, x: f64) -> Option<f64> {
        if !x.is_finite() {
            return None;
        }
        if self.is_full() { Some(self.push_over(x)) } else { self.push_free(x) }
    }

    fn push_over(&mut self, x: f64) -> f64 {
        let old = std::mem::replace(&mut self.ring[self.oldest], x);
        self.oldest = if self.oldest + 1 == self.ring.len() { 0 } else { self.oldest + 1 };
        let replaced = self.sorted.replace(old, x);
        debug_assert!(replaced, "the ring's values are the sorted ones");
        old
    }

    fn push_free(&mut self, x: f64) -> Option<f64> {
        if self.ring.len() == self.ring.capacity() {
            let room = self.capacity() - self.ring.len();
            self.ring.reserve_exact(room.min(self.ring.len().max(order::FLAT_MAX)));
        }
        self.ring.push(x);
        let inserted = self.sorted.insert(x);
        debug_assert!(inserted, "not full");
        None
    }

    /// Asks for the memory that the next push will need.
    pub(crate) fn prefetch(&self) {
        prefetch(self.ring.get(self.oldest..=self.oldest).unwrap_or_default());
        self.sorted.order.prefetch();
    }

    /// `(median, MAD)` of the values held; NaN of none. See [`SortedWindow::median_and_mad`].
    #[must_use]
    pub fn median_and_mad(&self) -> (f64, f64) {
        self.sorted.median_and_mad()
    }

    /// See [`SortedWindow::median_and_mad_near`].
    #[must_use]
    pub fn median_and_mad_near(&self, below: &mut usize) -> (f64, f64) {
        self.sorted.median_and_mad_near(below)
    }

    /// Values held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Whether the next push evicts a value.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// Values it may hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.sorted.capacity()
    }

    /// The values in order of value.
    #[must_use]
    pub fn sorted(&self) -> &SortedWindow {
        &self.sorted
    }

    /// The values in order of arrival, oldest first.
    #[must_use]
    pub fn values(&self) -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator + '_ {
        let n = self.len();
        (0..n).map(move |i| self.ring[if self.oldest + i < n { self.oldest + i } else { self.oldest + i - n }])
    }

    /// Forgets the values; keeps capacity and memory.
    pub fn clear(&mut self) {
        self.sorted = SortedWindow::new(self.capacity());
        self.ring.clear();
        self.oldest = 0;
    }
}

/// Equal when the same values would be evicted in the same order.
impl PartialEq for RollingWindow {
    fn eq(&self, other: &Self) -> bool {
        self.capacity() == other.capacity() && self.values().eq(other.values())
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    capacity: u64,
    #[serde(with = "serde_bytes")]
    values: Vec<u8>,
}

impl Serialize for RollingWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut values = Vec::with_capacity(self.len() * size_of::<f64>());
        self.values().for_each(|x| values.extend_from_slice(&x.to_le_bytes()));
        Stored { capacity: self.capacity() as u64, values }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RollingWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let capacity = usize::try_from(stored.capacity).map_err(D::Error::custom)?;
        let (values, rest) = stored.values.as_chunks();
        let values: Vec<f64> = values.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        let fits = capacity > 0 && values.len() <= capacity && rest.is_empty();
        if !fits || values.iter().any(|x| !x.is_finite()) {
            return Err(D::Error::custom(
                "rolling window: more values than its capacity, or a value that is not finite",
            ));
        }
        let mut window = Self::new(capacity);
        values.into_iter().for_each(|x| _ = window.push(x));
        Ok(window)
    }
}
