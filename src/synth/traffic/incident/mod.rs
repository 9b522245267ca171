//! Incidents: what an intruder does, step by step, over the same connections as all others.
//!
//! Owns the kinds, how loud each can be, and when each takes its next step. A kind is a list
//! of acts, one file a concept; who is chosen for it is `bind`'s. Knows nothing of what
//! might find it: the detectors it names are those it was made to try.

mod beacon;
mod bind;
mod cloud;
mod dials;
mod dns;
mod flood;
mod kind;
mod lateral;
mod names;
mod outside;
mod quiet;
mod scan;
mod scene;
mod web;

use std::collections::VecDeque;

use serde_json::Value;

use super::super::number::Random;
use super::changes::swap_random;
use super::plan::Sketch;
use super::play::Play;
use super::record::{Subject, Truth};
use super::wheel::Mark;

use self::scene::Scene;

pub use self::kind::Kind;
pub(super) use self::names::MadeNames;

/// Sets the draws of incidents apart.
const STREAM: u64 = 1_000;

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Another, at this time.
    At(i64),
    /// Nothing of this act; the next may begin after some nanoseconds.
    Done(i64),
}

/// Something an intruder does, in steps.
trait Act {
    /// Its name, for labels and stages.
    fn name(&self) -> &'static str;

    /// Does the next step.
    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next;

    /// Takes back what would last beyond the end.
    fn stop(&mut self, _scene: &mut Scene<'_>) {}
}

type Acts = VecDeque<Box<dyn Act + Send>>;

/// An incident that goes on.
pub(super) struct Incident {
    pub(super) start: i64,
    sketch: Sketch,
    random: Random,
    mark: Mark,
    /// `None` until it begins.
    acts: Option<Acts>,
    facts: Facts,
}

/// What is known of an incident once it has begun.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// Member and place of the pod it comes from.
    foothold: (u32, u32),
    subject: Option<Subject>,
    peers: Vec<Subject>,
    /// Connections that were made, and those that policies denied.
    opened: u64,
    denied: u64,
    last: i64,
    knobs: Vec<(&'static str, Value)>,
    detectors: Vec<&'static str>,
    stages: Vec<(&'static str, i64)>,
}

impl Incident {
    pub(super) fn new(sketch: Sketch, number: u16, seed: u64) -> Self {
        Self {
            start: sketch.at,
            random: Random::new(seed, STREAM + u64::from(number)),
            mark: Mark {
                incident: number,
                stage: 0,
            },
            acts: None,
            facts: Facts::default(),
            sketch,
        }
    }

    /// Goes on; when it goes on again.
    pub(super) fn step(&mut self, play: &mut Play, at: i64) -> Option<i64> {
        swap_random(play, &mut self.random);
        let next = self.act(play, at);
        play.stage.wheel.mark = Mark::default();
        swap_random(play, &mut self.random);
        next
    }

    fn act(&mut self, play: &mut Play, at: i64) -> Option<i64> {
        let number = self.mark.incident;
        let end = play.end;
        let mut scene = Scene {
            play,
            facts: &mut self.facts,
            number,
        };
        let acts = match &mut self.acts {
            Some(acts) => acts,
            none => none.insert(bind::bind(&self.sketch, &mut scene, at)),
        };
        let act = acts.front_mut()?;
        scene.stage(act.name(), at);
        self.mark.stage = scene.facts.stages.len().saturating_sub(1) as u8;
        scene.play.stage.wheel.mark = self.mark;
        let next = match act.step(&mut scene, at) {
            Next::At(next) if next < end => Some(next),
            // What lasts beyond the end lasts until then.
            Next::At(_) => None,
            next @ Next::Done(_) => {
                act.stop(&mut scene);
                acts.pop_front();
                match next {
                    Next::Done(pause) if !acts.is_empty() => Some(at.saturating_add(pause.max(1))),
                    _ => None,
                }
            }
        };
        scene.facts.last = at.max(scene.facts.last);
        next
    }

    /// What there is to tell of it; `None` before it has begun, and of one that found
    /// nobody to begin with.
    pub(super) fn truth(&self) -> Option<Truth> {
        let facts = &self.facts;
        Some(Truth {
            number: self.mark.incident,
            kind: self.sketch.kind,
            subject: facts.subject.clone()?,
            peers: facts.peers.clone(),
            start: self.sketch.at,
            end: facts.last,
            intensity: self.sketch.intensity,
            knobs: facts.knobs.clone(),
            detectors: facts.detectors.clone(),
            allowed: facts.opened == 0 || facts.denied * 2 < facts.opened,
            opened: facts.opened,
            denied: facts.denied,
            stages: facts.stages.clone(),
        })
    }

    /// Name of a stage.
    pub(super) fn stage_name(&self, stage: u8) -> &'static str {
        let stages = &self.facts.stages;
        stages.get(usize::from(stage)).map_or("", |(name, _)| *name)
    }
}
