//! Real recordings are read whole, and give the numbers their README says.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says so by failing, in its helpers too"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowwatch::flow::{
    BatchBuilder, Direction, FlowBatch, L7Record, L7Type, NoticeKind, Raw, RowRef, TracePoint,
    Verdict, flags,
};
use flowwatch::source::file::{BackwardReader, ChunkReader, FileOrder, LineDecoder, Skips, inputs};

/// Counts by name, as a line of the README has them: `FORWARDED=8, AUDIT=1`.
type Counts = BTreeMap<String, u64>;

/// What the README says of a file, and what is read from it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    records: u64,
    /// `flow`, `bare-flow`, `lost_events`.
    forms: Counts,
    /// By the README's word for what is counted.
    counts: BTreeMap<String, Counts>,
    first: String,
    last: String,
}

/// What the README counts of each record, in its words.
const COUNTED: [&str; 7] = [
    "verdicts",
    "protocols",
    "event type/subtype",
    "observation",
    "drops",
    "L7",
    "direction",
];

#[test]
fn every_record_of_the_corpus_is_read_and_counted_as_its_readme_says() {
    let Some(corpus) = corpus() else { return };
    let readme = std::fs::read_to_string(corpus.join("README.md")).expect("README of the corpus");
    let described = described(&readme);
    let files = inputs(&[corpus.join("flows")]).expect("flows of the corpus");
    assert_eq!(files.len(), 18);
    assert_eq!(described.len(), files.len());

    for input in files {
        let path = PathBuf::from(input.name());
        let name = path.file_name().expect("a file").to_string_lossy();
        let (read, skips) = read(&path);
        assert!(skips.is_empty(), "{name}: {skips:?}");
        assert_eq!(read, described[&*name], "{name}");
    }
}

#[test]
fn labelled_flows_of_the_corpus_are_read_whole() {
    let Some(corpus) = corpus() else { return };
    let directory = corpus.join("labelled/accuknox-flow-to-policy");
    let files = json_files(&directory);
    assert!(!files.is_empty(), "no flows in {}", directory.display());
    for path in files {
        let (figures, skips) = read(&path);
        assert!(skips.is_empty(), "{}: {skips:?}", path.display());
        assert!(figures.records > 0, "{}", path.display());
    }
}

fn json_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(json_files(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    files
}

fn corpus() -> Option<PathBuf> {
    let path = std::env::var_os("FLOWWATCH_CORPUS")
        .map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from);
    if path.join("flows").is_dir() {
        return Some(path);
    }
    println!("skipped: no corpus in {}", path.display());
    None
}

fn read(path: &Path) -> (Figures, Skips) {
    let input = inputs(&[path.to_owned()]).expect("an input").remove(0);
    let mut reader = ChunkReader::new(input.open().expect("a readable file"));
    let mut decoder = LineDecoder::new(BatchBuilder::default().keeping_raw());
    let mut figures = Figures::default();
    for counted in COUNTED {
        figures.counts.insert(counted.to_owned(), Counts::new());
    }
    let mut skips = Skips::default();
    let mut lines = 0;
    let mut times = Vec::new();
    while let Some(chunk) = reader.next_chunk() {
        let report = decoder.decode(&chunk, |_, batch| {
            count(&batch, &mut figures);
            times.extend(batch.rows().filter_map(|row| row.time()));
        });
        skips.absorb(report.skips, lines);
        lines += report.lines;
    }
    if let (Some(&first), Some(&last)) = (times.iter().min(), times.iter().max()) {
        (figures.first, figures.last) = (millis(first), millis(last));
    }
    (figures, skips)
}

fn count(batch: &FlowBatch, figures: &mut Figures) {
    for notice in batch.notices() {
        assert!(matches!(notice.kind, NoticeKind::Lost { .. }), "{notice:?}");
        figures.records += 1;
        *figures.forms.entry("lost_events".to_owned()).or_default() += 1;
    }
    for row in batch.rows() {
        figures.records += 1;
        let form = match batch.raw(row.index()) {
            Some(Raw::Json(_)) => "flow",
            Some(Raw::LooseJson(text)) => {
                let object: serde_json::Value = serde_json::from_slice(text).unwrap();
                if object.get("flow").is_some() {
                    "flow"
                } else {
                    "bare-flow"
                }
            }
            other => panic!("row without its line: {other:?}"),
        };
        *figures.forms.entry(form.to_owned()).or_default() += 1;
        for counted in COUNTED {
            if let Some(value) = value(row, counted) {
                let counts = figures.counts.entry(counted.to_owned()).or_default();
                *counts.entry(value).or_default() += 1;
            }
        }
    }
}

