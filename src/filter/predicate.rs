//! What one field of a filter asks of a row, compiled.
//!
//! Owns evaluation on columns. Questions on texts, endpoints and lists are asked once
//! per distinct value: [`Memo`] keeps the answers.

use super::address::AddressSet;
use super::cel::Expressions;
use super::memo::Memo;
use super::name::NamePrefix;
use super::url;
use crate::flow::{
    DropReason, Endpoint, Extra, Http, L7, L7Record, Protocol, Reply, RowRef, StrId, Verdict, flags,
};
use crate::pattern::{FqdnGlob, LabelSelector, NodeGlob, Re2};
use crate::proto::flow as pb;

/// Source or destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
}

/// One field: true if any of its values fits.
#[derive(Clone, Debug)]
pub(super) enum Predicate {
    Verdict(Vec<i32>),
    Direction(Vec<i32>),
    IpVersion(Vec<i32>),
    DropReason(Vec<i32>),
    EventType(Vec<pb::EventTypeFilter>),
    Reply(Vec<bool>),
    Encrypted(Vec<bool>),
    TcpFlags(Vec<u32>),
    Protocol(Vec<ProtocolName>),
    Port(Side, Vec<u32>),
    Uuid(Vec<Uuid>),
    Identity(Side, Vec<u32>),
    IpTraceId(Vec<u64>),
    Interface(Vec<pb::NetworkInterface>),
    HttpStatus(Vec<Status>),
    HttpHeader(Vec<pb::HttpHeader>),
    Text(TextColumn, TextTest, Memo),
    Endpoint(Side, EndpointTest, Memo),
    Service(Side, Vec<NamePrefix>, Memo),
    Fqdn(Side, Vec<FqdnGlob>, Memo),
    NodeLabels(Vec<LabelSelector>, Memo),
    Cel(Expressions),
}

/// A name `--protocol` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProtocolName {
    Layer4(Protocol),
    /// Either version.
    Icmp,
    Dns,
    Http,
    Kafka,
}

/// A uuid, by its bits where it has the usual form: so it stands in the column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Uuid {
    Bits(u128),
    Text(String),
}

/// `404`, or the beginning of a status: `4+`, `40+`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Exact(u32),
    Prefix(String),
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextColumn {
    SourceIp,
    DestinationIp,
    SourceXlated,
    Node,
    TraceId,
    DnsQuery,
    HttpMethod,
    HttpUrl,
}

/// What a text must be.
#[derive(Clone, Debug)]
pub(super) enum TextTest {
    Address(AddressSet),
    Node(Vec<NodeGlob>),
    Equal(Vec<String>),
    EqualIgnoringCase(Vec<String>),
    Regex(Vec<Re2>),
    /// On the path of the URL.
    Path(Vec<Re2>),
}

/// What an endpoint must be.
#[derive(Clone, Debug)]
pub(super) enum EndpointTest {
    Pod(Vec<NamePrefix>),
    Label(Vec<LabelSelector>),
    Workload(Vec<pb::Workload>),
    Cluster(Vec<String>),
}

impl Predicate {
    /// Rank by price: what reads one column first, what walks a text later, CEL last.
    pub(super) fn cost(&self) -> u8 {
        match self {
            Self::Verdict(_)
            | Self::Direction(_)
            | Self::IpVersion(_)
            | Self::DropReason(_)
            | Self::EventType(_)
            | Self::Reply(_)
            | Self::Encrypted(_)
            | Self::TcpFlags(_) => 0,
            Self::Port(..) | Self::Protocol(_) | Self::Uuid(_) => 1,
            Self::Identity(..)
            | Self::IpTraceId(_)
            | Self::Interface(_)
            | Self::HttpStatus(_)
            | Self::Text(..)
            | Self::Endpoint(..)
            | Self::Service(..)
            | Self::Fqdn(..)
            | Self::NodeLabels(..) => 2,
            Self::HttpHeader(_) => 3,
            Self::Cel(_) => 4,
        }
    }

