//! The forms of a report on unused rules.

use std::collections::BTreeMap;

use super::*;
use crate::manifest;
use crate::policy::{Options as AgentOptions, PolicySet, written};
use crate::review::unused::{Confidence, Standing, UnusedPart, UnusedRule};
use crate::review::usage::{Doubt, Use, Withdrawn};

/// A rule with a name that would like to be markup, and a peer that was not used.
fn unused() -> Unused {
    let text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: '<b>|x', namespace: shop}\nspec:\n  endpointSelector: {}\n  ingress:\n  - fromEntities: [host, world]\n  egress:\n  - toEntities: [world]\n";
    let documents = manifest::read(text, "p.yaml".into()).documents;
    let set = PolicySet::build(&documents, &[], &[], &AgentOptions::default());
    let rules = written(&set, &documents);
    let rule = |at: usize, standing: Standing, parts: Vec<UnusedPart>| UnusedRule {
        policy: set.objects[0].id.clone(),
        file: set.objects[0].file.clone(),
        rule: rules[at].clone(),
        standing,
        usage: Use::default(),
        parts,
        nobody_seen: true,
        isolates: true,
    };
    let part = UnusedPart {
        kind: "peer",
        index: 1,
        standing: Standing::Unused,
        usage: Use::default(),
    };
    let mut used = rule(0, Standing::Needed, vec![part]);
    used.usage.alone = 1_234;
    Unused {
        connections: 2_000,
        rules: vec![used, rule(1, Standing::Unused, Vec::new())],
        ..Unused::default()
    }
}

fn options() -> Options {
    Options {
        width: 160,
        top: 10,
        ..Options::default()
    }
}

#[test]
fn what_can_go_is_told_with_file_and_line_and_what_to_keep() {
    let text = terminal(&unused(), &options());
    assert!(
        text.contains("Nothing needed 1 rule and 1 part of used rules."),
        "{text}"
    );
    assert!(text.contains("p.yaml:9"), "{text}");
    assert!(text.contains("keep an empty element"), "{text}");
    assert!(text.contains("world"), "{text}");
}

#[test]
fn a_claim_that_is_withdrawn_says_why_and_names_nothing() {
    let mut unused = unused();
    unused.withdrawn.push(Withdrawn::Unseen {
        share: 0.985,
        lost: None,
    });
    for rule in &mut unused.rules {
        rule.parts.clear();
    }
    let gone = &mut unused.rules[1];
    gone.standing = Standing::NotShown;
    gone.usage.doubts = BTreeMap::from([(Doubt::Job("shop/yearly".into()), 0)]);
    let text = terminal(&unused, &options());
    assert!(
        text.contains("only 98.5 % of the time was seen") && text.contains("--min-seen 98.5"),
        "{text}"
    );
    assert!(text.contains("Of 1 rule it cannot be shown."), "{text}");
    assert!(text.contains("shop/yearly may need it"), "{text}");
    let value = json(&unused, &options());
    assert_eq!(value["unused"]["rules"], 0);
    assert_eq!(value["rules"][1]["use"]["doubts"][0]["reason"], "job");
}

/// Scenario: flows of 17 ms.
/// Guarantees: nothing is claimed, and each form says that the recording is too short.
#[test]
fn a_recording_that_is_too_short_is_said_in_every_form() {
    let mut unused = unused();
    unused.withdrawn.push(Withdrawn::Short {
        window: 17_000_000,
        least: 7 * 86_400_000_000_000,
    });
    unused.rules[0].parts.clear();
    unused.rules[1].standing = Standing::NotShown;
    let why = "None is called unused: the recording is only 17 ms long, and a claim takes 7 d (--min-window 17ms accepts that).";
    let text = terminal(&unused, &options());
    assert!(text.contains(why), "{text}");
    assert!(text.contains("the recording is too short"), "{text}");
    let value = json(&unused, &options());
    assert_eq!(value["withdrawn"][0]["reason"], "short");
    assert_eq!(value["confidence"], serde_json::Value::Null);
    let log = sarif(&unused);
    assert_eq!(log["runs"][0]["results"], serde_json::json!([]));
    let told = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0];
    assert_eq!(told["message"]["text"], why);
}

#[test]
fn how_sure_a_claim_is_follows_from_the_window() {
    let mut unused = unused();
    unused.confidence = Some(Confidence {
        watched: 30 * 86_400_000_000_000,
        pause: 10 * 86_400_000_000_000,
    });
    let sure =
        "What is needed every 10 d or more often would have been seen, with 95 % confidence.";
    assert!(terminal(&unused, &options()).contains(sure));
    let log = sarif(&unused);
    let told = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0];
    assert_eq!(
        (&told["level"], &told["message"]["text"]),
        (&"note".into(), &sure.into())
    );
    let value = json(&unused, &options());
    assert_eq!(value["confidence"]["at_least_every_seconds"], 864_000.0);
}

#[test]
fn names_stay_text_in_markdown() {
    let text = markdown(&unused(), &options());
    assert!(text.contains("shop/&lt;b&gt;\\|x"), "{text}");
}

#[test]
fn results_stand_at_their_lines() {
    let log = sarif(&unused());
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(results[0]["ruleId"], "unused-part");
    let place = |at: usize| &results[at]["locations"][0]["physicalLocation"]["region"]["startLine"];
    assert_eq!((place(0), place(1)), (&7.into(), &9.into()));
}
