//! The parts of a flow's line: hosts, identities, type, verdict, summary.
//!
//! Owns Hubble's words and colours for them. Which parts a line has, and where, is
//! [`super::line`].

use super::escape::{self, Tab};
use super::number;
use crate::flow::{
    AuthType, CaptureEnum, Direction, DropReason, EndpointId, EventType, L7, L7Record, L7Type,
    ListId, PairId, Policy, RowRef, SockPoint, StrId, Verdict, flags, identity_name,
};

/// Colour of an address or name.
const HOST: &[u8] = b"\x1b[36m";
/// Colour of a port, inside that of its host.
const PORT: &[u8] = b"\x1b[33m";
/// Colour of an identity.
const IDENTITY: &[u8] = b"\x1b[35m";
const GREEN: &[u8] = b"\x1b[32m";
const RED: &[u8] = b"\x1b[31m";
const YELLOW: &[u8] = b"\x1b[33m";
const RESET: &[u8] = b"\x1b[0m";

/// How the parts are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    pub(super) color: bool,
    pub(super) ip_translation: bool,
    pub(super) policy_names: bool,
    pub(super) tab: Tab,
}

/// One side of a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    ip: StrId,
    port: u32,
    endpoint: EndpointId,
    service: PairId,
    names: ListId,
    is_source: bool,
}

impl Side {
    #[inline]
    pub(super) fn source(row: RowRef<'_>) -> Self {
        Self {
            ip: row.source_ip(),
            port: row.source_port(),
            endpoint: row.source(),
            service: row.source_service(),
            names: row.source_names(),
            is_source: true,
        }
    }

    #[inline]
    pub(super) fn destination(row: RowRef<'_>) -> Self {
        Self {
            ip: row.destination_ip(),
            port: row.destination_port(),
            endpoint: row.destination(),
            service: row.destination_service(),
            names: row.destination_names(),
            is_source: false,
        }
    }
}

impl Side {
    /// The endpoint, where the flow shows the side by nothing else than its pod.
    #[inline]
    pub(super) fn pod_of(self, row: RowRef<'_>) -> Option<EndpointId> {
        let is_plain = self.service == PairId(0) && row.has(flags::HAS_IP);
        (is_plain && self.endpoint != EndpointId(0)).then_some(self.endpoint)
    }
}

impl Words {
    /// Appends foreign text.
    #[inline]
    pub(super) fn text(self, out: &mut Vec<u8>, text: &str) {
        escape::push(out, text, self.tab);
    }

    /// Appends the host of a side and its port, or its MAC address where the flow has
    /// no IP layer. Nothing where it has neither.
    pub(super) fn host(self, out: &mut Vec<u8>, row: RowRef<'_>, side: Side) {
        if !row.has(flags::HAS_IP) {
            if let Some((source, destination)) = row.dictionaries().pair(row.ethernet()) {
                let mac = if side.is_source { source } else { destination };
                self.open(out, HOST);
                self.text(out, mac);
                self.close(out);
            }
            return;
        }

        self.open(out, HOST);
        let start = out.len();
        self.name(out, row, side);
        if side.port != 0 && memchr::memchr(b':', &out[start..]).is_some() {
            out.insert(start, b'[');
            out.push(b']');
        }
        self.port(out, side);
        self.close(out);
    }

    /// Appends a host that was written before, without colour, and its port.
    #[inline]
    pub(super) fn known_host(self, out: &mut Vec<u8>, name: &[u8], side: Side) {
        self.open(out, HOST);
        out.extend_from_slice(name);
        self.port(out, side);
        self.close(out);
    }

    #[inline]
    fn port(self, out: &mut Vec<u8>, side: Side) {
        if side.port != 0 {
            out.push(b':');
            self.open(out, PORT);
            number::push(out, u64::from(side.port));
            self.close(out);
        }
    }

    /// Appends the pod of a side with its namespace; nothing where it has none, or is not
    /// shown by it.
    pub(super) fn pod(self, out: &mut Vec<u8>, row: RowRef<'_>, side: Side) {
        let Some(endpoint) = row.dictionaries().endpoint(side.endpoint) else {
            return;
        };
        if self.ip_translation && !endpoint.pod.is_empty() {
            self.name(out, row, side);
        }
    }

