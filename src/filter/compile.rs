//! From the fields of a `FlowFilter` to predicates.
//!
//! Owns the grammar of the values and what is refused. All 41 fields and the CEL
//! expressions of Cilium 1.19.

use super::FilterError;
use super::address::AddressSet;
use super::cel::Expressions;
use super::memo::Memo;
use super::name::NamePrefix;
use super::predicate::{
    EndpointTest, Predicate, ProtocolName, Side, Status, TextColumn, TextTest, Uuid,
};
use crate::flow::{EventType, Protocol, flags};
use crate::pattern::{FqdnGlob, GlobError, LabelSelector, NodeGlob, Re2};
use crate::proto::flow as pb;
use crate::wire::convert::parse_uuid;

/// How many regular expressions a filter has.
pub(super) fn expressions(filter: &pb::FlowFilter) -> usize {
    filter.dns_query.len() + filter.http_path.len() + filter.http_url.len()
}

/// How many CEL expressions a filter has.
pub(super) fn programs(filter: &pb::FlowFilter) -> usize {
    let experimental = filter.experimental.as_ref();
    experimental.map_or(0, |experimental| experimental.cel_expression.len())
}

/// The predicates of one filter, cheapest first. `expressions` is how many regular
/// expressions the whole request has.
pub(super) fn predicates(
    filter: &pb::FlowFilter,
    expressions: usize,
) -> Result<Vec<Predicate>, FilterError> {
    let mut out = Predicates {
        predicates: Vec::new(),
        expressions,
    };
    out.scalars(filter)?;
    out.addresses(filter)?;
    out.names(filter)?;
    out.patterns(filter)?;
    out.http(filter)?;
    let mut predicates = out.predicates;
    predicates.sort_by_key(Predicate::cost);
    Ok(predicates)
}

struct Predicates {
    predicates: Vec<Predicate>,
    expressions: usize,
}

impl Predicates {
    /// Adds the predicate of a field that has values.
    fn add<T, U>(
        &mut self,
        values: &[T],
        parse: impl FnMut(&T) -> Result<U, FilterError>,
        predicate: impl FnOnce(Vec<U>) -> Predicate,
    ) -> Result<(), FilterError> {
        if !values.is_empty() {
            let values: Result<Vec<U>, FilterError> = values.iter().map(parse).collect();
            self.predicates.push(predicate(values?));
        }
        Ok(())
    }

    /// As [`Predicates::add`] for values that mean themselves.
    fn keep<T: Clone>(&mut self, values: &[T], predicate: impl FnOnce(Vec<T>) -> Predicate) {
        if !values.is_empty() {
            self.predicates.push(predicate(values.to_vec()));
        }
    }

    fn scalars(&mut self, filter: &pb::FlowFilter) -> Result<(), FilterError> {
        self.keep(&filter.verdict, Predicate::Verdict);
        self.keep(&filter.traffic_direction, Predicate::Direction);
        self.keep(&filter.ip_version, Predicate::IpVersion);
        self.keep(&filter.drop_reason_desc, Predicate::DropReason);
        self.keep(&filter.event_type, Predicate::EventType);
        self.keep(&filter.reply, Predicate::Reply);
        self.keep(&filter.encrypted, Predicate::Encrypted);
        self.keep(&filter.ip_trace_id, Predicate::IpTraceId);
        self.keep(&filter.interface, Predicate::Interface);
        self.keep(&filter.source_identity, |ids| {
            Predicate::Identity(Side::Source, ids)
        });
        self.keep(&filter.destination_identity, |ids| {
            Predicate::Identity(Side::Destination, ids)
        });
        self.add(
            &filter.tcp_flags,
            |flags| Ok(tcp_flags(*flags)),
            Predicate::TcpFlags,
        )?;
        self.add(&filter.uuid, |text| Ok(uuid(text)), Predicate::Uuid)?;
        self.add(&filter.protocol, |text| protocol(text), Predicate::Protocol)?;
        self.add(
            &filter.source_port,
            |text| port("source port", text),
            |ports| Predicate::Port(Side::Source, ports),
        )?;
        self.add(
            &filter.destination_port,
            |text| port("destination port", text),
            |ports| Predicate::Port(Side::Destination, ports),
        )
    }

