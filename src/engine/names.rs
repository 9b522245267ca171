//! The names of an address outside, as far as recorded DNS tells them.
//!
//! Owns when the names that were seen are all there are, and why not. Which answers were
//! seen is `ledger`'s, how long they were watched for `watch`'s.
//!
//! Cilium keeps what a node's DNS proxy saw for its time to live, and beyond that while a
//! connection to the address is open. So no name is certain only where the node's DNS was
//! recorded for longer than the longest time to live; no name is known that has expired;
//! and the flow carries the labels of the address without one of a name: the label is
//! there as long as the agent keeps a name that a rule asks for, however old.

use std::net::IpAddr;
use std::sync::Arc;

use super::ledger::{Ledger, Position};
use super::watch::DnsRecord;
use crate::flow::{Endpoint, RowRef};
use crate::policy::Options;

/// Numbers of the world: who has one has no label of a name.
const WORLD: [u32; 3] = [2, 9, 10];

/// Why an address may have a name that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamesDoubt {
    /// The flow was not seen on the node of the endpoint, whose DNS counts.
    OtherNode,
    /// Flows were selected before they came here.
    Selected,
    /// No DNS of the node was recorded, or not since something was lost.
    NotRecorded,
    /// It was not recorded for long enough.
    TooShort {
        /// Since when, in nanoseconds since 1970 UTC.
        since: i64,
        /// Longer than so many seconds would be enough.
        needed: u32,
    },
    /// A name of the address has expired, and an open connection may keep it.
    Expired,
    /// The flow does not carry the labels of the address, or the label of another name.
    Labels,
}

/// What is known of the names of a row's addresses.
pub(super) struct Names<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) at: Position,
    pub(super) options: &'a Options,
    /// What is recorded of the DNS of the row's node, or why that does not count.
    pub(super) record: Result<DnsRecord, NamesDoubt>,
}

/// Names of one address.
pub(super) struct OfAddress {
    pub(super) names: Vec<Arc<str>>,
    /// Why it may have others; `None` where it has not.
    pub(super) doubt: Option<NamesDoubt>,
}

impl Names<'_> {
    /// The names of an address of a row beside those that the flow carries.
    pub(super) fn of(
        &self,
        row: RowRef<'_>,
        endpoint: Option<&Endpoint>,
        address: IpAddr,
    ) -> OfAddress {
        let Some(time) = row.time() else {
            return OfAddress {
                names: Vec::new(),
                doubt: Some(NamesDoubt::NotRecorded),
            };
        };
        let node = row.str(row.node());
        let told = self.ledger.names(node, address, time, self.at);
        OfAddress {
            names: told.names,
            doubt: match self.recorded(time) {
                Err(doubt) => Some(doubt),
                Ok(()) if told.other => Some(NamesDoubt::Expired),
                Ok(()) if !is_nameless(endpoint) => Some(NamesDoubt::Labels),
                Ok(()) => None,
            },
        }
    }

    fn recorded(&self, time: i64) -> Result<(), NamesDoubt> {
        let record = self.record?;
        let kept = record.longest.max(self.options.min_ttl);
        let needed = kept.saturating_add(self.options.idle_grace);
        match record.since {
            None => Err(NamesDoubt::NotRecorded),
            Some(since) if !record.covers(time, needed) => {
                Err(NamesDoubt::TooShort { since, needed })
            }
            Some(_) => Ok(()),
        }
    }
}

/// Whether the recorded identity says that the agent knew no name that a rule asks for.
fn is_nameless(endpoint: Option<&Endpoint>) -> bool {
    endpoint.is_some_and(|endpoint| {
        let labels = &endpoint.labels;
        if labels.is_empty() {
            WORLD.contains(&endpoint.identity)
        } else {
            !labels.iter().any(|label| label.starts_with("fqdn:"))
        }
    })
}
