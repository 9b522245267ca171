use super::super::{FqdnGlob, NodeGlob, Re2};
use super::*;
use proptest::prelude::*;
use serde_json::Value;

const FRONT: [&str; 4] = [
    "k8s:app=front",
    "k8s:app.kubernetes.io/name=shop",
    "k8s:tier=6",
    "container:app=other",
];
const WORLD: [&str; 2] = ["cidr:93.184.216.34/32", "reserved:world"];

fn selects(selector: &str, labels: &[&str]) -> bool {
    let selector = LabelSelector::parse(selector).unwrap();
    selector.matches(labels.iter().copied())
}

#[test]
fn a_key_without_a_source_is_of_any_source() {
    assert!(selects("app=front", &FRONT));
    assert!(selects("k8s:app=front", &FRONT));
    assert!(selects("container:app=other", &FRONT));
    assert!(selects("unspec:app=front", &FRONT));
    assert!(!selects("reserved:app", &FRONT));
    assert!(selects("app.kubernetes.io/name=shop", &FRONT));
    assert!(selects("k8s:app.kubernetes.io/name==shop", &FRONT));
    assert!(
        !selects("any:app=other", &FRONT),
        "only the first one counts"
    );
}

#[test]
fn a_missing_key_satisfies_the_negative_operators_alone() {
    for holds in ["x!=1", "x notin (1)", "!x", "!k8s:x"] {
        assert!(selects(holds, &FRONT), "{holds}");
    }
    for fails in [
        "x",
        "x=",
        "x=1",
        "x in (1)",
        "x>0",
        "x<9",
        "!app",
        "app!=front",
    ] {
        assert!(!selects(fails, &FRONT), "{fails}");
    }
}

#[test]
fn a_comma_is_and_and_sets_may_have_empty_values() {
    assert!(selects(
        "app in (front, back), tier notin (1,2), tier",
        &FRONT
    ));
    assert!(!selects("app=front,tier=7", &FRONT));
    assert!(selects("world in ()", &WORLD));
    assert!(selects("world in (a,)", &WORLD));
    assert!(selects("reserved:world=", &WORLD));
    assert!(selects("", &[]));
    assert!(selects("app in (in, notin, front)", &FRONT));
}

#[test]
fn numbers_compare_as_numbers() {
    assert!(selects("tier>5", &FRONT));
    assert!(!selects("tier>6", &FRONT));
    assert!(selects("tier < 10", &FRONT));
    assert!(!selects("app>5", &FRONT));
}

#[test]
fn a_prefix_selects_what_is_inside_it() {
    assert!(selects("cidr:93.184.0.0/16", &WORLD));
    assert!(!selects("cidr:93.185.0.0/16", &WORLD));
    assert!(!selects("cidr:93.184.216.34", &WORLD));
    assert!(selects("!cidr:10.0.0.0/8", &WORLD));
    assert!(selects("cidr:fd00--0/8", &["cidr:fd00::1/128"]));
    assert!(selects("cidr:fd00--0/8", &["cidr:fd00--1/128"]));
}

#[test]
fn reserved_labels_and_node_labels_need_no_value_or_source() {
    assert!(selects("reserved:world", &WORLD));
    assert!(selects("reserved:world", &["$world"]));
    assert!(selects(
        "kubernetes.io/os=linux",
        &["kubernetes.io/os=linux", "zone=b"]
    ));
    assert!(!selects("k8s:zone=b", &["zone=b"]));
}

#[test]
fn what_kubernetes_refuses_is_refused() {
    for wrong in [
        "((",
        "a b",
        "=a",
        "a=b c",
        "a in b",
        "a in (b",
        "a=b=c",
        "a>x",
        "a>",
        ",a",
        "a,",
        "!",
        "!a=b",
        "!!a",
        "a:b:c",
        "$world",
        "cidr:fd00::/8",
        "a=-",
        "a=x:y",
        "a/b/c",
        "A/b",
        "/a",
        ":a",
        "a.",
        "a <= 5",
        "a in ((b))",
        "\u{E9}",
        "a=\u{E9}",
        "a.b/c_",
        "a,,b",
    ] {
        assert!(LabelSelector::parse(wrong).is_err(), "{wrong}");
    }
    let long = "a".repeat(60);
    assert!(LabelSelector::parse(&format!("k8s:{}", &long[..59])).is_ok());
    assert!(LabelSelector::parse(&format!("k8s:{long}")).is_err());
    let error = LabelSelector::parse("((").unwrap_err();
    assert!(matches!(error, SelectorError::Key { key, .. } if key == "any."));
}

proptest! {
    #[test]
    fn any_text_is_answered(text in r"([a-c:!=,()<> /.$\x00-]|in|notin|k8s:|.){0,20}") {
        if let Ok(selector) = LabelSelector::parse(&text) {
            selector.matches(FRONT.into_iter());
        }
    }

    #[test]
    fn a_test_and_its_negation_split_every_set(key in "[abc]", value in "[ab]?", own in "[ab]=[ab]?") {
        let labels = [format!("k8s:{own}")];
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        for (test, negation) in [
            (key.clone(), format!("!{key}")),
            (format!("{key}={value}"), format!("{key}!={value}")),
            (format!("{key} in (b,{value})"), format!("{key} notin (b,{value})")),
        ] {
            prop_assert_ne!(selects(&test, &labels), selects(&negation, &labels));
        }
    }
}

