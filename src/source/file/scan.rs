//! One line of a recording, straight into a row.
//!
//! Owns the fast path over JSON: the keys Hubble writes, in any order, looked up and
//! stored as they come. Endpoints, MAC pairs, services and label lists are recognised
//! by their text, and read only when that is new: a JSON object cannot be the beginning
//! of another, so equal bytes are the whole value. Whatever is unusual is [`Odd`] and
//! goes the general way, by `wire::json_read`, with the same columns.

use prost::Message;

use super::clock::Clock;
use super::cursor::{Cursor, Odd};
use crate::flow::{
    AuthType, CaptureEnum, Direction, DropReason, EndpointId, FlowType, Interner, ListId, NO_TIME,
    PairId, Protocol, RawKind, Reply, Row, Seconds, SockPoint, StrId, TracePoint, TraceReason,
    Verdict, flags,
};
use crate::proto::flow as pb;
use crate::wire::{convert, json_read};

/// How a row was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Inside `{"flow":…}`.
    Wrapped,
    /// The object is the flow.
    Bare,
}

/// Reads one JSON object, which has to be valid UTF-8, as a flow.
pub(super) fn record(
    interner: &mut Interner,
    clock: &mut Clock,
    text: &[u8],
) -> Result<(Row, Form), Odd> {
    let mut cursor = Cursor::new(text);
    cursor.expect(b'{')?;
    let read = if cursor.rest().starts_with(b"\"flow\":{") {
        cursor.advance(b"\"flow\":".len());
        (wrapped(interner, clock, &mut cursor)?, Form::Wrapped)
    } else {
        (flow(interner, clock, &mut cursor)?, Form::Bare)
    };
    cursor.end()?;
    Ok(read)
}

fn wrapped(
    interner: &mut Interner,
    clock: &mut Clock,
    cursor: &mut Cursor<'_>,
) -> Result<Row, Odd> {
    cursor.expect(b'{')?;
    let mut row = flow(interner, clock, cursor)?;
    let (mut node, mut time) = (None, None);
    let mut first = false;
    while let Some(key) = cursor.key(&mut first)? {
        match key {
            b"node_name" if node.is_none() => {
                node = Some(interner.text_bytes(cursor.plain()?).map_err(|_| Odd)?);
            }
            b"time" if time.is_none() => time = Some(clock.read(cursor.plain()?)?),
            _ => return Err(Odd),
        }
    }
    let exact = time.map(|time| Seconds {
        seconds: time.div_euclid(1_000_000_000),
        nanos: time.rem_euclid(1_000_000_000) as i32,
    });
    convert::envelope(
        &mut row,
        node.unwrap_or_default(),
        time.unwrap_or(NO_TIME),
        exact,
    );
    Ok(row)
}

/// One bit a key, to notice a key that comes twice.
macro_rules! once {
    ($seen:ident, $bit:expr) => {{
        let bit = 1_u64 << $bit;
        if $seen & bit != 0 {
            return Err(Odd);
        }
        $seen |= bit;
    }};
}

