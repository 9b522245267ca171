//! The policies of each pattern, written out.
//!
//! Owns which rules a pattern is made of and why each is there. Deny rules, since Kubernetes'
//! deny-all takes away nothing that some policy allows. Whether they hold is `proof`'s.
//!
//! A deny has no exceptions: whoever is to stay connected is left out by the selector of the
//! peers that are denied. All patterns but the cut are cluster-wide policies, as these select
//! peers of every namespace; `io.cilium.k8s.policy.cluster` is asked for where nothing else
//! is about the cluster, since Cilium would else limit a selector to the own one.

use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use super::lead::lead;
use super::pattern::Pattern;
use super::plan::{Manifest, PlanError, Subjects};
use super::selectors::{NAMESPACE, everyone_but, expressions, labels, requirement};
use super::words::wrapped;
use super::{EXPIRES, FORENSICS, INCIDENT, PREFIX, QUARANTINE};
use crate::manifest::{Block, Layout};
use crate::policy::{ObjectId, ObjectKind};
use crate::respond::Target;

/// Whoever else there is, towards a pod. Without `host`: the kubelet's probes come from it.
const CALLERS: [&str; 7] = [
    "world",
    "remote-node",
    "kube-apiserver",
    "unmanaged",
    "health",
    "ingress",
    "init",
];
/// Whoever else there is, from a pod.
const CALLED: [&str; 8] = [
    "world",
    "remote-node",
    "host",
    "kube-apiserver",
    "unmanaged",
    "health",
    "ingress",
    "init",
];
/// Labels of what is outside, by family.
const WORLDS: [&str; 3] = [
    "reserved:world",
    "reserved:world-ipv4",
    "reserved:world-ipv6",
];

/// The one destination that is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Outside the cluster.
    Outside {
        /// The name it was given by.
        name: Option<Arc<str>>,
        /// Its addresses.
        prefixes: Vec<IpNet>,
    },
    /// Pods.
    Inside {
        /// Their namespace.
        namespace: Arc<str>,
        /// Their labels; none for all of the namespace.
        labels: Vec<(Arc<str>, Arc<str>)>,
    },
}

/// Pods that stay connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Their namespace.
    pub namespace: Arc<str>,
    /// Their labels; none for all of the namespace.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
}

/// What a policy is written from.
pub(super) struct Draft<'a> {
    pub(super) target: &'a Target,
    pub(super) pattern: Pattern,
    pub(super) incident: &'a Arc<str>,
    pub(super) expires: Timestamp,
    pub(super) subjects: &'a Subjects,
    pub(super) destination: Option<&'a Destination>,
    pub(super) kept: &'a [Kept],
    pub(super) cluster: Option<&'a str>,
    pub(super) name: String,
}

impl Kept {
    /// All pods of a namespace.
    #[must_use]
    pub fn namespace(namespace: &Arc<str>) -> Self {
        Self {
            namespace: namespace.clone(),
            labels: Vec::new(),
        }
    }
}

impl Destination {
    /// `q7x2-sync.edge.example (203.0.113.7)`, `payments: app=payments`.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Outside { name, prefixes } => {
                let list: Vec<String> = prefixes.iter().map(bare).collect();
                match name {
                    Some(name) => format!("{name} ({})", list.join(", ")),
                    None => list.join(", "),
                }
            }
            Self::Inside { namespace, labels } if labels.is_empty() => format!("{namespace}/*"),
            Self::Inside { namespace, labels } => {
                let labels: Vec<String> = labels
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                format!("{namespace}: {}", labels.join(","))
            }
        }
    }
}

/// Writes the policy of a pattern.
///
/// # Errors
/// [`PlanError::TooManyKept`].
pub(super) fn write(draft: &Draft<'_>) -> Result<Manifest, PlanError> {
    let (kind, namespace) = kind(draft);
    let mut metadata = vec![("name".to_owned(), Block::text(draft.name.clone()))];
    if !namespace.is_empty() {
        metadata.push(("namespace".to_owned(), Block::text(namespace.to_string())));
    }
    metadata.push((
        "labels".to_owned(),
        Block::map([(INCIDENT, Block::text(draft.incident.to_string()))]),
    ));
    metadata.push((
        "annotations".to_owned(),
        Block::map([
            (EXPIRES.to_owned(), Block::text(draft.expires.to_string())),
            (
                format!("{PREFIX}target"),
                Block::text(draft.target.to_string()),
            ),
            (
                format!("{PREFIX}pattern"),
                Block::text(draft.pattern.name()),
            ),
        ]),
    ));
    let version = if kind == ObjectKind::NetworkPolicy {
        "networking.k8s.io/v1"
    } else {
        "cilium.io/v2"
    };
    let document = Block::map([
        ("apiVersion", Block::text(version)),
        ("kind", Block::text(kind.name())),
        ("metadata", Block::map(metadata)),
        ("spec", Block::map(spec(draft)?)),
    ]);
    let mut text = wrapped(&lead(draft), "# ");
    text.push_str(&document.document(Layout::default()));
    Ok(Manifest {
        object: ObjectId {
            kind,
            namespace,
            name: draft.name.as_str().into(),
        },
        text,
    })
}

