//! Floods: SYN packets that nobody finishes, or connections that are reset (A12).
//!
//! Owns their rate. A SYN of a flood comes once: nobody waits for an answer.

use super::super::stage::Response;
use super::scene::Scene;
use super::{Act, Next};

pub(super) struct Flood {
    pub(super) target: u32,
    /// RST instead of no answer.
    pub(super) reset: bool,
    /// A second.
    pub(super) rate: f64,
    pub(super) until: i64,
}

impl Act for Flood {
    fn name(&self) -> &'static str {
        "flood"
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        let (Some(client), Some(server)) = (scene.pod(), scene.pod_at(self.target, 0)) else {
            return Next::Done(0);
        };
        if at >= self.until {
            return Next::Done(0);
        }
        scene.peer_member(self.target);
        let port = scene.play.stage.cast.members[self.target as usize]
            .port
            .port;
        let response = if self.reset && scene.passes(client, server, port) {
            Response::Refuses
        } else {
            Response::Once
        };
        let tcp = super::super::cast::TCP;
        scene.open((client, server), (tcp, port), response, at);
        Next::At(at + scene.chance_gap(1.0 / self.rate))
    }
}
