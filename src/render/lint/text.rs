//! Findings for people: a line with the place, one with how to mend it.

use std::io::Write as _;

use crate::policy::lint::{LintFinding, Severity};
use crate::render::escape::{self, Tab};

/// Appends findings that are not suppressed, an empty line between files.
pub fn text(out: &mut Vec<u8>, findings: &[LintFinding], color: bool) {
    let mut last: Option<&LintFinding> = None;
    for finding in findings
        .iter()
        .filter(|finding| finding.suppressed.is_none())
    {
        if last.is_some_and(|last| last.file != finding.file) {
            out.push(b'\n');
        }
        one(out, finding, color);
        last = Some(finding);
    }
}

fn one(out: &mut Vec<u8>, finding: &LintFinding, color: bool) {
    let paint = |code: &'static str| if color { code } else { "" };
    let (bold, dim, plain) = (paint("\x1b[1m"), paint("\x1b[2m"), paint("\x1b[0m"));
    let severity = match finding.severity {
        Severity::Error => paint("\x1b[1;31m"),
        Severity::Warning => paint("\x1b[1;33m"),
        Severity::Info => paint("\x1b[1;36m"),
    };
    out.extend_from_slice(bold.as_bytes());
    escape::push(out, &finding.file, Tab::Escape);
    let (at, name, id) = (finding.at, finding.severity, finding.check.id);
    let _ = write!(
        out,
        ":{at}:{plain} {severity}{name}{plain} {bold}{id}{plain}: "
    );
    escape::push(out, &finding.message, Tab::Escape);
    out.extend_from_slice(b"\n    mend: ");
    escape::push(out, &finding.mend, Tab::Escape);
    out.push(b'\n');
    if !finding.object.is_empty() {
        let _ = write!(out, "    {dim}in: ");
        escape::push(out, &finding.object, Tab::Escape);
        if !finding.field.is_empty() {
            out.push(b' ');
            escape::push(out, &finding.field, Tab::Escape);
        }
        let _ = writeln!(out, "{plain}");
    }
}
