//! Whether something is new enough to be told, for detectors that are rules.
//!
//! Owns the questions all of them ask: who is looked at, what a person or the baseline says
//! about an edge, how settled the client is, how many others do the same; and what all of
//! them say alike of an edge, or of what they cannot see.

use std::collections::{BTreeMap, BTreeSet};

use super::account::Account;
use super::novel::Told;
use super::{Blindness, Kind, Observation, Scene, words};
use crate::baseline::{DAY, Group, Stage, Status, Tick};
use crate::connection::{Peer, PeerId};
use crate::flow::Protocol;

/// Clients that begin something in the same minute, from which it is a rollout.
const CROWD: usize = 5;
/// What was seen on one day only is no habit, once that is so long ago.
const ONCE: i64 = 7 * DAY;
/// How much less a fixed probability says of a client that has not settled, or of a crowd.
const DISCOUNT: f64 = 100.0;

/// An edge of a tick: client, key, port, protocol.
pub(super) type Place = (PeerId, PeerId, u16, Protocol);

/// Edges of a tick that a rule is about, and that are new.
pub(super) struct NewEdges<T> {
    edges: BTreeMap<Place, (Account, T)>,
    clients: BTreeMap<PeerId, BTreeSet<PeerId>>,
}

/// What a rule says of an edge.
pub(super) struct Said {
    /// How probable it is by decree.
    pub(super) decreed: f64,
    /// What the client did, without its full stop.
    pub(super) did: String,
    /// What would make it normal.
    pub(super) normal: String,
}

/// The place of a group.
pub(super) fn place(group: &Group) -> Place {
    (group.client, group.key, group.port, group.protocol)
}

/// Whether a client is looked at by rules about workloads: not nodes, nor what is outside.
pub(super) fn is_workload(client: PeerId, scene: &Scene<'_>) -> bool {
    matches!(scene.peers.get(client), Peer::Workload { .. })
}

/// Whether a peer is outside the cluster.
pub(super) fn is_outside(peer: PeerId, scene: &Scene<'_>) -> bool {
    matches!(scene.peers.get(peer), Peer::Name(_) | Peer::Prefix(_))
}

/// Whether nobody has said that an edge is normal, nor it has been learned. What a person
/// has forbidden is told elsewhere.
pub(super) fn is_new((client, key, port, protocol): Place, scene: &Scene<'_>) -> bool {
    match scene.model.decided(client, key, port, protocol) {
        Some(Status::Approved | Status::Forbidden) => false,
        _ => scene.model.edge(client, key, port, protocol).is_none(),
    }
}

/// Whether an edge that is learned is a habit: what happened on one day only, more than a week
/// ago, does not make a rule's subject normal. Who has approved it says so.
fn is_habit((client, key, port, protocol): Place, scene: &Scene<'_>) -> bool {
    let edge = scene.model.edge(client, key, port, protocol);
    edge.is_none_or(|edge| {
        edge.status != Status::Learned
            || edge.days != 1
            || edge.last.saturating_add(ONCE) > scene.now
    })
}

/// Whether enough is known of a client for what is new to be unusual: its baseline is past
/// learning, or it has been seen for a day.
pub(super) fn is_settled(client: PeerId, scene: &Scene<'_>) -> bool {
    let readiness = scene.model.readiness(client);
    readiness.stage() >= Stage::Shadow || readiness.observed >= DAY
}

/// Whether the cluster was watched for a day: before that everything is new.
pub(super) fn is_watched_for_a_day(scene: &Scene<'_>) -> bool {
    scene
        .model
        .span()
        .is_some_and(|(first, last)| last.saturating_sub(first) >= DAY)
}

impl<T: Ord> NewEdges<T> {
    /// Those of workloads for which `pick` has something to say; of several sayings about an
    /// edge the largest counts.
    pub(super) fn of(
        tick: &Tick,
        scene: &Scene<'_>,
        pick: impl Fn(&Group) -> Option<T>,
    ) -> NewEdges<T> {
        let mut found = NewEdges {
            edges: BTreeMap::new(),
            clients: BTreeMap::new(),
        };
        for group in tick.groups.iter().filter(|group| group.fate.is_new()) {
            let Some(said) = pick(group) else {
                continue;
            };
            let place = place(group);
            let told = is_new(place, scene) || !is_habit(place, scene);
            if !is_workload(group.client, scene) || !told {
                continue;
            }
            let clients = found.clients.entry(group.key).or_default();
            clients.insert(group.client);
            if let Some((account, before)) = found.edges.get_mut(&place) {
                account.add(group);
                if said > *before {
                    *before = said;
                }
            } else {
                let mut account = Account::default();
                account.add(group);
                found.edges.insert(place, (account, said));
            }
        }
        found
    }

