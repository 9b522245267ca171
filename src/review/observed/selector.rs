//! Labels that select a workload and nobody else, today and after its next rollout.
//!
//! Owns which labels are stable, which of them people know an application by, and whether a
//! selection picks others of the namespace too. What is selected for is the caller's.

use std::sync::Arc;

use super::roster::{Directory, Labels, Member, WorkloadKey};
use crate::baseline::template;

/// Labels that name an application, those first that are taken first.
const NAMING: [&str; 9] = [
    "app.kubernetes.io/name",
    "app",
    "k8s-app",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "component",
    "name",
    "tier",
    "role",
];
/// One pod in so many is few.
const FEW: usize = 5;
/// Labels that change with a rollout, a run or a pod, or that say nothing of who it is. Those
/// that end in `/` or `-` are prefixes.
const UNSTABLE: [&str; 27] = [
    "pod-template-hash",
    "pod-template-generation",
    "controller-revision-hash",
    "controller-uid",
    "job-name",
    "rollouts-pod-template-hash",
    "statefulset.kubernetes.io/",
    "apps.kubernetes.io/",
    "batch.kubernetes.io/",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/",
    "chart",
    "heritage",
    "version",
    "revision",
    "commit",
    "sha",
    "build",
    "date",
    "track",
    "security.istio.io/",
    "service.istio.io/canonical-revision",
    "topology.istio.io/",
    "kustomize.toolkit.fluxcd.io/",
    "argocd.argoproj.io/",
    "linkerd.io/",
];

/// Labels that select a workload in its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// Key and value, the naming label first.
    pub labels: Labels,
    /// Keys that must not be there.
    pub absent: Vec<Arc<str>>,
}

/// A selector and whom else it selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The labels; empty where there is none that is stable.
    pub selector: Selector,
    /// Names of other workloads of the namespace that it selects too.
    pub also: Vec<WorkloadKey>,
}

impl Selector {
    /// Whether a set of labels is selected.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        self.labels.iter().all(|label| labels.contains(label))
            && self
                .absent
                .iter()
                .all(|key| !labels.iter().any(|(known, _)| known == key))
    }

    fn picks(&self, member: &Member) -> bool {
        member.sets.keys().any(|set| self.selects(set))
    }
}

/// The fewest labels that select a workload and nobody else of its namespace that is known;
/// `None` where nothing is known of it.
#[must_use]
pub fn choose(directory: &Directory, key: &WorkloadKey) -> Option<Chosen> {
    let member = directory.get(key)?;
    let own = stable(member);
    if own.is_empty() {
        return Some(Chosen::default());
    }
    let others: Vec<(&WorkloadKey, &Member)> = directory
        .of_namespace(&key.0, &key.1)
        .filter(|(other, _)| *other != key)
        .collect();
    let mut left = own.clone();
    let mut chosen = Selector {
        labels: vec![left.remove(0)],
        absent: Vec::new(),
    };
    let picked = |selector: &Selector| -> Vec<&(&WorkloadKey, &Member)> {
        let others = others.iter();
        others.filter(|(_, other)| selector.picks(other)).collect()
    };
    loop {
        let now = picked(&chosen).len();
        if now == 0 {
            break;
        }
        // The label that leaves fewest others; of several the one people know best.
        let best = (0..left.len())
            .map(|at| {
                let mut with = chosen.clone();
                with.labels.push(left[at].clone());
                (picked(&with).len(), at)
            })
            .min();
        match best {
            Some((count, at)) if count < now => chosen.labels.push(left.remove(at)),
            _ => break,
        }
    }
    // Who has all of these labels and more is left out by what they have more.
    loop {
        let also = picked(&chosen);
        let Some((_, other)) = also.first() else {
            break;
        };
        let more = stable(other).into_iter().map(|(key, _)| key).find(|key| {
            !member
                .sets
                .keys()
                .any(|set| set.iter().any(|(own, _)| own == key))
        });
        match more {
            Some(key) => chosen.absent.push(key),
            None => break,
        }
    }
    let also = picked(&chosen)
        .into_iter()
        .map(|(key, _)| (*key).clone())
        .collect();
    Some(Chosen {
        selector: chosen,
        also,
    })
}

/// Labels that all pods of a workload have with one value and that outlive them, those first
/// that people know it by. Where there is none, what few pods have instead does not count.
fn stable(member: &Member) -> Labels {
    let all: usize = member.sets.values().sum();
    let of = |least: usize| {
        let sets = member.sets.iter().filter(|(_, pods)| **pods >= least);
        common(sets.map(|(set, _)| set))
    };
    let known = of(0);
    if known.is_empty() {
        of((all / FEW).max(1) + 1)
    } else {
        known
    }
}

