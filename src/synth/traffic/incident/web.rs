//! Guessed passwords and paths at a web server (A11).
//!
//! Owns the requests. They show where a proxy sees them; elsewhere only connections do.

use super::super::lines::{GUESS, LOGIN};
use super::super::stage::{MILLI, SECOND};
use super::scene::Scene;
use super::{Act, Next};

/// Requests over one connection.
const ON_ONE: u32 = 20;

pub(super) struct Guesses {
    pub(super) target: u32,
    pub(super) passwords: bool,
    pub(super) left: u32,
    pub(super) asked: u32,
    /// A second.
    pub(super) rate: f64,
}

impl Act for Guesses {
    fn name(&self) -> &'static str {
        if self.passwords { "passwords" } else { "paths" }
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        let (Some(client), Some(server)) = (scene.pod(), scene.some_pod(self.target)) else {
            return Next::Done(0);
        };
        scene.peer_member(self.target);
        let port = scene.play.stage.cast.members[self.target as usize]
            .port
            .port;
        let gap = (1e9 / self.rate) as i64;
        let mut now = at;
        if let Some(path) = scene.open_pod(client, server, port, now) {
            for _ in 0..ON_ONE.min(self.left) {
                let (request, code) = if self.passwords {
                    (LOGIN, 401)
                } else {
                    (GUESS + (self.asked % 50_000) as u16, 404)
                };
                scene
                    .play
                    .stage
                    .request(&path, now, 9 * MILLI, (request, code));
                self.asked += 1;
                self.left -= 1;
                now += scene.about(gap as f64 / 1e9, 0.4);
            }
            scene.play.stage.close(&path, now);
        } else {
            self.left = self.left.saturating_sub(ON_ONE);
            now += SECOND;
        }
        if self.left == 0 {
            return Next::Done(0);
        }
        Next::At(now + gap)
    }
}
