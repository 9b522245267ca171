//! From connections to ticks.
//!
//! Owns which tick something belongs to, when a tick is complete, and the bounds of one. A
//! connection belongs to the tick in which it began, an exchange to the one in which it was
//! settled. A tick is sealed when the clock has passed its end by [`SETTLING`]: by then every
//! connection of it has been given out. What comes later is counted as late.
//!
//! Memory: two or three ticks are open at a time, of at most [`MOST_GROUPS`] groups each,
//! and one group for each client beyond. Connections that ended wait up to
//! [`LONGEST_SILENCE`] for their tick, [`MOST_LASTING`] a tick.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::domain::{registered, without_search};
use super::names::Names;
use super::template::template;
use super::tick::{
    DnsGroup, Fate, Group, HttpGroup, LASTING, Lasting, Loss, MOST_GROUPS, MOST_L7_GROUPS,
    MOST_LASTING, MOST_SAMPLES, MOST_SERVERS, MOST_STARTS, Servers, TICK, Tick, tick_of,
};
use crate::connection::{
    Connection, Exchange, ExchangeKind, LONGEST_SILENCE, OPENING, Opening, Outcome, PeerId, Peers,
};
use crate::flow::{DropClass, FlowBatch, FlowReference, NO_TIME, Notice, Protocol};

/// How far the clock is past the end of a tick when it is sealed.
pub const SETTLING: i64 = OPENING;
/// Ticks that losses are kept for.
const MOST_LOSSES: usize = 1 << 12;
/// Ticks that wait with connections that have ended.
const MOST_WAITING: usize = 1 << 10;

/// Builds ticks.
#[derive(Debug, Default)]
pub struct TickBuilder {
    open: BTreeMap<i64, Open>,
    lasting: BTreeMap<i64, Vec<Lasting>>,
    losses: BTreeMap<i64, Loss>,
    /// Ticks before this time are sealed.
    sealed: i64,
    late: u64,
    untimed: u64,
}

/// A tick that is not sealed.
#[derive(Debug, Default)]
struct Open {
    groups: HashMap<Place, Group, RandomState>,
    dns: HashMap<Question, DnsGroup, RandomState>,
    http: HashMap<Request, HttpGroup, RandomState>,
    beyond: u64,
}

/// What tells groups apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    client: PeerId,
    server: PeerId,
    key: PeerId,
    port: u16,
    protocol: Protocol,
    fate: Fate,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    client: PeerId,
    server: PeerId,
    port: u16,
    query: Arc<str>,
    raw: bool,
    types: Arc<str>,
    code: u32,
    answered: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Request {
    client: PeerId,
    server: PeerId,
    port: u16,
    method: Arc<str>,
    host: Arc<str>,
    template: Arc<str>,
    code: u32,
}

