//! The service map: who talks to whom as a picture.
//!
//! Owns which nodes and edges are drawn, where they stand, and the SVG. Callers stand left
//! of those they call, in layers; within a layer the order keeps lines short. Beyond a
//! number of nodes the workloads of a namespace are drawn as one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::html::escape;
use super::words::{peer, port};
use crate::connection::Peer;
use crate::render::thousands;
use crate::review::report::{EdgeRow, Report};

/// Nodes beyond which namespaces are drawn instead of workloads.
const MOST_NODES: usize = 150;
/// Lines drawn at most, those with most connections.
const MOST_LINES: usize = 600;
/// From one refused connection in so many on a line is that of a trouble.
const FEW: u64 = 20;
/// Addresses outside drawn one by one.
const MOST_ADDRESSES: usize = 6;
/// Rounds of putting the nodes of a layer in order.
const SWEEPS: usize = 8;

const WIDTH: usize = 190;
const HEIGHT: usize = 30;
const COLUMN: usize = 260;
/// Columns where there are too many layers.
const COLUMNS: usize = 5;
/// Layers up to which the map is made to fit the page.
const FITTING: usize = 8;
const LINE: usize = 44;
const MARGIN: usize = 16;

/// What a node is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Workload,
    Entity,
    Outside,
}

#[derive(Debug)]
struct Node {
    name: String,
    kind: Kind,
    layer: usize,
    /// Place in its layer.
    at: usize,
}

/// All that goes from one node to another.
#[derive(Clone, Debug, Default)]
struct Line {
    connections: u64,
    bad: u64,
    attention: bool,
    ports: BTreeSet<String>,
}

/// The map as SVG; empty where nobody talks to anybody.
pub(super) fn svg(report: &Report) -> String {
    let (mut nodes, lines) = graph(&report.edges);
    if nodes.is_empty() {
        return String::new();
    }
    layer(&mut nodes, &lines);
    if nodes.iter().any(|node| node.layer >= FITTING) {
        spread(&mut nodes, &lines);
    }
    arrange(&mut nodes, &lines);
    draw(&nodes, &lines)
}

type Lines = BTreeMap<(usize, usize), Line>;

/// Nodes and lines, folded until they are few enough.
fn graph(edges: &[EdgeRow]) -> (Vec<Node>, Lines) {
    let addresses: BTreeSet<&Peer> = edges
        .iter()
        .filter(|edge| matches!(edge.server, Peer::Prefix(_)))
        .map(|edge| &edge.server)
        .collect();
    let many = addresses.len() > MOST_ADDRESSES;
    let (nodes, lines) = build(edges, |peer| named(peer, many));
    if nodes.len() <= MOST_NODES {
        return (nodes, lines);
    }
    let (nodes, lines) = build(edges, |peer| match peer {
        Peer::Workload { namespace, .. } => (format!("{namespace}/*"), Kind::Workload),
        Peer::Name(_) | Peer::Prefix(_) => {
            ("names and addresses outside".to_owned(), Kind::Outside)
        }
        peer => named(peer, true),
    });
    if nodes.len() <= MOST_NODES {
        return (nodes, lines);
    }
    // So many namespaces: those with most connections, and the others as one.
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for ((from, to), line) in &lines {
        for at in [from, to] {
            *sums.entry(nodes[*at].name.clone()).or_default() += line.connections;
        }
    }
    let mut names: Vec<(String, u64)> = sums.into_iter().collect();
    names.sort_by(|left, right| (right.1, &left.0).cmp(&(left.1, &right.0)));
    let kept: BTreeSet<String> = names
        .into_iter()
        .take(MOST_NODES - 1)
        .map(|(name, _)| name)
        .collect();
    build(edges, |peer| {
        let (name, kind) = match peer {
            Peer::Workload { namespace, .. } => (format!("{namespace}/*"), Kind::Workload),
            Peer::Name(_) | Peer::Prefix(_) => {
                ("names and addresses outside".to_owned(), Kind::Outside)
            }
            peer => named(peer, true),
        };
        if kept.contains(&name) {
            (name, kind)
        } else {
            ("other namespaces".to_owned(), Kind::Workload)
        }
    })
}

fn named(one: &Peer, many: bool) -> (String, Kind) {
    match one {
        Peer::Workload { .. } => (peer(one), Kind::Workload),
        Peer::Prefix(_) if many => ("addresses outside".to_owned(), Kind::Outside),
        Peer::Name(_) | Peer::Prefix(_) => (peer(one), Kind::Outside),
        _ => (peer(one), Kind::Entity),
    }
}

