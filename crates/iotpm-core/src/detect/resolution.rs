//! The smallest step of a sensor, learned from its values.

use serde::{Deserialize, Serialize};

/// Finest decimal grid that is looked for.
const DECIMALS_MAX: i32 = 9;

/// The smaller of the smallest step seen so far and the decimal grid on which all values lie.
///
/// The grid knows the step of a constant signal before its first change: 20.0 -> 20.1 is one step of a sensor that
/// shows one decimal, not an infinite number of deviations.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Resolution {
    previous: f64,
    smallest_step: f64,
    decimals: i32,
    grid: f64,
}

impl Default for Resolution {
    fn default() -> Self {
        Self { previous: f64::NAN, smallest_step: f64::INFINITY, decimals: 0, grid: 1.0 }
    }
}

impl Resolution {
    /// Learns from a finite value and returns the resolution known with it.
    #[inline]
    pub fn update(&mut self, value: f64) -> f64 {
        while self.decimals <= DECIMALS_MAX && !lies_on(value, self.grid) {
            self.decimals += 1;
            self.grid = if self.decimals > DECIMALS_MAX { f64::INFINITY } else { 10f64.powi(-self.decimals) };
        }
        let step = (value - self.previous).abs();
        if step > 0.0 && step < self.smallest_step {
            self.smallest_step = step;
        }
        self.previous = value;
        let resolution = self.smallest_step.min(self.grid);
        if resolution.is_finite() { resolution } else { 0.0 }
    }
}

fn lies_on(value: f64, grid: f64) -> bool {
    let steps = (value / grid).abs();
    (steps - nearest(steps)).abs() <= 1e-6_f64.max(4.0 * f64::EPSILON * steps)
}

/// The integer nearest to `x` >= 0: adding 2^52 leaves no room for a fraction. Above that every number is one.
/// (`f64::round` is a library call on processors without the instruction.)
fn nearest(x: f64) -> f64 {
    const NO_FRACTION: f64 = 4_503_599_627_370_496.0;
    if x < NO_FRACTION { (x + NO_FRACTION) - NO_FRACTION } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(values: &[f64]) -> f64 {
        let mut resolution = Resolution::default();
        values.iter().map(|v| resolution.update(*v)).last().unwrap_or(0.0)
    }

    #[test]
    fn a_decimal_grid_is_known_at_the_first_change() {
        assert!((learned(&[20.0, 20.0, 20.1]) - 0.1).abs() < 1e-9);
        assert_eq!(learned(&[5.0, 5.0, 100.0]), 1.0);
    }

    #[test]
    fn the_smallest_step_counts_where_there_is_no_grid() {
        let third = 1.0 / 3.0;
        assert!((learned(&[0.0, third, 2.0 * third, third]) - third).abs() < 1e-12);
    }

    #[test]
    fn a_constant_off_any_grid_has_no_resolution() {
        assert_eq!(learned(&[1.0 / 3.0]), 0.0);
    }
}
