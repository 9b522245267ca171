//! Rows of an answer in the formats people and programs read.
//!
//! Owns how values of Arrow columns are written as a table, CSV, JSON lines or Markdown,
//! and hands them on as Parquet or Arrow. A table waits for its rows to know its widths,
//! and so is bounded; everything else is written as it comes. What a flow says about
//! itself cannot act on a terminal, but for CSV, which has no way to write it else.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, SchemaRef, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow::ipc::writer::StreamWriter;
use jiff::civil::date;
use jiff::{Span, Timestamp};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::Value;

use super::server::go_duration;

/// Rows that a table or Markdown shows.
pub const MOST_TABLE_ROWS: usize = 10_000;

/// A format of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// Columns with spaces between, for terminals.
    Table,
    /// RFC 4180 with a header.
    Csv,
    /// An object a line.
    Json,
    /// A table of Markdown.
    Markdown,
    /// A Parquet file.
    Parquet,
    /// An Arrow stream.
    Arrow,
}

impl RowFormat {
    /// Every format by its name.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("table", Self::Table),
        ("csv", Self::Csv),
        ("json", Self::Json),
        ("markdown", Self::Markdown),
        ("parquet", Self::Parquet),
        ("arrow", Self::Arrow),
    ];

    /// Whether it is bytes that no terminal should get.
    #[must_use]
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }
}

/// Writes the rows of an answer.
pub struct RowWriter<W: Write + Send> {
    schema: SchemaRef,
    form: Form<W>,
}

enum Form<W: Write + Send> {
    Table {
        out: W,
        rows: Vec<Vec<String>>,
        more: bool,
        markdown: bool,
    },
    Csv {
        out: W,
    },
    Json {
        out: W,
    },
    Parquet(Box<ArrowWriter<W>>),
    Arrow(Box<StreamWriter<W>>),
}

impl<W: Write + Send> RowWriter<W> {
    /// Begins to write rows with these columns.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(format: RowFormat, schema: SchemaRef, mut out: W) -> io::Result<Self> {
        let form = match format {
            RowFormat::Table | RowFormat::Markdown => Form::Table {
                out,
                rows: vec![
                    schema
                        .fields()
                        .iter()
                        .map(|field| clean(field.name()))
                        .collect(),
                ],
                more: false,
                markdown: format == RowFormat::Markdown,
            },
            RowFormat::Csv => {
                let names = schema.fields().iter().map(|field| field.name().clone());
                csv_line(&mut out, names)?;
                Form::Csv { out }
            }
            RowFormat::Json => Form::Json { out },
            RowFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .build();
                let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties));
                Form::Parquet(Box::new(writer.map_err(io::Error::other)?))
            }
            RowFormat::Arrow => {
                let writer = StreamWriter::try_new(out, &schema);
                Form::Arrow(Box::new(writer.map_err(io::Error::other)?))
            }
        };
        Ok(Self { schema, form })
    }

    /// Writes rows. False when no more are wanted: a table is full.
    ///
    /// # Errors
    /// Those of the output.
    pub fn batch(&mut self, batch: &RecordBatch) -> io::Result<bool> {
        let rows = 0..batch.num_rows();
        let columns = batch.columns();
        match &mut self.form {
            Form::Table {
                rows: kept, more, ..
            } => {
                for row in rows {
                    // The header is one.
                    if kept.len() > MOST_TABLE_ROWS {
                        *more = true;
                        return Ok(false);
                    }
                    let cells = columns.iter().map(|column| {
                        cell(column.as_ref(), row)
                            .map_or_else(|| "-".to_owned(), |text| clean(&text))
                    });
                    kept.push(cells.collect());
                }
            }
            Form::Csv { out } => {
                for row in rows {
                    let cells = columns.iter();
                    let cells = cells.map(|column| cell(column.as_ref(), row).unwrap_or_default());
                    csv_line(out, cells)?;
                }
            }
            Form::Json { out } => {
                for row in rows {
                    let mut object = serde_json::Map::new();
                    for (field, column) in self.schema.fields().iter().zip(columns) {
                        object.insert(field.name().clone(), json(column.as_ref(), row));
                    }
                    let mut line = Value::Object(object).to_string();
                    line = ascii_controls(&line);
                    line.push('\n');
                    out.write_all(line.as_bytes())?;
                }
            }
            Form::Parquet(writer) => writer.write(batch).map_err(io::Error::other)?,
            Form::Arrow(writer) => writer.write(batch).map_err(io::Error::other)?,
        }
        Ok(true)
    }

    /// Writes what is left. True where rows were left out of a table.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(self) -> io::Result<bool> {
        match self.form {
            Form::Table {
                mut out,
                rows,
                more,
                markdown,
            } => {
                let right: Vec<bool> = self
                    .schema
                    .fields()
                    .iter()
                    .map(|field| field.data_type().is_numeric())
                    .collect();
                if markdown {
                    write_markdown(&mut out, &rows, &right)?;
                } else {
                    write_table(&mut out, &rows, &right)?;
                }
                out.flush()?;
                Ok(more)
            }
            Form::Csv { mut out } | Form::Json { mut out } => {
                out.flush()?;
                Ok(false)
            }
            Form::Parquet(writer) => {
                writer.into_inner().map_err(io::Error::other)?.flush()?;
                Ok(false)
            }
            Form::Arrow(mut writer) => {
                writer.finish().map_err(io::Error::other)?;
                writer.get_mut().flush()?;
                Ok(false)
            }
        }
    }
}

