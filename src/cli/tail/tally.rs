//! What `tail` counts on the way, and the status line that says it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{AgreementTally, Judgement};
use crate::flow::{
    DropClass, DropReason, EventType, FlowBatch, LostSource, Notice, NoticeKind, RowRef, Verdict,
};
use crate::render::thousands;

/// Nodes shown by name in the status line.
const NODES_SHOWN: usize = 3;
/// Policies younger than flows that are shown by name.
const CHANGES_SHOWN: usize = 10;
/// Nodes counted by name; losses of further ones are counted together.
const MAX_NODES: usize = 4096;

/// Counts of flows read, shown, dropped and lost.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) flows: u64,
    pub(super) matched: u64,
    drops: [u64; DropClass::ALL.len()],
    /// Drops of which the recording does not say why.
    unexplained: u64,
    denied_l7: u64,
    lost: BTreeMap<Arc<str>, Lost>,
    holes: BTreeMap<Arc<str>, u64>,
    agreement: Option<AgreementTally>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    events: u64,
    /// Of those, lost for every reader and not only for this one.
    everywhere: u64,
}

impl Tally {
    /// Counts the flows and losses of a batch.
    pub(super) fn batch(&mut self, batch: &FlowBatch) {
        self.flows += batch.len() as u64;
        for row in batch.rows() {
            if row.verdict() == Verdict::DROPPED {
                self.drop(row);
            }
        }
        for notice in batch.notices() {
            self.notice(notice);
        }
    }

    /// A policy denial gives a verdict event and a drop event: the drop counts.
    fn drop(&mut self, row: RowRef<'_>) {
        if row.extra().is_some_and(|extra| extra.l7.is_some()) {
            self.denied_l7 += u64::from(row.weight());
        } else if row.event_type() != EventType::POLICY_VERDICT.0 {
            let reason = match row.drop_reason() {
                // Old agents send the number alone.
                DropReason(0) => DropReason(row.drop_reason_number() as i32),
                reason => reason,
            };
            let count = match reason {
                DropReason(0) => &mut self.unexplained,
                reason => &mut self.drops[reason.class() as usize],
            };
            *count += u64::from(row.weight());
        }
    }

    fn notice(&mut self, notice: &Notice) {
        if let NoticeKind::Lost { source, events, .. } = notice.kind {
            let node = if self.lost.len() < MAX_NODES || self.lost.contains_key(&notice.node) {
                notice.node.clone()
            } else {
                Arc::from("other nodes")
            };
            let lost = self.lost.entry(node).or_default();
            lost.events += events;
            lost.everywhere += if source == LostSource::HUBBLE_RING_BUFFER {
                0
            } else {
                events
            };
        }
    }

    /// Counts what the policies say of a flow.
    pub(super) fn judgement(&mut self, judgement: &Judgement, weight: u32) {
        self.agreement
            .get_or_insert_default()
            .count(judgement, u64::from(weight));
    }

    /// Counts of agreement, where flows were judged.
    pub(super) fn agreement(&self) -> Option<&AgreementTally> {
        self.agreement.as_ref()
    }

    /// Counts a hole of a node.
    pub(super) fn hole(&mut self, node: &str) {
        *self.holes.entry(Arc::from(node)).or_default() += 1;
    }

    /// Adds the counts of another.
    pub(super) fn add(&mut self, other: Tally) {
        self.flows += other.flows;
        self.matched += other.matched;
        self.unexplained += other.unexplained;
        self.denied_l7 += other.denied_l7;
        if let Some(theirs) = &other.agreement {
            self.agreement.get_or_insert_default().add(theirs);
        }
        for (mine, theirs) in self.drops.iter_mut().zip(other.drops) {
            *mine += theirs;
        }
        for (node, theirs) in other.lost {
            let mine = self.lost.entry(node).or_default();
            mine.events += theirs.events;
            mine.everywhere += theirs.everywhere;
        }
        for (node, count) in other.holes {
            *self.holes.entry(node).or_default() += count;
        }
    }

