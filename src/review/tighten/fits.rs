//! Which rules let a connection pass, on both of its sides.
//!
//! Owns what a thread makes of a batch: each flow from a client is asked about in both
//! directions, and the allow rules that fit get a number, which goes with the flow through the
//! fold as its mark. Numbers are the same on every thread, and there are as many as there are
//! combinations of rules.

use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::connection::{Computed, JudgedSide};
use crate::engine::{Agreement, Asked, Judge, JudgedBatch, Judgement, Policies};
use crate::flow::{FlowBatch, RowRef};
use crate::policy::{Direction, PeerFit, PortFit, Question, Verdict};

/// Combinations that are told apart; what comes after them is not judged.
const MOST_FITS: usize = 1 << 20;
/// Answers that a thread remembers.
const MOST_ANSWERS: usize = 1 << 17;

/// Allow rules that fit one side, by their index in the set; `None` where no policy is asked
/// or no rule decides about it.
pub(super) type Fit = Option<Arc<[u32]>>;
/// The client's side, then the server's.
pub(super) type Both = [Fit; 2];

/// All combinations, by number. Shared by all threads.
#[derive(Debug, Default)]
pub struct Fits(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    numbers: HashMap<Both, u32, RandomState>,
    /// That of number 1 is the first.
    all: Vec<Both>,
}

/// Judges batches by which rules fit; one a thread.
pub struct FitJudge {
    judge: Judge,
    policies: Arc<Policies>,
    fits: Arc<Fits>,
    known: HashMap<Both, u32, RandomState>,
    answers: HashMap<(u64, usize, Question), Arc<[u32]>, RandomState>,
    places: Vec<u32>,
}

impl Fits {
    /// Those after the first `known` ones.
    pub(super) fn after(&self, known: usize) -> Vec<Both> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.all.get(known..).unwrap_or_default().to_vec()
    }

    fn number(&self, both: &Both) -> u32 {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = table.numbers.get(both) {
            return *known;
        }
        if table.all.len() >= MOST_FITS {
            return 0;
        }
        table.all.push(both.clone());
        let number = table.all.len() as u32;
        table.numbers.insert(both.clone(), number);
        number
    }
}

impl FitJudge {
    /// Judges by policies.
    #[must_use]
    pub fn new(policies: Arc<Policies>, fits: Arc<Fits>) -> Self {
        Self {
            judge: Judge::new(policies.clone()),
            policies,
            fits,
            known: HashMap::default(),
            answers: HashMap::default(),
            places: Vec::new(),
        }
    }

    /// Begins a piece of an input, of which these are all batches.
    pub fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        self.judge.begin(piece, input, batches);
    }

    /// Judges the rows for which `kept` says yes; an empty one keeps all.
    #[must_use]
    pub fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch {
        let mut sides = Vec::with_capacity(batch.len());
        for row in batch.rows() {
            let takes_part = kept.get(row.index()).copied().unwrap_or(true);
            sides.push(takes_part.then(|| self.side(row)).flatten());
        }
        self.judge.end_of(&batch);
        JudgedBatch::judged(batch, sides, kept)
    }

    fn side(&mut self, row: RowRef<'_>) -> Option<JudgedSide> {
        let Judgement {
            computed,
            agreement,
            gap,
            ..
        } = self.judge.judge(row);
        let computed = computed?;
        let both = [Direction::Egress, Direction::Ingress].map(|direction| {
            let asked = self.judge.ask(row, direction)?;
            self.fit(&asked)
        });
        let mark = if let Some(known) = self.known.get(&both) {
            *known
        } else {
            let number = self.fits.number(&both);
            if self.known.len() < MOST_FITS {
                self.known.insert(both, number);
            }
            number
        };
        Some(JudgedSide {
            direction: computed.direction,
            computed: Some(Computed {
                cluster: self.place(computed.cluster),
                subject: computed.subject,
                decision: computed.decision,
                verdict: computed.verdict,
            }),
            gap,
            drift: agreement == Agreement::Drift,
            changed: agreement == Agreement::ChangedSince,
            unknown: None,
            mark,
        })
    }

    /// The rules that fit, where the policies let the connection pass.
    fn fit(&mut self, asked: &Asked) -> Fit {
        let verdict = asked.computed.decision.verdict;
        if !matches!(
            verdict,
            Verdict::Allowed | Verdict::Redirected | Verdict::AuthRequired
        ) {
            return None;
        }
        let cluster = self.judge.policies(asked.computed.cluster).clone();
        let key = (cluster.generation(), asked.computed.cluster, asked.question);
        if let Some(known) = self.answers.get(&key) {
            return Some(known.clone());
        }
        let Question {
            subject,
            direction,
            peer,
            protocol,
            port,
        } = asked.question;
        let compiled = cluster.read();
        let entries = &compiled.set().entries;
        let rules: Arc<[u32]> = compiled
            .explain(
                subject,
                direction,
                peer,
                (protocol, port),
                &asked.computed.decision,
            )
            .into_iter()
            .filter(|rule| {
                let is_allow = entries
                    .get(rule.entry as usize)
                    .is_some_and(|entry| !entry.deny);
                is_allow
                    && matches!(rule.peer, PeerFit::Anybody | PeerFit::Fits)
                    && matches!(rule.port, PortFit::Any | PortFit::Fits)
            })
            .map(|rule| rule.entry)
            .collect();
        drop(compiled);
        if self.answers.len() >= MOST_ANSWERS {
            self.answers.clear();
        }
        self.answers.insert(key, rules.clone());
        Some(rules)
    }

    /// The number that every thread has for a cluster.
    fn place(&mut self, cluster: usize) -> u32 {
        while self.places.len() <= cluster {
            let policies = self.judge.policies(self.places.len());
            self.places.push(self.policies.place(policies));
        }
        self.places[cluster]
    }
}
