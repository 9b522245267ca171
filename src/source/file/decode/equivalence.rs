//! The fast way over JSON against the general one, on lines that follow the descriptors
//! and on damaged ones; and pieces of a file against the whole.

use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::*;
use crate::flow::Notice;
use crate::source::file::chunk::ChunkReader;
use crate::wire::generate::{Generator, cases, message};

/// Writes messages as JSON text: plainly, or in odd ways at the generator's rate.
struct Writer {
    generator: Generator,
    out: String,
}

impl Writer {
    fn new(seed: u64, oddity: u64) -> Self {
        Self {
            generator: Generator::new(seed, oddity),
            out: String::new(),
        }
    }

    /// One line of a recording.
    fn line(&mut self) -> String {
        self.out.clear();
        let form = self.generator.below(20);
        match form {
            0..=13 => {
                self.out.push_str("{\"flow\":");
                self.object(&message("flow.Flow"));
                for (key, share) in [("node_name", 900), ("time", 900)] {
                    if self.generator.chance(share) {
                        let envelope = message("observer.GetFlowsResponse");
                        self.out.push(',');
                        self.member(&envelope.get_field_by_name(key).unwrap());
                    }
                }
                self.out.push('}');
            }
            14..=17 => self.object(&message("flow.Flow")),
            18 => self.object(&message("observer.ExportEvent")),
            _ => self.object(&message("flow.LostEvent")),
        }
        self.out.clone()
    }

    fn object(&mut self, of: &MessageDescriptor) {
        self.space();
        self.out.push('{');
        let mut first = true;
        for field in self.generator.fields(of) {
            // These always take the general way; most lines have none of them.
            let general = ["extensions", "socket_cookie", "cgroup_id"].contains(&field.name());
            if general && self.generator.chance(900) {
                continue;
            }
            if !std::mem::take(&mut first) {
                self.out.push(',');
            }
            self.member(&field);
            if self.generator.odd() {
                let odd = [
                    ",\"unknown\":1e5",
                    ",\"unknown\":[{\"a\":\"]}\"},null,true,-0.5]",
                    ",\"flow\":{}",
                    ",\"time\":null",
                    ",\"verd\\u0069ct\":\"AUDIT\"",
                    ",",
                ];
                let odd = self.generator.pick(&odd);
                self.out.push_str(odd);
            }
        }
        self.space();
        self.out.push('}');
    }

    fn member(&mut self, field: &FieldDescriptor) {
        self.space();
        let name = if self.generator.odd() {
            field.json_name()
        } else {
            field.name()
        };
        let _ = write!(self.out, "\"{name}\"");
        self.space();
        self.out.push(':');
        self.space();
        if self.generator.odd() && self.generator.odd() {
            let other = ["null", "{}", "[]", "\"\"", "0", "true", "[null]", "1.0"];
            let other = self.generator.pick(&other);
            self.out.push_str(other);
        } else if field.is_list() {
            self.out.push('[');
            for at in 0..self.generator.below(4) {
                if at > 0 {
                    self.out.push(',');
                }
                self.value(field);
            }
            self.space();
            self.out.push(']');
        } else {
            self.value(field);
        }
    }

    fn value(&mut self, field: &FieldDescriptor) {
        let number = self.generator.number();
        let odd = self.generator.odd();
        let text = match field.kind() {
            Kind::Message(inner) => return self.message(&inner),
            Kind::Enum(names) if !odd => {
                let values: Vec<_> = names.values().collect();
                let at = self.generator.below(values.len());
                format!("\"{}\"", values[at].name())
            }
            Kind::Enum(_) => format!("{}", number as i8),
            Kind::Bool => number.is_multiple_of(2).to_string(),
            Kind::String => {
                let mut text = self.generator.text(field.name());
                if !odd {
                    // What most texts are: without anything to escape.
                    text.retain(|letter| !letter.is_control() && !"\"\\".contains(letter));
                }
                serde_json::to_string(&text).unwrap()
            }
            Kind::Bytes => "\"AAEC\"".to_owned(),
            Kind::Uint32 if odd => format!("\"{number}\""),
            Kind::Uint32 => (number as u32).to_string(),
            Kind::Int32 => ((number as i32) >> self.generator.below(2))
                .max(-2)
                .to_string(),
            Kind::Uint64 | Kind::Int64 if odd => number.to_string(),
            Kind::Uint64 => format!("\"{number}\""),
            Kind::Int64 => format!("\"{}\"", number.cast_signed()),
            _ => "1.5".to_owned(),
        };
        self.out.push_str(&text);
    }

