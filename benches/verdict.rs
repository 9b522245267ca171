//! What does a verdict cost, and does that grow with the policies?
//!
//! `verdict`: a decision made before (warm), a new one for a pod and for an address (cold),
//! beside a walk over every rule (naive). `policies`: the same from 10 to 10,000 policies,
//! on traffic by Zipf's law and cold. `compile`: a large set, and one policy of it changed.
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

use common::cluster::{Cluster, TCP};
use flowwatch::inventory::{Identity, Label};
use flowwatch::policy::{
    Compiled, Direction, IdentityIndex, LabelSelector, Memo, Operator, PeerSelector, PolicyEntry,
    PolicySet, Port, PortProtocol, Protocol, Question, Source,
};

mod common;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 7;

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
        let few: Vec<Question> = questions.iter().copied().take(100).collect();
        let naive = cost(&few, |question| walk(&set, &cluster.identities, question));
        println!(
            "verdict cold, {name}: {cold:.1} ns (target {target}); naive {naive:.0} ns, {:.0} times",
            naive / cold
        );
    }
    let traffic = cluster.traffic();
    let warm = cost(&traffic, |question| {
        let decision = memo.decide(&compiled, question);
        u64::from(decision.enforced)
    });
    println!("verdict warm: {warm:.1} ns (target 10)");
}

fn growth() {
    let mut first: Option<(f64, f64)> = None;
    for policies in [10, 100, 1_000, 10_000] {
        let cluster = Cluster::new(2_000, policies);
        let compiled = cluster.compiled(cluster.set());
        let (traffic, cold) = (cluster.traffic(), cluster.cold(false));
        let mut memo = Memo::new();
        let zipf = cost(&traffic, |question| {
            let decision = memo.decide(&compiled, question);
            u64::from(decision.enforced)
        });
        let _ = cost(&cold, |question| decide(&compiled, question));
        let cold = cost(&cold, |question| decide(&compiled, question));
        let (zipf_first, cold_first) = *first.get_or_insert((zipf, cold));
        println!(
            "policies {policies}: Zipf {zipf:.1} ns, {:.2} times the first (target 1.3); cold {cold:.1} ns, {:.2} times (target 3)",
            zipf / zipf_first,
            cold / cold_first
        );
    }
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

fn decide(compiled: &Compiled, question: Question) -> u64 {
    let decision = compiled.decide(
        question.subject,
        question.direction,
        question.peer,
        TCP,
        question.port,
    );
    u64::from(decision.enforced)
}

/// Median nanoseconds a question.
fn cost(questions: &[Question], mut ask: impl FnMut(Question) -> u64) -> f64 {
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            let mut sum = 0;
            for question in questions {
                sum += ask(*question);
            }
            black_box(sum);
            began.elapsed()
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2].as_nanos() as f64 / questions.len() as f64
}

/// Every rule of the set, one after the other: whether one denies, or one allows.
fn walk(set: &PolicySet, identities: &[Identity], question: Question) -> u64 {
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
    u64::from(selected && allowed && !denied)
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
