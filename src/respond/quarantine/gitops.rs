//! What deploys the cluster, and what that does to a quarantine put there by hand.
//!
//! Owns the explanations: what happens to a label on a pod, on a template, and to a policy
//! that no repository has. They are about Argo CD and Flux as their documentation and code
//! say; nothing of a cluster is looked at.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::plan::Subjects;
use crate::policy::{ObjectId, ObjectKind};
use crate::respond::KnownPod;
use crate::respond::layout::Page;

/// Sentences, each about one thing.
pub(super) fn notes(
    subjects: &Subjects,
    pods: &[&KnownPod],
    object: &ObjectId,
    files: &[(ObjectKind, Arc<str>, Arc<str>)],
) -> Vec<String> {
    let place = match folder(object, files) {
        Some(folder) => format!("beside the others of its kind, in {folder}"),
        None if object.namespace.is_empty() => {
            "to the path of your cluster-wide policies".to_owned()
        }
        None => format!("to the path of the policies of {}", object.namespace),
    };
    let mut notes = vec![format!(
        "The policy is in no repository, so neither Argo CD nor Flux owns it: an Application or Kustomization prunes only what it deployed itself, by its own tracking label or inventory. To have it deployed, commit {} {place}. A commit that is reverted then takes it away.",
        Page::Quarantine.file(),
    )];
    if let Subjects::Labelled { key } = subjects {
        notes.push(format!(
            "The label goes on the pod, not on the template of its workload. Pods that a controller makes are in no repository: self-heal of Argo CD and the drift correction of Flux compare what is in Git, which is the workload, and leave its pods alone. {key} stays until somebody takes it away or the pod is deleted."
        ));
        notes.push(
            "On the template the label would be wrong twice: it is a change of what is in Git, which self-heal takes back, and a change of the template rolls out new pods and deletes the one that is evidence."
                .to_owned(),
        );
        let bare = pods
            .iter()
            .any(|pod| pod.declared && &*pod.kind == "Pod" && !pod.pod.is_empty());
        if bare {
            notes.push(
                "A pod here is declared on its own, so it may be in Git itself. Argo CD keeps labels that Git does not have unless the Application syncs with Replace=true or Force. Flux takes back what kubectl changed under its own name; --field-manager=flowwatch goes by another one and stays."
                    .to_owned(),
            );
        }
        notes.push(
            "The label changes neither owner nor Service: the ReplicaSet still counts the pod, and Services still send it connections, which now hang, as its readiness probe goes on passing. Taking away a label that the ReplicaSet selects by, such as pod-template-hash, makes it let go of the pod and start a clean one: the suspect stays, nobody scales it away. Taking away the label that the Service selects by takes it out of the Service. Neither changes the quarantine, which goes by its own label."
                .to_owned(),
        );
        notes.push(format!(
            "A pod that takes the place of this one does not carry {key}. If the image or what it runs with is the cause, the replacement is open and as bad."
        ));
    } else {
        notes.push(
            "No label is put on a pod, so nothing of the workload in Git differs and nothing rolls out."
                .to_owned(),
        );
    }
    notes.push(
        "Nothing takes the policy away at the time it says: the annotation is for people and for flowwatch."
            .to_owned(),
    );
    notes
}

/// The folder that most policies like this one are in.
fn folder(object: &ObjectId, files: &[(ObjectKind, Arc<str>, Arc<str>)]) -> Option<String> {
    let mut folders: BTreeMap<&Path, usize> = BTreeMap::new();
    for (kind, namespace, file) in files {
        let is_wide = |kind| kind == ObjectKind::CiliumClusterwideNetworkPolicy;
        if is_wide(*kind) != is_wide(object.kind) || *namespace != object.namespace {
            continue;
        }
        if let Some(folder) = Path::new(&**file).parent() {
            *folders.entry(folder).or_default() += 1;
        }
    }
    let (folder, _) = folders.into_iter().max_by_key(|(_, count)| *count)?;
    let shown = folder.display().to_string();
    (!shown.is_empty()).then_some(shown)
}