/// The members of a flow object, after its `{`.
fn flow(interner: &mut Interner, clock: &mut Clock, cursor: &mut Cursor<'_>) -> Result<Row, Odd> {
    let mut row = Row::default();
    let mut seen = 0_u64;
    let mut first = true;
    let mut scratch = String::new();
    while let Some(key) = cursor.key(&mut first)? {
        let bit = match key {
            b"time" => {
                row.time = clock.read(cursor.plain()?)?;
                0
            }
            b"uuid" => {
                let text = cursor.plain()?;
                match convert::parse_uuid(text) {
                    Some(bits) => row.uuid = bits,
                    None => {
                        convert::set_uuid(&mut row, std::str::from_utf8(text).map_err(|_| Odd)?);
                    }
                }
                1
            }
            b"verdict" => {
                row.verdict = verdict(cursor.plain()?)?;
                2
            }
            b"ethernet" => {
                row.ethernet = pair(interner, cursor, RawKind::JsonEthernet)?;
                3
            }
            b"IP" => {
                ip(interner, &mut row, cursor)?;
                4
            }
            b"l4" => {
                l4(interner, &mut row, cursor)?;
                5
            }
            b"source" => {
                row.source = endpoint(interner, cursor)?;
                6
            }
            b"destination" => {
                row.destination = endpoint(interner, cursor)?;
                7
            }
            b"Type" => {
                row.flow_type = named(cursor, FlowType::from_name)?;
                8
            }
            b"node_name" => {
                row.node = interner.text_bytes(cursor.plain()?).map_err(|_| Odd)?;
                9
            }
            b"event_type" => {
                event_type(&mut row, cursor)?;
                10
            }
            b"traffic_direction" => {
                row.direction = named(cursor, Direction::from_name)?;
                11
            }
            b"trace_observation_point" => {
                row.trace_point = named(cursor, TracePoint::from_name)?;
                12
            }
            b"trace_reason" => {
                row.trace_reason = named(cursor, TraceReason::from_name)?;
                13
            }
            b"is_reply" => {
                row.reply = Reply::from_option(Some(cursor.bool()?));
                14
            }
            b"Summary" => {
                row.summary = interner
                    .text_bytes(cursor.string(&mut scratch)?)
                    .map_err(|_| Odd)?;
                15
            }
            b"reply" => {
                if cursor.bool()? {
                    row.flags |= flags::LEGACY_REPLY;
                }
                16
            }
            b"drop_reason" => {
                row.drop_reason_number = cursor.u32()?;
                17
            }
            b"drop_reason_desc" => {
                row.drop_reason = named(cursor, DropReason::from_name)?;
                18
            }
            b"policy_match_type" => {
                row.policy_match_type = cursor.u32()?;
                19
            }
            b"node_labels" => {
                row.node_labels = list(interner, cursor)?;
                20
            }
            b"emitter" => {
                row.emitter = pair(interner, cursor, RawKind::JsonEmitter)?;
                21
            }
            b"source_service" => {
                row.source_service = pair(interner, cursor, RawKind::JsonService)?;
                22
            }
            b"destination_service" => {
                row.destination_service = pair(interner, cursor, RawKind::JsonService)?;
                23
            }
            b"source_names" => {
                row.source_names = list(interner, cursor)?;
                24
            }
            b"destination_names" => {
                row.destination_names = list(interner, cursor)?;
                25
            }
            key => rare(interner, &mut row, key, cursor)?,
        };
        once!(seen, bit);
    }
    // An object without any key of a flow is not a flow.
    if seen & !(1 << UNKNOWN_KEY) == 0 {
        Err(Odd)
    } else {
        Ok(row)
    }
}

/// Bit of keys that are not known; they may come often.
const UNKNOWN_KEY: u32 = 63;

/// Keys that few flows have. Returns the bit of the key.
#[inline(never)]
fn rare(
    interner: &mut Interner,
    row: &mut Row,
    key: &[u8],
    cursor: &mut Cursor<'_>,
) -> Result<u32, Odd> {
    let bit = match key {
        b"interface" => {
            let (index, name) = interface(interner, cursor)?;
            row.extra().interface = Some((index, name));
            26
        }
        b"l7" => {
            let l7 = message::<pb::Layer7>(cursor, "flow.Layer7")?;
            convert::set_l7(interner, row, &l7);
            27
        }
        b"file" => {
            let file = message::<pb::FileInfo>(cursor, "flow.FileInfo")?;
            convert::set_file(interner, row, &file);
            28
        }
        b"tunnel" => {
            let tunnel = message::<pb::Tunnel>(cursor, "flow.Tunnel")?;
            convert::set_tunnel(interner, row, &tunnel);
            29
        }
        b"ip_trace_id" => {
            let trace = message::<pb::IpTraceId>(cursor, "flow.IPTraceID")?;
            row.extra().ip_trace_id = Some((trace.trace_id, trace.ip_option_type));
            30
        }
        b"trace_context" => {
            let context = message::<pb::TraceContext>(cursor, "flow.TraceContext")?;
            convert::set_trace_context(interner, row, &context);
            31
        }
        b"auth_type" => {
            let auth = named(cursor, AuthType::from_name)?;
            if auth != AuthType::default() {
                row.extra().auth_type = auth;
            }
            32
        }
        b"debug_capture_point" => {
            let point = named(cursor, CaptureEnum::from_name)?;
            if point != CaptureEnum::default() {
                row.extra().capture_point = point;
            }
            33
        }
        b"sock_xlate_point" => {
            let point = named(cursor, SockPoint::from_name)?;
            if point != SockPoint::default() {
                row.extra().sock_point = point;
            }
            34
        }
        b"proxy_port" => {
            let port = cursor.u32()?;
            if port != 0 {
                row.extra().proxy_port = port;
            }
            35
        }
        b"aggregate" => {
            let aggregate = message::<pb::Aggregate>(cursor, "flow.Aggregate")?;
            convert::set_aggregate(row, &aggregate);
            36
        }
        b"policy_log" => {
            let log = list(interner, cursor)?;
            if log != ListId(0) {
                row.extra().policy_log = log;
            }
            37
        }
        b"egress_allowed_by" => {
            policies(interner, cursor, |policy| {
                row.extra().egress_allowed_by.push(policy);
            })?;
            38
        }
        b"ingress_allowed_by" => {
            policies(interner, cursor, |policy| {
                row.extra().ingress_allowed_by.push(policy);
            })?;
            39
        }
        b"egress_denied_by" => {
            policies(interner, cursor, |policy| {
                row.extra().egress_denied_by.push(policy);
            })?;
            40
        }
        b"ingress_denied_by" => {
            policies(interner, cursor, |policy| {
                row.extra().ingress_denied_by.push(policy);
            })?;
            41
        }
        // Written as text, with extensions of their own, or under another name.
        _ => return Err(Odd),
    };
    Ok(bit)
}

