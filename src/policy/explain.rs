//! Why one direction's answer is what it is: every rule that selects the subject, and what
//! of it matches.
//!
//! Owns the comparison rule by rule. The answer itself is `decide`'s; this only says how
//! each rule stands to it.

use super::compile::Compiled;
use super::entry::{Direction, PolicyEntry, Port, PortProtocol, Protocol};
use super::table::Named;
use super::verdict::{Decision, Origin};
use super::world::IdentityIndex;

/// One rule that selects the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Considered {
    /// Index of the entry in the set.
    pub entry: u32,
    /// Whether its peers include this one.
    pub peer: PeerFit,
    /// Whether its ports include this one.
    pub port: PortFit,
    /// Whether it is one of those that decided.
    pub decides: bool,
}

/// How the peers of a rule stand to the one asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerFit {
    /// It is for everybody.
    Anybody,
    /// One of its selectors fits.
    Fits,
    /// None does.
    Other,
    /// Its list is empty: it is for nobody.
    Nobody,
}

/// How the ports of a rule stand to the one asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortFit {
    /// It is for every protocol.
    Any,
    /// One of its ports fits.
    Fits,
    /// None does.
    Other,
    /// It names a port nobody is known to define.
    UnknownName,
}

impl Compiled {
    /// Every rule that selects `subject` in `direction`, with what of it matches.
    #[must_use]
    pub fn explain(
        &self,
        subject: IdentityIndex,
        direction: Direction,
        peer: IdentityIndex,
        (protocol, port): (u8, u16),
        decision: &Decision,
    ) -> Vec<Considered> {
        let deciding = self.rules(decision.rules);
        self.selecting(subject, direction)
            .into_iter()
            .filter_map(|index| {
                let entry = self.set.entries.get(index as usize)?;
                Some(Considered {
                    entry: index,
                    peer: self.peer_fit(entry, peer),
                    port: self.port_fit(entry, subject, direction, protocol, port),
                    decides: deciding.contains(&Origin::Entry(index)),
                })
            })
            .collect()
    }

    fn peer_fit(&self, entry: &PolicyEntry, peer: IdentityIndex) -> PeerFit {
        match &entry.peers {
            None => PeerFit::Anybody,
            Some(peers) if peers.is_empty() => PeerFit::Nobody,
            Some(peers) => {
                let fits = peers.iter().any(|selector| {
                    self.selection
                        .id(selector)
                        .is_some_and(|id| self.selection.contains(id, peer.0))
                });
                if fits { PeerFit::Fits } else { PeerFit::Other }
            }
        }
    }

    fn port_fit(
        &self,
        entry: &PolicyEntry,
        subject: IdentityIndex,
        direction: Direction,
        protocol: u8,
        port: u16,
    ) -> PortFit {
        if entry.ports.is_empty() {
            return PortFit::Any;
        }
        let mut fit = PortFit::Other;
        for asked in entry.ports.iter().flat_map(|rule| &rule.ports) {
            if !is_of(asked.protocol, protocol) {
                continue;
            }
            match self.first_port(asked, subject, direction, protocol) {
                Named::Port(first) => {
                    if covers(asked, first, port) {
                        return PortFit::Fits;
                    }
                }
                Named::Unknown => fit = PortFit::UnknownName,
                Named::Nothing => {}
            }
        }
        fit
    }

    /// The number a port of a rule begins with, for a subject.
    pub(super) fn first_port(
        &self,
        asked: &PortProtocol,
        subject: IdentityIndex,
        direction: Direction,
        protocol: u8,
    ) -> Named {
        match &asked.port {
            Port::Number(number) => Named::Port(*number),
            Port::Name(name) => self.named_port(subject, direction, name, protocol),
        }
    }
}

/// Whether an entry covers a port, or may where its name is not known.
pub(super) fn may_cover(entry: &PolicyEntry, protocol: u8, port: u16) -> bool {
    let mut ports = entry.ports.iter().flat_map(|rule| &rule.ports);
    entry.ports.is_empty()
        || ports.any(|asked| {
            is_of(asked.protocol, protocol)
                && match asked.port {
                    Port::Number(first) => covers(asked, first, port),
                    Port::Name(_) => true,
                }
        })
}

pub(super) fn covers(asked: &PortProtocol, first: u16, port: u16) -> bool {
    if first == 0 && asked.end_port == 0 {
        return true;
    }
    (first..=asked.end_port.max(first)).contains(&port)
}

pub(super) fn is_of(asked: Protocol, protocol: u8) -> bool {
    match asked {
        Protocol::Any => matches!(protocol, 6 | 17 | 132),
        Protocol::Tcp => protocol == 6,
        Protocol::Udp => protocol == 17,
        Protocol::Sctp => protocol == 132,
        Protocol::Icmp => protocol == 1,
        Protocol::IcmpV6 => protocol == 58,
        Protocol::Vrrp => protocol == 112,
        Protocol::Igmp => protocol == 2,
    }
}
