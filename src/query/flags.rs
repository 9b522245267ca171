//! Filter flags as conditions on columns.
//!
//! Owns what each of [`FLAGS`] means, which is what Hubble means by it, or a part of
//! that: a value that a column cannot answer (a range of addresses, a glob) is an error.

use std::net::IpAddr;

use polars::prelude::{BooleanChunked, DataType, Expr, Field, IntoColumn, col, lit};

use super::columns::{self, Kind};
use super::error::QueryError;
use crate::flow::{EventType, identity_name, split};

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
pub(super) fn condition(flag: &str, values: &[String]) -> Result<Expr, QueryError> {
    let mut any: Option<Expr> = None;
    for value in values {
        let one = one(flag, value).map_err(|reason| QueryError::Flag {
            flag: flag.to_owned(),
            value: value.clone(),
            reason,
        })?;
        any = Some(match any {
            Some(before) => before.or(one),
            None => one,
        });
    }
    Ok(any.unwrap_or_else(|| lit(true)))
}

type Made = Result<Expr, String>;

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
        "node-name" => Ok(col("node_name").eq(lit(value.to_owned()))),
        "http-status" => status(value),
        "http-method" => Ok(col("http_method").eq(lit(value.to_uppercase()))),
        _ => {
            let mut any: Option<Expr> = None;
            for side in sides {
                let this = of_side(side, kind, value)?;
                any = Some(match any {
                    Some(before) => before.or(this),
                    None => this,
                });
            }
            any.ok_or_else(|| "no such flag".to_owned())
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
    let (column, number) = columns::number(column, number.into());
    Ok(column.eq(number))
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
        "dns" => Ok(col("dns_query").is_not_null()),
        "http" => Ok(col("http_code").is_not_null()),
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
    let code = || col("http_code");
    let Some(begin) = value.strip_suffix('+') else {
        let code_is: u32 = value.parse().map_err(|_| wrong())?;
        return Ok(code().eq(lit(code_is)).and(code().gt(lit(0_u32))));
    };
    let begin_is: u32 = begin.parse().map_err(|_| wrong())?;
    let width = match begin.len() {
        1 => 100,
        2 => 10,
        3 => 1,
        _ => return Err(wrong()),
    };
    let first = begin_is * width;
    Ok(code()
        .gt_eq(lit(first))
        .and(code().lt(lit(first + width)))
        .and(code().gt(lit(0_u32))))
}

fn of_side(side: &str, kind: &str, value: &str) -> Made {
    let column = |what: &str| col(format!("{side}_{what}"));
    let is = |what: &str, text: &str| column(what).eq(lit(text.to_owned()));
    match kind {
        "namespace" => Ok(is("namespace", value)),
        "pod" => {
            // As Hubble has it: `ns/pre`, `ns/`, `/pre`; alone, it is of `default`.
            let (namespace, prefix) = match value.split_once('/') {
                None => ("default", value),
                Some((namespace, rest)) => (namespace, rest.split('/').next().unwrap_or_default()),
            };
            let begins = if prefix.is_empty() {
                column("namespace")
                    .is_not_null()
                    .or(column("pod").is_not_null())
            } else {
                column("pod").str().starts_with(lit(prefix.to_owned()))
            };
            Ok(if namespace.is_empty() {
                begins
            } else {
                begins.and(is("namespace", namespace))
            })
        }
        "workload" => Ok(workload(column("workloads"), value)),
        "ip" => {
            let address: IpAddr = value
                .parse()
                .map_err(|_| "one address; ranges are not answered here".to_owned())?;
            Ok(is("ip", &address.to_string()).or(is("ip", value)))
        }
        "port" => {
            let port: u16 = value.parse().map_err(|_| "no port".to_owned())?;
            let has_ports = named("protocol", "TCP")?
                .or(named("protocol", "UDP")?)
                .or(named("protocol", "SCTP")?);
            Ok(column("port").eq(lit(u32::from(port))).and(has_ports))
        }
        "identity" => {
            let reserved = (1..=10).find(|&id| identity_name(id) == Some(value));
            let number = reserved.or_else(|| value.parse().ok());
            let number = number.ok_or_else(|| "a number, or a reserved name".to_owned())?;
            Ok(column("identity").eq(lit(number)))
        }
        _ => Err("no such flag".to_owned()),
    }
}

/// Whether one of a side's workloads is `[KIND/]NAME` or `KIND/`.
fn workload(lists: Expr, wanted: &str) -> Expr {
    let (kind, name) = wanted.split_once('/').unwrap_or(("", wanted));
    let (kind, name) = (kind.to_owned(), name.to_owned());
    let fits = move |item: &str| {
        // No name of a workload has a slash.
        let (of_kind, of_name) = item.rsplit_once('/').unwrap_or(("", item));
        (kind.is_empty() || kind == of_kind) && (name.is_empty() || name == of_name)
    };
    lists.map(
        move |column| {
            let fitting: BooleanChunked = column
                .str()?
                .iter()
                .map(|list| Some(split(list?).iter().any(|item| fits(item))))
                .collect();
            Ok(fitting.with_name(column.name().clone()).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Boolean)),
    )
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
