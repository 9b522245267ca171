//! What a recorded event says about policy: which direction it speaks of, what happened,
//! and whether that may be held against a computed verdict.
//!
//! Owns reading an event type, a verdict and a drop reason as evidence. Knows no policy.
//!
//! Source of the rules: Hubble's threefour parser and the datapath of Cilium 1.19. A
//! policy's answer is in policy-verdict events, in drops 133, 181 and 189, and in records
//! of layer 7; a trace only says that a packet came by.

use crate::flow::{
    self, DropReason, EventType, FlowType, L7Type, Protocol, Reply, RowRef, Verdict, flags,
};
use crate::policy::Direction;

/// Ports from here on are given to clients by default on Linux.
const EPHEMERAL: u32 = 32_768;
/// Echo reply, ICMP and ICMPv6.
const ECHO_REPLIES: [(Protocol, u32); 2] = [(Protocol::Icmpv4, 0), (Protocol::Icmpv6, 129)];

/// What an event says about policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// What policy answered to a new connection, at the subject of `direction`.
    Answer {
        /// Which side answered.
        direction: Direction,
        /// What it answered.
        recorded: Recorded,
        /// The packet may be a reply that was taken for a new connection.
        maybe_reply: bool,
    },
    /// What a proxy answered to a request.
    Request {
        /// Which side's rules were asked.
        direction: Direction,
        /// Whether the request passed.
        allowed: bool,
    },
    /// A packet came by on its way: context, nothing to compare with.
    Passed {
        /// Which side's policy it passed.
        direction: Direction,
    },
    /// Nothing a policy could be asked about.
    Apart(Apart),
}

/// What policy answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Forwarded.
    Allowed,
    /// Handed to a proxy.
    Redirected,
    /// Reason 133: nothing allows it.
    DeniedByDefault,
    /// Reason 181: a rule denies it.
    DeniedByRule,
    /// Reason 189: no authenticated session.
    AuthRequired,
    /// Would have been denied; audit mode let it pass.
    Audited,
}

/// Why an event is set apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Apart {
    /// A reply: connection tracking lets it pass.
    Reply,
    /// Dropped for another reason than policy.
    OtherDrop,
    /// A socket translation, a debug event, a response of layer 7, an unknown event.
    NoDecision,
    /// The recording does not say which direction it is about.
    NoDirection,
}

impl Event {
    /// Reads a row.
    #[must_use]
    pub fn of(row: RowRef<'_>) -> Self {
        if row.flow_type() == FlowType::L7 || row.event_type() == EventType::L7.0 {
            return request(row);
        }
        if row.flow_type() == FlowType::SOCK || row.event_type() == EventType::TRACE_SOCK.0 {
            return Self::Apart(Apart::NoDecision);
        }
        match (EventType(row.event_type()), row.verdict()) {
            (EventType::POLICY_VERDICT, _) => answer(row),
            (EventType::DROP, _) | (_, Verdict::DROPPED) => drop(row),
            (EventType::TRACE, _)
            | (EventType::UNSPECIFIED, Verdict::FORWARDED | Verdict::REDIRECTED) => passed(row),
            _ => Self::Apart(Apart::NoDecision),
        }
    }

    /// The direction it speaks of.
    #[must_use]
    pub fn direction(self) -> Option<Direction> {
        match self {
            Self::Answer { direction, .. }
            | Self::Request { direction, .. }
            | Self::Passed { direction } => Some(direction),
            Self::Apart(_) => None,
        }
    }

    /// Whether policy let the packet or request go on. Audit mode let it go on against
    /// policy.
    #[must_use]
    pub fn was_let_on(self) -> bool {
        match self {
            Self::Answer { recorded, .. } => recorded.went_on() && recorded != Recorded::Audited,
            Self::Request { allowed, .. } => allowed,
            Self::Passed { .. } => true,
            Self::Apart(_) => false,
        }
    }
}

impl Recorded {
    /// Whether the packet went on.
    #[must_use]
    pub fn went_on(self) -> bool {
        matches!(self, Self::Allowed | Self::Redirected | Self::Audited)
    }
}

/// A policy-verdict event: new connections, and packets that were refused.
fn answer(row: RowRef<'_>) -> Event {
    if row.reply() == Reply::Yes {
        return Event::Apart(Apart::Reply);
    }
    let Some(direction) = said(row) else {
        return Event::Apart(Apart::NoDirection);
    };
    let recorded = match row.verdict() {
        Verdict::FORWARDED => Recorded::Allowed,
        Verdict::REDIRECTED => Recorded::Redirected,
        Verdict::AUDIT => Recorded::Audited,
        Verdict::DROPPED => match refused(reason(row)) {
            Some(recorded) => recorded,
            None => return Event::Apart(Apart::OtherDrop),
        },
        _ => return Event::Apart(Apart::NoDecision),
    };
    Event::Answer {
        direction,
        recorded,
        maybe_reply: !recorded.went_on() && maybe_reply(row),
    }
}

