//! Fills a batch row by row.
//!
//! Owns the interner that outlives batches and the bound on rows. Does not decode.

use std::sync::Arc;

use super::batch::{Dictionaries, FlowBatch, Notice, NoticeKind, Raw};
use super::intern::Interner;
use super::row::{Columns, NO_TIME, Row};

/// Most rows of a batch.
pub const MAX_ROWS: usize = 8192;
/// Bytes of dictionaries a builder keeps before it starts them anew.
pub const DEFAULT_DICTIONARY_BYTES: usize = 16 << 20;
/// Rows that wait to be put into the columns together: few enough for the first cache,
/// enough that a column is written in a run instead of a value.
const WAITING: usize = 32;

/// Collects rows and notices; [`BatchBuilder::finish`] turns them into a batch.
#[derive(Debug)]
pub struct BatchBuilder {
    interner: Interner,
    columns: Columns,
    /// Rows that are not in the columns yet, and after those empty ones.
    rows: Vec<Row>,
    waiting: usize,
    /// Columns of a batch that was given back.
    spare: Option<Columns>,
    notices: Vec<Notice>,
    raw: Vec<Raw>,
    keep_raw: bool,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new(DEFAULT_DICTIONARY_BYTES)
    }
}

impl BatchBuilder {
    /// Makes a builder whose dictionaries take about `dictionary_bytes` at most.
    #[must_use]
    pub fn new(dictionary_bytes: usize) -> Self {
        Self {
            interner: Interner::new(dictionary_bytes),
            columns: Columns::default(),
            rows: Vec::new(),
            waiting: 0,
            spare: None,
            notices: Vec::new(),
            raw: Vec::new(),
            keep_raw: false,
        }
    }

    /// Makes rows keep what they were decoded from.
    #[must_use]
    pub fn keeping_raw(mut self) -> Self {
        self.keep_raw = true;
        self
    }

    /// Whether rows keep what they were decoded from.
    #[must_use]
    pub fn keeps_raw(&self) -> bool {
        self.keep_raw
    }

    /// The dictionaries being filled.
    pub fn interner(&mut self) -> &mut Interner {
        &mut self.interner
    }

