//! `flowwatch isolate`: a quarantine for somebody, proven before anybody applies it.
//!
//! Owns the arguments, what is read, and when the command fails. What a quarantine is made of
//! and what it does is `respond::quarantine`'s, what would have prevented it `improve`'s, what is beside it in the folder `bundle`'s,
//! the pages are `render::isolate`'s and `render::bundle`'s, the folder is `folder`'s, its
//! sums `sums`', the recorded flows `evidence`'s. Nothing is ever applied.

mod bundle;
mod evidence;
mod folder;
mod improve;
mod make;
mod sums;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};

use super::error::{CommandError, UsageError};
use super::flow_filter::FlowFilterArgs;
use super::fold::{self, Fold};
use super::format::Color;
use super::passing::{self, Reads};
use super::policy_args::PolicyArgs;
use super::policy_source::say_remarks;
use super::signal::Interrupt;
use super::trace::{self, Tracing};
use super::{incident, progress, sink, time_arg};
use crate::engine::{BatchJudge, Beside, Policies};
use crate::filter::parse_go_duration;
use crate::flow::{FlowBatch, HOUR};
use crate::render::isolate as forms;
use crate::respond::layout::Page;
use crate::respond::quarantine::{Pattern, PatternError, incident_id};
use crate::respond::record::EvidenceRef;
use crate::respond::{Known, Target, Traffic, Watched};
use crate::review::assert::Holds;
use crate::review::trace::Trace;
use crate::source::archive::{Projection, Query};
use crate::source::file::Input;
use evidence::Evidence;
use folder::Folder;
use improve::{Before, improve};
use make::{deny_all, isolate, missing, policy};
pub(super) use sums::differing;

/// Columns of an archive that tell who somebody is.
const WHO: [&str; 17] = [
    "traffic_direction",
    "source_namespace",
    "source_pod",
    "source_workload",
    "source_workloads",
    "source_identity",
    "source_cluster",
    "source_labels",
    "source_endpoint_id",
    "destination_namespace",
    "destination_pod",
    "destination_workload",
    "destination_workloads",
    "destination_identity",
    "destination_cluster",
    "destination_labels",
    "destination_endpoint_id",
];

/// Arguments of `isolate`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct IsolateArgs {
    /// Whom to cut off: a workload or pod (shop/checkout), a namespace (shop/*),
    /// identity:NUMBER, node:NAME, an address, a prefix, a DNS name.
    /// Without it the subject of the incident
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// Recordings that show who there is and who talks to it: files, directories, archives
    #[arg(long, value_name = "PATH", num_args = 1.., value_hint = clap::ValueHint::AnyPath)]
    flows: Vec<PathBuf>,
    /// More documents: pods, namespaces, Services, nodes, the cilium-config ConfigMap
    #[arg(long, value_name = "PATH", num_args = 1.., value_hint = clap::ValueHint::AnyPath)]
    inventory: Vec<PathBuf>,
    /// How, instead of the cheapest that stops it: cut-destination, label-quarantine,
    /// ring-fence, namespace-lockdown, node, or kubernetes-deny-all to see what that leaves
    #[arg(long, value_name = "PATTERN")]
    pattern: Option<String>,
    /// The one destination to cut, instead of everything: an address, a prefix, a name, a
    /// workload, a namespace
    #[arg(long, value_name = "DESTINATION")]
    cut: Option<String>,
    /// Who stays connected, for ring-fence and namespace-lockdown: a workload, a pod, a
    /// namespace
    #[arg(long, value_name = "TARGET")]
    keep: Vec<String>,
    /// The incident, the value of the label [default: that of --findings, else fw- and the time]
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
    /// Findings file of the incident: --incident is enough of the beginning of its id, the
    /// worst one without
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    findings: Option<PathBuf>,
    /// When the incident began, where no file says: 5m ago, 2006-01-02, or an RFC 3339 time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    incident_start: Option<String>,
    /// How far the bundle follows whom it talked to
    #[arg(long, value_name = "N", default_value_t = 2)]
    hops: usize,
    /// When it is to be looked at again; nothing ends by itself
    #[arg(long, value_name = "DURATION", default_value = "4h")]
    ttl: String,
    /// Folder to write the policy and the pages to
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Only flows since a time: 5m ago, 2006-01-02, or an RFC 3339 time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Only flows until a time, as --since
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Format of standard output
    #[arg(short, long, value_name = "FORMAT", default_value = "terminal")]
    output: Form,
    /// Rows shown of each table
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    filters: FlowFilterArgs,
}

const EXAMPLES: &str = "\
Nothing is applied. The policy is computed together with all the others, and everybody who is
known and everybody there could be is asked about: what leaks is named with the rule that lets
it. Exits with 1 unless it is proven that the quarantine holds.

Patterns, the cheapest first:
  cut-destination      one destination and nothing else (for an address, a name, or with --cut)
  label-quarantine     whoever carries a label, both ways, but for probes and a forensics pod
  ring-fence           nobody reaches the target but whom you --keep
  namespace-lockdown   a namespace from everything outside
  node                 the host of a node (needs the host firewall)

