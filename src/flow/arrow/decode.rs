//! Arrow columns back to rows.
//!
//! Owns the meaning of each column. A column that is not there (an older recording, a
//! projection) leaves its default; one that is unknown is not looked at.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, DictionaryArray, PrimitiveArray,
    RecordBatch, StringArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, Int32Type, TimestampNanosecondType, UInt8Type, UInt32Type, UInt64Type,
};
use hashbrown::HashMap;

use super::joined::{split, unpair};
use super::leftover;
use super::memory::Memory;
use crate::flow::row::Columns;
use crate::flow::{
    Aggregate, AuthType, CaptureEnum, Dns, Endpoint, Extra, File, Header, Http, Icmp, Interner, L7,
    L7Record, L7Type, ListId, NO_TIME, Reply, SockPoint, StrId, Workload,
};

/// A column that does not hold what its name says.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Of another type.
    #[error("column {column} is of type {found}")]
    Type {
        /// Its name.
        column: &'static str,
        /// Its type.
        found: String,
    },
    /// Null where no row can be.
    #[error("column {column} has rows without a value")]
    Null {
        /// Its name.
        column: &'static str,
    },
    /// A value that cannot be.
    #[error("column {column} holds damaged bytes at row {row}")]
    Damaged {
        /// Its name.
        column: &'static str,
        /// Index in the batch.
        row: usize,
    },
}

type Decoded<T> = Result<T, DecodeError>;

/// Reads rows, with texts and endpoints interned.
pub(crate) fn decode(
    interner: &mut Interner,
    memory: &mut Memory,
    record: &RecordBatch,
) -> Decoded<Columns> {
    memory.follow(interner);
    let rows = record.num_rows();
    let input = Input { record };
    let mut columns = Columns::lagging(rows);
    dense(&input, &mut columns)?;
    words(&input, interner, &mut columns)?;
    if let Some(found) = endpoints(&input, interner, memory, &SOURCE)? {
        columns.source = found;
    }
    if let Some(found) = endpoints(&input, interner, memory, &DESTINATION)? {
        columns.destination = found;
    }
    columns.extra.resize(rows, None);
    sparse(&input, interner, &mut columns.extra)?;
    for extra in &mut columns.extra {
        if extra
            .as_deref()
            .is_some_and(|extra| *extra == Extra::default())
        {
            *extra = None;
        }
    }
    Ok(columns)
}

struct Input<'a> {
    record: &'a RecordBatch,
}

impl<'a> Input<'a> {
    /// A column with at least one value.
    fn some(&self, name: &str) -> Option<&'a ArrayRef> {
        self.record
            .column_by_name(name)
            .filter(|array| array.len() > array.null_count())
    }

    fn primitive<T: ArrowPrimitiveType>(
        &self,
        column: &'static str,
    ) -> Decoded<Option<&'a PrimitiveArray<T>>> {
        self.some(column)
            .map(|array| {
                array
                    .as_primitive_opt::<T>()
                    .ok_or_else(|| wrong_type(column, array))
            })
            .transpose()
    }

    fn whole<T: ArrowPrimitiveType>(
        &self,
        column: &'static str,
        into: &mut Vec<T::Native>,
    ) -> Decoded<()> {
        if let Some(array) = self.primitive::<T>(column)? {
            if array.null_count() > 0 {
                return Err(DecodeError::Null { column });
            }
            into.clear();
            into.extend_from_slice(array.values());
        }
        Ok(())
    }

    fn text(&self, column: &'static str) -> Decoded<Option<Texts<'a>>> {
        let Some(array) = self.some(column) else {
            return Ok(None);
        };
        let keyed = array
            .as_any_dictionary_opt()
            .and_then(|_| array.as_any().downcast_ref::<DictionaryArray<UInt32Type>>());
        let plain = array.as_string_opt::<i32>();
        match (keyed, plain) {
            (Some(keyed), _) => {
                let values = keyed
                    .values()
                    .as_string_opt::<i32>()
                    .ok_or_else(|| wrong_type(column, array))?;
                Ok(Some(Texts {
                    keys: Some(keyed.keys()),
                    values,
                }))
            }
            (None, Some(values)) => Ok(Some(Texts { keys: None, values })),
            (None, None) => Err(wrong_type(column, array)),
        }
    }

    fn binary(&self, column: &'static str) -> Decoded<Option<&'a BinaryArray>> {
        self.some(column)
            .map(|array| {
                array
                    .as_binary_opt::<i32>()
                    .ok_or_else(|| wrong_type(column, array))
            })
            .transpose()
    }
}

fn wrong_type(column: &'static str, array: &ArrayRef) -> DecodeError {
    DecodeError::Type {
        column,
        found: array.data_type().to_string(),
    }
}

/// A column of text, dictionary-encoded or not.
#[derive(Clone, Copy)]
struct Texts<'a> {
    keys: Option<&'a PrimitiveArray<UInt32Type>>,
    values: &'a StringArray,
}

