//! Flows judged by two sets of policies at once.
//!
//! Owns what a thread makes of a batch: each flow from a client is asked about in both
//! directions under both sets, and what came out gets a number, which goes with the flow
//! through the fold as its mark. Numbers are the same on every thread. There are as many
//! as there are combinations of rules, not as there are flows.

use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::answer::Answer;
use crate::connection::{Computed, JudgedSide};
use crate::engine::{
    Asked, Asking, BothHold, Holds, Judge, JudgedBatch, Policies, Repeated, SideJudge,
};
use crate::flow::{FlowBatch, RowRef};
use crate::policy::{Compiled, Decision, Direction, IdentityIndex, Options, Question, Verdict};

/// Cases that are told apart; what comes after them is not judged.
const MOST_CASES: usize = 1 << 20;
/// Answers about proxies that a thread remembers.
const MOST_PROXIED: usize = 1 << 16;

/// What two sets say of a flow: its sides and, where it is one, its request.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// The client's side, then the server's; `None` where no policy is asked.
    pub(super) sides: [Option<Both>; 2],
    /// The same of the request.
    pub(super) requests: Option<[Option<Both>; 2]>,
}

/// One side under both sets.
#[derive(Clone, Debug)]
pub(super) struct Both {
    pub(super) base: Arc<Answer>,
    pub(super) head: Arc<Answer>,
}

/// All cases of a simulation, by number. Shared by all threads.
#[derive(Debug, Default)]
pub struct Cases {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    numbers: HashMap<Key, u32, RandomState>,
    /// The case of number 1 is the first.
    cases: Vec<Arc<Case>>,
    /// Answers by which several cases have in common.
    answers: HashMap<(bool, Direction, Told, bool), Arc<Answer>, RandomState>,
}

/// What tells a case from another: both directions under one set, then under the other.
type Key = [[Option<Told>; 2]; 2];

/// What one set says about one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Told {
    cluster: u32,
    /// Only where it takes part in what is said about a verdict.
    subject: IdentityIndex,
    verdict: Verdict,
    decision: Decision,
    request: Option<Verdict>,
    asks: bool,
}

/// Judges batches by two sets; one a thread.
pub struct PairJudge {
    pair: Pair,
    repeated: Repeated<PairHolds>,
}

struct Pair {
    base: Half,
    head: Half,
    cases: Arc<Cases>,
    known: HashMap<Key, u32, RandomState>,
}

/// For how long a case holds: that of the first set beside what was recorded, then both
/// directions under both.
type PairHolds = (Holds, [BothHold; 2]);

/// One of the sets.
struct Half {
    judge: Judge,
    policies: Arc<Policies>,
    /// Whether a proxy may refuse requests, by the generation of policies and the question.
    proxied: HashMap<(u64, u32, Question), bool, RandomState>,
}

impl Cases {
    /// Those after the first `known` ones.
    pub(super) fn after(&self, known: usize) -> Vec<Arc<Case>> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.cases.get(known..).unwrap_or_default().to_vec()
    }

    fn number(&self, key: &Key, sets: [&Policies; 2]) -> u32 {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = table.numbers.get(key) {
            return *known;
        }
        if table.cases.len() >= MOST_CASES {
            return 0;
        }
        let is_request = key
            .iter()
            .flatten()
            .flatten()
            .any(|told| told.request.is_some());
        let mut sides = |request: bool| {
            let mut both = [None, None];
            for (at, direction) in Direction::BOTH.into_iter().enumerate() {
                let (Some(base), Some(head)) = (key[0][at], key[1][at]) else {
                    continue;
                };
                both[at] = Some(Both {
                    base: table.answer(false, sets[0], direction, base, request),
                    head: table.answer(true, sets[1], direction, head, request),
                });
            }
            both
        };
        let case = Case {
            sides: sides(false),
            requests: is_request.then(|| sides(true)),
        };
        table.cases.push(Arc::new(case));
        let number = table.cases.len() as u32;
        table.numbers.insert(*key, number);
        number
    }
}

impl Table {
    fn answer(
        &mut self,
        head: bool,
        policies: &Policies,
        direction: Direction,
        told: Told,
        request: bool,
    ) -> Arc<Answer> {
        let verdict = match told.request {
            Some(verdict) if request => verdict,
            _ => told.verdict,
        };
        let answers = &mut self.answers;
        let answer = answers
            .entry((head, direction, told, request))
            .or_insert_with(|| {
                let computed = Computed {
                    cluster: told.cluster,
                    subject: told.subject,
                    decision: told.decision,
                    verdict,
                };
                // A request is asked about once: nothing of it is left to a proxy.
                let asks = told.asks && !request;
                Arc::new(Answer::of(policies, &computed, direction, asks))
            });
        Arc::clone(answer)
    }
}

