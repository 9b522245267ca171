//! Who an incident is about, and what it is made of.
//!
//! Owns turning intensity and knobs into acts, and choosing foothold and targets, so that
//! policies let it through or not, as was drawn. It happens when the incident begins: pods
//! and names are those of that time.

mod choose;
mod inside;
mod outside;
mod quiet;

use std::collections::VecDeque;

use super::super::plan::Sketch;
use super::dials::Dials;
use super::scene::Scene;
use super::{Act, Acts, Kind};

const HOUR: f64 = 3_600.0;
/// Candidates that are looked at for a foothold.
const CANDIDATES: usize = 60;

/// Acts one after the other.
type List = Vec<Box<dyn Act + Send>>;

/// Binds one incident.
struct Binder<'a, 'b> {
    sketch: &'a Sketch,
    scene: &'a mut Scene<'b>,
    at: i64,
    /// Whether the foothold was chosen already.
    settled: bool,
}

/// The acts of an incident that begins now.
pub(super) fn bind(sketch: &Sketch, scene: &mut Scene<'_>, at: i64) -> Acts {
    scene.facts.detectors = sketch.kind.detectors().to_vec();
    let mut binder = Binder {
        sketch,
        scene,
        at,
        settled: false,
    };
    let acts = binder.acts(sketch.kind);
    if binder.settled {
        let (member, _) = scene.facts.foothold;
        scene.facts.subject = Some(scene.play.workload(member));
        let used = &mut scene.play.record.footholds;
        if !used.contains(&member) {
            used.push(member);
        }
    }
    acts
}

impl Binder<'_, '_> {
    /// Turns knobs; they may not be turned while the scene is used.
    fn dial<T>(&mut self, turn: impl FnOnce(&mut Dials<'_>) -> T) -> T {
        let mut dials = Dials {
            intensity: self.sketch.intensity,
            given: &self.sketch.knobs,
            random: &mut self.scene.play.stage.random,
            facts: self.scene.facts,
        };
        turn(&mut dials)
    }

    fn acts(&mut self, kind: Kind) -> Acts {
        let acts: Option<List> = match kind {
            Kind::A1 => self.ports(),
            Kind::A2 => self.sweep(),
            Kind::A3 => self.lateral(),
            Kind::A4 => self.beacon(),
            Kind::A5 => self.tunnel(),
            Kind::A6 => self.generated(),
            Kind::A7 => self.exfiltration(),
            Kind::A8 => self.metadata(),
            Kind::A9 => self.recon(),
            Kind::A10 => self.mining(),
            Kind::A11 => self.guesses(),
            Kind::A12 => self.flood(),
            Kind::A13 => self.slow(),
            Kind::A14 => self.silence(),
            Kind::A15 => self.poison(),
            Kind::A16 => self.masquerade(),
            Kind::A17 => self.chain(),
        };
        acts.map(VecDeque::from).unwrap_or_default()
    }
}
