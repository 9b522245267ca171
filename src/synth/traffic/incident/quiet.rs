//! What is quiet: growth on an edge that is known (A13), a workload that stops (A14), a pod
//! under another name (A16), and waiting.
//!
//! Owns these.

use super::super::plot::DEEPEST;
use super::super::stage::SECOND;
use super::scene::Scene;
use super::{Act, Next};

/// More and more calls on an edge.
pub(super) struct Growth {
    pub(super) edge: u32,
    /// Calls a second that the edge has already, about.
    pub(super) usual: f64,
    /// Times as many at the end.
    pub(super) factor: f64,
    pub(super) from: i64,
    pub(super) until: i64,
}

impl Act for Growth {
    fn name(&self) -> &'static str {
        "growth"
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        if at >= self.until {
            return Next::Done(0);
        }
        let (member, _) = scene.facts.foothold;
        let pods = scene.play.stage.cast.members[member as usize].pods.len();
        if pods > 0 {
            let client = scene.play.stage.random.below(pods) as u32;
            scene.facts.opened += 1;
            scene.play.call(self.edge, client, at, DEEPEST, &mut 1);
        }
        let length = (self.until - self.from).max(1) as f64;
        let share = ((at - self.from) as f64 / length).clamp(0.05, 1.0);
        let rate = self.usual * (self.factor - 1.0) * share;
        Next::At(at + scene.chance_gap(1.0 / rate.max(1e-6)).max(SECOND / 100))
    }
}

/// The foothold no longer works.
pub(super) struct Silence {
    pub(super) until: i64,
    pub(super) begun: bool,
}

impl Act for Silence {
    fn name(&self) -> &'static str {
        "silence"
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        if self.begun && at >= self.until {
            return Next::Done(0);
        }
        self.begun = true;
        let (member, _) = scene.facts.foothold;
        scene.play.stage.quiet[member as usize] = true;
        scene.facts.last = self.until.min(scene.play.end);
        Next::At(self.until)
    }

    fn stop(&mut self, scene: &mut Scene<'_>) {
        let (member, _) = scene.facts.foothold;
        scene.play.stage.quiet[member as usize] = false;
    }
}

/// A pod comes back with labels that are not its own, and calls others.
pub(super) struct Masquerade {
    pub(super) variant: u32,
    /// What its workload's pods are called and labelled else.
    pub(super) own: Option<u32>,
    pub(super) targets: Vec<u32>,
    pub(super) left: u32,
    pub(super) gap: f64,
}

impl Act for Masquerade {
    fn name(&self) -> &'static str {
        "masquerade"
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        let (member, place) = scene.facts.foothold;
        if self.own.is_none() {
            let of = &mut scene.play.stage.cast.members[member as usize];
            self.own = Some(of.variant);
            of.variant = self.variant;
            scene.play.roll(member, place, None, at);
            // Pods that come later are what they should be.
            let of = &mut scene.play.stage.cast.members[member as usize];
            of.variant = self.own.unwrap_or(of.variant);
            return Next::At(at + 20 * SECOND);
        }
        if self.left == 0 {
            return Next::Done(0);
        }
        self.left -= 1;
        let target = self
            .targets
            .get(self.left as usize % self.targets.len().max(1));
        if let (Some(client), Some(&target)) = (scene.pod(), target)
            && let Some(server) = scene.some_pod(target)
        {
            scene.peer_member(target);
            let port = scene.play.stage.cast.members[target as usize].port.port;
            scene.touch(client, server, port, at);
        }
        Next::At(at + scene.chance_gap(self.gap).max(SECOND))
    }

    fn stop(&mut self, scene: &mut Scene<'_>) {
        // The pod is found out, or restarts: it is its own again.
        let (member, place) = scene.facts.foothold;
        let at = scene.facts.last + SECOND;
        scene.play.roll(member, place, None, at);
    }
}

/// What is no stage.
pub(super) const WAITING: &str = "waiting";

/// Nothing, until a time.
pub(super) struct Wait {
    pub(super) until: i64,
}

impl Act for Wait {
    fn name(&self) -> &'static str {
        WAITING
    }

    fn step(&mut self, _: &mut Scene<'_>, at: i64) -> Next {
        if at >= self.until {
            Next::Done(0)
        } else {
            Next::At(self.until)
        }
    }
}