fn build(edges: &[EdgeRow], name: impl Fn(&Peer) -> (String, Kind)) -> (Vec<Node>, Lines) {
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let mut nodes: Vec<Node> = Vec::new();
    let mut lines = Lines::new();
    for edge in edges {
        let [from, to] = [&edge.client, &edge.server].map(|peer| {
            let (name, kind) = name(peer);
            *numbers.entry(name.clone()).or_insert_with(|| {
                nodes.push(Node {
                    name,
                    kind,
                    layer: 0,
                    at: 0,
                });
                nodes.len() - 1
            })
        });
        let line = lines.entry((from, to)).or_default();
        let sum = &edge.sum;
        line.connections += sum.connections;
        line.bad += sum.denied + sum.dropped + sum.refused + sum.drifts;
        line.attention |= sum.gaps + sum.audited > 0;
        if line.ports.len() < 8 {
            line.ports.insert(port(edge.port, edge.protocol));
        }
    }
    (nodes, lines)
}

/// The layer of a node is one after the last of its callers; lines that go round in a
/// circle do not count.
fn layer(nodes: &mut [Node], lines: &Lines) {
    let mut callees: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (from, to) in lines.keys() {
        if from != to {
            callees[*from].push(*to);
        }
    }
    // Where a walk comes back to a node it is on, the line closes a circle.
    let mut state = vec![0_u8; nodes.len()];
    let mut order = Vec::new();
    let mut forward: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut called = vec![0_usize; nodes.len()];
    for (from, to) in lines.keys() {
        if from != to {
            called[*to] += 1;
        }
    }
    let mut roots: Vec<usize> = (0..nodes.len()).collect();
    roots.sort_by_key(|at| (called[*at], *at));
    for root in roots {
        let mut stack = vec![(root, 0)];
        if state[root] != 0 {
            continue;
        }
        state[root] = 1;
        while let Some((at, next)) = stack.pop() {
            if let Some(&to) = callees[at].get(next) {
                stack.push((at, next + 1));
                if state[to] != 1 {
                    forward[at].push(to);
                }
                if state[to] == 0 {
                    state[to] = 1;
                    stack.push((to, 0));
                }
            } else {
                state[at] = 2;
                order.push(at);
            }
        }
    }
    for at in order.into_iter().rev() {
        let layer = nodes[at].layer + 1;
        for &to in &forward[at] {
            nodes[to].layer = nodes[to].layer.max(layer);
        }
    }
}

/// Where everybody calls everybody there are no layers to find: those who call more than
/// they are called stand left, in columns of about one size.
fn spread(nodes: &mut [Node], lines: &Lines) {
    let mut balance = vec![0_i64; nodes.len()];
    for ((from, to), line) in lines {
        if from != to {
            balance[*from] -= line.connections as i64;
            balance[*to] += line.connections as i64;
        }
    }
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|at| (balance[*at], *at));
    let tall = nodes.len().div_ceil(COLUMNS);
    for (place, at) in order.into_iter().enumerate() {
        nodes[at].layer = place / tall;
    }
}

/// Puts the nodes of each layer in the order of where their neighbours stand.
fn arrange(nodes: &mut [Node], lines: &Lines) {
    let layers = nodes.iter().map(|node| node.layer).max().unwrap_or(0) + 1;
    let mut columns: Vec<Vec<usize>> = vec![Vec::new(); layers];
    for (at, node) in nodes.iter().enumerate() {
        columns[node.layer].push(at);
    }
    let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (from, to) in lines.keys() {
        neighbours[*from].push(*to);
        neighbours[*to].push(*from);
    }
    for column in &mut columns {
        column.sort_by(|left, right| nodes[*left].name.cmp(&nodes[*right].name));
        for (place, at) in column.iter().enumerate() {
            nodes[*at].at = place;
        }
    }
    for _ in 0..SWEEPS {
        for column in &mut columns {
            let center = |at: &usize| {
                let own = &neighbours[*at];
                let sum: usize = own.iter().map(|other| nodes[*other].at * 1000).sum();
                sum.checked_div(own.len()).unwrap_or(nodes[*at].at * 1000)
            };
            column.sort_by_key(center);
            for (place, at) in column.iter().enumerate() {
                nodes[*at].at = place;
            }
        }
    }
}

fn draw(nodes: &[Node], lines: &Lines) -> String {
    let layers = nodes.iter().map(|node| node.layer).max().unwrap_or(0) + 1;
    let mut sizes = vec![0; layers];
    for node in nodes {
        sizes[node.layer] += 1;
    }
    let tallest = sizes.iter().max().copied().unwrap_or(1);
    let (width, height) = (
        (layers - 1) * COLUMN + WIDTH + 2 * MARGIN + 40,
        tallest * LINE + 2 * MARGIN,
    );
    let place = |node: &Node| {
        // Columns stand in the middle.
        let free = (tallest - sizes[node.layer]) * LINE / 2;
        (MARGIN + node.layer * COLUMN, MARGIN + free + node.at * LINE)
    };
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg class=\"map{}\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"Service map\">\
<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"6\" markerHeight=\"6\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"context-stroke\"/></marker></defs>",
        if layers <= FITTING { " fit" } else { "" }
    );
    let mut drawn: Vec<(&(usize, usize), &Line)> = lines.iter().collect();
    drawn.sort_by(|left, right| {
        (right.1.bad > 0, right.1.connections, left.0).cmp(&(
            left.1.bad > 0,
            left.1.connections,
            right.0,
        ))
    });
    drawn.truncate(MOST_LINES);
    for ((from, to), line) in drawn {
        draw_line(&mut out, (&nodes[*from], &nodes[*to]), line, &place);
    }
    for node in nodes {
        let (x, y) = place(node);
        let kind = match node.kind {
            Kind::Workload => "workload",
            Kind::Entity => "entity",
            Kind::Outside => "outside",
        };
        let name = escape(&node.name);
        let _ = write!(
            out,
            "<g class=\"node {kind}\" tabindex=\"0\" role=\"button\" data-name=\"{name}\" transform=\"translate({x} {y})\"><title>{name}</title>\
<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/><text x=\"10\" y=\"20\">{}</text></g>",
            escape(&short(&node.name))
        );
    }
    out.push_str("</svg>");
    out
}