/// A sub-message that is read the general way.
fn message<M: Message + Default>(cursor: &mut Cursor<'_>, name: &str) -> Result<M, Odd> {
    read_message(cursor.value()?, name)
}

fn read_message<M: Message + Default>(text: &[u8], name: &str) -> Result<M, Odd> {
    let wire = json_read::object_to_wire(text, name).map_err(|_| Odd)?;
    M::decode(wire.as_slice()).map_err(|_| Odd)
}

fn policies(
    interner: &mut Interner,
    cursor: &mut Cursor<'_>,
    mut with: impl FnMut(crate::flow::Policy),
) -> Result<(), Odd> {
    elements(cursor, |cursor| {
        let policy = message::<pb::Policy>(cursor, "flow.Policy")?;
        with(convert::policy(interner, &policy));
        Ok(())
    })
}

/// Calls `each` at every element of an array.
pub(super) fn elements<'a>(
    cursor: &mut Cursor<'a>,
    mut each: impl FnMut(&mut Cursor<'a>) -> Result<(), Odd>,
) -> Result<(), Odd> {
    cursor.expect(b'[')?;
    if cursor.peek()? == b']' {
        cursor.advance(1);
        return Ok(());
    }
    loop {
        each(cursor)?;
        match cursor.peek()? {
            b',' => cursor.advance(1),
            b']' => {
                cursor.advance(1);
                return Ok(());
            }
            _ => return Err(Odd),
        }
    }
}

fn verdict(name: &[u8]) -> Result<Verdict, Odd> {
    match name {
        b"FORWARDED" => Ok(Verdict::FORWARDED),
        b"DROPPED" => Ok(Verdict::DROPPED),
        other => std::str::from_utf8(other)
            .ok()
            .and_then(Verdict::from_name)
            .ok_or(Odd),
    }
}

fn named<T>(cursor: &mut Cursor<'_>, from_name: impl Fn(&str) -> Option<T>) -> Result<T, Odd> {
    let name = std::str::from_utf8(cursor.plain()?).map_err(|_| Odd)?;
    from_name(name).ok_or(Odd)
}

#[inline]
fn endpoint(interner: &mut Interner, cursor: &mut Cursor<'_>) -> Result<EndpointId, Odd> {
    if cursor.peek()? != b'{' {
        return Err(Odd);
    }
    if let Some((length, id)) = interner.find_raw_prefix(RawKind::JsonEndpoint, cursor.rest()) {
        cursor.advance(length);
        return Ok(EndpointId(id));
    }
    new_endpoint(interner, cursor.value()?)
}