/// Stands for null among keys.
const NULL: u32 = u32::MAX;

impl<'a> Texts<'a> {
    /// Which value a row has; [`NULL`] for none.
    #[inline]
    fn key(&self, row: usize) -> u32 {
        let key = match self.keys {
            Some(keys) if keys.is_null(row) => return NULL,
            Some(keys) => keys.value(row),
            None => row as u32,
        };
        if self.values.is_null(key as usize) {
            NULL
        } else {
            key
        }
    }

    fn value(&self, key: u32) -> &'a str {
        self.values.value(key as usize)
    }

    fn at(&self, row: usize) -> Option<&'a str> {
        match self.key(row) {
            NULL => None,
            key => Some(self.value(key)),
        }
    }

    /// An id a row, by `make`, which is called once for each value; 0 for null.
    fn ids(&self, rows: usize, mut make: impl FnMut(&'a str) -> u32) -> Vec<u32> {
        let mut known = vec![NULL; self.values.len()];
        (0..rows)
            .map(|row| {
                let key = self.key(row);
                if key == NULL {
                    return 0;
                }
                let known = &mut known[key as usize];
                if *known == NULL {
                    *known = make(self.value(key));
                }
                *known
            })
            .collect()
    }
}

fn list_of(interner: &mut Interner, text: &str) -> ListId {
    let items = split(text);
    interner.list(items.iter().map(String::as_str))
}

fn dense(input: &Input<'_>, columns: &mut Columns) -> Decoded<()> {
    if let Some(times) = input.primitive::<TimestampNanosecondType>("time")? {
        columns.time.clear();
        columns
            .time
            .extend(times.iter().map(|time| time.unwrap_or(NO_TIME)));
    }
    if let Some(array) = input.some("uuid") {
        let uuids = array
            .as_fixed_size_binary_opt()
            .filter(|uuids| uuids.value_length() == 16)
            .ok_or_else(|| wrong_type("uuid", array))?;
        let bits = uuids.iter().map(|uuid| {
            let bits = uuid.and_then(|uuid| uuid.try_into().ok());
            bits.map_or(0, i128::from_be_bytes)
        });
        columns.uuid = bits.collect();
    }
    input.whole::<Int32Type>("verdict", &mut columns.verdict)?;
    input.whole::<Int32Type>("flow_type", &mut columns.flow_type)?;
    input.whole::<Int32Type>("event_type", &mut columns.event_type)?;
    input.whole::<Int32Type>("event_sub_type", &mut columns.event_sub_type)?;
    input.whole::<Int32Type>("traffic_direction", &mut columns.direction)?;
    input.whole::<Int32Type>("trace_observation_point", &mut columns.trace_point)?;
    input.whole::<Int32Type>("trace_reason", &mut columns.trace_reason)?;
    input.whole::<UInt32Type>("policy_match_type", &mut columns.policy_match_type)?;
    input.whole::<Int32Type>("drop_reason", &mut columns.drop_reason)?;
    input.whole::<UInt32Type>("drop_reason_number", &mut columns.drop_reason_number)?;
    if let Some(array) = input.some("is_reply") {
        let replies: &BooleanArray = array
            .as_boolean_opt()
            .ok_or_else(|| wrong_type("is_reply", array))?;
        let replies = replies.iter();
        columns.reply = replies
            .map(|reply| Reply::from_option(reply) as u8)
            .collect();
    }
    input.whole::<Int32Type>("ip_version", &mut columns.ip_version)?;
    input.whole::<UInt32Type>("flags", &mut columns.flags)?;
    input.whole::<UInt8Type>("protocol", &mut columns.protocol)?;
    input.whole::<UInt32Type>("source_port", &mut columns.source_port)?;
    input.whole::<UInt32Type>("destination_port", &mut columns.destination_port)?;
    input.whole::<UInt32Type>("weight", &mut columns.weight)
}

