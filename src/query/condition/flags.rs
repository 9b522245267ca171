//! Filter flags as conditions on columns.
//!
//! Owns what each of [`FLAGS`] means, which is what Hubble means by it, or a part of
//! that: a value that a column cannot answer (a range of addresses, a glob) is an error.

use std::net::IpAddr;

use super::{Comparison, Condition, Part, Test};
use crate::flow::{EventType, identity_name};
use crate::query::columns::{self, Kind};
use crate::query::error::QueryError;

/// Flags of `tail` that columns can answer.
pub const FLAGS: [&str; 27] = [
    "verdict",
    "drop-reason-desc",
    "traffic-direction",
    "type",
    "protocol",
    "node-name",
    "http-status",
    "http-method",
    "namespace",
    "from-namespace",
    "to-namespace",
    "pod",
    "from-pod",
    "to-pod",
    "workload",
    "from-workload",
    "to-workload",
    "ip",
    "from-ip",
    "to-ip",
    "port",
    "from-port",
    "to-port",
    "identity",
    "from-identity",
    "to-identity",
    "ip-version",
];

/// What holds where one of the values of a flag does.
pub(in crate::query) fn condition(flag: &str, values: &[String]) -> Result<Condition, QueryError> {
    let any = values.iter().map(|value| {
        one(flag, value).map_err(|reason| QueryError::Flag {
            flag: flag.to_owned(),
            value: value.clone(),
            reason,
        })
    });
    Ok(Condition::Any(any.collect::<Result<Vec<_>, _>>()?))
}

type Made = Result<Condition, String>;

fn one(flag: &str, value: &str) -> Made {
    let (sides, kind): (&[&str], &str) = if let Some(kind) = flag.strip_prefix("from-") {
        (&["source"], kind)
    } else if let Some(kind) = flag.strip_prefix("to-") {
        (&["destination"], kind)
    } else {
        (&["source", "destination"], flag)
    };
    match kind {
        "verdict" => named("verdict", value),
        "drop-reason-desc" => named("drop_reason", value),
        "traffic-direction" => named("traffic_direction", &value.to_uppercase()),
        "ip-version" => match value.to_lowercase().as_str() {
            "v4" | "4" => named("ip_version", "IPv4"),
            "v6" | "6" => named("ip_version", "IPv6"),
            _ => Err("v4 or v6".to_owned()),
        },
        "type" => event_type(value),
        "protocol" => protocol(value),
        "node-name" if value.contains(['*', ',']) => {
            Err("no patterns here: name the node".to_owned())
        }
        "node-name" => Ok(Condition::text("node_name", value)),
        "http-status" => status(value),
        "http-method" => Ok(Condition::text("http_method", value.to_uppercase())),
        _ => {
            let any = sides.iter().map(|side| of_side(side, kind, value));
            Ok(Condition::Any(any.collect::<Result<Vec<_>, _>>()?))
        }
    }
}

fn named(column: &'static str, value: &str) -> Made {
    let Kind::Named(names) = columns::kind(column) else {
        return Err("no such flag".to_owned());
    };
    let number = names
        .number(value)
        .ok_or_else(|| format!("no value of {column}"))?;
    Ok(Condition::number(column, number.into()))
}

fn event_type(value: &str) -> Made {
    let known = EventType::NAMES.iter().find(|(_, name)| *name == value);
    if known.is_none() && value.parse::<u8>().is_err() {
        let names: Vec<&str> = EventType::NAMES.iter().map(|(_, name)| *name).collect();
        return Err(format!("one of {}", names.join(", ")));
    }
    named("event_type", value)
}

fn protocol(value: &str) -> Made {
    match value.to_lowercase().as_str() {
        "dns" => Ok(Condition::present("dns_query")),
        "http" => Ok(Condition::present("http_code")),
        "icmp" => Ok(named("protocol", "ICMPv4")?.or(named("protocol", "ICMPv6")?)),
        "icmpv4" => named("protocol", "ICMPv4"),
        "icmpv6" => named("protocol", "ICMPv6"),
        known @ ("tcp" | "udp" | "sctp" | "vrrp" | "igmp") => {
            named("protocol", &known.to_uppercase())
        }
        _ => Err("tcp, udp, sctp, icmp, icmpv4, icmpv6, vrrp, igmp, dns or http".to_owned()),
    }
}

