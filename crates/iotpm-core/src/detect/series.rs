//! Detectors that score a series of readings of one signal, all behind [`SeriesDetector`], and their fusion.
//!
//! Scores are >= 0 and 1.0 is the alarm boundary. A score depends on the readings up to its own only, so the scores of a
//! series cut anywhere are the first ones of the whole. Work a reading and memory are bounded.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Fused, Verdict, cusum::Cusum, cusum::PageHinkley, day::Day, discord::Discord, ewma::EwmaChart,
    frozen_baseline::FrozenBaseline, half_space_trees::HalfSpaceTrees, level_shift::LevelShift, novelty::Novelty,
    resonance::Resonance, seasonal::Seasonal,
};
use crate::{CoreError, Detector, DetectorSet, Maturity, Result, calendar::Calendar};

/// Readings without a score at the start of a stream: novelty needs to have seen something.
pub const WARM_UP_READINGS: usize = 750;
/// Longest warm-up that is accepted: its blocks and baselines are kept until it ends.
const WARM_UP_READINGS_MAX: usize = 10_000_000;
/// Warm-ups after which a detector has seen what it wants.
const MATURE_WARM_UPS: u64 = 4;

/// Why a detector gave its latest score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Explanation {
    /// What was looked at: `value`, `difference`, `spread`, `shape`, `time_of_day`, `level` ...
    pub aspect: &'static str,
    /// Expected value in the signal's unit; NaN if nothing in that unit was expected.
    pub expected: f64,
    /// Sign of actual - expected in that aspect: -1, 0 or 1.
    pub direction: i8,
    /// Readings that the expectation rests on.
    pub baseline_readings: u64,
}

impl Explanation {
    /// Nothing expected, nothing to say.
    #[must_use]
    pub fn none(aspect: &'static str) -> Self {
        Self { aspect, expected: f64::NAN, direction: 0, baseline_readings: 0 }
    }

    /// `actual` against `expected`, both in the signal's unit.
    #[must_use]
    pub fn of(aspect: &'static str, actual: f64, expected: f64, baseline_readings: u64) -> Self {
        Self { aspect, expected, direction: sign(actual - expected), baseline_readings }
    }
}

/// -1, 0 or 1.
pub(super) fn sign(difference: f64) -> i8 {
    i8::from(difference > 0.0) - i8::from(difference < 0.0)
}

/// One streaming detector of one signal; its state is what serde keeps of it.
pub trait SeriesDetector {
    /// Scores a finite reading, then learns from it. Times in microseconds UTC do not fall.
    fn update(&mut self, time_us: i64, value: f64);
    /// Score of the latest reading, >= 0; 0 while nothing can be said.
    fn score(&self) -> f64;
    /// Why it got that score.
    fn explain(&self) -> Explanation;
    /// Memory beside its own struct, bytes.
    fn heap_bytes(&self) -> usize;
}

