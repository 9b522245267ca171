//! Columns of what only some rows have: layer 7, policies, tunnels and the like.
//!
//! Owns what these columns hold. What rows share is looked at once, and columns that no row
//! fills are not gone over.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, BinaryBuilder, StringBuilder, UInt64Array};
use hashbrown::HashMap;

use super::places::Numbers;
use super::{Coded, Columns, Kind, NO_VALUE, RowRuns};
use crate::flow::arrow::joined::{join, pair};
use crate::flow::arrow::{COLUMNS, leftover};
use crate::flow::{Dictionaries, Dns, Extra, Http, L7, L7Record, ListId, Policy, StrId};

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Parts that a row may have, a bit each.
mod part {
    pub(super) const POLICIES: u32 = 1;
    pub(super) const ICMP: u32 = 1 << 1;
    pub(super) const L7: u32 = 1 << 2;
    pub(super) const DNS: u32 = 1 << 3;
    pub(super) const HTTP: u32 = 1 << 4;
    pub(super) const TUNNEL: u32 = 1 << 5;
    pub(super) const INTERFACE: u32 = 1 << 6;
    pub(super) const FILE: u32 = 1 << 7;
    pub(super) const AGGREGATE: u32 = 1 << 8;
}

/// What rows have, each once.
struct Sparse<'a> {
    extras: Vec<&'a Extra>,
    /// Which of them each row has.
    rows: Arc<RowRuns>,
    /// Parts that some row has.
    parts: u32,
}

/// Adds the columns from `egress_allowed_by` on, which are the last ones.
pub(super) fn columns(out: &mut Columns<'_>, extras: &[Option<Arc<Extra>>]) {
    let sparse = Sparse::of(out.order, extras);
    let words = out.words;
    sparse.part(out, part::POLICIES, 5, |out| {
        sparse.policies(out, |extra| &extra.egress_allowed_by);
        sparse.policies(out, |extra| &extra.ingress_allowed_by);
        sparse.policies(out, |extra| &extra.egress_denied_by);
        sparse.policies(out, |extra| &extra.ingress_denied_by);
        sparse.whole_policies(out);
    });
    sparse.list(out, |extra| extra.policy_log);
    sparse.i32(out, |extra| nonzero(extra.auth_type.0));
    sparse.part(out, part::ICMP, 2, |out| {
        sparse.u32(out, |extra| extra.icmp.map(|icmp| icmp.kind));
        sparse.u32(out, |extra| extra.icmp.map(|icmp| icmp.code));
    });
    sparse.part(out, part::L7, 2, |out| {
        sparse.i32(out, |extra| l7(extra).map(|l7| l7.kind.0));
        sparse.u64(out, |extra| nonzero(l7(extra)?.latency_ns));
    });
    sparse.part(out, part::DNS, 8, |out| sparse.dns(out));
    sparse.part(out, part::HTTP, 5, |out| sparse.http(out, words));
    sparse.text(out, |extra| nonempty(extra.source_xlated));
    sparse.part(out, part::TUNNEL, 6, |out| sparse.tunnels(out));
    sparse.part(out, part::INTERFACE, 2, |out| {
        sparse.u32(out, |extra| extra.interface.map(|(index, _)| index));
        sparse.text(out, |extra| extra.interface.map(|(_, name)| name));
    });
    sparse.u32(out, |extra| nonzero(extra.proxy_port));
    sparse.text(out, |extra| extra.trace_id);
    sparse.u64(out, |extra| nonzero(extra.socket_cookie));
    sparse.u64(out, |extra| nonzero(extra.cgroup_id));
    sparse.i32(out, |extra| nonzero(extra.sock_point.0));
    sparse.i32(out, |extra| nonzero(extra.capture_point.0));
    sparse.part(out, part::FILE, 2, |out| {
        sparse.text(out, |extra| extra.file.map(|file| file.name));
        sparse.u32(out, |extra| extra.file.map(|file| file.line));
    });
    sparse.part(out, part::AGGREGATE, 3, |out| {
        sparse.u32(out, |extra| extra.aggregate.map(|sums| sums.ingress));
        sparse.u32(out, |extra| extra.aggregate.map(|sums| sums.egress));
        sparse.u32(out, |extra| extra.aggregate.map(|sums| sums.unknown));
    });
    sparse.leftovers(out);
}

fn parts_of(extra: &Extra) -> u32 {
    let lists = policies_of(extra);
    let mut parts = 0;
    for (part, is_there) in [
        (part::POLICIES, lists.iter().any(|list| !list.is_empty())),
        (part::ICMP, extra.icmp.is_some()),
        (part::L7, extra.l7.is_some()),
        (part::DNS, dns(extra).is_some()),
        (part::HTTP, http(extra).is_some()),
        (part::TUNNEL, extra.tunnel.is_some()),
        (part::INTERFACE, extra.interface.is_some()),
        (part::FILE, extra.file.is_some()),
        (part::AGGREGATE, extra.aggregate.is_some()),
    ] {
        parts |= if is_there { part } else { 0 };
    }
    parts
}

