//! Anomaly revisions as `CloudEvents` 1.0, structured JSON mode.

use std::borrow::Cow;

use iotpm_core::{AnomalyRevision, AnomalyState, features::WindowFeatures};
use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::tables::Contributor;

/// What an event says about the signal beside the revision.
pub(crate) struct Subject<'a> {
    pub source: &'a str,
    pub site: &'a str,
    pub asset: &'a str,
    pub signal: &'a str,
    pub name: &'a str,
    pub unit: Option<&'a str>,
    pub failure_mode: Option<&'a str>,
    pub contributors: &'a [Contributor],
}

#[derive(Serialize)]
struct Event<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Time>,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    sensor_id: &'a str,
    window_start: Option<Time>,
    window_end: Option<Time>,
    anomaly_score: f64,
    is_anomaly: bool,
    features: Features<'a>,
    site: &'a str,
    asset: &'a str,
    signal: &'a str,
    unit: Option<&'a str>,
    detector: Cow<'static, str>,
    kind: &'static str,
    revision: u32,
    state: &'static str,
    severity: &'static str,
    start: Option<Time>,
    end: Option<Time>,
    peak: Peak,
    value: f64,
    expected: f64,
    direction: i8,
    maturity: &'static str,
    quality: &'static str,
    agreeing: Vec<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_mode: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    contributors: &'a [Contributor],
    seq: u64,
}

#[derive(Serialize)]
struct Peak {
    time: Option<Time>,
    score: f64,
    value: f64,
}

/// RFC 3339, UTC, as many digits as the microseconds need.
struct Time(Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// `None` outside the years -9999 to 9999, which RFC 3339 cannot say.
fn time(us: i64) -> Option<Time> {
    Timestamp::from_microsecond(us).ok().map(Time)
}

/// Features by name; undefined ones are null.
struct Features<'a>(Option<&'a WindowFeatures>);

impl Serialize for Features<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(WindowFeatures::NAMES.len()))?;
        for (index, name) in WindowFeatures::NAMES.iter().enumerate() {
            map.serialize_entry(name, &self.0.map(|features| features.0[index]).filter(|value| value.is_finite()))?;
        }
        map.end()
    }
}

/// Names of the detectors that reached 1.0 during it.
pub(crate) fn agreeing(revision: &AnomalyRevision) -> Vec<Cow<'static, str>> {
    revision.agreeing.iter().map(|detector| detector.name_of(revision.feature)).collect()
}

fn kind(state: AnomalyState) -> &'static str {
    match state {
        AnomalyState::Begin => "io.iotpm.anomaly.begin",
        AnomalyState::Worse => "io.iotpm.anomaly.worse",
        AnomalyState::End => "io.iotpm.anomaly.end",
    }
}

/// The event of a revision: the same revision gives the same bytes. Non-finite numbers are null.
pub(crate) fn encode(revision: &AnomalyRevision, subject: &Subject<'_>) -> serde_json::Result<Vec<u8>> {
    let window = revision.window.as_ref();
    let event = Event {
        specversion: "1.0",
        id: format!("{:016x}:{}", revision.id, revision.revision),
        source: subject.source,
        kind: kind(revision.state),
        subject: subject.name,
        time: time(revision.time_us),
        datacontenttype: "application/json",
        data: Data {
            sensor_id: subject.name,
            window_start: window.and_then(|(start, _, _)| time(*start)),
            window_end: window.and_then(|(_, end, _)| time(*end)),
            anomaly_score: revision.score,
            is_anomaly: revision.state != AnomalyState::End,
            features: Features(window.map(|(_, _, features)| &**features)),
            site: subject.site,
            asset: subject.asset,
            signal: subject.signal,
            unit: subject.unit,
            detector: revision.detector.name_of(revision.feature),
            kind: revision.kind.name(),
            revision: revision.revision,
            state: revision.state.name(),
            severity: revision.severity.name(),
            start: time(revision.start_us),
            end: revision.end_us.and_then(time),
            peak: Peak { time: time(revision.peak_us), score: revision.peak_score, value: revision.peak_value },
            value: revision.value,
            expected: revision.expected,
            direction: revision.direction,
            maturity: revision.maturity.name(),
            quality: revision.quality.name(),
            agreeing: agreeing(revision),
            failure_mode: subject.failure_mode,
            contributors: subject.contributors,
            seq: revision.sequence,
        },
    };
    serde_json::to_vec(&event)
}

