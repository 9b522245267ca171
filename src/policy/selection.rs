//! Which identities each selector of a policy set selects.
//!
//! Owns the distinct selectors and their sets. Every selector is filed under the rarest
//! thing it asks for, so that a new identity is compared with few of them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ipnet::IpNet;

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
    ids: HashMap<Arc<PeerSelector>, SelectorId, RandomState>,
    selectors: Vec<Arc<Selector>>,
    /// Whom each of them selects.
    sets: Vec<IdSet>,
    /// Which of them are bitmaps: a bit a selector.
    broad: Vec<u64>,
    /// For each identity the other selectors that select it, ascending. A decision asks
    /// many rows about one peer, so this is what it finds in the cache.
    narrow: Vec<Vec<u32>>,
    /// For each identity a sketch of all selectors that select it.
    signatures: Vec<Signature>,
    /// Selectors by what they are filed under.
    filed: HashMap<Anchor, Vec<SelectorId>, RandomState>,
    /// Lengths of the prefixes there are, by family.
    lengths: BTreeSet<(bool, u8)>,
    version: Version,
}

/// A set of selectors, sketched: one that is not in here does not select.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signature([u64; 4]);

#[derive(Debug)]
struct Selector {
    selector: Arc<PeerSelector>,
    names: NamePattern,
}

/// Something without which a selector selects nobody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Anchor {
    /// A label of this name and value, of any source.
    Label(Arc<str>, Arc<str>),
    /// A label of this name.
    Key(Arc<str>),
    /// An address in this prefix.
    Prefix(IpNet),
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
            selector: Arc::new(PeerSelector::Everyone),
            names: NamePattern::All,
        };
        Self {
            ids: HashMap::default(),
            selectors: vec![Arc::new(localhost)],
            sets: vec![IdSet::new()],
            broad: Vec::new(),
            narrow: Vec::new(),
            signatures: Vec::new(),
            filed: HashMap::default(),
            lengths: BTreeSet::new(),
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
            let shared = Arc::new(selector.clone());
            self.ids
                .insert(shared.clone(), SelectorId(self.selectors.len() as u32));
            if let PeerSelector::Cidr { prefix, .. } = selector {
                let v4 = matches!(prefix, IpNet::V4(_));
                self.lengths.insert((v4, prefix.prefix_len()));
            }
            let names = match selector {
                PeerSelector::Fqdn { name, pattern } => {
                    NamePattern::of_selector(name, pattern, self.version)
                }
                _ => NamePattern::All,
            };
            self.sets.push(IdSet::new());
            self.selectors.push(Arc::new(Selector {
                selector: shared,
                names,
            }));
        }
        self.file(first);
        if first > 1 {
            self.fill_few(first, members);
        } else {
            // The agent's own selectors are filled here too.
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
            let own = member.prefixes();
            for (v4, length) in &self.lengths {
                for net in &own {
                    // The world of a family is a label; whoever has one may have the other.
                    let prefix = match (net, v4) {
                        (IpNet::V4(net), true) if *length <= net.prefix_len() => {
                            IpNet::new(net.addr().into(), *length)
                        }
                        (IpNet::V6(net), false) if *length <= net.prefix_len() => {
                            IpNet::new(net.addr().into(), *length)
                        }
                        _ => continue,
                    };
                    if let Ok(prefix) = prefix {
                        look(&Anchor::Prefix(prefix.trunc()));
                    }
                }
                if *length == 0 {
                    look(&Anchor::Prefix(everything(*v4)));
                }
            }
        }
        look(&Anchor::Nothing);
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether a selector selects an identity; not for [`SelectorId::EVERYONE`].
    #[inline]
    pub(super) fn contains(&self, id: SelectorId, index: u32) -> bool {
        let word = self.broad.get((id.0 >> 6) as usize).copied();
        if word.is_some_and(|word| word >> (id.0 & 63) & 1 == 1) {
            return self
                .sets
                .get(id.0 as usize)
                .is_some_and(|set| set.contains(index));
        }
        let own = self.narrow.get(index as usize);
        own.is_some_and(|own| own.binary_search(&id.0).is_ok())
    }

    /// A sketch of the selectors that select an identity.
    #[inline]
    pub(super) fn signature(&self, index: u32) -> Signature {
        self.signatures
            .get(index as usize)
            .copied()
            .unwrap_or_default()
    }

    /// What a selector says; `None` for those that are the agent's own.
    pub(super) fn selector(&self, id: SelectorId) -> Option<&PeerSelector> {
        if id == SelectorId::LOCALHOST {
            return None;
        }
        self.selectors
            .get(id.0 as usize)
            .map(|selector| &*selector.selector)
    }

    fn put(&mut self, id: SelectorId, index: u32) {
        let Some(set) = self.sets.get_mut(id.0 as usize) else {
            return;
        };
        set.insert(index);
        if self.signatures.len() <= index as usize {
            self.signatures
                .resize(index as usize + 1, Signature::default());
        }
        if let Some(signature) = self.signatures.get_mut(index as usize) {
            signature.insert(id.0);
        }
        if matches!(set, IdSet::Dense(_)) {
            let word = (id.0 >> 6) as usize;
            if self.broad.len() <= word {
                self.broad.resize(word + 1, 0);
            }
            if let Some(word) = self.broad.get_mut(word) {
                *word |= 1 << (id.0 & 63);
            }
            return;
        }
        if self.narrow.len() <= index as usize {
            self.narrow.resize(index as usize + 1, Vec::new());
        }
        if let Some(own) = self.narrow.get_mut(index as usize)
            && let Err(place) = own.binary_search(&id.0)
        {
            own.insert(place, id.0);
        }
    }

    fn fill_few(&mut self, first: usize, members: &[Arc<Member>]) {
        for place in first..self.selectors.len() {
            let Some(selector) = self.selectors.get(place).cloned() else {
                continue;
            };
            for (index, member) in members.iter().enumerate() {
                if member.is_selected(&selector.selector, &selector.names) {
                    self.put(SelectorId(place as u32), index as u32);
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

impl Signature {
    fn insert(&mut self, id: u32) {
        let (word, bit) = Self::place(id);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    #[inline]
    pub(super) fn may_have(self, id: u32) -> bool {
        let (word, bit) = Self::place(id);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    #[inline]
    fn place(id: u32) -> (usize, u64) {
        let hash = id.wrapping_mul(0x9e37_79b1) >> 24;
        ((hash >> 6) as usize, 1 << (hash & 63))
    }
}

fn everything(v4: bool) -> IpNet {
    let address = if v4 {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    // A length of 0 fits any address.
    IpNet::new_assert(address, 0)
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
        PeerSelector::Cidr { prefix, .. } => vec![vec![Anchor::Prefix(*prefix)]],
        PeerSelector::Fqdn { name, .. } if !name.is_empty() && !name.contains('*') => {
            let rooted = super::names::canonical(name);
            let mut anchors = vec![Anchor::Name(rooted.as_str().into())];
            let plain = name.to_lowercase();
            if plain != rooted {
                anchors.push(Anchor::Name(plain.into()));
            }
            vec![anchors]
        }
        PeerSelector::Fqdn { .. }
        | PeerSelector::CidrGroups {
            groups: CidrGroups::Named(_),
            ..
        } => vec![vec![Anchor::Outside]],
        PeerSelector::Everyone | PeerSelector::CidrGroups { .. } => Vec::new(),
    }
}
