//! A connection as columns.
//!
//! Owns the columns of the view `connections`, and the words in them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, RecordBatch, StringBuilder, TimestampNanosecondBuilder,
    UInt32Builder, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;

use super::hours::properties;
use crate::archive::Encryption;
use crate::connection::{Connection, Opening, Outcome, Peer, Peers, Side};
use crate::flow::{FlowReference, NO_TIME, join};
use crate::query::error::QueryError;

/// Types of columns.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Count,
    Flag,
    Time,
}

/// Every column, in its order.
const COLUMNS: [(&str, Kind); 40] = [
    ("source", Kind::Text),
    ("destination", Kind::Text),
    ("port", Kind::Number),
    ("protocol", Kind::Text),
    ("connections", Kind::Count),
    ("ongoing", Kind::Flag),
    ("outcome", Kind::Text),
    ("drop_reason", Kind::Text),
    ("drop_class", Kind::Text),
    ("opening", Kind::Text),
    ("answered", Kind::Flag),
    ("attempts", Kind::Number),
    ("flows", Kind::Count),
    ("exchanges", Kind::Number),
    ("reset", Kind::Flag),
    ("closed", Kind::Flag),
    ("first_seen", Kind::Time),
    ("last_seen", Kind::Time),
    ("source_ip", Kind::Text),
    ("source_port", Kind::Number),
    ("destination_ip", Kind::Text),
    ("source_cluster", Kind::Text),
    ("source_namespace", Kind::Text),
    ("source_kind", Kind::Text),
    ("source_workload", Kind::Text),
    ("destination_cluster", Kind::Text),
    ("destination_namespace", Kind::Text),
    ("destination_kind", Kind::Text),
    ("destination_workload", Kind::Text),
    ("destination_service", Kind::Text),
    ("encryption", Kind::Text),
    ("egress_node", Kind::Text),
    ("egress_verdict", Kind::Text),
    ("egress_policies", Kind::Text),
    ("ingress_node", Kind::Text),
    ("ingress_verdict", Kind::Text),
    ("ingress_policies", Kind::Text),
    ("reference", Kind::Text),
    ("oriented", Kind::Flag),
    ("alone", Kind::Flag),
];

