//! Rules that allow far more than was observed.
//!
//! Owns what makes a rule broad part by part, how much of it was used, and which connections
//! pass only because of it. When a connection is a gap is `policy/gap.rs`'s, whose thresholds
//! these are.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::connection::{Edge, Peer};
use crate::engine::Policies;
use crate::flow::Protocol;
use crate::policy::{
    BroadThresholds, Direction, HttpRule, L7Rules, ObjectId, PeerSelector, Piece, PolicySet, Port,
    PortProtocol, Verdict, WrittenPart, WrittenRule, written,
};
use crate::review::report::{Reading, Seen};
use crate::review::usage::{Doubt, Limits, Usage, UsageRow, Use, Withdrawn, tallied};

/// Edges that are counted one by one for a rule.
const MOST_EDGES: usize = 1 << 14;

/// What makes a rule broad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breadth {
    /// No peer is named.
    Anybody,
    /// A peer that stands for everybody, a cluster, any namespace or the world: as written,
    /// and its line.
    Peers(String, u32),
    /// A prefix, and how many addresses it holds as a power of two.
    Prefix(String, u32, u32),
    /// A pattern of names with a star.
    Names(String, u32),
    /// No port is named.
    AnyPort,
    /// A range, and how many ports it holds.
    Ports(String, u32, u32),
    /// Requests to any path, or by any method to any path.
    Requests(String, u32),
}

/// An edge that passes through a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Through {
    /// Who opens connections.
    pub client: Peer,
    /// Who takes them.
    pub server: Peer,
    /// Port of the server.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// Connections.
    pub count: u64,
    /// Those for which no other rule would do.
    pub only: u64,
    /// From when to when.
    pub seen: Seen,
}

/// A broad rule.
#[derive(Clone, Debug, PartialEq)]
pub struct BroadRule {
    /// The object it is of.
    pub policy: ObjectId,
    /// File of the object.
    pub file: Arc<str>,
    /// As it is written.
    pub rule: WrittenRule,
    /// What makes it broad.
    pub why: Vec<Breadth>,
    /// It names neither whom nor what: what passes only through such rules is a gap.
    pub gap: bool,
    /// What it was for.
    pub usage: Use,
    /// Peers that used it, most connections first.
    pub peers: Vec<(Peer, u64)>,
    /// Ports that were used.
    pub ports: Vec<((u16, Protocol), u64)>,
    /// Connections that pass only because of it.
    pub only: u64,
    /// Connections that pass only through rules that name neither whom nor what.
    pub only_broad: u64,
    /// Edges that pass through it, most connections first, those with `only` before others.
    pub edges: Vec<Through>,
    /// Connections of edges there was no room for.
    pub other_edges: u64,
}

/// All broad rules.
#[derive(Debug, Default)]
pub struct Broad {
    /// What was read.
    pub reading: Reading,
    /// Connections.
    pub connections: u64,
    /// Rules that were looked at.
    pub looked_at: u64,
    /// Why less may have been seen than was used.
    pub withdrawn: Vec<Withdrawn>,
    /// Broad rules, the least used for their breadth first.
    pub rules: Vec<BroadRule>,
}

impl Breadth {
    /// A stable name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Anybody => "anybody",
            Self::Peers(..) => "peers",
            Self::Prefix(..) => "prefix",
            Self::Names(..) => "names",
            Self::AnyPort => "any-port",
            Self::Ports(..) => "ports",
            Self::Requests(..) => "requests",
        }
    }

    /// As it is written, where it is; and its line.
    #[must_use]
    pub fn written(&self) -> Option<(&str, u32)> {
        match self {
            Self::Anybody | Self::AnyPort => None,
            Self::Peers(text, line)
            | Self::Prefix(text, line, _)
            | Self::Names(text, line)
            | Self::Ports(text, line, _)
            | Self::Requests(text, line) => Some((text, *line)),
        }
    }
}

