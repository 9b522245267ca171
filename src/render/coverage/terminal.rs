//! Coverage for people: the score, what has no policy, then a table.

use std::fmt::Write as _;

use super::{
    Detail, all_have_one, counted, cover_words, harmless, headline, layer7_text, namespace_name,
    notes, nothing, peers_text, score_text, scored, share_text, without_words, workload_name,
};
use crate::render::thousands;
use crate::review::coverage::{Cover, Coverage, Score, SideCover, SideSum, Sum, WorkloadCover};

/// Workloads without a policy that are shown one by one.
const SHOWN: usize = 20;
/// Notes about what is unknown that are shown.
const MOST_NOTES: usize = 6;
/// Below this, in tenths, a score is red; from the second on it is green.
const RED_BELOW: u64 = 500;
const GREEN_FROM: u64 = 800;

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const CYAN: &str = "\x1b[36m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Appends the report.
pub fn terminal(out: &mut Vec<u8>, coverage: &Coverage, detail: Detail, color: bool) {
    let page = Page { color };
    let mut text = String::new();
    if coverage.knows_workloads() {
        let sum = coverage.sum();
        text.push_str(&page.paint(&headline(sum.score()), score_paint(sum.score())));
        let _ = write!(text, ": {}\n\n", scored(sum));
        page.without_policy(&mut text, coverage, detail);
        page.table(&mut text, &namespaces(coverage, sum));
        if detail == Detail::Workloads {
            text.push('\n');
            page.table(&mut text, &workloads(coverage));
        }
        text.push('\n');
        let notes = notes(coverage);
        for note in notes.iter().take(MOST_NOTES) {
            text.push_str(&page.paint(&harmless(note), DIM));
            text.push('\n');
        }
        if notes.len() > MOST_NOTES {
            let more = (notes.len() - MOST_NOTES) as u64;
            let more = counted(more, "note more", "notes more");
            text.push_str(&page.paint(&format!("{more}; -o json has all"), DIM));
            text.push('\n');
        }
    } else {
        text.push_str(&nothing(coverage));
        text.push('\n');
    }
    out.extend_from_slice(text.as_bytes());
}

struct Page {
    color: bool,
}

/// A cell of a table.
struct Cell {
    text: String,
    paint: &'static str,
    /// Numbers end below each other.
    right: bool,
}

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            paint: "",
            right: false,
        }
    }

    fn number(text: impl Into<String>) -> Self {
        Self {
            right: true,
            ..Self::text(text)
        }
    }

    fn painted(self, paint: &'static str) -> Self {
        Self { paint, ..self }
    }
}

impl Page {
    fn paint(&self, text: &str, paint: &str) -> String {
        if self.color && !paint.is_empty() {
            format!("{paint}{text}{PLAIN}")
        } else {
            text.to_owned()
        }
    }

    fn without_policy(&self, text: &mut String, coverage: &Coverage, detail: Detail) {
        let list = coverage.without_policy();
        let all = coverage.workloads.len() as u64;
        if list.is_empty() {
            text.push_str(&all_have_one(coverage.sum()));
            text.push_str("\n\n");
            return;
        }
        let head = format!(
            "{} of {} {} none:",
            thousands(list.len() as u64),
            counted(all, "workload", "workloads"),
            if list.len() == 1 {
                "needs a policy and has"
            } else {
                "need a policy and have"
            },
        );
        text.push_str(&self.paint(&head, BOLD));
        text.push('\n');
        let clusters = coverage.has_clusters();
        let shown = if detail == Detail::Workloads {
            list.len()
        } else {
            SHOWN
        };
        let rows: Vec<Vec<Cell>> = list
            .iter()
            .take(shown)
            .map(|(workload, without)| {
                vec![
                    Cell::text(format!("  {}", workload_name(&workload.id, clusters))),
                    Cell::text(without_words(*without)).painted(RED),
                    Cell::text(seen(workload, coverage.flows.is_some())).painted(DIM),
                ]
            })
            .collect();
        self.table(text, &rows);
        if list.len() > shown {
            let more = thousands((list.len() - shown) as u64);
            let _ = writeln!(text, "  and {more} more; --workloads shows all");
        }
        text.push('\n');
    }

    /// Columns as wide as their widest cell, two spaces apart.
    fn table(&self, text: &mut String, rows: &[Vec<Cell>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.text.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in rows {
            let mut line = String::new();
            let last = row.iter().rposition(|cell| !cell.text.is_empty());
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if last.is_none_or(|last| at > last) {
                    break;
                }
                let room = " ".repeat(width - cell.text.chars().count());
                let shown = self.paint(&cell.text, cell.paint);
                if cell.right {
                    line.push_str(&room);
                    line.push_str(&shown);
                } else {
                    line.push_str(&shown);
                    if last != Some(at) {
                        line.push_str(&room);
                    }
                }
                if last != Some(at) {
                    line.push_str("  ");
                }
            }
            text.push_str(&line);
            text.push('\n');
        }
    }
}

