//! What do well-known ways to find something find in the same flows, at the same false alarms?
//!
//! Reads the archive in `FLOWWATCH_BESIDE_ARCHIVE` once, as `flowwatch synth --archive` wrote
//! it, and shows what is held against the incidents in `FLOWWATCH_BESIDE_TRUTH` (the
//! `incidents.json` of `--incidents`) by the rule of `flowwatch synth score`. Alarms before
//! `FLOWWATCH_BESIDE_FROM` (RFC 3339) are training. `FLOWWATCH_BESIDE_FINDINGS`, where it is
//! given, is what flowwatch itself found, and sets how many false incidents a day the others
//! may have; else that is three. Says so and ends where there is no archive.
//!
//! Each way sees minutes of connections, as flowwatch's detectors do, under the same names of
//! destinations; what it says of one workload within an hour is one incident. Thresholds are
//! the best that keep to the false alarms *on the days that are judged*: nobody could have
//! set them so well before.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

mod alarms;
mod edges;
mod midas;
mod rita;

use std::path::{Path, PathBuf};

use alarms::{Alarms, Method};
use flowwatch::baseline::{Model, Names, Tick};
use flowwatch::connection::FoldOptions;
use flowwatch::detect::{Observation, Scene};
use flowwatch::engine::{Detection, JudgedBatch, Observed, Pass, UNUSED_COLUMNS};
use flowwatch::source::archive::{Archive, Projection, Query};
use flowwatch::synth::score::{FoundFile, Score, ScoreOptions, TruthFile, score};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Detectors that flowwatch has: incidents made for others are left out of the table.
const DETECTORS: [&str; 17] = [
    "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "D10", "D11", "D12", "D15", "D16", "D17",
    "D19", "D21",
];
/// False incidents a day that are asked for where nothing else is said.
const ASKED: f64 = 3.0;

fn main() {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let (Some(archive), Some(truth)) = (
        path("FLOWWATCH_BESIDE_ARCHIVE"),
        path("FLOWWATCH_BESIDE_TRUTH"),
    ) else {
        println!("skipped: FLOWWATCH_BESIDE_ARCHIVE and FLOWWATCH_BESIDE_TRUTH are not set");
        return;
    };
    let truth = TruthFile::read(&text(&truth), "truth").unwrap();
    let from = std::env::var("FLOWWATCH_BESIDE_FROM").ok().map(|time| {
        let time: jiff::Timestamp = time.parse().unwrap();
        time.as_nanosecond() as i64
    });
    let options = ScoreOptions {
        from,
        detectors: DETECTORS.map(str::to_owned).to_vec(),
        ..ScoreOptions::default()
    };
    println!("found: of the kinds that flowwatch's detectors are made for; false: incidents a day");
    let ours = path("FLOWWATCH_BESIDE_FINDINGS").map(|path| {
        let found = FoundFile::read(&text(&path), "findings").unwrap();
        score(&found, &truth, &options)
    });
    if let Some(ours) = &ours {
        row("flowwatch", None, ours);
    }
    let from = from.unwrap_or(truth.span.0);
    let allowed = ours.map(|ours| ours.false_alarms.mean);
    for (name, alarms) in read(&archive, from) {
        if alarms.has_scores() {
            for allowed in allowed.into_iter().chain([ASKED]) {
                let (threshold, score) = alarms.best(&truth, &options, allowed);
                row(&name, Some((threshold, allowed)), &score);
            }
        } else {
            row(&name, None, &alarms.score(f64::MIN, &truth, &options));
        }
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn row(name: &str, threshold: Option<(f64, f64)>, score: &Score) {
    let (covered, days) = (&score.covered, score.false_alarms);
    let time = covered.time.map_or(0.0, |time| time.median);
    let threshold = threshold.map_or_else(String::new, |(threshold, allowed)| {
        format!(", from {threshold:.4} on, so that at most {allowed:.2} a day are false")
    });
    println!(
        "{name:<42} found {:>3} of {:<3} louder half {:>2} of {:<3} false {:.2}, worst {}; median {time:.0} s{threshold}",
        covered.all.hit,
        covered.all.all,
        covered.upper.hit,
        covered.upper.all,
        days.mean,
        days.worst
    );
    let kinds: Vec<String> = score
        .kinds
        .iter()
        .map(|(kind, of)| format!("{kind} {}/{}", of.all.hit, of.all.all))
        .collect();
    println!("    {}", kinds.join(" "));
}

/// Shows the flows of an archive to every method.
fn read(folder: &Path, from: i64) -> Vec<(String, Alarms)> {
    let archive = Archive::open(folder).unwrap();
    let query = Query {
        projection: Projection::Without(UNUSED_COLUMNS),
        ..Query::default()
    };
    let beside = Beside {
        methods: vec![
            Box::new(edges::NewEdges::new(1, false, from)),
            Box::new(edges::NewEdges::new(24, false, from)),
            Box::new(edges::NewEdges::new(1, true, from)),
            Box::new(edges::NewEdges::new(24, true, from)),
            Box::new(rita::Rita::new(rita::Final::Score, from)),
            Box::new(rita::Rita::new(rita::Final::Modified, from)),
            Box::new(midas::MidasF::new(60, from)),
            Box::new(midas::MidasF::new(3_600, from)),
        ],
    };
    let detection = Detection::new(Model::default(), Names::default(), beside);
    let mut detection = detection.only(Vec::new());
    let options = FoldOptions {
        opened: true,
        ..FoldOptions::default()
    };
    let mut pass = Pass::new(options).distinct();
    for batch in archive.scan(&query) {
        pass.push(0, JudgedBatch::unjudged(batch.unwrap()), &mut detection);
    }
    pass.finish(&mut detection);
    detection.finish();
    let (_, names, beside) = detection.into_parts();
    let peers = names.peers();
    beside
        .methods
        .into_iter()
        .flat_map(|method| {
            let (name, alarms) = (method.name(), method.alarms());
            let alarms = alarms.named(peers);
            // What a pair did while it was trained is usual for it, whatever its score.
            let learned = alarms.beyond_usual();
            let learned =
                learned.map(|learned| (format!("{name}, beyond the pair's own"), learned));
            [(name, alarms)].into_iter().chain(learned)
        })
        .collect()
}

struct Beside {
    methods: Vec<Box<dyn Method>>,
}

impl Observed for Beside {
    fn tick(&mut self, tick: &Tick, _: Vec<Observation>, scene: &Scene<'_>) {
        for method in &mut self.methods {
            method.tick(tick, scene.peers);
        }
    }

    fn held(&self) -> usize {
        0
    }
}