/// Columns of ids of texts, lists and pairs.
fn words(input: &Input<'_>, interner: &mut Interner, columns: &mut Columns) -> Decoded<()> {
    let rows = input.record.num_rows();
    let texts: [(&'static str, &mut Vec<u32>); 4] = [
        ("source_ip", &mut columns.source_ip),
        ("destination_ip", &mut columns.destination_ip),
        ("node_name", &mut columns.node),
        ("summary", &mut columns.summary),
    ];
    for (name, ids) in texts {
        if let Some(texts) = input.text(name)? {
            *ids = texts.ids(rows, |text| interner.text(text).0);
        }
    }
    let lists: [(&'static str, &mut Vec<u32>); 3] = [
        ("source_names", &mut columns.source_names),
        ("destination_names", &mut columns.destination_names),
        ("node_labels", &mut columns.node_labels),
    ];
    for (name, ids) in lists {
        if let Some(texts) = input.text(name)? {
            *ids = texts.ids(rows, |text| list_of(interner, text).0);
        }
    }
    let pairs: [(&'static str, &'static str, &mut Vec<u32>); 4] = [
        (
            "source_service",
            "source_service_namespace",
            &mut columns.source_service,
        ),
        (
            "destination_service",
            "destination_service_namespace",
            &mut columns.destination_service,
        ),
        ("source_mac", "destination_mac", &mut columns.ethernet),
        ("emitter", "emitter_version", &mut columns.emitter),
    ];
    for (left, right, ids) in pairs {
        let (left, right) = (input.text(left)?, input.text(right)?);
        let (Some(left), right) = (left, right) else {
            continue;
        };
        let mut known: HashMap<(u32, u32), u32, foldhash::fast::RandomState> = HashMap::default();
        let mut last = ((NULL, NULL), 0);
        ids.resize(rows, 0);
        for (row, id) in ids.iter_mut().enumerate() {
            let keys = (left.key(row), right.map_or(NULL, |right| right.key(row)));
            if keys.0 == NULL {
                continue;
            }
            if last.0 != keys {
                let id = *known.entry(keys).or_insert_with(|| {
                    let right = right.and_then(|right| right.at(row)).unwrap_or_default();
                    interner.pair(left.value(keys.0), right).0
                });
                last = (keys, id);
            }
            *id = last.1;
        }
    }
    Ok(())
}

/// Names of the columns of one side.
struct Side {
    id: &'static str,
    identity: &'static str,
    /// Cluster, namespace, pod, labels, workloads, and the workload's name, which
    /// stands in where nothing else of them was asked for.
    texts: [&'static str; 6],
}

const SOURCE: Side = Side {
    id: "source_endpoint_id",
    identity: "source_identity",
    texts: [
        "source_cluster",
        "source_namespace",
        "source_pod",
        "source_labels",
        "source_workloads",
        "source_workload",
    ],
};

const DESTINATION: Side = Side {
    id: "destination_endpoint_id",
    identity: "destination_identity",
    texts: [
        "destination_cluster",
        "destination_namespace",
        "destination_pod",
        "destination_labels",
        "destination_workloads",
        "destination_workload",
    ],
};

/// What an endpoint is told from another by, inside one batch.
type EndpointKey = [u32; 9];

fn endpoints(
    input: &Input<'_>,
    interner: &mut Interner,
    memory: &mut Memory,
    side: &Side,
) -> Decoded<Option<Vec<u32>>> {
    let ids = input.primitive::<UInt32Type>(side.id)?;
    let identities = input.primitive::<UInt32Type>(side.identity)?;
    let mut texts: [Option<Texts<'_>>; 6] = [None; 6];
    for (texts, name) in texts.iter_mut().zip(side.texts) {
        *texts = input.text(name)?;
    }
    if texts[4].is_some() {
        texts[5] = None;
    }
    if ids.is_none() && identities.is_none() && texts.iter().all(Option::is_none) {
        return Ok(None);
    }
    let present = |row: usize| {
        // Both are there in every file; a projection may have left one out, or both.
        let number = ids.or(identities);
        number.map(|number| number.is_valid(row))
    };
    let mut known: HashMap<EndpointKey, u32, foldhash::fast::RandomState> = HashMap::default();
    let mut last: (EndpointKey, u32) = ([0; 9], 0);
    let found = (0..input.record.num_rows())
        .map(|row| {
            let mut key: EndpointKey = [1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL];
            key[1] = ids.map_or(0, |ids| ids.value(row));
            key[2] = identities.map_or(0, |identities| identities.value(row));
            for (key, texts) in key[3..].iter_mut().zip(&texts) {
                if let Some(texts) = texts {
                    *key = texts.key(row);
                }
            }
            let there = present(row).unwrap_or_else(|| key[3..].iter().any(|&key| key != NULL));
            if !there {
                return 0;
            }
            if last.0 != key {
                let id = *known.entry(key).or_insert_with(|| {
                    let columns = texts.iter().zip(&key[3..]);
                    let columns = columns.map(|(texts, &key)| match texts {
                        Some(texts) if key != NULL => Some(texts.value(key)),
                        _ => None,
                    });
                    memory.endpoint([key[1], key[2]], columns, || {
                        endpoint(interner, &texts, &key)
                    })
                });
                last = (key, id);
            }
            last.1
        })
        .collect();
    Ok(Some(found))
}

fn endpoint(interner: &mut Interner, texts: &[Option<Texts<'_>>; 6], key: &EndpointKey) -> u32 {
    let text = |at: usize| match (texts[at], key[3 + at]) {
        (Some(texts), key) if key != NULL => Some(texts.value(key)),
        _ => None,
    };
    let mut endpoint = Endpoint {
        id: key[1],
        identity: key[2],
        cluster: interner.shared(text(0).unwrap_or_default()),
        namespace: interner.shared(text(1).unwrap_or_default()),
        pod: interner.shared(text(2).unwrap_or_default()),
        ..Endpoint::default()
    };
    if let Some(labels) = text(3) {
        let labels = split(labels);
        endpoint.labels = labels.iter().map(|label| interner.shared(label)).collect();
    }
    let mut workload = |kind: &str, name: &str| {
        endpoint.workloads.push(Workload {
            name: interner.shared(name),
            kind: interner.shared(kind),
        });
    };
    if let Some(workloads) = text(4) {
        for item in split(workloads) {
            let (kind, name) = unpair(&item, '/');
            workload(&kind, name);
        }
    } else if let Some(name) = text(5) {
        workload("", name);
    }
    interner.endpoint(endpoint).0
}

type Extras = Vec<Option<Box<Extra>>>;

/// A column, and the part of a whole that it holds.
type Named<Whole, Part> = (&'static str, fn(&mut Whole) -> &mut Part);

fn at(extras: &mut Extras, row: usize) -> &mut Extra {
    extras[row].get_or_insert_default()
}

fn numbers<T: ArrowPrimitiveType>(
    input: &Input<'_>,
    column: &'static str,
    extras: &mut Extras,
    mut set: impl FnMut(&mut Extra, T::Native),
) -> Decoded<()> {
    if let Some(array) = input.primitive::<T>(column)? {
        for (row, value) in array.iter().enumerate() {
            if let Some(value) = value {
                set(at(extras, row), value);
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
    for row in 0..input.record.num_rows() {
        let key = texts.key(row);
        if key == NULL {
            continue;
        }
        let id = &mut known[key as usize];
        if *id == NULL {
            *id = make(texts.value(key));
        }
        set(at(extras, row), *id);
    }
    Ok(())
}

fn bytes(
    input: &Input<'_>,
    column: &'static str,
    extras: &mut Extras,
    mut read: impl FnMut(&[u8], &mut Extra) -> Result<(), leftover::Damaged>,
) -> Decoded<()> {
    if let Some(array) = input.binary(column)? {
        for (row, value) in array.iter().enumerate() {
            if let Some(value) = value {
                read(value, at(extras, row)).map_err(|_| DecodeError::Damaged { column, row })?;
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
        for row in 0..input.record.num_rows() {
            let Some(text) = headers.at(row) else {
                continue;
            };
            let headers = split(text);
            http_of(at(extras, row)).headers = headers
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
