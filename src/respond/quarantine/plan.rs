//! What is to be done, as a whole: policies, labels, how to take them back.
//!
//! Owns the order that a plan is made from and whom its policies select. How the policies
//! are written is `manifest`'s, what is typed `steps`'s.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use super::label::name_part;
use super::manifest::{self, Destination, Kept};
use super::pattern::{Pattern, PatternError};
use super::{CUT, QUARANTINE, gitops, steps};
use crate::policy::{ObjectId, ObjectKind};
use crate::respond::{Known, KnownPod, Target};

/// Labels that name an application, in the order they are taken.
const NAMING: [&str; 4] = [
    "app.kubernetes.io/name",
    "app",
    "k8s-app",
    "app.kubernetes.io/instance",
];
/// Labels that Cilium puts into an identity, which are no pod's own.
const DERIVED: [&str; 2] = ["io.cilium.", "io.kubernetes."];
/// Pods that are named one by one in a command.
const MOST_NAMED: usize = 20;

/// What a plan is made for.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Whom it is about, told apart by who is known.
    pub target: Target,
    /// The pattern asked for; `None` for the cheapest that stops it.
    pub pattern: Option<Pattern>,
    /// The incident, as a value of a label; see [`incident_id`](super::incident_id).
    pub incident: Arc<str>,
    /// When it is to be looked at again.
    pub expires: Timestamp,
    /// The one destination that is cut, where the target is not that itself.
    pub cut: Option<Target>,
    /// Who stays connected where a pattern can leave somebody out: workloads, pods,
    /// namespaces.
    pub keep: Vec<Target>,
    /// Addresses that flows show of a destination that is a name.
    pub addresses: Vec<IpAddr>,
    /// Files of the policies in force, with their kind and namespace.
    pub files: Vec<(ObjectKind, Arc<str>, Arc<str>)>,
}

/// Why no plan can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The pattern is not for the target.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Nothing is known of somebody that policies have to select.
    #[error("{0}")]
    Nobody(String),
    /// No address of a name is known, and deny rules are about addresses.
    #[error(
        "no address of {0} is known: deny rules cannot be about names; give flows that show the name, or its addresses"
    )]
    NoAddress(Arc<str>),
    /// The address is of a pod or a node, which prefixes do not select.
    #[error("{address} is {who}: rules about prefixes do not select pods and nodes, so name it")]
    IsInside {
        /// The address.
        address: IpAddr,
        /// `the pod namespace/name`, `the node name`.
        who: String,
    },
    /// Too many of different kinds are to be kept.
    #[error("too many different labels are to be kept: keep whole namespaces, or fewer")]
    TooManyKept,
    /// A pod that is to be labelled is no target of a kind that can be kept or cut.
    #[error("{0} cannot be kept: expected a workload, a pod or a namespace")]
    CannotKeep(String),
}

/// Whom the policies of a plan select.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subjects {
    /// Whoever carries a label that is put there by hand.
    Labelled {
        /// Its key; the value is the incident.
        key: &'static str,
    },
    /// Pods of a namespace by labels that they have.
    Own {
        /// The namespace.
        namespace: Arc<str>,
        /// Labels, key and value; none for all of the namespace.
        labels: Vec<(Arc<str>, Arc<str>)>,
    },
    /// Every endpoint.
    Everybody,
    /// The host of a node that carries the label.
    Node,
}

/// A policy of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Kind, namespace and name.
    pub object: ObjectId,
    /// YAML, with comments.
    pub text: String,
}

/// Something to type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The command, a line or more.
    pub command: String,
    /// What it is for: a sentence.
    pub why: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Whom it is about.
    pub target: Target,
    /// How.
    pub pattern: Pattern,
    /// For which incident.
    pub incident: Arc<str>,
    /// When it is to be looked at again.
    pub expires: Timestamp,
    /// Whom the policies select.
    pub subjects: Subjects,
    /// The policies.
    pub manifests: Vec<Manifest>,
    /// What is cut, where it is one destination.
    pub destination: Option<Destination>,
    /// Who stays connected.
    pub kept: Vec<Kept>,
    /// What to type, in order, after the policies were looked at.
    pub apply: Vec<Step>,
    /// YAML that names what is to be deleted.
    pub rollback: String,
    /// What to type to take it back.
    pub undo: Vec<Step>,
    /// What Argo CD, Flux and controllers of pods do to it: sentences.
    pub gitops: Vec<String>,
}

