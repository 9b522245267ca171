//! What does a verdict cost, and does that grow with the policies?
//!
//! `verdict`: a decision made before (warm), a new one for a pod and for an address (cold),
//! beside a walk over every rule (naive). `policies`: the same from 10 to 10,000 policies,
//! on traffic by Zipf's law and cold. `compile`: a large set, and one policy of it changed.
//!
//! Nothing but the policies changes from 10 to 10,000: same pods, same calls, same traffic,
//! which is held to. Traffic draws calls by rank with exponent 1, about a quarter of the
//! questions are distinct, and it says how many the memo decided again. A figure is the
//! least of many rounds, and sizes take turns, because other programs only ever add time. A
//! decision counts as made when all of it is in memory.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::cluster::{Cluster, QUESTIONS, TCP};
use flowwatch::inventory::{Identity, Label};
use flowwatch::policy::{
    Compiled, Direction, IdentityIndex, LabelSelector, Memo, Operator, PeerSelector, PolicyEntry,
    PolicySet, Port, PortProtocol, Protocol, Question, Source,
};

mod common;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 15;
/// How often the sizes take turns.
const TURNS: usize = 4;

fn main() {
    let only = std::env::args()
        .nth(1)
        .filter(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| name.starts_with(only));
    if wanted("verdict") {
        verdicts();
    }
    if wanted("policies") {
        growth();
    }
    if wanted("compile") {
        compile();
    }
}

fn verdicts() {
    let cluster = Cluster::new(2_000, 1_000);
    let set = cluster.set();
    let compiled = cluster.compiled(set.clone());
    let mut memo = Memo::new();
    for (name, questions, target) in [
        ("pods", cluster.cold(false), 40.0),
        ("addresses", cluster.cold(true), 100.0),
    ] {
        // Tables are built when a subject is first asked about: that is part of compiling.
        let _ = cost(&questions, |question| decide(&compiled, question));
        let cold = cost(&questions, |question| decide(&compiled, question));
        // Short rounds, so that some are not interrupted.
        let few: Vec<Question> = questions.iter().copied().take(20).collect();
        let naive = cost(&few, |question| {
            black_box(walk(&set, &cluster.identities, question));
        });
        println!(
            "verdict cold, {name}: {cold:.1} ns (target {target}); naive {naive:.0} ns, {:.0} times",
            naive / cold
        );
    }
    let traffic = cluster.traffic();
    let warm = cost(&traffic, |question| {
        black_box(&memo.decide(&compiled, question));
    });
    let direct = cost(&traffic, |question| decide(&compiled, question));
    println!("verdict warm: {warm:.1} ns (target 10); without the memo {direct:.1} ns");
}

/// A number of policies, and the least that was measured with them.
struct Size {
    policies: usize,
    compiled: Compiled,
    memo: Memo,
    zipf: f64,
    cold: f64,
}

fn growth() {
    let (mut traffic, mut cold) = (Vec::new(), Vec::new());
    let mut sizes = [10, 100, 1_000, 10_000].map(|policies| {
        let cluster = Cluster::new(2_000, policies);
        let questions = (cluster.traffic(), cluster.cold(false));
        if traffic.is_empty() {
            (traffic, cold) = questions;
        } else {
            assert!((&traffic, &cold) == (&questions.0, &questions.1));
        }
        Size {
            policies,
            compiled: cluster.compiled(cluster.set()),
            memo: Memo::new(),
            zipf: f64::MAX,
            cold: f64::MAX,
        }
    });
    for size in &mut sizes {
        let distinct = decided(size, &traffic);
        let again = decided(size, &traffic);
        println!(
            "policies {}: {QUESTIONS} questions, {distinct} decided, {again} when all are asked again",
            size.policies
        );
        let _ = cost(&cold, |question| decide(&size.compiled, question));
    }
    for _ in 0..TURNS {
        for size in &mut sizes {
            let zipf = cost(&traffic, |question| {
                black_box(&size.memo.decide(&size.compiled, question));
            });
            let cold = cost(&cold, |question| decide(&size.compiled, question));
            size.zipf = size.zipf.min(zipf);
            size.cold = size.cold.min(cold);
        }
    }
    let (zipf_first, cold_first) = (sizes[0].zipf, sizes[0].cold);
    for Size {
        policies,
        zipf,
        cold,
        ..
    } in sizes
    {
        println!(
            "policies {policies}: Zipf {zipf:.1} ns, {:.2} times the first (target 1.3); cold {cold:.1} ns, {:.2} times (target 3)",
            zipf / zipf_first,
            cold / cold_first
        );
    }
}

