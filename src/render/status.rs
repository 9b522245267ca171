//! How nodes behind a relay are, in words.
//!
//! Owns the sentences. They go to standard error, so time and relay are put before
//! them by [`super::line`].

use std::sync::Arc;

use super::escape::{self, Tab};
use super::number;
use super::words::push_enum;
use crate::flow::NodeState;

/// Bytes of node names after which the rest is only counted.
const NAMES_BYTES: usize = 50;

/// Appends the sentence for a state and the end of its line.
pub(super) fn push_line(out: &mut Vec<u8>, state: NodeState, names: &[Arc<str>], message: &str) {
    let count = names.len() as u64;
    match state {
        NodeState::NODE_CONNECTED => {
            out.extend_from_slice(b"Receiving flows from ");
            number::push(out, count);
            out.extend_from_slice(b" nodes: ");
        }
        NodeState::NODE_UNAVAILABLE => {
            number::push(out, count);
            out.extend_from_slice(b" nodes are unavailable: ");
        }
        NodeState::NODE_GONE => {
            number::push(out, count);
            out.extend_from_slice(b" nodes removed from cluster: ");
        }
        NodeState::NODE_ERROR => {
            out.extend_from_slice(b"Error ");
            escape::push_quoted(out, message);
            out.extend_from_slice(b" on ");
            number::push(out, count);
            out.extend_from_slice(b" nodes: ");
        }
        other => {
            out.extend_from_slice(b"unknown node status event ");
            push_enum(out, other.name(), other.0);
            out.extend_from_slice(b": ");
        }
    }
    push_names(out, names);
    out.push(b'\n');
}

/// Appends the lines of a dict record below its time.
pub(super) fn push_dict(out: &mut Vec<u8>, state: NodeState, names: &[Arc<str>], message: &str) {
    out.extend_from_slice(b"      STATE: ");
    push_enum(out, state.name(), state.0);
    out.extend_from_slice(b"\n      NODES: ");
    push_names(out, names);
    out.extend_from_slice(b"\n    MESSAGE: ");
    if message.is_empty() {
        out.extend_from_slice(b"N/A");
    } else {
        escape::push_quoted(out, message);
    }
    out.push(b'\n');
}

/// Appends as many names as fit, at least one, and how many are left.
fn push_names(out: &mut Vec<u8>, names: &[Arc<str>]) {
    let mut length = 0;
    let shown = names.iter().take_while(|name| {
        let first = length == 0;
        length += name.len() + ", ".len();
        first || length <= NAMES_BYTES
    });
    let mut count = 0;
    for name in shown {
        if count > 0 {
            out.extend_from_slice(b", ");
        }
        escape::push(out, name, Tab::Escape);
        count += 1;
    }
    if count < names.len() {
        out.extend_from_slice(b" (and ");
        number::push(out, (names.len() - count) as u64);
        out.extend_from_slice(b" more)");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::flow::{NO_TIME, NodeState, Notice, NoticeKind};
    use crate::render::{LineFormat, LineOptions, LineRenderer};

    fn written(format: LineFormat, state: NodeState, names: &[&str], message: &str) -> String {
        let notice = Notice {
            before_row: 0,
            node: "relay".into(),
            time: if state == NodeState::NODE_GONE {
                NO_TIME
            } else {
                0
            },
            kind: NoticeKind::Nodes {
                state,
                names: names.iter().map(|&name| Arc::from(name)).collect(),
                message: message.into(),
            },
            raw: None,
        };
        let mut renderer = LineRenderer::new(LineOptions {
            format,
            ..LineOptions::default()
        });
        let mut out = Vec::new();
        renderer.notice(&notice, &mut out);
        assert!(out.is_empty(), "a state is not for standard output");
        renderer.node_status(&notice, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_state_has_its_sentence() {
        let line = |state| written(LineFormat::Compact, state, &["a", "b"], "no \"route\"\x1b");
        assert_eq!(
            line(NodeState::NODE_UNAVAILABLE),
            "Jan  1 00:00:00.000 [relay]: 2 nodes are unavailable: a, b\n"
        );
        assert_eq!(
            line(NodeState::NODE_CONNECTED),
            "Jan  1 00:00:00.000 [relay]: Receiving flows from 2 nodes: a, b\n"
        );
        assert_eq!(
            line(NodeState::NODE_GONE),
            "N/A [relay]: 2 nodes removed from cluster: a, b\n"
        );
        assert_eq!(
            line(NodeState::NODE_ERROR),
            "Jan  1 00:00:00.000 [relay]: Error \"no \\\"route\\\"^[\" on 2 nodes: a, b\n"
        );
        assert_eq!(
            line(NodeState(9)),
            "Jan  1 00:00:00.000 [relay]: unknown node status event 9: a, b\n"
        );
    }

    #[test]
    fn a_long_list_of_nodes_is_cut_near_fifty_bytes_but_keeps_one() {
        let names = [
            "cluster/node-aaaaaaaa",
            "cluster/node-bbbbbbbb",
            "cluster/node-c",
        ];
        let line = written(LineFormat::Compact, NodeState::NODE_UNAVAILABLE, &names, "");
        assert!(line.ends_with(
            "3 nodes are unavailable: cluster/node-aaaaaaaa, cluster/node-bbbbbbbb (and 1 more)\n"
        ));
        let long = "n".repeat(80);
        let line = written(
            LineFormat::Compact,
            NodeState::NODE_UNAVAILABLE,
            &[&long, "b"],
            "",
        );
        assert!(line.ends_with(&format!("unavailable: {long} (and 1 more)\n")));
    }

    #[test]
    fn a_dict_shows_state_and_message() {
        assert_eq!(
            written(LineFormat::Dict, NodeState::NODE_ERROR, &["a"], "gone"),
            "  TIMESTAMP: Jan  1 00:00:00.000\n      STATE: NODE_ERROR\n      NODES: a\n    MESSAGE: \"gone\"\n"
        );
    }
}
