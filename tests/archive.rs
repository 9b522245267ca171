//! Recordings through the archive: what went in comes out, from every form that is read.

use std::path::{Path, PathBuf};

use flowwatch::archive::{Answer, Rollups, Store, WriterOptions};
use flowwatch::flow::{BatchBuilder, FlowBatch, NoticeKind, Raw, SCHEMA_VERSION};
use flowwatch::render::JsonRenderer;
use flowwatch::source::archive::{Archive, Query};
use flowwatch::source::file::{ChunkReader, Input, LineDecoder, inputs};

use crate::support::{flowwatch, shared};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("samples")
        .join(name)
}

/// Batches of a recording, with their lines.
fn recorded(input: &Input) -> Vec<FlowBatch> {
    let mut decoder = LineDecoder::new(BatchBuilder::default().keeping_raw());
    let mut reader = ChunkReader::new(input.open().unwrap());
    let mut batches = Vec::new();
    while let Some(chunk) = reader.next_chunk() {
        decoder.decode(&chunk, |_, batch| batches.push(batch));
    }
    batches
}

/// A line as Hubble would write it, whatever form it has.
fn line(raw: &Raw) -> String {
    let raw = match raw {
        Raw::Json(text) | Raw::LooseJson(text) => Raw::LooseJson(text.clone()),
        Raw::Message(message) => Raw::Message(message.clone()),
    };
    let mut out = Vec::new();
    JsonRenderer::default().write(&raw, &mut out).unwrap();
    value(&out)
}

/// JSON in one order of keys.
fn value(text: &[u8]) -> String {
    let mut value: serde_json::Value = serde_json::from_slice(text).unwrap();
    value.sort_all_objects();
    value.to_string()
}

/// Flows and lost events as lines, in one order.
fn lines(batches: &[FlowBatch], flow: impl Fn(&FlowBatch, usize) -> String) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        lines.extend((0..batch.len()).map(|row| flow(batch, row)));
        for notice in batch.notices() {
            if matches!(
                notice.kind,
                NoticeKind::Lost { .. } | NoticeKind::Nodes { .. }
            ) {
                let mut out = Vec::new();
                JsonRenderer::default().notice(notice, &mut out).unwrap();
                lines.push(value(&out));
            }
        }
    }
    lines.sort();
    lines
}

fn stored(folder: &Path) -> Vec<FlowBatch> {
    let archive = Archive::open(folder).unwrap();
    archive
        .scan(&Query::default())
        .map(Result::unwrap)
        .collect()
}

fn replayed(batches: &[FlowBatch]) -> Vec<String> {
    lines(batches, |batch, row| {
        let mut out = Vec::new();
        JsonRenderer::default()
            .row(batch.row(row), &mut out)
            .unwrap();
        value(&out)
    })
}

fn original(batches: &[FlowBatch]) -> Vec<String> {
    lines(batches, |batch, row| line(batch.raw(row).unwrap()))
}

fn assert_round_trip(input: &Input) -> usize {
    let batches = recorded(input);
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let mut writer = store.writer(WriterOptions { with_uuid: true });
    for batch in &batches {
        writer.push(batch).unwrap();
    }
    let entries = writer.finish().unwrap();
    store.commit(entries, &[]).unwrap();
    let (before, after) = (original(&batches), replayed(&stored(folder.path())));
    assert_eq!(before.len(), after.len(), "{}", input.name());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after, "{}", input.name());
    }
    before.len()
}

/// Guarantees: every field that the JSON of a flow shows survives the archive.
#[test]
fn samples_come_back_as_they_were() {
    let mut lines = 0;
    for path in ["shop.jsonl", "forms", "exporter"] {
        for input in inputs(&[sample(path)]).unwrap() {
            lines += assert_round_trip(&input);
        }
    }
    assert!(lines > 500, "{lines}");
}

#[test]
fn real_recordings_come_back_as_they_were() {
    let Some(corpus) = shared("FLOWWATCH_CORPUS", "corpus") else {
        return;
    };
    let mut lines = 0;
    for input in inputs(&[corpus.join("flows")]).unwrap() {
        lines += assert_round_trip(&input);
    }
    assert!(lines > 150, "{lines}");
}

/// Guarantees: an archive of this version, as it was once written, is read.
#[test]
fn the_sample_archive_is_read() {
    let archive = Archive::open(&sample("archive")).unwrap();
    let versions: Vec<u32> = archive
        .manifest()
        .files
        .iter()
        .map(|file| file.schema_version)
        .collect();
    assert!(versions.iter().all(|version| *version == 2), "{versions:?}");
    assert_eq!(SCHEMA_VERSION, 2, "keep a sample of each version");
    let shop = recorded(&Input::File(sample("shop.jsonl")));
    assert_eq!(replayed(&stored(&sample("archive"))), original(&shop));
}

