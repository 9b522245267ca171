//! What was recorded, in a sentence.

use std::fmt::Write as _;

use crate::flow::FileEntry;
use crate::render::thousands;

/// `12,480 flows of 3 nodes, 2026-06-16T14:00:00Z to 2026-06-16T15:00:00Z, 140 kB (11.2 B a flow)`.
pub(in crate::cli) fn of(files: &[FileEntry]) -> String {
    let rows: u64 = files.iter().map(|file| file.rows).sum();
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let mut nodes: Vec<&str> = files
        .iter()
        .flat_map(|file| &file.nodes)
        .map(|node| node.name.as_str())
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    let mut text = format!(
        "{} {} of {} {}",
        thousands(rows),
        if rows == 1 { "flow" } else { "flows" },
        thousands(nodes.len() as u64),
        if nodes.len() == 1 { "node" } else { "nodes" },
    );
    let spans = files.iter().filter_map(|file| file.span);
    let span = spans.reduce(|left, right| (left.0.min(right.0), left.1.max(right.1)));
    if let Some((first, last)) = span {
        let time = |at: i64| jiff::Timestamp::from_nanosecond(at.into()).unwrap_or_default();
        let _ = write!(text, ", {:.3} to {:.3}", time(first), time(last));
    }
    let _ = write!(text, ", {}", size(bytes));
    if rows > 0 {
        let _ = write!(text, " ({:.1} B a flow)", bytes as f64 / rows as f64);
    }
    text
}

/// Bytes as people say them.
pub(in crate::cli) fn size(bytes: u64) -> String {
    let units = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    for (unit, name) in units {
        if bytes >= unit {
            return format!("{:.1} {name}", bytes as f64 / unit as f64);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_234_567), "1.2 MB");
    }
}
