//! Fills a batch row by row.
//!
//! Owns the interner that outlives batches and the bound on rows. Does not decode.

use std::sync::Arc;

use super::batch::{Dictionaries, FlowBatch, Notice, NoticeKind, Raw};
use super::intern::Interner;
use super::row::{Columns, Row};

/// Most rows of a batch.
pub const MAX_ROWS: usize = 8192;
/// Bytes of dictionaries a builder keeps before it starts them anew.
pub const DEFAULT_DICTIONARY_BYTES: usize = 16 << 20;

/// Collects rows and notices; [`BatchBuilder::finish`] turns them into a batch.
#[derive(Debug)]
pub struct BatchBuilder {
    interner: Interner,
    columns: Columns,
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
        self.columns.len()
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
        self.columns.push(row);
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
        let dictionaries = Arc::new(Dictionaries {
            epoch: self.interner.epoch(),
            strings: self.interner.string_snapshot(),
            endpoints: self.interner.endpoint_snapshot(),
            pairs: self.interner.pair_snapshot(),
            lists: self.interner.list_snapshot(),
        });
        self.columns.settle();
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
    use crate::flow::{Endpoint, NO_TIME, Verdict};

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
