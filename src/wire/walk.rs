//! One pass over the bytes of a `GetFlowsResponse`, straight into a row.
//!
//! Owns the fast path of decoding. Endpoints, services, MAC pairs and node labels are
//! looked up by their undecoded bytes and decoded only when those are new. The walk
//! is strict: it accepts nothing prost refuses, and whatever merges by protobuf's
//! rules (a sub-message or a oneof given twice) or is otherwise [`Odd`] takes the way
//! through prost, with the same columns.

use prost::Message;

use super::convert;
use super::put;
use super::read::{self, Odd, Wire};
use crate::flow::{
    AuthType, BatchBuilder, CaptureEnum, Direction, DropReason, EndpointId, Extra, FlowType,
    Interner, ListId, NO_TIME, PairId, Policy, Protocol, Raw, RawKind, Reply, Row, Seconds,
    SockPoint, StrId, TracePoint, TraceReason, Verdict, flags, same,
};
use crate::proto::flow as pb;
use crate::proto::observer::GetFlowsResponse;

/// A message that is not a `GetFlowsResponse`.
#[derive(Debug, thiserror::Error)]
#[error("message of {length} bytes is not a flow response: {cause}")]
pub struct DecodeError {
    /// Length of the message.
    pub length: usize,
    /// What prost says.
    pub cause: prost::DecodeError,
}

/// Decodes one message into a row or a notice of `builder`.
///
/// # Errors
/// [`DecodeError`] exactly where prost refuses the message; nothing is pushed then.
pub fn push_message(
    builder: &mut BatchBuilder,
    message: &[u8],
    raw: impl FnOnce() -> Raw,
) -> Result<(), DecodeError> {
    let (interner, row) = builder.next_row();
    if response(interner, message, row).is_ok() {
        builder.keep_row(raw);
        return Ok(());
    }
    *row = Row::default();
    push_by_prost(builder, message, raw)
}

/// The same by way of prost: the reference, and the fallback.
///
/// # Errors
/// [`DecodeError`] where prost refuses the message.
#[inline(never)]
pub fn push_by_prost(
    builder: &mut BatchBuilder,
    message: &[u8],
    raw: impl FnOnce() -> Raw,
) -> Result<(), DecodeError> {
    match GetFlowsResponse::decode(message) {
        Ok(response) => {
            convert::push_response(builder, &response, raw);
            Ok(())
        }
        Err(cause) => Err(DecodeError {
            length: message.len(),
            cause,
        }),
    }
}

/// Tag of a varint field.
const fn v(number: u32) -> u32 {
    number << 3
}

/// Tag of a length-delimited field.
const fn l(number: u32) -> u32 {
    number << 3 | 2
}

const V1: u32 = v(1);
const V2: u32 = v(2);
const V3: u32 = v(3);
const V4: u32 = v(4);
const L1: u32 = l(1);
const L2: u32 = l(2);
const L3: u32 = l(3);
const L5: u32 = l(5);

/// Tags matched below, by field number.
macro_rules! tags {
    ($($name:ident = $kind:ident($number:literal);)+) => { $(pub(super) const $name: u32 = $kind($number);)+ };
}

mod tag {
    use super::{l, v};
    tags! {
        FLOW = l(1);
        ENVELOPE_NODE = l(1000);
        ENVELOPE_TIME = l(1001);
        TIME = l(1);
        VERDICT = v(2);
        DROP_REASON = v(3);
        ETHERNET = l(4);
        IP = l(5);
        L4 = l(6);
        SOURCE = l(8);
        DESTINATION = l(9);
        TYPE = v(10);
        NODE_NAME = l(11);
        SOURCE_NAMES = l(13);
        DESTINATION_NAMES = l(14);
        L7 = l(15);
        REPLY = v(16);
        EVENT_TYPE = l(19);
        SOURCE_SERVICE = l(20);
        DESTINATION_SERVICE = l(21);
        DIRECTION = v(22);
        MATCH_TYPE = v(23);
        TRACE_POINT = v(24);
        DROP_REASON_DESC = v(25);
        IS_REPLY = l(26);
        CAPTURE_POINT = v(27);
        INTERFACE = l(28);
        PROXY_PORT = v(29);
        TRACE_CONTEXT = l(30);
        SOCK_POINT = v(31);
        SOCKET_COOKIE = v(32);
        CGROUP_ID = v(33);
        UUID = l(34);
        AUTH_TYPE = v(35);
        TRACE_REASON = v(36);
        NODE_LABELS = l(37);
        FILE = l(38);
        TUNNEL = l(39);
        IP_TRACE_ID = l(40);
        EMITTER = l(41);
        SUMMARY = l(100_000);
        EXTENSIONS = l(150_000);
        EGRESS_ALLOWED_BY = l(21_001);
        INGRESS_ALLOWED_BY = l(21_002);
        EGRESS_DENIED_BY = l(21_004);
        INGRESS_DENIED_BY = l(21_005);
        POLICY_LOG = l(21_006);
        AGGREGATE = l(21_007);
    }
}

