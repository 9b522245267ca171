//! From connections to observations: the one composition of ticks, detectors and learning.
//!
//! Owns the order of things: a tick is complete, what changed before its end is known, what
//! can be seen is brought up to date, the detectors look, the model learns what they did not
//! flag. A live stream and its recording go the same way, and answers do not depend on
//! batches: everything follows from the times of flows.
//!
//! Also adds to an observation what the policies say of its connection, and leaves out what
//! a person approved. How bad something is, is not its.

use std::sync::Arc;

use super::pass::Observer;
use super::policies::Policies;
use super::ruling::Ruling;
use super::sides::JudgedBatch;
use crate::baseline::{
    Changes, Flagged, Group, HOUR, Held, Model, Names, Status, Tick, TickBuilder,
};
use crate::connection::{Connection, Exchange, PeerId, Peers, Side};
use crate::detect::{self, Blindness, Detector, Observation, Passed, RuleAt, Scene, Sight, Tested};
use crate::policy::{Direction, Gap};

/// How long after a change of its template or its policies nothing new of a workload is
/// learned.
const EXPECTED: i64 = HOUR;
/// How long after something alarming nothing new of a workload is learned.
const INCIDENT: i64 = HOUR;
/// An observation that is not of something new alone is alarming from here on.
const ALARMING: f64 = 1e-5;

/// Takes what detection observes, tick by tick.
pub trait Observed {
    /// Takes what was observed in a tick, which may be nothing.
    fn tick(&mut self, tick: &Tick, observed: Vec<Observation>, scene: &Scene<'_>);

    /// Takes how many hypotheses a detector tested in the tick that comes next.
    fn tested(&mut self, _: detect::Kind, _: Tested) {}

    /// What is held, for tests of the bound.
    fn held(&self) -> usize;
}

impl Observed for Vec<Observation> {
    fn tick(&mut self, _: &Tick, observed: Vec<Observation>, _: &Scene<'_>) {
        self.extend(observed);
    }

    fn held(&self) -> usize {
        self.len()
    }
}

/// Builds ticks, lets detectors look, and learns.
pub struct Detection<F> {
    names: Names,
    builder: TickBuilder,
    changes: Changes,
    model: Model,
    sight: Sight,
    detectors: Vec<Box<dyn Detector>>,
    policies: Option<Arc<Policies>>,
    /// Connections that began before were judged by other policies.
    judged_since: i64,
    found: F,
    /// The latest time of a flow.
    latest: i64,
    now: i64,
    ticks: u64,
}

impl<F: Observed> Detection<F> {
    /// Detection against what a model knows by these names, by all detectors.
    #[must_use]
    pub fn new(model: Model, names: Names, found: F) -> Self {
        Self {
            names,
            builder: TickBuilder::new(),
            changes: Changes::default(),
            model,
            sight: Sight::default(),
            detectors: detect::all(),
            policies: None,
            judged_since: i64::MIN,
            found,
            latest: i64::MIN,
            now: i64::MIN,
            ticks: 0,
        }
    }

    /// Looks up rules in these policies, by which connections are judged.
    #[must_use]
    pub fn with_policies(mut self, policies: Option<Arc<Policies>>) -> Self {
        self.policies = policies;
        self
    }

    /// Says by which policies connections are judged from now on. Of those that began before,
    /// no rule is looked up: their answers are those of other policies.
    pub fn judged_by(&mut self, policies: &Arc<Policies>) {
        match &self.policies {
            Some(known) if Arc::ptr_eq(known, policies) => {}
            Some(_) => {
                self.policies = Some(Arc::clone(policies));
                self.judged_since = self.latest.saturating_add(1);
            }
            None => self.policies = Some(Arc::clone(policies)),
        }
    }

    /// Lets further detectors look, after the others.
    #[must_use]
    pub fn with_detectors(mut self, more: Vec<Box<dyn Detector>>) -> Self {
        self.detectors.extend(more);
        self
    }

    /// Lets these detectors look alone: without a baseline most others have nothing to judge
    /// by.
    #[must_use]
    pub fn only(mut self, detectors: Vec<Box<dyn Detector>>) -> Self {
        self.detectors = detectors;
        self
    }

