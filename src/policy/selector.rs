//! Selectors of policies, after everything Cilium adds to them.
//!
//! Owns what a selector says and its canonical text, which is what makes two of them the
//! same. What is injected for namespace and cluster is decided where entries are made.

use std::sync::Arc;

use ipnet::IpNet;

/// Which source a label must have.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Any source: a key that was written without one.
    Any,
    /// This source only.
    Of(Arc<str>),
}

/// The key of a requirement.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SelectorKey {
    /// Which source.
    pub source: Source,
    /// The label's name.
    pub name: Arc<str>,
}

/// What is asked of a label. Validation leaves only these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    /// The key is there and its value is one of the list.
    In,
    /// The key is absent, or its value is not in the list.
    NotIn,
    /// The key is there.
    Exists,
    /// The key is absent.
    DoesNotExist,
}

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requirement {
    /// Which label.
    pub key: SelectorKey,
    /// What is asked.
    pub operator: Operator,
    /// Values of `In` and `NotIn`, as written.
    pub values: Vec<Arc<str>>,
}

/// A label selector: all requirements have to hold, none of them means everything.
///
/// `matchLabels` and `matchExpressions` are kept apart, since Cilium tells two selectors
/// apart by their text: `app: a` and `app In [a]` mean the same and are not the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelSelector {
    /// From `matchLabels`, sorted by key; `In` with one value each.
    pub labels: Vec<Requirement>,
    /// From `matchExpressions`, in the order written.
    pub expressions: Vec<Requirement>,
}

impl LabelSelector {
    /// All requirements.
    pub fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        self.labels.iter().chain(&self.expressions)
    }
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerSelector {
    /// Everybody, the unknown identity included: the entity `all`.
    Everyone,
    /// Identities by their labels: endpoints, nodes, entities, generated from Services.
    Labels(LabelSelector),
    /// External addresses in a prefix and in none of the exceptions. A prefix of length 0
    /// means everything outside the cluster of that family.
    Cidr {
        /// Host bits masked.
        prefix: IpNet,
        /// Host bits masked, sorted.
        except: Vec<IpNet>,
    },
    /// Members of CIDR groups, selected by the labels that the groups' prefixes give to an
    /// address, and in none of the exceptions.
    CidrGroups {
        /// A requirement on the group's name, or the written selector on its labels.
        groups: CidrGroups,
        /// Host bits masked, sorted.
        except: Vec<IpNet>,
    },
    /// Addresses that DNS gave for a name.
    Fqdn {
        /// `matchName` as written; empty where absent.
        name: Arc<str>,
        /// `matchPattern` as written; empty where absent.
        pattern: Arc<str>,
    },
}

/// Which CIDR groups.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CidrGroups {
    /// `cidrGroupRef`: by name.
    Named(Arc<str>),
    /// `cidrGroupSelector`: by the labels of the group.
    Selected(LabelSelector),
}
