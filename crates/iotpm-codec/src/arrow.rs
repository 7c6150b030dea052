//! Arrow IPC stream: many readings in columns, one or more record batches.
//!
//! | column | type | |
//! |---|---|---|
//! | `value` | float or integer of any width | required; null is a failed measurement |
//! | `timestamp` | int64 (microseconds) or timestamp of any unit (UTC, a time zone is only for display) | null or no column: stream time |
//! | `signal`, or `sensor_id` and `metric` | text | see the naming rule in [`crate::name`] |
//! | `unit`, `location` | text | |
//! | `quality` | text or number | see [`crate::quality`] |
//!
//! Text is utf8, large utf8, utf8 view, or a dictionary of one of them. Other columns are ignored if they are numbers,
//! booleans, timestamps or texts; nested and other types, compression and delta dictionaries are refused.
//!
//! The arrays themselves are read by `arrow-ipc`. Its readers allocate what a stream declares and panic on some
//! malformed schemas, so that the framing is walked here: every declared length is checked against the bytes that are
//! there before it is used, the schema is built from the supported types only, and each batch then is a slice of one
//! buffer, without a copy.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
    cast::AsArray,
    types::{
        Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
        TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
        UInt64Type,
    },
};
use arrow_buffer::{Buffer, NullBuffer};
use arrow_ipc::{FieldNode, MessageHeader, reader};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use iotpm_core::Quality;

use crate::{CodecError, Decoded, Limits, Result, Sink, error::excerpt, quality, timestamp};

const CONTINUATION: [u8; 4] = [0xFF; 4];

/// Hands the readings of all batches to `sink`, row by row.
///
/// # Errors
/// When the stream is broken anywhere; `sink` has then been given nothing.
pub(crate) fn decode(payload: &[u8], limits: &Limits, sink: &mut impl Sink) -> Result<()> {
    let batches = batches(payload, limits)?;
    let columns = batches.iter().map(Columns::of).collect::<Result<Vec<_>>>()?;
    if batches.iter().all(|batch| batch.num_rows() == 0) {
        return Err(CodecError::EmptyPayload);
    }
    let mut position = 0;
    for columns in &columns {
        columns.emit(&mut position, limits, sink);
    }
    Ok(())
}

fn invalid(detail: impl AsRef<str>) -> CodecError {
    CodecError::InvalidArrow { detail: excerpt(detail.as_ref()) }
}

fn from_arrow(error: &ArrowError) -> CodecError {
    invalid(error.to_string())
}

/// The record batches of a stream.
fn batches(payload: &[u8], limits: &Limits) -> Result<Vec<RecordBatch>> {
    // One copy, into memory aligned for every type.
    let stream = Buffer::from_slice_ref(payload);
    let mut frames = Frames { payload: &stream, at: 0 };
    let first = frames.next().ok_or(CodecError::EmptyPayload)??;
    let mut reader = Reader::new(first.message, limits)?;
    for frame in frames {
        let frame = frame?;
        let body = stream.slice_with_length(frame.body_at, frame.body_bytes);
        reader.read(frame.message, &body)?;
    }
    Ok(reader.batches)
}

/// One encapsulated message: its verified metadata, and where its body lies.
struct Frame<'a> {
    message: arrow_ipc::Message<'a>,
    body_at: usize,
    body_bytes: usize,
}

/// Walks over the encapsulated messages of a stream, up to its end mark or its last byte.
struct Frames<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.payload.len() {
            return None;
        }
        let frame = self.frame().transpose();
        // Nothing is read after an error or the end mark.
        if !matches!(frame, Some(Ok(_))) {
            self.at = self.payload.len();
        }
        frame
    }
}