/// What `kubectl delete -f` needs to find the object.
pub(super) fn rollback(object: &ObjectId) -> String {
    let mut metadata = vec![("name", Block::text(object.name.to_string()))];
    if !object.namespace.is_empty() {
        metadata.push(("namespace", Block::text(object.namespace.to_string())));
    }
    let version = if object.kind == ObjectKind::NetworkPolicy {
        "networking.k8s.io/v1"
    } else {
        "cilium.io/v2"
    };
    let document = Block::map([
        ("apiVersion", Block::text(version)),
        ("kind", Block::text(object.kind.name())),
        ("metadata", Block::map(metadata)),
    ]);
    format!(
        "# Names what is to be deleted: kubectl delete -f. Never apply it.\n{}",
        document.document(Layout::default())
    )
}

fn kind(draft: &Draft<'_>) -> (ObjectKind, Arc<str>) {
    match (draft.pattern, draft.subjects) {
        (Pattern::KubernetesDenyAll, _) => (
            ObjectKind::NetworkPolicy,
            draft.target.namespace().cloned().unwrap_or_default(),
        ),
        // Who may write policies of a namespace only can apply a cut.
        (Pattern::CutDestination, Subjects::Own { namespace, .. }) => {
            (ObjectKind::CiliumNetworkPolicy, namespace.clone())
        }
        (Pattern::CutDestination, Subjects::Labelled { .. })
            if draft.target.namespace().is_some() =>
        {
            (
                ObjectKind::CiliumNetworkPolicy,
                draft.target.namespace().cloned().unwrap_or_default(),
            )
        }
        _ => (ObjectKind::CiliumClusterwideNetworkPolicy, Arc::default()),
    }
}

type Spec = Vec<(String, Block)>;

fn spec(draft: &Draft<'_>) -> Result<Spec, PlanError> {
    if draft.pattern == Pattern::KubernetesDenyAll {
        return Ok(vec![
            ("podSelector".to_owned(), subject(draft)),
            (
                "policyTypes".to_owned(),
                Block::texts(["Ingress", "Egress"]),
            ),
        ]);
    }
    let mut spec: Spec = vec![(
        "description".to_owned(),
        Block::text(format!(
            "{} of {} for incident {}",
            draft.pattern, draft.target, draft.incident
        )),
    )];
    spec.push((selector_key(draft.pattern).to_owned(), subject(draft)));
    if draft.pattern != Pattern::LabelQuarantine {
        spec.push(no_default_deny());
    }
    match draft.pattern {
        Pattern::CutDestination => cut(draft, &mut spec),
        Pattern::LabelQuarantine => {
            deny_inward(everyone_but(&[], None)?, &mut spec);
            deny_outward(everyone_but(&[], None)?, &mut spec);
            forensics(&mut spec, true);
        }
        Pattern::RingFence => {
            deny_inward(everyone_but(draft.kept, draft.cluster)?, &mut spec);
            forensics(&mut spec, false);
        }
        Pattern::NamespaceLockdown => {
            deny_inward(everyone_but(draft.kept, draft.cluster)?, &mut spec);
            deny_outward(everyone_but(draft.kept, draft.cluster)?, &mut spec);
            forensics(&mut spec, true);
        }
        Pattern::Node => node(&mut spec)?,
        Pattern::KubernetesDenyAll => {}
    }
    Ok(spec)
}

/// What a policy calls its selector.
pub(super) fn selector_key(pattern: Pattern) -> &'static str {
    if pattern == Pattern::Node {
        "nodeSelector"
    } else {
        "endpointSelector"
    }
}

/// Without it a list of rules turns on default deny, which cuts what was never meant.
pub(super) fn no_default_deny() -> (String, Block) {
    let off = Block::map([
        ("ingress", Block::flag(false)),
        ("egress", Block::flag(false)),
    ]);
    ("enableDefaultDeny".to_owned(), off)
}

