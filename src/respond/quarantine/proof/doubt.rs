//! Why a plan is not proven, and what to do instead.
//!
//! Owns the reasons. That a pod is on its node's network, or that nobody manages it, is no
//! small matter: no policy is enforced for it, so that success is not claimed whatever the
//! rules say.

use std::collections::BTreeSet;
use std::fmt;

use super::cast::{Cast, is_elsewhere};
use super::{Proof, Scene};
use crate::inventory::identity_relevant;
use crate::pattern::Re2;
use crate::policy::{Cause, OptionName};
use crate::respond::KnownPod;
use crate::respond::quarantine::PREFIX;
use crate::respond::quarantine::pattern::Pattern;
use crate::respond::quarantine::plan::{Plan, Subjects};

/// Names that are said of one doubt.
const MOST_SAID: usize = 12;

/// Why something is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// It is on the network of its node.
    HostNetwork,
    /// Cilium does not manage it.
    Unmanaged,
    /// It is a pod of another cluster.
    OtherCluster,
    /// The label may not become part of the identity.
    LabelFiltered,
    /// The host of the node has no firewall, or it is not known to have one.
    HostFirewall,
    /// Whoever is root on a node can undo what is enforced there.
    NodeOwner,
    /// Nobody is known whom the plan could cut off.
    NobodyToCut,
    /// There are more kinds of pods than are asked about.
    TooManyKinds,
    /// More pods are known than are kept.
    TooManyPods,
    /// Policies do not tell.
    Unknown(Cause),
}

/// Something that is not proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// Why.
    pub doubt: Doubt,
    /// Whom it is about, some of them where there are many.
    pub who: Vec<String>,
    /// How many there are.
    pub count: u64,
    /// What it is about: a sentence.
    pub why: String,
    /// What to do instead: a sentence.
    pub instead: String,
}

/// How it is known that a label becomes part of the identity, which policies go by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LabelReach {
    /// The plan puts no label on anybody.
    #[default]
    NotNeeded,
    /// Flows show a label of the same prefix in an identity.
    Shown,
    /// The agents' configuration was given and takes it.
    Configured,
    /// Nobody gave the agents' configuration; their default takes it.
    Assumed,
    /// It is left out, or may be: why.
    Filtered(String),
}