impl TickBuilder {
    /// A builder without any tick.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sealed: i64::MIN,
            ..Self::default()
        }
    }

    /// Connections and exchanges that came after their tick was sealed.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Connections without a time, which belong to no tick.
    #[must_use]
    pub fn untimed(&self) -> u64 {
        self.untimed
    }

    /// Takes a connection as it was soon after it began.
    pub fn opened(&mut self, one: &Connection, of: &Peers, names: &mut Names) {
        if one.first == NO_TIME {
            self.untimed += 1;
            return;
        }
        let Some(open) = self.tick(one.first) else {
            return;
        };
        let client = names.client(one.edge.client, of);
        let found = names.server(one.edge.server, of, client, &one.service, one.first);
        let place = Place {
            client,
            server: found.server,
            key: found.key,
            port: one.edge.port,
            protocol: one.edge.protocol,
            fate: fate(one),
        };
        open.add(place, one);
    }

    /// Takes a connection that has ended.
    pub fn ended(&mut self, one: &Connection, of: &Peers, names: &mut Names) {
        if one.first == NO_TIME || one.last.saturating_sub(one.first) < LASTING {
            return;
        }
        let start = tick_of(one.last.saturating_add(LONGEST_SILENCE));
        if start < self.sealed {
            self.late += 1;
            return;
        }
        if self.lasting.len() >= MOST_WAITING && !self.lasting.contains_key(&start) {
            return;
        }
        let waiting = self.lasting.entry(start).or_default();
        if waiting.len() >= MOST_LASTING {
            return;
        }
        let client = names.client(one.edge.client, of);
        let found = names.server(one.edge.server, of, client, &one.service, one.first);
        waiting.push(Lasting {
            client,
            server: found.server,
            key: found.key,
            port: one.edge.port,
            protocol: one.edge.protocol,
            first: one.first,
            last: one.last,
            busy: one.busy,
        });
    }

    /// Takes an exchange.
    pub fn exchange(&mut self, one: &Exchange, of: &Peers, names: &mut Names) {
        if one.time == NO_TIME {
            self.untimed += 1;
            return;
        }
        let Some(open) = self.tick(one.settled) else {
            return;
        };
        let client = names.client(one.edge.client, of);
        let found = names.server(one.edge.server, of, client, &Arc::default(), one.time);
        match &one.kind {
            ExchangeKind::Dns { query, types, code } => {
                open.question(one, client, found.server, (query, types, *code));
            }
            ExchangeKind::Http {
                method,
                host,
                path,
                code,
            } => {
                let place = Request {
                    client,
                    server: found.server,
                    port: one.edge.port,
                    method: method.clone(),
                    host: host.clone(),
                    template: template(path).into(),
                    code: *code,
                };
                open.request(one, found.key, place);
            }
            ExchangeKind::Other(_) => {}
        }
    }

    /// Takes what a batch says of losses, and how many of its rows were seen when.
    pub fn batch(&mut self, batch: &FlowBatch, is_kept: impl Fn(usize) -> bool) {
        let (mut start, mut rows) = (i64::MIN, 0);
        for row in batch.rows() {
            let Some(time) = row.time().filter(|_| is_kept(row.index())) else {
                continue;
            };
            if time < start || time >= start.saturating_add(TICK) {
                self.seen(start, rows);
                (start, rows) = (tick_of(time), 0);
            }
            rows += 1;
        }
        self.seen(start, rows);
        for notice in batch.notices() {
            self.notice(notice);
        }
    }

    fn seen(&mut self, start: i64, rows: u64) {
        if rows > 0
            && let Some(loss) = self.loss(start)
        {
            loss.seen += rows;
        }
    }

    fn notice(&mut self, notice: &Notice) {
        let Some(loss) = notice.loss() else {
            return;
        };
        let last = if loss.last == NO_TIME {
            notice.time
        } else {
            loss.last
        };
        let first = if loss.first == NO_TIME {
            last
        } else {
            loss.first
        };
        self.lost(first, last, loss.events);
    }

    /// Spreads a loss over the ticks between two times.
    fn lost(&mut self, first: i64, last: i64, count: Option<u64>) {
        if last == NO_TIME || last < first {
            return;
        }
        let (from, to) = (tick_of(first), tick_of(last));
        let ticks = (to.saturating_sub(from) / TICK).saturating_add(1);
        for at in 0..ticks.min(MOST_LOSSES as i64) {
            let Some(loss) = self.loss(to - at * TICK) else {
                continue;
            };
            match count {
                Some(count) => loss.lost += count.div_ceil(ticks.max(1) as u64),
                None => loss.uncounted = true,
            }
        }
    }

    fn loss(&mut self, start: i64) -> Option<&mut Loss> {
        let full = self.losses.len() >= MOST_LOSSES && !self.losses.contains_key(&start);
        (start >= self.sealed && !full).then(|| self.losses.entry(start).or_default())
    }

    /// The open tick of a time; a sealed one is late.
    fn tick(&mut self, time: i64) -> Option<&mut Open> {
        let start = tick_of(time);
        if start < self.sealed {
            self.late += 1;
            return None;
        }
        Some(self.open.entry(start).or_default())
    }

    /// Gives out the ticks that are complete at a time.
    pub fn reached(&mut self, time: i64, out: &mut impl FnMut(Tick)) {
        self.seal(time.saturating_sub(TICK + SETTLING), out);
    }

    /// Gives out everything.
    pub fn finish(&mut self, out: &mut impl FnMut(Tick)) {
        self.seal(i64::MAX - TICK, out);
    }

    /// Seals ticks that begin at `limit` or before.
    fn seal(&mut self, limit: i64, out: &mut impl FnMut(Tick)) {
        loop {
            let open = self.open.keys().next().copied().unwrap_or(i64::MAX);
            let lasting = self.lasting.keys().next().copied().unwrap_or(i64::MAX);
            let start = open.min(lasting);
            if start > limit {
                break;
            }
            let open = self.open.remove(&start).unwrap_or_default();
            let lasting = self.lasting.remove(&start).unwrap_or_default();
            let loss = self.losses.get(&start).copied().unwrap_or_default();
            out(open.sealed(start, lasting, loss));
        }
        let sealed = tick_of(limit).saturating_add(TICK);
        if sealed > self.sealed {
            self.sealed = sealed;
            self.losses = self.losses.split_off(&sealed);
        }
    }

    /// Groups that are held, for tests of the bound.
    #[must_use]
    pub fn held(&self) -> usize {
        let open = self.open.values();
        open.map(|open| open.groups.len() + open.dns.len() + open.http.len())
            .sum::<usize>()
            + self.lasting.values().map(Vec::len).sum::<usize>()
            + self.losses.len()
    }
}