impl<'a> Frames<'a> {
    fn frame(&mut self) -> Result<Option<Frame<'a>>> {
        if self.take(4)? != CONTINUATION {
            return Err(invalid("a message does not begin with FF FF FF FF"));
        }
        let metadata_bytes = self.length()?;
        if metadata_bytes == 0 {
            return self.end();
        }
        let message = verified(self.take(metadata_bytes)?)?;
        let body_bytes = declared(message.bodyLength())?;
        let body_at = self.at;
        self.take(body_bytes)?;
        Ok(Some(Frame { message, body_at, body_bytes }))
    }

    fn end(&self) -> Result<Option<Frame<'a>>> {
        if self.at == self.payload.len() { Ok(None) } else { Err(invalid("bytes after its end mark")) }
    }

    fn length(&mut self) -> Result<usize> {
        let bytes = self.take(4)?;
        let length = bytes.first_chunk().map_or(-1, |bytes| i32::from_le_bytes(*bytes));
        declared(length.into())
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8]> {
        let rest = &self.payload[self.at..];
        let taken = rest.get(..bytes).ok_or_else(|| {
            invalid(format!("it ends after {} of {bytes} bytes declared at byte {}", rest.len(), self.at))
        })?;
        self.at += bytes;
        Ok(taken)
    }
}

/// A declared length that may not be negative.
fn declared(length: i64) -> Result<usize> {
    usize::try_from(length).map_err(|_| invalid(format!("a length of {length}")))
}

/// The metadata of a message, verified at a cost that is bounded by its own length: parts of it may be shared, and the
/// verifier walks a shared part once for each use.
fn verified(metadata: &[u8]) -> Result<arrow_ipc::Message<'_>> {
    let options =
        flatbuffers::VerifierOptions { max_apparent_size: 8 * metadata.len() + (64 << 10), ..Default::default() };
    arrow_ipc::root_as_message_with_opts(&options, metadata).map_err(|error| invalid(error.to_string()))
}

/// Reads the messages after the schema.
struct Reader<'l> {
    limits: &'l Limits,
    schema: Arc<Schema>,
    dictionaries: HashMap<i64, ArrayRef>,
    batches: Vec<RecordBatch>,
    rows: usize,
}

impl<'l> Reader<'l> {
    fn new(message: arrow_ipc::Message<'_>, limits: &'l Limits) -> Result<Self> {
        let schema = message.header_as_schema().ok_or_else(|| invalid("its first message is no schema"))?;
        let schema = Arc::new(schema_of(schema, limits)?);
        Ok(Self { limits, schema, dictionaries: HashMap::new(), batches: Vec::new(), rows: 0 })
    }

    fn read(&mut self, message: arrow_ipc::Message<'_>, body: &Buffer) -> Result<()> {
        match message.header_type() {
            MessageHeader::RecordBatch => self.record_batch(message, body),
            MessageHeader::DictionaryBatch => self.dictionary(message, body),
            other => Err(invalid(format!("a message of type {}", other.variant_name().unwrap_or("unknown")))),
        }
    }

    fn record_batch(&mut self, message: arrow_ipc::Message<'_>, body: &Buffer) -> Result<()> {
        let header = message.header_as_record_batch().ok_or_else(|| invalid("a record batch without header"))?;
        let types = self.schema.fields().iter().map(|field| field.data_type());
        self.rows += check_batch(header, types, body, self.limits)?;
        if self.rows > self.limits.max_readings {
            return Err(CodecError::TooManyReadings { max: self.limits.max_readings });
        }
        let schema = Arc::clone(&self.schema);
        let (dictionaries, version) = (&self.dictionaries, message.version());
        let batch = guarded(|| reader::read_record_batch(body, header, schema, dictionaries, None, &version))?;
        self.batches.push(batch);
        Ok(())
    }

    fn dictionary(&mut self, message: arrow_ipc::Message<'_>, body: &Buffer) -> Result<()> {
        let header = message.header_as_dictionary_batch().ok_or_else(|| invalid("a dictionary without header"))?;
        // Appending to dictionaries costs the square of their number.
        if header.isDelta() {
            return Err(invalid("a delta dictionary: send whole dictionaries"));
        }
        let data = header.data().ok_or_else(|| invalid("a dictionary without data"))?;
        let values = self.values_of(header.id())?;
        check_batch(data, std::iter::once(&values), body, self.limits)?;
        let (schema, dictionaries, version) = (&self.schema, &mut self.dictionaries, message.version());
        guarded(|| reader::read_dictionary(body, header, schema, dictionaries, &version))
    }

