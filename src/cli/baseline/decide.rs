//! `flowwatch baseline approve` and `forbid`: what people decide, written into the file.
//!
//! Owns the arguments: an edge, a workload, or findings by their id. The change of text is
//! the room `baseline`'s.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::Value;

use super::super::error::{CommandError, UsageError};
use super::super::sink::say;
use super::named;
use crate::baseline::{Edited, Status, edit, parse_peer, parse_port, peer_text, port_text};
use crate::connection::Peer;
use crate::flow::Protocol;
use crate::manifest::read_keyed;

/// Arguments of `baseline approve` and `baseline forbid`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct DecideArgs {
    /// Whose edges: NAMESPACE/NAME, or the id of a finding (with --findings)
    #[arg(value_name = "WORKLOAD|FINDING")]
    subject: String,
    /// To whom: NAMESPACE/NAME, a domain, a prefix, an entity; with :PORT/PROTOCOL behind it
    /// for that port alone [default: everything]
    #[arg(long, value_name = "PEER")]
    to: Option<String>,
    /// Findings, as JSON lines
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    findings: Option<PathBuf>,
    /// Why; stays in the file
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Baseline file [default: flowwatch.baseline.yaml]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    baseline: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  flowwatch baseline approve shop/checkout --to api.example.com:443/TCP --reason 'ticket 17'
  flowwatch baseline forbid shop/checkout --to data/vault
  flowwatch baseline forbid batch/old-job
  flowwatch baseline approve 3f9c2a7d41b0e865 --findings findings.jsonl";

impl DecideArgs {
    /// Says that edges are normal.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn approve(
        &self,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), CommandError> {
        self.run(Status::Approved, out, err)
    }

    /// Says that edges must not be.
    ///
    /// # Errors
    /// As [`Self::approve`].
    pub(super) fn forbid(
        &self,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), CommandError> {
        self.run(Status::Forbidden, out, err)
    }

    fn run(
        &self,
        status: Status,
        _: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), CommandError> {
        let decision = self.decision(status)?;
        let path = named(self.baseline.as_ref());
        let name = path.display().to_string();
        let text = read_keyed(&path).map_err(CommandError::failed)?;
        let changed = edit(&text, &name, &decision).map_err(CommandError::failed)?;
        replace(&path, &changed)?;
        let to = match (&decision.to, decision.port) {
            (Some(peer), Some(port)) => format!("{} {}", peer_text(peer, ""), port_text(port)),
            (Some(peer), None) => format!("{} on every port", peer_text(peer, "")),
            (None, Some(port)) => format!("everybody on {}", port_text(port)),
            (None, None) => "everything that has no line of its own".to_owned(),
        };
        let client = peer_text(&decision.client, "");
        say(
            err,
            &format!("{name}: {client} calling {to} is {}", status.name()),
        );
        Ok(())
    }

    fn decision(&self, status: Status) -> Result<Edited, CommandError> {
        let reason = self.reason.as_deref().map(Arc::<str>::from);
        if let Some(path) = &self.findings {
            if self.to.is_some() {
                return Err(
                    UsageError::new("--to goes with a workload, not with a finding").into(),
                );
            }
            let found = finding(path, &self.subject)?;
            return edited(&found, status, reason).ok_or_else(|| {
                let message = format!("finding {} is about no edge", self.subject);
                CommandError::failed(message)
            });
        }
        let client = parse_peer(&self.subject, "")
            .filter(|peer| matches!(peer, Peer::Workload { .. } | Peer::Entity(_)))
            .ok_or_else(|| {
                UsageError::new(format!(
                    "{} is no workload: write NAMESPACE/NAME, or give --findings for the id of a \
                     finding",
                    self.subject
                ))
            })?;
        let (to, port) = match &self.to {
            None => (None, None),
            Some(text) => target(text)?,
        };
        Ok(Edited {
            client,
            to,
            port,
            status,
            reason,
        })
    }
}

/// A peer, `None` for all, and a port, `None` for all.
type Target = (Option<Peer>, Option<(u16, Protocol)>);

