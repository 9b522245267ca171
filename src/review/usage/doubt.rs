//! What a recording cannot show about the use of rules.
//!
//! Owns when nothing is claimed at all, and which rules somebody may need who was not seen:
//! connections that could not be judged, jobs that run less often than the recording is
//! long. Absence is only claimed where all of the window was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::case::SideCase;
use super::gather::{Unjudged, Usage};
use super::tally::Tally;
use super::uses::Doubt;
use crate::connection::PeerId;
use crate::engine::{ClusterPolicies, Policies};
use crate::policy::{Cause, Direction, IdentityIndex, PolicySet, Question, Verdict, WrittenRule};
use crate::review::report::Seen;
use crate::review::simulate::Job;
use crate::source::file::Field;

/// Identities that are tried for one peer of a connection that could not be judged.
const MOST_IDENTITIES: usize = 16;
/// What a person accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Share of node-time that must have been seen, 0 to 1.
    pub least_seen: f64,
    /// Flows were filtered: others are not looked at.
    pub filtered: bool,
    /// From the first flow to the last there must be so many nanoseconds.
    pub least_window: i64,
}

/// Why nothing is claimed of anything.
#[derive(Clone, Debug, PartialEq)]
pub enum Withdrawn {
    /// No connection was recorded, or none with a time.
    NoFlows,
    /// The recording is shorter than a claim takes: both in nanoseconds.
    Short {
        /// From the first flow to the last.
        window: i64,
        /// What was asked for.
        least: i64,
    },
    /// Less was seen than is asked for: the share of node-time, and events known to be lost.
    Unseen {
        /// 0 to 1.
        share: f64,
        /// `None` where nobody knows how many.
        lost: Option<u64>,
    },
    /// Lines could not be read.
    Skipped(u64),
    /// Recordings could not be read to their end.
    Unread,
    /// Filters leave flows out.
    Filtered,
    /// There was no room for all that was asked.
    LeftOut(u64),
    /// The recording lacks what judging needs: what it is, as a sentence.
    Masked(String),
}

impl Withdrawn {
    /// Why nothing is claimed of a recording; none where claims can be made.
    #[must_use]
    pub fn of(usage: &Usage, limits: Limits) -> Vec<Self> {
        let reading = &usage.reading;
        let mut why = Vec::new();
        let window = reading.window();
        match window.filter(|_| usage.connections > 0) {
            None => why.push(Self::NoFlows),
            Some(window) if window < limits.least_window => why.push(Self::Short {
                window,
                least: limits.least_window,
            }),
            Some(_) => {}
        }
        if let Some(seen) = reading.share_seen()
            && (seen.share < limits.least_seen || limits.least_seen >= 1.0 && seen.lost != Some(0))
        {
            why.push(Self::Unseen {
                share: seen.share,
                lost: seen.lost,
            });
        }
        let skipped: u64 = reading.skipped().values().sum();
        if skipped > 0 {
            why.push(Self::Skipped(skipped));
        }
        if !reading.failed.is_empty() || reading.interrupted {
            why.push(Self::Unread);
        }
        if limits.filtered {
            why.push(Self::Filtered);
        }
        if usage.left_out > 0 {
            why.push(Self::LeftOut(usage.left_out));
        }
        let masked = reading.missing().find(|missing| {
            matches!(
                missing.field,
                Field::Verdict | Field::EventType | Field::TrafficDirection | Field::Identity
            )
        });
        if let Some(missing) = masked {
            why.push(Self::Masked(missing.sentence.to_string()));
        }
        why
    }
}

