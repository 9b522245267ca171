//! Callbacks to a server outside, more or less regular (A4).
//!
//! Owns their times.

use super::super::cast::TCP;
use super::super::plot::HTTPS;
use super::super::stage::{MILLI, Response, SECOND};
use super::scene::Scene;
use super::{Act, Next};

pub(super) struct Beacon {
    pub(super) external: usize,
    /// Seconds.
    pub(super) period: f64,
    /// Share of the period it is off, either way.
    pub(super) jitter: f64,
    /// Share of callbacks that are left out.
    pub(super) miss: f64,
    /// What each period is to the one before.
    pub(super) growth: f64,
    pub(super) left: u32,
    /// When it stops in any case.
    pub(super) until: i64,
    /// How long the last answer of DNS holds.
    pub(super) resolved: i64,
}

impl Act for Beacon {
    fn name(&self) -> &'static str {
        "beacon"
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        if at >= self.until || self.left == 0 {
            return Next::Done(0);
        }
        self.left -= 1;
        scene.peer_external(self.external);
        let missed = scene.play.stage.random.chance(self.miss);
        if let (Some(client), false) = (scene.pod(), missed) {
            let fresh = self.resolved > at;
            let found = if fresh {
                let start = scene.play.stage.cast.externals[self.external].start;
                Some((super::super::cast::PartyId(start), at))
            } else {
                scene.resolve(client, self.external, at)
            };
            if let Some((server, now)) = found {
                if !fresh {
                    self.resolved = now + scene.play.stage.settings.dns.external_ttl.nanos();
                }
                let path = scene.open((client, server), (TCP, HTTPS), Response::Accepts, now);
                if let Some(path) = path {
                    let took = 40 + scene.play.stage.random.below(400) as i64;
                    scene.play.stage.close(&path, now + took * MILLI);
                }
            }
        }
        let gap = scene.about(self.period, self.jitter);
        self.period *= self.growth;
        Next::At(at + gap.max(SECOND))
    }
}
