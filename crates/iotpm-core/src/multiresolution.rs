//! Statistics of one signal over its last minute to its last month, at a cost per reading that does not depend on which.
//!
//! Time is cut into panes. A reading goes into one open pane of the finest tier; a pane closes when the watermark passes
//! its end, and the closed panes of a tier are merged into one of the next coarser tier:
//!
//! ```text
//! readings -> 10 s x 6 -> 1 min x 10 -> 10 min x 6 -> 1 h x 24 -> 1 d x 30
//! ```
//!
//! A horizon is a number of panes of one tier. Its newest pane is still being filled, so that a horizon of `k` panes of
//! width `w` covers the time from `(floor(t / w) + 1 - k) w` up to the newest reading at `t`: between `k - 1` and `k`
//! panes. Panes are aligned to the epoch. Memory is bounded by the number of panes.

mod moments;
mod pane;
mod sketch;
mod tiers;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{CoreError, Result, spectrum::invalid};
use pane::{OpenPane, Pane};
use sketch::Ranked;

pub use moments::Moments;
pub use sketch::POINTS_MAX;
pub use tiers::{Tier, Tiers};

/// Multi-resolution statistics of one signal; see the module.
///
/// Readings may come in any order as long as none is older than the watermark, the greatest time seen minus the lateness;
/// older ones are counted and left out. State is restored with serde as it was.
///
/// ```
/// use iotpm_core::multiresolution::{MultiResolution, Tiers};
/// let mut statistics = MultiResolution::new(Tiers::default(), 0)?;
/// (0..7_200).for_each(|second| statistics.push(second * 1_000_000, second as f64));
/// let hour = statistics.over(3_600_000_000, &[0.5])?;
/// assert_eq!((hour.moments.count(), hour.moments.max()), (3_600, 7_199.0));
/// # Ok::<(), iotpm_core::CoreError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MultiResolution {
    tiers: Tiers,
    lateness_us: i64,
    /// Greatest time seen.
    newest_us: Option<i64>,
    /// Panes of the finest tier that the watermark has not passed, in order of time; only those with readings.
    open: VecDeque<OpenPane>,
    /// Closed panes of each tier, in order of time; only those with readings.
    closed: Vec<VecDeque<Pane>>,
    late: u64,
    refused: u64,
}

/// Statistics of a horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct Horizon {
    /// Beginning of its oldest pane, whether it has readings or not.
    pub start_us: i64,
    /// Greatest time seen.
    pub end_us: i64,
    /// Count, mean, extremes and shape.
    pub moments: Moments,
    /// Quantiles, in the order asked for; NaN of no readings.
    pub quantiles: Vec<f64>,
    /// How far a quantile's rank may be off, as a share of the readings: 0 where nothing had to be summarised.
    pub rank_error: f64,
}

impl MultiResolution {
    /// Without readings. At most `lateness_us` is waited for late ones.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`] for a lateness that is negative or longer than the finest tier.
    pub fn new(tiers: Tiers, lateness_us: i64) -> Result<Self> {
        if !(0..=tiers.finest().span_us()).contains(&lateness_us) {
            return Err(invalid(
                "lateness_us",
                &lateness_us,
                "0 or more, and at most the finest tier's width times its panes",
            ));
        }
        let closed = vec![VecDeque::new(); tiers.count()];
        Ok(Self { tiers, lateness_us, newest_us: None, open: VecDeque::new(), closed, late: 0, refused: 0 })
    }

    /// Adds a reading. One below the watermark is counted as late, one that is not finite as refused; neither counts in
    /// any statistic.
    pub fn push(&mut self, time_us: i64, value: f64) {
        if !value.is_finite() {
            self.refused += 1;
            return;
        }
        if self.newest_us.is_some_and(|newest| time_us < newest.saturating_sub(self.lateness_us)) {
            self.late += 1;
            return;
        }
        if self.newest_us.is_none_or(|newest| time_us > newest) {
            self.advance(time_us);
        }
        let points = self.tiers.points();
        self.open_pane(time_us).push(value, points);
    }

    /// Readings below the watermark, left out.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Readings that were not finite, left out.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Greatest time seen.
    #[must_use]
    pub fn newest_us(&self) -> Option<i64> {
        self.newest_us
    }

    /// The tiers.
    #[must_use]
    pub fn tiers(&self) -> &Tiers {
        &self.tiers
    }

    /// The state as bytes, for [`MultiResolution::restore`].
    ///
    /// # Errors
    /// [`CoreError::InvalidSnapshot`] if there is no memory for it.
    pub fn snapshot(&self) -> Result<Vec<u8>> {
        postcard::to_allocvec(self).map_err(|error| invalid_snapshot(&error))
    }

    /// As it was at [`MultiResolution::snapshot`].
    ///
    /// # Errors
    /// [`CoreError::InvalidSnapshot`] for bytes that are not a whole snapshot.
    pub fn restore(snapshot: &[u8]) -> Result<Self> {
        let state: Self = postcard::from_bytes(snapshot).map_err(|error| invalid_snapshot(&error))?;
        Self::new(state.tiers.clone(), state.lateness_us).map_err(|error| invalid_snapshot(&error))?;
        if state.closed.len() == state.tiers.count() {
            Ok(state)
        } else {
            Err(invalid_snapshot(&"its panes do not belong to its tiers"))
        }
    }

