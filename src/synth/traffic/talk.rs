//! Long connections: those that are spoken on at an interval until they end.
//!
//! Owns how they go on. Bounded by how many there are at a time.

use super::agenda::Action;
use super::play::Play;
use super::stage::Path;
use super::wheel::Mark;

/// A connection that is spoken on.
#[derive(Clone, Copy, Debug)]
struct Talk {
    path: Path,
    until: i64,
    every: i64,
    mark: Mark,
}

/// Those that go on.
#[derive(Debug, Default)]
pub(super) struct Talks {
    all: Vec<Option<Talk>>,
    free: Vec<u32>,
}

impl Play {
    /// Lets an open connection be spoken on until it is closed.
    pub(super) fn talk(&mut self, path: Path, at: i64, until: i64, every: i64) {
        let talk = Talk {
            path,
            until,
            every: every.max(1),
            mark: self.stage.wheel.mark,
        };
        let number = if let Some(number) = self.talks.free.pop() {
            self.talks.all[number as usize] = Some(talk);
            number
        } else {
            self.talks.all.push(Some(talk));
            self.talks.all.len() as u32 - 1
        };
        let at = (at + talk.every).min(until);
        self.agenda.push(at, Action::Talk { talk: number });
    }

    pub(super) fn go_on(&mut self, number: u32, at: i64) {
        let Some(talk) = self.talks.all[number as usize] else {
            return;
        };
        let alive = |party| self.stage.cast.party(party).alive;
        let (client, server) = (alive(talk.path.client), alive(talk.path.server));
        self.stage.wheel.mark = talk.mark;
        if at >= talk.until || !client || !server {
            // Who is gone sends nothing more.
            if client && server {
                self.stage.close(&talk.path, at);
            }
            self.talks.all[number as usize] = None;
            self.talks.free.push(number);
        } else {
            self.stage.speak(&talk.path, at);
            let next = (at + talk.every).min(talk.until);
            self.agenda.push(next, Action::Talk { talk: number });
        }
        self.stage.wheel.mark = Mark::default();
    }
}