/// The columns of the view.
pub(super) fn schema() -> Schema {
    let fields = COLUMNS.iter().map(|(name, kind)| {
        let kind = match kind {
            Kind::Text => DataType::Utf8,
            Kind::Number => DataType::UInt32,
            Kind::Count => DataType::UInt64,
            Kind::Flag => DataType::Boolean,
            Kind::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        };
        Field::new(*name, kind, true)
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// A file without rows.
pub(super) fn none() -> Result<Vec<u8>, QueryError> {
    let write = || -> Result<Vec<u8>, ParquetError> {
        let schema = Arc::new(schema());
        ArrowWriter::try_new(Vec::new(), schema, Some(properties()))?.into_inner()
    };
    write().map_err(QueryError::engine)
}

/// Rows on their way to columns.
pub(super) struct Rows {
    columns: Vec<Column>,
    rows: usize,
}

enum Column {
    Text(StringBuilder),
    Number(UInt32Builder),
    Count(UInt64Builder),
    Flag(BooleanBuilder),
    Time(TimestampNanosecondBuilder),
}

/// A value of a row.
enum Value<'a> {
    /// An empty one is none.
    Text(&'a str),
    Owned(String),
    Number(u32),
    Count(u64),
    Flag(bool),
    Time(i64),
}

impl Default for Rows {
    fn default() -> Self {
        let columns = COLUMNS.iter().map(|(_, kind)| match kind {
            Kind::Text => Column::Text(StringBuilder::new()),
            Kind::Number => Column::Number(UInt32Builder::new()),
            Kind::Count => Column::Count(UInt64Builder::new()),
            Kind::Flag => Column::Flag(BooleanBuilder::new()),
            Kind::Time => Column::Time(TimestampNanosecondBuilder::new().with_timezone("UTC")),
        });
        Self {
            columns: columns.collect(),
            rows: 0,
        }
    }
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Adds a connection; one that is ongoing began before the window.
    pub(super) fn push(&mut self, connection: &Connection, peers: &Peers, ongoing: bool) {
        use Value::{Count, Flag, Number, Owned, Text, Time};

        let Connection { tuple, edge, .. } = connection;
        let (client, server) = (peers.get(edge.client), peers.get(edge.server));
        let (client_parts, server_parts) = (Parts::of(client), Parts::of(server));
        let reason = match connection.outcome {
            Outcome::Dropped(reason) => Some(reason),
            _ => None,
        };
        let address = |of: Option<std::net::IpAddr>| of.map_or(String::new(), |of| of.to_string());
        let (node, time, hash) = &connection.reference;
        let reference = FlowReference {
            node: node.to_string(),
            time: if *time == NO_TIME { 0 } else { *time },
            tuple: *hash,
        };
        let drop_reason = reason.map_or(String::new(), |reason| {
            reason
                .name()
                .map_or_else(|| reason.0.to_string(), str::to_owned)
        });
        let values = [
            Owned(client.to_string()),
            Owned(server.to_string()),
            Number(edge.port.into()),
            Text(edge.protocol.name()),
            Count(connection.weight),
            Flag(ongoing),
            Text(outcome(connection.outcome)),
            Owned(drop_reason),
            Text(reason.map_or("", |reason| reason.class().name())),
            Text(match connection.opening {
                Opening::Seen => "seen",
                Opening::Missed => "missed",
            }),
            Flag(connection.answered),
            Number(connection.attempts),
            Count(connection.rows),
            Number(connection.exchanges),
            Flag(connection.reset),
            Flag(connection.closed),
            Time(connection.first),
            Time(connection.last),
            Owned(address(tuple.client)),
            Number(tuple.client_port.into()),
            Owned(address(tuple.server)),
            Text(client_parts.cluster),
            Text(client_parts.namespace),
            Text(client_parts.kind),
            Text(client_parts.workload),
            Text(server_parts.cluster),
            Text(server_parts.namespace),
            Text(server_parts.kind),
            Text(server_parts.workload),
            Text(&connection.service),
            Text(Encryption::of(connection.encrypted, connection.plain).name()),
            Text(&connection.egress.node),
            Owned(verdict(&connection.egress)),
            Owned(policies(&connection.egress)),
            Text(&connection.ingress.node),
            Owned(verdict(&connection.ingress)),
            Owned(policies(&connection.ingress)),
            Owned(reference.to_string()),
            Flag(connection.oriented),
            Flag(connection.alone),
        ];
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push(value);
        }
        self.rows += 1;
    }

    /// The rows since the last time.
    pub(super) fn finish(&mut self) -> Result<RecordBatch, QueryError> {
        self.rows = 0;
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        RecordBatch::try_new(Arc::new(schema()), arrays).map_err(QueryError::engine)
    }
}

impl Column {
    fn push(&mut self, value: Value<'_>) {
        match (self, value) {
            (Self::Text(texts), Value::Text(text)) => texts.append_option(some(text)),
            (Self::Text(texts), Value::Owned(text)) => texts.append_option(some(&text)),
            (Self::Number(numbers), Value::Number(number)) => numbers.append_value(number),
            (Self::Count(counts), Value::Count(count)) => counts.append_value(count),
            (Self::Flag(flags), Value::Flag(flag)) => flags.append_value(flag),
            (Self::Time(times), Value::Time(time)) => {
                times.append_option((time != NO_TIME).then_some(time));
            }
            // The order of values is that of columns, as a test holds.
            (column, _) => column.push_nothing(),
        }
    }

    fn push_nothing(&mut self) {
        match self {
            Self::Text(texts) => texts.append_null(),
            Self::Number(numbers) => numbers.append_null(),
            Self::Count(counts) => counts.append_null(),
            Self::Flag(flags) => flags.append_null(),
            Self::Time(times) => times.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(texts) => Arc::new(texts.finish()),
            Self::Number(numbers) => Arc::new(numbers.finish()),
            Self::Count(counts) => Arc::new(counts.finish()),
            Self::Flag(flags) => Arc::new(flags.finish()),
            Self::Time(times) => Arc::new(times.finish()),
        }
    }
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// What is known of an end.
#[derive(Default)]
struct Parts<'a> {
    cluster: &'a str,
    namespace: &'a str,
    kind: &'a str,
    workload: &'a str,
}

impl<'a> Parts<'a> {
    fn of(peer: &'a Peer) -> Self {
        match peer {
            Peer::Workload {
                cluster,
                namespace,
                kind,
                name,
            } => Self {
                cluster,
                namespace,
                kind,
                workload: name,
            },
            _ => Self::default(),
        }
    }
}

/// As rollups have it.
fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Forwarded => "forwarded",
        Outcome::RequestDenied => "request-denied",
        Outcome::Audited => "audited",
        Outcome::Dropped(_) => "dropped",
        Outcome::Error => "error",
    }
}

fn verdict(side: &Side) -> String {
    side.recorded.as_ref().map_or(String::new(), |recorded| {
        let verdict = recorded.verdict;
        verdict
            .name()
            .map_or_else(|| verdict.0.to_string(), str::to_owned)
    })
}

/// The policies that Hubble names, as a list in one text.
fn policies(side: &Side) -> String {
    let recorded = side.recorded.as_ref();
    let joined =
        recorded.and_then(|recorded| join(recorded.policies.iter().map(|policy| &**policy)));
    joined.unwrap_or_default()
}
