//! What stands above a policy: a sentence for whoever opens the file.

use super::manifest::{Destination, Draft, Kept};
use super::pattern::Pattern;
use super::plan::Subjects;
use super::{CUT, FORENSICS, QUARANTINE};

/// What stands above the policy.
pub(super) fn lead(draft: &Draft<'_>) -> String {
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