/// How many of the questions the memo did not know.
fn decided(size: &mut Size, questions: &[Question]) -> usize {
    let Size { compiled, memo, .. } = size;
    let mut decided = 0;
    for question in questions {
        memo.remember(compiled.generation(), *question, || {
            decided += 1;
            compiled.decide(
                question.subject,
                question.direction,
                question.peer,
                question.protocol,
                question.port,
            )
        });
    }
    decided
}

fn compile() {
    let cluster = Cluster::new(20_000, 10_000);
    let before = resident();
    let began = Instant::now();
    let set = cluster.set();
    let built = began.elapsed();
    let compiled = cluster.compiled(set.clone());
    // Every pod is asked about once, both ways, so that every table is built.
    for pod in 0..cluster.world.workloads.len() {
        let subject = IdentityIndex(cluster.world.identity_of_workload(pod) as u32);
        for direction in [Direction::Ingress, Direction::Egress] {
            black_box(compiled.decide(subject, direction, subject, TCP, 80));
        }
    }
    let all = began.elapsed();
    println!(
        "compile {} policies x {} identities: {:.2} s (target 5), of which reading objects {:.2} s; {} MB more memory (target 500)",
        set.objects.len(),
        cluster.identities.len(),
        all.as_secs_f64(),
        built.as_secs_f64(),
        (resident() - before) / 1_000_000
    );
    let mut changed = set;
    changed.entries.pop();
    let changed = Arc::new(changed);
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let began = Instant::now();
            black_box(compiled.with_set(Arc::clone(&changed)));
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!(
        "compile, one policy changed: {} ms (target 100)",
        times[times.len() / 2].as_millis()
    );
}

fn decide(compiled: &Compiled, question: Question) {
    black_box(&compiled.decide(
        question.subject,
        question.direction,
        question.peer,
        TCP,
        question.port,
    ));
}

/// Nanoseconds a question, in the round that took least.
fn cost(questions: &[Question], mut ask: impl FnMut(Question)) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let began = Instant::now();
        for question in questions {
            ask(*question);
        }
        began.elapsed()
    });
    rounds.min().unwrap_or_default().as_nanos() as f64 / questions.len() as f64
}

/// Every rule of the set, one after the other: whether one denies, or one allows.
fn walk(set: &PolicySet, identities: &[Identity], question: Question) -> bool {
    let subject = &identities[question.subject.0 as usize];
    let peer = &identities[question.peer.0 as usize];
    let (mut denied, mut allowed, mut selected) = (false, false, false);
    for entry in &set.entries {
        if entry.direction != question.direction || !has(&entry.subject.selector, &subject.labels) {
            continue;
        }
        selected = true;
        if fits_peer(entry, peer) && fits_port(entry, question.port) {
            denied |= entry.deny;
            allowed |= !entry.deny;
        }
    }
    selected && allowed && !denied
}

fn fits_peer(entry: &PolicyEntry, peer: &Identity) -> bool {
    entry.peers.as_ref().is_none_or(|peers| {
        peers.iter().any(|selector| match selector {
            PeerSelector::Everyone => true,
            PeerSelector::Labels(selector) => has(selector, &peer.labels),
            PeerSelector::Cidr { prefix, except } => peer.address.is_some_and(|address| {
                prefix.contains(&address) && !except.iter().any(|net| net.contains(&address))
            }),
            PeerSelector::CidrGroups { .. } => false,
            PeerSelector::Fqdn { name, .. } => peer.names.iter().any(|own| own == name),
        })
    })
}

fn fits_port(entry: &PolicyEntry, port: u16) -> bool {
    let fits = |asked: &PortProtocol| {
        matches!(asked.protocol, Protocol::Tcp | Protocol::Any)
            && match asked.port {
                Port::Number(0) => true,
                Port::Number(first) => (first..=asked.end_port.max(first)).contains(&port),
                Port::Name(_) => false,
            }
    };
    entry.ports.is_empty() || entry.ports.iter().flat_map(|rule| &rule.ports).any(fits)
}

fn has(selector: &LabelSelector, labels: &[Label]) -> bool {
    selector.requirements().all(|requirement| {
        let label = labels.iter().find(|label| {
            label.key == requirement.key.name
                && match &requirement.key.source {
                    Source::Any => true,
                    Source::Of(source) => *source == label.source,
                }
        });
        let among = label.is_some_and(|label| requirement.values.contains(&label.value));
        match requirement.operator {
            Operator::In => among,
            Operator::NotIn => !among,
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
        }
    })
}

/// Bytes of memory in use.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1_024
}
