//! The name of the workload a pod belongs to.
//!
//! Owns telling it from what is known of the pod: its owner where Hubble says it, an
//! object's labels that only its owner puts there, else the form of its name.

use std::sync::Arc;

/// Letters and digits that Kubernetes makes random names of: no vowels, nothing that looks
/// like another one.
const SAFE: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Labels that name an application, in the order they are believed.
const NAMING: [&str; 3] = ["app.kubernetes.io/name", "app", "k8s-app"];
/// Digits of the minute that a CronJob puts behind its name.
const MINUTE_DIGITS: usize = 8;

/// A workload's kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadName {
    /// Kind, such as `Deployment`; empty where it is not known.
    pub kind: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl WorkloadName {
    /// A workload of which both are known.
    #[must_use]
    pub fn new(kind: &str, name: &str) -> Self {
        Self {
            kind: kind.into(),
            name: name.into(),
        }
    }

    /// Of an object of the inventory: what owns it, where its labels tell.
    #[must_use]
    pub fn of_object(kind: &str, name: &str, labels: &[(Arc<str>, Arc<str>)]) -> Self {
        let label = |key: &str| {
            labels
                .iter()
                .find(|(known, _)| &**known == key)
                .map(|(_, value)| &**value)
        };
        match kind {
            "Pod" | "ReplicaSet" => {}
            "Job" => return of_job(name),
            _ => return Self::new(kind, name),
        }
        let hash = label("pod-template-hash").filter(|hash| !hash.is_empty());
        if let Some(hash) = hash {
            let own = if kind == "Pod" {
                name.rsplit_once('-').map_or(name, |(own, _)| own)
            } else {
                name
            };
            let owner = own
                .strip_suffix(hash)
                .and_then(|name| name.strip_suffix('-'));
            return match owner {
                Some(owner) => Self::new("Deployment", owner),
                None => Self::new(kind, name),
            };
        }
        if kind != "Pod" {
            return Self::new(kind, name);
        }
        if let Some(job) = label("batch.kubernetes.io/job-name").or_else(|| label("job-name")) {
            return of_job(job);
        }
        let shorter = name.rsplit_once('-').map(|(shorter, _)| shorter);
        match shorter {
            Some(owner) if label("statefulset.kubernetes.io/pod-name").is_some() => {
                Self::new("StatefulSet", owner)
            }
            Some(owner) if label("controller-revision-hash").is_some() => {
                Self::new("DaemonSet", owner)
            }
            _ => Self::new(kind, name),
        }
    }

    /// Of the owner that Hubble gives for a pod: the one that lives as long as people think
    /// of it, and not what that makes anew for each rollout or run.
    #[must_use]
    pub fn of_owner(kind: &str, name: &str) -> Self {
        match (kind, name.rsplit_once('-')) {
            ("ReplicaSet", Some((owner, hash))) if !owner.is_empty() && is_random(hash, 6..=10) => {
                Self::new("Deployment", owner)
            }
            ("Job", _) => of_job(name),
            _ => Self::new(kind, name),
        }
    }

    /// Of a pod seen in flows of which only its name and labels are known. A Deployment's
    /// pod says its owner by its name alone; otherwise an application's label is asked
    /// first, as several forms look alike.
    #[must_use]
    pub fn of_pod<'a>(pod: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        if let Some(owner) = deployment(pod) {
            return Self::new("Deployment", owner);
        }
        let mut best: Option<(usize, &str)> = None;
        for (key, value) in labels {
            let rank = NAMING.iter().position(|known| *known == key);
            if let Some(rank) = rank
                && !value.is_empty()
                && best.is_none_or(|(known, _)| rank < known)
            {
                best = Some((rank, value));
            }
        }
        if let Some((_, name)) = best {
            return Self::new("", name);
        }
        match pod.rsplit_once('-') {
            Some((owner, last)) if is_random(last, 5..=5) => {
                Self::new("", of_job(owner).name.as_ref())
            }
            Some((owner, last)) if is_ordinal(last) => Self::new("", owner),
            _ => Self::new("", pod),
        }
    }
}

/// A Job, or the CronJob that made it.
fn of_job(name: &str) -> WorkloadName {
    match name.rsplit_once('-') {
        Some((owner, minute))
            if minute.len() == MINUTE_DIGITS && minute.bytes().all(|b| b.is_ascii_digit()) =>
        {
            WorkloadName::new("CronJob", owner)
        }
        _ => WorkloadName::new("Job", name),
    }
}

