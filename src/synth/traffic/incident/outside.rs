//! Data to a new server (A7) and mining (A10): long connections, or many short ones.
//!
//! Owns both. Hubble tells no volume; how long and how often is all there is.

use super::super::cast::TCP;
use super::super::stage::{MILLI, Response, SECOND};
use super::scene::Scene;
use super::{Act, Next};

/// One long connection, made anew where it is cut.
pub(super) struct Long {
    pub(super) name: &'static str,
    pub(super) external: usize,
    pub(super) port: u16,
    /// When it is over.
    pub(super) until: i64,
    /// Seconds of one connection.
    pub(super) length: f64,
    /// Seconds between two times it is spoken on.
    pub(super) every: f64,
}

impl Act for Long {
    fn name(&self) -> &'static str {
        self.name
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        if at >= self.until {
            return Next::Done(0);
        }
        scene.peer_external(self.external);
        let mut next = at + scene.about(60.0, 0.5);
        if let Some(client) = scene.pod()
            && let Some((server, now)) = scene.resolve(client, self.external, at)
        {
            let sides = ((client, server), (TCP, self.port));
            let path = scene.open(sides.0, sides.1, Response::Accepts, now);
            if let Some(path) = path {
                let end = (now + scene.about(self.length, 0.3)).min(self.until);
                scene.talk(path, now, end, (self.every * 1e9) as i64);
                next = end + scene.about(3.0, 0.8);
            }
        }
        Next::At(next.max(at + SECOND))
    }
}

/// Many short connections.
pub(super) struct Posts {
    pub(super) external: usize,
    pub(super) port: u16,
    pub(super) until: i64,
    /// A minute.
    pub(super) rate: f64,
}

impl Act for Posts {
    fn name(&self) -> &'static str {
        "posts"
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        if at >= self.until {
            return Next::Done(0);
        }
        scene.peer_external(self.external);
        if let Some(client) = scene.pod()
            && let Some((server, now)) = scene.resolve(client, self.external, at)
        {
            let sides = ((client, server), (TCP, self.port));
            let path = scene.open(sides.0, sides.1, Response::Accepts, now);
            if let Some(path) = path {
                let took = 200 + scene.play.stage.random.below(2_000) as i64;
                scene.play.stage.close(&path, now + took * MILLI);
            }
        }
        Next::At(at + scene.chance_gap(60.0 / self.rate).max(10 * MILLI))
    }
}
