//! What the schema of Cilium's resources says of the hand-written situations.

use flowwatch::policy::{AdmissionOutcome, admit};

use super::node;
use super::vectors::{Expected, checked_in};

#[test]
fn the_schema_complains_where_that_of_cilium_does() {
    let (mut compared, mut refused) = (0, 0);
    for case in checked_in() {
        for (text, expected) in case.policies.iter().zip(&case.results) {
            if !judged(expected) {
                continue;
            }
            let admission = admit(&node(text)).unwrap();
            compared += 1;
            let told = (admission.outcome, admission.causes.first());
            match &expected.schema {
                None => assert_eq!(told, (AdmissionOutcome::Stored, None), "{text}"),
                Some(message) if message.starts_with("unknown fields") => {
                    assert_eq!(told.0, AdmissionOutcome::Malformed, "{text}");
                    refused += 1;
                }
                Some(message) => {
                    assert_eq!(told.0, AdmissionOutcome::Invalid, "{text}");
                    let field = &told.1.unwrap().field;
                    assert!(message.contains(field.as_str()), "{field}: {message}");
                    refused += 1;
                }
            }
        }
    }
    println!("{compared} documents compared, {refused} of them refused");
    assert!(compared > 150 && refused > 25);
}

/// The vectors have the schema's word for Cilium's two kinds, and not where a listener
/// without a priority or a wrong ICMP type stopped the program that made them.
fn judged(expected: &Expected) -> bool {
    let of_cilium = expected.id.starts_with("CiliumNetworkPolicy")
        || expected.id.starts_with("CiliumClusterwideNetworkPolicy");
    let stopped = expected
        .schema
        .as_deref()
        .is_some_and(|message| message.ends_with("extra:[]") || message.starts_with("ICMP type"));
    of_cilium && !stopped
}