    /// Type of the values of a dictionary.
    fn values_of(&self, id: i64) -> Result<DataType> {
        #[expect(deprecated, reason = "the only way to learn a field's dictionary id, which IPC needs")]
        let mut fields = self.schema.fields().iter().filter(|field| field.dict_id() == Some(id));
        match fields.next().map(|field| field.data_type()) {
            Some(DataType::Dictionary(_, values)) => Ok(DataType::clone(values)),
            _ => Err(invalid(format!("a dictionary {id} that no column uses"))),
        }
    }
}

/// Runs a reader of `arrow-ipc`, and turns a panic into an error.
///
/// All we know of that makes it panic has been refused before; this is the last line. A message that brings the process
/// down would do so again at every restart, since the stream still holds it.
fn guarded<T>(read: impl FnOnce() -> std::result::Result<T, ArrowError>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(outcome) => outcome.map_err(|error| from_arrow(&error)),
        Err(_) => Err(invalid("the reader gave up on malformed data")),
    }
}

/// Checks rows, nodes and buffers of a batch against its body; gives the number of rows.
fn check_batch<'t>(
    batch: arrow_ipc::RecordBatch<'_>,
    types: impl Iterator<Item = &'t DataType>,
    body: &Buffer,
    limits: &Limits,
) -> Result<usize> {
    if batch.compression().is_some() {
        return Err(invalid("compressed buffers: write it uncompressed"));
    }
    let rows = declared(batch.length())?;
    if rows > limits.max_readings {
        return Err(CodecError::TooManyReadings { max: limits.max_readings });
    }
    let mut nodes = batch.nodes().into_iter().flatten();
    let mut buffers = Buffers::of(batch, body.len())?;
    for data_type in types {
        let node = nodes.next().ok_or_else(|| invalid("fewer nodes than columns"))?;
        check_node(node, rows, buffers.column(data_type)?)?;
    }
    if nodes.next().is_some() || !buffers.all_used() {
        return Err(invalid("more nodes or buffers than columns"));
    }
    Ok(rows)
}

/// Checks one column's length and nulls; `validity_bytes` is the length of its validity bitmap.
fn check_node(node: &FieldNode, rows: usize, validity_bytes: usize) -> Result<()> {
    let nulls = declared(node.null_count())?;
    match declared(node.length())? {
        length if length != rows => Err(invalid(format!("a column of {length} rows in a batch of {rows}"))),
        _ if nulls > rows => Err(invalid(format!("{nulls} nulls in {rows} rows"))),
        _ if nulls > 0 && validity_bytes < rows.div_ceil(8) => Err(invalid("a validity bitmap that is too short")),
        _ => Ok(()),
    }
}

/// The buffers of a batch, column by column.
struct Buffers {
    bytes: std::vec::IntoIter<usize>,
    views: std::vec::IntoIter<usize>,
}

impl Buffers {
    fn of(batch: arrow_ipc::RecordBatch<'_>, body_bytes: usize) -> Result<Self> {
        let within = |buffer: &arrow_ipc::Buffer| {
            let (offset, length) = (declared(buffer.offset())?, declared(buffer.length())?);
            let end = offset.checked_add(length).filter(|&end| end <= body_bytes);
            end.map(|_| length).ok_or_else(|| invalid("a buffer reaches beyond its message"))
        };
        let bytes = batch.buffers().into_iter().flatten().map(within).collect::<Result<Vec<_>>>()?;
        let views = batch.variadicBufferCounts().into_iter().flatten();
        let views = views.map(declared).collect::<Result<Vec<_>>>()?;
        Ok(Self { bytes: bytes.into_iter(), views: views.into_iter() })
    }

    /// Steps over the buffers of one column and gives the length of the first, its validity bitmap.
    fn column(&mut self, data_type: &DataType) -> Result<usize> {
        let validity = self.bytes.next().ok_or_else(too_few)?;
        let items = self.bytes.next().ok_or_else(too_few)?;
        if items % item_bytes(data_type) != 0 {
            return Err(invalid(format!("a buffer of {items} bytes in a column of {data_type}")));
        }
        let texts = match data_type {
            DataType::Utf8 | DataType::LargeUtf8 => 1,
            DataType::Utf8View => self.views.next().ok_or_else(too_few)?,
            _ => 0,
        };
        if texts > self.bytes.len() {
            return Err(too_few());
        }
        self.bytes.by_ref().take(texts).for_each(drop);
        Ok(validity)
    }

