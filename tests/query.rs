//! `flowwatch query` as it is typed: formats, what is said beside an answer, exit codes.

use std::path::{Path, PathBuf};

use crate::support::{Run, flowwatch};

fn archive() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/archive")
}

fn query(question: &[&str]) -> Run {
    let mut run = flowwatch().args("query").path(archive());
    for part in question {
        run = run.arg(*part);
    }
    run
}

#[test]
fn an_answer_has_the_format_that_was_asked_for() {
    let sql =
        "SELECT verdict, COUNT(*) AS flows FROM flows WHERE verdict = 'DROPPED' GROUP BY verdict";
    let ran = query(&["-o", "json", sql]).run().exit(0);
    let lines = ran.lines();
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("{\"verdict\":\"DROPPED\",\"flows\":"),
        "{lines:?}"
    );
    query(&["-o", "csv", sql])
        .run()
        .stdout_contains("verdict,flows")
        .exit(0);
    query(&["-o", "markdown", sql])
        .run()
        .stdout_contains("| verdict | flows |")
        .exit(0);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("answer.parquet");
    query(&["-o", "parquet", "--out", out.to_str().unwrap(), sql])
        .run()
        .exit(0);
    assert!(std::fs::read(out).unwrap().starts_with(b"PAR1"));
}

#[test]
fn what_is_absent_comes_with_completeness() {
    query(&["loss"])
        .run()
        .stderr_contains("completeness: ")
        .exit(0);
    query(&["who-talked-to", "no/body"])
        .run()
        .stderr_contains("completeness: ")
        .stderr_contains("counted from flows")
        .exit(0);
}

#[test]
fn questions_can_come_on_standard_input() {
    let count = "SELECT COUNT(*) AS flows\n  FROM drops";
    let ran = query(&["-o", "csv"]).stdin(count).run().exit(0);
    assert_eq!(ran.lines().len(), 2, "{:?}", ran.lines());
    let all = format!("{count};\nSELECT nothing FROM flows;\n.mode json\nloss\n");
    query(&["-o", "csv"])
        .stdin(all)
        .run()
        .stdout_contains("flows\r\n")
        .stdout_contains("\"holes\":1")
        .stderr_contains("standard input, line 3: there is no column \"nothing\"")
        .exit(1);
    query(&["-o", "parquet", "--out", "never.parquet"])
        .stdin(count)
        .run()
        .stderr_contains("one answer")
        .exit(64);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("answers.csv");
    query(&["-q", "-o", "csv", "--out", out.to_str().unwrap()])
        .stdin("loss\nloss\n")
        .run()
        .prints_nothing()
        .exit(0);
    let text = std::fs::read_to_string(out).unwrap();
    assert_eq!(text.matches("node_name,cause").count(), 2, "{text}");
}

#[test]
fn a_name_that_is_none_comes_with_the_one_that_was_meant() {
    query(&["--by", "src.wrkload"])
        .run()
        .stderr_contains("but source_workload")
        .exit(64);
    query(&["SELECT verdct FROM flows"])
        .run()
        .stderr_contains("but verdict")
        .exit(64);
    query(&["who-talked-to", "payment"])
        .run()
        .stderr_contains("but payments/")
        .exit(0);
}

#[test]
fn a_question_that_means_nothing_is_wrong_usage() {
    query(&[])
        .run()
        .stderr_contains("what is the question")
        .exit(64);
    query(&["--by", "nothing"])
        .run()
        .stderr_contains("no column")
        .exit(64);
    query(&["who"])
        .run()
        .stderr_contains("who-talked-to")
        .exit(64);
    query(&["SELECT * FROM read_csv('x')"])
        .run()
        .stderr_contains("read_csv")
        .exit(64);
    query(&["--top", "3", "--where", "port + 1 == 2"])
        .run()
        .stderr_contains("not supported")
        .exit(64);
    query(&["--top", "3", "--ip", "10.0.0.0/8"])
        .run()
        .stderr_contains("ranges")
        .exit(64);
    flowwatch()
        .args("query /nowhere loss")
        .run()
        .stderr_contains("/nowhere")
        .exit(2);
    flowwatch()
        .args("query --list")
        .run()
        .stdout_contains("http-errors")
        .exit(0);
}

#[test]
fn rollups_have_the_connections_of_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let flows = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/shop.jsonl");
    let archive = folder.path().join("archive");
    let record = flowwatch().args("record -q --archive").path(&archive);
    record.path(&flows).run().exit(0);
    let report = flowwatch().args("analyze -q -o json").path(&flows).run();
    let report: serde_json::Value = serde_json::from_str(report.text()).unwrap();
    let asked = |sql: &str| {
        flowwatch()
            .args("query -o json")
            .path(&archive)
            .arg(sql)
            .run()
    };
    let totals = &report["totals"];
    for of in ["rollup WHERE began", "edges", "connections"] {
        let sql =
            format!("SELECT SUM(connections) AS connections, SUM(attempts) AS attempts FROM {of}");
        let ran = asked(&sql);
        let sums: serde_json::Value = serde_json::from_str(ran.text()).unwrap();
        assert_eq!(sums["connections"], totals["connections"], "{of}: {totals}");
        assert_eq!(sums["attempts"], totals["attempts"], "{of}: {totals}");
    }
    let cut = flowwatch().args("query --since 2026-06-16T14:05:00Z");
    cut.path(&archive)
        .arg("SELECT hour FROM rollup")
        .run()
        .stderr_contains("1 hour left out, which the window cuts")
        .exit(0);
    let filtered = flowwatch().args("query --verdict DROPPED").path(&archive);
    filtered
        .arg("SELECT hour FROM rollup")
        .run()
        .stderr_contains("the view rollup has no flows")
        .exit(64);
}
