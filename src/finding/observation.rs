//! From what a detector says to what the desk takes.
//!
//! Owns resolving numbers to names, and reading from the scene what severity asks for.

use super::kind::KindInfo;
use super::party::Party;
use super::record::{Completeness, RuleRef};
use super::seen::{Around, Seen};
use crate::baseline::Stage;
use crate::connection::{Peer, PeerId};
use crate::detect::{self, Observation, Scene};
use crate::policy::Gap;

impl Seen {
    /// An observation, with what the scene tells of its surroundings; `None` for a kind that
    /// the catalogue does not have. What the scene does not know (releases, outages) is the
    /// caller's to add to [`Seen::around`].
    #[must_use]
    pub fn of(observation: &Observation, scene: &Scene<'_>) -> Option<Self> {
        let kind = KindInfo::of(observation.kind.name())?;
        let party = |id: PeerId| Party::from(scene.peers.get(id));
        let peer = observation.peer.filter(|peer| *peer != PeerId::UNKNOWN);
        Some(Self {
            kind,
            subject: party(observation.subject),
            peer: peer.map(party),
            port: observation.port,
            key: observation.key.clone(),
            from: observation.from,
            to: observation.to,
            p: observation.p,
            fixed: observation.fixed,
            observed: observation.observed,
            expected: observation.expected,
            count: observation.n,
            evidence: observation.evidence.clone(),
            normal: observation.normal.clone(),
            flows: observation
                .samples
                .iter()
                .map(ToString::to_string)
                .collect(),
            passed: observation.passed,
            policies: observation
                .policies
                .iter()
                .map(ToString::to_string)
                .collect(),
            around: around(observation, scene),
        })
    }
}

fn around(observation: &Observation, scene: &Scene<'_>) -> Around {
    let port = observation.port;
    let novelty = observation.peer.map(|peer| {
        let (number, protocol) = port.unwrap_or_default();
        scene
            .model
            .novelty(observation.subject, peer, number, protocol)
    });
    let prevalence = novelty
        .filter(|novelty| novelty.workloads > 0)
        .map(|novelty| novelty.users as f64 / novelty.workloads as f64);
    let age = novelty.map(|novelty| {
        novelty
            .key_first_seen
            .map_or(0, |first| scene.now.saturating_sub(first).max(0))
    });
    let loss = scene.sight.loss();
    Around {
        gap: match (observation.gap, observation.rules.is_empty()) {
            (false, _) => None,
            (true, true) => Some(Gap::NotSelected),
            (true, false) => Some(Gap::OnlyBroad),
        },
        rules: observation.rules.iter().map(RuleRef::from).collect(),
        prevalence,
        age,
        exposed: is_exposed(observation.subject, scene),
        released: None,
        outage: false,
        daily: None,
        completeness: Completeness {
            share: Some(1.0 - loss.share()),
            lost: (!loss.uncounted).then_some(loss.lost),
        },
        // A rule and what is judged without a baseline need none.
        learning: needs_baseline(observation.kind)
            && scene.model.stage(observation.subject) < Stage::Shadow,
        shadow: needs_baseline(observation.kind)
            && scene.model.stage(observation.subject) < Stage::Active,
    }
}

/// Whether a kind is judged by the baseline of its subject.
fn needs_baseline(kind: detect::Kind) -> bool {
    use detect::Kind;
    matches!(
        kind,
        Kind::NewEdge
            | Kind::NewName
            | Kind::NewPort
            | Kind::LateralPath
            | Kind::Rate
            | Kind::Beacon
    )
}

/// Whether the baseline has a connection of the world to somebody.
fn is_exposed(subject: PeerId, scene: &Scene<'_>) -> bool {
    let world = scene.peers.find(&Peer::Entity("world".into()));
    let Some(world) = world else { return false };
    scene.model.listeners(subject).iter().any(|listener| {
        scene
            .model
            .edge(world, subject, listener.port, listener.protocol)
            .is_some()
    })
}

impl From<&detect::RuleAt> for RuleRef {
    fn from(rule: &detect::RuleAt) -> Self {
        Self {
            policy: rule.policy.to_string(),
            file: rule.file.to_string(),
            line: rule.line,
        }
    }
}
