//! Who is asked about, and what the policies say of a connection between two.
//!
//! Owns everybody a term stands for as identities of the compiled policies, and both sides
//! of a connection together. Which of them are asked about is `check`'s.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::possible::{addresses, peer_keys, pods, ports, subject_keys};
use super::who::{People, Term};
use crate::connection::Computed;
use crate::engine::{ClusterPolicies, Policies, Rule, Ruling};
use crate::inventory::{Identity, Label};
use crate::policy::{Cause, Direction, IdentityIndex, PolicyEntry, Verdict};

/// Somebody who takes part.
#[derive(Clone, Debug)]
pub(in crate::review) struct Somebody {
    pub(in crate::review) name: String,
    pub(in crate::review) identity: Identity,
    pub(in crate::review) index: IdentityIndex,
    pub(in crate::review) is_endpoint: bool,
}

/// What becomes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::review) enum Fate {
    Passes(Vec<Said>),
    Denied(Said),
    Unknown(Cause),
    NeedsAuthentication,
}

/// What was said of one side.
pub(in crate::review) type Said = (Computed, Direction);

/// The policies of a cluster, and who there is.
pub(in crate::review) struct Court<'a> {
    pub(in crate::review) policies: &'a Policies,
    pub(in crate::review) cluster: &'a Arc<ClusterPolicies>,
    pub(in crate::review) place: u32,
    pub(in crate::review) people: &'a People,
    pub(in crate::review) questions: u64,
}

impl Court<'_> {
    /// Everybody of a term who is known, or who is one of few.
    pub(in crate::review) fn known(&self, term: &Term, called: bool) -> Vec<Somebody> {
        let mut known: Vec<Somebody> = self
            .people
            .meant(term)
            .map(|(name, identity)| self.somebody(name, identity, false))
            .collect();
        let outside = matches!(
            term,
            Term::World | Term::Anything | Term::Prefix(_) | Term::Name(_)
        );
        if outside {
            let set = self.cluster.read().set().clone();
            for identity in addresses(term, &set, called) {
                let address = identity.address.map(|address| address.to_string());
                let mut name = address.unwrap_or_default();
                if let Some(dns) = identity.names.first() {
                    name = format!("{dns} ({name})");
                }
                known.push(self.somebody(format!("world, such as {name},"), identity, true));
            }
        }
        let entities: &[&str] = match term {
            Term::Entity(name) => &[name],
            Term::Anything => &["host", "remote-node", "health", "ingress"],
            _ => &[],
        };
        for name in entities {
            let mut labels = vec![Label::new("reserved", name, "")];
            if *name == "kube-apiserver" {
                labels.push(Label::new("reserved", "remote-node", ""));
            }
            let number = match *name {
                "host" => 1,
                "health" => 4,
                "init" => 5,
                "remote-node" => 6,
                "kube-apiserver" => 7,
                "ingress" => 8,
                _ => 3,
            };
            let identity = Identity {
                number,
                labels,
                ..Identity::default()
            };
            known.push(self.somebody((*name).to_owned(), identity, false));
        }
        known
    }

    pub(in crate::review) fn possible(
        &self,
        term: &Term,
        keys: &super::Keys,
        fixed: &[Label],
    ) -> Option<Vec<Somebody>> {
        let cluster = self.policies.options_of(self.people.cluster.as_deref());
        let identities = pods(term, keys, fixed, &cluster.cluster_name)?;
        let somebody = |identity: Identity| {
            let labels: Vec<String> = identity
                .labels
                .iter()
                .filter(|label| !label.key.starts_with("io.cilium."))
                .map(|label| format!("{}={}", label.key, label.value))
                .collect();
            let name = format!("a pod with {}", labels.join(","));
            self.somebody(name, identity, false)
        };
        Some(identities.into_iter().map(somebody).collect())
    }

    pub(in crate::review) fn somebody(
        &self,
        name: String,
        identity: Identity,
        outside: bool,
    ) -> Somebody {
        let index = self.cluster.index(identity.clone(), outside);
        Somebody {
            name,
            identity,
            index,
            is_endpoint: self.cluster.read().is_endpoint(index),
        }
    }

    fn entries_of(&self, one: &Somebody, direction: Direction) -> Vec<PolicyEntry> {
        if !one.is_endpoint {
            return Vec::new();
        }
        let compiled = self.cluster.read();
        compiled
            .selecting(one.index, direction)
            .into_iter()
            .filter_map(|index| compiled.set().entries.get(index as usize).cloned())
            .collect()
    }

    pub(in crate::review) fn keys_of(&self, one: &Somebody, direction: Direction) -> super::Keys {
        peer_keys(self.entries_of(one, direction).iter())
    }

    pub(in crate::review) fn subject_keys(&self) -> super::Keys {
        subject_keys(self.cluster.read().set())
    }

    pub(in crate::review) fn ports_of(
        &self,
        one: &Somebody,
        direction: Direction,
    ) -> BTreeSet<u16> {
        let named = self.policies.inventory().workloads.iter();
        let named = named.flat_map(|workload| &workload.spec.named_ports);
        ports(
            self.entries_of(one, direction).iter(),
            named.map(|port| port.port),
        )
    }

    /// Both sides together.
    pub(in crate::review) fn fate(
        &mut self,
        caller: &Somebody,
        called: &Somebody,
        target: (u8, u16),
    ) -> Fate {
        let sides = [
            (caller, called, Direction::Egress),
            (called, caller, Direction::Ingress),
        ];
        let mut passed = Vec::new();
        let mut doubt = None;
        for (subject, peer, direction) in sides {
            let Some(computed) = self.side(subject, peer, direction, target) else {
                continue;
            };
            let said = (computed, direction);
            match computed.verdict {
                Verdict::DeniedByRule | Verdict::DeniedByDefault => return Fate::Denied(said),
                Verdict::Unknown(cause) => doubt = Some(Fate::Unknown(cause)),
                Verdict::AuthRequired => {
                    doubt.get_or_insert(Fate::NeedsAuthentication);
                }
                Verdict::Allowed | Verdict::Redirected => passed.push(said),
            }
        }
        doubt.unwrap_or(Fate::Passes(passed))
    }

    pub(in crate::review) fn side(
        &mut self,
        subject: &Somebody,
        peer: &Somebody,
        direction: Direction,
        (protocol, port): (u8, u16),
    ) -> Option<Computed> {
        if !subject.is_endpoint {
            return None;
        }
        self.questions += 1;
        let mut decision =
            self.cluster
                .read()
                .decide(subject.index, direction, peer.index, protocol, port);
        if self.policies.strict() {
            decision = decision.strict();
        }
        Some(Computed {
            cluster: self.place,
            subject: subject.index,
            decision,
            verdict: decision.verdict,
        })
    }

    /// The rules behind what was said.
    pub(in crate::review) fn rules(&self, said: &[Said]) -> Vec<Rule> {
        said.iter()
            .flat_map(|(computed, direction)| Ruling::of(self.policies, computed, *direction).rules)
            .collect()
    }
}