fn policies_of(extra: &Extra) -> [&[Policy]; 4] {
    [
        &extra.egress_allowed_by,
        &extra.ingress_allowed_by,
        &extra.egress_denied_by,
        &extra.ingress_denied_by,
    ]
}

fn l7(extra: &Extra) -> Option<&L7> {
    extra.l7.as_deref()
}

fn dns(extra: &Extra) -> Option<&Dns> {
    match l7(extra)?.record.as_ref()? {
        L7Record::Dns(dns) => Some(dns),
        _ => None,
    }
}

fn http(extra: &Extra) -> Option<&Http> {
    match l7(extra)?.record.as_ref()? {
        L7Record::Http(http) => Some(http),
        _ => None,
    }
}

impl<'a> Sparse<'a> {
    /// The rows of `order`. Those that share what they have are told by its place in memory.
    fn of(order: &[u32], extras: &'a [Option<Arc<Extra>>]) -> Self {
        let mut known: Map<*const Extra, u32> = Map::default();
        let mut found: Vec<&Extra> = Vec::new();
        let mut last = (std::ptr::null(), 0);
        let rows = order.iter().map(|&row| {
            let Some(extra) = &extras[row as usize] else {
                return NO_VALUE;
            };
            let place = Arc::as_ptr(extra);
            if place != last.0 {
                let number = *known.entry(place).or_insert_with(|| {
                    found.push(extra);
                    found.len() as u32 - 1
                });
                last = (place, number);
            }
            last.1
        });
        let rows = Arc::new(rows.collect());
        let parts = found.iter().fold(0, |parts, extra| parts | parts_of(extra));
        Self {
            extras: found,
            rows,
            parts,
        }
    }

    /// Adds the next `count` columns, which are null where no row has the part.
    fn part<'b>(
        &self,
        out: &mut Columns<'b>,
        part: u32,
        count: usize,
        add: impl FnOnce(&mut Columns<'b>),
    ) {
        if self.parts & part != 0 {
            return add(out);
        }
        // The uuid, which may not be there, is one of the columns before.
        let before = out.made + usize::from(!out.with_uuid);
        for (_, kind, _) in COLUMNS.iter().skip(before).take(count) {
            out.null(*kind);
        }
    }

    fn dns(&self, out: &mut Columns<'_>) {
        let lists =
            |of: fn(&Dns) -> ListId| move |extra: &Extra| dns(extra).map(of).unwrap_or_default();
        // Never null for DNS, as `http_code` for HTTP: by these they are known.
        self.text(out, |extra| dns(extra).map(|dns| dns.query));
        self.list(out, lists(|dns| dns.ips));
        self.u32(out, |extra| nonzero(dns(extra)?.ttl));
        self.list(out, lists(|dns| dns.cnames));
        self.u32(out, |extra| dns(extra).map(|dns| dns.rcode));
        self.text(out, |extra| nonempty(dns(extra)?.observation_source));
        self.list(out, lists(|dns| dns.qtypes));
        self.list(out, lists(|dns| dns.rrtypes));
    }

    fn http(&self, out: &mut Columns<'_>, words: &Dictionaries) {
        self.u32(out, |extra| http(extra).map(|http| http.code));
        self.text(out, |extra| nonempty(http(extra)?.method));
        self.text(out, |extra| nonempty(http(extra)?.url));
        self.text(out, |extra| nonempty(http(extra)?.protocol));
        self.owned(out, |extra| {
            let headers = http(extra)?.headers.iter().map(|header| {
                let (key, value) = (words.str(header.key), words.str(header.value));
                pair(key, ':', value)
            });
            join(headers.collect::<Vec<_>>().iter().map(String::as_str))
        });
    }

    fn tunnels(&self, out: &mut Columns<'_>) {
        self.i32(out, |extra| Some(extra.tunnel.as_ref()?.protocol));
        self.text(out, |extra| nonempty(extra.tunnel.as_ref()?.source));
        self.text(out, |extra| nonempty(extra.tunnel.as_ref()?.destination));
        self.u32(out, |extra| Some(extra.tunnel.as_ref()?.ports?.0));
        self.u32(out, |extra| Some(extra.tunnel.as_ref()?.ports?.1));
        self.u32(out, |extra| Some(extra.tunnel.as_ref()?.vni));
    }

    fn u32(&self, out: &mut Columns<'_>, of: impl Fn(&Extra) -> Option<u32>) {
        self.numbers(out, Kind::U32, of);
    }

    fn i32(&self, out: &mut Columns<'_>, of: impl Fn(&Extra) -> Option<i32>) {
        self.numbers(out, Kind::I32, |extra| {
            of(extra).map(|number| number as u32)
        });
    }

    fn numbers(&self, out: &mut Columns<'_>, kind: Kind, of: impl Fn(&Extra) -> Option<u32>) {
        let mut numbers = Numbers::new(out.places);
        let places = self.each(|extra| of(extra).map(|bits| numbers.place(bits)));
        let values = numbers.values;
        if values.is_empty() {
            out.null(kind);
        } else {
            out.numbered(kind, values, self.spread(&places));
        }
    }