impl Open {
    fn add(&mut self, place: Place, one: &Connection) {
        let mut place = place;
        if place.key == PeerId::OTHERS {
            self.beyond += one.weight;
        }
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&place) {
            self.beyond += one.weight;
            place = Place {
                server: PeerId::OTHERS,
                key: PeerId::OTHERS,
                port: 0,
                ..place
            };
            if self.groups.len() >= 2 * MOST_GROUPS {
                place.client = PeerId::OTHERS;
            }
        }
        self.groups
            .entry(place)
            .and_modify(|group| group.add(one))
            .or_insert_with(|| Group::new(&place, one));
    }

    fn question(
        &mut self,
        one: &Exchange,
        client: PeerId,
        server: PeerId,
        (query, types, code): (&Arc<str>, &Arc<str>, u32),
    ) {
        let (rest, raw) = without_search(query);
        let place = Question {
            client,
            server,
            port: one.edge.port,
            query: if raw { query.clone() } else { rest.into() },
            raw,
            types: types.clone(),
            code,
            answered: one.answered,
        };
        if self.dns.len() >= MOST_L7_GROUPS && !self.dns.contains_key(&place) {
            self.beyond += one.weight;
            return;
        }
        let group = self.dns.entry(place).or_insert_with_key(|place| DnsGroup {
            client,
            server,
            port: place.port,
            query: place.query.clone(),
            raw,
            registered: registered(&place.query).into(),
            types: place.types.clone(),
            code,
            answered: place.answered,
            count: 0,
            first: one.time,
        });
        group.count = group.count.saturating_add(one.weight);
        group.first = group.first.min(one.time);
    }

    fn request(&mut self, one: &Exchange, key: PeerId, place: Request) {
        if self.http.len() >= MOST_L7_GROUPS && !self.http.contains_key(&place) {
            self.beyond += one.weight;
            return;
        }
        let group = self
            .http
            .entry(place)
            .or_insert_with_key(|place| HttpGroup {
                client: place.client,
                server: place.server,
                key,
                port: place.port,
                method: place.method.clone(),
                host: place.host.clone(),
                template: place.template.clone(),
                code: place.code,
                count: 0,
                slowest: 0,
                first: one.time,
            });
        group.count = group.count.saturating_add(one.weight);
        group.slowest = group.slowest.max(one.latency);
        group.first = group.first.min(one.time);
    }

    fn sealed(self, start: i64, lasting: Vec<Lasting>, loss: Loss) -> Tick {
        let mut groups: Vec<Group> = self.groups.into_values().collect();
        groups.sort_unstable_by_key(|one| {
            let place = (one.client, one.key, one.server, one.port);
            (place, one.protocol, one.fate)
        });
        let mut dns: Vec<DnsGroup> = self.dns.into_values().collect();
        dns.sort_unstable_by(|a, b| {
            let place = |one: &DnsGroup| (one.client, one.server, one.port, one.raw);
            place(a)
                .cmp(&place(b))
                .then_with(|| a.query.cmp(&b.query))
                .then_with(|| a.types.cmp(&b.types))
                .then_with(|| (a.code, a.answered).cmp(&(b.code, b.answered)))
        });
        let mut http: Vec<HttpGroup> = self.http.into_values().collect();
        http.sort_unstable_by(|a, b| {
            let place = |one: &HttpGroup| (one.client, one.server, one.port, one.code);
            place(a)
                .cmp(&place(b))
                .then_with(|| a.method.cmp(&b.method))
                .then_with(|| a.host.cmp(&b.host))
                .then_with(|| a.template.cmp(&b.template))
        });
        let mut lasting = lasting;
        lasting.sort_unstable_by_key(|one| {
            let place = (one.client, one.key, one.server, one.port, one.protocol);
            (place, one.first, one.last, one.busy)
        });
        Tick {
            start,
            groups,
            dns,
            http,
            lasting,
            loss,
            identities: Vec::new(),
            beyond: self.beyond,
        }
    }
}

impl Group {
    fn new(place: &Place, one: &Connection) -> Self {
        let mut group = Self {
            client: place.client,
            server: place.server,
            key: place.key,
            port: place.port,
            protocol: place.protocol,
            fate: place.fate,
            count: 0,
            attempts: 0,
            first: one.first,
            last: one.first,
            starts: Vec::new(),
            servers: Servers::default(),
            sample: one.clone(),
            samples: Vec::new(),
            busy: 0,
        };
        group.add(one);
        group
    }