    /// Rows so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.rows() + self.waiting
    }

    /// Whether nothing was pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.notices.is_empty()
    }

    /// Whether the batch should be finished before the next row. Also true for
    /// full dictionaries, so that one batch cannot overrun their bound by much.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= MAX_ROWS || self.notices.len() >= MAX_ROWS || self.interner.is_full()
    }

    /// Adds a flow. `raw` is called only where rows keep what they were made from.
    #[inline]
    pub fn push(&mut self, row: Row, raw: impl FnOnce() -> Raw) {
        *self.next_row().1 = row;
        self.keep_row(raw);
    }

    /// An empty row to fill in its place, with the dictionaries. It is part of the batch
    /// once it is kept; one that is not has to be made empty again.
    #[inline]
    pub(crate) fn next_row(&mut self) -> (&mut Interner, &mut Row) {
        if self.waiting == self.rows.len() {
            self.settle();
        }
        (&mut self.interner, &mut self.rows[self.waiting])
    }

    /// Adds the row of [`BatchBuilder::next_row`].
    #[inline]
    pub(crate) fn keep_row(&mut self, raw: impl FnOnce() -> Raw) {
        self.waiting += 1;
        if self.keep_raw {
            self.raw.push(raw());
        }
    }

    /// Adds a notice before the next row.
    pub fn push_notice(
        &mut self,
        node: &str,
        time: i64,
        kind: NoticeKind,
        raw: impl FnOnce() -> Raw,
    ) {
        self.notices.push(Notice {
            before_row: self.len(),
            node: Arc::from(node),
            time,
            kind,
            raw: self.keep_raw.then(raw),
        });
    }

    /// Leaves a mark, once, where something was that could not be read.
    pub fn push_unread(&mut self) {
        let before_row = self.len();
        let marked = self.notices.last().is_some_and(|notice| {
            notice.kind == NoticeKind::Unread && notice.before_row == before_row
        });
        if !marked {
            self.notices.push(Notice {
                before_row,
                node: Arc::from(""),
                time: NO_TIME,
                kind: NoticeKind::Unread,
                raw: None,
            });
        }
    }

    /// Notices so far.
    #[must_use]
    pub fn notices_len(&self) -> usize {
        self.notices.len()
    }

    /// Whether the newest notice is of an envelope without a body.
    #[must_use]
    pub fn last_notice_is_empty(&self) -> bool {
        self.notices
            .last()
            .is_some_and(|notice| notice.kind == NoticeKind::Empty)
    }

    /// The batch of everything pushed since the last call.
    pub fn finish(&mut self) -> FlowBatch {
        let dictionaries = Arc::new(Dictionaries::of(&mut self.interner));
        self.settle();
        self.columns.complete();
        let rows = self.len();
        let next = self
            .spare
            .take()
            .unwrap_or_else(|| Columns::with_capacity(rows));
        let batch = FlowBatch {
            columns: std::mem::replace(&mut self.columns, next),
            dictionaries,
            notices: std::mem::take(&mut self.notices),
            raw: std::mem::take(&mut self.raw),
        };
        if self.interner.is_full() {
            self.interner.reset();
        }
        batch
    }

    /// Puts the rows that wait into the columns.
    #[cold]
    fn settle(&mut self) {
        self.columns.extend(&mut self.rows[..self.waiting]);
        self.waiting = 0;
        self.rows.resize_with(WAITING, Row::default);
    }

    /// Takes back the memory of a batch that is no longer needed.
    pub fn recycle(&mut self, batch: FlowBatch) {
        let mut columns = batch.columns;
        columns.clear();
        self.spare = Some(columns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Endpoint, Verdict};

    /// Scenario: a field that nothing has for many rows, then one row, then nothing.
    /// Guarantees: its column is as long as the others, with the value in its place; in the
    /// memory of a batch that was given back, too.
    #[test]
    fn a_field_of_few_rows_is_in_its_place() {
        let mut builder = BatchBuilder::default();
        for marked in [3, 70, 199] {
            for at in 0..200 {
                let mut row = Row {
                    time: at,
                    ..Row::default()
                };
                if at == marked {
                    row.weight = 5;
                    row.extra().proxy_port = 7;
                }
                builder.push(row, || unreachable!());
            }
            let batch = builder.finish();
            assert_eq!(batch.len(), 200);
            for (at, row) in (0..).zip(batch.rows()) {
                assert_eq!(row.time(), Some(at));
                assert_eq!(row.weight(), if at == marked { 5 } else { 1 });
                assert_eq!(row.extra().is_some(), at == marked);
            }
            builder.recycle(batch);
        }
    }

    #[test]
    fn rows_of_one_batch_share_dictionaries_with_the_next() {
        let mut builder = BatchBuilder::default();
        let node = builder.interner().text("node-a");
        builder.push(
            Row {
                node,
                verdict: Verdict::DROPPED,
                ..Row::default()
            },
            || unreachable!(),
        );
        let first = builder.finish();
        let source = builder.interner().endpoint(Endpoint {
            identity: 7,
            ..Endpoint::default()
        });
        builder.push(
            Row {
                source,
                node,
                ..Row::default()
            },
            || unreachable!(),
        );
        let second = builder.finish();

        assert_eq!(first.row(0).str(first.row(0).node()), "node-a");
        assert_eq!(first.row(0).verdict(), Verdict::DROPPED);
        assert_eq!(second.row(0).str(second.row(0).node()), "node-a");
        assert_eq!(second.row(0).source_endpoint().unwrap().identity, 7);
        assert!(second.row(0).destination_endpoint().is_none());
        assert_eq!(first.dictionaries().epoch(), second.dictionaries().epoch());
    }

    #[test]
    fn notices_remember_their_place() {
        let mut builder = BatchBuilder::default();
        builder.push(Row::default(), || unreachable!());
        builder.push_notice("n", NO_TIME, NoticeKind::Empty, || unreachable!());
        let batch = builder.finish();
        assert_eq!(batch.notices()[0].before_row, 1);
        assert!(batch.row(0).time().is_none());
    }
}
