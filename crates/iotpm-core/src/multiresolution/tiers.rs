//! How time is cut into panes.

use serde::{Deserialize, Serialize};

use super::POINTS_MAX;
use crate::{CoreError, Result, spectrum::invalid};

const SECOND_US: i64 = 1_000_000;

/// Panes of one width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Width of a pane.
    pub width_us: i64,
    /// How many are kept.
    pub panes: u32,
}

impl Tier {
    /// Longest horizon.
    #[must_use]
    pub fn span_us(self) -> i64 {
        self.width_us.saturating_mul(i64::from(self.panes))
    }

    /// Start of the pane of a time.
    pub(super) fn floor(self, time_us: i64) -> i64 {
        time_us.saturating_sub(time_us.rem_euclid(self.width_us))
    }
}

/// Tiers from the finest to the coarsest, and the points of a pane's sketch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Tiers {
    tiers: Vec<Tier>,
    points: usize,
}

#[derive(Deserialize)]
struct Unchecked {
    tiers: Vec<Tier>,
    points: usize,
}

impl TryFrom<Unchecked> for Tiers {
    type Error = CoreError;

    fn try_from(Unchecked { tiers, points }: Unchecked) -> Result<Self> {
        Self::new(tiers, points)
    }
}

impl Default for Tiers {
    /// 10 s x 6, 1 min x 10, 10 min x 6, 1 h x 24, 1 d x 30; 32 points.
    fn default() -> Self {
        let tier = |seconds: i64, panes: u32| Tier { width_us: seconds * SECOND_US, panes };
        let tiers = vec![tier(10, 6), tier(60, 10), tier(600, 6), tier(3_600, 24), tier(86_400, 30)];
        Self { tiers, points: 32 }
    }
}

impl Tiers {
    /// Checked tiers.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`] for no tiers or more than 16; a width that is not positive or no whole number of the
    /// tier before; panes that are none, more than 100,000, or do not reach over a pane of the next tier; fewer than 8
    /// points or more than [`POINTS_MAX`].
    pub fn new(tiers: Vec<Tier>, points: usize) -> Result<Self> {
        if !(1..=16).contains(&tiers.len()) {
            return Err(invalid("tiers", &tiers.len(), "1 to 16 of them"));
        }
        if !(8..=POINTS_MAX).contains(&points) {
            return Err(invalid("points", &points, "8 to 4096"));
        }
        tiers.iter().try_for_each(check)?;
        tiers.windows(2).try_for_each(|pair| check_nested(pair[0], pair[1]))?;
        Ok(Self { tiers, points })
    }

    /// From the finest to the coarsest.
    pub fn iter(&self) -> impl Iterator<Item = Tier> {
        self.tiers.iter().copied()
    }

    /// Points of a pane's sketch.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }

    pub(super) fn count(&self) -> usize {
        self.tiers.len()
    }

    pub(super) fn at(&self, index: usize) -> Tier {
        self.tiers[index]
    }

    pub(super) fn finest(&self) -> Tier {
        self.tiers[0]
    }

    /// The finest tier that has the horizon in whole panes.
    pub(super) fn of_horizon(&self, horizon_us: i64) -> Result<(usize, Tier)> {
        let fits = |tier: &Tier| horizon_us > 0 && horizon_us % tier.width_us == 0 && horizon_us <= tier.span_us();
        let found = self.iter().enumerate().find(|(_, tier)| fits(tier));
        found.ok_or_else(|| {
            invalid("horizon_us", &horizon_us, "a whole number of panes of a tier, no more than it keeps")
        })
    }
}

fn check(tier: &Tier) -> Result<()> {
    if tier.width_us <= 0 {
        return Err(invalid("width_us", &tier.width_us, "greater than 0"));
    }
    if !(1..=100_000).contains(&tier.panes) {
        return Err(invalid("panes", &tier.panes, "1 to 100000"));
    }
    Ok(())
}

fn check_nested(fine: Tier, coarse: Tier) -> Result<()> {
    if coarse.width_us <= fine.width_us || coarse.width_us % fine.width_us != 0 {
        return Err(invalid("width_us", &coarse.width_us, "a multiple of the width of the tier before"));
    }
    if fine.span_us() < coarse.width_us {
        return Err(invalid("panes", &fine.panes, "enough to cover one pane of the next tier"));
    }
    Ok(())
}