    fn message(&mut self, of: &MessageDescriptor) {
        let generator = &mut self.generator;
        match of.full_name() {
            "google.protobuf.Timestamp" => {
                let odd = generator.odd();
                let at = generator.below(10);
                let day = generator.pick(&["2026-06-01", "2026-06-02", "1970-01-01", "2024-02-29"]);
                let fraction = generator.pick(&["", ".5", ".123", ".123456", ".123456789"]);
                let text = if odd {
                    let days = ["2023-02-29", "1677-09-21", "2262-04-12", "0001-01-01"];
                    let zone = generator.pick(&["Z", "+02:00", "z", ""]);
                    format!("\"{}T23:47:1{at}{fraction}{zone}\"", generator.pick(&days))
                } else {
                    format!("\"{day}T10:00:0{at}{fraction}Z\"")
                };
                self.out.push_str(&text);
            }
            "google.protobuf.Any" => self
                .out
                .push_str("{\"@type\":\"type.googleapis.com/flow.Workload\",\"name\":\"w\"}"),
            name if name.ends_with("Value") => {
                let value = of.get_field(1).unwrap();
                self.value(&value);
            }
            _ => self.object(of),
        }
    }

    fn space(&mut self) {
        if self.generator.odd() {
            let space = [" ", "  ", "\t", "\r", "\u{c}", "\u{a0}"];
            let space = self.generator.pick(&space);
            self.out.push_str(space);
        }
    }
}

/// A decoder that goes the fast way where it can, beside one that never does.
struct Both {
    fast: LineDecoder,
    general: LineDecoder,
    fast_rows: usize,
}

impl Both {
    fn new() -> Self {
        let decoder = || LineDecoder::new(BatchBuilder::default().keeping_raw());
        let mut general = decoder();
        general.general_only = true;
        Self {
            fast: decoder(),
            general,
            fast_rows: 0,
        }
    }

    /// Decodes a text both ways, twice, and compares rows, notices, reports and raw lines.
    fn compare(&mut self, text: &[u8]) -> usize {
        let chunk = piece(text);
        let mut rows = 0;
        for _ in 0..2 {
            let fast = everything(&mut self.fast, &chunk);
            let general = everything(&mut self.general, &chunk);
            for (fast, general) in fast.0.iter().zip(&general.0) {
                assert_eq!(fast, general);
            }
            assert_eq!(fast.0.len(), general.0.len());
            assert_eq!((fast.1, fast.2), (general.1, general.2));
            rows = general.0.len();
        }
        rows
    }
}

fn piece(text: &[u8]) -> Chunk {
    Chunk {
        bytes: Bytes::copy_from_slice(text),
        dropped: 0,
        damaged: None,
    }
}

/// Rows, notices and report of a piece.
fn everything(decoder: &mut LineDecoder, chunk: &Chunk) -> (Vec<String>, Vec<Notice>, PieceReport) {
    let mut rows = Vec::new();
    let mut notices = Vec::new();
    let report = decoder.decode(chunk, |_, batch| {
        for row in 0..batch.len() {
            rows.push(format!("{} {:?}", batch.describe(row), raw(&batch, row)));
        }
        notices.extend_from_slice(batch.notices());
    });
    (rows, notices, report)
}

/// The text a row keeps. Not its form: the general way vouches for fewer lines being as
/// Hubble writes them, and those are written anew.
fn raw(batch: &FlowBatch, row: usize) -> Option<&Bytes> {
    batch.raw(row).map(|raw| match raw {
        Raw::Message(text) | Raw::Json(text) | Raw::LooseJson(text) => text,
    })
}

