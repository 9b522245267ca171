//! The fields of L7 records, as [`super::part`] has those of the rest.

use super::part::{Found, Part, text, texts};
use crate::flow::{Dns, Header, Http, Kafka, L7, L7Record, RowRef};

pub(super) fn layer7<'v>(row: RowRef<'v>, l7: &'v L7, name: &str) -> Found<'v> {
    match (name, &l7.record) {
        ("type", _) => Found::Int(l7.kind.0),
        ("latency_ns", _) => Found::Uint(l7.latency_ns),
        ("dns", Some(L7Record::Dns(dns))) => Found::Part(Part::Dns(row, dns)),
        ("http", Some(L7Record::Http(http))) => Found::Part(Part::Http(row, http)),
        ("kafka", Some(L7Record::Kafka(kafka))) => Found::Part(Part::Kafka(row, kafka)),
        _ => Found::Unset,
    }
}

pub(super) fn dns<'v>(row: RowRef<'v>, dns: &'v Dns, name: &str) -> Found<'v> {
    let dictionaries = row.dictionaries();
    match name {
        "query" => text(row, dns.query),
        "ips" => texts(dictionaries, dns.ips),
        "ttl" => dns.ttl.into(),
        "cnames" => texts(dictionaries, dns.cnames),
        "observation_source" => text(row, dns.observation_source),
        "rcode" => dns.rcode.into(),
        "qtypes" => texts(dictionaries, dns.qtypes),
        "rrtypes" => texts(dictionaries, dns.rrtypes),
        _ => Found::Unset,
    }
}

pub(super) fn http<'v>(row: RowRef<'v>, http: &'v Http, name: &str) -> Found<'v> {
    match name {
        "code" => http.code.into(),
        "method" => text(row, http.method),
        "url" => text(row, http.url),
        "protocol" => text(row, http.protocol),
        "headers" => Found::Parts(
            http.headers
                .iter()
                .map(|header| Part::Header(row, header))
                .collect(),
        ),
        _ => Found::Unset,
    }
}

pub(super) fn header<'v>(row: RowRef<'v>, header: &'v Header, name: &str) -> Found<'v> {
    match name {
        "key" => text(row, header.key),
        "value" => text(row, header.value),
        _ => Found::Unset,
    }
}

pub(super) fn kafka<'v>(row: RowRef<'v>, kafka: &'v Kafka, name: &str) -> Found<'v> {
    match name {
        "error_code" => Found::Int(kafka.error_code),
        "api_version" => Found::Int(kafka.api_version),
        "api_key" => text(row, kafka.api_key),
        "correlation_id" => Found::Int(kafka.correlation_id),
        "topic" => text(row, kafka.topic),
        _ => Found::Unset,
    }
}
