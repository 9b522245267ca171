//! Filters: what the entries that select one subject come to, port by port.
//!
//! Owns which filter an entry's port belongs to. How two policies for one selector meet in
//! a filter is `merge`'s.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::entry::{Direction, PolicyEntry, Port, PortProtocol, PortRule};
use super::merge::{Conflict, SelectorPolicy};
use super::selection::SelectorId;
use super::verdict::Origin;

/// An entry and the selectors of its peers.
pub(super) struct Selected<'a> {
    pub(super) index: u32,
    pub(super) entry: &'a PolicyEntry,
    pub(super) peers: &'a [SelectorId],
}

/// What applies to one port, one range or one name of a port.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// 0: every protocol.
    pub(super) protocol: u8,
    pub(super) port: FilterPort,
    policies: Vec<(SelectorId, Arc<SelectorPolicy>)>,
    places: HashMap<SelectorId, usize, RandomState>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FilterPort {
    /// 0 with an end of 0 or 65535 is every port; an end below the first counts for nothing.
    Number { first: u16, end: u16 },
    /// Resolved where the filter is used. The end is that of the first entry of this name.
    Name { name: Arc<str>, end: u16 },
}

/// Filters of one subject and direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    pub(super) all: Vec<Filter>,
    places: HashMap<FilterKey, usize, RandomState>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum FilterKey {
    Number(u8, u16, u16),
    Name(u8, Arc<str>),
}

/// What the filters depend on beside the entries.
pub(super) struct Surroundings<'a> {
    pub(super) direction: Direction,
    /// Namespace of the subject; empty for what is no pod.
    pub(super) namespace: &'a str,
    /// Some entry of this direction turns on default deny.
    pub(super) default_deny: bool,
}

impl Filters {
    /// Merges entries, given in the order Cilium takes them.
    ///
    /// Without any default deny an entry that allows everything is added.
    pub(super) fn of<'a>(
        entries: impl Iterator<Item = Selected<'a>>,
        around: &Surroundings<'_>,
    ) -> Result<Self, Conflict> {
        let mut filters = Self::default();
        let mut any = false;
        for selected in entries {
            any = true;
            filters.add_entry(&selected, around)?;
        }
        if any && !around.default_deny {
            let policy = SelectorPolicy::allow(around.allow_any());
            filters.add(ALL_PORTS, &[SelectorId::EVERYONE], &policy)?;
        }
        Ok(filters)
    }

    fn add_entry(
        &mut self,
        selected: &Selected<'_>,
        around: &Surroundings<'_>,
    ) -> Result<(), Conflict> {
        let entry = selected.entry;
        let origin = Origin::Entry(selected.index);
        if selected.peers.is_empty() {
            return Ok(());
        }
        if entry.ports.is_empty() {
            let policy = SelectorPolicy::of(entry, &PortRule::default(), 0, origin, around)?;
            return self.add(ALL_PORTS, selected.peers, &policy);
        }
        for rule in &entry.ports {
            for port in &rule.ports {
                for protocol in port.protocol.numbers() {
                    let policy = SelectorPolicy::of(entry, rule, *protocol, origin, around)?;
                    self.add(place(port, *protocol), selected.peers, &policy)?;
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        (protocol, port): (u8, FilterPort),
        peers: &[SelectorId],
        policy: &SelectorPolicy,
    ) -> Result<(), Conflict> {
        let key = match &port {
            FilterPort::Number { first, end } => FilterKey::Number(protocol, *first, *end),
            FilterPort::Name { name, .. } => FilterKey::Name(protocol, name.clone()),
        };
        let next = self.all.len();
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.all.push(Filter {
                protocol,
                port,
                policies: Vec::new(),
                places: HashMap::default(),
            });
        }
        match self.all.get_mut(place) {
            Some(filter) => filter.add(peers, policy),
            None => Ok(()),
        }
    }
}

impl Filter {
    fn add(&mut self, peers: &[SelectorId], policy: &SelectorPolicy) -> Result<(), Conflict> {
        let shared = Arc::new(policy.clone());
        let known = self.policies.len();
        for peer in peers {
            let next = self.policies.len();
            let place = *self.places.entry(*peer).or_insert(next);
            match self.policies.get_mut(place) {
                None => self.policies.push((*peer, shared.clone())),
                // A peer that is twice in one entry.
                Some(_) if place >= known => {}
                Some((_, existing)) => Arc::make_mut(existing).merge(policy)?,
            }
        }
        Ok(())
    }

    /// Selectors with their policies.
    pub(super) fn policies(&self) -> impl Iterator<Item = (SelectorId, &SelectorPolicy)> {
        self.policies
            .iter()
            .map(|(selector, policy)| (*selector, policy.as_ref()))
    }

    /// The same, to be kept.
    pub(super) fn shared_policies(
        &self,
    ) -> impl Iterator<Item = (SelectorId, &Arc<SelectorPolicy>)> {
        self.policies
            .iter()
            .map(|(selector, policy)| (*selector, policy))
    }

    /// The policy for everybody.
    pub(super) fn wildcard(&self) -> Option<&SelectorPolicy> {
        self.places
            .get(&SelectorId::EVERYONE)
            .and_then(|place| self.policies.get(*place))
            .map(|(_, policy)| policy.as_ref())
    }

    pub(super) fn has(&self, selector: SelectorId) -> bool {
        self.places.contains_key(&selector)
    }
}

const ALL_PORTS: (u8, FilterPort) = (0, FilterPort::Number { first: 0, end: 0 });

fn place(port: &PortProtocol, protocol: u8) -> (u8, FilterPort) {
    let end = port.end_port;
    let port = match &port.port {
        Port::Number(first) => FilterPort::Number { first: *first, end },
        Port::Name(name) => FilterPort::Name {
            name: name.clone(),
            end,
        },
    };
    (protocol, port)
}
