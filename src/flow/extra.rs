//! What only some flows carry: L7 records, policies, tunnels, debug points.
//!
//! One boxed [`Extra`] a row that needs it, so that the rows that do not (most) pay
//! nothing. Field meanings are Hubble's (`flow.proto`, Cilium 1.19).

use std::sync::Arc;

use super::enums::{AuthType, CaptureEnum, L7Type, SockPoint};
use super::intern::{ListId, StrId};

/// The sparse part of a row. `Default` is a row without any of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Extra {
    /// The uuid as sent, where it is not 32 hex digits in the usual five groups.
    pub uuid: Option<Arc<str>>,
    /// Mutual authentication.
    pub auth_type: AuthType,
    /// Address on the wire after source NAT.
    pub source_xlated: StrId,
    /// ICMP type and code.
    pub icmp: Option<Icmp>,
    /// VRRP type, router id, priority.
    pub vrrp: Option<[u32; 3]>,
    /// IGMP type and group.
    pub igmp: Option<(u32, StrId)>,
    /// SCTP chunk type (1.20).
    pub sctp_chunk: i32,
    /// Outer header.
    pub tunnel: Option<Box<Tunnel>>,
    /// L7 record.
    pub l7: Option<Box<L7>>,
    /// Debug capture point.
    pub capture_point: CaptureEnum,
    /// Interface index and name.
    pub interface: Option<(u32, StrId)>,
    /// L7 proxy port.
    pub proxy_port: u32,
    /// W3C trace id; `Some` where a trace context was sent.
    pub trace_id: Option<StrId>,
    /// Socket translation point.
    pub sock_point: SockPoint,
    /// Kernel socket cookie.
    pub socket_cookie: u64,
    /// Control group.
    pub cgroup_id: u64,
    /// Source file and line of the drop.
    pub file: Option<File>,
    /// Trace id and option type of an IP option.
    pub ip_trace_id: Option<(u64, u32)>,
    /// `egress_allowed_by`.
    pub egress_allowed_by: Vec<Policy>,
    /// `ingress_allowed_by`.
    pub ingress_allowed_by: Vec<Policy>,
    /// `egress_denied_by`.
    pub egress_denied_by: Vec<Policy>,
    /// `ingress_denied_by`.
    pub ingress_denied_by: Vec<Policy>,
    /// `log.value` of the matched policies.
    pub policy_log: ListId,
    /// Counters of an aggregated export.
    pub aggregate: Option<Aggregate>,
    /// What distributions add: type and value.
    pub extensions: Option<Box<Extensions>>,
    /// A time that nanoseconds since 1970 cannot hold.
    pub odd_time: Option<Seconds>,
    /// The envelope, where it is not that of the flow.
    pub envelope: Option<Box<Envelope>>,
}

/// Renames ids, one method a kind.
pub(crate) trait Renamed {
    /// The new id of a text.
    fn str(&mut self, id: StrId) -> StrId;
    /// The new id of a list.
    fn list(&mut self, id: ListId) -> ListId;
}

impl Extra {
    /// Renames every id in it.
    pub(crate) fn rename(&mut self, to: &mut impl Renamed) {
        let mut text = |id: &mut StrId| *id = to.str(*id);
        text(&mut self.source_xlated);
        if let Some((_, group)) = &mut self.igmp {
            text(group);
        }
        if let Some(tunnel) = &mut self.tunnel {
            text(&mut tunnel.source);
            text(&mut tunnel.destination);
        }
        if let Some((_, name)) = &mut self.interface {
            text(name);
        }
        if let Some(id) = &mut self.trace_id {
            text(id);
        }
        if let Some(file) = &mut self.file {
            text(&mut file.name);
        }
        if let Some(any) = &mut self.extensions {
            text(&mut any.type_url);
        }
        if let Some(envelope) = &mut self.envelope {
            text(&mut envelope.node);
        }
        let lists = [
            &mut self.egress_allowed_by,
            &mut self.ingress_allowed_by,
            &mut self.egress_denied_by,
            &mut self.ingress_denied_by,
        ];
        for policy in lists.into_iter().flatten() {
            for id in [&mut policy.name, &mut policy.namespace, &mut policy.kind] {
                *id = to.str(*id);
            }
            policy.labels = to.list(policy.labels);
        }
        self.policy_log = to.list(self.policy_log);
        if let Some(record) = self.l7.as_mut().and_then(|l7| l7.record.as_mut()) {
            record.rename(to);
        }
    }
}

