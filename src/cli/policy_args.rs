//! The flags of what policies are, and of the agents that enforce them: the same for every
//! command that judges.
//!
//! Owns their meaning and the loading: files and trees, the rest of the cluster in the same
//! documents, options by flag, then the configuration file, then a `cilium-config` ConfigMap
//! among the documents.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::error::{CommandError, UsageError};
use super::sink::say;
use crate::config::{Config, FILE_NAME};
use crate::engine::{Given, Policies};
use crate::inventory::Inventory;
use crate::manifest::{self, LoadError, LoadOptions, Loaded};
use crate::policy::{Floating, Options, Taint, TaintScope};

/// Errors and warnings shown one by one; the rest is counted.
const SHOWN: usize = 20;

/// Policy flags as typed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Policies")]
pub(super) struct PolicyArgs {
    /// Policies to judge by: files, directories, - for standard input (rendered manifests)
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    policies: Vec<PathBuf>,
    #[command(flatten)]
    agent: AgentArgs,
}

/// What is known of the cluster and its agents, as typed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Policies")]
pub(super) struct AgentArgs {
    /// Namespace of objects that name none
    #[arg(long, value_name = "NAME")]
    policy_namespace: Option<String>,
    /// Release of Cilium, such as 1.19.4
    #[arg(long, value_name = "RELEASE")]
    cilium_version: Option<String>,
    /// An option of the agents as in cilium-config, such as enable-policy=always
    #[arg(long, value_name = "NAME=VALUE")]
    cilium_option: Vec<String>,
    /// The documents hold every pod and Service: what they lack does not exist
    #[arg(long)]
    cluster_complete: bool,
    /// Call a verdict unknown where it hangs on an agent option that was not given
    #[arg(long)]
    strict: bool,
    /// Configuration file [default: flowwatch.yaml, where it is there]
    #[arg(long, value_name = "FILE", env = "FLOWWATCH_CONFIG", value_hint = clap::ValueHint::FilePath)]
    config: Option<PathBuf>,
}

/// What was loaded, and what to say about it.
pub(super) struct LoadedPolicies {
    /// Ready to judge with.
    pub(super) policies: Policies,
    /// Sentences for standard error: errors, rejections, doubts.
    pub(super) remarks: Vec<String>,
    /// Whether something could not be read at all.
    pub(super) failed: bool,
}

impl PolicyArgs {
    /// Whether flows are to be judged, as far as flags say.
    pub(super) fn asked(&self) -> bool {
        !self.policies.is_empty()
            || self
                .agent
                .config()
                .is_ok_and(|config| !config.policies.is_empty())
    }

    /// The paths as typed.
    pub(super) fn paths(&self) -> Vec<String> {
        self.policies
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    /// Loads the policies; `None` where none were asked for.
    ///
    /// # Errors
    /// [`CommandError`] for a flag or configuration file that cannot be taken.
    pub(super) fn load(&self) -> Result<Option<LoadedPolicies>, CommandError> {
        let config = self.agent.config()?;
        let paths: Vec<PathBuf> = if self.policies.is_empty() {
            config.policies.clone()
        } else {
            self.policies.clone()
        };
        if paths.is_empty() {
            return Ok(None);
        }
        self.agent.load_with(&config, &paths, false).map(Some)
    }
}

impl AgentArgs {
    /// Loads the policies of `paths`. `names_complete` says that an address has no other
    /// names than those given with it.
    ///
    /// # Errors
    /// As [`PolicyArgs::load`].
    pub(super) fn load(
        &self,
        paths: &[PathBuf],
        names_complete: bool,
    ) -> Result<LoadedPolicies, CommandError> {
        self.load_with(&self.config()?, paths, names_complete)
    }

    /// The configuration file; an empty one where there is none.
    pub(super) fn config(&self) -> Result<Config, CommandError> {
        match &self.config {
            Some(path) => Config::read(path).map_err(CommandError::failed),
            None if Path::new(FILE_NAME).is_file() => {
                Config::read(Path::new(FILE_NAME)).map_err(CommandError::failed)
            }
            None => Ok(Config::default()),
        }
    }

    /// Files and trees as objects.
    pub(super) fn read(&self, paths: &[PathBuf]) -> Loaded {
        manifest::load(paths, &self.load_options(None))
    }

    /// How files are read; `namespace` goes before the flag.
    pub(super) fn load_options(&self, namespace: Option<&str>) -> LoadOptions {
        LoadOptions {
            namespace: namespace
                .or(self.policy_namespace.as_deref())
                .map(Into::into),
        }
    }

    /// Whether the documents are said to hold every pod.
    pub(super) fn is_complete(&self) -> bool {
        self.cluster_complete
    }

