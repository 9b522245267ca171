//! Connections and requests, compared.
//!
//! Owns what is counted of each, and in which row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::answer::{Answer, outcome};
use super::case::{Both, Case, Cases};
use super::tally::{Request, Row};
use super::{Change, ChangeRow, Fit, Outcome, SideChange, Simulation, Sums, What};
use crate::connection::{Connection, Edge, Exchange, Outcome as Recorded, Peers};
use crate::engine::Observer;
use crate::policy::{Cause, Direction, ObjectId, Verdict};
use crate::review::report::Reading;
use crate::review::report::bounded::Bounded;

/// Rows that are told apart; what is beyond them is counted by how it changes.
const MOST_ROWS: usize = 50_000;
/// Combinations of answers by which connections are counted for each policy.
const MOST_COMBINATIONS: usize = 1 << 20;

/// Collects what a simulation is made of.
#[derive(Debug)]
pub struct Gatherer {
    cases: Arc<Cases>,
    /// Those of the cases that were looked at, by number.
    known: Vec<Arc<Case>>,
    /// Answers, each once, by number; and their numbers by where they are in memory.
    answers: Vec<Arc<Answer>>,
    numbers: HashMap<usize, u32, RandomState>,
    connections: Sums,
    requests: Sums,
    fit: Fit,
    assumed: BTreeMap<&'static str, u64>,
    rows: Bounded<Key, Row>,
    others: BTreeMap<Change, u64>,
    decided: HashMap<Sides, u64, RandomState>,
    /// Connections whose combination there was no room for.
    undecided: u64,
}

/// Answers of both sides by number: of the first set, then of the second.
type Sides = [Option<(u32, u32)>; 2];

/// What tells one row from another: who, how, and by which answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    edge: Edge,
    change: Change,
    request: Option<Request>,
    sides: Sides,
    outcomes: (Outcome, Outcome),
}

impl Observer for Gatherer {
    fn connection(&mut self, connection: &Connection, _: &Peers) {
        let weight = connection.weight;
        self.connections.all += weight;
        for side in [&connection.egress, &connection.ingress] {
            self.fit.side(side, weight);
        }
        let marks = [connection.egress.mark, connection.ingress.mark];
        let sides = self.sides(marks, |case| case.sides.clone());
        let Some(sides) = sides else {
            self.connections.not_judged += weight;
            return;
        };
        let seen = connection.exchanges > 0;
        let (base, head, other) = compared(&sides, seen);
        let numbers = self.numbered(&sides);
        if self.decided.len() < MOST_COMBINATIONS || self.decided.contains_key(&numbers) {
            *self.decided.entry(numbers).or_default() += weight;
        } else {
            self.undecided += weight;
        }
        for side in sides.iter().flatten() {
            if let Some(option) = side.head.ruling.assumed {
                *self.assumed.entry(option.name()).or_default() += weight;
            }
        }
        let change = Change::between(base, head).or(other.then_some(Change::OtherRule));
        self.connections.add(base, head, change, weight);
        let Some(change) = change else { return };
        let key = Key {
            edge: connection.edge,
            change,
            request: None,
            sides: numbers,
            outcomes: (base, head),
        };
        let forwarded = match connection.outcome {
            Recorded::Forwarded | Recorded::RequestDenied | Recorded::Audited => weight,
            Recorded::Dropped(_) | Recorded::Error => 0,
        };
        self.row(key, (weight, forwarded), |row| {
            row.seen.at(connection.first);
            row.seen.at(connection.last);
            row.refer(&connection.reference);
        });
    }

    fn exchange(&mut self, exchange: &Exchange, _: &Peers) {
        let weight = exchange.weight;
        let [ingress, egress] = exchange.marks;
        let marks = [egress, ingress];
        self.requests.all += weight;
        let Some(connection) = self.sides(marks, |case| case.sides.clone()) else {
            self.requests.not_judged += weight;
            return;
        };
        let (base, head, _) = compared(&connection, true);
        if base != Outcome::Passes || head != Outcome::Passes {
            // It is told of the connection.
            self.requests.not_asked += weight;
            return;
        }
        let Some(sides) = self.sides(marks, |case| case.requests.clone().unwrap_or_default())
        else {
            self.requests.not_judged += weight;
            return;
        };
        let (base, head, _) = compared(&sides, true);
        let change = Change::between(base, head);
        self.requests.add(base, head, change, weight);
        let Some(change) = change else { return };
        let key = Key {
            edge: exchange.edge,
            change,
            request: Some(Request::of(&exchange.kind)),
            sides: self.numbered(&sides),
            outcomes: (base, head),
        };
        let forwarded = if exchange.denied { 0 } else { weight };
        self.row(key, (weight, forwarded), |row| row.seen.at(exchange.time));
    }
}

