//! What is called redundant, against verdicts entry by entry over everybody there is.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use super::*;
use crate::inventory::Identity;
use crate::manifest;
use crate::policy::tests::naive::{self, Connection, Naive};
use crate::policy::tests::{connections, identities, set as random_set};
use crate::policy::{Direction, IdentityIndex};
use crate::review::simulate::tests::{cluster, corpus, load, policies};

/// Verdicts of all connections.
fn verdicts(set: &PolicySet) -> Vec<Naive> {
    let identities: Vec<Identity> = identities();
    connections()
        .map(|(subject, direction, peer, protocol, port)| {
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
        })
        .collect()
}

/// The set as it is when somebody deletes pieces: entries go with their default deny.
fn deleted(set: &PolicySet, gone: &BTreeSet<Piece>) -> PolicySet {
    let mut rest = set.without(gone);
    let mut at = 0..;
    rest.entries
        .retain(|_| !gone.contains(&Piece::Entry(at.next().unwrap())));
    rest
}

/// The set of some entries alone.
fn only(set: &PolicySet, keep: impl Fn(u32) -> bool) -> PolicySet {
    let mut rest = set.clone();
    let mut at = 0..;
    rest.entries.retain(|_| keep(at.next().unwrap()));
    rest
}

/// Scenario: 600 random sets of up to 6 rules, with denies, layer 7 and rules without default
/// deny.
/// Guarantees: what is named, by itself and all together, changes no verdict over all pairs;
/// and a witness is one.
#[test]
fn removing_what_is_redundant_changes_no_verdict() {
    let mut runner = TestRunner::deterministic();
    let options = Options::default();
    let mut counts: BTreeMap<(Why, bool), u64> = BTreeMap::new();
    for number in 0..600 {
        let mut set = random_set().new_tree(&mut runner).unwrap().current();
        if number % 4 == 0 && !set.entries.is_empty() {
            // The same once more, in an object of its own.
            let mut entry = set.entries[0].clone();
            let mut object = set.objects[entry.object as usize].clone();
            entry.object = set.objects.len() as u32;
            object.id.name = "again".into();
            set.entries.push(entry);
            set.objects.push(object);
        }
        let rules = written(&set, &[]);
        let redundant = Redundant::among(&set, &rules, &options);
        if redundant.found.is_empty() {
            continue;
        }
        let before = verdicts(&set);
        assert_eq!(
            before,
            verdicts(&deleted(&set, &redundant.pieces())),
            "{set:#?}"
        );
        for one in &redundant.found {
            *counts.entry((one.why, one.part.is_some())).or_default() += 1;
            let gone = one.pieces();
            assert_eq!(before, verdicts(&deleted(&set, &gone)), "{one:?}\n{set:#?}");
            witness(&set, &rules, one);
        }
    }
    println!("{counts:?}");
    for why in Why::ALL {
        let whole = counts.get(&(why, false)).copied().unwrap_or_default();
        assert!(whole >= 10, "{why:?}: {counts:?}");
    }
    assert!(counts[&(Why::Shadowed, true)] >= 10, "{counts:?}");
}

/// With nothing but the witnesses beside it, it changes nothing either.
fn witness(set: &PolicySet, rules: &[WrittenRule], one: &Superfluous) {
    assert!(!one.witnesses.is_empty());
    let names: Vec<&str> = one
        .witnesses
        .iter()
        .map(|witness| &*witness.policy.name)
        .collect();
    let of = |entry: u32| {
        let object = set.entries[entry as usize].object;
        &*set.objects[object as usize].id.name
    };
    let own = |entry: u32| one.rule.entries.contains(&entry);
    let both = only(set, |entry| own(entry) || names.contains(&of(entry)));
    let without = {
        let gone = one.pieces();
        let rest = deleted(set, &gone);
        // Entries that are left keep their order, not their index.
        let left: Vec<u32> = (0..set.entries.len() as u32)
            .filter(|entry| !gone.contains(&Piece::Entry(*entry)))
            .collect();
        only(&rest, |at| {
            let entry = left[at as usize];
            own(entry) || names.contains(&of(entry))
        })
    };
    assert_eq!(verdicts(&both), verdicts(&without), "{one:?}\n{set:#?}");
    if one.why == Why::Contradictory && one.part.is_none() {
        for witness in one.witnesses.iter().filter(|witness| witness.deny) {
            let denies = rules
                .iter()
                .any(|rule| rule.deny && of(rule.entries[0]) == &*witness.policy.name);
            assert!(denies);
        }
    }
}

