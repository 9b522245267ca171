//! What happens without malice and looks as if.
//!
//! Owns when it happens and to whom.

use std::collections::BTreeMap;

use super::super::super::platform::{COLLECTOR, COLLECTOR_PORT};
use super::super::super::world::Call;
use super::super::settings_read::Count;
use super::{Called, DAY, Planner, SECOND, SYSTEM, What};

/// The week's scan begins on Sundays at 01:00.
const SCAN: i64 = 3 * DAY + 3_600 * SECOND;
const WEEK: i64 = 7 * DAY;

impl Planner<'_> {
    pub(super) fn disturbances(&mut self) {
        let knobs = self.settings.disturbances.clone();
        for at in self.some(knobs.backend_outages) {
            let Some(member) = self.some_busy_server() else {
                break;
            };
            let silent = self.random.chance(0.5);
            let length = self.random.between(300.0, 3_600.0);
            self.change(at, length, What::BackendOutage { member, silent });
        }
        for at in self.some(knobs.dns_outages) {
            let silent = self.random.chance(0.5);
            let length = self.random.between(120.0, 900.0);
            self.change(at, length, What::DnsOutage { silent });
        }
        for at in self.some(knobs.flash_crowds) {
            let Some(member) = self.some_entry() else {
                break;
            };
            let length = self.random.between(900.0, 5_400.0);
            self.change(at, length, What::FlashCrowd { member });
        }
        self.load_tests(knobs.load_tests);
        self.scans(knobs.scans);
        for at in self.some(knobs.cdn_rotations) {
            self.plan.cdn_rotations += 1;
            self.change(at, 0.0, What::CdnRotation);
        }
        for at in self.some(knobs.backups) {
            let (Some(member), to) = (self.some_workload(), self.external(Called::Drawn)) else {
                break;
            };
            let call = self.outside(member, to);
            self.plan.dormant.insert(call);
            self.change(at, f64::from(u32::MAX), What::Backup { member, call });
        }
        for at in self.some(knobs.certificate_rotations) {
            let namespaces = self.world.namespaces.len() - 1;
            let namespace = 1 + self.random.below(namespaces.max(1));
            self.change(at, 600.0, What::Certificates { namespace });
        }
        self.policy_rollouts(knobs.policy_rollouts);
        self.observability(knobs.observability_rollouts);
        for at in self.some(knobs.clock_skews) {
            self.change(at, 3_600.0, What::ClockSkew);
        }
        for at in self.some(knobs.loss_periods) {
            let length = self.random.between(3_600.0, 4.0 * 3_600.0);
            self.change(at, length, What::Loss);
        }
    }

    /// So many times of the span.
    fn some(&mut self, count: Count) -> Vec<i64> {
        let after = self.settings.disturbances.after.0;
        let times = (0..count.0).filter_map(|_| self.time_after(after));
        times.collect()
    }

    /// The server of some call: the more call it, the likelier.
    fn some_busy_server(&mut self) -> Option<u32> {
        let count = self.world.calls.len();
        for _ in 0..1_000 {
            let call = self.world.calls.get(self.random.below(count))?;
            if let Call::Inside { to, .. } = *call
                && to != 0
                && to < self.workloads
            {
                return Some(to as u32);
            }
        }
        None
    }

    pub(super) fn outside(&mut self, from: u32, to: usize) -> usize {
        let from = from as usize;
        self.world.calls.push(Call::Outside { from, to });
        self.world.calls.len() - 1
    }

    fn load_tests(&mut self, count: Count) {
        let times = self.some(count);
        if times.is_empty() {
            return;
        }
        let generator = self.workload(SYSTEM, "load-generator", None, 5_665);
        let mut calls = BTreeMap::new();
        for at in times {
            let Some(to) = self.some_entry() else {
                return;
            };
            let call = match calls.get(&to) {
                Some(call) => *call,
                None => self.call(generator, to),
            };
            calls.insert(to, call);
            self.plan.dormant.insert(call);
            let at = self.at_work(at);
            let length = self.random.between(600.0, 1_800.0);
            self.change(at, length, What::LoadTest { call });
        }
    }

    fn scans(&mut self, a_week: f64) {
        if a_week <= 0.0 {
            return;
        }
        let scanner = self.workload(SYSTEM, "vulnerability-scanner", None, 9_390);
        self.plan.scanner = Some(scanner);
        let every = ((WEEK as f64 / a_week) as i64).max(3_600 * SECOND);
        let after = self.settings.disturbances.after.0;
        let from = self.start.saturating_add((after * 1e9) as i64);
        let mut at = SCAN + ((from - SCAN).div_euclid(every) + 1) * every;
        while at < self.end {
            self.change(at, 3_600.0, What::Scan);
            at += every;
        }
    }

    /// A caller in another namespace that is forgotten when the policy of a server with
    /// several callers is written anew.
    fn policy_rollouts(&mut self, count: Count) {
        let mut callers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for call in &self.world.calls {
            if let Call::Inside { from, to } = *call
                && to != 0
                && from.max(to) < self.workloads
            {
                callers.entry(to).or_default().push(from);
            }
        }
        let namespace = |workload: usize| self.world.workloads[workload].namespace;
        let mut edges: Vec<(u32, u32)> = Vec::new();
        for (&to, from) in callers.iter().filter(|(_, from)| from.len() > 1) {
            let others = from
                .iter()
                .filter(|&&from| namespace(from) != namespace(to));
            edges.extend(others.map(|&from| (from as u32, to as u32)));
        }
        for at in self.some(count) {
            let Some((from, to)) = self.random.pick(&edges) else {
                return;
            };
            self.plan.broken.push((from as usize, to as usize));
            let set = self.plan.broken.len();
            let at = self.at_work(at);
            let length = self.random.between(900.0, 4.0 * 3_600.0);
            self.change(at, length, What::PolicyRollout { set, from, to });
        }
    }

    fn observability(&mut self, count: Count) {
        let times = self.some(count);
        if times.is_empty() {
            return;
        }
        let collector = self.workload(SYSTEM, COLLECTOR, None, COLLECTOR_PORT);
        self.plan.collector = Some(collector);
        // Once is all: what is rolled out stays.
        let at = self.at_work(times[0]);
        self.change(at, 7_200.0, What::Observability);
    }
}
