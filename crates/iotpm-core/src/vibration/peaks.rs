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
    let maxima: Vec<usize> = maxima(lines).collect();
    let prominences = prominences(lines, &maxima);
    let mut found: Vec<(usize, f64)> = maxima.into_iter().zip(prominences).collect();
    found.retain(|(_, prominence)| *prominence >= options.prominence_min);
    if let Some(count) = options.count.filter(|&count| count < found.len()) {
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.truncate(count);
        found.sort_unstable_by_key(|(line, _)| *line);
    }
    Ok(found.into_iter().map(|(line, prominence)| peak(lines, line, prominence, spacing_hz, options)).collect())
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

/// Prominence of each of the maxima. Between two of them only the lowest line matters, and beyond the first and the last
/// lines only rise towards the ends.
fn prominences(lines: &[f64], maxima: &[usize]) -> Vec<f64> {
    let (Some(first), Some(last)) = (maxima.first(), maxima.last()) else { return Vec::new() };
    let lowest = |from: usize, to: usize| lines[from..=to].iter().copied().fold(f64::INFINITY, f64::min);
    let between: Vec<f64> = maxima.windows(2).map(|pair| lowest(pair[0], pair[1])).collect();
    let (start, end) = (lowest(0, *first), lowest(*last, lines.len() - 1));
    let heights = || maxima.iter().map(|&line| lines[line]);
    let before = lowest_since_greater(heights().zip(std::iter::once(start).chain(between.iter().copied())));
    let after = lowest_since_greater(heights().rev().zip(std::iter::once(end).chain(between.iter().rev().copied())));
    let bases = before.iter().zip(after.iter().rev()).map(|(before, after)| before.max(*after));
    heights().zip(bases).map(|(height, base)| height - base).collect()
}

/// For each maximum the lowest line between it and the nearest greater one before it; given with the lowest line between
/// it and the one before.
fn lowest_since_greater(maxima: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
    // Maxima that something later may still look back to, each smaller than the one below, with its lowest.
    let mut open: Vec<(f64, f64)> = Vec::new();
    let lowest = |(height, valley): (f64, f64)| {
        let mut lowest = valley;
        while let Some((_, lower)) = open.pop_if(|(before, _)| *before <= height) {
            lowest = lowest.min(lower);
        }
        open.push((height, lowest));
        lowest
    };
    maxima.map(lowest).collect()
}
