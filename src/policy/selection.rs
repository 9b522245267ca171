//! Which identities each selector of a policy set selects.
//!
//! Owns the distinct selectors and their sets. Every selector is filed under the rarest
//! thing it asks for, so that a new identity is compared with few of them.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::idset::IdSet;
use super::member::Member;
use super::names::NamePattern;
use super::options::Version;
use super::selector::{CidrGroups, LabelSelector, Operator, PeerSelector};

/// A distinct selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SelectorId(pub(super) u32);

impl SelectorId {
    /// Everybody, the unknown identity too. It has no set.
    pub(super) const EVERYONE: Self = Self(u32::MAX);
    /// The node's own host, as the agent's own rule means it.
    pub(super) const LOCALHOST: Self = Self(0);
}

/// All distinct selectors of a set, and whom they select.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    ids: HashMap<PeerSelector, SelectorId, RandomState>,
    selectors: Vec<Arc<Selector>>,
    /// Selectors by what they are filed under.
    filed: HashMap<Anchor, Vec<SelectorId>, RandomState>,
    version: Version,
}

#[derive(Clone, Debug)]
struct Selector {
    selector: PeerSelector,
    names: NamePattern,
    members: IdSet,
}

/// Something without which a selector selects nobody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Anchor {
    /// A label of this name and value, of any source.
    Label(Arc<str>, Arc<str>),
    /// A label of this name.
    Key(Arc<str>),
    /// An address, or a label that stands for one.
    Outside,
    /// A DNS name.
    Name(Box<str>),
    /// Nothing: it may select anybody.
    Nothing,
}

impl Selection {
    pub(super) fn new(version: Version) -> Self {
        let localhost = Selector {
            selector: PeerSelector::Everyone,
            names: NamePattern::All,
            members: IdSet::new(),
        };
        Self {
            ids: HashMap::default(),
            selectors: vec![Arc::new(localhost)],
            filed: HashMap::default(),
            version,
        }
    }

    /// Makes sure that all of these are known. Those that are new are compared with all
    /// `members`.
    pub(super) fn intern<'a>(
        &mut self,
        wanted: impl Iterator<Item = &'a PeerSelector>,
        members: &[Arc<Member>],
    ) {
        let first = self.selectors.len();
        for selector in wanted {
            if is_everyone(selector) || self.ids.contains_key(selector) {
                continue;
            }
            self.ids
                .insert(selector.clone(), SelectorId(self.selectors.len() as u32));
            let names = match selector {
                PeerSelector::Fqdn { name, pattern } => {
                    NamePattern::of_selector(name, pattern, self.version)
                }
                _ => NamePattern::All,
            };
            self.selectors.push(Arc::new(Selector {
                selector: selector.clone(),
                names,
                members: IdSet::new(),
            }));
        }
        if first == self.selectors.len() {
            return;
        }
        self.file(first);
        if first > 1 {
            self.fill_few(first, members);
        } else {
            for (index, member) in members.iter().enumerate() {
                self.add(index as u32, member);
            }
        }
    }

    /// The id of a selector that was interned.
    pub(super) fn id(&self, selector: &PeerSelector) -> Option<SelectorId> {
        if is_everyone(selector) {
            return Some(SelectorId::EVERYONE);
        }
        self.ids.get(selector).copied()
    }

    /// Compares a new identity with the selectors that could select it.
    pub(super) fn add(&mut self, index: u32, member: &Member) {
        if member.is_host() {
            self.put(SelectorId::LOCALHOST, index);
        }
        for id in self.selecting(member) {
            self.put(id, index);
        }
    }

    /// The selectors that select an identity, ascending.
    pub(super) fn selecting(&self, member: &Member) -> Vec<SelectorId> {
        let mut found = Vec::new();
        if member.is_unknown() {
            return found;
        }
        let mut look =
            |anchor: &Anchor| {
                for id in self.filed.get(anchor).into_iter().flatten() {
                    if self.selectors.get(id.0 as usize).is_some_and(|selector| {
                        member.is_selected(&selector.selector, &selector.names)
                    }) {
                        found.push(*id);
                    }
                }
            };
        for label in member.labels() {
            look(&Anchor::Label(label.key.clone(), label.value.clone()));
            look(&Anchor::Key(label.key.clone()));
            if &*label.source == "fqdn" {
                look(&Anchor::Name(label.key.to_lowercase().into()));
            }
        }
        for name in member.names() {
            look(&Anchor::Name(name.as_str().into()));
        }
        if member.external || member.address().is_some() {
            look(&Anchor::Outside);
        }
        look(&Anchor::Nothing);
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether a selector selects an identity; not for [`SelectorId::EVERYONE`].
    #[inline]
    pub(super) fn contains(&self, id: SelectorId, index: u32) -> bool {
        self.selectors
            .get(id.0 as usize)
            .is_some_and(|selector| selector.members.contains(index))
    }

    /// What a selector says; `None` for those that are the agent's own.
    pub(super) fn selector(&self, id: SelectorId) -> Option<&PeerSelector> {
        if id == SelectorId::LOCALHOST {
            return None;
        }
        self.selectors
            .get(id.0 as usize)
            .map(|selector| &selector.selector)
    }

    fn put(&mut self, id: SelectorId, index: u32) {
        if let Some(selector) = self.selectors.get_mut(id.0 as usize) {
            Arc::make_mut(selector).members.insert(index);
        }
    }

    fn fill_few(&mut self, first: usize, members: &[Arc<Member>]) {
        for selector in self.selectors.iter_mut().skip(first) {
            let selector = Arc::make_mut(selector);
            for (index, member) in members.iter().enumerate() {
                if member.is_selected(&selector.selector, &selector.names) {
                    selector.members.insert(index as u32);
                }
            }
        }
    }

    /// Files the selectors from `first` on.
    fn file(&mut self, first: usize) {
        let mut wanted: HashMap<Anchor, u32, RandomState> = HashMap::default();
        for selector in self.selectors.iter().skip(first) {
            for anchors in choices(&selector.selector) {
                for anchor in anchors {
                    *wanted.entry(anchor).or_default() += 1;
                }
            }
        }
        for (index, selector) in self.selectors.iter().enumerate().skip(first) {
            let rarest = choices(&selector.selector)
                .into_iter()
                .min_by_key(|anchors| {
                    anchors
                        .iter()
                        .map(|anchor| u64::from(wanted.get(anchor).copied().unwrap_or(0)))
                        .sum::<u64>()
                });
            for anchor in rarest.unwrap_or_else(|| vec![Anchor::Nothing]) {
                self.filed
                    .entry(anchor)
                    .or_default()
                    .push(SelectorId(index as u32));
            }
        }
    }
}