/// Fills an empty row.
fn response(interner: &mut Interner, message: &[u8], row: &mut Row) -> Result<(), Odd> {
    let mut wire = Wire::new(message);
    let mut body = None;
    let mut node: &[u8] = &[];
    let mut time = None;
    while let Some(tag) = wire.tag()? {
        match tag {
            tag::FLOW if body.is_none() => body = Some(flow(interner, wire.bytes()?, row)?),
            tag::ENVELOPE_NODE => {
                node = wire.bytes()?;
                // Mostly the flow's own; otherwise it may be the first of its kind.
                if !body.is_some_and(|body| same(body.node, node)) {
                    id(interner, node)?;
                }
            }
            tag::ENVELOPE_TIME if time.is_none() => {
                let bytes = wire.bytes()?;
                // Mostly that of the flow, which was read.
                let read = match body {
                    Some(Body {
                        time: Some(read), ..
                    }) if same(read, bytes) => row.time,
                    _ => timestamp(bytes)?,
                };
                time = Some((read, bytes));
            }
            // Another kind of response, a second flow or time, or a wrong wire type.
            tag if matches!(tag >> 3, 1..=3 | 1000 | 1001) => return Err(Odd),
            tag => wire.skip(tag)?,
        }
    }
    if body.is_none() {
        return Err(Odd);
    }
    let node = match body {
        Some(body) if same(body.node, node) => row.node,
        _ => id(interner, node)?,
    };
    match time {
        // The usual case, without decoding the time a second time.
        Some((time, _)) if row.node == node && row.time == time && time != NO_TIME => {}
        Some((time, bytes)) => convert::envelope(row, node, time, Some(seconds(bytes)?)),
        None => convert::envelope(row, node, NO_TIME, None),
    }
    Ok(())
}

/// What the envelope has as well, undecoded.
#[derive(Clone, Copy, Default)]
struct Body<'a> {
    time: Option<&'a [u8]>,
    node: &'a [u8],
}

/// The sub-messages of a flow that were seen, a bit each by number: given again they
/// merge.
#[derive(Clone, Copy, Default)]
struct Seen(u64);

impl Seen {
    #[inline]
    fn once(&mut self, bit: u32) -> Result<(), Odd> {
        let bit = 1_u64 << bit;
        if self.0 & bit != 0 {
            return Err(Odd);
        }
        self.0 |= bit;
        Ok(())
    }

    /// The bytes of a sub-message that was not seen before.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call costs more than what it does")]
    fn part<'a>(&mut self, tag: u32, wire: &mut Wire<'a>) -> Result<&'a [u8], Odd> {
        self.once(tag >> 3)?;
        wire.bytes()
    }
}

