//! Policy entries: what every kind of policy object becomes before it is evaluated.
//!
//! One element of an `ingress`, `egress`, `ingressDeny` or `egressDeny` list is one entry;
//! a NetworkPolicy gives one a peer. Nothing of the object's kind is left but its name.
//! Evaluation reads entries only.

use std::fmt;
use std::sync::Arc;

use super::selector::{LabelSelector, PeerSelector};
use crate::manifest::Place;

/// Which way a connection is opened, seen from the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Towards the subject.
    Ingress,
    /// From the subject.
    Egress,
}

impl Direction {
    /// Both, the client's side first.
    pub const BOTH: [Self; 2] = [Self::Egress, Self::Ingress];

    /// As rule lists are called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// One element of a rule list.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyEntry {
    /// Index of the object in its [`PolicySet`](super::PolicySet).
    pub object: u32,
    /// Where in the object.
    pub rule: RulePlace,
    /// Whom it applies to.
    pub subject: Subject,
    /// Which way.
    pub direction: Direction,
    /// Takes away instead of giving.
    pub deny: bool,
    /// Turns on default deny for the subject in this direction.
    pub default_deny: bool,
    /// The other end. `None`: anybody. An empty list: nobody.
    pub peers: Option<Vec<PeerSelector>>,
    /// Protocols and ports. Empty: all of them, ICMP included. ICMP types of `icmps` are
    /// here as ports of protocol ICMP or ICMPv6. A rule without ports covers nothing.
    pub ports: Vec<PortRule>,
    /// Authentication asked for; `None` where the element does not say.
    pub auth: Option<AuthMode>,
    /// It refers to Services, and some that it may mean were not given.
    pub service_missing: bool,
}

/// Whom an entry applies to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// With the namespace of the policy in it.
    pub selector: LabelSelector,
    /// Selects nodes' host endpoints (`nodeSelector`) instead of endpoints.
    pub node: bool,
}

/// Which list of a rule an element is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// `ingress`
    Ingress,
    /// `ingressDeny`
    IngressDeny,
    /// `egress`
    Egress,
    /// `egressDeny`
    EgressDeny,
    /// The rule as a whole: a NetworkPolicy that isolates and has no element.
    Whole,
}

/// Where an element stands in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RulePlace {
    /// `None`: `spec`; else the index in `specs`.
    pub spec: Option<u32>,
    /// Which list.
    pub section: Section,
    /// Index in the list.
    pub element: u32,
    /// Index of the peer, where each peer is an entry of its own (NetworkPolicy).
    pub peer: Option<u32>,
    /// In the file.
    pub at: Place,
}

impl fmt::Display for RulePlace {
    /// As a path in the object: `spec.ingress[0]`, `specs[1].egressDeny[2]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.spec {
            None => f.write_str("spec")?,
            Some(index) => write!(f, "specs[{index}]")?,
        }
        let (section, peers) = match self.section {
            Section::Ingress => ("ingress", "from"),
            Section::IngressDeny => ("ingressDeny", "from"),
            Section::Egress => ("egress", "to"),
            Section::EgressDeny => ("egressDeny", "to"),
            Section::Whole => return Ok(()),
        };
        write!(f, ".{section}[{}]", self.element)?;
        match self.peer {
            Some(peer) => write!(f, ".{peers}[{peer}]"),
            None => Ok(()),
        }
    }
}

/// How a peer must be authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AuthMode {
    /// Not at all, said explicitly: nothing is inherited from broader entries.
    Disabled,
    /// Mutually.
    Required,
    /// Never succeeds.
    TestAlwaysFail,
}

/// An IP protocol, or the three that have ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, UDP and SCTP; not ICMP.
    Any,
    /// 6
    Tcp,
    /// 17
    Udp,
    /// 132
    Sctp,
    /// 1; its port is the type.
    Icmp,
    /// 58; its port is the type.
    IcmpV6,
    /// 112
    Vrrp,
    /// 2
    Igmp,
}

