//! How strongly each band of a record is amplitude modulated, at each frequency.
//!
//! Bands are those of a 1/3-binary tree (Antoni, Fast computation of the kurtogram, Mechanical Systems and Signal
//! Processing 21 (2007) 108): the whole, and its 2, 3, 4, 6, 8 and 12 equal parts, as long as one is wide enough for the
//! modulation looked for. A band's complex envelope is the inverse transform of its lines; the spectrum of the squared
//! magnitude is that of the modulation (Antoni, The spectral kurtosis, same journal 20 (2006) 282).

use realfft::num_complex::Complex;

use crate::{
    Result,
    robust::RollingWindow,
    spectrum::{SpectrumPlanner, Window, fast_length},
    vibration::FrequencyBand,
};

/// Equal parts into which the frequencies up to half the rate are cut.
const PARTS: [usize; 7] = [1, 2, 3, 4, 6, 8, 12];

/// Turns of the shaft in one transform: beyond, real slip spreads a line over several bins, and its height no longer grows.
const REVOLUTIONS: f64 = 256.0;

/// Modulation of one band.
#[derive(Clone, Debug, PartialEq)]
pub struct ModulationBand {
    /// Which frequencies are modulated.
    pub band: FrequencyBand,
    /// Squared amplitude of each line, relative to the band's mean square: `x = (1 + a cos(w t)) * noise` has about `4 a^2`
    /// at `w`.
    pub power: Vec<f64>,
    /// What noise alone would have there on average: the median over a shaft frequency to either side, over ln 2.
    pub floor: Vec<f64>,
}

impl ModulationBand {
    /// Power over floor: exponential with mean 1 where there is only noise.
    pub(super) fn ratios(&self) -> Vec<f64> {
        self.power.iter().zip(&self.floor).map(|(power, floor)| power / floor.max(f64::MIN_POSITIVE)).collect()
    }
}

/// Modulation of all bands; line `k` is at `k * spacing_hz`.
#[derive(Clone, Debug, PartialEq)]
pub struct Modulation {
    /// Between lines, Hz.
    pub spacing_hz: f64,
    /// The whole and its parts.
    pub bands: Vec<ModulationBand>,
}

/// Modulation of `x` up to `highest_hz`; the caller has checked that record and rate allow it.
pub(super) fn modulation(
    planner: &mut SpectrumPlanner,
    x: &[f64],
    rate_hz: f64,
    shaft_hz: f64,
    highest_hz: f64,
) -> Result<Modulation> {
    let length = x.len().min((REVOLUTIONS * rate_hz / shaft_hz) as usize);
    let spacing_hz = rate_hz / length as f64;
    let lines = (highest_hz / spacing_hz).ceil() as usize + 2;
    let bank: Vec<_> = bank(rate_hz, 2.0 * highest_hz).collect();
    let mut powers = vec![vec![0.0; lines]; bank.len()];
    let starts = starts(x.len(), length);
    let mut spectrum = Vec::new();
    for &start in &starts {
        planner.forward(&mut x[start..start + length].to_vec(), &mut spectrum)?;
        for (band, power) in bank.iter().zip(&mut powers) {
            add(planner, &spectrum[band.lines(spectrum.len(), spacing_hz)], starts.len(), power)?;
        }
    }
    let width = (2.0 * shaft_hz / spacing_hz) as usize | 1;
    let finished =
        |(band, power): (FrequencyBand, Vec<f64>)| ModulationBand { floor: floor(&power, width), band, power };
    Ok(Modulation { spacing_hz, bands: bank.into_iter().zip(powers).map(finished).collect() })
}

fn bank(rate_hz: f64, narrowest_hz: f64) -> impl Iterator<Item = FrequencyBand> {
    let wide = PARTS.into_iter().take_while(move |&parts| rate_hz / 2.0 / parts as f64 >= narrowest_hz);
    wide.flat_map(move |parts| {
        let width = rate_hz / 2.0 / parts as f64;
        (0..parts).map(move |i| FrequencyBand { low_hz: i as f64 * width, high_hz: (i + 1) as f64 * width })
    })
}

/// First samples of transforms that cover a record evenly.
fn starts(n: usize, length: usize) -> Vec<usize> {
    let count = n.div_ceil(length);
    (0..count).map(|i| if count == 1 { 0 } else { i * (n - length) / (count - 1) }).collect()
}

/// Adds the modulation spectrum of a band's lines, over `transforms`.
fn add(planner: &mut SpectrumPlanner, band: &[Complex<f64>], transforms: usize, power: &mut [f64]) -> Result<()> {
    let n = fast_length(band.len());
    let mut envelope = band.to_vec();
    envelope.resize(n, Complex::default());
    planner.complex_inverse(&mut envelope)?;
    let mean = envelope.iter().map(Complex::norm_sqr).sum::<f64>() / n as f64;
    if mean <= f64::MIN_POSITIVE {
        return Ok(());
    }
    let weights = planner.weights(Window::Hann, n);
    let transform = planner.filled(n, |samples| {
        samples.extend(envelope.iter().zip(&weights.each).map(|(z, weight)| (z.norm_sqr() / mean - 1.0) * weight));
    })?;
    let scale = 4.0 / (weights.sum * weights.sum * transforms as f64);
    power.iter_mut().zip(transform).for_each(|(power, line)| *power += line.norm_sqr() * scale);
    Ok(())
}

/// Running median over `width` lines, mirrored at either end, over ln 2: the mean of an exponential of that median.
fn floor(power: &[f64], width: usize) -> Vec<f64> {
    let (n, half) = (power.len(), (width / 2).min(power.len() - 1));
    let mirrored = |i: usize| match i.checked_sub(half) {
        None => power[half - i],
        Some(i) if i < n => power[i],
        Some(i) => power[2 * n - 2 - i],
    };
    let mut window = RollingWindow::new(2 * half + 1);
    let medians = (0..n + 2 * half).filter_map(|i| {
        window.push(mirrored(i));
        window.is_full().then(|| window.sorted().median())
    });
    medians.map(|median| median / std::f64::consts::LN_2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modulated_tone_shows_its_depth_and_frequency() {
        let (rate, n) = (8192.0, 8192 * 4);
        let t = |i: usize| std::f64::consts::TAU * i as f64 / rate;
        let x: Vec<f64> = (0..n).map(|i| (1.0 + 0.3 * (100.0 * t(i)).cos()) * (2000.0 * t(i)).cos()).collect();
        let found = modulation(&mut SpectrumPlanner::new(), &x, rate, 25.0, 300.0).unwrap();
        let whole = &found.bands[0];
        let line = (100.0 / found.spacing_hz).round() as usize;
        // Squared envelope 1 + 2a cos + a^2 cos^2, over its mean 1 + a^2 / 2.
        let expected = (2.0 * 0.3 / (1.0 + 0.3 * 0.3 / 2.0_f64)).powi(2);
        assert!((whole.power[line] / expected - 1.0).abs() < 1e-3, "{} {expected}", whole.power[line]);
    }

    #[test]
    fn transforms_cover_the_record() {
        assert_eq!(starts(10, 10), [0]);
        assert_eq!(starts(25, 10), [0, 7, 15]);
    }

    #[test]
    fn the_floor_is_a_running_median() {
        let power: Vec<f64> = (0..50).map(|i| f64::from(i * 7 % 50)).collect();
        let floors = floor(&power, 5);
        assert_eq!(floors.len(), power.len());
        let mut around = power[20..25].to_vec();
        around.sort_by(f64::total_cmp);
        assert!((floors[22] - around[2] / std::f64::consts::LN_2).abs() < 1e-12);
    }
}
