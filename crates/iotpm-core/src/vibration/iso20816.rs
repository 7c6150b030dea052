//! Severity of machine vibration after ISO 20816: broad-band RMS in zones A to D.
//!
//! ISO 20816-1:2016 defines the zones and the quantity, ISO 20816-3:2022 the boundaries of industrial machines above 15 kW.
//! The boundaries are data and belong to the caller; here is the arithmetic.

use std::f64::consts::TAU;

use super::{FrequencyBand, velocity::velocity_lines};
use crate::{
    Result,
    spectrum::{Scaling, SpectrumPlanner, Window, invalid},
};

/// What samples measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Displacement.
    Displacement,
    /// Velocity.
    Velocity,
    /// Acceleration.
    Acceleration,
}

/// RMS within a band of the motion `wanted`, from samples `x` of the motion `given`: in the unit of `x`, times a second for
/// each integration, over a second for each derivative. Hann-weighted power lines times `(2 pi f)^(2 (wanted - given))`,
/// as [`velocity_rms`](super::velocity_rms) does for acceleration.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for no samples or too many, a rate that is not
/// positive, a band that starts at 0, is empty or ends beyond half the rate, or holds no line because the record is too
/// short.
pub fn band_rms(
    planner: &mut SpectrumPlanner,
    x: &[f64],
    rate_hz: f64,
    band: FrequencyBand,
    given: Motion,
    wanted: Motion,
) -> Result<f64> {
    let mut powers = Vec::new();
    planner.psd(x, rate_hz, Window::Hann, Scaling::Density, &mut powers)?;
    let spacing_hz = rate_hz / x.len() as f64;
    let exponent = 2 * (wanted as i32 - given as i32);
    let held = velocity_lines(band, x.len(), rate_hz)?;
    let square = |k: usize| powers[k] * (TAU * k as f64 * spacing_hz).powi(exponent);
    Ok((held.map(square).sum::<f64>() * spacing_hz).sqrt())
}

/// Evaluation zones (ISO 20816-1:2016, 6.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// Of newly commissioned machines.
    A,
    /// Acceptable for unrestricted long-term operation.
    B,
    /// Unsatisfactory for long-term operation: for a limited time, until it can be mended.
    C,
    /// Severe enough to damage the machine.
    D,
}

impl Zone {
    /// `A` to `D`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
        }
    }
}

/// Boundaries A/B, B/C and C/D, in one unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Boundaries([f64; 3]);

impl Boundaries {
    /// Positive and ascending.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) if they are not.
    pub fn new(ab: f64, bc: f64, cd: f64) -> Result<Self> {
        let ascending = 0.0 < ab && ab < bc && bc < cd && cd.is_finite();
        let given = || format!("{ab}, {bc}, {cd}");
        if ascending { Ok(Self([ab, bc, cd])) } else { Err(invalid("boundaries", &given(), "positive and ascending")) }
    }

    /// The zone of a magnitude; one that lies on a boundary is in the better zone.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for one that is negative or not finite.
    pub fn zone(&self, magnitude: f64) -> Result<Zone> {
        if !(magnitude.is_finite() && magnitude >= 0.0) {
            return Err(invalid("magnitude", &magnitude, "finite and at least 0"));
        }
        let zones = [Zone::A, Zone::B, Zone::C];
        Ok(zones.into_iter().zip(self.0).find(|(_, limit)| magnitude <= *limit).map_or(Zone::D, |(zone, _)| zone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_magnitude_on_a_boundary_is_in_the_better_zone() {
        let boundaries = Boundaries::new(1.4, 2.8, 4.5).unwrap();
        for (magnitude, zone) in
            [(0.0, Zone::A), (1.4, Zone::A), (1.41, Zone::B), (2.8, Zone::B), (4.5, Zone::C), (4.6, Zone::D)]
        {
            assert_eq!(boundaries.zone(magnitude).unwrap(), zone, "{magnitude}");
        }
        assert!(boundaries.zone(f64::NAN).is_err() && boundaries.zone(-1.0).is_err());
        assert!(Boundaries::new(2.0, 1.0, 3.0).is_err() && Boundaries::new(0.0, 1.0, f64::INFINITY).is_err());
    }

    #[test]
    fn a_sine_has_the_rms_of_each_motion() {
        let (rate, n, f) = (4096.0, 4096, 50.0);
        let x: Vec<f64> = (0..n).map(|i| (TAU * f * f64::from(i) / rate).sin()).collect();
        let mut planner = SpectrumPlanner::new();
        let motions = [Motion::Displacement, Motion::Velocity, Motion::Acceleration];
        for (given, wanted) in motions.into_iter().flat_map(|given| motions.map(|wanted| (given, wanted))) {
            let rms = band_rms(&mut planner, &x, rate, FrequencyBand::ISO, given, wanted).unwrap();
            let expected = (TAU * f).powi(wanted as i32 - given as i32) / 2.0_f64.sqrt();
            assert!((rms / expected - 1.0).abs() < 2e-3, "{given:?} {wanted:?}: {rms} {expected}");
        }
    }
}