/// Fills a row.
fn flow<'a>(interner: &mut Interner, message: &'a [u8], row: &mut Row) -> Result<Body<'a>, Odd> {
    let mut body = Body::default();
    let mut wire = Wire::new(message);
    let mut seen = Seen::default();
    while let Some(tag) = wire.tag()? {
        match tag {
            tag::TIME => {
                let bytes = seen.part(tag, &mut wire)?;
                row.time = timestamp(bytes)?;
                if row.time == NO_TIME {
                    row.extra().odd_time = Some(seconds(bytes)?);
                }
                body.time = Some(bytes);
            }
            tag::VERDICT => row.verdict = Verdict(wire.varint()? as i32),
            tag::DROP_REASON => row.drop_reason_number = wire.varint()? as u32,
            tag::ETHERNET => row.ethernet = pair(interner, tag, seen.part(tag, &mut wire)?)?,
            tag::IP => ip(interner, row, seen.part(tag, &mut wire)?)?,
            tag::L4 => l4(interner, row, seen.part(tag, &mut wire)?)?,
            tag::SOURCE => row.source = endpoint(interner, tag, seen.part(tag, &mut wire)?)?,
            tag::DESTINATION => {
                row.destination = endpoint(interner, tag, seen.part(tag, &mut wire)?)?;
            }
            tag::TYPE => row.flow_type = FlowType(wire.varint()? as i32),
            tag::NODE_NAME => {
                body.node = wire.bytes()?;
                row.node = id(interner, body.node)?;
            }
            tag::SOURCE_NAMES if row.source_names == ListId(0) => {
                (row.source_names, wire) = list(interner, wire, tag)?;
            }
            tag::DESTINATION_NAMES if row.destination_names == ListId(0) => {
                (row.destination_names, wire) = list(interner, wire, tag)?;
            }
            tag::REPLY => set_flag(row, flags::LEGACY_REPLY, wire.varint()? != 0),
            tag::EVENT_TYPE => event_type(row, seen.part(tag, &mut wire)?)?,
            tag::SOURCE_SERVICE => {
                row.source_service = pair(interner, tag, seen.part(tag, &mut wire)?)?;
            }
            tag::DESTINATION_SERVICE => {
                row.destination_service = pair(interner, tag, seen.part(tag, &mut wire)?)?;
            }
            tag::DIRECTION => row.direction = Direction(wire.varint()? as i32),
            tag::MATCH_TYPE => row.policy_match_type = wire.varint()? as u32,
            tag::TRACE_POINT => row.trace_point = TracePoint(wire.varint()? as i32),
            tag::DROP_REASON_DESC => row.drop_reason = DropReason(wire.varint()? as i32),
            tag::IS_REPLY => row.reply = is_reply(seen.part(tag, &mut wire)?)?,
            tag::UUID => uuid(row, wire.bytes()?)?,
            tag::TRACE_REASON => row.trace_reason = TraceReason(wire.varint()? as i32),
            tag::NODE_LABELS => {
                seen.once(tag >> 3)?;
                (row.node_labels, wire) = list(interner, wire, tag)?;
            }
            tag::EMITTER => row.emitter = pair(interner, tag, seen.part(tag, &mut wire)?)?,
            tag::SUMMARY => row.summary = id(interner, wire.bytes()?)?,
            tag if known(tag >> 3) => (wire, seen) = rare(interner, row, tag, wire, seen)?,
            tag => wire.skip(tag)?,
        }
    }
    // A sparse field that was set and then set back leaves nothing.
    if row
        .extra
        .as_deref()
        .is_some_and(|extra| *extra == Extra::default())
    {
        row.extra = None;
    }
    Ok(body)
}

/// Whether a number is a field of `Flow`.
fn known(number: u32) -> bool {
    matches!(number, 1..=6 | 8..=11 | 13..=16 | 19..=41 | 100_000 | 150_000 | 21_001 | 21_002 | 21_004..=21_007)
}

