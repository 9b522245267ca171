//! A cheap look at an undecoded `GetFlowsResponse`: what it is, of which node and when.
//!
//! Owns just enough of protobuf to resume a stream without doubles. Strict: what is odd
//! (a field twice, a wire type that does not fit) goes through prost, and what prost
//! refuses is left for `wire` to count.

use std::{
    borrow::Cow,
    hash::{BuildHasher as _, Hasher as _},
};

use foldhash::fast::FixedState;
use prost::Message as _;

use crate::proto::observer::{GetFlowsResponse, get_flows_response::ResponseTypes};
use crate::wire::read::{Wire, usual_timestamp};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Flow,
    NodeStatus,
    Lost,
    /// Nothing that is known here, or not readable.
    Other,
}

/// What was seen of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peek<'a> {
    pub(super) kind: Kind,
    pub(super) node: Cow<'a, [u8]>,
    /// Nanoseconds since 1970 UTC, 0 where there is no time.
    pub(super) time: i64,
    /// Tells flows apart: a hash of the uuid, else of time and tuple. 0 for other kinds.
    pub(super) id: u64,
}

/// Looks at a message.
#[inline]
pub(super) fn peek(message: &[u8]) -> Peek<'_> {
    walk(message, true).unwrap_or_else(|| by_prost(message))
}

/// Looks at a message without an id: a third of the cost, as it stays outside of the flow.
#[inline]
pub(super) fn glance(message: &[u8]) -> Peek<'_> {
    walk(message, false).unwrap_or_else(|| by_prost(message))
}

/// The parts of a flow that tell it from others.
#[derive(Default)]
struct Parts<'a> {
    time: Option<&'a [u8]>,
    node: Option<&'a [u8]>,
    uuid: Option<&'a [u8]>,
    event_type: Option<&'a [u8]>,
    ip: Option<&'a [u8]>,
    l4: Option<&'a [u8]>,
}

/// A response's kind, body, node and time.
type Envelope<'a> = (Kind, &'a [u8], Option<&'a [u8]>, Option<&'a [u8]>);

/// An envelope as agents write it: a flow, its node, its time and nothing else.
#[inline]
fn usual_envelope(message: &[u8]) -> Option<Envelope<'_>> {
    let mut rest = message.strip_prefix(&[0x0a])?;
    let length = usize::try_from(varint(&mut rest)?).ok()?;
    let (body, rest) = rest.split_at_checked(length)?;
    let (node, rest) = short(rest, [0xc2, 0x3e])?;
    let (time, rest) = short(rest, [0xca, 0x3e])?;
    rest.is_empty()
        .then_some((Kind::Flow, body, Some(node), Some(time)))
}

/// A field with this tag that has less than 128 bytes, and what follows it.
#[inline]
fn short(bytes: &[u8], tag: [u8; 2]) -> Option<(&[u8], &[u8])> {
    let (&[first, second, length], rest) = bytes.split_first_chunk()?;
    if [first, second] != tag || length >= 0x80 {
        return None;
    }
    rest.split_at_checked(length.into())
}

#[inline(never)]
fn envelope(mut rest: &[u8]) -> Option<Envelope<'_>> {
    let (mut node, mut time, mut body) = (None, None, None);
    while !rest.is_empty() {
        let (number, bytes) = field(&mut rest)?;
        match number {
            1 => once(&mut body, (Kind::Flow, bytes?))?,
            2 => once(&mut body, (Kind::NodeStatus, bytes?))?,
            3 => once(&mut body, (Kind::Lost, bytes?))?,
            1000 => once(&mut node, bytes?)?,
            1001 => once(&mut time, bytes?)?,
            _ => {}
        }
    }
    let (kind, body) = body.unwrap_or((Kind::Other, &[]));
    Some((kind, body, node, time))
}