/// The hash of the template that a Deployment's pod was made from, by its name.
#[must_use]
pub fn template_hash(pod: &str) -> Option<&str> {
    deployment_parts(pod).map(|(_, hash)| hash)
}

fn deployment(pod: &str) -> Option<&str> {
    deployment_parts(pod).map(|(owner, _)| owner)
}

/// `name-<hash of the template>-<random>`.
fn deployment_parts(pod: &str) -> Option<(&str, &str)> {
    let (rest, random) = pod.rsplit_once('-')?;
    let (owner, hash) = rest.rsplit_once('-')?;
    // A CronJob's minute has digits only, which a hash of this length hardly ever has.
    let minute = hash.bytes().all(|byte| byte.is_ascii_digit());
    (!owner.is_empty() && !minute && is_random(random, 5..=5) && is_random(hash, 6..=10))
        .then_some((owner, hash))
}

fn is_random(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|byte| SAFE.contains(&byte))
}

fn is_ordinal(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, name: &str, labels: &[(&str, &str)]) -> (String, String) {
        let labels: Vec<(Arc<str>, Arc<str>)> = labels
            .iter()
            .map(|&(key, value)| (key.into(), value.into()))
            .collect();
        let name = WorkloadName::of_object(kind, name, &labels);
        (name.kind.to_string(), name.name.to_string())
    }

    fn pod(name: &str, labels: &[(&str, &str)]) -> String {
        WorkloadName::of_pod(name, labels.iter().copied())
            .name
            .to_string()
    }

    #[test]
    fn an_object_is_named_by_its_owner_where_its_labels_tell() {
        let pair = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
        for (kind, name, labels, wanted) in [
            (
                "Pod",
                "shop-7d5b9c6f48-hx2vp",
                &[("pod-template-hash", "7d5b9c6f48")][..],
                pair("Deployment", "shop"),
            ),
            (
                "ReplicaSet",
                "shop-7d5b9c6f48",
                &[("pod-template-hash", "7d5b9c6f48")],
                pair("Deployment", "shop"),
            ),
            (
                "Pod",
                "db-0",
                &[
                    ("statefulset.kubernetes.io/pod-name", "db-0"),
                    ("controller-revision-hash", "db-5f4"),
                ],
                pair("StatefulSet", "db"),
            ),
            (
                "Pod",
                "agent-x7k2p",
                &[("controller-revision-hash", "5f4d")],
                pair("DaemonSet", "agent"),
            ),
            (
                "Pod",
                "report-29012345-x7k2p",
                &[("job-name", "report-29012345")],
                pair("CronJob", "report"),
            ),
            ("Job", "migrate", &[], pair("Job", "migrate")),
            ("Pod", "debug-2", &[], pair("Pod", "debug-2")),
            (
                "Deployment",
                "a-7d5b9c6f48",
                &[],
                pair("Deployment", "a-7d5b9c6f48"),
            ),
        ] {
            assert_eq!(object(kind, name, labels), wanted);
        }
    }

    #[test]
    fn what_an_owner_makes_anew_is_known_by_the_owner() {
        for (kind, name, wanted) in [
            ("ReplicaSet", "shop-7d5b9c6f48", ("Deployment", "shop")),
            ("ReplicaSet", "by-hand", ("ReplicaSet", "by-hand")),
            ("Job", "report-29012345", ("CronJob", "report")),
            ("Job", "migrate", ("Job", "migrate")),
            ("StatefulSet", "db", ("StatefulSet", "db")),
        ] {
            let known = WorkloadName::of_owner(kind, name);
            assert_eq!((&*known.kind, &*known.name), wanted);
        }
    }

    #[test]
    fn a_pod_of_flows_is_named_by_its_form_or_its_labels() {
        assert_eq!(
            pod("loki-read-7d5b9c6f48-hx2vp", &[("app", "loki")]),
            "loki-read"
        );
        assert_eq!(pod("db-0", &[("app", "postgres")]), "postgres");
        let both = [
            ("k8s-app", "c"),
            ("app", "b"),
            ("app.kubernetes.io/name", "a"),
        ];
        assert_eq!(pod("x-1", &both), "a");
        assert_eq!(pod("db-0", &[]), "db");
        assert_eq!(pod("agent-x7k2p", &[]), "agent");
        assert_eq!(pod("report-29012345-x7k2p", &[]), "report");
        assert_eq!(pod("web-server", &[]), "web-server");
        assert_eq!(pod("", &[]), "");
    }
}
