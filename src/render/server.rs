//! What a server says of itself: status, nodes, namespaces, as Hubble shows them.
//!
//! Owns layouts and units. JSON forms go through `wire`.

use std::fmt::Write;

use super::number::thousands;
use crate::proto::observer::{Namespace, Node, ServerStatusResponse};
use crate::proto::relay::NodeState;

const NOT_AVAILABLE: &str = "N/A";
const PADDING: usize = 3;

/// A status as lines.
#[must_use]
pub fn status_compact(status: &ServerStatusResponse) -> String {
    let mut text = format!(
        "Current/Max Flows: {}/{}",
        thousands(status.num_flows),
        thousands(status.max_flows)
    );
    if status.max_flows > 0 {
        let _ = write!(
            text,
            " ({:.2}%)",
            percent(status.num_flows, status.max_flows)
        );
    }
    let uptime = status.uptime_ns as f64 / 1e9;
    let rate = match rate(status) {
        Some(rate) => rate,
        None if uptime > 0.0 => format!("{:.2}", status.seen_flows as f64 / uptime),
        None => NOT_AVAILABLE.to_owned(),
    };
    let _ = writeln!(text, "\nFlows/s: {rate}");
    if let Some(connected) = status.num_connected_nodes {
        let _ = write!(text, "Connected Nodes: {connected}");
        if let Some(unavailable) = status.num_unavailable_nodes {
            let _ = write!(text, "/{}", connected.saturating_add(unavailable));
        }
        text.push('\n');
    }
    if let Some(unavailable) = status.num_unavailable_nodes.filter(|&count| count > 0) {
        let _ = writeln!(text, "Unavailable Nodes: {unavailable}");
        let mut names = status.unavailable_nodes.clone();
        names.sort();
        for name in &names {
            let _ = writeln!(text, "  - {}", harmless(name));
        }
        let more = (unavailable as usize).saturating_sub(names.len());
        if !names.is_empty() && more > 0 {
            let _ = writeln!(text, "  - and {more} more...");
        }
    }
    text
}

/// A status as a line a field.
#[must_use]
pub fn status_dict(status: &ServerStatusResponse) -> String {
    let mut text = String::new();
    for (name, value) in fields(status) {
        let _ = writeln!(text, "{name:>19}: {value}");
    }
    text
}

/// A status as a table of one row.
#[must_use]
pub fn status_table(status: &ServerStatusResponse) -> String {
    let fields = fields(status);
    let header = fields
        .iter()
        .map(|(name, _)| name.replace("UNAVAIL.", "UNAVAILABLE"))
        .collect();
    let row = fields.into_iter().map(|(_, value)| value).collect();
    aligned(&[header, row])
}

fn fields(status: &ServerStatusResponse) -> Vec<(&'static str, String)> {
    let count = |count: Option<u32>| {
        count.map_or_else(|| NOT_AVAILABLE.to_owned(), |count| count.to_string())
    };
    vec![
        ("NUM FLOWS", thousands(status.num_flows)),
        ("MAX FLOWS", thousands(status.max_flows)),
        ("SEEN FLOWS", thousands(status.seen_flows)),
        (
            "FLOWS PER SECOND",
            rate(status).unwrap_or_else(|| NOT_AVAILABLE.to_owned()),
        ),
        ("UPTIME", go_duration(status.uptime_ns)),
        ("NUM CONNECTED NODES", count(status.num_connected_nodes)),
        ("NUM UNAVAIL. NODES", count(status.num_unavailable_nodes)),
        ("VERSION", harmless(&status.version)),
    ]
}

/// Nodes as a table; `wide` adds version, address and TLS.
#[must_use]
pub fn nodes_table(nodes: &[Node], wide: bool) -> String {
    let mut rows = vec![words(&[
        "NAME",
        "STATUS",
        "AGE",
        "FLOWS/S",
        "CURRENT/MAX-FLOWS",
    ])];
    if wide {
        rows[0].extend(words(&["VERSION", "ADDRESS", "TLS"]));
    }
    for node in nodes {
        // Hubble rounds the age to seconds, halves up.
        let uptime = node.uptime_ns.saturating_add(500_000_000) / 1_000_000_000;
        let (age, rate) = if uptime > 0 {
            let rate = node.seen_flows as f64 / uptime as f64;
            (
                go_duration(uptime.saturating_mul(1_000_000_000)),
                format!("{rate:.2}"),
            )
        } else {
            (NOT_AVAILABLE.to_owned(), NOT_AVAILABLE.to_owned())
        };
        let ratio = if node.max_flows > 0 {
            format!(
                "{}/{} ({:6.2}%)",
                node.num_flows,
                node.max_flows,
                percent(node.num_flows, node.max_flows)
            )
        } else {
            NOT_AVAILABLE.to_owned()
        };
        let mut row = vec![
            harmless(&node.name),
            state(node.state).to_owned(),
            age,
            rate,
            ratio,
        ];
        if wide {
            row.push(if node.version.is_empty() {
                NOT_AVAILABLE.to_owned()
            } else {
                harmless(&node.version)
            });
            row.push(harmless(&node.address));
            row.push(
                match &node.tls {
                    None => NOT_AVAILABLE,
                    Some(tls) if tls.enabled => "Enabled",
                    Some(_) => "Disabled",
                }
                .to_owned(),
            );
        }
        rows.push(row);
    }
    aligned(&rows)
}