#[inline(never)]
fn new_endpoint(interner: &mut Interner, text: &[u8]) -> Result<EndpointId, Odd> {
    if let Some(id) = interner.find_raw(RawKind::JsonEndpoint, text) {
        return Ok(EndpointId(id));
    }
    let endpoint = if let Ok(endpoint) = super::endpoint::endpoint(interner, text) {
        endpoint
    } else {
        let decoded = read_message::<pb::Endpoint>(text, "flow.Endpoint")?;
        convert::endpoint(interner, &decoded)
    };
    let id = interner.endpoint(endpoint);
    interner.keep_raw(RawKind::JsonEndpoint, text, id.0);
    Ok(id)
}

#[inline]
fn pair(interner: &mut Interner, cursor: &mut Cursor<'_>, kind: RawKind) -> Result<PairId, Odd> {
    if cursor.peek()? != b'{' {
        return Err(Odd);
    }
    if let Some((length, id)) = interner.find_raw_prefix(kind, cursor.rest()) {
        cursor.advance(length);
        return Ok(PairId(id));
    }
    let text = cursor.value()?;
    if let Some(id) = interner.find_raw(kind, text) {
        return Ok(PairId(id));
    }
    let id = match kind {
        RawKind::JsonEthernet => {
            let read = read_message::<pb::Ethernet>(text, "flow.Ethernet")?;
            interner.pair(&read.source, &read.destination)
        }
        RawKind::JsonEmitter => {
            let read = read_message::<pb::Emitter>(text, "flow.Emitter")?;
            interner.pair(&read.name, &read.version)
        }
        _ => {
            let read = read_message::<pb::Service>(text, "flow.Service")?;
            interner.pair(&read.name, &read.namespace)
        }
    };
    interner.keep_raw(kind, text, id.0);
    Ok(id)
}

/// A list of texts.
fn list(interner: &mut Interner, cursor: &mut Cursor<'_>) -> Result<ListId, Odd> {
    if cursor.peek()? != b'[' {
        return Err(Odd);
    }
    if let Some((length, id)) = interner.find_raw_prefix(RawKind::JsonList, cursor.rest()) {
        cursor.advance(length);
        return Ok(ListId(id));
    }
    let text = cursor.value()?;
    if let Some(id) = interner.find_raw(RawKind::JsonList, text) {
        return Ok(ListId(id));
    }
    let texts: Vec<String> = serde_json::from_slice(text).map_err(|_| Odd)?;
    let id = interner.list(texts.iter().map(String::as_str));
    interner.keep_raw(RawKind::JsonList, text, id.0);
    Ok(id)
}

fn ip(interner: &mut Interner, row: &mut Row, cursor: &mut Cursor<'_>) -> Result<(), Odd> {
    row.flags |= flags::HAS_IP;
    cursor.expect(b'{')?;
    let mut seen = 0_u64;
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        let bit = match key {
            b"source" => {
                row.source_ip = interner.text_bytes(cursor.plain()?).map_err(|_| Odd)?;
                0
            }
            b"destination" => {
                row.destination_ip = interner.text_bytes(cursor.plain()?).map_err(|_| Odd)?;
                1
            }
            b"ipVersion" => {
                row.ip_version = match cursor.plain()? {
                    b"IPv4" => 1,
                    b"IPv6" => 2,
                    b"IP_NOT_USED" => 0,
                    _ => return Err(Odd),
                };
                2
            }
            b"encrypted" => {
                if cursor.bool()? {
                    row.flags |= flags::ENCRYPTED;
                }
                3
            }
            b"source_xlated" => {
                let xlated = interner.text_bytes(cursor.plain()?).map_err(|_| Odd)?;
                if xlated != StrId(0) {
                    row.extra().source_xlated = xlated;
                }
                4
            }
            _ => return Err(Odd),
        };
        once!(seen, bit);
    }
    Ok(())
}

fn l4(interner: &mut Interner, row: &mut Row, cursor: &mut Cursor<'_>) -> Result<(), Odd> {
    let before = *cursor;
    cursor.expect(b'{')?;
    let mut first = true;
    match cursor.key(&mut first)? {
        Some(b"TCP") => row.protocol = Protocol::Tcp,
        Some(b"UDP") => row.protocol = Protocol::Udp,
        _ => {
            *cursor = before;
            let l4 = message::<pb::Layer4>(cursor, "flow.Layer4")?;
            convert::set_l4(interner, row, &l4);
            return Ok(());
        }
    }
    row.flags |= flags::HAS_L4;
    ports(row, cursor)?;
    cursor.expect(b'}')
}