    /// Observations of the edges that are not told already, in order. `say` is given who the
    /// client is.
    pub(super) fn tell(
        &self,
        kind: Kind,
        told: &mut Told,
        scene: &Scene<'_>,
        out: &mut Vec<Observation>,
        say: impl Fn(&str, &Place, &Account, &T) -> Said,
    ) {
        for (place, (account, picked)) in &self.edges {
            let (client, key, port, protocol) = *place;
            if !told.tells_again((client, key, Some((port, protocol))), account.from) {
                continue;
            }
            let who = words::who(scene.peers, client);
            let said = say(&who, place, account, picked);
            let p = self.p(said.decreed, place, scene);
            let mut one = observation(kind, place, account, p);
            let history = self.history(place, scene);
            one.evidence.push(format!("{}. {history}", said.did));
            one.evidence.push(account.verdict());
            one.normal = said.normal;
            out.push(one);
        }
    }

    /// A probability by decree, less surprising for a client that has not settled, and where
    /// many begin the same at once.
    fn p(&self, decreed: f64, place: &Place, scene: &Scene<'_>) -> f64 {
        let mut p = decreed;
        if !is_settled(place.0, scene) {
            p *= DISCOUNT;
        }
        if self.crowd(place, scene) >= CROWD {
            p *= DISCOUNT;
        }
        p.min(1.0)
    }

    /// Workloads that begin to call the same destination, this one among them.
    fn crowd(&self, place: &Place, scene: &Scene<'_>) -> usize {
        let (client, key, port, protocol) = *place;
        let now = self.clients.get(&key).map_or(1, BTreeSet::len);
        let novelty = scene.model.novelty(client, key, port, protocol);
        now.max(novelty.awaiting + 1)
    }

    /// `It never did in 31 days; 2 of 312 workloads do.`: what is known beside.
    fn history(&self, place: &Place, scene: &Scene<'_>) -> String {
        let (client, key, port, protocol) = *place;
        let novelty = scene.model.novelty(client, key, port, protocol);
        let observed = scene.model.readiness(client).observed;
        let edge = scene.model.edge(client, key, port, protocol);
        let before = if let Some(edge) = edge {
            format!("It did on one day before, at {}", words::at(edge.last))
        } else if observed < DAY / 24 {
            "It is new itself".to_owned()
        } else {
            format!("It never did in {}", words::span(observed))
        };
        let crowd = self.crowd(place, scene);
        let others = if crowd > 1 {
            format!(", {} begin to now", words::number(crowd as u64))
        } else {
            String::new()
        };
        format!(
            "{before}; {} of {} do{others}.",
            words::number(novelty.users as u64),
            words::count(novelty.workloads as u64, "workload", "workloads"),
        )
    }
}

/// Fills what all rules about new edges say alike.
pub(super) fn observation(kind: Kind, place: &Place, account: &Account, p: f64) -> Observation {
    let (client, key, port, protocol) = *place;
    Observation {
        peer: Some(key),
        port: Some((port, protocol)),
        p,
        fixed: true,
        ..account.observation(kind, client)
    }
}

/// That names cannot be seen of workloads whose DNS is not visible.
pub(super) fn no_dns(kind: Kind, scene: &Scene<'_>) -> Option<Blindness> {
    let (all, visible) = scene.sight.dns_coverage(scene.now);
    (visible < all).then(|| Blindness {
        kind,
        why: format!(
            "DNS is not visible for {} of {}",
            words::number((all - visible) as u64),
            words::count(all as u64, "workload", "workloads")
        ),
        share: (all - visible) as f64 / all as f64,
    })
}

/// That everything is new in a cluster that was watched for less than a day.
pub(super) fn young(kind: Kind) -> Blindness {
    Blindness {
        kind,
        why: "the cluster was watched for less than a day".to_owned(),
        share: 1.0,
    }
}