    /// Whether a row fits.
    pub(super) fn matches(&mut self, row: RowRef<'_>) -> bool {
        match self {
            Self::Verdict(wanted) => wanted.contains(&row.verdict().0),
            Self::Direction(wanted) => wanted.contains(&row.direction().0),
            Self::IpVersion(wanted) => wanted.contains(&row.ip_version()),
            Self::DropReason(wanted) => drop_reason(row, wanted),
            Self::EventType(wanted) => event_type(row, wanted),
            Self::Reply(wanted) => reply(row).is_some_and(|reply| wanted.contains(&reply)),
            Self::Encrypted(wanted) => wanted.contains(&row.has(flags::ENCRYPTED)),
            Self::TcpFlags(wanted) => {
                let set = row.flags();
                set & flags::HAS_TCP_FLAGS != 0 && wanted.iter().any(|mask| set & mask == *mask)
            }
            Self::Protocol(wanted) => wanted.iter().any(|name| name.matches(row)),
            Self::Port(side, wanted) => {
                let port = match side {
                    Side::Source => row.source_port(),
                    Side::Destination => row.destination_port(),
                };
                has_ports(row.protocol()) && wanted.contains(&port)
            }
            Self::Uuid(wanted) => uuid(row, wanted),
            Self::Identity(side, wanted) => {
                endpoint(row, *side).is_some_and(|endpoint| wanted.contains(&endpoint.identity))
            }
            Self::IpTraceId(wanted) => row
                .extra()
                .and_then(|extra| extra.ip_trace_id)
                .is_some_and(|(id, _)| wanted.contains(&id)),
            Self::Interface(wanted) => interface(row, wanted),
            Self::HttpStatus(wanted) => http(row)
                .filter(|http| http.code != 0)
                .is_some_and(|http| wanted.iter().any(|status| status.matches(http.code))),
            Self::HttpHeader(wanted) => http_header(row, wanted),
            Self::Text(column, test, memo) => column.of(row).is_some_and(|id| {
                memo.answer(row.dictionaries().epoch(), id.0, || {
                    test.matches(row.str(id))
                })
            }),
            Self::Endpoint(side, test, memo) => {
                let id = match side {
                    Side::Source => row.source(),
                    Side::Destination => row.destination(),
                };
                memo.answer(row.dictionaries().epoch(), id.0, || {
                    test.matches(row.dictionaries().endpoint(id))
                })
            }
            Self::Service(side, wanted, memo) => {
                let id = match side {
                    Side::Source => row.source_service(),
                    Side::Destination => row.destination_service(),
                };
                memo.answer(row.dictionaries().epoch(), id.0, || {
                    row.dictionaries().service(id).is_some_and(|service| {
                        wanted
                            .iter()
                            .any(|name| name.matches(service.namespace, service.name))
                    })
                })
            }
            Self::Fqdn(side, wanted, memo) => {
                let id = match side {
                    Side::Source => row.source_names(),
                    Side::Destination => row.destination_names(),
                };
                memo.answer(row.dictionaries().epoch(), id.0, || {
                    row.dictionaries()
                        .list(id)
                        .any(|name| wanted.iter().any(|glob| glob.matches(name)))
                })
            }
            Self::NodeLabels(wanted, memo) => {
                let id = row.node_labels();
                memo.answer(row.dictionaries().epoch(), id.0, || {
                    let labels = row.dictionaries().list(id);
                    wanted
                        .iter()
                        .any(|selector| selector.matches(labels.clone()))
                })
            }
            Self::Cel(expressions) => expressions.matches(row),
        }
    }

    /// Whether an event without a flow fits. Only what Hubble reads out of nothing does:
    /// no labels, not encrypted; and the event type, where it is one of `every_type`.
    pub(super) fn matches_flowless(&self, every_type: bool) -> bool {
        match self {
            Self::EventType(_) => every_type,
            Self::Encrypted(wanted) => wanted.contains(&false),
            Self::Endpoint(_, test @ EndpointTest::Label(_), _) => test.matches(None),
            Self::NodeLabels(wanted, _) => wanted
                .iter()
                .any(|selector| selector.matches(std::iter::empty())),
            _ => false,
        }
    }
}

impl ProtocolName {
    fn matches(self, row: RowRef<'_>) -> bool {
        match self {
            Self::Layer4(protocol) => row.protocol() == protocol,
            Self::Icmp => matches!(row.protocol(), Protocol::Icmpv4 | Protocol::Icmpv6),
            Self::Dns => matches!(record(row), Some(L7Record::Dns(_))),
            Self::Http => matches!(record(row), Some(L7Record::Http(_))),
            Self::Kafka => matches!(record(row), Some(L7Record::Kafka(_))),
        }
    }
}

impl Status {
    fn matches(&self, code: u32) -> bool {
        match self {
            Self::Exact(wanted) => *wanted == code,
            Self::Prefix(prefix) => format!("{code:03}").starts_with(prefix),
        }
    }
}

impl TextColumn {
    /// The text's id; `None` where the flow has no such part.
    fn of(self, row: RowRef<'_>) -> Option<StrId> {
        match self {
            Self::SourceIp => Some(row.source_ip()),
            Self::DestinationIp => Some(row.destination_ip()),
            Self::SourceXlated => row.extra().map(|extra| extra.source_xlated),
            Self::Node => Some(row.node()),
            Self::TraceId => row.extra().and_then(|extra| extra.trace_id),
            Self::DnsQuery => match record(row)? {
                L7Record::Dns(dns) => Some(dns.query),
                _ => None,
            },
            Self::HttpMethod => http(row).map(|http| http.method),
            Self::HttpUrl => http(row).map(|http| http.url),
        }
    }
}

