//! Columns of what only some rows have: layer 7, policies, tunnels and the like.
//!
//! Owns what these columns hold. What rows share is looked at once, and columns that no row
//! fills are not gone over.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrowPrimitiveType, BinaryBuilder, DictionaryArray, PrimitiveArray, StringBuilder, UInt32Array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{Int32Type, UInt32Type, UInt64Type};
use hashbrown::HashMap;

use super::{Columns, Made};
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
    /// Which of them each row has, from 1; 0 for none.
    rows: Vec<u32>,
    /// Parts that some row has.
    parts: u32,
}

/// Adds the columns from `egress_allowed_by` on, which are the last ones.
pub(super) fn columns(out: &mut Columns<'_>, extras: &[Option<Arc<Extra>>]) -> Made {
    let sparse = Sparse::of(out.order, extras);
    let words = out.words;
    sparse.part(out, part::POLICIES, 5, |out| {
        sparse.policies(out, |extra| &extra.egress_allowed_by)?;
        sparse.policies(out, |extra| &extra.ingress_allowed_by)?;
        sparse.policies(out, |extra| &extra.egress_denied_by)?;
        sparse.policies(out, |extra| &extra.ingress_denied_by)?;
        sparse.whole_policies(out);
        Ok(())
    })?;
    sparse.list(out, |extra| extra.policy_log)?;
    sparse.numbers::<Int32Type>(out, |extra| nonzero(extra.auth_type.0));
    sparse.part(out, part::ICMP, 2, |out| {
        sparse.numbers::<UInt32Type>(out, |extra| extra.icmp.map(|icmp| icmp.kind));
        sparse.numbers::<UInt32Type>(out, |extra| extra.icmp.map(|icmp| icmp.code));
        Ok(())
    })?;
    sparse.part(out, part::L7, 2, |out| {
        sparse.numbers::<Int32Type>(out, |extra| l7(extra).map(|l7| l7.kind.0));
        sparse.numbers::<UInt64Type>(out, |extra| nonzero(l7(extra)?.latency_ns));
        Ok(())
    })?;
    sparse.part(out, part::DNS, 8, |out| sparse.dns(out))?;
    sparse.part(out, part::HTTP, 5, |out| sparse.http(out, words))?;
    sparse.text(out, |extra| nonempty(extra.source_xlated))?;
    sparse.part(out, part::TUNNEL, 6, |out| sparse.tunnels(out))?;
    sparse.part(out, part::INTERFACE, 2, |out| {
        sparse.numbers::<UInt32Type>(out, |extra| extra.interface.map(|(index, _)| index));
        sparse.text(out, |extra| extra.interface.map(|(_, name)| name))
    })?;
    sparse.numbers::<UInt32Type>(out, |extra| nonzero(extra.proxy_port));
    sparse.text(out, |extra| extra.trace_id)?;
    sparse.numbers::<UInt64Type>(out, |extra| nonzero(extra.socket_cookie));
    sparse.numbers::<UInt64Type>(out, |extra| nonzero(extra.cgroup_id));
    sparse.numbers::<Int32Type>(out, |extra| nonzero(extra.sock_point.0));
    sparse.numbers::<Int32Type>(out, |extra| nonzero(extra.capture_point.0));
    sparse.part(out, part::FILE, 2, |out| {
        sparse.text(out, |extra| extra.file.map(|file| file.name))?;
        sparse.numbers::<UInt32Type>(out, |extra| extra.file.map(|file| file.line));
        Ok(())
    })?;
    sparse.part(out, part::AGGREGATE, 3, |out| {
        sparse.numbers::<UInt32Type>(out, |extra| extra.aggregate.map(|sums| sums.ingress));
        sparse.numbers::<UInt32Type>(out, |extra| extra.aggregate.map(|sums| sums.egress));
        sparse.numbers::<UInt32Type>(out, |extra| extra.aggregate.map(|sums| sums.unknown));
        Ok(())
    })?;
    sparse.leftovers(out);
    Ok(())
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
                return 0;
            };
            let place = Arc::as_ptr(extra);
            if place != last.0 {
                let number = *known.entry(place).or_insert_with(|| {
                    found.push(extra);
                    found.len() as u32
                });
                last = (place, number);
            }
            last.1
        });
        let rows = rows.collect();
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
        add: impl FnOnce(&mut Columns<'b>) -> Made,
    ) -> Made {
        if self.parts & part != 0 {
            return add(out);
        }
        // The uuid, which may not be there, is one of the columns before.
        let before = out.made + usize::from(!out.with_uuid);
        for (_, kind, _) in COLUMNS.iter().skip(before).take(count) {
            out.null(*kind);
        }
        Ok(())
    }

    fn dns(&self, out: &mut Columns<'_>) -> Made {
        let lists =
            |of: fn(&Dns) -> ListId| move |extra: &Extra| dns(extra).map(of).unwrap_or_default();
        // Never null for DNS, as `http_code` for HTTP: by these they are known.
        self.text(out, |extra| dns(extra).map(|dns| dns.query))?;
        self.list(out, lists(|dns| dns.ips))?;
        self.numbers::<UInt32Type>(out, |extra| nonzero(dns(extra)?.ttl));
        self.list(out, lists(|dns| dns.cnames))?;
        self.numbers::<UInt32Type>(out, |extra| dns(extra).map(|dns| dns.rcode));
        self.text(out, |extra| nonempty(dns(extra)?.observation_source))?;
        self.list(out, lists(|dns| dns.qtypes))?;
        self.list(out, lists(|dns| dns.rrtypes))
    }

    fn http(&self, out: &mut Columns<'_>, words: &Dictionaries) -> Made {
        self.numbers::<UInt32Type>(out, |extra| http(extra).map(|http| http.code));
        self.text(out, |extra| nonempty(http(extra)?.method))?;
        self.text(out, |extra| nonempty(http(extra)?.url))?;
        self.text(out, |extra| nonempty(http(extra)?.protocol))?;
        self.owned(out, |extra| {
            let headers = http(extra)?.headers.iter().map(|header| {
                let (key, value) = (words.str(header.key), words.str(header.value));
                pair(key, ':', value)
            });
            join(headers.collect::<Vec<_>>().iter().map(String::as_str))
        })
    }

    fn tunnels(&self, out: &mut Columns<'_>) -> Made {
        self.numbers::<Int32Type>(out, |extra| Some(extra.tunnel.as_ref()?.protocol));
        self.text(out, |extra| nonempty(extra.tunnel.as_ref()?.source))?;
        self.text(out, |extra| nonempty(extra.tunnel.as_ref()?.destination))?;
        self.numbers::<UInt32Type>(out, |extra| Some(extra.tunnel.as_ref()?.ports?.0));
        self.numbers::<UInt32Type>(out, |extra| Some(extra.tunnel.as_ref()?.ports?.1));
        self.numbers::<UInt32Type>(out, |extra| Some(extra.tunnel.as_ref()?.vni));
        Ok(())
    }

    fn numbers<T: ArrowPrimitiveType>(
        &self,
        out: &mut Columns<'_>,
        of: impl Fn(&Extra) -> Option<T::Native>,
    ) {
        let mut column = Column::new(self, T::Native::default());
        for extra in &self.extras {
            column.push(of(extra));
        }
        out.push(match column.finish() {
            Some((values, known)) => Arc::new(PrimitiveArray::<T>::new(values.into(), Some(known))),
            None => arrow::array::new_null_array(&T::DATA_TYPE, self.rows.len()),
        });
    }

    /// Texts by id, where the empty one is not null.
    fn text(&self, out: &mut Columns<'_>, of: impl Fn(&Extra) -> Option<StrId>) -> Made {
        let words = out.words;
        self.ids(
            out,
            |extra| of(extra).map(|id| id.0),
            |id| Some(words.str(StrId(id)).into()),
        )
    }

    fn list(&self, out: &mut Columns<'_>, of: impl Fn(&Extra) -> ListId) -> Made {
        let words = out.words;
        self.ids(
            out,
            |extra| nonzero(of(extra).0),
            |id| join(words.list(ListId(id))).map(Into::into),
        )
    }

    fn ids<'b>(
        &self,
        out: &mut Columns<'_>,
        of: impl Fn(&Extra) -> Option<u32>,
        text: impl Fn(u32) -> Option<Cow<'b, str>>,
    ) -> Made {
        let mut values = StringBuilder::new();
        let mut count = 0;
        let mut column = Column::new(self, 0);
        out.places.begin();
        for extra in &self.extras {
            let key = of(extra).map(|id| {
                out.places.place(id, || {
                    values.append_option(text(id));
                    count += 1;
                    count - 1
                })
            });
            column.push(key);
        }
        keyed(out, column, values)
    }

    /// Texts that are made for the column; neighbours are often the same.
    fn owned(&self, out: &mut Columns<'_>, of: impl Fn(&Extra) -> Option<String>) -> Made {
        let mut values = StringBuilder::new();
        let mut last: Option<String> = None;
        let mut count = 0;
        let mut column = Column::new(self, 0);
        for extra in &self.extras {
            let text = of(extra);
            if let Some(text) = &text
                && last.as_ref() != Some(text)
            {
                values.append_value(text);
                last = Some(text.clone());
                count += 1;
            }
            column.push(text.map(|_| count - 1));
        }
        keyed(out, column, values)
    }

    /// The names of the policies of a list, each list written out once.
    fn policies(&self, out: &mut Columns<'_>, of: impl Fn(&Extra) -> &[Policy]) -> Made {
        let words = out.words;
        let mut values = StringBuilder::new();
        let mut known: Map<&[Policy], u32> = Map::default();
        let mut column = Column::new(self, 0);
        for extra in &self.extras {
            let policies = of(extra);
            let count = known.len() as u32;
            column.push((!policies.is_empty()).then(|| {
                *known.entry(policies).or_insert_with(|| {
                    let names = policies.iter().map(|policy| name(words, policy));
                    values.append_option(join(names.collect::<Vec<_>>().iter().map(AsRef::as_ref)));
                    count
                })
            }));
        }
        keyed(out, column, values)
    }

    /// All that is said of policies.
    fn whole_policies(&self, out: &mut Columns<'_>) {
        self.bytes(out, leftover::write_policies);
    }

    fn leftovers(&self, out: &mut Columns<'_>) {
        self.bytes(out, leftover::write_extra);
    }

    fn bytes(&self, out: &mut Columns<'_>, write: impl Fn(&Dictionaries, &Extra, &mut Vec<u8>)) {
        let mut written = Vec::new();
        let mut ends = vec![0];
        // Each begins with its version.
        let mut one = Vec::new();
        for extra in &self.extras {
            one.clear();
            write(out.words, extra, &mut one);
            written.extend_from_slice(&one);
            ends.push(written.len());
        }
        let value = |number: u32| match number.checked_sub(1) {
            Some(at) => &written[ends[at as usize]..ends[at as usize + 1]],
            None => &[],
        };
        let all = self.rows.iter().map(|&number| value(number).len()).sum();
        let mut values = BinaryBuilder::with_capacity(self.rows.len(), all);
        for &number in &self.rows {
            let value = value(number);
            values.append_option((!value.is_empty()).then_some(value));
        }
        out.push(Arc::new(values.finish()));
    }
}

