//! Columns whose values nearly all differ, written by the parquet crate.
//!
//! Owns handing an Arrow array to the crate's writer of that type.

use std::io::Write;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, DictionaryArray, StringArray};
use arrow::datatypes::{
    DataType, Int32Type, TimestampNanosecondType, UInt8Type, UInt32Type, UInt64Type,
};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::writer::SerializedRowGroupWriter;

/// Writes the next column of a row group.
pub(super) fn column<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    array: &ArrayRef,
    nullable: bool,
) -> Result<()> {
    let failed = |what: &str| ParquetError::General(format!("{what}: {}", array.data_type()));
    let mut column = group.next_column()?.ok_or_else(|| failed("no column"))?;
    // Texts may be null in their dictionary too.
    let nulls = array.logical_nulls();
    let levels: Option<Vec<i16>> = nullable.then(|| match &nulls {
        Some(nulls) => nulls.iter().map(i16::from).collect(),
        None => vec![1; array.len()],
    });
    let levels = levels.as_deref();
    let none = || failed("a column of an unknown type");
    match column.untyped() {
        ColumnWriter::BoolColumnWriter(writer) => {
            let array = array.as_boolean_opt().ok_or_else(none)?;
            let values: Vec<bool> = array.iter().flatten().collect();
            writer.write_batch(&values, levels, None)?;
        }
        ColumnWriter::Int32ColumnWriter(writer) => {
            let values = match array.data_type() {
                DataType::Int32 => natives::<Int32Type, _>(array, |number| number),
                DataType::UInt32 => natives::<UInt32Type, _>(array, |number| number as i32),
                DataType::UInt8 => natives::<UInt8Type, _>(array, i32::from),
                _ => None,
            };
            writer.write_batch(&values.ok_or_else(none)?, levels, None)?;
        }
        ColumnWriter::Int64ColumnWriter(writer) => {
            let values = match array.data_type() {
                DataType::UInt64 => natives::<UInt64Type, _>(array, |number| number as i64),
                _ => natives::<TimestampNanosecondType, _>(array, |number| number),
            };
            writer.write_batch(&values.ok_or_else(none)?, levels, None)?;
        }
        ColumnWriter::ByteArrayColumnWriter(writer) => {
            let values: Vec<ByteArray> = if let Some(bytes) = array.as_binary_opt::<i32>() {
                bytes.iter().flatten().map(owned).collect()
            } else {
                let texts: Option<&DictionaryArray<UInt32Type>> = array.as_dictionary_opt();
                let texts = texts.and_then(DictionaryArray::downcast_dict::<StringArray>);
                let texts = texts.ok_or_else(none)?.into_iter().flatten();
                texts.map(|text| owned(text.as_bytes())).collect()
            };
            writer.write_batch(&values, levels, None)?;
        }
        ColumnWriter::FixedLenByteArrayColumnWriter(writer) => {
            let array = array.as_fixed_size_binary_opt().ok_or_else(none)?;
            let values = array.iter().flatten();
            let values: Vec<_> = values.map(|bytes| owned(bytes).into()).collect();
            writer.write_batch(&values, levels, None)?;
        }
        _ => return Err(none()),
    }
    column.close()
}

fn owned(bytes: &[u8]) -> ByteArray {
    bytes.to_vec().into()
}

/// The values that are there, as the file has them.
fn natives<T: ArrowPrimitiveType, N>(
    array: &ArrayRef,
    of: impl Fn(T::Native) -> N,
) -> Option<Vec<N>> {
    let array = array.as_primitive_opt::<T>()?;
    Some(if array.null_count() == 0 {
        array.values().iter().map(|&value| of(value)).collect()
    } else {
        array.iter().flatten().map(of).collect()
    })
}