    /// `12,480 flows in 1.2 s (10,400/s), 310 shown · drops: policy 300 · lost: 5 on c/n`.
    pub(super) fn status(&self, elapsed: Duration) -> String {
        let mut text = format!("{} in {}", counted(self.flows, "flow"), seconds(elapsed));
        let rate = self.flows as f64 / elapsed.as_secs_f64().max(1e-6);
        if self.flows > 0 {
            let _ = write!(text, " ({}/s)", thousands(rate as u64));
        }
        let _ = write!(text, ", {} shown", thousands(self.matched));
        let mut drops: Vec<String> = DropClass::ALL
            .iter()
            .filter(|class| self.drops[**class as usize] > 0)
            .map(|class| {
                format!(
                    "{} {}",
                    class.name(),
                    thousands(self.drops[*class as usize])
                )
            })
            .collect();
        if self.unexplained > 0 {
            drops.push(format!("unknown reason {}", thousands(self.unexplained)));
        }
        if self.denied_l7 > 0 {
            drops.push(format!("L7 {}", thousands(self.denied_l7)));
        }
        if !drops.is_empty() {
            let _ = write!(text, " \u{b7} drops: {}", drops.join(", "));
        }
        let lost: u64 = self.lost.values().map(|lost| lost.events).sum();
        if lost > 0 {
            let everywhere: u64 = self.lost.values().map(|lost| lost.everywhere).sum();
            let _ = write!(
                text,
                " \u{b7} lost: {} on {}",
                counted(lost, "event"),
                names(self.lost.keys())
            );
            if everywhere > 0 && everywhere < lost {
                let _ = write!(
                    text,
                    " ({} before Hubble, for every reader)",
                    thousands(everywhere)
                );
            }
        }
        let holes: u64 = self.holes.values().sum();
        if holes > 0 {
            let _ = write!(
                text,
                " \u{b7} {} on {}",
                counted(holes, "hole"),
                names(self.holes.keys())
            );
        }
        text
    }
}

/// What the policies said: the rate at which computed and recorded verdicts agree, and the
/// rest by cause, each with what would resolve it.
pub(super) fn agreement_lines(tally: &AgreementTally) -> Vec<String> {
    let mut line = match tally.rate() {
        Some(rate) => format!(
            "agreement: {} of {} recorded verdicts ({})",
            thousands(tally.equal),
            thousands(tally.compared()),
            percent(rate)
        ),
        None => "agreement: the recording has no verdict that could be compared".to_owned(),
    };
    let mut parts = Vec::new();
    if tally.drift > 0 {
        parts.push(format!("drift {}", thousands(tally.drift)));
    }
    let changed: u64 = tally.changed.values().sum();
    if changed > 0 {
        parts.push(format!("changed since {}", thousands(changed)));
    }
    if tally.gaps > 0 {
        parts.push(format!("gap {}", thousands(tally.gaps)));
    }
    for (option, count) in &tally.assumed {
        parts.push(format!(
            "{} assume the default of {option}",
            thousands(*count)
        ));
    }
    for part in parts {
        let _ = write!(line, " \u{b7} {part}");
    }
    let mut lines = vec![line];
    for (changed, count) in tally.changed.iter().take(CHANGES_SHOWN) {
        let count = thousands(*count);
        lines.push(format!("changed since: {count} recorded before {changed}"));
    }
    if tally.changed.len() > CHANGES_SHOWN {
        let more = tally.changed.len() - CHANGES_SHOWN;
        lines.push(format!("changed since: {more} more policies"));
    }
    for (name, (count, cause)) in &tally.unknown {
        let hint = cause.hint();
        lines.push(format!("unknown: {} {name}: {hint}", thousands(*count)));
    }
    lines
}

/// Never rounded up to 100: the last verdict matters.
fn percent(rate: f64) -> String {
    if rate >= 1.0 {
        "100 %".to_owned()
    } else {
        format!("{:.1} %", (rate * 1000.0).floor() / 10.0)
    }
}

fn names<'a>(nodes: impl ExactSizeIterator<Item = &'a Arc<str>>) -> String {
    let count = nodes.len();
    let shown: Vec<&str> = nodes
        .take(NODES_SHOWN)
        .map(|node| {
            if node.is_empty() {
                "an unnamed node"
            } else {
                node
            }
        })
        .collect();
    let mut text = shown.join(", ");
    if count > NODES_SHOWN {
        let _ = write!(text, " and {} more", count - NODES_SHOWN);
    }
    text
}

fn counted(count: u64, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {one}{plural}", thousands(count))
}

fn seconds(elapsed: Duration) -> String {
    let total = elapsed.as_secs();
    match total {
        0..60 => format!("{:.1} s", elapsed.as_secs_f64()),
        60..3600 => format!("{} min {} s", total / 60, total % 60),
        _ => format!("{} h {} min", total / 3600, total % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_plurals_read_as_people_write_them() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(12), "12");
        let mut tally = Tally {
            flows: 1,
            matched: 1,
            ..Tally::default()
        };
        tally.hole("c/n");
        tally.hole("c/n");
        assert_eq!(
            tally.status(Duration::from_secs(2)),
            "1 flow in 2.0 s (0/s), 1 shown \u{b7} 2 holes on c/n"
        );
    }
}
