//! Rows of an asset from readings of its signals.

use iotpm_core::multivariate::{AssetFrame, FrameRow};
use proptest::prelude::*;

const SECOND: i64 = 1_000_000;

fn frames(readings: &[(usize, i64, f64)], lateness_us: i64) -> (Vec<FrameRow>, AssetFrame) {
    let mut frame = AssetFrame::new(2, SECOND, 3 * SECOND, lateness_us).expect("a frame");
    let mut rows = Vec::new();
    for (column, time, value) in readings {
        frame.push(*column, *time, *value, &mut rows).expect("its column");
    }
    (rows, frame)
}

fn times(rows: &[FrameRow]) -> Vec<i64> {
    rows.iter().map(|row| row.time_us / SECOND).collect()
}

#[test]
fn a_row_holds_the_last_value_at_or_before_its_instant() {
    let readings = [(0, 0, 1.0), (1, 400_000, 5.0), (0, SECOND, 2.0), (1, SECOND + 1, 6.0), (0, 2 * SECOND + 1, 3.0)];
    let (rows, _) = frames(&readings, 0);
    assert_eq!(times(&rows), [0, 1, 2]);
    assert!(rows[0].values[0] == 1.0 && rows[0].values[1].is_nan());
    assert_eq!((&rows[1].values[..], &rows[2].values[..]), (&[2.0, 5.0][..], &[2.0, 6.0][..]));
}

#[test]
fn values_older_than_the_age_limit_do_not_count() {
    let mut readings = vec![(1, 0, 9.0)];
    readings.extend((0..6).map(|i| (0, i * SECOND, i as f64)));
    let (rows, _) = frames(&readings, 0);
    let seen: Vec<bool> = rows.iter().map(|row| row.values[1].is_finite()).collect();
    assert_eq!(seen, [true, true, true, true, false]);
}

#[test]
fn a_jump_of_time_gives_no_endless_rows() {
    let (rows, frame) = frames(&[(0, 0, 1.0), (0, 1_000_000_000 * SECOND, 2.0)], 0);
    assert_eq!(times(&rows), [0, 1, 2, 3]);
    assert_eq!(frame.counters().empty, 1_000_000_000 - 4);
}

#[test]
fn readings_behind_a_complete_row_are_counted_and_not_used() {
    let readings = [(0, 0, 1.0), (0, 2 * SECOND, 2.0), (1, SECOND / 2, 7.0), (0, 3 * SECOND, 3.0)];
    let (rows, frame) = frames(&readings, 0);
    assert_eq!(frame.counters().late, 1);
    assert!(rows.iter().all(|row| row.values[1].is_nan()));
    let (rows, frame) = frames(&readings, 2 * SECOND);
    assert_eq!((frame.counters().late, rows.len()), (0, 1));
}

#[test]
fn a_fast_signal_beside_a_slow_one_loses_nothing_that_a_row_would_hold() {
    let mut readings: Vec<_> = (0..1_000).map(|i| (0, i * SECOND / 100, i as f64)).collect();
    readings.push((1, 10 * SECOND, 0.0));
    let (rows, frame) = frames(&readings, SECOND);
    assert_eq!(frame.counters().late, 0);
    assert_eq!(
        rows.iter().map(|row| row.values[0]).collect::<Vec<_>>(),
        (0..9).map(|i| 100.0 * f64::from(i)).collect::<Vec<_>>()
    );
}

#[test]
fn what_cannot_be_used_is_refused_or_counted() {
    assert!(AssetFrame::new(0, SECOND, SECOND, 0).is_err());
    assert!(AssetFrame::new(1, 0, SECOND, 0).is_err());
    assert!(AssetFrame::new(1, SECOND, SECOND / 2, 0).is_err());
    assert!(AssetFrame::new(1, SECOND, SECOND, -1).is_err());
    let (_, mut frame) = frames(&[(0, 0, f64::NAN)], 0);
    assert_eq!(frame.counters().bad, 1);
    assert!(frame.push(2, 0, 1.0, &mut Vec::new()).is_err());
}

proptest! {
    /// Whatever arrives, in whatever order: instants ascend, and each value is one that the column had.
    #[test]
    fn rows_ascend_and_hold_known_values(
        readings in prop::collection::vec((0_usize..2, 0_i64..40 * SECOND, -5_i32..5), 1..200),
        lateness in 0_i64..5 * SECOND,
    ) {
        let readings: Vec<_> = readings.into_iter().map(|(column, time, x)| (column, time, f64::from(x))).collect();
        let (mut rows, mut frame) = frames(&readings, lateness);
        frame.finish(&mut rows);
        prop_assert!(rows.windows(2).all(|pair| pair[0].time_us < pair[1].time_us));
        for row in &rows {
            for (column, value) in row.values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                let known = |reading: &&(usize, i64, f64)| {
                    reading.0 == column && reading.2 == *value
                        && (0..=3 * SECOND).contains(&(row.time_us - reading.1))
                };
                prop_assert!(readings.iter().any(|reading| known(&reading)));
            }
        }
    }

    /// In order of time, the rows do not depend on how long the frame waits.
    #[test]
    fn ordered_readings_give_the_same_rows_for_any_lateness(
        steps in prop::collection::vec((0_usize..2, 0_i64..2 * SECOND, -5_i32..5), 1..200),
        lateness in 0_i64..5 * SECOND,
    ) {
        let mut time = 0;
        let readings: Vec<_> = steps.into_iter().map(|(column, step, x)| {
            time += step;
            (column, time, f64::from(x))
        }).collect();
        let finished = |lateness| {
            let (mut rows, mut frame) = frames(&readings, lateness);
            frame.finish(&mut rows);
            rows.into_iter().map(|row| (row.time_us, row.values.iter().map(|x| x.to_bits()).collect::<Vec<_>>())).collect::<Vec<_>>()
        };
        prop_assert_eq!(finished(0), finished(lateness));
    }
}
