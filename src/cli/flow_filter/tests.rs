//! Flags to filters, as Hubble's client translates them.

use clap::Parser;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[derive(Debug, Parser)]
struct Tail {
    #[command(flatten)]
    filters: FlowFilterArgs,
}

fn filters(line: &[&str]) -> Result<AllowAndDeny, FlagError> {
    let args = Tail::try_parse_from(std::iter::once("tail").chain(line.iter().copied())).unwrap();
    args.filters.filters(|_| None)
}

/// What `--print-raw-filters` prints, its JSON read back.
fn raw(line: &[&str]) -> Value {
    let (allow, deny) = filters(line).unwrap();
    let mut out = Vec::new();
    write_raw_filters(&mut out, &allow, &deny).unwrap();
    let mut printed = json!({});
    let mut key = "";
    for line in std::str::from_utf8(&out).unwrap().lines() {
        if let Some(name) = line.strip_suffix(':') {
            key = name;
            continue;
        }
        let text = &line["    - '".len()..line.len() - 1];
        let filter: Value = serde_json::from_str(&text.replace("''", "'")).unwrap();
        match &mut printed[key] {
            Value::Array(list) => list.push(filter),
            first => *first = json!([filter]),
        }
    }
    printed
}

fn error(line: &[&str]) -> String {
    filters(line).unwrap_err().to_string()
}

#[test]
fn nothing_is_no_filter() {
    assert_eq!(raw(&[]), json!({}));
}

#[test]
fn a_two_sided_flag_is_two_filters() {
    assert_eq!(
        raw(&["--pod", "a", "--port", "80", "--verdict", "DROPPED"]),
        json!({"allowlist": [
            {"source_pod": ["a"], "verdict": ["DROPPED"], "source_port": ["80"]},
            {"destination_pod": ["a"], "verdict": ["DROPPED"], "destination_port": ["80"]},
        ]})
    );
    assert_eq!(
        raw(&["--from-pod", "a", "--to-port", "80"]),
        json!({"allowlist": [{"source_pod": ["a"], "destination_port": ["80"]}]})
    );
}

#[test]
fn not_negates_the_next_filter_only() {
    assert_eq!(
        raw(&[
            "--not",
            "--verdict",
            "DROPPED",
            "--uuid",
            "u",
            "--not",
            "-4",
            "--ipv6"
        ]),
        json!({
            "allowlist": [{"uuid": ["u"], "ip_version": ["IPv6"]}],
            "denylist": [{"verdict": ["DROPPED"], "ip_version": ["IPv4"]}],
        })
    );
    assert_eq!(
        raw(&["--uuid", "u", "--not", "--pod", "a"]),
        json!({
            "allowlist": [{"uuid": ["u"]}],
            "denylist": [{"source_pod": ["a"]}, {"destination_pod": ["a"]}],
        })
    );
    assert_eq!(
        error(&["--uuid", "u", "--not"]),
        "trailing --not found in the arguments"
    );
    assert_eq!(
        error(&["--not", "--not", "-4"]),
        "consecutive --not statements"
    );
}

#[test]
fn a_namespace_goes_to_the_names_that_have_none() {
    assert_eq!(
        raw(&["-n", "shop", "-n", "web"]),
        json!({"allowlist": [
            {"source_pod": ["shop/", "web/"]},
            {"destination_pod": ["shop/", "web/"]},
        ]})
    );
    assert_eq!(
        raw(&[
            "--from-namespace",
            "shop",
            "--from-pod",
            "a",
            "--from-pod",
            "shop/b"
        ]),
        json!({"allowlist": [{"source_pod": ["shop/a", "shop/b"]}]})
    );
    assert_eq!(
        raw(&["-A", "--service", "s"]),
        json!({"allowlist": [{"source_service": ["/s"]}, {"destination_service": ["/s"]}]})
    );
    assert_eq!(
        error(&["--namespace", "shop", "--pod", "other/a"]),
        "namespace conflict: \"shop\" does not contain \"other/a\""
    );
    assert!(error(&["--pod", "shop/a", "--service", "web/b"]).contains("conflicts with pod"));
}

#[test]
fn flags_of_one_group_exclude_each_other_but_not_across_not() {
    assert_eq!(
        error(&["--ip", "10.0.0.1", "--from-pod", "a"]),
        "filters --ip and --from-pod cannot be combined"
    );
    assert!(error(&["--encrypted", "--unencrypted"]).contains("cannot be combined"));
    assert!(error(&["--label", "a", "--to-label", "b"]).contains("cannot be combined"));
    assert!(filters(&["--label", "a", "--not", "--to-label", "b"]).is_ok());
    assert!(filters(&["--from-ip", "10.0.0.1", "--to-pod", "b"]).is_ok());
}

