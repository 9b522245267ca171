//! Releases, renames, drains and previews.
//!
//! Owns when they are and whom they are about.

use std::sync::Arc;

use super::super::super::world::{Call, Tier};
use super::{DAY, PREVIEW, Planner, Relabelled, SECOND, What};

/// Working hours, UTC.
const WORK: (i64, i64) = (8, 17);
/// Workloads of a preview, at most.
const MOST_PREVIEWED: usize = 4;

impl Planner<'_> {
    pub(super) fn churn(&mut self) {
        self.scaled();
        self.releases();
        self.renames();
        let drains = self.settings.churn.drains;
        for at in self.times_of(drains) {
            let at = self.at_work(at);
            self.change(at, 900.0, What::Drain);
        }
        self.previews();
    }

    /// None for a rate of nothing, without a draw.
    pub(super) fn times_of(&mut self, rate: f64) -> Vec<i64> {
        if rate > 0.0 {
            self.times(rate)
        } else {
            Vec::new()
        }
    }

    fn scaled(&mut self) {
        let share = self.settings.churn.scaled.0;
        if share <= 0.0 {
            return;
        }
        for member in 1..self.workloads as u32 {
            let tier = self.world.workloads[member as usize].tier;
            if tier != Tier::Leaf && self.random.chance(share) {
                self.plan.scaled.insert(member);
            }
        }
    }

    fn releases(&mut self) {
        let churn = self.settings.churn.clone();
        let rate = churn.releases * (self.workloads - 1) as f64;
        for at in self.times_of(rate) {
            let at = self.at_work(at);
            let Some(member) = self.some_workload() else {
                return;
            };
            let adds = self
                .random
                .chance(churn.adds.0)
                .then(|| self.new_call_of(member))
                .flatten();
            self.plan.dormant.extend(adds);
            let drops = self.random.chance(churn.drops.0);
            let relabels = self.random.chance(churn.relabels.0);
            let variant = relabels.then(|| {
                let version = format!("v{}", 3 + self.plan.relabelled.len());
                self.relabel(Relabelled {
                    member,
                    name: None,
                    labels: vec![("version".into(), version.into())],
                })
            });
            let what = What::Release {
                member,
                adds,
                drops,
                variant,
            };
            self.change(at, churn.rollout.0 * 4.0, what);
        }
    }

    fn renames(&mut self) {
        let rate = self.settings.churn.renames.0 * (self.workloads - 1) as f64;
        for at in self.times_of(rate) {
            let at = self.at_work(at);
            let Some(member) = self.some_workload() else {
                return;
            };
            let own = &self.world.workloads[member as usize].name;
            let name: Arc<str> = format!("{own}-next").into();
            let variant = self.relabel(Relabelled {
                member,
                name: Some(name),
                labels: Vec::new(),
            });
            self.change(at, 300.0, What::Rename { member, variant });
        }
    }

    /// Namespaces with copies of a few workloads that call each other and one thing shared.
    fn previews(&mut self) {
        let churn = self.settings.churn.clone();
        for (number, at) in self.times_of(churn.previews).into_iter().enumerate() {
            let at = self.at_work(at);
            let Some(first) = self.some_entry() else {
                return;
            };
            let mut copied = vec![first];
            for call in &self.world.calls[..] {
                if let Call::Inside { from, to } = *call
                    && from == first as usize
                    && to != 0
                    && to < self.workloads
                    && copied.len() < MOST_PREVIEWED
                {
                    copied.push(to as u32);
                }
            }
            let name = format!("{PREVIEW}{}", 400 + 7 * number);
            let namespace = self.namespace(&name);
            let members = self.world.workloads.len() as u32;
            for &like in &copied {
                self.workload(namespace, "", Some(like as usize), 0);
            }
            let members = members..self.world.workloads.len() as u32;
            let calls = self.world.calls.len();
            for to in members.clone().skip(1) {
                self.call(members.start, to);
            }
            if let Some(shared) = self.some_server() {
                self.call(members.start, shared);
            }
            // Look-ups are policy's business too.
            for from in members.clone() {
                self.world.calls.push(Call::Inside {
                    from: from as usize,
                    to: 0,
                });
            }
            let calls = calls..self.world.calls.len();
            self.plan.dormant.extend(calls.clone());
            let life = self.random.log_normal(churn.preview_life.0, 0.5);
            self.change(at, life, What::Preview { members, calls });
        }
    }

    pub(super) fn relabel(&mut self, relabelled: Relabelled) -> u32 {
        self.plan.relabelled.push(relabelled);
        // Counted from the end: how many members there are is not known yet.
        self.plan.relabelled.len() as u32 - 1
    }

    /// The same day at a working hour, or the Monday after a weekend.
    pub(super) fn at_work(&mut self, at: i64) -> i64 {
        let mut day = at.div_euclid(DAY);
        // 1970 began on a Thursday.
        while (day + 3).rem_euclid(7) >= 5 {
            day += 1;
        }
        let hours = self.random.between(WORK.0 as f64, WORK.1 as f64);
        let at = day * DAY + (hours * 3_600.0 * SECOND as f64) as i64;
        at.clamp(self.start, self.end - 1)
    }
}
