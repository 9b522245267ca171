//! From observations to findings, as the ticks go by.
//!
//! Owns handing each observation to the desk with what is known around it. What becomes of
//! it there is `finding`'s.

use super::detection::Observed;
use crate::baseline::{HOUR, Tick};
use crate::detect::{Observation, Scene};
use crate::finding::{Desk, DeskOptions, Line, Seen};

/// How long after its release a workload is expected to behave otherwise.
const RELEASED: i64 = HOUR / 2;

/// Findings in the making.
#[derive(Debug)]
pub struct Reporting {
    desk: Desk,
    lines: Vec<Line>,
}

impl Reporting {
    /// Nothing found yet.
    #[must_use]
    pub fn new(options: DeskOptions) -> Self {
        Self {
            desk: Desk::new(options),
            lines: Vec::new(),
        }
    }

    /// Lines that were given out since they were last taken, in their order.
    pub fn take(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    /// Gives out everything as it ended.
    pub fn finish(&mut self) {
        self.desk.finish(&mut self.lines);
    }

    /// The desk.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.desk
    }
}

impl Observed for Reporting {
    fn tick(&mut self, _: &Tick, observed: Vec<Observation>, scene: &Scene<'_>) {
        let seen = observed
            .iter()
            .filter_map(|one| {
                let mut seen = Seen::of(one, scene)?;
                let ago = scene.sight.changed_since(one.subject, scene.now, RELEASED);
                seen.around.released = ago.map(|ago| scene.now - ago);
                Some(seen)
            })
            .collect();
        self.desk.tick(scene.now, seen, &mut self.lines);
    }

    fn held(&self) -> usize {
        self.desk.held()
    }
}
