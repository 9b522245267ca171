//! What many contacts look like, in words.
//!
//! Owns whether they have one destination or port in common, and how failures are listed.

use std::collections::BTreeSet;

use super::contacts::{Contact, Outcome, Target};
use crate::connection::PeerId;
use crate::detect::{Scene, words};
use crate::flow::Protocol;

/// Whether one port of many was tried, or many ports of one.
pub(super) struct Shape {
    pub(super) peer: Option<PeerId>,
    pub(super) port: Option<(u16, Protocol)>,
    peers: usize,
    ports: usize,
}

impl Shape {
    pub(super) fn of(contacts: &[(&Target, &Contact)]) -> Self {
        let peers: BTreeSet<PeerId> = contacts.iter().map(|(target, _)| target.0).collect();
        let ports: BTreeSet<(u16, Protocol)> = contacts
            .iter()
            .map(|(target, _)| (target.1, target.2))
            .collect();
        let only = |set: &BTreeSet<PeerId>| (set.len() == 1).then(|| set.first().copied());
        Self {
            peer: only(&peers).flatten(),
            port: (ports.len() == 1).then(|| ports.first().copied()).flatten(),
            peers: peers.len(),
            ports: ports.len(),
        }
    }

    pub(super) fn words(&self, scene: &Scene<'_>) -> String {
        match (self.peer, self.port) {
            (Some(peer), _) => format!(
                " ({} of {})",
                words::count(self.ports as u64, "port", "ports"),
                scene.peers.get(peer)
            ),
            (None, Some((port, protocol))) => format!(
                " ({} on {port}/{})",
                words::count(self.peers as u64, "destination", "destinations"),
                protocol.name()
            ),
            (None, None) => format!(
                " ({}, {})",
                words::count(self.peers as u64, "destination", "destinations"),
                words::count(self.ports as u64, "port", "ports")
            ),
        }
    }
}

/// `10 failed (8 denied by policy, 2 without an answer)`.
pub(super) fn how(failed: u64, of: &dyn Fn(Outcome) -> u64) -> String {
    let parts: Vec<String> = [
        (Outcome::Denied, "denied by policy"),
        (Outcome::Refused, "refused"),
        (Outcome::Silent, "without an answer"),
        (Outcome::NoSuch, "where nothing is"),
    ]
    .into_iter()
    .filter(|(outcome, _)| of(*outcome) > 0)
    .map(|(outcome, word)| format!("{} {word}", words::number(of(outcome))))
    .collect();
    if parts.is_empty() {
        "none failed".to_owned()
    } else {
        format!("{} failed ({})", words::number(failed), parts.join(", "))
    }
}