    fn all_used(&self) -> bool {
        self.bytes.len() == 0 && self.views.len() == 0
    }
}

fn too_few() -> CodecError {
    invalid("fewer buffers than its columns need")
}

/// Size of what a column's second buffer holds: values, offsets, views or keys. Its length must be a multiple of it.
fn item_bytes(data_type: &DataType) -> usize {
    match data_type {
        DataType::Utf8 => size_of::<i32>(),
        DataType::LargeUtf8 => size_of::<i64>(),
        DataType::Utf8View => size_of::<u128>(),
        DataType::Dictionary(keys, _) => keys.primitive_width().unwrap_or(1),
        other => other.primitive_width().unwrap_or(1),
    }
}

/// The schema with the supported types only; metadata is left out, every column may hold nulls.
fn schema_of(schema: arrow_ipc::Schema<'_>, limits: &Limits) -> Result<Schema> {
    if schema.endianness() != arrow_ipc::Endianness::Little {
        return Err(invalid("big-endian data: write it little-endian"));
    }
    let fields = schema.fields().ok_or_else(|| invalid("a schema without columns"))?;
    if fields.len() > limits.max_columns {
        return Err(invalid(format!("{} columns, at most {} are allowed", fields.len(), limits.max_columns)));
    }
    let fields = fields.iter().map(|field| field_of(field, limits)).collect::<Result<Vec<_>>>()?;
    Ok(Schema::new(fields))
}

fn field_of(field: arrow_ipc::Field<'_>, limits: &Limits) -> Result<Field> {
    let name = field.name().unwrap_or_default();
    let (bytes, max) = (name.len(), limits.max_string_bytes);
    if bytes > max {
        return Err(CodecError::StringTooLong { field: "column name", bytes, max });
    }
    let kind = field.type_type().variant_name().unwrap_or("unknown");
    let unsupported = || invalid(format!("column '{}' has the unsupported type {kind}: leave it out", excerpt(name)));
    let data_type = type_of(field).ok_or_else(unsupported)?;
    match field.dictionary() {
        None => Ok(Field::new(name, data_type, true)),
        Some(dictionary) => dictionary_of(name, &data_type, dictionary).ok_or_else(unsupported),
    }
}

fn dictionary_of(name: &str, values: &DataType, dictionary: arrow_ipc::DictionaryEncoding<'_>) -> Option<Field> {
    // An index without a type is a signed 32-bit integer, says the format.
    let index = dictionary.indexType().map_or(Some(DataType::Int32), integer)?;
    let data_type = DataType::Dictionary(Box::new(index), Box::new(values.clone()));
    #[expect(deprecated, reason = "the only way to tell a field's dictionary id, which IPC needs")]
    let field = Field::new_dict(name, data_type, true, dictionary.id(), dictionary.isOrdered());
    is_text(values).then_some(field)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn type_of(field: arrow_ipc::Field<'_>) -> Option<DataType> {
    match field.type_type() {
        arrow_ipc::Type::Int => integer(field.type_as_int()?),
        arrow_ipc::Type::FloatingPoint => float(field.type_as_floating_point()?.precision()),
        arrow_ipc::Type::Timestamp => time_unit(field.type_as_timestamp()?.unit()),
        arrow_ipc::Type::Bool => Some(DataType::Boolean),
        arrow_ipc::Type::Utf8 => Some(DataType::Utf8),
        arrow_ipc::Type::LargeUtf8 => Some(DataType::LargeUtf8),
        arrow_ipc::Type::Utf8View => Some(DataType::Utf8View),
        _ => None,
    }
}

fn integer(integer: arrow_ipc::Int<'_>) -> Option<DataType> {
    Some(match (integer.bitWidth(), integer.is_signed()) {
        (8, true) => DataType::Int8,
        (16, true) => DataType::Int16,
        (32, true) => DataType::Int32,
        (64, true) => DataType::Int64,
        (8, false) => DataType::UInt8,
        (16, false) => DataType::UInt16,
        (32, false) => DataType::UInt32,
        (64, false) => DataType::UInt64,
        _ => return None,
    })
}

fn float(precision: arrow_ipc::Precision) -> Option<DataType> {
    Some(match precision {
        arrow_ipc::Precision::HALF => DataType::Float16,
        arrow_ipc::Precision::SINGLE => DataType::Float32,
        arrow_ipc::Precision::DOUBLE => DataType::Float64,
        _ => return None,
    })
}

/// A time zone is only for display and left out.
fn time_unit(unit: arrow_ipc::TimeUnit) -> Option<DataType> {
    let unit = match unit {
        arrow_ipc::TimeUnit::SECOND => TimeUnit::Second,
        arrow_ipc::TimeUnit::MILLISECOND => TimeUnit::Millisecond,
        arrow_ipc::TimeUnit::MICROSECOND => TimeUnit::Microsecond,
        arrow_ipc::TimeUnit::NANOSECOND => TimeUnit::Nanosecond,
        _ => return None,
    };
    Some(DataType::Timestamp(unit, None))
}

/// The known columns of one batch.
struct Columns<'b> {
    rows: usize,
    time_us: Option<Int64Array>,
    value: Float64Array,
    signal: Texts<'b>,
    sensor_id: Texts<'b>,
    metric: Texts<'b>,
    unit: Texts<'b>,
    location: Texts<'b>,
    quality: Qualities<'b>,
}