    fn addresses(&mut self, filter: &pb::FlowFilter) -> Result<(), FilterError> {
        for (field, column, entries) in [
            ("source ip", TextColumn::SourceIp, &filter.source_ip),
            (
                "destination ip",
                TextColumn::DestinationIp,
                &filter.destination_ip,
            ),
            (
                "source ip xlated",
                TextColumn::SourceXlated,
                &filter.source_ip_xlated,
            ),
        ] {
            if !entries.is_empty() {
                let set = AddressSet::parse(entries).map_err(|entry| FilterError::Address {
                    field,
                    value: entry.to_owned(),
                })?;
                self.text(column, TextTest::Address(set));
            }
        }
        Ok(())
    }

    fn names(&mut self, filter: &pb::FlowFilter) -> Result<(), FilterError> {
        for (field, side, entries) in [
            ("source pod", Side::Source, &filter.source_pod),
            (
                "destination pod",
                Side::Destination,
                &filter.destination_pod,
            ),
        ] {
            self.add(
                entries,
                |text| name(field, text),
                |names| Predicate::Endpoint(side, EndpointTest::Pod(names), Memo::default()),
            )?;
        }
        for (field, side, entries) in [
            ("source service", Side::Source, &filter.source_service),
            (
                "destination service",
                Side::Destination,
                &filter.destination_service,
            ),
        ] {
            self.add(
                entries,
                |text| name(field, text),
                |names| Predicate::Service(side, names, Memo::default()),
            )?;
        }
        for (field, side, entries) in [
            (
                "source cluster name",
                Side::Source,
                &filter.source_cluster_name,
            ),
            (
                "destination cluster name",
                Side::Destination,
                &filter.destination_cluster_name,
            ),
        ] {
            self.add(
                entries,
                |text| match text.as_str() {
                    "" => Err(FilterError::Empty { field }),
                    text => Ok(text.to_owned()),
                },
                |names| Predicate::Endpoint(side, EndpointTest::Cluster(names), Memo::default()),
            )?;
        }
        for (side, entries) in [
            (Side::Source, &filter.source_workload),
            (Side::Destination, &filter.destination_workload),
        ] {
            self.keep(entries, |workloads| {
                Predicate::Endpoint(side, EndpointTest::Workload(workloads), Memo::default())
            });
        }
        if !filter.trace_id.is_empty() {
            self.text(
                TextColumn::TraceId,
                TextTest::Equal(filter.trace_id.clone()),
            );
        }
        Ok(())
    }

    fn patterns(&mut self, filter: &pb::FlowFilter) -> Result<(), FilterError> {
        let expressions = self.expressions;
        for (field, side, entries) in [
            ("source fqdn", Side::Source, &filter.source_fqdn),
            (
                "destination fqdn",
                Side::Destination,
                &filter.destination_fqdn,
            ),
        ] {
            self.add(
                entries,
                |text| FqdnGlob::new(text).map_err(|source| glob_error(field, text, source)),
                |globs| Predicate::Fqdn(side, globs, Memo::default()),
            )?;
        }
        for (field, side, entries) in [
            ("source label", Side::Source, &filter.source_label),
            (
                "destination label",
                Side::Destination,
                &filter.destination_label,
            ),
        ] {
            self.add(
                entries,
                |text| selector(field, text),
                |selectors| {
                    Predicate::Endpoint(side, EndpointTest::Label(selectors), Memo::default())
                },
            )?;
        }
        self.add(
            &filter.node_labels,
            |text| selector("node label", text),
            |selectors| Predicate::NodeLabels(selectors, Memo::default()),
        )?;
        self.add(
            &filter.node_name,
            |text| NodeGlob::new(text).map_err(|source| glob_error("node name", text, source)),
            |globs| Predicate::Text(TextColumn::Node, TextTest::Node(globs), Memo::default()),
        )?;
        self.add(
            &filter.dns_query,
            |text| regex("dns query", text, expressions),
            |list| Predicate::Text(TextColumn::DnsQuery, TextTest::Regex(list), Memo::default()),
        )?;
        if let Some(experimental) = &filter.experimental
            && !experimental.cel_expression.is_empty()
        {
            let expressions = Expressions::compile(&experimental.cel_expression)?;
            self.predicates.push(Predicate::Cel(expressions));
        }
        Ok(())
    }