#[test]
fn values_become_messages() {
    assert_eq!(
        raw(&[
            "-t",
            "trace:to-endpoint",
            "--type",
            "drop:181",
            "--tcp-flags",
            "syn,ack",
            "--http-header",
            "k:v:w",
            "--unencrypted",
            "--interface",
            "eth0",
            "--ip-trace-id",
            "7",
            "--cel-expression",
            "-1 < 0",
            "--ip-version",
            "none",
        ]),
        json!({"allowlist": [{
            "event_type": [
                {"type": 4, "match_sub_type": true},
                {"type": 1, "match_sub_type": true, "sub_type": 181},
            ],
            "tcp_flags": [{"SYN": true, "ACK": true}],
            "http_header": [{"key": "k", "value": "v:w"}],
            "encrypted": [false],
            "interface": [{"name": "eth0"}],
            "ip_trace_id": ["7"],
            "experimental": {"cel_expression": ["-1 < 0"]},
            "ip_version": ["IP_NOT_USED"],
        }]})
    );
    assert_eq!(
        raw(&["--from-identity", "world", "--to-workload", "Job/x"]),
        json!({"allowlist": [
            {"source_identity": [2], "destination_workload": [{"name": "x", "kind": "Job"}]},
        ]})
    );
}

#[test]
fn raw_filters_follow_the_flags_and_are_read_strictly() {
    assert_eq!(
        raw(&[
            "-4",
            "--allowlist",
            r#"{"source_pod":["it's/"]} {"verdict":["DROPPED"]}"#,
            "--allowlist",
            r#"{"sourceIp":["10.0.0.1"]}"#,
        ]),
        json!({"allowlist": [
            {"ip_version": ["IPv4"]},
            {"source_pod": ["it's/"]},
            {"verdict": ["DROPPED"]},
            {"source_ip": ["10.0.0.1"]},
        ]})
    );
    for bad in [r#"{"nope":1}"#, r#"{"verdict":["NOPE"]}"#, "{", "[]", "1"] {
        assert!(
            error(&["--denylist", bad]).starts_with("invalid --denylist flag"),
            "{bad}"
        );
    }
}

#[test]
fn the_environment_is_asked_where_a_flag_is_missing() {
    let args = |line: &[&str]| Tail::try_parse_from(line).unwrap().filters;
    let ours = |name: &str| {
        (name == "FLOWWATCH_DENYLIST" || name == "HUBBLE_DENYLIST" || name == "HUBBLE_ALLOWLIST")
            .then(|| format!(r#"{{"uuid":["{name}"]}}"#))
    };
    let (allow, deny) = args(&["tail"]).filters(ours).unwrap();
    assert_eq!(allow[0].uuid, ["HUBBLE_ALLOWLIST"]);
    assert_eq!(deny[0].uuid, ["FLOWWATCH_DENYLIST"]);
    let given = ["tail", "--allowlist", r#"{"uuid":["typed"]}"#];
    let (allow, _) = args(&given).filters(ours).unwrap();
    assert_eq!(allow.len(), 1);
    assert_eq!(allow[0].uuid, ["typed"]);
}

#[test]
fn every_flag_has_a_line_of_help_and_a_meaning() {
    let command = FlowFilterArgs::augment_args(Command::new("tail"));
    command.clone().debug_assert();
    for flag in GROUPS.iter().flat_map(|(_, flags)| *flags) {
        let mut builder = Builder::default();
        let value = match flag.name {
            "type" => "drop",
            "verdict" => "DROPPED",
            "drop-reason-desc" => "POLICY_DENIED",
            "traffic-direction" => "egress",
            "tcp-flags" => "SYN",
            "http-header" => "a:b",
            "ip-version" => "v4",
            _ => "1",
        };
        builder.flag(flag.name, value).unwrap();
        assert_eq!(
            builder.finish().is_err(),
            flag.name == "not",
            "{}",
            flag.name
        );
    }
    let help = command.clone().render_help().to_string();
    for heading in ["Filters:", "Endpoint filters:", "Raw filters:"] {
        assert!(help.contains(heading), "{help}");
    }
}

proptest! {
    #[test]
    fn no_flags_panic(
        line in prop::collection::vec(("[a-z]{0,3}", any::<prop::sample::Index>(), any::<String>()), 0..6)
    ) {
        let flags: Vec<&Flag> = GROUPS.iter().flat_map(|(_, flags)| *flags).collect();
        let mut builder = Builder::default();
        for (short, flag, text) in &line {
            let value = if short.is_empty() { text } else { short };
            let _ = builder.flag(flag.get(&flags).name, value);
        }
        if let Ok((allow, deny)) = builder.finish() {
            let _ = crate::filter::Filters::compile(&allow, &deny);
        }
    }

    #[test]
    fn no_raw_filter_panics(text in any::<String>(), close in r#"[{}\[\]":,a-z_0-9]{0,40}"#) {
        let _ = raw::parse("allowlist", &text);
        let _ = raw::parse("allowlist", &close);
    }
}
