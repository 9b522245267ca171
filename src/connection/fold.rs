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
//! Memory is bounded by [`FoldOptions`]: an open connection takes about 300 bytes with its
//! places in the queues, and shares what was recorded and computed with others. What does
//! not fit makes the one that was silent longest come out, as cut.
//!
//! Flows come in the order of time, node and tuple hash. What a flow adds does not depend on
//! the order within a second, and what comes out not on how flows are put into batches.

use super::aggregate::Aggregates;
use super::entry::{Entry, Place, SECOND, SHORT, bits};
use super::exchange::{Exchanges, Part, Spoken};
use super::key::{End, Key};
use super::names::{Ids, Names};
use super::peer::{MOST_PEERS, Peers};
use super::pool::Pool;
use super::record::{Computed, Folded, JudgedSide, Recorded};
use super::recording::{Recordings, add_judged};
use super::service::Services;
use super::sight::{Apart, Event, Sight};
use super::table::Table;
use crate::flow::{NO_TIME, RowRef, SockPoint, tuple_hash};
use crate::policy::{Cause, Direction};

/// How far clocks of nodes are apart that are told to be of one cluster.
const SKEW: i64 = 3 * SECOND;
/// What comes out waits for its turn, but no more than this.
const MOST_READY: usize = 1 << 12;
/// Tuples that are remembered to have been let go of.
const MOST_CUT: usize = 1 << 16;

/// Bounds of a [`Fold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoldOptions {
    /// Connections that are open at a time.
    pub connections: usize,
    /// Exchanges that are open at a time.
    pub exchanges: usize,
    /// Peers that are told apart.
    pub peers: usize,
}

impl Default for FoldOptions {
    fn default() -> Self {
        Self {
            connections: 1 << 19,
            exchanges: 1 << 16,
            peers: MOST_PEERS,
        }
    }
}

/// What became of the flows. Those apart and those of connections, open ones too, are all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoldCounts {
    /// Flows taken.
    pub rows: u64,
    /// ICMP errors and messages that nobody answers.
    pub icmp_messages: u64,
    /// Address translations at sockets.
    pub socket_events: u64,
    /// Debug captures and unknown events.
    pub other_events: u64,
    /// Flows that say too little to be folded: each is a connection of its own.
    pub alone: u64,
    /// Flows that came a minute or more after what they belong to had moved on: each is a
    /// connection of its own.
    pub late: u64,
    /// Connections that came out before their end, for want of room.
    pub cut: u64,
    /// Exchanges that did.
    pub exchanges_cut: u64,
}

impl FoldCounts {
    /// Flows that belong to no connection.
    #[must_use]
    pub fn apart(&self) -> u64 {
        self.icmp_messages + self.socket_events + self.other_events
    }
}

/// Folds flows into connections.
#[derive(Debug)]
pub struct Fold {
    options: FoldOptions,
    pub(super) names: Names,
    table: Table,
    pub(super) recorded: Pool<Recorded>,
    pub(super) judged: Pool<Judged>,
    pub(super) aggregates: Aggregates,
    recordings: Recordings,
    exchanges: Exchanges,
    services: Services,
    /// Newest time seen.
    clock: i64,
    tick: i64,
    /// Hashes of the tuples of connections that were cut.
    cut: Vec<u32>,
    ready: Vec<Folded>,
    counts: FoldCounts,
}

/// What was computed for a side, as it is pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Judged {
    pub(super) computed: Option<Computed>,
    pub(super) unknown: Option<Cause>,
}

/// Where a flow belongs.
enum Belongs {
    To(u32),
    New,
    Late,
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

    fn flush(&mut self, out: &mut impl FnMut(Folded)) {
        self.ready.sort_by(|a, b| match (a, b) {
            (Folded::Connection(a), Folded::Connection(b)) => {
                (a.first, &a.tuple).cmp(&(b.first, &b.tuple))
            }
            (Folded::Exchange(a), Folded::Exchange(b)) => a.time.cmp(&b.time),
            (Folded::Exchange(_), Folded::Connection(_)) => std::cmp::Ordering::Less,
            (Folded::Connection(_), Folded::Exchange(_)) => std::cmp::Ordering::Greater,
        });
        for folded in self.ready.drain(..) {
            out(folded);
        }
    }

    fn close(&mut self, entry: &Entry) {
        let connection = self.connection(entry);
        self.ready.push(Folded::Connection(connection));
        self.release(entry);
    }

