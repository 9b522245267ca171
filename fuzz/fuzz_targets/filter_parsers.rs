//! What a stranger may send as a filter: the first byte chooses the language, the rest
//! is its text. No panic, no hang, and what is accepted can be used and written again.
#![no_main]

use flowwatch::cli::time_arg::parse_time;
use flowwatch::filter::{Filters, parse_go_duration};
use flowwatch::flow::{BatchBuilder, FlowBatch};
use flowwatch::pattern::{FqdnGlob, LabelSelector, NodeGlob, Re2};
use flowwatch::proto::flow::{FlowFilter, flow_filter::Experimental};
use flowwatch::proto::observer::GetFlowsResponse;
use flowwatch::source::observer::Target;
use flowwatch::wire::json_read::{ReadOptions, Record, json_to_wire, record_to_wire};
use flowwatch::wire::json_write::wire_to_json;
use flowwatch::wire::mask::FieldMask;
use flowwatch::wire::shape;
use flowwatch::wire::walk::push_message;
use libfuzzer_sys::{Corpus, fuzz_target};
use prost::Message;

/// Longer input is left to whoever limits messages.
const MAX_INPUT: usize = 4096;
/// Flows that filters are tried on.
const SAMPLE: &str = include_str!("../../samples/forms/wrapped.jsonl");
const SAMPLE_FLOWS: usize = 8;

thread_local! {
    static WIRES: Vec<Vec<u8>> = wires();
    static BATCH: FlowBatch = batch();
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((language, rest)) = input.split_first() else {
        return Corpus::Reject;
    };
    if input.len() > MAX_INPUT {
        return Corpus::Reject;
    }
    if *language == b'p' {
        protobuf(rest);
        return Corpus::Keep;
    }
    let Ok(text) = std::str::from_utf8(rest) else {
        return Corpus::Reject;
    };
    match *language {
        b'r' => regex(text),
        b'g' => glob(text),
        b'l' => selector(text),
        b't' => time(text),
        b'j' => json(text),
        b'c' => cel(text),
        b's' => server(text),
        b'm' => mask(text),
        _ => return Corpus::Reject,
    }
    Corpus::Keep
});

fn regex(text: &str) {
    let Ok(regex) = Re2::new(text) else { return };
    assert_eq!(regex.as_str(), text);
    for subject in [
        "",
        "www.example.com",
        "/api/v1?x=1\n",
        "\u{e9}\u{212a}",
        text,
    ] {
        assert!(regex.is_match(subject) || !regex.is_full_match(subject));
    }
}

fn glob(text: &str) {
    if let Ok(glob) = FqdnGlob::new(text) {
        // `*` covers nothing too.
        let plain = text.trim().to_ascii_lowercase();
        let plain = plain.strip_suffix('.').unwrap_or(&plain).replace('*', "");
        assert!(!text.is_ascii() || glob.matches(&plain));
        glob.matches(text);
    }
    if let Ok(glob) = NodeGlob::new(text) {
        assert!(!glob.matches(""));
        glob.matches(text);
        glob.matches("cluster/node-1");
    }
}

fn selector(text: &str) {
    let Ok(selector) = LabelSelector::parse(text) else {
        return;
    };
    let labels = [
        "k8s:app=front",
        "reserved:world",
        "cidr:10.0.0.0/8=",
        "zone=a",
    ];
    assert_eq!(
        selector.matches(labels.into_iter()),
        LabelSelector::parse(text).is_ok_and(|again| again.matches(labels.into_iter()))
    );
    selector.matches([text].into_iter());
    selector.matches(text.split(','));
}

fn time(text: &str) {
    match parse_go_duration(text) {
        Some(duration) => {
            assert_eq!(parse_time(text, 0), Ok(0_i64.saturating_sub(duration)));
        }
        None => assert_eq!(parse_time(text, 0), parse_time(text, i64::MAX)),
    }
}

/// A filter in wire format, as a server gets it.
fn protobuf(bytes: &[u8]) {
    let Ok(filter) = FlowFilter::decode(bytes) else {
        return;
    };
    compile(&filter);
    let mut json = Vec::new();
    wire_to_json(shape::flow_filter(), &filter.encode_to_vec(), &mut json)
        .expect("what prost writes is readable");
    let json = serde_json::from_slice(&json).expect("what is written is JSON");
    assert_eq!(filter_of(&json, true).as_ref(), Some(&filter));
}

/// A filter as JSON, as `--allowlist` takes it.
fn json(text: &str) {
    let Ok(json) = serde_json::from_str(text) else {
        return;
    };
    let strict = filter_of(&json, true);
    let liberal = filter_of(&json, false);
    if let Some(filter) = strict {
        assert_eq!(Some(&filter), liberal.as_ref());
        compile(&filter);
    }
}

fn filter_of(json: &serde_json::Value, strict: bool) -> Option<FlowFilter> {
    let options = ReadOptions {
        strict_fields: strict,
        strict_enums: strict,
    };
    let mut wire = Vec::new();
    match json_to_wire(shape::flow_filter(), json, &options, &mut wire) {
        Ok(_) => Some(FlowFilter::decode(wire.as_slice()).expect("what is written is a filter")),
        Err(_) => {
            assert!(wire.is_empty());
            None
        }
    }
}

/// Compiled once: that is most of what a run costs, and what a filter's sign does to its
/// answers is asked in wire format.
fn cel(text: &str) {
    let filter = FlowFilter {
        experimental: Some(Experimental {
            cel_expression: vec![text.to_owned()],
        }),
        ..FlowFilter::default()
    };
    let Ok(mut filters) = Filters::compile(&[filter], &[]) else {
        return;
    };
    BATCH.with(|batch| {
        for row in batch.rows() {
            assert_eq!(filters.matches(row), filters.matches(row));
        }
    });
}

fn compile(filter: &FlowFilter) {
    let filters = std::slice::from_ref(filter);
    let (Ok(mut allow), Ok(mut deny)) = (
        Filters::compile(filters, &[]),
        Filters::compile(&[], filters),
    ) else {
        return;
    };
    BATCH.with(|batch| {
        for row in batch.rows() {
            assert_ne!(allow.matches(row), deny.matches(row));
        }
    });
}

fn server(text: &str) {
    if let Ok(target) = text.parse::<Target>() {
        assert_eq!(target.to_string().parse(), Ok(target));
    }
}

/// A path a line.
fn mask(text: &str) {
    let Ok(mask) = FieldMask::parse(text.lines(), shape::flow()) else {
        return;
    };
    let apply = |wire: &[u8]| {
        let mut out = Vec::new();
        mask.apply_to_response(wire, &mut out)
            .expect("a sample is a response");
        out
    };
    WIRES.with(|wires| {
        for wire in wires {
            let once = apply(wire);
            assert!(GetFlowsResponse::decode(once.as_slice()).is_ok());
            assert_eq!(apply(&once), once);
        }
    });
}

fn wires() -> Vec<Vec<u8>> {
    SAMPLE
        .lines()
        .filter_map(|line| match record_to_wire(line.as_bytes()) {
            Ok(Record::Response(wire) | Record::BareFlow(wire)) => Some(wire),
            _ => None,
        })
        .take(SAMPLE_FLOWS)
        .collect()
}

fn batch() -> FlowBatch {
    let mut builder = BatchBuilder::default();
    WIRES.with(|wires| {
        for wire in wires {
            push_message(&mut builder, wire, || unreachable!("raw is not kept"))
                .expect("a sample is a response");
        }
    });
    let batch = builder.finish();
    assert_eq!(batch.len(), SAMPLE_FLOWS);
    batch
}
