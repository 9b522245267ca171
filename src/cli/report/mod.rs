//! `flowwatch report`: what changed, for the weekly and the quarterly review.
//!
//! Owns the arguments, what they mean, and when the command fails. Which periods are meant
//! is `span`'s, reading `read`'s; what is compared is `review::periodic`'s, its forms are
//! `render::report`'s.

mod read;
mod span;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};

use super::error::{CommandError, UsageError};
use super::format::Color;
use super::policy_args::PolicyArgs;
use super::policy_source::{LoadedPolicies, say_remarks};
use super::progress;
use super::signal::Interrupt;
use super::sink;
use crate::cli::time_arg;
use crate::engine::Policies;
use crate::render::report::{Options, Paths, periodic as forms};
use crate::render::thousands;
use crate::review::periodic::Comparison;
use crate::source::archive::{Archive, is_archive};
use crate::source::file::Input;
use span::Span;

/// Days of a quarter that is not one of the calendar: 13 weeks, so that its days of the
/// week are those of the period before.
const QUARTER: i64 = 91;

/// Arguments of `report`.
#[derive(Args)]
pub(super) struct ReportArgs {
    #[command(subcommand)]
    command: ReportCommand,
}

#[derive(Subcommand)]
enum ReportCommand {
    /// What changed in seven days against the seven before: new and vanished edges, new
    /// names outside, drops, drift, what was not seen
    #[command(after_help = WEEKLY)]
    Weekly(WeeklyArgs),
    /// The same of 91 days or a calendar quarter, and with policies: coverage by namespace,
    /// policies never hit, broad rules, all gaps, unknown verdicts
    #[command(after_help = QUARTERLY)]
    Quarterly(QuarterlyArgs),
}

#[derive(Args)]
struct WeeklyArgs {
    /// Week from Monday to Sunday that has this day, such as 2026-06-17
    #[arg(long, value_name = "DATE", conflicts_with = "until")]
    week_of: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Args)]
struct QuarterlyArgs {
    /// Quarter of the calendar, such as 2026Q2, against the quarter before
    #[arg(long, value_name = "QUARTER", conflicts_with = "until")]
    quarter: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// What both take.
#[derive(Args)]
struct CommonArgs {
    /// Folder of the archive
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    archive: PathBuf,
    /// End of the period: a duration before now, a date, a time [default: the last midnight
    /// in UTC of what is recorded]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "terminal")]
    output: Form,
    /// File to write the report to instead of standard output
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Rows shown of each table
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Exit with 1 when there is one of these
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    fail_on: Vec<FailOn>,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    policies: PolicyArgs,
}

const WEEKLY: &str = "\
The period ends at the last midnight in UTC of what the archive holds; at the next one where
that is less than an hour ahead, or where nothing was recorded before.

What the earlier period does not have is called new only if nothing is missing of it;
otherwise it is \"not seen before\", with what is missing.

Examples:
  The last full week against the one before:
    flowwatch report weekly --archive flows/ --policies policies/
  One for the ticket of the review:
    flowwatch report weekly --archive flows/ --week-of 2026-06-17 -o markdown --out review.md
  In a pipeline:
    flowwatch report weekly --archive flows/ --policies policies/ --fail-on new-names,drift -q";

const QUARTERLY: &str = "\
Without --quarter the period has 91 days, so that its weekdays are those of the 91 days before.
It ends as that of `weekly` does.

Examples:
  The last 91 days against those before:
    flowwatch report quarterly --archive flows/ --policies policies/
  A quarter of the calendar, for the wiki:
    flowwatch report quarterly --archive flows/ --policies policies/ --quarter 2026Q2 -o markdown";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Terminal,
    Html,
    #[value(alias = "md")]
    Markdown,
    Json,
}

/// What `--fail-on` looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Edges not seen in the earlier period
    NewEdges,
    /// Names outside not seen in the earlier period
    NewNames,
    /// Edges not seen any more
    Vanished,
    /// New kinds of drops, and drops that grew
    Drops,
    /// Recorded and computed verdicts that disagree
    Drift,
    /// Gaps not seen in the earlier period
    NewGaps,
    /// Something missing of either period
    Missing,
}

/// A resolved `report`.
struct Plan {
    input: Input,
    span: Span,
    policies: Option<Arc<Policies>>,
    /// Whether coverage is asked for.
    covers: bool,
    remarks: Vec<String>,
}

