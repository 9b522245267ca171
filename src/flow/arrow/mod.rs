//! Flows as Arrow columns: the schema that recordings have, and both ways through it.
//!
//! Owns names, types and the version of the columns (`encode`, `decode`), how a list is
//! one text (`joined`) and the bytes of what has no column of its own (`leftover`).
//! Knows no file format.
//!
//! Everything a row holds comes back from its columns. Some columns say again what
//! others say, for those who query: `source_workload` and `destination_workload`, and
//! the names of policies beside `policies`.

mod decode;
mod encode;
mod joined;
mod leftover;
mod memory;
mod notices;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

pub use decode::DecodeError;
pub(crate) use decode::decode;
pub use encode::{Coded, Encoder, MOST_NUMBERS, NO_VALUE, RowRuns};
pub use joined::{join, split};
pub(crate) use memory::Memory;
pub use notices::{notice_schema, notices_from, notices_to};

/// Version of the columns; grows with every change of [`schema`].
///
/// 1 was never written to a file. 2 holds whole flows.
pub const SCHEMA_VERSION: u32 = 2;

/// Key in the footer of a file that no endpoint of it has several workloads.
pub const ONE_WORKLOAD: &str = "flowwatch.one_workload";

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Time,
    Uuid,
    I32,
    U8,
    U32,
    U64,
    Bool,
    /// Dictionary-encoded text in memory; text to whoever reads the file.
    Text,
    Bytes,
}

/// Whether a column can be null.
const SOME: bool = true;
const ALL: bool = false;

/// Every column: name, type, whether it can be null.
const COLUMNS: &[(&str, Kind, bool)] = &[
    ("time", Kind::Time, SOME),
    ("uuid", Kind::Uuid, SOME),
    ("verdict", Kind::I32, ALL),
    ("flow_type", Kind::I32, ALL),
    ("event_type", Kind::I32, ALL),
    ("event_sub_type", Kind::I32, ALL),
    ("traffic_direction", Kind::I32, ALL),
    ("trace_observation_point", Kind::I32, ALL),
    ("trace_reason", Kind::I32, ALL),
    ("policy_match_type", Kind::U32, ALL),
    ("drop_reason", Kind::I32, ALL),
    ("drop_reason_number", Kind::U32, ALL),
    ("is_reply", Kind::Bool, SOME),
    ("ip_version", Kind::I32, ALL),
    ("flags", Kind::U32, ALL),
    ("protocol", Kind::U8, ALL),
    ("source_port", Kind::U32, ALL),
    ("destination_port", Kind::U32, ALL),
    ("source_ip", Kind::Text, SOME),
    ("destination_ip", Kind::Text, SOME),
    ("node_name", Kind::Text, SOME),
    ("weight", Kind::U32, ALL),
    ("source_endpoint_id", Kind::U32, SOME),
    ("source_identity", Kind::U32, SOME),
    ("source_cluster", Kind::Text, SOME),
    ("source_namespace", Kind::Text, SOME),
    ("source_workload", Kind::Text, SOME),
    ("source_pod", Kind::Text, SOME),
    ("source_labels", Kind::Text, SOME),
    ("source_workloads", Kind::Text, SOME),
    ("destination_endpoint_id", Kind::U32, SOME),
    ("destination_identity", Kind::U32, SOME),
    ("destination_cluster", Kind::Text, SOME),
    ("destination_namespace", Kind::Text, SOME),
    ("destination_workload", Kind::Text, SOME),
    ("destination_pod", Kind::Text, SOME),
    ("destination_labels", Kind::Text, SOME),
    ("destination_workloads", Kind::Text, SOME),
    ("source_names", Kind::Text, SOME),
    ("destination_names", Kind::Text, SOME),
    ("source_service", Kind::Text, SOME),
    ("source_service_namespace", Kind::Text, SOME),
    ("destination_service", Kind::Text, SOME),
    ("destination_service_namespace", Kind::Text, SOME),
    ("source_mac", Kind::Text, SOME),
    ("destination_mac", Kind::Text, SOME),
    ("summary", Kind::Text, SOME),
    ("node_labels", Kind::Text, SOME),
    ("emitter", Kind::Text, SOME),
    ("emitter_version", Kind::Text, SOME),
    ("egress_allowed_by", Kind::Text, SOME),
    ("ingress_allowed_by", Kind::Text, SOME),
    ("egress_denied_by", Kind::Text, SOME),
    ("ingress_denied_by", Kind::Text, SOME),
    ("policies", Kind::Bytes, SOME),
    ("policy_log", Kind::Text, SOME),
    ("auth_type", Kind::I32, SOME),
    ("icmp_type", Kind::U32, SOME),
    ("icmp_code", Kind::U32, SOME),
    ("l7_type", Kind::I32, SOME),
    ("l7_latency_ns", Kind::U64, SOME),
    ("dns_query", Kind::Text, SOME),
    ("dns_ips", Kind::Text, SOME),
    ("dns_ttl", Kind::U32, SOME),
    ("dns_cnames", Kind::Text, SOME),
    ("dns_rcode", Kind::U32, SOME),
    ("dns_observation_source", Kind::Text, SOME),
    ("dns_qtypes", Kind::Text, SOME),
    ("dns_rrtypes", Kind::Text, SOME),
    ("http_code", Kind::U32, SOME),
    ("http_method", Kind::Text, SOME),
    ("http_url", Kind::Text, SOME),
    ("http_protocol", Kind::Text, SOME),
    ("http_headers", Kind::Text, SOME),
    ("source_ip_xlated", Kind::Text, SOME),
    ("tunnel_protocol", Kind::I32, SOME),
    ("tunnel_source", Kind::Text, SOME),
    ("tunnel_destination", Kind::Text, SOME),
    ("tunnel_source_port", Kind::U32, SOME),
    ("tunnel_destination_port", Kind::U32, SOME),
    ("tunnel_vni", Kind::U32, SOME),
    ("interface_index", Kind::U32, SOME),
    ("interface_name", Kind::Text, SOME),
    ("proxy_port", Kind::U32, SOME),
    ("trace_id", Kind::Text, SOME),
    ("socket_cookie", Kind::U64, SOME),
    ("cgroup_id", Kind::U64, SOME),
    ("sock_xlate_point", Kind::I32, SOME),
    ("debug_capture_point", Kind::I32, SOME),
    ("file_name", Kind::Text, SOME),
    ("file_line", Kind::U32, SOME),
    ("aggregate_ingress", Kind::U32, SOME),
    ("aggregate_egress", Kind::U32, SOME),
    ("aggregate_unknown", Kind::U32, SOME),
    ("extra", Kind::Bytes, SOME),
];