/// What the README counts a row as; `None` where it does not count it.
fn value(row: RowRef<'_>, counted: &str) -> Option<String> {
    match counted {
        "verdicts" => {
            (row.verdict() != Verdict::VERDICT_UNKNOWN).then(|| row.verdict().to_string())
        }
        "protocols" => row
            .has(flags::HAS_L4)
            .then(|| row.protocol().name().to_owned()),
        "event type/subtype" => {
            let sub_type = row.event_sub_type();
            Some(if row.has(flags::HAS_EVENT_TYPE) {
                format!("{}/{sub_type}", row.event_type())
            } else {
                format!("None/{sub_type}")
            })
        }
        "observation" => {
            (row.trace_point() != TracePoint::UNKNOWN_POINT).then(|| row.trace_point().to_string())
        }
        "drops" => (row.drop_reason().0 != 0).then(|| row.drop_reason().to_string()),
        "L7" => row.extra()?.l7.as_ref().map(|l7| {
            let record = match &l7.record {
                Some(L7Record::Dns(_)) => "dns",
                Some(L7Record::Http(_)) => "http",
                Some(L7Record::Kafka(_)) => "kafka",
                None => "",
            };
            assert_ne!(l7.kind, L7Type::UNKNOWN_L7_TYPE);
            format!("{}:{record}", l7.kind)
        }),
        "direction" => Some(if row.direction() == Direction::TRAFFIC_DIRECTION_UNKNOWN {
            "None".to_owned()
        } else {
            row.direction().to_string()
        }),
        other => panic!("{other} is not counted"),
    }
}

/// A time as the README writes it, cut to milliseconds.
fn millis(nanoseconds: i64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).expect("a time");
    let text = format!("{time:.9}");
    text[..text.len() - "000000Z".len()].to_owned()
}

/// The sections of the README's files.
fn described(readme: &str) -> BTreeMap<String, Figures> {
    let mut files: BTreeMap<String, Figures> = BTreeMap::new();
    let mut current: Option<&mut Figures> = None;
    for line in readme.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            let is_file = heading.contains("__") || heading.contains(".json");
            current = is_file.then(|| files.entry(heading.trim().to_owned()).or_default());
        } else if line.starts_with("## ") {
            current = None;
        } else if let (Some(figures), Some(item)) = (&mut current, line.strip_prefix("- ")) {
            described_by(item, figures);
        }
    }
    files
}

/// Takes in `5 records (flow=5); <first> .. <last>; ...` and `verdicts: ...; drops: ...`.
fn described_by(item: &str, figures: &mut Figures) {
    if let Some((records, rest)) = item.split_once(" records (") {
        let (forms, rest) = rest.split_once("); ").expect("forms end");
        figures.records = records.parse().expect("a number of records");
        figures.forms = counts(forms);
        let times = rest.split(';').next().unwrap_or_default();
        if let Some((first, last)) = times.split_once(" .. ") {
            (figures.first, figures.last) = (first.to_owned(), last.to_owned());
        }
    } else if item.starts_with("verdicts: ") {
        for part in item.split("; ") {
            let (counted, values) = part.split_once(": ").expect("a name and its counts");
            if COUNTED.contains(&counted) {
                figures.counts.insert(counted.to_owned(), counts(values));
            }
        }
    }
}

fn counts(text: &str) -> Counts {
    if text == "-" {
        return Counts::new();
    }
    text.split(", ")
        .map(|count| {
            let (name, number) = count.rsplit_once('=').expect("name=number");
            (name.to_owned(), number.parse().expect("a count"))
        })
        .collect()
}

#[test]
fn newest_first_recordings_of_the_corpus_give_ascending_times_backwards() {
    let Some(corpus) = corpus() else { return };
    let path = corpus.join("flows/imroc__tke-guide__events-log.jsonl");
    let order = FileOrder::of(&path).expect("a readable file");
    assert_eq!(order, FileOrder::Descending);
    let mut reader = BackwardReader::open(&path)
        .expect("a readable file")
        .expect("an object a line");
    let mut decoder = LineDecoder::default();
    let mut times = Vec::new();
    while let Some(chunk) = reader.next_chunk() {
        decoder.decode(&chunk, |_, batch| {
            times.extend(batch.rows().filter_map(|row| row.time()));
        });
    }
    assert_eq!(times.len(), 3);
    assert!(times.is_sorted());
}
