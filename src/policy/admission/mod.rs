//! What the API server says of an object before any agent sees it.
//!
//! Owns its answer to a server-side dry run with strict checking of fields: stored, or why
//! not. A client that does not ask for strict checking has unknown fields dropped without a
//! word; what is left then is the object the agent gets, and [`pruned`] gives it.
//!
//! Kubernetes 1.34 with the resource definitions of Cilium 1.19.4 was asked for the truth.

mod cilium;
mod kubernetes;
mod meta;
mod schema;
mod text;

use self::schema::{Report, Shape};
use super::read::Path;
use crate::manifest::{Node, Place};

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// What becomes of the object.
    pub outcome: AdmissionOutcome,
    /// What is wrong with it; empty where it is stored.
    pub causes: Vec<AdmissionCause>,
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AdmissionOutcome {
    /// 201: it is stored.
    Stored,
    /// 400: it has fields that its kind has not, or of another type.
    Malformed,
    /// 422: a value is not valid.
    Invalid,
    /// The server has no such version of the kind.
    UnknownVersion,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionCause {
    /// The field, as a path.
    pub field: String,
    /// Where it is written.
    pub at: Place,
    /// What is the matter, a lower-case fragment.
    pub message: String,
}

impl AdmissionOutcome {
    /// The HTTP status; 0 where the server knows no such version.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Stored => 201,
            Self::Malformed => 400,
            Self::Invalid => 422,
            Self::UnknownVersion => 0,
        }
    }
}

/// What the API server answers; `None` for kinds that are neither policies nor CIDR groups.
#[must_use]
pub fn admit(node: &Node) -> Option<Admission> {
    let kind = Kind::of(node)?;
    if !kind.has_version(node) {
        return Some(answer(AdmissionOutcome::UnknownVersion, Vec::new()));
    }
    let shape = kind.shape();
    let path = Path::Root;
    let mut report = Report::default();
    shape.unknown(node, &path, &mut report);
    meta::types(node, &mut report);
    if kind == Kind::NetworkPolicy {
        shape.types(node, &path, &mut report);
    }
    if !report.causes.is_empty() {
        return Some(answer(AdmissionOutcome::Malformed, report.causes));
    }
    meta::values(node, &mut report);
    match kind {
        Kind::NetworkPolicy => kubernetes::validate(node, &mut report),
        _ => shape.validate(node, &path, &mut report),
    }
    Some(if report.causes.is_empty() {
        answer(AdmissionOutcome::Stored, Vec::new())
    } else {
        answer(AdmissionOutcome::Invalid, report.causes)
    })
}

/// What is left of an object when unknown fields are dropped; other kinds stay whole.
#[must_use]
pub fn pruned(node: &Node) -> Node {
    let mut node = node.clone();
    if let Some(kind) = Kind::of(&node) {
        kind.shape().prune(&mut node);
    }
    node
}

fn answer(outcome: AdmissionOutcome, causes: Vec<AdmissionCause>) -> Admission {
    Admission { outcome, causes }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cilium,
    CidrGroup,
    NetworkPolicy,
}

impl Kind {
    fn of(node: &Node) -> Option<Self> {
        let (group, _) = node.get("apiVersion")?.as_str()?.split_once('/')?;
        Some(match (group, node.get("kind")?.as_str()?) {
            ("cilium.io", "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy") => Self::Cilium,
            ("cilium.io", "CiliumCIDRGroup") => Self::CidrGroup,
            ("networking.k8s.io" | "extensions", "NetworkPolicy") => Self::NetworkPolicy,
            _ => return None,
        })
    }

    fn has_version(self, node: &Node) -> bool {
        let versions: &[&str] = match self {
            Self::Cilium => &["cilium.io/v2"],
            Self::CidrGroup => &["cilium.io/v2", "cilium.io/v2alpha1"],
            Self::NetworkPolicy => &["networking.k8s.io/v1"],
        };
        let written = node.get("apiVersion").and_then(Node::as_str);
        written.is_some_and(|version| versions.contains(&version))
    }

    fn shape(self) -> &'static Shape {
        match self {
            Self::Cilium => &cilium::POLICY,
            Self::CidrGroup => &cilium::CIDR_GROUP,
            Self::NetworkPolicy => &kubernetes::POLICY,
        }
    }
}
