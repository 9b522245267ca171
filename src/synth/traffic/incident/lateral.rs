//! A path over several workloads, each hop an edge that nobody used before (A3).
//!
//! Owns the hops. Whom they lead to is `bind`'s choice.

use super::super::stage::SECOND;
use super::super::wheel::Name;
use super::scene::Scene;
use super::{Act, Next};

/// One hop: from a pod of a member to another member.
pub(super) struct Hop {
    pub(super) from: (u32, u32),
    pub(super) to: u32,
    /// `None`: the one it listens on.
    pub(super) port: Option<u16>,
    /// Connections, the first of them included.
    pub(super) left: u32,
    /// Time before the next hop, in seconds.
    pub(super) dwell: f64,
}

impl Act for Hop {
    fn name(&self) -> &'static str {
        "lateral"
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        let (member, place) = self.from;
        let own = scene.play.stage.cast.members[self.to as usize].port.port;
        let port = self.port.unwrap_or(own);
        if let (Some(client), Some(server)) = (scene.pod_at(member, place), scene.some_pod(self.to))
        {
            scene.peer_member(self.to);
            let name = Name::Service(self.to);
            let (asked, found) = scene.play.stage.look_up(client, name, 0, at);
            if found {
                scene.touch(client, server, port, asked);
            }
        }
        self.left -= 1;
        if self.left == 0 {
            return Next::Done(scene.about(self.dwell, 0.3));
        }
        Next::At(at + scene.about(self.dwell / 8.0, 0.5).max(SECOND))
    }
}
