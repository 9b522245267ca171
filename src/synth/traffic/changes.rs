//! What changes and disturbances do.
//!
//! Owns putting them into effect and taking them back, and what of each is written down.
//! When they are is `plan`'s, what they do again and
//! again is `rounds`'.

use super::super::number::Random;
use super::agenda::{Action, busyness};
use super::cast::PartyId;
use super::plan::What;
use super::play::Play;
use super::plot::Target;
use super::record::{Noted, Subject};
use super::settings::CLOCK_JUMP;
use super::stage::{Response, SECOND};

const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;

impl Play {
    pub(super) fn begin(&mut self, number: u32, at: i64) {
        let change = self.changes[number as usize].clone();
        let end = change.end;
        let finish = |play: &mut Self| {
            if end < play.end {
                let action = Action::Finish { change: number };
                play.agenda.push(end.max(at + 1), action);
            }
        };
        let again = |play: &mut Self, at: i64| {
            let action = Action::Again {
                change: number,
                round: 0,
            };
            play.agenda.push(at, action);
        };
        let noted = match change.what {
            What::Release {
                member,
                adds,
                drops,
                variant,
            } => self.release(member, adds, drops, variant, at),
            What::Rename { member, variant } => {
                let old = self.workload(member);
                self.stage.cast.members[member as usize].variant = variant;
                self.roll_out(member, at);
                Noted::of("rename", old).with("renamed", self.workload(member).name())
            }
            What::Drain => self.drain(at),
            What::Preview { members, calls } => {
                self.switch(calls, true);
                let namespace = &self.stage.cast.members[members.start as usize].namespace;
                let noted = Noted::of("preview", Subject::namespace(namespace));
                for member in members {
                    let cast = &mut self.stage.cast;
                    cast.start_pod(member, None, at, &mut self.stage.random);
                }
                finish(self);
                noted
            }
            What::BackendOutage { member, silent } => {
                let response = outage(silent);
                self.stage.down[member as usize] = Some(response);
                let cast = &self.stage.cast;
                let pods = cast.members[member as usize].pods.clone();
                self.cut(at, |path| pods.contains(&path.server));
                finish(self);
                Noted::of("backend-outage", self.workload(member)).with("silent", silent)
            }
            What::DnsOutage { silent } => {
                self.stage.down[0] = Some(outage(silent));
                finish(self);
                Noted::of("dns-outage", self.workload(0)).with("silent", silent)
            }
            What::FlashCrowd { member } => {
                again(self, at);
                Noted::of("flash-crowd", self.workload(member))
                    .with("times", self.stage.settings.disturbances.crowd)
            }
            What::LoadTest { call } => {
                again(self, at);
                let target = self.plot.edge_of[call].map(|edge| self.target(edge));
                let by = "kube-system/load-generator";
                Noted::new("load-test", target).with("by", by)
            }
            What::Scan => {
                again(self, at);
                Noted::new("scan", self.scanner.map(|member| self.workload(member)))
            }
            What::CdnRotation => self.rotate(),
            What::Backup { member, call } => {
                let night = (at / DAY + 1) * DAY + 2 * HOUR;
                again(self, night);
                let bucket = self.plot.edge_of[call].map(|edge| self.target(edge));
                Noted::of("backup", self.workload(member))
                    .with("bucket", bucket.map(|bucket| bucket.name().to_owned()))
            }
            What::Certificates { namespace } => self.certificates(namespace, at),
            What::PolicyRollout { set, from, to } => {
                self.stage.rules.enforce(set);
                let clients = self.stage.cast.members[from as usize].pods.clone();
                let servers = self.stage.cast.members[to as usize].pods.clone();
                self.cut(at, |path| {
                    clients.contains(&path.client) && servers.contains(&path.server)
                });
                finish(self);
                let broken = self.workload(from).path();
                Noted::of("policy-rollout", self.workload(to)).with("broken", broken)
            }
            What::Observability => {
                for beat in self.plot.later.clone() {
                    let late = self.stage.random.unit() * (end - at) as f64;
                    self.agenda.push(at + late as i64, Action::Beat { beat });
                }
                Noted::new("observability-rollout", None)
            }
            What::ClockSkew => {
                let node = self.stage.random.below(self.stage.skew.len());
                let jump = if self.stage.random.chance(0.5) {
                    CLOCK_JUMP
                } else {
                    -CLOCK_JUMP
                };
                self.stage.skew[node] += jump;
                self.record.skewed.push((number, node, jump));
                finish(self);
                let name = &self.stage.cast.nodes[node];
                Noted::of("clock-skew", Subject::node(name)).with("seconds", jump / SECOND)
            }
            What::Loss => {
                self.haze = self.stage.settings.disturbances.loss.0;
                finish(self);
                Noted::new("loss", None).with("share", self.haze)
            }
        };
        self.record.change(Some(number), noted, (at, end));
    }

