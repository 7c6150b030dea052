//! Units: UCUM (the Unified Code for Units of Measure, case-sensitive), and conversion between commensurable ones.
//!
//! Sensors in the field rarely write UCUM, so these spellings are understood too:
//!
//! | written | means |
//! |---|---|
//! | `°C` `℃` `degC` `C` | `Cel`; a coulomb must be written `A.s` |
//! | `°F` `℉` `degF` | `[degF]`; plain `F` stays farad |
//! | `rpm` `RPM` `r/min` | `/min`, revolutions counted: 60 rpm = 1 Hz, and no conversion to `rad/s` |
//! | `kWh` `Wh` `psi` `ohm` `Ω` | `kW.h` `W.h` `[psi]` `Ohm` `Ohm` |
//! | `m/s^2` | `m/s2` |
//! | characters `µ` `μ` `²` `³` `·` | `u` `u` `2` `3` `.` |
//!
//! Nothing else is guessed: `g` is gram (acceleration in multiples of gravity is `[g]`), and a spelling that is neither
//! UCUM nor in the table is an error. Logarithmic units (`dB`, `[pH]`) convert only to themselves.

use std::borrow::Cow;

use ucum::Analysis;

use crate::{CodecError, Result, error::excerpt};

/// Longest unit that is looked at, in bytes.
const MAX_UNIT_BYTES: usize = 64;

/// `value in to = value in from * factor + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conversion {
    /// Factor, never zero.
    pub factor: f64,
    /// Offset, added after the factor, in the unit converted to.
    pub offset: f64,
}

impl Conversion {
    /// Changes nothing.
    pub const IDENTITY: Self = Self { factor: 1.0, offset: 0.0 };

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        *self == Self::IDENTITY
    }

    /// The value in the unit converted to; an identity gives back every bit.
    #[must_use]
    pub fn apply(&self, value: f64) -> f64 {
        if self.is_identity() { value } else { value * self.factor + self.offset }
    }
}

/// How a value in the unit `from` becomes one in the unit `to`. Costs microseconds: keep it per signal.
///
/// An empty unit on either side means "not stated" and, like two equal units, gives [`Conversion::IDENTITY`].
///
/// # Errors
/// [`CodecError::UnknownUnit`] naming the one that is not understood, [`CodecError::IncommensurableUnits`] naming both
/// when no linear conversion exists.
///
/// ```
/// let fahrenheit = iotpm_codec::unit::conversion("°F", "Cel")?;
/// assert!((fahrenheit.apply(212.0) - 100.0).abs() < 1e-9);
/// # Ok::<(), iotpm_codec::CodecError>(())
/// ```
pub fn conversion(from: &str, to: &str) -> Result<Conversion> {
    let (source, target) = (canonical(from), canonical(to));
    if source.is_empty() || target.is_empty() || source == target {
        return Ok(Conversion::IDENTITY);
    }
    let (source_unit, target_unit) = (analyze(from, &source)?, analyze(to, &target)?);
    let no_way = || CodecError::IncommensurableUnits { from: excerpt(from), to: excerpt(to) };
    ucum::convert(1.0, &source, &target).map_err(|_| no_way())?;
    if !is_linear(&source_unit) || !is_linear(&target_unit) {
        return Err(no_way());
    }
    linear(&source_unit, &target_unit).ok_or_else(no_way)
}

/// Whether a unit is understood; an empty one is.
///
/// # Errors
/// [`CodecError::UnknownUnit`].
pub fn check(unit: &str) -> Result<()> {
    let code = canonical(unit);
    if code.is_empty() { Ok(()) } else { analyze(unit, &code).map(|_| ()) }
}

/// base = factor * value + offset holds in both units (UCUM §21-22), so the bases are set equal.
fn linear(from: &Analysis, to: &Analysis) -> Option<Conversion> {
    let conversion = Conversion { factor: from.factor / to.factor, offset: (from.offset - to.offset) / to.factor };
    let usable = conversion.factor.is_normal() && conversion.offset.is_finite();
    usable.then_some(conversion)
}

/// Special units with an offset are the temperatures; the others are logarithmic or arbitrary.
fn is_linear(unit: &Analysis) -> bool {
    !unit.is_special || unit.offset != 0.0
}

fn analyze(written: &str, code: &str) -> Result<Analysis> {
    let unknown = |detail: String| CodecError::UnknownUnit { unit: excerpt(written), detail };
    if code.len() > MAX_UNIT_BYTES {
        return Err(unknown(format!("longer than {MAX_UNIT_BYTES} bytes")));
    }
    ucum::analyze(code).map_err(|error| unknown(excerpt(&error.to_string())))
}

