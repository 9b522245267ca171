//! `flowwatch policy lint`: what is wrong with policies as they are written.
//!
//! Owns the arguments, which files are read, and which findings make the command fail. The
//! checks are `policy::lint`'s, the forms `render::lint`'s.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::cli::error::{CommandError, UsageError};
use crate::cli::format::Color;
use crate::cli::policy_args::AgentArgs;
use crate::cli::sink;
use crate::inventory::Inventory;
use crate::manifest::{self, Document, LoadError, Loaded, STDIN, Scope};
use crate::policy::lint::{CHECKS, LintFinding, LintInput, Severity, Suppressions, lint};
use crate::render::lint::{LintCounts, json, sarif, text};
use crate::render::thousands;

/// Arguments of `policy lint`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LintArgs {
    /// Manifests: files, directories, - for standard input. What is no policy shows the cluster
    #[arg(required = true, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<Box<str>>,
    /// The agents' ConfigMap cilium-config; one among the manifests is read without this
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    cilium_config: Option<PathBuf>,
    /// Exit with 1 on findings of a severity or worse (info, warning, error) or of a check's id; never for none
    #[arg(
        long,
        value_name = "WHAT",
        value_delimiter = ',',
        default_value = "error"
    )]
    fail_on: Vec<String>,
    /// Show findings of this severity or worse
    #[arg(long, value_name = "SEVERITY", default_value = "info", value_parser = |text: &str| text.parse::<Severity>())]
    min_severity: Severity,
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Form,
    /// When to colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    agent: AgentArgs,
}

const EXAMPLES: &str = "\
A comment above what is known and meant keeps a finding away, if it has a reason:
  # flowwatch: ignore fqdn-without-dns-rule -- the platform's policy has the DNS rule

Each id has a section in docs/lint.md.

Examples:
  A repository of manifests, failing on warnings too:
    flowwatch policy lint --fail-on warning kubernetes/
  What a kustomization renders:
    kustomize build apps/shop | flowwatch policy lint -n shop -
  Against the running cluster, with its pods, namespaces and Services:
    kubectl get cnp,ccnp,netpol,pods,cronjobs,namespaces,services,nodes -A -o yaml | flowwatch policy lint -
  For a code scanning page:
    flowwatch policy lint -o sarif kubernetes/ > lint.sarif";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
    Sarif,
}

/// What makes the command fail.
#[derive(Debug, Default, PartialEq, Eq)]
struct FailOn {
    severity: Option<Severity>,
    ids: BTreeSet<&'static str>,
}

impl LintArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub(super) fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CommandError> {
        let fail_on = FailOn::parse(&self.fail_on)?;
        let (mut loaded, stdin) = self.load()?;
        let others = contradicting(&loaded, &stdin);
        loaded.documents.extend(others);
        let mut inventory = Inventory::default();
        for document in &loaded.documents {
            inventory.add(&document.root, document.scope.namespace());
        }
        self.take_config(&mut inventory)?;
        let options = self.agent.options(&self.agent.config()?, &inventory)?;
        let mut findings = lint(&LintInput {
            documents: &loaded.documents,
            errors: &loaded.errors,
            inventory: &inventory,
            options: &options,
            complete: self.agent.is_complete(),
        });
        suppress(&loaded, &stdin, &mut findings);
        findings.retain(|finding| finding.severity >= self.min_severity);
        let failed = findings.iter().any(|finding| fail_on.has(finding));

