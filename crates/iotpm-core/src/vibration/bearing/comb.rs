//! A fundamental and its harmonics, searched in a modulation spectrum.

/// One line that was looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// 1 for the fundamental.
    pub harmonic: usize,
    /// Where, Hz.
    pub frequency_hz: f64,
    /// Power over the local floor; None if a harmonic of the shaft lies there, whose line proves nothing.
    pub ratio: Option<f64>,
}

/// The best fit of a comb.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fit {
    /// The lesser of the fundamental and the greater of its second and third harmonic, over the floor: so that neither one
    /// strong line of something else nor one missing harmonic decides.
    pub(super) strength: f64,
    /// How far the fundamental is off the geometry's, relative.
    pub(super) slip: f64,
    pub(super) lines: Vec<Line>,
}

/// A modulation spectrum as power over floor, and where to look.
pub(super) struct Comb<'a> {
    pub(super) ratios: &'a [f64],
    pub(super) spacing_hz: f64,
    pub(super) shaft_hz: f64,
    /// Greatest departure from a nominal frequency, relative.
    pub(super) slip: f64,
}

/// Harmonics that the strength looks at.
pub(super) const HARMONICS: usize = 3;

/// A line of a Hann window is four bins wide; nearer than this to a shaft harmonic it may be that.
const SHAFT_GUARD_LINES: f64 = 2.5;

impl Comb<'_> {
    /// The best fit within the slip; all harmonics slip alike.
    pub(super) fn fit(&self, fundamental_hz: f64, harmonics: usize) -> Fit {
        // The last harmonic moves by half a line from one try to the next.
        let steps = (2.0 * self.slip * fundamental_hz * harmonics.max(HARMONICS) as f64 / self.spacing_hz)
            .ceil()
            .max(1.0) as i32;
        let tries = (-steps..=steps).map(|step| self.slip * f64::from(step) / f64::from(steps));
        // Neighbouring tries see the same greatest lines: of these the one counts that lies right on all harmonics.
        let scored = tries.map(|slip| {
            let frequency_hz = fundamental_hz * (1.0 + slip);
            ((self.strength(frequency_hz), self.centred(frequency_hz, harmonics)), slip)
        });
        let better = |best: ((f64, f64), f64), next: ((f64, f64), f64)| if next.0 > best.0 { next } else { best };
        let ((strength, _), slip) = scored.fold(((-1.0, 0.0), 0.0), better);
        let lines = (1..=harmonics).map(|harmonic| self.line(fundamental_hz * (1.0 + slip), harmonic)).collect();
        Fit { strength: strength.max(0.0), slip, lines }
    }

    fn strength(&self, fundamental_hz: f64) -> f64 {
        let at = |harmonic: usize| self.line(fundamental_hz, harmonic).ratio.unwrap_or(0.0);
        at(1).min(at(2).max(at(3)))
    }

    /// Sum of the lines nearest to the harmonics.
    fn centred(&self, fundamental_hz: f64, harmonics: usize) -> f64 {
        let nearest = |harmonic: usize| (fundamental_hz * harmonic as f64 / self.spacing_hz).round() as usize;
        (1..=harmonics).filter_map(|harmonic| self.ratios.get(nearest(harmonic))).sum()
    }

    fn line(&self, fundamental_hz: f64, harmonic: usize) -> Line {
        let frequency_hz = fundamental_hz * harmonic as f64;
        let ratio = if self.is_of_shaft(frequency_hz) { None } else { Some(self.ratio(frequency_hz)) };
        Line { harmonic, frequency_hz, ratio }
    }

    /// Greatest of the three lines about a frequency; 0 beyond the spectrum.
    pub(super) fn ratio(&self, frequency_hz: f64) -> f64 {
        let line = (frequency_hz / self.spacing_hz).round().max(0.0) as usize;
        let near = self.ratios.get(line.saturating_sub(1)..line + 2).unwrap_or_default();
        near.iter().copied().fold(0.0, f64::max)
    }

    pub(super) fn is_of_shaft(&self, frequency_hz: f64) -> bool {
        let order = frequency_hz / self.shaft_hz;
        (order - order.round()).abs() * self.shaft_hz < SHAFT_GUARD_LINES * self.spacing_hz
    }

    /// What part of combs at other frequencies, from 0.55 to 1.85 of this one, is as strong: near 1 where lines stand
    /// everywhere, as of a belt or of impacts at a low rate.
    pub(super) fn as_strong_elsewhere(&self, fundamental_hz: f64, strength: f64) -> f64 {
        let away = |ratio: &f64| (ratio - 1.0).abs() >= 2.0 * self.slip;
        let others: Vec<f64> = (55..=185).map(|percent| f64::from(percent) / 100.0).filter(away).collect();
        let strong = others.iter().filter(|&ratio| self.fit(fundamental_hz * ratio, 1).strength >= strength).count();
        strong as f64 / others.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comb(ratios: &[f64]) -> Comb<'_> {
        Comb { ratios, spacing_hz: 0.5, shaft_hz: 30.0, slip: 0.02 }
    }

    fn spectrum(lines: &[(f64, f64)]) -> Vec<f64> {
        let mut ratios = vec![1.0; 2000];
        lines.iter().for_each(|(hz, ratio)| ratios[(hz / 0.5) as usize] = *ratio);
        ratios
    }

    #[test]
    fn a_slipping_comb_is_found_with_its_slip() {
        let ratios = spectrum(&[(101.0, 50.0), (202.0, 40.0), (303.0, 30.0)]);
        let fit = comb(&ratios).fit(100.0, 3);
        assert!((fit.slip - 0.01).abs() < 0.005 && fit.strength == 40.0, "{fit:?}");
    }

    #[test]
    fn one_line_alone_or_harmonics_without_a_fundamental_are_no_comb() {
        assert_eq!(comb(&spectrum(&[(100.0, 500.0)])).fit(100.0, 3).strength, 1.0);
        assert_eq!(comb(&spectrum(&[(200.0, 500.0), (300.0, 500.0)])).fit(100.0, 3).strength, 1.0);
    }

    #[test]
    fn shaft_harmonics_prove_nothing() {
        let ratios = spectrum(&[(90.0, 500.0), (180.0, 500.0), (270.0, 500.0)]);
        assert_eq!(comb(&ratios).fit(90.5, 3).strength, 1.0);
    }

    #[test]
    fn lines_everywhere_are_as_strong_elsewhere() {
        let ratios: Vec<f64> = (0..2000).map(|line| if line % 4 == 0 { 100.0 } else { 1.0 }).collect();
        let comb = comb(&ratios);
        assert!(comb.as_strong_elsewhere(107.0, comb.fit(107.0, 3).strength) > 0.9);
        let single = spectrum(&[(107.0, 50.0), (214.0, 50.0), (321.0, 50.0)]);
        assert!(self::comb(&single).as_strong_elsewhere(107.0, 50.0) < 0.05);
    }
}
