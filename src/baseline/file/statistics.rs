//! The figures beside a baseline file, in Parquet.
//!
//! Owns one table: a row an edge, and a row a workload (without `to`), with what the file
//! leaves out because it changes every day: times, counts, hours of the week, rates. A file
//! without it still says what is normal; what it does not say is how often.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::baseline::{EdgeProfile, Model, Moments, Rates, SLOTS, VerdictMix};
use crate::connection::PeerId;

/// Bytes of a file that are read at most.
const MOST_BYTES: u64 = 1 << 30;
/// Text of the schema's version, in its metadata.
const VERSION: (&str, &str) = ("flowwatch.baseline", "1");

/// Columns with numbers of times and counts.
const TIMES: [&str; 4] = ["first", "last", "last_day", "last_hour"];
const COUNTS: [&str; 8] = [
    "days", "hours", "count", "week0", "week1", "week2", "dropped", "kind",
];
const FIGURES: [&str; 6] = ["passed", "denied", "audited", "n", "sum", "squares"];

/// Why statistics cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StatisticsError {
    /// The file.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// What is the matter.
        error: std::io::Error,
    },
    /// What is in it.
    #[error("{path}: {message}")]
    Form {
        /// Which.
        path: String,
        /// What is the matter.
        message: String,
    },
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Edge = 0,
    Workload = 1,
    Listener = 2,
}

/// A row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    kind: Kind,
    pub(super) client: String,
    pub(super) to: Option<String>,
    pub(super) port: Option<String>,
    times: [i64; 4],
    counts: [u64; 8],
    figures: [f64; 6],
    rates: Option<Vec<u8>>,
}

impl Row {
    fn of(kind: Kind, client: &str) -> Self {
        let mut counts = [0; 8];
        counts[7] = kind as u64;
        Self {
            kind,
            client: client.to_owned(),
            to: None,
            port: None,
            times: [0; 4],
            counts,
            figures: [0.0; 6],
            rates: None,
        }
    }

    /// A row of an edge.
    pub(super) fn edge(client: &str, to: &str, port: &str, edge: &EdgeProfile) -> Self {
        let mut row = Self::of(Kind::Edge, client);
        row.to = Some(to.to_owned());
        row.port = Some(port.to_owned());
        row.times = [edge.first, edge.last, edge.last_day, edge.last_hour];
        row.counts[..6].copy_from_slice(&[
            u64::from(edge.days),
            u64::from(edge.hours),
            edge.count,
            edge.week[0],
            edge.week[1],
            edge.week[2],
        ]);
        let active = edge.active;
        let forgotten = (edge.passed, edge.denied, edge.audited);
        row.figures = [
            forgotten.0,
            forgotten.1,
            forgotten.2,
            active.n,
            active.sum,
            active.squares,
        ];
        row
    }

    /// A row of a workload.
    pub(super) fn workload(client: &str, id: PeerId, model: &Model) -> Option<Self> {
        let profile = model.workload(id)?;
        let mut row = Self::of(Kind::Workload, client);
        row.times = [profile.first, profile.last, profile.rates.last, 0];
        row.counts[6] = profile.verdicts.dropped;
        row.figures = [
            profile.verdicts.passed as f64,
            profile.verdicts.denied as f64,
            profile.verdicts.audited as f64,
            0.0,
            0.0,
            0.0,
        ];
        let mut bytes = Vec::with_capacity(SLOTS * 12);
        for slot in 0..SLOTS {
            let slot = profile.rates.slot(slot);
            for figure in [slot.n, slot.sum, slot.squares] {
                bytes.extend_from_slice(&(figure as f32).to_le_bytes());
            }
        }
        row.rates = Some(bytes);
        Some(row)
    }

    /// A row of a port that a workload answers on.
    pub(super) fn listener(client: &str, port: &str, one: &crate::baseline::Listener) -> Self {
        let mut row = Self::of(Kind::Listener, client);
        row.port = Some(port.to_owned());
        row.times = [one.first, one.last, 0, 0];
        row.counts[0] = u64::from(one.days);
        row
    }

    pub(super) fn is_edge(&self) -> bool {
        self.kind == Kind::Edge
    }

    pub(super) fn is_workload(&self) -> bool {
        self.kind == Kind::Workload
    }

    /// Puts an edge's figures into a profile.
    pub(super) fn fill_edge(&self, edge: &mut EdgeProfile) {
        let [first, last, last_day, last_hour] = self.times;
        (edge.first, edge.last) = (first, last);
        (edge.last_day, edge.last_hour) = (last_day, last_hour);
        let [days, hours, count, week0, week1, week2, _, _] = self.counts;
        edge.days = u32::try_from(days).unwrap_or(u32::MAX);
        edge.hours = u32::try_from(hours).unwrap_or(u32::MAX);
        edge.count = count;
        edge.week = [week0, week1, week2];
        let [passed, denied, audited, n, sum, squares] = self.figures;
        (edge.passed, edge.denied, edge.audited) = (passed, denied, audited);
        edge.active = Moments { n, sum, squares };
        edge.decayed = last;
    }

    /// First and last time, and distinct days.
    pub(super) fn seen(&self) -> (i64, i64, u32) {
        let days = u32::try_from(self.counts[0]).unwrap_or(u32::MAX);
        (self.times[0], self.times[1], days)
    }

    pub(super) fn verdicts(&self) -> VerdictMix {
        let [passed, denied, audited, ..] = self.figures;
        VerdictMix {
            passed: passed as u64,
            denied: denied as u64,
            audited: audited as u64,
            dropped: self.counts[6],
        }
    }