impl<'b> Columns<'b> {
    fn of(batch: &'b RecordBatch) -> Result<Self> {
        let value = column(batch, "value")?.ok_or(CodecError::MissingColumn { column: "value" })?;
        let text = |name| Texts::of(name, column(batch, name)?);
        Ok(Self {
            rows: batch.num_rows(),
            time_us: column(batch, "timestamp")?.map(microseconds).transpose()?,
            value: floats(value).ok_or_else(|| wrong_type("value", value, "a float or an integer"))?,
            signal: text("signal")?,
            sensor_id: text("sensor_id")?,
            metric: text("metric")?,
            unit: text("unit")?,
            location: text("location")?,
            quality: Qualities::of(column(batch, "quality")?)?,
        })
    }

    fn emit(&self, position: &mut u32, limits: &Limits, sink: &mut impl Sink) {
        for row in 0..self.rows {
            match self.reading(row, limits) {
                Ok(reading) => sink.reading(*position, &reading),
                Err(error) => sink.reject(*position, &error),
            }
            *position += 1;
        }
    }

    #[inline]
    fn reading(&self, row: usize, limits: &Limits) -> Result<Decoded<'_>> {
        let value = if self.value.is_valid(row) { self.value.value(row) } else { f64::NAN };
        Ok(Decoded {
            sensor_id: self.sensor_id.get("sensor_id", row, limits)?,
            metric: self.metric.get("metric", row, limits)?,
            signal: self.signal.get("signal", row, limits)?,
            time_us: self.time(row)?,
            value,
            quality: quality::of_value(value, self.quality.get(row)?),
            unit: self.unit.get("unit", row, limits)?,
            location: self.location.get("location", row, limits)?,
        })
    }

    #[inline]
    fn time(&self, row: usize) -> Result<Option<i64>> {
        match &self.time_us {
            Some(times) if times.is_valid(row) => timestamp::checked(times.value(row)).map(Some),
            _ => Ok(None),
        }
    }
}

/// A column by name; twice the same name is an error.
fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<Option<&'b ArrayRef>> {
    let schema = batch.schema_ref();
    let mut found = schema.fields().iter().zip(batch.columns()).filter(|(field, _)| field.name() == name);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(invalid(format!("column '{name}' is there twice"))),
        (first, None) => Ok(first.map(|(_, array)| array)),
    }
}

fn wrong_type(field: &'static str, array: &ArrayRef, expected: &'static str) -> CodecError {
    CodecError::WrongType { field, found: excerpt(&array.data_type().to_string()), expected }
}

/// Any number as f64; `None` for other types.
fn floats(array: &ArrayRef) -> Option<Float64Array> {
    Some(match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().clone(),
        DataType::Float32 => array.as_primitive::<Float32Type>().unary(f64::from),
        DataType::Float16 => array.as_primitive::<Float16Type>().unary(f64::from),
        DataType::Int8 => array.as_primitive::<Int8Type>().unary(f64::from),
        DataType::Int16 => array.as_primitive::<Int16Type>().unary(f64::from),
        DataType::Int32 => array.as_primitive::<Int32Type>().unary(f64::from),
        DataType::Int64 => array.as_primitive::<Int64Type>().unary(|number| number as f64),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().unary(f64::from),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().unary(f64::from),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().unary(f64::from),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().unary(|number| number as f64),
        _ => return None,
    })
}