/// Fields that few flows carry: sub-messages go through prost one by one.
#[inline(never)]
fn rare<'a>(
    interner: &mut Interner,
    row: &mut Row,
    tag: u32,
    mut wire: Wire<'a>,
    mut seen: Seen,
) -> Result<(Wire<'a>, Seen), Odd> {
    if tag & 7 == 2 && tag < l(64) {
        seen.once(tag >> 3)?;
    }
    match tag {
        tag::L7 => convert::set_l7(interner, row, &part::<pb::Layer7>(tag, wire.bytes()?)?),
        tag::CAPTURE_POINT => {
            let point = CaptureEnum(wire.varint()? as i32);
            set(row, point != CaptureEnum::default(), |extra| {
                extra.capture_point = point;
            });
        }
        tag::INTERFACE => {
            let interface = part::<pb::NetworkInterface>(tag, wire.bytes()?)?;
            row.extra().interface = Some((interface.index, interner.text(&interface.name)));
        }
        tag::PROXY_PORT => {
            let port = wire.varint()? as u32;
            set(row, port != 0, |extra| extra.proxy_port = port);
        }
        tag::TRACE_CONTEXT => {
            convert::set_trace_context(
                interner,
                row,
                &part::<pb::TraceContext>(tag, wire.bytes()?)?,
            );
        }
        tag::SOCK_POINT => {
            let point = SockPoint(wire.varint()? as i32);
            set(row, point != SockPoint::default(), |extra| {
                extra.sock_point = point;
            });
        }
        tag::SOCKET_COOKIE => {
            let cookie = wire.varint()?;
            set(row, cookie != 0, |extra| extra.socket_cookie = cookie);
        }
        tag::CGROUP_ID => {
            let cgroup = wire.varint()?;
            set(row, cgroup != 0, |extra| extra.cgroup_id = cgroup);
        }
        tag::AUTH_TYPE => {
            let auth = AuthType(wire.varint()? as i32);
            set(row, auth != AuthType::default(), |extra| {
                extra.auth_type = auth;
            });
        }
        tag::FILE => convert::set_file(interner, row, &part::<pb::FileInfo>(tag, wire.bytes()?)?),
        tag::TUNNEL => convert::set_tunnel(interner, row, &part::<pb::Tunnel>(tag, wire.bytes()?)?),
        tag::IP_TRACE_ID => {
            let trace = part::<pb::IpTraceId>(tag, wire.bytes()?)?;
            row.extra().ip_trace_id = Some((trace.trace_id, trace.ip_option_type));
        }
        tag::EGRESS_ALLOWED_BY => {
            let policy = policy(interner, tag, wire.bytes()?)?;
            row.extra().egress_allowed_by.push(policy);
        }
        tag::INGRESS_ALLOWED_BY => {
            let policy = policy(interner, tag, wire.bytes()?)?;
            row.extra().ingress_allowed_by.push(policy);
        }
        tag::EGRESS_DENIED_BY => {
            let policy = policy(interner, tag, wire.bytes()?)?;
            row.extra().egress_denied_by.push(policy);
        }
        tag::INGRESS_DENIED_BY => {
            let policy = policy(interner, tag, wire.bytes()?)?;
            row.extra().ingress_denied_by.push(policy);
        }
        tag::POLICY_LOG
            if row
                .extra
                .as_ref()
                .is_none_or(|extra| extra.policy_log == ListId(0)) =>
        {
            let log;
            (log, wire) = list(interner, wire, tag)?;
            row.extra().policy_log = log;
        }
        tag::AGGREGATE => {
            // This bit and the next stand for two sub-messages whose numbers are no bits.
            seen.once(63)?;
            convert::set_aggregate(row, &part::<pb::Aggregate>(tag, wire.bytes()?)?);
        }
        tag::EXTENSIONS => {
            seen.once(62)?;
            let any = part::<prost_types::Any>(tag, wire.bytes()?)?;
            convert::set_extensions(interner, row, &any);
        }
        // A known field of a wrong wire type, or a list that goes on elsewhere.
        _ => return Err(Odd),
    }
    Ok((wire, seen))
}

/// Sets a sparse scalar, without making the sparse part for a default.
fn set(row: &mut Row, wanted: bool, with: impl FnOnce(&mut Extra)) {
    if wanted || row.extra.is_some() {
        with(row.extra());
    }
}

fn set_flag(row: &mut Row, flag: u32, on: bool) {
    if on {
        row.flags |= flag;
    } else {
        row.flags &= !flag;
    }
}

#[inline]
fn id(interner: &mut Interner, bytes: &[u8]) -> Result<StrId, Odd> {
    interner.text_bytes(bytes).map_err(|_| Odd)
}

fn uuid(row: &mut Row, bytes: &[u8]) -> Result<(), Odd> {
    if let Some(bits) = convert::parse_uuid(bytes) {
        row.uuid = bits;
        if row.extra.is_some() {
            row.extra().uuid = None;
        }
        return Ok(());
    }
    row.uuid = 0;
    convert::set_uuid(row, std::str::from_utf8(bytes).map_err(|_| Odd)?);
    Ok(())
}

/// Nanoseconds of a `Timestamp`.
#[inline]
fn timestamp(message: &[u8]) -> Result<i64, Odd> {
    match read::usual_timestamp(message) {
        Some((seconds, nanos)) => Ok(convert::nanoseconds_of(seconds, nanos)),
        None => odd_timestamp(message),
    }
}