fn check(seed: u64, oddity: u64, damage: bool) -> (usize, usize) {
    let mut both = Both::new();
    let mut writer = Writer::new(seed, oddity);
    let (mut rows, mut fast) = (0, 0);
    for _ in 0..6 {
        let mut text = Vec::new();
        for _ in 0..16 {
            let mut line = writer.line().into_bytes();
            if damage {
                let alphabet = b"\"\\{}[]:,0-. \x00\n\xff\xc3eEtfnu";
                writer.generator.damage(&mut line, alphabet);
            } else if scan::record(both.fast.builder.interner(), &mut Clock::default(), &line)
                .is_ok()
            {
                fast += 1;
            }
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        rows += both.compare(&text);
    }
    both.fast_rows += fast;
    (rows, both.fast_rows)
}

#[test]
fn plain_lines_give_the_same_rows_either_way() {
    let (mut rows, mut fast) = (0, 0);
    for seed in 0..cases(40) {
        let one = check(seed, 0, false);
        rows += one.0;
        fast += one.1;
    }
    // Otherwise this would hold the general way against itself.
    assert!(fast * 4 > rows, "{fast} of {rows} rows went the fast way");
}

#[test]
fn odd_lines_give_the_same_rows_either_way() {
    for seed in 0..cases(40) {
        check(seed, 5, false);
        check(seed, 40, false);
    }
}

#[test]
fn damaged_lines_give_the_same_rows_either_way() {
    for seed in 0..cases(60) {
        check(seed, 0, true);
        check(seed, 10, true);
    }
}

/// Guarantees: a list known from the wire format is not the beginning of a list in JSON.
#[test]
fn a_list_of_the_wire_format_is_not_taken_for_one_in_json() {
    // 91 bytes, whose length is written as `[`.
    let label = format!("\"{}\"]", "a".repeat(88));
    assert_eq!(label.len(), usize::from(b'['));
    let quoted = serde_json::to_string(&label).unwrap();
    let general = format!("{{\"nodeName\":\"n\",\"node_labels\":[{quoted}]}}\n");
    let fast = format!("{{\"node_labels\":[{label}}}\n");
    let mut both = Both::new();
    assert_eq!(both.compare((general + &fast).as_bytes()), 2);
}

/// The rows of a text read in pieces, each with a decoder of its own, as on many cores,
/// and how many notices there were.
fn in_pieces(text: &[u8], size: usize) -> (Vec<String>, usize) {
    let mut reader = ChunkReader::with_size(text, size);
    let (mut rows, mut notices) = (Vec::new(), 0);
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.next_chunk() {
        bytes.extend_from_slice(&chunk.bytes);
        let piece = everything(&mut LineDecoder::default(), &chunk);
        rows.extend(piece.0);
        let read = |notice: &&Notice| notice.kind != NoticeKind::Unread;
        notices += piece.1.iter().filter(read).count();
    }
    assert_eq!(bytes, text);
    (rows, notices)
}

fn cuts(seed: u64, layout: usize) {
    let mut writer = Writer::new(seed, 0);
    // Whether objects span lines is judged by the first, which `{}` would not say.
    let lines: Vec<String> = std::iter::repeat_with(|| writer.line())
        .filter(|line| line != "{}")
        .take(12)
        .collect();
    let pretty = |line: &String| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    };
    let text = match layout {
        0 => lines.join("\n"),
        1 => lines.join("\nlevel=INFO a line of text }{\" \n"),
        2 => lines.iter().map(pretty).collect::<Vec<_>>().join("\n"),
        3 => format!("[{}]", lines.join(",")),
        4 => format!("[\n{}\n]", lines.join(",\n")),
        5 => format!(
            "[\n{}\n]\n",
            lines.iter().map(pretty).collect::<Vec<_>>().join(",\n")
        ),
        _ => {
            let mut text = String::new();
            for line in &lines {
                let half = (0..=line.len() / 2)
                    .rev()
                    .find(|&at| line.is_char_boundary(at));
                let (head, tail) = line.split_at(half.unwrap_or(0));
                for (tag, part) in [("P", head), ("F", tail)] {
                    let _ = writeln!(text, "2026-06-01T10:00:00.1Z stdout {tag} {part}");
                }
            }
            text
        }
    };
    let (whole, mut notices, _) = everything(&mut LineDecoder::default(), &piece(text.as_bytes()));
    // Marks of one place are one, and a place is in a batch.
    notices.retain(|notice| notice.kind != NoticeKind::Unread);
    assert!(
        whole.len() + notices.len() >= 9,
        "seed {seed}, layout {layout}"
    );
    for _ in 0..6 {
        let size = 1 + writer.generator.below(text.len() + 10);
        let size = if writer.generator.chance(300) {
            size % 90 + 1
        } else {
            size
        };
        let (rows, count) = in_pieces(text.as_bytes(), size);
        let case = format!("seed {seed}, layout {layout}, pieces of {size}");
        assert_eq!((rows.len(), count), (whole.len(), notices.len()), "{case}");
        assert!(rows == whole, "{case}");
    }
}

#[test]
fn pieces_of_any_size_hold_the_rows_of_the_whole() {
    for seed in 0..cases(24) {
        for layout in 0..7 {
            cuts(seed, layout);
        }
    }
}

/// Scenario: a worker's piece ends with the first half of a log line, whose other half
/// goes to another worker.
/// Guarantees: the half is counted, and is not joined with what the worker reads next.
#[test]
fn half_a_log_line_is_not_joined_with_another_piece() {
    let mut decoder = LineDecoder::default();
    let half = b"2026-06-01T10:00:00.1Z stdout P {\"verdict\":\n";
    let other = b"2026-06-01T10:00:00.1Z stdout F {\"verdict\":\"AUDIT\"}\n";
    let (_, _, report) = everything(&mut decoder, &piece(half));
    assert_eq!(report.skips.count(SkipReason::BadJson), 1);
    let (rows, _, report) = everything(&mut decoder, &piece(other));
    assert_eq!(rows.len(), 1);
    assert!(report.skips.is_empty());
}
