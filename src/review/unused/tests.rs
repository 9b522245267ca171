//! What is called unused, taken away: against verdicts entry by entry, on random sets and on
//! policies that people use.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use super::*;
use crate::connection::FoldOptions;
use crate::engine::Pass;
use crate::flow::FlowBatch;
use crate::policy::tests::naive::{self, Connection, Naive};
use crate::policy::tests::{connections, identities, set as random_set};
use crate::policy::{Compiled, Direction, IdentityIndex, Options, Question, World};
use crate::review::report::{RowReader, Seen};
use crate::review::simulate::tests::{cluster, corpus, load, policies};
use crate::review::usage::{SideCase, Tally, UsageCases, UsageGatherer, UsageJudge};
use crate::source::file::{ChunkReader, LineDecoder};

type Asked = (IdentityIndex, Direction, IdentityIndex, u8, u16);

fn verdict(set: &PolicySet, asked: &Asked) -> Naive {
    let identities = identities();
    let (subject, direction, peer, protocol, port) = *asked;
    naive::verdict(
        set,
        &Connection {
            subject: &identities[subject.0 as usize],
            peer: &identities[peer.0 as usize],
            direction,
            protocol,
            port,
        },
    )
}

fn passes_naively(verdict: Naive) -> bool {
    matches!(verdict, Naive::Allowed | Naive::Redirected)
}

/// A number from 0 on, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// What is named after these connections.
fn unused(set: &PolicySet, asked: &[Asked]) -> Vec<UnusedRule> {
    let world = World {
        identities: identities(),
        names_complete: true,
        ports_complete: true,
    };
    let compiled = Compiled::new(Arc::new(set.clone()), &world, &Options::default());
    let rules = written(set, &[]);
    let mut tally = Tally::new(set, &rules);
    for (subject, direction, peer, protocol, port) in asked {
        let question = Question {
            subject: *subject,
            direction: *direction,
            peer: *peer,
            protocol: *protocol,
            port: *port,
        };
        let verdict = compiled
            .decide(*subject, *direction, *peer, *protocol, *port)
            .verdict;
        let side = SideCase {
            cluster: 0,
            question,
            verdict,
            request: None,
        };
        tally.subject(&compiled, &question);
        tally.side(&compiled, &side, 1, Seen::default());
    }
    tally.finish();
    judged(set, &rules, tally.uses, true)
}

/// Scenario: 500 random sets, and a few of all connections there could be under each.
/// Guarantees: without all that is named, deleted with its default deny or without, every
/// connection that passed passes, and those that denies refused still are; what is needed is:
/// without it some connection does not pass.
#[test]
fn without_all_that_is_named_nothing_is_denied() {
    let mut runner = TestRunner::deterministic();
    let mut random = Random(7);
    let (mut named, mut parts, mut needed) = (0, 0, 0);
    let all: Vec<Asked> = connections().collect();
    for _ in 0..500 {
        let set = random_set().new_tree(&mut runner).unwrap().current();
        let count = 1 + random.below(24);
        let asked: Vec<Asked> = (0..count)
            .map(|_| all[random.below(all.len() as u64) as usize])
            .collect();
        let rules = unused(&set, &asked);
        let gone: BTreeSet<Piece> = rules.iter().flat_map(UnusedRule::named).collect();
        named += rules.iter().filter(|rule| rule.standing.is_named()).count();
        parts += rules
            .iter()
            .map(|rule| rule.named_parts().count())
            .sum::<usize>();
        let closed = set.without(&gone);
        let mut deleted = closed.clone();
        let mut at = 0..;
        deleted
            .entries
            .retain(|_| !gone.contains(&Piece::Entry(at.next().unwrap())));
        for one in &asked {
            let was = verdict(&set, one);
            if passes_naively(was) {
                assert!(passes_naively(verdict(&closed, one)), "{one:?}\n{rules:#?}");
                assert!(
                    passes_naively(verdict(&deleted, one)),
                    "{one:?}\n{rules:#?}"
                );
            } else if was == Naive::DeniedByRule {
                assert_eq!(verdict(&closed, one), was, "{one:?}\n{rules:#?}");
            }
        }
        let is_plain = set
            .entries
            .iter()
            .all(|entry| entry.ports.iter().all(|rule| rule.l7.is_none()));
        for rule in rules
            .iter()
            .filter(|rule| rule.standing == Standing::Needed)
        {
            if !is_plain {
                continue;
            }
            needed += 1;
            let without = set.without(&rule.rule.pieces().collect());
            assert!(
                asked.iter().any(|one| {
                    passes_naively(verdict(&set, one)) != passes_naively(verdict(&without, one))
                }),
                "{rule:#?}\n{set:#?}"
            );
        }
    }
    println!("{named} rules and {parts} parts named, {needed} needed");
    assert!(named > 300 && parts > 50 && needed > 100);
}