/// Selectors that Cilium knows as its wildcard.
fn is_everyone(selector: &PeerSelector) -> bool {
    let nothing_asked =
        |selector: &LabelSelector| selector.labels.is_empty() && selector.expressions.is_empty();
    match selector {
        PeerSelector::Everyone => true,
        PeerSelector::Labels(selector) => nothing_asked(selector),
        // Its text is the wildcard's, and selectors are known by their text.
        PeerSelector::CidrGroups {
            groups: CidrGroups::Selected(selector),
            except,
        } => except.is_empty() && nothing_asked(selector),
        _ => false,
    }
}

/// Ways to file a selector: under all anchors of any one of these.
fn choices(selector: &PeerSelector) -> Vec<Vec<Anchor>> {
    match selector {
        PeerSelector::Labels(selector) => selector
            .requirements()
            .filter(|requirement| {
                // A prefix finds labels with other keys.
                requirement.key.source != super::selector::Source::Of("cidr".into())
            })
            .filter_map(|requirement| match requirement.operator {
                Operator::In => Some(
                    requirement
                        .values
                        .iter()
                        .map(|value| Anchor::Label(requirement.key.name.clone(), value.clone()))
                        .collect(),
                ),
                Operator::Exists => Some(vec![Anchor::Key(requirement.key.name.clone())]),
                Operator::NotIn | Operator::DoesNotExist => None,
            })
            .collect(),
        PeerSelector::Cidr { .. } => vec![vec![Anchor::Outside]],
        PeerSelector::CidrGroups {
            groups: CidrGroups::Named(_),
            ..
        } => vec![vec![Anchor::Outside]],
        PeerSelector::Fqdn { name, .. } if !name.is_empty() && !name.contains('*') => {
            let rooted = super::names::canonical(name);
            let mut anchors = vec![Anchor::Name(rooted.as_str().into())];
            let plain = name.to_lowercase();
            if plain != rooted {
                anchors.push(Anchor::Name(plain.into()));
            }
            vec![anchors]
        }
        PeerSelector::Fqdn { .. } => vec![vec![Anchor::Outside]],
        PeerSelector::Everyone | PeerSelector::CidrGroups { .. } => Vec::new(),
    }
}
