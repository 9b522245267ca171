//! A piece of a file to rows and notices.
//!
//! Owns the forms of lines: objects on one line or many, arrays, CRI prefixes, log lines
//! in between. An object goes the fast way (`scan`) or, where that leaves it, the
//! general way through `wire`; both give the same columns. Nothing is dropped
//! silently: whatever gives no row is counted by reason.

use bytes::Bytes;

use super::chunk::{Chunk, MAX_LINE};
use super::clock::Clock;
use super::cursor::Cursor;
use super::scan::{self, Form};
use super::skip::{SkipReason, Skips};
use crate::flow::{BatchBuilder, FlowBatch, NO_TIME, NoticeKind, Raw, thousands};
use crate::wire::json_read::{ReadOptions, Record, read_record};
use crate::wire::walk;

/// Bytes of a piece that holds a line of unusual length.
const UNUSUAL: usize = 2 << 20;
/// Most texts in an object over [`UNUSUAL`]: each costs five times its entry in a list beside
/// its bytes. No object of Kubernetes comes near it.
const MOST_TEXTS: usize = 1 << 18;

/// Reads pieces. Keeps dictionaries from piece to piece; one per thread.
#[derive(Debug, Default)]
pub struct LineDecoder {
    builder: BatchBuilder,
    clock: Clock,
    partial: Vec<u8>,
    #[cfg(test)]
    general_only: bool,
}

/// What one piece held beside its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PieceReport {
    /// Line breaks.
    pub lines: u64,
    /// What gave no row; lines count from the start of the piece.
    pub skips: Skips,
}

impl LineDecoder {
    /// Makes a decoder around a builder, which says whether rows keep their line.
    #[must_use]
    pub fn new(builder: BatchBuilder) -> Self {
        Self {
            builder,
            clock: Clock::default(),
            partial: Vec::new(),
            #[cfg(test)]
            general_only: false,
        }
    }

    /// Gives a batch's memory back.
    pub fn recycle(&mut self, batch: FlowBatch) {
        self.builder.recycle(batch);
    }

    /// Reads one piece and hands over its batches, the last one also when it is empty.
    pub fn decode(
        &mut self,
        chunk: &Chunk,
        mut batches: impl FnMut(&mut Self, FlowBatch),
    ) -> PieceReport {
        let mut report = PieceReport::default();
        for _ in 0..chunk.dropped {
            report.lines += 1;
            report
                .skips
                .add(SkipReason::TooLong, report.lines, String::new);
            self.builder.push_unread();
        }
        let text = &chunk.bytes;
        let valid = std::str::from_utf8(text).is_ok();
        let mut at = 0;
        while at < text.len() {
            at = self.line(text, at, valid, &mut report);
            if self.builder.is_full() {
                let batch = self.builder.finish();
                batches(self, batch);
            }
        }
        // What continues it, if anything, went to another decoder.
        if !self.partial.is_empty() {
            self.partial.clear();
            let cut = || "log line without its end".to_owned();
            report.skips.add(SkipReason::BadJson, report.lines, cut);
            self.builder.push_unread();
        }
        if let Some(cause) = &chunk.damaged {
            let line = report.lines + 1;
            report
                .skips
                .add(SkipReason::Damaged, line, || cause.clone());
            self.builder.push_unread();
        }
        let batch = self.builder.finish();
        batches(self, batch);
        if text.len() > UNUSUAL {
            self.forget();
        }
        report
    }

    /// Lets go of what a line of unusual length has left behind: its texts would stay
    /// until the dictionaries are full, in each thread.
    fn forget(&mut self) {
        self.builder.interner().reset();
        self.partial = Vec::new();
    }

