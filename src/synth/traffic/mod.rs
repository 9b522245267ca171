//! Traffic over a world, as Hubble 1.19 would report it.
//!
//! Owns [`Traffic`], which gives it batch by batch in order of time, within memory that
//! depends on the world and not on how long it lasts. A user comes (`agenda`), calls follow
//! (`plot`, `play`) over connections (`stage`, `lookup`), whose events wait for their time
//! (`wheel`), get lost or not (`losses`), and become rows (`write`). What is planned to
//! change (`plan`, `changes`, `pods`) and what intruders do (`incident`) happens over the
//! same connections. What was really opened and denied is in [`TruthSink`], what really
//! happened in `record`.

mod agenda;
mod calls;
mod cast;
mod changes;
#[cfg(test)]
mod happenings;
mod incident;
mod lines;
mod lookup;
mod losses;
mod names;
mod outside;
mod plan;
mod play;
mod plot;
mod pods;
mod preset;
#[cfg(test)]
mod realism;
mod record;
mod requests;
mod rounds;
mod rules;
mod schema;
pub mod settings;
mod settings_read;
mod setup;
mod stage;
mod talk;
#[cfg(test)]
mod tests;
mod truth;
mod wanted;
mod wheel;
mod write;

use std::sync::Arc;

use serde_json::{Value, json};

pub use incident::Kind;
pub use preset::Preset;
pub use schema::schema;
pub use settings::Settings;
pub use truth::{EdgeCounts, EdgeKey, End, TruthSink};

use self::cast::Cast;
use self::incident::Incident;
use self::losses::Losses;
use self::names::Outside;
use self::plan::Plan;
use self::play::Play;
use self::plot::Plot;
use self::rules::Rules;
use self::setup::{check, compiled, policies};
use self::stage::Stage;
use self::wheel::{Event, Mark};
use self::write::Writer;
use super::world::World;
use crate::flow::{BatchBuilder, FlowBatch, MAX_ROWS, NoticeKind, Raw};
use crate::inventory::NamedPort;
use crate::policy::OptionError;

const SECOND: i64 = 1_000_000_000;
/// Labels that are kept for who takes them.
const MOST_LABELS: usize = 65_536;

/// Why there is no traffic over a world.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// The policies of the world cannot be read back.
    #[error("the world's policies cannot be read: {0}")]
    Policies(String),
    /// The options of the agents are refused.
    #[error("the world's options are refused: {0}")]
    Options(#[from] OptionError),
    /// A knob of an incident means nothing.
    #[error("incidents.list: {kind} has no knob '{knob}', it has: {known}")]
    Knob {
        /// The kind of the incident.
        kind: &'static str,
        /// The knob.
        knob: String,
        /// Those there are.
        known: String,
    },
    /// The foothold of an incident is none.
    #[error("incidents.list: there is no workload '{0}' in this world")]
    Workload(String),
    /// More incidents than can be told apart.
    #[error("{0} incidents are more than 39999")]
    Incidents(usize),
    /// The times are not those of a calendar.
    #[error("{seconds} s from {start} ns is no span that can be told")]
    Span {
        /// Nanoseconds since 1970.
        start: i64,
        /// Length.
        seconds: u64,
    },
}

/// A workload as it is placed: what documents of the cluster need.
pub(super) struct Placed<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) kind: &'static str,
    pub(super) labels: &'a [(Arc<str>, Arc<str>)],
    pub(super) port: &'a NamedPort,
    pub(super) replicas: usize,
}

/// A flow that an incident or a change of its own making left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Of the flow.
    pub uuid: u128,
    mark: Mark,
}

/// Flows of a world, from a time on.
pub struct Traffic {
    world: World,
    play: Play,
    writer: Writer,
    losses: Losses,
    builder: BatchBuilder,
    /// Events whose time has come, and how many of them are written.
    ready: Vec<Event>,
    written: usize,
    batch_rows: usize,
    flows: u64,
    most: u64,
    labels: Vec<Label>,
    seed: u64,
    span: (i64, i64),
    /// Nothing new happens; what is under way is finished.
    ending: bool,
    over: bool,
}

