//! The compiled policies against two slower ways to the same verdict, on random sets.
//!
//! `FLOWWATCH_CASES` sets how many sets are tried.

pub(crate) mod naive;

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use self::naive::{Connection, Naive};
use super::port_prefix::PortPrefix;
use super::selection::SelectorId;
use super::table::{Row, Side};
use super::*;
use crate::inventory::{Identity, Label};
use crate::manifest::Place;

fn cases() -> u32 {
    std::env::var("FLOWWATCH_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(256)
}

pub(crate) fn identities() -> Vec<Identity> {
    let pod = |number, namespace: &str, app: &str| Identity {
        number,
        labels: vec![
            Label::new("k8s", "io.kubernetes.pod.namespace", namespace),
            Label::new("k8s", "app", app),
        ],
        ..Identity::default()
    };
    let outside = |number, address: &str| Identity {
        number,
        address: Some(address.parse().unwrap()),
        ..Identity::default()
    };
    vec![
        Identity::default(),
        Identity {
            number: 1,
            labels: vec![Label::new("reserved", "host", "")],
            ..Identity::default()
        },
        pod(1001, "x", "a"),
        pod(1002, "x", "b"),
        pod(1003, "y", "a"),
        pod(1004, "y", "c"),
        outside(1 << 24, "10.1.2.3"),
        outside((1 << 24) + 1, "9.9.9.9"),
    ]
}

fn label(name: &str, operator: Operator, value: &str) -> Requirement {
    Requirement {
        key: SelectorKey {
            source: Source::Of("k8s".into()),
            name: name.into(),
        },
        operator,
        values: vec![value.into()],
    }
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    let namespace = prop::option::of(select(vec!["x", "y"]));
    let app = prop::option::of((any::<bool>(), select(vec!["a", "b", "c"])));
    (namespace, app).prop_map(|(namespace, app)| {
        let mut selector = LabelSelector::default();
        if let Some(namespace) = namespace {
            let name = "io.kubernetes.pod.namespace";
            selector.labels.push(label(name, Operator::In, namespace));
        }
        match app {
            Some((true, app)) => selector.labels.push(label("app", Operator::In, app)),
            Some((false, app)) => selector
                .expressions
                .push(label("app", Operator::NotIn, app)),
            None => {}
        }
        selector
    })
}

fn peer() -> impl Strategy<Value = PeerSelector> {
    let prefixes = ["10.0.0.0/8", "10.1.0.0/16", "9.9.9.9/32", "8.0.0.0/7"];
    let cidr = (select(prefixes.to_vec()), any::<bool>()).prop_map(|(prefix, except)| {
        PeerSelector::Cidr {
            prefix: prefix.parse().unwrap(),
            except: if except {
                vec!["10.1.2.0/24".parse().unwrap()]
            } else {
                Vec::new()
            },
        }
    });
    prop_oneof![
        1 => Just(PeerSelector::Everyone),
        4 => selector().prop_map(PeerSelector::Labels),
        2 => cidr,
    ]
}

fn port() -> impl Strategy<Value = PortProtocol> {
    let numbers = vec![
        (0, 0),
        (80, 0),
        (80, 90),
        (81, 0),
        (64, 95),
        (8, 0),
        (0, 1023),
        (90, 80),
    ];
    let protocols = vec![Protocol::Any, Protocol::Tcp, Protocol::Udp, Protocol::Icmp];
    (select(numbers), select(protocols)).prop_map(|((first, end_port), protocol)| PortProtocol {
        port: Port::Number(first),
        end_port,
        protocol,
        at: Place::default(),
    })
}

fn port_rule() -> impl Strategy<Value = PortRule> {
    (
        prop::collection::vec(port(), 0..3),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(mut ports, l7)| {
            if l7 {
                for port in &mut ports {
                    port.protocol = Protocol::Tcp;
                }
            }
            PortRule {
                ports,
                l7: l7.then(|| L7Rules::Http(vec![HttpRule::default()])),
                ..PortRule::default()
            }
        })
}

fn entry(object: u32) -> impl Strategy<Value = PolicyEntry> {
    (
        selector(),
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.7),
        prop::option::of(prop::collection::vec(peer(), 0..3)),
        prop::collection::vec(port_rule(), 0..3),
    )
        .prop_map(
            move |(selector, ingress, deny, default_deny, peers, mut ports)| {
                for rule in &mut ports {
                    if deny {
                        rule.l7 = None;
                    }
                }
                PolicyEntry {
                    object,
                    rule: RulePlace {
                        spec: None,
                        section: Section::Ingress,
                        element: 0,
                        peer: None,
                        at: Place::default(),
                    },
                    subject: Subject {
                        selector,
                        node: false,
                    },
                    direction: if ingress {
                        Direction::Ingress
                    } else {
                        Direction::Egress
                    },
                    deny,
                    default_deny,
                    peers,
                    ports,
                    auth: None,
                    service_missing: false,
                }
            },
        )
}