    /// Options: by flag, by the configuration file, by `cilium-config`, by default.
    pub(super) fn options(
        &self,
        config: &Config,
        inventory: &Inventory,
    ) -> Result<Options, CommandError> {
        let usage = |error: &dyn std::fmt::Display| UsageError::new(error.to_string());
        let mut options = Options::default()
            .with_config_map(
                inventory
                    .cilium_config
                    .iter()
                    .map(|(name, value)| (&**name, &**value)),
            )
            .map_err(|error| CommandError::failed(format!("cilium-config: {error}")))?;
        options.take(&config.cilium.options);
        if config.cilium.version_given {
            options.version = config.cilium.options.version;
        }
        for text in &self.cilium_option {
            let (name, value) = text.split_once('=').ok_or_else(|| {
                UsageError::new(format!("--cilium-option {text}: expected NAME=VALUE"))
            })?;
            options.set(name, value).map_err(|error| usage(&error))?;
        }
        if let Some(version) = &self.cilium_version {
            options.version = version.parse().map_err(|error| usage(&error))?;
        }
        Ok(options)
    }

    fn load_with(
        &self,
        config: &Config,
        paths: &[PathBuf],
        names_complete: bool,
    ) -> Result<LoadedPolicies, CommandError> {
        let loaded = self.read(paths);
        let mut inventory = Inventory::default();
        let mut documents = Vec::new();
        for document in &loaded.documents {
            if !inventory.add(&document.root, document.scope.namespace()) {
                documents.push(document.clone());
            }
        }
        let options = self.options(config, &inventory)?;
        let policies = Policies::new(Given {
            documents,
            taints: loaded.taints.iter().map(taint).collect(),
            inventory,
            options,
            strict: self.strict,
            complete: self.cluster_complete,
            names_complete,
        });
        let failed = loaded
            .errors
            .iter()
            .any(|error| matches!(error, LoadError::Io { .. }));
        Ok(LoadedPolicies {
            remarks: remarks(&loaded, &policies),
            policies,
            failed,
        })
    }
}

/// What could not be read, in the words of policies.
fn taint(taint: &manifest::Taint) -> Taint {
    Taint {
        scope: match &taint.scope {
            manifest::TaintScope::Namespace(name) => TaintScope::Namespace(name.clone()),
            manifest::TaintScope::Everything => TaintScope::Everything,
        },
        file: taint.file.clone(),
        at: taint.at,
        reason: taint.reason.clone(),
        unmodelled: false,
    }
}

/// What a person must know before believing a verdict.
fn remarks(loaded: &Loaded, policies: &Policies) -> Vec<String> {
    let mut remarks: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
    for repeated in &loaded.repeated {
        remarks.push(format!(
            "{}:{}: {} is there twice, first at {}:{}",
            repeated.ignored.0,
            repeated.ignored.1,
            repeated.object,
            repeated.kept.0,
            repeated.kept.1
        ));
    }
    let set = policies.set(None);
    let said = |taint: &Taint| {
        loaded.errors.iter().any(|error| {
            let text = error.to_string();
            text.starts_with(&format!("{}:{}:", taint.file, taint.at.line))
                || (taint.at.line == 0 && text.starts_with(&*taint.file))
        })
    };
    for taint in set.taints.iter().filter(|taint| !said(taint)) {
        remarks.push(format!(
            "{}:{}: {}; verdicts it might change are unknown",
            taint.file, taint.at.line, taint.reason
        ));
    }
    let mut floating: Vec<&Floating> = set.floating.iter().collect();
    floating.dedup_by(|one, other| one.id == other.id && one.file == other.file);
    for policy in floating {
        remarks.push(format!(
            "{}:{}: nothing says in which namespace {} {} is (give --policy-namespace or render the tree); verdicts of whom it might select are unknown",
            policy.file,
            policy.at.line,
            policy.id.kind.name(),
            policy.id.name
        ));
    }
    for object in &set.objects {
        if let Some(rejection) = &object.rejection {
            remarks.push(format!(
                "{}:{}: Cilium rejects {}, {}: {}",
                object.file, rejection.at.line, object.id, rejection.field, rejection.message
            ));
        }
    }
    remarks
}

/// Says the first of the remarks, and how many there are more.
pub(super) fn say_remarks(remarks: &[String], err: &mut dyn Write) {
    for remark in remarks.iter().take(SHOWN) {
        say(err, &format!("policies: {remark}"));
    }
    if remarks.len() > SHOWN {
        say(
            err,
            &format!(
                "policies: {} more; `flowwatch policy lint` shows all",
                remarks.len() - SHOWN
            ),
        );
    }
}
