//! Look-ups of names, as a resolver with `ndots:5` makes them.
//!
//! Owns the order of search suffixes and both questions (A and AAAA) of each, through the DNS
//! proxy where policy sends them there. Who keeps answers and how long is `play`'s.

use super::cast::{Cast, PartyId, UDP};
use super::rules::Outcome;
use super::stage::{MICRO, MILLI, Stage, packet};
use super::wheel::{DnsEvent, Name, Point, State, Way, What};

/// Port of the cluster's DNS.
const DNS: u16 = 53;

impl Stage {
    /// Looks a name up; returns when the answer is there. `turn` says which addresses of a
    /// content network are answered.
    pub(super) fn look_up(&mut self, client: PartyId, name: Name, turn: u32, at: i64) -> i64 {
        let exists = self.suffix_that_exists(client, name);
        let first = if self.settings.dns.search { 0 } else { exists };
        let mut at = at;
        for search in first..=exists {
            let upstream = matches!(name, Name::External(_)) && search == 3;
            let question = DnsEvent {
                name,
                search,
                aaaa: false,
                took: None,
                found: search == exists,
                turn,
            };
            at = self.ask(client, question, upstream, at);
        }
        at
    }

    /// The suffix that makes a name of what the client wrote.
    fn suffix_that_exists(&self, client: PartyId, name: Name) -> u8 {
        let client = self.cast.party(client).member().unwrap_or_default();
        match name {
            Name::Service(server) => super::lines::style(&self.cast, client, server),
            Name::External(_) => 3,
        }
    }

    /// One socket: both questions and their answers.
    fn ask(&mut self, client: PartyId, question: DnsEvent, upstream: bool, at: i64) -> i64 {
        let pods = self.cast.members[0].pods.clone();
        let server = Cast::one_of(&pods, &mut self.random);
        let path = self.path(client, server, UDP, DNS);
        let took = if upstream {
            0.8 + self.random.log_normal(12.0, 0.8).min(900.0)
        } else {
            0.8 + self.random.log_normal(0.4, 0.6).min(60.0)
        };
        let took = (took * 1e6) as i64;
        // The way there and back is part of the time.
        if !self.open(&path, at, took - 450 * MICRO) {
            // A resolver waits for 5 s before it gives up.
            return at + 5_000 * MILLI;
        }
        let proxied = path
            .egress
            .is_some_and(|answer| self.outcome(answer) == Outcome::DnsProxy);
        if let (true, Some(node)) = (proxied, self.node(client)) {
            let packet = packet(&path);
            let (asked, answered) = (at + 100 * MICRO, at + took + 46 * MICRO);
            let point = (Point::Proxy, Way::Egress, State::Reply);
            self.trace(answered, node, packet.back(), point);
            for (aaaa, late) in [(false, 6 * MICRO), (true, 12 * MICRO)] {
                let event = DnsEvent { aaaa, ..question };
                self.emit(asked + late, node, packet, What::Dns(event));
                let event = DnsEvent {
                    took: Some((took / MICRO) as u32),
                    ..event
                };
                self.emit(answered + late, node, packet.back(), What::Dns(event));
            }
        }
        at + 400 * MICRO + took
    }
}
