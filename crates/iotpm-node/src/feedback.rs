//! The control message `feedback`: what an operator says, checked, and its row in the table `feedback`.

use std::sync::Arc;

use arrow_array::RecordBatch;
use iotpm_core::{AnomalyKind, Detector, Example, Label, Labels, Statement};
use serde::Deserialize;

use crate::{columns::Columns, error::Result, tables::Journal};

const ID_MAX: usize = 64;
const AUTHOR_MAX: usize = 200;
const NOTE_MAX: usize = 4000;
const NAME_MAX: usize = 1000;
/// Years 1 to 9999, which every reader of the store can show.
const TIMES_US: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_000_000;

/// The message as it travels, JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    action: Action,
    /// Number of the label, chosen by whoever says it.
    id: String,
    /// Who says it.
    author: String,
    #[serde(default)]
    note: String,
    /// When it was said, by the clock of whoever says it.
    #[serde(default)]
    said_us: Option<i64>,
    label: Option<LabelName>,
    /// The anomaly's id, for whoever reads the table.
    anomaly: Option<String>,
    name: Option<String>,
    detector: Option<String>,
    kind: Option<String>,
    direction: Option<i8>,
    peak_score: Option<f64>,
    start_us: Option<i64>,
    end_us: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Label,
    Withdraw,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Withdraw => "withdraw",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LabelName {
    True,
    False,
    Maintenance,
}

impl LabelName {
    fn name(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Maintenance => "maintenance",
        }
    }
}

/// A message that acted.
#[derive(Clone, Debug)]
pub(crate) struct FeedbackRow {
    pub sequence: u64,
    wire: Wire,
}

/// Reads a message and lets it act on the labels; the error says what is wrong and what would do.
pub(crate) fn take(payload: &[u8], sequence: u64, labels: &mut Labels) -> std::result::Result<FeedbackRow, String> {
    let wire: Wire = serde_json::from_slice(payload).map_err(|error| format!("feedback: {error}"))?;
    check_texts(&wire)?;
    match wire.action {
        Action::Withdraw => labels.withdraw(&wire.id).map(|_| ()),
        Action::Label => labels.add(Label { id: Arc::from(wire.id.as_str()), statement: statement(&wire)? }),
    }
    .map_err(|refused| refused.to_string())?;
    Ok(FeedbackRow { sequence, wire })
}

fn check_texts(wire: &Wire) -> std::result::Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if wire.id.is_empty() || wire.id.len() > ID_MAX || !wire.id.chars().all(plain) {
        return Err(format!("id {:?}: must be 1 to {ID_MAX} letters, digits, '-' or '_'", wire.id));
    }
    if wire.author.is_empty() {
        return Err("author: must not be empty, for it is kept who said what".into());
    }
    let name = wire.name.as_deref().unwrap_or_default();
    let anomaly = wire.anomaly.as_deref().unwrap_or_default();
    let texts = [
        ("author", &*wire.author, AUTHOR_MAX),
        ("note", &wire.note, NOTE_MAX),
        ("name", name, NAME_MAX),
        ("anomaly", anomaly, ID_MAX),
    ];
    let times = [("start_us", wire.start_us), ("end_us", wire.end_us), ("said_us", wire.said_us)];
    if let Some((key, Some(time_us))) = times.into_iter().find(|(_, t)| t.is_some_and(|t| !TIMES_US.contains(&t))) {
        return Err(format!("{key} {time_us}: must be microseconds since 1970, in the years 1 to 9999"));
    }
    match texts.into_iter().find(|(_, text, max)| text.len() > *max) {
        Some((key, text, max)) => Err(format!("{key}: {} bytes, must be at most {max}", text.len())),
        None => Ok(()),
    }
}