    pub(super) fn finish(&mut self, number: u32) {
        let change = self.changes[number as usize].clone();
        match change.what {
            What::BackendOutage { member, .. } => self.stage.down[member as usize] = None,
            What::DnsOutage { .. } => self.stage.down[0] = None,
            What::PolicyRollout { .. } => self.stage.rules.enforce(0),
            What::Loss => self.haze = 0.0,
            What::ClockSkew => {
                let skewed = self.record.skewed.iter();
                let found = skewed.copied().find(|(own, ..)| *own == number);
                if let Some((_, node, jump)) = found {
                    self.stage.skew[node] -= jump;
                }
            }
            What::Preview { members, calls } => {
                self.switch(calls, false);
                for member in members {
                    self.retire(member, 0, change.end);
                    self.stage.cast.stop_pod(member, change.end);
                }
            }
            _ => {}
        }
    }

    /// Puts a pod into the place of another. It runs where the scheduler likes, but not on
    /// the node that is `drained`.
    pub(super) fn roll(&mut self, member: u32, place: u32, drained: Option<u16>, at: i64) {
        self.retire(member, place, at);
        let random = &mut self.stage.random;
        let nodes = self.stage.cast.nodes.len();
        let mut node = random.below(nodes) as u16;
        if Some(node) == drained {
            node = (node + 1) % nodes as u16;
        }
        let cast = &mut self.stage.cast;
        cast.replace_pod(member, place, Some(node), at, random);
    }

    /// Lets the numbers of pods follow the load, every hour.
    pub(super) fn scale(&mut self, at: i64) {
        for index in 0..self.scaled.len() {
            let member = self.scaled[index];
            let of = &self.stage.cast.members[member as usize];
            let busy = busyness(&self.stage.settings.users, at);
            let wanted = (f64::from(of.replicas) * busy).round() as u32;
            let wanted = wanted.clamp(1, of.places);
            let before = of.pods.len() as u32;
            if of.kind == "CronJob" || wanted == before {
                continue;
            }
            for place in (wanted..before).rev() {
                self.retire(member, place, at);
                self.stage.cast.stop_pod(member, at);
            }
            for _ in before..wanted {
                let cast = &mut self.stage.cast;
                cast.start_pod(member, None, at, &mut self.stage.random);
            }
            let noted = Noted::of("scaling", self.workload(member));
            let noted = noted.with("from", before).with("to", wanted);
            self.record.change(None, noted, (at, at));
        }
        self.agenda.push(at + HOUR, Action::Scale);
    }

    fn release(
        &mut self,
        member: u32,
        adds: Option<usize>,
        drops: bool,
        variant: Option<u32>,
        at: i64,
    ) -> Noted {
        let mut noted = Noted::of("release", self.workload(member));
        if let Some(variant) = variant {
            self.stage.cast.members[member as usize].variant = variant;
            noted = noted.with("labels", true);
        }
        self.stage.cast.members[member as usize].revision += 1;
        if let Some(edge) = adds.and_then(|call| self.plot.edge_of[call]) {
            self.plot.edges[edge as usize].off = false;
            noted = noted.with("adds", self.target(edge).path());
        }
        if drops {
            let edges = self.plot.of[member as usize].clone();
            let live: Vec<u32> = edges
                .filter(|edge| !self.plot.edges[*edge as usize].off)
                .collect();
            if let Some(edge) = self.stage.random.pick(&live) {
                self.plot.edges[edge as usize].off = true;
                noted = noted.with("drops", self.target(edge).path());
            }
        }
        self.roll_out(member, at);
        noted
    }

