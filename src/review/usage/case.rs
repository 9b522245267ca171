//! Flows with what policies were asked about each.
//!
//! Owns what is told of a side: question and answer, of which there are as many numbers as
//! there are combinations of who, whom, port and matching rules of layer 7.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::engine::{Asked, Judge, SeenRequest};
use crate::flow::RowRef;
use crate::policy::{Piece, Question, Verdict};
use crate::review::both::{AllTold, Both, BothJudge, Telling};

/// Answers about requests that a thread remembers.
const MOST_REQUESTS: usize = 1 << 16;
/// What was asked about a flow: the client's side, then the server's; `None` where no policy
/// is asked.
pub(in crate::review) type Case = Both<UsageTelling>;

/// One side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SideCase {
    /// The cluster, as every thread counts them.
    pub cluster: u32,
    /// Who was asked about what.
    pub question: Question,
    /// The verdict about the connection.
    pub verdict: Verdict,
    /// Where the flow is a request.
    pub request: Option<RequestCase>,
}

/// A request of layer 7.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestCase {
    /// The verdict about it.
    pub verdict: Verdict,
    /// Rules of layer 7 that let it pass, and whether that is sure.
    pub fits: Fits,
}

/// Rules of layer 7 that let a request pass, and whether that is sure.
type Fits = Arc<[(Piece, bool)]>;
/// What a request was asked with: generation of the policies, cluster, connection, its text.
type Told = (u64, u32, Question, Box<str>);

/// All cases, by number. Shared by all threads.
pub type UsageCases = AllTold<UsageTelling>;
/// Judges batches; one a thread.
pub type UsageJudge = BothJudge<UsageTelling>;

/// Tells who was asked about what, and the answer.
#[derive(Debug, Default)]
pub struct UsageTelling {
    fits: HashMap<Told, Fits, RandomState>,
}

impl Telling for UsageTelling {
    type Told = SideCase;

    fn told(&mut self, judge: &mut Judge, row: RowRef<'_>, asked: &Asked) -> Option<SideCase> {
        let place = judge.place(asked.computed.cluster);
        Some(SideCase {
            cluster: place,
            question: asked.question,
            verdict: asked.computed.verdict,
            request: asked.request.map(|verdict| RequestCase {
                verdict,
                fits: self.fits(judge, row, asked, place),
            }),
        })
    }
}

impl UsageTelling {
    /// The rules of layer 7 that let a request pass.
    fn fits(&mut self, judge: &mut Judge, row: RowRef<'_>, asked: &Asked, place: u32) -> Fits {
        let Some(request) = SeenRequest::of(row) else {
            return Arc::default();
        };
        let cluster = judge.policies(asked.computed.cluster).clone();
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