impl Kind {
    fn data_type(self) -> DataType {
        match self {
            Self::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Self::Uuid => DataType::FixedSizeBinary(16),
            Self::I32 => DataType::Int32,
            Self::U8 => DataType::UInt8,
            Self::U32 => DataType::UInt32,
            Self::U64 => DataType::UInt64,
            Self::Bool => DataType::Boolean,
            Self::Text => {
                DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
            }
            Self::Bytes => DataType::Binary,
        }
    }
}

/// Columns that say for those who query what others say too: nobody decodes them.
const REPEATED: [&str; 4] = [
    "egress_allowed_by",
    "ingress_allowed_by",
    "egress_denied_by",
    "ingress_denied_by",
];

/// Whether rows are made of a column, beside others that a file `has`.
#[must_use]
pub fn is_decoded(name: &str, has: impl Fn(&str) -> bool) -> bool {
    let fuller = match name {
        "source_workload" => "source_workloads",
        "destination_workload" => "destination_workloads",
        _ => return column_type(name).is_some() && !REPEATED.contains(&name),
    };
    !has(fuller)
}

/// The columns of a flow as Arrow has them; `uuid` only where it is wanted.
#[must_use]
pub fn schema(with_uuid: bool) -> Schema {
    let fields: Vec<Field> = COLUMNS
        .iter()
        .filter(|&&(_, kind, _)| with_uuid || kind != Kind::Uuid)
        .map(|&(name, kind, nullable)| Field::new(name, kind.data_type(), nullable))
        .collect();
    Schema::new(fields)
}

/// The type a column of this version has in memory, `None` for an unknown one.
#[must_use]
pub fn column_type(name: &str) -> Option<DataType> {
    COLUMNS
        .iter()
        .find(|(known, ..)| *known == name)
        .map(|(_, kind, _)| kind.data_type())
}

#[cfg(test)]
mod tests;
