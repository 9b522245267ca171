//! A trace as a graph, for Graphviz and for Mermaid.
//!
//! Owns the text of both. Links between the same two are one line with their ports; what did
//! not pass is dashed, what is new is red.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::render::report::words::{harmless, peer, port};
use crate::review::trace::{Link, Trace, Way};

/// Ports named on one line.
const PORTS: usize = 4;

/// One line of the graph.
#[derive(Default)]
struct Line {
    ports: Vec<String>,
    passed: bool,
    new: bool,
}

/// For Graphviz.
#[must_use]
pub fn dot(trace: &Trace) -> String {
    let mut out = String::from("digraph trace {\n  rankdir=LR;\n  node [shape=box];\n");
    let target = name(&trace.target.to_string());
    let _ = writeln!(out, "  {target} [style=bold];");
    for ((client, server), line) in lines(trace) {
        let color = if line.new { ", color=red" } else { "" };
        let style = if line.passed { "" } else { ", style=dashed" };
        let _ = writeln!(
            out,
            "  {} -> {} [label={}{color}{style}];",
            name(&client),
            name(&server),
            name(&label(&line))
        );
    }
    out.push_str("}\n");
    out
}

/// For Mermaid.
#[must_use]
pub fn mermaid(trace: &Trace) -> String {
    let mut out = String::from("flowchart LR\n");
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let lines = lines(trace);
    for (client, server) in lines.keys() {
        for one in [client, server] {
            let next = numbers.len();
            numbers.entry(one.clone()).or_insert(next);
        }
    }
    for (one, number) in &numbers {
        let _ = writeln!(out, "  n{number}[\"{}\"]", entity(one));
    }
    let mut red = Vec::new();
    for (at, ((client, server), line)) in lines.iter().enumerate() {
        let arrow = if line.passed { "-->" } else { "-.->" };
        let _ = writeln!(
            out,
            "  n{} {arrow}|\"{}\"| n{}",
            numbers[client],
            entity(&label(line)),
            numbers[server]
        );
        if line.new {
            red.push(at.to_string());
        }
    }
    if !red.is_empty() {
        let _ = writeln!(out, "  linkStyle {} stroke:red", red.join(","));
    }
    out
}

fn label(line: &Line) -> String {
    let mut text = line.ports[..line.ports.len().min(PORTS)].join(" ");
    if line.ports.len() > PORTS {
        let _ = write!(text, " and {} more", line.ports.len() - PORTS);
    }
    text
}

fn lines(trace: &Trace) -> BTreeMap<(String, String), Line> {
    let target = trace.target.to_string();
    let mut lines: BTreeMap<(String, String), Line> = BTreeMap::new();
    for (hop, link) in trace
        .hops
        .iter()
        .enumerate()
        .flat_map(|(at, hop)| hop.links.iter().map(move |link| (at, link)))
    {
        let own = |is: bool, one: String| if is && hop == 0 { target.clone() } else { one };
        let client = own(link.way != Way::In, peer(&link.client));
        let server = own(link.way != Way::Out, peer(&link.server));
        let line = lines.entry((client, server)).or_default();
        add(line, link, trace);
    }
    lines
}

fn add(line: &mut Line, link: &Link, trace: &Trace) {
    let port = port(link.port, link.protocol);
    if !line.ports.contains(&port) {
        line.ports.push(port);
    }
    line.passed |= link.passed() > 0;
    line.new |= trace.is_new(link.seen());
}

/// A quoted name of Graphviz.
fn name(text: &str) -> String {
    let text = harmless(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

/// Text of Mermaid.
fn entity(text: &str) -> String {
    harmless(text)
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
