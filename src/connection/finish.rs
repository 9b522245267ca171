//! An open connection or exchange, as it comes out.
//!
//! Owns turning numbers back into names.

use super::entry::{CHANGED, DRIFT, Entry, SideState, bits, gap_of};
use super::exchange::Pending;
use super::fold::Fold;
use super::peer::{Edge, Peer, PeerId};
use super::record::{Connection, Exchange, Opening, Side, Tuple};
use super::sight::Certainty;

impl Fold {
    pub(super) fn connection(&self, entry: &Entry) -> Connection {
        let (client_end, server_end) = entry.key.ends(entry.client_is_low());
        let (client, server) = entry.addresses();
        let edge = Edge {
            client: self.names.peer(entry.client),
            server: self.names.peer(entry.server),
            port: server_end.port(),
            protocol: entry.key.protocol,
        };
        let opened = entry.is_opened();
        let asked = self.asked.get(entry.asked).copied();
        let asked = asked.unwrap_or_default();
        Connection {
            tuple: Tuple {
                protocol: entry.key.protocol,
                client,
                client_port: client_end.port(),
                server,
                server_port: server_end.port(),
            },
            edge,
            first: entry.first,
            last: entry.last,
            opening: if opened {
                Opening::Seen
            } else {
                Opening::Missed
            },
            outcome: entry.outcome(asked.reason()),
            answered: entry.answered(),
            oriented: entry.certainty > Certainty::AsSent,
            attempts: if opened {
                entry.attempts(asked.packets())
            } else {
                0
            },
            weight: self.aggregates.weight(entry, self.is_outside(edge.server)),
            rows: u64::from(entry.rows),
            busy: u32::from(entry.busy),
            reset: entry.has(bits::RESET),
            refused: entry.refused(),
            closed: entry.has(bits::RESET | bits::FIN_LOW | bits::FIN_HIGH),
            encrypted: entry.has(bits::ENCRYPTED),
            plain: entry.has(bits::PLAIN),
            egress: self.side(&entry.egress),
            ingress: self.side(&entry.ingress),
            service: self.names.service_name(entry.service),
            reference: (
                self.names.node_name(entry.reference_node),
                entry.first,
                entry.reference_hash,
            ),
            exchanges: entry.exchanges,
            alone: entry.has(bits::ALONE),
        }
    }

    pub(super) fn exchange(&self, pending: Pending) -> Exchange {
        Exchange {
            edge: Edge {
                client: self.names.peer(pending.client),
                server: self.names.peer(pending.server),
                port: pending.port,
                protocol: pending.protocol(),
            },
            time: pending.time,
            settled: pending.due(),
            latency: pending.latency,
            answered: pending.answered,
            denied: pending.denied,
            weight: 1,
            marks: pending.marks,
            kind: pending.kind,
        }
    }

    fn is_outside(&self, peer: PeerId) -> bool {
        match self.names.peers().get(peer) {
            Peer::Name(_) | Peer::Prefix(_) => true,
            Peer::Entity(name) => &**name == "world",
            _ => false,
        }
    }

    fn side(&self, side: &SideState) -> Side {
        let judged = self.judged.get(side.judged);
        Side {
            node: self.names.node_name(side.node),
            recorded: self.recorded.get(side.recorded).cloned(),
            computed: judged.and_then(|judged| judged.computed),
            gap: gap_of(side.gap),
            drift: side.differs & DRIFT != 0,
            changed: side.differs & CHANGED != 0,
            unknown: judged.and_then(|judged| judged.unknown),
            mark: judged.map_or(0, |judged| judged.mark),
        }
    }
}
