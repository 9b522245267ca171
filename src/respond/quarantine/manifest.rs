//! The policies of each pattern, written out.
//!
//! Owns which rules a pattern is made of and why each is there. Deny rules, since Kubernetes'
//! deny-all takes away nothing that some policy allows. Whether they hold is `proof`'s.
//!
//! A deny has no exceptions: whoever is to stay connected is left out by the selector of the
//! peers that are denied. All patterns but the cut are cluster-wide policies, as these select
//! peers of every namespace; `io.cilium.k8s.policy.cluster` is asked for where nothing else
//! is about the cluster, since Cilium would else limit a selector to the own one.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use super::pattern::Pattern;
use super::plan::{Manifest, Plan, PlanError, Subjects};
use super::words::wrapped;
use super::yaml::Yaml;
use super::{CUT, EXPIRES, FORENSICS, INCIDENT, PREFIX, QUARANTINE};
use crate::policy::{Direction, ObjectId, ObjectKind};
use crate::respond::Target;

/// Selectors that one list may have.
const MOST_SELECTORS: usize = 64;
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
const NAMESPACE: &str = "k8s:io.kubernetes.pod.namespace";
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
    let mut metadata = vec![("name".to_owned(), Yaml::text(&draft.name))];
    if !namespace.is_empty() {
        metadata.push(("namespace".to_owned(), Yaml::text(&namespace)));
    }
    metadata.push((
        "labels".to_owned(),
        Yaml::map([(INCIDENT, Yaml::text(draft.incident))]),
    ));
    metadata.push((
        "annotations".to_owned(),
        Yaml::map([
            (EXPIRES.to_owned(), Yaml::text(&draft.expires.to_string())),
            (
                format!("{PREFIX}target"),
                Yaml::text(&draft.target.to_string()),
            ),
            (format!("{PREFIX}pattern"), Yaml::text(draft.pattern.name())),
        ]),
    ));
    let version = if kind == ObjectKind::NetworkPolicy {
        "networking.k8s.io/v1"
    } else {
        "cilium.io/v2"
    };
    let document = Yaml::map([
        ("apiVersion", Yaml::text(version)),
        ("kind", Yaml::text(kind.name())),
        ("metadata", Yaml::Map(metadata)),
        ("spec", Yaml::Map(spec(draft)?)),
    ]);
    let mut text = wrapped(&lead(draft), "# ");
    text.push_str(&document.document());
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
    let mut metadata = vec![("name", Yaml::text(&object.name))];
    if !object.namespace.is_empty() {
        metadata.push(("namespace", Yaml::text(&object.namespace)));
    }
    let version = if object.kind == ObjectKind::NetworkPolicy {
        "networking.k8s.io/v1"
    } else {
        "cilium.io/v2"
    };
    let document = Yaml::map([
        ("apiVersion", Yaml::text(version)),
        ("kind", Yaml::text(object.kind.name())),
        ("metadata", Yaml::map(metadata)),
    ]);
    format!(
        "# Names what is to be deleted: kubectl delete -f. Never apply it.\n{}",
        document.document()
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

type Spec = Vec<(String, Yaml)>;

fn spec(draft: &Draft<'_>) -> Result<Spec, PlanError> {
    if draft.pattern == Pattern::KubernetesDenyAll {
        return Ok(vec![
            ("podSelector".to_owned(), subject(draft)),
            ("policyTypes".to_owned(), Yaml::texts(["Ingress", "Egress"])),
        ]);
    }
    let mut spec: Spec = vec![(
        "description".to_owned(),
        Yaml::text(&format!(
            "{} of {} for incident {}",
            draft.pattern, draft.target, draft.incident
        )),
    )];
    let selector = if draft.pattern == Pattern::Node {
        "nodeSelector"
    } else {
        "endpointSelector"
    };
    spec.push((selector.to_owned(), subject(draft)));
    // Without it a list of rules turns on default deny, which cuts what was never meant.
    if !matches!(draft.pattern, Pattern::LabelQuarantine) {
        let off = Yaml::map([
            ("ingress", Yaml::Flag(false)),
            ("egress", Yaml::Flag(false)),
        ]);
        spec.push(("enableDefaultDeny".to_owned(), off));
    }
    match draft.pattern {
        Pattern::CutDestination => cut(draft, &mut spec),
        Pattern::LabelQuarantine => {
            let pods = || -> Result<Vec<Yaml>, PlanError> { Ok(everyone_but(&[], None)?) };
            deny_inward(pods()?, &mut spec);
            deny_outward(pods()?, &mut spec);
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

/// Whom the policy selects.
fn subject(draft: &Draft<'_>) -> Yaml {
    match draft.subjects {
        Subjects::Labelled { key } => labels([((*key).to_owned(), draft.incident.to_string())]),
        Subjects::Node => labels([(QUARANTINE.to_owned(), draft.incident.to_string())]),
        Subjects::Everybody => Yaml::map::<&str>([]),
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
                Yaml::map::<&str>([])
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
                Yaml::list(
                    prefixes
                        .iter()
                        .map(|prefix| Yaml::map([("cidr", Yaml::text(&prefix.to_string()))])),
                )
            };
            let rules = |key: &str, list: Yaml| Yaml::list([Yaml::map([(key.to_owned(), list)])]);
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
            let rule = Yaml::map([("toEndpoints", Yaml::list([labels(wanted)]))]);
            spec.push(("egressDeny".to_owned(), Yaml::list([rule])));
        }
    }
}

fn deny_inward(pods: Vec<Yaml>, spec: &mut Spec) {
    let rules = Yaml::List(vec![
        (
            "Pods of this cluster and of others.",
            Yaml::map([("fromEndpoints", Yaml::list(pods))]),
        ),
        (
            "Everybody else but the node's own host, whose probes would fail: the container\nwould be restarted, and what it has in memory lost.",
            Yaml::map([("fromEntities", Yaml::texts(CALLERS))]),
        ),
    ]);
    spec.push(("ingressDeny".to_owned(), rules));
}

fn deny_outward(pods: Vec<Yaml>, spec: &mut Spec) {
    let rules = Yaml::List(vec![
        (
            "Pods of this cluster and of others, DNS among them.",
            Yaml::map([("toEndpoints", Yaml::list(pods))]),
        ),
        (
            "Everybody else, the node's own host and its metadata service too.",
            Yaml::map([("toEntities", Yaml::texts(CALLED))]),
        ),
    ]);
    spec.push(("egressDeny".to_owned(), rules));
}

/// A pod with the label for it is not denied; that alone would not let it in.
fn forensics(spec: &mut Spec, outward: bool) {
    let pod = || Yaml::list([labels([(FORENSICS.to_owned(), "true".to_owned())])]);
    spec.push((
        "ingress".to_owned(),
        Yaml::List(vec![(
            "The pod that looks at it.",
            Yaml::map([("fromEndpoints", pod())]),
        )]),
    ));
    if outward {
        spec.push((
            "egress".to_owned(),
            Yaml::list([Yaml::map([("toEndpoints", pod())])]),
        ));
    }
}

/// A host is left its API server, other nodes and health checks: without these nobody can
/// manage it any more. An API server outside has the label of the world, too.
fn node(spec: &mut Spec) -> Result<(), PlanError> {
    let peers = || -> Result<Vec<Yaml>, PlanError> {
        let mut peers = everyone_but(&[], None)?;
        for world in WORLDS {
            peers.push(expressions([
                requirement(world, "Exists", &[]),
                requirement("reserved:kube-apiserver", "DoesNotExist", &[]),
            ]));
        }
        Ok(peers)
    };
    let inward = Yaml::map([("fromEndpoints", Yaml::list(peers()?))]);
    let outward = Yaml::map([("toEndpoints", Yaml::list(peers()?))]);
    spec.push(("ingressDeny".to_owned(), Yaml::list([inward])));
    spec.push(("egressDeny".to_owned(), Yaml::list([outward])));
    Ok(())
}

/// What a selector asks of one label.
type Requirement = (String, &'static str, Vec<String>);

/// Selectors of all pods but those that are kept and the one for forensics. Each is all that
/// is asked together; a pod is denied if one of them fits.
pub(super) fn everyone_but(kept: &[Kept], cluster: Option<&str>) -> Result<Vec<Yaml>, PlanError> {
    // The one value that is let in: any other one is denied, as is none.
    let forensics = requirement(FORENSICS, "NotIn", &["true"]);
    let any_cluster = requirement(CLUSTER, "Exists", &[]);
    let mut by_namespace: BTreeMap<&str, Vec<&Kept>> = BTreeMap::new();
    for one in kept {
        by_namespace.entry(&one.namespace).or_default().push(one);
    }
    let mut selectors: Vec<Vec<Requirement>> = Vec::new();
    let mut outside = vec![forensics.clone(), any_cluster.clone()];
    if !by_namespace.is_empty() {
        let names: Vec<&str> = by_namespace.keys().copied().collect();
        outside.insert(0, requirement(NAMESPACE, "NotIn", &names));
    }
    selectors.push(outside);
    for (namespace, kept) in by_namespace {
        if kept.iter().any(|one| one.labels.is_empty()) {
            continue;
        }
        // None of the kept ones: of each, one of its labels is another.
        let mut others: Vec<BTreeMap<&str, Vec<&str>>> = vec![BTreeMap::new()];
        for one in kept {
            let mut next = Vec::new();
            for other in &others {
                for (key, value) in &one.labels {
                    let mut with = other.clone();
                    let values: &mut Vec<&str> = with.entry(key).or_default();
                    if !values.contains(&&**value) {
                        values.push(value);
                    }
                    next.push(with);
                }
            }
            others = next;
            if others.len() > MOST_SELECTORS {
                return Err(PlanError::TooManyKept);
            }
        }
        for other in others {
            let mut asked = vec![requirement(NAMESPACE, "In", &[namespace])];
            asked.extend(
                other
                    .into_iter()
                    .map(|(key, values)| requirement(key, "NotIn", &values)),
            );
            asked.push(forensics.clone());
            asked.push(any_cluster.clone());
            selectors.push(asked);
        }
    }
    // Pods of other clusters that have the same namespace and labels as those kept.
    if !kept.is_empty()
        && let Some(cluster) = cluster
    {
        selectors.push(vec![
            requirement(CLUSTER, "Exists", &[]),
            requirement(CLUSTER, "NotIn", &[cluster]),
            forensics,
        ]);
    }
    if selectors.len() > MOST_SELECTORS {
        return Err(PlanError::TooManyKept);
    }
    Ok(selectors.into_iter().map(expressions).collect())
}

fn requirement(key: &str, operator: &'static str, values: &[&str]) -> Requirement {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    (key.to_owned(), operator, values)
}

fn expressions(requirements: impl IntoIterator<Item = Requirement>) -> Yaml {
    let list = requirements.into_iter().map(|(key, operator, values)| {
        let mut map = vec![
            ("key".to_owned(), Yaml::Text(key)),
            ("operator".to_owned(), Yaml::text(operator)),
        ];
        if !values.is_empty() {
            map.push((
                "values".to_owned(),
                Yaml::texts(values.iter().map(String::as_str)),
            ));
        }
        Yaml::Map(map)
    });
    Yaml::map([("matchExpressions", Yaml::list(list))])
}

fn labels(wanted: impl IntoIterator<Item = (String, String)>) -> Yaml {
    let wanted = wanted
        .into_iter()
        .map(|(key, value)| (key, Yaml::Text(value)));
    Yaml::map([("matchLabels", Yaml::map(wanted))])
}

fn bare(prefix: &IpNet) -> String {
    if prefix.prefix_len() == prefix.max_prefix_len() {
        prefix.addr().to_string()
    } else {
        prefix.to_string()
    }
}

/// What stands above the policy.
fn lead(draft: &Draft<'_>) -> String {
    let whom = match draft.subjects {
        Subjects::Labelled { key } => format!("Whoever carries {key}={}", draft.incident),
        Subjects::Node => format!(
            "The host of the node that carries {QUARANTINE}={}",
            draft.incident
        ),
        Subjects::Everybody => "Every endpoint of the cluster".to_owned(),
        Subjects::Own { .. } => draft.target.to_string(),
    };
    let what = match draft.pattern {
        Pattern::CutDestination => {
            let destination = draft.destination.map(Destination::shown).unwrap_or_default();
            format!("no longer reaches {destination}. Nothing else changes.")
        }
        Pattern::LabelQuarantine => format!(
            "talks to nobody but the kubelet of its own node, which probes it, and a pod with {FORENSICS}=true."
        ),
        Pattern::RingFence if draft.kept.is_empty() => format!(
            "is called by nobody but the kubelet of its own node and a pod with {FORENSICS}=true. It calls whom it called."
        ),
        Pattern::RingFence => format!(
            "is called by nobody but {}, the kubelet of its own node, and a pod with {FORENSICS}=true. Whom these policies leave out stays under the others.",
            kept(draft.kept)
        ),
        Pattern::NamespaceLockdown => format!(
            "talks to nobody outside of {}, but the kubelet that probes it and a pod with {FORENSICS}=true. What is inside goes on as it did.",
            kept(draft.kept)
        ),
        Pattern::Node => {
            "talks to its API server, other nodes and health checks only. It takes a host firewall; try it in audit mode first."
                .to_owned()
        }
        Pattern::KubernetesDenyAll => {
            "is denied what no policy allows. Everything that some policy allows goes on: this is no quarantine."
                .to_owned()
        }
    };
    let mut text = format!("{whom} {what}");
    if draft.subjects == (&Subjects::Labelled { key: CUT }) {
        text.push_str(" The label is not that of a whole quarantine.");
    }
    text
}

fn kept(kept: &[Kept]) -> String {
    let shown: Vec<String> = kept
        .iter()
        .map(|one| {
            let labels: Vec<String> = one
                .labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            if labels.is_empty() {
                format!("namespace {}", one.namespace)
            } else {
                format!("{} of {}", labels.join(","), one.namespace)
            }
        })
        .collect();
    shown.join(", ")
}

/// Who is to be denied beside what a plan denies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Denied {
    /// All pods but the one for forensics.
    pub(super) pods: bool,
    pub(super) entities: Vec<&'static str>,
    pub(super) prefixes: Vec<IpNet>,
}

impl Denied {
    pub(super) fn is_empty(&self) -> bool {
        !self.pods && self.entities.is_empty() && self.prefixes.is_empty()
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.pods |= other.pods;
        self.entities.extend(&other.entities);
        self.entities.sort_unstable();
        self.entities.dedup();
        self.prefixes.extend(&other.prefixes);
        self.prefixes.sort_unstable();
        self.prefixes.dedup();
    }

    fn list(&self, direction: Direction) -> Yaml {
        let (endpoints, entities, prefixes) = match direction {
            Direction::Ingress => ("fromEndpoints", "fromEntities", "fromCIDRSet"),
            Direction::Egress => ("toEndpoints", "toEntities", "toCIDRSet"),
        };
        let mut rules = Vec::new();
        if self.pods {
            let pods = everyone_but(&[], None).unwrap_or_default();
            rules.push(Yaml::map([(endpoints, Yaml::list(pods))]));
        }
        if !self.entities.is_empty() {
            let list = Yaml::texts(self.entities.iter().copied());
            rules.push(Yaml::map([(entities, list)]));
        }
        if !self.prefixes.is_empty() {
            let cidr = |prefix: &IpNet| Yaml::map([("cidr", Yaml::text(&prefix.to_string()))]);
            let list = Yaml::list(self.prefixes.iter().map(cidr));
            rules.push(Yaml::map([(prefixes, list)]));
        }
        Yaml::list(rules)
    }
}

/// The rules alone, as they stand in the list of their direction.
pub(super) fn rules(direction: Direction, denied: &Denied) -> String {
    let list = match direction {
        Direction::Ingress => "ingressDeny",
        Direction::Egress => "egressDeny",
    };
    Yaml::map([(list, denied.list(direction))]).document()
}

/// A policy that denies more to whom a plan's policies select.
pub(super) fn denying(plan: &Plan, inward: &Denied, outward: &Denied) -> Manifest {
    let draft = Draft {
        target: &plan.target,
        pattern: if plan.pattern == Pattern::Node {
            Pattern::Node
        } else {
            Pattern::LabelQuarantine
        },
        incident: &plan.incident,
        expires: plan.expires,
        subjects: &plan.subjects,
        destination: None,
        kept: &[],
        cluster: None,
        name: format!("flowwatch-more-{}", super::label::name_part(&plan.incident)),
    };
    let selector = if plan.pattern == Pattern::Node {
        "nodeSelector"
    } else {
        "endpointSelector"
    };
    let mut spec = vec![
        (selector.to_owned(), subject(&draft)),
        (
            "enableDefaultDeny".to_owned(),
            Yaml::map([
                ("ingress", Yaml::Flag(false)),
                ("egress", Yaml::Flag(false)),
            ]),
        ),
    ];
    for (list, denied, direction) in [
        ("ingressDeny", inward, Direction::Ingress),
        ("egressDeny", outward, Direction::Egress),
    ] {
        if !denied.is_empty() {
            spec.push((list.to_owned(), denied.list(direction)));
        }
    }
    let document = Yaml::map([
        ("apiVersion", Yaml::text("cilium.io/v2")),
        ("kind", Yaml::text("CiliumClusterwideNetworkPolicy")),
        ("metadata", Yaml::map([("name", Yaml::text(&draft.name))])),
        ("spec", Yaml::Map(spec)),
    ]);
    Manifest {
        object: ObjectId {
            kind: ObjectKind::CiliumClusterwideNetworkPolicy,
            namespace: Arc::default(),
            name: draft.name.as_str().into(),
        },
        text: document.document(),
    }
}
