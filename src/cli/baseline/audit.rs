//! `flowwatch baseline audit`: what was learned and should be looked at.
//!
//! Owns the arguments and the forms. It is a check: exit 1 where something is listed that
//! nobody approved.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::super::error::CommandError;
use super::super::sink;
use super::{Form, named};
use crate::baseline::{Baseline, Concern, Remark, audit, peer_text};
use crate::detect::words;

/// Arguments of `baseline audit`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct AuditArgs {
    /// Baseline file [default: flowwatch.baseline.yaml]
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Only these: metadata, api-server, admin-port, regular-to-rare, bare-address, held-back,
    /// cross-namespace
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = concern)]
    only: Vec<Concern>,
    /// Rows shown of each kind
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "terminal")]
    output: Form,
}

const EXAMPLES: &str = "\
Examples:
  flowwatch baseline audit
  flowwatch baseline audit --only metadata,regular-to-rare
  What is fine is approved, and not listed again:
    flowwatch baseline approve ops/agent --to kube-apiserver:443/TCP --reason 'watches pods'";

impl AuditArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CommandError> {
        let baseline = super::read(&named(self.file.as_ref()), err)?;
        let mut remarks = audit(&baseline.model, &baseline.names);
        if !self.only.is_empty() {
            remarks.retain(|one| self.only.contains(&one.concern));
        }
        let text = match self.output {
            Form::Terminal => lines(&baseline, &remarks, self.top),
            Form::Json => {
                let remarks: Vec<Value> = remarks.iter().map(|one| value(&baseline, one)).collect();
                sink::pretty(&json!({"version": 1, "remarks": remarks}))?
            }
        };
        sink::all(out, text.as_bytes())?;
        if remarks.is_empty() {
            Ok(())
        } else {
            Err(CommandError::Found)
        }
    }
}

fn concern(text: &str) -> Result<Concern, String> {
    Concern::ALL
        .into_iter()
        .find(|concern| concern.name() == text)
        .ok_or_else(|| {
            let names: Vec<&str> = Concern::ALL.iter().map(|concern| concern.name()).collect();
            format!("is none of {}", names.join(", "))
        })
}

fn lines(baseline: &Baseline, remarks: &[Remark], top: usize) -> String {
    let mut text = String::new();
    let peers = baseline.names.peers();
    for of_kind in remarks.chunk_by(|a, b| a.concern == b.concern) {
        let Some(first) = of_kind.first() else {
            continue;
        };
        let title = first.concern.title();
        let _ = writeln!(text, "{title} ({})", words::number(of_kind.len() as u64));
        for one in of_kind.iter().take(top) {
            let note = if one.note.is_empty() {
                String::new()
            } else {
                format!("; {}", one.note)
            };
            let _ = writeln!(
                text,
                "  {} -> {}: {} since {}, {}{note}",
                peers.get(one.client),
                words::place(peers, one.key, Some(one.port)),
                how_often(one),
                words::at(one.first),
                match one.users {
                    0 => "no workload has it in its baseline".to_owned(),
                    1 => "used by one workload".to_owned(),
                    users => format!(
                        "used by {}",
                        words::count(users as u64, "workload", "workloads")
                    ),
                },
            );
        }
        if of_kind.len() > top {
            let more = (of_kind.len() - top) as u64;
            let _ = writeln!(text, "  and {} more (--top)", words::number(more));
        }
    }
    if remarks.is_empty() {
        text.push_str("nothing to look at\n");
    }
    text
}

/// `12 connections on 3 days`; what is held back is not counted in the file.
fn how_often(one: &Remark) -> String {
    match (one.count, one.days) {
        (0, 0) => "seen".to_owned(),
        (count, 0) => words::count(count, "connection", "connections"),
        (count, days) => format!(
            "{} on {}",
            words::count(count, "connection", "connections"),
            words::count(u64::from(days), "day", "days")
        ),
    }
}

fn value(baseline: &Baseline, one: &Remark) -> Value {
    let peers = baseline.names.peers();
    json!({
        "concern": one.concern.name(),
        "client": peer_text(peers.get(one.client), ""),
        "to": peer_text(peers.get(one.key), ""),
        "port": one.port.0,
        "protocol": one.port.1.name(),
        "first": words::rfc3339(one.first),
        "last": words::rfc3339(one.last),
        "days": one.days,
        "connections": one.count,
        "users": one.users,
        "note": one.note,
    })
}