/// A `Timestamp` as it is.
#[cold]
fn seconds(message: &[u8]) -> Result<Seconds, Odd> {
    part::<prost_types::Timestamp>(tag::TIME, message).map(|time| convert::seconds(&time))
}

#[inline(never)]
fn odd_timestamp(message: &[u8]) -> Result<i64, Odd> {
    let mut wire = Wire::new(message);
    let (mut seconds, mut nanos) = (0, 0);
    while let Some(tag) = wire.tag()? {
        match tag {
            V1 => seconds = wire.varint()? as i64,
            V2 => nanos = wire.varint()? as i32,
            tag if tag >> 3 <= 2 => return Err(Odd),
            tag => wire.skip(tag)?,
        }
    }
    Ok(convert::nanoseconds_of(seconds, nanos))
}

fn is_reply(message: &[u8]) -> Result<Reply, Odd> {
    match message {
        [] | [8, 0] => Ok(Reply::No),
        [8, 1] => Ok(Reply::Yes),
        _ => Err(Odd),
    }
}

#[inline]
fn event_type(row: &mut Row, message: &[u8]) -> Result<(), Odd> {
    row.flags |= flags::HAS_EVENT_TYPE;
    if let &[0x08, number @ ..0x80, 0x10, sub @ ..0x80] = message {
        (row.event_type, row.event_sub_type) = (number.into(), sub.into());
        return Ok(());
    }
    let mut wire = Wire::new(message);
    while let Some(tag) = wire.tag()? {
        match tag {
            V1 => row.event_type = wire.varint()? as i32,
            V2 => row.event_sub_type = wire.varint()? as i32,
            tag if tag >> 3 <= 2 => return Err(Odd),
            tag => wire.skip(tag)?,
        }
    }
    Ok(())
}

fn ip(interner: &mut Interner, row: &mut Row, message: &[u8]) -> Result<(), Odd> {
    row.flags |= flags::HAS_IP;
    let mut wire = Wire::new(message);
    while let Some(tag) = wire.tag()? {
        match tag {
            L1 => row.source_ip = id(interner, wire.bytes()?)?,
            L2 => row.destination_ip = id(interner, wire.bytes()?)?,
            V3 => row.ip_version = wire.varint()? as i32,
            V4 => set_flag(row, flags::ENCRYPTED, wire.varint()? != 0),
            L5 => {
                let xlated = id(interner, wire.bytes()?)?;
                set(row, xlated != StrId(0), |extra| {
                    extra.source_xlated = xlated;
                });
            }
            tag if tag >> 3 <= 5 => return Err(Odd),
            tag => wire.skip(tag)?,
        }
    }
    Ok(())
}

fn l4(interner: &mut Interner, row: &mut Row, message: &[u8]) -> Result<(), Odd> {
    let mut wire = Wire::new(message);
    let (tag, arm) = match wire.tag()? {
        None => {
            row.flags |= flags::HAS_L4;
            return Ok(());
        }
        Some(tag @ (L1 | L2)) => (tag, wire.bytes()?),
        Some(_) => return rare_l4(interner, row, message),
    };
    if !wire.rest().is_empty() {
        return rare_l4(interner, row, message);
    }
    row.flags |= flags::HAS_L4;
    row.protocol = if tag == l(1) {
        Protocol::Tcp
    } else {
        Protocol::Udp
    };
    let mut wire = Wire::new(arm);
    while let Some(field) = wire.tag()? {
        match field {
            V1 => row.source_port = wire.varint()? as u32,
            V2 => row.destination_port = wire.varint()? as u32,
            L3 if tag == l(1) && row.flags & flags::HAS_TCP_FLAGS == 0 => {
                tcp_flags(row, wire.bytes()?)?;
            }
            field if field >> 3 <= 2 || (tag == l(1) && field >> 3 == 3) => return Err(Odd),
            field => wire.skip(field)?,
        }
    }
    Ok(())
}

#[inline(never)]
fn rare_l4(interner: &mut Interner, row: &mut Row, message: &[u8]) -> Result<(), Odd> {
    let l4 = part::<pb::Layer4>(tag::L4, message)?;
    convert::set_l4(interner, row, &l4);
    Ok(())
}

