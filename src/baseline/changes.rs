//! When workloads got new pod templates, as far as flows show it.
//!
//! Owns finding that in the names of pods: `NAME-HASH-RANDOM`. What a change means for what
//! is learned and said is not its. Pods of StatefulSets and DaemonSets do not show it.
//!
//! A change has the time of the first flow of the new template, whichever batch it comes in.
//! Bounded: 8 templates a workload, [`MOST`] workloads; 16 dictionaries at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::names::Names;
use crate::connection::{PeerId, workload_of};
use crate::flow::{Endpoint, FlowBatch, template_hash};

/// Workloads whose templates are remembered.
const MOST: usize = 1 << 16;
/// Templates of one that are.
const MOST_TEMPLATES: usize = 8;
/// Epochs of dictionaries that are remembered.
const MOST_EPOCHS: usize = 16;

/// Finds changes.
#[derive(Debug, Default)]
pub struct Changes {
    /// By epoch: when each endpoint was first seen.
    epochs: Vec<(u64, Vec<i64>)>,
    /// Templates of a workload and when each was first seen.
    templates: HashMap<PeerId, Vec<Template>, RandomState>,
    /// What is not applied yet.
    waiting: BTreeSet<(i64, PeerId, Arc<str>)>,
}

#[derive(Clone, Debug)]
struct Template {
    hash: Arc<str>,
    first: i64,
    applied: bool,
}

impl Changes {
    /// Looks at who the flows of a batch are about.
    pub fn batch(&mut self, batch: &FlowBatch, names: &mut Names) {
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
        let Some(hash) = template_hash(&endpoint.pod) else {
            return;
        };
        let Some(peer) = workload_of(endpoint) else {
            return;
        };
        let id = names.intern(peer);
        if self.templates.len() >= MOST && !self.templates.contains_key(&id) {
            return;
        }
        let templates = self.templates.entry(id).or_default();
        if let Some(known) = templates.iter_mut().find(|known| &*known.hash == hash) {
            if time < known.first && !known.applied {
                self.waiting.remove(&(known.first, id, known.hash.clone()));
                self.waiting.insert((time, id, known.hash.clone()));
            }
            known.first = known.first.min(time);
            return;
        }
        if templates.len() >= MOST_TEMPLATES {
            let oldest = templates
                .iter()
                .enumerate()
                .filter(|(_, known)| known.applied)
                .min_by_key(|(_, known)| known.first);
            let Some((at, _)) = oldest else {
                return;
            };
            templates.remove(at);
        }
        let hash: Arc<str> = hash.into();
        templates.push(Template {
            hash: hash.clone(),
            first: time,
            applied: false,
        });
        self.waiting.insert((time, id, hash));
    }

    /// Workloads that got a new template before a time, which were not given out before. The
    /// first template that is seen of one is no change.
    pub fn until(&mut self, time: i64) -> Vec<(PeerId, i64)> {
        let mut changed = Vec::new();
        while self.waiting.first().is_some_and(|(at, _, _)| *at < time) {
            let Some((at, id, hash)) = self.waiting.pop_first() else {
                break;
            };
            let Some(templates) = self.templates.get_mut(&id) else {
                continue;
            };
            if templates.iter().any(|known| known.applied) {
                changed.push((id, at));
            }
            if let Some(known) = templates.iter_mut().find(|known| known.hash == hash) {
                known.applied = true;
            }
        }
        changed
    }

    /// What is held, for tests of the bound.
    #[must_use]
    pub fn held(&self) -> usize {
        self.waiting.len() + self.templates.values().map(Vec::len).sum::<usize>()
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
        assert!(changes.held() <= MOST_TEMPLATES, "{}", changes.held());
    }
}
