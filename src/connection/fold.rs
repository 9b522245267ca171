//! Flows in, connections and exchanges out.
//!
//! Owns which flow belongs to which connection, and when one comes out. A connection is a
//! 5-tuple as long as it lives, whichever nodes, trace points and clusters see it:
//!
//! - client and server are told by `is_reply`, by SYN and SYN+ACK, by ICMP types, by the
//!   record of layer 7; else by what is open already, a refused packet's direction or a
//!   service on one side; else it is as sent, until a flow tells better;
//! - it ends after 60 s of silence, an established TCP connection after 8,000 s; when a
//!   packet begins a connection on a node that saw it closed, or answered more than a second
//!   ago; each node by its own clock, so that two seconds between them neither split nor
//!   join;
//! - of an aggregated row (`aggregate`, or a weight) it has the weight of one side: the
//!   destination's count if it has one, else the source's; the other way round where the
//!   server is outside. What both sides counted is never added up.
//!
//! Memory is bounded by [`FoldOptions`]: an open connection takes 200 bytes, 28 more where
//! policy was asked about it, and some 50 for its places in the index and the queues; what
//! was recorded and computed it shares with others. What does
//! not fit makes the one that was silent longest come out, as cut.
//!
//! Flows come in the order of time, node and tuple hash. What a flow adds does not depend on
//! the order within a second, and what comes out not on how flows are put into batches.

use super::aggregate::Aggregates;
use super::attempt::Asked;
use super::bounds::{FoldCounts, FoldOptions, OPENING};
use super::entry::{Entry, SECOND, bits};
use super::exchange::Exchanges;
use super::names::Names;
use super::peer::Peers;
use super::pool::Pool;
use super::record::{Computed, Connection, Folded, JudgedSide, Recorded};
use super::recording::Recordings;
use super::service::Services;
use super::sight::{Apart, Sight};
use super::slab::Slab;
use super::table::Table;
use crate::flow::{NO_TIME, RowRef};
use crate::policy::Cause;

/// What comes out waits for its turn, but no more than this.
const MOST_READY: usize = 1 << 12;

/// Folds flows into connections.
#[derive(Debug)]
pub struct Fold {
    options: FoldOptions,
    pub(super) names: Names,
    pub(super) table: Table,
    pub(super) recorded: Pool<Recorded>,
    pub(super) judged: Pool<Judged>,
    pub(super) aggregates: Aggregates,
    pub(super) asked: Slab<Asked>,
    pub(super) recordings: Recordings,
    pub(super) exchanges: Exchanges,
    pub(super) services: Services,
    /// Newest time seen.
    pub(super) clock: i64,
    tick: i64,
    /// Hashes of the tuples of connections that were cut.
    pub(super) cut: Vec<u32>,
    pub(super) ready: Vec<Folded>,
    pub(super) counts: FoldCounts,
}

/// What was computed for a side, as it is pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Judged {
    pub(super) computed: Option<Computed>,
    pub(super) unknown: Option<Cause>,
    pub(super) mark: u32,
}

impl Default for Fold {
    fn default() -> Self {
        Self::new(FoldOptions::default())
    }
}

impl Fold {
    /// Makes a fold.
    #[must_use]
    pub fn new(options: FoldOptions) -> Self {
        Self {
            options,
            names: Names::new(Peers::new(options.peers)),
            table: Table::new(options.connections),
            recorded: Pool::default(),
            judged: Pool::default(),
            aggregates: Aggregates::default(),
            asked: Slab::default(),
            recordings: Recordings::default(),
            exchanges: Exchanges::new(options.exchanges),
            services: Services::default(),
            clock: NO_TIME,
            tick: NO_TIME,
            cut: Vec::new(),
            ready: Vec::new(),
            counts: FoldCounts::default(),
        }
    }

