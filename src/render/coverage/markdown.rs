//! Coverage as Markdown, for a comment on a change or a page.

use std::fmt::Write as _;

use super::{
    all_have_one, cover_words, headline, layer7_text, namespace_name, notes, nothing, peers_text,
    score_text, scored, share_text, without_words, workload_name,
};
use crate::render::thousands;
use crate::review::coverage::{Coverage, SideSum};

/// Appends the report: the score, what has no policy, then namespaces and workloads.
pub fn markdown(out: &mut Vec<u8>, coverage: &Coverage) {
    let mut text = String::from("## Policy coverage\n\n");
    if !coverage.knows_workloads() {
        text.push_str(&cell(&nothing(coverage)));
        text.push('\n');
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let sum = coverage.sum();
    let clusters = coverage.has_clusters();
    let _ = writeln!(text, "**{}**: {}.\n", headline(sum.score()), scored(sum));
    let without = coverage.without_policy();
    if without.is_empty() {
        text.push_str(&all_have_one(sum));
        text.push('\n');
    } else {
        text.push_str("| needs a policy | in | flows | peers to name |\n|---|---|--:|--:|\n");
        for (workload, without) in without {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                cell(&workload_name(&workload.id, clusters)),
                without_words(without),
                thousands(workload.flows()),
                thousands(workload.ingress.peers + workload.egress.peers),
            );
        }
    }
    text.push('\n');
    text.push_str(
        "| namespace | score | workloads | no policy | ingress deny | egress deny | broad | \
         unknown | L7 | DNS | encrypted |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for ((cluster, namespace), sum) in coverage.namespaces() {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            cell(&namespace_name(&cluster, namespace.as_ref(), clusters)),
            score_text(sum.score()),
            thousands(sum.workloads),
            thousands(sum.without_policy),
            deny(sum.ingress),
            deny(sum.egress),
            thousands(sum.ingress.broad + sum.egress.broad),
            thousands(sum.unknown()),
            thousands(sum.layer7),
            thousands(sum.dns),
            share_text(sum.encrypted, sum.packets),
        );
    }
    text.push_str(
        "\n<details><summary>Every workload</summary>\n\n\
         | workload | ingress | egress | L7 | peers to name in | out |\n|---|---|---|---|--:|--:|\n",
    );
    for workload in &coverage.workloads {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            cell(&workload_name(&workload.id, clusters)),
            cover_words(&workload.ingress.cover),
            cover_words(&workload.egress.cover),
            layer7_text(&workload.ingress, &workload.egress),
            peers_text(&workload.ingress),
            peers_text(&workload.egress),
        );
    }
    text.push_str("\n</details>\n\n");
    for note in notes(coverage) {
        let _ = writeln!(text, "- {}", cell(&note));
    }
    out.extend_from_slice(text.as_bytes());
}

fn deny(side: SideSum) -> String {
    format!(
        "{}/{}",
        thousands(side.default_deny + side.broad),
        thousands(side.known())
    )
}

/// Text as a table's cell shows it, whatever is in it: names come from other people's files.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for char in super::harmless(text).chars() {
        match char {
            '<' => cell.push_str("&lt;"),
            '>' => cell.push_str("&gt;"),
            '&' => cell.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => {
                cell.push('\\');
                cell.push(char);
            }
            _ => cell.push(char),
        }
    }
    cell
}