impl ReportArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn run(
        &self,
        out: &mut dyn Write,
        err: &mut dyn Write,
        interrupt: &Interrupt,
    ) -> Result<(), CommandError> {
        let (common, kind) = match &self.command {
            ReportCommand::Weekly(args) => (&args.common, forms::Kind::Weekly),
            ReportCommand::Quarterly(args) => (&args.common, forms::Kind::Quarterly),
        };
        let plan = self.plan(common)?;
        if !common.quiet {
            say_remarks(&plan.remarks, err);
        }
        let bar = progress::bar(std::slice::from_ref(&plan.input), !common.quiet);
        let read = read::read(&plan, &bar, interrupt);
        bar.finish_and_clear();
        let read = read?;
        let gathered = &read.gathered;
        let comparison = Comparison::of(&gathered.earlier, &gathered.later);
        let review = forms::Review {
            kind,
            comparison: &comparison,
            report: &gathered.report,
            policies: gathered.policies.as_ref(),
            coverage: read.coverage.as_ref(),
        };
        let text = common.text(&review)?;
        sink::deliver(out, common.out.as_deref(), &text)?;
        sink::complain(err, &read.failed)?;
        common.check(&comparison, err)
    }

    /// What the arguments mean, all conflicts found.
    fn plan(&self, common: &CommonArgs) -> Result<Plan, CommandError> {
        let typed = match &self.command {
            ReportCommand::Weekly(args) => args.week_of.as_deref().map(span::week_of),
            ReportCommand::Quarterly(args) => args.quarter.as_deref().map(span::quarter),
        };
        let typed = typed.transpose()?;
        let days = match &self.command {
            ReportCommand::Weekly(_) => 7,
            ReportCommand::Quarterly(_) => QUARTER,
        };
        let until = time_arg::bound("until", common.until.as_deref(), time_arg::now())?;
        let loaded = match common.policies.source()? {
            Some(mut source) => Some(source.load()?),
            None => None,
        };
        let judged = [FailOn::Drift, FailOn::NewGaps];
        if loaded.is_none() && common.fail_on.iter().any(|kind| judged.contains(kind)) {
            return Err(UsageError::new("--fail-on drift and new-gaps go with --policies").into());
        }
        let (policies, remarks) = match loaded.map(LoadedPolicies::whole).transpose()? {
            Some(loaded) => (Some(Arc::new(loaded.policies)), loaded.remarks),
            None => (None, Vec::new()),
        };
        let (first, last) = recorded(&common.archive)?;
        let span = typed.unwrap_or_else(|| {
            let until = until.unwrap_or_else(|| span::rounded_end(first, last));
            span::days(days, until)
        });
        if last < span.earlier.0 || first >= span.later.1 {
            return Err(CommandError::failed(format!(
                "{} has flows from {} to {}, none from {} to {}",
                common.archive.display(),
                time(first),
                time(last),
                time(span.earlier.0),
                time(span.later.1),
            )));
        }
        Ok(Plan {
            input: Input::Archive(common.archive.clone()),
            span,
            covers: policies.is_some() && matches!(self.command, ReportCommand::Quarterly(_)),
            policies,
            remarks,
        })
    }
}

/// When the first and the last flow of an archive were.
fn recorded(folder: &Path) -> Result<(i64, i64), CommandError> {
    if !is_archive(folder) {
        let shown = folder.display();
        let hint = if folder.exists() {
            format!("`flowwatch record --archive DIR {shown}` makes one of recordings")
        } else {
            "there is nothing of that name".to_owned()
        };
        return Err(CommandError::failed(format!(
            "{shown} is no archive: {hint}"
        )));
    }
    let archive = Archive::open(folder).map_err(CommandError::failed)?;
    // What has no time lies in 1970.
    let spans = archive.manifest().files.iter().filter_map(|file| file.span);
    let spans: Vec<(i64, i64)> = spans.filter(|span| span.1 > 0).collect();
    let first = spans.iter().map(|span| span.0.max(0)).min();
    let last = spans.iter().map(|span| span.1).max();
    first
        .zip(last)
        .ok_or_else(|| CommandError::failed(format!("{} has no flows", folder.display())))
}

fn time(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos)).map_or_else(
        |_| "?".to_owned(),
        |time| time.strftime("%Y-%m-%dT%H:%MZ").to_string(),
    )
}

impl CommonArgs {
    fn text(&self, review: &forms::Review<'_>) -> Result<String, CommandError> {
        let options = Options {
            width: super::analyze::width(),
            color: self.out.is_none() && self.color.wanted(),
            top: self.top,
            paths: Paths {
                policies: self.policies.paths(),
                flows: vec![self.archive.display().to_string()],
            },
        };
        Ok(match self.output {
            Form::Terminal => forms::terminal(review, &options),
            Form::Html => forms::html(review, &options),
            Form::Markdown => forms::markdown(review, &options),
            Form::Json => sink::pretty(&forms::json(review))?,
        })
    }

    /// Whether something is there that the person asked to fail on.
    fn check(&self, comparison: &Comparison, err: &mut dyn Write) -> Result<(), CommandError> {
        let mut found = Vec::new();
        let absent = [
            FailOn::NewEdges,
            FailOn::NewNames,
            FailOn::Vanished,
            FailOn::NewGaps,
        ];
        let asks = self.fail_on.iter().any(|kind| absent.contains(kind));
        if asks && !comparison.is_comparable() {
            sink::say(err, "undecided: one of the periods was not recorded");
            return Err(CommandError::Found);
        }
        for kind in &self.fail_on {
            let count = match kind {
                FailOn::NewEdges => comparison.edges.len(),
                FailOn::NewNames => comparison.names.len(),
                FailOn::Vanished => comparison.gone.len(),
                FailOn::Drops => comparison.drops.len(),
                FailOn::Drift => comparison.drifts.len(),
                FailOn::NewGaps => comparison.new_gaps().count(),
                FailOn::Missing => {
                    let periods = [&comparison.earlier, &comparison.later];
                    periods.iter().filter(|period| !period.is_whole()).count()
                }
            };
            if count > 0 {
                let name = kind.to_possible_value();
                let name = name.as_ref().map_or("", |name| name.get_name());
                found.push(format!("{name} ({})", thousands(count as u64)));
            }
        }
        sink::check(&found, err)
    }
}
