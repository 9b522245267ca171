//! Look-ups of names, as a resolver with `ndots:5` makes them.
//!
//! Owns the order of search suffixes and both questions (A and AAAA) of each, through the DNS
//! proxy where policy sends them there. Who keeps answers and how long is `play`'s.

use super::cast::{PartyId, UDP};
use super::rules::Outcome;
use super::stage::{MICRO, MILLI, Response, Stage, packet};
use super::wheel::{DnsEvent, Name, Point, QueryType, State, Way, What};

/// Port of the cluster's DNS.
const DNS: u16 = 53;

/// How often a resolver asks again.
const TRIES: u32 = 2;
/// Response codes.
const SERVER_FAILURE: u8 = 2;
const NO_SUCH_NAME: u8 = 3;

/// What a client asks, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    pub(super) name: Name,
    /// Whether it is asked with the search suffixes first.
    pub(super) search: bool,
    /// One type instead of A and AAAA.
    pub(super) only: Option<QueryType>,
    /// Whether the name exists.
    pub(super) exists: bool,
    /// Which addresses of a content network are answered.
    pub(super) turn: u32,
}

impl Stage {
    /// Looks a name up; returns when the answer is there, and whether it is one. `turn` says
    /// which addresses of a content network are answered.
    pub(super) fn look_up(
        &mut self,
        client: PartyId,
        name: Name,
        turn: u32,
        at: i64,
    ) -> (i64, bool) {
        let query = Query {
            name,
            search: self.settings.dns.search,
            only: None,
            exists: true,
            turn,
        };
        self.query(client, query, at)
    }

    /// As [`Stage::look_up`], for any query.
    pub(super) fn query(&mut self, client: PartyId, query: Query, at: i64) -> (i64, bool) {
        let exists = self.suffix_that_exists(client, query.name);
        let first = if query.search { 0 } else { exists };
        let mut at = at;
        for search in first..=exists {
            let upstream = !matches!(query.name, Name::Service(_)) && search == 3;
            let found = query.exists && search == exists;
            let question = DnsEvent {
                name: query.name,
                search,
                kind: query.only.unwrap_or(QueryType::A),
                took: None,
                code: if found { 0 } else { NO_SUCH_NAME },
                turn: query.turn,
            };
            let both = query.only.is_none();
            for again in 0..TRIES {
                let answered;
                (at, answered) = self.ask(client, question, (both, upstream), at);
                match answered {
                    true => break,
                    false if again + 1 == TRIES => return (at, false),
                    false => {}
                }
            }
        }
        (at, query.exists)
    }

    /// The suffix that makes a name of what the client wrote.
    fn suffix_that_exists(&self, client: PartyId, name: Name) -> u8 {
        let client = self.cast.party(client).member().unwrap_or_default();
        match name {
            Name::Service(server) => super::lines::style(&self.cast, client, server),
            Name::External(_) | Name::Made { .. } => 3,
        }
    }

    /// One socket: both questions and their answers. False where there is none.
    fn ask(
        &mut self,
        client: PartyId,
        question: DnsEvent,
        (both, upstream): (bool, bool),
        at: i64,
    ) -> (i64, bool) {
        let Some(server) = self.cast.pod_of(0, &mut self.random) else {
            return (at, false);
        };
        let path = self.path(client, server, UDP, DNS);
        let took = if upstream {
            0.8 + self.random.log_normal(12.0, 0.8).min(900.0)
        } else {
            0.8 + self.random.log_normal(0.4, 0.6).min(60.0)
        };
        let took = (took * 1e6) as i64;
        let down = self.down[0];
        let silent = down == Some(Response::Silent);
        let response = if silent {
            Response::Silent
        } else {
            Response::Accepts
        };
        // A resolver waits for 5 s before it gives up.
        let given_up = at + 5_000 * MILLI;
        // The way there and back is part of the time.
        if !self.open_to(&path, at, took - 450 * MICRO, response) && !silent {
            return (given_up, false);
        }
        let proxied = path
            .egress
            .is_some_and(|answer| self.outcome(answer) == Outcome::DnsProxy);
        if let (true, Some(node)) = (proxied, self.node(client)) {
            let packet = packet(&path);
            let (asked, answered) = (at + 100 * MICRO, at + took + 46 * MICRO);
            if !silent {
                let point = (Point::Proxy, Way::Egress, State::Reply);
                self.trace(answered, node, packet.back(), point);
            }
            let kinds = [(question.kind, 6 * MICRO), (QueryType::Aaaa, 12 * MICRO)];
            let code = if down.is_some() {
                SERVER_FAILURE
            } else {
                question.code
            };
            for (kind, late) in &kinds[..=usize::from(both)] {
                let event = DnsEvent {
                    kind: *kind,
                    code,
                    ..question
                };
                self.emit(asked + late, node, packet, What::Dns(event));
                if silent {
                    continue;
                }
                let event = DnsEvent {
                    took: Some((took / MICRO) as u32),
                    ..event
                };
                self.emit(answered + late, node, packet.back(), What::Dns(event));
            }
        }
        if silent {
            return (given_up, false);
        }
        (at + 400 * MICRO + took, down.is_none())
    }
}