    /// Replaces the pods of a member one after the other.
    fn roll_out(&mut self, member: u32, at: i64) {
        let between = self.stage.settings.churn.rollout.nanos();
        let of = &self.stage.cast.members[member as usize];
        if of.kind == "CronJob" {
            return;
        }
        for place in 0..of.pods.len() as u32 {
            let at = at + i64::from(place) * between + 1;
            self.agenda.push(at, Action::Roll { member, place });
        }
    }

    fn drain(&mut self, at: i64) -> Noted {
        let node = self.stage.random.below(self.stage.cast.nodes.len()) as u16;
        for member in 0..self.stage.cast.members.len() as u32 {
            let of = &self.stage.cast.members[member as usize];
            if of.kind == "DaemonSet" {
                continue;
            }
            for place in 0..of.pods.len() as u32 {
                let id = self.stage.cast.members[member as usize].pods[place as usize];
                if self.stage.cast.party(id).node == Some(node) {
                    self.roll(member, place, Some(node), at);
                }
            }
        }
        Noted::of(
            "drain",
            Subject::node(&self.stage.cast.nodes[node as usize]),
        )
    }

    /// A content network answers with addresses of another network.
    fn rotate(&mut self) -> Noted {
        let cast = &mut self.stage.cast;
        let networks: Vec<usize> = (0..cast.moved.len())
            .filter(|at| cast.cdn[*at] && !cast.moved[*at].is_empty())
            .collect();
        let Some(network) = self.stage.random.pick(&networks) else {
            return Noted::new("cdn-rotation", None);
        };
        std::mem::swap(&mut cast.externals[network], &mut cast.moved[network]);
        let name = super::lines::external_name(cast, network as u32);
        Noted::of("cdn-rotation", Subject::name_of(&name))
    }

    /// Connections of a namespace are made anew within ten minutes.
    fn certificates(&mut self, namespace: usize, at: i64) -> Noted {
        let names = self.stage.cast.members.iter();
        let mut names: Vec<_> = names.map(|member| member.namespace.clone()).collect();
        names.sort();
        names.dedup();
        let name = names[namespace % names.len()].clone();
        for pool in &mut self.pools {
            let Some(path) = pool.path else {
                continue;
            };
            let of = |id: PartyId| self.stage.cast.party(id).member();
            let inside = |member: usize| self.stage.cast.members[member].namespace == name;
            if of(path.client).is_some_and(inside) || of(path.server).is_some_and(inside) {
                let late = self.stage.random.between(0.0, 600.0);
                pool.until = pool.until.min(at + (late * 1e9) as i64);
            }
        }
        Noted::of("certificate-rotation", Subject::namespace(&name))
    }

    /// Lets calls be made, or no longer.
    fn switch(&mut self, calls: std::ops::Range<usize>, on: bool) {
        for call in calls {
            if let Some(edge) = self.plot.edge_of[call] {
                self.plot.edges[edge as usize].off = !on;
            }
        }
    }

    /// A member as it is called now.
    pub(super) fn workload(&self, member: u32) -> Subject {
        let cast = &self.stage.cast;
        let variant = &cast.variants[cast.members[member as usize].variant as usize];
        Subject::workload(&cast.cluster, variant)
    }

    fn target(&self, edge: u32) -> Subject {
        match self.plot.edges[edge as usize].target {
            Target::Member(member) => self.workload(member),
            Target::External(external) => {
                let name = super::lines::external_name(&self.stage.cast, external);
                Subject::name_of(&name)
            }
        }
    }
}

fn outage(silent: bool) -> Response {
    if silent {
        Response::Silent
    } else {
        Response::Refuses
    }
}

/// Keeps the draws of an incident apart from those of everybody else.
pub(super) fn swap_random(play: &mut Play, random: &mut Random) {
    std::mem::swap(&mut play.stage.random, random);
}