/// Reads flows as the command does.
fn read(lines: &str, policies: &Arc<Policies>) -> Usage {
    let cases = Arc::<UsageCases>::default();
    let mut judge = UsageJudge::new(policies.clone(), &cases);
    let mut gatherer = UsageGatherer::new(cases);
    let mut pass = Pass::new(FoldOptions::default());
    let mut decoder = LineDecoder::default();
    let mut rows = RowReader::default();
    let mut reading = Reading::default();
    let mut piece = 0;
    let mut chunks = ChunkReader::new(std::io::Cursor::new(lines.as_bytes().to_vec()));
    while let Some(chunk) = chunks.next_chunk() {
        let mut batches: Vec<FlowBatch> = Vec::new();
        decoder.decode(&chunk, |_, batch| batches.push(batch));
        judge.begin(piece, 0, &batches);
        piece += 1;
        for batch in batches {
            for notice in batch.notices() {
                reading.notice(notice);
            }
            let mut own = Reading::default();
            rows.batch(&batch, &[], &mut own);
            reading.merge(0, own);
            let batch = judge.judge(batch, Vec::new());
            pass.push(0, batch, &mut gatherer);
        }
    }
    pass.finish(&mut gatherer);
    gatherer.finish(reading, pass.peers())
}

const ALL: Limits = Limits {
    least_seen: 1.0,
    filtered: false,
    least_window: 0,
};

/// Scenario: repositories that people use; of the flows that are made up for each, every
/// third was recorded, with a loss in one of two runs.
/// Guarantees: what is named changes none of the recorded flows, by the naive evaluator;
/// with a loss nothing is named.
#[test]
fn what_is_named_of_real_repositories_is_not_missed() {
    let mut folders: Vec<std::path::PathBuf> = vec!["samples/policies".into()];
    match corpus() {
        Some(corpus) => folders.extend(
            std::fs::read_dir(corpus.join("policies"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_dir()),
        ),
        None => println!("skipped but for the samples: the corpus is not there"),
    }
    folders.sort();
    let mut sum = (0, 0, 0);
    for folder in folders {
        let documents = cluster::modelled(&load(&[&folder]));
        let mut people = cluster::Cluster::of(&documents);
        let mut at = 0..;
        people.flows.retain(|_| at.next().unwrap_or(0) % 3 == 0);
        if people.flows.is_empty() {
            continue;
        }
        let set = cluster::set(&documents);
        let given = Arc::new(policies(documents));
        let lines = people.lines();
        let found = Unused::of(read(&lines, &given), &given, ALL, Vec::new());
        assert_eq!(found.withdrawn, [], "{}", folder.display());
        assert_eq!(found.replay.denied, 0, "{}", folder.display());
        let rest = set.without(&found.pieces());
        for flow in &people.flows {
            if people.passes(&set, *flow) {
                assert!(
                    people.passes(&rest, *flow),
                    "{}: {flow:?}",
                    folder.display()
                );
            }
        }
        let (rules, parts) = found.named();
        println!(
            "{}: {rules} rules and {parts} parts of {} named, {} flows",
            folder.display(),
            found.rules.len(),
            people.flows.len()
        );
        sum = (sum.0 + rules, sum.1 + parts, sum.2 + found.rules.len());
        let lost = "{\"lost_events\":{\"source\":\"PERF_EVENT_RING_BUFFER\",\"num_events_lost\":\"3\"},\"node_name\":\"default/node-1\",\"time\":\"2026-01-02T03:00:01Z\"}\n";
        let middle = lines.find('\n').unwrap() + 1;
        let holed = format!("{}{lost}{}", &lines[..middle], &lines[middle..]);
        let given = Arc::new(policies(cluster::modelled(&load(&[&folder]))));
        let found = Unused::of(read(&holed, &given), &given, ALL, Vec::new());
        assert!(
            matches!(
                found.withdrawn[..],
                [Withdrawn::Unseen { lost: Some(3), .. }]
            ),
            "{:?}",
            found.withdrawn
        );
        assert_eq!(found.named(), (0, 0));
        let (rules_now, _) = found.not_shown();
        assert!(rules_now >= rules, "{}", folder.display());
    }
    println!("{sum:?}");
    assert!(sum.0 > 0 && sum.1 > 0);
}