/// `404`, `5+` for all that begin so; a request has none.
fn status(value: &str) -> Made {
    let wrong = || "a status such as 404, or 5+".to_owned();
    let code = |comparison, number: u32| {
        Condition::Is("http_code", Test::Number(comparison, number.into()))
    };
    let answered = code(Comparison::Greater, 0);
    let Some(begin) = value.strip_suffix('+') else {
        let code_is: u32 = value.parse().map_err(|_| wrong())?;
        return Ok(code(Comparison::Equal, code_is).and(answered));
    };
    let begin_is: u32 = begin.parse().map_err(|_| wrong())?;
    let width = match begin.len() {
        1 => 100,
        2 => 10,
        3 => 1,
        _ => return Err(wrong()),
    };
    let first = begin_is * width;
    Ok(code(Comparison::GreaterEqual, first)
        .and(code(Comparison::Less, first + width))
        .and(answered))
}

fn of_side(side: &str, kind: &str, value: &str) -> Made {
    let column = |what: &str| {
        columns::known(&format!("{side}_{what}")).ok_or_else(|| "no such flag".to_owned())
    };
    match kind {
        "namespace" => Ok(Condition::text(column("namespace")?, value)),
        "pod" => {
            // As Hubble has it: `ns/pre`, `ns/`, `/pre`; alone, it is of `default`.
            let (namespace, prefix) = match value.split_once('/') {
                None => ("default", value),
                Some((namespace, rest)) => (namespace, rest.split('/').next().unwrap_or_default()),
            };
            let (of_namespace, of_pod) = (column("namespace")?, column("pod")?);
            let begins = if prefix.is_empty() {
                Condition::present(of_namespace).or(Condition::present(of_pod))
            } else {
                Condition::Is(of_pod, Test::Part(Part::Begins, prefix.to_owned()))
            };
            Ok(if namespace.is_empty() {
                begins
            } else {
                begins.and(Condition::text(of_namespace, namespace))
            })
        }
        "workload" => {
            let (kind, name) = value.split_once('/').unwrap_or(("", value));
            let test = Test::Workload(kind.to_owned(), name.to_owned());
            Ok(Condition::Is(column("workloads")?, test))
        }
        "ip" => {
            let address: IpAddr = value
                .parse()
                .map_err(|_| "one address; ranges are not answered here".to_owned())?;
            let ip = column("ip")?;
            let mut forms = vec![address.to_string(), value.to_owned()];
            forms.dedup();
            let forms = forms.into_iter().map(|form| Condition::text(ip, form));
            Ok(Condition::Any(forms.collect()))
        }
        "port" => {
            let port: u16 = value.parse().map_err(|_| "no port".to_owned())?;
            let protocols = ["TCP", "UDP", "SCTP"];
            let protocols = protocols.map(|protocol| named("protocol", protocol));
            let has_ports = protocols.into_iter().collect::<Result<Vec<_>, _>>()?;
            let is = Condition::number(column("port")?, port.into());
            Ok(is.and(Condition::Any(has_ports)))
        }
        "identity" => {
            let reserved = (1..=10).find(|&id| identity_name(id) == Some(value));
            let number: Option<u32> = reserved.or_else(|| value.parse().ok());
            let number = number.ok_or_else(|| "a number, or a reserved name".to_owned())?;
            Ok(Condition::number(column("identity")?, number.into()))
        }
        _ => Err("no such flag".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_takes_a_value_and_refuses_what_it_cannot_answer() {
        for (flag, good, bad) in [
            ("verdict", "DROPPED", "GONE"),
            ("drop-reason-desc", "POLICY_DENIED", "x"),
            ("traffic-direction", "egress", "up"),
            ("type", "drop", "drops"),
            ("protocol", "tcp", "quic"),
            ("node-name", "c/worker-1", "c/*"),
            ("http-status", "5+", "5x"),
            ("ip", "10.0.0.1", "10.0.0.0/8"),
            ("to-port", "80", "http"),
            ("from-identity", "world", "nobody"),
            ("ip-version", "v4", "v5"),
        ] {
            assert!(FLAGS.contains(&flag));
            assert!(one(flag, good).is_ok(), "{flag}");
            assert!(one(flag, bad).is_err(), "{flag}");
        }
        for flag in FLAGS {
            assert_ne!(
                one(flag, "x").err().as_deref(),
                Some("no such flag"),
                "{flag}"
            );
        }
    }
}
