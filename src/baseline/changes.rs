//! When workloads got new pod templates and other identities, as far as flows show it.
//!
//! Owns finding that in what flows say of endpoints: the template in the names of pods
//! (`NAME-HASH-RANDOM`), the service account and the labels that policies select by. What a
//! change means for what is learned and said is not its. Pods of StatefulSets and DaemonSets
//! do not show their template. Changes of policies are `policy_changes`'s.
//!
//! A change has the time of the first flow that shows it, whichever batch it comes in. What a
//! workload is first seen with is no change, also after a restart: it is not kept in the
//! baseline. Bounded: 8 values a workload, [`MOST`] workloads; 16 dictionaries at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::names::Names;
use super::policy_changes::PolicyChanges;
use crate::connection::{PeerId, workload_of};
use crate::flow::{Endpoint, FlowBatch, template_hash};

/// Workloads of which something is remembered.
const MOST: usize = 1 << 16;
/// Values of one that are.
const MOST_VALUES: usize = 8;
/// Epochs of dictionaries that are remembered.
const MOST_EPOCHS: usize = 16;
/// Bytes of labels that are compared; what is beyond does not tell two apart.
const MOST_LABELS: usize = 512;
/// Others with the same identity that are told.
const MOST_OWNERS: usize = 16;
/// The label of a pod's service account.
const ACCOUNT: &str = "k8s:io.cilium.k8s.policy.serviceaccount=";
/// Labels that say which pod it is, or what the platform adds, and not what it is.
const OTHER: [&str; 9] = [
    "io.cilium.",
    "io.kubernetes.",
    "pod-template-",
    "controller-",
    "statefulset.kubernetes.io/",
    "apps.kubernetes.io/",
    "batch.kubernetes.io/",
    "job-name",
    "topology.kubernetes.io/",
];

/// Finds changes.
#[derive(Debug, Default)]
pub struct Changes {
    /// By epoch: when each endpoint was first seen.
    epochs: Vec<(u64, Vec<i64>)>,
    templates: Track,
    accounts: Track,
    labels: Track,
    policies: PolicyChanges,
}

/// A workload that is something else than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityChange {
    /// Which.
    pub workload: PeerId,
    /// Since when.
    pub time: i64,
    /// What changed.
    pub what: IdentityPart,
    /// What it was; the newest of several.
    pub before: Arc<str>,
    /// What it is.
    pub now: Arc<str>,
    /// Others who were that before, at most 16.
    pub owners: Vec<PeerId>,
}

/// A part of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdentityPart {
    /// The service account.
    Account,
    /// The labels that policies select by, `k8s:app=web,k8s:tier=front`.
    Labels,
}

/// Values of workloads, and when each was first seen.
#[derive(Debug, Default)]
struct Track {
    values: HashMap<PeerId, Vec<Value>, RandomState>,
    /// Workloads that have a value, in their order.
    owners: HashMap<Arc<str>, Vec<PeerId>, RandomState>,
    /// What is not applied yet.
    waiting: BTreeSet<(i64, PeerId, Arc<str>)>,
}

#[derive(Clone, Debug)]
struct Value {
    text: Arc<str>,
    first: i64,
    applied: bool,
}

/// A value that a workload has, and had not.
struct Changed {
    time: i64,
    workload: PeerId,
    before: Arc<str>,
    now: Arc<str>,
}

impl Changes {
    /// Looks at who the flows of a batch are about.
    pub fn batch(&mut self, batch: &FlowBatch, names: &mut Names) {
        self.policies.batch(batch, names);
        let mut found = Vec::new();
        for row in batch.rows() {
            let Some(time) = row.time() else {
                continue;
            };
            let seen = self.epoch(row.dictionaries().epoch());
            for id in [row.source(), row.destination()] {
                let at = id.0 as usize;
                if seen.len() <= at {
                    seen.resize(at + 1, i64::MAX);
                }
                if time < seen[at] {
                    seen[at] = time;
                    found.push((id, time));
                }
            }
            if found.is_empty() {
                continue;
            }
            for (id, time) in found.drain(..) {
                if let Some(endpoint) = row.dictionaries().endpoint(id) {
                    self.note(endpoint, time, names);
                }
            }
        }
    }

    fn epoch(&mut self, number: u64) -> &mut Vec<i64> {
        let at = self.epochs.iter().position(|(known, _)| *known == number);
        let at = at.unwrap_or_else(|| {
            self.epochs.truncate(MOST_EPOCHS - 1);
            self.epochs.insert(0, (number, Vec::new()));
            0
        });
        self.epochs.swap(0, at);
        &mut self.epochs[0].1
    }