impl PairJudge {
    /// Judges by the first and the second set.
    #[must_use]
    pub fn new(base: Arc<Policies>, head: Arc<Policies>, cases: Arc<Cases>) -> Self {
        Self {
            pair: Pair {
                base: Half::new(base),
                head: Half::new(head),
                cases,
                known: HashMap::default(),
            },
            repeated: Repeated::default(),
        }
    }

    /// Begins a piece of an input, of which these are all batches.
    pub fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        self.pair.base.judge.begin(piece, input, batches);
        self.pair.head.judge.begin(piece, input, batches);
    }

    /// Judges the rows for which `kept` says yes; an empty one keeps all.
    #[must_use]
    pub fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch {
        let judged = JudgedBatch::repeating(batch, kept, &mut self.pair, &mut self.repeated);
        self.pair.base.judge.end_of(&judged.batch);
        self.pair.head.judge.end_of(&judged.batch);
        judged
    }
}

impl SideJudge for Pair {
    type Holds = PairHolds;

    /// The side is that of the first set, with the number of the case.
    fn side(&mut self, row: RowRef<'_>, asking: Asking) -> Option<(JudgedSide, Option<PairHolds>)> {
        let (judgement, holds) = self.base.judge.answer(row, asking);
        judgement.computed.as_ref()?;
        let key = [self.base.told(row), self.head.told(row)];
        let mark = self.mark(&key);
        let side = self.base.judge.marked(&judgement, mark)?;
        let holds = holds.and_then(|holds| {
            let both = [
                self.base.judge.both_hold(row)?,
                self.head.judge.both_hold(row)?,
            ];
            Some((holds, both))
        });
        Some((side, holds))
    }

    fn holds(&mut self, row: RowRef<'_>, asking: Asking, (own, both): PairHolds) -> bool {
        let [base, head] = both;
        self.base.judge.holds(row, asking, own)
            && self.base.judge.still_both(row, base)
            && self.head.judge.still_both(row, head)
    }
}

impl Pair {
    /// The number of a case.
    fn mark(&mut self, key: &Key) -> u32 {
        if let Some(known) = self.known.get(key) {
            return *known;
        }
        let sets = [&*self.base.policies, &*self.head.policies];
        let number = self.cases.number(key, sets);
        if self.known.len() < MOST_CASES {
            self.known.insert(*key, number);
        }
        number
    }
}

impl Half {
    fn new(policies: Arc<Policies>) -> Self {
        Self {
            judge: Judge::new(policies.clone()),
            policies,
            proxied: HashMap::default(),
        }
    }

    fn told(&mut self, row: RowRef<'_>) -> [Option<Told>; 2] {
        Direction::BOTH.map(|direction| {
            let asked = self.judge.ask(row, direction)?;
            Some(self.one(&asked))
        })
    }

    fn one(&mut self, asked: &Asked) -> Told {
        let computed = &asked.computed;
        let cluster = self.judge.place(computed.cluster);
        let by_default = computed.decision.verdict == Verdict::DeniedByDefault;
        Told {
            cluster,
            subject: if by_default {
                computed.subject
            } else {
                IdentityIndex(u32::MAX)
            },
            verdict: computed.verdict,
            decision: computed.decision,
            request: asked.request,
            asks: computed.decision.redirect.is_some() && self.may_refuse(asked),
        }
    }

    /// Whether the proxy that a connection is handed to may refuse a request.
    fn may_refuse(&mut self, asked: &Asked) -> bool {
        let cluster = self.judge.policies(asked.computed.cluster);
        let key = (
            cluster.generation(),
            asked.computed.cluster as u32,
            asked.question,
        );
        if let Some(known) = self.proxied.get(&key) {
            return *known;
        }
        let answer = may_refuse(&cluster.read(), &asked.question, self.policies.options());
        if self.proxied.len() >= MOST_PROXIED {
            self.proxied.clear();
        }
        self.proxied.insert(key, answer);
        answer
    }
}

fn may_refuse(compiled: &Compiled, question: &Question, options: &Options) -> bool {
    let Question {
        subject,
        direction,
        peer,
        protocol,
        port,
    } = *question;
    let covers = compiled.l7(subject, direction, peer, protocol, port);
    !covers.iter().any(|cover| {
        let by_name = !cover.dns().is_empty();
        cover.lets_all_pass() || by_name && cover.dns_expression(options.version).is_none()
    })
}
