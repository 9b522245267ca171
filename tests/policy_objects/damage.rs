//! Objects with something wrong in them, one thing at a time.

use flowwatch::manifest::{Map, Node, Number, Value};
use flowwatch::policy::{
    Admission, AdmissionOutcome, Options, ReadObject, admit, pruned, read_object,
};

use super::node;
use super::vectors::checked_in;

/// Scenario: every value of every hand-written policy is replaced by each kind of value.
/// Guarantees: nothing panics; what the API server stores, the agent can decode; dropping
/// unknown fields leaves none.
#[test]
fn what_an_api_server_stores_can_be_decoded() {
    let (mut stored, mut malformed, mut invalid) = (0, 0, 0);
    for case in checked_in() {
        for text in &case.policies {
            let whole = node(text);
            for place in 0..places(&whole) {
                for value in values() {
                    let mut damaged = whole.clone();
                    replace(&mut damaged, &mut place.clone(), &value);
                    let Some(admission) = admit(&damaged) else {
                        continue;
                    };
                    match admission.outcome {
                        AdmissionOutcome::Stored => {
                            stored += 1;
                            assert_decodes(&damaged);
                        }
                        AdmissionOutcome::Malformed => malformed += 1,
                        _ => invalid += 1,
                    }
                    let left = admit(&pruned(&damaged)).unwrap();
                    assert!(!has_unknown(&left), "{left:?}");
                    if let ReadObject::Policy(policy) = read_object(&damaged) {
                        let _ = policy.entries(&case.services, &case.options);
                    }
                }
            }
        }
    }
    println!("{stored} stored, {malformed} malformed, {invalid} invalid");
    assert!(stored > 1000 && malformed > 1000 && invalid > 1000);
}

fn assert_decodes(node: &Node) {
    let rejection = match read_object(node) {
        ReadObject::Policy(policy) => policy.entries(&[], &Options::default()).err(),
        ReadObject::CidrGroup(group) => group.group.err(),
        ReadObject::Other => None,
    };
    // The schema knows the names of ICMP types, not to which family each belongs.
    if let Some(rejection) = rejection
        && ["decode", "panic"].contains(&rejection.class)
        && !rejection.message.starts_with("ICMP type")
    {
        panic!("{rejection:?} in {node:?}");
    }
}

fn has_unknown(admission: &Admission) -> bool {
    let mut causes = admission.causes.iter();
    causes.any(|cause| cause.message == "unknown field")
}

fn values() -> Vec<Value> {
    vec![
        Value::Null,
        Value::Bool(true),
        Value::Number(Number::Int(-1)),
        Value::Number(Number::Float(0.5)),
        Value::String("x".into()),
        Value::String("".into()),
        Value::List(Vec::new()),
        Value::List(vec![node("{}"), node("[null]")]),
        Value::Map(Map::default()),
        node("{x: {y: 1}}").value,
    ]
}

/// How many values are below a node.
fn places(node: &Node) -> usize {
    match &node.value {
        Value::List(list) => list.iter().map(|node| 1 + places(node)).sum(),
        Value::Map(map) => map.entries.iter().map(|(_, node)| 1 + places(node)).sum(),
        _ => 0,
    }
}

/// Replaces the value at a place, counted depth first.
fn replace(node: &mut Node, place: &mut usize, value: &Value) -> bool {
    let below: Vec<&mut Node> = match &mut node.value {
        Value::List(list) => list.iter_mut().collect(),
        Value::Map(map) => map.entries.iter_mut().map(|(_, node)| node).collect(),
        _ => return false,
    };
    for node in below {
        if *place == 0 {
            node.value = value.clone();
            return true;
        }
        *place -= 1;
        if replace(node, place, value) {
            return true;
        }
    }
    false
}