/// A column of what rows have, a value for each, spread over the rows at the end.
struct Column<'a, T> {
    rows: &'a [u32],
    /// The first is that of rows which have nothing.
    values: Vec<T>,
    known: Vec<bool>,
}

impl<'a, T: Copy> Column<'a, T> {
    fn new(sparse: &'a Sparse<'_>, empty: T) -> Self {
        let mut values = Vec::with_capacity(sparse.extras.len() + 1);
        values.push(empty);
        let mut known = Vec::with_capacity(sparse.extras.len() + 1);
        known.push(false);
        Self {
            rows: &sparse.rows,
            values,
            known,
        }
    }

    fn push(&mut self, value: Option<T>) {
        self.values.push(value.unwrap_or(self.values[0]));
        self.known.push(value.is_some());
    }

    /// The values of the rows, and which of them are there; `None` where none is.
    fn finish(self) -> Option<(Vec<T>, NullBuffer)> {
        let Self {
            rows,
            values,
            known,
        } = self;
        if !known.contains(&true) {
            return None;
        }
        let there = BooleanBuffer::collect_bool(rows.len(), |row| known[rows[row] as usize]);
        let values = rows.iter().map(|&number| values[number as usize]);
        Some((values.collect(), NullBuffer::new(there)))
    }
}

fn keyed(out: &mut Columns<'_>, column: Column<'_, u32>, mut values: StringBuilder) -> Made {
    let Some((keys, known)) = column.finish() else {
        out.null(super::Kind::Text);
        return Ok(());
    };
    let keys = UInt32Array::new(keys.into(), Some(known));
    let texts = DictionaryArray::<UInt32Type>::try_new(keys, Arc::new(values.finish()))?;
    out.push(Arc::new(texts));
    Ok(())
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