    /// Bytes of this state, with what it holds on the heap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let closed: usize = self.closed.iter().map(|panes| panes.capacity() * size_of::<Pane>()).sum();
        let sketches: usize = self.closed.iter().flatten().map(Pane::heap_bytes).sum();
        let open: usize = self.open.iter().map(OpenPane::heap_bytes).sum();
        size_of::<Self>() + closed + sketches + open + self.open.capacity() * size_of::<OpenPane>()
    }

    /// Statistics of the newest `horizon_us`.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`] for a horizon that is no whole number of panes of any tier, or a quantile outside 0
    /// to 1.
    pub fn over(&self, horizon_us: i64, quantiles: &[f64]) -> Result<Horizon> {
        if let Some(q) = quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            return Err(invalid("quantile", q, "between 0 and 1"));
        }
        let (index, tier) = self.tiers.of_horizon(horizon_us)?;
        let end_us = self.newest_us.unwrap_or(0);
        let start_us = tier.floor(end_us).saturating_add(tier.width_us).saturating_sub(horizon_us);
        let (mut moments, mut sketches) = (Moments::default(), Vec::new());
        let open: Vec<Pane> = self.open_since(start_us).collect();
        for pane in self.panes(index, start_us).chain(&open) {
            moments.merge(&pane.moments);
            sketches.push(&pane.sketch);
        }
        let merged = Ranked::of(&sketches, moments.min(), moments.max());
        let (quantiles, rank_error) = (quantiles.iter().map(|&q| merged.quantile(q)).collect(), merged.rank_error());
        Ok(Horizon { start_us, end_us, moments, quantiles, rank_error })
    }

    /// Closed panes from `start_us`: as coarse as tier `index` where that has one, finer after it; in order of time.
    fn panes(&self, index: usize, start_us: i64) -> impl Iterator<Item = &Pane> {
        let mut from_us = start_us;
        (0..=index).rev().flat_map(move |tier| {
            let first = from_us;
            from_us = from_us.max(self.rolled_until(tier));
            self.closed[tier].iter().filter(move |pane| pane.start_us >= first)
        })
    }

    /// Everything before is in closed panes of this tier.
    fn rolled_until(&self, tier: usize) -> i64 {
        self.tiers.at(tier).floor(self.watermark())
    }

    fn watermark(&self) -> i64 {
        self.newest_us.map_or(i64::MIN, |newest| newest.saturating_sub(self.lateness_us))
    }

    fn open_since(&self, start_us: i64) -> impl Iterator<Item = Pane> {
        let points = self.tiers.points();
        self.open.iter().filter(move |pane| pane.start_us >= start_us).map(move |pane| pane.clone().close(points))
    }

    /// The open pane of a time not below the watermark.
    fn open_pane(&mut self, time_us: i64) -> &mut OpenPane {
        let start_us = self.tiers.finest().floor(time_us);
        let at = self.open.partition_point(|pane| pane.start_us < start_us);
        if self.open.get(at).is_none_or(|pane| pane.start_us != start_us) {
            self.open.insert(at, OpenPane::new(start_us));
        }
        &mut self.open[at]
    }

    /// Time goes on: closes what the watermark passes, tier by tier, and forgets what no horizon reaches.
    fn advance(&mut self, newest_us: i64) {
        let before = self.watermark();
        self.newest_us = Some(newest_us);
        let watermark = self.watermark();
        let finest = self.tiers.finest();
        if finest.floor(before) == finest.floor(watermark) {
            return;
        }
        self.close_finest(finest.floor(watermark));
        for tier in 1..self.tiers.count() {
            let (from, to) = (self.tiers.at(tier).floor(before), self.tiers.at(tier).floor(watermark));
            if from == to {
                break;
            }
            self.roll_up(tier, from, to);
        }
        self.forget(watermark);
    }

    fn close_finest(&mut self, until_us: i64) {
        while self.open.front().is_some_and(|pane| pane.start_us < until_us) {
            let pane = self.open.pop_front().map(|pane| pane.close(self.tiers.points()));
            self.closed[0].extend(pane);
        }
    }

    /// Panes of the tier below, from `from_us` to `to_us`, merged into panes of this one.
    fn roll_up(&mut self, tier: usize, from_us: i64, to_us: i64) {
        let (width, points) = (self.tiers.at(tier), self.tiers.points());
        let (below, above) = self.closed.split_at_mut(tier);
        let parts = below[tier - 1].make_contiguous();
        let inside =
            parts.partition_point(|pane| pane.start_us < from_us)..parts.partition_point(|pane| pane.start_us < to_us);
        for group in parts[inside].chunk_by(|a, b| width.floor(a.start_us) == width.floor(b.start_us)) {
            above[0].push_back(Pane::merged(width.floor(group[0].start_us), group, points));
        }
    }

    fn forget(&mut self, watermark: i64) {
        for (panes, tier) in self.closed.iter_mut().zip(self.tiers.iter()) {
            let oldest_us = tier.floor(watermark).saturating_sub(tier.span_us());
            while panes.front().is_some_and(|pane| pane.start_us < oldest_us) {
                panes.pop_front();
            }
        }
    }
}

fn invalid_snapshot(reason: &dyn ToString) -> CoreError {
    CoreError::InvalidSnapshot { reason: format!("multi-resolution statistics: {}", reason.to_string()) }
}