/// What flows say of a workload without a policy.
fn seen(workload: &WorkloadCover, flows: bool) -> String {
    if !flows {
        return String::new();
    }
    if !workload.in_flows {
        return "not seen".to_owned();
    }
    let peers = workload.ingress.peers + workload.egress.peers;
    let more = if workload.ingress.more_peers || workload.egress.more_peers {
        "more than "
    } else {
        ""
    };
    format!(
        "{}, {more}{} to name",
        counted(workload.flows(), "flow", "flows"),
        counted(peers, "peer", "peers"),
    )
}

fn header(names: &[(&str, bool)]) -> Vec<Cell> {
    names
        .iter()
        .map(|&(name, right)| {
            Cell {
                right,
                ..Cell::text(name)
            }
            .painted(BOLD)
        })
        .collect()
}

fn namespaces(coverage: &Coverage, total: Sum) -> Vec<Vec<Cell>> {
    let (broad, unknown) = (broad(total) > 0, total.unknown() > 0);
    let encrypted = coverage.flows.is_some();
    let mut names = vec![
        ("NAMESPACE", false),
        ("SCORE", true),
        ("WORKLOADS", true),
        ("NO POLICY", true),
        ("INGRESS DENY", true),
        ("EGRESS DENY", true),
    ];
    names.extend(broad.then_some(("BROAD", true)));
    names.extend(unknown.then_some(("UNKNOWN", true)));
    names.extend([("L7", true), ("DNS", true)]);
    names.extend(encrypted.then_some(("ENCRYPTED", true)));
    let mut rows = vec![header(&names)];
    let clusters = coverage.has_clusters();
    let sums = coverage.namespaces();
    let mut row =
        |name: String, sum: Sum, paint: &'static str| {
            let score = sum.score();
            let mut cells =
                vec![
                    Cell::text(name).painted(paint),
                    Cell::number(score_text(score)).painted(score_paint(score)),
                    Cell::number(thousands(sum.workloads)),
                    Cell::number(thousands(sum.without_policy))
                        .painted(if sum.without_policy > 0 { RED } else { "" }),
                    deny(sum.ingress),
                    deny(sum.egress),
                ];
            cells.extend(broad.then(|| Cell::number(thousands(self::broad(sum)))));
            cells.extend(unknown.then(|| Cell::number(thousands(sum.unknown()))));
            cells.push(Cell::number(thousands(sum.layer7)));
            cells.push(Cell::number(thousands(sum.dns)));
            cells.extend(encrypted.then(|| Cell::number(share_text(sum.encrypted, sum.packets))));
            rows.push(cells);
        };
    for ((cluster, namespace), sum) in &sums {
        row(
            namespace_name(cluster, namespace.as_ref(), clusters),
            *sum,
            "",
        );
    }
    if sums.len() > 1 {
        row("all".to_owned(), total, BOLD);
    }
    rows
}

fn broad(sum: Sum) -> u64 {
    sum.ingress.broad + sum.egress.broad
}

/// Workloads under default deny, of those of which it can be told.
fn deny(side: SideSum) -> Cell {
    let denied = side.default_deny + side.broad;
    let paint = if denied < side.known() { YELLOW } else { "" };
    Cell::number(format!("{}/{}", thousands(denied), thousands(side.known()))).painted(paint)
}

fn workloads(coverage: &Coverage) -> Vec<Vec<Cell>> {
    let mut names = vec![
        ("WORKLOAD", false),
        ("INGRESS", false),
        ("EGRESS", false),
        ("L7", false),
    ];
    let flows = coverage.flows.is_some();
    if flows {
        names.extend([
            ("FLOWS IN", true),
            ("OUT", true),
            ("PEERS IN", true),
            ("OUT", true),
            ("ENCRYPTED", true),
        ]);
    }
    let mut rows = vec![header(&names)];
    let clusters = coverage.has_clusters();
    for workload in &coverage.workloads {
        let (ingress, egress) = (&workload.ingress, &workload.egress);
        let mut cells = vec![
            Cell::text(workload_name(&workload.id, clusters)),
            cover(ingress),
            cover(egress),
            Cell::text(layer7_text(ingress, egress)),
        ];
        if flows {
            cells.extend([
                Cell::number(thousands(ingress.flows)),
                Cell::number(thousands(egress.flows)),
                Cell::number(peers_text(ingress)),
                Cell::number(peers_text(egress)),
                Cell::number(share_text(workload.encrypted, workload.packets)),
            ]);
        }
        rows.push(cells);
    }
    rows
}

fn cover(side: &SideCover) -> Cell {
    let paint = match side.cover {
        Cover::NotSelected => RED,
        Cover::NoDefaultDeny | Cover::Broad => YELLOW,
        Cover::Unknown(_) => CYAN,
        Cover::DefaultDeny => "",
    };
    Cell::text(cover_words(&side.cover)).painted(paint)
}

fn score_paint(score: Score) -> &'static str {
    match score.tenths() {
        None => "",
        Some(tenths) if tenths < RED_BELOW => RED,
        Some(tenths) if tenths < GREEN_FROM => YELLOW,
        Some(_) => GREEN,
    }
}
