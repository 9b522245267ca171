//! What a loose rule becomes.
//!
//! Owns which peers and ports stand in place of the loose ones, and the patches that write
//! them. What an element says beside that (layer 7, authentication) stays as it is; where
//! peers of several kinds are needed, further elements say the same for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::kubernetes;
use super::loose::{LeftAlone, Loose, Peers, Ports, Wide, at, peer_keys, range};
use crate::connection::Peer;
use crate::flow::counted;
use crate::manifest::{Block, Document, Node, Patch, Step};
use crate::policy::{Direction, ObjectKind};
use crate::review::observed::{
    Directory, Evidence, Home, Layer7, Lookups, Naming, PortKey, Rule, RuleOptions, Term, Terms,
    Use, is_icmp, layer4, peer, ports as port_list, rules,
};

/// Peers of one element that a person still reads.
pub(super) const MOST_PEERS: usize = 40;

/// A rule and what it becomes.
#[derive(Clone, Debug)]
pub struct Narrowing {
    /// Its policy.
    pub id: crate::policy::ObjectId,
    /// File.
    pub file: Arc<str>,
    /// Line of the element.
    pub line: u32,
    /// Which way.
    pub direction: Direction,
    /// What was loose, as words.
    pub loose: Vec<String>,
    /// What it was needed for.
    pub evidence: Evidence,
    /// Peers in its place, as words.
    pub peers: Vec<String>,
    /// Index of the rule in the set it is of.
    pub(super) rule: u32,
    /// Which document, in the list that was given.
    pub(super) document: usize,
    pub(super) patches: Vec<Patch>,
    /// Of its list, for patches to be made from the last to the first.
    pub(super) element: usize,
}

impl Narrowing {
    /// Index of the rule in its set.
    #[must_use]
    pub fn rule(&self) -> u32 {
        self.rule
    }

    /// Which of the documents it is in, by its place in the list that was given.
    #[must_use]
    pub fn document(&self) -> usize {
        self.document
    }
}

/// Who there is and where the policies are.
pub(super) struct Surroundings<'a> {
    pub(super) directory: &'a Directory,
    pub(super) cluster: &'a Arc<str>,
    pub(super) lets_host_in: bool,
    pub(super) documents: &'a [Document],
}

/// What a loose element becomes.
///
/// # Errors
/// [`LeftAlone`] with the reason.
pub(super) fn narrow(
    loose: &Loose,
    uses: &[Use],
    around: &Surroundings<'_>,
) -> Result<Narrowing, LeftAlone> {
    let document = &around.documents[loose.document];
    let left = |why: String| LeftAlone {
        id: loose.id.clone(),
        file: document.file.clone(),
        line: loose.line,
        why,
    };
    if uses.is_empty() {
        return Err(left(
            "no accepted connection needed it: `flowwatch policy unused` says how sure that is"
                .to_owned(),
        ));
    }
    if peer_keys(&loose.node).len() > 1 {
        return Err(left("it names peers of several kinds".to_owned()));
    }
    let is_kubernetes = loose.id.kind == ObjectKind::NetworkPolicy;
    let home = Home {
        cluster: around.cluster.clone(),
        namespace: (loose.id.kind != ObjectKind::CiliumClusterwideNetworkPolicy)
            .then(|| loose.id.namespace.clone()),
    };
    let naming = Naming {
        directory: around.directory,
        home: home.clone(),
        lets_host_in: around.lets_host_in,
    };
    // What stands behind a prefix is an address, whatever its name is.
    let by_address = matches!(
        loose.peers,
        Peers::Items {
            kind: Wide::Prefix,
            ..
        }
    );
    let uses: Vec<Use> = uses
        .iter()
        .map(|one| {
            if by_address {
                unnamed(one)
            } else {
                one.clone()
            }
        })
        .collect();
    if let Peers::Items {
        kind: Wide::Names, ..
    } = loose.peers
        && let Some(bare) = uses.iter().find(|one| !matches!(one.server, Peer::Name(_)))
    {
        return Err(left(format!(
            "flows to {} through it carry no name",
            bare.server
        )));
    }
    let terms = naming.terms(uses.iter(), loose.direction);
    if terms.is_empty() {
        return Err(left(
            "only the pods' own node needed it, which no rule keeps out".to_owned(),
        ));
    }
    let mut evidence = Evidence::default();
    for one in &uses {
        evidence.merge(&one.evidence);
    }
    let mut work = Work {
        loose,
        home: &home,
        patches: Vec::new(),
        said: Vec::new(),
        shown: Vec::new(),
    };
    if is_kubernetes {
        let element = kubernetes::Element {
            node: &loose.node,
            peers: &loose.peers,
            ports: &loose.ports,
            direction: loose.direction,
            list: &loose.list,
            place: loose.element,
            namespace: &loose.id.namespace,
        };
        work.said = element.said();
        (work.patches, work.shown) = element.write(&terms, &uses).map_err(left)?;
    } else {
        work.write(terms, &uses).map_err(left)?;
    }
    if work.patches.is_empty() {
        return Err(left(
            "what it was needed for is as wide as it is".to_owned(),
        ));
    }
    Ok(work.narrowing(document.file.clone(), evidence))
}