fn tcp_flags(row: &mut Row, message: &[u8]) -> Result<(), Odd> {
    row.flags |= flags::HAS_TCP_FLAGS;
    // Mostly one flag.
    if let &[tag @ 0x08..0x50, 1] = message
        && tag.trailing_zeros() >= 3
    {
        row.flags |= 1 << (tag / 8 - 1);
        return Ok(());
    }
    let mut wire = Wire::new(message);
    while let Some(tag) = wire.tag()? {
        match (tag >> 3, tag & 7) {
            (number @ 1..=9, 0) => set_flag(row, 1 << (number - 1), wire.varint()? != 0),
            (1..=9, _) => return Err(Odd),
            _ => wire.skip(tag)?,
        }
    }
    Ok(())
}

#[inline]
fn endpoint(interner: &mut Interner, tag: u32, bytes: &[u8]) -> Result<EndpointId, Odd> {
    if let Some(known) = interner.find_raw(RawKind::Endpoint, bytes) {
        return Ok(EndpointId(known));
    }
    new_endpoint(interner, tag, bytes)
}

#[inline(never)]
fn new_endpoint(interner: &mut Interner, tag: u32, bytes: &[u8]) -> Result<EndpointId, Odd> {
    let decoded = part::<pb::Endpoint>(tag, bytes)?;
    let endpoint = convert::endpoint(interner, &decoded);
    let id = interner.endpoint(endpoint);
    interner.keep_raw(RawKind::Endpoint, bytes, id.0);
    Ok(id)
}

/// A message of two texts with the numbers 1 and 2: service, Ethernet, emitter.
#[inline]
fn pair(interner: &mut Interner, tag: u32, bytes: &[u8]) -> Result<PairId, Odd> {
    if let Some(known) = interner.find_raw(RawKind::Pair, bytes) {
        return Ok(PairId(known));
    }
    new_pair(interner, tag, bytes)
}

#[inline(never)]
fn new_pair(interner: &mut Interner, tag: u32, bytes: &[u8]) -> Result<PairId, Odd> {
    let decoded = part::<pb::Service>(tag, bytes)?;
    let id = interner.pair(&decoded.name, &decoded.namespace);
    interner.keep_raw(RawKind::Pair, bytes, id.0);
    Ok(id)
}

/// A run of one repeated text field, whose first tag has been read, and what follows it.
#[inline(never)]
fn list<'a>(interner: &mut Interner, wire: Wire<'a>, tag: u32) -> Result<(ListId, Wire<'a>), Odd> {
    let start = wire.rest();
    let mut end = wire;
    end.bytes()?;
    loop {
        let mut next = end;
        if next.tag()? != Some(tag) {
            break;
        }
        next.bytes()?;
        end = next;
    }
    let run = &start[..start.len() - end.rest().len()];
    if let Some(known) = interner.find_raw(RawKind::List, run) {
        return Ok((ListId(known), end));
    }
    let mut texts = Vec::new();
    let mut walk = Wire::new(run);
    loop {
        texts.push(std::str::from_utf8(walk.bytes()?).map_err(|_| Odd)?);
        if walk.tag()?.is_none() {
            break;
        }
    }
    let id = interner.list(texts.into_iter());
    interner.keep_raw(RawKind::List, run, id.0);
    Ok((id, end))
}

fn policy(interner: &mut Interner, tag: u32, bytes: &[u8]) -> Result<Policy, Odd> {
    let decoded = part::<pb::Policy>(tag, bytes)?;
    Ok(convert::policy(interner, &decoded))
}

/// Start-group keys that a part may seem to have before it is looked at in its place.
const GROUP_KEYS: usize = 90;

/// Decodes a sub-message of a flow by itself.
///
/// prost bounds how deep groups nest, counted from the whole message. A part that might
/// come near that bound is decoded in its place too.
fn part<M: Message + Default>(tag: u32, bytes: &[u8]) -> Result<M, Odd> {
    let group_keys = bytes.iter().filter(|&&byte| byte & 7 == 3).count();
    if group_keys >= GROUP_KEYS {
        let (mut flow, mut response) = (Vec::new(), Vec::new());
        put::bytes(tag >> 3, bytes, &mut flow);
        put::bytes(tag::FLOW >> 3, &flow, &mut response);
        GetFlowsResponse::decode(response.as_slice()).map_err(|_| Odd)?;
    }
    M::decode(bytes).map_err(|_| Odd)
}

#[cfg(test)]
mod tests;