#[cfg(test)]
mod tests {
    use iotpm_core::{AnomalyKind, Detector, DetectorSet, Maturity, Quality, Severity, SignalId};
    use serde_json::{Value, json};

    use super::*;

    fn revision() -> AnomalyRevision {
        AnomalyRevision {
            id: 0xab,
            signal: SignalId(3),
            detector: Detector::ModifiedZ,
            feature: None,
            kind: AnomalyKind::Spike,
            revision: 2,
            state: AnomalyState::End,
            severity: Severity::High,
            start_us: 1_700_000_000_000_000,
            time_us: 1_700_000_005_250_000,
            end_us: Some(1_700_000_004_000_000),
            peak_us: 1_700_000_001_000_000,
            peak_score: 4.5,
            peak_value: 99.5,
            score: 0.25,
            value: 20.5,
            expected: f64::NAN,
            direction: 1,
            maturity: Maturity::Mature,
            quality: Quality::Uncertain,
            agreeing: DetectorSet::of(Detector::ModifiedZ).with(DetectorSet::of(Detector::EmaBaseline)),
            window: Some((1, 2, Box::new(WindowFeatures([f64::NAN; 17])))),
            contributions: Box::default(),
            sequence: 12,
            position: 0,
        }
    }

    fn hinting(revision: &AnomalyRevision, failure_mode: Option<&str>) -> Value {
        let (source, site, asset, signal, name) = ("iotpm/0", "s", "a", "t", "s/a/t");
        let subject = Subject { source, site, asset, signal, name, unit: Some("Cel"), failure_mode, contributors: &[] };
        serde_json::from_slice(&encode(revision, &subject).unwrap()).unwrap()
    }

    fn event(revision: &AnomalyRevision) -> Value {
        hinting(revision, None)
    }

    #[test]
    fn it_names_the_failure_mode_only_where_a_template_does() {
        assert_eq!(hinting(&revision(), Some("VIB"))["data"]["failure_mode"], "VIB");
        assert!(event(&revision())["data"].get("failure_mode").is_none());
    }

    #[test]
    fn it_is_a_cloud_event() {
        let event = event(&revision());
        for (key, wanted) in [
            ("specversion", "1.0"),
            ("id", "00000000000000ab:2"),
            ("source", "iotpm/0"),
            ("type", "io.iotpm.anomaly.end"),
            ("subject", "s/a/t"),
            ("time", "2023-11-14T22:13:25.25Z"),
            ("datacontenttype", "application/json"),
        ] {
            assert_eq!(event[key], wanted);
        }
    }

    #[test]
    fn its_data_say_what_happened_and_unknown_is_null() {
        let data = &event(&revision())["data"];
        assert_eq!(data["peak"], json!({"time": "2023-11-14T22:13:21Z", "score": 4.5, "value": 99.5}));
        assert_eq!(
            (&data["is_anomaly"], &data["expected"], &data["unit"]),
            (&json!(false), &Value::Null, &json!("Cel"))
        );
        assert_eq!(
            (&data["quality"], &data["agreeing"]),
            (&json!("uncertain"), &json!(["modified_z", "ema_baseline"]))
        );
        assert_eq!(data["features"].as_object().unwrap().len(), 17);
        assert_eq!(data["features"]["rms"], Value::Null);
        assert_eq!(data["window_start"], "1970-01-01T00:00:00.000001Z");
    }

    #[test]
    fn a_time_beyond_rfc_3339_is_left_out() {
        let event = event(&AnomalyRevision { time_us: i64::MAX, window: None, ..revision() });
        assert_eq!((event.get("time"), &event["data"]["window_start"]), (None, &Value::Null));
    }
}
