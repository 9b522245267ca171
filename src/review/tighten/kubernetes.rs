//! NetworkPolicies: what of an element is loose, and what it becomes.
//!
//! Owns the form of Kubernetes: peers of all kinds stand in one list, ports are numbers. Who
//! has no form there (names of DNS, entities, pods of other clusters, pings) cannot be named,
//! and then the element stays as it is. Rules of Cilium are `loose`'s and `narrow`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::loose::{Peers, Ports, Wide, prefix, range};
use super::narrow::{MOST_PEERS, named, short};
use crate::flow::counted;
use crate::manifest::{Block, Content, Map, Node, Patch, Step, Value};
use crate::policy::Direction;
use crate::review::observed::{PortKey, Term, Terms, Use, is_icmp, labels};

/// Label that every namespace has, with its name.
const NAME: &str = "kubernetes.io/metadata.name";

/// The key of peers.
pub(super) fn peers_key(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}

/// Peers of an element that are loose. A list of none is everybody, as is no list.
pub(super) fn peers(element: &Node, direction: Direction) -> Peers {
    let key = peers_key(direction);
    let Some(list) = element.get(key).and_then(Node::as_list) else {
        return Peers::Missing;
    };
    let items: Vec<(usize, Wide)> = list
        .iter()
        .enumerate()
        .filter_map(|(at, item)| Some((at, wide(item)?)))
        .collect();
    let kind = items.iter().map(|(_, kind)| *kind).min();
    match kind {
        None if !list.is_empty() => Peers::Tight,
        kind => Peers::Items {
            key: key.to_owned(),
            items: items.into_iter().map(|(at, _)| at).collect(),
            kind: kind.unwrap_or(Wide::Pods),
        },
    }
}

fn wide(item: &Node) -> Option<Wide> {
    if let Some(block) = item.get("ipBlock") {
        return prefix(block.get("cidr")?.as_str()?);
    }
    let says = |key: &str| {
        let map = item.get(key).and_then(Node::as_map);
        map.is_some_and(says_something)
    };
    (!says("podSelector") && !says("namespaceSelector")).then_some(Wide::Pods)
}

fn says_something(selector: &Map) -> bool {
    selector.entries.iter().any(|(_, node)| match &node.value {
        Value::Map(map) => !map.entries.is_empty(),
        Value::List(list) => !list.is_empty(),
        _ => false,
    })
}

/// Ports of an element that are loose: none, a protocol without a port, a range.
pub(super) fn ports(element: &Node) -> Ports {
    let list = element.get("ports").and_then(Node::as_list);
    let Some(list) = list.filter(|list| !list.is_empty()) else {
        return Ports::Missing;
    };
    let wide: Vec<usize> = list
        .iter()
        .enumerate()
        .filter(|(_, port)| span(port).is_some())
        .map(|(at, _)| at)
        .collect();
    if wide.is_empty() {
        Ports::Tight
    } else {
        Ports::Ranges(vec![(0, wide)])
    }
}

/// First and last port of a range, and the protocol: TCP where none is named.
fn span(port: &Node) -> Option<(u16, u16, &str)> {
    let protocol = port.get("protocol").and_then(Node::as_str).unwrap_or("TCP");
    match port.get("port") {
        None => Some((1, u16::MAX, protocol)),
        Some(_) => range(port).map(|(first, last, _)| (first, last, protocol)),
    }
}

/// A loose element of a NetworkPolicy.
pub(super) struct Element<'a> {
    pub(super) node: &'a Node,
    pub(super) peers: &'a Peers,
    pub(super) ports: &'a Ports,
    pub(super) direction: Direction,
    /// From the object to the list it is in, and its place there.
    pub(super) list: &'a [Step],
    pub(super) place: usize,
    pub(super) namespace: &'a Arc<str>,
}

/// What an element becomes: patches, peers as words.
type Written = (Vec<Patch>, Vec<String>);