/// What one flag of the Hubble CLI says of a flow, as far as this room decides it.
fn accepts(flag: &str, pattern: &str, flow: &Value) -> Option<bool> {
    let list = |pointer: &str| -> Vec<&str> {
        let list = flow.pointer(pointer).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    };
    let text = |pointer: &str| flow.pointer(pointer).and_then(Value::as_str);
    let labels = |pointer: &str| {
        let selector = LabelSelector::parse(pattern).unwrap();
        selector.matches(list(pointer).into_iter())
    };
    let names = |pointer: &str| {
        let glob = FqdnGlob::new(pattern).unwrap();
        list(pointer).into_iter().any(|name| glob.matches(name))
    };
    let url = text("/l7/http/url");
    Some(match flag {
        "--from-label" => labels("/source/labels"),
        "--to-label" => labels("/destination/labels"),
        "--label" => labels("/source/labels") || labels("/destination/labels"),
        "--node-label" => labels("/node_labels"),
        "--node-name" => {
            let glob = NodeGlob::new(pattern).unwrap();
            text("/node_name").is_some_and(|name| glob.matches(name))
        }
        "--from-fqdn" => names("/source_names"),
        "--to-fqdn" => names("/destination_names"),
        "--fqdn" => names("/source_names") || names("/destination_names"),
        "--http-url" => {
            let re2 = Re2::new(pattern).unwrap();
            url.is_some_and(|url| re2.is_match(url))
        }
        "--http-path" => {
            let re2 = Re2::new(pattern).unwrap();
            url.is_some_and(|url| re2.is_match(path(url)))
        }
        _ => return None,
    })
}

fn path(url: &str) -> &str {
    let url = url.split_once('?').map_or(url, |(before, _)| before);
    let Some((_, behind)) = url.split_once("://") else {
        return url;
    };
    behind.find('/').map_or("", |slash| &behind[slash..])
}

#[test]
fn flags_of_one_pattern_select_the_flows_hubble_selects() {
    let folder = std::env::var("FLOWWATCH_GOLDEN")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/golden").into());
    let read = |name: &str| std::fs::read_to_string(format!("{folder}/hubble-observe/{name}"));
    let (Ok(filters), Ok(flows)) = (read("filters.json"), read("flows.jsonl")) else {
        eprintln!("skipped: no hubble-observe in {folder}");
        return;
    };
    let filters: Value = serde_json::from_str(&filters).unwrap();
    let flows: Vec<Value> = flows
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut checked = 0;
    for case in filters["cases"].as_array().unwrap() {
        let args: Vec<&str> = case["args"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let [flag, pattern] = args[..] else { continue };
        if accepts(flag, pattern, &Value::Null).is_none() {
            continue;
        }
        let lines: Vec<usize> = (0..)
            .zip(&flows)
            .filter(|(_, line)| {
                // A lost-events line has no flow, and so no labels.
                let flow = line.get("flow").unwrap_or(&Value::Null);
                accepts(flag, pattern, flow) == Some(true)
            })
            .map(|(index, _)| index)
            .collect();
        let wanted: Vec<usize> = case["lines"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|line| line.as_u64().map(|line| line as usize))
            .collect();
        assert_eq!(lines, wanted, "{flag} {pattern}");
        checked += 1;
    }
    assert!(checked >= 20, "only {checked} cases");
}

/// What release 1.19.4 of Hubble's filters makes of a pattern: `null` where it is refused,
/// else the indices of the label sets or names (in the last line) it selects.
const RECORDED: &str = include_str!("../../../tests/data/hubble_patterns.jsonl");

#[test]
fn recorded_patterns_select_what_hubble_selects() {
    let lines: Vec<Value> = RECORDED
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (subjects, cases) = lines.split_last().unwrap();
    let sets: Vec<Vec<String>> = serde_json::from_value(subjects["label_sets"].clone()).unwrap();
    let names: Vec<String> = serde_json::from_value(subjects["names"].clone()).unwrap();
    let of_names = |matches: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..names.len())
            .filter(|index| matches(&names[*index]))
            .collect()
    };
    assert!(cases.len() > 300);
    for case in cases {
        let pattern = case["pattern"].as_str().unwrap();
        let wanted: Option<Vec<usize>> = serde_json::from_value(case["want"].clone()).unwrap();
        let selected = match case["kind"].as_str().unwrap() {
            "label" => LabelSelector::parse(pattern).ok().map(|selector| {
                (0..sets.len())
                    .filter(|index| selector.matches(sets[*index].iter().map(String::as_str)))
                    .collect()
            }),
            "fqdn" => FqdnGlob::new(pattern)
                .ok()
                .map(|glob| of_names(&|name| glob.matches(name))),
            _ => NodeGlob::new(pattern)
                .ok()
                .map(|glob| of_names(&|name| glob.matches(name))),
        };
        assert_eq!(selected, wanted, "{case}");
    }
}
