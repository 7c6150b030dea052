//! Merging panes gives what one pane would; state restores; nothing grows with the readings.

use iotpm_core::multiresolution::{Moments, MultiResolution, Tier, Tiers};
use proptest::prelude::*;

const SECOND_US: i64 = 1_000_000;

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

fn shape(moments: &Moments) -> [f64; 7] {
    let m = moments;
    [m.mean(), m.min(), m.max(), m.std(), m.rms(), m.skewness(), m.kurtosis()]
}

fn tiers(points: usize) -> Tiers {
    let tier = |seconds: i64, panes: u32| Tier { width_us: seconds * SECOND_US, panes };
    Tiers::new(vec![tier(1, 4), tier(4, 5), tier(20, 50)], points).expect("tiers that nest")
}

fn pushed(readings: &[(i64, f64)], lateness_us: i64, points: usize) -> MultiResolution {
    let mut statistics = MultiResolution::new(tiers(points), lateness_us).expect("a lateness within the finest tier");
    readings.iter().for_each(|&(time_us, value)| statistics.push(time_us, value));
    statistics
}

/// Readings some of which are far apart, in order of time.
fn readings() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let step = prop_oneof![9 => 0..2_000_000_i64, 1 => 0..90_000_000_i64];
    prop::collection::vec((step, -1000..1000_i32), 1..400).prop_map(|steps| {
        let mut time_us = -30 * SECOND_US;
        let reading = |(step, value): (i64, i32)| {
            time_us += step;
            (time_us, f64::from(value) / 8.0)
        };
        steps.into_iter().map(reading).collect()
    })
}

proptest! {
    #[test]
    fn moments_of_parts_are_those_of_the_whole(values in prop::collection::vec(-1000..1000_i32, 0..300), cut in 0..300_usize) {
        let values: Vec<f64> = values.into_iter().map(|x| f64::from(x) + 500.0).collect();
        let (head, tail) = values.split_at(cut.min(values.len()));
        let (mut parts, whole) = (Moments::of(head), Moments::of(&values));
        parts.merge(&Moments::of(tail));
        prop_assert_eq!(parts.count(), whole.count());
        for (a, b) in shape(&parts).into_iter().zip(shape(&whole)) {
            prop_assert!(close(a, b), "{:?} {:?}", parts, whole);
        }
    }

    #[test]
    fn panes_together_are_the_readings_of_the_horizon(readings in readings(), horizon in prop::sample::select(vec![2, 4, 8, 20, 40, 1000_i64])) {
        let statistics = pushed(&readings, 0, 16);
        let found = statistics.over(horizon * SECOND_US, &[0.0, 0.5, 1.0]).expect("a horizon of whole panes");
        let newest = readings[readings.len() - 1].0;
        prop_assert_eq!(found.end_us, newest);
        prop_assert!(found.start_us > newest - horizon * SECOND_US);
        let inside: Vec<f64> =
            readings.iter().filter(|(time_us, _)| *time_us >= found.start_us).map(|(_, value)| *value).collect();
        let whole = Moments::of(&inside);
        prop_assert_eq!(found.moments.count(), whole.count());
        for (a, b) in shape(&found.moments).into_iter().zip(shape(&whole)) {
            prop_assert!(close(a, b), "{:?} {:?}", found.moments, whole);
        }
        prop_assert_eq!((found.quantiles[0], found.quantiles[2]), (whole.min(), whole.max()));
        let below = inside.iter().filter(|x| **x < found.quantiles[1]).count() as f64;
        let upto = inside.iter().filter(|x| **x <= found.quantiles[1]).count() as f64;
        let (middle, slack) = ((inside.len() - 1) as f64 / 2.0, found.rank_error * inside.len() as f64 + 1.0);
        prop_assert!(below - slack <= middle && middle <= upto - 1.0 + slack, "{below} {upto} {slack}");
    }

    #[test]
    fn a_restored_state_goes_on_as_the_first(readings in readings(), cut in 0..400_usize) {
        let cut = cut.min(readings.len());
        let before = pushed(&readings[..cut], SECOND_US, 16);
        let mut after = MultiResolution::restore(&before.snapshot().expect("bytes")).expect("what was saved");
        prop_assert_eq!(&after, &before);
        readings[cut..].iter().for_each(|&(time_us, value)| after.push(time_us, value));
        prop_assert_eq!(after, pushed(&readings, SECOND_US, 16));
    }

    #[test]
    fn order_within_the_lateness_changes_no_count(readings in readings(), seed in 0..1000_usize) {
        let mut mixed = readings.clone();
        mixed.sort_by_key(|(time_us, value)| time_us + (value.to_bits() as usize ^ seed).wrapping_mul(7_919) as i64 % SECOND_US);
        let (straight, mixed) = (pushed(&readings, 4 * SECOND_US, 16), pushed(&mixed, 4 * SECOND_US, 16));
        prop_assert_eq!(mixed.late(), 0);
        let over = |statistics: &MultiResolution| statistics.over(1000 * SECOND_US, &[]).expect("whole panes").moments;
        prop_assert_eq!(over(&mixed).count(), over(&straight).count());
        prop_assert!(close(over(&mixed).mean(), over(&straight).mean()));
    }
}

#[test]
fn any_bytes_are_refused_or_restored_but_never_a_panic() {
    let good = pushed(&[(0, 1.0), (5 * SECOND_US, 2.0)], 0, 16).snapshot().expect("bytes");
    for at in 0..good.len() {
        for change in [1_u8, 0x55, 0xFF] {
            let mut bytes = good.clone();
            bytes[at] ^= change;
            let _ = MultiResolution::restore(&bytes).map(|mut state| state.push(6 * SECOND_US, 1.0));
            assert!(MultiResolution::restore(&good[..at]).is_err());
        }
    }
}

#[test]
fn times_at_the_ends_of_the_calendar_do_no_harm() {
    let statistics = pushed(&[(i64::MIN, 1.0), (0, 2.0), (i64::MAX, 3.0)], 0, 16);
    assert_eq!(statistics.over(1000 * SECOND_US, &[0.5]).expect("whole panes").moments.count(), 1);
}
