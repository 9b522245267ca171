//! Policy objects become what Cilium's own parser makes of them.

mod corpus;
mod damage;
mod schema;
mod sets;
mod sizes;
mod vectors;

use std::sync::Arc;

use flowwatch::manifest::{Node, read};
use flowwatch::policy::{ReadObject, read_object};

use self::vectors::{Case, cases, checked_in};

/// What was compared, and the first differences.
#[derive(Default)]
struct Tally {
    compared: usize,
    rejected: usize,
    wrong: Vec<String>,
}

#[test]
fn checked_in_situations_are_imported_or_rejected_as_by_cilium() {
    compare_all("checked in", checked_in());
}

#[test]
fn situations_are_imported_or_rejected_as_by_cilium() {
    check("situations.jsonl");
}

#[test]
fn random_policies_are_imported_or_rejected_as_by_cilium() {
    check("random_a.jsonl.zst");
}

fn check(file: &str) {
    if let Some(cases) = cases(file) {
        compare_all(file, cases);
    }
}

fn compare_all(file: &str, cases: Vec<Case>) {
    let mut tally = Tally::default();
    for case in cases {
        compare(&case, &mut tally);
    }
    println!(
        "{file}: {} documents compared, {} of them rejected, {} differ",
        tally.compared,
        tally.rejected,
        tally.wrong.len()
    );
    assert!(tally.compared > 0);
    let first = tally.wrong.iter().take(20).cloned().collect::<Vec<_>>();
    assert!(tally.wrong.is_empty(), "{}", first.join("\n"));
}

fn compare(case: &Case, tally: &mut Tally) {
    for (text, expected) in case.policies.iter().zip(&case.results) {
        let (id, outcome) = match read_object(&node(text)) {
            ReadObject::Policy(policy) => {
                let entries = policy.entries(&case.services, &case.options);
                (policy.id.to_string(), entries.map(|entries| entries.len()))
            }
            ReadObject::CidrGroup(group) => (
                format!("CiliumCIDRGroup//{}", group.name),
                group.group.map(|_| 0),
            ),
            ReadObject::Other => ("other".to_owned(), Ok(0)),
        };
        tally.compared += 1;
        tally.rejected += usize::from(outcome.is_err());
        let told = outcome.map_err(|rejection| {
            assert!(!rejection.message.is_empty());
            rejection.class.to_owned()
        });
        if (&id, &told) != (&expected.id, &expected.outcome) {
            tally.wrong.push(format!(
                "{}: {id} {told:?}, expected {} {:?}\n{text}",
                case.id, expected.id, expected.outcome
            ));
        }
    }
}

/// The only object of a text.
fn node(text: &str) -> Node {
    let mut outcome = read(text, Arc::from("vector.yaml"));
    assert!(outcome.errors.is_empty(), "{:?}\n{text}", outcome.errors);
    assert_eq!(outcome.documents.len(), 1, "{text}");
    outcome.documents.remove(0).root
}
