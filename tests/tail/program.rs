//! The program around `tail`: help, version, wrong usage, completions and man pages.

use std::fs;
use std::process::Command;

use super::SHOP;
use crate::support::flowwatch;

#[test]
fn help_groups_the_flags_and_shows_examples() {
    let ran = flowwatch().args("tail --help").run().exit(0);
    assert_eq!(ran.stderr, "");
    let mut groups = ran.lines();
    groups.retain(|line| line.ends_with(':') && !line.starts_with(' '));
    assert_eq!(
        groups,
        [
            "Arguments:",
            "Options:",
            "Anomalies:",
            "Policies:",
            "Selectors:",
            "Server:",
            "Filters:",
            "Endpoint filters:",
            "Raw filters:",
            "Output:",
            "Examples:"
        ]
    );
    for line in ran.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    for flag in [
        "--last <N>",
        "-n, --namespace <NS>",
        "-o, --output <FORMAT>",
    ] {
        assert!(ran.text().contains(flag), "{flag}");
    }
    let root = flowwatch().args("--help").run().exit(0);
    for command in ["tail", "serve", "status", "list", "completions", "man"] {
        assert!(
            root.text().contains(&format!("\n  {command} ")),
            "{command}"
        );
    }
    assert!(!root.text().contains("--faults"));
}

#[test]
fn the_version_is_the_packages() {
    let ran = flowwatch().args("--version").run().exit(0);
    assert_eq!(
        ran.text(),
        format!("flowwatch {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn wrong_usage_is_64_and_says_what_is_wrong() {
    for (args, said) in [
        ("", "Usage: flowwatch <COMMAND>"),
        ("tails", "unrecognized subcommand 'tails'"),
        (
            "tail --no-such-flag",
            "unexpected argument '--no-such-flag'",
        ),
        (
            "tail x --first 1 --last 1",
            "cannot set both --first and --last",
        ),
        (
            "tail x --first 1 --all",
            "cannot set both --first and --all",
        ),
        (
            "tail x --last 2000000",
            "--last must be <= 1000000, got 2000000",
        ),
        (
            "tail x --last many",
            "invalid value 'many' for '--last <N>'",
        ),
        (
            "tail x --since yesterdayish",
            "failed to parse the since time",
        ),
        ("tail x -o xml", "invalid output format: xml"),
        ("tail x -f -o table", "a table needs an end"),
        ("tail -o table", "a table needs an end"),
        ("tail x --sort -f", "cannot be used with"),
        ("tail --sort", "--sort goes with recordings only"),
        ("tail x --verdict nope", "invalid --verdict value: nope"),
        (
            "tail x --http-path (",
            "invalid http path filter: missing closing )",
        ),
        ("tail x --allowlist {\"verdicts\":[]}", "verdicts"),
        (
            "tail x --field-mask time",
            "--field-mask goes with -o json only",
        ),
        (
            "tail x -o json --field-mask no.such",
            "invalid --field-mask",
        ),
        ("tail --server http://x", "has an unknown scheme \"http\""),
        (
            "tail --basic-auth-username a",
            "needs --basic-auth-password",
        ),
        ("status -o xml", "invalid value 'xml'"),
        ("list pods", "unrecognized subcommand 'pods'"),
        ("serve", "--input-file"),
        ("completions ksh", "invalid value 'ksh'"),
    ] {
        flowwatch()
            .args(args)
            .run()
            .exit(64)
            .prints_nothing()
            .stderr_contains(said);
    }
}

/// Guarantees: nothing of the environment that is wrong is passed over.
#[test]
fn wrong_variables_are_wrong_usage() {
    for (name, value) in [
        ("HUBBLE_ALLOWLIST", "{\"no_such\":1}"),
        ("FLOWWATCH_DENYLIST", "{"),
    ] {
        flowwatch()
            .args("tail")
            .args(SHOP)
            .env(name, value)
            .run()
            .exit(64)
            .prints_nothing();
    }
    flowwatch()
        .args("tail")
        .env("HUBBLE_TLS", "maybe")
        .run()
        .exit(64)
        .stderr_contains("HUBBLE_TLS=\"maybe\" is not true or false");
}

#[test]
fn observe_is_another_name_of_tail() {
    let observe = flowwatch().args("observe --input-file").args(SHOP).run();
    let tail = flowwatch().args("tail").args(SHOP).run();
    assert_eq!(observe.exit(0).text(), tail.exit(0).text());
}

#[test]
fn completions_are_scripts_of_their_shell() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let ran = flowwatch().args("completions").args(shell).run().exit(0);
        assert_eq!(ran.stderr, "");
        for word in ["flowwatch", "tail", "completions", "namespace"] {
            assert!(ran.text().contains(word), "{shell}: {word}");
        }
        let path = folder.path().join(shell);
        fs::write(&path, ran.text()).unwrap();
        // A shell that is not there cannot be asked.
        match Command::new(shell).arg("-n").arg(&path).output() {
            Ok(checked) => assert!(checked.status.success(), "{shell}: {checked:?}"),
            Err(error) => println!("skipped: {shell} to check its completions ({error})"),
        }
    }
}

#[test]
fn every_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("share/man/man1");
    flowwatch()
        .args("man")
        .path(&into)
        .run()
        .exit(0)
        .prints_nothing();
    let mut pages: Vec<String> = fs::read_dir(&into)
        .unwrap()
        .map(|page| page.unwrap().file_name().display().to_string())
        .collect();
    pages.sort();
    for page in [
        "",
        "-tail",
        "-serve",
        "-status",
        "-list",
        "-list-nodes",
        "-list-namespaces",
    ] {
        let name = format!("flowwatch{page}.1");
        assert!(pages.contains(&name), "{name} of {pages:?}");
        let text = fs::read_to_string(into.join(&name)).unwrap();
        assert!(
            text.contains(".TH flowwatch") && text.contains(".SH NAME"),
            "{name}"
        );
    }
    let tail = fs::read_to_string(into.join("flowwatch-tail.1")).unwrap();
    assert!(tail.contains("\\-\\-namespace"));
    flowwatch()
        .args("man /proc/no/such")
        .run()
        .exit(2)
        .stderr_contains("write /proc/no/such: ");
}
