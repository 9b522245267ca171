//! What comes out does not depend on batches, nor on the order within a second.

use proptest::prelude::*;

use super::*;

/// One connection of a made-up stream: what it does, when it begins in milliseconds, how far
/// the server's clock is off.
fn connection(port: u32, kind: u8, start: i64, skew: i64) -> Vec<Flow> {
    let start = start * MILLI;
    let there = |time: i64| time + skew * MILLI;
    let flows = match kind % 4 {
        0 => vec![
            verdict(start, Direction::EGRESS, Verdict::FORWARDED),
            syn(start + 1_000),
            verdict(there(start + MILLI), Direction::INGRESS, Verdict::FORWARDED).on("c/b"),
            syn_ack(start + 2 * MILLI),
            data(start + 3 * MILLI),
            fin(start + 50 * MILLI),
        ],
        1 => [0, 1_000, 3_000, 7_000]
            .iter()
            .flat_map(|after| refused(start + after * MILLI))
            .collect(),
        2 => vec![udp(syn(start)), udp(syn_ack(start + MILLI))],
        _ => vec![
            data(start),
            data(there(start + MILLI))
                .on("c/b")
                .with(|row| row.trace_point = TracePoint::TO_ENDPOINT),
        ],
    };
    flows
        .into_iter()
        .map(|flow| flow.client_port(port))
        .collect()
}

impl Flow {
    /// As another connection: its client's port, whichever way the packet goes.
    fn client_port(mut self, port: u32) -> Self {
        if self.row.source_port == CLIENT.1 {
            self.row.source_port = port;
        } else {
            self.row.destination_port = port;
        }
        self
    }
}

pub(super) fn stream() -> impl Strategy<Value = Vec<Flow>> {
    proptest::collection::vec((any::<u8>(), 0..200_000_i64, -900..900_i64), 1..20).prop_map(|all| {
        let mut flows: Vec<Flow> = all
            .into_iter()
            .enumerate()
            .flat_map(|(at, (kind, start, skew))| {
                connection(20_000 + at as u32, kind, start + 5_000, skew)
            })
            .collect();
        flows.sort_by_key(|flow| (flow.row.time, flow.node));
        flows
    })
}

fn sorted(out: &Out) -> Vec<String> {
    let mut shown: Vec<String> = out
        .connections
        .iter()
        .map(|one| {
            let peers = (out.shown(one.edge.client), out.shown(one.edge.server));
            format!(
                "{peers:?} {:?}",
                Connection {
                    edge: Edge {
                        client: PeerId(0),
                        server: PeerId(0),
                        ..one.edge
                    },
                    ..one.clone()
                }
            )
        })
        .collect();
    shown.sort();
    shown
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn batches_do_not_matter(flows in stream(), size in 1..40_usize, most in 2..40_usize) {
        let options = FoldOptions { connections: most, ..FoldOptions::default() };
        let whole = fold_with(options, &flows, flows.len());
        let pieces = fold_with(options, &flows, size);
        prop_assert_eq!(whole.connections, pieces.connections);
    }

    #[test]
    fn order_within_a_second_does_not_matter(flows in stream(), seed in any::<u64>()) {
        let mut shuffled = flows.clone();
        shuffled.sort_by_key(|flow| {
            let tick = flow.row.time.div_euclid(SECOND);
            let mut mixed = seed ^ flow.row.time as u64 ^ u64::from(flow.row.source_port) << 40;
            mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (tick, mixed ^ mixed >> 29)
        });
        let ordered = fold_with(FoldOptions::default(), &flows, 64);
        let shuffled = fold_with(FoldOptions::default(), &shuffled, 64);
        prop_assert_eq!(sorted(&ordered), sorted(&shuffled));
    }
}