fn write_table(out: &mut impl Write, rows: &[Vec<String>], right: &[bool]) -> io::Result<()> {
    let width = |text: &str| text.chars().count();
    let mut widths = vec![0; right.len()];
    for row in rows {
        for (widest, text) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(text));
        }
    }
    for row in rows {
        let mut line = String::new();
        for ((text, &widest), &right) in row.iter().zip(&widths).zip(right) {
            let space = " ".repeat(widest - width(text));
            if !line.is_empty() {
                line.push_str("  ");
            }
            if right {
                line.push_str(&space);
                line.push_str(text);
            } else {
                line.push_str(text);
                line.push_str(&space);
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn write_markdown(out: &mut impl Write, rows: &[Vec<String>], right: &[bool]) -> io::Result<()> {
    for (at, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().map(|text| markdown_cell(text)).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
        if at == 0 {
            let rules: Vec<&str> = right
                .iter()
                .map(|&right| if right { "---:" } else { "---" })
                .collect();
            writeln!(out, "| {} |", rules.join(" | "))?;
        }
    }
    Ok(())
}

/// A text that Markdown shows as it is.
fn markdown_cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' => {
                out.push('\\');
                out.push(character);
            }
            other => out.push(other),
        }
    }
    out
}

fn csv_line(out: &mut impl Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    let mut line = String::new();
    for (at, text) in cells.enumerate() {
        if at > 0 {
            line.push(',');
        }
        if text.contains([',', '"', '\n', '\r']) {
            line.push('"');
            line.push_str(&text.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(&text);
        }
    }
    line.push_str("\r\n");
    out.write_all(line.as_bytes())
}

/// Without characters that a terminal acts on, or that end a line.
fn clean(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped = character.is_control();
            let plain = (!escaped).then_some(character);
            let escape = escaped.then(|| character.escape_default());
            plain.into_iter().chain(escape.into_iter().flatten())
        })
        .collect()
}

/// JSON in which DEL and the C1 controls are escaped too.
fn ascii_controls(json: &str) -> String {
    if !json
        .chars()
        .any(|character| ('\u{7f}'..='\u{9f}').contains(&character))
    {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len() + 8);
    for character in json.chars() {
        if ('\u{7f}'..='\u{9f}').contains(&character) {
            let _ = write!(out, "\\u{:04x}", character as u32);
        } else {
            out.push(character);
        }
    }
    out
}

