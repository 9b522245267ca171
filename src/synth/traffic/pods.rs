//! Pods that come and go.
//!
//! Owns where a new pod runs, which address it gets, and when the address and the number of
//! one that is gone are given to another. What else a change does is `changes`'.

use std::collections::VecDeque;

use super::super::number::{Random, mix};
use super::cast::{Cast, Party, PartyId, Role, pod_ip};

/// How long nothing else has the number of a pod that is gone: longer than its last events
/// wait.
const QUARANTINE: i64 = 300_000_000_000;

/// Places on nodes, and numbers of pods that are gone.
#[derive(Debug)]
pub(super) struct Slots {
    /// Free places of each node; the one that is free longest is first.
    free: Vec<VecDeque<u32>>,
    /// Numbers of pods that are gone, with the time.
    gone: VecDeque<(i64, PartyId)>,
    pods: u64,
}

impl Slots {
    pub(super) fn new(nodes: usize, end: u32) -> Self {
        Self {
            free: vec![(2..end).collect(); nodes],
            gone: VecDeque::new(),
            pods: 0,
        }
    }

    /// How many pods there ever were, more or less those of the beginning.
    #[cfg(test)]
    pub(super) fn pods(&self) -> u64 {
        self.pods
    }
}

impl Cast {
    /// Starts a pod of a member in its next place. `node` is where it would like to run.
    pub(super) fn start_pod(
        &mut self,
        member: u32,
        node: Option<u16>,
        at: i64,
        random: &mut Random,
    ) -> PartyId {
        let place = self.members[member as usize].pods.len() as u32;
        let id = self.new_pod(member, place, node, at, random);
        self.members[member as usize].pods.push(id);
        id
    }

    /// Starts a pod in the place of another, which goes.
    pub(super) fn replace_pod(
        &mut self,
        member: u32,
        place: u32,
        node: Option<u16>,
        at: i64,
        random: &mut Random,
    ) {
        let id = self.new_pod(member, place, node, at, random);
        let places = &mut self.members[member as usize].pods;
        if let Some(place) = places.get_mut(place as usize) {
            let old = std::mem::replace(place, id);
            self.bury(old, at);
        }
    }

    /// Stops the last pod of a member.
    pub(super) fn stop_pod(&mut self, member: u32, at: i64) {
        if let Some(id) = self.members[member as usize].pods.pop() {
            self.bury(id, at);
        }
    }

    fn new_pod(
        &mut self,
        member: u32,
        place: u32,
        node: Option<u16>,
        at: i64,
        random: &mut Random,
    ) -> PartyId {
        let nodes = self.nodes.len();
        let wanted = node.map_or_else(|| random.below(nodes), usize::from);
        let step = (0..nodes).find(|step| self.slots.free[(wanted + step) % nodes].len() > 1);
        let node = (wanted + step.unwrap_or(0)) % nodes;
        // A cluster that is full to the last address shares one: no run gets there.
        let slot = self.slots.free[node].pop_front().unwrap_or(2);
        let of = &self.members[member as usize];
        let variant = &self.variants[of.variant as usize];
        self.slots.pods += 1;
        let party = Party {
            role: Role::Pod {
                member,
                place,
                slot,
            },
            node: Some(node as u16),
            ip: pod_ip(node, slot),
            identity: variant.identity,
            number: variant.number,
            variant: of.variant,
            uid: mix(self.slots.pods | 1 << 59),
            revision: of.revision,
            alive: true,
        };
        match self.slots.gone.front() {
            Some((gone, id)) if gone.saturating_add(QUARANTINE) < at => {
                let id = *id;
                self.slots.gone.pop_front();
                self.parties[id.0 as usize] = party;
                id
            }
            _ => {
                self.parties.push(party);
                PartyId(self.parties.len() as u32 - 1)
            }
        }
    }

    fn bury(&mut self, id: PartyId, at: i64) {
        let party = &mut self.parties[id.0 as usize];
        party.alive = false;
        if let (Role::Pod { slot, .. }, Some(node)) = (party.role, party.node) {
            self.slots.free[node as usize].push_back(slot);
            self.slots.gone.push_back((at, id));
        }
    }
}
