//! What is mended when a replay shows that something accepted would break.
//!
//! Owns which repair answers which break: a server outside whose name a flow did not carry is
//! allowed by its address too; a node is `host` to itself and `remote-node` to the others, and
//! both are allowed where flows disagree; requests that a list of paths refuses are allowed by what may
//! follow a path, then by the port alone; names that the list for DNS lacks are everything.
//! What none of these mends is withheld: a direction of one policy.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::{Broken, Draft};
use crate::connection::Peer;
use crate::flow::counted;
use crate::policy::Direction;
use crate::review::observed::{PortKey, key_of};

/// Namespace and name of a policy.
pub(super) type DraftName = (Arc<str>, Arc<str>);

/// Entities that a node is, by who looks.
pub(super) const NODES: [&str; 2] = ["host", "remote-node"];

/// All repairs so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Addresses to allow beside names, by policy and port.
    pub(super) addresses: BTreeMap<(DraftName, PortKey), BTreeSet<IpAddr>>,
    /// Nodes to allow by both of their entities, by policy, direction and port.
    pub(super) nodes: BTreeSet<(DraftName, Direction, PortKey)>,
    /// Policies whose paths let a query follow.
    pub(super) queries: BTreeSet<DraftName>,
    /// Policies without paths.
    pub(super) no_paths: BTreeSet<DraftName>,
    /// Policies that let every name be asked for.
    pub(super) any_name: BTreeSet<DraftName>,
    /// Directions that are left out, and why.
    pub(super) withheld: BTreeMap<(DraftName, Direction), String>,
}

impl Repairs {
    /// Answers what broke; whether there is anything new to try. With `last` everything that
    /// breaks is withheld.
    pub fn take(&mut self, broken: &[Broken], drafts: &[Draft], last: bool) -> bool {
        let before = self.clone();
        for one in broken {
            for direction in &one.sides {
                let subject = match direction {
                    Direction::Ingress => &one.server,
                    Direction::Egress => &one.client,
                };
                let Some(key) = key_of(subject) else { continue };
                for draft in drafts {
                    let is_its = draft.members.contains(&key) && draft.side(*direction).is_some();
                    if is_its {
                        self.answer(one, draft, *direction, last);
                    }
                }
            }
        }
        *self != before
    }

    fn answer(&mut self, one: &Broken, draft: &Draft, direction: Direction, last: bool) {
        let name: DraftName = (draft.id.namespace.clone(), draft.id.name.clone());
        let is_outside = matches!(one.server, Peer::Name(_) | Peer::Prefix(_));
        let peer = match direction {
            Direction::Ingress => &one.client,
            Direction::Egress => &one.server,
        };
        let is_dns = one.port == 53;
        if !last {
            match (&one.request, direction) {
                (Some(_), _) if is_dns && self.any_name.insert(name.clone()) => return,
                (Some(_), _) if !is_dns && self.queries.insert(name.clone()) => return,
                (Some(_), _) if !is_dns && self.no_paths.insert(name.clone()) => return,
                (None, _) if is_node(peer) => {
                    let port = (one.port, one.protocol);
                    if self.nodes.insert((name.clone(), direction, port)) {
                        return;
                    }
                }
                (None, Direction::Egress) if is_outside => {
                    let port = (one.port, one.protocol);
                    let known = self.addresses.entry((name.clone(), port)).or_default();
                    let size = known.len();
                    known.extend(&one.addresses);
                    if known.len() > size {
                        return;
                    }
                }
                _ => {}
            }
        }
        let what = match &one.request {
            Some(request) => format!(
                "{} of {} to {}:{}",
                counted(one.count, "request", "requests"),
                request,
                one.server,
                one.port
            ),
            None => format!(
                "{} from {} to {}:{}",
                counted(one.count, "connection", "connections"),
                one.client,
                one.server,
                one.port
            ),
        };
        self.withheld
            .entry((name, direction))
            .or_insert_with(|| format!("the replay denies {what}, which was accepted"));
    }
}

fn is_node(peer: &Peer) -> bool {
    matches!(peer, Peer::Entity(name) if NODES.contains(&&**name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::Readiness;
    use crate::flow::Protocol;
    use crate::policy::{ObjectId, ObjectKind};
    use crate::review::observed::Selector;
    use crate::review::suggest::Side;

    fn draft() -> Draft {
        Draft {
            id: ObjectId {
                kind: ObjectKind::CiliumNetworkPolicy,
                namespace: "shop".into(),
                name: "web".into(),
            },
            selector: Selector::default(),
            members: vec![("c".into(), "shop".into(), "web".into())],
            sides: [None, Some(Side::default())],
            adds: false,
            quiet: false,
            readiness: Readiness::default(),
            newest: None,
            notes: Vec::new(),
            withheld: Vec::new(),
        }
    }

    fn broken(server: Peer, request: Option<&str>) -> Broken {
        Broken {
            client: Peer::Workload {
                cluster: "c".into(),
                namespace: "shop".into(),
                kind: "".into(),
                name: "web".into(),
            },
            server,
            port: 443,
            protocol: Protocol::Tcp,
            request: request.map(str::to_owned),
            sides: vec![Direction::Egress],
            before: false,
            count: 3,
            addresses: [IpAddr::from([192, 0, 2, 1])].into(),
        }
    }

    #[test]
    fn a_server_outside_is_allowed_by_address_before_anything_is_withheld() {
        let mut repairs = Repairs::default();
        let one = [broken(Peer::Name("api.example.com".into()), None)];
        assert!(repairs.take(&one, &[draft()], false));
        assert_eq!(repairs.addresses.len(), 1);
        assert!(repairs.withheld.is_empty());
        // It did not help: nothing is left to try.
        assert!(repairs.take(&one, &[draft()], false));
        let why = repairs.withheld.values().next().unwrap();
        assert_eq!(
            why,
            "the replay denies 3 connections from shop/web to api.example.com:443, which was accepted"
        );
        assert!(!repairs.take(&one, &[draft()], false));
    }

    #[test]
    fn requests_get_queries_then_the_port_and_the_last_round_withholds_at_once() {
        let mut repairs = Repairs::default();
        let one = [broken(Peer::Entity("world".into()), Some("GET /a?b"))];
        assert!(repairs.take(&one, &[draft()], false));
        assert!(repairs.queries.len() == 1 && repairs.no_paths.is_empty());
        assert!(repairs.take(&one, &[draft()], false));
        assert!(repairs.no_paths.len() == 1 && repairs.withheld.is_empty());
        let mut last = Repairs::default();
        assert!(last.take(&one, &[draft()], true));
        assert!(last.queries.is_empty() && last.withheld.len() == 1);
    }
}
