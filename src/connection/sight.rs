//! What one flow tells about its connection.
//!
//! Owns reading event type, flags, trace reason and ICMP type as evidence: which end opened
//! the connection and how sure that is, whether this packet opens it, and what is no
//! packet of a connection at all. Ports tell nothing: a high one may be a server's.

use crate::flow::{
    Direction as FlowDirection, DropClass, DropReason, EventType, FlowType, L7Type, Protocol,
    Reply, RowRef, TracePoint, TraceReason, Verdict, flags,
};
use crate::policy::Direction;

/// Which event a flow was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    PolicyVerdict,
    Drop,
    /// A refusal of which the event type was masked.
    Refusal,
    Trace,
    Request,
    Response,
    /// A sample of layer 7, or a record that is neither.
    Sample,
}

/// Why a flow belongs to no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Apart {
    /// An address translation at the socket.
    Socket,
    /// An ICMP error, or another message that nobody answers.
    IcmpMessage,
    /// A debug capture, or an event this version does not know.
    OtherEvent,
}

/// Who opened the connection, as far as one flow tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Evidence {
    /// The source of the packet is the client.
    pub(super) source_is_client: bool,
    pub(super) certainty: Certainty,
}

/// How sure an orientation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Certainty {
    /// As the packet was sent.
    #[default]
    AsSent,
    /// A refused packet, which may be a forgotten reply; a service on one side.
    Likely,
    /// Connection tracking or the packet itself says so.
    Certain,
}

/// A flow, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) event: Event,
    pub(super) evidence: Evidence,
    /// Whether the packet opens a connection, or tries to.
    pub(super) opens: bool,
    /// Whether it cannot belong to a connection that was open before.
    pub(super) begins: bool,
    /// Whether connection tracking says that it is the first of its connection.
    pub(super) is_new: bool,
    /// A packet of an open connection: TCP after its SYN, or tracked as such.
    pub(super) established: bool,
    pub(super) point: TracePoint,
    pub(super) refused: bool,
    pub(super) direction: Option<Direction>,
    /// Port of the client and of the server as the source and destination have them.
    pub(super) ports: (u16, u16),
    pub(super) fin: bool,
    pub(super) rst: bool,
}

impl Sight {
    pub(super) fn of(row: RowRef<'_>) -> Result<Self, Apart> {
        let event = event(row)?;
        let protocol = row.protocol();
        let tcp_flags = protocol == Protocol::Tcp && row.has(flags::HAS_TCP_FLAGS);
        let syn = tcp_flags && row.has(flags::SYN);
        let ack = tcp_flags && row.has(flags::ACK);
        let reason = row.trace_reason();
        let is_reply = row.reply() == Reply::Yes
            || row.has(flags::LEGACY_REPLY)
            || reason == TraceReason::REPLY;
        let verdict = row.verdict();
        let refused = match event {
            Event::Drop | Event::Refusal => reason_of(row).class() != DropClass::NotADrop,
            _ => verdict == Verdict::DROPPED,
        };
        let mut ports = (row.source_port() as u16, row.destination_port() as u16);
        let mut evidence = None;
        if matches!(protocol, Protocol::Icmpv4 | Protocol::Icmpv6)
            && let Some(icmp) = row.extra().and_then(|extra| extra.icmp)
        {
            let (request, asks) = icmp_query(protocol, icmp.kind).ok_or(Apart::IcmpMessage)?;
            ports = if asks { (0, request) } else { (request, 0) };
            evidence = Some((asks, Certainty::Certain));
        }
        let evidence = evidence.unwrap_or_else(|| {
            let told_new = matches!(reason, TraceReason::NEW | TraceReason::REOPENED);
            if syn {
                (!ack, Certainty::Certain)
            } else if is_reply {
                (false, Certainty::Certain)
            } else if row.reply() == Reply::No || told_new || event == Event::Request {
                (true, Certainty::Certain)
            } else if event == Event::Response {
                (false, Certainty::Certain)
            } else if (refused && is_policy(row) && !(tcp_flags && ack))
                || row.destination_service().0 != 0
            {
                (true, Certainty::Likely)
            } else if row.source_service().0 != 0 {
                (false, Certainty::Likely)
            } else {
                (true, Certainty::AsSent)
            }
        });
        let is_new = !is_reply
            && (event == Event::PolicyVerdict
                || matches!(reason, TraceReason::NEW | TraceReason::REOPENED));
        let first_syn = syn && !ack;
        Ok(Self {
            event,
            evidence: Evidence {
                source_is_client: evidence.0,
                certainty: evidence.1,
            },
            opens: evidence.0 && (first_syn || is_new || (refused && is_l4(event))),
            begins: evidence.0 && (first_syn || (is_new && !tcp_flags)),
            is_new,
            established: event == Event::Trace
                && !refused
                && if tcp_flags {
                    !syn
                } else {
                    reason == TraceReason::ESTABLISHED
                },
            point: point(row, event),
            refused,
            direction: direction(row),
            ports,
            fin: tcp_flags && row.has(flags::FIN),
            rst: tcp_flags && row.has(flags::RST),
        })
    }

