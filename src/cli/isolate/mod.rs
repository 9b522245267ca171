//! `flowwatch isolate`: a quarantine for somebody, proven before anybody applies it.
//!
//! Owns the arguments, what is read, and when the command fails. What a quarantine is made of
//! and what it does is `respond::quarantine`'s, the pages are `render::isolate`'s, the folder
//! is `folder`'s. Nothing is ever applied.

mod folder;

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};

use super::error::{CommandError, UsageError};
use super::flow_filter::FlowFilterArgs;
use super::format::Color;
use super::passing::{self, Reads};
use super::policy_args::PolicyArgs;
use super::policy_source::say_remarks;
use super::signal::Interrupt;
use super::{fold, progress, sink, time_arg};
use crate::connection::Peer;
use crate::engine::{BatchJudge, Policies};
use crate::filter::parse_go_duration;
use crate::render::isolate as forms;
use crate::respond::layout::Page;
use crate::respond::quarantine::{self, Order, Pattern, Plan, Proof, Scene, incident_id};
use crate::respond::{Known, Target, TargetEdge, Traffic};
use crate::review::assert::Holds;
use crate::review::report::Reading;
use folder::Folder;

/// Arguments of `isolate`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct IsolateArgs {
    /// Whom to cut off: a workload or pod (shop/checkout), a namespace (shop/*),
    /// identity:NUMBER, node:NAME, an address, a prefix, a DNS name
    #[arg(value_name = "TARGET")]
    target: String,
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
    /// The incident, the value of the label [default: fw- and the time]
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
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
    incident: Arc<str>,
    made: Timestamp,
    expires: Timestamp,
    reads: Reads,
    folder: Option<Folder>,
}

/// What was read.
struct Read {
    known: Known,
    edges: Vec<TargetEdge>,
    reading: Option<Reading>,
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
        let resolved = self.resolve()?;
        let Some(mut source) = self.policies.source_with(&self.inventory)? else {
            return Err(UsageError::new("give the policies by --policies").into());
        };
        let loaded = source.load()?.whole()?;
        if !self.quiet {
            say_remarks(&loaded.remarks, err);
        }
        let policies = loaded.policies;
        let read = self.read(&resolved, &policies, interrupt)?;
        if let Some(reading) = &read.reading {
            sink::complain(err, &reading.failed)?;
        }
        let (plan, proof) = isolate(&resolved, &policies, &read)?;
        let options = self.options(&resolved, &read);
        if let Some(folder) = &resolved.folder {
            let data = sink::pretty(&forms::json(&plan, &proof))?;
            folder.write(&[
                (Page::Readme, forms::readme(&plan, &proof, &options)),
                (Page::Quarantine, policy(&plan)),
                (Page::Proof, forms::proof(&plan, &proof, &options)),
                (Page::ProofData, data),
                (Page::Rollback, plan.rollback.clone()),
            ])?;
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
        let pattern = pattern
            .map_err(|error: quarantine::PatternError| UsageError::new(error.to_string()))?;
        let id = match &self.incident {
            Some(id) => id.clone(),
            None => made.strftime("fw-%Y%m%d-%H%M").to_string(),
        };
        let (filters, _) = self.filters.compile()?;
        Ok(Resolved {
            target: target(&self.target)?,
            pattern,
            cut: self.cut.as_deref().map(target).transpose()?,
            keep: self
                .keep
                .iter()
                .map(|text| target(text))
                .collect::<Result<_, _>>()?,
            incident: incident_id(&id)
                .map_err(|error| UsageError::new(format!("--incident: {error}")))?,
            made,
            expires,
            folder: self.out.as_deref().map(Folder::open).transpose()?,
            reads: Reads {
                inputs: fold::open(&self.flows)?,
                filters,
                since: time_arg::bound("since", self.since.as_deref(), now)?,
                until: time_arg::bound("until", self.until.as_deref(), now)?,
                ..Reads::default()
            },
        })
    }