impl Gatherer {
    /// Compares what the cases of these numbers say.
    #[must_use]
    pub fn new(cases: Arc<Cases>) -> Self {
        Self {
            cases,
            known: Vec::new(),
            answers: Vec::new(),
            numbers: HashMap::default(),
            connections: Sums::default(),
            requests: Sums::default(),
            fit: Fit::default(),
            assumed: BTreeMap::new(),
            rows: Bounded::new(MOST_ROWS),
            others: BTreeMap::new(),
            decided: HashMap::default(),
            undecided: 0,
        }
    }

    /// What was compared; `reading` is what was read, `start` what is known without flows.
    #[must_use]
    pub fn finish(mut self, mut reading: Reading, peers: &Peers, start: Simulation) -> Simulation {
        reading.finish();
        let objects = self.objects();
        let rows = std::mem::replace(&mut self.rows, Bounded::new(0));
        let mut rows: Vec<ChangeRow> = rows
            .into_iter()
            .map(|(key, row)| self.shown(key, row, peers))
            .collect();
        rows.sort_by(|one, other| {
            one.change
                .cmp(&other.change)
                .then_with(|| other.count.cmp(&one.count))
                .then_with(|| (&one.client, &one.server).cmp(&(&other.client, &other.server)))
                .then_with(|| (one.port, one.protocol).cmp(&(other.port, other.protocol)))
                .then_with(|| one.seen.first.cmp(&other.seen.first))
                .then_with(|| one.references.cmp(&other.references))
        });
        let mut simulation = Simulation {
            reading,
            connections: self.connections,
            requests: self.requests,
            rows,
            others: self.others,
            fit: self.fit,
            assumed: self.assumed,
            ..start
        };
        match objects {
            Some(objects) => simulation.count_objects(&objects),
            // Any of them may have decided what there was no room for.
            None => {
                for object in &mut simulation.objects {
                    object.connections = self.undecided;
                }
            }
        }
        simulation
    }

    /// What becomes of a connection, and what each side says of it; `None` where no flow of
    /// it says enough to ask.
    pub(in crate::review) fn judged(&mut self, connection: &Connection) -> Option<Judged> {
        let marks = [connection.egress.mark, connection.ingress.mark];
        let sides = self.sides(marks, |case| case.sides.clone())?;
        let (base, head, _) = compared(&sides, connection.exchanges > 0);
        Some(((base, head), said(&sides)))
    }

    /// What becomes of a request on a connection that passes, and what each side says of it;
    /// `None` where the connection itself does not pass under both sets.
    pub(in crate::review) fn request(&mut self, exchange: &Exchange) -> Option<Judged> {
        let [ingress, egress] = exchange.marks;
        let marks = [egress, ingress];
        let connection = self.sides(marks, |case| case.sides.clone())?;
        let (base, head, _) = compared(&connection, true);
        if base != Outcome::Passes || head != Outcome::Passes {
            return None;
        }
        let sides = self.sides(marks, |case| case.requests.clone().unwrap_or_default())?;
        let (base, head, _) = compared(&sides, true);
        Some(((base, head), said(&sides)))
    }

    /// The sides of a connection by the numbers of the cases its sides were seen in. What
    /// is known of a side best is what its own flows say.
    fn sides(
        &mut self,
        [egress, ingress]: [u32; 2],
        of: impl Fn(&Case) -> [Option<Both>; 2],
    ) -> Option<[Option<Both>; 2]> {
        let own = [self.case(egress), self.case(ingress)];
        let [client, server] = own;
        let [from_client, at_client] = client.as_deref().map(&of).unwrap_or_default();
        let [from_server, at_server] = server.as_deref().map(&of).unwrap_or_default();
        if client.is_none() && server.is_none() {
            return None;
        }
        Some([
            better(from_client, from_server),
            better(at_server, at_client),
        ])
    }

    fn case(&mut self, number: u32) -> Option<Arc<Case>> {
        let at = number.checked_sub(1)? as usize;
        if at >= self.known.len() {
            let more = self.cases.after(self.known.len());
            self.known.extend(more);
        }
        self.known.get(at).cloned()
    }

