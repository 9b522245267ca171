//! Counters of aggregated rows.
//!
//! Owns adding them up by who counted, and choosing one side's: the two sides count the
//! same flows.

use super::entry::Entry;
use super::sight::Sight;
use super::slab::Slab;
use crate::flow::{Aggregate, RowRef};
use crate::policy::Direction;

/// Counters by the direction that was counted in, of packets of the client and of the
/// server.
type Counters = [[u64; 3]; 2];

/// Counters of the connections that have some.
#[derive(Debug, Default)]
pub(super) struct Aggregates {
    counters: Slab<Counters>,
}

impl Aggregates {
    /// Adds what a row stands for, if that is more than itself.
    pub(super) fn add(
        &mut self,
        row: RowRef<'_>,
        sight: &Sight,
        from_client: bool,
        entry: &mut Entry,
    ) {
        let Some(counted) = counted(row, sight) else {
            return;
        };
        if let Some(counters) = self.counters.at(&mut entry.aggregate) {
            let counters = &mut counters[usize::from(!from_client)];
            let added = [counted.ingress, counted.egress, counted.unknown];
            for (counter, added) in counters.iter_mut().zip(added) {
                *counter = counter.saturating_add(u64::from(added));
            }
        }
    }

    /// What a connection stands for: 1 without counters.
    pub(super) fn weight(&self, entry: &Entry, to_world: bool) -> u64 {
        let Some([client, server]) = self.counters.get(entry.aggregate) else {
            return 1;
        };
        let [ingress, egress, unknown] = if client.iter().any(|counter| *counter > 0) {
            *client
        } else {
            *server
        };
        let order = if to_world {
            [egress, ingress, unknown]
        } else {
            [ingress, egress, unknown]
        };
        order.into_iter().find(|counter| *counter > 0).unwrap_or(1)
    }

    pub(super) fn release(&mut self, at: u32) {
        self.counters.release(at);
    }
}

fn counted(row: RowRef<'_>, sight: &Sight) -> Option<Aggregate> {
    if let Some(aggregate) = row.extra().and_then(|extra| extra.aggregate) {
        return Some(aggregate);
    }
    let weight = row.weight();
    (weight > 1).then(|| match sight.direction {
        Some(Direction::Ingress) => Aggregate {
            ingress: weight,
            ..Aggregate::default()
        },
        Some(Direction::Egress) => Aggregate {
            egress: weight,
            ..Aggregate::default()
        },
        None => Aggregate {
            unknown: weight,
            ..Aggregate::default()
        },
    })
}
