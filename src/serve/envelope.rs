//! What the server must know of a response before it can hand it on: kind, time, node.
//!
//! Owns a partial view of `GetFlowsResponse`, so that everything else passes through
//! as the bytes it came in. Does not check what it does not read; that is `wire`.

use bytes::Bytes;
use prost::Message;

/// What a response carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A flow: filtered, counted and masked.
    Flow,
    /// Events that were lost, with how many: delivered in place to everyone.
    Lost(u64),
    /// A node's state, or a kind newer than this schema: passed through.
    Other,
}

/// The parts of a response that the server acts on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) kind: EntryKind,
    /// Nanoseconds since the epoch: the response's, else the flow's own.
    pub(super) time: Option<i64>,
    pub(super) node: String,
    /// Cluster and namespace of both ends, where named.
    pub(super) namespaces: Vec<(String, String)>,
}

impl Envelope {
    pub(super) fn read(response: &Bytes) -> Result<Self, prost::DecodeError> {
        let parts = Response::decode(response.clone())?;
        let kind = match (&parts.flow, &parts.lost_events) {
            (Some(_), _) => EntryKind::Flow,
            (None, Some(lost)) => EntryKind::Lost(lost.num_events_lost),
            (None, None) => EntryKind::Other,
        };
        let flow = parts.flow.unwrap_or_default();
        let time = parts.time.or(flow.time).map(|time| nanoseconds(&time));
        let node = if parts.node_name.is_empty() {
            flow.node_name
        } else {
            parts.node_name
        };
        let namespaces = [flow.source, flow.destination]
            .into_iter()
            .flatten()
            .filter(|endpoint| !endpoint.namespace.is_empty())
            .map(|endpoint| (endpoint.cluster_name, endpoint.namespace))
            .collect();
        Ok(Self {
            kind,
            time,
            node,
            namespaces,
        })
    }
}

/// Nanoseconds since the epoch, held at the ends of what 64 bits can say.
pub(super) fn nanoseconds(time: &prost_types::Timestamp) -> i64 {
    time.seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(i64::from(time.nanos))
}

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    flow: Option<Flow>,
    #[prost(message, optional, tag = "3")]
    lost_events: Option<Lost>,
    #[prost(string, tag = "1000")]
    node_name: String,
    #[prost(message, optional, tag = "1001")]
    time: Option<prost_types::Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct Flow {
    #[prost(message, optional, tag = "1")]
    time: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "8")]
    source: Option<Endpoint>,
    #[prost(message, optional, tag = "9")]
    destination: Option<Endpoint>,
    #[prost(string, tag = "11")]
    node_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Endpoint {
    #[prost(string, tag = "3")]
    namespace: String,
    #[prost(string, tag = "7")]
    cluster_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Lost {
    #[prost(uint64, tag = "2")]
    num_events_lost: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{flow, observer};
    use crate::wire::restore::timestamp;
    use observer::get_flows_response::ResponseTypes;

    fn bytes(response: &observer::GetFlowsResponse) -> Bytes {
        response.encode_to_vec().into()
    }

    #[test]
    fn the_flow_lends_what_the_envelope_lacks() {
        let flow = flow::Flow {
            time: Some(timestamp(-1)),
            node_name: "c1/a".to_owned(),
            source: Some(flow::Endpoint {
                namespace: "shop".to_owned(),
                cluster_name: "c1".to_owned(),
                ..flow::Endpoint::default()
            }),
            ..flow::Flow::default()
        };
        let response = observer::GetFlowsResponse {
            response_types: Some(ResponseTypes::Flow(flow)),
            ..observer::GetFlowsResponse::default()
        };

        let envelope = Envelope::read(&bytes(&response)).unwrap();

        assert_eq!(
            envelope,
            Envelope {
                kind: EntryKind::Flow,
                time: Some(-1),
                node: "c1/a".to_owned(),
                namespaces: vec![("c1".to_owned(), "shop".to_owned())],
            }
        );
    }

    #[test]
    fn a_kind_from_a_newer_server_is_other_and_garbage_is_refused() {
        let newer = Bytes::from_static(&[0x3a, 1, 0]);
        assert_eq!(Envelope::read(&newer).unwrap().kind, EntryKind::Other);
        assert!(Envelope::read(&Bytes::from_static(&[0xff; 12])).is_err());
    }
}