impl Doubt {
    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HostNetwork => "host network",
            Self::Unmanaged => "unmanaged",
            Self::OtherCluster => "another cluster",
            Self::LabelFiltered => "label filtered",
            Self::HostFirewall => "host firewall",
            Self::NodeOwner => "node owned",
            Self::NobodyToCut => "nobody to cut off",
            Self::TooManyKinds => "too many kinds of pods",
            Self::TooManyPods => "too many pods",
            Self::Unknown(cause) => cause.name(),
        }
    }

    /// What to do instead.
    fn instead(self) -> &'static str {
        match self {
            Self::HostNetwork => {
                "save what you need of it, then delete the pod or cordon and drain its node; only a policy on the host itself (nodeSelector, with the host firewall) reaches what is on its network"
            }
            Self::Unmanaged => {
                "save what you need of it, then restart the pod so that Cilium takes it over, and run this again"
            }
            Self::OtherCluster => {
                "apply the policy and the label in that cluster, and run this again with its policies"
            }
            Self::LabelFiltered => {
                "add flowwatch.io to the agents' labels option and restart them, or use a pattern that selects by labels the pod has"
            }
            Self::HostFirewall => {
                "turn on enable-host-firewall, or cordon and drain the node and cut it off outside of the cluster"
            }
            Self::NodeOwner => {
                "cordon the node, move what is needed off it, and cut it off where it cannot undo it: in the network or at the provider"
            }
            Self::NobodyToCut => "give the manifests, or flows that show the pods",
            Self::TooManyKinds => {
                "fewer labels in the rules that select it, or the label quarantine, whose rules do not need them told apart"
            }
            Self::TooManyPods => "give only the documents and flows of the namespaces concerned",
            Self::Unknown(cause) => cause.hint(),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Adds what is in doubt about the target itself.
pub(super) fn add(plan: &Plan, scene: &Scene<'_>, cast: &Cast, proof: &mut Proof) {
    let is_node = plan.subjects == Subjects::Node;
    let meant = || scene.known.meant(&plan.target);
    let pods = |wanted: fn(&KnownPod) -> bool| -> BTreeSet<String> {
        meant()
            .filter(|pod| wanted(pod))
            .map(KnownPod::name)
            .collect()
    };
    if !plan.target.is_outside() {
        for pod in pods(|pod| pod.host_network) {
            let why = "it is on its node's network, where no policy of pods selects it".to_owned();
            add_one(proof, Doubt::HostNetwork, &pod, why);
        }
        for pod in pods(|pod| pod.unmanaged) {
            let why =
                "flows show it as reserved:unmanaged: no policy is enforced for it".to_owned();
            add_one(proof, Doubt::Unmanaged, &pod, why);
        }
    }
    let elsewhere = meant().filter(|pod| is_elsewhere(pod, &cast.cluster));
    let elsewhere: BTreeSet<String> = elsewhere.map(KnownPod::name).collect();
    for pod in elsewhere {
        let why = format!("it is not of {}, whose policies these are", cast.cluster);
        add_one(proof, Doubt::OtherCluster, &pod, why);
    }
    if cast.subjects.is_empty() && proof.undecided.is_empty() {
        let why = "nobody is known whom the policy selects".to_owned();
        add_one(proof, Doubt::NobodyToCut, &plan.target.to_string(), why);
    }
    if scene.known.left_out() {
        let why = "more pods are known than are kept: some were not asked about".to_owned();
        add_one(proof, Doubt::TooManyPods, &plan.target.to_string(), why);
    }
    if is_node {
        node(plan, scene, proof);
    }
    proof.label = label_reach(plan, scene);
    if let LabelReach::Filtered(why) = &proof.label {
        let why = why.clone();
        add_one(proof, Doubt::LabelFiltered, &plan.target.to_string(), why);
    } else if proof.label == LabelReach::Assumed && scene.policies.strict() {
        let why = "nobody gave the agents' labels option, which may leave the label out".to_owned();
        add_one(proof, Doubt::LabelFiltered, &plan.target.to_string(), why);
    }
}

fn node(plan: &Plan, scene: &Scene<'_>, proof: &mut Proof) {
    let target = plan.target.to_string();
    let options = scene.policies.options();
    if !options.host_firewall {
        let given = options.given.contains(&OptionName::HostFirewall);
        let why = if given {
            "the host firewall is off: a policy with nodeSelector does nothing"
        } else {
            "nobody said that the host firewall is on; without it a policy with nodeSelector does nothing"
        };
        add_one(proof, Doubt::HostFirewall, &target, why.to_owned());
    }
    let why = "whoever is root on the node can take away what Cilium enforces there".to_owned();
    add_one(proof, Doubt::NodeOwner, &target, why);
    debug_assert!(plan.pattern == Pattern::Node);
}

/// Adds what policies do not tell about a pair.
pub(super) fn unknown(proof: &mut Proof, cause: Cause, subject: &str, peer: &str) {
    let why = format!("policies do not tell: {cause}");
    add_one(
        proof,
        Doubt::Unknown(cause),
        &format!("{subject} and {peer}"),
        why,
    );
}

/// Adds one doubt about somebody.
pub(super) fn add_one(proof: &mut Proof, doubt: Doubt, who: &str, why: String) {
    let known = proof
        .undecided
        .iter_mut()
        .find(|known| known.doubt == doubt && known.why == why);
    match known {
        Some(known) => {
            if !known.who.iter().any(|name| name == who) {
                known.count += 1;
                if known.who.len() < MOST_SAID {
                    known.who.push(who.to_owned());
                }
            }
        }
        None => proof.undecided.push(Undecided {
            doubt,
            who: vec![who.to_owned()],
            count: 1,
            why,
            instead: doubt.instead().to_owned(),
        }),
    }
}

/// Whether the label that the plan puts on pods becomes part of their identity.
fn label_reach(plan: &Plan, scene: &Scene<'_>) -> LabelReach {
    if !matches!(plan.subjects, Subjects::Labelled { .. } | Subjects::Node) {
        return LabelReach::NotNeeded;
    }
    if scene.known.own_label_seen() {
        return LabelReach::Shown;
    }
    let config = &scene.policies.inventory().cilium_config;
    let labels = config.iter().find(|(name, _)| &**name == "labels");
    match labels {
        Some((_, value)) if !value.trim().is_empty() => {
            return if takes(value, &format!("{PREFIX}quarantine")) {
                LabelReach::Configured
            } else {
                LabelReach::Filtered(format!(
                    "the agents' labels option ({value}) leaves out flowwatch.io"
                ))
            };
        }
        _ if !config.is_empty() => return LabelReach::Configured,
        _ => {}
    }
    let missing = never_in_an_identity(scene);
    if missing.is_empty() {
        LabelReach::Assumed
    } else {
        LabelReach::Filtered(format!(
            "labels that pods are declared with are in no identity that flows show ({}): the agents leave labels out",
            missing.join(", ")
        ))
    }
}

/// Labels of workloads that flows show, in no identity of anybody.
fn never_in_an_identity(scene: &Scene<'_>) -> Vec<String> {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut workloads = BTreeSet::new();
    for pod in scene.known.pods().filter(|pod| pod.seen) {
        workloads.insert((&pod.namespace, &pod.workload));
        seen.extend(pod.identity.labels.iter().map(|label| &*label.key));
    }
    let mut missing: BTreeSet<String> = BTreeSet::new();
    for pod in scene.known.pods().filter(|pod| pod.declared && !pod.seen) {
        if !workloads.contains(&(&pod.namespace, &pod.workload)) {
            continue;
        }
        for label in &pod.identity.labels {
            let is_own = identity_relevant(&label.key) && !label.key.starts_with("io.");
            if is_own && !seen.contains(&*label.key) {
                missing.insert(label.key.to_string());
            }
        }
    }
    missing.into_iter().take(MOST_SAID).collect()
}

/// Whether a `labels` option takes a label of a pod: a list of expressions that begin where
/// the key begins, with a source or without, `!` before those that leave out.
fn takes(option: &str, key: &str) -> bool {
    let mut including = false;
    let mut included = false;
    for word in option.split_whitespace() {
        let (leaves_out, word) = match word.strip_prefix('!') {
            Some(word) => (true, word),
            None => (false, word),
        };
        let (source, expression) = match word.split_once(':') {
            Some((source, expression)) => (source, expression),
            None => ("", word),
        };
        if !leaves_out && source != "reserved" {
            including = true;
        }
        if !matches!(source, "" | "k8s" | "any") {
            continue;
        }
        let fits = Re2::new(&format!("^(?:{expression})")).is_ok_and(|re| re.is_match(key));
        if fits && leaves_out {
            return false;
        }
        included |= fits;
    }
    included || !including
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_labels_option_takes_a_label_or_leaves_it_out() {
        let key = "flowwatch.io/quarantine";
        for (option, taken) in [
            ("k8s:app k8s:io.kubernetes.pod.namespace", false),
            ("k8s:app flowwatch.io", true),
            ("k8s:flowwatch\\.io/.*", true),
            ("!k8s:pod-template-hash", true),
            ("!flowwatch.io", false),
            ("k8s:.* !k8s:flow.*", false),
            ("reserved:.*", true),
        ] {
            assert_eq!(takes(option, key), taken, "{option}");
        }
    }
}
