//! Recordings folded into connections: nothing is lost, and a known one gives known numbers.

mod truth;

use std::path::{Path, PathBuf};

use flowwatch::connection::{Connection, Exchange, Fold, FoldCounts, Folded, Outcome, Peer};
use flowwatch::flow::{BatchBuilder, FlowBatch, Protocol};
use flowwatch::source::file::{ChunkReader, LineDecoder, inputs};

use crate::support;

/// What a recording folds into.
struct Out {
    connections: Vec<Connection>,
    exchanges: Vec<Exchange>,
    fold: Fold,
}

impl Out {
    fn of(path: &Path) -> Self {
        let batches = read(path);
        let mut rows: Vec<(i64, usize, usize)> = Vec::new();
        for (at, batch) in batches.iter().enumerate() {
            for row in batch.rows() {
                rows.push((row.time().unwrap_or(i64::MIN), at, row.index()));
            }
        }
        rows.sort_unstable();
        let mut fold = Fold::default();
        let (mut connections, mut exchanges) = (Vec::new(), Vec::new());
        let mut out = |folded| match folded {
            Folded::Opened(_) => {}
            Folded::Connection(connection) => connections.push(connection),
            Folded::Exchange(exchange) => exchanges.push(exchange),
        };
        for (_, at, index) in rows {
            fold.push(batches[at].row(index), None, &mut out);
        }
        fold.finish(&mut out);
        Self {
            connections,
            exchanges,
            fold,
        }
    }

    fn counts(&self) -> FoldCounts {
        self.fold.counts()
    }

    fn rows(&self) -> u64 {
        self.connections.iter().map(|one| one.rows).sum()
    }

    fn edge(&self, one: &Connection) -> String {
        let peers = self.fold.peers();
        let (client, server) = (peers.get(one.edge.client), peers.get(one.edge.server));
        format!("{client} > {server}:{}", one.edge.port)
    }
}

fn read(path: &Path) -> Vec<FlowBatch> {
    let input = inputs(&[path.to_owned()]).expect("an input").remove(0);
    let mut reader = ChunkReader::new(input.open().expect("a readable file"));
    let mut decoder = LineDecoder::new(BatchBuilder::default());
    let mut batches = Vec::new();
    while let Some(chunk) = reader.next_chunk() {
        decoder.decode(&chunk, |_, batch| batches.push(batch));
    }
    batches
}

/// By hand, of the lines of the sample: 679 flows, 28 of them translations at sockets. The
/// others have 153 tuples of which none is used twice. A scan and a stranger are refused
/// at 82 of them, in 170 flows: 85 packets recorded twice, three of them retries. 48
/// requests have 48 responses.
#[test]
fn the_sample_is_the_connections_it_was_made_of() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/shop.jsonl");
    let out = Out::of(&path);
    let counts = out.counts();
    assert_eq!(
        (counts.rows, counts.socket_events, counts.apart()),
        (679, 28, 28)
    );
    assert_eq!((counts.alone, counts.late, counts.cut), (0, 0, 0));
    assert_eq!(out.rows(), 651);

    let of = |protocol| {
        out.connections
            .iter()
            .filter(|one| one.tuple.protocol == protocol)
            .count()
    };
    let protocols = [Protocol::Tcp, Protocol::Icmpv4, Protocol::Udp].map(of);
    assert_eq!(protocols, [125, 14, 14]);
    let dropped: Vec<&Connection> = out
        .connections
        .iter()
        .filter(|one| matches!(one.outcome, Outcome::Dropped(_)))
        .collect();
    assert_eq!(dropped.len(), 82);
    let attempts: u32 = dropped.iter().map(|one| one.attempts).sum();
    assert_eq!(attempts, 85);
    assert_eq!(out.exchanges.len(), 48);
    assert_eq!(out.exchanges.iter().filter(|one| one.denied).count(), 3);
    let on_connections: u32 = out.connections.iter().map(|one| one.exchanges).sum();
    assert_eq!(on_connections, 48);
    assert!(out.connections.iter().all(|one| one.oriented));

    // The shop calls checkout by its service, through the proxy of checkout.
    let called = out
        .connections
        .iter()
        .find(|one| one.tuple.client_port == 46_465)
        .expect("the first call");
    assert_eq!(out.edge(called), "shop/frontend > shop/checkout:8080");
    assert_eq!((called.attempts, called.exchanges), (1, 1));
    assert_eq!(&*called.service, "shop/checkout");
    assert!(called.answered && called.closed);
    assert_eq!(&*called.egress.node, "shop-prod/worker-2");
    assert_eq!(&*called.ingress.node, "shop-prod/worker-2");

    // The database connection was open before, and is silent for longer than a minute.
    let old = out
        .connections
        .iter()
        .find(|one| one.tuple.client_port == 34_779)
        .expect("the database connection");
    assert_eq!(out.edge(old), "payments/payments > payments/database:5432");
    assert_eq!((old.attempts, old.rows), (0, 10));
}

#[test]
fn recordings_of_the_corpus_fold_without_loss() {
    let Some(corpus) = support::shared("FLOWWATCH_CORPUS", "corpus") else {
        return;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(corpus.join("flows"))
        .expect("flows of the corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 18);
    let mut seen = Vec::new();
    for path in files {
        let out = Out::of(&path);
        let counts = out.counts();
        assert_eq!(
            out.rows() + counts.apart(),
            counts.rows,
            "{}",
            path.display()
        );
        assert_eq!((counts.late, counts.cut), (0, 0), "{}", path.display());
        for one in &out.connections {
            assert!(one.rows > 0 && one.weight > 0, "{one:?}");
            let peers = out.fold.peers();
            let named = [one.edge.client, one.edge.server]
                .iter()
                .any(|id| *peers.get(*id) != Peer::Unknown);
            assert!(named || one.tuple.client.is_some(), "{one:?}");
        }
        let name = path.file_name().expect("a file").to_string_lossy();
        seen.push((name.into_owned(), out.connections.len(), counts.apart()));
    }
    let of = |start: &str| {
        seen.iter()
            .filter(|(name, ..)| name.contains(start))
            .map(|&(_, connections, apart)| (connections, apart))
            .collect::<Vec<_>>()
    };
    // Without addresses: three pairs of ports.
    assert_eq!(of("KKamJi"), [(3, 0)]);
    // DNS of one socket, and a call that the node's address hides on the other node.
    assert_eq!(of("prepared-flows"), [(3, 0)]);
    // A router solicitation is no connection.
    assert_eq!(of("docs-export"), [(1, 1)]);
    // One connection in two clusters.
    assert_eq!(of("implementation-poc__29"), [(1, 0)]);
    // Three that audit let pass; two refused, of which one was tried twice.
    assert_eq!(of("implementation-poc__32"), [(5, 0)]);
    assert_eq!(of("implementation-poc__41"), [(8, 0)]);
    assert_eq!(of("aks-networkflow"), [(1, 0)]);
}
