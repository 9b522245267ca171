//! A cluster with policies, and questions about its traffic.
//!
//! Owns the questions: by Zipf's law, as traffic repeats, and ones that do not repeat.

use std::sync::Arc;

use flowwatch::inventory::Identity;
use flowwatch::manifest::{self, Document};
use flowwatch::policy::{
    Compiled, Direction, IdentityIndex, Options, PolicySet, Question, World as Known,
};
use flowwatch::synth::{Call, World, WorldSize};

pub(crate) const TCP: u8 = 6;
/// Questions of a round.
pub(crate) const QUESTIONS: usize = 20_000;

pub(crate) struct Cluster {
    pub(crate) world: World,
    pub(crate) identities: Vec<Identity>,
    documents: Vec<Document>,
    options: Options,
}

impl Cluster {
    pub(crate) fn new(workloads: usize, policies: usize) -> Self {
        let world = World::generate(
            1,
            WorldSize {
                namespaces: (workloads / 25).max(4),
                workloads,
                policies,
                externals: 2_000,
            },
        );
        let text = world.policies().join("---\n");
        let read = manifest::read(&text, "world.yaml".into());
        assert!(read.errors.is_empty(), "{:?}", read.errors.first());
        let mut options = Options::default();
        options.set("cluster-name", &world.cluster).unwrap();
        Self {
            identities: world.identities(),
            documents: read.documents,
            options,
            world,
        }
    }

    pub(crate) fn set(&self) -> PolicySet {
        PolicySet::build(&self.documents, &self.world.services(), &[], &self.options)
    }

    pub(crate) fn compiled(&self, set: PolicySet) -> Compiled {
        let known = Known {
            identities: self.identities.clone(),
            names_complete: true,
            ports_complete: true,
        };
        Compiled::new(Arc::new(set), &known, &self.options)
    }

    /// Calls that happen, the more often the earlier they are in the list: rank by Zipf.
    pub(crate) fn traffic(&self) -> Vec<Question> {
        let mut random = Random(7);
        (0..QUESTIONS)
            .map(|_| {
                let most = (self.world.calls.len() as f64).ln_1p();
                let rank = (random.share() * most).exp_m1() as usize;
                self.question(
                    self.world.calls[rank.min(self.world.calls.len() - 1)],
                    random.next(),
                )
            })
            .collect()
    }

    /// Calls that do not repeat: any pod to any pod or address.
    pub(crate) fn cold(&self, outside: bool) -> Vec<Question> {
        let mut random = Random(11);
        let pods = self.world.workloads.len();
        (0..QUESTIONS)
            .map(|_| {
                let from = random.below(pods);
                let to = if outside {
                    self.world
                        .identity_of_external(random.below(self.world.externals.len()))
                } else {
                    self.world.identity_of_workload(random.below(pods))
                };
                Question {
                    subject: IdentityIndex(self.world.identity_of_workload(from) as u32),
                    direction: Direction::Egress,
                    peer: IdentityIndex(to as u32),
                    protocol: TCP,
                    port: [443, 5432, 8080, 9090][random.below(4)],
                }
            })
            .collect()
    }

    fn question(&self, call: Call, coin: u64) -> Question {
        let (from, to, port) = match call {
            Call::Inside { from, to } => (
                self.world.identity_of_workload(from),
                self.world.identity_of_workload(to),
                self.world.workloads[to].port.port,
            ),
            Call::Outside { from, to } => (
                self.world.identity_of_workload(from),
                self.world.identity_of_external(to),
                443,
            ),
        };
        let (from, to) = (IdentityIndex(from as u32), IdentityIndex(to as u32));
        if coin & 1 == 0 && matches!(call, Call::Inside { .. }) {
            Question {
                subject: to,
                direction: Direction::Ingress,
                peer: from,
                protocol: TCP,
                port,
            }
        } else {
            Question {
                subject: from,
                direction: Direction::Egress,
                peer: to,
                protocol: TCP,
                port,
            }
        }
    }
}

/// A generator of its own, so that questions do not change with a library.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