    /// Reads what begins at `at`; returns where the next line or object begins.
    fn line(&mut self, text: &Bytes, at: usize, valid: bool, report: &mut PieceReport) -> usize {
        let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |newline| at + newline);
        let next = (end + 1).min(text.len());
        let line_number = report.lines + 1;
        let line = text[at..end].trim_ascii();
        let start = at + offset(&text[at..end], line);
        if !valid && std::str::from_utf8(line).is_err() {
            report.lines += 1;
            report
                .skips
                .add(SkipReason::NotUtf8, line_number, String::new);
            self.builder.push_unread();
            return next;
        }
        match line.first() {
            None => {}
            Some(b'{') => {
                if self.fast(text, start, line) {
                    report.lines += u64::from(end < text.len());
                    return next;
                }
                return self.object(text, start, end, next, valid, report);
            }
            // Punctuation of an array; an object may follow on the same line.
            Some(b'[' | b',' | b']') => {
                let inner = line
                    .trim_ascii_start()
                    .iter()
                    .position(|byte| !matches!(byte, b'[' | b',' | b']' | b' ' | b'\t'));
                match inner {
                    None => {}
                    Some(object) if line[object] == b'{' => return start + object,
                    Some(_) => {
                        report.skips.add(SkipReason::BadJson, line_number, || {
                            "array of something else than objects".to_owned()
                        });
                        self.builder.push_unread();
                    }
                }
            }
            Some(_) => self.prefixed(text, start, line, line_number, report),
        }
        report.lines += u64::from(end < text.len());
        next
    }

    fn fast(&mut self, text: &Bytes, start: usize, line: &[u8]) -> bool {
        #[cfg(test)]
        if self.general_only {
            return false;
        }
        if is_crowded(line) {
            return false;
        }
        let Ok((row, form)) = scan::record(self.builder.interner(), &mut self.clock, line) else {
            return false;
        };
        self.builder.push(row, || {
            let raw = text.slice(start..start + line.len());
            if form == Form::Wrapped && memchr::memchr(b'\n', line).is_none() {
                Raw::Json(raw)
            } else {
                Raw::LooseJson(raw)
            }
        });
        true
    }

    /// An object that the fast way left: it may span lines, or share one.
    fn object(
        &mut self,
        text: &Bytes,
        start: usize,
        line_end: usize,
        next: usize,
        valid: bool,
        report: &mut PieceReport,
    ) -> usize {
        let line_number = report.lines + 1;
        let line = text[start..line_end].trim_ascii_end();
        // Beyond the line only where the bytes there are known to be UTF-8.
        let reach = if valid { &text[start..] } else { line };
        let object = Cursor::new(reach)
            .value()
            .ok()
            .filter(|object| object.len() != line.len());
        let Some(object) = object else {
            report.lines += u64::from(line_end < text.len());
            self.general(line, text, start, line_number, report);
            return next;
        };
        let end = start + object.len();
        let lines = memchr::memchr_iter(b'\n', object).count() as u64;
        if !self.fast(text, start, object) {
            self.general(object, text, start, line_number, report);
        }
        report.lines += lines;
        // The rest of the line: nothing, the punctuation of an array, or the next object.
        let rest = &text[end..];
        let skip = rest
            .iter()
            .position(|byte| !matches!(byte, b',' | b']' | b' ' | b'\t' | b'\r'))
            .unwrap_or(rest.len());
        match rest.get(skip) {
            Some(b'\n') => {
                report.lines += 1;
                end + skip + 1
            }
            Some(b'{') | None => end + skip,
            Some(_) => {
                let line_end =
                    memchr::memchr(b'\n', rest).map_or(text.len(), |newline| end + newline);
                let line_number = report.lines + 1;
                report.skips.add(SkipReason::BadJson, line_number, || {
                    "text after an object".to_owned()
                });
                self.builder.push_unread();
                report.lines += u64::from(line_end < text.len());
                (line_end + 1).min(text.len())
            }
        }
    }

    /// A line that does not begin with an object: a container runtime's prefix, or text.
    fn prefixed(
        &mut self,
        text: &Bytes,
        start: usize,
        line: &[u8],
        line_number: u64,
        report: &mut PieceReport,
    ) {
        let Some((content, whole)) = cri(line) else {
            report.skips.add(SkipReason::Text, line_number, String::new);
            self.builder.push_unread();
            return;
        };
        if !whole {
            // A line the runtime has cut at its own limit; the pieces follow each other.
            if self.partial.len() + content.len() <= MAX_LINE {
                // No more than the rest of the piece can follow, and it is not copied again.
                if text.len() > UNUSUAL && self.partial.is_empty() {
                    self.partial
                        .reserve_exact((text.len() - start).min(MAX_LINE));
                }
                self.partial.extend_from_slice(content);
            }
            return;
        }
        if !self.partial.is_empty() {
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(content);
            let joined = Bytes::from(joined);
            self.content(&joined, 0, &joined, line_number, report);
            return;
        }
        self.content(
            text,
            start + offset(line, content),
            content,
            line_number,
            report,
        );
    }

    fn content(
        &mut self,
        text: &Bytes,
        start: usize,
        content: &[u8],
        line_number: u64,
        report: &mut PieceReport,
    ) {
        if content.first() != Some(&b'{') {
            report.skips.add(SkipReason::Text, line_number, String::new);
            self.builder.push_unread();
        } else if !self.fast(text, start, content) {
            self.general(content, text, start, line_number, report);
        }
    }

    /// The general way: any spelling protojson takes.
    #[inline(never)]
    fn general(
        &mut self,
        object: &[u8],
        text: &Bytes,
        start: usize,
        line_number: u64,
        report: &mut PieceReport,
    ) {
        if is_crowded(object) {
            let detail = || format!("over {} texts in it", thousands(MOST_TEXTS as u64));
            report.skips.add(SkipReason::TooLong, line_number, detail);
            self.builder.push_unread();
            return;
        }
        let raw = || text.slice(start..start + object.len());
        let builder = &mut self.builder;
        let read = read_record(object, &ReadOptions::default());
        // What a newer version has added would be lost on the way through our messages.
        let newer = read.as_ref().is_ok_and(|(record, report)| {
            matches!(record, Record::Response(_))
                && report.unknown_fields + report.unknown_enums > 0
                && memchr::memchr(b'\n', object).is_none()
        });
        let form = if newer { Raw::Json } else { Raw::LooseJson };
        let wire = match read.map(|(record, _)| record) {
            Ok(Record::Response(wire) | Record::BareFlow(wire)) => wire,
            Ok(Record::AgentEvent(node, time)) => {
                report
                    .skips
                    .add(SkipReason::AgentEvent, line_number, String::new);
                builder.push_notice(
                    &node,
                    time.unwrap_or(NO_TIME),
                    NoticeKind::AgentEvent,
                    || Raw::LooseJson(raw()),
                );
                return;
            }
            Ok(Record::DebugEvent(node, time)) => {
                report
                    .skips
                    .add(SkipReason::DebugEvent, line_number, String::new);
                builder.push_notice(
                    &node,
                    time.unwrap_or(NO_TIME),
                    NoticeKind::DebugEvent,
                    || Raw::LooseJson(raw()),
                );
                return;
            }
            Ok(Record::NotARecord) => {
                report
                    .skips
                    .add(SkipReason::NotARecord, line_number, String::new);
                return;
            }
            Err(error) => {
                let reason = if error.is_syntax() {
                    SkipReason::BadJson
                } else {
                    SkipReason::BadRecord
                };
                report.skips.add(reason, line_number, || error.to_string());
                self.builder.push_unread();
                return;
            }
        };
        let before = builder.notices_len();
        if let Err(error) = walk::push_message(builder, &wire, || form(raw())) {
            report
                .skips
                .add(SkipReason::BadRecord, line_number, || error.to_string());
            self.builder.push_unread();
            return;
        }
        if builder.notices_len() > before && builder.last_notice_is_empty() {
            report
                .skips
                .add(SkipReason::Empty, line_number, String::new);
        }
    }
}