    /// The side of the connection at which the packet was seen.
    pub(super) fn side(&self, from_client: bool) -> Option<Direction> {
        if self.event != Event::Trace {
            return self.direction;
        }
        let (near, far) = if from_client {
            (Direction::Egress, Direction::Ingress)
        } else {
            (Direction::Ingress, Direction::Egress)
        };
        // `traffic_direction` of a packet on its way to its endpoint differs between
        // releases; where it was seen does not.
        match self.point {
            TracePoint::TO_ENDPOINT => Some(far),
            TracePoint::TO_STACK
            | TracePoint::TO_OVERLAY
            | TracePoint::TO_NETWORK
            | TracePoint::FROM_ENDPOINT => Some(near),
            _ => self.direction,
        }
    }
}

/// The reason of a drop; old agents send the number alone.
pub(super) fn reason_of(row: RowRef<'_>) -> DropReason {
    match row.drop_reason() {
        DropReason(0) => DropReason(row.drop_reason_number() as i32),
        reason => reason,
    }
}

/// Whether a refusal is one of policy.
pub(super) fn is_policy(row: RowRef<'_>) -> bool {
    matches!(
        reason_of(row),
        DropReason::POLICY_DENIED | DropReason::POLICY_DENY | DropReason::AUTH_REQUIRED
    )
}

fn is_l4(event: Event) -> bool {
    matches!(event, Event::PolicyVerdict | Event::Drop | Event::Refusal)
}

fn event(row: RowRef<'_>) -> Result<Event, Apart> {
    let l7 = row.extra().and_then(|extra| extra.l7.as_deref());
    if row.flow_type() == FlowType::L7 || row.event_type() == EventType::L7.0 || l7.is_some() {
        let kind = l7.map_or(L7Type::default(), |l7| l7.kind);
        return Ok(match kind {
            L7Type::REQUEST => Event::Request,
            L7Type::RESPONSE => Event::Response,
            _ => Event::Sample,
        });
    }
    if row.flow_type() == FlowType::SOCK || row.event_type() == EventType::TRACE_SOCK.0 {
        return Err(Apart::Socket);
    }
    match (EventType(row.event_type()), row.verdict()) {
        (EventType::POLICY_VERDICT, _) => Ok(Event::PolicyVerdict),
        (EventType::DROP, _) => Ok(Event::Drop),
        (EventType::TRACE, _) => Ok(Event::Trace),
        (EventType::UNSPECIFIED, verdict) => masked(row, verdict),
        _ => Err(Apart::OtherEvent),
    }
}

/// The event of a row whose event type was masked.
fn masked(row: RowRef<'_>, verdict: Verdict) -> Result<Event, Apart> {
    match verdict {
        Verdict::DROPPED => Ok(Event::Refusal),
        Verdict::TRACED | Verdict::TRANSLATED => Err(Apart::Socket),
        verdict if verdict == Verdict::AUDIT || row.policy_match_type() != 0 => {
            Ok(Event::PolicyVerdict)
        }
        _ => Ok(Event::Trace),
    }
}

/// The type of the question an ICMP message is or answers, and whether it asks.
fn icmp_query(protocol: Protocol, kind: u32) -> Option<(u16, bool)> {
    const V4: [(u16, u16); 3] = [(8, 0), (13, 14), (17, 18)];
    const V6: [(u16, u16); 1] = [(128, 129)];
    let pairs = if protocol == Protocol::Icmpv4 {
        &V4[..]
    } else {
        &V6[..]
    };
    pairs.iter().find_map(|&(request, reply)| {
        if kind == u32::from(request) {
            Some((request, true))
        } else {
            (kind == u32::from(reply)).then_some((request, false))
        }
    })
}

/// Where a trace was taken: old recordings have the number of the event alone.
fn point(row: RowRef<'_>, event: Event) -> TracePoint {
    match row.trace_point() {
        TracePoint::UNKNOWN_POINT if event == Event::Trace && row.has(flags::HAS_EVENT_TYPE) => {
            match row.event_sub_type() {
                0 => TracePoint::TO_ENDPOINT,
                other => TracePoint(other),
            }
        }
        known => known,
    }
}

/// Direction of the connection. A drop may have none: policy is asked at an endpoint, and
/// where only one of the two is on the node it is that one's.
fn direction(row: RowRef<'_>) -> Option<Direction> {
    match row.direction() {
        FlowDirection::INGRESS => return Some(Direction::Ingress),
        FlowDirection::EGRESS => return Some(Direction::Egress),
        _ => {}
    }
    let here = |endpoint: Option<&crate::flow::Endpoint>| endpoint.is_some_and(|end| end.id != 0);
    match (
        here(row.source_endpoint()),
        here(row.destination_endpoint()),
    ) {
        (true, false) if row.verdict() == Verdict::DROPPED => Some(Direction::Egress),
        (false, true) if row.verdict() == Verdict::DROPPED => Some(Direction::Ingress),
        _ => None,
    }
}
