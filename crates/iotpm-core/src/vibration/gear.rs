//! Gear mesh frequencies and their sidebands.
//!
//! A pair of `z1` and `z2` teeth on shafts of `f1` and `f2 = f1 z1 / z2` meshes at `f1 z1`. Wear raises the mesh and its
//! harmonics, a damaged tooth modulates them with its shaft and so puts sidebands at multiples of that shaft's speed
//! (Randall, *Vibration-based Condition Monitoring*, 2nd ed. 2021, sections 2.3.2 and 6.2).

use crate::{Result, spectrum::invalid};

/// Teeth of two gears that mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GearPair {
    pinion_teeth: u32,
    wheel_teeth: u32,
}

/// Frequencies of a pair in Hz.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GearFrequencies {
    /// Shaft of the pinion.
    pub pinion: f64,
    /// Shaft of the wheel: `pinion z1 / z2`.
    pub wheel: f64,
    /// Teeth meeting: `pinion z1`.
    pub mesh: f64,
    /// `mesh / gcd(z1, z2)`.
    pub assembly_phase: f64,
    /// The same two teeth meeting: `mesh gcd(z1, z2) / (z1 z2)`.
    pub hunting_tooth: f64,
}

/// Which shaft a sideband belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shaft {
    /// That of the pinion.
    Pinion,
    /// That of the wheel.
    Wheel,
}

/// A harmonic of the mesh with the sidebands of one shaft, as found in a spectrum.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshFamily {
    /// 1 is the mesh frequency itself.
    pub harmonic: u32,
    /// Whose sidebands.
    pub shaft: Shaft,
    /// Frequencies of the lines, Hz, from the lowest sideband over the harmonic to the highest: the harmonic where it was
    /// found, the sidebands as far from it as that speed puts them.
    pub frequency_hz: Vec<f64>,
    /// Greatest line within the tolerance of the harmonic, and within one line of each sideband; NaN outside the
    /// spectrum.
    pub amplitude: Vec<f64>,
    /// Sum of the sidebands over the harmonic (sideband energy ratio: Hanna, Hatch, Kalb, Weiss and Luo, Orbit 2011, No. 3
    /// takes six a side); NaN where a line is missing or the harmonic is 0.
    pub sideband_ratio: f64,
}

impl GearPair {
    /// A pair; the pinion's speed is given later.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for teeth that are not 1 to 10,000.
    pub fn new(pinion_teeth: u32, wheel_teeth: u32) -> Result<Self> {
        for (name, teeth) in [("pinion_teeth", pinion_teeth), ("wheel_teeth", wheel_teeth)] {
            if !(1..=10_000).contains(&teeth) {
                return Err(invalid(name, &teeth, "1 to 10000"));
            }
        }
        Ok(Self { pinion_teeth, wheel_teeth })
    }

    /// Frequencies with the pinion at a speed.
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for a speed that is not positive.
    pub fn frequencies(&self, pinion_hz: f64) -> Result<GearFrequencies> {
        if !(pinion_hz.is_finite() && pinion_hz > 0.0) {
            return Err(invalid("pinion_hz", &pinion_hz, "finite and greater than 0"));
        }
        let (z1, z2) = (f64::from(self.pinion_teeth), f64::from(self.wheel_teeth));
        let common = f64::from(greatest_common_divisor(self.pinion_teeth, self.wheel_teeth));
        let mesh = pinion_hz * z1;
        Ok(GearFrequencies {
            pinion: pinion_hz,
            wheel: mesh / z2,
            mesh,
            assembly_phase: mesh / common,
            hunting_tooth: mesh * common / (z1 * z2),
        })
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Where to look for a pair's lines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeshSearch {
    /// Harmonics of the mesh.
    pub harmonics: u32,
    /// Sidebands on either side.
    pub sidebands: u32,
    /// A harmonic may be off by this share of its frequency, as the speed may be.
    pub tolerance: f64,
}

/// Families of both shafts around each harmonic of the mesh, in an amplitude spectrum whose lines are `spacing_hz` apart.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for no harmonics or more than 100, more than 100
/// sidebands, a tolerance outside 0 to 0.1, or a spacing that is not positive.
pub fn mesh_families(
    lines: &[f64],
    spacing_hz: f64,
    frequencies: &GearFrequencies,
    search: &MeshSearch,
) -> Result<Vec<MeshFamily>> {
    check(spacing_hz, search)?;
    let shafts = [(Shaft::Pinion, frequencies.pinion), (Shaft::Wheel, frequencies.wheel)];
    let family = |harmonic: u32, (shaft, shaft_hz): (Shaft, f64)| {
        let nominal_hz = f64::from(harmonic) * frequencies.mesh;
        let near = |hz: f64, tolerance_hz: f64| greatest_near(lines, spacing_hz, hz, tolerance_hz);
        let (found_hz, own) = near(nominal_hz, search.tolerance * nominal_hz);
        let step_hz = shaft_hz * found_hz / nominal_hz;
        let side = i64::from(search.sidebands);
        let frequency_hz: Vec<f64> = (-side..=side).map(|k| found_hz + k as f64 * step_hz).collect();
        let mut amplitude: Vec<f64> = frequency_hz.iter().map(|&hz| near(hz, 0.0).1).collect();
        amplitude[search.sidebands as usize] = own;
        let sideband_ratio = ratio(&amplitude);
        MeshFamily { harmonic, shaft, frequency_hz, amplitude, sideband_ratio }
    };
    Ok((1..=search.harmonics).flat_map(|harmonic| shafts.map(|shaft| family(harmonic, shaft))).collect())
}

fn ratio(amplitude: &[f64]) -> f64 {
    let middle = amplitude[amplitude.len() / 2];
    if middle > 0.0 { (amplitude.iter().sum::<f64>() - middle) / middle } else { f64::NAN }
}

/// Frequency and height of the greatest line within the tolerance, or within one line; as given, and NaN, outside the
/// spectrum.
fn greatest_near(lines: &[f64], spacing_hz: f64, frequency_hz: f64, tolerance_hz: f64) -> (f64, f64) {
    let reach = tolerance_hz.max(spacing_hz);
    let (from, to) = ((frequency_hz - reach) / spacing_hz, (frequency_hz + reach) / spacing_hz);
    if from < 0.0 || to.floor() as usize >= lines.len() {
        return (frequency_hz, f64::NAN);
    }
    let inside = from.ceil() as usize..=to.floor() as usize;
    let greater = |best: usize, next: usize| if lines[next] > lines[best] { next } else { best };
    let greatest = inside.reduce(greater).unwrap_or(0);
    (greatest as f64 * spacing_hz, lines[greatest])
}

fn check(spacing_hz: f64, search: &MeshSearch) -> Result<()> {
    if !(spacing_hz.is_finite() && spacing_hz > 0.0) {
        return Err(invalid("spacing_hz", &spacing_hz, "finite and greater than 0"));
    }
    if !(1..=100).contains(&search.harmonics) {
        return Err(invalid("harmonics", &search.harmonics, "1 to 100"));
    }
    if search.sidebands > 100 {
        return Err(invalid("sidebands", &search.sidebands, "at most 100"));
    }
    if !(0.0..=0.1).contains(&search.tolerance) {
        return Err(invalid("tolerance", &search.tolerance, "0 to 0.1"));
    }
    Ok(())
}
