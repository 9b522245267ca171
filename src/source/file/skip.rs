//! What a file held that is not a flow: counted by reason, with the first place.

use std::collections::BTreeMap;
use std::fmt;

/// Why a line or object of a file gave no flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// A line of text, such as a log line.
    Text,
    /// JSON that is broken or cut off.
    BadJson,
    /// A JSON object that is no event of Hubble.
    NotARecord,
    /// An event with a value that Hubble's API does not allow.
    BadRecord,
    /// A line over the length limit.
    TooLong,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// Compressed data that ends early or is damaged.
    Damaged,
    /// An agent event of an exporter file.
    AgentEvent,
    /// A debug event of an exporter file.
    DebugEvent,
    /// An envelope without a body, or with one of a newer version.
    Empty,
}

impl SkipReason {
    /// Whether it says that the input is wrong, and not only that it holds other things.
    #[must_use]
    pub fn is_error(self) -> bool {
        matches!(
            self,
            Self::BadJson | Self::BadRecord | Self::TooLong | Self::NotUtf8 | Self::Damaged
        )
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("line of text", "lines of text"),
            Self::BadJson => ("line of broken JSON", "lines of broken JSON"),
            Self::NotARecord => (
                "JSON object that is no Hubble event",
                "JSON objects that are no Hubble event",
            ),
            Self::BadRecord => ("event with a wrong value", "events with a wrong value"),
            Self::TooLong => ("line that is too long", "lines that are too long"),
            Self::NotUtf8 => ("line that is not UTF-8", "lines that are not UTF-8"),
            Self::Damaged => ("damaged compressed stream", "damaged compressed streams"),
            Self::AgentEvent => ("agent event", "agent events"),
            Self::DebugEvent => ("debug event", "debug events"),
            Self::Empty => ("event without a body", "events without a body"),
        }
    }
}

/// The first place of a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: u64,
    /// What was wrong there; empty where the reason says it all.
    pub detail: String,
}

/// Counts of one file or one piece of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skips {
    reasons: BTreeMap<SkipReason, (u64, Place)>,
}

impl Skips {
    /// Counts one.
    pub fn add(&mut self, reason: SkipReason, line: u64, detail: impl FnOnce() -> String) {
        self.reasons
            .entry(reason)
            .and_modify(|entry| entry.0 += 1)
            .or_insert_with(|| {
                (
                    1,
                    Place {
                        line,
                        detail: detail(),
                    },
                )
            });
    }

    /// Adds the counts of a piece that begins after `lines_before` lines.
    pub fn absorb(&mut self, piece: Skips, lines_before: u64) {
        for (reason, (count, mut place)) in piece.reasons {
            place.line += lines_before;
            self.reasons
                .entry(reason)
                .and_modify(|entry| entry.0 += count)
                .or_insert((count, place));
        }
    }

    /// Whether nothing was skipped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Reasons with their counts and first places.
    pub fn iter(&self) -> impl Iterator<Item = (SkipReason, u64, &Place)> {
        self.reasons
            .iter()
            .map(|(&reason, (count, place))| (reason, *count, place))
    }

    /// How many were skipped for a reason.
    #[must_use]
    pub fn count(&self, reason: SkipReason) -> u64 {
        self.reasons.get(&reason).map_or(0, |entry| entry.0)
    }

    /// One line a reason, `12 lines of text, first at events.log:3`.
    pub fn describe<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        self.iter().map(move |(reason, count, place)| {
            let detail = if place.detail.is_empty() {
                String::new()
            } else {
                format!(" ({})", place.detail)
            };
            format!(
                "{}, first at {name}:{}{detail}",
                Counted(count, reason),
                place.line
            )
        })
    }
}

struct Counted(u64, SkipReason);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, many) = self.1.words();
        write!(f, "{} {}", self.0, if self.0 == 1 { one } else { many })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_and_the_first_place_stays() {
        let mut whole = Skips::default();
        let mut piece = Skips::default();
        piece.add(SkipReason::BadJson, 3, || "cut off".to_owned());
        piece.add(SkipReason::BadJson, 4, || unreachable!());
        whole.absorb(piece.clone(), 10);
        whole.absorb(piece, 20);
        assert_eq!(
            whole.describe("a.log").collect::<Vec<_>>(),
            ["4 lines of broken JSON, first at a.log:13 (cut off)"]
        );
    }
}
