//! The flags of what policies are, and of the agents that enforce them: the same for every
//! command that judges.
//!
//! Owns their meaning, and that of the options: by flag, then the configuration file, then a
//! `cilium-config` ConfigMap among the documents. Reading what they name is
//! `policy_source`'s.

use std::path::{Path, PathBuf};

use clap::Args;

use super::error::{CommandError, UsageError};
use super::policy_source::PolicySource;
use super::time_arg::{self, parse_time};
use crate::config::{Config, FILE_NAME};
use crate::inventory::Inventory;
use crate::manifest::LoadOptions;
use crate::policy::Options;

/// Words of what was said, beside the agents' options.
const VERSION: &str = "cilium-version=";
const NAMESPACE: &str = "policy-namespace=";
const COMPLETE: &str = "cluster-complete";
const STRICT: &str = "strict";

/// Policy flags as typed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Policies")]
pub(super) struct PolicyArgs {
    /// Policies to judge by: files, directories, - for standard input (rendered manifests).
    /// While flows are followed, files that change are read again; SIGHUP does so at once
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    policies: Vec<PathBuf>,
    /// The policies are in force since: a duration before now, a date, a time
    #[arg(long, value_name = "TIME")]
    policies_since: Option<String>,
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

impl PolicyArgs {
    /// The paths as typed.
    pub(super) fn paths(&self) -> Vec<String> {
        self.policies
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    /// Where the policies are; `None` where none were asked for. Reads the configuration
    /// file, and no policies yet.
    ///
    /// # Errors
    /// [`CommandError`] for a flag or configuration file that cannot be taken.
    pub(super) fn source(&self) -> Result<Option<PolicySource>, CommandError> {
        let since = self.since()?;
        let source = PolicySource::new(self.agent.clone(), self.policies.clone(), false)?;
        let source = source.in_force_since(since);
        Ok(Some(source).filter(|source| !source.paths().is_empty()))
    }

    /// As [`Self::source`], with more documents to read beside the policies.
    ///
    /// # Errors
    /// As [`Self::source`].
    pub(super) fn source_with(
        &self,
        more: &[PathBuf],
    ) -> Result<Option<PolicySource>, CommandError> {
        let mut paths = self.policies.clone();
        if paths.is_empty() {
            paths = self.agent.config()?.policies;
        }
        if paths.is_empty() {
            return Ok(None);
        }
        paths.extend(more.iter().cloned());
        let source = PolicySource::new(self.agent.clone(), paths, false)?;
        Ok(Some(source.in_force_since(self.since()?)))
    }

    /// What is known of the cluster.
    pub(super) fn agent(&self) -> &AgentArgs {
        &self.agent
    }

    fn since(&self) -> Result<Option<i64>, UsageError> {
        let now = time_arg::now();
        let time = self.policies_since.as_deref();
        time.map(|text| parse_time(text, now))
            .transpose()
            .map_err(|error| UsageError::new(format!("--policies-since: {error}")))
    }
}

impl AgentArgs {
    /// The configuration file that is read, whether it is there or not.
    pub(super) fn config_path(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(FILE_NAME))
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

    /// What the flags and the configuration file say that verdicts hang on, each as
    /// [`Self::again`] takes it.
    ///
    /// # Errors
    /// [`CommandError`] for what cannot be taken.
    pub(super) fn said(&self) -> Result<Vec<String>, CommandError> {
        let config = self.config()?;
        let options = self.options(&config, &Inventory::default())?;
        let settings = options.settings().into_iter();
        let mut said: Vec<String> = settings
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if self.cilium_version.is_some() || config.cilium.version_given {
            said.push(format!("{VERSION}{}", options.version));
        }
        said.extend(
            self.policy_namespace
                .iter()
                .map(|name| format!("{NAMESPACE}{name}")),
        );
        said.extend(self.cluster_complete.then(|| COMPLETE.to_owned()));
        said.extend(self.strict.then(|| STRICT.to_owned()));
        Ok(said)
    }

    /// What was [said](Self::said) before, in place of what is.
    pub(super) fn again(&self, said: &[String]) -> Self {
        let mut again = Self {
            config: self.config.clone(),
            ..Self::default()
        };
        for word in said {
            if let Some(version) = word.strip_prefix(VERSION) {
                again.cilium_version = Some(version.to_owned());
            } else if let Some(name) = word.strip_prefix(NAMESPACE) {
                again.policy_namespace = Some(name.to_owned());
            } else if word == COMPLETE {
                again.cluster_complete = true;
            } else if word == STRICT {
                again.strict = true;
            } else {
                again.cilium_option.push(word.clone());
            }
        }
        again
    }

    /// Whether a verdict that hangs on an option nobody gave is unknown.
    pub(super) fn is_strict(&self) -> bool {
        self.strict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_said_again() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("flowwatch.yaml");
        let text = "cilium:\n  version: 1.18.2\n  options:\n    enable-policy: always\n";
        std::fs::write(&config, text).unwrap();
        let args = AgentArgs {
            policy_namespace: Some("shop".to_owned()),
            cilium_option: vec!["cluster-name=a b".to_owned()],
            cluster_complete: true,
            strict: true,
            config: Some(config),
            ..AgentArgs::default()
        };
        let said = args.said().unwrap();
        let expected = [
            "cluster-name=a b",
            "enable-policy=always",
            "cilium-version=1.18.2",
            "policy-namespace=shop",
            "cluster-complete",
            "strict",
        ];
        assert_eq!(said, expected);
        let again = AgentArgs::default().again(&said);
        assert_eq!(again.said().unwrap(), said);
    }
}
