//! Whether a policy denies what it says: everybody it does not name.
//!
//! Owns asking about strangers: a pod of the same namespace and one of another that no
//! selector knows, and an address outside. They have to be denied, unless a rule of what was
//! suggested lets them in, which it then says. Where another policy lets everybody pass, the
//! suggestion changes nothing, and that is told.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::{Draft, SIDES};
use crate::engine::Policies;
use crate::flow::Protocol;
use crate::inventory::Label;
use crate::policy::{Direction, ObjectId, Origin, Verdict};
use crate::review::observed::Directory;
use crate::review::reach::Subject;

/// A name that nobody has.
const STRANGER: &str = "flowwatch-any-other";
/// A port that hardly anybody has.
const OTHER_PORT: u16 = 47_911;

/// What came of it for one direction of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Strangers and ports that were asked about and are denied.
    pub denied: u64,
    /// Policies that let them pass although no suggestion does.
    pub others: Vec<String>,
    /// It cannot be told.
    pub unknown: u64,
}

/// Asks about strangers for each direction a policy decides about; `policies` hold what was
/// suggested and `own` are its objects.
#[must_use]
pub fn claims(
    draft: &Draft,
    policies: &Policies,
    directory: &Directory,
    own: &[ObjectId],
) -> [Option<Claim>; 2] {
    let name = draft.members.first().map(|key| key.0.clone());
    let name = name.filter(|name| !name.is_empty());
    let cluster = policies.cluster(name.as_deref());
    SIDES.map(|direction| {
        let side = draft.side(direction)?;
        if draft.adds {
            return None;
        }
        let mut ports: Vec<(u8, u16)> = vec![(6, OTHER_PORT)];
        for rule in &side.rules {
            ports.extend(rule.ports.iter().filter_map(|(port, protocol)| {
                let has_ports = matches!(protocol, Protocol::Tcp | Protocol::Udp | Protocol::Sctp);
                has_ports.then(|| (protocol.iana(), *port))
            }));
        }
        ports.sort_unstable();
        ports.dedup();
        let mut claim = Claim::default();
        let peers = strangers(&draft.id.namespace, name.as_deref().unwrap_or_default());
        let peers: Vec<_> = peers
            .into_iter()
            .map(|subject| cluster.index(subject.identity, subject.outside))
            .collect();
        let members = draft.members.iter().filter_map(|key| directory.get(key));
        for subject in members.flat_map(|member| member.indices(&cluster)) {
            for peer in &peers {
                for (protocol, port) in &ports {
                    let question = (subject, direction, *peer, (*protocol, *port));
                    claim.ask(&cluster.read(), question, own);
                }
            }
        }
        claim.others.sort();
        claim.others.dedup();
        Some(claim)
    })
}

type Question = (
    crate::policy::IdentityIndex,
    Direction,
    crate::policy::IdentityIndex,
    (u8, u16),
);

impl Claim {
    fn ask(
        &mut self,
        compiled: &crate::policy::Compiled,
        (subject, direction, peer, (protocol, port)): Question,
        own: &[ObjectId],
    ) {
        let decision = compiled.decide(subject, direction, peer, protocol, port);
        match decision.verdict {
            Verdict::DeniedByRule | Verdict::DeniedByDefault => self.denied += 1,
            Verdict::Unknown(_) => self.unknown += 1,
            Verdict::Allowed | Verdict::Redirected | Verdict::AuthRequired => {
                let set = compiled.set();
                let mut meant = false;
                let mut others = Vec::new();
                for origin in compiled.rules(decision.rules).iter() {
                    let object = match origin {
                        Origin::Entry(index) => set
                            .entries
                            .get(*index as usize)
                            .and_then(|entry| set.objects.get(entry.object as usize)),
                        other => {
                            others.extend(other.reserved_name().map(str::to_owned));
                            continue;
                        }
                    };
                    match object {
                        Some(object) if own.contains(&object.id) => meant = true,
                        Some(object) => others.push(object.id.short()),
                        None => {}
                    }
                }
                if !meant {
                    self.others.extend(others);
                }
            }
        }
    }

    /// Whether somebody else lets strangers pass.
    #[must_use]
    pub fn is_void(&self) -> bool {
        !self.others.is_empty()
    }
}

/// A pod of the namespace, one of another, and an address of either family.
fn strangers(namespace: &Arc<str>, cluster: &str) -> Vec<Subject> {
    let pod = |namespace: &str| {
        let labels = [
            ("app", STRANGER),
            ("io.kubernetes.pod.namespace", namespace),
            (
                "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name",
                namespace,
            ),
            ("io.cilium.k8s.policy.cluster", cluster),
        ];
        let labels = labels.map(|(key, value)| Label::new("k8s", key, value));
        Subject::pod(STRANGER.to_owned(), labels)
    };
    vec![
        pod(namespace),
        pod(STRANGER),
        Subject::address(Ipv4Addr::new(198, 51, 100, 251).into()),
        Subject::address(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1).into()),
    ]
}