/// Attributes all that was recorded, and what may be missing of it.
pub(in crate::review) fn tallied<'a>(
    usage: &Usage,
    policies: &Policies,
    set: &'a PolicySet,
    written: &'a [WrittenRule],
    jobs: &[Job],
) -> Tally<'a> {
    let mut tally = Tally::new(set, written);
    let mut clusters = Clusters {
        policies,
        known: BTreeMap::new(),
    };
    for side in usage.cases.iter().flat_map(|case| case.iter().flatten()) {
        let Some(cluster) = clusters.at(side.cluster) else {
            continue;
        };
        let compiled = cluster.read();
        tally.subject(&compiled, &side.question);
        tally.side(&compiled, side, 0, Seen::default());
        if let Some(request) = &side.request {
            tally.request(&compiled, side, request, 0);
        }
    }
    for row in &usage.rows {
        for side in row.sides.iter().flatten() {
            if let Some(cluster) = clusters.at(side.cluster) {
                tally.side(&cluster.read(), side, row.count, row.seen);
            }
        }
    }
    for (sides, count) in &usage.asked {
        for side in sides.iter().flatten() {
            if let (Some(cluster), Some(request)) = (clusters.at(side.cluster), &side.request) {
                tally.request(&cluster.read(), side, request, *count);
            }
        }
    }
    for (side, count) in &usage.drifted {
        if let Some(cluster) = clusters.at(side.cluster) {
            tally.drifted(&cluster.read(), side, *count);
        }
    }
    let people = People::of(usage);
    for one in &usage.unjudged {
        unjudged(&mut tally, &people, &mut clusters, one);
    }
    for job in jobs {
        for name in names(usage) {
            missed(&mut tally, &people, policies, name, job);
        }
    }
    tally.finish();
    tally
}

/// Clusters that flows are of; `None` is the one that is meant where they do not say.
fn names(usage: &Usage) -> Vec<Option<&str>> {
    let names: Vec<Option<&str>> = usage
        .reading
        .clusters
        .iter()
        .map(|name| Some(&**name))
        .collect();
    if names.is_empty() { vec![None] } else { names }
}

struct Clusters<'a> {
    policies: &'a Policies,
    known: BTreeMap<u32, Option<Arc<ClusterPolicies>>>,
}

impl Clusters<'_> {
    fn at(&mut self, place: u32) -> Option<Arc<ClusterPolicies>> {
        let policies = self.policies;
        let known = self.known.entry(place);
        known.or_insert_with(|| policies.at(place)).clone()
    }
}

/// Who peers are to policies, as far as judged connections show.
#[derive(Default)]
struct People {
    /// For each peer its identities in each cluster.
    of: BTreeMap<PeerId, BTreeSet<(u32, IdentityIndex)>>,
    clusters: BTreeSet<u32>,
    subjects: BTreeSet<(u32, IdentityIndex)>,
}

impl People {
    fn of(usage: &Usage) -> Self {
        let mut people = Self::default();
        for row in &usage.rows {
            let ends = [row.edge.client, row.edge.server];
            for (at, side) in row.sides.iter().enumerate() {
                let Some(SideCase {
                    cluster, question, ..
                }) = side
                else {
                    continue;
                };
                people.clusters.insert(*cluster);
                people.subjects.insert((*cluster, question.subject));
                people.add(ends[at], *cluster, question.subject);
                people.add(ends[1 - at], *cluster, question.peer);
            }
        }
        people
    }

    fn add(&mut self, peer: PeerId, cluster: u32, who: IdentityIndex) {
        let known = self.of.entry(peer).or_default();
        if known.len() < MOST_IDENTITIES {
            known.insert((cluster, who));
        }
    }

    /// Who a peer may be in a cluster; somebody nothing is known of where nothing shows it.
    fn who(&self, peer: PeerId, place: u32, cluster: &ClusterPolicies) -> Vec<IdentityIndex> {
        let known = self.of.get(&peer).into_iter().flatten();
        let mut who: Vec<IdentityIndex> = known
            .filter(|(of, _)| *of == place)
            .map(|(_, who)| *who)
            .collect();
        if who.is_empty() || who.len() >= MOST_IDENTITIES {
            who = vec![cluster.nobody()];
        }
        who
    }
}