impl Element<'_> {
    /// Writes what it was needed for in its place.
    ///
    /// # Errors
    /// Why it stays as it is, a fragment.
    pub(super) fn write(&self, terms: &Terms, uses: &[Use]) -> Result<Written, String> {
        let used: BTreeSet<PortKey> = uses.iter().map(|one| (one.port, one.protocol)).collect();
        if *self.ports != Ports::Tight && used.iter().any(|key| is_icmp(*key)) {
            return Err(
                "pings were needed, which no NetworkPolicy with ports lets pass".to_owned(),
            );
        }
        let kept = self.kept();
        let mut shown = Vec::new();
        let mut groups: BTreeMap<Vec<PortKey>, Vec<Block>> = BTreeMap::new();
        if *self.peers == Peers::Tight {
            groups.insert(used.iter().copied().collect(), Vec::new());
        } else {
            // Peers that stay have no ports of their own: then all share them.
            let apart = *self.ports == Ports::Missing && kept.is_empty();
            for (term, wanted) in terms {
                let own = wanted.ports.keys().copied().collect();
                let key = if apart {
                    own
                } else {
                    used.iter().copied().collect()
                };
                groups.entry(key).or_default().push(self.peer(term)?);
                let evidence = wanted.evidence();
                shown.push(format!("{} ({})", named(term), evidence.sentence()));
            }
        }
        if shown.len() > MOST_PEERS {
            let peers = counted(shown.len() as u64, "peer", "peers");
            return Err(format!("it was needed for {peers}, too many to list"));
        }
        let mut patches = Vec::new();
        let mut groups = groups.into_iter();
        let Some((keys, items)) = groups.next() else {
            return Ok((patches, shown));
        };
        self.peers_in_place(kept, items, &mut patches);
        match self.ports {
            Ports::Tight => {}
            Ports::Missing => {
                // An empty list is there already, and means the same.
                let path = self.path();
                let (key, value) = ("ports".to_owned(), list_of(&keys));
                patches.push(if self.node.get("ports").is_some() {
                    let name = key.clone();
                    Patch::Set {
                        path,
                        key,
                        name,
                        value,
                    }
                } else {
                    Patch::Add { path, key, value }
                });
            }
            Ports::Ranges(ranges) => {
                let wide: Vec<usize> = ranges.iter().flat_map(|(_, wide)| wide.clone()).collect();
                patches.push(self.ranges(&wide, &used)?);
            }
        }
        let others: Vec<Block> = groups
            .map(|(keys, items)| {
                Block::map([
                    (peers_key(self.direction), Block::list(items)),
                    ("ports", list_of(&keys)),
                ])
            })
            .collect();
        if !others.is_empty() {
            patches.push(Patch::Insert {
                path: self.list.to_vec(),
                after: self.place,
                items: others,
            });
        }
        Ok((patches, shown))
    }

    /// What is loose, as words.
    pub(super) fn said(&self) -> Vec<String> {
        let mut said = Vec::new();
        match self.peers {
            Peers::Tight => {}
            Peers::Missing => said.push("no peers".to_owned()),
            Peers::Items { key, items, .. } => {
                let list = self.node.get(key).and_then(Node::as_list);
                let list = list.unwrap_or_default();
                let texts = items.iter().filter_map(|at| list.get(*at));
                let texts: Vec<String> = texts.map(short).collect();
                said.push(format!("{key}: {}", texts.join(", ")));
            }
        }
        match self.ports {
            Ports::Tight => {}
            Ports::Missing => said.push("no ports".to_owned()),
            Ports::Ranges(_) => said.push("ranges of ports".to_owned()),
        }
        said
    }

    fn path(&self) -> Vec<Step> {
        let mut path = self.list.to_vec();
        path.push(Step::Item(self.place));
        path
    }

    /// Peers that are not loose.
    fn kept(&self) -> Vec<Block> {
        let Peers::Items { key, items, .. } = self.peers else {
            return Vec::new();
        };
        let list = self.node.get(key).and_then(Node::as_list);
        let list = list.unwrap_or_default().iter().enumerate();
        list.filter(|(at, _)| !items.contains(at))
            .map(|(_, node)| Block::from(node))
            .collect()
    }

    fn peers_in_place(&self, kept: Vec<Block>, new: Vec<Block>, patches: &mut Vec<Patch>) {
        if *self.peers == Peers::Tight {
            return;
        }
        let mut items = kept;
        for one in new {
            if !items.iter().any(|known| known.content == one.content) {
                items.push(one);
            }
        }
        let key = peers_key(self.direction);
        let value = Block::list(items);
        match self.node.get(key) {
            None => patches.push(Patch::Add {
                path: self.path(),
                key: key.to_owned(),
                value,
            }),
            Some(before) if before.says_the_same(&value.node()) => {}
            Some(_) => patches.push(Patch::Set {
                path: self.path(),
                key: key.to_owned(),
                name: key.to_owned(),
                value,
            }),
        }
    }

    /// The ports with those that were used in place of ranges.
    fn ranges(&self, wide: &[usize], used: &BTreeSet<PortKey>) -> Result<Patch, String> {
        let list = self.node.get("ports").and_then(Node::as_list);
        let mut items: Vec<Block> = Vec::new();
        for (at, port) in list.unwrap_or_default().iter().enumerate() {
            let Some((first, last, protocol)) = span(port).filter(|_| wide.contains(&at)) else {
                items.push(Block::from(port));
                continue;
            };
            let inside = used
                .iter()
                .filter(|(number, own)| (first..=last).contains(number) && protocol == own.name());
            for key in inside {
                let one = port_of(*key);
                if !items.contains(&one) {
                    items.push(one);
                }
            }
        }
        if items.is_empty() {
            // A list of no ports would be all of them.
            return Err("no port of its range was used".to_owned());
        }
        if items.len() > MOST_PEERS {
            let ports = counted(items.len() as u64, "port", "ports");
            return Err(format!("{ports} of its range were used"));
        }
        Ok(Patch::Set {
            path: self.path(),
            key: "ports".to_owned(),
            name: "ports".to_owned(),
            value: Block::list(items),
        })
    }

    fn peer(&self, term: &Term) -> Result<Block, String> {
        match term {
            Term::Pods {
                namespace,
                cluster: None,
                selector,
            } => {
                let whole = selector.labels.is_empty() && selector.absent.is_empty();
                let pods = if whole {
                    Block::map::<&str>([])
                } else {
                    labels(selector, &[])
                };
                let mut entries = vec![("podSelector", pods)];
                if namespace != self.namespace {
                    let name = Block::map([(NAME, Block::text(namespace.to_string()))]);
                    entries.push(("namespaceSelector", Block::map([("matchLabels", name)])));
                }
                Ok(Block::map(entries))
            }
            Term::Prefix(prefix) => {
                let cidr = Block::map([("cidr", Block::text(prefix.to_string()))]);
                Ok(Block::map([("ipBlock", cidr)]))
            }
            Term::Pods { .. } | Term::Entity(_) | Term::Name(_) => Err(format!(
                "it was needed for {}, which no NetworkPolicy can name",
                named(term)
            )),
        }
    }
}

fn list_of(keys: &[PortKey]) -> Block {
    Block::list(keys.iter().map(|key| port_of(*key)))
}

fn port_of((port, protocol): PortKey) -> Block {
    Block::map([
        ("port", Content::Word(port.to_string()).into()),
        ("protocol", Block::text(protocol.name())),
    ])
}
