//! Selectors of pods, and of all pods but some.
//!
//! Owns leaving somebody out of a deny, which has no exceptions: each selector asks for what
//! is to fit together, and a pod is denied where one of them fits.

use std::collections::BTreeMap;

use super::FORENSICS;
use super::manifest::Kept;
use super::plan::PlanError;
use crate::manifest::Block;

/// Selectors that one list may have.
const MOST_SELECTORS: usize = 64;
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
/// Label of a pod's namespace, as selectors ask for it.
pub(super) const NAMESPACE: &str = "k8s:io.kubernetes.pod.namespace";

/// What a selector asks of one label.
pub(super) type Requirement = (String, &'static str, Vec<String>);

/// Selectors of all pods but those that are kept and the one for forensics. Each is all that
/// is asked together; a pod is denied if one of them fits.
pub(super) fn everyone_but(kept: &[Kept], cluster: Option<&str>) -> Result<Vec<Block>, PlanError> {
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

pub(super) fn requirement(key: &str, operator: &'static str, values: &[&str]) -> Requirement {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    (key.to_owned(), operator, values)
}

pub(super) fn expressions(requirements: impl IntoIterator<Item = Requirement>) -> Block {
    let list = requirements.into_iter().map(|(key, operator, values)| {
        let mut map = vec![
            ("key".to_owned(), Block::text(key)),
            ("operator".to_owned(), Block::text(operator)),
        ];
        if !values.is_empty() {
            map.push((
                "values".to_owned(),
                Block::texts(values.iter().map(String::as_str)),
            ));
        }
        Block::map(map)
    });
    Block::map([("matchExpressions", Block::list(list))])
}

pub(super) fn labels(wanted: impl IntoIterator<Item = (String, String)>) -> Block {
    let wanted = wanted
        .into_iter()
        .map(|(key, value)| (key, Block::text(value)));
    Block::map([("matchLabels", Block::map(wanted))])
}
