//! `flowwatch synth score`: what findings are worth, beside what really happened.
//!
//! Owns the arguments and the table. The figures are `synth`'s.

use std::fmt::Write as _;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::seconds;
use crate::cli::error::CommandError;
use crate::cli::sink;
use crate::render::thousands;
use crate::synth::score::{
    FoundFile, KindScore, Score, ScoreOptions, Severity, Share, TruthFile, score,
};

const EXAMPLES: &str = "\
A found incident is about one that was if their times overlap, with --grace after its end, and
one of its findings has the foothold as subject or peer, or one of at most eight targets as
subject. Names outside are the same as their registered domain, addresses as a prefix around
them. What is about nothing is a false alarm. A finding counts from when it was told: `raised`
where the file has it, else the `last` of its first line.

Examples:
  flowwatch synth score findings.jsonl truth/incidents.json --from 2026-01-22T00:00:00Z
  flowwatch synth score findings.jsonl truth/incidents.json --detectors D1,D2,D7 -o json";

/// Arguments of `synth score`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ScoreArgs {
    /// Findings and incidents as JSON lines, - for standard input
    #[arg(value_name = "FINDINGS", value_hint = clap::ValueHint::FilePath)]
    findings: PathBuf,
    /// What `flowwatch synth --incidents` wrote: incidents.json
    #[arg(value_name = "TRUTH", value_hint = clap::ValueHint::FilePath)]
    truth: PathBuf,
    /// Only from this time on: before is training, RFC 3339 [default: all of the truth]
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Only until this time
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Incidents below it neither find anything nor are false alarms
    #[arg(long, value_name = "SEVERITY", default_value_t = Severity::Medium)]
    severity: Severity,
    /// How long after its end an incident may still be found
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    grace: u64,
    /// Detectors that there are: incidents for others count apart [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    detectors: Vec<String>,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Form,
    /// File to write to instead of standard output
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Table,
    Json,
}

impl ScoreArgs {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), CommandError> {
        let found = FoundFile::read(&text(&self.findings)?, &name(&self.findings));
        let found = found.map_err(CommandError::failed)?;
        let truth = TruthFile::read(&text(&self.truth)?, &name(&self.truth));
        let truth = truth.map_err(CommandError::failed)?;
        let nanos = |time: Option<Timestamp>| {
            time.and_then(|time| i64::try_from(time.as_nanosecond()).ok())
        };
        let options = ScoreOptions {
            severity: self.severity,
            from: nanos(self.from),
            until: nanos(self.until),
            grace: (self.grace as i64).saturating_mul(1_000_000_000),
            detectors: self.detectors.clone(),
        };
        let score = score(&found, &truth, &options);
        let text = match self.output {
            Form::Table => table(&score, self.severity),
            Form::Json => {
                let json = serde_json::to_string_pretty(&score.json());
                json.map_err(CommandError::failed)? + "\n"
            }
        };
        sink::deliver(out, self.out.as_deref(), &text)
    }
}

fn text(path: &Path) -> Result<String, CommandError> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| CommandError::failed(format!("read standard input: {error}")))?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
        .map_err(|error| CommandError::failed(format!("read {}: {error}", path.display())))
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn table(score: &Score, severity: Severity) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<8} {:>11} {:>11} {:>11} {:>9} {:>9} {:>7}  FOUND BY",
        "KIND", "RECALL", "LOUD", "QUIET", "MEDIAN", "P90", "PIECES"
    );
    let mut kinds: Vec<(&String, &KindScore)> = score.kinds.iter().collect();
    kinds.sort_by_key(|(name, _)| (name.len(), (*name).clone()));
    for (name, kind) in kinds {
        row(&mut text, name, kind);
    }
    row(&mut text, "covered", &score.covered);
    if score.others.all > 0 {
        let _ = writeln!(text, "{:<8} {:>11}", "others", of(score.others));
    }
    let days = score.false_alarms;
    let _ = writeln!(
        text,
        "\nFalse incidents a day, {severity} and above, over {} days: mean {:.2}, p95 {:.0}, worst {}; \
         false criticals a week: {:.2}",
        days.days, days.mean, days.p95, days.worst, score.false_criticals_a_week
    );
    counts(&mut text, "put down to", &score.false_by_change);
    counts(&mut text, "raised by", &score.false_by_detector);
    let _ = writeln!(
        text,
        "\n{:<8} {:>11} {:>11}",
        "BUDGET", "PRECISION", "RECALL"
    );
    for budget in &score.budgets {
        let (precision, recall) = (of(budget.precision), of(budget.recall));
        let _ = writeln!(text, "{:<8} {precision:>11} {recall:>11}", budget.budget);
    }
    let _ = writeln!(text, "\n{:<8} {:>11}", "SEVERITY", "TRUE");
    for (severity, share) in &score.calibration.severities {
        let _ = writeln!(text, "{:<8} {:>11}", severity.name(), of(*share));
    }
    let _ = writeln!(text, "\n{:<8} {:>11}", "P", "TRUE");
    for (decade, share) in &score.calibration.decades {
        let _ = writeln!(text, "{:<8} {:>11}", format!("1e{decade}"), of(*share));
    }
    if !score.missed.is_empty() {
        text.push_str("\nMissed:\n");
    }
    for (id, kind, intensity, who) in &score.missed {
        let _ = writeln!(text, "  {id:<6} {kind:<4} intensity {intensity:.2}  {who}");
    }
    text
}

fn row(text: &mut String, name: &str, kind: &KindScore) {
    let time = |of: fn(crate::synth::score::Spread) -> f64| {
        kind.time
            .map_or_else(|| "-".to_owned(), |time| duration(of(time)))
    };
    let by = kind.detectors.iter();
    let by: Vec<String> = by.map(|(name, count)| format!("{name} {count}")).collect();
    let line = format!(
        "{name:<8} {:>11} {:>11} {:>11} {:>9} {:>9} {:>7.1}  {}",
        of(kind.all),
        of(kind.upper),
        of(kind.lower),
        time(|time| time.median),
        time(|time| time.p90),
        kind.pieces,
        by.join(", ")
    );
    let _ = writeln!(text, "{}", line.trim_end());
}

fn counts(text: &mut String, what: &str, counts: &std::collections::BTreeMap<String, u64>) {
    if counts.is_empty() {
        return;
    }
    let mut sorted: Vec<(&String, &u64)> = counts.iter().collect();
    sorted.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
    let shown: Vec<String> = sorted
        .iter()
        .map(|(name, count)| format!("{name} {}", thousands(**count)))
        .collect();
    let _ = writeln!(text, "  {what}: {}", shown.join(", "));
}

/// `9/12 75%`, or a dash for none.
fn of(share: Share) -> String {
    match share.share() {
        Some(part) => format!("{}/{} {:.0}%", share.hit, share.all, part * 100.0),
        None => "-".to_owned(),
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        _ if seconds < 120.0 => format!("{seconds:.0} s"),
        _ if seconds < 7_200.0 => format!("{:.0} min", seconds / 60.0),
        _ if seconds < 172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}
