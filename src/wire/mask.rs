//! Field masks: which fields of a message are kept.
//!
//! Owns paths as servers take them (declared names, dots between), and masking in wire
//! format. A mask only takes away: an arm of a oneof, or an endpoint, that a flow does
//! not have is not made up by naming it.

use super::{
    pieces::{Piece, Pieces, Raw, WireError},
    put,
    shape::{self, Message},
};

/// The fields of a message that are kept.
#[derive(Clone, Debug)]
pub struct FieldMask {
    keep: Keep,
}

/// A path that is no field of the message.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid field mask path \"{path}\": {message} has no field \"{name}\"")]
pub struct MaskError {
    /// The whole path.
    pub path: String,
    /// The part of it that is not found.
    pub name: String,
    /// Where it was looked for: the full name of a message, or a field that holds no
    /// single message.
    pub message: String,
}

#[derive(Clone, Debug)]
enum Keep {
    Nothing,
    All,
    Some(Node),
}

/// What is kept of a message, a field a place.
#[derive(Clone, Debug)]
struct Node {
    shape: Message,
    fields: Vec<Keep>,
}

impl FieldMask {
    /// A mask of paths like `source.pod_name` or `l4.TCP`; of none, everything is kept.
    ///
    /// # Errors
    /// [`MaskError`] for the first path that names no field. As in protobuf, a path may
    /// end at a repeated field but not go through it.
    pub fn parse<P: AsRef<str>>(
        paths: impl IntoIterator<Item = P>,
        shape: Message,
    ) -> Result<Self, MaskError> {
        let mut root = Node::new(shape);
        let mut any = false;
        for path in paths {
            root.add(path.as_ref())?;
            any = true;
        }
        let keep = if any { Keep::Some(root) } else { Keep::All };
        Ok(Self { keep })
    }

    /// Whether everything is kept.
    pub fn keeps_all(&self) -> bool {
        matches!(self.keep, Keep::All)
    }

    /// Whether a field of the message itself is kept, at least in part.
    pub fn keeps(&self, name: &str) -> bool {
        match &self.keep {
            Keep::Nothing => false,
            Keep::All => true,
            Keep::Some(node) => node
                .shape
                .by_name(name)
                .is_some_and(|field| !matches!(node.fields[field.index()], Keep::Nothing)),
        }
    }

    /// Appends what is kept of a message. Unknown fields are not.
    ///
    /// # Errors
    /// [`WireError`] when the message, or one that is kept in part, is not one; then
    /// `out` is as it was. What is kept whole is not looked into.
    pub fn apply_to_wire(&self, wire: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
        let start = out.len();
        let outcome = match &self.keep {
            Keep::Nothing => Ok(()),
            Keep::All => {
                out.extend_from_slice(wire);
                Ok(())
            }
            Keep::Some(node) => node.apply(wire, out),
        };
        if outcome.is_err() {
            out.truncate(start);
        }
        outcome
    }

    /// Appends a `GetFlowsResponse` whose flow is masked as a server does it: the
    /// response's own node and time are filled from the masked flow, so they go with
    /// `node_name` and `time`. Responses without a flow stay as they are.
    ///
    /// # Errors
    /// As [`Self::apply_to_wire`].
    pub fn apply_to_response(&self, wire: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
        let start = out.len();
        let outcome = self.response(wire, out);
        if outcome.is_err() {
            out.truncate(start);
        }
        outcome
    }

    fn response(&self, wire: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
        let response = shape::get_flows_response();
        let name_of = |number| response.by_number(number).map(shape::Field::name);
        let mut has_flow = false;
        let mut pieces = Pieces::new(wire);
        while let Some(piece) = pieces.next()? {
            has_flow |= name_of(piece.number) == Some("flow");
        }
        if !has_flow || self.keeps_all() {
            out.extend_from_slice(wire);
            return Ok(());
        }
        let mut pieces = Pieces::new(wire);
        loop {
            let start = pieces.offset();
            let Some(Piece { number, value }) = pieces.next()? else {
                return Ok(());
            };
            match (name_of(number), value) {
                (Some("flow"), Raw::Bytes(flow)) => {
                    put::key(number, put::DELIMITED, out);
                    put::delimited(out, |out| self.apply_to_wire(flow, out))?;
                }
                (Some(name @ ("node_name" | "time")), _) if !self.keeps(name) => {}
                _ => out.extend_from_slice(pieces.since(start)),
            }
        }
    }
}

impl Node {
    fn new(shape: Message) -> Self {
        Self {
            shape,
            fields: vec![Keep::Nothing; shape.fields().len()],
        }
    }

