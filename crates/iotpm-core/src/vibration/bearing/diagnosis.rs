//! Which element of a bearing is damaged: one rule for all machines, and silence where it is not sure.

use std::fmt;

use super::{
    Bearing, Element, Orders,
    comb::{Comb, Fit, HARMONICS, Line},
    modulation::{Modulation, ModulationBand, modulation},
};
use crate::{
    Result,
    spectrum::{SpectrumPlanner, check, invalid},
};

/// Least strength of a comb to be named. Made machines in order, searched over all bands and slips, stay below 9 in 99 of
/// 100 records (docs/vibration.md); the real one of CWRU, whose floor is less even, reaches 15.
pub const NAMED_MIN: f64 = 30.0;

/// Least modulation of the band by the comb, as amplitude over mean square: a line may stand out of a long record and
/// still mean nothing.
pub const DEPTH_MIN: f64 = 0.1;

/// Least turns of the shaft in a record: below, lines of bearing and shaft cannot be told apart.
pub const REVOLUTIONS_MIN: f64 = 20.0;

/// An element that has this part of the strongest one's strength makes the diagnosis ambiguous.
const RIVAL: f64 = 0.25;

/// What part of other combs may be as strong.
const ELSEWHERE_MAX: f64 = 0.05;

/// Harmonics of the cage that must stand out, and the least of them over the greatest, for a strike once a turn: a mere
/// modulation by the cage, as of a damaged ball in and out of the load, falls off quickly.
const CAGE_HARMONICS: usize = 6;
const CAGE_EVENNESS: f64 = 1.0 / 16.0;

/// Least strength and modulation that are reported where nothing is named.
const STANDS_OUT: f64 = NAMED_MIN / 2.0;
const SWELLS: f64 = 0.25;

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiagnosisOptions {
    /// Greatest departure of a bearing's frequencies from rolling without slip, relative: 0.02 unless known better.
    pub slip: f64,
}

impl Default for DiagnosisOptions {
    fn default() -> Self {
        Self { slip: 0.02 }
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// This element is damaged.
    Fault(Element),
    /// Something is there, or nothing can be said, and why.
    Undetermined(Reason),
    /// No line of the bearing stands out.
    None,
}

/// Why nothing is named.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// Fewer turns of the shaft than [`REVOLUTIONS_MIN`].
    TooShort {
        /// Turns in the record.
        revolutions: f64,
        /// Seconds needed.
        needed_s: f64,
    },
    /// The rate does not hold three harmonics of the highest line twice over.
    RateTooLow {
        /// Given.
        rate_hz: f64,
        /// Needed.
        needed_hz: f64,
    },
    /// All samples are equal.
    Constant,
    /// Lines of several elements stand out alike.
    Ambiguous {
        /// Strongest and next.
        elements: [Element; 2],
        /// Their strengths.
        strengths: [f64; 2],
    },
    /// Combs at other frequencies are as strong.
    LinesEverywhere {
        /// The strongest element.
        element: Element,
        /// What part of them.
        part: f64,
    },
    /// Lines of an element stand out, but less than is named.
    Weak {
        /// Which.
        element: Element,
        /// Its strength.
        strength: f64,
    },
    /// Modulation at the cage's frequency and no element's own lines.
    CageModulation {
        /// Its amplitude over the mean square.
        depth: f64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { revolutions, needed_s } => write!(
                f,
                "the record holds {revolutions:.1} turns of the shaft; at least {REVOLUTIONS_MIN} are needed: {needed_s:.2} s"
            ),
            Self::RateTooLow { rate_hz, needed_hz } => write!(
                f,
                "{rate_hz:.0} Hz is too slow for three harmonics of the highest line: at least {needed_hz:.0} Hz are needed"
            ),
            Self::Constant => write!(f, "all samples are equal: is the sensor connected?"),
            Self::Ambiguous { elements: [a, b], strengths: [x, y] } => write!(
                f,
                "lines of {} ({}, {x:.0} times the noise) and {} ({}, {y:.0} times) both stand out",
                a.name(),
                a.line(),
                b.name(),
                b.line()
            ),
            Self::LinesEverywhere { element, part } => write!(
                f,
                "{} stands out, but so do {:.0} % of the frequencies about it: another source beats there",
                element.line(),
                part * 100.0
            ),
            Self::Weak { element, strength } => write!(
                f,
                "lines of {} ({}) stand out {strength:.0} times the noise; {NAMED_MIN:.0} times are needed to name it",
                element.name(),
                element.line()
            ),
            Self::CageModulation { depth } => write!(
                f,
                "the vibration swells by {:.0} % with the turn of the cage (FTF), but no element's own lines stand out: a \
                 ball or the cage",
                depth * 100.0
            ),
        }
    }
}

