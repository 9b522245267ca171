//! Endpoints as they would be: other labels, another namespace.
//!
//! Owns what becomes of an endpoint before policies see it. Names in reports stay those of
//! the flows. What the labels of a namespace are is whoever's it is who moves somebody there.

use std::sync::Arc;

use crate::connection::{Peer, workload_of};
use crate::flow::{Endpoint, WorkloadName};
use crate::inventory::Inventory;

/// Label of a pod's namespace.
const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Labels of namespaces in the identity of their pods.
const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";

/// A text for a key.
type Pair = (Arc<str>, Arc<str>);

/// Whom a change is about, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alteration {
    /// Namespace of the workload as it is.
    pub namespace: Arc<str>,
    /// Name of the workload.
    pub workload: Arc<str>,
    /// What is changed.
    pub change: Altered,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Altered {
    /// Labels of its pods: a value, or none for a label that goes.
    Labels(Vec<(Arc<str>, Option<Arc<str>>)>),
    /// The namespace: its name and its labels.
    Namespace(Arc<str>, Vec<Pair>),
}

/// All changes, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alterations(Vec<Alteration>);

impl Alterations {
    /// Makes them.
    #[must_use]
    pub fn new(alterations: Vec<Alteration>) -> Self {
        Self(alterations)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes.
    pub fn iter(&self) -> impl Iterator<Item = &Alteration> {
        self.0.iter()
    }

    /// The endpoint after the changes; `None` where they are not about it.
    #[must_use]
    pub fn apply(&self, endpoint: &Endpoint) -> Option<Endpoint> {
        if self.0.is_empty() {
            return None;
        }
        let Some(Peer::Workload {
            namespace, name, ..
        }) = workload_of(endpoint)
        else {
            return None;
        };
        let mut altered: Option<Endpoint> = None;
        for one in &self.0 {
            if one.namespace == namespace && one.workload == name {
                one.change
                    .labels(altered.get_or_insert_with(|| endpoint.clone()));
            }
        }
        altered
    }

    /// The same for what documents tell of a cluster.
    pub fn apply_to(&self, inventory: &mut Inventory) {
        for workload in &mut inventory.workloads {
            let name =
                WorkloadName::of_object(&workload.kind, &workload.name, &workload.spec.labels);
            let of = workload.namespace.clone();
            for one in &self.0 {
                if of.as_ref() != Some(&one.namespace) || name.name != one.workload {
                    continue;
                }
                match &one.change {
                    Altered::Labels(labels) => {
                        for (key, value) in labels {
                            let own = &mut workload.spec.labels;
                            own.retain(|(known, _)| known != key);
                            own.extend(value.iter().map(|value| (key.clone(), value.clone())));
                        }
                    }
                    Altered::Namespace(namespace, _) => {
                        workload.namespace = Some(namespace.clone());
                    }
                }
            }
        }
    }
}

impl Altered {
    fn labels(&self, endpoint: &mut Endpoint) {
        let mut labels: Vec<Arc<str>> = endpoint.labels.clone();
        let mut put = |key: &str, value: Option<&str>| {
            let name = format!("k8s:{key}");
            labels.retain(|label| {
                label
                    .strip_prefix(name.as_str())
                    .is_none_or(|rest| !rest.is_empty() && !rest.starts_with('='))
            });
            if let Some(value) = value {
                labels.push(format!("{name}={value}").into());
            }
        };
        match self {
            Self::Labels(changed) => {
                for (key, value) in changed {
                    put(key, value.as_deref());
                }
            }
            Self::Namespace(namespace, own) => {
                put(NAMESPACE, Some(namespace));
                let of_namespace = format!("k8s:{NAMESPACE_LABELS}");
                labels.retain(|label| !label.starts_with(&of_namespace));
                labels.extend(
                    own.iter()
                        .map(|(key, value)| format!("{of_namespace}{key}={value}").into()),
                );
                endpoint.namespace = namespace.clone();
            }
        }
        labels.sort();
        endpoint.labels = labels.into_iter().collect();
        // The number is that of other labels; 0 with labels is somebody whose number is not
        // known.
        endpoint.identity = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint {
            identity: 4711,
            namespace: "shop".into(),
            pod: "web-7d5b9c6f48-hx2vp".into(),
            labels: [
                "k8s:app=web",
                "k8s:io.cilium.k8s.namespace.labels.team=a",
                "k8s:io.kubernetes.pod.namespace=shop",
                "k8s:tier=front",
                "k8s:tier-b=x",
            ]
            .map(Arc::from)
            .into_iter()
            .collect(),
            ..Endpoint::default()
        }
    }

    fn changed(change: Altered) -> Vec<String> {
        let alterations = Alterations::new(vec![Alteration {
            namespace: "shop".into(),
            workload: "web".into(),
            change,
        }]);
        let altered = alterations.apply(&endpoint()).unwrap();
        altered.labels.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_label_is_put_replaced_or_taken_away() {
        let labels = changed(Altered::Labels(vec![
            ("tier".into(), Some("back".into())),
            ("app".into(), None),
            ("new".into(), Some("".into())),
        ]));
        assert_eq!(
            labels,
            [
                "k8s:io.cilium.k8s.namespace.labels.team=a",
                "k8s:io.kubernetes.pod.namespace=shop",
                "k8s:new=",
                "k8s:tier-b=x",
                "k8s:tier=back",
            ]
        );
    }

    #[test]
    fn another_namespace_brings_its_own_labels() {
        let labels = changed(Altered::Namespace(
            "store".into(),
            vec![("team".into(), "b".into())],
        ));
        assert!(labels.contains(&"k8s:io.kubernetes.pod.namespace=store".to_owned()));
        assert!(labels.contains(&"k8s:io.cilium.k8s.namespace.labels.team=b".to_owned()));
        assert_eq!(labels.len(), 5);
    }

    #[test]
    fn others_stay_as_they_are() {
        let alterations = Alterations::new(vec![Alteration {
            namespace: "shop".into(),
            workload: "db".into(),
            change: Altered::Labels(Vec::new()),
        }]);
        assert_eq!(alterations.apply(&endpoint()), None);
    }
}