/// Whom the policy selects.
pub(super) fn subject(draft: &Draft<'_>) -> Block {
    match draft.subjects {
        Subjects::Labelled { key } => labels([((*key).to_owned(), draft.incident.to_string())]),
        Subjects::Node => labels([(QUARANTINE.to_owned(), draft.incident.to_string())]),
        Subjects::Everybody => Block::map::<&str>([]),
        Subjects::Own {
            namespace,
            labels: own,
        } => {
            let is_wide = kind(draft).0 == ObjectKind::CiliumClusterwideNetworkPolicy;
            let mut wanted: Vec<(String, String)> = own
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect();
            if is_wide {
                wanted.push((NAMESPACE.to_owned(), namespace.to_string()));
            }
            if wanted.is_empty() {
                Block::map::<&str>([])
            } else {
                labels(wanted)
            }
        }
    }
}

fn cut(draft: &Draft<'_>, spec: &mut Spec) {
    let Some(destination) = draft.destination else {
        return;
    };
    match destination {
        Destination::Outside { prefixes, .. } => {
            let list = || {
                Block::list(
                    prefixes
                        .iter()
                        .map(|prefix| Block::map([("cidr", Block::text(prefix.to_string()))])),
                )
            };
            let rules =
                |key: &str, list: Block| Block::list([Block::map([(key.to_owned(), list)])]);
            spec.push(("ingressDeny".to_owned(), rules("fromCIDRSet", list())));
            spec.push(("egressDeny".to_owned(), rules("toCIDRSet", list())));
        }
        Destination::Inside {
            namespace,
            labels: own,
        } => {
            let mut wanted: Vec<(String, String)> = own
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect();
            wanted.push((NAMESPACE.to_owned(), namespace.to_string()));
            let rule = Block::map([("toEndpoints", Block::list([labels(wanted)]))]);
            spec.push(("egressDeny".to_owned(), Block::list([rule])));
        }
    }
}

fn deny_inward(pods: Vec<Block>, spec: &mut Spec) {
    let rules = Block::list([Block::map([("fromEndpoints", Block::list(pods))]).commented(["Pods of this cluster and of others.".to_owned()]), Block::map([("fromEntities", Block::texts(CALLERS))]).commented(["Everybody else but the node's own host, whose probes would fail: the container\nwould be restarted, and what it has in memory lost.".to_owned()])]);
    spec.push(("ingressDeny".to_owned(), rules));
}

fn deny_outward(pods: Vec<Block>, spec: &mut Spec) {
    let rules = Block::list([
        Block::map([("toEndpoints", Block::list(pods))])
            .commented(["Pods of this cluster and of others, DNS among them.".to_owned()]),
        Block::map([("toEntities", Block::texts(CALLED))]).commented([
            "Everybody else, the node's own host and its metadata service too.".to_owned(),
        ]),
    ]);
    spec.push(("egressDeny".to_owned(), rules));
}

/// A pod with the label for it is not denied; that alone would not let it in.
fn forensics(spec: &mut Spec, outward: bool) {
    let pod = || Block::list([labels([(FORENSICS.to_owned(), "true".to_owned())])]);
    spec.push((
        "ingress".to_owned(),
        Block::list([Block::map([("fromEndpoints", pod())])
            .commented(["The pod that looks at it.".to_owned()])]),
    ));
    if outward {
        spec.push((
            "egress".to_owned(),
            Block::list([Block::map([("toEndpoints", pod())])]),
        ));
    }
}

/// A host is left its API server, other nodes and health checks: without these nobody can
/// manage it any more. An API server outside has the label of the world, too.
fn node(spec: &mut Spec) -> Result<(), PlanError> {
    let peers = || -> Result<Vec<Block>, PlanError> {
        let mut peers = everyone_but(&[], None)?;
        for world in WORLDS {
            peers.push(expressions([
                requirement(world, "Exists", &[]),
                requirement("reserved:kube-apiserver", "DoesNotExist", &[]),
            ]));
        }
        Ok(peers)
    };
    let inward = Block::map([("fromEndpoints", Block::list(peers()?))]);
    let outward = Block::map([("toEndpoints", Block::list(peers()?))]);
    spec.push(("ingressDeny".to_owned(), Block::list([inward])));
    spec.push(("egressDeny".to_owned(), Block::list([outward])));
    Ok(())
}

fn bare(prefix: &IpNet) -> String {
    if prefix.prefix_len() == prefix.max_prefix_len() {
        prefix.addr().to_string()
    } else {
        prefix.to_string()
    }
}
