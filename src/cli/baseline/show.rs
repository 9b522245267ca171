//! `flowwatch baseline show`: what is known of workloads.
//!
//! Owns the arguments and the two forms.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::super::error::CommandError;
use super::super::sink;
use super::{Form, named};
use crate::baseline::{Baseline, Stage, Status, peer_text, port_text};
use crate::connection::{Peer, PeerId};
use crate::detect::words;

/// Arguments of `baseline show`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct ShowArgs {
    /// Baseline file [default: flowwatch.baseline.yaml]
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Only one workload, with all that is known of it: NAMESPACE/NAME
    #[arg(short, long, value_name = "WORKLOAD")]
    workload: Option<String>,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "terminal")]
    output: Form,
}

const EXAMPLES: &str = "\
Examples:
  flowwatch baseline show
  flowwatch baseline show --workload shop/checkout
  flowwatch baseline show prod.baseline.yaml -o json";

impl ShowArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CommandError> {
        let baseline = super::read(&named(self.file.as_ref()), err)?;
        let mut ids: Vec<(&Peer, PeerId)> = baseline
            .model
            .workloads()
            .map(|(id, _)| (baseline.names.peers().get(id), id))
            .collect();
        if let Some(wanted) = &self.workload {
            ids.retain(|(peer, _)| peer_text(peer, "").split('@').next() == Some(wanted));
            if ids.is_empty() {
                let message = format!("the baseline knows no workload {wanted}");
                return Err(CommandError::failed(message));
            }
        }
        ids.sort();
        let text = match self.output {
            Form::Json => {
                let workloads: Vec<Value> =
                    ids.iter().map(|(_, id)| value(&baseline, *id)).collect();
                sink::pretty(&json!({"version": 1, "workloads": workloads}))?
            }
            Form::Terminal if self.workload.is_some() => {
                let texts: Vec<String> = ids.iter().map(|(_, id)| one(&baseline, *id)).collect();
                texts.join("\n")
            }
            Form::Terminal => table(&baseline, &ids),
        };
        sink::all(out, text.as_bytes())
    }
}

fn table(baseline: &Baseline, ids: &[(&Peer, PeerId)]) -> String {
    let mut text = String::new();
    let names: Vec<String> = ids.iter().map(|(peer, _)| peer_text(peer, "")).collect();
    let width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .max(8);
    let _ = writeln!(
        text,
        "{:width$}  {:8}  {:>9}  {:>5}  {:>7}  missing",
        "workload", "stage", "observed", "edges", "unseen"
    );
    for ((_, id), name) in ids.iter().zip(&names) {
        let readiness = baseline.model.readiness(*id);
        let missing = missing(baseline, *id);
        let _ = writeln!(
            text,
            "{name:width$}  {:8}  {:>9}  {:>5}  {:>6.1}%  {}",
            readiness.stage().name(),
            words::span(readiness.observed),
            readiness.edges,
            readiness.unseen() * 100.0,
            if missing.is_empty() {
                "-".to_owned()
            } else {
                missing.join("; ")
            }
        );
    }
    text
}

/// What is missing, with jobs that were inferred.
fn missing(baseline: &Baseline, id: PeerId) -> Vec<String> {
    let readiness = baseline.model.readiness(id);
    let mut missing = readiness.missing();
    let weekly = baseline.model.weekly(id);
    if weekly > 0 && readiness.stage() < Stage::Active {
        missing.push(words::count(
            weekly as u64,
            "weekly call inferred",
            "weekly calls inferred",
        ));
    }
    missing
}

fn one(baseline: &Baseline, id: PeerId) -> String {
    let peers = baseline.names.peers();
    let readiness = baseline.model.readiness(id);
    let mut text = format!(
        "{}\n  {}, observed {}, {}\n",
        words::who(peers, id),
        readiness.stage(),
        words::span(readiness.observed),
        words::count(readiness.edges, "edge", "edges"),
    );
    for line in missing(baseline, id) {
        let _ = writeln!(text, "  missing: {line}");
    }
    let mut edges: Vec<_> = baseline.model.edges_of(id).collect();
    edges.sort_by_key(|(edge, _)| (peers.get(edge.server).to_string(), edge.port));
    for (edge, profile) in edges {
        let status = match profile.status {
            Status::Learned => String::new(),
            status => format!(", {}", status.name()),
        };
        let _ = writeln!(
            text,
            "  calls {}: {} in {}, {} since {}, {} of {} workloads call it{status}",
            words::place(peers, edge.server, Some((edge.port, edge.protocol))),
            words::count(profile.count, "connection", "connections"),
            words::count(u64::from(profile.hours), "hour", "hours"),
            words::count(u64::from(profile.days), "day", "days"),
            words::at(profile.first),
            baseline.model.users(edge.server),
            baseline.model.workload_count(),
        );
    }
    for one in baseline.model.listeners(id) {
        let _ = writeln!(
            text,
            "  answers on {}, {} since {}",
            port_text((one.port, one.protocol)),
            words::count(u64::from(one.days), "day", "days"),
            words::at(one.first)
        );
    }
    if let Some(workload) = baseline.model.workload(id) {
        let rates = workload.rates.all();
        let _ = writeln!(
            text,
            "  opens {:.2} connections a minute (of {:.0} minutes watched; dispersion {:.1})",
            rates.mean(),
            rates.n,
            rates.dispersion()
        );
        let mut names: Vec<&str> = workload.names.keys().map(|name| &**name).collect();
        names.sort_unstable();
        if !names.is_empty() {
            let _ = writeln!(text, "  asks DNS for {}", names.join(", "));
        }
    }
    text
}

fn value(baseline: &Baseline, id: PeerId) -> Value {
    let peers = baseline.names.peers();
    let readiness = baseline.model.readiness(id);
    let edges: Vec<Value> = baseline
        .model
        .edges_of(id)
        .map(|(edge, profile)| {
            json!({
                "to": peer_text(peers.get(edge.server), ""),
                "port": edge.port,
                "protocol": edge.protocol.name(),
                "first": words::rfc3339(profile.first),
                "last": words::rfc3339(profile.last),
                "days": profile.days,
                "hours": profile.hours,
                "connections": profile.count,
                "status": profile.status.name(),
                "users": baseline.model.users(edge.server),
            })
        })
        .collect();
    let listens: Vec<String> = baseline
        .model
        .listeners(id)
        .iter()
        .map(|one| port_text((one.port, one.protocol)))
        .collect();
    json!({
        "workload": peer_text(peers.get(id), ""),
        "stage": readiness.stage().name(),
        "observed_seconds": readiness.observed / 1_000_000_000,
        "unseen": readiness.unseen(),
        "missing": missing(baseline, id),
        "edges": edges,
        "listens": listens,
    })
}