    /// One pass over the flows: who there is, and the target's connections.
    fn read(
        &self,
        resolved: &Resolved,
        policies: &Policies,
        interrupt: &Interrupt,
    ) -> Result<Read, CommandError> {
        if resolved.reads.inputs.is_empty() {
            return Ok(Read {
                known: Known::of(policies, None),
                edges: Vec::new(),
                reading: None,
            });
        }
        let bar = progress::bar(&resolved.reads.inputs, !self.quiet);
        let traffic = Traffic::new(resolved.target.clone(), Known::default());
        let (reading, _, traffic) = passing::read(
            &resolved.reads,
            || None::<BatchJudge>,
            traffic,
            &bar,
            interrupt,
        );
        bar.finish_and_clear();
        if reading.interrupted {
            return Err(CommandError::failed(
                "interrupted before the end of the recordings",
            ));
        }
        let (seen, edges) = traffic.finish();
        let mut known = Known::of(policies, seen.cluster());
        known.merge(seen);
        Ok(Read {
            known,
            edges,
            reading: Some(reading),
        })
    }

    fn options(&self, resolved: &Resolved, read: &Read) -> forms::Options {
        let shown = |paths: &[PathBuf]| {
            paths
                .iter()
                .map(|path| path.display().to_string())
                .collect()
        };
        let mut policies = self.policies.paths();
        policies.extend(self.inventory.iter().map(|path| path.display().to_string()));
        forms::Options {
            color: self.color.wanted(),
            top: self.top,
            flows: shown(&self.flows),
            policies,
            made: resolved.made,
            seen: read
                .reading
                .as_ref()
                .and_then(|reading| reading.seen.span()),
            read: read.reading.as_ref().map_or(0, |reading| reading.flows),
            missing: Vec::new(),
            pages: vec![
                Page::Readme,
                Page::Quarantine,
                Page::Proof,
                Page::ProofData,
                Page::Rollback,
            ],
            folder: self.out.as_ref().map(|path| path.display().to_string()),
        }
    }
}

/// The plan and its proof.
fn isolate(
    resolved: &Resolved,
    policies: &Policies,
    read: &Read,
) -> Result<(Plan, Proof), CommandError> {
    let settle = |target: &Target| {
        read.known
            .settle(target.clone())
            .map_err(CommandError::Failed)
    };
    let order = Order {
        target: settle(&resolved.target)?,
        pattern: resolved.pattern,
        incident: resolved.incident.clone(),
        expires: resolved.expires,
        cut: resolved.cut.as_ref().map(settle).transpose()?,
        keep: resolved.keep.iter().map(settle).collect::<Result<_, _>>()?,
        addresses: addresses(resolved, &read.edges),
        files: policies
            .any_set()
            .objects
            .iter()
            .map(|object| {
                let id = &object.id;
                (id.kind, id.namespace.clone(), object.file.clone())
            })
            .collect(),
    };
    let plan = quarantine::plan(&order, &read.known, read.known.cluster())
        .map_err(CommandError::failed)?;
    let scene = Scene {
        policies,
        known: &read.known,
        edges: &read.edges,
        flows: read.reading.is_some(),
    };
    let proof = quarantine::prove(&plan, &scene);
    Ok((plan, proof))
}

/// Addresses that flows show of the name that is cut.
fn addresses(resolved: &Resolved, edges: &[TargetEdge]) -> Vec<IpAddr> {
    let Target::Name(name) = resolved.cut.as_ref().unwrap_or(&resolved.target) else {
        return Vec::new();
    };
    let is_it = |peer: &Peer| matches!(peer, Peer::Name(known) if known == name);
    let mut addresses: Vec<IpAddr> = Vec::new();
    for edge in edges {
        if is_it(&edge.peer) {
            addresses.extend(&edge.addresses);
        }
        if is_it(&edge.own) {
            addresses.extend(&edge.own_addresses);
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// All policies in one file.
fn policy(plan: &Plan) -> String {
    let texts: Vec<&str> = plan
        .manifests
        .iter()
        .map(|manifest| manifest.text.as_str())
        .collect();
    texts.join("---\n")
}
