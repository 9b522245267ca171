//! Reading the samples as a user's flowwatch does, and what must come out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use flowwatch::flow::{BatchBuilder, FlowBatch, NoticeKind, Raw};
use flowwatch::source::file::{ChunkReader, Input, LineDecoder, SkipReason, Skips, inputs};
use flowwatch::wire::json_read::{ReadOptions, json_to_wire};
use flowwatch::wire::json_write::wire_to_json;
use flowwatch::wire::{shape, walk};
use serde_json::Value;

use super::event::Event;
use super::forms::{self, Packing, Sample};
use super::{folder, story};

/// What a file gave.
#[derive(Default)]
struct Decoded {
    flows: Vec<String>,
    notices: Vec<NoticeKind>,
    skips: Skips,
    weight: u64,
}

impl Decoded {
    fn take(&mut self, batch: &FlowBatch) {
        self.flows
            .extend((0..batch.len()).map(|row| batch.describe(row)));
        self.weight += batch.rows().map(|row| u64::from(row.weight())).sum::<u64>();
        // Lines of a log between flows, which are counted as skipped, leave marks.
        let notices = batch.notices().iter().map(|notice| notice.kind.clone());
        self.notices
            .extend(notices.filter(|kind| *kind != NoticeKind::Unread));
    }

    fn losses(&self) -> usize {
        self.notices
            .iter()
            .filter(|kind| matches!(kind, NoticeKind::Lost { .. }))
            .count()
    }
}

fn read(path: &str) -> Decoded {
    let mut decoded = Decoded::default();
    for input in inputs(&[folder().join(path)]).unwrap() {
        let mut reader = ChunkReader::new(input.open().unwrap());
        let mut decoder = LineDecoder::new(BatchBuilder::default());
        while let Some(chunk) = reader.next_chunk() {
            let report = decoder.decode(&chunk, |_, batch| decoded.take(&batch));
            decoded.skips.absorb(report.skips, 0);
        }
    }
    decoded
}

/// The same by another way: strict protojson to the wire, and the wire's own walk.
fn expected<'a>(lines: impl Iterator<Item = &'a Value>) -> Decoded {
    let options = ReadOptions {
        strict_fields: true,
        strict_enums: true,
    };
    let mut decoded = Decoded::default();
    let mut builder = BatchBuilder::default();
    for line in lines {
        let mut wire = Vec::new();
        json_to_wire(shape::get_flows_response(), line, &options, &mut wire)
            .unwrap_or_else(|error| panic!("{error}: {line}"));
        walk::push_message(&mut builder, &wire, || Raw::Message(Bytes::new())).unwrap();
        if builder.is_full() {
            decoded.take(&builder.finish());
        }
    }
    decoded.take(&builder.finish());
    decoded
}

#[track_caller]
fn assert_same(found: &Decoded, wanted: &Decoded) {
    for (found, wanted) in found.flows.iter().zip(&wanted.flows) {
        assert_eq!(found, wanted);
    }
    assert_eq!(found.flows.len(), wanted.flows.len());
    assert_eq!(found.notices, wanted.notices);
}

/// Guarantees: what is checked in is what these modules make, to the byte, and the
/// contents of compressed files are. With `FLOWWATCH_BLESS` set it writes them instead.
#[test]
fn the_files_are_what_is_generated() {
    let bless = std::env::var_os("FLOWWATCH_BLESS").is_some();
    for sample in forms::samples() {
        let path = folder().join(sample.path);
        if bless {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            // A file with the right contents stays as it is, whatever the compressor.
            if content(&sample, &path).as_deref() != Some(sample.text.as_str()) {
                fs::write(&path, sample.bytes()).unwrap();
            }
        }
        let same = content(&sample, &path).is_some_and(|found| found == sample.text);
        assert!(same, "{} differs; FLOWWATCH_BLESS=1 writes it", sample.path);
    }
}

fn content(sample: &Sample, path: &Path) -> Option<String> {
    if sample.packing == Packing::Plain {
        return fs::read_to_string(path).ok();
    }
    let mut reader = Input::File(path.to_owned()).open().ok()?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader, &mut text).ok()?;
    Some(text)
}

#[test]
fn the_samples_stay_small() {
    let sizes: Vec<u64> = forms::samples()
        .iter()
        .map(|sample| fs::metadata(folder().join(sample.path)).unwrap().len())
        .collect();
    assert!(sizes[0] <= 1 << 20, "shop.jsonl has {} bytes", sizes[0]);
    assert!(sizes.iter().sum::<u64>() <= 2_000_000, "{sizes:?}");
}

/// Guarantees: every line is what Hubble would print for the message it holds, fields
/// in order, and no field or name is one that Hubble does not have.
#[test]
fn every_line_is_as_hubble_writes_it() {
    let response = shape::get_flows_response();
    let options = ReadOptions {
        strict_fields: true,
        strict_enums: true,
    };
    for sample in forms::samples() {
        if !sample.path.starts_with("shop.") {
            continue;
        }
        for line in sample.text.lines() {
            let json = serde_json::from_str(line).unwrap();
            let mut wire = Vec::new();
            json_to_wire(response, &json, &options, &mut wire)
                .unwrap_or_else(|error| panic!("{error}: {line}"));
            let mut printed = Vec::new();
            wire_to_json(response, &wire, &mut printed).unwrap();
            assert_eq!(String::from_utf8(printed).unwrap(), line);
        }
    }
}