macro_rules! members {
    ($($(#[$doc:meta])* $variant:ident($type:ty) = $name:literal),+ $(,)?) => {
        /// A detector by its kind.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        enum Member { $($(#[$doc])* $variant($type)),+ }

        /// Names that [`SeriesScorer::new`] knows, in order of fusion.
        pub const SERIES_DETECTORS: &[&str] = &[$($name),+];

        impl Member {
            fn detector(&self) -> &dyn SeriesDetector {
                match self { $(Self::$variant(detector) => detector),+ }
            }

            fn update(&mut self, time_us: i64, value: f64) {
                match self { $(Self::$variant(detector) => detector.update(time_us, value)),+ }
            }

            fn kind(&self) -> Detector {
                match self { $(Self::$variant(_) => Detector::$variant),+ }
            }

            fn name(&self) -> &'static str {
                self.kind().name()
            }
        }
    };
}

members! {
    /// Novelty of value, difference and spread.
    Novelty(Box<Novelty>) = "novelty",
    /// Adaptive resonance on shape.
    Resonance(Box<Resonance>) = "resonance",
    /// Earlier days at the same time.
    Day(Box<Day>) = "day",
    /// EWMA control chart.
    Ewma(EwmaChart) = "ewma",
    /// Two-sided CUSUM.
    Cusum(Cusum) = "cusum",
    /// Page-Hinkley test.
    PageHinkley(PageHinkley) = "page_hinkley",
    /// Neighbouring windows.
    LevelShift(Box<LevelShift>) = "level_shift",
    /// Hour of the week.
    Seasonal(Box<Seasonal>) = "seasonal",
    /// First healthy week.
    FrozenBaseline(Box<FrozenBaseline>) = "frozen_baseline",
    /// Nearest earlier stretch.
    Discord(Box<Discord>) = "discord",
    /// Random trees.
    HalfSpaceTrees(Box<HalfSpaceTrees>) = "half_space_trees",
}

impl Member {
    fn of(name: &str, warm_up: usize, calendar: &Arc<Calendar>) -> Result<Self> {
        Ok(match name {
            "novelty" => Self::Novelty(Box::default()),
            "resonance" => Self::Resonance(Box::new(Resonance::new(warm_up))),
            "day" => Self::Day(Box::new(Day::new(Arc::clone(calendar)))),
            "ewma" => Self::Ewma(EwmaChart::new(warm_up)),
            "cusum" => Self::Cusum(Cusum::new(warm_up)),
            "page_hinkley" => Self::PageHinkley(PageHinkley::new(warm_up)),
            "level_shift" => Self::LevelShift(Box::default()),
            "seasonal" => Self::Seasonal(Box::new(Seasonal::new(Arc::clone(calendar)))),
            "frozen_baseline" => Self::FrozenBaseline(Box::default()),
            "discord" => Self::Discord(Box::default()),
            "half_space_trees" => Self::HalfSpaceTrees(Box::default()),
            _ => return Err(unknown(name)),
        })
    }

    /// Follows another calendar: what it knows of parts of the day is kept if they still mean the same.
    fn follow(&mut self, calendar: &Arc<Calendar>, keep: bool) {
        match self {
            Self::Day(day) if keep => day.follow(calendar),
            Self::Seasonal(seasonal) if keep => seasonal.follow(calendar),
            Self::Day(day) => **day = Day::new(Arc::clone(calendar)),
            Self::Seasonal(seasonal) => **seasonal = Seasonal::new(Arc::clone(calendar)),
            _ => {}
        }
    }
}

impl<D: SeriesDetector> SeriesDetector for Box<D> {
    fn update(&mut self, time_us: i64, value: f64) {
        (**self).update(time_us, value);
    }

    fn score(&self) -> f64 {
        (**self).score()
    }

    fn explain(&self) -> Explanation {
        (**self).explain()
    }

    fn heap_bytes(&self) -> usize {
        size_of::<D>() + (**self).heap_bytes()
    }
}

fn unknown(name: &str) -> CoreError {
    CoreError::InvalidParameter {
        name: "detectors",
        value: name.to_owned(),
        allowed: "names among novelty, resonance, day, ewma, cusum, page_hinkley, level_shift, seasonal, \
                  frozen_baseline, discord, half_space_trees",
    }
}

/// The detectors of one signal, fused by their greatest score.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeriesScorer {
    warm_up: u64,
    readings: u64,
    first_us: i64,
    score: f64,
    leading: usize,
    members: Vec<Member>,
    /// See [`Calendar::meaning`].
    meaning: u64,
    #[serde(skip)]
    calendar: Arc<Calendar>,
}