/// Times as microseconds; what overflows saturates and is refused row by row.
fn microseconds(array: &ArrayRef) -> Result<Int64Array> {
    Ok(match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().clone(),
        DataType::Timestamp(TimeUnit::Second, _) => {
            array.as_primitive::<TimestampSecondType>().unary(|time| time.saturating_mul(1_000_000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().unary(|time| time.saturating_mul(1_000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().unary(|time| time)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            array.as_primitive::<TimestampNanosecondType>().unary(|time| time.div_euclid(1_000))
        }
        _ => return Err(wrong_type("timestamp", array, "int64 microseconds or a timestamp")),
    })
}

/// A text column of any supported layout, or none.
enum Texts<'b> {
    None,
    Plain(&'b StringArray),
    Large(&'b LargeStringArray),
    View(&'b StringViewArray),
    Dictionary { keys: Vec<usize>, nulls: Option<&'b NullBuffer>, values: Vec<Option<&'b str>> },
}

impl<'b> Texts<'b> {
    fn of(name: &'static str, array: Option<&'b ArrayRef>) -> Result<Self> {
        let Some(array) = array else { return Ok(Self::None) };
        match array.data_type() {
            DataType::Utf8 => Ok(Self::Plain(array.as_string())),
            DataType::LargeUtf8 => Ok(Self::Large(array.as_string())),
            DataType::Utf8View => Ok(Self::View(array.as_string_view())),
            DataType::Dictionary(..) => Self::dictionary(name, array),
            _ => Err(wrong_type(name, array, "text")),
        }
    }

    /// Dictionary columns have text values only, see [`dictionary_of`].
    fn dictionary(name: &'static str, array: &'b ArrayRef) -> Result<Self> {
        let dictionary = array.as_any_dictionary();
        let texts = Self::of(name, Some(dictionary.values()))?;
        let values: Vec<_> = (0..dictionary.values().len()).map(|row| texts.at(row)).collect();
        // Without values every key is null.
        let keys = if values.is_empty() { Vec::new() } else { dictionary.normalized_keys() };
        Ok(Self::Dictionary { keys, nulls: array.nulls(), values })
    }

    #[inline]
    fn at(&self, row: usize) -> Option<&'b str> {
        match self {
            Self::None => None,
            Self::Plain(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Large(array) => array.is_valid(row).then(|| array.value(row)),
            Self::View(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Dictionary { nulls: Some(nulls), .. } if nulls.is_null(row) => None,
            Self::Dictionary { keys, values, .. } => values.get(*keys.get(row)?).copied().flatten(),
        }
    }

    #[inline]
    fn get(&self, field: &'static str, row: usize, limits: &Limits) -> Result<Option<&'b str>> {
        let max = limits.max_string_bytes;
        match self.at(row).filter(|text| !text.is_empty()) {
            Some(text) if text.len() > max => Err(CodecError::StringTooLong { field, bytes: text.len(), max }),
            text => Ok(text),
        }
    }
}

/// The column `quality`: words, numbers, or none (good).
enum Qualities<'b> {
    None,
    Words(Texts<'b>),
    Numbers(Float64Array),
}

impl<'b> Qualities<'b> {
    fn of(array: Option<&'b ArrayRef>) -> Result<Self> {
        let Some(array) = array else { return Ok(Self::None) };
        match floats(array) {
            Some(numbers) => Ok(Self::Numbers(numbers)),
            None => Texts::of("quality", Some(array)).map(Self::Words),
        }
    }

    #[inline]
    fn get(&self, row: usize) -> Result<Quality> {
        match self {
            Self::None => Ok(Quality::Good),
            Self::Words(words) => words.at(row).map_or(Ok(Quality::Good), quality::from_word),
            Self::Numbers(numbers) if numbers.is_null(row) => Ok(Quality::Good),
            Self::Numbers(numbers) => quality::from_opc(numbers.value(row)),
        }
    }
}
