//! What only some rows have: layer 7, policies, tunnels and the like.
//!
//! Owns the meaning of the columns after those of endpoints. What several rows say alike
//! is put together once and shared.

use std::sync::Arc;

use arrow::array::{Array, ArrowPrimitiveType};
use arrow::datatypes::{Int32Type, UInt32Type, UInt64Type};

use super::classes::Classes;
use super::input::{Input, NULL};
use super::{DecodeError, Decoded, list_of};
use crate::flow::arrow::joined::{split, unpair};
use crate::flow::arrow::leftover;
use crate::flow::{
    Aggregate, AuthType, CaptureEnum, Dns, Extra, File, Header, Http, Icmp, Interner, L7, L7Record,
    L7Type, ListId, SockPoint, StrId,
};

/// Adds the sparse part of each row; nothing at all where no row has one.
pub(super) fn extras(
    input: &Input<'_>,
    interner: &mut Interner,
    into: &mut Vec<Option<Arc<Extra>>>,
) -> Decoded<()> {
    let classes = Classes::of(input)?;
    let mut extras = Extras {
        made: vec![Extra::default(); classes.firsts.len()],
        rows: classes.firsts,
    };
    sparse(input, interner, &mut extras)?;
    let empty = Extra::default();
    let made: Vec<Option<Arc<Extra>>> = extras
        .made
        .into_iter()
        .map(|extra| (extra != empty).then(|| Arc::new(extra)))
        .collect();
    let of_row = |class: &u32| made[class.checked_sub(1)? as usize].clone();
    into.extend(classes.rows.iter().map(of_row));
    Ok(())
}

/// The sparse parts of some rows.
struct Extras {
    /// Which rows, in their order.
    rows: Vec<usize>,
    /// What they have.
    made: Vec<Extra>,
}

impl Extras {
    /// Each row with its sparse part.
    fn iter(&mut self) -> impl Iterator<Item = (usize, &mut Extra)> {
        self.rows.iter().copied().zip(&mut self.made)
    }
}

