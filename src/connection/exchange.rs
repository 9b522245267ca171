//! Requests of layer 7 and their responses.
//!
//! Owns pairing them: first in first out among those of one connection that ask for the
//! same, so that pipelined requests keep their order. Where the client's and the server's
//! side both have a proxy an exchange is seen twice, once in each direction, and counted
//! once. A request waits 60 s for its response, one that a proxy refused 5 s: the refusal is
//! a response too. An exchange that is complete waits 5 s for the other side to see it.
//!
//! Bounded: beyond its bound what is due first comes out as it is.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::entry::SECOND;
use super::key::Key;
use super::names::Party;
use super::record::ExchangeKind;
use crate::flow::{L7Record, NO_TIME, Protocol, RowRef, split_url};
use crate::policy::Direction;

/// How long a request waits for its response.
const PATIENCE: i64 = 60 * SECOND;
/// How far apart two sides see the same.
const SLACK: i64 = 5 * SECOND;

/// Exchanges of one subject that a flow is tried with.
const MOST_TRIED: usize = 16;

/// What asks for the same on one connection.
type Subject = (Key, u64);

/// Exchanges that are not complete.
#[derive(Debug)]
pub(super) struct Exchanges {
    slots: Vec<Option<Pending>>,
    free: Vec<u32>,
    by_subject: HashMap<Subject, Chain, RandomState>,
    /// When each is due, as far as was known when it was put here.
    due: BinaryHeap<Reverse<(i64, u64, u32)>>,
    begun: u64,
    most: usize,
}

/// Exchanges of one subject, in the order they began, and where the next one without a
/// request or a response is, for each side: repeated requests cost no search.
#[derive(Debug, Default)]
struct Chain {
    places: VecDeque<u32>,
    requests: [usize; 2],
    responses: [usize; 2],
}

/// One exchange.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    subject: Subject,
    number: u64,
    due: i64,
    sides: [Seen; 2],
    pub(super) time: i64,
    pub(super) latency: u64,
    pub(super) answered: bool,
    pub(super) denied: bool,
    pub(super) client: Party,
    pub(super) server: Party,
    pub(super) port: u16,
    pub(super) marks: [u32; 2],
    pub(super) kind: ExchangeKind,
}

/// When one side saw each part.
#[derive(Clone, Copy, Debug)]
struct Seen {
    request: i64,
    response: i64,
}

/// Which part of an exchange a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Request,
    Response,
    /// Both at once, or nobody can tell.
    Whole,
}

/// A flow of layer 7.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spoken {
    pub(super) key: Key,
    pub(super) part: Part,
    pub(super) direction: Direction,
    pub(super) time: i64,
    pub(super) denied: bool,
    pub(super) client: Party,
    pub(super) server: Party,
    pub(super) port: u16,
    pub(super) mark: u32,
}

impl Exchanges {
    pub(super) fn new(most: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_subject: HashMap::default(),
            due: BinaryHeap::new(),
            begun: 0,
            most: most.max(1),
        }
    }

    /// Takes a flow; `true` where an exchange begins with it.
    pub(super) fn push(&mut self, row: RowRef<'_>, spoken: &Spoken) -> bool {
        let subject = (spoken.key, self.content(row));
        let side = spoken.direction as usize;
        let slots = &self.slots;
        let known = self
            .by_subject
            .get_mut(&subject)
            .and_then(|chain| chain.find(slots, spoken, side));
        let is_new = known.is_none();
        let at = known.unwrap_or_else(|| self.begin(row, subject, spoken));
        let Some(pending) = &mut self.slots[at as usize] else {
            return is_new;
        };
        let before = pending.due;
        pending.add(row, spoken, side);
        if is_new || pending.due != before {
            let due = (pending.due, pending.number, at);
            self.due.push(Reverse(due));
        }
        is_new
    }

    /// Takes out an exchange that is due by `now`.
    pub(super) fn pop_due(&mut self, now: i64) -> Option<Pending> {
        while let Some(&Reverse((due, number, at))) = self.due.peek() {
            if due >= now {
                return None;
            }
            self.due.pop();
            let is_current = self.slots[at as usize]
                .as_ref()
                .is_some_and(|pending| pending.number == number && pending.due == due);
            if is_current {
                return self.take(at);
            }
        }
        None
    }

    /// Whether one has to come out to keep the bound.
    pub(super) fn is_over_full(&self) -> bool {
        self.slots.len() - self.free.len() > self.most
    }

    fn take(&mut self, at: u32) -> Option<Pending> {
        let pending = self.slots[at as usize].take()?;
        self.free.push(at);
        if let Some(chain) = self.by_subject.get_mut(&pending.subject) {
            chain.remove(at);
            if chain.places.is_empty() {
                self.by_subject.remove(&pending.subject);
            }
        }
        Some(pending)
    }

    fn begin(&mut self, row: RowRef<'_>, subject: Subject, spoken: &Spoken) -> u32 {
        self.begun += 1;
        let pending = Pending {
            subject,
            number: self.begun,
            due: spoken.time.saturating_add(PATIENCE),
            sides: [Seen {
                request: NO_TIME,
                response: NO_TIME,
            }; 2],
            time: spoken.time,
            latency: 0,
            answered: false,
            denied: false,
            client: spoken.client,
            server: spoken.server,
            port: spoken.port,
            marks: [0; 2],
            kind: kind(row),
        };
        let at = if let Some(at) = self.free.pop() {
            self.slots[at as usize] = Some(pending);
            at
        } else {
            self.slots.push(Some(pending));
            (self.slots.len() - 1) as u32
        };
        let chain = self.by_subject.entry(subject).or_default();
        chain.places.push_back(at);
        at
    }

    /// A hash of what is asked for: request and response have it in common.
    fn content(&self, row: RowRef<'_>) -> u64 {
        let hasher = self.by_subject.hasher();
        match record(row) {
            Some(L7Record::Http(http)) => {
                hasher.hash_one((1, row.str(http.method), row.str(http.url)))
            }
            Some(L7Record::Dns(dns)) => {
                let mut hash = hasher.build_hasher();
                (2, row.str(dns.query)).hash(&mut hash);
                for kind in row.dictionaries().list(dns.qtypes) {
                    kind.hash(&mut hash);
                }
                hash.finish()
            }
            Some(L7Record::Kafka(kafka)) => {
                hasher.hash_one((3, row.str(kafka.api_key), kafka.correlation_id))
            }
            None => 0,
        }
    }
}

