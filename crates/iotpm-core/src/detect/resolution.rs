//! The smallest step of a sensor, learned from its values.

use serde::{Deserialize, Serialize};

/// Finest decimal grid that is looked for.
const DECIMALS_MAX: i32 = 9;
/// Steps this much alike, as a share, are the same step written with few digits.
const ALIKE: f64 = 1e-3;
/// So often the smallest step must have come, and over so many steps the values must reach, before it counts against a finer
/// grid: two levels alone are a switch, and say nothing of the sensor.
const RECURRENCES_MIN: u32 = 8;
const STEPS_SPANNED_MIN: f64 = 2.5;

/// The smaller of the smallest step seen so far and the decimal grid on which all values lie, until the smallest step has
/// recurred; then that.
///
/// The grid knows the step of a constant signal before its first change: 20.0 -> 20.1 is one step of a sensor that
/// shows one decimal, not an infinite number of deviations. It is only a lower bound: a converter whose counts are 0.327927 bar
/// writes six decimals and has no finer steps for that.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Resolution {
    previous: f64,
    smallest_step: f64,
    /// How often the smallest step came since the grid became finer last.
    recurrences: u32,
    least: f64,
    greatest: f64,
    decimals: i32,
    grid: f64,
}

impl Default for Resolution {
    fn default() -> Self {
        Self {
            previous: f64::NAN,
            smallest_step: f64::INFINITY,
            recurrences: 0,
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
            decimals: 0,
            grid: 1.0,
        }
    }
}

impl Resolution {
    /// Learns from a finite value and returns the resolution known with it.
    #[inline]
    pub fn update(&mut self, value: f64) -> f64 {
        while self.decimals <= DECIMALS_MAX && !lies_on(value, self.grid) {
            (self.decimals, self.recurrences) = (self.decimals + 1, 0);
            self.grid = if self.decimals > DECIMALS_MAX { f64::INFINITY } else { 10f64.powi(-self.decimals) };
        }
        self.take_step((value - self.previous).abs());
        self.previous = value;
        (self.least, self.greatest) = (self.least.min(value), self.greatest.max(value));
        let resolution = if self.recurs() { self.smallest_step } else { self.smallest_step.min(self.grid) };
        if resolution.is_finite() { resolution } else { 0.0 }
    }

    fn take_step(&mut self, step: f64) {
        if step > 0.0 && step < (1.0 - ALIKE) * self.smallest_step {
            (self.smallest_step, self.recurrences) = (step, 1);
        } else if step > 0.0 && step <= (1.0 + ALIKE) * self.smallest_step {
            self.recurrences = self.recurrences.saturating_add(1);
        }
    }

    fn recurs(&self) -> bool {
        self.recurrences >= RECURRENCES_MIN && self.greatest - self.least >= STEPS_SPANNED_MIN * self.smallest_step
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
    fn a_step_that_recurs_counts_for_more_than_the_digits_it_is_written_with() {
        let counts =
            [0, 1, 0, 2, 1, 3, 2, 1, 2, 1, 0, 1, 0, 1].map(|n| (f64::from(n) * 0.327_927_3 * 1e6).round() / 1e6);
        assert!((learned(&counts) - 0.327_927).abs() < 1e-5);
        assert!(learned(&counts[..4]) <= 1e-6);
    }

    #[test]
    fn a_switch_says_nothing_of_its_sensor() {
        assert_eq!(learned(&[5.0, 90.0].repeat(20)), 1.0);
    }

    #[test]
    fn a_finer_step_is_believed_at_once() {
        let counts = [0.0, 0.5, 0.0, 1.0, 0.5, 1.5].repeat(5);
        assert_eq!(learned(&counts), 0.5);
        assert!((learned(&[counts.as_slice(), &[0.51]].concat()) - 0.01).abs() < 1e-9);
    }

    #[test]
    fn a_constant_off_any_grid_has_no_resolution() {
        assert_eq!(learned(&[1.0 / 3.0]), 0.0);
    }
}
