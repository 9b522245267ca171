use std::sync::Arc;

use super::*;
use crate::connection::Peer;
use crate::engine::Rule;
use crate::flow::Protocol;
use crate::policy::{Direction, Verdict};
use crate::review::report::Seen;
use crate::review::simulate::{
    Change, ChangeRow, Outcome, SideChange, SideRuling, Simulation, Sums, What,
};

fn ruling(verdict: Verdict, file: &str) -> SideRuling {
    SideRuling {
        verdict,
        rules: Arc::from([Rule {
            policy: "shop/web".into(),
            file: file.into(),
            line: 7,
        }]),
        assumed: None,
        unread: None,
    }
}

fn simulation(name: &str) -> Simulation {
    let workload = |name: &str| Peer::Workload {
        cluster: "c".into(),
        namespace: "shop".into(),
        kind: "".into(),
        name: name.into(),
    };
    Simulation {
        connections: Sums {
            all: 9,
            changed: [(Change::NewlyDenied, 3)].into(),
            ..Sums::default()
        },
        rows: vec![ChangeRow {
            change: Change::NewlyDenied,
            what: What::Connections,
            client: workload(name),
            server: workload("db"),
            port: 5432,
            protocol: Protocol::Tcp,
            outcomes: (Outcome::Passes, Outcome::Denied),
            sides: vec![
                SideChange {
                    direction: Direction::Egress,
                    base: ruling(Verdict::Allowed, "a.yaml"),
                    head: ruling(Verdict::Allowed, "a.yaml"),
                    differs: false,
                },
                SideChange {
                    direction: Direction::Ingress,
                    base: ruling(Verdict::Allowed, "main:b.yaml"),
                    head: ruling(Verdict::DeniedByRule, "c d.yaml"),
                    differs: true,
                },
            ],
            count: 3,
            forwarded: 3,
            seen: Seen {
                first: 1_000_000_000,
                last: 2_000_000_000,
            },
            references: Vec::new(),
            accepted: None,
        }],
        ..Simulation::default()
    }
}

fn options() -> Options {
    Options {
        width: 120,
        top: 10,
        base: "git:main".to_owned(),
        head: "policies".to_owned(),
        prefixes: vec!["main:".to_owned()],
        failing: vec!["3 newly denied".to_owned()],
        gated: true,
        ..Options::default()
    }
}

#[test]
fn names_stay_text_in_every_form() {
    let simulation = simulation("<b>|`x`\u{1b}[31m");
    let options = options();
    let html = html(&simulation, &options);
    let junit = junit(&simulation, &options);
    for text in [&html, &junit] {
        assert!(!text.contains("<b>"), "{text}");
    }
    let markdown = markdown(&simulation, &options);
    assert!(markdown.contains("shop/&lt;b&gt;\\|"), "{markdown}");
    for text in [&html, &junit, &markdown, &terminal(&simulation, &options)] {
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn a_result_stands_at_the_rule_that_does_it() {
    let log = sarif(&simulation("web"), &options());
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "newly-denied");
    assert_eq!(result["level"], "error");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "c%20d.yaml");
    assert_eq!(place["region"]["startLine"], 7);
}

#[test]
fn a_case_fails_exactly_where_the_command_does() {
    let mut options = options();
    let text = junit(&simulation("web"), &options);
    assert!(text.contains("failures=\"1\""), "{text}");
    assert!(text.contains("<failure message=\"3 newly denied\">3 shop/web -&gt; shop/db 5432/TCP"));
    options.failing.clear();
    assert!(junit(&simulation("web"), &options).contains("failures=\"0\""));
}

#[test]
fn the_comment_begins_with_the_answer() {
    let text = markdown(&simulation("web"), &options());
    assert!(
        text.starts_with("## Policies: failing on 3 newly denied\n"),
        "{text}"
    );
    let row = "| shop/web | shop/db 5432/TCP | 3 | 00:00:02 | ingress allowed by shop/web (main:b.yaml:7) | ingress denied by a rule: shop/web (c d.yaml:7) |";
    assert!(text.contains(row), "{text}");
}
