//! The values of filter flags that are more than a text. Errors are reasons, to follow
//! "invalid argument: ".

use crate::flow::{DropReason, EventType, TracePoint, Verdict, identity_name};
use crate::proto::flow as pb;

pub(super) type Value<T> = Result<T, String>;

/// A verdict by its name, in capitals.
pub(super) fn verdict(text: &str) -> Value<i32> {
    Verdict::from_name(text)
        .map(|verdict| verdict.0)
        .ok_or_else(|| format!("invalid --verdict value: {text}"))
}

/// A drop reason by its name in the API.
pub(super) fn drop_reason(text: &str) -> Value<i32> {
    DropReason::from_name(text)
        .map(|reason| reason.0)
        .ok_or_else(|| format!("invalid --drop-reason-desc value: {text}"))
}

pub(super) fn direction(text: &str) -> Value<i32> {
    match text.to_ascii_lowercase().as_str() {
        "ingress" => Ok(pb::TrafficDirection::Ingress.into()),
        "egress" => Ok(pb::TrafficDirection::Egress.into()),
        other => Err(format!(
            "{other}: invalid traffic direction, expected ingress or egress"
        )),
    }
}

/// Hubble takes any other text for `none`; a misspelt version is an error here.
pub(super) fn ip_version(text: &str) -> Value<i32> {
    match text.to_ascii_lowercase().as_str() {
        "4" | "v4" | "ipv4" | "ip4" => Ok(pb::IpVersion::IPv4.into()),
        "6" | "v6" | "ipv6" | "ip6" => Ok(pb::IpVersion::IPv6.into()),
        "none" => Ok(pb::IpVersion::IpNotUsed.into()),
        other => Err(format!(
            "{other}: invalid IP version, expected none, v4 or v6"
        )),
    }
}

/// `SYN,ACK`: one entry with all of them.
pub(super) fn tcp_flags(text: &str) -> Value<pb::TcpFlags> {
    let mut flags = pb::TcpFlags::default();
    for name in text.split(',') {
        let flag = match name.to_ascii_uppercase().as_str() {
            "FIN" => &mut flags.fin,
            "SYN" => &mut flags.syn,
            "RST" => &mut flags.rst,
            "PSH" => &mut flags.psh,
            "ACK" => &mut flags.ack,
            "URG" => &mut flags.urg,
            "ECE" => &mut flags.ece,
            "CWR" => &mut flags.cwr,
            "NS" => &mut flags.ns,
            _ => return Err(format!("unknown tcp flag: {name}")),
        };
        *flag = true;
    }
    Ok(flags)
}

/// `trace`, `trace:to-endpoint`, `drop:181`, `4:3`.
pub(super) fn event_type(text: &str) -> Value<pb::EventTypeFilter> {
    let (name, sub) = match text.split_once(':') {
        Some((name, sub)) => (name, Some(sub)),
        None => (text, None),
    };
    let known = type_number(name);
    let mut filter = pb::EventTypeFilter {
        r#type: match known {
            Some(EventType(number)) => number,
            None => number(name).ok_or_else(|| {
                format!(
                    "unable to parse type '{name}', not a known type name and unable to parse as numeric value"
                )
            })?,
        },
        ..pb::EventTypeFilter::default()
    };
    if let Some(sub) = sub {
        let named = known.and_then(|known| sub_type_number(known, sub));
        filter.match_sub_type = true;
        filter.sub_type = named.or_else(|| number(sub)).ok_or_else(|| {
            format!(
                "unable to parse event sub-type '{sub}', not a known sub-type name and unable to parse as numeric value"
            )
        })?;
    }
    Ok(filter)
}

fn type_number(name: &str) -> Option<EventType> {
    match name {
        "agent" => Some(EventType::AGENT),
        "debug" => Some(EventType::DEBUG),
        _ => EventType::NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(number, _)| *number),
    }
}

fn sub_type_number(of: EventType, name: &str) -> Option<i32> {
    match of {
        EventType::TRACE => trace_point(name),
        // The monitor's numbers, as Hubble sends them; those of the API differ.
        EventType::AGENT => [
            "unspecified",
            "message",
            "agent-started",
            "endpoint-regenerate-success",
            "endpoint-regenerate-failure",
            "policy-updated",
            "policy-deleted",
            "endpoint-created",
            "endpoint-deleted",
            "ipcache-upserted",
            "ipcache-deleted",
        ]
        .iter()
        .position(|known| *known == name)
        .and_then(|at| i32::try_from(at).ok()),
        _ => None,
    }
}

