//! One batch as text: the filtered rows and notices, in their order.

use std::sync::Arc;

use super::plan::Judging;
use super::tally::Tally;
use crate::cli::format::{Output, OutputForm};
use crate::connection::JudgedSide;
use crate::engine::{Judge, JudgedBatch, Judgement, Policies};
use crate::filter::Filters;
use crate::flow::{FlowBatch, NO_TIME, NodeState, Notice, NoticeKind};
use crate::render::{JsonRenderer, JudgementKind, JudgementWriter, LineFormat, LineRenderer};

/// Turns batches into text. One per thread; its filters remember answers.
pub(super) struct BatchWriter {
    filters: Filters,
    since: i64,
    until: i64,
    form: Form,
    silent: bool,
    judging: Option<Judged>,
    /// Whether somebody looks for what is unusual: then every row is judged, and records say
    /// which rows they are.
    watched: bool,
}

/// What is needed to judge, where policies were given.
struct Judged {
    judge: Judge,
    words: JudgementWriter,
    /// The kinds to show; empty for all flows.
    only: Vec<JudgementKind>,
    layout: Layout,
}

/// Where the words of a judgement go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// At the end of the line.
    Line,
    /// On a line of their own.
    Dict,
    /// In the object.
    Json,
}

enum Form {
    Lines(Box<LineRenderer>),
    Json(Box<JsonRenderer>),
}

/// The text of a piece.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// For standard output.
    pub(super) out: Vec<u8>,
    /// Where each record of `out` ends.
    pub(super) ends: Vec<u32>,
    /// Time of each record, for sorting.
    pub(super) times: Vec<i64>,
    /// Batch and row of each record, where somebody watches; none of notices.
    pub(super) rows: Vec<Option<(u32, u32)>>,
    /// What policies say of each row of all batches, where somebody watches and judges.
    sides: Vec<Option<JudgedSide>>,
    /// Batches that were written.
    batches: u32,
    /// For standard error: states of nodes.
    pub(super) err: Vec<u8>,
    /// What was counted.
    pub(super) tally: Tally,
    /// Records that could not be written.
    pub(super) failed: u64,
}

impl Text {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// Forgets everything but the memory.
    pub(super) fn clear(&mut self) {
        self.out.clear();
        self.ends.clear();
        self.times.clear();
        self.rows.clear();
        self.sides.clear();
        self.batches = 0;
        self.err.clear();
        self.tally = Tally::default();
        self.failed = 0;
    }

    /// The batches that were written, with what policies said of their rows.
    pub(super) fn judged(&mut self, batches: &[Arc<FlowBatch>]) -> Vec<JudgedBatch> {
        let mut sides = std::mem::take(&mut self.sides).into_iter();
        let judged = batches.iter().map(|batch| {
            let own: Vec<_> = sides.by_ref().take(batch.len()).collect();
            if own.is_empty() {
                JudgedBatch::unjudged(Arc::clone(batch))
            } else {
                JudgedBatch::judged(Arc::clone(batch), own, Vec::new())
            }
        });
        judged.collect()
    }

    /// Adds a record that was written before.
    pub(super) fn push(&mut self, record: &[u8]) {
        self.out.extend_from_slice(record);
        self.ends.push(self.out.len() as u32);
    }

    /// Every record with its time.
    pub(super) fn records(&self) -> impl Iterator<Item = (i64, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .zip(&self.times)
            .map(|((start, &end), &time)| (time, &self.out[start as usize..end as usize]))
    }
}

impl BatchWriter {
    pub(super) fn new(
        output: &Output,
        filters: Filters,
        since: Option<i64>,
        until: Option<i64>,
        judging: Option<&Judging>,
    ) -> Self {
        Self {
            judging: judging.map(|judging| Judged::new(judging, output)),
            filters,
            since: since.unwrap_or(i64::MIN),
            until: until.unwrap_or(i64::MAX),
            form: match &output.form {
                OutputForm::Lines(options) => {
                    // Pieces are put one after the other: what begins and separates them is the caller's.
                    let mut renderer = LineRenderer::new(*options);
                    renderer.resume();
                    Form::Lines(Box::new(renderer))
                }
                OutputForm::Json(mask) => Form::Json(Box::new(JsonRenderer::new(mask.clone()))),
            },
            silent: output.silent_errors || output.quiet,
            watched: false,
        }
    }

    /// The same for somebody who looks for what is unusual.
    pub(super) fn watched(mut self, watched: bool) -> Self {
        self.watched = watched;
        self
    }

    /// The policies that rows are judged by, where they are.
    pub(super) fn policies(&self) -> Option<&Arc<Policies>> {
        self.judging.as_ref().map(|judged| judged.judge.set())
    }

    /// Whether a piece has to be known as a whole before its first row is written.
    pub(super) fn is_judging(&self) -> bool {
        self.judging.is_some()
    }