    /// The peers of what has come out.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        self.names.peers()
    }

    /// What became of the flows so far.
    #[must_use]
    pub fn counts(&self) -> FoldCounts {
        self.counts
    }

    /// The newest time that it has seen, [`NO_TIME`] before any.
    #[must_use]
    pub fn clock(&self) -> i64 {
        self.clock
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.table.len()
    }

    /// Takes a flow and what was judged of it, and gives out what has ended before it.
    pub fn push(
        &mut self,
        row: RowRef<'_>,
        judged: Option<JudgedSide>,
        out: &mut impl FnMut(Folded),
    ) {
        self.counts.rows += 1;
        if let Some(time) = row.time() {
            self.advance(time, out);
        }
        self.names.enter(row);
        match Sight::of(row) {
            Ok(sight) => self.fold(row, &sight, judged),
            Err(apart) => self.set_apart(row, apart),
        }
        if self.ready.len() >= MOST_READY {
            self.flush(out);
        }
    }

    /// Says that no flow before `time` is expected any more, and gives out what has ended.
    pub fn advance(&mut self, time: i64, out: &mut impl FnMut(Folded)) {
        self.clock = self.clock.max(time);
        let tick = self.clock.div_euclid(SECOND);
        if tick <= self.tick {
            return;
        }
        self.tick = tick;
        // What ends is looked at by whole seconds, however time came to pass.
        let now = tick.saturating_mul(SECOND);
        while let Some(at) = self.table.pop_fresh(now.saturating_sub(OPENING)) {
            self.tell(at);
            if self.ready.len() >= MOST_READY {
                self.flush(out);
            }
        }
        while let Some(entry) = self.table.pop_ended(now) {
            self.close(&entry);
            if self.ready.len() >= MOST_READY {
                self.flush(out);
            }
        }
        while let Some(pending) = self.exchanges.pop_due(now) {
            let exchange = self.exchange(pending);
            self.ready.push(Folded::Exchange(exchange));
        }
        self.flush(out);
    }

    /// Gives out everything, at the end of the flows, in the order of time and tuple.
    pub fn finish(&mut self, out: &mut impl FnMut(Folded)) {
        self.flush(out);
        while let Some(pending) = self.exchanges.pop_due(i64::MAX) {
            let exchange = self.exchange(pending);
            self.ready.push(Folded::Exchange(exchange));
        }
        self.flush(out);
        let mut open: Vec<(i64, u32)> = self
            .table
            .iter()
            .map(|(at, entry)| (entry.began(), at))
            .collect();
        open.sort_unstable();
        // Those of one instant are put in the order of their tuples.
        for same in open.chunk_by(|a, b| a.0 == b.0) {
            for &(_, at) in same {
                if let Some(entry) = self.table.take(at) {
                    self.close(&entry);
                }
            }
            self.flush(out);
        }
        self.table.clear();
    }

    /// The connections that are open and began before `time`, as they are by now; they stay
    /// open. What has ended is given out first.
    pub fn open_before(
        &mut self,
        time: i64,
        out: &mut impl FnMut(Folded),
    ) -> impl Iterator<Item = Connection> + '_ {
        self.flush(out);
        let entries = self.table.iter().map(|(_, entry)| entry);
        entries
            .filter(move |entry| entry.began() < time)
            .map(|entry| self.connection(entry))
    }

    fn flush(&mut self, out: &mut impl FnMut(Folded)) {
        self.ready.sort_by(|a, b| match (a, b) {
            (Folded::Connection(a), Folded::Connection(b)) => {
                (a.first, &a.tuple).cmp(&(b.first, &b.tuple))
            }
            (Folded::Opened(a), Folded::Opened(b)) => (a.first, &a.tuple).cmp(&(b.first, &b.tuple)),
            (Folded::Exchange(a), Folded::Exchange(b)) => a.time.cmp(&b.time),
            (a, b) => rank(a).cmp(&rank(b)),
        });
        for folded in self.ready.drain(..) {
            out(folded);
        }
    }

    pub(super) fn close(&mut self, entry: &Entry) {
        let connection = self.connection(entry);
        if self.options.opened && !entry.has(bits::TOLD) {
            self.ready.push(Folded::Opened(connection.clone()));
        }
        self.ready.push(Folded::Connection(connection));
        self.release(entry);
    }

    /// Gives out a connection as opened.
    fn tell(&mut self, at: u32) {
        let Some(entry) = self.table.get_mut(at) else {
            return;
        };
        entry.flags |= bits::TOLD;
        if let Some(entry) = self.table.get(at) {
            let connection = self.connection(entry);
            self.ready.push(Folded::Opened(connection));
        }
    }

    fn release(&mut self, entry: &Entry) {
        for side in [&entry.egress, &entry.ingress] {
            self.recorded.release(side.recorded);
            self.judged.release(side.judged);
        }
        self.aggregates.release(entry.aggregate);
        self.asked.release(entry.asked);
    }

    fn set_apart(&mut self, row: RowRef<'_>, apart: Apart) {
        match apart {
            Apart::IcmpMessage => self.counts.icmp_messages += 1,
            Apart::OtherEvent => self.counts.other_events += 1,
            Apart::Socket => {
                self.counts.socket_events += 1;
                self.translated(row);
            }
        }
    }

    /// The bounds it was made with.
    #[must_use]
    pub fn options(&self) -> FoldOptions {
        self.options
    }
}

/// In which order those of one time come out.
fn rank(folded: &Folded) -> u8 {
    match folded {
        Folded::Exchange(_) => 0,
        Folded::Opened(_) => 1,
        Folded::Connection(_) => 2,
    }
}
