//! What a flow adds to its connection, and beside it.
//!
//! Owns naming both ends, the flow that the connection is referred to by, and handing the
//! rest to whoever keeps it: verdicts, counters, exchanges of layer 7, services.

use super::belonging::{destination, source};
use super::entry::{Entry, Place};
use super::exchange::{Part, Spoken};
use super::fold::Fold;
use super::names::Names;
use super::record::{Folded, JudgedSide};
use super::recording::add_judged;
use super::sight::{Event, Sight};
use crate::flow::{NO_TIME, RowRef, SockPoint, tuple_hash};
use crate::policy::Direction;

impl Fold {
    pub(super) fn add(
        &mut self,
        row: RowRef<'_>,
        sight: &Sight,
        place: &Place,
        judged: Option<JudgedSide>,
        at: u32,
    ) {
        let Self {
            table,
            names,
            recorded,
            judged: judgements,
            asked,
            ..
        } = self;
        let Some(entry) = table.get_mut(at) else {
            return;
        };
        if entry.is_turned_by(sight, place) {
            for side in [&entry.egress, &entry.ingress] {
                recorded.release(side.recorded);
                judgements.release(side.judged);
            }
        }
        let is_first = entry.rows == 0;
        entry.orient(sight, place, asked);
        let from_client = entry.client_is_low() == place.source_is_low;
        let place = Place {
            reference: reference(row, entry, place, names),
            ..*place
        };
        entry.add(row, sight, &place, asked);
        let (client, server) = if from_client {
            (source(row), destination(row))
        } else {
            (destination(row), source(row))
        };
        let (party, rank) = names.party(row, client, false);
        if rank > entry.client_rank {
            (entry.client, entry.client_rank) = (party, rank);
        }
        let (party, rank) = names.party(row, server, true);
        if rank > entry.server_rank {
            (entry.server, entry.server_rank) = (party, rank);
        }
        if entry.service == 0 {
            let id = if from_client {
                row.destination_service()
            } else {
                row.source_service()
            };
            entry.service = names.service(row, id);
            if entry.service == 0 && is_first {
                let (client, server) = entry.key.ends(entry.client_is_low());
                let protocol = entry.key.protocol;
                entry.service = self.services.of(protocol, client, server, place.time);
            }
        }
        if from_client {
            self.recordings.add(row, sight, entry, recorded);
            if let Some(judged) = judged {
                add_judged(sight, judged, entry, judgements);
            }
        }
        self.aggregates.add(row, sight, from_client, entry);
        if matches!(
            sight.event,
            Event::Request | Event::Response | Event::Sample
        ) {
            let mark = judged.map_or(0, |judged| judged.mark);
            self.speak(row, sight, (place.time, mark), at);
        }
        if sight.fin || sight.rst {
            self.table.requeue(at);
        }
    }

    fn speak(&mut self, row: RowRef<'_>, sight: &Sight, (time, mark): (i64, u32), at: u32) {
        let Some(entry) = self.table.get_mut(at) else {
            return;
        };
        let spoken = Spoken {
            key: entry.key,
            part: match sight.event {
                Event::Request => Part::Request,
                Event::Response => Part::Response,
                _ => Part::Whole,
            },
            direction: sight.direction.unwrap_or(Direction::Egress),
            time,
            denied: sight.refused,
            client: entry.client,
            server: entry.server,
            port: entry.key.ends(entry.client_is_low()).1.port(),
            mark,
        };
        if self.exchanges.push(row, &spoken) {
            entry.exchanges = entry.exchanges.saturating_add(1);
        }
        while self.exchanges.is_over_full() {
            let Some(pending) = self.exchanges.pop_due(i64::MAX) else {
                break;
            };
            self.counts.exchanges_cut += 1;
            let exchange = self.exchange(pending);
            self.ready.push(Folded::Exchange(exchange));
        }
    }

    /// A socket's service, and then its backend.
    pub(super) fn translated(&mut self, row: RowRef<'_>) {
        let Some(extra) = row.extra().filter(|extra| extra.socket_cookie != 0) else {
            return;
        };
        let time = self.clock;
        match extra.sock_point {
            SockPoint::SOCK_XLATE_POINT_PRE_DIRECTION_FWD => {
                let service = self.names.service(row, row.destination_service());
                if service != 0 {
                    self.services.ask(extra.socket_cookie, service, time);
                }
            }
            SockPoint::SOCK_XLATE_POINT_POST_DIRECTION_FWD => {
                let (client, server) = self.ends(row);
                let server = server.with_port(row.destination_port() as u16);
                let call = (row.protocol(), client, server);
                self.services.translate(extra.socket_cookie, call, time);
            }
            _ => {}
        }
    }
}

/// The hash of a flow's tuple, if it is the first one of its connection; of several at one
/// time the one of the first node, then of the smallest hash.
fn reference(row: RowRef<'_>, entry: &Entry, place: &Place, names: &Names) -> Option<u64> {
    if entry.rows > 0 && entry.first != NO_TIME && place.time > entry.first {
        return None;
    }
    let hash = tuple_hash(row);
    if entry.rows == 0 || entry.first == NO_TIME || place.time < entry.first {
        return Some(hash);
    }
    let known = (names.node_name(entry.reference_node), entry.reference_hash);
    ((names.node_name(place.node), hash) < known).then_some(hash)
}
