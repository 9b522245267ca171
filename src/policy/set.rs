//! A set of policies: the objects that were read, what became of each, and their entries.
//!
//! Owns the bookkeeping between an entry and the object it comes from. Reading fills it,
//! evaluation reads it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::entry::{Direction, PolicyEntry, Subject};
use crate::inventory::CidrGroup;
use crate::manifest::Place;

/// Kinds of objects that hold policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// `cilium.io/v2`, namespaced
    CiliumNetworkPolicy,
    /// `cilium.io/v2`, cluster-wide
    CiliumClusterwideNetworkPolicy,
    /// `networking.k8s.io/v1`
    NetworkPolicy,
    /// `policy.networking.k8s.io`, Cilium 1.20 and later
    ClusterNetworkPolicy,
}

impl ObjectKind {
    /// As in `kind:`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CiliumNetworkPolicy => "CiliumNetworkPolicy",
            Self::CiliumClusterwideNetworkPolicy => "CiliumClusterwideNetworkPolicy",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
        }
    }
}

/// What names an object: `Kind/namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// Kind.
    pub kind: ObjectKind,
    /// Empty for cluster-wide ones.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl ObjectId {
    /// `namespace/name`, or the name alone of what is in no namespace.
    #[must_use]
    pub fn short(&self) -> String {
        match &*self.namespace {
            "" => self.name.to_string(),
            namespace => format!("{namespace}/{}", self.name),
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind.name(), self.namespace, self.name)
    }
}

/// An object that was read.
#[derive(Clone, Debug)]
pub struct PolicyObject {
    /// Its name.
    pub id: ObjectId,
    /// The file it is from, as given; `<stdin>` for standard input.
    pub file: Arc<str>,
    /// Where in the file.
    pub at: Place,
    /// Why Cilium does not import it; `None` where it does.
    pub rejection: Option<Rejection>,
    /// What is in it that the agent ignores.
    pub warnings: Vec<Warning>,
    /// When it was last changed, where a cluster says so: nanoseconds since 1970 UTC.
    pub changed: Option<i64>,
}

/// Something of an object that has no effect and may be meant to have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The field, as a path.
    pub field: String,
    /// Where it is written.
    pub at: Place,
    /// What is the matter, a lower-case fragment.
    pub message: String,
}

/// Why Cilium does not import an object. None of its rules is enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Stable name of the reason, such as `cidr_invalid`.
    pub class: &'static str,
    /// The field, as a path: `spec.ingress[0].fromCIDR[1]`.
    pub field: String,
    /// Where the field is written.
    pub at: Place,
    /// One sentence, a lower-case fragment.
    pub message: String,
}

/// What could not be read and may hide a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Whose verdicts it might change.
    pub scope: TaintScope,
    /// File.
    pub file: Arc<str>,
    /// Where in the file.
    pub at: Place,
    /// What is the matter, a lower-case fragment.
    pub reason: String,
    /// It was read, and is of a kind that is not modelled.
    pub unmodelled: bool,
}

/// How far a taint reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaintScope {
    /// Subjects of one namespace.
    Namespace(Arc<str>),
    /// Every subject: cluster-wide, or the namespace is not known.
    Everything,
}

/// A rule of a policy whose namespace nobody knows: its subjects may be in any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floating {
    /// The policy; its namespace is empty.
    pub id: ObjectId,
    /// File.
    pub file: Arc<str>,
    /// Where in the file.
    pub at: Place,
    /// Whom it applies to in its namespace.
    pub subject: Subject,
    /// Which way.
    pub direction: Direction,
}

/// Policies ready to be evaluated.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    /// All objects, rejected ones included, in the order read.
    pub objects: Vec<PolicyObject>,
    /// Entries of the accepted ones.
    pub entries: Vec<PolicyEntry>,
    /// What could not be read.
    pub taints: Vec<Taint>,
    /// Rules of policies of unknown namespace: verdicts of whom they might select are not
    /// known.
    pub floating: Vec<Floating>,
    /// CIDR groups that rules can refer to.
    pub cidr_groups: Vec<CidrGroup>,
}

impl PolicySet {
    /// Objects of which no entry is there: refused by Cilium, or of unknown namespace. Two
    /// of one name in two files are two.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        let objects = self.objects.iter();
        let refused = objects.filter(|object| object.rejection.is_some());
        let floating: BTreeSet<(&ObjectId, &str)> = self
            .floating
            .iter()
            .map(|floating| (&floating.id, &*floating.file))
            .collect();
        (refused.count() + floating.len()) as u64
    }
}