/// Guarantees: `tail` shows of an archive what it shows of the file it was made from.
#[test]
fn an_archive_is_shown_as_the_recording_it_was_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("flows");
    let shop = sample("shop.jsonl");
    flowwatch()
        .args("record --uuid --archive")
        .path(&archive)
        .path(&shop)
        .run()
        .stderr_contains("flows of")
        .exit(0);
    for arguments in [
        "--sort -q --print-node-name",
        "--sort -q --verdict DROPPED --print-policy-names",
        "--sort -q --since 2026-06-16T14:11:09Z --until 2026-06-16T14:11:20Z",
    ] {
        let shown = |path: &Path| {
            let ran = flowwatch()
                .args("tail")
                .path(path)
                .args(arguments)
                .run()
                .exit(0);
            let mut lines: Vec<String> = ran.lines().into_iter().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let expected = shown(&shop);
        assert!(!expected.is_empty());
        assert_eq!(shown(&archive), expected, "{arguments}");
    }
    let run = |arguments: &str| flowwatch().args(arguments).path(&archive).run();
    run("archive verify").stdout_contains("are whole").exit(0);
    run("archive info").stdout_contains("cluster ").exit(0);
    run("tail -f")
        .stderr_contains("cannot be followed")
        .exit(64);
    flowwatch()
        .args("record --archive")
        .path(&archive)
        .path(&archive)
        .run()
        .stderr_contains("into itself")
        .exit(64);
}

/// Scenario: the sample is recorded with the policies it happened under, which change, and
/// is compacted and pruned.
/// Guarantees: its hours are summed up and judged by policies that the archive keeps, from
/// which `analyze` gives the report that the original ones give.
#[test]
fn hours_are_summed_up_and_judged_by_the_policies_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("flows");
    let policies = sample("policies");
    let run = |arguments: &str| flowwatch().args(arguments).path(&archive).run();
    flowwatch()
        .args("record --no-rollup --archive")
        .path(&archive)
        .path(sample("shop.jsonl"))
        .run()
        .exit(0);
    let rollups = || Archive::open(&archive).unwrap().manifest().rollups.clone();
    assert!(rollups().is_empty());
    flowwatch()
        .args("record --archive")
        .path(&archive)
        .path(sample("shop.jsonl"))
        .args("--policies")
        .path(&policies)
        .run()
        .stderr_contains("1 hour summed up: ")
        .exit(0);
    let known = Archive::open(&archive).unwrap().manifest().policies.clone();
    assert_eq!(known.len(), 1);
    assert_eq!(rollups()[0].policies, [known[0].hash.clone()]);
    run("archive info")
        .stdout_contains("policies since the beginning: policies/")
        .stdout_contains("rollups: 1 of 1 hour, ")
        .exit(0);
    run("archive rollup")
        .stdout_contains("every hour is summed up")
        .exit(0);

    let read = Rollups::of(&Archive::open(&archive).unwrap(), i64::MIN, i64::MAX);
    let rows: Vec<_> = read.rows().map(Result::unwrap).collect();
    let denied = rows.iter().filter(|row| {
        let began = row.key.began.as_ref();
        began.is_some_and(|began| {
            began.egress.computed == Some(Answer::DeniedByDefault)
                && began
                    .egress
                    .rules
                    .iter()
                    .any(|rule| *rule.file == *known[0].path() && rule.line > 0)
        })
    });
    assert!(denied.count() > 0, "{rows:#?}");

    let report = |policies: &Path| {
        let ran = flowwatch()
            .args("analyze -o json -q")
            .path(&archive)
            .args("--policies")
            .path(policies)
            .run()
            .exit(0);
        let mut report: serde_json::Value = serde_json::from_str(&ran.lines().concat()).unwrap();
        without_places(&mut report);
        report
    };
    let kept = archive.join(known[0].path());
    assert_eq!(report(&policies), report(&kept));

    run("archive compact").exit(0);
    run("archive rollup")
        .stdout_contains("every hour is summed up")
        .exit(0);
    run("archive verify").stdout_contains("are whole").exit(0);
    let text = std::fs::read_to_string(&kept).unwrap();
    std::fs::write(&kept, text.replace("shop", "shup")).unwrap();
    run("archive verify")
        .stderr_contains("other bytes than it was written with")
        .exit(1);
    run("archive prune --keep-bytes 0").exit(0);
    assert!(rollups().is_empty() && !archive.join("rollup").exists());
}

/// Takes out in which file and line something is.
fn without_places(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(object) => {
            object.retain(|key, _| key != "file" && key != "line");
            object.values_mut().for_each(without_places);
        }
        serde_json::Value::Array(array) => array.iter_mut().for_each(without_places),
        _ => {}
    }
}