    /// Begins a piece of an input, of which these are all batches: it is judged by the
    /// policies of this moment.
    pub(super) fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        if let Some(judged) = &mut self.judging {
            if judged.judge.renew() {
                judged.words.forget();
            }
            judged.judge.begin(piece, input, batches);
        }
    }

    /// Appends what is kept of a batch.
    pub(super) fn batch(&mut self, batch: &FlowBatch, text: &mut Text) {
        text.tally.batch(batch);
        let mut notices = batch.notices().iter().peekable();
        let every = self.filters.is_empty() && self.since == i64::MIN && self.until == i64::MAX;
        for row in batch.rows() {
            while let Some(notice) = notices.next_if(|notice| notice.before_row <= row.index()) {
                self.notice(notice, text);
            }
            let kept =
                every || (self.in_time(row.time().unwrap_or(0)) && self.filters.matches(row));
            let judged = kept || (self.watched && self.judging.is_some());
            if !judged {
                continue;
            }
            let judgement = match &mut self.judging {
                Some(judged) => {
                    let judgement = judged.judge.judge(row);
                    if self.watched {
                        text.sides.push(judged.judge.marked(&judgement, 0));
                    }
                    if !kept {
                        continue;
                    }
                    text.tally.judgement(&judgement, row.weight());
                    if !judged.shows(&judgement) {
                        continue;
                    }
                    Some(judgement)
                }
                None => None,
            };
            text.tally.matched += 1;
            match &mut self.form {
                Form::Lines(renderer) => renderer.flow(row, &mut text.out),
                Form::Json(renderer) => {
                    let written = match batch.raw(row.index()) {
                        Some(raw) => renderer.write(raw, &mut text.out),
                        None => renderer.row(row, &mut text.out),
                    };
                    if written.is_err() {
                        text.failed += 1;
                        continue;
                    }
                }
            }
            if let (Some(judgement), Some(judged)) = (&judgement, &mut self.judging) {
                judged.append(judgement, &mut text.out);
            }
            text.ends.push(text.out.len() as u32);
            text.times.push(row.time().unwrap_or(NO_TIME));
            if self.watched {
                text.rows.push(Some((text.batches, row.index() as u32)));
            }
        }
        for notice in notices {
            self.notice(notice, text);
        }
        text.batches += 1;
        if let Some(judged) = &mut self.judging {
            judged.judge.end_of(batch);
        }
    }

    fn notice(&mut self, notice: &Notice, text: &mut Text) {
        match &notice.kind {
            NoticeKind::Lost { .. } => {
                let time = if notice.time == NO_TIME {
                    0
                } else {
                    notice.time
                };
                if !self.in_time(time) || !self.filters.keeps_notice(notice) {
                    return;
                }
                let before = text.out.len();
                match &mut self.form {
                    Form::Lines(renderer) => renderer.notice(notice, &mut text.out),
                    Form::Json(renderer) => {
                        text.failed += u64::from(renderer.notice(notice, &mut text.out).is_err());
                    }
                }
                if text.out.len() > before {
                    text.ends.push(text.out.len() as u32);
                    text.times.push(notice.time);
                    if self.watched {
                        text.rows.push(None);
                    }
                }
            }
            NoticeKind::Nodes { state, .. } if !self.silent => {
                let shown = matches!(
                    *state,
                    NodeState::NODE_UNAVAILABLE | NodeState::NODE_ERROR | NodeState::NODE_GONE
                );
                if shown {
                    match &mut self.form {
                        Form::Lines(renderer) => renderer.node_status(notice, &mut text.err),
                        Form::Json(renderer) => {
                            text.failed +=
                                u64::from(renderer.notice(notice, &mut text.err).is_err());
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn in_time(&self, time: i64) -> bool {
        time >= self.since && time <= self.until
    }
}

impl Layout {
    /// That of an output.
    pub(super) fn of(output: &Output) -> Self {
        match &output.form {
            OutputForm::Lines(options) => match options.format {
                LineFormat::Dict => Self::Dict,
                LineFormat::Compact | LineFormat::Table => Self::Line,
            },
            OutputForm::Json(_) => Self::Json,
        }
    }
}

impl Judged {
    fn new(judging: &Judging, output: &Output) -> Self {
        let words = match &output.form {
            OutputForm::Lines(options) => {
                JudgementWriter::text(options.color, options.format == LineFormat::Table)
            }
            OutputForm::Json(_) => JudgementWriter::json(),
        };
        let layout = Layout::of(output);
        Self {
            judge: Judge::current(Arc::clone(&judging.policies)).of_selected(judging.selected),
            words,
            only: judging.only.clone(),
            layout,
        }
    }

    fn shows(&self, judgement: &Judgement) -> bool {
        self.only.is_empty() || self.only.iter().any(|kind| kind.is(judgement))
    }

    /// Puts the words into the record that was just written.
    fn append(&mut self, judgement: &Judgement, out: &mut Vec<u8>) {
        let words = self.words.write(judgement, &self.judge);
        if words.is_empty() {
            return;
        }
        match self.layout {
            Layout::Line => {
                out.pop();
                out.extend_from_slice(b" | ");
                out.extend_from_slice(words);
                out.push(b'\n');
            }
            Layout::Dict => {
                out.extend_from_slice(b"  COMPUTED: ");
                out.extend_from_slice(words);
                out.push(b'\n');
            }
            Layout::Json => {
                while out
                    .last()
                    .is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b'}')
                {
                    if out.pop() == Some(b'}') {
                        break;
                    }
                }
                out.extend_from_slice(br#","flowwatch":"#);
                out.extend_from_slice(words);
                out.extend_from_slice(b"}\n");
            }
        }
    }
}
