//! The one pass over flows that keeps state.
//!
//! Owns the way from judged batches to connections: rows in order behind a watermark, then
//! the fold. What is made of connections is an [`Observer`]'s. Recordings and live streams
//! are pushed through the same pass.

use super::order::{Sequencer, Turn};
use super::sides::JudgedBatch;
use crate::connection::{Connection, Exchange, Fold, FoldOptions, Folded, Peers};

const SECOND: i64 = 1_000_000_000;

/// Columns of an archive that neither judging nor folding asks for, nor counting what was
/// read: whoever reads flows for a pass can leave them out.
pub const UNUSED_COLUMNS: &[&str] = &[
    "interface_index",
    "interface_name",
    "trace_id",
    "proxy_port",
    "cgroup_id",
    "debug_capture_point",
    "file_name",
    "file_line",
    "source_mac",
    "destination_mac",
    "emitter",
    "emitter_version",
    "source_ip_xlated",
];

/// Takes connections and exchanges as they are complete.
pub trait Observer {
    /// Takes a connection.
    fn connection(&mut self, connection: &Connection, peers: &Peers);
    /// Takes an exchange.
    fn exchange(&mut self, exchange: &Exchange, peers: &Peers);
    /// Takes a connection soon after it began, where the fold was asked for that.
    fn opened(&mut self, _connection: &Connection, _peers: &Peers) {}
    /// Takes a batch before its rows are put in order.
    fn batch(&mut self, _batch: &JudgedBatch) {}
    /// Hears that everything that was settled before a time has been given out.
    fn reached(&mut self, _time: i64, _peers: &Peers) {}
}

/// Maybe an observer.
impl<A: Observer> Observer for Option<A> {
    fn connection(&mut self, connection: &Connection, peers: &Peers) {
        if let Some(one) = self {
            one.connection(connection, peers);
        }
    }

    fn exchange(&mut self, exchange: &Exchange, peers: &Peers) {
        if let Some(one) = self {
            one.exchange(exchange, peers);
        }
    }

    fn opened(&mut self, connection: &Connection, peers: &Peers) {
        if let Some(one) = self {
            one.opened(connection, peers);
        }
    }

    fn batch(&mut self, batch: &JudgedBatch) {
        if let Some(one) = self {
            one.batch(batch);
        }
    }

    fn reached(&mut self, time: i64, peers: &Peers) {
        if let Some(one) = self {
            one.reached(time, peers);
        }
    }
}

/// Two observers of the same flows.
pub struct Beside<A, B>(
    /// The one that hears first.
    pub A,
    /// The other.
    pub B,
);

impl<A: Observer, B: Observer> Observer for Beside<A, B> {
    fn connection(&mut self, connection: &Connection, peers: &Peers) {
        self.0.connection(connection, peers);
        self.1.connection(connection, peers);
    }

    fn exchange(&mut self, exchange: &Exchange, peers: &Peers) {
        self.0.exchange(exchange, peers);
        self.1.exchange(exchange, peers);
    }

    fn opened(&mut self, connection: &Connection, peers: &Peers) {
        self.0.opened(connection, peers);
        self.1.opened(connection, peers);
    }

    fn batch(&mut self, batch: &JudgedBatch) {
        self.0.batch(batch);
        self.1.batch(batch);
    }

    fn reached(&mut self, time: i64, peers: &Peers) {
        self.0.reached(time, peers);
        self.1.reached(time, peers);
    }
}

/// Flows of any number of sources on their way to connections.
pub struct Pass {
    order: Sequencer,
    folding: Folding,
}

struct Folding {
    fold: Fold,
    /// What came out of the fold with one row; kept for its memory.
    folded: Vec<Folded>,
    /// The last second that was said to be reached.
    reached: i64,
}

impl Pass {
    /// A pass that has seen nothing.
    #[must_use]
    pub fn new(options: FoldOptions) -> Self {
        Self {
            order: Sequencer::new(),
            folding: Folding {
                fold: Fold::new(options),
                folded: Vec::new(),
                reached: i64::MIN,
            },
        }
    }

    /// Says that a source begins at a time, in nanoseconds since 1970 UTC. Until it is
    /// closed the others wait for it.
    pub fn open(&mut self, source: usize, time: i64) {
        self.order.open(source, time);
    }

    /// Says that a source has ended.
    pub fn close(&mut self, source: usize, observer: &mut impl Observer) {
        let Self { order, folding } = self;
        order.close(source, &mut |turn| folding.row(&turn, observer));
        folding.advance(order.watermark(), observer);
    }

    /// Takes a batch of a source.
    pub fn push(&mut self, source: usize, batch: JudgedBatch, observer: &mut impl Observer) {
        observer.batch(&batch);
        let Self { order, folding } = self;
        order.push(source, batch, &mut |turn| folding.row(&turn, observer));
        folding.advance(order.watermark(), observer);
    }

    /// Ends the pass: everything that is open comes out.
    pub fn finish(&mut self, observer: &mut impl Observer) {
        let Self { order, folding } = self;
        order.finish(&mut |turn| folding.row(&turn, observer));
        folding.finish(observer);
    }

    /// Takes a row that is the same as another one once, as where recordings overlap.
    #[must_use]
    pub fn distinct(mut self) -> Self {
        self.order.be_distinct();
        self
    }

    /// Rows that were the same as others.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.order.duplicates()
    }

    /// Rows that came too late to be in order.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.order.late()
    }

    /// Who the peers of the connections are.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        self.folding.fold.peers()
    }
}

impl Folding {
    fn row(&mut self, turn: &Turn<'_>, observer: &mut impl Observer) {
        let side = turn.batch.side(turn.row.index());
        let Self { fold, folded, .. } = self;
        fold.push(turn.row, side, &mut |one| folded.push(one));
        self.hand_over(observer);
        self.reach(observer);
    }

    fn advance(&mut self, time: i64, observer: &mut impl Observer) {
        let Self { fold, folded, .. } = self;
        fold.advance(time, &mut |one| folded.push(one));
        self.hand_over(observer);
        self.reach(observer);
    }

    /// Says each second of the fold's clock once.
    fn reach(&mut self, observer: &mut impl Observer) {
        let second = self.fold.clock().div_euclid(SECOND);
        if second > self.reached {
            self.reached = second;
            observer.reached(second.saturating_mul(SECOND), self.fold.peers());
        }
    }

    fn finish(&mut self, observer: &mut impl Observer) {
        let Self { fold, folded, .. } = self;
        fold.finish(&mut |one| folded.push(one));
        self.hand_over(observer);
    }

    fn hand_over(&mut self, observer: &mut impl Observer) {
        for one in self.folded.drain(..) {
            match one {
                Folded::Opened(connection) => observer.opened(&connection, self.fold.peers()),
                Folded::Connection(connection) => {
                    observer.connection(&connection, self.fold.peers());
                }
                Folded::Exchange(exchange) => observer.exchange(&exchange, self.fold.peers()),
            }
        }
    }
}