#[inline]
fn walk(message: &[u8], with_id: bool) -> Option<Peek<'_>> {
    let (kind, body, node, time) = match usual_envelope(message) {
        Some(usual) => usual,
        None => envelope(message)?,
    };
    let is_known = !with_id && node.is_some() && time.is_some();
    if kind != Kind::Flow || is_known {
        return Some(Peek {
            kind,
            node: Cow::Borrowed(node.unwrap_or_default()),
            time: timestamp(time)?,
            id: 0,
        });
    }
    let flow = parts(body)?;
    let node = node.or(flow.node).unwrap_or_default();
    let time = timestamp(time.or(flow.time))?;
    Some(Peek {
        kind,
        node: Cow::Borrowed(node),
        time,
        id: flow.id(node, time),
    })
}

/// Stops at the uuid where there is one: nothing after it is of interest, and agents
/// write fields in the order of their numbers.
fn parts(mut rest: &[u8]) -> Option<Parts<'_>> {
    let mut parts = Parts::default();
    while !rest.is_empty() {
        let (number, bytes) = field(&mut rest)?;
        match number {
            1 => once(&mut parts.time, bytes?)?,
            5 => once(&mut parts.ip, bytes?)?,
            6 => once(&mut parts.l4, bytes?)?,
            11 => once(&mut parts.node, bytes?)?,
            19 => once(&mut parts.event_type, bytes?)?,
            34 => {
                once(&mut parts.uuid, bytes?)?;
                if parts.time.is_some() && bytes != Some(&[]) {
                    break;
                }
            }
            _ => {}
        }
    }
    Some(parts)
}

impl Parts<'_> {
    #[inline]
    fn id(&self, node: &[u8], time: i64) -> u64 {
        let mut hasher = FixedState::default().build_hasher();
        match self.uuid {
            Some(uuid) if !uuid.is_empty() => hasher.write(uuid),
            _ => {
                hasher.write_i64(time);
                for part in [Some(node), self.event_type, self.ip, self.l4] {
                    let part = part.unwrap_or_default();
                    hasher.write_usize(part.len());
                    hasher.write(part);
                }
            }
        }
        hasher.finish()
    }
}

fn by_prost(message: &[u8]) -> Peek<'_> {
    let Ok(response) = GetFlowsResponse::decode(message) else {
        return Peek {
            kind: Kind::Other,
            node: Cow::Borrowed(&[]),
            time: 0,
            id: 0,
        };
    };
    let mut node = response.node_name;
    let mut time = response.time;
    let mut id = 0;
    let kind = match response.response_types {
        Some(ResponseTypes::Flow(flow)) => {
            if node.is_empty() {
                node.clone_from(&flow.node_name);
            }
            time = time.or(flow.time);
            let encoded = [
                flow.event_type.map(|value| value.encode_to_vec()),
                flow.ip.map(|value| value.encode_to_vec()),
                flow.l4.map(|value| value.encode_to_vec()),
            ];
            let parts = Parts {
                uuid: Some(flow.uuid.as_bytes()),
                event_type: encoded[0].as_deref(),
                ip: encoded[1].as_deref(),
                l4: encoded[2].as_deref(),
                ..Parts::default()
            };
            id = parts.id(node.as_bytes(), nanoseconds(time));
            Kind::Flow
        }
        Some(ResponseTypes::NodeStatus(_)) => Kind::NodeStatus,
        Some(ResponseTypes::LostEvents(_)) => Kind::Lost,
        None => Kind::Other,
    };
    Peek {
        kind,
        node: Cow::Owned(node.into_bytes()),
        time: nanoseconds(time),
        id,
    }
}

/// Nanoseconds since 1970 UTC, 0 for none or one out of range.
pub(super) fn nanoseconds(time: Option<prost_types::Timestamp>) -> i64 {
    time.and_then(|time| {
        time.seconds
            .checked_mul(1_000_000_000)?
            .checked_add(i64::from(time.nanos))
    })
    .unwrap_or_default()
}

