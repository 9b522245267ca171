//! Rules that let more pass than anybody could mean.
//!
//! Owns what makes an element of a rule list loose: peers that name nobody (`{}`, the
//! entities `all`, `cluster` and `world`, very wide prefixes, patterns of names, no peers at
//! all), and ports that are all, or a range. A whole namespace that is named is meant.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::kubernetes;
use crate::manifest::{Document, Node, Step, Value};
use crate::policy::{BroadThresholds, Direction, ObjectId, ObjectKind, PolicySet, Section};
use crate::review::simulate::named;

/// Peers that are loose, by the key they stand below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peers {
    /// They are what they should be.
    Tight,
    /// No peers at all: everybody.
    Missing,
    /// Some of the items of a key: which, by their place.
    Items {
        key: String,
        items: Vec<usize>,
        kind: Wide,
    },
}

/// What a loose item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wide {
    /// Pods without a label that says which.
    Pods,
    /// Entities of very many.
    Entities,
    /// Everything outside, by prefix.
    World,
    /// A wide prefix.
    Prefix,
    /// A pattern of names.
    Names,
}

/// Ports that are loose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ports {
    Tight,
    /// None are named: all of them.
    Missing,
    /// Items of `toPorts` and of their `ports` that are ranges or zero.
    Ranges(Vec<(usize, Vec<usize>)>),
}

/// A loose element.
#[derive(Clone, Debug)]
pub(super) struct Loose {
    /// Index of its rule in the set.
    pub(super) rule: u32,
    /// Those of its other peers, where each is a rule by itself.
    pub(super) others: Vec<u32>,
    pub(super) id: ObjectId,
    /// Of the document, in the list that was given.
    pub(super) document: usize,
    /// From the object to the list that it is in.
    pub(super) list: Vec<Step>,
    pub(super) element: usize,
    pub(super) line: u32,
    pub(super) direction: Direction,
    pub(super) peers: Peers,
    pub(super) ports: Ports,
    pub(super) node: Node,
}

impl Loose {
    /// All of its rules.
    pub(super) fn rules(&self) -> impl Iterator<Item = u32> + '_ {
        std::iter::once(self.rule).chain(self.others.iter().copied())
    }
}

/// A loose element that is not narrowed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftAlone {
    /// Its policy.
    pub id: ObjectId,
    /// File.
    pub file: Arc<str>,
    /// Line of the element.
    pub line: u32,
    /// Why, a fragment.
    pub why: String,
}

/// Keys that name peers.
const PEER_KEYS: [&str; 14] = [
    "fromEndpoints",
    "fromEntities",
    "fromCIDR",
    "fromCIDRSet",
    "fromNodes",
    "fromGroups",
    "fromRequires",
    "toEndpoints",
    "toEntities",
    "toCIDR",
    "toCIDRSet",
    "toFQDNs",
    "toNodes",
    "toServices",
];
const WIDE_ENTITIES: [&str; 5] = ["all", "cluster", "world", "world-ipv4", "world-ipv6"];

/// The loose elements of allow rules.
pub(super) fn loose(documents: &[Document], set: &PolicySet) -> Vec<Loose> {
    let mut found = Vec::new();
    // Of several of one name the first.
    let mut by_id: BTreeMap<ObjectId, usize> = BTreeMap::new();
    for (at, document) in documents.iter().enumerate() {
        if let Some(id) = named(document) {
            by_id.entry(id).or_insert(at);
        }
    }
    for (index, entry) in set.entries.iter().enumerate() {
        let Some(object) = set.objects.get(entry.object as usize) else {
            continue;
        };
        let direction = match entry.rule.section {
            Section::Ingress => Direction::Ingress,
            Section::Egress => Direction::Egress,
            _ => continue,
        };
        let Some((id, document)) = by_id.get_key_value(&object.id) else {
            continue;
        };
        let mut list = match entry.rule.spec {
            None => vec![Step::Key("spec".to_owned())],
            Some(at) => vec![Step::Key("specs".to_owned()), Step::Item(at as usize)],
        };
        list.push(Step::Key(direction.name().to_owned()));
        let element = entry.rule.element as usize;
        let Some(node) = at(&documents[*document].root, &list)
            .and_then(Node::as_list)
            .and_then(|list| list.get(element))
        else {
            continue;
        };
        let is_kubernetes = object.id.kind == ObjectKind::NetworkPolicy;
        let (peers, ports) = if is_kubernetes {
            (kubernetes::peers(node, direction), kubernetes::ports(node))
        } else {
            (peers(node), ports(node))
        };
        if peers == Peers::Tight && ports == Ports::Tight {
            continue;
        }
        if let (Some(peer), Ports::Tight, Peers::Items { items, .. }) =
            (entry.rule.peer, &ports, &peers)
            && !items.contains(&(peer as usize))
        {
            // A peer beside loose ones stays, with its ports.
            continue;
        }
        let before = found.last_mut().filter(|one: &&mut Loose| {
            is_kubernetes
                && one.document == *document
                && (&one.list, one.element) == (&list, element)
        });
        if let Some(before) = before {
            before.others.push(index as u32);
            continue;
        }
        found.push(Loose {
            rule: index as u32,
            others: Vec::new(),
            id: id.clone(),
            document: *document,
            list,
            element,
            line: entry.rule.at.line,
            direction,
            peers,
            ports,
            node: node.clone(),
        });
    }
    found
}