impl SeriesScorer {
    /// The set `default`: what every signal is scored by unless told otherwise.
    pub const DEFAULT: [&'static str; 4] = ["novelty", "resonance", "day", "frozen_baseline"];

    /// A scorer of the detectors `names`, silent for the first `warm_up` readings; the calendar gives the local time of day.
    ///
    /// # Errors
    /// A name that is not in [`SERIES_DETECTORS`], no name, or a warm-up above ten million readings.
    pub fn new<S: AsRef<str>>(names: &[S], warm_up: usize, calendar: &Arc<Calendar>) -> Result<Self> {
        if names.is_empty() {
            return Err(unknown("[]"));
        }
        if warm_up > WARM_UP_READINGS_MAX {
            let (value, allowed) = (warm_up.to_string(), "at most 10000000 readings");
            return Err(CoreError::InvalidParameter { name: "warm_up", value, allowed });
        }
        let members = names.iter().map(|name| Member::of(name.as_ref(), warm_up, calendar)).collect::<Result<_>>()?;
        Ok(Self {
            warm_up: warm_up as u64,
            readings: 0,
            first_us: 0,
            score: 0.0,
            leading: 0,
            members,
            meaning: calendar.meaning(),
            calendar: Arc::clone(calendar),
        })
    }

    /// From here on the parts of a day are this calendar's, and detectors that learn by them begin anew if they mean something
    /// else; after a state was decoded, which leaves its calendar out.
    pub(crate) fn follow(&mut self, calendar: &Arc<Calendar>) {
        let keep = self.meaning == calendar.meaning();
        self.members.iter_mut().for_each(|member| member.follow(calendar, keep));
        (self.meaning, self.calendar) = (calendar.meaning(), Arc::clone(calendar));
    }

    /// Takes the next reading and returns its score; NaN for a value that is not finite, which nothing learns from.
    pub fn update(&mut self, time_us: i64, value: f64) -> f64 {
        if !value.is_finite() {
            return f64::NAN;
        }
        if self.readings == 0 {
            self.first_us = time_us;
        }
        self.readings += 1;
        self.members.iter_mut().for_each(|member| member.update(time_us, value));
        self.fuse();
        self.score
    }

    /// As [`SeriesScorer::update`], in the terms of the engine.
    pub(crate) fn judge(&mut self, time_us: i64, value: f64) -> Fused {
        let score = self.update(time_us, value);
        let member = &self.members[self.leading];
        let expected = if score > 0.0 { member.detector().explain().expected } else { f64::NAN };
        let verdict = Verdict { score, expected, maturity: self.maturity() };
        let detector = (score > 0.0).then(|| member.kind());
        Fused { verdict, detector, agreeing: self.agreeing() }
    }

    fn agreeing(&self) -> DetectorSet {
        let reached = self.members.iter().zip(self.parts()).filter(|(_, score)| *score >= 1.0);
        reached.fold(DetectorSet::NONE, |all, (member, _)| all.with(DetectorSet::of(member.kind())))
    }

    fn fuse(&mut self) {
        (self.score, self.leading) = (0.0, 0);
        if self.readings <= self.warm_up {
            return;
        }
        for (index, member) in self.members.iter().enumerate() {
            let score = member.detector().score();
            if score > self.score {
                (self.score, self.leading) = (score, index);
            }
        }
    }

    /// Scores of the latest reading, one a detector in the order of their names; all 0 in the warm-up.
    pub fn parts(&self) -> impl Iterator<Item = f64> {
        let silent = self.readings <= self.warm_up;
        self.members.iter().map(move |member| if silent { 0.0 } else { member.detector().score() })
    }

    /// The detectors' names, in the order of [`SeriesScorer::parts`].
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.members.iter().map(Member::name)
    }

    /// Score of the latest finite reading.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.score
    }

    /// The detector with the greatest score, and why it gave it.
    #[must_use]
    pub fn explain(&self) -> (&'static str, Explanation) {
        let member = &self.members[self.leading];
        (member.name(), member.detector().explain())
    }

    /// Time of the first reading: where the baseline begins, microseconds UTC.
    #[must_use]
    pub fn baseline_from_us(&self) -> i64 {
        self.first_us
    }

    /// Cold in the warm-up, mature after four of its length.
    #[must_use]
    pub fn maturity(&self) -> Maturity {
        match self.readings {
            n if n <= self.warm_up => Maturity::Cold,
            n if n <= MATURE_WARM_UPS * self.warm_up => Maturity::Learning,
            _ => Maturity::Mature,
        }
    }

    /// Memory of this signal's detectors, bytes; without the calendar, which signals share.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let members = self.members.capacity() * size_of::<Member>();
        size_of::<Self>() + members + self.members.iter().map(|m| m.detector().heap_bytes()).sum::<usize>()
    }

    /// The whole state, as bytes that [`SeriesScorer::load`] takes.
    ///
    /// # Errors
    /// What the encoder reports (it has no reason to).
    pub fn save(&self) -> Result<Vec<u8>> {
        postcard::to_allocvec(&(&*self.calendar, self))
            .map_err(|error| CoreError::InvalidSnapshot { reason: error.to_string() })
    }

    /// A scorer that goes on where [`SeriesScorer::save`] left off, to the bit.
    ///
    /// # Errors
    /// Bytes that are not such a state.
    pub fn load(bytes: &[u8]) -> Result<Self> {
        let (calendar, mut scorer): (Calendar, Self) =
            postcard::from_bytes(bytes).map_err(|error| CoreError::InvalidSnapshot { reason: error.to_string() })?;
        if scorer.leading >= scorer.members.len() {
            return Err(CoreError::InvalidSnapshot { reason: "no such detector leads".into() });
        }
        scorer.follow(&Arc::new(calendar));
        Ok(scorer)
    }
}