/// Makes a plan.
///
/// `cluster` is the cluster's name, where it is known.
///
/// # Errors
/// [`PlanError`].
pub fn plan(order: &Order, known: &Known, cluster: Option<&str>) -> Result<Plan, PlanError> {
    let cut = order.cut.is_some() && !order.target.is_outside();
    let pattern = Pattern::choose(&order.target, cut, order.pattern)?;
    let (target, subjects) = subjects(order, pattern, known)?;
    let destination = match pattern {
        Pattern::CutDestination => Some(destination(order, known)?),
        _ => None,
    };
    let mut kept = Vec::new();
    for target in &order.keep {
        kept.push(keep(target, known)?);
    }
    if pattern == Pattern::NamespaceLockdown
        && let Some(namespace) = target.namespace()
    {
        kept.insert(0, Kept::namespace(namespace));
    }
    let draft = manifest::Draft {
        target: &target,
        pattern,
        incident: &order.incident,
        expires: order.expires,
        subjects: &subjects,
        destination: destination.as_ref(),
        kept: &kept,
        cluster,
        name: format!(
            "flowwatch-{}-{}",
            match pattern {
                Pattern::CutDestination => "cut",
                Pattern::RingFence => "fence",
                Pattern::NamespaceLockdown => "lockdown",
                Pattern::Node => "node",
                Pattern::LabelQuarantine | Pattern::KubernetesDenyAll => "quarantine",
            },
            name_part(&order.incident)
        ),
    };
    let manifest = manifest::write(&draft)?;
    let rollback = manifest::rollback(&manifest.object);
    let pods: Vec<&KnownPod> = known.meant(&target).collect();
    let labelling = steps::Labelling {
        target: &target,
        subjects: &subjects,
        incident: &order.incident,
        pods: named(&pods),
        selector: own_labels(&target, known),
    };
    Ok(Plan {
        apply: steps::apply(pattern, &labelling),
        undo: steps::undo(pattern, &labelling),
        gitops: gitops::notes(&subjects, &pods, &manifest.object, &order.files),
        target,
        pattern,
        incident: order.incident.clone(),
        expires: order.expires,
        subjects,
        manifests: vec![manifest],
        destination,
        kept,
        rollback,
    })
}

/// Whom a pattern is about, and whom its policies select.
fn subjects(
    order: &Order,
    pattern: Pattern,
    known: &Known,
) -> Result<(Target, Subjects), PlanError> {
    let target = order.target.clone();
    let own = |target: &Target| {
        let namespace = target.namespace().cloned().unwrap_or_default();
        Subjects::Own {
            namespace,
            labels: own_labels(target, known),
        }
    };
    let is_pod = matches!(target, Target::Pod { .. } | Target::Identity(_));
    Ok(match pattern {
        Pattern::LabelQuarantine | Pattern::KubernetesDenyAll => {
            (target, Subjects::Labelled { key: QUARANTINE })
        }
        Pattern::CutDestination if target.is_outside() => (target, Subjects::Everybody),
        Pattern::CutDestination | Pattern::RingFence if is_pod => {
            (target, Subjects::Labelled { key: CUT })
        }
        Pattern::CutDestination | Pattern::RingFence => {
            let subjects = own(&target);
            if let (Target::Workload { .. }, Subjects::Own { labels, .. }) = (&target, &subjects)
                && labels.is_empty()
            {
                return Err(PlanError::Nobody(format!(
                    "no label of {target} is known by which a policy could select its pods"
                )));
            }
            (target, subjects)
        }
        Pattern::NamespaceLockdown => {
            let namespace = target.namespace().cloned().unwrap_or_default();
            let whole = Target::Namespace(namespace.clone());
            let subjects = Subjects::Own {
                namespace,
                labels: Vec::new(),
            };
            (whole, subjects)
        }
        Pattern::Node => (target, Subjects::Node),
    })
}