impl Chain {
    /// The exchange that a flow is part of.
    fn find(&mut self, slots: &[Option<Pending>], spoken: &Spoken, side: usize) -> Option<u32> {
        let from = match spoken.part {
            Part::Request => &mut self.requests[side],
            Part::Response => &mut self.responses[side],
            Part::Whole => return None,
        };
        let pending = |place: &u32| slots[*place as usize].as_ref();
        while let Some(pending) = self.places.get(*from).and_then(pending)
            && pending.has(spoken.part, side)
        {
            *from += 1;
        }
        self.places
            .iter()
            .skip(*from)
            .take(MOST_TRIED)
            .copied()
            .find(|place| pending(place).is_some_and(|pending| pending.takes(spoken, side)))
    }

    fn remove(&mut self, place: u32) {
        let Some(at) = self.places.iter().position(|&other| other == place) else {
            return;
        };
        self.places.remove(at);
        for from in self.requests.iter_mut().chain(&mut self.responses) {
            if *from > at {
                *from -= 1;
            }
        }
    }
}

impl Pending {
    /// When nothing more was waited for.
    pub(super) fn due(&self) -> i64 {
        self.due
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.subject.0.protocol
    }

    /// Whether one side has no use for another such part.
    fn has(&self, part: Part, side: usize) -> bool {
        let own = self.sides[side];
        match part {
            Part::Request => own.request != NO_TIME,
            Part::Response => own.response != NO_TIME,
            Part::Whole => true,
        }
    }

    /// Whether a flow that one side saw is part of this exchange.
    fn takes(&self, spoken: &Spoken, side: usize) -> bool {
        let own = self.sides[side];
        let other = self.sides[1 - side];
        let is_near =
            |time: i64| time != NO_TIME && spoken.time.abs_diff(time) <= SLACK.unsigned_abs();
        match spoken.part {
            // The other side saw it first, or the response came before it in the stream.
            Part::Request => {
                own.request == NO_TIME
                    && if own.response == NO_TIME {
                        is_near(other.request)
                    } else {
                        own.response >= spoken.time && is_near(own.response)
                    }
            }
            Part::Response => {
                own.response == NO_TIME
                    && (own.request != NO_TIME || is_near(other.request) || is_near(other.response))
            }
            Part::Whole => false,
        }
    }

    fn add(&mut self, row: RowRef<'_>, spoken: &Spoken, side: usize) {
        let own = &mut self.sides[side];
        match spoken.part {
            Part::Request => {
                own.request = spoken.time;
                self.marks[side] = spoken.mark;
            }
            Part::Response => {
                own.response = spoken.time;
                self.answered = true;
            }
            Part::Whole => {}
        }
        if own.request != NO_TIME && own.response != NO_TIME {
            let between = own.response.saturating_sub(own.request).max(0) as u64;
            // The outer proxy waits longest; its view is the client's.
            self.latency = self.latency.max(between);
        }
        self.time = self.time.min(spoken.time);
        self.denied |= spoken.denied;
        let l7 = row.extra().and_then(|extra| extra.l7.as_deref());
        if let Some(l7) = l7 {
            self.latency = self.latency.max(l7.latency_ns);
            match (&mut self.kind, &l7.record) {
                (ExchangeKind::Dns { code, .. }, Some(L7Record::Dns(dns))) => {
                    *code = (*code).max(dns.rcode);
                }
                (ExchangeKind::Http { code, .. }, Some(L7Record::Http(http))) => {
                    *code = (*code).max(http.code);
                }
                _ => {}
            }
        }
        if self.answered || self.denied || spoken.part == Part::Whole {
            self.due = spoken.time.saturating_add(SLACK);
        }
    }
}

fn record(row: RowRef<'_>) -> Option<&L7Record> {
    row.extra()?.l7.as_deref()?.record.as_ref()
}

fn types(row: RowRef<'_>, dns: &crate::flow::Dns) -> String {
    let types: Vec<&str> = row.dictionaries().list(dns.qtypes).collect();
    types.join(",")
}

fn kind(row: RowRef<'_>) -> ExchangeKind {
    match record(row) {
        Some(L7Record::Dns(dns)) => ExchangeKind::Dns {
            query: super::naming::canonical_name(row.str(dns.query)).unwrap_or_default(),
            types: types(row, dns).into(),
            code: 0,
        },
        Some(L7Record::Http(http)) => {
            let (host, path) = split_url(row.str(http.url));
            let path = path.split(['?', '#']).next().unwrap_or_default();
            ExchangeKind::Http {
                method: row.str(http.method).into(),
                host: host.into(),
                path: path.into(),
                code: 0,
            }
        }
        Some(L7Record::Kafka(_)) => ExchangeKind::Other("kafka".into()),
        None => ExchangeKind::Other("other".into()),
    }
}
