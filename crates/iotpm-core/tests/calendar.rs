//! The calendar of a template: shifts, days that are not worked, and what a change of it makes of what was learned.

use std::sync::Arc;

use iotpm_core::{
    Barrier, BarrierKind, Batch, CalendarTemplate, Engine, EngineOptions, NewSignal, Output, Quality, Reading,
    SignalId, Template, Templates,
};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
/// Monday 2026-09-28 00:00 UTC.
const MONDAY_US: i64 = 20_724 * DAY_US;
/// Thursday of the sixth week: a holiday, on which the plant stands still.
const HOLIDAY: i64 = 5 * 7 + 3;
const STEP_US: i64 = HOUR_US / 4;

fn noise(i: i64) -> f64 {
    let mixed = i.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let bits = (mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

fn template(calendar: CalendarTemplate) -> Template {
    Template { detectors: Some(vec!["seasonal".into()]), calendar, ..Template::default() }
}

fn templates(calendar: CalendarTemplate) -> Arc<Templates> {
    Arc::new(Templates::new(vec![template(calendar)]).expect("valid"))
}

fn engine(calendar: CalendarTemplate) -> Engine {
    Engine::new(templates(calendar), EngineOptions { emit_scores: true })
}

/// Three shifts a working day, the first at 05:45, with a level of its own each; nothing on Saturdays, Sundays and the holiday.
fn value(i: i64) -> f64 {
    let since_us = i * STEP_US - 23 * STEP_US;
    let (day, within_us) = (since_us.div_euclid(DAY_US), since_us.rem_euclid(DAY_US));
    let works = day.rem_euclid(7) < 5 && day != HOLIDAY;
    noise(i) + if works { 20.0 + 10.0 * (within_us / (8 * HOUR_US)) as f64 } else { 0.0 }
}

fn shifts() -> CalendarTemplate {
    let shifts = ["05:45", "13:45", "21:45"].map(String::from).to_vec();
    CalendarTemplate { shifts: Some(shifts), ..CalendarTemplate::default() }
}

fn with_holiday() -> CalendarTemplate {
    CalendarTemplate { holidays: Some(vec!["2026-11-05".into()]), ..shifts() }
}

fn batch(readings: std::ops::Range<i64>) -> Batch {
    let reading = |i: i64| Reading {
        signal: SignalId(0),
        time_us: MONDAY_US + i * STEP_US,
        value: value(i),
        quality: Quality::Good,
        sequence: i as u64,
        position: 0,
        stream_time_us: MONDAY_US + i * STEP_US,
    };
    let new_signals =
        (readings.start == 0).then(|| NewSignal { id: SignalId(0), name: "s/a/x".into() }).into_iter().collect();
    Batch { new_signals, readings: readings.map(reading).collect(), ..Batch::default() }
}

fn run(engine: &mut Engine, batch: &Batch) -> Output {
    let mut output = Output::default();
    engine.run(batch, &mut output).expect("known signal");
    output
}

/// Greatest score of each day after four weeks, by its number.
fn greatest(engine: &mut Engine) -> Vec<f64> {
    let mut days = vec![0.0f64; 42];
    for row in run(engine, &batch(0..42 * 96)).scores {
        let day = (row.time_us - MONDAY_US - 23 * STEP_US).div_euclid(DAY_US).clamp(0, 41) as usize;
        days[day] = days[day].max(row.score);
    }
    days.split_off(28)
}

/// Greatest score of readings that show the second shift's level twenty minutes early, on a day after four weeks.
fn early_shift(calendar: CalendarTemplate) -> f64 {
    let mut engine = engine(calendar);
    // 13:15 to 13:45 of the Tuesday.
    let early = 29 * 96 + 53..29 * 96 + 55;
    let mut all = batch(0..early.end);
    all.readings[early.start as usize..].iter_mut().for_each(|reading| reading.value += 10.0);
    let scores = run(&mut engine, &all).scores;
    scores[early.start as usize..].iter().map(|row| row.score).fold(0.0, f64::max)
}

#[test]
fn a_shift_that_begins_between_hours_is_told_from_the_one_before() {
    assert!(early_shift(shifts()) >= 1.0);
    assert!(early_shift(CalendarTemplate::default()) < 1.0, "an hour of the clock has both shifts' levels");
    assert!(
        greatest(&mut engine(shifts()))[..9].iter().all(|score| *score < 1.0),
        "and shifts that begin on time are usual"
    );
}

#[test]
fn a_holiday_is_a_day_off_and_without_one_stands_out() {
    let day = HOLIDAY as usize - 28;
    assert!(greatest(&mut engine(shifts()))[day] >= 1.0);
    assert!(greatest(&mut engine(with_holiday()))[day] < 1.0);
}

fn reconfigured(calendar: CalendarTemplate) -> Output {
    let mut engine = engine(shifts());
    run(&mut engine, &batch(0..30 * 96));
    let barrier =
        Barrier { before: 0, sequence: 30 * 96, position: 0, kind: BarrierKind::Configure(templates(calendar)) };
    run(&mut engine, &Batch { barriers: vec![barrier], ..batch(30 * 96..32 * 96) })
}

#[test]
fn another_holiday_changes_nothing_that_was_learned_and_other_shifts_do() {
    let scores = |output: Output| -> Vec<f64> { output.scores.iter().map(|row| row.score).collect() };
    let same = scores(reconfigured(shifts()));
    assert!(same.iter().any(|score| *score > 0.0));
    assert_eq!(scores(reconfigured(with_holiday())), same);
    let zone =
        CalendarTemplate { timezone: Some("Europe/Berlin".into()), offsets_s: Some(vec![(0, 3600)]), ..shifts() };
    assert!(scores(reconfigured(zone)).iter().all(|score| *score == 0.0), "hours of another zone begin anew");
}

#[test]
fn a_snapshot_goes_on_to_the_bit() {
    let mut whole = engine(with_holiday());
    run(&mut whole, &batch(0..30 * 96));
    let mut restored = engine(with_holiday());
    restored.restore(whole.snapshot(0).expect("a state")).expect("its state");
    let rest = batch(30 * 96..40 * 96);
    assert_eq!(run(&mut restored, &rest).scores, run(&mut whole, &rest).scores);
}

#[test]
fn impossible_calendars_are_refused_with_the_key() {
    let text = |list: &[&str]| Some(list.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>());
    let none = CalendarTemplate::default;
    let cases = [
        ("calendar.timezone", CalendarTemplate { timezone: Some("Europe/Berlin".into()), ..none() }),
        ("calendar.offsets_s", CalendarTemplate { offsets_s: Some(vec![(5, 0), (5, 1)]), ..none() }),
        ("calendar.shifts", CalendarTemplate { shifts: text(&["14:00", "06:00"]), ..none() }),
        ("calendar.shifts", CalendarTemplate { shifts: text(&["25:00"]), ..none() }),
        ("calendar.working_days", CalendarTemplate { working_days: text(&["monday"]), ..none() }),
        ("calendar.holidays", CalendarTemplate { holidays: text(&["25.12.2026"]), ..none() }),
    ];
    for (key, calendar) in cases {
        let refused = Templates::new(vec![template(calendar)]).expect_err("must be refused");
        assert!(refused.to_string().contains(key), "{refused}");
    }
}