    /// Pod, else service, else DNS names, else address. A service's namespace stands
    /// in for that of the pod.
    #[inline]
    fn name(self, out: &mut Vec<u8>, row: RowRef<'_>, side: Side) {
        let dictionaries = row.dictionaries();
        if self.ip_translation {
            let (mut namespace, mut name) = ("", "");
            if let Some(endpoint) = dictionaries.endpoint(side.endpoint) {
                (namespace, name) = (&endpoint.namespace, &endpoint.pod);
            }
            if let Some(service) = dictionaries.service(side.service) {
                namespace = service.namespace;
                if name.is_empty() {
                    name = service.name;
                }
            }
            if !name.is_empty() {
                if !namespace.is_empty() {
                    self.text(out, namespace);
                    out.push(b'/');
                }
                return self.text(out, name);
            }
            if side.names.0 != 0 {
                for (at, name) in dictionaries.list(side.names).enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    self.text(out, name);
                }
                return;
            }
        }
        self.text(out, dictionaries.str(side.ip));
    }

    /// Appends the identity of a side in parentheses.
    #[inline]
    pub(super) fn identity(self, out: &mut Vec<u8>, row: RowRef<'_>, side: Side) {
        let endpoint = row.dictionaries().endpoint(side.endpoint);
        let identity = endpoint.map_or(0, |endpoint| endpoint.identity);
        self.open(out, IDENTITY);
        if let Some(name) = identity_name(identity) {
            out.push(b'(');
            out.extend_from_slice(name.as_bytes());
        } else {
            out.extend_from_slice(b"(ID:");
            number::push(out, u64::from(identity));
        }
        out.push(b')');
        self.close(out);
    }

    /// Appends what kind of event the flow is.
    #[inline]
    pub(super) fn flow_type(self, out: &mut Vec<u8>, row: RowRef<'_>) {
        if let Some(l7) = row.extra().and_then(|extra| extra.l7.as_deref()) {
            return self.l7_type(out, row, l7);
        }
        match EventType(row.event_type()) {
            EventType::TRACE => push_trace_point(out, row.event_sub_type() as u8),
            EventType::DROP => push_drop(out, row.event_sub_type() as u8),
            EventType::POLICY_VERDICT => {
                out.extend_from_slice(b"policy-verdict:");
                out.extend_from_slice(match_type(row.policy_match_type()));
                out.push(b' ');
                let direction = row.direction();
                push_enum(out, direction.name(), direction.0);
            }
            EventType::CAPTURE => {
                let point = row
                    .extra()
                    .map_or(CaptureEnum::default(), |extra| extra.capture_point);
                push_enum(out, point.name(), point.0);
            }
            EventType::TRACE_SOCK => {
                let point = row
                    .extra()
                    .map_or(SockPoint::default(), |extra| extra.sock_point);
                push_sock_point(out, point);
            }
            _ => out.extend_from_slice(b"UNKNOWN"),
        }
    }

    fn l7_type(self, out: &mut Vec<u8>, row: RowRef<'_>, l7: &L7) {
        out.extend_from_slice(match l7.record {
            Some(L7Record::Dns(_)) => b"dns-",
            Some(L7Record::Http(_)) => b"http-",
            Some(L7Record::Kafka(_)) => b"kafka-",
            None => b"l7-",
        });
        match l7.kind {
            L7Type::REQUEST => out.extend_from_slice(b"request"),
            L7Type::RESPONSE => out.extend_from_slice(b"response"),
            L7Type::SAMPLE => out.extend_from_slice(b"sample"),
            L7Type::UNKNOWN_L7_TYPE => out.extend_from_slice(b"unknown_l7_type"),
            L7Type(other) => number::push_signed(out, other),
        }
        if let Some(L7Record::Dns(dns)) = &l7.record {
            out.push(b' ');
            self.text(out, row.str(dns.observation_source));
        }
    }

    /// Appends the verdict, in the words of a policy where one gave it.
    #[inline]
    pub(super) fn verdict(self, out: &mut Vec<u8>, row: RowRef<'_>) {
        let of_policy = EventType(row.event_type()) == EventType::POLICY_VERDICT;
        let verdict = row.verdict();
        let (color, policy_word) = match verdict {
            Verdict::FORWARDED | Verdict::REDIRECTED => (GREEN, "ALLOWED"),
            Verdict::DROPPED | Verdict::ERROR => (RED, "DENIED"),
            Verdict::AUDIT => (YELLOW, "AUDITED"),
            Verdict::TRACED | Verdict::TRANSLATED => (YELLOW, ""),
            _ => return push_enum(out, verdict.name(), verdict.0),
        };
        self.open(out, color);
        if of_policy && !policy_word.is_empty() {
            out.extend_from_slice(policy_word.as_bytes());
            if self.policy_names {
                self.policies(out, row);
            }
        } else {
            push_enum(out, verdict.name(), verdict.0);
        }
        self.close(out);
    }

    /// Appends the policies of a verdict that have a name and a kind.
    fn policies(self, out: &mut Vec<u8>, row: RowRef<'_>) {
        let Some(extra) = row.extra() else { return };
        let allowed = matches!(row.verdict(), Verdict::FORWARDED | Verdict::REDIRECTED);
        let denied = matches!(row.verdict(), Verdict::DROPPED | Verdict::ERROR);
        let policies: &[Policy] = match row.direction() {
            Direction::EGRESS if allowed => &extra.egress_allowed_by,
            Direction::INGRESS if allowed => &extra.ingress_allowed_by,
            Direction::EGRESS if denied => &extra.egress_denied_by,
            Direction::INGRESS if denied => &extra.ingress_denied_by,
            _ => &[],
        };
        let named = policies
            .iter()
            .filter(|policy| policy.name != StrId(0) && policy.kind != StrId(0));
        for (at, policy) in named.enumerate() {
            out.extend_from_slice(if at == 0 { b" BY " } else { b", " });
            self.text(out, row.str(policy.name));
            out.extend_from_slice(b" (");
            self.text(out, row.str(policy.kind));
            out.push(b')');
        }
    }

    /// Appends the summary, with the IP trace id before and authentication after it.
    #[inline]
    pub(super) fn summary(self, out: &mut Vec<u8>, row: RowRef<'_>) {
        let extra = row.extra();
        if let Some((trace_id @ 1.., _)) = extra.and_then(|extra| extra.ip_trace_id) {
            out.extend_from_slice(b"IP Trace ID: ");
            number::push(out, trace_id);
            out.extend_from_slice(b"; ");
        }
        self.text(out, row.str(row.summary()));
        match extra.map_or(AuthType::DISABLED, |extra| extra.auth_type) {
            AuthType::DISABLED => {}
            auth => {
                out.extend_from_slice(b"; Auth: ");
                self.open(
                    out,
                    if auth == AuthType::TEST_ALWAYS_FAIL {
                        RED
                    } else {
                        GREEN
                    },
                );
                push_enum(out, auth.name(), auth.0);
                self.close(out);
            }
        }
    }

    #[inline]
    fn open(self, out: &mut Vec<u8>, color: &[u8]) {
        if self.color {
            out.extend_from_slice(color);
        }
    }

    #[inline]
    fn close(self, out: &mut Vec<u8>) {
        if self.color {
            out.extend_from_slice(RESET);
        }
    }
}