    fn note(&mut self, endpoint: &Endpoint, time: i64, names: &mut Names) {
        // Without a pod's name, a workload may be called by the very labels in question.
        if endpoint.pod.is_empty() {
            return;
        }
        let Some(peer) = workload_of(endpoint) else {
            return;
        };
        let id = names.intern(peer);
        if let Some(hash) = template_hash(&endpoint.pod) {
            self.templates.note(id, hash, time);
        }
        let mut labels: Vec<&str> = Vec::new();
        for label in &endpoint.labels {
            if let Some(account) = label.strip_prefix(ACCOUNT) {
                self.accounts.note(id, account, time);
            }
            let own = label.strip_prefix("k8s:").unwrap_or("");
            if !own.is_empty() && !OTHER.iter().any(|other| own.starts_with(other)) {
                labels.push(label);
            }
        }
        if labels.is_empty() {
            return;
        }
        labels.sort_unstable();
        let mut text = labels.join(",");
        text.truncate(text.floor_char_boundary(MOST_LABELS));
        self.labels.note(id, &text, time);
    }

    /// Workloads that got a new template before a time, which were not given out before. The
    /// first template that is seen of one is no change.
    pub fn until(&mut self, time: i64) -> Vec<(PeerId, i64)> {
        let changed = self.templates.until(time).into_iter();
        changed.map(|one| (one.workload, one.time)).collect()
    }

    /// Policies that began to decide before a time, by name, with whose they were first seen to
    /// be and when, likewise.
    pub fn policies_until(&mut self, time: i64) -> Vec<(Arc<str>, PeerId, i64)> {
        let changed = self.policies.until(time).into_iter();
        changed
            .map(|one| (one.policy, one.subject, one.time))
            .collect()
    }

    /// Workloads that got another identity before a time, likewise.
    pub fn identities_until(&mut self, time: i64) -> Vec<IdentityChange> {
        let mut all = Vec::new();
        for (what, track) in [
            (IdentityPart::Account, &mut self.accounts),
            (IdentityPart::Labels, &mut self.labels),
        ] {
            for one in track.until(time) {
                let owners = track.others(&one);
                all.push(IdentityChange {
                    workload: one.workload,
                    time: one.time,
                    what,
                    before: one.before,
                    now: one.now,
                    owners,
                });
            }
        }
        all.sort_by_key(|one| (one.time, one.workload, one.what));
        all
    }

    /// What is held, for tests of the bound.
    #[must_use]
    pub fn held(&self) -> usize {
        let tracks = [&self.templates, &self.accounts, &self.labels];
        self.policies.held() + tracks.map(Track::held).iter().sum::<usize>()
    }
}

impl Track {
    fn note(&mut self, id: PeerId, text: &str, time: i64) {
        if self.values.len() >= MOST && !self.values.contains_key(&id) {
            return;
        }
        let values = self.values.entry(id).or_default();
        if let Some(known) = values.iter_mut().find(|known| &*known.text == text) {
            if time < known.first && !known.applied {
                self.waiting.remove(&(known.first, id, known.text.clone()));
                self.waiting.insert((time, id, known.text.clone()));
            }
            known.first = known.first.min(time);
            return;
        }
        if values.len() >= MOST_VALUES {
            let oldest = values
                .iter()
                .enumerate()
                .filter(|(_, known)| known.applied)
                .min_by_key(|(_, known)| known.first);
            let Some((at, _)) = oldest else {
                return;
            };
            let gone = values.remove(at);
            if let Some(owners) = self.owners.get_mut(&gone.text) {
                owners.retain(|owner| *owner != id);
                if owners.is_empty() {
                    self.owners.remove(&gone.text);
                }
            }
        }
        let text: Arc<str> = text.into();
        values.push(Value {
            text: text.clone(),
            first: time,
            applied: false,
        });
        self.waiting.insert((time, id, text));
    }

    fn until(&mut self, time: i64) -> Vec<Changed> {
        let mut changed = Vec::new();
        while self.waiting.first().is_some_and(|(at, _, _)| *at < time) {
            let Some((at, id, text)) = self.waiting.pop_first() else {
                break;
            };
            let Some(values) = self.values.get_mut(&id) else {
                continue;
            };
            let before = values.iter().filter(|known| known.applied);
            let before = before.max_by_key(|known| known.first);
            if let Some(before) = before {
                changed.push(Changed {
                    time: at,
                    workload: id,
                    before: before.text.clone(),
                    now: text.clone(),
                });
            }
            if let Some(known) = values.iter_mut().find(|known| known.text == text) {
                known.applied = true;
            }
            let owners = self.owners.entry(text).or_default();
            if let Err(at) = owners.binary_search(&id) {
                owners.insert(at, id);
            }
        }
        changed
    }

