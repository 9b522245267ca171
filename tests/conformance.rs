//! Our verdicts are those of Cilium's own engine.
//!
//! Runs every file of cases in the folder of conformance data, compares field by field and
//! says for each how many were compared, equal and left unknown. A checked-in subset keeps
//! this alive where that folder is absent.

mod case;
mod outcome;

pub use self::case::{Universes, answers, answers_in, judge};
pub use self::outcome::Tally;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Scenario: every case of a file, answered by our engine.
/// Guarantees: not one field of one answer differs, and none is left unknown that Cilium
/// itself decides.
fn run(file: &Path, universes: &Universes) -> Tally {
    let mut tally = Tally::default();
    for line in lines(file) {
        let case: serde_json::Value = serde_json::from_str(&line).expect("a case");
        if case.get("queries").is_some() {
            case::judge(&case, universes, &mut tally);
        }
    }
    tally
}

fn check(folder: &Path) {
    let universes = Universes::read(&folder.join("universe.json"));
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("conformance data")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| holds_cases(path))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no cases in {}", folder.display());
    let mut all = Tally::default();
    for file in files {
        let name = file
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let tally = run(&file, &universes);
        println!("{name}\n{tally}");
        all.add(tally);
    }
    assert!(all.is_perfect(), "differences:\n{all}");
}

#[test]
fn every_answer_is_that_of_ciliums_engine() {
    let folder = std::env::var_os("FLOWWATCH_CONFORMANCE")
        .map_or_else(|| PathBuf::from("../shared/conformance"), PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: no conformance data at {}", folder.display());
        return;
    }
    check(&folder);
}

#[test]
fn every_checked_in_answer_is_that_of_ciliums_engine() {
    check(Path::new("tests/data/conformance"));
}

/// What becomes of each checked-in situation: how many fields were compared, and whether
/// every one is Cilium's.
pub fn situations() -> BTreeMap<String, (u64, bool)> {
    let folder = Path::new("tests/data/conformance");
    let universes = Universes::read(&folder.join("universe.json"));
    lines(&folder.join("situations.jsonl"))
        .map(|line| {
            let case: serde_json::Value = serde_json::from_str(&line).expect("a case");
            let mut tally = Tally::default();
            case::judge(&case, &universes, &mut tally);
            let id = case["id"].as_str().expect("an id").to_owned();
            (id, (tally.compared(), tally.is_perfect()))
        })
        .collect()
}

/// Whether the first line is a case that asks something.
fn holds_cases(path: &Path) -> bool {
    let name = path.to_string_lossy();
    (name.ends_with(".jsonl") || name.ends_with(".jsonl.zst"))
        && lines(path).next().is_some_and(|line| {
            serde_json::from_str::<serde_json::Value>(&line)
                .is_ok_and(|case| case.get("queries").is_some() && case.get("policies").is_some())
        })
}

/// Lines one by one: a file may hold ten million questions.
pub fn lines(path: &Path) -> impl Iterator<Item = String> {
    let file = std::fs::File::open(path).expect("a file of cases");
    let reader: Box<dyn Read> = if path.extension().is_some_and(|ending| ending == "zst") {
        Box::new(zstd::stream::read::Decoder::new(file).expect("a zstd frame"))
    } else {
        Box::new(file)
    };
    BufReader::new(reader)
        .lines()
        .map(|line| line.expect("a line of text"))
        .filter(|line| !line.trim().is_empty())
}