fn draw_line(
    out: &mut String,
    (from, to): (&Node, &Node),
    line: &Line,
    place: &impl Fn(&Node) -> (usize, usize),
) {
    let class = if line.bad >= line.connections {
        "bad"
    } else if line.bad * FEW >= line.connections && line.bad > 0 {
        "mixed"
    } else if line.attention || line.bad > 0 {
        "attention"
    } else {
        "good"
    };
    let (from_x, from_y) = place(from);
    let (to_x, to_y) = place(to);
    let (y1, y2) = (from_y + HEIGHT / 2, to_y + HEIGHT / 2);
    let path = if to.layer > from.layer {
        let (x1, x2) = (from_x + WIDTH, to_x);
        let middle = x1.midpoint(x2);
        format!("M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}")
    } else {
        // Back, or within a layer: round the right side.
        let (x1, x2) = (from_x + WIDTH, to_x + WIDTH);
        let bend = x1.max(x2) + 36;
        format!("M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}")
    };
    let thick = 1.0 + (line.connections.max(1) as f64).log10().min(5.0) * 0.7;
    let ports: Vec<&str> = line.ports.iter().map(String::as_str).collect();
    let _ = write!(
        out,
        "<path class=\"line {class}\" data-from=\"{}\" data-to=\"{}\" d=\"{path}\" stroke-width=\"{thick:.1}\" marker-end=\"url(#tip)\"><title>{} \u{2192} {}: {} connections, {} denied, dropped or refused ({})</title></path>",
        escape(&from.name),
        escape(&to.name),
        escape(&from.name),
        escape(&to.name),
        thousands(line.connections),
        thousands(line.bad),
        escape(&ports.join(", ")),
    );
}

/// A name that fits its box.
fn short(name: &str) -> String {
    const FITS: usize = 25;
    let count = name.chars().count();
    if count <= FITS {
        return name.to_owned();
    }
    let head: String = name.chars().take(12).collect();
    let tail: String = name.chars().skip(count - 11).collect();
    format!("{head}\u{2026}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(client: &str, server: &str) -> EdgeRow {
        let workload = |name: &str| Peer::Workload {
            cluster: "c".into(),
            namespace: name.split('-').next().unwrap_or_default().into(),
            kind: "".into(),
            name: name.into(),
        };
        EdgeRow {
            client: workload(client),
            server: workload(server),
            port: 80,
            protocol: crate::flow::Protocol::Tcp,
            sum: crate::review::report::EdgeSum {
                connections: 1,
                ..Default::default()
            },
        }
    }

    #[test]
    fn callers_stand_left_of_those_they_call_also_in_circles() {
        let edges = [
            edge("a", "b"),
            edge("b", "c"),
            edge("c", "a"),
            edge("a", "c"),
        ];
        let (mut nodes, lines) = graph(&edges);
        layer(&mut nodes, &lines);
        let layers: Vec<usize> = nodes.iter().map(|node| node.layer).collect();
        assert_eq!(layers, [0, 1, 2]);
    }

    #[test]
    fn a_long_circle_is_spread_over_few_columns() {
        let name = |number: usize| format!("n{number:02}");
        let edges: Vec<EdgeRow> = (0..40)
            .map(|number| edge(&name(number), &name((number + 1) % 40)))
            .collect();
        let (mut nodes, lines) = graph(&edges);
        layer(&mut nodes, &lines);
        assert_eq!(nodes.iter().map(|node| node.layer).max(), Some(39));
        spread(&mut nodes, &lines);
        assert_eq!(nodes.iter().map(|node| node.layer).max(), Some(COLUMNS - 1));
    }

    #[test]
    fn many_workloads_are_drawn_by_namespace() {
        let edges: Vec<EdgeRow> = (0..2000)
            .map(|number| edge(&format!("n{}-{number}", number % 40), "hub-x"))
            .collect();
        let (nodes, lines) = graph(&edges);
        assert_eq!(nodes.len(), 41);
        assert_eq!(
            lines.values().map(|line| line.connections).sum::<u64>(),
            2000
        );
        let names: Vec<EdgeRow> = (0..2000)
            .map(|number| edge(&format!("n{number}-a"), "hub-x"))
            .collect();
        assert!(graph(&names).0.len() <= MOST_NODES);
    }
}