#[inline]
fn timestamp(bytes: Option<&[u8]>) -> Option<i64> {
    let Some(mut rest) = bytes else {
        return Some(0);
    };
    if let Some((seconds, nanos)) = usual_timestamp(rest) {
        return Some(nanoseconds(Some(prost_types::Timestamp { seconds, nanos })));
    }
    let (mut seconds, mut nanos) = (0, 0);
    while !rest.is_empty() {
        match varint(&mut rest)? {
            0x08 => seconds = varint(&mut rest)? as i64,
            0x10 => nanos = varint(&mut rest)? as i32,
            _ => return None,
        }
    }
    Some(nanoseconds(Some(prost_types::Timestamp { seconds, nanos })))
}

/// Sets what must not be set yet.
#[inline]
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// The next field: its number, and its bytes where it is length-delimited.
#[inline]
fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let tag = varint(rest)?;
    let number = tag >> 3;
    if number == 0 || number > 0x1fff_ffff {
        return None;
    }
    let bytes = match tag & 7 {
        0 => {
            varint(rest)?;
            None
        }
        1 => {
            *rest = rest.get(8..)?;
            None
        }
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            let (bytes, after) = rest.split_at_checked(length)?;
            *rest = after;
            Some(bytes)
        }
        5 => {
            *rest = rest.get(4..)?;
            None
        }
        _ => return None,
    };
    Some((number, bytes))
}

#[inline]
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut wire = Wire::new(rest);
    let value = wire.varint().ok()?;
    *rest = wire.rest();
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::flow::{CiliumEventType, Endpoint, Flow, Ip};

    fn response(uuid: &str, seconds: i64, node: &str) -> GetFlowsResponse {
        let time = Some(prost_types::Timestamp { seconds, nanos: 7 });
        GetFlowsResponse {
            node_name: node.into(),
            time,
            response_types: Some(ResponseTypes::Flow(Flow {
                time,
                uuid: uuid.into(),
                node_name: node.into(),
                ip: Some(Ip {
                    source: "10.0.0.1".into(),
                    ..Ip::default()
                }),
                event_type: Some(CiliumEventType {
                    r#type: 4,
                    sub_type: 3,
                }),
                source: Some(Endpoint {
                    labels: vec!["k8s:app=a".into(); 4],
                    ..Endpoint::default()
                }),
                summary: "TCP Flags: SYN".into(),
                ..Flow::default()
            })),
        }
    }

    #[test]
    fn the_envelope_may_be_empty() {
        let mut message = response("u", 5, "n");
        let full = message.encode_to_vec();
        message.node_name.clear();
        message.time = None;
        let bare = message.encode_to_vec();
        assert_eq!(peek(&full), peek(&bare));
        assert_eq!(peek(&bare).time, 5_000_000_007);
        let glance = glance(&full);
        assert_eq!((&*glance.node, glance.time), (&b"n"[..], 5_000_000_007));
    }

    #[test]
    fn without_a_uuid_time_and_tuple_tell_flows_apart() {
        let id = |seconds| peek(&response("", seconds, "n").encode_to_vec()).id;
        assert_eq!(id(1), id(1));
        assert_ne!(id(1), id(2));
    }

    #[test]
    fn what_is_odd_goes_through_prost() {
        let message = response("u", 5, "n").encode_to_vec();
        let mut twice = response("", 1, "m").encode_to_vec();
        twice.extend_from_slice(&message);
        let expected = by_prost(&twice);
        assert_eq!(walk(&twice, true), None);
        assert_eq!(peek(&twice), expected);
        assert_eq!(expected.kind, Kind::Flow);
    }

    proptest! {
        #[test]
        fn walking_agrees_with_prost(uuid in "[a-f0-9-]{0,36}", seconds in 0i64..2_000_000_000, node in "[a-z/]{0,9}") {
            let message = response(&uuid, seconds, &node).encode_to_vec();
            prop_assert_eq!(walk(&message, true), Some(by_prost(&message)));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            peek(&bytes);
        }
    }
}