/// The raw sub-type of a trace point: its number, but 0 for `to-endpoint`.
fn trace_point(name: &str) -> Option<i32> {
    let name = name.replace('-', "_").to_ascii_uppercase();
    match TracePoint::from_name(&name)? {
        TracePoint::UNKNOWN_POINT => None,
        TracePoint::TO_ENDPOINT => Some(0),
        TracePoint(number) => Some(number),
    }
}

/// Digits only; beyond 31 bits it wraps, as in Hubble.
fn number(text: &str) -> Option<i32> {
    Some(text)
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse::<u32>().ok())
        .map(u32::cast_signed)
}

/// `Kind/name`, `name`, `Kind/`.
pub(super) fn workload(text: &str) -> pb::Workload {
    let (kind, name) = text.split_once('/').unwrap_or(("", text));
    pb::Workload {
        name: name.to_owned(),
        kind: kind.to_owned(),
    }
}

/// A reserved name, or a number as Go writes them (`0x` and the like included).
pub(super) fn identity(text: &str) -> Value<u32> {
    (1..=10)
        .find(|&id| identity_name(id) == Some(text))
        .or_else(|| go_number(text))
        .ok_or_else(|| {
            let names: Vec<&str> = (1..=10).filter_map(identity_name).collect();
            format!(
                "invalid security identity, expected one of [{}] or a numeric value",
                names.join(" ")
            )
        })
}

/// A number with an optional base prefix and single underscores between digits (which
/// only a prefix allows).
fn go_number(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let digits = if base == 10 {
        digits.to_owned()
    } else {
        let digits = digits.strip_prefix('_').unwrap_or(digits);
        if digits.split('_').any(str::is_empty) {
            return None;
        }
        digits.replace('_', "")
    };
    if !digits.chars().all(|digit| digit.is_digit(base)) {
        return None;
    }
    u32::from_str_radix(&digits, base).ok()
}

/// `name:value`; the value may have colons.
pub(super) fn header(text: &str) -> Value<pb::HttpHeader> {
    text.split_once(':')
        .map(|(key, value)| pb::HttpHeader {
            key: key.to_owned(),
            value: value.to_owned(),
        })
        .ok_or_else(|| format!("invalid http-header value {text:?}, expected name:value"))
}

/// A number above 0.
pub(super) fn ip_trace_id(text: &str) -> Value<u64> {
    Some(text)
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|&id| id > 0)
        .ok_or_else(|| "invalid --ip-trace-id value; must be a number greater than 0".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn types_and_sub_types_by_name_and_number() {
        let parsed = |text| {
            let filter = event_type(text).ok()?;
            Some((
                filter.r#type,
                filter.match_sub_type.then_some(filter.sub_type),
            ))
        };
        assert_eq!(parsed("trace"), Some((4, None)));
        assert_eq!(parsed("trace:to-endpoint"), Some((4, Some(0))));
        assert_eq!(parsed("trace:from-crypto"), Some((4, Some(12))));
        assert_eq!(parsed("trace:3"), Some((4, Some(3))));
        assert_eq!(parsed("drop:181"), Some((1, Some(181))));
        assert_eq!(parsed("129"), Some((129, None)));
        assert_eq!(parsed("agent:policy-updated"), Some((130, Some(5))));
        for bad in [
            "nope",
            "trace:nope",
            "drop:to-proxy",
            "",
            "trace:",
            "4:to-proxy",
            "+4",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn identities_by_name_and_number() {
        assert_eq!(identity("world"), Ok(2));
        assert_eq!(identity("0x10"), Ok(16));
        assert_eq!(identity("017"), Ok(15));
        assert_eq!(identity("0x_ff_ff"), Ok(0xffff));
        assert_eq!(identity("0"), Ok(0));
        for bad in [
            "unknown",
            "nobody",
            "",
            "-1",
            "+1",
            "1_0",
            "0x",
            "4294967296",
            "08",
        ] {
            assert!(identity(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn flags_of_one_value_are_one_entry() {
        let flags = tcp_flags("syn,ACK").unwrap();
        assert!(flags.syn && flags.ack && !flags.fin);
        assert!(tcp_flags("").is_err());
        assert!(tcp_flags("SYN, ACK").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), close in "[0-9a-zA-Z_:/,+-]{0,12}") {
            for text in [&text, &close] {
                let _ = (verdict(text), drop_reason(text), direction(text), ip_version(text));
                let _ = (tcp_flags(text), event_type(text), workload(text), identity(text));
                let _ = (header(text), ip_trace_id(text));
            }
        }
    }
}
