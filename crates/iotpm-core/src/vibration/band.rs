//! What a band of a power spectrum holds.

use super::FrequencyBand;
use crate::{
    Result,
    features::{frequency::Shares, time::sum_of},
    spectrum::invalid,
};

/// Features of the lines in a band; NaN where the band holds no line or no power.
///
/// With `f` the frequencies and `P` the powers of the lines in the band (limits included), `m` of them:
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BandFeatures {
    /// `np.sum(P)`, times the spacing of the lines for a density: mean square of what the band lets through (Parseval).
    pub power: f64,
    /// `np.sum(f * P) / np.sum(P)`, Hz
    pub centroid_hz: f64,
    /// The least `f` with `np.cumsum(P) >= roll_off * np.sum(P)`, Hz (Peeters, A large set of audio features, IRCAM 2004,
    /// section 6.1.6)
    pub roll_off_hz: f64,
    /// `scipy.stats.entropy(P) / np.log(m)`: 0 for one line, 1 for a flat band (Shannon, of the shares of the power).
    pub entropy: f64,
    /// `scipy.stats.gmean(P) / np.mean(P)`: 1 for a flat band, near 0 for lines (Johnston, IEEE J. Sel. Areas Commun. 6
    /// (1988) 314); 0 where a line is 0.
    pub flatness: f64,
}

impl BandFeatures {
    /// Where there is nothing to tell.
    pub const UNDEFINED: Self =
        Self { power: f64::NAN, centroid_hz: f64::NAN, roll_off_hz: f64::NAN, entropy: f64::NAN, flatness: f64::NAN };

    /// Features of the band of `lines`, powers `spacing_hz` apart from 0 Hz on; `unit_power` is the power of a line of 1:
    /// 1 for a power spectrum, `spacing_hz` for a density.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for a spacing that is not positive, a band
    /// beyond the lines, a roll-off that is not between 0 and 1.
    pub fn of(lines: &[f64], spacing_hz: f64, unit_power: f64, band: FrequencyBand, roll_off: f64) -> Result<Self> {
        if !(spacing_hz.is_finite() && spacing_hz > 0.0) {
            return Err(invalid("spacing_hz", &spacing_hz, "finite and greater than 0"));
        }
        if !(0.0..=1.0).contains(&roll_off) {
            return Err(invalid("roll_off", &roll_off, "between 0 and 1"));
        }
        band.check(spacing_hz * lines.len() as f64)?;
        let held = band.lines(lines.len(), spacing_hz);
        let first_hz = held.start as f64 * spacing_hz;
        Ok(Self::of_lines(lines.get(held).unwrap_or_default(), first_hz, spacing_hz, unit_power, roll_off))
    }

    fn of_lines(powers: &[f64], first_hz: f64, spacing_hz: f64, unit_power: f64, roll_off: f64) -> Self {
        let greatest = powers.iter().copied().fold(0.0, f64::max);
        if powers.is_empty() {
            return Self::UNDEFINED;
        }
        if greatest == 0.0 {
            return Self { power: 0.0, ..Self::UNDEFINED };
        }
        let shares = Shares::of(powers, 1.0 / greatest);
        let lines = (powers.len() as f64).ln();
        Self {
            power: sum_of(powers.iter().copied()) * unit_power,
            centroid_hz: first_hz + spacing_hz * (shares.moment / shares.sum - 1.0),
            roll_off_hz: first_hz + spacing_hz * roll_off_line(powers, roll_off) as f64,
            entropy: if powers.len() == 1 { 0.0 } else { shares.entropy() / lines },
            flatness: flatness(powers, greatest),
        }
    }

    /// Root mean square of what the band lets through: `np.sqrt(power)`, in the unit of the samples.
    #[must_use]
    pub fn rms(&self) -> f64 {
        self.power.sqrt()
    }
}

fn roll_off_line(powers: &[f64], roll_off: f64) -> usize {
    let total: f64 = powers.iter().sum();
    let mut sum = 0.0;
    let below = |power: &f64| {
        sum += power;
        sum < roll_off * total
    };
    powers.iter().copied().take_while(below).count().min(powers.len() - 1)
}

/// Of powers over the greatest, so that nothing overflows.
fn flatness(powers: &[f64], greatest: f64) -> f64 {
    let m = powers.len() as f64;
    let mean = sum_of(powers.iter().map(|power| power / greatest)) / m;
    (sum_of(powers.iter().map(|power| (power / greatest).ln())) / m).exp() / mean
}
