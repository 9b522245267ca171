//! Rules as they are written: what somebody sees in a file, and which pieces of entries each
//! part of it is.
//!
//! Owns the way from entries back to the text: a rule is one element of a list, whatever
//! number of entries it became, and each peer, port and rule of layer 7 in it has its place.
//! Where the document is not there, places are those of the rule.

mod text;

use std::collections::{BTreeMap, HashMap};

use self::text::{block, is_icmp, kubernetes_peer, labels, told};
use super::entry::{Direction, PolicyEntry, Section};
use super::piece::Piece;
use super::read::{EGRESS, INGRESS, ReadObject, read_document};
use super::selector::PeerSelector;
use super::set::{ObjectId, ObjectKind, PolicySet};
use crate::manifest::{Document, Node, Place};

/// One element of a list of rules.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenRule {
    /// Index of the object in its set.
    pub object: u32,
    /// `spec.ingress[0]`
    pub path: String,
    /// Where in the file of the object.
    pub at: Place,
    /// Which way.
    pub direction: Direction,
    /// Takes away instead of giving.
    pub deny: bool,
    /// It says nothing but that its subjects are cut off.
    pub isolation: bool,
    /// Entries that it became, by index.
    pub entries: Vec<u32>,
    /// Its peers; none where it is for anybody.
    pub peers: Vec<WrittenPart>,
    /// Its ports; none where it is for every port.
    pub ports: Vec<WrittenPart>,
    /// Its rules of layer 7.
    pub requests: Vec<WrittenPart>,
}

/// A part of a rule that can be deleted by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenPart {
    /// From the object on: `spec.ingress[0].fromEndpoints[1]`.
    pub path: String,
    /// Where in the file.
    pub at: Place,
    /// What it says, short: `app=web`, `10.0.0.0/8`, `8080/TCP`, `GET /health`.
    pub text: String,
    /// What it is of entries.
    pub pieces: Vec<Piece>,
}

impl WrittenRule {
    /// All of it as pieces.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        self.entries.iter().map(|entry| Piece::Entry(*entry))
    }

    /// Its entries in the set it was written for.
    pub fn entries_in<'a>(&'a self, set: &'a PolicySet) -> impl Iterator<Item = &'a PolicyEntry> {
        let entries = self.entries.iter();
        entries.filter_map(|index| set.entries.get(*index as usize))
    }

    /// Its parts, with which kind of part each is.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &WrittenPart)> {
        let peers = self.peers.iter().map(|part| ("peer", part));
        let ports = self.ports.iter().map(|part| ("port", part));
        let requests = self.requests.iter().map(|part| ("request rule", part));
        peers.chain(ports).chain(requests)
    }
}

impl PolicyEntry {
    /// Whether it covers no connection at all: its use is its default deny.
    #[must_use]
    pub fn says_nothing(&self) -> bool {
        self.peers.as_ref().is_some_and(Vec::is_empty)
            || !self.ports.is_empty() && self.ports.iter().all(|rule| rule.ports.is_empty())
    }
}

/// The rules of a set as they are written in the documents it was made of, in the order of
/// its entries.
#[must_use]
pub fn written(set: &PolicySet, documents: &[Document]) -> Vec<WrittenRule> {
    let mut roots: HashMap<ObjectId, &Node> = HashMap::new();
    for document in documents {
        if let ReadObject::Policy(policy) = read_document(document) {
            roots.entry(policy.id).or_insert(&document.root);
        }
    }
    let mut order: Vec<Key> = Vec::new();
    let mut groups: BTreeMap<Key, Vec<u32>> = BTreeMap::new();
    for (entry, index) in set.entries.iter().zip(0_u32..) {
        let key = (
            entry.object,
            entry.rule.spec,
            entry.rule.section,
            entry.rule.element,
            entry.direction,
        );
        let group = groups.entry(key).or_insert_with(|| {
            order.push(key);
            Vec::new()
        });
        group.push(index);
    }
    let rule = |key: &Key| {
        let entries = groups.get(key)?;
        let first = set.entries.get(*entries.first()? as usize)?;
        let object = set.objects.get(first.object as usize);
        let root = object.and_then(|object| roots.get(&object.id)).copied();
        let kubernetes = object.is_some_and(|object| object.id.kind == ObjectKind::NetworkPolicy);
        Some(one(set, first, entries, root, kubernetes))
    };
    order.iter().filter_map(rule).collect()
}

