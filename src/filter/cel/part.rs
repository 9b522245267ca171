//! Which field of which message stands where in a row.
//!
//! Owns the names of the flow API's fields (Cilium 1.19) against columns and the sparse
//! part. Knows no CEL. `extensions` is not kept in rows and reads as unset.

use super::{layer4, record};
use crate::flow::{
    Aggregate, Dictionaries, Dns, Endpoint, Extra, File, Header, Http, Kafka, L7, ListId, Policy,
    Reply, RowRef, Service, StrId, Tunnel, Workload, flags,
};

/// A message within a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'v> {
    Flow(RowRef<'v>),
    Ip(RowRef<'v>),
    Layer4(RowRef<'v>),
    /// The arm of `Layer4`, whichever it is.
    Transport(RowRef<'v>),
    TcpFlags(RowRef<'v>),
    EventType(RowRef<'v>),
    Tunnel(RowRef<'v>, &'v Tunnel),
    OuterIp(RowRef<'v>, &'v Tunnel),
    OuterLayer4(u32, u32),
    OuterUdp(u32, u32),
    Endpoint(&'v Endpoint),
    Workload(&'v Workload),
    Service(Service<'v>),
    Layer7(RowRef<'v>, &'v L7),
    Dns(RowRef<'v>, &'v Dns),
    Http(RowRef<'v>, &'v Http),
    Header(RowRef<'v>, &'v Header),
    Kafka(RowRef<'v>, &'v Kafka),
    Policy(RowRef<'v>, &'v Policy),
    File(RowRef<'v>, File),
    Aggregate(Aggregate),
    IpTraceId(u64, u32),
    Interface(u32, &'v str),
    TraceContext(&'v str),
    TraceParent(&'v str),
    Emitter(&'v str, &'v str),
    Ethernet(&'v str, &'v str),
}

/// What a row has for a field.
#[derive(Clone, Debug)]
pub(super) enum Found<'v> {
    Unset,
    Uint(u64),
    Int(i32),
    Bool(bool),
    /// A wrapper that is set.
    Wrapped(bool),
    Text(&'v str),
    Owned(String),
    /// Nanoseconds since 1970 UTC.
    Time(i64),
    Texts(Vec<&'v str>),
    Part(Part<'v>),
    Parts(Vec<Part<'v>>),
}

impl Found<'_> {
    /// Whether protobuf would call the field set.
    pub(super) fn is_set(&self) -> bool {
        match self {
            Self::Unset => false,
            Self::Uint(number) => *number != 0,
            Self::Int(number) => *number != 0,
            Self::Bool(value) => *value,
            Self::Text(text) => !text.is_empty(),
            Self::Owned(text) => !text.is_empty(),
            Self::Texts(texts) => !texts.is_empty(),
            Self::Parts(parts) => !parts.is_empty(),
            Self::Wrapped(_) | Self::Time(_) | Self::Part(_) => true,
        }
    }
}

impl From<u32> for Found<'_> {
    fn from(number: u32) -> Self {
        Self::Uint(number.into())
    }
}

impl<'v> From<Option<Part<'v>>> for Found<'v> {
    fn from(part: Option<Part<'v>>) -> Self {
        part.map_or(Self::Unset, Self::Part)
    }
}

impl<'v> Part<'v> {
    /// The value of a field by its name in the API.
    pub(super) fn field(self, name: &str) -> Found<'v> {
        match self {
            Self::Flow(row) => flow(row, name),
            Self::Ip(row) => ip(row, name),
            Self::Layer4(row) if row.protocol().name() == name => Found::Part(Self::Transport(row)),
            Self::Transport(row) => layer4::transport(row, name),
            Self::TcpFlags(row) => Found::Bool(row.has(layer4::tcp_flag(name))),
            Self::EventType(row) => match name {
                "type" => Found::Int(row.event_type()),
                "sub_type" => Found::Int(row.event_sub_type()),
                _ => Found::Unset,
            },
            Self::Tunnel(row, tunnel) => match name {
                "protocol" => Found::Int(tunnel.protocol),
                "IP" if tunnel.source != StrId(0) || tunnel.destination != StrId(0) => {
                    Found::Part(Self::OuterIp(row, tunnel))
                }
                "l4" => tunnel
                    .ports
                    .map(|(source, destination)| Self::OuterLayer4(source, destination))
                    .into(),
                "vni" => tunnel.vni.into(),
                _ => Found::Unset,
            },
            Self::OuterIp(row, tunnel) => match name {
                "source" => text(row, tunnel.source),
                "destination" => text(row, tunnel.destination),
                "ipVersion" => Found::Int(version(row.str(tunnel.source))),
                _ => Found::Unset,
            },
            // Both tunnel protocols are over UDP.
            Self::OuterLayer4(source, destination) if name == "UDP" => {
                Found::Part(Self::OuterUdp(source, destination))
            }
            Self::OuterUdp(source, destination) => layer4::ports(source, destination, name),
            Self::Layer4(_) | Self::OuterLayer4(..) => Found::Unset,
            Self::Endpoint(endpoint) => self::endpoint(endpoint, name),
            Self::Workload(workload) => match name {
                "name" => Found::Text(&workload.name),
                "kind" => Found::Text(&workload.kind),
                _ => Found::Unset,
            },
            Self::Service(service) => match name {
                "name" => Found::Text(service.name),
                "namespace" => Found::Text(service.namespace),
                _ => Found::Unset,
            },
            Self::Layer7(row, l7) => record::layer7(row, l7, name),
            Self::Dns(row, dns) => record::dns(row, dns, name),
            Self::Http(row, http) => record::http(row, http, name),
            Self::Header(row, header) => record::header(row, header, name),
            Self::Kafka(row, kafka) => record::kafka(row, kafka, name),
            Self::Policy(row, policy) => match name {
                "name" => text(row, policy.name),
                "namespace" => text(row, policy.namespace),
                "labels" => texts(row.dictionaries(), policy.labels),
                "revision" => Found::Uint(policy.revision),
                "kind" => text(row, policy.kind),
                _ => Found::Unset,
            },
            Self::File(row, file) => match name {
                "name" => text(row, file.name),
                "line" => file.line.into(),
                _ => Found::Unset,
            },
            Self::Aggregate(counts) => match name {
                "ingress_flow_count" => counts.ingress.into(),
                "egress_flow_count" => counts.egress.into(),
                "unknown_direction_flow_count" => counts.unknown.into(),
                _ => Found::Unset,
            },
            Self::IpTraceId(id, option) => match name {
                "trace_id" => Found::Uint(id),
                "ip_option_type" => option.into(),
                _ => Found::Unset,
            },
            Self::Interface(index, text) => match name {
                "index" => index.into(),
                "name" => Found::Text(text),
                _ => Found::Unset,
            },
            Self::TraceContext(id) => match name {
                "parent" => Found::Part(Self::TraceParent(id)),
                _ => Found::Unset,
            },
            Self::TraceParent(id) => match name {
                "trace_id" => Found::Text(id),
                _ => Found::Unset,
            },
            Self::Emitter(of, version) => match name {
                "name" => Found::Text(of),
                "version" => Found::Text(version),
                _ => Found::Unset,
            },
            Self::Ethernet(source, destination) => match name {
                "source" => Found::Text(source),
                "destination" => Found::Text(destination),
                _ => Found::Unset,
            },
        }
    }
}

pub(super) fn text(row: RowRef<'_>, id: StrId) -> Found<'_> {
    Found::Text(row.str(id))
}

pub(super) fn texts(dictionaries: &Dictionaries, id: ListId) -> Found<'_> {
    Found::Texts(dictionaries.list(id).collect())
}

fn flow<'v>(row: RowRef<'v>, name: &str) -> Found<'v> {
    let dictionaries = row.dictionaries();
    let has = |flag| row.has(flag);
    let pair = |id, make: fn(&'v str, &'v str) -> Part<'v>| -> Found<'v> {
        dictionaries
            .pair(id)
            .map(|(left, right)| make(left, right))
            .into()
    };
    match name {
        "time" => row.time().map_or(Found::Unset, Found::Time),
        "uuid" => uuid(row),
        "emitter" => pair(row.emitter(), Part::Emitter),
        "verdict" => Found::Int(row.verdict().0),
        "drop_reason" => row.drop_reason_number().into(),
        "drop_reason_desc" => Found::Int(row.drop_reason().0),
        "ethernet" => pair(row.ethernet(), Part::Ethernet),
        "IP" => has(flags::HAS_IP).then_some(Part::Ip(row)).into(),
        "l4" => has(flags::HAS_L4).then_some(Part::Layer4(row)).into(),
        "source" => row.source_endpoint().map(Part::Endpoint).into(),
        "destination" => row.destination_endpoint().map(Part::Endpoint).into(),
        "Type" => Found::Int(row.flow_type().0),
        "node_name" => text(row, row.node()),
        "node_labels" => texts(dictionaries, row.node_labels()),
        "source_names" => texts(dictionaries, row.source_names()),
        "destination_names" => texts(dictionaries, row.destination_names()),
        "reply" => Found::Bool(has(flags::LEGACY_REPLY)),
        "event_type" => has(flags::HAS_EVENT_TYPE)
            .then_some(Part::EventType(row))
            .into(),
        "source_service" => dictionaries
            .service(row.source_service())
            .map(Part::Service)
            .into(),
        "destination_service" => dictionaries
            .service(row.destination_service())
            .map(Part::Service)
            .into(),
        "traffic_direction" => Found::Int(row.direction().0),
        "policy_match_type" => row.policy_match_type().into(),
        "trace_observation_point" => Found::Int(row.trace_point().0),
        "trace_reason" => Found::Int(row.trace_reason().0),
        "is_reply" => match row.reply() {
            Reply::Unknown => Found::Unset,
            Reply::No => Found::Wrapped(false),
            Reply::Yes => Found::Wrapped(true),
        },
        "Summary" => text(row, row.summary()),
        _ => row
            .extra()
            .map_or(Found::Unset, |extra| sparse(row, extra, name)),
    }
}

fn sparse<'v>(row: RowRef<'v>, extra: &'v Extra, name: &str) -> Found<'v> {
    let policies = |list: &'v [Policy]| {
        Found::Parts(
            list.iter()
                .map(|policy| Part::Policy(row, policy))
                .collect(),
        )
    };
    match name {
        "auth_type" => Found::Int(extra.auth_type.0),
        "tunnel" => extra
            .tunnel
            .as_deref()
            .map(|tunnel| Part::Tunnel(row, tunnel))
            .into(),
        "l7" => extra.l7.as_deref().map(|l7| Part::Layer7(row, l7)).into(),
        "file" => extra.file.map(|file| Part::File(row, file)).into(),
        "ip_trace_id" => extra
            .ip_trace_id
            .map(|(id, option)| Part::IpTraceId(id, option))
            .into(),
        "debug_capture_point" => Found::Int(extra.capture_point.0),
        "interface" => extra
            .interface
            .map(|(index, name)| Part::Interface(index, row.str(name)))
            .into(),
        "proxy_port" => extra.proxy_port.into(),
        "trace_context" => extra
            .trace_id
            .map(|id| Part::TraceContext(row.str(id)))
            .into(),
        "sock_xlate_point" => Found::Int(extra.sock_point.0),
        "socket_cookie" => Found::Uint(extra.socket_cookie),
        "cgroup_id" => Found::Uint(extra.cgroup_id),
        "egress_allowed_by" => policies(&extra.egress_allowed_by),
        "ingress_allowed_by" => policies(&extra.ingress_allowed_by),
        "egress_denied_by" => policies(&extra.egress_denied_by),
        "ingress_denied_by" => policies(&extra.ingress_denied_by),
        "policy_log" => texts(row.dictionaries(), extra.policy_log),
        "aggregate" => extra.aggregate.map(Part::Aggregate).into(),
        _ => Found::Unset,
    }
}

fn uuid(row: RowRef<'_>) -> Found<'_> {
    if let Some(text) = row.extra().and_then(|extra| extra.uuid.as_deref()) {
        return Found::Text(text);
    }
    match row.uuid() {
        0 => Found::Unset,
        bits => {
            let hex = format!("{bits:032x}");
            let groups = [
                &hex[..8],
                &hex[8..12],
                &hex[12..16],
                &hex[16..20],
                &hex[20..],
            ];
            Found::Owned(groups.join("-"))
        }
    }
}

fn ip<'v>(row: RowRef<'v>, name: &str) -> Found<'v> {
    match name {
        "source" => text(row, row.source_ip()),
        "source_xlated" => row
            .extra()
            .map_or(Found::Unset, |extra| text(row, extra.source_xlated)),
        "destination" => text(row, row.destination_ip()),
        "ipVersion" => Found::Int(row.ip_version()),
        "encrypted" => Found::Bool(row.has(flags::ENCRYPTED)),
        _ => Found::Unset,
    }
}

/// Hubble's number for the version of an address.
fn version(address: &str) -> i32 {
    match address {
        "" => 0,
        text if text.contains(':') => 2,
        _ => 1,
    }
}

fn endpoint<'v>(endpoint: &'v Endpoint, name: &str) -> Found<'v> {
    match name {
        "ID" => endpoint.id.into(),
        "identity" => endpoint.identity.into(),
        "cluster_name" => Found::Text(&endpoint.cluster),
        "namespace" => Found::Text(&endpoint.namespace),
        "labels" => Found::Texts(endpoint.labels.iter().map(AsRef::as_ref).collect()),
        "pod_name" => Found::Text(&endpoint.pod),
        "workloads" => Found::Parts(endpoint.workloads.iter().map(Part::Workload).collect()),
        _ => Found::Unset,
    }
}