/// Connections of which only replies, or nothing of layer 4, was recorded: whatever they may
/// fall under may be needed.
fn unjudged(tally: &mut Tally<'_>, people: &People, clusters: &mut Clusters<'_>, one: &Unjudged) {
    for place in &people.clusters {
        let Some(cluster) = clusters.at(*place) else {
            continue;
        };
        let clients = people.who(one.edge.client, *place, &cluster);
        let servers = people.who(one.edge.server, *place, &cluster);
        let nobody = cluster.nobody();
        for client in &clients {
            for server in &servers {
                let sides = [(*client, *server), (*server, *client)];
                for (direction, (subject, peer)) in Direction::BOTH.into_iter().zip(sides) {
                    let compiled = cluster.read();
                    if subject != nobody && !compiled.is_endpoint(subject) {
                        continue;
                    }
                    let question = Question {
                        subject,
                        direction,
                        peer,
                        protocol: one.edge.protocol.iana(),
                        port: one.edge.port,
                    };
                    if !one.oriented {
                        // Either may be the client, and either port the one that was called.
                        let known = (peer != nobody).then_some(peer);
                        for direction in Direction::BOTH {
                            whatever(tally, &compiled, (subject, direction, known), one.count);
                        }
                        continue;
                    }
                    let known = subject != nobody && peer != nobody;
                    let verdict = known.then(|| compiled.answer(&question).verdict);
                    if verdict.is_some_and(Verdict::is_denied) {
                        continue;
                    }
                    let cause = (!known).then_some(Cause::NoLabels);
                    let covers = tally.covers(&compiled, *place, &question, cause);
                    for cover in &covers.rules {
                        tally.doubt(cover, &Doubt::Unjudged, one.count);
                    }
                }
            }
        }
    }
}

/// Doubts all rules between two, on whatever port; without a peer those for whoever it is.
fn whatever(
    tally: &mut Tally<'_>,
    compiled: &crate::policy::Compiled,
    (subject, direction, peer): (IdentityIndex, Direction, Option<IdentityIndex>),
    count: u64,
) {
    let set = compiled.set().clone();
    for index in compiled.may_select(subject, direction) {
        let Some(entry) = set.entries.get(index as usize) else {
            continue;
        };
        let peers = peer.and_then(|peer| compiled.peers_that_are(entry, peer));
        if peers.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        if let Some(cover) = tally.whole(index, peers.as_deref()) {
            tally.doubt(&cover, &Doubt::Unjudged, count);
        }
    }
}

/// A job that the recording may have missed: what is for it may be needed.
fn missed(
    tally: &mut Tally<'_>,
    people: &People,
    policies: &Policies,
    cluster: Option<&str>,
    job: &Job,
) {
    let workload = policies.inventory().workloads.iter().find(|workload| {
        &*workload.kind == "CronJob"
            && workload.name == job.name
            && workload.namespace.as_ref() == Some(&job.namespace)
    });
    let name = policies.options_of(cluster).cluster_name;
    let identity = workload.and_then(|workload| policies.inventory().identity(workload, &name));
    let Some(identity) = identity else { return };
    let cluster = policies.cluster(cluster);
    let place = policies.place(&cluster);
    let who = cluster.index(identity, false);
    if people.subjects.contains(&(place, who)) {
        // It ran.
        return;
    }
    let compiled = cluster.read();
    let set = compiled.set().clone();
    let doubt = Doubt::Job(format!("{}/{}", job.namespace, job.name).into());
    for (index, entry) in (0..).zip(&set.entries) {
        let cover = if compiled.selects_subject(entry, who) {
            tally.whole(index, None)
        } else {
            match compiled.peers_that_are(entry, who) {
                Some(peers) if peers.is_empty() => None,
                peers => tally.whole(index, peers.as_deref()),
            }
        };
        if let Some(cover) = cover {
            tally.doubt(&cover, &doubt, 0);
        }
    }
}