type Key = (u32, Option<u32>, Section, u32, Direction);

fn one(
    set: &PolicySet,
    first: &PolicyEntry,
    entries: &[u32],
    root: Option<&Node>,
    kubernetes: bool,
) -> WrittenRule {
    let mut place = first.rule;
    place.peer = None;
    let path = match place.section {
        Section::Whole => format!("spec ({})", first.direction.name()),
        _ => place.to_string(),
    };
    let node = root.and_then(|root| element(root, first));
    let writer = Writer {
        path: &path,
        node,
        at: node.map_or(place.at, |node| node.at),
        direction: first.direction,
    };
    let peers = if kubernetes {
        writer.kubernetes_peers(set, entries)
    } else {
        let index = entries.first().copied().unwrap_or_default();
        writer.peers(index, first.peers.as_deref().unwrap_or_default())
    };
    WrittenRule {
        object: first.object,
        at: writer.at,
        direction: first.direction,
        deny: first.deny,
        isolation: entries.iter().all(|index| {
            let entry = set.entries.get(*index as usize);
            entry.is_none_or(PolicyEntry::says_nothing)
        }),
        entries: entries.to_vec(),
        peers,
        ports: writer.ports(first, entries, kubernetes),
        requests: writer.requests(first, entries),
        path,
    }
}

/// The node of an element.
fn element<'n>(root: &'n Node, entry: &PolicyEntry) -> Option<&'n Node> {
    let rule = match entry.rule.spec {
        None => root.get("spec")?,
        Some(index) => item(root.get("specs")?, index as usize)?,
    };
    let field = match entry.rule.section {
        Section::Ingress => "ingress",
        Section::IngressDeny => "ingressDeny",
        Section::Egress => "egress",
        Section::EgressDeny => "egressDeny",
        Section::Whole => return Some(rule),
    };
    item(rule.get(field)?, entry.rule.element as usize)
}

fn item(node: &Node, index: usize) -> Option<&Node> {
    node.as_list()?.get(index)
}

struct Writer<'a> {
    path: &'a str,
    node: Option<&'a Node>,
    at: Place,
    direction: Direction,
}