/// A loose element that lets nobody pass. It stays, as its list may be what cuts off whom the
/// policy selects; a list of no peers is nobody, where no list is everybody.
///
/// # Errors
/// [`LeftAlone`] with the reason.
pub(super) fn close(loose: &Loose, around: &Surroundings<'_>) -> Result<Narrowing, LeftAlone> {
    let document = &around.documents[loose.document];
    let keys = peer_keys(&loose.node);
    let why = match loose.id.kind {
        ObjectKind::NetworkPolicy => {
            "nothing accepted needed it, and a NetworkPolicy has no form for nobody: delete it"
        }
        _ if keys.len() > 1 => "it names peers of several kinds",
        _ => "",
    };
    if !why.is_empty() {
        return Err(LeftAlone {
            id: loose.id.clone(),
            file: document.file.clone(),
            line: loose.line,
            why: why.to_owned(),
        });
    }
    let name = match loose.direction {
        Direction::Ingress => "fromEndpoints",
        Direction::Egress => "toEndpoints",
    };
    let mut work = Work {
        loose,
        home: &Home {
            cluster: around.cluster.clone(),
            namespace: None,
        },
        patches: Vec::new(),
        said: Vec::new(),
        shown: vec!["nobody, as nothing accepted needed it".to_owned()],
    };
    work.say();
    let (path, value) = (work.path(), Block::list([]));
    work.patches.push(match keys.first() {
        None => Patch::Add {
            path,
            key: name.to_owned(),
            value,
        },
        Some(old) => Patch::Set {
            path,
            key: (*old).to_owned(),
            name: name.to_owned(),
            value,
        },
    });
    Ok(work.narrowing(document.file.clone(), Evidence::default()))
}

fn unnamed(one: &Use) -> Use {
    let mut one = one.clone();
    if matches!(one.server, Peer::Name(_))
        && let Some(address) = one.evidence.servers.first()
    {
        // Which of them it is does not matter: all addresses of the evidence are named.
        one.server = Peer::Prefix(ipnet::IpNet::new_assert(*address, 0));
    }
    one
}

struct Work<'a> {
    loose: &'a Loose,
    home: &'a Home,
    patches: Vec<Patch>,
    said: Vec<String>,
    shown: Vec<String>,
}

