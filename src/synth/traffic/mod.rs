//! Traffic over a world, as Hubble 1.19 would report it.
//!
//! Owns [`Traffic`], which gives it batch by batch in order of time, within memory that
//! depends on the world and not on how long it lasts. A user comes (`agenda`), calls follow
//! (`plot`, `play`) over connections (`stage`, `lookup`), whose events wait for their time
//! (`wheel`), get lost or not (`losses`), and become rows (`write`). What was really opened
//! and denied is in [`TruthSink`].

mod agenda;
mod cast;
mod lines;
mod lookup;
mod losses;
mod names;
mod play;
mod plot;
mod rules;
pub mod settings;
mod settings_read;
mod stage;
#[cfg(test)]
mod tests;
mod truth;
mod wheel;
mod write;

use std::sync::Arc;

pub use settings::{Preset, Settings};
pub use truth::{EdgeCounts, EdgeKey, End, TruthSink};

use self::cast::Cast;
use self::losses::Losses;
use self::names::Outside;
use self::play::Play;
use self::plot::Plot;
use self::rules::Rules;
use self::stage::Stage;
use self::wheel::Event;
use self::write::Writer;
use super::world::World;
use crate::flow::{BatchBuilder, FlowBatch, MAX_ROWS, NoticeKind, Raw};
use crate::inventory::NamedPort;
use crate::manifest;
use crate::policy::{Compiled, OptionError, Options, PolicySet, World as Known};

const SECOND: i64 = 1_000_000_000;

/// Why there is no traffic over a world.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// The policies of the world cannot be read back.
    #[error("the world's policies cannot be read: {0}")]
    Policies(String),
    /// The options of the agents are refused.
    #[error("the world's options are refused: {0}")]
    Options(#[from] OptionError),
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
        let world = World::generate(seed, settings.world.size());
        let cast = Cast::new(&world, settings, seed);
        let rules = Rules::new(compiled(&world, &cast)?);
        let (names, prefixes) = rules.outside();
        let plot = Plot::new(&world, &cast, settings, seed);
        let losses = Losses::new(&settings.observation, cast.nodes.len(), seed, start);
        let stage = Stage::new(cast, rules, settings.clone(), seed, start);
        Ok(Self {
            world,
            play: Play::new(stage, plot, start, end),
            writer: Writer::new(Outside { names, prefixes }, settings, seed),
            losses,
            builder: BatchBuilder::default(),
            ready: Vec::new(),
            written: 0,
            batch_rows: MAX_ROWS,
            flows: 0,
            most: u64::MAX,
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
        policies(&self.world)
    }

    /// Namespaces, workloads, Services and the agents' options, as a YAML stream.
    #[must_use]
    pub fn documents(&self) -> String {
        let members = self.play.stage.cast.members.iter();
        let placed: Vec<Placed<'_>> = members
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
        if !lost {
            let Stage { cast, rules, .. } = &self.play.stage;
            self.writer.write(cast, rules, event, &mut self.builder);
            self.flows += 1;
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
        let skew = self.play.stage.settings.observation.skew.nanos();
        let complete = self.play.stage.wheel.end() + skew;
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

fn policies(world: &World) -> String {
    let mut documents = world.platform_policies();
    documents.extend(world.policies());
    documents.join("---\n")
}

fn compiled(world: &World, cast: &Cast) -> Result<Compiled, TrafficError> {
    let read = manifest::read(&policies(world), "policies.yaml".into());
    if let Some(error) = read.errors.first() {
        let place = format!("line {}: {}", error.at.line, error.kind);
        return Err(TrafficError::Policies(place));
    }
    let mut options = Options::default();
    options.set("cluster-name", &world.cluster)?;
    options.set("enable-ipv6", "false")?;
    let set = PolicySet::build(&read.documents, &world.services(), &[], &options);
    let known = Known {
        identities: cast.identities.clone(),
        names_complete: true,
        ports_complete: true,
    };
    Ok(Compiled::new(Arc::new(set), &known, &options))
}
