//! What came while the archive could not be written.
//!
//! Owns its count and span, of which a hole is made, and when writing is tried again.

use std::time::{Duration, Instant};

use crate::flow::{FlowBatch, Hole, HoleCause, Span};

/// How long after a failure writing is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

pub(super) struct Outage {
    since: Instant,
    tried: Instant,
    /// Events that were not kept.
    pub(super) events: u64,
    first: i64,
    last: i64,
}

impl Outage {
    /// Begins at a time, in nanoseconds since 1970 UTC.
    pub(super) fn new(now: i64) -> Self {
        Self {
            since: Instant::now(),
            tried: Instant::now(),
            events: 0,
            first: now,
            last: now,
        }
    }

    /// Counts what is not kept.
    pub(super) fn add(&mut self, batch: &FlowBatch) {
        self.events += batch.rows().map(|row| u64::from(row.weight())).sum::<u64>();
        for time in batch.rows().filter_map(|row| row.time()) {
            self.first = self.first.min(time);
            self.last = self.last.max(time);
        }
    }

    /// Whether it is time to try again; then it has been tried.
    pub(super) fn is_due(&mut self) -> bool {
        let is_due = self.tried.elapsed() >= RETRY_AFTER;
        if is_due {
            self.tried = Instant::now();
        }
        is_due
    }

    /// Seconds since it began.
    pub(super) fn seconds(&self) -> f64 {
        self.since.elapsed().as_secs_f64()
    }

    /// The hole it leaves; `None` where nothing is missing.
    pub(super) fn hole(&self) -> Option<Hole> {
        let time = |at: i64| jiff::Timestamp::from_nanosecond(at.into()).ok();
        // Half open, with the last flow in it.
        let span = Span::new(time(self.first)?, time(self.last.saturating_add(1))?);
        (self.events > 0).then_some(Hole {
            span: span.ok()?,
            cause: HoleCause::Recorder,
            events: Some(self.events),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{BatchBuilder, Row};

    #[test]
    fn a_hole_is_of_what_was_not_kept() {
        let mut outage = Outage::new(50);
        assert!(outage.hole().is_none());
        let mut builder = BatchBuilder::default();
        for (time, weight) in [(20, 1), (90, 3)] {
            let row = Row {
                time,
                weight,
                ..Row::default()
            };
            builder.push(row, || unreachable!());
        }
        outage.add(&builder.finish());
        let hole = outage.hole().unwrap();
        assert_eq!(hole.events, Some(4));
        assert_eq!(hole.span.start().as_nanosecond(), 20);
        assert_eq!(hole.span.end().as_nanosecond(), 91);
    }
}