impl Work<'_> {
    /// What it comes to, for the document of a file.
    fn narrowing(self, file: Arc<str>, evidence: Evidence) -> Narrowing {
        let loose = self.loose;
        Narrowing {
            id: loose.id.clone(),
            file,
            line: loose.line,
            direction: loose.direction,
            loose: self.said,
            evidence,
            peers: self.shown,
            rule: loose.rule,
            document: loose.document,
            patches: self.patches,
            element: loose.element,
        }
    }

    fn path(&self) -> Vec<Step> {
        let mut path = self.loose.list.clone();
        path.push(Step::Item(self.loose.element));
        path
    }

    fn write(&mut self, terms: Terms, uses: &[Use]) -> Result<(), String> {
        let missing_ports = self.loose.ports == Ports::Missing;
        let groups = match &self.loose.peers {
            Peers::Tight => Vec::new(),
            _ => self.groups(terms, missing_ports),
        };
        let peers: usize = groups.iter().map(|rule| rule.terms.len()).sum();
        if peers > MOST_PEERS {
            return Err(format!(
                "it was needed for {}, too many to list",
                counted(peers as u64, "peer", "peers")
            ));
        }
        self.say();
        match groups.split_first() {
            None => self.own_ports(uses, None)?,
            Some((first, others)) => {
                self.peers(first);
                self.own_ports(uses, missing_ports.then_some(first))?;
                self.others(others)?;
            }
        }
        Ok(())
    }

    /// What is loose, as words.
    fn say(&mut self) {
        match &self.loose.peers {
            Peers::Tight => {}
            Peers::Missing => self.said.push("no peers".to_owned()),
            Peers::Items { key, items, .. } => {
                let list = self.loose.node.get(key).and_then(Node::as_list);
                let list = list.unwrap_or_default();
                let texts = items.iter().filter_map(|at| list.get(*at));
                let texts: Vec<String> = texts.map(short).collect();
                self.said.push(format!("{key}: {}", texts.join(", ")));
            }
        }
        match &self.loose.ports {
            Ports::Tight => {}
            Ports::Missing => self.said.push("no ports".to_owned()),
            Ports::Ranges(_) => self.said.push("ranges of ports".to_owned()),
        }
    }

    /// Peers by kind; with their ports where the element names none.
    fn groups(&self, terms: Terms, with_ports: bool) -> Vec<Rule> {
        if with_ports {
            let lookups = Lookups::default();
            return rules(
                &terms,
                &RuleOptions {
                    home: self.home,
                    direction: self.loose.direction,
                    lookups: &lookups,
                    http: false,
                    queries: false,
                    dns: false,
                },
            );
        }
        let mut kinds: BTreeMap<u8, Rule> = BTreeMap::new();
        for (term, wanted) in terms {
            let rule = kinds.entry(term.kind()).or_insert_with(|| Rule {
                direction: self.loose.direction,
                terms: Vec::new(),
                ports: Vec::new(),
                layer7: Layer7::None,
                notes: Vec::new(),
            });
            let notes: BTreeSet<String> = wanted.notes.clone();
            rule.terms.push((term, wanted.evidence(), notes));
        }
        kinds.into_values().collect()
    }

    /// The peers of the element itself.
    fn peers(&mut self, rule: &Rule) {
        let (old, kept): (Option<&str>, Vec<Block>) = match &self.loose.peers {
            Peers::Tight => return,
            Peers::Missing => (None, Vec::new()),
            Peers::Items { key, items, .. } => {
                let list = self.loose.node.get(key).and_then(Node::as_list);
                let kept = list.unwrap_or_default().iter().enumerate();
                let kept = kept.filter(|(at, _)| !items.contains(at));
                (
                    Some(key.as_str()),
                    kept.map(|(_, node)| Block::from(node)).collect(),
                )
            }
        };
        let set_of_prefixes = old.is_some_and(|key| key.ends_with("CIDRSet"));
        let key = match rule.key() {
            "fromCIDR" if set_of_prefixes => "fromCIDRSet",
            "toCIDR" if set_of_prefixes => "toCIDRSet",
            key => key,
        };
        let list = self.list(rule, key);
        // What was named beside the loose ones stays, where it stands below the same key.
        let same = old == Some(key);
        let mut items = if same { kept.clone() } else { Vec::new() };
        for one in list {
            if !items.iter().any(|known| known.content == one.content) {
                items.push(one);
            }
        }
        let value = Block::list(items);
        match old {
            None => self.patches.push(Patch::Add {
                path: self.path(),
                key: key.to_owned(),
                value,
            }),
            Some(old) => {
                let before = self.loose.node.get(old);
                let unchanged =
                    same && before.is_some_and(|before| before.says_the_same(&value.node()));
                if !unchanged {
                    self.patches.push(Patch::Set {
                        path: self.path(),
                        key: old.to_owned(),
                        name: key.to_owned(),
                        value,
                    });
                }
            }
        }
        if !same && !kept.is_empty() {
            let mut entries = self.same_again();
            entries.insert(0, (old.unwrap_or(key).to_owned(), Block::list(kept)));
            self.insert(vec![Block::map(entries)]);
        }
    }

    fn list(&mut self, rule: &Rule, key: &str) -> Vec<Block> {
        let mut items = Vec::new();
        for (term, evidence, notes) in &rule.terms {
            let item = match term {
                Term::Prefix(prefix) if key.ends_with("CIDRSet") => {
                    Block::map([("cidr", Block::text(prefix.to_string()))])
                }
                term => peer(term, self.home),
            };
            self.shown
                .push(format!("{} ({})", named(term), evidence.sentence()));
            items.push(item.commented(notes.iter().cloned()));
        }
        items
    }

    /// The ports of the element itself: those of its own peers, or all that were used.
    fn own_ports(&mut self, uses: &[Use], of: Option<&Rule>) -> Result<(), String> {
        match &self.loose.ports {
            Ports::Tight => {}
            Ports::Missing => match of {
                Some(rule) => {
                    let (key, value) = layer4(&rule.ports);
                    self.patches.push(Patch::Add {
                        path: self.path(),
                        key: key.to_owned(),
                        value,
                    });
                }
                None => self.all_ports(uses),
            },
            Ports::Ranges(ranges) => {
                for (rule, wide) in ranges.clone() {
                    self.range(rule, &wide, uses)?;
                }
            }
        }
        Ok(())
    }

    /// Ports of an element that has its peers and none: pings need an element of their own.
    fn all_ports(&mut self, uses: &[Use]) {
        let used: BTreeSet<PortKey> = uses.iter().map(|one| (one.port, one.protocol)).collect();
        let (pings, ports): (Vec<PortKey>, Vec<PortKey>) =
            used.into_iter().partition(|key| is_icmp(*key));
        let (first, then) = if ports.is_empty() {
            (pings, Vec::new())
        } else {
            (ports, pings)
        };
        let (key, value) = layer4(&first);
        self.patches.push(Patch::Add {
            path: self.path(),
            key: key.to_owned(),
            value,
        });
        if !then.is_empty() {
            let map = self.loose.node.as_map();
            let entries = map.into_iter().flat_map(|map| &map.entries);
            let mut again: Vec<(String, Block)> = entries
                .map(|(key, node)| (key.name.to_string(), Block::from(node)))
                .collect();
            let (key, value) = layer4(&then);
            again.push((key.to_owned(), value));
            self.insert(vec![Block::map(again)]);
        }
    }

    fn range(&mut self, rule: usize, wide: &[usize], uses: &[Use]) -> Result<(), String> {
        let path = [Step::Key("toPorts".to_owned()), Step::Item(rule)];
        let list = at(&self.loose.node, &path)
            .and_then(|rule| rule.get("ports"))
            .and_then(Node::as_list)
            .unwrap_or_default();
        let mut items: Vec<Block> = Vec::new();
        for (place, port) in list.iter().enumerate() {
            if !wide.contains(&place) {
                items.push(Block::from(port));
                continue;
            }
            let Some((first, last, written)) = range(port) else {
                items.push(Block::from(port));
                continue;
            };
            let used: BTreeSet<PortKey> = uses
                .iter()
                .filter(|one| (first..=last).contains(&one.port))
                .filter(|one| written == "ANY" || written == one.protocol.name())
                .map(|one| (one.port, one.protocol))
                .filter(|key| !is_icmp(*key))
                .collect();
            let used: Vec<PortKey> = used.into_iter().collect();
            let new = port_list(&used);
            if let crate::manifest::Content::List(new) = new.content {
                for one in new {
                    if !items.contains(&one) {
                        items.push(one);
                    }
                }
            }
        }
        if items.is_empty() {
            return Err("no port of its range was used".to_owned());
        }
        if items.len() > MOST_PEERS {
            return Err(format!(
                "{} of its range were used",
                counted(items.len() as u64, "port", "ports")
            ));
        }
        let mut full = self.path();
        full.extend(path);
        self.patches.push(Patch::Set {
            path: full,
            key: "ports".to_owned(),
            name: "ports".to_owned(),
            value: Block::list(items),
        });
        Ok(())
    }

    /// Elements for peers of other kinds, or of other ports.
    fn others(&mut self, others: &[Rule]) -> Result<(), String> {
        let mut items = Vec::new();
        for rule in others {
            let list = self.list(rule, rule.key());
            let mut entries = vec![(rule.key().to_owned(), Block::list(list))];
            entries.extend(self.same_again());
            if self.loose.ports == Ports::Missing {
                let (key, value) = layer4(&rule.ports);
                entries.push((key.to_owned(), value));
            } else if matches!(self.loose.ports, Ports::Ranges(_)) {
                return Err("its ranges of ports belong to peers of several kinds".to_owned());
            }
            items.push(Block::map(entries));
        }
        if !items.is_empty() {
            self.insert(items);
        }
        Ok(())
    }

    /// What the element says beside its peers.
    fn same_again(&self) -> Vec<(String, Block)> {
        let peers = peer_keys(&self.loose.node);
        let map = self.loose.node.as_map();
        map.into_iter()
            .flat_map(|map| &map.entries)
            .filter(|(key, _)| !peers.contains(&&*key.name))
            .map(|(key, node)| (key.name.to_string(), Block::from(node)))
            .collect()
    }

    fn insert(&mut self, items: Vec<Block>) {
        self.patches.push(Patch::Insert {
            path: self.loose.list.clone(),
            after: self.loose.element,
            items,
        });
    }
}

/// A value on one line.
pub(super) fn short(node: &Node) -> String {
    match node.as_str() {
        Some(text) => text.to_owned(),
        None => serde_json::Value::from(node).to_string(),
    }
}

pub(super) fn named(term: &Term) -> String {
    match term {
        Term::Pods {
            namespace,
            selector,
            ..
        } => {
            let labels: Vec<String> = selector
                .labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            format!("{namespace}/{}", labels.join(","))
        }
        Term::Entity(name) | Term::Name(name) => name.to_string(),
        Term::Prefix(prefix) => prefix.to_string(),
    }
}