/// What speaks for one element, from the band where its comb is strongest.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Which.
    pub element: Element,
    /// Frequency of its defect by geometry, Hz.
    pub nominal_hz: f64,
    /// Departure of the comb found from that, relative.
    pub slip: f64,
    /// Index of the band in [`Modulation::bands`].
    pub band: usize,
    /// The lesser of the fundamental and the greater of its second and third harmonic, over the local noise floor.
    pub strength: f64,
    /// Amplitude of the first three lines together, over the band's mean square.
    pub depth: f64,
    /// The harmonics.
    pub lines: Vec<Line>,
    /// About the first two harmonics: by the shaft for races, by the cage for a ball.
    pub sidebands: Vec<Sideband>,
}

/// A sideband that was looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sideband {
    /// Of which harmonic.
    pub harmonic: usize,
    /// -1 below, 1 above.
    pub side: i8,
    /// Where, Hz.
    pub frequency_hz: f64,
    /// Power over the local floor.
    pub ratio: f64,
}

/// What was found in a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// The answer.
    pub verdict: Verdict,
    /// For each of [`Element::ALL`]; empty if nothing could be searched.
    pub evidence: Vec<Evidence>,
    /// Modulation of all bands; none if nothing could be searched.
    pub modulation: Modulation,
}

impl Diagnosis {
    fn impossible(reason: Reason) -> Self {
        let modulation = Modulation { spacing_hz: 0.0, bands: Vec::new() };
        Self { verdict: Verdict::Undetermined(reason), evidence: Vec::new(), modulation }
    }

    /// The element that has most to show, if anything was searched.
    #[must_use]
    pub fn strongest(&self) -> Option<&Evidence> {
        self.evidence.iter().max_by(|a, b| a.strength.total_cmp(&b.strength))
    }
}

/// Diagnoses a bearing on a shaft of steady speed from a record of vibration, in any unit.
///
/// In each band of a bank ([`Modulation`]) the harmonics of BPFO, BPFI, 2 BSF and FTF are searched within the slip. The
/// strongest element is named if its strength reaches [`NAMED_MIN`] and its depth [`DEPTH_MIN`], if no other reaches a
/// quarter of it, and if combs at other frequencies are hardly ever as strong. The method follows Randall and Antoni (2011)
/// and Smith and Randall (Rolling element bearing diagnostics using the Case Western Reserve University data, Mechanical
/// Systems and Signal Processing 64 (2015) 100); the rule is this crate's own.
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter): no samples or too many, a rate or shaft frequency
/// that is not finite and positive, a slip outside 0.001 to 0.1. A record that is too short or too slow is no error:
/// [`Verdict::Undetermined`] says what it lacks.
pub fn diagnose(
    planner: &mut SpectrumPlanner,
    x: &[f64],
    rate_hz: f64,
    shaft_hz: f64,
    bearing: &Bearing,
    options: &DiagnosisOptions,
) -> Result<Diagnosis> {
    check(x, rate_hz)?;
    if !(shaft_hz.is_finite() && shaft_hz > 0.0) {
        return Err(invalid("shaft_hz", &shaft_hz, "finite and greater than 0"));
    }
    if !(0.001..=0.1).contains(&options.slip) {
        return Err(invalid("slip", &options.slip, "0.001 to 0.1"));
    }
    let orders = bearing.orders();
    let highest_hz = highest(&orders, options.slip) * shaft_hz;
    if let Some(reason) = lacking(x, rate_hz, shaft_hz, highest_hz) {
        return Ok(Diagnosis::impossible(reason));
    }
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let centred: Vec<f64> = x.iter().map(|x| x - mean).collect();
    let modulation = modulation(planner, &centred, rate_hz, shaft_hz, highest_hz)?;
    let search = Search { modulation: &modulation, orders, shaft_hz, slip: options.slip };
    let evidence = search.all();
    let verdict = search.verdict(&evidence);
    Ok(Diagnosis { verdict, evidence, modulation })
}