    fn http(&mut self, filter: &pb::FlowFilter) -> Result<(), FilterError> {
        let expressions = self.expressions;
        let l7_excluded = !filter.event_type.is_empty()
            && filter
                .event_type
                .iter()
                .all(|wanted| wanted.r#type != EventType::L7.0);
        for (field, used) in [
            ("http status code", !filter.http_status_code.is_empty()),
            ("http method", !filter.http_method.is_empty()),
            ("http path", !filter.http_path.is_empty()),
            ("http url", !filter.http_url.is_empty()),
            ("http header", !filter.http_header.is_empty()),
        ] {
            if used && l7_excluded {
                return Err(FilterError::NeedsL7 { field });
            }
        }
        self.add(
            &filter.http_status_code,
            |text| status(text),
            Predicate::HttpStatus,
        )?;
        if !filter.http_method.is_empty() {
            let methods = TextTest::EqualIgnoringCase(filter.http_method.clone());
            self.text(TextColumn::HttpMethod, methods);
        }
        self.add(
            &filter.http_path,
            |text| regex("http path", text, expressions),
            |list| Predicate::Text(TextColumn::HttpUrl, TextTest::Path(list), Memo::default()),
        )?;
        self.add(
            &filter.http_url,
            |text| regex("http url", text, expressions),
            |list| Predicate::Text(TextColumn::HttpUrl, TextTest::Regex(list), Memo::default()),
        )?;
        self.keep(&filter.http_header, Predicate::HttpHeader);
        Ok(())
    }

    fn text(&mut self, column: TextColumn, test: TextTest) {
        self.predicates
            .push(Predicate::Text(column, test, Memo::default()));
    }
}

fn name(field: &'static str, text: &str) -> Result<NamePrefix, FilterError> {
    NamePrefix::parse(text).ok_or(FilterError::Empty { field })
}

fn selector(field: &'static str, text: &str) -> Result<LabelSelector, FilterError> {
    LabelSelector::parse(text).map_err(|source| FilterError::Selector {
        field,
        value: text.to_owned(),
        source,
    })
}

fn regex(field: &'static str, text: &str, expressions: usize) -> Result<Re2, FilterError> {
    Re2::one_of(expressions, text).map_err(|source| FilterError::Regex { field, source })
}

fn glob_error(field: &'static str, text: &str, source: GlobError) -> FilterError {
    FilterError::Glob {
        field,
        value: text.to_owned(),
        source,
    }
}

/// Digits only: no sign, no range, no service name.
fn port(field: &'static str, text: &str) -> Result<u32, FilterError> {
    Some(text)
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse::<u16>().ok())
        .map(u32::from)
        .ok_or_else(|| FilterError::Port {
            field,
            value: text.to_owned(),
        })
}

fn protocol(text: &str) -> Result<ProtocolName, FilterError> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "icmp" => ProtocolName::Icmp,
        "icmpv4" => ProtocolName::Layer4(Protocol::Icmpv4),
        "icmpv6" => ProtocolName::Layer4(Protocol::Icmpv6),
        "tcp" => ProtocolName::Layer4(Protocol::Tcp),
        "udp" => ProtocolName::Layer4(Protocol::Udp),
        "sctp" => ProtocolName::Layer4(Protocol::Sctp),
        "vrrp" => ProtocolName::Layer4(Protocol::Vrrp),
        "igmp" => ProtocolName::Layer4(Protocol::Igmp),
        "dns" => ProtocolName::Dns,
        "http" => ProtocolName::Http,
        "kafka" => ProtocolName::Kafka,
        _ => {
            return Err(FilterError::Protocol {
                value: text.to_owned(),
            });
        }
    })
}

fn status(text: &str) -> Result<Status, FilterError> {
    let (digits, open) = text
        .strip_suffix('+')
        .map_or((text, false), |digits| (digits, true));
    let lengths = if open { 1..=2 } else { 3..=3 };
    let valid = lengths.contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && matches!(digits.as_bytes(), [b'1'..=b'5', ..]);
    match digits.parse() {
        Ok(_) if valid && open => Ok(Status::Prefix(digits.to_owned())),
        Ok(code) if valid => Ok(Status::Exact(code)),
        _ => Err(FilterError::HttpStatus {
            value: text.to_owned(),
        }),
    }
}

fn tcp_flags(wanted: pb::TcpFlags) -> u32 {
    [
        (wanted.fin, flags::FIN),
        (wanted.syn, flags::SYN),
        (wanted.rst, flags::RST),
        (wanted.psh, flags::PSH),
        (wanted.ack, flags::ACK),
        (wanted.urg, flags::URG),
        (wanted.ece, flags::ECE),
        (wanted.cwr, flags::CWR),
        (wanted.ns, flags::NS),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(0, |mask, (_, bit)| mask | bit)
}

/// By its bits where the columns hold those; any other text as it is. The empty text
/// is that of flows without a uuid.
fn uuid(text: &str) -> Uuid {
    if text.is_empty() {
        return Uuid::Bits(0);
    }
    parse_uuid(text.as_bytes()).map_or_else(|| Uuid::Text(text.to_owned()), Uuid::Bits)
}
