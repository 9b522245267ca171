//! Policies of a size nobody writes by hand: there is a verdict, a reason why Cilium does
//! not import them, or a reason why nobody evaluates them. How long it takes is printed.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use flowwatch::inventory::{Identity, Label};
use flowwatch::manifest;
use flowwatch::policy::{
    Cause, Compiled, Direction, IdentityIndex, Options, PolicySet, TOO_LARGE, Verdict, World,
};

/// Asks what `srv` says of two outside addresses on port 80 under a policy with these
/// egress elements. Returns why it is not in force, where it is not.
fn ask(egress: &str) -> (Option<&'static str>, [Verdict; 2]) {
    let started = Instant::now();
    let text = format!(
        r#"{{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy",
        "metadata":{{"name":"p","namespace":"default"}},
        "spec":{{"endpointSelector":{{}},"egress":[{egress}]}}}}"#
    );
    let outcome = manifest::read(&text, "big.json".into());
    assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
    let options = Options::default();
    let set = PolicySet::build(&outcome.documents, &[], &[], &options);
    assert_eq!(set.objects.len(), 1);
    let rejection = set.objects[0]
        .rejection
        .as_ref()
        .map(|rejection| rejection.class);
    let outside = |number: u32, address: &str| Identity {
        number,
        labels: vec![Label::parse("reserved:world-ipv4")],
        address: address.parse().ok(),
        ..Identity::default()
    };
    let srv = Identity {
        number: 1001,
        labels: vec![
            Label::parse("k8s:app=srv"),
            Label::parse("k8s:io.kubernetes.pod.namespace=default"),
            Label::parse("k8s:io.cilium.k8s.policy.cluster=default"),
        ],
        ..Identity::default()
    };
    let world = World {
        identities: vec![
            srv,
            outside(16_777_217, "10.0.0.7"),
            outside(16_777_218, "9.9.9.9"),
        ],
        names_complete: true,
        ports_complete: true,
    };
    let compiled = Compiled::new(Arc::new(set), &world, &options);
    let verdicts = [1, 2].map(|peer| {
        compiled
            .decide(
                IdentityIndex(0),
                Direction::Egress,
                IdentityIndex(peer),
                6,
                80,
            )
            .verdict
    });
    let took = started.elapsed();
    println!(
        "{} bytes: {rejection:?}, {verdicts:?} in {took:?}",
        text.len()
    );
    (rejection, verdicts)
}

/// In force: the first address passes and the second does not. Not imported: both pass. Not
/// evaluated: neither is known.
#[track_caller]
fn is_settled(egress: &str) {
    let (rejection, verdicts) = ask(egress);
    match rejection {
        None => assert_eq!(verdicts, [Verdict::Allowed, Verdict::DeniedByDefault]),
        Some(TOO_LARGE) => assert!(
            verdicts
                .iter()
                .all(|verdict| matches!(verdict, Verdict::Unknown(Cause::PolicyUnreadable(_)))),
            "{verdicts:?}"
        ),
        Some(_) => assert_eq!(verdicts, [Verdict::Allowed, Verdict::Allowed]),
    }
}

/// `count` texts with commas between them.
fn list(count: u32, mut item: impl FnMut(&mut String, u32)) -> String {
    let mut text = String::new();
    for number in 0..count {
        if number > 0 {
            text.push(',');
        }
        item(&mut text, number);
    }
    text
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 + number)
}

#[test]
fn twenty_thousand_prefixes_are_settled() {
    let prefixes = list(20_000, |text, number| {
        let _ = write!(text, r#""{}/32""#, address(number));
    });
    is_settled(&format!(r#"{{"toCIDR":[{prefixes}]}}"#));
}

#[test]
fn ten_thousand_selectors_are_settled() {
    let selectors = list(10_000, |text, number| {
        let _ = write!(text, r#"{{"matchLabels":{{"app":"a{number}"}}}}"#);
    });
    is_settled(&format!(
        r#"{{"toEndpoints":[{selectors}]}},{{"toCIDR":["10.0.0.0/8"]}}"#
    ));
}

#[test]
fn ten_thousand_ports_of_one_rule_are_settled() {
    let ports = list(10_000, |text, number| {
        let _ = write!(text, r#"{{"port":"{}","protocol":"TCP"}}"#, number + 1);
    });
    is_settled(&format!(
        r#"{{"toCIDR":["10.0.0.0/8"],"toPorts":[{{"ports":[{ports}]}}]}}"#
    ));
}

#[test]
fn ten_thousand_ports_in_rules_of_forty_are_settled() {
    let rules = list(250, |text, rule| {
        let ports = list(40, |text, number| {
            let _ = write!(
                text,
                r#"{{"port":"{}","protocol":"TCP"}}"#,
                rule * 40 + number + 1
            );
        });
        let _ = write!(text, r#"{{"ports":[{ports}]}}"#);
    });
    is_settled(&format!(
        r#"{{"toCIDR":["10.0.0.0/8"],"toPorts":[{rules}]}}"#
    ));
}

/// Scenario: prefixes times ports, each list of a length that passes alone.
/// Guarantees: what a small file asks for in product is settled too.
#[test]
fn many_prefixes_times_many_ports_are_settled() {
    let prefixes = list(20_000, |text, number| {
        let _ = write!(text, r#""{}/32""#, address(number));
    });
    let rules = list(100, |text, rule| {
        let ports = list(40, |text, number| {
            let _ = write!(
                text,
                r#"{{"port":"{}","protocol":"TCP"}}"#,
                rule * 40 + number + 1
            );
        });
        let _ = write!(text, r#"{{"ports":[{ports}]}}"#);
    });
    is_settled(&format!(r#"{{"toCIDR":[{prefixes}],"toPorts":[{rules}]}}"#));
}