pub(crate) fn set() -> impl Strategy<Value = PolicySet> {
    prop::collection::vec(entry(0), 0..7).prop_map(|mut entries| {
        let objects = (0..).zip(&mut entries).map(|(index, entry)| {
            entry.object = index;
            PolicyObject {
                id: ObjectId {
                    kind: ObjectKind::CiliumNetworkPolicy,
                    namespace: "x".into(),
                    name: format!("p{index}").as_str().into(),
                },
                file: "p.yaml".into(),
                at: Place::default(),
                rejection: None,
                warnings: Vec::new(),
                changed: None,
            }
        });
        PolicySet {
            objects: objects.collect(),
            entries,
            ..PolicySet::default()
        }
    })
}

fn compiled(set: PolicySet) -> Compiled {
    let world = World {
        identities: identities(),
        names_complete: true,
        ports_complete: true,
    };
    Compiled::new(Arc::new(set), &world, &Options::default())
}

/// Every subject, direction, peer, protocol and port that the universe has.
pub(crate) fn connections()
-> impl Iterator<Item = (IdentityIndex, Direction, IdentityIndex, u8, u16)> {
    let ports = [
        (6, 80),
        (6, 85),
        (6, 443),
        (6, 8),
        (17, 80),
        (17, 0),
        (1, 8),
        (132, 90),
    ];
    (2..6).flat_map(move |subject| {
        [Direction::Ingress, Direction::Egress]
            .into_iter()
            .flat_map(move |direction| {
                (0..8).flat_map(move |peer| {
                    ports.into_iter().map(move |(protocol, port)| {
                        (
                            IdentityIndex(subject),
                            direction,
                            IdentityIndex(peer),
                            protocol,
                            port,
                        )
                    })
                })
            })
    })
}

