//! The fields of layer 4, as [`super::part`] has those of the rest.

use super::part::{Found, Part, text};
use crate::flow::{Icmp, Protocol, RowRef, flags};

pub(super) fn transport<'v>(row: RowRef<'v>, name: &str) -> Found<'v> {
    let extra = row.extra();
    match row.protocol() {
        Protocol::Tcp if name == "flags" => row
            .has(flags::HAS_TCP_FLAGS)
            .then_some(Part::TcpFlags(row))
            .into(),
        Protocol::Sctp if name == "chunk_type" => {
            extra.map_or(Found::Unset, |extra| Found::Int(extra.sctp_chunk))
        }
        Protocol::Tcp | Protocol::Udp | Protocol::Sctp => {
            ports(row.source_port(), row.destination_port(), name)
        }
        Protocol::Icmpv4 | Protocol::Icmpv6 => {
            let Icmp { kind, code } = extra.and_then(|extra| extra.icmp).unwrap_or_default();
            match name {
                "type" => kind.into(),
                "code" => code.into(),
                _ => Found::Unset,
            }
        }
        Protocol::Vrrp => {
            let [kind, vrid, priority] = extra.and_then(|extra| extra.vrrp).unwrap_or_default();
            match name {
                "type" => kind.into(),
                "vrid" => vrid.into(),
                "priority" => priority.into(),
                _ => Found::Unset,
            }
        }
        Protocol::Igmp => {
            let (kind, group) = extra.and_then(|extra| extra.igmp).unwrap_or_default();
            match name {
                "type" => kind.into(),
                "group_address" => text(row, group),
                _ => Found::Unset,
            }
        }
        Protocol::None => Found::Unset,
    }
}

pub(super) fn ports<'v>(source: u32, destination: u32, name: &str) -> Found<'v> {
    match name {
        "source_port" => source.into(),
        "destination_port" => destination.into(),
        _ => Found::Unset,
    }
}

/// The bit of a field of `TCPFlags`; none for another name.
pub(super) fn tcp_flag(name: &str) -> u32 {
    match name {
        "FIN" => flags::FIN,
        "SYN" => flags::SYN,
        "RST" => flags::RST,
        "PSH" => flags::PSH,
        "ACK" => flags::ACK,
        "URG" => flags::URG,
        "ECE" => flags::ECE,
        "CWR" => flags::CWR,
        "NS" => flags::NS,
        _ => 0,
    }
}