    fn add(&mut self, one: &Connection) {
        self.count = self.count.saturating_add(one.weight);
        self.attempts = self.attempts.saturating_add(u64::from(one.attempts));
        self.busy += u64::from(one.busy);
        self.first = self.first.min(one.first);
        self.last = self.last.max(one.first);
        insert(&mut self.starts, one.first, MOST_STARTS);
        if let Some(server) = one.tuple.server {
            self.servers.add(server);
        }
        if (one.first, &one.tuple) < (self.sample.first, &self.sample.tuple) {
            self.sample = one.clone();
        }
        let (node, time, tuple) = &one.reference;
        let is_early = self.samples.len() < MOST_SAMPLES
            || self
                .samples
                .last()
                .is_some_and(|last| (*time, &**node, *tuple) < order(last));
        if is_early {
            let reference = FlowReference {
                node: node.to_string(),
                time: *time,
                tuple: *tuple,
            };
            let at = self
                .samples
                .partition_point(|known| order(known) < order(&reference));
            self.samples.insert(at, reference);
            self.samples.truncate(MOST_SAMPLES);
        }
    }
}

impl Servers {
    fn add(&mut self, address: IpAddr) {
        let Err(at) = self.kept.binary_search(&address) else {
            return;
        };
        self.more |= self.kept.len() == MOST_SERVERS;
        self.kept.insert(at, address);
        self.kept.truncate(MOST_SERVERS);
    }
}

fn order(reference: &FlowReference) -> (i64, &str, u64) {
    (reference.time, &reference.node, reference.tuple)
}

/// Inserts into a sorted list of the smallest `most`.
fn insert(sorted: &mut Vec<i64>, one: i64, most: usize) {
    if sorted.len() == most && sorted.last().is_some_and(|last| *last <= one) {
        return;
    }
    let at = sorted.partition_point(|known| *known <= one);
    sorted.insert(at, one);
    sorted.truncate(most);
}

