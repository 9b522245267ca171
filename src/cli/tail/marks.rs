//! Lines that belong to a finding, as they are shown.
//!
//! Owns which findings are open, and putting their marks behind lines. A finding is known 30 s
//! after the end of the minute that told it (a minute is looked at 20 s after its end, behind
//! the watermark of 10 s), so lines from then on are marked, whatever the batches they come
//! in; for an hour after the finding was last heard of. What was shown before is not shown
//! again: `flowwatch findings show` has the command for it.
//!
//! Bounded: [`MOST`] findings, those that were not heard of for longest go first.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::writer::{Layout, Text};
use crate::filter::Filters;
use crate::finding::{Finding, Line, flow_filters};
use crate::flow::FlowBatch;

/// Findings whose lines are marked.
const MOST: usize = 64;
const SECOND: i64 = 1_000_000_000;
/// From the end of its minute on until a finding is known for certain.
const KNOWN: i64 = 30 * SECOND;
/// How long after a finding was last heard of its lines are marked.
const GOES_ON: i64 = 3_600 * SECOND;
/// Marks of one line.
const MOST_OF_LINE: usize = 3;

/// The findings that are open.
pub(super) struct Marks {
    layout: Layout,
    open: BTreeMap<String, Mark>,
}

struct Mark {
    filters: Filters,
    from: i64,
    until: i64,
    words: String,
    json: String,
}

impl Marks {
    pub(super) fn new(layout: Layout) -> Self {
        Self {
            layout,
            open: BTreeMap::new(),
        }
    }

    /// Takes what was found.
    pub(super) fn take(&mut self, line: &Line) {
        let Line::Finding(finding) = line else {
            return;
        };
        if finding.suppressed.is_some() {
            self.open.remove(&finding.id);
            return;
        }
        let filters = flow_filters(finding);
        let Ok(filters) = Filters::compile(&filters, &[]) else {
            return;
        };
        if filters.is_empty() {
            return;
        }
        let mark = Mark::new(finding, filters);
        self.open.insert(finding.id.clone(), mark);
        if self.open.len() > MOST {
            let oldest = self.open.iter().min_by_key(|(id, mark)| (mark.until, *id));
            if let Some(id) = oldest.map(|(id, _)| id.clone()) {
                self.open.remove(&id);
            }
        }
    }

    /// Marks the records of a text that are of these batches.
    pub(super) fn mark(&mut self, batches: &[Arc<FlowBatch>], text: &mut Text) {
        let times = batches.iter().flat_map(|batch| batch.times());
        let first = times.copied().filter(|time| *time > 0).min();
        let Some(first) = first else { return };
        self.open.retain(|_, mark| mark.until >= first);
        if self.open.is_empty() || text.rows.len() != text.ends.len() {
            return;
        }
        let mut marked: Option<Vec<u8>> = None;
        let mut ends = Vec::with_capacity(text.ends.len());
        let mut start = 0;
        for (at, end) in text.ends.iter().enumerate() {
            let record = &text.out[start as usize..*end as usize];
            let found =
                text.rows[at].map_or_else(Vec::new, |(batch, row)| self.of(batches, batch, row));
            if !found.is_empty() && marked.is_none() {
                let mut begun = Vec::with_capacity(text.out.len() + 256);
                begun.extend_from_slice(&text.out[..start as usize]);
                marked = Some(begun);
            }
            if let Some(out) = &mut marked {
                out.extend_from_slice(record);
                if !found.is_empty() {
                    self.append(&found, out);
                }
                ends.push(out.len() as u32);
            } else {
                ends.push(*end);
            }
            start = *end;
        }
        if let Some(out) = marked {
            text.out = out;
            text.ends = ends;
        }
    }

    /// Marks of a row, the most recent findings first.
    fn of(&mut self, batches: &[Arc<FlowBatch>], batch: u32, row: u32) -> Vec<String> {
        let Some(batch) = batches.get(batch as usize) else {
            return Vec::new();
        };
        let row = batch.row(row as usize);
        let Some(time) = row.time() else {
            return Vec::new();
        };
        let mut found: Vec<(i64, &str)> = Vec::new();
        for mark in self.open.values_mut() {
            if (mark.from..=mark.until).contains(&time) && mark.filters.matches(row) {
                let words = match self.layout {
                    Layout::Json => &mark.json,
                    Layout::Line | Layout::Dict => &mark.words,
                };
                found.push((mark.from, words));
            }
        }
        found.sort_by_key(|(from, _)| std::cmp::Reverse(*from));
        let found = found.into_iter().take(MOST_OF_LINE);
        found.map(|(_, words)| words.to_owned()).collect()
    }

    /// Puts marks behind the record that was just written.
    fn append(&self, found: &[String], out: &mut Vec<u8>) {
        match self.layout {
            Layout::Line => {
                out.pop();
                out.extend_from_slice(b" | ");
                out.extend_from_slice(found.join(" | ").as_bytes());
                out.push(b'\n');
            }
            Layout::Dict => {
                out.extend_from_slice(b"   FINDING: ");
                out.extend_from_slice(found.join(", ").as_bytes());
                out.push(b'\n');
            }
            Layout::Json => {
                while out.pop().is_some_and(|byte| byte != b'}') {}
                out.extend_from_slice(br#","findings":["#);
                out.extend_from_slice(found.join(",").as_bytes());
                out.extend_from_slice(b"]}\n");
            }
        }
    }
}

impl Mark {
    fn new(finding: &Finding, filters: Filters) -> Self {
        let json = serde_json::json!({
            "id": finding.id,
            "incident": finding.incident,
            "detector": finding.detector,
            "kind": finding.kind,
            "severity": finding.severity,
        });
        Self {
            filters,
            from: finding.raised.saturating_add(KNOWN),
            until: finding.last.max(finding.raised).saturating_add(GOES_ON),
            words: format!(
                "{} {} {} ({})",
                finding.detector, finding.kind, finding.id, finding.severity
            ),
            json: json.to_string(),
        }
    }
}
