//! Two sets on flows that are made up, against verdicts entry by entry.
//!
//! The flows of a repository's policies are made from the selectors of these; what a changed
//! policy does to each of them is found without any of the code that is tested: the naive
//! evaluator of `policy`, over all flows.

pub(in crate::review) mod cluster;
mod mutation;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::connection::FoldOptions;
use crate::engine::{Given, Pass, Policies};
use crate::flow::FlowBatch;
use crate::inventory::Inventory;
use crate::manifest::{self, Document, LoadOptions};
use crate::source::file::{ChunkReader, LineDecoder};
use cluster::Cluster;
use mutation::mutate;

/// What changes: client, server, port, protocol, how, and for how many.
type Changes = BTreeMap<(String, String, u16, &'static str, &'static str), u64>;

#[test]
fn the_same_policies_change_nothing() {
    let documents = load(&[Path::new("samples/policies")]);
    let cluster = Cluster::of(&documents);
    let simulation = simulate(&cluster.lines(), documents.clone(), documents);
    assert_eq!(simulation.connections.all, cluster.flows.len() as u64);
    assert!(simulation.connections.pass > 0 && simulation.connections.denied > 0);
    assert!(simulation.rows.is_empty() && simulation.objects.is_empty());
    assert!(simulation.connections.changed.is_empty());
}

/// Scenario: comments and blank lines move rules, keys are in another order.
/// Guarantees: a rule is known by what it says.
#[test]
fn where_a_rule_is_written_changes_nothing() {
    let text = std::fs::read_to_string("samples/policies/shop.yaml").unwrap();
    let base = manifest::read(&text, "a.yaml".into()).documents;
    let moved = text.replace("  ingress:\n", "  # moved\n\n  ingress:\n");
    let head = manifest::read(&moved, "elsewhere/b.yaml".into()).documents;
    let cluster = Cluster::of(&base);
    let simulation = simulate(&cluster.lines(), scoped(base), scoped(head));
    assert!(simulation.rows.is_empty(), "{:?}", simulation.rows);
    assert!(simulation.objects.is_empty());
}

#[test]
fn one_set_in_place_of_the_other_gives_the_opposite() {
    let base = load(&[Path::new("samples/policies")]);
    let cluster = Cluster::of(&base);
    let mut random = mutation::Random(7);
    let mut changed = 0;
    for _ in 0..12 {
        let Some((head, _)) = mutate(&base, &mut random) else {
            continue;
        };
        let lines = cluster.lines();
        let there = changes(&simulate(&lines, base.clone(), head.clone()));
        let back = changes(&simulate(&lines, head, base.clone()));
        let mirrored: Changes = there
            .iter()
            .map(|((client, server, port, protocol, change), count)| {
                let opposite = match *change {
                    "newly-denied" => "newly-allowed",
                    "newly-allowed" => "newly-denied",
                    "newly-unknown" => "no-longer-unknown",
                    "no-longer-unknown" => "newly-unknown",
                    other => other,
                };
                let key = (client.clone(), server.clone(), *port, *protocol, opposite);
                (key, *count)
            })
            .collect();
        assert_eq!(back, mirrored);
        changed += there.len();
    }
    assert!(changed > 0);
}

#[test]
fn mutations_of_the_samples_change_what_the_naive_evaluator_says() {
    let documents = load(&[Path::new("samples/policies")]);
    let tally = compare_mutations("samples", &documents, 40, 1);
    assert!(tally.changing > 5, "{tally:?}");
}