impl Writer<'_> {
    fn list(&self, field: &str) -> &[Node] {
        let list = self.node.and_then(|node| node.get(field)?.as_list());
        list.unwrap_or_default()
    }

    fn part(&self, field: &str, index: usize, node: &Node, text: String) -> WrittenPart {
        WrittenPart {
            path: format!("{}.{field}[{index}]", self.path),
            at: node.at,
            text,
            pieces: Vec::new(),
        }
    }

    /// Peers of Cilium's kinds, in the order in which they become selectors.
    fn peers(&self, entry: u32, selectors: &[PeerSelector]) -> Vec<WrittenPart> {
        let [endpoints, nodes, cidrs, sets, entities, _] = match self.direction {
            Direction::Ingress => INGRESS,
            Direction::Egress => EGRESS,
        };
        let entity_sizes: Vec<usize> = self
            .list(entities)
            .iter()
            .map(|node| super::entities::peers(node.as_str().unwrap_or_default(), "").len())
            .collect();
        let leading = selectors
            .iter()
            .take_while(|selector| {
                matches!(selector, PeerSelector::Everyone | PeerSelector::Labels(_))
            })
            .count();
        let by_labels = self.list(endpoints).len()
            + self.list(nodes).len()
            + entity_sizes.iter().sum::<usize>();
        let by_address = self.list(cidrs).len() + self.list(sets).len() + self.list(NAMES).len();
        let (Some(generated), Some(addresses)) = (
            leading.checked_sub(by_labels),
            (selectors.len() - leading).checked_sub(by_address),
        ) else {
            return self.unwritten(entry, selectors);
        };
        let mut parts = Vec::new();
        let mut next = 0..;
        let mut take = |mut part: WrittenPart, count: usize| {
            let pieces = next.by_ref().take(count);
            part.pieces
                .extend(pieces.map(|index| Piece::Peer { entry, index }));
            parts.push(part);
        };
        for (index, node) in self.list(endpoints).iter().enumerate() {
            take(self.part(endpoints, index, node, labels(node)), 1);
        }
        let services = self.node.and_then(|node| node.get(SERVICES));
        let service = |count: usize| {
            services.filter(|_| count > 0).map(|node| WrittenPart {
                path: format!("{}.{SERVICES}", self.path),
                at: node.at,
                text: "pods and addresses of Services".to_owned(),
                pieces: Vec::new(),
            })
        };
        if let Some(part) = service(generated) {
            take(part, generated);
        }
        for (index, node) in self.list(nodes).iter().enumerate() {
            take(self.part(nodes, index, node, labels(node)), 1);
        }
        for ((index, node), size) in self.list(entities).iter().enumerate().zip(entity_sizes) {
            let text = node.as_str().unwrap_or_default().to_owned();
            take(self.part(entities, index, node, text), size);
        }
        for (index, node) in self.list(cidrs).iter().enumerate() {
            let text = node.as_str().unwrap_or_default().to_owned();
            take(self.part(cidrs, index, node, text), 1);
        }
        for (index, node) in self.list(sets).iter().enumerate() {
            take(self.part(sets, index, node, block(node)), 1);
        }
        if let Some(part) = service(addresses) {
            take(part, addresses);
        }
        for (index, node) in self.list(NAMES).iter().enumerate() {
            let name = ["matchName", "matchPattern"]
                .iter()
                .find_map(|field| node.get(field)?.as_str());
            take(
                self.part(NAMES, index, node, name.unwrap_or_default().to_owned()),
                1,
            );
        }
        // Services may be in both places, and are written once.
        let mut merged: Vec<WrittenPart> = Vec::new();
        for part in parts {
            match merged.iter_mut().find(|known| known.path == part.path) {
                Some(known) => known.pieces.extend(part.pieces),
                None => merged.push(part),
            }
        }
        merged
    }

    /// Peers of which the text is not there.
    fn unwritten(&self, entry: u32, selectors: &[PeerSelector]) -> Vec<WrittenPart> {
        (0..)
            .zip(selectors)
            .map(|(index, selector)| WrittenPart {
                path: format!("{}, peer {}", self.path, index + 1),
                at: self.at,
                text: match selector {
                    PeerSelector::Everyone => "all".to_owned(),
                    PeerSelector::Cidr { prefix, .. } => prefix.to_string(),
                    _ => String::new(),
                },
                pieces: vec![Piece::Peer { entry, index }],
            })
            .collect()
    }

    /// Each peer of a NetworkPolicy is an entry.
    fn kubernetes_peers(&self, set: &PolicySet, entries: &[u32]) -> Vec<WrittenPart> {
        let field = match self.direction {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        };
        let list = self.list(field);
        let part = |index: &u32| {
            let entry = set.entries.get(*index as usize)?;
            let at = entry.rule.peer?;
            let node = list.get(at as usize);
            Some(WrittenPart {
                path: format!("{}.{field}[{at}]", self.path),
                at: node.map_or(entry.rule.at, |node| node.at),
                text: node.map(kubernetes_peer).unwrap_or_default(),
                pieces: vec![Piece::Entry(*index)],
            })
        };
        entries.iter().filter_map(part).collect()
    }

    fn ports(&self, first: &PolicyEntry, entries: &[u32], kubernetes: bool) -> Vec<WrittenPart> {
        let written = self.list("toPorts").len();
        let mut parts = Vec::new();
        for (at, rule) in (0_u32..).zip(&first.ports) {
            for (index, port) in (0_u32..).zip(&rule.ports) {
                let place = at as usize;
                let path = if kubernetes {
                    format!("{}.ports[{at}]", self.path)
                } else if place < written || written == 0 && !is_icmp(port) {
                    format!("{}.toPorts[{at}].ports[{index}]", self.path)
                } else {
                    format!("{}.icmps[{}].fields[{index}]", self.path, place - written)
                };
                let piece = |entry: &u32| Piece::Port {
                    entry: *entry,
                    rule: at,
                    index,
                };
                parts.push(WrittenPart {
                    path,
                    at: port.at,
                    text: port.to_string(),
                    pieces: entries.iter().map(piece).collect(),
                });
            }
        }
        parts
    }

    fn requests(&self, first: &PolicyEntry, entries: &[u32]) -> Vec<WrittenPart> {
        let mut parts = Vec::new();
        for (at, rule) in (0_u32..).zip(&first.ports) {
            let Some(l7) = &rule.l7 else { continue };
            let (field, texts) = told(l7);
            let list = self
                .list("toPorts")
                .get(at as usize)
                .and_then(|node| node.get("rules")?.get(field)?.as_list())
                .unwrap_or_default();
            for (index, text) in (0_u32..).zip(texts) {
                let piece = |entry: &u32| Piece::Request {
                    entry: *entry,
                    rule: at,
                    index,
                };
                parts.push(WrittenPart {
                    path: format!("{}.toPorts[{at}].rules.{field}[{index}]", self.path),
                    at: list.get(index as usize).map_or(self.at, |node| node.at),
                    text,
                    pieces: entries.iter().map(piece).collect(),
                });
            }
        }
        parts
    }
}