    fn numbered(&mut self, sides: &[Option<Both>; 2]) -> Sides {
        let mut number = |answer: &Arc<Answer>| {
            let at = Arc::as_ptr(answer) as usize;
            let answers = &mut self.answers;
            *self.numbers.entry(at).or_insert_with(|| {
                answers.push(Arc::clone(answer));
                (answers.len() - 1) as u32
            })
        };
        [0, 1].map(|at| {
            let side = sides[at].as_ref()?;
            Some((number(&side.base), number(&side.head)))
        })
    }

    fn row(&mut self, key: Key, (count, forwarded): (u64, u64), add: impl FnOnce(&mut Row)) {
        let change = key.change;
        match self.rows.entry(key, count, Row::default) {
            Some(row) => {
                row.count += count;
                row.forwarded += forwarded;
                add(row);
            }
            None => *self.others.entry(change).or_default() += count,
        }
    }

    /// Connections by the policy whose rules decided about one of its sides under either
    /// set; `None` where there was no room to tell.
    fn objects(&self) -> Option<BTreeMap<ObjectId, u64>> {
        if self.undecided > 0 {
            return None;
        }
        let mut counts: BTreeMap<ObjectId, u64> = BTreeMap::new();
        for (sides, count) in &self.decided {
            let answers = sides
                .iter()
                .flatten()
                .flat_map(|(base, head)| [*base, *head])
                .filter_map(|number| self.answers.get(number as usize));
            let objects: BTreeSet<&ObjectId> =
                answers.flat_map(|answer| answer.objects.iter()).collect();
            for object in objects {
                *counts.entry(object.clone()).or_default() += count;
            }
        }
        Some(counts)
    }

    fn shown(&self, key: Key, row: Row, peers: &Peers) -> ChangeRow {
        let answer = |number: u32| &self.answers[number as usize];
        ChangeRow {
            change: key.change,
            what: match key.request {
                None => What::Connections,
                Some(request) => What::Requests(request.into()),
            },
            client: peers.get(key.edge.client).clone(),
            server: peers.get(key.edge.server).clone(),
            port: key.edge.port,
            protocol: key.edge.protocol,
            outcomes: key.outcomes,
            sides: Direction::BOTH
                .into_iter()
                .zip(key.sides)
                .filter_map(|(direction, side)| {
                    let (base, head) = side?;
                    let (base, head) = (answer(base), answer(head));
                    Some(SideChange {
                        direction,
                        base: base.ruling.clone(),
                        head: head.ruling.clone(),
                        differs: !base.is_as(head),
                    })
                })
                .collect(),
            count: row.count,
            forwarded: row.forwarded,
            seen: row.seen,
            references: row.references,
            accepted: None,
        }
    }
}

/// What the flow of a side says, unless that does not carry who is there and the other's
/// does.
fn better(own: Option<Both>, other: Option<Both>) -> Option<Both> {
    let (Some(mine), Some(theirs)) = (&own, &other) else {
        return own.or(other);
    };
    let nameless = |both: &Both| {
        [&both.base, &both.head]
            .iter()
            .any(|answer| answer.ruling.verdict == Verdict::Unknown(Cause::NoLabels))
    };
    if nameless(mine) && !nameless(theirs) {
        other
    } else {
        own
    }
}

/// What becomes of something under both sets, and what each side says of it, the client's
/// first; `None` where no policy is asked on that side.
pub(in crate::review) type Judged = ((Outcome, Outcome), [Option<(Verdict, Verdict)>; 2]);

fn said(sides: &[Option<Both>; 2]) -> [Option<(Verdict, Verdict)>; 2] {
    [0, 1].map(|at| {
        let side = sides[at].as_ref()?;
        Some((side.base.ruling.verdict, side.head.ruling.verdict))
    })
}

/// What becomes of something under both sets, and whether one of its sides is decided
/// otherwise.
fn compared(sides: &[Option<Both>; 2], seen: bool) -> (Outcome, Outcome, bool) {
    let same = [0, 1].map(|at| {
        sides[at]
            .as_ref()
            .is_none_or(|side| side.base.is_as(&side.head))
    });
    let one = |head: bool| {
        [0, 1].map(|at| {
            let side = sides[at].as_ref()?;
            Some(if head { &*side.head } else { &*side.base })
        })
    };
    let base = outcome(one(false), seen, same);
    let head = outcome(one(true), seen, same);
    (base, head, same.contains(&false))
}