impl L7Record {
    fn rename(&mut self, to: &mut impl Renamed) {
        match self {
            Self::Dns(dns) => {
                for id in [&mut dns.query, &mut dns.observation_source] {
                    *id = to.str(*id);
                }
                let lists = [
                    &mut dns.ips,
                    &mut dns.cnames,
                    &mut dns.qtypes,
                    &mut dns.rrtypes,
                ];
                for id in lists {
                    *id = to.list(*id);
                }
            }
            Self::Http(http) => {
                for id in [&mut http.method, &mut http.url, &mut http.protocol] {
                    *id = to.str(*id);
                }
                for header in &mut http.headers {
                    header.key = to.str(header.key);
                    header.value = to.str(header.value);
                }
            }
            Self::Kafka(kafka) => {
                for id in [&mut kafka.api_key, &mut kafka.topic] {
                    *id = to.str(*id);
                }
            }
        }
    }
}

/// A protobuf `Any`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Extensions {
    /// Its type.
    pub type_url: StrId,
    /// Its value, undecoded.
    pub value: Arc<[u8]>,
}

/// A time as protobuf has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seconds {
    /// Since 1970 UTC.
    pub seconds: i64,
    /// Of the second.
    pub nanos: i32,
}

/// Node and time beside a flow that are not its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// Node, empty where there is none.
    pub node: StrId,
    /// Time.
    pub time: Option<Seconds>,
}

/// ICMP header, version 4 or 6 by the row's protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Icmp {
    /// Type.
    pub kind: u32,
    /// Code.
    pub code: u32,
}

/// Outer header of a tunnelled packet, as far as it was captured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// 0 unknown, 1 VXLAN, 2 Geneve.
    pub protocol: i32,
    /// Outer source address.
    pub source: StrId,
    /// Outer destination address.
    pub destination: StrId,
    /// Outer ports, source then destination.
    pub ports: Option<(u32, u32)>,
    /// Virtual network.
    pub vni: u32,
    /// The whole message in wire format, where the fields above are not all it says.
    pub message: Option<Arc<[u8]>>,
}

/// BPF source position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct File {
    /// File name.
    pub name: StrId,
    /// Line.
    pub line: u32,
}

/// Counters of an aggregated export line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Aggregate {
    /// Flows seen as ingress.
    pub ingress: u32,
    /// Flows seen as egress.
    pub egress: u32,
    /// Flows of unknown direction.
    pub unknown: u32,
}

/// A Kubernetes service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Service<'a> {
    /// Name.
    pub name: &'a str,
    /// Namespace.
    pub namespace: &'a str,
}

/// A policy Hubble names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Name, empty where the rule was not made from a Kubernetes object.
    pub name: StrId,
    /// Namespace, empty for cluster-wide policies.
    pub namespace: StrId,
    /// Kind.
    pub kind: StrId,
    /// Labels of the rule.
    pub labels: ListId,
    /// Revision of the endpoint's policy.
    pub revision: u64,
}

/// An L7 record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct L7 {
    /// Request, response or sample.
    pub kind: L7Type,
    /// Time between request and response in nanoseconds, 0 unknown.
    pub latency_ns: u64,
    /// What was spoken; `None` for generic parsers.
    pub record: Option<L7Record>,
}

/// The protocol part of an L7 record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum L7Record {
    /// DNS.
    Dns(Dns),
    /// HTTP.
    Http(Http),
    /// Kafka.
    Kafka(Kafka),
}

/// A DNS question or answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dns {
    /// Name asked for, with its trailing dot.
    pub query: StrId,
    /// Addresses.
    pub ips: ListId,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Canonical names.
    pub cnames: ListId,
    /// Who saw it, `proxy`.
    pub observation_source: StrId,
    /// Response code.
    pub rcode: u32,
    /// Question types.
    pub qtypes: ListId,
    /// Answer types.
    pub rrtypes: ListId,
}

/// An HTTP request (code 0) or response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Http {
    /// Status code, 0 in requests.
    pub code: u32,
    /// Method.
    pub method: StrId,
    /// Absolute URL.
    pub url: StrId,
    /// `HTTP/1.1`.
    pub protocol: StrId,
    /// Headers.
    pub headers: Vec<Header>,
}

/// An HTTP header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Header {
    /// Name.
    pub key: StrId,
    /// Value.
    pub value: StrId,
}

/// A Kafka request or response (before Cilium 1.20).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kafka {
    /// Error code.
    pub error_code: i32,
    /// Version of the API.
    pub api_version: i32,
    /// Name of the API.
    pub api_key: StrId,
    /// Correlation id.
    pub correlation_id: i32,
    /// Topic.
    pub topic: StrId,
}