/// Appends the name of an enum's value, or its number where it has none.
#[inline]
pub(super) fn push_enum(out: &mut Vec<u8>, name: Option<&str>, number: i32) {
    match name {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => number::push_signed(out, number),
    }
}

/// Trace points by the number the datapath gives them, which for `to-endpoint` is not
/// that of [`crate::flow::TracePoint`].
fn push_trace_point(out: &mut Vec<u8>, point: u8) {
    const NAMES: [&str; 14] = [
        "to-endpoint",
        "to-proxy",
        "to-host",
        "to-stack",
        "to-overlay",
        "from-endpoint",
        "from-proxy",
        "from-host",
        "from-stack",
        "from-overlay",
        "from-network",
        "to-network",
        "from-crypto",
        "to-crypto",
    ];
    match NAMES.get(usize::from(point)) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => number::push(out, u64::from(point)),
    }
}

/// Drop reasons by their text; Hubble 1.19 knows none for those of later releases.
fn push_drop(out: &mut Vec<u8>, reason: u8) {
    const LAST: u8 = 205;
    match DropReason(i32::from(reason)).text() {
        Some(text) if reason <= LAST => out.extend_from_slice(text.as_bytes()),
        _ => {
            number::push(out, u64::from(reason));
            out.extend_from_slice(b", 0");
        }
    }
}

fn match_type(number: u32) -> &'static [u8] {
    match number {
        0 => b"none",
        1 => b"L3-Only",
        2 => b"L3-L4",
        3 => b"L4-Only",
        4 => b"all",
        5 => b"L3-Proto",
        6 => b"Proto-Only",
        _ => b"unknown",
    }
}

fn push_sock_point(out: &mut Vec<u8>, point: SockPoint) {
    let text = match point {
        SockPoint::SOCK_XLATE_POINT_PRE_DIRECTION_FWD => Some("pre-xlate-fwd"),
        SockPoint::SOCK_XLATE_POINT_POST_DIRECTION_FWD => Some("post-xlate-fwd"),
        SockPoint::SOCK_XLATE_POINT_PRE_DIRECTION_REV => Some("pre-xlate-rev"),
        SockPoint::SOCK_XLATE_POINT_POST_DIRECTION_REV => Some("post-xlate-rev"),
        other => other.name(),
    };
    push_enum(out, text, point.0);
}
