//! What is kept of connections that are alike.
//!
//! Owns adding one to a group, in any order, and what became of one.

use std::net::IpAddr;

use super::open::Place;
use crate::baseline::tick::{Fate, Group, MOST_SAMPLES, MOST_SERVERS, MOST_STARTS, Servers};
use crate::connection::{Connection, Opening, Outcome};
use crate::flow::{DropClass, FlowReference};

/// What became of a connection, as far as 20 s tell.
pub(super) fn fate(one: &Connection) -> Fate {
    match one.outcome {
        Outcome::Dropped(reason) if reason.class() == DropClass::Policy => Fate::Denied,
        Outcome::Dropped(reason) => Fate::Dropped(reason.class()),
        Outcome::Error => Fate::Dropped(DropClass::Infrastructure),
        _ if one.opening == Opening::Missed => Fate::Missed,
        Outcome::Audited => Fate::Audited,
        Outcome::RequestDenied => Fate::RequestDenied,
        Outcome::Forwarded if one.refused => Fate::Refused,
        Outcome::Forwarded if one.answered => Fate::Answered,
        Outcome::Forwarded => Fate::Unanswered,
    }
}

impl Group {
    pub(super) fn new(place: &Place, one: &Connection) -> Self {
        let mut group = Self {
            client: place.client,
            server: place.server,
            key: place.key,
            port: place.port,
            protocol: place.protocol,
            fate: place.fate,
            count: 0,
            attempts: 0,
            first: one.first,
            last: one.first,
            starts: Vec::new(),
            servers: Servers::default(),
            sample: one.clone(),
            samples: Vec::new(),
            busy: 0,
        };
        group.add(one);
        group
    }

    pub(super) fn add(&mut self, one: &Connection) {
        self.count = self.count.saturating_add(one.weight);
        self.attempts = self.attempts.saturating_add(u64::from(one.attempts));
        self.busy += u64::from(one.busy);
        self.first = self.first.min(one.first);
        self.last = self.last.max(one.first);
        insert(&mut self.starts, one.first, MOST_STARTS);
        if let Some(server) = one.tuple.server {
            self.servers.add(server);
        }
        if (one.first, &one.tuple) < (self.sample.first, &self.sample.tuple) {
            self.sample = one.clone();
        }
        let (node, time, tuple) = &one.reference;
        let is_early = self.samples.len() < MOST_SAMPLES
            || self
                .samples
                .last()
                .is_some_and(|last| (*time, &**node, *tuple) < order(last));
        if is_early {
            let reference = FlowReference {
                node: node.to_string(),
                time: *time,
                tuple: *tuple,
            };
            let at = self
                .samples
                .partition_point(|known| order(known) < order(&reference));
            self.samples.insert(at, reference);
            self.samples.truncate(MOST_SAMPLES);
        }
    }
}

impl Servers {
    fn add(&mut self, address: IpAddr) {
        let Err(at) = self.kept.binary_search(&address) else {
            return;
        };
        self.more |= self.kept.len() == MOST_SERVERS;
        self.kept.insert(at, address);
        self.kept.truncate(MOST_SERVERS);
    }
}

fn order(reference: &FlowReference) -> (i64, &str, u64) {
    (reference.time, &reference.node, reference.tuple)
}

/// Inserts into a sorted list of the smallest `most`.
fn insert(sorted: &mut Vec<i64>, one: i64, most: usize) {
    if sorted.len() == most && sorted.last().is_some_and(|last| *last <= one) {
        return;
    }
    let at = sorted.partition_point(|known| *known <= one);
    sorted.insert(at, one);
    sorted.truncate(most);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::testing::connection;
    use crate::flow::{DropReason, Protocol};

    #[test]
    fn fate_is_what_twenty_seconds_tell() {
        let base = || connection(Protocol::Tcp, 1, 0);
        let dropped = |reason| Connection {
            outcome: Outcome::Dropped(DropReason(reason)),
            answered: false,
            ..base()
        };
        assert_eq!(fate(&base()), Fate::Answered);
        assert_eq!(fate(&dropped(133)), Fate::Denied);
        assert_eq!(fate(&dropped(151)), Fate::Dropped(DropClass::Routing));
        let refused = Connection {
            refused: true,
            ..base()
        };
        assert_eq!(fate(&refused), Fate::Refused);
        let unanswered = Connection {
            answered: false,
            ..base()
        };
        assert_eq!(fate(&unanswered), Fate::Unanswered);
        let missed = Connection {
            opening: Opening::Missed,
            ..base()
        };
        assert_eq!(fate(&missed), Fate::Missed);
    }
}
