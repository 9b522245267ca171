//! What connections of one observation have in common to say: when, how many, whether they
//! passed, by which policies, and the flows that show it.
//!
//! Owns summing that up over groups, in any order. Bounded: three flows, 16 policies.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Kind, Observation, Passed, figures, words};
use crate::baseline::{Fate, Group, MOST_SAMPLES};
use crate::connection::PeerId;
use crate::flow::{DropClass, FlowReference};

/// Policies that are named.
const MOST_POLICIES: usize = 16;

/// The sum.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// Connections.
    pub(super) count: u64,
    /// Of these, those that policy denied.
    pub(super) denied: u64,
    /// When the first began; 0 where there is none.
    pub(super) from: i64,
    /// When the last began.
    pub(super) to: i64,
    passed: Option<Passed>,
    gap: bool,
    policies: BTreeSet<Arc<str>>,
    samples: Vec<FlowReference>,
}

impl Account {
    /// Adds a group.
    pub(super) fn add(&mut self, group: &Group) {
        if self.count == 0 {
            (self.from, self.to) = (group.first, group.last);
        }
        self.from = self.from.min(group.first);
        self.to = self.to.max(group.last);
        self.count += group.count;
        let passed = match group.fate {
            Fate::Denied | Fate::Dropped(DropClass::Policy) => Some(Passed::Denied),
            Fate::Audited => Some(Passed::Audited),
            Fate::Dropped(_) => None,
            _ => Some(Passed::Allowed),
        };
        if passed == Some(Passed::Denied) {
            self.denied += group.count;
        }
        self.passed = match (self.passed, passed) {
            (Some(before), Some(this)) => Some(before.and(this)),
            (before, this) => before.or(this),
        };
        for side in [&group.sample.egress, &group.sample.ingress] {
            self.gap |= side.gap.is_some();
            let named = side.recorded.iter().flat_map(|one| one.policies.iter());
            self.policies.extend(named.cloned());
        }
        while self.policies.len() > MOST_POLICIES {
            self.policies.pop_last();
        }
        self.samples.extend(group.samples.iter().cloned());
        let place = |one: &FlowReference| (one.time, one.node.clone(), one.tuple);
        self.samples.sort_by_cached_key(place);
        self.samples.dedup();
        self.samples.truncate(MOST_SAMPLES);
    }

    /// Whether they passed.
    pub(super) fn passed(&self) -> Passed {
        self.passed.unwrap_or_default()
    }

    /// Policies that Hubble names.
    pub(super) fn policies(&self) -> &BTreeSet<Arc<str>> {
        &self.policies
    }

    /// `It was allowed by shop/egress.`: what policy said, as a sentence.
    pub(super) fn verdict(&self) -> String {
        let names: Vec<&str> = self.policies.iter().map(|name| &**name).collect();
        let by = figures::list(&names, names.len());
        match (self.passed(), by.is_empty()) {
            (Passed::Allowed, true) if self.gap => {
                "It was allowed, and no narrow rule asks for it.".to_owned()
            }
            (Passed::Allowed, true) => "It was allowed.".to_owned(),
            (Passed::Allowed, false) => format!("It was allowed by {by}."),
            (Passed::Denied, true) => "It was denied: no rule allows it.".to_owned(),
            (Passed::Denied, false) => format!("It was denied by {by}."),
            (Passed::Audited, _) => "Audit mode let it pass: it would be denied.".to_owned(),
            (Passed::Mixed, _) => format!(
                "{} of {} were denied.",
                words::number(self.denied),
                words::number(self.count)
            ),
        }
    }

    /// An observation of them, with nothing said yet about how unusual it is.
    pub(super) fn observation(&self, kind: Kind, subject: PeerId) -> Observation {
        Observation {
            kind,
            subject,
            peer: None,
            port: None,
            from: self.from,
            to: self.to,
            p: 1.0,
            fixed: false,
            observed: self.count as f64,
            expected: 0.0,
            n: self.count,
            evidence: Vec::new(),
            normal: String::new(),
            samples: self.samples.clone(),
            passed: self.passed(),
            gap: self.gap,
            policies: self.policies.iter().cloned().collect(),
            rules: Vec::new(),
            key: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::testing::Scenery;

    #[test]
    fn the_sum_does_not_depend_on_the_order() {
        let mut scenery = Scenery::default();
        let groups: Vec<Group> = [
            (5, Fate::Answered),
            (2, Fate::Denied),
            (9, Fate::Denied),
            (1, Fate::Dropped(DropClass::Routing)),
            (7, Fate::Answered),
        ]
        .map(|(time, fate)| scenery.group("a/b", "c/d", 80, time, fate))
        .to_vec();
        let sum = |order: &mut dyn Iterator<Item = &Group>| {
            let mut account = Account::default();
            order.for_each(|group| account.add(group));
            account.observation(Kind::Scan, PeerId(2))
        };
        let one = sum(&mut groups.iter());
        assert_eq!(one, sum(&mut groups.iter().rev()));
        assert_eq!((one.from, one.to, one.n), (1, 9, 5));
        assert_eq!(one.passed, Passed::Mixed);
        assert_eq!(one.samples.len(), 3);
        assert_eq!(one.samples[0].time, 1);
    }
}