    pub(super) fn rates(&self) -> Rates {
        let mut rates = Rates::default();
        let bytes = self.rates.as_deref().unwrap_or_default();
        for (slot, bytes) in bytes.chunks_exact(12).enumerate() {
            let figure = |at: usize| {
                let part = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
                f64::from(f32::from_le_bytes(part))
            };
            let moments = Moments {
                n: figure(0),
                sum: figure(4),
                squares: figure(8),
            };
            rates.set(slot, moments);
        }
        rates.last = self.times[2];
        rates
    }
}

fn schema() -> Arc<Schema> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let mut fields = vec![text("client"), text("to"), text("port")];
    fields.extend(TIMES.map(|name| Field::new(name, DataType::Int64, false)));
    fields.extend(COUNTS.map(|name| Field::new(name, DataType::UInt64, false)));
    fields.extend(FIGURES.map(|name| Field::new(name, DataType::Float64, false)));
    fields.push(Field::new("rates", DataType::Binary, true));
    let metadata = [(VERSION.0.to_owned(), VERSION.1.to_owned())];
    Arc::new(Schema::new_with_metadata(fields, metadata.into()))
}

/// Writes rows.
///
/// # Errors
/// [`StatisticsError`].
pub(super) fn write(path: &Path, rows: &[Row]) -> Result<(), StatisticsError> {
    let form = |error: &dyn std::fmt::Display| StatisticsError::Form {
        path: path.display().to_string(),
        message: error.to_string(),
    };
    let text = |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let mut columns: Vec<ArrayRef> = vec![
        text(&|row| Some(row.client.clone())),
        text(&|row| row.to.clone()),
        text(&|row| row.port.clone()),
    ];
    for at in 0..TIMES.len() {
        let values = rows.iter().map(|row| row.times[at]);
        columns.push(Arc::new(Int64Array::from_iter_values(values)));
    }
    for at in 0..COUNTS.len() {
        let values = rows.iter().map(|row| row.counts[at]);
        columns.push(Arc::new(UInt64Array::from_iter_values(values)));
    }
    for at in 0..FIGURES.len() {
        let values = rows.iter().map(|row| row.figures[at]);
        columns.push(Arc::new(Float64Array::from_iter_values(values)));
    }
    let rates = rows.iter().map(|row| row.rates.as_deref());
    columns.push(Arc::new(rates.collect::<BinaryArray>()));
    let schema = schema();
    let batch = RecordBatch::try_new(schema.clone(), columns).map_err(|error| form(&error))?;
    let level = ZstdLevel::try_new(3).map_err(|error| form(&error))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .build();
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut bytes, schema, Some(properties)).map_err(|error| form(&error))?;
    writer.write(&batch).map_err(|error| form(&error))?;
    writer.close().map_err(|error| form(&error))?;
    std::fs::write(path, bytes).map_err(|error| StatisticsError::File {
        path: path.display().to_string(),
        error,
    })
}

/// Reads rows.
///
/// # Errors
/// [`StatisticsError`].
pub(super) fn read(path: &Path) -> Result<Vec<Row>, StatisticsError> {
    let name = path.display().to_string();
    let io = |error| StatisticsError::File {
        path: name.clone(),
        error,
    };
    let form = |message: String| StatisticsError::Form {
        path: name.clone(),
        message,
    };
    let file = std::fs::File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.len() > MOST_BYTES {
        return Err(form("is too large for statistics of a baseline".to_owned()));
    }
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| form(error.to_string()))?;
    let version = builder.schema().metadata().get(VERSION.0).cloned();
    if version.as_deref() != Some(VERSION.1) {
        return Err(form(
            "holds no statistics of a baseline that are known".to_owned(),
        ));
    }
    let reader = builder.build().map_err(|error| form(error.to_string()))?;
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| form(error.to_string()))?;
        rows_of(&batch, &mut rows).ok_or_else(|| form("lacks a column".to_owned()))?;
    }
    Ok(rows)
}

fn rows_of(batch: &RecordBatch, rows: &mut Vec<Row>) -> Option<()> {
    let column = |name: &str| batch.column_by_name(name);
    let text = |name: &str| column(name)?.as_any().downcast_ref::<StringArray>();
    let (clients, to, ports) = (text("client")?, text("to")?, text("port")?);
    let mut times = Vec::new();
    for name in TIMES {
        times.push(column(name)?.as_any().downcast_ref::<Int64Array>()?);
    }
    let mut counts = Vec::new();
    for name in COUNTS {
        counts.push(column(name)?.as_any().downcast_ref::<UInt64Array>()?);
    }
    let mut figures = Vec::new();
    for name in FIGURES {
        figures.push(column(name)?.as_any().downcast_ref::<Float64Array>()?);
    }
    let rates = column("rates")?.as_any().downcast_ref::<BinaryArray>()?;
    let optional =
        |array: &StringArray, at: usize| array.is_valid(at).then(|| array.value(at).to_owned());
    for at in 0..batch.num_rows() {
        let kind = match counts[7].value(at) {
            0 => Kind::Edge,
            1 => Kind::Workload,
            2 => Kind::Listener,
            _ => continue,
        };
        let mut row = Row::of(kind, clients.value(at));
        row.to = optional(to, at);
        row.port = optional(ports, at);
        for (field, array) in row.times.iter_mut().zip(&times) {
            *field = array.value(at);
        }
        for (field, array) in row.counts.iter_mut().zip(&counts) {
            *field = array.value(at);
        }
        for (field, array) in row.figures.iter_mut().zip(&figures) {
            *field = array.value(at);
        }
        row.rates = rates.is_valid(at).then(|| rates.value(at).to_vec());
        rows.push(row);
    }
    Some(())
}
