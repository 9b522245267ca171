//! Reading recordings for a trace: once for the target's own connections, and once more for
//! each hop.
//!
//! Owns the passes, which flows each of them takes, and what an archive need not read for
//! it. What is made of connections is `review::trace`'s.

use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::cli::error::CommandError;
use crate::cli::fold::{self, Fold};
use crate::cli::passing::{self, Judging, Reads};
use crate::cli::progress;
use crate::cli::signal::Interrupt;
use crate::connection::{Connection, Exchange, Peers};
use crate::engine::{BatchJudge, Beside, JudgedBatch, Observer, Policies};
use crate::filter::Filters;
use crate::flow::{FlowBatch, NO_TIME, RowRef, Wanted};
use crate::review::report::Seen;
use crate::review::trace::{Addresses, Frontier, Further, Gatherer, Matcher, Near, Target, Trace};
use crate::source::archive::Archive;
use crate::source::file::Input;

/// What is traced, and in what.
#[derive(Clone)]
pub(in crate::cli) struct Tracing {
    pub(in crate::cli) target: Target,
    pub(in crate::cli) inputs: Vec<Input>,
    pub(in crate::cli) filters: Filters,
    /// First and last time, in nanoseconds since 1970 UTC.
    pub(in crate::cli) since: Option<i64>,
    pub(in crate::cli) until: Option<i64>,
    /// When the incident began.
    pub(in crate::cli) incident: Option<i64>,
    /// Its own connections are the first hop.
    pub(in crate::cli) hops: usize,
    pub(in crate::cli) policies: Option<Arc<Policies>>,
    /// Every column is read, for whoever writes the target's flows down.
    pub(in crate::cli) whole: bool,
    pub(in crate::cli) quiet: bool,
}