#[test]
fn the_whole_story_is_read_from_gzip() {
    let events = story::events();
    let found = read("shop.jsonl.gz");
    assert_same(&found, &expected(events.iter().map(|event| &event.line)));
    assert!(found.skips.is_empty());
    assert!(
        (1_500..=2_500).contains(&found.flows.len()),
        "{}",
        found.flows.len()
    );
    assert_eq!(found.losses(), 2);
    let nodes = |kind: &&NoticeKind| matches!(kind, NoticeKind::Nodes { .. });
    assert_eq!(found.notices.iter().filter(nodes).count(), 2);
}

#[test]
fn the_excerpt_is_read_plain_and_from_zstd() {
    let events = story::events();
    let wanted = expected(forms::excerpt(&events));
    for path in ["shop.jsonl", "shop.jsonl.zst"] {
        let found = read(path);
        assert_same(&found, &wanted);
        assert!(found.skips.is_empty(), "{path}");
    }
}

#[test]
fn every_form_of_the_same_events_gives_the_same_flows() {
    let events = story::events();
    let wanted = expected(forms::one_of_each(&events).into_iter());
    assert!(wanted.flows.len() >= 25, "{}", wanted.flows.len());
    for path in ["wrapped.jsonl", "pretty.json", "array.json", "cri.log"] {
        let found = read(&format!("forms/{path}"));
        assert_same(&found, &wanted);
        let text = found.skips.count(SkipReason::Text);
        assert_eq!(text > 0, path == "cri.log", "{path}");
        assert_eq!(found.skips.iter().count(), usize::from(text > 0), "{path}");
    }
}

/// The legacy form has no wrapper: no node and time for losses, and no node status.
#[test]
fn bare_flows_and_losses_are_read() {
    let events = story::events();
    let wanted = expected(forms::one_of_each(&events).into_iter());
    let found = read("forms/bare-flows.json");
    assert_eq!(found.flows, wanted.flows);
    assert_eq!(found.losses(), wanted.losses());
    assert!(found.skips.is_empty());
}

/// Guarantees: the three files are one recording in order of time, and what is no flow
/// is counted.
#[test]
fn an_exporter_directory_is_one_recording() {
    let events = story::events();
    let found = read("exporter");
    let (from, to) = (forms::EXPORTED[0], forms::EXPORTED[3]);
    let own = |event: &&Event| {
        event.node == Some(super::cluster::WORKER_3) && (from..to).contains(&event.time)
    };
    let wanted = expected(events.iter().filter(own).map(|event| &event.line));
    assert_eq!(found.flows, wanted.flows);
    assert_eq!(found.losses(), 1);
    assert_eq!(found.skips.count(SkipReason::AgentEvent), 6);
    assert_eq!(found.skips.count(SkipReason::DebugEvent), 3);
}

#[test]
fn masked_files_keep_what_the_mask_keeps() {
    let events = story::events();
    let wanted = expected(forms::one_of_each(&events).into_iter());
    for (path, has_time) in [("field-masked.jsonl", true), ("node-masked.jsonl", false)] {
        let found = read(&format!("forms/{path}"));
        assert!(found.skips.is_empty());
        assert_eq!(found.flows.len(), wanted.flows.len());
        for (found, wanted) in found.flows.iter().zip(&wanted.flows) {
            for word in ["verdict", "proto", "ports", "ip"] {
                assert_eq!(word_of(found, word), word_of(wanted, word));
            }
            for word in ["uuid", "type", "summary"] {
                assert_ne!(word_of(found, word), word_of(wanted, word));
            }
            for word in ["time", "node"] {
                assert_eq!(word_of(found, word) == word_of(wanted, word), has_time);
            }
        }
    }
}

/// The value of one `name=value` of a description.
fn word_of<'a>(description: &'a str, name: &str) -> &'a str {
    let at = description
        .match_indices(name)
        .find(|&(at, _)| {
            let before = at == 0 || description[..at].ends_with(' ');
            before && description[at + name.len()..].starts_with('=')
        })
        .map_or_else(
            || panic!("no {name} in {description}"),
            |(at, _)| at + name.len() + 1,
        );
    description[at..].split(' ').next().unwrap_or_default()
}

#[test]
fn an_aggregated_export_counts_events_not_lines() {
    let found = read("forms/aggregated.jsonl");
    assert!(found.skips.is_empty());
    assert!(found.weight > 3 * found.flows.len() as u64);
    let distinct: BTreeSet<&String> = found.flows.iter().collect();
    assert_eq!(distinct.len(), found.flows.len());
}

/// Guarantees: the story's points that `samples/README.md` promises are in the file.
#[test]
fn the_incident_is_there() {
    let events = story::events();
    let count = |test: &dyn Fn(&Value) -> bool| {
        let flows = events.iter().map(|event| &event.line["flow"]);
        flows.filter(|flow| test(flow)).count()
    };
    let verdict = |flow: &Value| flow["event_type"]["type"] == 5;
    let drops = count(&|flow| flow["event_type"]["type"] == 1);
    let denials = count(&|flow| verdict(flow) && flow["verdict"] == "DROPPED");
    assert_eq!(drops, denials);
    assert!(drops > 80, "{drops}");
    let beacons =
        count(&|flow| verdict(flow) && flow["destination_names"][0] == "q7x2-sync.edge.example");
    assert!((20..=23).contains(&beacons), "{beacons}");
    assert_eq!(count(&|flow| flow["l7"]["http"]["code"] == 403), 3);
    assert_eq!(
        count(&|flow| flow["Type"] == "L7" && flow["verdict"] == "DROPPED"),
        3
    );
    assert_eq!(count(&|flow| flow["verdict"] == "AUDIT"), 2);
    assert!(count(&|flow| flow["l7"]["dns"]["rcode"] == 3) > 30);
}