impl TextTest {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Address(set) => set.matches(text),
            Self::Node(globs) => globs.iter().any(|glob| glob.matches(text)),
            Self::Equal(wanted) => wanted.iter().any(|wanted| wanted == text),
            Self::EqualIgnoringCase(wanted) => wanted
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(text)),
            Self::Regex(wanted) => wanted.iter().any(|regex| regex.is_match(text)),
            Self::Path(wanted) => url::request_path(text)
                .is_some_and(|path| wanted.iter().any(|regex| regex.is_match(&path))),
        }
    }
}

impl EndpointTest {
    fn matches(&self, endpoint: Option<&Endpoint>) -> bool {
        match self {
            Self::Label(wanted) => {
                let labels: &[_] = endpoint.map_or(&[], |endpoint| &endpoint.labels);
                let labels = labels.iter().map(AsRef::as_ref);
                wanted
                    .iter()
                    .any(|selector| selector.matches(labels.clone()))
            }
            Self::Pod(wanted) => endpoint.is_some_and(|endpoint| {
                wanted
                    .iter()
                    .any(|name| name.matches(&endpoint.namespace, &endpoint.pod))
            }),
            Self::Workload(wanted) => endpoint.is_some_and(|endpoint| {
                endpoint.workloads.iter().any(|workload| {
                    wanted.iter().any(|wanted| {
                        (wanted.name.is_empty() || *wanted.name == *workload.name)
                            && (wanted.kind.is_empty() || *wanted.kind == *workload.kind)
                    })
                })
            }),
            Self::Cluster(wanted) => endpoint
                .is_some_and(|endpoint| wanted.iter().any(|name| **name == *endpoint.cluster)),
        }
    }
}

fn endpoint(row: RowRef<'_>, side: Side) -> Option<&Endpoint> {
    match side {
        Side::Source => row.source_endpoint(),
        Side::Destination => row.destination_endpoint(),
    }
}

fn has_ports(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Tcp | Protocol::Udp | Protocol::Sctp)
}

fn drop_reason(row: RowRef<'_>, wanted: &[i32]) -> bool {
    let DropReason(reason) = row.drop_reason();
    row.verdict() == Verdict::DROPPED && wanted.contains(&reason)
}

fn event_type(row: RowRef<'_>, wanted: &[pb::EventTypeFilter]) -> bool {
    row.has(flags::HAS_EVENT_TYPE)
        && wanted.iter().any(|wanted| {
            (wanted.r#type == 0 || wanted.r#type == row.event_type())
                && (!wanted.match_sub_type || wanted.sub_type == row.event_sub_type())
        })
}

/// A drop never says whether it is a reply; Hubble takes it for none.
fn reply(row: RowRef<'_>) -> Option<bool> {
    match row.reply() {
        Reply::Yes => Some(true),
        Reply::No => Some(false),
        Reply::Unknown => (row.verdict() == Verdict::DROPPED).then_some(false),
    }
}

fn uuid(row: RowRef<'_>, wanted: &[Uuid]) -> bool {
    let text = row.extra().and_then(|extra| extra.uuid.as_deref());
    wanted.iter().any(|wanted| match (wanted, text) {
        (Uuid::Bits(bits), None) => *bits == row.uuid(),
        (Uuid::Text(wanted), Some(text)) => wanted == text,
        _ => false,
    })
}

fn interface(row: RowRef<'_>, wanted: &[pb::NetworkInterface]) -> bool {
    let Some((index, name)) = row.extra().and_then(|extra| extra.interface) else {
        return false;
    };
    wanted.iter().any(|wanted| {
        (wanted.index == 0 || wanted.index == index)
            && (wanted.name.is_empty() || wanted.name == row.str(name))
    })
}

fn http_header(row: RowRef<'_>, wanted: &[pb::HttpHeader]) -> bool {
    http(row).is_some_and(|http| {
        http.headers.iter().any(|header| {
            wanted.iter().any(|wanted| {
                wanted.key == row.str(header.key) && wanted.value == row.str(header.value)
            })
        })
    })
}

fn record(row: RowRef<'_>) -> Option<&L7Record> {
    let extra: &Extra = row.extra()?;
    let l7: &L7 = extra.l7.as_deref()?;
    l7.record.as_ref()
}

fn http(row: RowRef<'_>) -> Option<&Http> {
    match record(row)? {
        L7Record::Http(http) => Some(http),
        _ => None,
    }
}