Examples:
  Cut off a workload, with who uses it as flows show:
    flowwatch isolate shop/checkout --policies policies/ --flows flows/ --incident INC-1 --out INC-1/
  One pod of it, with what the cluster says of its pods:
    flowwatch isolate shop/checkout-7d5b9c6f48-hx2vp --policies policies/ --inventory pods.yaml --flows flows/ --out INC-1/
  Only what it calls home:
    flowwatch isolate shop/checkout --cut q7x2-sync.edge.example --policies policies/ --flows flows/ --out INC-1/
  Let nobody but one caller reach the database:
    flowwatch isolate payments/database --pattern ring-fence --keep payments/payments --policies policies/ --flows flows/ --out INC-1/";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Terminal,
    #[value(alias = "md")]
    Markdown,
    Json,
    /// The policy alone
    Yaml,
}

/// A resolved `isolate`.
struct Resolved {
    target: Target,
    pattern: Option<Pattern>,
    cut: Option<Target>,
    keep: Vec<Target>,
    /// The value of the label.
    label: Arc<str>,
    incident: incident::Known,
    made: Timestamp,
    expires: Timestamp,
    tracing: Tracing,
    folder: Option<Folder>,
}

/// What was read.
struct Read {
    known: Known,
    watched: Watched,
    traced: Option<Traced>,
}

/// Who talked to the target, and its flows.
struct Traced {
    trace: Trace,
    evidence: Option<EvidenceRef>,
}