impl Broad {
    /// Broad rules, and what was used of them.
    #[must_use]
    pub fn of(
        usage: Usage,
        policies: &Policies,
        thresholds: BroadThresholds,
        limits: Limits,
    ) -> Self {
        let set = policies.any_set();
        let rules = written(&set, policies.documents());
        let withdrawn = Withdrawn::of(&usage, limits);
        let mut tally = tallied(&usage, policies, &set, &rules, &[]);
        let allows = rules.iter().filter(|rule| !rule.deny && !rule.isolation);
        let gaps: Vec<bool> = rules
            .iter()
            .map(|rule| is_gap(&set, rule, thresholds))
            .collect();
        let mut broad: BTreeMap<usize, Sums> = rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| !rule.deny)
            .filter_map(|(at, rule)| {
                let why = breadth(&set, rule, thresholds);
                (!why.is_empty()).then(|| (at, Sums::new(rule, why, gaps[at])))
            })
            .collect();
        for row in &usage.rows {
            for side in row.sides.iter().flatten() {
                if !side.verdict.passes() {
                    continue;
                }
                let Some(cluster) = policies.at(side.cluster) else {
                    continue;
                };
                let compiled = cluster.read();
                let covers = tally.covers(&compiled, side.cluster, &side.question, None);
                let allows: Vec<usize> = covers
                    .rules
                    .iter()
                    .filter(|cover| !cover.deny)
                    .map(|cover| cover.rule)
                    .collect();
                let only = allows.len() == 1 && !covers.open;
                // Who asks for authentication asks for something: that is no gap.
                let only_broad = side.verdict != Verdict::AuthRequired
                    && !covers.open
                    && allows.iter().all(|rule| gaps[*rule]);
                for rule in &allows {
                    if let Some(sums) = broad.get_mut(rule) {
                        sums.add(row, only, only_broad);
                    }
                }
            }
        }
        let looked_at = allows.count() as u64;
        let uses = tally.uses;
        let mut shown: Vec<BroadRule> = broad
            .into_iter()
            .filter_map(|(at, sums)| {
                let rule = &rules[at];
                let object = set.objects.get(rule.object as usize)?;
                let (policy, file) = (object.id.clone(), object.file.clone());
                Some(sums.shown(&usage, policy, file, rule.clone(), uses[at].rule.clone()))
            })
            .collect();
        shown.sort_by(|one, other| {
            (other.gap, other.why.len())
                .cmp(&(one.gap, one.why.len()))
                .then_with(|| other.only.cmp(&one.only))
                .then_with(|| (&one.file, one.rule.at).cmp(&(&other.file, other.rule.at)))
        });
        Self {
            connections: usage.connections,
            looked_at,
            withdrawn,
            rules: shown,
            reading: usage.reading,
        }
    }
}

impl BroadRule {
    /// Whether some connection that may fall under it could not be told.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.usage
            .doubts
            .keys()
            .any(|doubt| matches!(doubt, Doubt::Unknown(_) | Doubt::Unjudged))
    }
}

/// What is counted of a broad rule.
struct Sums {
    why: Vec<Breadth>,
    gap: bool,
    direction: Direction,
    edges: BTreeMap<Edge, Counts>,
    only: u64,
    only_broad: u64,
    other_edges: u64,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    count: u64,
    only: u64,
    seen: Seen,
}

impl Sums {
    fn new(rule: &WrittenRule, why: Vec<Breadth>, gap: bool) -> Self {
        Self {
            why,
            gap,
            direction: rule.direction,
            edges: BTreeMap::new(),
            only: 0,
            only_broad: 0,
            other_edges: 0,
        }
    }

    fn add(&mut self, row: &UsageRow, only: bool, only_broad: bool) {
        if only {
            self.only += row.count;
        }
        if only_broad {
            self.only_broad += row.count;
        }
        if self.edges.len() >= MOST_EDGES && !self.edges.contains_key(&row.edge) {
            self.other_edges += row.count;
            return;
        }
        let counts = self.edges.entry(row.edge).or_default();
        counts.count += row.count;
        counts.only += if only { row.count } else { 0 };
        counts.seen.merge(row.seen);
    }

    fn shown(
        self,
        usage: &Usage,
        policy: ObjectId,
        file: Arc<str>,
        rule: WrittenRule,
        used: Use,
    ) -> BroadRule {
        let mut peers: BTreeMap<Peer, u64> = BTreeMap::new();
        let mut ports: BTreeMap<(u16, Protocol), u64> = BTreeMap::new();
        let mut edges = Vec::new();
        let named = |peer: crate::connection::PeerId| {
            let peer = usage.peers.get(peer.0 as usize);
            peer.cloned().unwrap_or(Peer::Unknown)
        };
        for (edge, counts) in self.edges {
            let (client, server) = (named(edge.client), named(edge.server));
            let peer = match self.direction {
                Direction::Ingress => &client,
                Direction::Egress => &server,
            };
            *peers.entry(peer.clone()).or_default() += counts.count;
            *ports.entry((edge.port, edge.protocol)).or_default() += counts.count;
            edges.push(Through {
                client,
                server,
                port: edge.port,
                protocol: edge.protocol,
                count: counts.count,
                only: counts.only,
                seen: counts.seen,
            });
        }
        edges.sort_by(|one, other| {
            (other.only, other.count)
                .cmp(&(one.only, one.count))
                .then_with(|| (&one.client, &one.server).cmp(&(&other.client, &other.server)))
                .then_with(|| (one.port, one.protocol).cmp(&(other.port, other.protocol)))
        });
        BroadRule {
            policy,
            file,
            rule,
            why: self.why,
            gap: self.gap,
            usage: used,
            peers: by_count(peers),
            ports: by_count(ports),
            only: self.only,
            only_broad: self.only_broad,
            edges,
            other_edges: self.other_edges,
        }
    }
}