/// A value as text; `None` for null.
fn cell(array: &dyn Array, row: usize) -> Option<String> {
    match json(array, row) {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// A value as JSON. Times are RFC 3339 in UTC, durations as Go writes them.
fn json(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    /// A number of a type.
    macro_rules! number {
        ($kind:ident) => {
            array.as_primitive::<$kind>().value(row).into()
        };
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float32 => number!(Float32Type),
        DataType::Float64 => number!(Float64Type),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Binary => {
            let bytes = array.as_binary::<i32>().value(row);
            let mut digits = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
                let _ = write!(digits, "{byte:02x}");
            }
            digits.into()
        }
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().value(row);
            let span = Span::new().try_days(days);
            let day = span.and_then(|span| date(1970, 1, 1).checked_add(span));
            day.map_or(Value::Null, |day| day.to_string().into())
        }
        DataType::Timestamp(unit, _) => {
            let nanoseconds = match unit {
                TimeUnit::Microsecond => {
                    i128::from(array.as_primitive::<TimestampMicrosecondType>().value(row)) * 1000
                }
                TimeUnit::Millisecond => {
                    i128::from(array.as_primitive::<TimestampMillisecondType>().value(row))
                        * 1_000_000
                }
                _ => array
                    .as_primitive::<TimestampNanosecondType>()
                    .value(row)
                    .into(),
            };
            let time = Timestamp::from_nanosecond(nanoseconds);
            time.map_or(Value::Null, |time| time.to_string().into())
        }
        DataType::Duration(unit) => {
            let nanoseconds = match unit {
                TimeUnit::Microsecond => array
                    .as_primitive::<DurationMicrosecondType>()
                    .value(row)
                    .saturating_mul(1000),
                TimeUnit::Millisecond => array
                    .as_primitive::<DurationMillisecondType>()
                    .value(row)
                    .saturating_mul(1_000_000),
                _ => array.as_primitive::<DurationNanosecondType>().value(row),
            };
            let sign = if nanoseconds < 0 { "-" } else { "" };
            format!("{sign}{}", go_duration(nanoseconds.unsigned_abs())).into()
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray, TimestampNanosecondArray, UInt64Array};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn rows() -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("name", DataType::Utf8, true),
            Field::new("flows", DataType::UInt64, true),
            Field::new(
                "time",
                DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
                true,
            ),
        ]);
        let names: ArrayRef = Arc::new(StringArray::from(vec![
            Some("a,\"b\"|\u{1b}[31m\u{9b}"),
            None,
        ]));
        let times = TimestampNanosecondArray::from(vec![Some(1_500_000_000), None]);
        RecordBatch::try_new(
            Arc::new(schema),
            vec![
                names,
                Arc::new(UInt64Array::from(vec![12_345, 1])),
                Arc::new(times.with_timezone("UTC")),
            ],
        )
        .unwrap()
    }

    fn written(format: RowFormat) -> Vec<u8> {
        let batch = rows();
        let mut bytes = Vec::new();
        let mut writer = RowWriter::new(format, batch.schema(), &mut bytes).unwrap();
        assert!(writer.batch(&batch).unwrap());
        assert!(!writer.finish().unwrap());
        bytes
    }

    fn text(format: RowFormat) -> String {
        String::from_utf8(written(format)).unwrap()
    }

    #[test]
    fn values_stay_values_and_controls_do_nothing() {
        assert_eq!(
            text(RowFormat::Table),
            "name                    flows  time\n\
             a,\"b\"|\\u{1b}[31m\\u{9b}  12345  1970-01-01T00:00:01.5Z\n\
             -                           1  -\n"
        );
        assert_eq!(
            text(RowFormat::Csv),
            "name,flows,time\r\n\"a,\"\"b\"\"|\u{1b}[31m\u{9b}\",12345,1970-01-01T00:00:01.5Z\r\n,1,\r\n"
        );
        assert_eq!(
            text(RowFormat::Json),
            "{\"name\":\"a,\\\"b\\\"|\\u001b[31m\\u009b\",\"flows\":12345,\"time\":\"1970-01-01T00:00:01.5Z\"}\n\
             {\"name\":null,\"flows\":1,\"time\":null}\n"
        );
        assert_eq!(
            text(RowFormat::Markdown).lines().collect::<Vec<_>>(),
            [
                "| name | flows | time |",
                "| --- | ---: | --- |",
                "| a,\"b\"\\|\\\\u{1b}\\[31m\\\\u{9b} | 12345 | 1970-01-01T00:00:01.5Z |",
                "| - | 1 | - |",
            ]
        );
    }

    #[test]
    fn files_of_columns_are_read_back() {
        let parquet = bytes::Bytes::from(written(RowFormat::Parquet));
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(parquet, 10);
        let back: Vec<RecordBatch> = reader.unwrap().map(Result::unwrap).collect();
        assert_eq!(back, [rows()]);
        let stream = written(RowFormat::Arrow);
        let reader = arrow::ipc::reader::StreamReader::try_new(stream.as_slice(), None).unwrap();
        let back: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        assert_eq!(back, [rows()]);
    }

    #[test]
    fn a_table_is_bounded() {
        let batch = rows();
        let mut bytes = Vec::new();
        let mut writer = RowWriter::new(RowFormat::Table, batch.schema(), &mut bytes).unwrap();
        let mut batches = 0;
        while writer.batch(&batch).unwrap() {
            batches += 1;
        }
        assert!(writer.finish().unwrap());
        assert_eq!(batches, MOST_TABLE_ROWS / 2);
        assert_eq!(
            String::from_utf8_lossy(&bytes).lines().count(),
            MOST_TABLE_ROWS + 1
        );
    }
}