    /// Ends it: what is not complete is taken as it is.
    pub fn finish(&mut self) {
        let mut ticks = Vec::new();
        self.builder.finish(&mut |tick| ticks.push(tick));
        for tick in ticks {
            self.tick(tick);
        }
    }

    /// What is normal by now.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Names of the numbers.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Where findings go.
    pub fn found(&mut self) -> &mut F {
        &mut self.found
    }

    /// Ticks that were looked at.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Connections and exchanges that came after their tick was complete.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.builder.late()
    }

    /// What detectors cannot see.
    #[must_use]
    pub fn blind(&self) -> Vec<Blindness> {
        let scene = self.scene();
        self.detectors
            .iter()
            .filter_map(|detector| detector.blind(&scene))
            .collect()
    }

    /// The end of it all: the model and its names, and what was found.
    #[must_use]
    pub fn into_parts(self) -> (Model, Names, F) {
        (self.model, self.names, self.found)
    }

    /// What is held, for tests of the bound.
    #[must_use]
    pub fn held(&self) -> usize {
        let detectors = self.detectors.iter().map(|one| one.held()).sum::<usize>();
        detectors
            + self.model.held()
            + self.builder.held()
            + self.changes.held()
            + self.sight.held()
            + self.names.peers().len()
            + self.found.held()
    }

    /// What is looked at.
    #[must_use]
    pub fn scene(&self) -> Scene<'_> {
        Scene {
            peers: self.names.peers(),
            model: &self.model,
            sight: &self.sight,
            now: self.now,
        }
    }

    fn tick(&mut self, mut tick: Tick) {
        tick.identities = self.changes.identities_until(tick.end());
        let tick = &tick;
        self.ticks += 1;
        self.now = tick.end();
        self.model.meet(self.names.peers());
        for (workload, time) in self.changes.until(tick.end()) {
            self.sight.template(workload, time);
            let until = time.saturating_add(EXPECTED);
            self.model.hold(workload, until, Held::Change);
        }
        for (policy, subject, time) in self.changes.policies_until(tick.end()) {
            self.sight.policy(&policy, time);
            let until = time.saturating_add(EXPECTED);
            self.model.hold(subject, until, Held::Change);
        }
        self.sight.update(tick);
        let mut observed = Vec::new();
        let scene = Scene {
            peers: self.names.peers(),
            model: &self.model,
            sight: &self.sight,
            now: self.now,
        };
        for detector in &mut self.detectors {
            detector.observe(tick, &scene, &mut observed);
            self.found.tested(detector.kind(), detector.tested());
        }
        observed.retain(|one| !is_approved(one, &self.model));
        for one in &mut observed {
            explain(one, tick, self.policies.as_deref(), self.judged_since);
        }
        let flagged: Vec<Flagged> = observed.iter().map(Observation::flagged).collect();
        let alarming: Vec<(PeerId, i64)> = observed
            .iter()
            .filter(|one| !one.kind.is_novelty() && one.p <= ALARMING)
            .map(|one| (one.subject, one.to.saturating_add(INCIDENT)))
            .collect();
        self.found.tick(tick, observed, &scene);
        for (subject, until) in alarming {
            self.model.hold(subject, until, Held::Incident);
        }
        self.model.learn(tick, &flagged, self.names.peers());
    }
}

impl<F: Observed> Observer for Detection<F> {
    fn connection(&mut self, connection: &Connection, peers: &Peers) {
        self.builder.ended(connection, peers, &mut self.names);
    }

    fn exchange(&mut self, exchange: &Exchange, peers: &Peers) {
        self.builder.exchange(exchange, peers, &mut self.names);
    }

    fn opened(&mut self, connection: &Connection, peers: &Peers) {
        self.builder.opened(connection, peers, &mut self.names);
    }

    fn batch(&mut self, batch: &JudgedBatch) {
        let latest = batch.batch.times().iter().copied().max();
        self.latest = self.latest.max(latest.unwrap_or(i64::MIN));
        self.builder.batch(&batch.batch, |row| batch.is_kept(row));
        self.changes.batch(&batch.batch, &mut self.names);
    }

    fn reached(&mut self, time: i64, _: &Peers) {
        let mut ticks = Vec::new();
        self.builder.reached(time, &mut |tick| ticks.push(tick));
        for tick in ticks {
            self.tick(tick);
        }
    }
}