    /// Others who had the value before.
    fn others(&self, one: &Changed) -> Vec<PeerId> {
        let owners = self.owners.get(&one.now).map_or(&[][..], Vec::as_slice);
        let before = |owner: &&PeerId| {
            let values = self.values.get(*owner);
            **owner != one.workload
                && values.is_some_and(|values| {
                    let same = values.iter().find(|value| value.text == one.now);
                    same.is_some_and(|value| value.applied && value.first < one.time)
                })
        };
        let others = owners.iter().filter(before);
        others.take(MOST_OWNERS).copied().collect()
    }

    fn held(&self) -> usize {
        self.waiting.len()
            + self.values.values().map(Vec::len).sum::<usize>()
            + self.owners.values().map(Vec::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(changes: &mut Changes, names: &mut Names, pod: &str, time: i64) {
        let endpoint = Endpoint {
            namespace: "shop".into(),
            pod: pod.into(),
            ..Endpoint::default()
        };
        changes.note(&endpoint, time, names);
    }

    #[test]
    fn a_new_template_is_a_change_and_the_first_one_is_none() {
        let (mut changes, mut names) = (Changes::default(), Names::default());
        note(&mut changes, &mut names, "cart-7d5b9c6f48-hx2vp", 10);
        note(&mut changes, &mut names, "cart-7d5b9c6f48-bbbbb", 20);
        note(&mut changes, &mut names, "db-0", 20);
        assert!(changes.until(100).is_empty());
        note(&mut changes, &mut names, "cart-6c965d68c9-hx2vp", 150);
        // A batch of another source tells that it was there earlier.
        note(&mut changes, &mut names, "cart-6c965d68c9-ccccc", 120);
        assert!(changes.until(120).is_empty());
        let changed = changes.until(200);
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0].1, 120);
        assert_eq!(names.peers().get(changed[0].0).to_string(), "shop/cart");
        note(&mut changes, &mut names, "cart-7d5b9c6f48-hx2vp", 300);
        assert!(changes.until(400).is_empty());
    }

    #[test]
    fn templates_are_bounded() {
        let (mut changes, mut names) = (Changes::default(), Names::default());
        let letters = b"bcdfghjklm";
        for at in 0..1_000_usize {
            let digit = |by: usize| letters[at / by % 10] as char;
            let pod = format!("cart-bbbb{}{}{}-hx2vp", digit(100), digit(10), digit(1));
            note(&mut changes, &mut names, &pod, at as i64);
            changes.until(at as i64 + 1);
        }
        assert!(changes.held() <= 2 * MOST_VALUES, "{}", changes.held());
    }

    fn pod(changes: &mut Changes, names: &mut Names, name: &str, account: &str, time: i64) {
        let endpoint = Endpoint {
            namespace: "shop".into(),
            pod: format!("{name}-7d5b9c6f48-hx2vp").into(),
            labels: vec![
                format!("{ACCOUNT}{account}").into(),
                "k8s:io.kubernetes.pod.namespace=shop".into(),
                format!("k8s:app={name}").into(),
            ],
            ..Endpoint::default()
        };
        changes.note(&endpoint, time, names);
    }

    #[test]
    fn a_service_account_of_another_is_a_change_with_its_owner() {
        let (mut changes, mut names) = (Changes::default(), Names::default());
        pod(&mut changes, &mut names, "cart", "cart", 10);
        pod(&mut changes, &mut names, "pay", "pay", 10);
        assert!(changes.identities_until(100).is_empty());
        pod(&mut changes, &mut names, "cart", "pay", 150);
        pod(&mut changes, &mut names, "pay", "robot", 160);
        let changed = changes.identities_until(200);
        assert_eq!(changed.len(), 2, "{changed:?}");
        let shown = |id: PeerId| names.peers().get(id).to_string();
        assert_eq!(shown(changed[0].workload), "shop/cart");
        assert_eq!((&*changed[0].before, &*changed[0].now), ("cart", "pay"));
        assert_eq!(changed[0].what, IdentityPart::Account);
        assert_eq!(changed[0].owners.len(), 1);
        assert_eq!(shown(changed[0].owners[0]), "shop/pay");
        assert!(changed[1].owners.is_empty());
    }
}
