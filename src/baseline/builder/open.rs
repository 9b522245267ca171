//! A tick while it is open.
//!
//! Owns what is told apart in it, the bound of that, and the order of what is sealed. Which
//! tick something belongs to is the builder's.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::baseline::domain::{registered, without_search};
use crate::baseline::tick::{
    DnsGroup, Fate, Group, HttpGroup, Lasting, Loss, MOST_GROUPS, MOST_L7_GROUPS, Tick,
};
use crate::connection::{Connection, Exchange, PeerId};
use crate::flow::Protocol;

/// A tick that is not sealed.
#[derive(Debug, Default)]
pub(super) struct Open {
    groups: HashMap<Place, Group, RandomState>,
    dns: HashMap<Question, DnsGroup, RandomState>,
    http: HashMap<Request, HttpGroup, RandomState>,
    beyond: u64,
}

/// What tells groups apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) client: PeerId,
    pub(super) server: PeerId,
    pub(super) key: PeerId,
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) fate: Fate,
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
pub(super) struct Request {
    pub(super) client: PeerId,
    pub(super) server: PeerId,
    pub(super) port: u16,
    pub(super) method: Arc<str>,
    pub(super) host: Arc<str>,
    pub(super) template: Arc<str>,
    pub(super) code: u32,
}

impl Open {
    pub(super) fn add(&mut self, place: Place, one: &Connection) {
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

    pub(super) fn question(
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

    pub(super) fn request(&mut self, one: &Exchange, key: PeerId, place: Request) {
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

    pub(super) fn sealed(self, start: i64, lasting: Vec<Lasting>, loss: Loss) -> Tick {
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

    /// Groups that are held.
    pub(super) fn held(&self) -> usize {
        self.groups.len() + self.dns.len() + self.http.len()
    }
}