/// The rows that cover a connection, out of the lists they were laid out in.
fn covering(side: &Side, protocol: u8, port: u16) -> Vec<Row> {
    side.lists(protocol, port)
        .iter()
        .flatten()
        .flat_map(|list| list.rows.iter().chain(&list.wildcards))
        .copied()
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn a_compiled_verdict_is_the_naive_one(set in set()) {
        let identities = identities();
        let compiled = compiled(set.clone());
        let mut memo = Memo::new();
        for (subject, direction, peer, protocol, port) in connections() {
            let expected = naive::verdict(&set, &Connection {
                subject: &identities[subject.0 as usize],
                peer: &identities[peer.0 as usize],
                direction,
                protocol,
                port,
            });
            let expected = match expected {
                Naive::Allowed => Verdict::Allowed,
                Naive::Redirected => Verdict::Redirected,
                Naive::DeniedByRule => Verdict::DeniedByRule,
                Naive::DeniedByDefault => Verdict::DeniedByDefault,
            };
            let decision = compiled.decide(subject, direction, peer, protocol, port);
            prop_assert_eq!(decision.verdict, expected, "{:?}", (subject, direction, peer, protocol, port));
            let slowly = compiled.decide_slowly(subject, direction, peer, protocol, port);
            prop_assert_eq!(decision, slowly);
            let remembered = memo.decide(
                &compiled,
                Question {
                    subject,
                    direction,
                    peer,
                    protocol,
                    port,
                },
            );
            prop_assert_eq!(decision, remembered);
        }
    }

    #[test]
    fn a_found_entry_is_that_of_ciliums_map(set in set()) {
        let compiled = compiled(set);
        for (subject, direction, peer, protocol, port) in connections() {
            let member = &compiled.members[subject.0 as usize];
            let table = compiled.view(member, false).table;
            let side = match direction {
                Direction::Ingress => &table.ingress,
                Direction::Egress => &table.egress,
            };
            let known = (peer.0 != 0).then_some(peer.0);
            let interner = &compiled.interner;
            let quick = lookup::find(side, &compiled.selection, interner, known, protocol, port);
            let selects = |id: SelectorId| {
                known.is_some_and(|peer| compiled.selection.contains(id, peer))
            };
            let point = PortPrefix::point(protocol, port);
            let mut rows = covering(side, protocol, port);
            let forwards = mapstate::find(&rows, selects, point, interner);
            rows.reverse();
            let backwards = mapstate::find(&rows, selects, point, interner);
            let shown = |hit: Option<lookup::Hit>| hit.map(|hit| {
                (hit.entry.precedence, hit.length, hit.wildcard, hit.rules)
            });
            prop_assert_eq!(shown(quick), shown(forwards));
            prop_assert_eq!(shown(quick), shown(backwards));
        }
    }

    #[test]
    fn the_order_of_policies_changes_nothing(set in set(), seed in any::<u64>()) {
        let mut other = set.clone();
        let turn = (seed as usize) % other.entries.len().max(1);
        other.entries.rotate_left(turn);
        if seed & 1 == 0 {
            other.entries.reverse();
        }
        let (one, other) = (compiled(set), compiled(other));
        for (subject, direction, peer, protocol, port) in connections() {
            let ours = one.decide(subject, direction, peer, protocol, port);
            let theirs = other.decide(subject, direction, peer, protocol, port);
            prop_assert_eq!(ours.verdict, theirs.verdict);
            prop_assert_eq!(ours.match_kind, theirs.match_kind);
            prop_assert_eq!(objects(&one, ours.rules), objects(&other, theirs.rules));
        }
    }

    #[test]
    fn what_is_added_later_is_judged_as_what_was_there(set in set()) {
        let whole = compiled(set.clone());
        let world = World {
            identities: identities().into_iter().take(3).collect(),
            names_complete: true,
            ports_complete: true,
        };
        let mut grown = Compiled::new(Arc::new(PolicySet::default()), &world, &Options::default());
        let mut places: Vec<IdentityIndex> = (0..3).map(IdentityIndex).collect();
        for identity in identities().iter().skip(3).take(3) {
            places.push(grown.add(identity));
        }
        let mut grown = grown.with_set(Arc::new(set));
        for identity in identities().iter().skip(6) {
            places.push(grown.outside(identity));
        }
        for (subject, direction, peer, protocol, port) in connections() {
            let place = |index: IdentityIndex| places[index.0 as usize];
            let ours = whole.decide(subject, direction, peer, protocol, port);
            let theirs = grown.decide(place(subject), direction, place(peer), protocol, port);
            prop_assert_eq!(ours.verdict, theirs.verdict);
            prop_assert_eq!(objects(&whole, ours.rules), objects(&grown, theirs.rules));
        }
    }
}

/// Names of what decided.
fn objects(compiled: &Compiled, rules: RulesId) -> Vec<String> {
    let mut names: Vec<String> = compiled
        .rules(rules)
        .iter()
        .map(|origin| match origin {
            Origin::Entry(index) => {
                let entry = &compiled.set().entries[*index as usize];
                compiled.set().objects[entry.object as usize].id.to_string()
            }
            own => own.reserved_name().unwrap().to_owned(),
        })
        .collect();
    names.sort();
    names.dedup();
    names
}
