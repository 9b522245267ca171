//! Our quarantines before the engine of Cilium.
//!
//! The recorded cases hold what Cilium's own engine says of eleven patterns over random sets
//! of policies. Where a pattern is ours, the policy that we write takes the place of the
//! recorded one, and every answer has to stay as it is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use flowwatch::engine::{Given, Policies};
use flowwatch::inventory::Inventory;
use flowwatch::manifest;
use flowwatch::policy::Direction;
use flowwatch::respond::quarantine::{Order, Pattern, plan};
use flowwatch::respond::{Known, Target};
use serde_json::Value;

use crate::conformance::{Tally, Universes, answers_in, judge, lines};

const POD: &str = "apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: alpha, labels: {app: api, tier: back}}
spec: {containers: []}
";

/// The policy that we write for the pod of the cases, under the name that they have.
fn ours(pattern: Pattern) -> String {
    let mut inventory = Inventory::default();
    for document in manifest::read(POD, "pod.yaml".into()).documents {
        inventory.add(&document.root, document.namespace());
    }
    let policies = Policies::new(Given {
        inventory,
        ..Given::default()
    });
    let known = Known::of(&policies, Some("c1"));
    let order = Order {
        target: Target::parse("pod:alpha/api-1").unwrap(),
        pattern: Some(pattern),
        incident: "INC-1".into(),
        expires: "2026-06-16T18:00:00Z".parse().unwrap(),
        cut: (pattern == Pattern::CutDestination).then(|| Target::parse("8.8.8.8").unwrap()),
        keep: Vec::new(),
        addresses: Vec::new(),
        files: Vec::new(),
    };
    let plan = plan(&order, &known, Some("c1")).unwrap();
    let name = &plan.manifests[0].object.name;
    let called = match pattern {
        Pattern::KubernetesDenyAll => "deny-all",
        _ => "q",
    };
    plan.manifests[0]
        .text
        .replace(&format!("name: {name}"), &format!("name: {called}"))
        // The cases know one label.
        .replace("flowwatch.io/cut", "flowwatch.io/quarantine")
}

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("FLOWWATCH_CONFORMANCE")
        .map_or_else(|| PathBuf::from("../shared/conformance"), PathBuf::from);
    if folder.join("quarantine.jsonl.zst").is_file() {
        return Some(folder);
    }
    println!("skipped: no quarantine.jsonl.zst in {}", folder.display());
    None
}

/// Cases of a pattern, with our policy in place of theirs.
fn cases(pattern: &str, of: Pattern) -> Option<(Universes, Vec<(Value, Value)>)> {
    let folder = folder()?;
    let universes = Universes::read(&folder.join("universe.json"));
    let policy = ours(of);
    let mut cases = Vec::new();
    for line in lines(&folder.join("quarantine.jsonl.zst")) {
        let case: Value = serde_json::from_str(&line).unwrap();
        let id = case["id"].as_str().unwrap();
        if id.rsplit_once('/').is_none_or(|(_, name)| name != pattern) {
            continue;
        }
        let mut changed = case.clone();
        let policies = changed["policies"].as_array_mut().unwrap();
        *policies.last_mut().unwrap() = Value::from(policy.clone());
        cases.push((case, changed));
    }
    assert_eq!(cases.len(), 25, "{pattern}");
    Some((universes, cases))
}

#[test]
fn our_label_quarantine_is_the_one_that_holds_answer_by_answer() {
    let Some((universes, cases)) = cases("label-quarantine-mesh", Pattern::LabelQuarantine) else {
        return;
    };
    let mut tally = Tally::default();
    for (_, changed) in &cases {
        judge(changed, &universes, &mut tally);
    }
    println!("{tally}");
    assert!(tally.compared() > 10_000, "{tally}");
    assert!(tally.is_perfect(), "{tally}");
}

#[test]
fn our_kubernetes_deny_all_leaves_open_what_theirs_does() {
    let Some((universes, cases)) = cases("knp-deny-all", Pattern::KubernetesDenyAll) else {
        return;
    };
    let mut tally = Tally::default();
    for (_, changed) in &cases {
        judge(changed, &universes, &mut tally);
    }
    assert!(tally.compared() > 10_000, "{tally}");
    assert!(tally.is_perfect(), "{tally}");
}

/// Scenario: one address is cut off. Ours is a policy of the namespace, and shuts the address
/// out in both directions; theirs is cluster-wide and about egress.
/// Guarantees: every verdict of the pod's egress is theirs, and of its ingress too, but that
/// of the address itself, which is denied.
#[test]
fn our_cut_of_one_destination_cuts_that_and_nothing_else() {
    let Some((universes, cases)) =
        cases("egress-one-cidr-no-default-deny", Pattern::CutDestination)
    else {
        return;
    };
    let address = 16_777_223;
    let (mut compared, mut denied) = (0, 0);
    for (case, changed) in &cases {
        let answers = answers_in(changed, &universes);
        for (number, query) in case["queries"].as_array().unwrap().iter().enumerate() {
            for (direction, name, subject, peer) in [
                (Direction::Egress, "egress", &query["from"], &query["to"]),
                (Direction::Ingress, "ingress", &query["to"], &query["from"]),
            ] {
                let Some(expected) = query.get(name) else {
                    continue;
                };
                let ours = &answers[&(number, direction)];
                compared += 1;
                if *subject == 2001 && *peer == address && direction == Direction::Ingress {
                    assert_eq!(ours["verdict"], "deny_rule", "{}", case["id"]);
                    denied += 1;
                } else {
                    assert_eq!(
                        ours["verdict"], expected["verdict"],
                        "{} {query}",
                        case["id"]
                    );
                }
            }
        }
    }
    assert!(compared > 5_000 && denied > 50, "{compared} {denied}");
}

/// Scenario: the table of what stays open, by who is at the other end, from our policy.
/// Guarantees: nothing but the node's own host on ingress and the forensics pod.
#[test]
fn what_stays_open_is_the_nodes_own_host_and_the_forensics_pod() {
    let Some((universes, cases)) = cases("label-quarantine-mesh", Pattern::LabelQuarantine) else {
        return;
    };
    let mut table: BTreeMap<(u64, &str), (u64, u64)> = BTreeMap::new();
    for (case, changed) in &cases {
        let answers = answers_in(changed, &universes);
        for (number, query) in case["queries"].as_array().unwrap().iter().enumerate() {
            for (direction, name, subject, peer) in [
                (Direction::Egress, "egress", &query["from"], &query["to"]),
                (Direction::Ingress, "ingress", &query["to"], &query["from"]),
            ] {
                if *subject != 2001 || *peer == 2001 || query.get(name).is_none() {
                    continue;
                }
                let verdict = &answers[&(number, direction)]["verdict"];
                let open = verdict == "allow" || verdict == "redirect";
                let row = table.entry((peer.as_u64().unwrap(), name)).or_default();
                row.0 += u64::from(open);
                row.1 += 1;
            }
        }
    }
    assert!(table.len() > 60, "{table:?}");
    for ((peer, direction), (open, asked)) in table {
        match (peer, direction) {
            (1, "ingress") | (2002, _) => assert!(
                open * 10 > asked * 9,
                "{peer} {direction}: {open} of {asked}"
            ),
            _ => assert_eq!(open, 0, "{peer} {direction}: {open} of {asked}"),
        }
    }
}