impl IsolateArgs {
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
        let mut resolved = self.resolve()?;
        let Some(mut source) = self.policies.source_with(&self.inventory)? else {
            return Err(UsageError::new("give the policies by --policies").into());
        };
        let (loaded, given) = source.load_given()?;
        let loaded = loaded.whole()?;
        if !self.quiet {
            say_remarks(&loaded.remarks, err);
        }
        let policies = Arc::new(loaded.policies);
        resolved.tracing.policies = Some(policies.clone());
        let read = self.read(&resolved, &policies, err, interrupt)?;
        let (plan, proof) = isolate(&resolved, &policies, &read)?;
        let mut options = self.options(&resolved, &read);
        options.deny_all = deny_all(&plan, &resolved, &policies, &read)?;
        if let Some(folder) = &resolved.folder {
            let before = Before {
                given,
                cron_jobs: loaded.cron_jobs,
            };
            let improvement = improve(&before, &resolved, &read, interrupt)?;
            let parts = bundle::Parts {
                args: self,
                resolved: &resolved,
                policies: &policies,
                read: &read,
                plan: &plan,
                proof: &proof,
                improvement: &improvement,
            };
            bundle::write(folder, &parts, &mut options)?;
        }
        let text = match self.output {
            Form::Terminal => forms::terminal(&plan, &proof, &options),
            Form::Markdown => forms::readme(&plan, &proof, &options),
            Form::Json => sink::pretty(&forms::json(&plan, &proof))?,
            Form::Yaml => policy(&plan),
        };
        sink::all(out, text.as_bytes())?;
        if proof.holds() == Holds::Proven {
            Ok(())
        } else {
            if !self.quiet && self.output != Form::Terminal {
                sink::say(err, &format!("{}: not proven", proof.holds().name()));
            }
            Err(CommandError::Found)
        }
    }

    /// What the arguments mean, all conflicts found.
    fn resolve(&self) -> Result<Resolved, CommandError> {
        let target =
            |text: &str| Target::parse(text).map_err(|error| UsageError::new(error.to_string()));
        let now = time_arg::now();
        let made = Timestamp::from_nanosecond(i128::from(now)).unwrap_or_default();
        let made = made.round(jiff::Unit::Second).unwrap_or(made);
        let ttl = parse_go_duration(&self.ttl)
            .filter(|ttl| *ttl > 0)
            .ok_or_else(|| {
                UsageError::new(format!(
                    "--ttl {}: expected a duration such as 4h",
                    self.ttl
                ))
            })?;
        let expires = made
            .checked_add(SignedDuration::from_nanos(ttl))
            .map_err(|_| UsageError::new(format!("--ttl {}: too long", self.ttl)))?;
        let pattern = self.pattern.as_deref().map(str::parse).transpose();
        let pattern = pattern.map_err(|error: PatternError| UsageError::new(error.to_string()))?;
        let incident = incident::read(
            self.findings.as_deref(),
            self.incident.as_deref(),
            self.incident_start.as_deref(),
        )?;
        let id = match (&incident.incident, &self.incident) {
            (Some(incident), _) => incident.id.clone(),
            (None, Some(id)) => id.clone(),
            (None, None) => made.strftime("fw-%Y%m%d-%H%M").to_string(),
        };
        let typed = match &self.target {
            Some(typed) => typed.clone(),
            None => incident.subject()?,
        };
        let (filters, _) = self.filters.compile()?;
        let hops = trace::hops(self.hops)?;
        Ok(Resolved {
            target: target(&typed)?,
            pattern,
            cut: self.cut.as_deref().map(target).transpose()?,
            keep: self
                .keep
                .iter()
                .map(|text| target(text))
                .collect::<Result<_, _>>()?,
            label: incident_id(&id)
                .map_err(|error| UsageError::new(format!("--incident: {error}")))?,
            made,
            expires,
            folder: self.out.as_deref().map(Folder::open).transpose()?,
            tracing: Tracing {
                target: target(&typed)?,
                inputs: fold::open(&self.flows)?,
                filters,
                since: time_arg::bound("since", self.since.as_deref(), now)?,
                until: time_arg::bound("until", self.until.as_deref(), now)?,
                incident: incident.start,
                // Without a bundle nobody asks further.
                hops: if self.out.is_some() { hops } else { 1 },
                policies: None,
                whole: self.out.is_some(),
                quiet: self.quiet,
            },
            incident,
        })
    }

    /// The flows: who there is, the target's connections, and who talked to it.
    fn read(
        &self,
        resolved: &Resolved,
        policies: &Policies,
        err: &mut dyn Write,
        interrupt: &Interrupt,
    ) -> Result<Read, CommandError> {
        let tracing = &resolved.tracing;
        if tracing.inputs.is_empty() {
            return Ok(Read {
                known: Known::of(policies, None),
                watched: Watched::default(),
                traced: None,
            });
        }
        let folder = self
            .out
            .as_deref()
            .map(|out| out.join(Page::Evidence.file()));
        // A destination that is cut may be shared: then everybody's names count.
        let wide = resolved.cut.is_some() || resolved.target.is_outside();
        let beside = || {
            let evidence = folder.as_deref().map(Evidence::create).transpose()?;
            let traffic = Traffic::new(resolved.target.clone());
            Ok(Beside((!wide).then_some(traffic), evidence))
        };
        let (trace, Beside(traffic, evidence)) = trace::trace(tracing, beside, err, interrupt)?;
        let mut watched = match traffic {
            Some(traffic) => traffic.finish(),
            None => self.all(resolved, interrupt)?,
        };
        let seen = std::mem::take(&mut watched.known);
        let mut known = Known::of(policies, seen.cluster());
        known.merge(seen);
        if let Some(others) = Self::others(tracing, &trace, err, interrupt)? {
            known.merge(others);
        }
        let sources = bundle::names(&self.flows);
        let evidence = evidence.map(|evidence| evidence.finish(&trace.reading, sources));
        Ok(Read {
            known,
            watched,
            traced: Some(Traced {
                trace,
                evidence: evidence.transpose()?,
            }),
        })
    }

    /// The target's connections among everybody's.
    fn all(&self, resolved: &Resolved, interrupt: &Interrupt) -> Result<Watched, CommandError> {
        let tracing = &resolved.tracing;
        if tracing.inputs.iter().any(Input::is_stream) {
            return Err(CommandError::failed(
                "a destination is looked for in all flows: give files, not standard input",
            ));
        }
        let reads = Reads {
            inputs: tracing.inputs.clone(),
            filters: tracing.filters.clone(),
            since: tracing.since,
            until: tracing.until,
            ..Reads::default()
        };
        let bar = progress::bar(&reads.inputs, !self.quiet);
        let traffic = Traffic::new(resolved.target.clone());
        let (reading, _, traffic) =
            passing::read(&reads, || None::<BatchJudge>, traffic, &bar, interrupt);
        bar.finish_and_clear();
        passing::whole(&reading)?;
        Ok(traffic.finish())
    }

    /// Who else there is: of archives only what is about the target was read. The last hour
    /// tells the others.
    fn others(
        tracing: &Tracing,
        trace: &Trace,
        err: &mut dyn Write,
        interrupt: &Interrupt,
    ) -> Result<Option<Known>, CommandError> {
        let is_archive = |input: &&Input| matches!(input, Input::Archive(_));
        let archives: Vec<Input> = tracing.inputs.iter().filter(is_archive).cloned().collect();
        let Some((_, last)) = trace.window.span() else {
            return Ok(None);
        };
        if archives.is_empty() || tracing.target.wanted().is_none() {
            return Ok(None);
        }
        let query = Query {
            since: last.saturating_sub(HOUR),
            until: last,
            projection: Projection::only(WHO.iter().copied()),
            ..Query::default()
        };
        let found = fold::fold_some(&archives, query, Known::default, true, err, interrupt)?;
        Ok(Some(found))
    }

    fn options(&self, resolved: &Resolved, read: &Read) -> forms::Options {
        let mut policies = self.policies.paths();
        policies.extend(bundle::names(&self.inventory));
        let trace = read.traced.as_ref().map(|traced| &traced.trace);
        forms::Options {
            color: self.color.wanted(),
            top: self.top,
            flows: bundle::names(&self.flows),
            policies,
            made: resolved.made,
            seen: trace.and_then(|trace| trace.window.span()),
            read: trace.map_or(0, |trace| trace.reading.flows),
            missing: missing(read),
            folder: self.out.as_ref().map(|path| path.display().to_string()),
            ..forms::Options::default()
        }
    }
}

impl Fold for Known {
    fn batch(&mut self, batch: &FlowBatch) {
        Known::batch(self, batch);
    }

    fn merge(&mut self, other: Self) {
        Known::merge(self, other);
    }
}