const NAMES: &str = "toFQDNs";
const SERVICES: &str = "toServices";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;
    use crate::policy::Options;

    fn rules(text: &str) -> Vec<WrittenRule> {
        let documents = manifest::read(text, "p.yaml".into()).documents;
        let set = PolicySet::build(&documents, &[], &[], &Options::default());
        written(&set, &documents)
    }

    #[test]
    fn every_part_has_its_place_and_its_pieces() {
        let found = rules(
            "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: x}
spec:
  endpointSelector: {}
  egress:
  - toEndpoints:
    - matchLabels: {app: a}
    toPorts:
    - ports:
      - port: '80'
        protocol: TCP
      rules:
        http:
        - method: GET
          path: /a
  - toEntities:
    - cluster
    - host
    icmps:
    - fields:
      - type: 8
  - toCIDRSet:
    - cidr: 9.0.0.0/8
      except: [9.1.0.0/16]
",
        );
        assert_eq!(found.len(), 3);
        let shown: Vec<(&str, u32, &str, usize)> = found
            .iter()
            .flat_map(WrittenRule::parts)
            .map(|(_, part)| {
                let path = part.path.strip_prefix("spec.egress").unwrap();
                (path, part.at.line, &*part.text, part.pieces.len())
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("[0].toEndpoints[0]", 8, "app=a", 1),
                ("[0].toPorts[0].ports[0]", 11, "80/TCP", 1),
                ("[0].toPorts[0].rules.http[0]", 15, "GET /a", 1),
                ("[1].toEntities[0]", 18, "cluster", 8),
                ("[1].toEntities[1]", 19, "host", 1),
                ("[1].icmps[0].fields[0]", 22, "type 8/ICMP", 1),
                ("[2].toCIDRSet[0]", 24, "9.0.0.0/8 except 9.1.0.0/16", 1),
            ]
        );
        assert_eq!(
            found[1].peers[1].pieces,
            [Piece::Peer { entry: 1, index: 8 }]
        );
    }

    #[test]
    fn the_peers_of_a_networkpolicy_are_entries_of_one_rule() {
        let found = rules(
            "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: x}
spec:
  podSelector: {}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: a}}
    - ipBlock: {cidr: 10.0.0.0/8}
    ports:
    - port: 80
",
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].entries, [0, 1]);
        assert_eq!(found[0].peers[1].path, "spec.ingress[0].from[1]");
        assert_eq!(found[0].peers[1].at.line, 9);
        assert_eq!(found[0].ports[0].pieces.len(), 2);
    }
}
