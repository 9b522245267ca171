//! From connections to ticks.
//!
//! Owns which tick something belongs to, when a tick is complete, and what waits for one. What
//! is told apart in a tick is `open`'s, what is kept of connections that are alike `group`'s. A
//! connection belongs to the tick in which it began, an exchange to the one in which it was
//! settled. A tick is sealed when the clock has passed its end by [`SETTLING`]: by then every
//! connection of it has been given out. What comes later is counted as late.
//!
//! Memory: two or three ticks are open at a time, of at most [`super::tick::MOST_GROUPS`] groups each,
//! and one group for each client beyond. Connections that ended wait up to
//! [`LONGEST_SILENCE`] for their tick, [`MOST_LASTING`] a tick.

mod group;
mod open;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::names::Names;
use super::template::template;
use super::tick::{LASTING, Lasting, Loss, MOST_LASTING, TICK, Tick, tick_of};
use crate::connection::{Connection, Exchange, ExchangeKind, LONGEST_SILENCE, OPENING, Peers};
use crate::flow::{FlowBatch, NO_TIME, Notice};
use group::fate;
use open::{Open, Place, Request};

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
        open.map(Open::held).sum::<usize>()
            + self.lasting.values().map(Vec::len).sum::<usize>()
            + self.losses.len()
    }
}

#[cfg(test)]
mod tests;
