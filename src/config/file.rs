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

use super::ConfigError;
use crate::manifest::{KeyedError, KeyedFile, Node, Number, Place, Value, read_keyed};
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
        let text = read_keyed(path)?;
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
        let file = KeyedFile::new(file);
        let mut config = Self::default();
        let reader = Reader { file };
        for document in &file.documents(text)? {
            reader.top(&document.root, &mut config)?;
        }
        Ok(config)
    }
}

struct Reader<'a> {
    file: KeyedFile<'a>,
}

impl Reader<'_> {
    fn top(&self, node: &Node, config: &mut Config) -> Result<(), ConfigError> {
        for (key, at, value) in self.file.entries(node, "the file")? {
            match key {
                "policies" => config.policies = self.paths(value, "policies")?,
                "cilium" => self.cilium(value, &mut config.cilium)?,
                _ => return Err(self.file.unknown(at, key, "policies, cilium").into()),
            }
        }
        Ok(())
    }

    fn cilium(&self, node: &Node, cilium: &mut CiliumConfig) -> Result<(), ConfigError> {
        for (key, at, value) in self.file.entries(node, "cilium")? {
            match key {
                "version" => {
                    let text = scalar(value)
                        .ok_or_else(|| self.file.kind(value.at, "cilium.version", "a release"))?;
                    cilium.options.version =
                        text.parse().map_err(|error| self.option(value.at, error))?;
                    cilium.version_given = true;
                }
                "options" => self.options(value, cilium)?,
                _ => {
                    let key = format!("cilium.{key}");
                    return Err(self.file.unknown(at, &key, "version, options").into());
                }
            }
        }
        Ok(())
    }

    fn options(&self, node: &Node, cilium: &mut CiliumConfig) -> Result<(), ConfigError> {
        for (name, at, value) in self.file.entries(node, "cilium.options")? {
            let text = scalar(value).ok_or_else(|| self.file.kind(value.at, name, "one value"))?;
            let set = cilium.options.set(name, &text);
            set.map_err(|error| self.option(at, error))?;
        }
        Ok(())
    }

    fn paths(&self, node: &Node, key: &str) -> Result<Vec<PathBuf>, KeyedError> {
        let expected = || self.file.kind(node.at, key, "a path or a list of paths");
        match &node.value {
            Value::String(path) => Ok(vec![PathBuf::from(&**path)]),
            Value::List(list) => list
                .iter()
                .map(|entry| entry.as_str().map(PathBuf::from).ok_or_else(expected))
                .collect(),
            _ => Err(expected()),
        }
    }

    fn option(&self, at: Place, error: crate::policy::OptionError) -> ConfigError {
        ConfigError::Option {
            file: self.file.name().to_owned(),
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