    fn add(&mut self, path: &str) -> Result<(), MaskError> {
        let invalid = |name: &str, message: &str| MaskError {
            path: path.to_owned(),
            name: name.to_owned(),
            message: message.to_owned(),
        };
        let mut node = self;
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            let shape = node.shape;
            let field = shape
                .by_name(name)
                .filter(|field| field.name() == name)
                .ok_or_else(|| invalid(name, shape.full_name()))?;
            let keep = &mut node.fields[field.index()];
            let Some(&next) = names.peek() else {
                *keep = Keep::All;
                return Ok(());
            };
            let inner = field.message().filter(|_| !field.is_repeated());
            let inner = inner.ok_or_else(|| invalid(next, name))?;
            if let Keep::Nothing = keep {
                *keep = Keep::Some(Self::new(inner));
            }
            let Keep::Some(next) = keep else {
                // The whole is kept already; the rest of the path has still to exist.
                let rest: Vec<&str> = names.collect();
                return Self::new(inner)
                    .add(&rest.join("."))
                    .map_err(|error| invalid(&error.name, &error.message));
            };
            node = next;
        }
        Ok(())
    }

    fn apply(&self, wire: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
        let mut pieces = Pieces::new(wire);
        loop {
            let start = pieces.offset();
            let Some(Piece { number, value }) = pieces.next()? else {
                return Ok(());
            };
            let Some(field) = self.shape.by_number(number) else {
                continue;
            };
            match (&self.fields[field.index()], value) {
                (Keep::Nothing, _) => {}
                (Keep::Some(inner), Raw::Bytes(message)) => {
                    put::key(number, put::DELIMITED, out);
                    put::delimited(out, |out| inner.apply(message, out))?;
                }
                (Keep::Some(_), other) => {
                    return Err(WireError::WireType {
                        field: field.name(),
                        wire_type: other.wire_type(),
                    });
                }
                (Keep::All, _) => out.extend_from_slice(pieces.since(start)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::proto::{flow, observer};

    fn sample() -> flow::Flow {
        flow::Flow {
            time: Some(prost_types::Timestamp {
                seconds: 1,
                nanos: 5,
            }),
            uuid: "u".to_owned(),
            verdict: 1,
            node_name: "n".to_owned(),
            source: Some(flow::Endpoint {
                pod_name: "p".to_owned(),
                namespace: "ns".to_owned(),
                ..Default::default()
            }),
            l4: Some(flow::Layer4 {
                protocol: Some(flow::layer4::Protocol::Udp(flow::Udp {
                    source_port: 1,
                    destination_port: 2,
                })),
            }),
            ..Default::default()
        }
    }

    fn masked(paths: &[&str]) -> flow::Flow {
        let mask = FieldMask::parse(paths, shape::flow()).unwrap();
        let mut out = Vec::new();
        mask.apply_to_wire(&sample().encode_to_vec(), &mut out)
            .unwrap();
        flow::Flow::decode(out.as_slice()).unwrap()
    }

    #[test]
    fn only_the_paths_are_kept() {
        let kept = masked(&["source.pod_name", "verdict", "l4.UDP.source_port"]);
        let expected = flow::Flow {
            verdict: 1,
            source: Some(flow::Endpoint {
                pod_name: "p".to_owned(),
                ..Default::default()
            }),
            l4: Some(flow::Layer4 {
                protocol: Some(flow::layer4::Protocol::Udp(flow::Udp {
                    source_port: 1,
                    destination_port: 0,
                })),
            }),
            ..Default::default()
        };
        assert_eq!(kept, expected);
    }

    #[test]
    fn what_a_flow_does_not_have_is_not_made_up() {
        let kept = masked(&["l4.TCP", "destination.pod_name", "is_reply"]);
        assert_eq!(kept.l4, Some(flow::Layer4 { protocol: None }));
        assert_eq!(kept.destination, None);
        assert_eq!(kept.is_reply, None);
    }

    #[test]
    fn the_wider_of_two_paths_wins_in_any_order() {
        let whole = sample().source;
        assert_eq!(masked(&["source", "source.pod_name"]).source, whole);
        assert_eq!(masked(&["source.pod_name", "source"]).source, whole);
        assert_eq!(masked(&[]), sample());
    }

    #[test]
    fn a_wrong_path_is_named() {
        let error = |path| {
            FieldMask::parse([path], shape::flow())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error("source.pod"),
            "invalid field mask path \"source.pod\": flow.Endpoint has no field \"pod\""
        );
        assert_eq!(
            error("source.workloads.name"),
            "invalid field mask path \"source.workloads.name\": workloads has no field \"name\""
        );
        for path in [
            "",
            ".",
            "nodeName",
            "verdict.x",
            "source.",
            "nope",
            "time.nope",
        ] {
            assert!(FieldMask::parse([path], shape::flow()).is_err(), "{path}");
        }
        assert!(FieldMask::parse(["source", "source.nope"], shape::flow()).is_err());
        assert!(FieldMask::parse(["time.seconds"], shape::flow()).is_ok());
    }

    #[test]
    fn the_response_loses_its_node_and_time_with_those_of_the_flow() {
        let response = observer::GetFlowsResponse {
            node_name: "n".to_owned(),
            time: sample().time,
            response_types: Some(observer::get_flows_response::ResponseTypes::Flow(sample())),
        };
        let apply = |paths: &[&str], response: &observer::GetFlowsResponse| {
            let mask = FieldMask::parse(paths, shape::flow()).unwrap();
            let mut out = Vec::new();
            mask.apply_to_response(&response.encode_to_vec(), &mut out)
                .unwrap();
            observer::GetFlowsResponse::decode(out.as_slice()).unwrap()
        };

        let kept = apply(&["time", "uuid"], &response);
        assert_eq!((kept.node_name.as_str(), kept.time), ("", sample().time));
        let kept = apply(&["node_name"], &response);
        assert_eq!((kept.node_name.as_str(), kept.time), ("n", None));
        assert_eq!(apply(&[], &response), response);

        let lost = observer::GetFlowsResponse {
            response_types: Some(observer::get_flows_response::ResponseTypes::LostEvents(
                flow::LostEvent::default(),
            )),
            ..response
        };
        assert_eq!(apply(&["uuid"], &lost), lost);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_masked_or_refused(
            wire in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64),
        ) {
            let mask = FieldMask::parse(["source.pod_name", "l4.TCP"], shape::flow()).unwrap();
            let mut out = Vec::new();
            let _ = mask.apply_to_wire(&wire, &mut out);
            out.clear();
            let _ = mask.apply_to_response(&wire, &mut out);
        }
    }
}
