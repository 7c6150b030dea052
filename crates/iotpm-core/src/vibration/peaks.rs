//! Peaks of a spectrum, their frequencies told between the lines.

use std::f64::consts::PI;

use crate::{
    Result,
    spectrum::{Window, invalid},
};

/// How frequency and height of a peak follow from its lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// The vertex of the parabola through the logarithms of three lines (Smith and Serra, PARSHL, ICMC 1987, section 5):
    /// for any window; off by at most some hundredths of a line, with a flat top, which hides it, by some tenths.
    #[default]
    Parabola,
    /// From the ratio of the two greatest lines of a Hann window, exact for one sine (Grandke, IEEE Trans. Instrum. Meas.
    /// 32 (1983) 350): `d = (2 a - 1) / (a + 1)`, height `pi d (1 - d^2) / sin(pi d)`.
    Hann,
    /// The same without a window (Jain, Collins and Davis, IEEE Trans. Instrum. Meas. 28 (1979) 113): `d = a / (1 + a)`,
    /// height `pi d / sin(pi d)`.
    Boxcar,
}

impl Interpolation {
    /// The best for a window, of a spectrum whose segments were not lengthened by zeros.
    #[must_use]
    pub fn of(window: Window) -> Self {
        match window {
            Window::Hann => Self::Hann,
            Window::Boxcar => Self::Boxcar,
            _ => Self::Parabola,
        }
    }

    /// Offset from the middle line, in lines, and height over that line, from the amplitudes of three lines.
    fn locate(self, [before, at, after]: [f64; 3]) -> (f64, f64) {
        let ratio = before.max(after) / at;
        let side = if after > before { 1.0 } else { -1.0 };
        match self {
            Self::Parabola => parabola([before, at, after]),
            Self::Hann => {
                let d = ((2.0 * ratio - 1.0) / (ratio + 1.0)).clamp(0.0, 0.5);
                (side * d, (1.0 - d * d) / sinc(d))
            }
            Self::Boxcar => {
                let d = ratio / (1.0 + ratio);
                (side * d, 1.0 / sinc(d))
            }
        }
    }
}

/// `sin(pi d) / (pi d)`
fn sinc(d: f64) -> f64 {
    if d == 0.0 { 1.0 } else { (PI * d).sin() / (PI * d) }
}

/// A line of 0 has no logarithm: the peak then is where its line is.
fn parabola(lines: [f64; 3]) -> (f64, f64) {
    let [a, b, c] = lines.map(f64::ln);
    let curvature = a - 2.0 * b + c;
    if !(curvature.is_finite() && curvature < 0.0) {
        return (0.0, 1.0);
    }
    let offset = 0.5 * (a - c) / curvature;
    (offset, (-0.25 * (a - c) * offset).exp())
}

/// What [`peaks`] looks for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeakOptions {
    /// How frequency and height follow from the lines.
    pub interpolation: Interpolation,
    /// The lines are powers (or densities), not amplitudes.
    pub squared: bool,
    /// Least prominence, in the unit of the lines.
    pub prominence_min: f64,
    /// Only so many, the most prominent; all if absent.
    pub count: Option<usize>,
}

/// A peak of a spectrum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// The line that is greater than its neighbours (the middle one of several equal ones).
    pub line: usize,
    /// Interpolated frequency, Hz.
    pub frequency_hz: f64,
    /// Interpolated height, in the unit of the lines.
    pub value: f64,
    /// `scipy.signal.peak_prominences`: height of the line over the higher of the two lowest lines between it and a
    /// greater one (or the end) on either side.
    pub prominence: f64,
}

/// Peaks of `lines`, `spacing_hz` apart from 0 Hz on, by frequency: the lines of `scipy.signal.find_peaks(lines,
/// prominence=prominence_min)`. Takes time in proportion to the lines, whatever their shape.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) for a spacing that is not positive, or a least
/// prominence that is not a number.
pub fn peaks(lines: &[f64], spacing_hz: f64, options: &PeakOptions) -> Result<Vec<Peak>> {
    if !(spacing_hz.is_finite() && spacing_hz > 0.0) {
        return Err(invalid("spacing_hz", &spacing_hz, "finite and greater than 0"));
    }
    if options.prominence_min.is_nan() {
        return Err(invalid("prominence_min", &options.prominence_min, "a number"));
    }
    let prominences = prominences(lines);
    let enough = |line: &usize| prominences[*line] >= options.prominence_min;
    let mut found: Vec<usize> = maxima(lines).filter(enough).collect();
    if let Some(count) = options.count.filter(|&count| count < found.len()) {
        found.sort_by(|&a, &b| prominences[b].total_cmp(&prominences[a]));
        found.truncate(count);
        found.sort_unstable();
    }
    Ok(found.into_iter().map(|line| peak(lines, line, prominences[line], spacing_hz, options)).collect())
}

fn peak(lines: &[f64], line: usize, prominence: f64, spacing_hz: f64, options: &PeakOptions) -> Peak {
    let amplitude = |line: usize| if options.squared { lines[line].sqrt() } else { lines[line] };
    let (offset, height) = options.interpolation.locate([amplitude(line - 1), amplitude(line), amplitude(line + 1)]);
    let height = if options.squared { height * height } else { height };
    Peak { line, frequency_hz: (line as f64 + offset) * spacing_hz, value: lines[line] * height, prominence }
}

/// Lines greater than those before and after them; of a plateau the middle one. Never the first or last.
fn maxima(lines: &[f64]) -> impl Iterator<Item = usize> {
    let mut start = 1;
    std::iter::from_fn(move || {
        while start + 1 < lines.len() {
            let plateau = lines[start..].iter().take_while(|&&line| line == lines[start]).count().max(1);
            let (first, after) = (start, start + plateau);
            start = after;
            if lines[first - 1] < lines[first] && after < lines.len() && lines[after] < lines[first] {
                return Some(first + (plateau - 1) / 2);
            }
        }
        None
    })
}

/// Prominence of every line.
fn prominences(lines: &[f64]) -> Vec<f64> {
    let before = lowest_since_greater(lines.iter().copied());
    let after = lowest_since_greater(lines.iter().rev().copied());
    let base = before.iter().zip(after.iter().rev()).map(|(before, after)| before.max(*after));
    lines.iter().zip(base).map(|(line, base)| line - base).collect()
}

/// For each line the lowest one between it and the nearest greater one before it.
fn lowest_since_greater(lines: impl Iterator<Item = f64>) -> Vec<f64> {
    // Lines that something later may still look back to, each smaller than the one below, with its lowest.
    let mut open: Vec<(f64, f64)> = Vec::new();
    let lowest = |line: f64| {
        let mut lowest = line;
        while let Some((_, lower)) = open.pop_if(|(before, _)| *before <= line) {
            lowest = lowest.min(lower);
        }
        open.push((line, lowest));
        lowest
    };
    lines.map(lowest).collect()
}