fn by_count<K: Ord>(counts: BTreeMap<K, u64>) -> Vec<(K, u64)> {
    let mut list: Vec<(K, u64)> = counts.into_iter().collect();
    list.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    list
}

fn is_gap(set: &PolicySet, rule: &WrittenRule, thresholds: BroadThresholds) -> bool {
    !rule.deny && rule.entries_in(set).any(|entry| thresholds.is_broad(entry))
}

/// What makes a rule broad; nothing where it is not.
fn breadth(set: &PolicySet, rule: &WrittenRule, thresholds: BroadThresholds) -> Vec<Breadth> {
    let mut why = Vec::new();
    if rule.isolation {
        return why;
    }
    let entries = || rule.entries_in(set);
    if entries().any(|entry| entry.peers.is_none()) {
        why.push(Breadth::Anybody);
    }
    for part in &rule.peers {
        why.extend(broad_peer(set, part, thresholds));
    }
    if entries().any(|entry| entry.ports.is_empty()) {
        why.push(Breadth::AnyPort);
    }
    for part in &rule.ports {
        let port = part.pieces.first().and_then(|piece| set.port(*piece));
        if let Some(port) = port.filter(|port| thresholds.is_wide_port(port)) {
            let text = part.text.clone();
            why.push(Breadth::Ports(text, part.at.line, size(port)));
        }
    }
    for part in &rule.requests {
        let piece = part.pieces.first();
        if piece.is_some_and(|piece| is_any_path(set, *piece)) {
            why.push(Breadth::Requests(part.text.clone(), part.at.line));
        }
    }
    why
}

fn broad_peer(set: &PolicySet, part: &WrittenPart, thresholds: BroadThresholds) -> Option<Breadth> {
    let selectors = part.pieces.iter().flat_map(|piece| {
        let entry = set.entries.get(piece.entry() as usize);
        let peers = entry.and_then(|entry| entry.peers.as_deref());
        let peers = peers.unwrap_or_default();
        match piece {
            Piece::Peer { index, .. } => peers.get(*index as usize..=*index as usize),
            _ => Some(peers),
        }
        .unwrap_or_default()
    });
    let (text, line) = (part.text.clone(), part.at.line);
    // Every pod of a namespace is not everybody, and still nobody in particular.
    if matches!(
        &*text,
        "{}" | "pods {}" | "namespaces {}" | "namespaces {}, pods {}"
    ) {
        return Some(Breadth::Peers(text, line));
    }
    for selector in selectors {
        match selector {
            PeerSelector::Cidr { prefix, .. } if thresholds.is_wide_peer(selector) => {
                let bits = u32::from(prefix.max_prefix_len() - prefix.prefix_len());
                return Some(Breadth::Prefix(text, line, bits));
            }
            PeerSelector::Fqdn { name, pattern } if name.is_empty() && pattern.contains('*') => {
                return Some(Breadth::Names(text, line));
            }
            selector if thresholds.is_wide_peer(selector) => {
                return Some(Breadth::Peers(text, line));
            }
            _ => {}
        }
    }
    None
}

/// Ports of a range.
fn size(port: &PortProtocol) -> u32 {
    match port.port {
        Port::Number(0) if matches!(port.end_port, 0 | u16::MAX) => 65_535,
        Port::Number(first) => u32::from(port.end_port.max(first)) - u32::from(first) + 1,
        Port::Name(_) => 1,
    }
}

/// Whether a rule of HTTP lets every path pass.
fn is_any_path(set: &PolicySet, piece: Piece) -> bool {
    let Piece::Request { entry, rule, index } = piece else {
        return false;
    };
    let rule = set
        .entries
        .get(entry as usize)
        .and_then(|entry| entry.ports.get(rule as usize));
    let Some(Some(L7Rules::Http(rules))) = rule.map(|rule| &rule.l7) else {
        return false;
    };
    let any = |rule: &HttpRule| {
        let path = rule.path.trim_start_matches('^').trim_end_matches('$');
        rule.headers.is_empty()
            && rule.header_matches.is_empty()
            && matches!(path, "" | ".*" | "/.*" | ".+" | "/?.*")
    };
    rules.get(index as usize).is_some_and(any)
}