/// The UCUM code of a unit as it is written in the field; texts that need no change are borrowed.
#[must_use]
pub fn canonical(unit: &str) -> Cow<'_, str> {
    let unit = unit.trim();
    match alias(unit) {
        Some(code) => Cow::Borrowed(code),
        None if unit.is_ascii() => Cow::Borrowed(unit),
        None => Cow::Owned(unit.chars().map(ascii_of).collect()),
    }
}

fn alias(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "°C" | "℃" | "degC" | "C" => "Cel",
        "°F" | "℉" | "degF" => "[degF]",
        "rpm" | "RPM" | "r/min" => "/min",
        "kWh" => "kW.h",
        "Wh" => "W.h",
        "psi" => "[psi]",
        "ohm" | "\u{03A9}" | "\u{2126}" => "Ohm",
        "m/s^2" => "m/s2",
        _ => return None,
    })
}

fn ascii_of(character: char) -> char {
    match character {
        'µ' | 'μ' => 'u',
        '²' => '2',
        '³' => '3',
        '·' => '.',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn converted(value: f64, from: &str, to: &str) -> f64 {
        conversion(from, to).unwrap().apply(value)
    }

    #[test]
    fn known_conversions() {
        let cases = [
            (100.0, "Cel", "[degF]", 212.0),
            (32.0, "°F", "°C", 0.0),
            (0.0, "degC", "K", 273.15),
            (1.0, "bar", "kPa", 100.0),
            (1.0, "psi", "Pa", 6_894.757_293_168),
            (3_000.0, "rpm", "Hz", 50.0),
            (1.0, "[g]", "m/s²", 9.806_65),
            (1.0, "in", "in", 1.0),
            (25.4, "mm/s", "[in_i]/s", 1.0),
            (1_000.0, "µm", "mm", 1.0),
            (1.0, "kWh", "J", 3.6e6),
            (50.0, "%", "1", 0.5),
            (1.0, "g", "kg", 0.001),
        ];
        for (value, from, to, expected) in cases {
            let got = converted(value, from, to);
            assert!((got - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{value} {from} -> {to}: {got}");
        }
    }

    #[test]
    fn not_stated_and_equal_units_change_no_bit() {
        for (from, to) in
            [("", "Cel"), ("Cel", ""), ("dB", "dB"), ("C", "°C"), ("flurble", "flurble"), (" Cel ", "Cel")]
        {
            assert!(conversion(from, to).unwrap().is_identity(), "{from} -> {to}");
        }
    }

    #[test]
    fn what_cannot_be_converted_names_both_units() {
        for (from, to) in [("Cel", "bar"), ("g", "m/s2"), ("rpm", "rad/s"), ("dB", "1"), ("[pH]", "mol/l"), ("F", "K")]
        {
            let error = conversion(from, to).unwrap_err();
            assert_eq!(error.reason(), "incommensurable_units", "{from} -> {to}");
            assert!(error.to_string().contains(from) && error.to_string().contains(to));
        }
    }

    #[test]
    fn unknown_units_are_named() {
        for unit in ["flurble", "m//s", "((((", &"m".repeat(1_000)] {
            let error = conversion(unit, "Cel").unwrap_err();
            assert_eq!(error.reason(), "unknown_unit", "{unit}");
            assert_eq!(conversion("Cel", unit).unwrap_err().reason(), "unknown_unit", "{unit}");
            assert!(check(unit).is_err());
        }
        assert!(check("").is_ok() && check("mm/s").is_ok());
    }

    proptest! {
        #[test]
        fn agrees_with_the_library(
            value in -1e6..1e6_f64, pair in prop::sample::select(vec![
                ("Cel", "K"), ("[degF]", "Cel"), ("bar", "[psi]"), ("km/h", "m/s"), ("kW.h", "MJ"), ("deg", "rad")])
        ) {
            let expected = ucum::convert(value, pair.0, pair.1).unwrap();
            let got = converted(value, pair.0, pair.1);
            prop_assert!((got - expected).abs() <= 1e-9 * expected.abs().max(1.0));
        }

        #[test]
        fn there_and_back_again(value in -1e6..1e6_f64) {
            let there = converted(value, "Cel", "[degF]");
            prop_assert!((converted(there, "[degF]", "Cel") - value).abs() < 1e-6);
        }

        #[test]
        fn no_text_panics(from in "\\PC{0,24}", to in "[a-zA-Z\\[\\]/.()0-9°µ²%^-]{0,24}") {
            if let Ok(conversion) = conversion(&from, &to) {
                prop_assert!(conversion.factor.is_finite() && conversion.offset.is_finite());
            }
        }
    }
}