impl Traffic {
    /// Traffic that begins at `start`, nanoseconds since 1970, and lasts for `seconds`.
    ///
    /// # Errors
    /// [`TrafficError`].
    pub fn new(
        settings: &Settings,
        seed: u64,
        start: i64,
        seconds: u64,
    ) -> Result<Self, TrafficError> {
        let margin = 3_600 * SECOND;
        let end = i64::try_from(seconds)
            .ok()
            .and_then(|seconds| seconds.checked_mul(SECOND))
            .and_then(|length| start.checked_add(length))
            .filter(|end| start > i64::MIN + margin && *end < i64::MAX - margin)
            .ok_or(TrafficError::Span { start, seconds })?;
        let mut world = World::generate(seed, settings.world.size());
        world.metadata_denied = settings.world.metadata_denied;
        let mut plan = Plan::new(&mut world, settings, seed, (start, end));
        check(&world, &plan)?;
        let cast = Cast::new(&world, &plan, settings, seed);
        let mut sets = vec![compiled(&world, &cast, None)?];
        for broken in &plan.broken {
            sets.push(compiled(&world, &cast, Some(*broken))?);
        }
        let rules = Rules::new(sets);
        let (names, prefixes) = rules.outside();
        let plot = Plot::new(&world, &plan, &cast, settings, seed);
        let losses = Losses::new(&settings.observation, cast.nodes.len(), seed, start);
        let stage = Stage::new(cast, rules, settings.clone(), seed, start);
        let sketches = std::mem::take(&mut plan.incidents);
        let mut play = Play::new(stage, plot, plan, (start, end));
        for (number, sketch) in (1..).zip(sketches) {
            play.expect(Incident::new(sketch, number, seed));
        }
        Ok(Self {
            world,
            play,
            writer: Writer::new(Outside { names, prefixes }, settings, seed),
            losses,
            builder: BatchBuilder::default(),
            ready: Vec::new(),
            written: 0,
            batch_rows: MAX_ROWS,
            flows: 0,
            most: u64::MAX,
            labels: Vec::new(),
            seed,
            span: (start, end),
            ending: false,
            over: false,
        })
    }

    /// Makes batches of so many flows, [`MAX_ROWS`] at most; the flows are the same.
    #[must_use]
    pub fn in_batches_of(mut self, rows: usize) -> Self {
        self.batch_rows = rows.clamp(1, MAX_ROWS);
        self
    }

    /// Lets nothing new happen after so many flows. What is under way is finished, so that
    /// what was counted as opened is also shown: some flows more come.
    #[must_use]
    pub fn stopping_after(mut self, flows: u64) -> Self {
        self.most = flows;
        self
    }

    /// The next flows, `None` at the end. Losses are among them as notices.
    pub fn next_batch(&mut self) -> Option<FlowBatch> {
        while !self.over {
            while let Some(event) = self.ready.get(self.written).copied() {
                self.written += 1;
                self.write(&event);
                if self.builder.len() >= self.batch_rows || self.builder.is_full() {
                    return Some(self.builder.finish());
                }
            }
            self.advance();
        }
        (!self.builder.is_empty()).then(|| self.builder.finish())
    }

    /// Takes back the memory of a batch that is no longer needed.
    pub fn recycle(&mut self, batch: FlowBatch) {
        self.builder.recycle(batch);
    }

    /// Flows so far.
    #[must_use]
    pub fn flows(&self) -> u64 {
        self.flows
    }

    /// What was opened and denied so far.
    #[must_use]
    pub fn truth(&self) -> &TruthSink {
        &self.play.stage.truth
    }

    /// The world it is traffic of.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The policies that were in force, as a YAML stream.
    #[must_use]
    pub fn policies(&self) -> String {
        policies(&self.world, None)
    }

    /// Takes the labels of the flows since the last time. Nobody has to: without that, the
    /// last 65,536 are kept.
    pub fn take_labels(&mut self) -> Vec<Label> {
        std::mem::take(&mut self.labels)
    }