fn ports(row: &mut Row, cursor: &mut Cursor<'_>) -> Result<(), Odd> {
    cursor.expect(b'{')?;
    let mut seen = 0_u64;
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        let bit = match key {
            b"source_port" => {
                row.source_port = cursor.u32()?;
                0
            }
            b"destination_port" => {
                row.destination_port = cursor.u32()?;
                1
            }
            b"flags" if row.protocol == Protocol::Tcp => {
                tcp_flags(row, cursor)?;
                2
            }
            _ => return Err(Odd),
        };
        once!(seen, bit);
    }
    Ok(())
}

fn tcp_flags(row: &mut Row, cursor: &mut Cursor<'_>) -> Result<(), Odd> {
    row.flags |= flags::HAS_TCP_FLAGS;
    cursor.expect(b'{')?;
    let mut seen = 0_u64;
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        let bit = match key {
            b"FIN" => 0,
            b"SYN" => 1,
            b"RST" => 2,
            b"PSH" => 3,
            b"ACK" => 4,
            b"URG" => 5,
            b"ECE" => 6,
            b"CWR" => 7,
            b"NS" => 8,
            _ => return Err(Odd),
        };
        once!(seen, bit);
        if cursor.bool()? {
            row.flags |= 1 << bit;
        }
    }
    Ok(())
}

fn event_type(row: &mut Row, cursor: &mut Cursor<'_>) -> Result<(), Odd> {
    row.flags |= flags::HAS_EVENT_TYPE;
    cursor.expect(b'{')?;
    let mut seen = 0_u64;
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        let bit = match key {
            b"type" => {
                row.event_type = i32::try_from(cursor.u32()?).map_err(|_| Odd)?;
                0
            }
            b"sub_type" => {
                row.event_sub_type = i32::try_from(cursor.u32()?).map_err(|_| Odd)?;
                1
            }
            _ => return Err(Odd),
        };
        once!(seen, bit);
    }
    Ok(())
}

fn interface(interner: &mut Interner, cursor: &mut Cursor<'_>) -> Result<(u32, StrId), Odd> {
    cursor.expect(b'{')?;
    let (mut index, mut name) = (0, StrId(0));
    let mut seen = 0_u64;
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        let bit = match key {
            b"index" => {
                index = cursor.u32()?;
                0
            }
            b"name" => {
                name = interner.text_bytes(cursor.plain()?).map_err(|_| Odd)?;
                1
            }
            _ => return Err(Odd),
        };
        once!(seen, bit);
    }
    Ok((index, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_endpoints_are_read_once_and_the_rest_of_the_line_is_found() {
        let mut interner = Interner::new(1 << 20);
        let line = br#"{"flow":{"source":{"ID":1,"identity":20000,"namespace":"shop","pod_name":"web-1"},"destination":{},"verdict":"DROPPED"},"node_name":"c/n","time":"2026-01-01T00:00:00Z"}"#;
        let (first, form) = record(&mut interner, &mut Clock::default(), line).unwrap();
        let (second, _) = record(&mut interner, &mut Clock::default(), line).unwrap();
        assert_eq!(form, Form::Wrapped);
        assert_eq!(first.source, second.source);
        assert_ne!(first.source, first.destination);
        assert_eq!(first.verdict, Verdict::DROPPED);
        assert_ne!(first.flags & flags::ENVELOPE_TIME, 0);
    }

    #[test]
    fn a_key_that_comes_twice_or_is_not_known_goes_the_general_way() {
        let mut interner = Interner::new(1 << 20);
        for odd in [
            r#"{"flow":{"verdict":"DROPPED","verdict":"DROPPED"}}"#,
            r#"{"flow":{"nodeName":"n"}}"#,
            "{}",
            r#"{"flow":{}}"#,
            r#"{"flow":{"verdict":"DROPPED"}} x"#,
        ] {
            assert_eq!(
                record(&mut interner, &mut Clock::default(), odd.as_bytes()).err(),
                Some(Odd),
                "{odd}"
            );
        }
    }
}