fn statement(wire: &Wire) -> std::result::Result<Statement, String> {
    let label = wire.label.ok_or("label: missing, must be true, false or maintenance")?;
    let name: Arc<str> = wire.name.as_deref().ok_or("name: missing, must be site/asset or site/asset/signal")?.into();
    let (start_us, end_us) = (given("start_us", wire.start_us)?, given("end_us", wire.end_us)?);
    if end_us < start_us || label == LabelName::Maintenance && end_us == start_us {
        return Err(format!("end_us {end_us}: must be after start_us {start_us}"));
    }
    let parts = name.split('/').count();
    let wanted: &[usize] = if label == LabelName::Maintenance { &[2, 3] } else { &[3] };
    if !wanted.contains(&parts) || name.split('/').any(str::is_empty) {
        return Err(format!(
            "name {name:?}: must be site/asset/signal, or site/asset for maintenance of all its signals"
        ));
    }
    match label {
        LabelName::Maintenance => Ok(Statement::Maintenance { name, from_us: start_us, to_us: end_us }),
        LabelName::True => Ok(Statement::True(example(wire, name, end_us.saturating_sub(start_us))?)),
        LabelName::False => Ok(Statement::False(example(wire, name, end_us.saturating_sub(start_us))?)),
    }
}

fn example(wire: &Wire, signal: Arc<str>, duration_us: i64) -> std::result::Result<Example, String> {
    let detector = given("detector", wire.detector.as_deref())?;
    let kind = given("kind", wire.kind.as_deref())?;
    let (peak_score, direction) = (given("peak_score", wire.peak_score)?, given("direction", wire.direction)?);
    let unknown = |key: &str, name: &str| format!("{key} {name:?}: must be one that the anomaly's row has");
    let (detector, feature) = Detector::of_name(detector).ok_or_else(|| unknown("detector", detector))?;
    let kind = AnomalyKind::named(kind).ok_or_else(|| unknown("kind", kind))?;
    if !(peak_score.is_finite() && peak_score >= 0.0) {
        return Err(format!("peak_score {peak_score}: must be a finite number, at least 0"));
    }
    if !(-1..=1).contains(&direction) {
        return Err(format!("direction {direction}: must be -1, 0 or 1"));
    }
    Ok(Example { signal, detector, feature, kind, direction, peak_score, duration_us })
}

fn given<T>(key: &str, value: Option<T>) -> std::result::Result<T, String> {
    value.ok_or_else(|| format!("{key}: missing, a label needs it"))
}

/// Columns as in `docs/interfaces.md`.
pub(crate) fn table(rows: &[FeedbackRow], journal: &Journal) -> Result<RecordBatch> {
    let each = || rows.iter().map(|row| &row.wire);
    let time = |value: Option<i64>| value.unwrap_or(iotpm_core::NO_STREAM_TIME);
    Columns::new("feedback")
        .texts("id", each().map(|wire| &*wire.id))?
        .texts("action", each().map(|wire| wire.action.name()))?
        .optional_texts("label", each().map(|wire| wire.label.map(LabelName::name)))?
        .optional_texts("anomaly", each().map(|wire| wire.anomaly.as_deref()))?
        .optional_texts("name", each().map(|wire| wire.name.as_deref()))?
        .optional_texts("detector", each().map(|wire| wire.detector.as_deref()))?
        .optional_texts("kind", each().map(|wire| wire.kind.as_deref()))?
        .optional_texts("direction", each().map(|wire| wire.direction.map(side)))?
        .finite_f64s("peak_score", each().map(|wire| wire.peak_score.unwrap_or(f64::NAN)).collect())
        .known_times("start", each().map(|wire| time(wire.start_us)).collect())
        .known_times("end", each().map(|wire| time(wire.end_us)).collect())
        .texts("author", each().map(|wire| &*wire.author))?
        .texts("note", each().map(|wire| &*wire.note))?
        .known_times("said_at", each().map(|wire| time(wire.said_us)).collect())
        .known_times("stored_at", rows.iter().map(|row| journal.stored_us(row.sequence)).collect())
        .u64s("seq", rows.iter().map(|row| row.sequence).collect())
        .finish()
}

fn side(direction: i8) -> &'static str {
    match direction {
        1 => "above",
        -1 => "below",
        _ => "either",
    }
}