/// Scenario: repositories that people use.
/// Guarantees: the compiled policies bear out every claim, and so does the naive evaluator on
/// flows between whom the policies speak of.
#[test]
fn nothing_that_is_named_of_real_repositories_changes_a_flow() {
    let Some(corpus) = corpus() else {
        println!("skipped: the corpus is not there");
        return;
    };
    let mut folders: Vec<_> = std::fs::read_dir(corpus.join("policies"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.push("samples/policies".into());
    folders.sort();
    let mut sum = 0;
    for folder in folders {
        let documents = cluster::modelled(&load(&[&folder]));
        let people = cluster::Cluster::of(&documents);
        let set = cluster::set(&documents);
        let rules = written(&set, &documents);
        let mut redundant = Redundant::among(&set, &rules, &Options::default());
        check::hold(
            &mut redundant,
            &Arc::new(set.clone()),
            &Options::default(),
            Vec::new(),
        );
        assert_eq!(redundant.dropped, 0, "{}", folder.display());
        let rest = deleted(&set, &redundant.pieces());
        for flow in &people.flows {
            assert_eq!(
                people.passes(&set, *flow),
                people.passes(&rest, *flow),
                "{}: {flow:?}",
                folder.display()
            );
        }
        println!(
            "{}: {} of {} rules, {} flows",
            folder.display(),
            redundant.found.len(),
            rules.len(),
            people.flows.len()
        );
        sum += redundant.found.len();
    }
    assert!(sum > 0);
}

fn found(text: &str) -> Vec<(String, Why, u32, Vec<u32>)> {
    let documents = manifest::read(text, "p.yaml".into()).documents;
    let set = PolicySet::build(&documents, &[], &[], &Options::default());
    assert!(
        set.objects.iter().all(|object| object.rejection.is_none()),
        "{:?}",
        set.objects
    );
    let rules = written(&set, &documents);
    let redundant = Redundant::among(&set, &rules, &Options::default());
    let shown = redundant.found.iter().map(|one| {
        let what = one.part.map_or("rule", |(kind, _)| kind).to_owned();
        let by = one.witnesses.iter().map(|witness| witness.line).collect();
        (what, one.why, one.line(), by)
    });
    shown.collect()
}

fn policy(name: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}, namespace: x}}\nspec:\n  endpointSelector: {{matchLabels: {{app: a}}}}\n{rest}"
    )
}

#[test]
fn a_witness_is_named_with_its_line() {
    let narrow = policy(
        "a",
        "  ingress:\n  - fromEndpoints: [{matchLabels: {app: b}}]\n    toPorts: [{ports: [{port: '80', protocol: TCP}]}]\n",
    );
    let wide = policy(
        "b",
        "  ingress:\n  - fromEndpoints: [{}]\n    toPorts: [{ports: [{port: '1', endPort: 1024, protocol: TCP}]}]\n",
    );
    let deny = policy(
        "c",
        "  ingressDeny:\n  - fromEndpoints: [{}]\n    toPorts: [{ports: [{port: '443', protocol: TCP}]}]\n",
    );
    let denied = policy(
        "d",
        "  ingress:\n  - fromEndpoints: [{matchLabels: {app: b}}]\n    toPorts: [{ports: [{port: '443', protocol: TCP}]}]\n",
    );
    assert_eq!(
        found(&format!("{narrow}{wide}")),
        [("rule".to_owned(), Why::Shadowed, 8, vec![17])]
    );
    assert_eq!(
        found(&format!("{deny}{denied}")),
        [("rule".to_owned(), Why::Contradictory, 17, vec![8])]
    );
    assert_eq!(
        found(&format!(
            "{narrow}{}",
            policy(
                "e",
                "  ingress:\n  - fromEndpoints: [{matchLabels: {app: b}}]\n    toPorts: [{ports: [{port: '80', protocol: TCP}]}]\n"
            )
        )),
        [("rule".to_owned(), Why::Duplicate, 17, vec![8])]
    );
}