pub(super) fn at<'a>(root: &'a Node, path: &[Step]) -> Option<&'a Node> {
    path.iter().try_fold(root, |node, step| match step {
        Step::Key(key) => node.get(key),
        Step::Item(at) => node.as_list()?.get(*at),
    })
}

/// The keys of an element that name peers.
pub(super) fn peer_keys(element: &Node) -> Vec<&str> {
    let map = element.as_map();
    map.into_iter()
        .flat_map(|map| &map.entries)
        .map(|(key, _)| &*key.name)
        .filter(|key| PEER_KEYS.contains(key))
        .collect()
}

fn peers(element: &Node) -> Peers {
    let Some(map) = element.as_map().filter(|map| !map.entries.is_empty()) else {
        // An element that says nothing allows nobody.
        return Peers::Tight;
    };
    let keys = peer_keys(element);
    if keys.is_empty() {
        return Peers::Missing;
    }
    for key in keys {
        let items = map.get(key).and_then(Node::as_list).unwrap_or_default();
        let wide: Vec<(usize, Wide)> = items
            .iter()
            .enumerate()
            .filter_map(|(at, item)| Some((at, wide(key, item)?)))
            .collect();
        // What is widest says how the others are named.
        if let Some(kind) = wide.iter().map(|(_, kind)| *kind).min() {
            return Peers::Items {
                key: key.to_owned(),
                items: wide.into_iter().map(|(at, _)| at).collect(),
                kind,
            };
        }
    }
    Peers::Tight
}

fn wide(key: &str, item: &Node) -> Option<Wide> {
    match key {
        "fromEndpoints" | "toEndpoints" => {
            let map = item.as_map()?;
            let says = map.entries.iter().any(|(_, node)| match &node.value {
                Value::Map(map) => !map.entries.is_empty(),
                Value::List(list) => !list.is_empty(),
                _ => false,
            });
            (!says).then_some(Wide::Pods)
        }
        "fromEntities" | "toEntities" => WIDE_ENTITIES
            .contains(&item.as_str()?)
            .then_some(Wide::Entities),
        "fromCIDR" | "toCIDR" => prefix(item.as_str()?),
        "fromCIDRSet" | "toCIDRSet" => prefix(item.get("cidr")?.as_str()?),
        "toFQDNs" => {
            let pattern = item.get("matchPattern")?.as_str()?;
            pattern.contains('*').then_some(Wide::Names)
        }
        _ => None,
    }
}

pub(super) fn prefix(text: &str) -> Option<Wide> {
    let prefix: IpNet = text.parse().ok()?;
    match prefix.prefix_len() {
        0 => Some(Wide::World),
        _ => BroadThresholds::default()
            .is_wide_prefix(prefix)
            .then_some(Wide::Prefix),
    }
}

fn ports(element: &Node) -> Ports {
    let Some(map) = element.as_map().filter(|map| !map.entries.is_empty()) else {
        return Ports::Tight;
    };
    let Some(list) = map.get("toPorts").and_then(Node::as_list) else {
        return if map.get("icmps").is_some() {
            Ports::Tight
        } else {
            Ports::Missing
        };
    };
    let ranges: Vec<(usize, Vec<usize>)> = list
        .iter()
        .enumerate()
        .filter_map(|(at, rule)| {
            let ports = rule.get("ports").and_then(Node::as_list)?;
            let wide: Vec<usize> = ports
                .iter()
                .enumerate()
                .filter(|(_, port)| is_range(port))
                .map(|(at, _)| at)
                .collect();
            (!wide.is_empty()).then_some((at, wide))
        })
        .collect();
    if ranges.is_empty() {
        Ports::Tight
    } else {
        Ports::Ranges(ranges)
    }
}

fn is_range(port: &Node) -> bool {
    range(port).is_some()
}

/// First and last of a range of ports, and its protocol as written.
pub(super) fn range(port: &Node) -> Option<(u16, u16, &str)> {
    let first: u16 = match &port.get("port")?.value {
        Value::String(text) => text.parse().ok()?,
        Value::Number(crate::manifest::Number::Int(number)) => u16::try_from(*number).ok()?,
        _ => return None,
    };
    let last = match port.get("endPort").map(|node| &node.value) {
        Some(Value::Number(crate::manifest::Number::Int(number))) => {
            u16::try_from(*number).unwrap_or_default()
        }
        _ => 0,
    };
    let protocol = port.get("protocol").and_then(Node::as_str).unwrap_or("ANY");
    if first == 0 {
        return Some((1, u16::MAX, protocol));
    }
    (last > first).then_some((first, last, protocol))
}
