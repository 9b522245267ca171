//! Flows with what policies were asked about each.
//!
//! Owns what a thread makes of a batch: each flow from a client is asked about in both
//! directions, and question and answer get a number, which goes with the flow through the
//! fold as its mark. Numbers are the same on every thread. There are as many as there are
//! combinations of who, whom, port and matching rules of layer 7, not as there are flows.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::connection::JudgedSide;
use crate::engine::{Asked, Judge, JudgedBatch, Policies, SeenRequest};
use crate::flow::{FlowBatch, RowRef};
use crate::policy::{Direction, Piece, Question, Verdict};
use crate::review::marks::{Marker, Marks};

/// Answers about requests that a thread remembers.
const MOST_REQUESTS: usize = 1 << 16;
/// The directions, as sides are counted.
const DIRECTIONS: [Direction; 2] = [Direction::Egress, Direction::Ingress];

/// What was asked about a flow: the client's side, then the server's; `None` where no policy
/// is asked.
pub(in crate::review) type Case = [Option<SideCase>; 2];

/// One side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::review) struct SideCase {
    /// The cluster, as every thread counts them.
    pub(in crate::review) cluster: u32,
    /// Who was asked about what.
    pub(in crate::review) question: Question,
    /// The verdict about the connection.
    pub(in crate::review) verdict: Verdict,
    /// Where the flow is a request.
    pub(in crate::review) request: Option<RequestCase>,
}

/// A request of layer 7.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::review) struct RequestCase {
    /// The verdict about it.
    pub(in crate::review) verdict: Verdict,
    /// Rules of layer 7 that let it pass, and whether that is sure.
    pub(in crate::review) fits: Fits,
}

/// Rules of layer 7 that let a request pass, and whether that is sure.
type Fits = Arc<[(Piece, bool)]>;
/// What a request was asked with: generation of the policies, cluster, connection, its text.
type Told = (u64, u32, Question, Box<str>);

/// All cases, by number. Shared by all threads.
#[derive(Debug, Default)]
pub struct UsageCases(pub(super) Arc<Marks<Case>>);

/// Judges batches; one a thread.
pub struct UsageJudge {
    judge: Judge,
    marker: Marker<Case>,
    fits: HashMap<Told, Fits, RandomState>,
}

impl UsageJudge {
    /// Judges by policies.
    #[must_use]
    pub fn new(policies: Arc<Policies>, cases: &UsageCases) -> Self {
        Self {
            judge: Judge::new(policies),
            marker: Marker::new(cases.0.clone()),
            fits: HashMap::default(),
        }
    }

    /// Begins a piece of an input, of which these are all batches.
    pub fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        self.judge.begin(piece, input, batches);
    }

    /// Judges the rows for which `kept` says yes; an empty one keeps all.
    #[must_use]
    pub fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch {
        let judged = JudgedBatch::by(batch, kept, |row| self.side(row));
        self.judge.end_of(&judged.batch);
        judged
    }

    fn side(&mut self, row: RowRef<'_>) -> Option<JudgedSide> {
        let judgement = self.judge.judge(row);
        judgement.computed.as_ref()?;
        let case = DIRECTIONS.map(|direction| {
            let asked = self.judge.ask(row, direction)?;
            Some(self.one(row, &asked))
        });
        let mark = self.marker.mark(case);
        self.judge.side(&judgement, mark)
    }

    fn one(&mut self, row: RowRef<'_>, asked: &Asked) -> SideCase {
        let place = self.judge.place(asked.computed.cluster);
        SideCase {
            cluster: place,
            question: asked.question,
            verdict: asked.computed.verdict,
            request: asked.request.map(|verdict| RequestCase {
                verdict,
                fits: self.fits(row, asked, place),
            }),
        }
    }

    /// The rules of layer 7 that let a request pass.
    fn fits(&mut self, row: RowRef<'_>, asked: &Asked, place: u32) -> Fits {
        let Some(request) = SeenRequest::of(row) else {
            return Arc::default();
        };
        let cluster = self.judge.policies(asked.computed.cluster).clone();
        // What a request says, as far as rules ask for it.
        let text: Box<str> = format!("{request:?}").into();
        let key = (cluster.generation(), place, asked.question, text);
        if let Some(known) = self.fits.get(&key) {
            return Arc::clone(known);
        }
        let compiled = cluster.read();
        let set = compiled.set();
        let mut fits = Vec::new();
        for touch in compiled.touches(&asked.question, None).entries {
            let Some(entry) = set.entries.get(touch.entry as usize) else {
                continue;
            };
            let mut rules: Vec<u32> = touch.ports.iter().map(|(rule, _)| *rule).collect();
            rules.dedup();
            for rule in rules {
                let l7 = entry
                    .ports
                    .get(rule as usize)
                    .and_then(|rule| rule.l7.as_ref());
                let Some(l7) = l7 else { continue };
                let found = compiled.request_fits(l7, &request.asked());
                fits.extend(found.into_iter().map(|(index, sure)| {
                    let piece = Piece::Request {
                        entry: touch.entry,
                        rule,
                        index,
                    };
                    (piece, sure)
                }));
            }
        }
        drop(compiled);
        let fits: Fits = fits.into();
        if self.fits.len() >= MOST_REQUESTS {
            self.fits.clear();
        }
        self.fits.insert(key, Arc::clone(&fits));
        fits
    }
}
