//! Whom an incident comes from and whom it is about.
//!
//! Owns choosing: a workload that fits, so that policies let it through or not, as was drawn.

use super::super::super::cast::{Member, PartyId, UDP};
use super::super::super::plan::PREVIEW;
use super::super::super::rules::Outcome;
use super::super::scene::Scene;
use super::{Binder, CANDIDATES};
use crate::policy::Direction;

impl Binder<'_, '_> {
    /// A workload of the applications that has pods.
    pub(super) fn candidate(&mut self) -> Option<u32> {
        let stage = &mut self.scene.play.stage;
        // The last is Prometheus.
        let count = stage.cast.members.len() - 2;
        let member = 1 + stage.random.below(count.max(1)) as u32;
        let of = &stage.cast.members[member as usize];
        let system = &stage.cast.members[0].namespace;
        let fits = !of.pods.is_empty()
            && of.namespace != *system
            && of.kind != "CronJob"
            && !of.namespace.starts_with(PREVIEW);
        fits.then_some(member)
    }

    /// A workload to be attacked, with a port where that matters.
    pub(super) fn server(&mut self, port: Option<u16>) -> Option<u32> {
        for _ in 0..CANDIDATES {
            let Some(member) = self.candidate() else {
                continue;
            };
            let own = self.scene.play.stage.cast.members[member as usize]
                .port
                .port;
            let foothold = self.settled && member == self.scene.facts.foothold.0;
            if port.is_some_and(|port| port != own) || foothold {
                continue;
            }
            return Some(member);
        }
        None
    }

    /// The foothold named in the world file, or one for which `fits` says what was drawn;
    /// one that no incident has used before, if there is.
    pub(super) fn foothold(
        &mut self,
        not: Option<u32>,
        fits: impl Fn(&mut Scene<'_>, PartyId) -> Option<bool>,
    ) -> Option<()> {
        if self.settled {
            return Some(());
        }
        if let Some(name) = &self.sketch.workload {
            let members = &self.scene.play.stage.cast.members;
            let named = |member: &Member| *name == format!("{}/{}", member.namespace, member.name);
            let member = members.iter().position(named)? as u32;
            self.settle(member);
            return Some(());
        }
        let mut second = None;
        for round in 0..3 * CANDIDATES {
            let Some(member) = self.candidate().filter(|member| Some(*member) != not) else {
                continue;
            };
            let Some(client) = self.scene.some_pod(member) else {
                continue;
            };
            let fresh = !self.scene.play.record.footholds.contains(&member);
            if fits(self.scene, client) == Some(self.sketch.allowed) {
                if fresh || round > 2 * CANDIDATES {
                    self.settle(member);
                    return Some(());
                }
                second = Some(member);
            } else if second.is_none() {
                second = Some(member);
            }
        }
        self.settle(second?);
        Some(())
    }

    pub(super) fn settle(&mut self, member: u32) {
        let pods = self.scene.play.stage.cast.members[member as usize]
            .pods
            .len();
        let place = self.scene.play.stage.random.below(pods) as u32;
        self.scene.facts.foothold = (member, place);
        self.settled = true;
    }

    pub(super) fn foothold_to(&mut self, external: usize, port: u16) -> Option<()> {
        let server = PartyId(self.scene.play.stage.cast.externals[external].start);
        self.foothold_to_party(server, port)
    }

    pub(super) fn foothold_to_party(&mut self, server: PartyId, port: u16) -> Option<()> {
        self.foothold(None, |scene, client| {
            Some(scene.passes(client, server, port))
        })
    }

    /// One whose look-ups are seen.
    pub(super) fn foothold_with_dns(&mut self) -> Option<()> {
        let allowed = self.sketch.allowed;
        self.foothold(None, |scene, client| {
            let stage = &mut scene.play.stage;
            let server = *stage.cast.members[0].pods.first()?;
            let udp = UDP;
            let sides = (client, server);
            let rules = &mut stage.rules;
            let answer = rules.ask(&stage.cast, Direction::Egress, sides, (udp, 53));
            Some((stage.outcome(answer) == Outcome::DnsProxy) == allowed)
        })
    }
}

/// A workload that `from` has no edge to, at the port it listens on, and policies say so.
pub(super) fn next_hop(
    scene: &mut Scene<'_>,
    (from, client): (u32, PartyId),
    seen: &[u32],
    port: Option<u16>,
    allowed: bool,
) -> Option<u32> {
    let members = scene.play.stage.cast.members.len();
    for _ in 0..CANDIDATES {
        let to = 1 + scene
            .play
            .stage
            .random
            .below(members.saturating_sub(2).max(1)) as u32;
        let of = &scene.play.stage.cast.members[to as usize];
        let own = of.port.port;
        if seen.contains(&to)
            || of.namespace.starts_with(PREVIEW)
            || of.kind == "CronJob"
            || scene.play.plot.knows(from, to)
        {
            continue;
        }
        let Some(server) = scene.pod_at(to, 0) else {
            continue;
        };
        if scene.passes(client, server, port.unwrap_or(own)) == allowed {
            return Some(to);
        }
    }
    None
}