        let mut shown = Vec::new();
        match self.output {
            Form::Text => text(&mut shown, &findings, self.color.wanted()),
            Form::Json => write_json(&mut shown, &json(&findings))?,
            Form::Sarif => write_json(&mut shown, &sarif(&findings))?,
        }
        sink::all(out, &shown)?;
        let broken = say_unread(&loaded, err);
        if !self.quiet {
            sink::say(err, &summary(&loaded, &findings));
        }
        if broken {
            Err(CommandError::Said)
        } else if failed {
            Err(CommandError::Found)
        } else {
            Ok(())
        }
    }

    /// Reads the manifests; the text of standard input is kept for its comments.
    fn load(&self) -> Result<(Loaded, String), CommandError> {
        let mut bytes = Vec::new();
        if self.paths.iter().any(|path| path.as_os_str() == "-") {
            std::io::stdin()
                .take(manifest::FILE_BYTES + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| CommandError::failed(format!("read standard input: {error}")))?;
        }
        let options = self.agent.load_options(self.namespace.as_deref());
        let loaded = manifest::load_with(&self.paths, &options, &mut bytes.as_slice());
        Ok((loaded, String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Adds the agents' ConfigMap that is given, in place of one among the manifests.
    fn take_config(&self, inventory: &mut Inventory) -> Result<(), CommandError> {
        if let Some(path) = &self.cilium_config {
            inventory.cilium_config = config_map(path)?;
        }
        Ok(())
    }
}

impl FailOn {
    fn parse(texts: &[String]) -> Result<Self, UsageError> {
        let mut fail_on = Self::default();
        for text in texts {
            if text == "never" {
                continue;
            }
            if let Ok(severity) = text.parse::<Severity>() {
                let lowest = fail_on
                    .severity
                    .map_or(severity, |known| known.min(severity));
                fail_on.severity = Some(lowest);
            } else if let Some(check) = CHECKS.iter().find(|check| check.id == *text) {
                fail_on.ids.insert(check.id);
            } else {
                return Err(UsageError::new(format!(
                    "--fail-on takes info, warning, error, never or the id of a check, not '{text}'"
                )));
            }
        }
        Ok(fail_on)
    }

    fn has(&self, finding: &LintFinding) -> bool {
        finding.suppressed.is_none()
            && (self
                .severity
                .is_some_and(|severity| finding.severity >= severity)
                || self.ids.contains(finding.check.id))
    }
}

/// Names and values of options.
type Settings = Vec<(Arc<str>, Arc<str>)>;

/// `data` of the ConfigMap in a file.
fn config_map(path: &Path) -> Result<Settings, CommandError> {
    let text = fs::read_to_string(path)
        .map_err(|error| CommandError::failed(format!("{}: {error}", path.display())))?;
    let outcome = manifest::read(&text, path.display().to_string().into());
    if let Some(error) = outcome.errors.first() {
        return Err(CommandError::failed(error));
    }
    let mut inventory = Inventory::default();
    for document in &outcome.documents {
        inventory.add(&document.root, None);
    }
    if inventory.cilium_config.is_empty() {
        return Err(CommandError::failed(format!(
            "{}: no ConfigMap cilium-config with data",
            path.display()
        )));
    }
    Ok(inventory.cilium_config)
}

/// The policies that say something else than one of the same name: loading keeps the first
/// of them, and all are to be looked at.
fn contradicting(loaded: &Loaded, stdin: &str) -> Vec<Document> {
    let mut found = Vec::new();
    for error in &loaded.errors {
        let LoadError::Conflict { object, second, .. } = error else {
            continue;
        };
        let (file, at) = second;
        let mut parts = object.split('/');
        let (kind, namespace) = (parts.next().unwrap_or_default(), parts.next());
        if !manifest::is_policy_kind(kind) {
            continue;
        }
        let outcome = manifest::read(&text_of(file, stdin), Arc::clone(file));
        let document = outcome
            .documents
            .into_iter()
            .find(|document| document.at() == *at);
        found.extend(document.map(|mut document| {
            if let Some(namespace) = namespace.filter(|name| !name.is_empty()) {
                document.scope = Scope::Namespace(namespace.into());
            }
            document
        }));
    }
    found
}

/// The text of a file; one that was readable a moment ago and is not any more has none.
fn text_of(file: &str, stdin: &str) -> String {
    if file == STDIN {
        stdin.to_owned()
    } else {
        fs::read_to_string(file).unwrap_or_default()
    }
}

/// Follows the comments of the files that hold something.
fn suppress(loaded: &Loaded, stdin: &str, findings: &mut Vec<LintFinding>) {
    let policies = loaded
        .documents
        .iter()
        .filter(|document| document.kind().is_some_and(manifest::is_policy_kind))
        .map(|document| Arc::clone(&document.file));
    let found = findings.iter().map(|finding| Arc::clone(&finding.file));
    let files: BTreeSet<Arc<str>> = policies.chain(found).collect();
    for file in files {
        Suppressions::read(&text_of(&file, stdin), file).apply(findings);
    }
    findings.sort_by(LintFinding::order);
}

/// Says what could not be opened; whether there was anything.
fn say_unread(loaded: &Loaded, err: &mut dyn Write) -> bool {
    let mut broken = false;
    for error in &loaded.errors {
        if let LoadError::Io { .. } | LoadError::TooLarge { .. } | LoadError::NotUtf8 { .. } = error
        {
            sink::say(err, &format!("flowwatch: {error}"));
            broken = true;
        }
    }
    broken
}

fn summary(loaded: &Loaded, findings: &[LintFinding]) -> String {
    let counts = LintCounts::of(findings);
    let some = |count: usize, one: &str, many: &str| {
        let word = if count == 1 { one } else { many };
        format!("{} {word}", thousands(count as u64))
    };
    let policies = loaded
        .documents
        .iter()
        .filter(|document| document.kind().is_some_and(manifest::is_policy_kind))
        .count();
    let mut line = format!(
        "{} in {}: {}, {}, {}",
        some(policies, "policy", "policies"),
        some(loaded.files_read, "file", "files"),
        some(counts.errors, "error", "errors"),
        some(counts.warnings, "warning", "warnings"),
        some(counts.infos, "info", "infos"),
    );
    if counts.suppressed > 0 {
        line.push_str(", ");
        line.push_str(&thousands(counts.suppressed as u64));
        line.push_str(" suppressed");
    }
    if loaded.skipped.templates > 0 {
        let templates = some(loaded.skipped.templates, "template", "templates");
        line.push_str("; ");
        line.push_str(&templates);
        line.push_str(" of charts not looked at");
    }
    line
}

fn write_json(out: &mut Vec<u8>, value: &serde_json::Value) -> Result<(), CommandError> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(CommandError::failed)?;
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<FailOn, UsageError> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        FailOn::parse(&texts)
    }

    #[test]
    fn a_severity_and_ids_can_make_it_fail() {
        let fail_on = parse(&["warning", "deny-cuts-probes", "error"]).unwrap();
        assert_eq!(fail_on.severity, Some(Severity::Warning));
        assert!(fail_on.ids.contains("deny-cuts-probes"));
        assert_eq!(parse(&["never"]).unwrap(), FailOn::default());
        assert!(parse(&["warnings"]).is_err());
    }
}