/// Namespaces as a table; `wide` adds the cluster.
#[must_use]
pub fn namespaces_table(namespaces: &[Namespace], wide: bool) -> String {
    let mut rows = vec![words(if wide {
        &["NAMESPACE", "CLUSTER"]
    } else {
        &["NAMESPACE"]
    })];
    for namespace in namespaces {
        let mut row = vec![harmless(&namespace.namespace)];
        if wide {
            row.push(harmless(&namespace.cluster));
        }
        rows.push(row);
    }
    aligned(&rows)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn state(state: i32) -> &'static str {
    match NodeState::try_from(state) {
        Ok(NodeState::NodeConnected) => "Connected",
        Ok(NodeState::NodeUnavailable) => "Unavailable",
        Ok(NodeState::NodeGone) => "Gone",
        Ok(NodeState::NodeError) => "Error",
        _ => "Unknown",
    }
}

fn rate(status: &ServerStatusResponse) -> Option<String> {
    (status.flows_rate > 0.0).then(|| format!("{:.2}", status.flows_rate))
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64 * 100.0
}

fn harmless(text: &str) -> String {
    let mut out = Vec::new();
    super::escape::push(&mut out, text, super::escape::Tab::Escape);
    String::from_utf8_lossy(&out).into_owned()
}

/// Columns as wide as their widest cell and three spaces; the last is not padded.
fn aligned(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                let spaces = width(column) + PADDING - cell.chars().count();
                text.extend(std::iter::repeat_n(' ', spaces));
            }
        }
        text.push('\n');
    }
    text
}

/// Nanoseconds as Go prints a duration: `1h2m3.5s`, `12ms`, `0s`.
#[must_use]
pub fn go_duration(nanoseconds: u64) -> String {
    if nanoseconds > i64::MAX as u64 {
        return format!("{nanoseconds}ns");
    }
    let fraction = |value: u64, unit: u64, name: &str| {
        let digits = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        let digits = digits.trim_end_matches('0');
        let point = if digits.is_empty() { "" } else { "." };
        format!("{}{point}{digits}{name}", value / unit)
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => fraction(nanoseconds, 1_000, "\u{b5}s"),
        1_000_000..1_000_000_000 => fraction(nanoseconds, 1_000_000, "ms"),
        _ => {
            let minutes = nanoseconds / 60_000_000_000;
            let seconds = fraction(nanoseconds % 60_000_000_000, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_writes_them() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1_500, "1.5\u{b5}s"),
            (12_000_000, "12ms"),
            (3_500_000_000, "3.5s"),
            (60_000_000_000, "1m0s"),
            (3_723_000_000_001, "1h2m3.000000001s"),
        ] {
            assert_eq!(go_duration(nanoseconds), text);
        }
    }

    #[test]
    fn a_status_names_what_is_unavailable() {
        let status = ServerStatusResponse {
            num_flows: 4095,
            max_flows: 4095,
            flows_rate: 12.345,
            num_connected_nodes: Some(2),
            num_unavailable_nodes: Some(3),
            unavailable_nodes: vec!["b".to_owned(), "a".to_owned()],
            ..ServerStatusResponse::default()
        };
        assert_eq!(
            status_compact(&status),
            "Current/Max Flows: 4,095/4,095 (100.00%)\nFlows/s: 12.35\nConnected Nodes: 2/5\n\
             Unavailable Nodes: 3\n  - a\n  - b\n  - and 1 more...\n"
        );
        assert!(status_dict(&status).starts_with("          NUM FLOWS: 4,095\n"));
    }

    #[test]
    fn nodes_are_aligned() {
        let nodes = [Node {
            name: "c/node".to_owned(),
            state: 1,
            uptime_ns: 90_400_000_000,
            num_flows: 10,
            max_flows: 100,
            seen_flows: 180,
            ..Node::default()
        }];
        assert_eq!(
            nodes_table(&nodes, false),
            "NAME     STATUS      AGE     FLOWS/S   CURRENT/MAX-FLOWS\n\
             c/node   Connected   1m30s   2.00      10/100 ( 10.00%)\n"
        );
    }
}