impl Protocol {
    /// IANA's numbers of it.
    pub(crate) fn numbers(self) -> &'static [u8] {
        match self {
            Self::Any => &[6, 17, 132],
            Self::Tcp => &[6],
            Self::Udp => &[17],
            Self::Sctp => &[132],
            Self::Icmp => &[1],
            Self::IcmpV6 => &[58],
            Self::Vrrp => &[112],
            Self::Igmp => &[2],
        }
    }
}

/// A port by number or name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Port {
    /// 0 means every port of the protocol (for ICMP every type).
    Number(u16),
    /// A container port's name, lower case.
    Name(Arc<str>),
}

/// A protocol with a port or a range.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortProtocol {
    /// First port.
    pub port: Port,
    /// Last port; 0, or below the first, where it is a single one.
    pub end_port: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// Where the port is written.
    pub at: Place,
}

/// Ports and what is asked of the connections to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PortRule {
    /// Any of these.
    pub ports: Vec<PortProtocol>,
    /// Rules of layer 7; `None` where there is none, an empty `http` list included.
    pub l7: Option<L7Rules>,
    /// TLS server names allowed; empty: not asked.
    pub server_names: Vec<Arc<str>>,
    /// Where the connection is handed to.
    pub listener: Option<Listener>,
    /// TLS is terminated here, with this secret (`namespace/name`).
    pub terminating_tls: Option<Arc<str>>,
    /// TLS is originated here, with this secret.
    pub originating_tls: Option<Arc<str>>,
}

/// Rules of one layer 7 protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum L7Rules {
    /// HTTP requests.
    Http(Vec<HttpRule>),
    /// DNS queries.
    Dns(Vec<DnsRule>),
    /// Kafka requests.
    Kafka(Vec<KafkaRule>),
    /// A parser of Envoy's Go extensions: its name, and rules of keys and values. The list
    /// may be empty.
    Generic {
        /// `l7proto`
        parser: Arc<str>,
        /// `l7`: keys and values, sorted by key.
        rules: Vec<Vec<(Arc<str>, Arc<str>)>>,
    },
}

/// One HTTP rule: all its parts have to hold; a text that is empty is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRule {
    /// RE2 on path and query.
    pub path: Arc<str>,
    /// RE2 on the method.
    pub method: Arc<str>,
    /// RE2 on the authority.
    pub host: Arc<str>,
    /// `Name: value`, or a name that must be there.
    pub headers: Vec<Arc<str>>,
    /// Headers with what to do on a mismatch.
    pub header_matches: Vec<HeaderMatch>,
}

/// One entry of `headerMatches`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// Header name.
    pub name: Arc<str>,
    /// Value, where it is given here.
    pub value: Arc<str>,
    /// Secret that holds the value: `namespace/name`.
    pub secret: Option<Arc<str>>,
    /// What a mismatch does.
    pub mismatch: Mismatch,
}

/// What happens when a header does not match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mismatch {
    /// The rule does not match.
    #[default]
    Fail,
    /// The request is logged and goes on.
    Log,
    /// The header is added.
    Add,
    /// The header is deleted.
    Delete,
    /// The header is replaced.
    Replace,
}

/// One DNS rule: the name or the pattern has to match.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DnsRule {
    /// `matchName` as written.
    pub name: Arc<str>,
    /// `matchPattern` as written.
    pub pattern: Arc<str>,
}

/// One Kafka rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaRule {
    /// `produce` or `consume`.
    pub role: Arc<str>,
    /// Request type.
    pub api_key: Arc<str>,
    /// Protocol version.
    pub api_version: Arc<str>,
    /// Client.
    pub client_id: Arc<str>,
    /// Topic.
    pub topic: Arc<str>,
}

/// An Envoy listener that takes the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `CiliumEnvoyConfig` or `CiliumClusterwideEnvoyConfig`.
    pub config_kind: Arc<str>,
    /// Name of that object.
    pub config_name: Arc<str>,
    /// Name of the listener in it.
    pub name: Arc<str>,
    /// 1 (first) to 100; 0 where not given.
    pub priority: u8,
}
