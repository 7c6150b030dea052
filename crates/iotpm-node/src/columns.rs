//! Arrow columns straight from vectors.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int8Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt8Array, UInt32Array, UInt64Array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use iotpm_core::NO_STREAM_TIME;

use crate::{NodeError, error::Result};

/// A table under construction, column by column.
pub(crate) struct Columns {
    table: &'static str,
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    pub fn new(table: &'static str) -> Self {
        Self { table, fields: Vec::new(), arrays: Vec::new() }
    }

    pub fn finish(self) -> Result<RecordBatch> {
        let table = self.table;
        RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays).map_err(|error| failed(table, &error))
    }

    fn add(mut self, name: &'static str, array: ArrayRef, nullable: bool) -> Self {
        self.fields.push(Field::new(name, array.data_type().clone(), nullable));
        self.arrays.push(array);
        self
    }

    pub fn u8s(self, name: &'static str, values: Vec<u8>) -> Self {
        self.add(name, Arc::new(UInt8Array::from(values)), false)
    }

    pub fn i8s(self, name: &'static str, values: Vec<i8>) -> Self {
        self.add(name, Arc::new(Int8Array::from(values)), false)
    }

    pub fn u32s(self, name: &'static str, values: Vec<u32>) -> Self {
        self.add(name, Arc::new(UInt32Array::from(values)), false)
    }

    pub fn u64s(self, name: &'static str, values: Vec<u64>) -> Self {
        self.add(name, Arc::new(UInt64Array::from(values)), false)
    }

    pub fn bools(self, name: &'static str, values: Vec<bool>) -> Self {
        self.add(name, Arc::new(BooleanArray::from(values)), false)
    }

    pub fn f64s(self, name: &'static str, values: Vec<f64>) -> Self {
        self.add(name, Arc::new(Float64Array::from(values)), false)
    }

    /// Non-finite values are null.
    pub fn finite_f64s(self, name: &'static str, values: Vec<f64>) -> Self {
        let nulls = nulls(values.len(), |row| values[row].is_finite());
        self.add(name, Arc::new(Float64Array::new(values.into(), nulls)), true)
    }

    pub fn times(self, name: &'static str, values: Vec<i64>) -> Self {
        self.add(name, Arc::new(TimestampMicrosecondArray::from(values)), false)
    }

    /// [`NO_STREAM_TIME`] is null.
    pub fn known_times(self, name: &'static str, values: Vec<i64>) -> Self {
        let nulls = nulls(values.len(), |row| values[row] != NO_STREAM_TIME);
        self.add(name, Arc::new(TimestampMicrosecondArray::new(values.into(), nulls)), true)
    }

    pub fn texts<'a>(self, name: &'static str, values: impl Iterator<Item = &'a str> + Clone) -> Result<Self> {
        self.check_bytes(values.clone().map(str::len))?;
        Ok(self.add(name, Arc::new(StringArray::from_iter_values(values)), false))
    }

    pub fn optional_texts<'a>(
        self,
        name: &'static str,
        values: impl Iterator<Item = Option<&'a str>> + Clone,
    ) -> Result<Self> {
        self.check_bytes(values.clone().map(|text| text.map_or(0, str::len)))?;
        Ok(self.add(name, Arc::new(values.collect::<StringArray>()), true))
    }

    pub fn bytes<'a>(self, name: &'static str, values: impl Iterator<Item = &'a [u8]> + Clone) -> Result<Self> {
        self.check_bytes(values.clone().map(<[u8]>::len))?;
        Ok(self.add(name, Arc::new(BinaryArray::from_iter_values(values)), false))
    }

    pub fn f32_lists<'a>(self, name: &'static str, lists: impl Iterator<Item = &'a [f32]> + Clone) -> Result<Self> {
        self.check_bytes(lists.clone().map(<[f32]>::len))?;
        let offsets = OffsetBuffer::from_lengths(lists.clone().map(<[f32]>::len));
        let values: ScalarBuffer<f32> = lists.flatten().copied().collect::<Vec<_>>().into();
        let values = Arc::new(arrow_array::Float32Array::new(values, None));
        let item = Arc::new(Field::new_list_field(DataType::Float32, false));
        Ok(self.add(name, Arc::new(ListArray::new(item, offsets, values, None)), false))
    }

    pub fn f64_lists<'a>(self, name: &'static str, lists: impl Iterator<Item = &'a [f64]> + Clone) -> Result<Self> {
        self.check_bytes(lists.clone().map(<[f64]>::len))?;
        let offsets = OffsetBuffer::from_lengths(lists.clone().map(<[f64]>::len));
        let values: ScalarBuffer<f64> = lists.flatten().copied().collect::<Vec<_>>().into();
        let item = Arc::new(Field::new_list_field(DataType::Float64, false));
        Ok(self.add(
            name,
            Arc::new(ListArray::new(item, offsets, Arc::new(Float64Array::new(values, None)), None)),
            false,
        ))
    }

    /// Arrow's offsets have 31 bits.
    fn check_bytes(&self, lengths: impl Iterator<Item = usize>) -> Result<()> {
        let total: usize = lengths.sum();
        let full = || ArrowError::OffsetOverflowError(total);
        i32::try_from(total).map(|_| ()).map_err(|_| failed(self.table, &full()))
    }
}

fn failed(table: &'static str, error: &ArrowError) -> NodeError {
    NodeError::Table { table, reason: error.to_string().into() }
}

/// Bitmap of the rows that hold; none at all if all do.
fn nulls(rows: usize, holds: impl Fn(usize) -> bool) -> Option<NullBuffer> {
    let valid = BooleanBuffer::collect_bool(rows, holds);
    Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0)
}
