//! Detectors of one signal: what they find, what they leave alone, and what must not change their scores.

use std::sync::Arc;

use iotpm_core::{
    Calendar, Maturity,
    detect::{RankingLevel, RecordFilter, SERIES_DETECTORS, SeriesScorer, Zone},
};
use proptest::prelude::*;

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;
/// Monday 2024-03-04 00:00 UTC.
const MONDAY_US: i64 = MONDAY_S * 1_000_000;
const MONDAY_S: i64 = 1_709_510_400;

fn noise(i: usize) -> f64 {
    let mixed = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let bits = (mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11;
    bits as f64 / (1u64 << 53) as f64 - 0.5
}

fn scorer(names: &[&str], warm_up: usize) -> SeriesScorer {
    SeriesScorer::new(names, warm_up, &Arc::default()).expect("known names")
}

/// Scores of readings five minutes apart.
fn scores(names: &[&str], warm_up: usize, values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut scorer = scorer(names, warm_up);
    (0..).zip(values).map(|(i, value)| scorer.update(MONDAY_US + i * 5 * MINUTE_US, value)).collect()
}

fn greatest(scores: &[f64]) -> f64 {
    scores.iter().copied().fold(0.0, f64::max)
}

/// A noisy sensor with a level that rises by `shift` at reading 2000.
fn shifted(shift: f64) -> impl Iterator<Item = f64> {
    (0..3000).map(move |i| 20.0 + noise(i) + if i < 2000 { 0.0 } else { shift })
}

#[test]
fn a_lasting_shift_is_found_and_its_direction_told() {
    for name in ["novelty", "ewma", "cusum", "page_hinkley", "level_shift"] {
        for shift in [-3.0, 3.0] {
            let mut scorer = scorer(&[name], 500);
            let all: Vec<(f64, i8)> = (0..)
                .zip(shifted(shift))
                .map(|(i, value)| (scorer.update(i * MINUTE_US, value), scorer.explain().1.direction))
                .collect();
            let alarm = all.iter().position(|(score, _)| *score >= 1.0).expect("an alarm");
            assert!((2000..2100).contains(&alarm), "{name}: first alarm at {alarm}");
            assert_eq!(f64::from(all[alarm].1), shift.signum(), "{name}");
        }
    }
}

#[test]
fn a_spike_is_expected_where_the_signal_was() {
    let mut scorer = scorer(&["novelty"], 500);
    (0..1500).for_each(|i| {
        scorer.update(i as i64 * MINUTE_US, 20.0 + noise(i));
    });
    assert!(scorer.update(1500 * MINUTE_US, 35.0) >= 1.0);
    let (detector, why) = scorer.explain();
    assert_eq!((detector, why.direction), ("novelty", 1));
    assert!((19.0..21.5).contains(&why.expected), "{why:?}");
    assert_eq!((why.baseline_readings, scorer.baseline_from_us()), (1501, 0));
}

#[test]
fn noise_that_grows_is_a_novel_spread() {
    let values = (0..1600).map(|i| 20.0 + noise(i) * if i < 1500 { 1.0 } else { 3.0 });
    let mut scorer = scorer(&["novelty"], 500);
    let found = (0..).zip(values).any(|(i, value)| {
        scorer.update(i * MINUTE_US, value) >= 1.0 && scorer.explain().1.aspect == "spread" && i >= 1500
    });
    assert!(found);
}

#[test]
fn a_shape_never_seen_is_found_though_all_its_values_are_known() {
    let slow = |i: usize| 5.0 * (i as f64 / 288.0 * std::f64::consts::TAU).sin() + 0.2 * noise(i);
    let hunting = |i: usize| if i % 14 < 7 { 5.0 } else { -5.0 };
    let values = (0..5000).map(|i| if (4200..4284).contains(&i) { hunting(i) } else { slow(i) });
    let all = scores(&["resonance"], 750, values);
    assert!(greatest(&all[..4200]) < 1.0);
    assert!(greatest(&all[4200..4284]) >= 1.0);
}

#[test]
fn an_event_at_the_wrong_time_of_day_is_found() {
    let bump = |i: usize| if (96..120).contains(&(i % 288)) { 50.0 } else { 0.0 } + noise(i);
    let moved = |i: usize| if i / 288 == 10 && i % 288 == 200 { 50.0 } else { bump(i) };
    for name in ["day", "seasonal"] {
        let all = scores(&[name], 750, (0..288 * 11).map(moved));
        assert!(greatest(&all[..288 * 10]) < 1.0, "{name}: {}", greatest(&all[..288 * 10]));
        assert!(all[288 * 10 + 200] >= 1.0, "{name}");
    }
}

/// 1 % a week on a signal with a daily swing of 5 % and noise: an adaptive baseline follows it.
#[test]
fn a_ramp_of_one_percent_a_week_is_found_by_the_frozen_baseline_before_ten_percent() {
    let reading = |i: usize| {
        let days = i as f64 / 96.0;
        let ramp = ((days - 14.0).max(0.0) / 7.0) * 0.01;
        100.0 * (1.0 + ramp) + 5.0 * (days * std::f64::consts::TAU).sin() + 4.0 * noise(i)
    };
    let mut scorer = scorer(&["frozen_baseline"], 100);
    let first = (0..96 * 84).find(|i| scorer.update(*i as i64 * 15 * MINUTE_US, reading(*i)) >= 1.0).expect("found");
    let percent = (first as f64 / 96.0 - 14.0) / 7.0;
    assert!((0.0..5.0).contains(&percent), "found at {percent} %");
    assert_eq!(scorer.explain().1.direction, 1);
}

#[test]
fn without_a_ramp_the_frozen_baseline_is_quiet_for_a_year() {
    let reading = |i: usize| 100.0 + 5.0 * (i as f64 / 96.0 * std::f64::consts::TAU).sin() + 4.0 * noise(i);
    let mut scorer = scorer(&["frozen_baseline"], 100);
    assert!((0..96 * 365).all(|i| scorer.update(i as i64 * 15 * MINUTE_US, reading(i)) < 1.0));
}

/// Berlin's two changes of 2024.
fn berlin() -> Zone {
    Zone::new(vec![(0, 3600), (1_711_846_800, 7200), (1_729_990_800, 3600)]).expect("rising")
}

/// A plant that works from 6 to 22 by its own clock, watched from 20 days before the night to 8 after it by another clock;
/// the greatest score from the night on.
fn working_hours(night_s: i64, own: &Zone, watched: &Arc<Calendar>, name: &str) -> f64 {
    let mut scorer = SeriesScorer::new(&[name], 750, watched).expect("known");
    let (from_us, to_us) = (night_s * 1_000_000 - 20 * DAY_US, night_s * 1_000_000 + 8 * DAY_US);
    let mut most: f64 = 0.0;
    for (i, time_us) in (from_us..to_us).step_by((5 * MINUTE_US) as usize).enumerate() {
        let hour = own.local_us(time_us).rem_euclid(DAY_US) / HOUR_US;
        let score = scorer.update(time_us, if (6..22).contains(&hour) { 40.0 } else { 5.0 } + noise(i));
        if time_us >= night_s * 1_000_000 {
            most = most.max(score);
        }
    }
    most
}

#[test]
fn nights_of_summer_time_raise_no_alarm_in_the_plants_zone() {
    for night_s in [1_711_846_800, 1_729_990_800] {
        for name in ["day", "seasonal"] {
            assert!(working_hours(night_s, &berlin(), &local(&berlin()), name) < 1.0, "{name} at {night_s}");
        }
        assert!(working_hours(night_s, &berlin(), &Arc::default(), "seasonal") >= 1.0, "UTC sees the hours move");
    }
}

#[test]
fn a_zone_reads_as_its_clock() {
    let zone = berlin();
    let hour_of = |second: i64| zone.local_us(second * 1_000_000) / HOUR_US % 24;
    assert_eq!([hour_of(1_711_846_799), hour_of(1_711_846_800)], [1, 3]);
    assert_eq!([hour_of(1_729_990_799), hour_of(1_729_990_800)], [2, 2]);
}

fn local(zone: &Zone) -> Arc<Calendar> {
    Arc::new(Calendar::from(zone.clone()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A night on which the clock is set forward or back, by half an hour, one or two, whenever that is: hours that come twice
    /// and hours that are missing are no anomaly.
    #[test]
    fn whatever_the_night_the_plants_own_clock_raises_nothing(
        minutes in prop::sample::select(vec![-120, -60, -30, 30, 60, 120]),
        hour in 0i64..24,
        before_h in -11i32..=12,
    ) {
        let night_s = 1_711_843_200 + hour * 3600;
        let zone = Zone::new(vec![(0, before_h * 3600), (night_s, before_h * 3600 + minutes * 60)]).expect("rising");
        for name in ["day", "seasonal"] {
            let most = working_hours(night_s, &zone, &local(&zone), name);
            prop_assert!(most < 1.0, "{} {}", name, most);
        }
    }

    /// What counts is the clock on the wall: data moved in time with the zone moved against it have the same scores, and
    /// so have data and zone moved by whole weeks together.
    #[test]
    fn data_and_zone_shifted_together_score_alike(
        offset_min in -14i64..=14,
        weeks in -200i64..200,
        changes in prop::collection::btree_map(0i64..2_000_000, -40_000i32..40_000, 1..5),
        hours in prop::collection::vec(0i64..12, 40..400),
    ) {
        let names = ["day", "seasonal"];
        let zone_of = |by_s: i64, offset_s: i64| {
            let moved = changes.iter().map(|(from, east)| (MONDAY_S + from + by_s, east + offset_s as i32));
            local(&Zone::new(moved.collect()).expect("rising"))
        };
        let scores = |calendar: &Arc<Calendar>, by_s: i64| -> Vec<u64> {
            let mut scorer = SeriesScorer::new(&names, 0, calendar).expect("known");
            let mut time_s = MONDAY_S + by_s;
            hours.iter().enumerate().map(|(i, step)| {
                time_s += step * 1800;
                scorer.update(time_s * 1_000_000, noise(i)).to_bits()
            }).collect()
        };
        let (week_s, east_s) = (weeks * 7 * 86_400, offset_min * 60 * 60);
        let plain = scores(&zone_of(0, 0), 0);
        prop_assert_eq!(&scores(&zone_of(-east_s, east_s), -east_s), &plain);
        prop_assert_eq!(&scores(&zone_of(week_s, 0), week_s), &plain);
    }
}

#[test]
fn impossible_zones_and_detectors_are_refused() {
    assert!(Zone::new(vec![(5, 0), (5, 3600)]).is_err());
    assert!(Zone::new(vec![(0, 200_000)]).is_err());
    let refused = SeriesScorer::new(&["novelty", "magic"], 750, &Arc::default()).expect_err("no such detector");
    assert!(refused.to_string().contains("magic"), "{refused}");
    assert!(SeriesScorer::new(&["novelty"], 100_000_000, &Arc::default()).is_err());
    assert!(SeriesScorer::load(&[1, 2, 3]).is_err());
}

#[test]
fn a_constant_signal_never_scores() {
    for value in [0.0, 0.1, -1e9, 1e-12] {
        let all = scores(SERIES_DETECTORS, 750, std::iter::repeat_n(value, 6000));
        assert!(all.iter().all(|score| *score == 0.0), "{value}");
    }
}

#[test]
fn what_is_not_finite_is_not_scored_and_not_learned() {
    let mut with = scorer(SERIES_DETECTORS, 300);
    let mut without = scorer(SERIES_DETECTORS, 300);
    for i in 0..2000 {
        assert!(with.update(i as i64 * MINUTE_US, [f64::NAN, f64::INFINITY][i % 2]).is_nan());
        let value = noise(i);
        let time_us = i as i64 * MINUTE_US;
        assert_eq!(with.update(time_us, value).to_bits(), without.update(time_us, value).to_bits());
    }
}

#[test]
fn maturity_follows_the_readings_seen() {
    let mut scorer = scorer(&SeriesScorer::DEFAULT, 100);
    let mut at = |until: usize| {
        (0..until).for_each(|i| {
            scorer.update(i as i64, noise(i));
        });
        scorer.maturity()
    };
    assert_eq!([at(100), at(1), at(300)], [Maturity::Cold, Maturity::Learning, Maturity::Mature]);
}

#[test]
fn memory_is_bounded() {
    let mut scorer = scorer(SERIES_DETECTORS, 750);
    let walk = |i: usize| (0..6).map(|k| noise(i >> (2 * k)) * f64::from(1 << k)).sum::<f64>();
    let mut bytes = [0; 2];
    for (round, bytes) in bytes.iter_mut().enumerate() {
        for i in round * 60_000..(round + 1) * 60_000 {
            scorer.update(i as i64 * 5 * MINUTE_US, walk(i));
        }
        *bytes = scorer.memory_bytes();
    }
    assert!(bytes[1] < 210_000 && bytes[1] < bytes[0] + 4_000, "{bytes:?}");
}

fn series() -> impl Strategy<Value = Vec<f64>> {
    let kind = prop_oneof![Just(0.0), Just(0.25), Just(1.0)];
    (proptest::collection::vec(-1.0..1.0f64, 300..700), kind, -5.0..5.0f64).prop_map(|(noise, step, slope)| {
        let quantised = |x: f64| if step > 0.0 { (x / step).round() * step } else { x };
        noise.iter().enumerate().map(|(i, x)| quantised(4.0 * x * x * x + slope * (i / 150) as f64)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn scores_of_a_cut_series_are_the_first_of_the_whole(values in series(), cut in 0.0..1.0f64) {
        let whole = scores(SERIES_DETECTORS, 120, values.iter().copied());
        let cut = (values.len() as f64 * cut) as usize;
        let part = scores(SERIES_DETECTORS, 120, values[..cut].iter().copied());
        prop_assert!(part.iter().zip(&whole).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    #[test]
    fn a_state_goes_on_to_the_bit(values in series(), cut in 0.0..1.0f64) {
        let mut kept = scorer(SERIES_DETECTORS, 120);
        let cut = (values.len() as f64 * cut) as usize;
        let mut restored = None;
        for (i, value) in values.iter().enumerate() {
            if i == cut {
                restored = Some(SeriesScorer::load(&kept.save().expect("a state")).expect("its state"));
            }
            let score = kept.update(i as i64 * HOUR_US, *value);
            if let Some(restored) = &mut restored {
                prop_assert_eq!(restored.update(i as i64 * HOUR_US, *value).to_bits(), score.to_bits());
                prop_assert_eq!(restored.explain().1.direction, kept.explain().1.direction);
            }
        }
    }

    /// Multiplying by a power of two rounds nothing, so the unit may not show in a single bit, nor the sign.
    #[test]
    fn the_unit_does_not_matter(values in series(), power in -20i32..20, mirrored in any::<bool>()) {
        let factor = 2f64.powi(power) * if mirrored { -1.0 } else { 1.0 };
        let names = ["novelty", "day", "ewma", "cusum", "page_hinkley", "seasonal", "frozen_baseline"];
        let one = scores(&names, 120, values.iter().copied());
        let other = scores(&names, 120, values.iter().map(|x| x * factor));
        let same = |a: &f64, b: &f64| if mirrored { (a - b).abs() <= 1e-9 * (1.0 + a) } else { a == b };
        prop_assert!(one.iter().zip(&other).all(|(a, b)| same(a, b)));
    }

    #[test]
    fn the_offset_does_not_matter(values in series(), offset in -1e3..1e3f64) {
        let names = ["novelty", "ewma", "cusum", "page_hinkley"];
        let one = scores(&names, 120, values.iter().copied());
        let other = scores(&names, 120, values.iter().map(|x| x + offset));
        let close = |a: &f64, b: &f64| (a - b).abs() <= 1e-3 * (1.0 + a.abs());
        let far = one.iter().zip(&other).filter(|(a, b)| !close(a, b)).count();
        prop_assert!(far * 50 <= one.len(), "{far} of {} scores moved", one.len());
    }

    #[test]
    fn the_record_filter_lets_only_records_through(
        scores in proptest::collection::vec(0.0..4.0f64, 1..400), recent in 1usize..120
    ) {
        let mut filter = RecordFilter::new(recent);
        for (i, score) in scores.iter().enumerate() {
            let before = scores[i.saturating_sub(recent)..i].iter().copied().fold(0.0, f64::max);
            prop_assert_eq!(filter.update(*score), if *score > before { *score } else { 0.0 });
        }
    }
}

#[test]
fn the_level_rises_slowly_and_leaves_out_what_is_missing() {
    let mut level = RankingLevel::default();
    assert_eq!([level.update(4.0), level.update(f64::NAN), level.update(0.0)], [0.16, 0.16, 0.16 + 0.02 * -0.16]);
}