fn fate(one: &Connection) -> Fate {
    match one.outcome {
        Outcome::Dropped(reason) if reason.class() == DropClass::Policy => Fate::Denied,
        Outcome::Dropped(reason) => Fate::Dropped(reason.class()),
        Outcome::Error => Fate::Dropped(DropClass::Infrastructure),
        _ if one.opening == Opening::Missed => Fate::Missed,
        Outcome::Audited => Fate::Audited,
        Outcome::RequestDenied => Fate::RequestDenied,
        Outcome::Forwarded if one.refused => Fate::Refused,
        Outcome::Forwarded if one.answered => Fate::Answered,
        Outcome::Forwarded => Fate::Unanswered,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{connection, minute, peer};
    use super::*;
    use crate::connection::Peer;
    use crate::flow::DropReason;

    const SECOND: i64 = super::super::tick::SECOND;

    /// Ticks of connections, in the order they are given.
    fn ticks(connections: &[Connection], peers: &Peers) -> (Vec<Tick>, TickBuilder) {
        let mut names = Names::default();
        let mut builder = TickBuilder::new();
        let mut ticks = Vec::new();
        for one in connections {
            builder.opened(one, peers, &mut names);
        }
        builder.finish(&mut |tick| ticks.push(tick));
        (ticks, builder)
    }

    fn known(shown: &[&str]) -> (Peers, Vec<PeerId>) {
        let mut peers = Peers::default();
        let ids = shown
            .iter()
            .map(|shown| peers.intern(peer(shown)))
            .collect();
        (peers, ids)
    }

    /// A connection of the first peer to the second.
    fn one(ids: &[PeerId], port: u16, time: i64, from: u16) -> Connection {
        let mut one = connection(Protocol::Tcp, port, time);
        (one.edge.client, one.edge.server) = (ids[0], ids[1]);
        one.tuple.client_port = from;
        one
    }

    #[test]
    fn what_is_alike_is_one_group_whatever_its_order() {
        let (peers, ids) = known(&["shop/cart", "a.example.com"]);
        let mut all: Vec<Connection> = (0..100)
            .map(|at| {
                one(
                    &ids,
                    443,
                    minute(1) + i64::from(at) * SECOND / 2,
                    1_000 + at,
                )
            })
            .collect();
        let (forward, _) = ticks(&all, &peers);
        all.reverse();
        let (backward, _) = ticks(&all, &peers);
        assert_eq!(forward, backward);

        let [tick] = &forward[..] else {
            panic!("{forward:?}");
        };
        let [group] = &tick.groups[..] else {
            panic!("{:?}", tick.groups);
        };
        assert_eq!(
            (tick.start, group.count, group.attempts),
            (minute(1), 100, 100)
        );
        assert_eq!(group.starts.len(), MOST_STARTS);
        assert_eq!(group.starts[..2], [minute(1), minute(1) + SECOND / 2]);
        assert_eq!(group.samples.len(), MOST_SAMPLES);
        assert_eq!(group.sample.tuple.client_port, 1_000);
        assert_ne!(group.server, group.key);
    }

    #[test]
    fn fate_is_what_twenty_seconds_tell() {
        let base = || connection(Protocol::Tcp, 1, 0);
        let dropped = |reason| Connection {
            outcome: Outcome::Dropped(DropReason(reason)),
            answered: false,
            ..base()
        };
        assert_eq!(fate(&base()), Fate::Answered);
        assert_eq!(fate(&dropped(133)), Fate::Denied);
        assert_eq!(fate(&dropped(151)), Fate::Dropped(DropClass::Routing));
        let refused = Connection {
            refused: true,
            ..base()
        };
        assert_eq!(fate(&refused), Fate::Refused);
        let unanswered = Connection {
            answered: false,
            ..base()
        };
        assert_eq!(fate(&unanswered), Fate::Unanswered);
        let missed = Connection {
            opening: Opening::Missed,
            ..base()
        };
        assert_eq!(fate(&missed), Fate::Missed);
    }

    #[test]
    fn a_tick_is_sealed_when_its_connections_are_settled_and_what_comes_later_is_late() {
        let (peers, ids) = known(&["shop/cart", "shop/pay"]);
        let mut names = Names::default();
        let mut builder = TickBuilder::new();
        let mut sealed = Vec::new();
        builder.opened(&one(&ids, 1, minute(1), 1), &peers, &mut names);
        builder.opened(&one(&ids, 1, minute(3), 1), &peers, &mut names);
        let end = minute(2) + SETTLING;
        builder.reached(end - SECOND, &mut |tick| sealed.push(tick.start));
        assert!(sealed.is_empty());
        builder.reached(end, &mut |tick| sealed.push(tick.start));
        assert_eq!(sealed, [minute(1)]);
        builder.opened(&one(&ids, 1, minute(2) - 1, 1), &peers, &mut names);
        assert_eq!(builder.late(), 1);
        builder.opened(&one(&ids, 1, minute(2), 1), &peers, &mut names);
        builder.finish(&mut |tick| sealed.push(tick.start));
        assert_eq!(sealed, [minute(1), minute(2), minute(3)]);
    }

    /// Scenario: one pod calls more addresses and ports in a minute than are told apart.
    /// Guarantees: what is held is bounded, and nothing goes uncounted.
    #[test]
    fn a_flood_of_ports_is_bounded_and_counted() {
        let (mut peers, mut ids) = known(&["shop/cart", "shop/pay"]);
        let mut names = Names::default();
        let mut builder = TickBuilder::new();
        let mut total = 0;
        for at in 0..3_u32 {
            let address = std::net::Ipv4Addr::from(0xc000_0200 + at);
            ids[1] = peers.intern(Peer::Prefix(std::net::IpAddr::from(address).into()));
            for port in 1..=40_000 {
                builder.opened(&one(&ids, port, minute(1), port), &peers, &mut names);
                total += 1;
            }
        }
        assert!(builder.held() <= MOST_GROUPS + 2);
        let mut counted = 0;
        builder.finish(&mut |tick| {
            counted += tick.groups.iter().map(|group| group.count).sum::<u64>();
            assert!(tick.beyond > 0);
        });
        assert_eq!(counted, total);
    }

    #[test]
    fn a_long_connection_is_told_when_all_of_its_time_have_ended() {
        let (peers, ids) = known(&["shop/cart", "shop/pay"]);
        let mut names = Names::default();
        let mut builder = TickBuilder::new();
        let mut long = one(&ids, 1, minute(1), 1);
        long.last = long.first + LASTING;
        builder.ended(&long, &peers, &mut names);
        builder.ended(&one(&ids, 1, minute(1), 2), &peers, &mut names);
        let mut sealed = Vec::new();
        builder.reached(long.last + SECOND, &mut |tick| sealed.push(tick));
        assert!(sealed.is_empty());
        builder.finish(&mut |tick| sealed.push(tick));
        assert_eq!(sealed.len(), 1);
        assert_eq!(sealed[0].lasting[0].last, long.last);
        assert!(sealed[0].start > long.last);
    }
}
