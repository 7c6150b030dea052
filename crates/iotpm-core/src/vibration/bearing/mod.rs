//! Rolling bearings: the frequencies of their defects, and which element of one is damaged.
//!
//! A defect strikes once for each part that rolls over it, and each strike rings the structure. So it shows as an
//! amplitude modulation of some band, at a frequency that geometry and shaft speed give ([`Bearing::orders`]), and its
//! harmonics stand in the spectrum of that band's squared envelope. [`diagnose`] looks for them in a bank of bands.

mod comb;
mod diagnosis;
mod modulation;

pub use comb::Line;
pub use diagnosis::{
    DEPTH_MIN, Diagnosis, DiagnosisOptions, Evidence, NAMED_MIN, REVOLUTIONS_MIN, Reason, Sideband, Verdict, diagnose,
};
pub use modulation::{Modulation, ModulationBand};

use crate::{Result, spectrum::invalid};

/// Geometry of a rolling bearing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bearing {
    balls: u32,
    ball_diameter_mm: f64,
    pitch_diameter_mm: f64,
    contact_angle_deg: f64,
}

/// What can be damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Outer race: BPFO.
    OuterRace,
    /// Inner race: BPFI.
    InnerRace,
    /// A ball or roller: twice BSF, as it strikes either race once a turn.
    Ball,
    /// Cage: FTF.
    Cage,
}

impl Element {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OuterRace, Self::InnerRace, Self::Ball, Self::Cage];

    /// In words: `outer race`, `inner race`, `ball`, `cage`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OuterRace => "outer race",
            Self::InnerRace => "inner race",
            Self::Ball => "ball",
            Self::Cage => "cage",
        }
    }

    /// The frequency at which its defect strikes.
    #[must_use]
    pub fn line(self) -> &'static str {
        match self {
            Self::OuterRace => "BPFO",
            Self::InnerRace => "BPFI",
            Self::Ball => "2 BSF",
            Self::Cage => "FTF",
        }
    }
}

/// Defect frequencies as multiples of the shaft's, which turns the inner ring; the outer ring stands still.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Orders {
    /// Balls passing a point of the outer race.
    pub bpfo: f64,
    /// Balls passing a point of the inner race.
    pub bpfi: f64,
    /// Turns of a ball about itself; it strikes twice a turn.
    pub bsf: f64,
    /// Turns of the cage.
    pub ftf: f64,
}

impl Orders {
    /// How often a defect of an element strikes in a turn of the shaft; for a ball twice [`Self::bsf`].
    #[must_use]
    pub fn of(&self, element: Element) -> f64 {
        match element {
            Element::OuterRace => self.bpfo,
            Element::InnerRace => self.bpfi,
            Element::Ball => 2.0 * self.bsf,
            Element::Cage => self.ftf,
        }
    }
}

impl Bearing {
    /// A bearing of `balls` balls (or rollers) of `ball_diameter_mm`, whose centres lie on a circle of
    /// `pitch_diameter_mm`, that carries at `contact_angle_deg` (0 for a deep groove ball bearing under radial load).
    ///
    /// # Errors
    /// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter): fewer than 3 balls or more than 1000, a
    /// diameter that is not positive and finite, balls that do not fit on their circle, an angle not in 0 to 89 degrees.
    pub fn new(balls: u32, ball_diameter_mm: f64, pitch_diameter_mm: f64, contact_angle_deg: f64) -> Result<Self> {
        if !(3..=1000).contains(&balls) {
            return Err(invalid("balls", &balls, "3 to 1000"));
        }
        if !(pitch_diameter_mm.is_finite() && pitch_diameter_mm > 0.0) {
            return Err(invalid("pitch_diameter_mm", &pitch_diameter_mm, "finite and greater than 0"));
        }
        // Centres of neighbours are a chord apart, and no ball overlaps the next.
        let chord = pitch_diameter_mm * (std::f64::consts::PI / f64::from(balls)).sin();
        if !(ball_diameter_mm > 0.0 && ball_diameter_mm <= chord) {
            return Err(invalid(
                "ball_diameter_mm",
                &ball_diameter_mm,
                "positive, and all balls must fit on their circle",
            ));
        }
        if !(0.0..=89.0).contains(&contact_angle_deg) {
            return Err(invalid("contact_angle_deg", &contact_angle_deg, "0 to 89"));
        }
        Ok(Self { balls, ball_diameter_mm, pitch_diameter_mm, contact_angle_deg })
    }

    /// Defect frequencies as multiples of the shaft's, with `g = d / D cos(angle)`: `BPFO = z/2 (1 - g)`,
    /// `BPFI = z/2 (1 + g)`, `BSF = D/2d (1 - g^2)`, `FTF = (1 - g)/2`: rolling without slip (Randall and Antoni, Rolling
    /// element bearing diagnostics - a tutorial, Mechanical Systems and Signal Processing 25 (2011) 485, equations 1 to 4).
    #[must_use]
    pub fn orders(&self) -> Orders {
        let (z, ratio) = (f64::from(self.balls), self.ball_diameter_mm / self.pitch_diameter_mm);
        let g = ratio * self.contact_angle_deg.to_radians().cos();
        Orders {
            bpfo: z / 2.0 * (1.0 - g),
            bpfi: z / 2.0 * (1.0 + g),
            bsf: (1.0 - g * g) / (2.0 * ratio),
            ftf: (1.0 - g) / 2.0,
        }
    }
}