/// Guarantees: a plain allow beside one that asks about requests opens what that refuses, so
/// neither is called superfluous for the other.
#[test]
fn a_rule_that_asks_about_requests_and_a_plain_one_are_not_the_same() {
    let plain = policy(
        "a",
        "  ingress:\n  - fromEndpoints: [{matchLabels: {app: b}}]\n    toPorts: [{ports: [{port: '80', protocol: TCP}]}]\n",
    );
    let asking = policy(
        "b",
        "  ingress:\n  - fromEndpoints: [{matchLabels: {app: b}}]\n    toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]\n",
    );
    assert_eq!(found(&format!("{plain}{asking}")), []);
    // What is under a plain one on another port is not what a proxy is told on this one.
    let wide = policy("c", "  ingress:\n  - fromEndpoints: [{}]\n");
    assert_eq!(found(&format!("{plain}{asking}{wide}")), []);
    assert_eq!(found(&format!("{plain}{wide}")).len(), 1);
    // The same in one element: its plain port opens what its rules refuse.
    let both = policy(
        "d",
        "  ingress:\n  - fromEndpoints: [{matchLabels: {app: b}}]\n    toPorts:\n    - ports: [{port: '80', protocol: TCP}]\n    - ports: [{port: '80', protocol: TCP}]\n      rules: {http: [{method: GET}]}\n",
    );
    assert_eq!(found(&format!("{both}{wide}")), []);
}

/// Guarantees: a rule that alone cuts its subjects off stays, even if others allow all of it.
#[test]
fn the_rule_that_turns_default_deny_on_stays() {
    let closed = policy(
        "a",
        "  ingress:\n  - fromEndpoints: [{matchLabels: {app: b}}]\n",
    );
    let open = policy(
        "b",
        "  enableDefaultDeny: {ingress: false}\n  ingress:\n  - fromEndpoints: [{}]\n",
    );
    assert_eq!(found(&format!("{closed}{open}")), []);
}

#[test]
fn parts_of_a_list_that_are_in_others_are_named_but_never_all_of_them() {
    let text = policy(
        "a",
        "  ingress:\n  - fromEntities: [all]\n    toPorts:\n    - ports:\n      - {port: '80', protocol: TCP}\n      - {port: '1', endPort: 100, protocol: TCP}\n      - {port: '80', protocol: TCP}\n",
    );
    let found = found(&text);
    let lines: Vec<(u32, Why)> = found
        .iter()
        .map(|(_, why, line, _)| (*line, *why))
        .collect();
    assert_eq!(lines, [(11, Why::Shadowed), (13, Why::Duplicate)]);
}

#[test]
fn connections_have_both_directions() {
    // The oracle would prove little without.
    let directions: BTreeSet<Direction> = connections().map(|(_, way, ..)| way).collect();
    assert_eq!(directions.len(), 2);
    assert!(connections().any(|(subject, ..)| subject == IdentityIndex(2)));
}

/// Scenario: claims that a proof never made: a rule for one protocol is called superfluous
/// beside others for other protocols.
/// Guarantees: the second opinion asks about the very protocols of a rule, and drops them.
#[test]
fn a_wrong_claim_about_any_protocol_is_dropped() {
    for protocol in ["ANY", "SCTP", "VRRP", "IGMP"] {
        let port = match protocol {
            "VRRP" | "IGMP" => "0",
            _ => "80",
        };
        let text = format!(
            "{}{}",
            policy(
                "a",
                &format!(
                    "  ingress:\n  - fromEndpoints: [{{}}]\n    toPorts: [{{ports: [{{port: '{port}', protocol: {protocol}}}]}}]\n"
                )
            ),
            policy(
                "b",
                "  ingress:\n  - fromEndpoints: [{}]\n    toPorts: [{ports: [{port: '80', protocol: TCP}, {port: '80', protocol: UDP}]}]\n"
            )
        );
        let documents = manifest::read(&text, "p.yaml".into()).documents;
        let options = Options::default();
        let set = Arc::new(PolicySet::build(&documents, &[], &[], &options));
        let rules = written(&set, &documents);
        assert_eq!(rules.len(), 2, "{:?}", set.objects);
        let mut redundant = Redundant {
            found: vec![Superfluous {
                policy: set.objects[0].id.clone(),
                file: set.objects[0].file.clone(),
                rule: rules[0].clone(),
                part: None,
                why: Why::Shadowed,
                witnesses: Vec::new(),
                beside: None,
            }],
            ..Redundant::default()
        };
        check::hold(&mut redundant, &set, &options, Vec::new());
        assert_eq!(redundant.dropped, 1, "{protocol}");
    }
}

/// Guarantees: two policies of one name in two files, in a namespace that nobody knows, are
/// two that were not looked at.
#[test]
fn policies_of_one_name_in_two_files_are_both_left_out() {
    let text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec:\n  endpointSelector: {}\n  ingress:\n  - fromEndpoints: [{}]\n";
    let documents = ["one.yaml", "two.yaml"]
        .into_iter()
        .flat_map(|file| manifest::read(text, file.into()).documents);
    let redundant = Redundant::of(&policies(documents.collect()));
    assert_eq!(redundant.left_out, 2);
}