    /// A label as JSON: uuid, then incident and stage, or change.
    #[must_use]
    pub fn label_json(&self, label: &Label) -> Value {
        let uuid = crate::wire::restore::uuid(label.uuid);
        let Mark { incident, stage } = label.mark;
        if incident >= rounds::FIRST_MARK {
            let change = record::change_id(u32::from(incident - rounds::FIRST_MARK));
            return json!({"uuid": uuid, "change": change});
        }
        let at = usize::from(incident).saturating_sub(1);
        let named = self.play.incidents.get(at).and_then(Option::as_ref);
        let stage = named.map_or("", |one| one.stage_name(stage));
        let incident = record::incident_id(incident);
        json!({"uuid": uuid, "incident": incident, "stage": stage})
    }

    /// What happened so far beside the ordinary: incidents and changes.
    #[must_use]
    pub fn incidents(&self) -> Value {
        let incidents = self.play.incidents.iter().flatten();
        let incidents = incidents.filter_map(Incident::truth);
        let incidents: Vec<Value> = incidents.map(|truth| truth.json()).collect();
        let (start, end) = self.span;
        json!({
            "version": record::VERSION,
            "seed": self.seed,
            "world": {
                "cluster": &*self.world.cluster,
                "workloads": self.world.workloads.len(),
                "namespaces": self.world.namespaces.len(),
            },
            "span": {"start": record::time(start), "end": record::time(end)},
            "incidents": incidents,
            "changes": self.changes(),
        })
    }

    /// What changed so far, in order of time.
    #[must_use]
    pub fn changes(&self) -> Value {
        self.play.record.json()
    }

    /// Namespaces, workloads, Services and the agents' options, as a YAML stream.
    #[must_use]
    pub fn documents(&self) -> String {
        let members = self.play.stage.cast.members.iter();
        let there = members.filter(|member| !member.pods.is_empty());
        let placed: Vec<Placed<'_>> = there
            .map(|member| Placed {
                namespace: &member.namespace,
                name: &member.name,
                kind: member.kind,
                labels: &member.pod_labels,
                port: &member.port,
                replicas: member.pods.len(),
            })
            .collect();
        self.world.documents(&placed)
    }

    fn write(&mut self, event: &Event) {
        let (lost, notice) = self.losses.take(event.node, event.time);
        if let Some(kind) = notice {
            self.notice(event.node, event.time, kind);
        }
        let mut lost = lost;
        if self.play.haze > 0.0 {
            let (also, notice) = self.losses.haze(event.node, event.time, self.play.haze);
            if let Some(kind) = notice {
                self.notice(event.node, event.time, kind);
            }
            lost |= also;
        }
        if !lost {
            let Stage { cast, rules, .. } = &self.play.stage;
            let uuid = self.writer.write(cast, rules, event, &mut self.builder);
            self.flows += 1;
            if event.mark != Mark::default() {
                if self.labels.len() >= MOST_LABELS {
                    self.labels.clear();
                }
                self.labels.push(Label {
                    uuid,
                    mark: event.mark,
                });
            }
        }
    }

    /// Agents sign these with the bare name of their node.
    fn notice(&mut self, node: u16, time: i64, kind: NoticeKind) {
        let node = &self.play.stage.cast.nodes[node as usize];
        let raw = || Raw::Message(bytes::Bytes::new());
        self.builder.push_notice(node, time, kind, raw);
    }

    /// Goes on until the events of the next slot are all there.
    fn advance(&mut self) {
        let complete = self.play.stage.wheel.end() + self.play.stage.settings.margin();
        self.ending |= self.flows >= self.most;
        while !self.ending {
            match self.play.next_time() {
                Some(at) if at < complete => self.play.act(),
                Some(_) => break,
                None => self.ending = true,
            }
        }
        if self.ending && self.play.stage.wheel.is_empty() {
            for (node, time, kind) in self.losses.rest() {
                self.notice(node, time, kind);
            }
            self.over = true;
            return;
        }
        self.ready.clear();
        self.written = 0;
        self.play.stage.wheel.release(&mut self.ready);
    }
}