/// Whether a person said that what is new is normal.
fn is_approved(one: &Observation, model: &Model) -> bool {
    let (true, Some(peer), Some((port, protocol))) = (one.kind.is_novelty(), one.peer, one.port)
    else {
        return false;
    };
    model.decided(one.subject, peer, port, protocol) == Some(Status::Approved)
}

/// Adds what policies say of the connection that an observation is about.
fn explain(one: &mut Observation, tick: &Tick, policies: Option<&Policies>, since: i64) {
    // What shows no flow is about no connection.
    if one.samples.is_empty() {
        return;
    }
    let Some(sample) = sample(one, tick) else {
        return;
    };
    let policies = policies.filter(|_| sample.first >= since);
    let sides = [
        (Direction::Egress, &sample.egress),
        (Direction::Ingress, &sample.ingress),
    ];
    for (direction, side) in sides {
        if let Some(recorded) = &side.recorded {
            one.policies.extend(recorded.policies.iter().cloned());
        }
        if let (Some(policies), Some(computed)) = (policies, &side.computed) {
            let ruling = Ruling::of(policies, computed, direction);
            one.rules
                .extend(ruling.rules.into_iter().map(|rule| RuleAt {
                    policy: rule.policy,
                    file: rule.file,
                    line: rule.line,
                }));
        }
    }
    one.policies
        .extend(one.rules.iter().map(|rule| rule.policy.clone()));
    one.policies.sort();
    one.policies.dedup();
    one.rules.sort();
    one.rules.dedup();
    one.gap |= one.passed == Passed::Allowed && sides.iter().any(|(_, side)| side.gap.is_some());
    one.evidence.extend(said(one, &sides));
}

/// `Let pass by shop/allow-all (policies/shop.yaml:12).`
fn said(one: &Observation, sides: &[(Direction, &Side); 2]) -> Vec<String> {
    let verb = match one.passed {
        Passed::Denied => "Denied",
        Passed::Allowed | Passed::Audited | Passed::Mixed => "Let pass",
    };
    let mut said = Vec::new();
    if !one.rules.is_empty() {
        let rules: Vec<String> = one
            .rules
            .iter()
            .map(|rule| match (&*rule.file, rule.line) {
                ("", _) => rule.policy.to_string(),
                (file, 0) => format!("{} ({file})", rule.policy),
                (file, line) => format!("{} ({file}:{line})", rule.policy),
            })
            .collect();
        said.push(format!("{verb} by {}.", rules.join(", ")));
    } else if !one.policies.is_empty() {
        let names: Vec<&str> = one.policies.iter().map(|name| &**name).collect();
        said.push(format!("{verb} by {}, as Hubble says.", names.join(", ")));
    }
    for (direction, side) in sides {
        let (end, way) = match direction {
            Direction::Egress => ("client", "out of"),
            Direction::Ingress => ("server", "into"),
        };
        said.extend(match side.gap {
            Some(Gap::NotSelected) => {
                Some(format!("No policy selects the {end} for traffic {way} it."))
            }
            Some(Gap::NoDefaultDeny) => Some(format!(
                "The policies that select the {end} deny nothing by default on the way {way} it."
            )),
            Some(Gap::OnlyBroad) => Some(format!(
                "Only rules that name neither whom nor what let it {way} the {end}."
            )),
            None => None,
        });
    }
    said
}

/// The earliest connection of a tick that an observation is about.
pub(super) fn sample<'a>(one: &Observation, tick: &'a Tick) -> Option<&'a Connection> {
    let of = |client: PeerId| {
        let from = tick.groups.partition_point(|group| group.client < client);
        tick.groups[from..]
            .iter()
            .take_while(move |group| group.client == client)
    };
    let on_port = |group: &&Group| {
        one.port
            .is_none_or(|port| port == (group.port, group.protocol))
    };
    let is = |id: PeerId, group: &Group| id == group.key || id == group.server;
    let called = of(one.subject)
        .filter(|group| one.peer.is_none_or(|peer| is(peer, group)))
        .filter(on_port);
    // Of a server it is the client who is the peer.
    let calling = one.peer.into_iter().flat_map(of);
    let calling = calling
        .filter(|group| is(one.subject, group))
        .filter(on_port);
    called
        .chain(calling)
        .min_by_key(|group| (group.sample.first, group.sample.tuple))
        .map(|group| &group.sample)
}