/// Traces, and lets `beside` look at the target's own flows too.
///
/// # Errors
/// [`CommandError`] for what cannot be read, or when it was interrupted.
pub(in crate::cli) fn trace<O: Observer>(
    plan: &Tracing,
    beside: impl Fn() -> Result<O, CommandError>,
    err: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<(Trace, O), CommandError> {
    if plan.hops > 1 && plan.inputs.iter().any(Input::is_stream) {
        return Err(CommandError::failed(
            "standard input and pipes are read once: give --hops 1, or files",
        ));
    }
    let addresses = addresses(&plan.target, &plan.inputs, err, interrupt)?;
    let narrow = plan.target.wanted();
    let (mut trace, mut other) =
        plan.own(narrow.clone(), addresses.clone(), beside()?, interrupt)?;
    if trace.is_empty() && narrow.is_some() && plan.has_archives() {
        // An archive of flows that do not say namespaces.
        (trace, other) = plan.own(None, addresses, beside()?, interrupt)?;
    }
    let mut frontier = Frontier::of(&trace);
    for _ in 1..plan.hops {
        if frontier.is_empty() {
            break;
        }
        let (hop, next) = plan.further(Arc::new(frontier), interrupt)?;
        trace.hops.push(hop);
        frontier = next;
    }
    Ok((trace, other))
}

/// The addresses of a target that is a name; none for others.
///
/// # Errors
/// [`CommandError`] for what cannot be read, or can be read only once.
pub(in crate::cli) fn addresses(
    target: &Target,
    inputs: &[Input],
    err: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<Vec<IpAddr>, CommandError> {
    let Target::Name(name) = target else {
        return Ok(Vec::new());
    };
    if inputs.iter().any(Input::is_stream) {
        return Err(CommandError::failed(
            "a name is looked for before its connections: give files, not standard input",
        ));
    }
    let name = name.clone();
    let make = move || Named {
        name: name.clone(),
        found: Addresses::default(),
    };
    let named = fold::fold(inputs, make, true, err, interrupt)?;
    Ok(named.found.sorted())
}

impl Tracing {
    fn has_archives(&self) -> bool {
        let is_archive = |input: &Input| matches!(input, Input::Archive(_));
        self.inputs.iter().any(is_archive)
    }

    fn reads(&self, narrow: Option<Wanted>) -> Reads {
        Reads {
            inputs: self.inputs.clone(),
            filters: self.filters.clone(),
            since: self.since,
            until: self.until,
            judged: self.policies.is_some(),
            narrow,
            ..Reads::default()
        }
    }

    fn own<O: Observer>(
        &self,
        narrow: Option<Wanted>,
        addresses: Vec<IpAddr>,
        beside: O,
        interrupt: &Interrupt,
    ) -> Result<(Trace, O), CommandError> {
        let reads = Reads {
            whole: self.whole,
            ..self.reads(narrow)
        };
        let span = Arc::new(Span::default());
        let gatherer = Gatherer::new(self.target.clone(), addresses.clone(), self.incident);
        let (policies, seen) = (self.policies.clone(), span.clone());
        let matcher = Matcher::new(self.target.clone(), addresses);
        let bar = progress::bar(&self.inputs, !self.quiet);
        let (reading, pass, Beside(gatherer, other)) = passing::read(
            &reads,
            move || Choosing {
                choice: Choice::Own(matcher.clone()),
                judge: policies.clone().map(BatchJudge::new),
                span: seen.clone(),
            },
            Beside(gatherer, beside),
            &bar,
            interrupt,
        );
        bar.finish_and_clear();
        passing::whole(&reading)?;
        let window = self.window(&span);
        let policies = self.policies.as_deref();
        Ok((
            gatherer.finish(reading, window, pass.peers(), policies),
            other,
        ))
    }

    fn further(
        &self,
        frontier: Arc<Frontier>,
        interrupt: &Interrupt,
    ) -> Result<(crate::review::trace::Hop, Frontier), CommandError> {
        let reads = self.reads(Some(frontier.wanted()));
        let (policies, near) = (self.policies.clone(), Near::new(frontier.clone()));
        let span = Arc::new(Span::default());
        let bar = progress::bar(&self.inputs, !self.quiet);
        let (reading, pass, further) = passing::read(
            &reads,
            move || Choosing {
                choice: Choice::Near(near.clone()),
                judge: policies.clone().map(BatchJudge::new),
                span: span.clone(),
            },
            Further::new(frontier, self.incident),
            &bar,
            interrupt,
        );
        bar.finish_and_clear();
        passing::whole(&reading)?;
        Ok(further.finish(pass.peers(), self.policies.as_deref()))
    }

    /// From when to when the recordings go: of an archive by its manifest, as not all of its
    /// flows were read.
    fn window(&self, span: &Span) -> Seen {
        let mut window = span.seen();
        for input in &self.inputs {
            let Input::Archive(folder) = input else {
                continue;
            };
            let Ok(archive) = Archive::open(folder) else {
                continue;
            };
            let spans = archive.manifest().files.iter().filter_map(|file| file.span);
            for (first, last) in spans.filter(|(_, last)| *last > 0) {
                window.first = window.first.min(first.max(0));
                window.last = window.last.max(last);
            }
        }
        if window.span().is_some() {
            window.first = window.first.max(self.since.unwrap_or(i64::MIN));
            window.last = window.last.min(self.until.unwrap_or(i64::MAX));
        }
        window
    }
}

/// First and last time of what threads see.
struct Span {
    first: AtomicI64,
    last: AtomicI64,
}

impl Default for Span {
    fn default() -> Self {
        Self {
            first: AtomicI64::new(i64::MAX),
            last: AtomicI64::new(i64::MIN),
        }
    }
}

impl Span {
    fn batch(&self, batch: &FlowBatch) {
        let times = || {
            batch
                .times()
                .iter()
                .copied()
                .filter(|time| *time != NO_TIME)
        };
        if let (Some(first), Some(last)) = (times().min(), times().max()) {
            self.first.fetch_min(first, Ordering::Relaxed);
            self.last.fetch_max(last, Ordering::Relaxed);
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            first: self.first.load(Ordering::Relaxed),
            last: self.last.load(Ordering::Relaxed),
        }
    }
}

/// Which flows a pass takes.
enum Choice {
    Own(Matcher),
    Near(Near),
}

/// Judges the flows it chooses.
struct Choosing {
    choice: Choice,
    judge: Option<BatchJudge>,
    span: Arc<Span>,
}

impl Judging for Choosing {
    const CHOOSES: bool = true;

    fn takes(&mut self, row: RowRef<'_>) -> bool {
        match &mut self.choice {
            Choice::Own(matcher) => matcher.matches(row),
            Choice::Near(near) => near.matches(row),
        }
    }

    fn begin(&mut self, piece: u64, input: usize, batches: &[FlowBatch]) {
        for batch in batches {
            self.span.batch(batch);
        }
        Judging::begin(&mut self.judge, piece, input, batches);
    }

    fn judge(&mut self, batch: FlowBatch, kept: Vec<bool>) -> JudgedBatch {
        Judging::judge(&mut self.judge, batch, kept)
    }
}

/// An observer that looks at nothing.
pub(in crate::cli) struct Nobody;

impl Observer for Nobody {
    fn connection(&mut self, _: &Connection, _: &Peers) {}
    fn exchange(&mut self, _: &Exchange, _: &Peers) {}
}

/// Looks for the addresses of a name.
struct Named {
    name: Arc<str>,
    found: Addresses,
}

impl Fold for Named {
    fn batch(&mut self, batch: &FlowBatch) {
        for row in batch.rows() {
            self.found.row(row, &self.name);
        }
    }

    fn merge(&mut self, other: Self) {
        self.found.merge(other.found);
    }
}