/// Whether an object of unusual length holds more texts than are kept.
fn is_crowded(object: &[u8]) -> bool {
    object.len() > UNUSUAL && quotes(object) > 2 * MOST_TEXTS
}

/// Quotes that begin or end a text.
fn quotes(object: &[u8]) -> usize {
    let escapes = |at: usize| {
        let before = object[..at].iter().rev();
        before.take_while(|byte| **byte == b'\\').count()
    };
    memchr::memchr_iter(b'"', object)
        .filter(|at| escapes(*at) % 2 == 0)
        .count()
}

/// Offset of a part in the text it was cut from.
fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

/// The content of a CRI log line, `<time> stdout F <content>`, and whether it ends here.
pub(super) fn cri(line: &[u8]) -> Option<(&[u8], bool)> {
    let (time, rest) = split_space(line)?;
    let digits = time.first()?.is_ascii_digit() && time.contains(&b'T');
    let (stream, rest) = split_space(rest)?;
    let (tag, content) = split_space(rest)?;
    if !digits || !matches!(stream, b"stdout" | b"stderr") {
        return None;
    }
    match tag.first()? {
        b'F' => Some((content, true)),
        b'P' => Some((content, false)),
        _ => None,
    }
}

fn split_space(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b' ', text)?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, PieceReport) {
        let chunk = Chunk {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            dropped: 0,
            damaged: None,
        };
        let mut verdicts = Vec::new();
        let report = LineDecoder::default().decode(&chunk, |_, batch| {
            verdicts.extend(batch.rows().map(|row| row.verdict().to_string()));
        });
        (verdicts, report)
    }

    #[test]
    fn a_line_of_unusual_length_leaves_nothing_in_the_dictionaries() {
        let text = format!(
            r#"{{"flow":{{"source":{{"pod_name":"{}"}}}}}}"#,
            "x".repeat(UNUSUAL)
        );
        let mut decoder = LineDecoder::default();
        let chunk = Chunk {
            bytes: text.into(),
            dropped: 0,
            damaged: None,
        };
        let mut rows = 0;
        decoder.decode(&chunk, |decoder, batch| {
            assert!(decoder.builder.interner().size() > UNUSUAL);
            rows += batch.len();
        });
        assert_eq!(rows, 1);
        assert!(decoder.builder.interner().size() < 1 << 10);
    }

    #[test]
    fn an_object_of_too_many_texts_is_counted_and_the_next_is_read() {
        let good = r#"{"flow":{"verdict":"DROPPED"}}"#;
        let crowded = |labels: usize| {
            let labels = vec![r#""k8s:label=\\""#; labels].join(",");
            format!(r#"{{"flow":{{"source":{{"labels":[{labels}]}}}}}}"#)
        };
        let (read_of_most, report) = read(&crowded(MOST_TEXTS - 8));
        assert_eq!((read_of_most.len(), report.skips.is_empty()), (1, true));
        let (verdicts, report) = read(&format!("{good}\n{}\n{good}\n", crowded(MOST_TEXTS)));
        assert_eq!(verdicts.len(), 2);
        let skipped: Vec<String> = report.skips.describe("f").collect();
        let said = "1 line that is too long, first at f:2 (over 262,144 texts in it)";
        assert_eq!(skipped, [said]);
    }

    #[test]
    fn objects_on_one_line_or_many_in_arrays_and_behind_prefixes_are_read() {
        let text = "level=WARN msg=hello\n\
            {\"flow\":{\"verdict\":\"DROPPED\"}}\n\
            {\n  \"verdict\": \"AUDIT\",\n  \"IP\": {}\n}\n\
            [{\"verdict\":\"ERROR\"}, {\"flow\": {\"verdict\":\"TRACED\"}},\n\
            {\"verdict\":\"TRANSLATED\"}]\n\
            2026-06-01T10:00:00.1Z stdout F {\"flow\":{\"verdict\":\"FORWARDED\"}}\n\
            2026-06-01T10:00:00.1Z stdout P {\"flow\":{\"verd\n\
            2026-06-01T10:00:00.1Z stdout F ict\":\"REDIRECTED\"}}\n\
            {\"flow\":{\"verdict\":\"DROPPED\"}";
        let (verdicts, report) = read(text);
        assert_eq!(
            verdicts,
            [
                "DROPPED",
                "AUDIT",
                "ERROR",
                "TRACED",
                "TRANSLATED",
                "FORWARDED",
                "REDIRECTED"
            ]
        );
        assert_eq!(report.lines, text.lines().count() as u64 - 1);
        let skipped: Vec<String> = report.skips.describe("f").collect();
        assert_eq!(skipped.len(), 2, "{skipped:?}");
        assert_eq!(skipped[0], "1 line of text, first at f:1");
        assert!(
            skipped[1].starts_with("1 line of broken JSON, first at f:12 ("),
            "{skipped:?}"
        );
    }

    #[test]
    fn lines_that_were_dropped_are_lines_all_the_same() {
        let chunk = Chunk {
            bytes: Bytes::from_static(b"text\n"),
            dropped: 2,
            damaged: None,
        };
        let report = LineDecoder::default().decode(&chunk, |_, _| {});
        assert_eq!(report.lines, 3);
        let skipped: Vec<String> = report.skips.describe("f").collect();
        assert!(skipped.contains(&"2 lines that are too long, first at f:1".to_owned()));
        assert!(skipped.contains(&"1 line of text, first at f:3".to_owned()));
    }

    #[test]
    fn a_bad_line_never_loses_the_good_ones_beside_it() {
        let good = "{\"flow\":{\"verdict\":\"DROPPED\"}}";
        for bad in [
            "{",
            "{\"flow\":{\"verdict\":",
            "{\"flow\":{\"verdict\":\"DROP",
            "}",
            "[",
            "{\"flow\":[]}",
            "{\"a\":1}",
            "\u{0}",
            "{\"flow\":{\"l4\":7}}",
        ] {
            let (verdicts, report) = read(&format!("{good}\n{bad}\n{good}\n"));
            assert_eq!(verdicts.len(), 2, "{bad}: {report:?}");
            assert_eq!(report.lines, 3, "{bad}");
        }
    }

    #[test]
    fn a_bare_flow_keeps_its_line_when_asked() {
        let chunk = Chunk {
            bytes: Bytes::from_static(b"  {\"verdict\":\"AUDIT\"} \n"),
            dropped: 0,
            damaged: None,
        };
        let mut decoder = LineDecoder::new(BatchBuilder::default().keeping_raw());
        decoder.decode(&chunk, |_, batch| {
            let raw = Raw::LooseJson(Bytes::from_static(b"{\"verdict\":\"AUDIT\"}"));
            assert_eq!(batch.raw(0), Some(&raw));
        });
    }
}

#[cfg(test)]
mod equivalence;
