//! Arguments of the engine, copied in while the GIL is held.

use std::collections::HashMap;

use arrow_array::{
    Array, ArrayRef, RecordBatch, StringArray,
    cast::AsArray,
    types::{Float64Type, TimestampMicrosecondType, UInt8Type},
};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use iotpm_node::{NodeError, Pipeline};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3_arrow::PyRecordBatchReader;

use crate::errors::input;

/// Which signal each row belongs to.
pub enum Signals {
    /// All rows to one.
    One(String),
    /// Numbers.
    Ids(Vec<u32>),
    /// Names, each once, and for every row the place of its name.
    Names(Vec<String>, Vec<u32>),
}

impl Signals {
    /// From one name, an array of numbers, or names.
    pub fn extract(signals: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(name) = signals.extract::<String>() {
            return Ok(Self::One(name));
        }
        if let Ok(ids) = signals.extract::<PyReadonlyArray1<'_, u32>>() {
            return Ok(Self::Ids(ids.as_array().to_vec()));
        }
        let mut names = Interner::default();
        let mut places = Vec::with_capacity(signals.len().unwrap_or(0));
        for name in signals.try_iter()? {
            let name = name?;
            let text = name.extract::<std::borrow::Cow<'_, str>>();
            let text = text.map_err(|_| input(format!("signals: {name:?} is no name; pass str, or uint32 numbers")))?;
            places.push(names.place(&text));
        }
        Ok(Self::Names(names.names, places))
    }

    /// Numbers for `rows` rows, new names registered.
    pub fn resolve(self, pipeline: &mut Pipeline, rows: usize) -> Result<Vec<u32>, NodeError> {
        match self {
            Self::One(name) => Ok(vec![pipeline.signal_id(&name)?; rows]),
            Self::Ids(ids) => Ok(ids),
            Self::Names(names, places) => {
                let ids = names.iter().map(|name| pipeline.signal_id(name)).collect::<Result<Vec<_>, _>>()?;
                Ok(places.into_iter().map(|place| ids[place as usize]).collect())
            }
        }
    }
}

#[derive(Default)]
struct Interner {
    names: Vec<String>,
    places: HashMap<String, u32>,
}

impl Interner {
    fn place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        place
    }
}

/// Readings as columns.
pub struct Columns {
    pub signals: Signals,
    pub times_us: Vec<i64>,
    pub values: Vec<f64>,
    pub quality: Option<Vec<u8>>,
    /// The first time, where times came as integers: only who made them knows of what unit.
    pub first_integer: Option<i64>,
}

impl Columns {
    /// From columns `signal`, `timestamp`, `value` and optionally `quality` of anything with `__arrow_c_stream__`.
    pub fn from_arrow(stream: &Bound<'_, PyAny>) -> PyResult<Self> {
        let reader = stream.extract::<PyRecordBatchReader>()?.into_reader()?;
        let mut names = Interner::default();
        let (mut places, mut times_us, mut values, mut quality) = (Vec::new(), Vec::new(), Vec::new(), None);
        let mut integers = false;
        for batch in reader {
            let batch = batch.map_err(|error| input(format!("Arrow stream: {error}")))?;
            let signals = column(&batch, "signal", &DataType::Utf8, false)?;
            let texts: &StringArray = signals.as_string();
            places.extend(texts.iter().map(|name| names.place(name.unwrap_or_default())));
            integers |= batch.column_by_name("timestamp").is_some_and(|times| times.data_type().is_integer());
            times_us.extend_from_slice(times(&batch)?.as_primitive::<TimestampMicrosecondType>().values());
            let numbers = column(&batch, "value", &DataType::Float64, true)?;
            values.extend(numbers.as_primitive::<Float64Type>().iter().map(|value| value.unwrap_or(f64::NAN)));
            if batch.column_by_name("quality").is_some() {
                let codes = column(&batch, "quality", &DataType::UInt8, false)?;
                quality.get_or_insert_with(Vec::new).extend_from_slice(codes.as_primitive::<UInt8Type>().values());
            }
        }
        let first_integer = times_us.first().copied().filter(|_| integers);
        Ok(Self { signals: Signals::Names(names.names, places), times_us, values, quality, first_integer })
    }
}

/// Microseconds of column `timestamp`, whatever its unit; a time zone only says how to show it.
fn times(batch: &RecordBatch) -> PyResult<ArrayRef> {
    let zone = match batch.column_by_name("timestamp").map(Array::data_type) {
        Some(DataType::Timestamp(_, zone)) => zone.clone(),
        Some(DataType::Int64) | None => None,
        Some(other) => {
            return Err(input(format!("column 'timestamp' is {other}: must be a timestamp or int64 microseconds")));
        }
    };
    column(batch, "timestamp", &DataType::Timestamp(TimeUnit::Microsecond, zone), false)
}

/// A column as the wanted type.
fn column(batch: &RecordBatch, name: &str, wanted: &DataType, nullable: bool) -> PyResult<ArrayRef> {
    let found = batch.column_by_name(name).ok_or_else(|| {
        let names: Vec<_> = batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
        input(format!("column '{name}' is missing among {}: need signal, timestamp, value", names.join(", ")))
    })?;
    if !nullable && found.null_count() > 0 {
        return Err(input(format!("column '{name}' has {} nulls: must have none", found.null_count())));
    }
    cast(found, wanted).map_err(|error| input(format!("column '{name}' is {}: {error}", found.data_type())))
}