fn common<'a>(mut sets: impl Iterator<Item = &'a Labels>) -> Labels {
    let Some(first) = sets.next() else {
        return Labels::new();
    };
    let mut common: Labels = first
        .iter()
        .filter(|label| is_stable(&label.0, &label.1))
        .cloned()
        .collect();
    for set in sets {
        common.retain(|label| set.contains(label));
    }
    common.sort_by_key(|(key, _)| (rank(key), key.clone()));
    common
}

fn rank(key: &str) -> usize {
    let known = NAMING.iter().position(|known| *known == key);
    known.unwrap_or(NAMING.len())
}

fn is_stable(key: &str, value: &str) -> bool {
    let unstable = UNSTABLE.iter().any(|known| {
        if known.ends_with('/') {
            key.starts_with(known)
        } else {
            key == *known
        }
    });
    // A naming label is what it is, however it looks; another one whose value looks like
    // made by a machine is not what people select by.
    !unstable && (rank(key) < NAMING.len() || !value.is_empty() && template(value) == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(directory: &Directory, name: &str) -> (String, String) {
        let key = ("c".into(), "shop".into(), name.into());
        let chosen = choose(directory, &key).unwrap();
        let labels: Vec<String> = chosen
            .selector
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .chain(chosen.selector.absent.iter().map(|key| format!("!{key}")))
            .collect();
        let also: Vec<&str> = chosen.also.iter().map(|(_, _, name)| &**name).collect();
        (labels.join(","), also.join(","))
    }

    #[test]
    fn the_label_people_know_is_enough_where_nobody_else_has_it() {
        let directory = Directory::with(&[
            (
                "shop",
                "web",
                &[
                    ("app", "web"),
                    ("pod-template-hash", "7d5b9c6f48"),
                    ("team", "blue"),
                ],
            ),
            ("shop", "db", &[("app", "db"), ("team", "blue")]),
            // Another namespace has nothing to do with it.
            ("other", "web", &[("app", "web")]),
        ]);
        assert_eq!(shown(&directory, "web"), ("app=web".into(), String::new()));
    }

    #[test]
    fn a_second_label_is_taken_where_the_first_picks_another_workload() {
        let directory = Directory::with(&[
            (
                "shop",
                "loki-read",
                &[
                    ("app.kubernetes.io/name", "loki"),
                    ("app.kubernetes.io/component", "read"),
                    ("zone", "a"),
                ],
            ),
            (
                "shop",
                "loki-write",
                &[
                    ("app.kubernetes.io/name", "loki"),
                    ("app.kubernetes.io/component", "write"),
                    ("zone", "a"),
                ],
            ),
        ]);
        assert_eq!(
            shown(&directory, "loki-read").0,
            "app.kubernetes.io/name=loki,app.kubernetes.io/component=read"
        );
    }

    #[test]
    fn who_has_all_labels_and_more_is_left_out_by_these() {
        let directory = Directory::with(&[
            ("shop", "web", &[("app", "web")]),
            ("shop", "web-canary", &[("app", "web"), ("canary", "yes")]),
        ]);
        assert_eq!(
            shown(&directory, "web"),
            ("app=web,!canary".into(), String::new())
        );
        assert_eq!(
            shown(&directory, "web-canary"),
            ("app=web,canary=yes".into(), String::new())
        );
    }

    #[test]
    fn who_cannot_be_told_apart_is_said() {
        let directory = Directory::with(&[
            ("shop", "a", &[("app", "same"), ("pod-template-hash", "1")]),
            ("shop", "b", &[("app", "same"), ("pod-template-hash", "2")]),
        ]);
        assert_eq!(shown(&directory, "a"), ("app=same".into(), "b".into()));
    }

    #[test]
    fn labels_of_a_rollout_or_a_pod_are_none_to_select_by() {
        for (key, value) in [
            ("pod-template-hash", "7d5b9c6f48"),
            ("controller-revision-hash", "db-5f4d"),
            ("statefulset.kubernetes.io/pod-name", "db-0"),
            ("apps.kubernetes.io/pod-index", "0"),
            ("batch.kubernetes.io/job-name", "x"),
            ("helm.sh/chart", "x-1.2.3"),
            ("build-id", "4f2a9c01b7"),
        ] {
            assert!(!is_stable(key, value), "{key}");
        }
        for (key, value) in [("app", "4711"), ("team", "blue"), ("k8s-app", "kube-dns")] {
            assert!(is_stable(key, value), "{key}");
        }
    }
}