fn drop(row: RowRef<'_>) -> Event {
    let Some(recorded) = refused(reason(row)) else {
        return Event::Apart(Apart::OtherDrop);
    };
    let Some(direction) = said(row).or_else(|| local(row)) else {
        return Event::Apart(Apart::NoDirection);
    };
    Event::Answer {
        direction,
        recorded,
        maybe_reply: maybe_reply(row),
    }
}

fn request(row: RowRef<'_>) -> Event {
    let kind = row
        .extra()
        .and_then(|extra| extra.l7.as_deref())
        .map_or(L7Type::default(), |l7| l7.kind);
    if row.reply() == Reply::Yes || kind != L7Type::REQUEST {
        return Event::Apart(Apart::NoDecision);
    }
    let Some(direction) = said(row) else {
        return Event::Apart(Apart::NoDirection);
    };
    match row.verdict() {
        Verdict::FORWARDED | Verdict::REDIRECTED => Event::Request {
            direction,
            allowed: true,
        },
        Verdict::DROPPED => Event::Request {
            direction,
            allowed: false,
        },
        _ => Event::Apart(Apart::NoDecision),
    }
}

fn passed(row: RowRef<'_>) -> Event {
    if row.reply() == Reply::Yes {
        return Event::Apart(Apart::Reply);
    }
    if row.verdict() != Verdict::FORWARDED && row.verdict() != Verdict::REDIRECTED {
        return Event::Apart(Apart::NoDecision);
    }
    // An ICMP error or a reply without the mark: conntrack decided, no policy was asked.
    let related = matches!(
        row.trace_reason(),
        flow::TraceReason::REPLY | flow::TraceReason::RELATED
    );
    match said(row) {
        _ if related => Event::Apart(Apart::Reply),
        // Old recordings leave `is_reply` out; without it a packet that looks like an
        // answer must not be read as a connection of its own.
        _ if row.reply() == Reply::Unknown
            && row.trace_reason() == flow::TraceReason::default()
            && !row.has(flags::LEGACY_REPLY)
            && maybe_reply(row) =>
        {
            Event::Apart(Apart::Reply)
        }
        Some(direction) => Event::Passed { direction },
        None => Event::Apart(Apart::NoDirection),
    }
}

/// `traffic_direction` of the connection.
fn said(row: RowRef<'_>) -> Option<Direction> {
    match row.direction() {
        flow::Direction::INGRESS => Some(Direction::Ingress),
        flow::Direction::EGRESS => Some(Direction::Egress),
        _ => None,
    }
}

/// The side a drop is about where only one of them has an endpoint on the node that
/// reports it: policy is asked at an endpoint.
fn local(row: RowRef<'_>) -> Option<Direction> {
    let here = |endpoint: Option<&flow::Endpoint>| endpoint.is_some_and(|side| side.id != 0);
    match (
        here(row.source_endpoint()),
        here(row.destination_endpoint()),
    ) {
        (true, false) => Some(Direction::Egress),
        (false, true) => Some(Direction::Ingress),
        _ => None,
    }
}

fn reason(row: RowRef<'_>) -> DropReason {
    match row.drop_reason() {
        // Old agents send the number alone.
        DropReason(0) => DropReason(row.drop_reason_number() as i32),
        reason => reason,
    }
}

fn refused(reason: DropReason) -> Option<Recorded> {
    match reason {
        DropReason::POLICY_DENIED => Some(Recorded::DeniedByDefault),
        DropReason::POLICY_DENY => Some(Recorded::DeniedByRule),
        DropReason::AUTH_REQUIRED => Some(Recorded::AuthRequired),
        _ => None,
    }
}

/// Whether a packet can be the answer to one that conntrack has forgotten: `is_reply` is
/// not set on drops.
fn maybe_reply(row: RowRef<'_>) -> bool {
    match row.protocol() {
        Protocol::Tcp if row.has(flags::HAS_TCP_FLAGS) => {
            !row.has(flags::SYN) || row.has(flags::ACK)
        }
        Protocol::Tcp | Protocol::Udp | Protocol::Sctp => {
            row.destination_port() >= EPHEMERAL && row.source_port() < EPHEMERAL
        }
        protocol => {
            let icmp = row.extra().and_then(|extra| extra.icmp);
            icmp.is_none_or(|icmp| ECHO_REPLIES.contains(&(protocol, icmp.kind)))
                && matches!(protocol, Protocol::Icmpv4 | Protocol::Icmpv6)
        }
    }
}