    /// Numbers that nearly all differ.
    fn u64(&self, out: &mut Columns<'_>, of: impl Fn(&Extra) -> Option<u64>) {
        let values: Vec<Option<u64>> = self.extras.iter().map(|extra| of(extra)).collect();
        if values.iter().all(Option::is_none) {
            return out.null(Kind::U64);
        }
        let value = |number: u32| values.get(number as usize).copied().flatten();
        out.plain(Arc::new(
            self.rows.each().map(value).collect::<UInt64Array>(),
        ));
    }

    /// What each of [`Self::extras`] has, [`NO_VALUE`] for nothing.
    fn each(&self, of: impl FnMut(&Extra) -> Option<u32>) -> Vec<u32> {
        let mut of = of;
        let extras = self.extras.iter();
        extras.map(|extra| of(extra).unwrap_or(NO_VALUE)).collect()
    }

    /// The rows by what each of [`Self::extras`] has.
    fn spread(&self, places: &[u32]) -> RowRuns {
        self.rows.map(|number| places[number as usize])
    }

    /// Texts by id, where the empty one is not null.
    fn text(&self, out: &mut Columns<'_>, of: impl Fn(&Extra) -> Option<StrId>) {
        let words = out.words;
        self.ids(
            out,
            |extra| of(extra).map(|id| id.0),
            |id| Some(words.str(StrId(id)).into()),
        );
    }

    fn list(&self, out: &mut Columns<'_>, of: impl Fn(&Extra) -> ListId) {
        let words = out.words;
        self.ids(
            out,
            |extra| nonzero(of(extra).0),
            |id| join(words.list(ListId(id))).map(Into::into),
        );
    }

    fn ids<'b>(
        &self,
        out: &mut Columns<'_>,
        of: impl Fn(&Extra) -> Option<u32>,
        text: impl Fn(u32) -> Option<Cow<'b, str>>,
    ) {
        let mut values = StringBuilder::new();
        let mut count = 0;
        out.places.begin();
        let places = self.each(|extra| {
            let id = of(extra)?;
            Some(out.places.place(id, || {
                values.append_option(text(id));
                count += 1;
                count - 1
            }))
        });
        out.keyed(values.finish(), self.spread(&places).into());
    }

    /// Texts that are made for the column; neighbours are often the same.
    fn owned(&self, out: &mut Columns<'_>, of: impl Fn(&Extra) -> Option<String>) {
        let mut values = StringBuilder::new();
        let mut last: Option<String> = None;
        let mut count = 0;
        let places = self.each(|extra| {
            let text = of(extra)?;
            if last.as_ref() != Some(&text) {
                values.append_value(&text);
                last = Some(text);
                count += 1;
            }
            Some(count - 1)
        });
        out.keyed(values.finish(), self.spread(&places).into());
    }

    /// The names of the policies of a list, each list written out once.
    fn policies(&self, out: &mut Columns<'_>, of: impl Fn(&Extra) -> &[Policy]) {
        let words = out.words;
        let mut values = StringBuilder::new();
        let mut known: Map<&[Policy], u32> = Map::default();
        let mut places = Vec::with_capacity(self.extras.len());
        for extra in &self.extras {
            let policies = of(extra);
            let count = known.len() as u32;
            places.push(if policies.is_empty() {
                NO_VALUE
            } else {
                *known.entry(policies).or_insert_with(|| {
                    let names = policies.iter().map(|policy| name(words, policy));
                    values.append_option(join(names.collect::<Vec<_>>().iter().map(AsRef::as_ref)));
                    count
                })
            });
        }
        out.keyed(values.finish(), self.spread(&places).into());
    }

    /// All that is said of policies.
    fn whole_policies(&self, out: &mut Columns<'_>) {
        self.bytes(out, leftover::write_policies);
    }

    fn leftovers(&self, out: &mut Columns<'_>) {
        self.bytes(out, leftover::write_extra);
    }

    fn bytes(&self, out: &mut Columns<'_>, write: impl Fn(&Dictionaries, &Extra, &mut Vec<u8>)) {
        let mut values = BinaryBuilder::new();
        let mut one = Vec::new();
        for extra in &self.extras {
            one.clear();
            // What is there begins with its version.
            write(out.words, extra, &mut one);
            values.append_option((!one.is_empty()).then_some(&one));
        }
        let values = values.finish();
        if values.null_count() == values.len() {
            return out.null(Kind::Bytes);
        }
        out.push(Coded::Bytes {
            values,
            rows: Arc::clone(&self.rows),
        });
    }
}

/// A policy as people name it.
fn name<'a>(words: &'a Dictionaries, policy: &Policy) -> Cow<'a, str> {
    let (namespace, name) = (words.str(policy.namespace), words.str(policy.name));
    match namespace {
        "" => name.into(),
        _ => format!("{namespace}/{name}").into(),
    }
}

fn nonempty(id: StrId) -> Option<StrId> {
    (id != StrId(0)).then_some(id)
}

fn nonzero<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}
