//! What a person types, in order.
//!
//! Owns the commands: saving first, then the policy, then the label, as a label without a
//! policy does nothing and a policy without a label neither. Whether they are typed is the
//! person's decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::QUARANTINE;
use super::pattern::Pattern;
use super::plan::{Step, Subjects};
use crate::respond::Target;
use crate::respond::layout::Page;

/// Flux takes back what kubectl changes under its own name, so that it goes by another.
const MANAGER: &str = "--field-manager=flowwatch";

/// What is labelled.
pub(super) struct Labelling<'a> {
    pub(super) target: &'a Target,
    pub(super) subjects: &'a Subjects,
    pub(super) incident: &'a Arc<str>,
    /// Pods by namespace and name; none where they are not known or too many.
    pub(super) pods: Vec<(Arc<str>, Arc<str>)>,
    /// Labels that select them.
    pub(super) selector: Vec<(Arc<str>, Arc<str>)>,
}

/// To put it in force.
pub(super) fn apply(pattern: Pattern, labelling: &Labelling<'_>) -> Vec<Step> {
    let mut steps = vec![Step {
        command: format!("kubectl apply -f {}", Page::Quarantine.file()),
        why: match labelling.subjects {
            Subjects::Labelled { .. } | Subjects::Node => {
                "The policy. It selects nobody before the label is there."
            }
            _ => "The policy. It is in force at once, for replacements too.",
        }
        .to_owned(),
    }];
    if pattern == Pattern::Node
        && let Target::Node(node) = labelling.target
    {
        steps.insert(
            0,
            Step {
                command: format!("kubectl cordon {node}"),
                why: "Nothing new is scheduled there. What runs goes on.".to_owned(),
            },
        );
        steps.push(Step {
            command: format!(
                "kubectl -n kube-system exec POD-OF-CILIUM-ON-{node} -- cilium-dbg endpoint config HOST-ENDPOINT-ID PolicyAuditMode=Enabled"
            ),
            why: "First only say what would be denied: a host without its API server cannot be reached to take it back. Set Disabled when the verdicts are those you want."
                .to_owned(),
        });
        steps.push(Step {
            command: format!(
                "kubectl label node {node} {QUARANTINE}={} {MANAGER}",
                labelling.incident
            ),
            why: "The label that the policy selects the host by.".to_owned(),
        });
    }
    if let Subjects::Labelled { key } = labelling.subjects {
        steps.extend(label(labelling, key, false));
    }
    steps
}

/// To take it back.
pub(super) fn undo(pattern: Pattern, labelling: &Labelling<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Subjects::Labelled { key } = labelling.subjects {
        steps.extend(label(labelling, key, true));
    }
    if pattern == Pattern::Node
        && let Target::Node(node) = labelling.target
    {
        steps.push(Step {
            command: format!("kubectl label node {node} {QUARANTINE}- {MANAGER}"),
            why: "The policy no longer selects the host.".to_owned(),
        });
    }
    steps.push(Step {
        command: format!("kubectl delete -f {}", Page::Rollback.file()),
        why: "The policy. A pod that still carries the label is free then, too.".to_owned(),
    });
    if pattern == Pattern::Node
        && let Target::Node(node) = labelling.target
    {
        steps.push(Step {
            command: format!("kubectl uncordon {node}"),
            why: "Pods are scheduled there again.".to_owned(),
        });
    }
    steps
}

fn label(labelling: &Labelling<'_>, key: &str, away: bool) -> Vec<Step> {
    let change = if away {
        format!("{key}-")
    } else {
        format!("{key}={}", labelling.incident)
    };
    let why = if away {
        "The label goes; the identity is the old one again within seconds."
    } else {
        "The label. Cilium gives the pod another identity and its policy within seconds. Pods that are gone since are not found, which is no harm."
    };
    let mut by_namespace: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (namespace, pod) in &labelling.pods {
        by_namespace.entry(namespace).or_default().push(pod);
    }
    let mut steps: Vec<Step> = by_namespace
        .into_iter()
        .map(|(namespace, pods)| Step {
            command: format!(
                "kubectl -n {namespace} label pod {} {change} {MANAGER}",
                pods.join(" ")
            ),
            why: why.to_owned(),
        })
        .collect();
    if steps.is_empty() {
        let namespace = labelling
            .target
            .namespace()
            .map_or("NAMESPACE", |namespace| namespace);
        let selector: Vec<String> = labelling
            .selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        steps.push(Step {
            command: if let Target::Pod { name, .. } = labelling.target {
                format!("kubectl -n {namespace} label pod {name} {change} {MANAGER}")
            } else if selector.is_empty() {
                format!("kubectl -n {namespace} label pod NAME {change} {MANAGER}")
            } else {
                format!(
                    "kubectl -n {namespace} label pod -l {} {change} {MANAGER}",
                    selector.join(",")
                )
            },
            why: why.to_owned(),
        });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelling<'a>(
        target: &'a Target,
        subjects: &'a Subjects,
        incident: &'a Arc<str>,
        pods: &[(&str, &str)],
    ) -> Labelling<'a> {
        Labelling {
            target,
            subjects,
            incident,
            pods: pods
                .iter()
                .map(|&(namespace, pod)| (namespace.into(), pod.into()))
                .collect(),
            selector: vec![("app".into(), "web".into())],
        }
    }

    #[test]
    fn the_policy_comes_before_the_label_and_the_label_goes_before_the_policy() {
        let target = Target::Workload {
            namespace: "shop".into(),
            name: "web".into(),
        };
        let subjects = Subjects::Labelled { key: QUARANTINE };
        let incident = Arc::from("INC-1");
        let with = labelling(
            &target,
            &subjects,
            &incident,
            &[("shop", "web-1"), ("shop", "web-2")],
        );
        let commands: Vec<String> = apply(Pattern::LabelQuarantine, &with)
            .into_iter()
            .map(|step| step.command)
            .collect();
        assert_eq!(
            commands,
            [
                "kubectl apply -f 30-quarantine.yaml",
                "kubectl -n shop label pod web-1 web-2 flowwatch.io/quarantine=INC-1 --field-manager=flowwatch",
            ]
        );
        let commands: Vec<String> = undo(Pattern::LabelQuarantine, &with)
            .into_iter()
            .map(|step| step.command)
            .collect();
        assert_eq!(
            commands,
            [
                "kubectl -n shop label pod web-1 web-2 flowwatch.io/quarantine- --field-manager=flowwatch",
                "kubectl delete -f 50-rollback.yaml",
            ]
        );
        let without = labelling(&target, &subjects, &incident, &[]);
        let commands = apply(Pattern::LabelQuarantine, &without);
        assert_eq!(
            commands[1].command,
            "kubectl -n shop label pod -l app=web flowwatch.io/quarantine=INC-1 --field-manager=flowwatch"
        );
    }
}
