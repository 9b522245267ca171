//! The forms of a small report.

use super::*;
use crate::policy::Cause;
use crate::review::coverage::WorkloadCover;

fn report() -> Coverage {
    let workload = |namespace: &str, name: &str, ingress: Cover| WorkloadCover {
        id: WorkloadId {
            cluster: "c".into(),
            namespace: Some(namespace.into()),
            name: name.into(),
            kind: "Deployment".into(),
        },
        in_documents: true,
        ingress: SideCover {
            cover: ingress,
            ..SideCover::default()
        },
        ..WorkloadCover::default()
    };
    let doubt = Doubt {
        cause: Cause::PolicyUnreadable(0),
        place: Some("a.yaml:3".into()),
    };
    Coverage {
        workloads: vec![
            workload("a", "x|y\x1b", Cover::DefaultDeny),
            workload("b", "z", Cover::Unknown(doubt)),
        ],
        policies: 1,
        ..Coverage::default()
    }
}

#[test]
fn the_terminal_form_is_aligned_and_says_why_something_is_unknown() {
    let mut out = Vec::new();
    terminal(&mut out, &report(), Detail::Namespaces, false);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "Score 33.3 of 100: of the 4 directions of 2 workloads, 1 is under default deny; 1 unknown

2 of 2 workloads need a policy and have none:
  a/x|y^[  egress
  b/z      egress

NAMESPACE  SCORE  WORKLOADS  NO POLICY  INGRESS DENY  EGRESS DENY  UNKNOWN  L7  DNS
a           50.0          1          1           1/1          0/1        0   0    0
b            0.0          1          1           0/0          0/1        1   0    0
all         33.3          2          2           1/1          0/2        1   0    0

1 direction unknown, policy unreadable at a.yaml:3: mend or render the file that could not be read
workloads are those of the manifests: what runs besides them is not in the score
"
    );
}

#[test]
fn colour_changes_nothing_but_colour() {
    let (mut plain, mut colored) = (Vec::new(), Vec::new());
    terminal(&mut plain, &report(), Detail::Workloads, false);
    terminal(&mut colored, &report(), Detail::Workloads, true);
    let mut text = String::from_utf8(colored).unwrap();
    assert!(text.contains("\x1b["));
    for code in [
        "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\x1b[1m", "\x1b[2m", "\x1b[0m",
    ] {
        text = text.replace(code, "");
    }
    assert_eq!(text.as_bytes(), plain);
}

#[test]
fn names_cannot_break_out_of_a_cell() {
    let mut out = Vec::new();
    markdown(&mut out, &report());
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("| a/x\\|y^\\[ | egress |"), "{text}");
}

#[test]
fn scores_and_shares_are_rounded_down() {
    let score = |points, of| score_text(Score { points, of });
    assert_eq!(score(19_999, 20_000), "99.9");
    assert_eq!(score(2, 2), "100.0");
    assert_eq!(score(0, 0), "-");
    assert_eq!(share_text(1, 3), "33.3%");
    assert_eq!(share_text(0, 0), "-");
}

#[test]
fn where_nothing_can_be_told_there_is_no_score() {
    let mut report = report();
    report.workloads.remove(0);
    let unknown = report.workloads[0].ingress.clone();
    report.workloads[0].egress = unknown;
    let mut out = Vec::new();
    terminal(&mut out, &report, Detail::Namespaces, false);
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("No score: of the 2 directions of 1 workload, 0 are"));
    assert!(text.contains("No workload is known to need a policy; of 2 directions it cannot"));
    assert_eq!(json(&report)["score"], serde_json::Value::Null);
}
