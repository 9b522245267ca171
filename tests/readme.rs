//! What the README and the guide show is what happens.
//!
//! A block marked `console` holds commands after `$ ` and what they print: standard
//! output, then standard error. Three dots stand for anything: alone on a line for any
//! lines, within one for any text. Commands of ours are run; those that build, install
//! or need a server stand in blocks marked `sh`, which are not.

mod names;

use std::fs;
use std::path::Path;
use std::process::Command;

/// A command and what a page says it prints.
struct Shown {
    page: String,
    line: usize,
    command: String,
    output: Vec<String>,
}

#[test]
fn every_command_shown_prints_what_is_shown() {
    let shown = commands();
    assert!(!shown.is_empty());
    for shown in shown {
        let printed = run(&shown);
        let printed: Vec<&str> = printed.lines().collect();
        let wanted: Vec<&str> = shown.output.iter().map(String::as_str).collect();
        assert!(
            matches_lines(&wanted, &printed),
            "{}:{}: $ {}\nshown:\n{}\nprinted:\n{}",
            shown.page,
            shown.line,
            shown.command,
            wanted.join("\n"),
            printed.join("\n"),
        );
    }
}

#[test]
fn the_readme_begins_with_a_command_that_only_needs_rust() {
    let first = commands()
        .into_iter()
        .find(|shown| shown.page == "README.md");
    let command = first.expect("the README shows a command").command;
    assert!(command.starts_with("cargo run "), "{command}");
    assert!(command.contains("samples/shop.jsonl"), "{command}");
}

fn commands() -> Vec<Shown> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec!["README.md".to_owned()];
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name)
            .extension()
            .is_some_and(|ending| ending == "md")
        {
            pages.push(format!("docs/{name}"));
        }
    }
    pages.sort();
    let read = |page: String| in_page(&page, &fs::read_to_string(root.join(&page)).unwrap());
    pages.into_iter().flat_map(read).collect()
}

fn in_page(page: &str, text: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        if let Some(language) = line.strip_prefix("```") {
            inside = language == "console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            shown.push(Shown {
                page: page.to_owned(),
                line: number + 1,
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else if inside {
            let last = shown.last_mut();
            let last = last.unwrap_or_else(|| panic!("{page}:{}: no command", number + 1));
            last.output.push(line.trim_end().to_owned());
        }
    }
    shown
}

fn run(shown: &Shown) -> String {
    let program = assert_cmd::cargo::cargo_bin!("flowwatch");
    let folder = program.parent().unwrap().to_str().unwrap();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let command = shown.command.replace("cargo run -- ", "flowwatch ");
    assert!(
        command.contains("flowwatch "),
        "{}:{}: a command that is not ours",
        shown.page,
        shown.line
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &command])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PATH", path);
    for (name, _) in std::env::vars() {
        if name.starts_with("HUBBLE_") || name.starts_with("FLOWWATCH_") {
            shell.env_remove(name);
        }
    }
    let output = shell.output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    text.push_str(&String::from_utf8(output.stderr).unwrap());
    text
}

fn matches_lines(wanted: &[&str], printed: &[&str]) -> bool {
    let Some((first, rest)) = wanted.split_first() else {
        return printed.is_empty();
    };
    if *first == "..." {
        return (0..=printed.len()).any(|skipped| matches_lines(rest, &printed[skipped..]));
    }
    printed.split_first().is_some_and(|(line, lines)| {
        matches_text(first, line.trim_end()) && matches_lines(rest, lines)
    })
}

fn matches_text(wanted: &str, printed: &str) -> bool {
    let Some((before, after)) = wanted.split_once("...") else {
        return wanted == printed;
    };
    printed.strip_prefix(before).is_some_and(|rest| {
        rest.char_indices()
            .map(|(at, _)| at)
            .chain([rest.len()])
            .any(|at| matches_text(after, &rest[at..]))
    })
}

#[test]
fn dots_stand_for_anything_and_nothing_else_does() {
    assert!(matches_lines(&["a", "...", "d"], &["a", "b", "c", "d"]));
    assert!(matches_lines(&["a", "..."], &["a"]));
    assert!(matches_lines(
        &["took ... s, 3 left"],
        &["took 1.2 s, 3 left"]
    ));
    assert!(!matches_lines(&["a", "...", "d"], &["a", "b"]));
    assert!(!matches_lines(&["a"], &["a", "b"]));
    assert!(!matches_lines(&["took ... s"], &["took 1.2 min"]));
}