/// Three harmonics of the highest line and a sideband, as a multiple of the shaft's frequency.
fn highest(orders: &Orders, slip: f64) -> f64 {
    let greatest = Element::ALL.map(|element| orders.of(element)).into_iter().fold(0.0, f64::max);
    HARMONICS as f64 * greatest * (1.0 + slip) + 1.5
}

fn lacking(x: &[f64], rate_hz: f64, shaft_hz: f64, highest_hz: f64) -> Option<Reason> {
    let revolutions = x.len() as f64 / rate_hz * shaft_hz;
    let needed_hz = 4.0 * highest_hz;
    if x.iter().all(|sample| *sample == x[0]) {
        Some(Reason::Constant)
    } else if revolutions < REVOLUTIONS_MIN {
        Some(Reason::TooShort { revolutions, needed_s: REVOLUTIONS_MIN / shaft_hz })
    } else if rate_hz < needed_hz {
        Some(Reason::RateTooLow { rate_hz, needed_hz })
    } else {
        None
    }
}

struct Search<'a> {
    modulation: &'a Modulation,
    orders: Orders,
    shaft_hz: f64,
    slip: f64,
}

impl Search<'_> {
    fn all(&self) -> Vec<Evidence> {
        let ratios: Vec<Vec<f64>> = self.modulation.bands.iter().map(ModulationBand::ratios).collect();
        Element::ALL.iter().map(|&element| self.evidence(element, &ratios)).collect()
    }

    fn comb<'a>(&self, ratios: &'a [f64]) -> Comb<'a> {
        Comb { ratios, spacing_hz: self.modulation.spacing_hz, shaft_hz: self.shaft_hz, slip: self.slip }
    }

    fn evidence(&self, element: Element, ratios: &[Vec<f64>]) -> Evidence {
        let nominal_hz = self.orders.of(element) * self.shaft_hz;
        let harmonics = if element == Element::Cage { CAGE_HARMONICS } else { HARMONICS };
        let fits = ratios.iter().map(|ratios| self.comb(ratios).fit(nominal_hz, harmonics)).enumerate();
        let nothing = Fit { strength: 0.0, slip: 0.0, lines: Vec::new() };
        let better =
            |best: (usize, Fit), next: (usize, Fit)| if next.1.strength > best.1.strength { next } else { best };
        let (band, fit) = fits.fold((0, nothing), better);
        let depth = self.depth(&self.modulation.bands[band], &fit.lines);
        let sidebands = self.sidebands(element, nominal_hz * (1.0 + fit.slip), &self.comb(&ratios[band]));
        Evidence {
            element,
            nominal_hz,
            slip: fit.slip,
            band,
            strength: fit.strength,
            depth,
            lines: fit.lines,
            sidebands,
        }
    }

    /// Power of the lines without what noise has there.
    fn depth(&self, band: &ModulationBand, lines: &[Line]) -> f64 {
        let excess = |line: &Line| {
            let at = (line.frequency_hz / self.modulation.spacing_hz).round() as usize;
            let floor = band.floor.get(at).copied().unwrap_or(0.0);
            (line.ratio.unwrap_or(0.0) - 1.0).max(0.0) * floor
        };
        lines.iter().take(HARMONICS).map(excess).sum::<f64>().sqrt()
    }

    fn sidebands(&self, element: Element, found_hz: f64, comb: &Comb<'_>) -> Vec<Sideband> {
        let apart_hz = match element {
            Element::OuterRace | Element::InnerRace => self.shaft_hz,
            Element::Ball => self.orders.ftf * self.shaft_hz,
            Element::Cage => return Vec::new(),
        };
        let sideband = |harmonic: usize, side: i8| {
            let frequency_hz = harmonic as f64 * found_hz + f64::from(side) * apart_hz;
            Sideband { harmonic, side, frequency_hz, ratio: comb.ratio(frequency_hz) }
        };
        [1, 2].into_iter().flat_map(|harmonic| [sideband(harmonic, -1), sideband(harmonic, 1)]).collect()
    }

    fn verdict(&self, evidence: &[Evidence]) -> Verdict {
        let mut ranked: Vec<&Evidence> = evidence.iter().collect();
        ranked.sort_by(|a, b| b.strength.total_cmp(&a.strength));
        let Some(top) = ranked.iter().find(|found| found.element != Element::Cage) else { return Verdict::None };
        let of_cage =
            ranked.iter().find(|found| found.element == Element::Cage).map_or(Verdict::None, |found| cage(found));
        // The cage's harmonics fall on the elements' lines too: BPFO is that of its number of balls.
        let cage_leads = ranked[0].element == Element::Cage && top.strength < RIVAL * ranked[0].strength;
        if cage_leads && of_cage == Verdict::Fault(Element::Cage) {
            of_cage
        } else if top.strength >= NAMED_MIN && top.depth >= DEPTH_MIN {
            self.named(top, &ranked)
        } else if top.strength >= STANDS_OUT && top.depth >= SWELLS && of_cage == Verdict::None {
            Verdict::Undetermined(Reason::Weak { element: top.element, strength: top.strength })
        } else {
            of_cage
        }
    }

    fn named(&self, top: &Evidence, ranked: &[&Evidence]) -> Verdict {
        let rival = ranked.iter().find(|found| found.element != top.element);
        if let Some(rival) = rival.filter(|rival| rival.strength >= (RIVAL * top.strength).max(STANDS_OUT)) {
            let (elements, strengths) = ([top.element, rival.element], [top.strength, rival.strength]);
            return Verdict::Undetermined(Reason::Ambiguous { elements, strengths });
        }
        let ratios = self.modulation.bands[top.band].ratios();
        let part = self.comb(&ratios).as_strong_elsewhere(top.nominal_hz * (1.0 + top.slip), top.strength);
        if part > ELSEWHERE_MAX {
            return Verdict::Undetermined(Reason::LinesEverywhere { element: top.element, part });
        }
        Verdict::Fault(top.element)
    }
}

/// No element's own lines stand out: strikes once a turn of the cage are its own, a swelling may have several causes.
fn cage(found: &Evidence) -> Verdict {
    let ratios: Vec<f64> = found.lines.iter().filter_map(|line| line.ratio).collect();
    let (least, greatest) = ratios.iter().fold((f64::MAX, 0.0_f64), |(low, high), r| (low.min(*r), high.max(*r)));
    let strikes = ratios.len() + 1 >= CAGE_HARMONICS && least >= NAMED_MIN && least >= CAGE_EVENNESS * greatest;
    let fundamental = found.lines.first().and_then(|line| line.ratio).unwrap_or(0.0);
    if strikes && found.depth >= DEPTH_MIN {
        Verdict::Fault(Element::Cage)
    } else if fundamental >= STANDS_OUT && found.depth >= SWELLS {
        Verdict::Undetermined(Reason::CageModulation { depth: found.depth })
    } else {
        Verdict::None
    }
}