/// Scenario: repositories that people use, with 200 mutated policies among them.
/// Guarantees: each is reported with exactly the connections it changes.
#[test]
fn mutations_of_real_repositories_change_what_the_naive_evaluator_says() {
    let Some(corpus) = corpus() else {
        println!("skipped: the corpus is not there");
        return;
    };
    let mut repositories: Vec<PathBuf> = std::fs::read_dir(corpus.join("policies"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    repositories.sort();
    let each = 220_usize.div_ceil(repositories.len() - 1);
    let mut sum = Tally::default();
    for (seed, repository) in repositories.iter().enumerate() {
        let documents = load(&[repository]);
        let name = repository.file_name().unwrap().to_string_lossy();
        let tally = compare_mutations(&name, &documents, each, seed as u64 + 11);
        sum.mutations += tally.mutations;
        sum.changing += tally.changing;
        sum.connections += tally.connections;
        sum.unknown += tally.unknown;
    }
    println!("{sum:?}");
    assert!(sum.mutations >= 200, "{sum:?}");
    assert!(sum.changing >= 100, "{sum:?}");
}

#[derive(Debug, Default)]
struct Tally {
    mutations: usize,
    /// Those that change a connection.
    changing: usize,
    connections: u64,
    /// Connections of which the engine says less than the naive evaluator, which has no
    /// notion of it.
    unknown: u64,
}

fn compare_mutations(name: &str, documents: &[Document], count: usize, seed: u64) -> Tally {
    let documents = cluster::modelled(documents);
    let cluster = Cluster::of(&documents);
    let lines = cluster.lines();
    let mut random = mutation::Random(seed);
    let mut tally = Tally::default();
    if cluster.flows.is_empty() {
        return tally;
    }
    for _ in 0..count * 12 {
        if tally.mutations == count {
            break;
        }
        let Some((head, what)) = mutate(&documents, &mut random) else {
            continue;
        };
        let mut in_force = head;
        let options = crate::policy::Options::default();
        keep(&documents, &mut in_force, &[], &options);
        if cluster::modelled(&in_force).len() != in_force.len() {
            continue;
        }
        tally.mutations += 1;
        let simulation = simulate(&lines, documents.clone(), in_force.clone());
        let (mut found, mut expected) =
            (changes(&simulation), cluster.changes(&documents, &in_force));
        found.retain(|(_, _, _, _, change), _| *change != "other-rule");
        // A proxy that was not asked before, or is not any more: nobody saw requests.
        let doubtful: Vec<_> = found
            .iter()
            .filter(|((.., change), _)| change.contains("unknown"))
            .map(|(key, count)| (key.clone(), *count))
            .collect();
        for ((client, server, port, protocol, change), count) in doubtful {
            tally.unknown += count;
            for change in [change, "newly-denied", "newly-allowed"] {
                let key = (client.clone(), server.clone(), port, protocol, change);
                found.remove(&key);
                expected.remove(&key);
            }
        }
        tally.changing += usize::from(!expected.is_empty());
        tally.connections += expected.values().sum::<u64>();
        assert_eq!(found, expected, "{name}: {what}");
    }
    println!("{name}: {} flows, {tally:?}", cluster.flows.len());
    tally
}

pub(in crate::review) fn corpus() -> Option<PathBuf> {
    let path =
        std::env::var("FLOWWATCH_CORPUS").map_or_else(|_| "../shared/corpus".into(), PathBuf::from);
    path.is_dir().then_some(path)
}

pub(in crate::review) fn load(paths: &[&Path]) -> Vec<Document> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    let options = LoadOptions {
        namespace: Some("default".into()),
    };
    let loaded = manifest::load(&paths, &options);
    let documents = loaded.documents.into_iter();
    documents
        .filter(|document| {
            let mut inventory = Inventory::default();
            document.placeholder.is_none()
                && !inventory.add(&document.root, document.scope.namespace())
        })
        .collect()
}

fn scoped(mut documents: Vec<Document>) -> Vec<Document> {
    for document in &mut documents {
        if let Some(namespace) = document.namespace() {
            document.scope = manifest::Scope::Namespace(namespace.into());
        }
    }
    documents
}

pub(in crate::review) fn policies(documents: Vec<Document>) -> Policies {
    Policies::new(Given {
        documents,
        complete: true,
        names_complete: true,
        ..Given::default()
    })
}

/// Judges flows by both sets, as the command does.
fn simulate(lines: &str, base: Vec<Document>, head: Vec<Document>) -> Simulation {
    let (base, head) = (policies(base), policies(head));
    let (base_set, head_set) = (base.any_set(), head.any_set());
    let start = Simulation {
        objects: compare(&base_set, &head_set),
        ..Simulation::default()
    };
    let (base, head) = (
        Arc::new(base.beside(&head_set)),
        Arc::new(head.beside(&base_set)),
    );
    let cases = Arc::<Cases>::default();
    let mut judge = PairJudge::new(base, head, cases.clone());
    let mut gatherer = Gatherer::new(cases);
    let mut pass = Pass::new(FoldOptions::default());
    let mut decoder = LineDecoder::default();
    let mut piece = 0;
    let mut chunks = ChunkReader::new(std::io::Cursor::new(lines.as_bytes().to_vec()));
    while let Some(chunk) = chunks.next_chunk() {
        let mut batches: Vec<FlowBatch> = Vec::new();
        decoder.decode(&chunk, |_, batch| batches.push(batch));
        judge.begin(piece, 0, &batches);
        piece += 1;
        for batch in batches {
            let batch = judge.judge(batch, Vec::new());
            pass.push(0, batch, &mut gatherer);
        }
    }
    pass.finish(&mut gatherer);
    gatherer.finish(Reading::default(), pass.peers(), start)
}

fn changes(simulation: &Simulation) -> Changes {
    let mut changes = Changes::new();
    for row in &simulation.rows {
        let key = (
            row.client.to_string(),
            row.server.to_string(),
            row.port,
            row.protocol.name(),
            row.change.name(),
        );
        *changes.entry(key).or_default() += row.count;
    }
    changes
}