/// A column, and the part of a whole that it holds.
type Named<Whole, Part> = (&'static str, fn(&mut Whole) -> &mut Part);

fn numbers<T: ArrowPrimitiveType>(
    input: &Input<'_>,
    column: &'static str,
    extras: &mut Extras,
    mut set: impl FnMut(&mut Extra, T::Native),
) -> Decoded<()> {
    if let Some(array) = input.primitive::<T>(column)? {
        for (row, extra) in extras.iter() {
            if array.is_valid(row) {
                set(extra, array.value(row));
            }
        }
    }
    Ok(())
}

fn texts(
    input: &Input<'_>,
    column: &'static str,
    extras: &mut Extras,
    mut make: impl FnMut(&str) -> u32,
    mut set: impl FnMut(&mut Extra, u32),
) -> Decoded<()> {
    let Some(texts) = input.text(column)? else {
        return Ok(());
    };
    let mut known = vec![NULL; texts.values.len()];
    for (row, extra) in extras.iter() {
        let key = texts.key(row);
        if key == NULL {
            continue;
        }
        let id = &mut known[key as usize];
        if *id == NULL {
            *id = make(texts.value(key));
        }
        set(extra, *id);
    }
    Ok(())
}

fn bytes(
    input: &Input<'_>,
    column: &'static str,
    extras: &mut Extras,
    mut read: impl FnMut(&[u8], &mut Extra) -> Result<(), leftover::Damaged>,
) -> Decoded<()> {
    if let Some(blobs) = input.binary(column)? {
        for (row, extra) in extras.iter() {
            if let Some(value) = blobs.at(row) {
                read(value, extra).map_err(|_| DecodeError::Damaged { column, row })?;
            }
        }
    }
    Ok(())
}

fn dns_of(extra: &mut Extra) -> &mut Dns {
    let record = &mut extra.l7.get_or_insert_default().record;
    if !matches!(record, Some(L7Record::Dns(_))) {
        *record = Some(L7Record::Dns(Dns::default()));
    }
    match record {
        Some(L7Record::Dns(dns)) => dns,
        // Just set.
        _ => unreachable!(),
    }
}

fn sparse(input: &Input<'_>, interner: &mut Interner, extras: &mut Extras) -> Decoded<()> {
    numbers::<Int32Type>(input, "l7_type", extras, |extra, kind| {
        extra.l7.get_or_insert_default().kind = L7Type(kind);
    })?;
    numbers::<UInt64Type>(input, "l7_latency_ns", extras, |extra, latency| {
        extra.l7.get_or_insert_default().latency_ns = latency;
    })?;
    dns(input, interner, extras)?;
    http(input, interner, extras)?;
    bytes(input, "policies", extras, |value, extra| {
        leftover::read_policies(interner, value, extra)
    })?;
    texts(
        input,
        "policy_log",
        extras,
        |text| list_of(interner, text).0,
        |extra, id| extra.policy_log = ListId(id),
    )?;
    numbers::<Int32Type>(input, "auth_type", extras, |extra, value| {
        extra.auth_type = AuthType(value);
    })?;
    numbers::<UInt32Type>(input, "icmp_type", extras, |extra, kind| {
        extra.icmp.get_or_insert_default().kind = kind;
    })?;
    numbers::<UInt32Type>(input, "icmp_code", extras, |extra, code| {
        extra.icmp.get_or_insert_with(Icmp::default).code = code;
    })?;
    texts(
        input,
        "source_ip_xlated",
        extras,
        |text| interner.text(text).0,
        |extra, id| extra.source_xlated = StrId(id),
    )?;
    tunnels(input, interner, extras)?;
    numbers::<UInt32Type>(input, "interface_index", extras, |extra, index| {
        extra.interface.get_or_insert_default().0 = index;
    })?;
    texts(
        input,
        "interface_name",
        extras,
        |text| interner.text(text).0,
        |extra, id| extra.interface.get_or_insert_default().1 = StrId(id),
    )?;
    numbers::<UInt32Type>(input, "proxy_port", extras, |extra, port| {
        extra.proxy_port = port;
    })?;
    texts(
        input,
        "trace_id",
        extras,
        |text| interner.text(text).0,
        |extra, id| extra.trace_id = Some(StrId(id)),
    )?;
    numbers::<UInt64Type>(input, "socket_cookie", extras, |extra, cookie| {
        extra.socket_cookie = cookie;
    })?;
    numbers::<UInt64Type>(input, "cgroup_id", extras, |extra, id| extra.cgroup_id = id)?;
    numbers::<Int32Type>(input, "sock_xlate_point", extras, |extra, point| {
        extra.sock_point = SockPoint(point);
    })?;
    numbers::<Int32Type>(input, "debug_capture_point", extras, |extra, point| {
        extra.capture_point = CaptureEnum(point);
    })?;
    texts(
        input,
        "file_name",
        extras,
        |text| interner.text(text).0,
        |extra, id| extra.file.get_or_insert_with(File::default).name = StrId(id),
    )?;
    numbers::<UInt32Type>(input, "file_line", extras, |extra, line| {
        extra.file.get_or_insert_with(File::default).line = line;
    })?;
    let sums: [Named<Aggregate, u32>; 3] = [
        ("aggregate_ingress", |sums| &mut sums.ingress),
        ("aggregate_egress", |sums| &mut sums.egress),
        ("aggregate_unknown", |sums| &mut sums.unknown),
    ];
    for (column, of) in sums {
        numbers::<UInt32Type>(input, column, extras, |extra, count| {
            *of(extra.aggregate.get_or_insert_default()) = count;
        })?;
    }
    bytes(input, "extra", extras, |value, extra| {
        leftover::read_extra(interner, value, extra)
    })
}

fn dns(input: &Input<'_>, interner: &mut Interner, extras: &mut Extras) -> Decoded<()> {
    texts(
        input,
        "dns_query",
        extras,
        |text| interner.text(text).0,
        |extra, id| dns_of(extra).query = StrId(id),
    )?;
    numbers::<UInt32Type>(input, "dns_rcode", extras, |extra, rcode| {
        dns_of(extra).rcode = rcode;
    })?;
    numbers::<UInt32Type>(input, "dns_ttl", extras, |extra, ttl| {
        dns_of(extra).ttl = ttl;
    })?;
    texts(
        input,
        "dns_observation_source",
        extras,
        |text| interner.text(text).0,
        |extra, id| dns_of(extra).observation_source = StrId(id),
    )?;
    let lists: [Named<Dns, ListId>; 4] = [
        ("dns_ips", |dns| &mut dns.ips),
        ("dns_cnames", |dns| &mut dns.cnames),
        ("dns_qtypes", |dns| &mut dns.qtypes),
        ("dns_rrtypes", |dns| &mut dns.rrtypes),
    ];
    for (column, of) in lists {
        texts(
            input,
            column,
            extras,
            |text| list_of(interner, text).0,
            |extra, id| *of(dns_of(extra)) = ListId(id),
        )?;
    }
    Ok(())
}

fn http(input: &Input<'_>, interner: &mut Interner, extras: &mut Extras) -> Decoded<()> {
    let parts: [Named<Http, StrId>; 3] = [
        ("http_method", |http| &mut http.method),
        ("http_url", |http| &mut http.url),
        ("http_protocol", |http| &mut http.protocol),
    ];
    numbers::<UInt32Type>(input, "http_code", extras, |extra, code| {
        http_of(extra).code = code;
    })?;
    for (column, of) in parts {
        texts(
            input,
            column,
            extras,
            |text| interner.text(text).0,
            |extra, id| *of(http_of(extra)) = StrId(id),
        )?;
    }
    if let Some(headers) = input.text("http_headers")? {
        for (row, extra) in extras.iter() {
            let Some(text) = headers.at(row) else {
                continue;
            };
            let headers = split(text);
            http_of(extra).headers = headers
                .iter()
                .map(|header| {
                    let (key, value) = unpair(header, ':');
                    Header {
                        key: interner.text(&key),
                        value: interner.text(value),
                    }
                })
                .collect();
        }
    }
    Ok(())
}

fn http_of(extra: &mut Extra) -> &mut Http {
    let l7: &mut L7 = extra.l7.get_or_insert_default();
    if !matches!(l7.record, Some(L7Record::Http(_))) {
        l7.record = Some(L7Record::Http(Http::default()));
    }
    match &mut l7.record {
        Some(L7Record::Http(http)) => http,
        // Just set.
        _ => unreachable!(),
    }
}

fn tunnels(input: &Input<'_>, interner: &mut Interner, extras: &mut Extras) -> Decoded<()> {
    numbers::<Int32Type>(input, "tunnel_protocol", extras, |extra, protocol| {
        extra.tunnel.get_or_insert_default().protocol = protocol;
    })?;
    texts(
        input,
        "tunnel_source",
        extras,
        |text| interner.text(text).0,
        |extra, id| extra.tunnel.get_or_insert_default().source = StrId(id),
    )?;
    texts(
        input,
        "tunnel_destination",
        extras,
        |text| interner.text(text).0,
        |extra, id| extra.tunnel.get_or_insert_default().destination = StrId(id),
    )?;
    numbers::<UInt32Type>(input, "tunnel_source_port", extras, |extra, port| {
        let tunnel = extra.tunnel.get_or_insert_default();
        tunnel.ports.get_or_insert_default().0 = port;
    })?;
    numbers::<UInt32Type>(input, "tunnel_destination_port", extras, |extra, port| {
        let tunnel = extra.tunnel.get_or_insert_default();
        tunnel.ports.get_or_insert_default().1 = port;
    })?;
    numbers::<UInt32Type>(input, "tunnel_vni", extras, |extra, vni| {
        extra.tunnel.get_or_insert_default().vni = vni;
    })
}
