//! What a row asks of policy.
//!
//! Owns which direction, protocol and port a row asks about, and for how long an answer
//! holds. Who is asked is `posed`'s.

use super::event::{Apart, Event};
use crate::flow::{Protocol, RowRef};
use crate::policy::Direction;

/// What a row asks of policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    pub(super) event: Event,
    pub(super) direction: Direction,
    /// IANA number, and destination port or ICMP type.
    pub(super) protocol: u8,
    pub(super) port: u16,
}

/// For how long an answer holds: as long as the policies of a cluster are what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    pub(super) cluster: usize,
    pub(super) generation: u64,
}

impl Asking {
    /// What a row asks.
    ///
    /// # Errors
    /// The event, where the row asks nothing.
    pub fn of(row: RowRef<'_>) -> Result<Self, Event> {
        let event = Event::of(row);
        let direction = event.direction().ok_or(event)?;
        let (protocol, port) = layer4(row).ok_or(Event::Apart(Apart::NoDecision))?;
        Ok(Self {
            event,
            direction,
            protocol,
            port,
        })
    }
}

/// IANA number and destination port (ICMP type) of a row.
pub(super) fn layer4(row: RowRef<'_>) -> Option<(u8, u16)> {
    let icmp = || {
        let icmp = row.extra().and_then(|extra| extra.icmp)?;
        u16::try_from(icmp.kind).ok()
    };
    let port = u16::try_from(row.destination_port()).ok()?;
    let protocol = row.protocol();
    let port = match protocol {
        Protocol::Tcp | Protocol::Udp | Protocol::Sctp => port,
        Protocol::Icmpv4 | Protocol::Icmpv6 => icmp()?,
        Protocol::Vrrp | Protocol::Igmp => 0,
        Protocol::None => return None,
    };
    Some((protocol.iana(), port))
}
