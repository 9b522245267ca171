//! The keys of `flowwatch.yaml`.
//!
//! ```yaml
//! policies: [clusters/prod/rendered.yaml]   # taken where --policies is not given
//! cilium:
//!   version: 1.19.4
//!   options:                                # by the agent's names
//!     cluster-name: prod
//!     enable-host-firewall: true
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ConfigError;
use crate::manifest::{self, Node, Number, Place, Value};
use crate::policy::Options;

/// The name that is looked for where none is given.
pub const FILE_NAME: &str = "flowwatch.yaml";

/// A configuration file. `Default` is an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Where policies are; relative ones are relative to the file.
    pub policies: Vec<PathBuf>,
    /// What is known of the agents.
    pub cilium: CiliumConfig,
}

/// The part about Cilium.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CiliumConfig {
    /// The release and the options that were given.
    pub options: Options,
    /// Whether the release was given.
    pub version_given: bool,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`] with the line of what is wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
        let mut config = Self::parse(&text, &path.display().to_string())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for policies in &mut config.policies {
            *policies = folder.join(&*policies);
        }
        Ok(config)
    }

    /// Reads a text; `file` names it in errors.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        let outcome = manifest::read(text, Arc::from(file));
        if let Some(error) = outcome.errors.first() {
            return Err(ConfigError::Syntax {
                file: file.to_owned(),
                at: error.at,
                message: error.kind.to_string(),
            });
        }
        let mut config = Self::default();
        let reader = Reader { file };
        for document in &outcome.documents {
            reader.top(&document.root, &mut config)?;
        }
        Ok(config)
    }
}

struct Reader<'a> {
    file: &'a str,
}

impl Reader<'_> {
    fn top(&self, node: &Node, config: &mut Config) -> Result<(), ConfigError> {
        self.each(node, "", |key, at, value| {
            match key {
                "policies" => config.policies = self.paths(value, "policies")?,
                "cilium" => self.cilium(value, &mut config.cilium)?,
                _ => return Err(self.unknown(at, key, "policies, cilium")),
            }
            Ok(())
        })
    }

    fn cilium(&self, node: &Node, cilium: &mut CiliumConfig) -> Result<(), ConfigError> {
        self.each(node, "cilium", |key, at, value| {
            match key {
                "version" => {
                    let text = scalar(value)
                        .ok_or_else(|| self.kind(value.at, "cilium.version", "a release"))?;
                    cilium.options.version =
                        text.parse().map_err(|error| self.option(value.at, error))?;
                    cilium.version_given = true;
                }
                "options" => self.each(value, "cilium.options", |name, at, value| {
                    let text =
                        scalar(value).ok_or_else(|| self.kind(value.at, name, "one value"))?;
                    cilium
                        .options
                        .set(name, &text)
                        .map_err(|error| self.option(at, error))
                })?,
                _ => return Err(self.unknown(at, &format!("cilium.{key}"), "version, options")),
            }
            Ok(())
        })
    }

    fn each(
        &self,
        node: &Node,
        key: &str,
        mut take: impl FnMut(&str, Place, &Node) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        if node.is_null() {
            return Ok(());
        }
        let key = if key.is_empty() { "the file" } else { key };
        let map = node
            .as_map()
            .ok_or_else(|| self.kind(node.at, key, "a mapping"))?;
        for (key, value) in &map.entries {
            take(&key.name, key.at, value)?;
        }
        Ok(())
    }

    fn paths(&self, node: &Node, key: &str) -> Result<Vec<PathBuf>, ConfigError> {
        let expected = || self.kind(node.at, key, "a path or a list of paths");
        match &node.value {
            Value::String(path) => Ok(vec![PathBuf::from(&**path)]),
            Value::List(list) => list
                .iter()
                .map(|entry| entry.as_str().map(PathBuf::from).ok_or_else(expected))
                .collect(),
            _ => Err(expected()),
        }
    }

    fn kind(&self, at: Place, key: &str, expected: &'static str) -> ConfigError {
        ConfigError::Kind {
            file: self.file.to_owned(),
            at,
            key: key.to_owned(),
            expected,
        }
    }

    fn unknown(&self, at: Place, key: &str, known: &str) -> ConfigError {
        ConfigError::UnknownKey {
            file: self.file.to_owned(),
            at,
            key: key.to_owned(),
            known: known.to_owned(),
        }
    }

    fn option(&self, at: Place, error: crate::policy::OptionError) -> ConfigError {
        ConfigError::Option {
            file: self.file.to_owned(),
            at,
            error,
        }
    }
}

/// A scalar as it would be written on a command line.
fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::String(text) => Some(text.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(Number::Int(number)) => Some(number.to_string()),
        Value::Number(Number::Unsigned(number)) => Some(number.to_string()),
        Value::Number(Number::Float(number)) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Config::parse(text, "flowwatch.yaml")
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn options_go_by_the_agents_names() {
        let text = "policies: deploy\ncilium:\n  version: 1.19.2\n  options:\n    cluster-name: west\n    enable-host-firewall: yes\n";
        let text = text.replace("yes", "true");
        let config = Config::parse(&text, "flowwatch.yaml").unwrap();
        assert_eq!(config.policies, [PathBuf::from("deploy")]);
        assert_eq!(config.cilium.options.version.patch, 2);
        assert_eq!(&*config.cilium.options.cluster_name, "west");
        assert!(config.cilium.options.host_firewall);
        assert_eq!(config.cilium.options.given.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        assert_eq!(
            error("policies: a\npolicy: b\n"),
            "flowwatch.yaml:2: unknown key 'policy', expected one of: policies, cilium"
        );
        assert_eq!(
            error("cilium:\n  options:\n    enable-ipv4: perhaps\n"),
            "flowwatch.yaml:3: enable-ipv4 is 'perhaps', expected true or false"
        );
        assert_eq!(
            error("cilium: [1]\n"),
            "flowwatch.yaml:1: cilium must be a mapping"
        );
        assert!(error("a: [").starts_with("flowwatch.yaml:1:"));
    }

    #[test]
    fn an_empty_file_is_an_empty_configuration() {
        assert_eq!(Config::parse("", "f").unwrap(), Config::default());
        assert_eq!(
            Config::parse("# nothing\n", "f").unwrap(),
            Config::default()
        );
    }
}
