//! What the pages name is there: flags, rooms, files; and what they say of variables.
//!
//! Does not look at what a flag does: the commands shown do, and the tests of each.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::flowwatch;

/// Programs whose flags a line may show beside ours.
const OTHERS: [&str; 3] = ["hubble ", "kubectl ", "cargo "];

#[test]
fn every_flag_named_is_in_the_help_of_a_command() {
    let mut known = BTreeSet::new();
    helps("", &mut known);
    let mut named = 0;
    for (page, text) in pages() {
        for (number, line) in text.lines().enumerate() {
            for flag in flags(line) {
                named += 1;
                assert!(
                    known.contains(flag) || OTHERS.iter().any(|other| line.contains(other)),
                    "{page}:{}: no command has {flag}",
                    number + 1
                );
            }
        }
    }
    assert!(named > 50, "{named}");
}

#[test]
fn the_architecture_has_a_heading_for_each_room_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut rooms: Vec<String> = fs::read_dir(root.join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lib.rs" && name != "main.rs")
        .map(|name| format!("## [{}](src/{name})", name.trim_end_matches(".rs")))
        .collect();
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let mut headings: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("## ["))
        .collect();
    rooms.sort();
    headings.sort_unstable();
    assert_eq!(headings, rooms);
}

#[test]
fn files_the_pages_point_at_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (page, text) in pages() {
        let folder = Path::new(&page).parent().unwrap();
        let links = text.split("](").skip(1).map(|rest| {
            let target = rest.split(')').next().unwrap();
            folder.join(target.split('#').next().unwrap())
        });
        let links = links.filter(|target| !target.to_str().unwrap().contains("://"));
        let code = text.split('`').filter(|span| {
            let ours = ["src/", "tests/", "benches/", "samples/", "docs/", "proto/"];
            ours.iter().any(|folder| span.starts_with(folder))
                && !span.contains(|letter: char| letter.is_whitespace() || letter == '*')
        });
        for target in links.chain(code.map(Into::into)) {
            let found = [target.clone(), target.with_extension("rs")]
                .iter()
                .any(|path| root.join(path).exists());
            assert!(found, "{page}: {} is not there", target.display());
        }
    }
}

#[test]
fn our_variable_is_stronger_than_hubbles_and_a_flag_than_both() {
    let status = || {
        flowwatch()
            .args("status --timeout 1s")
            .env("HUBBLE_SERVER", "unix:///nowhere/hubble")
    };
    status().run().exit(2).stderr_contains("/nowhere/hubble");
    let ours = || status().env("FLOWWATCH_SERVER", "unix:///nowhere/ours");
    ours().run().exit(2).stderr_contains("/nowhere/ours");
    let flag = ours().args("--server unix:///nowhere/flag");
    flag.run().exit(2).stderr_contains("/nowhere/flag");
}

#[test]
fn a_dash_is_standard_input() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/shop.jsonl");
    flowwatch()
        .args("tail - --first 1")
        .stdin(fs::read(sample).unwrap())
        .run()
        .exit(0)
        .stdout_contains("Jun 16 14:");
}

/// Every page by its path.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![
        "ARCHITECTURE.md".to_owned(),
        "CHANGELOG.md".to_owned(),
        "README.md".to_owned(),
    ];
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name)
            .extension()
            .is_some_and(|ending| ending == "md")
        {
            pages.push(format!("docs/{name}"));
        }
    }
    let read = |page: String| {
        let text = fs::read_to_string(root.join(&page)).unwrap();
        (page, text)
    };
    pages.into_iter().map(read).collect()
}

/// Collects the flags in the help of a command and of those below it.
fn helps(command: &str, known: &mut BTreeSet<String>) {
    let help = flowwatch().args(command).arg("--help").run().exit(0);
    known.extend(help.text().lines().flat_map(flags).map(str::to_owned));
    let below = help.text().lines().skip_while(|line| *line != "Commands:");
    for line in below.skip(1).take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().unwrap();
        if line.starts_with("  ") && !line.starts_with("   ") && name != "help" {
            helps(&format!("{command} {name}"), known);
        }
    }
}

/// The long flags in a line, without their values.
fn flags(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("--").filter_map(|(at, dashes)| {
        let before = line[..at].chars().next_back();
        let name = &line[at + dashes.len()..];
        let end = name
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-')
            .unwrap_or(name.len());
        let is_flag = !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '-')
            && name.starts_with(|letter: char| letter.is_ascii_lowercase());
        is_flag.then(|| &line[at..at + dashes.len() + end])
    })
}

#[test]
fn a_flag_ends_where_its_value_or_its_mark_begins() {
    let line = "`--from-\u{2026}` and `--server=x`, --tls; a -- b, ---, a--b";
    let found: Vec<&str> = flags(line).collect();
    assert_eq!(found, ["--from-", "--server", "--tls"]);
}