/// `shop/pay`, `shop/pay:443`, `shop/pay:443/TCP`, `2001:db8::/48`.
fn target(text: &str) -> Result<Target, UsageError> {
    if text.parse::<ipnet::IpNet>().is_ok() || text.parse::<std::net::IpAddr>().is_ok() {
        return Ok((parse_peer(text, ""), None));
    }
    let (peer, port) = match text.rsplit_once(':') {
        Some((peer, port)) => {
            let port = parse_port(port)
                .ok_or_else(|| UsageError::new(format!("{port} is no port such as 443/TCP")))?;
            (peer, Some(port))
        }
        None => (text, None),
    };
    let peer_of = parse_peer(peer, "");
    if peer_of.is_none() && peer != "*" {
        return Err(UsageError::new(format!("{peer} is no peer")));
    }
    Ok((peer_of, port))
}

/// The finding of an id, or of the beginning of one that no other has.
fn finding(path: &Path, id: &str) -> Result<Value, CommandError> {
    let name = path.display();
    let file = std::fs::File::open(path)
        .map_err(|error| CommandError::failed(format!("{name}: {error}")))?;
    let mut found: Option<Value> = None;
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|error| CommandError::failed(format!("{name}: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_str(&line)
            .map_err(|error| CommandError::failed(format!("{name}:{number}: {error}")))?;
        let own = value.get("id").and_then(Value::as_str).unwrap_or_default();
        if value.get("type").and_then(Value::as_str) != Some("finding") || !own.starts_with(id) {
            continue;
        }
        let known = found.as_ref().and_then(|known| known.get("id"));
        if known.is_some_and(|known| Some(known) != value.get("id")) {
            let message = format!("{name}: several findings have an id that begins with {id}");
            return Err(CommandError::failed(message));
        }
        found = Some(value);
    }
    found.ok_or_else(|| CommandError::failed(format!("{name}: no finding has the id {id}")))
}

fn edited(finding: &Value, status: Status, reason: Option<Arc<str>>) -> Option<Edited> {
    let client = party(finding.get("subject")?)?;
    let to = party(finding.get("peer")?)?;
    let port = finding.get("port").and_then(Value::as_u64);
    let protocol = finding.get("protocol").and_then(Value::as_str);
    let port = match (port, protocol) {
        (Some(port), Some(protocol)) => Some(parse_port(&format!("{port}/{protocol}"))?),
        _ => None,
    };
    Some(Edited {
        client,
        to: Some(to),
        port,
        status,
        reason,
    })
}

fn party(value: &Value) -> Option<Peer> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("kind") {
        "workload" => Some(Peer::Workload {
            cluster: text("cluster").into(),
            namespace: text("namespace").into(),
            kind: text("workload_kind").into(),
            name: text("name").into(),
        }),
        "entity" => Some(Peer::Entity(text("name").into())),
        "name" => Some(Peer::Name(text("name").into())),
        "prefix" => Some(Peer::Prefix(text("name").parse().ok()?)),
        _ => None,
    }
}

/// Writes a file whole or not at all.
fn replace(path: &Path, text: &str) -> Result<(), CommandError> {
    let failed =
        |error: std::io::Error| CommandError::failed(format!("write {}: {error}", path.display()));
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut file =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    if let Ok(metadata) = std::fs::metadata(path) {
        let _ = std::fs::set_permissions(file.path(), metadata.permissions());
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_port_or_none() {
        let shown = |text: &str| {
            let (peer, port) = target(text).unwrap();
            let peer = peer.map_or("*".to_owned(), |peer| peer_text(&peer, ""));
            (peer, port.map(port_text))
        };
        assert_eq!(shown("shop/pay"), ("shop/pay".to_owned(), None));
        let with = |port: &str| Some(port.to_owned());
        assert_eq!(
            shown("shop/pay:80"),
            ("shop/pay".to_owned(), with("80/TCP"))
        );
        assert_eq!(
            shown("a.example:53/UDP"),
            ("a.example".to_owned(), with("53/UDP"))
        );
        assert_eq!(shown("2001:db8::/48").1, None);
        assert_eq!(shown("192.0.2.0/24:443/TCP").1, with("443/TCP"));
        assert_eq!(shown("*:22").0, "*");
        assert!(target("shop/pay:http").is_err());
    }
}
