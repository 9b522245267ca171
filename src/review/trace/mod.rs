//! Who talked to somebody, in and out, and on from there.
//!
//! Owns what a trace says, as values: the connections of a target with their verdicts and
//! times (`gather`), what was asked on them, and the hops further (`further`). Shows nothing.
//!
//! A hop counts only in the order of time. Outwards, a connection counts where it went on at
//! or after the time from which its client could have been reached; its server could have
//! been reached from the later of that time and its own beginning. Inwards it is the other
//! way round: a connection counts where it began at or before the last time at which its
//! server still went on towards the target. Only what passed carries further, and only pods
//! do: what is outside, and nodes, are ends. With the begin of an incident, outwards is
//! counted from there.
//!
//! Bounded: 20,000 links a hop, 5,000 requests; what is beyond is counted and said.

mod further;
mod gather;
mod link;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

pub use further::{Frontier, Further, Near};
pub use gather::Gatherer;
pub use link::{Ends, Link, Ruled};
pub use target::{Addresses, Matcher, Target, TargetError};

use crate::connection::{ExchangeKind, Peer};
use crate::review::report::{Reading, Seen};

/// Which way a connection goes, as the target sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// Somebody calls the target, or who goes on towards it.
    In,
    /// The target calls somebody, or who could have been reached from it does.
    Out,
    /// Both ends are the target.
    Within,
}

impl Way {
    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Within => "within",
        }
    }
}

/// Who talked to a target.
#[derive(Debug)]
pub struct Trace {
    /// Who it is about.
    pub target: Target,
    /// What was read for its own connections.
    pub reading: Reading,
    /// From when to when the recording goes, whoever its flows are about.
    pub window: Seen,
    /// Begin of the incident in nanoseconds since 1970 UTC, where there is one.
    pub incident: Option<i64>,
    /// Pods, or whoever it was, by name.
    pub who: Vec<Who>,
    /// Its own connections, then those of each hop further.
    pub hops: Vec<Hop>,
    /// What was asked on its own connections.
    pub asked: Vec<Asked>,
    /// Requests there was no room for.
    pub more_asked: u64,
}

/// One hop.
#[derive(Debug, Default)]
pub struct Hop {
    /// Most connections first, of each way.
    pub links: Vec<Link>,
    /// Connections of links there was no room for.
    pub others: u64,
}

/// One of those a target is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// `namespace/pod`; empty where flows do not say.
    pub pod: Arc<str>,
    /// Its workload, a name, an address.
    pub peer: Option<Peer>,
    /// Nodes it was seen on.
    pub nodes: BTreeSet<Arc<str>>,
    /// Its addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Its identities.
    pub identities: BTreeSet<u32>,
    /// Its labels, as flows have them.
    pub labels: Vec<Arc<str>>,
    /// Flows of it.
    pub flows: u64,
    /// From when to when.
    pub seen: Seen,
}

/// Requests of one kind on one link.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Who asks whom.
    pub way: Way,
    /// Who asks.
    pub client: Peer,
    /// Who is asked.
    pub server: Peer,
    /// Port.
    pub port: u16,
    /// What; the code is the last one that was seen, identifiers of paths are replaced.
    pub kind: ExchangeKind,
    /// How often.
    pub count: u64,
    /// How often a proxy refused it.
    pub denied: u64,
    /// How often the answer was an error: a response code of DNS, 400 and above of HTTP.
    pub errors: u64,
    /// How often since the incident began.
    pub after: u64,
    /// From when to when.
    pub seen: Seen,
}

impl Trace {
    /// Whether a time lies in the incident, and the recording began before it: then what is
    /// seen from there on for the first time is new.
    #[must_use]
    pub fn is_new(&self, seen: Seen) -> bool {
        let Some(incident) = self.incident else {
            return false;
        };
        let began = self.window.span().map(|(first, _)| first);
        began.is_some_and(|began| began < incident)
            && seen.span().is_some_and(|(first, _)| first >= incident)
    }

    /// How long before the incident the recording began, in nanoseconds; `None` where it
    /// did not, or there is no incident.
    #[must_use]
    pub fn watched_before(&self) -> Option<i64> {
        let (began, incident) = (self.window.span()?.0, self.incident?);
        (began < incident).then(|| incident - began)
    }

    /// Its own connections of one way.
    pub fn own(&self, way: Way) -> impl Iterator<Item = &Link> {
        self.hops
            .first()
            .into_iter()
            .flat_map(|hop| &hop.links)
            .filter(move |link| link.way == way)
    }

    /// Whether nothing of the target was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.who.is_empty() && self.hops.iter().all(|hop| hop.links.is_empty())
    }
}
