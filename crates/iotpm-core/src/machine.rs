//! Facts about the machine that a signal belongs to: what a name plate and a data sheet say.

use serde::{Deserialize, Serialize};

use crate::{Result, Template, template::require};

/// How a machine stands on its foundation, in the sense of ISO 20816-3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mounting {
    /// The lowest natural frequency of machine and support lies at least a quarter above the main excitation.
    Rigid,
    /// Any other support.
    Flexible,
}

/// Geometry of a rolling bearing, from which the frequencies of its faults follow; all of it or nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BearingFacts {
    /// Name in a catalogue, such as `6205`; only shown.
    pub name: Option<String>,
    /// Balls or rollers in one row.
    pub elements: Option<u32>,
    /// Diameter of a ball or roller, millimetres.
    pub element_diameter_mm: Option<f64>,
    /// Diameter of the circle through the centres of the elements, millimetres.
    pub pitch_diameter_mm: Option<f64>,
    /// Contact angle, degrees.
    pub contact_angle_deg: f64,
}

/// The machine behind a signal; what is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Machine {
    /// `pump`, `motor`, `fan`, `compressor`, `gearbox`, `conveyor`, `spindle`; free text.
    pub kind: Option<String>,
    /// Nominal speed of the shaft, revolutions per minute.
    pub speed_rpm: Option<f64>,
    /// Rated power, kilowatts.
    pub power_kw: Option<f64>,
    /// Machine group: 1 (above 300 kW) or 2 (15 to 300 kW) of ISO 20816-3; 3 or 4, pumps in ISO 10816-3:1998.
    pub group: Option<u8>,
    /// How it stands.
    pub mounting: Option<Mounting>,
    /// The bearing next to the sensor.
    pub bearing: BearingFacts,
    /// Teeth of the gear wheel on the shaft, one number a mesh.
    pub gear_teeth: Vec<u32>,
}

/// Whether every fact is possible.
pub(crate) fn check(t: &Template, machine: &Machine) -> Result<()> {
    let positive = |value: Option<f64>| value.is_none_or(|v| v.is_finite() && v > 0.0);
    let (speed, power, group) = (machine.speed_rpm, machine.power_kw, machine.group);
    require(t, "machine.speed_rpm", speed, positive(speed), "a positive number of revolutions per minute")?;
    require(t, "machine.power_kw", power, positive(power), "a positive number of kilowatts")?;
    require(
        t,
        "machine.group",
        group,
        group.is_none_or(|g| (1..=4).contains(&g)),
        "1 to 4: groups of ISO 20816-3 or, for pumps, ISO 10816-3:1998",
    )?;
    let teeth = &machine.gear_teeth;
    require(t, "machine.gear_teeth", teeth, teeth.iter().all(|n| *n > 0), "positive numbers of teeth")?;
    check_bearing(t, &machine.bearing)
}

fn check_bearing(t: &Template, bearing: &BearingFacts) -> Result<()> {
    let (elements, element, pitch) = (bearing.elements, bearing.element_diameter_mm, bearing.pitch_diameter_mm);
    let known = [elements.is_some(), element.is_some(), pitch.is_some()];
    let whole = known.iter().all(|is| *is) || !known.iter().any(|is| *is);
    require(
        t,
        "machine.bearing",
        known,
        whole,
        "elements, element_diameter_mm and pitch_diameter_mm, or none of them",
    )?;
    require(t, "machine.bearing.elements", elements, elements.is_none_or(|n| n >= 3), "at least 3")?;
    let fits = element.zip(pitch).is_none_or(|(element, pitch)| element > 0.0 && element < pitch && pitch.is_finite());
    require(t, "machine.bearing.element_diameter_mm", element, fits, "positive and below pitch_diameter_mm")?;
    let angle = bearing.contact_angle_deg;
    require(t, "machine.bearing.contact_angle_deg", angle, (0.0..90.0).contains(&angle), "from 0 to below 90 degrees")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Templates;

    fn accepts(machine: &str) -> bool {
        let template: Template = serde_json::from_str(&format!(r#"{{"machine":{machine}}}"#)).expect("known keys");
        Templates::new(vec![template]).is_ok()
    }

    #[test]
    fn facts_that_cannot_be_are_refused() {
        let bearing = |elements: u32, element: f64, angle: f64| {
            format!(
                r#"{{"bearing":{{"elements":{elements},"element_diameter_mm":{element},"pitch_diameter_mm":39.0,"contact_angle_deg":{angle}}}}}"#
            )
        };
        assert!(accepts(
            r#"{"kind":"pump","speed_rpm":1480,"power_kw":22,"group":2,"mounting":"rigid","gear_teeth":[18]}"#
        ));
        assert!(accepts(&bearing(9, 7.9, 0.0)));
        let wrong = [r#"{"speed_rpm":0}"#, r#"{"power_kw":-1}"#, r#"{"group":5}"#, r#"{"gear_teeth":[0]}"#];
        assert!(wrong.iter().all(|machine| !accepts(machine)));
        let impossible = [bearing(2, 7.9, 0.0), bearing(9, 40.0, 0.0), bearing(9, 7.9, 90.0)];
        assert!(impossible.iter().all(|machine| !accepts(machine)));
        assert!(!accepts(r#"{"bearing":{"elements":9}}"#));
    }
}