    fn release(&mut self, entry: &Entry) {
        for side in [&entry.egress, &entry.ingress] {
            self.recorded.release(side.recorded);
            self.judged.release(side.judged);
        }
        self.aggregates.release(entry.aggregate);
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

    /// A socket's service, and then its backend.
    fn translated(&mut self, row: RowRef<'_>) {
        let Some(extra) = row.extra().filter(|extra| extra.socket_cookie != 0) else {
            return;
        };
        let time = self.clock;
        match extra.sock_point {
            SockPoint::SOCK_XLATE_POINT_PRE_DIRECTION_FWD => {
                let service = self.names.service(row, row.destination_service());
                if service != 0 {
                    self.services.ask(extra.socket_cookie, service, time);
                }
            }
            SockPoint::SOCK_XLATE_POINT_POST_DIRECTION_FWD => {
                let (client, server) = self.ends(row);
                let server = server.with_port(row.destination_port() as u16);
                let call = (row.protocol(), client, server);
                self.services.translate(extra.socket_cookie, call, time);
            }
            _ => {}
        }
    }

    fn ends(&mut self, row: RowRef<'_>) -> (End, End) {
        (
            self.names.end(row, source(row)),
            self.names.end(row, destination(row)),
        )
    }

    fn fold(&mut self, row: RowRef<'_>, sight: &Sight, judged: Option<JudgedSide>) {
        let (from, to) = self.ends(row);
        let from = from.with_port(sight.ports.0);
        let to = to.with_port(sight.ports.1);
        let (key, source_is_low) = Key::of(row.protocol(), from, to);
        let place = Place {
            time: row.time().unwrap_or(self.clock),
            timed: row.time().is_some(),
            node: self.names.node(row),
            source_is_low,
            reference: None,
        };
        let at = if from.is_nothing() && to.is_nothing() {
            self.counts.alone += 1;
            self.make_room();
            let mut entry = Entry::new(key, &place);
            entry.flags |= bits::ALONE;
            self.table.insert_late(entry, self.clock)
        } else {
            match self.belongs(&key, sight, &place) {
                Belongs::To(at) => at,
                Belongs::New => self.open_new(key, &place),
                Belongs::Late => {
                    self.counts.late += 1;
                    self.make_room();
                    self.table.insert_late(Entry::new(key, &place), self.clock)
                }
            }
        };
        self.add(row, sight, &place, judged, at);
    }

    fn belongs(&self, key: &Key, sight: &Sight, place: &Place) -> Belongs {
        let Some(newest) = self.table.find(key) else {
            return Belongs::New;
        };
        let Some(entry) = self.table.get(newest) else {
            return Belongs::New;
        };
        if place.time > entry.seen().saturating_add(entry.window()) {
            return Belongs::New;
        }
        let is_before = |entry: &Entry| place.time < entry.began().saturating_sub(SHORT);
        // The newest connection the node has seen, and the one after it; else the oldest
        // that it may see late.
        let (mut at, mut next, mut unseen) = (newest, None, newest);
        while let Some(entry) = self.table.get(at) {
            if entry.is_seen_by(place.node) && !is_before(entry) {
                if !entry.is_over_for(sight, place) {
                    return Belongs::To(at);
                }
                return next.map_or(Belongs::New, Belongs::To);
            }
            let near = if sight.begins {
                place.time.abs_diff(entry.began()) <= SKEW.unsigned_abs()
            } else {
                place.time >= entry.began().saturating_sub(SKEW)
                    && place.time <= entry.seen().saturating_add(SKEW)
            };
            if near {
                unseen = at;
            }
            (next, at) = (Some(at), entry.previous);
        }
        if is_before(entry) {
            return Belongs::Late;
        }
        Belongs::To(unseen)
    }

    fn open_new(&mut self, key: Key, place: &Place) -> u32 {
        self.make_room();
        let at = self.table.insert(Entry::new(key, place), self.clock);
        if !self.cut.is_empty() {
            let hash = self.table.hash(&key);
            let known = self.cut[hash as usize % MOST_CUT] == tag(hash);
            if known && let Some(entry) = self.table.get_mut(at) {
                entry.flags |= bits::RESUMED;
            }
        }
        at
    }

    fn make_room(&mut self) {
        while self.table.is_full() {
            let Some((entry, in_use)) = self.table.evict() else {
                return;
            };
            if in_use {
                self.counts.cut += 1;
                self.cut.resize(MOST_CUT, 0);
                let hash = self.table.hash(&entry.key);
                self.cut[hash as usize % MOST_CUT] = tag(hash);
            }
            self.close(&entry);
        }
    }

    fn add(
        &mut self,
        row: RowRef<'_>,
        sight: &Sight,
        place: &Place,
        judged: Option<JudgedSide>,
        at: u32,
    ) {
        let Self {
            table,
            names,
            recorded,
            judged: judgements,
            ..
        } = self;
        let Some(entry) = table.get_mut(at) else {
            return;
        };
        if entry.is_turned_by(sight, place) {
            for side in [&entry.egress, &entry.ingress] {
                recorded.release(side.recorded);
                judgements.release(side.judged);
            }
        }
        let is_first = entry.rows == 0;
        entry.orient(sight, place);
        let from_client = entry.client_is_low() == place.source_is_low;
        let place = Place {
            reference: reference(row, entry, place, names),
            ..*place
        };
        entry.add(row, sight, &place);
        let (client, server) = if from_client {
            (source(row), destination(row))
        } else {
            (destination(row), source(row))
        };
        let (party, rank) = names.party(row, client, false);
        if rank > entry.client_rank {
            (entry.client, entry.client_rank) = (party, rank);
        }
        let (party, rank) = names.party(row, server, true);
        if rank > entry.server_rank {
            (entry.server, entry.server_rank) = (party, rank);
        }
        if entry.service == 0 {
            let id = if from_client {
                row.destination_service()
            } else {
                row.source_service()
            };
            entry.service = names.service(row, id);
            if entry.service == 0 && is_first {
                let (client, server) = entry.key.ends(entry.client_is_low());
                let protocol = entry.key.protocol;
                entry.service = self.services.of(protocol, client, server, place.time);
            }
        }
        if from_client {
            self.recordings.add(row, sight, entry, recorded);
            if let Some(judged) = judged {
                add_judged(sight, judged, entry, judgements);
            }
        }
        self.aggregates.add(row, sight, from_client, entry);
        if matches!(
            sight.event,
            Event::Request | Event::Response | Event::Sample
        ) {
            self.speak(row, sight, place.time, at);
        }
        if sight.fin || sight.rst {
            self.table.requeue(at);
        }
    }

    fn speak(&mut self, row: RowRef<'_>, sight: &Sight, time: i64, at: u32) {
        let Some(entry) = self.table.get_mut(at) else {
            return;
        };
        let spoken = Spoken {
            key: entry.key,
            part: match sight.event {
                Event::Request => Part::Request,
                Event::Response => Part::Response,
                _ => Part::Whole,
            },
            direction: sight.direction.unwrap_or(Direction::Egress),
            time,
            denied: sight.refused,
            client: entry.client,
            server: entry.server,
            port: entry.key.ends(entry.client_is_low()).1.port,
        };
        if self.exchanges.push(row, &spoken) {
            entry.exchanges = entry.exchanges.saturating_add(1);
        }
        while self.exchanges.is_over_full() {
            let Some(pending) = self.exchanges.pop_due(i64::MAX) else {
                break;
            };
            self.counts.exchanges_cut += 1;
            let exchange = self.exchange(pending);
            self.ready.push(Folded::Exchange(exchange));
        }
    }

    /// The bounds it was made with.
    #[must_use]
    pub fn options(&self) -> FoldOptions {
        self.options
    }
}

/// What is remembered of the hash of a tuple; never 0.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

/// The hash of a flow's tuple, if it is the first one of its connection; of several at one
/// time the one of the first node, then of the smallest hash.
fn reference(row: RowRef<'_>, entry: &Entry, place: &Place, names: &Names) -> Option<u64> {
    if entry.rows > 0 && entry.first != NO_TIME && place.time > entry.first {
        return None;
    }
    let hash = tuple_hash(row);
    if entry.rows == 0 || entry.first == NO_TIME || place.time < entry.first {
        return Some(hash);
    }
    let known = (names.node_name(entry.reference_node), entry.reference_hash);
    ((names.node_name(place.node), hash) < known).then_some(hash)
}

fn source(row: RowRef<'_>) -> Ids {
    Ids {
        endpoint: row.source(),
        address: row.source_ip(),
        names: row.source_names(),
    }
}

fn destination(row: RowRef<'_>) -> Ids {
    Ids {
        endpoint: row.destination(),
        address: row.destination_ip(),
        names: row.destination_names(),
    }
}
