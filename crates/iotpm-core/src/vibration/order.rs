//! Order tracking: from samples equally spaced in time to samples equally spaced in angle.
//!
//! First the positions of the new samples, in old samples, from a speed signal or from tacho pulses; then the values there
//! ([`interpolate`](super::interpolate)). The amplitude spectrum of those has orders, events a revolution, as its axis:
//! line `k` of `n` samples is order `k samples_per_rev / n` (Fyfe and Munck, Mech. Syst. Signal Process. 11 (1997) 187).

use super::interpolation::CubicSpline;
use crate::{
    Result,
    spectrum::{SAMPLES_MAX, invalid},
};

/// Positions of `samples_per_rev` samples a revolution, the first one at the first sample, from the shaft's speed in
/// Hz at each sample, which is taken as linear between samples.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for a speed that is not positive (cut the record
/// where the shaft stands or turns back), fewer than 2 samples, a rate that is not positive, or more than
/// [`SAMPLES_MAX`] positions.
pub fn positions_from_speed(speed_hz: &[f64], rate_hz: f64, samples_per_rev: usize) -> Result<Vec<f64>> {
    check(speed_hz.len(), rate_hz, samples_per_rev)?;
    if let Some(speed) = speed_hz.iter().find(|speed| !(speed.is_finite() && **speed > 0.0)) {
        return Err(invalid("speed_hz", speed, "positive: cut the record where the shaft does not turn forward"));
    }
    let turned: f64 = speed_hz.windows(2).map(|pair| f64::midpoint(pair[0], pair[1])).sum::<f64>() / rate_hz;
    check_count(turned * samples_per_rev as f64)?;
    let step = rate_hz / samples_per_rev as f64;
    // `area` is the integral of the speed over samples: `rate_hz` times the angle in revolutions.
    let (mut positions, mut area, mut next) = (Vec::new(), 0.0, 0usize);
    for (i, pair) in speed_hz.windows(2).enumerate() {
        let (from, rise) = (pair[0], pair[1] - pair[0]);
        let end = area + from + rise / 2.0;
        while next as f64 * step <= end {
            positions.push(i as f64 + time_within(from, rise, next as f64 * step - area));
            next += 1;
        }
        area = end;
    }
    Ok(positions)
}

/// When, between 0 and 1, the integral of `from + rise t` has grown by `area`.
fn time_within(from: f64, rise: f64, area: f64) -> f64 {
    (2.0 * area / (from + (from * from + 2.0 * rise * area).max(0.0).sqrt())).clamp(0.0, 1.0)
}

/// Positions of `samples_per_rev` samples a revolution, the first one at the first pulse, from the times of tacho pulses
/// in seconds after the first of `samples` samples, by a cubic spline of time over angle.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for fewer than 2 pulses, pulses that do not ascend
/// or lie outside the record, or so uneven that the spline turns back (some are missing or double), and as
/// [`positions_from_speed`].
pub fn positions_from_pulses(
    pulses_s: &[f64],
    pulses_per_rev: usize,
    samples: usize,
    rate_hz: f64,
    samples_per_rev: usize,
) -> Result<Vec<f64>> {
    check(samples, rate_hz, samples_per_rev)?;
    check_pulses(pulses_s, pulses_per_rev, (samples - 1) as f64 / rate_hz)?;
    let spline = CubicSpline::of(pulses_s);
    let (angle, per_sample) = (pulses_s.len() - 1, pulses_per_rev as f64 / samples_per_rev as f64);
    let count = angle * samples_per_rev / pulses_per_rev + 1;
    check_count(count as f64)?;
    let last = (samples - 1) as f64;
    let position = |i: usize| (spline.at(i as f64 * per_sample) * rate_hz).clamp(0.0, last);
    let positions: Vec<f64> = (0..count).map(position).collect();
    match positions.windows(2).find(|pair| pair[1] <= pair[0]) {
        None => Ok(positions),
        Some(pair) => {
            Err(invalid("pulses_s", &(pair[0] / rate_hz), "evenly spaced: look for missing or double pulses there"))
        }
    }
}

fn check_pulses(pulses_s: &[f64], pulses_per_rev: usize, end_s: f64) -> Result<()> {
    if pulses_s.len() < 2 {
        return Err(invalid("pulses", &pulses_s.len(), "2 or more"));
    }
    if !(1..=100_000).contains(&pulses_per_rev) {
        return Err(invalid("pulses_per_rev", &pulses_per_rev, "1 to 100000"));
    }
    if let Some(pulse) = pulses_s.iter().find(|pulse| !(0.0..=end_s).contains(*pulse)) {
        return Err(invalid("pulses_s", pulse, "within the record: 0 to (samples - 1) / rate_hz"));
    }
    match pulses_s.windows(2).find(|pair| pair[1] <= pair[0]) {
        None => Ok(()),
        Some(pair) => Err(invalid("pulses_s", &pair[1], "ascending")),
    }
}

fn check(samples: usize, rate_hz: f64, samples_per_rev: usize) -> Result<()> {
    if !(2..=SAMPLES_MAX).contains(&samples) {
        return Err(invalid("samples", &samples, "2 to 16777216"));
    }
    if !(rate_hz.is_finite() && rate_hz > 0.0) {
        return Err(invalid("rate_hz", &rate_hz, "finite and greater than 0"));
    }
    if !(1..=1 << 20).contains(&samples_per_rev) {
        return Err(invalid("samples_per_rev", &samples_per_rev, "1 to 1048576"));
    }
    Ok(())
}

fn check_count(count: f64) -> Result<()> {
    if count < SAMPLES_MAX as f64 {
        return Ok(());
    }
    Err(invalid("samples", &count.round(), "at most 16777216 in angle: shorten the record or take fewer a revolution"))
}

/// Times in seconds at which a tacho signal rises through `threshold`, between samples by a straight line. It has to fall
/// below `threshold - hysteresis` before it counts again, so that noise on an edge makes no pulses.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for a rate that is not positive or a hysteresis
/// that is negative.
pub fn pulses(tacho: &[f64], rate_hz: f64, threshold: f64, hysteresis: f64) -> Result<Vec<f64>> {
    if !(rate_hz.is_finite() && rate_hz > 0.0) {
        return Err(invalid("rate_hz", &rate_hz, "finite and greater than 0"));
    }
    if !(hysteresis.is_finite() && hysteresis >= 0.0) {
        return Err(invalid("hysteresis", &hysteresis, "0 or more"));
    }
    let mut armed = tacho.first().is_some_and(|&x| x < threshold);
    let mut rises = Vec::new();
    for (i, pair) in tacho.windows(2).enumerate() {
        if armed && pair[1] >= threshold {
            armed = false;
            // After a stay within the hysteresis the edge itself is between these two.
            rises.push((i as f64 + ((threshold - pair[0]) / (pair[1] - pair[0])).clamp(0.0, 1.0)) / rate_hz);
        }
        armed |= pair[1] < threshold - hysteresis;
    }
    Ok(rises)
}