fn destination(order: &Order, known: &Known) -> Result<Destination, PlanError> {
    let target = order.cut.as_ref().unwrap_or(&order.target);
    let outside = |prefixes: Vec<IpNet>| {
        let alone = |prefix: &&IpNet| prefix.prefix_len() == prefix.max_prefix_len();
        for address in prefixes.iter().filter(alone).map(IpNet::addr) {
            if let Some(who) = known.inside(address) {
                return Err(PlanError::IsInside { address, who });
            }
        }
        Ok(prefixes)
    };
    Ok(match target {
        Target::Address(prefix) => Destination::Outside {
            name: None,
            prefixes: outside(vec![*prefix])?,
        },
        Target::Name(name) => {
            let mut addresses = order.addresses.clone();
            addresses.sort_unstable();
            addresses.dedup();
            if addresses.is_empty() {
                return Err(PlanError::NoAddress(name.clone()));
            }
            Destination::Outside {
                name: Some(name.clone()),
                prefixes: outside(addresses.into_iter().map(IpNet::from).collect())?,
            }
        }
        inside => {
            let kept = keep(inside, known)?;
            Destination::Inside {
                namespace: kept.namespace,
                labels: kept.labels,
            }
        }
    })
}

/// Somebody of the cluster by namespace and labels.
fn keep(target: &Target, known: &Known) -> Result<Kept, PlanError> {
    match target {
        Target::Namespace(namespace) => Ok(Kept::namespace(namespace)),
        Target::Workload { namespace, .. } | Target::Pod { namespace, .. } => {
            let labels = own_labels(target, known);
            if labels.is_empty() {
                return Err(PlanError::Nobody(format!(
                    "nobody is known of {target}, so that no rule can be written about it: give the manifests, or flows that show it"
                )));
            }
            Ok(Kept {
                namespace: namespace.clone(),
                labels,
            })
        }
        other => Err(PlanError::CannotKeep(other.to_string())),
    }
}

/// Labels that pods of a target have in common and that tell them from others of their
/// namespace, as few as are needed: those that name an application first. All they have in
/// common where nothing tells them apart.
pub(super) fn own_labels(target: &Target, known: &Known) -> Vec<(Arc<str>, Arc<str>)> {
    let mut common: Option<Vec<(Arc<str>, Arc<str>)>> = None;
    for pod in known.meant(target).filter(|pod| !pod.host_network) {
        let own = pod.identity.labels.iter().filter(|label| {
            &*label.source == "k8s"
                && !DERIVED.iter().any(|prefix| label.key.starts_with(prefix))
                && !label.key.starts_with(super::PREFIX)
        });
        let own: Vec<(Arc<str>, Arc<str>)> = own
            .map(|label| (label.key.clone(), label.value.clone()))
            .collect();
        common = Some(match common {
            None => own,
            Some(known) => known
                .into_iter()
                .filter(|label| own.contains(label))
                .collect(),
        });
    }
    let common = common.unwrap_or_default();
    let selects_others = |labels: &[(Arc<str>, Arc<str>)]| {
        known.pods().any(|pod| {
            target.namespace() == Some(&pod.namespace)
                && !pod.is_meant(target)
                && labels
                    .iter()
                    .all(|(key, value)| pod.label(key) == Some(&**value))
        })
    };
    let rank = |key: &str| {
        let named = NAMING.iter().position(|known| *known == key);
        named.unwrap_or(NAMING.len())
    };
    let mut ordered = common;
    ordered.sort_by(|(one, _), (other, _)| rank(one).cmp(&rank(other)).then(one.cmp(other)));
    for count in 1..=ordered.len() {
        let few = &ordered[..count];
        if !selects_others(few) {
            return few.to_vec();
        }
    }
    ordered
}

/// Names of pods, where there are few enough to be named.
fn named(pods: &[&KnownPod]) -> Vec<(Arc<str>, Arc<str>)> {
    let mut names: Vec<(Arc<str>, Arc<str>)> = pods
        .iter()
        .filter(|pod| !pod.pod.is_empty() && !pod.host_network)
        .map(|pod| (pod.namespace.clone(), pod.pod.clone()))
        .collect();
    names.sort();
    names.dedup();
    if names.len() > MOST_NAMED {
        names.clear();
    }
    names
}
