//! Agent options that change what policies mean, and the release.
//!
//! Owns their names and defaults. Where they are read from is not its business; an option
//! nobody gave keeps its default and is known not to have been given.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::filter::parse_go_duration;

/// Nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// `enable-policy`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Endpoints that a policy selects.
    #[default]
    Default,
    /// All endpoints.
    Always,
    /// None.
    Never,
}

/// `allow-localhost`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllowLocalhost {
    /// As `Always` under Kubernetes.
    #[default]
    Auto,
    /// The node's host reaches its endpoints.
    Always,
    /// Only what policies allow.
    Policy,
}

/// A release of Cilium, `major.minor.patch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 1
    pub major: u16,
    /// 19
    pub minor: u16,
    /// 4
    pub patch: u16,
}

/// Options of an agent, with the defaults of 1.19.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `cluster-name`
    pub cluster_name: Arc<str>,
    /// `policy-default-local-cluster`
    pub default_local_cluster: bool,
    /// `enable-policy`
    pub enforcement: Enforcement,
    /// `allow-localhost`
    pub allow_localhost: AllowLocalhost,
    /// `enable-ipv4`
    pub ipv4: bool,
    /// `enable-ipv6`
    pub ipv6: bool,
    /// `enable-host-firewall`
    pub host_firewall: bool,
    /// `enable-node-selector-labels`
    pub node_selector_labels: bool,
    /// `enable-non-default-deny-policies`
    pub non_default_deny: bool,
    /// `enable-l7-proxy`
    pub l7_proxy: bool,
    /// `enable-extended-ip-protocols`
    pub extended_ip_protocols: bool,
    /// `policy-cidr-match-mode` has `nodes`
    pub cidr_match_nodes: bool,
    /// `tofqdns-min-ttl`, in seconds
    pub min_ttl: u32,
    /// `tofqdns-idle-connection-grace-period`, in whole seconds, rounded up
    pub idle_grace: u32,
    /// The release.
    pub version: Version,
    /// Options that were given; a verdict that hangs on another one is assumed.
    pub given: BTreeSet<OptionName>,
}

/// The options by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OptionName {
    /// `cluster-name`
    ClusterName,
    /// `policy-default-local-cluster`
    DefaultLocalCluster,
    /// `enable-policy`
    Enforcement,
    /// `allow-localhost`
    AllowLocalhost,
    /// `enable-ipv4`, `enable-ipv6`
    Families,
    /// `enable-host-firewall`
    HostFirewall,
    /// `enable-node-selector-labels`
    NodeSelectorLabels,
    /// `enable-non-default-deny-policies`
    NonDefaultDeny,
    /// `enable-l7-proxy`
    L7Proxy,
    /// `enable-extended-ip-protocols`
    ExtendedIpProtocols,
    /// `policy-cidr-match-mode`
    CidrMatchMode,
    /// `tofqdns-min-ttl`
    MinTtl,
    /// `tofqdns-idle-connection-grace-period`
    IdleGrace,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cluster_name: "default".into(),
            default_local_cluster: true,
            enforcement: Enforcement::Default,
            allow_localhost: AllowLocalhost::Auto,
            ipv4: true,
            ipv6: true,
            host_firewall: false,
            node_selector_labels: false,
            non_default_deny: true,
            l7_proxy: true,
            extended_ip_protocols: false,
            cidr_match_nodes: false,
            min_ttl: 0,
            idle_grace: 0,
            version: Version {
                major: 1,
                minor: 19,
                patch: 4,
            },
            given: BTreeSet::new(),
        }
    }
}

/// An option that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Not an option of ours: most of an agent's do not touch policy.
    #[error("{0} is not an option that policies depend on")]
    Unknown(String),
    /// A value the agent would not take either.
    #[error("{name} is '{value}', expected {expected}")]
    Value {
        /// The option.
        name: &'static str,
        /// What was given.
        value: String,
        /// What could stand there.
        expected: &'static str,
    },
}

impl OptionName {
    /// Every option under the agent's name for it.
    pub const ALL: [(&'static str, Self); 14] = [
        ("cluster-name", Self::ClusterName),
        ("policy-default-local-cluster", Self::DefaultLocalCluster),
        ("enable-policy", Self::Enforcement),
        ("allow-localhost", Self::AllowLocalhost),
        ("enable-ipv4", Self::Families),
        ("enable-ipv6", Self::Families),
        ("enable-host-firewall", Self::HostFirewall),
        ("enable-node-selector-labels", Self::NodeSelectorLabels),
        ("enable-non-default-deny-policies", Self::NonDefaultDeny),
        ("enable-l7-proxy", Self::L7Proxy),
        ("enable-extended-ip-protocols", Self::ExtendedIpProtocols),
        ("policy-cidr-match-mode", Self::CidrMatchMode),
        ("tofqdns-min-ttl", Self::MinTtl),
        ("tofqdns-idle-connection-grace-period", Self::IdleGrace),
    ];

    /// The agent's name for it; the first where it has two.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, option)| *option == self)
            .map_or("", |(name, _)| name)
    }
}

impl Options {
    /// Takes an option by the agent's name, as in `cilium-config`.
    ///
    /// # Errors
    /// [`OptionError::Unknown`] for an option that policies do not depend on,
    /// [`OptionError::Value`] for a value it does not have.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        let Some(&(name, option)) = OptionName::ALL.iter().find(|(known, _)| *known == name) else {
            return Err(OptionError::Unknown(name.to_owned()));
        };
        let value = value.trim();
        let flag = || match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "t" => Ok(true),
            "false" | "0" | "f" => Ok(false),
            _ => Err(OptionError::Value {
                name,
                value: value.to_owned(),
                expected: "true or false",
            }),
        };
        let other = |expected| OptionError::Value {
            name,
            value: value.to_owned(),
            expected,
        };
        match name {
            "cluster-name" => self.cluster_name = value.into(),
            "policy-default-local-cluster" => self.default_local_cluster = flag()?,
            "enable-policy" => {
                self.enforcement = match value.to_ascii_lowercase().as_str() {
                    "default" => Enforcement::Default,
                    "always" => Enforcement::Always,
                    "never" => Enforcement::Never,
                    _ => return Err(other("default, always or never")),
                }
            }
            "allow-localhost" => {
                self.allow_localhost = match value {
                    "auto" => AllowLocalhost::Auto,
                    "always" => AllowLocalhost::Always,
                    "policy" => AllowLocalhost::Policy,
                    _ => return Err(other("auto, always or policy")),
                }
            }
            "enable-ipv4" => self.ipv4 = flag()?,
            "enable-ipv6" => self.ipv6 = flag()?,
            "enable-host-firewall" => self.host_firewall = flag()?,
            "enable-node-selector-labels" => self.node_selector_labels = flag()?,
            "enable-non-default-deny-policies" => self.non_default_deny = flag()?,
            "enable-l7-proxy" => self.l7_proxy = flag()?,
            "enable-extended-ip-protocols" => self.extended_ip_protocols = flag()?,
            "tofqdns-min-ttl" => {
                self.min_ttl = value.parse().map_err(|_| other("a number of seconds"))?;
            }
            "tofqdns-idle-connection-grace-period" => {
                self.idle_grace = parse_go_duration(value)
                    .and_then(|duration| {
                        u32::try_from(duration.saturating_add(SECOND - 1) / SECOND).ok()
                    })
                    .ok_or_else(|| other("a duration such as 30s"))?;
            }
            _ => {
                self.cidr_match_nodes = match value.trim_matches(['[', ']', '"']) {
                    "" => false,
                    "nodes" => true,
                    _ => return Err(other("nodes or nothing")),
                }
            }
        }
        self.given.insert(option);
        Ok(())
    }

    /// The options that were given, by the agent's names, as [`Options::set`] takes them.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let given = OptionName::ALL.iter();
        let given = given.filter(|(_, option)| self.given.contains(option));
        given.map(|&(name, _)| (name, self.setting(name))).collect()
    }

    fn setting(&self, name: &str) -> String {
        let text = match name {
            "cluster-name" => &self.cluster_name,
            "enable-policy" => match self.enforcement {
                Enforcement::Default => "default",
                Enforcement::Always => "always",
                Enforcement::Never => "never",
            },
            "allow-localhost" => match self.allow_localhost {
                AllowLocalhost::Auto => "auto",
                AllowLocalhost::Always => "always",
                AllowLocalhost::Policy => "policy",
            },
            "policy-cidr-match-mode" if self.cidr_match_nodes => "nodes",
            "policy-cidr-match-mode" => "",
            "tofqdns-min-ttl" => return self.min_ttl.to_string(),
            "tofqdns-idle-connection-grace-period" => return format!("{}s", self.idle_grace),
            "policy-default-local-cluster" => truth(self.default_local_cluster),
            "enable-ipv4" => truth(self.ipv4),
            "enable-ipv6" => truth(self.ipv6),
            "enable-host-firewall" => truth(self.host_firewall),
            "enable-node-selector-labels" => truth(self.node_selector_labels),
            "enable-non-default-deny-policies" => truth(self.non_default_deny),
            "enable-l7-proxy" => truth(self.l7_proxy),
            _ => truth(self.extended_ip_protocols),
        };
        text.to_owned()
    }

    /// Takes the options that another set was given.
    pub fn take(&mut self, other: &Self) {
        for option in &other.given {
            match option {
                OptionName::ClusterName => self.cluster_name.clone_from(&other.cluster_name),
                OptionName::DefaultLocalCluster => {
                    self.default_local_cluster = other.default_local_cluster;
                }
                OptionName::Enforcement => self.enforcement = other.enforcement,
                OptionName::AllowLocalhost => self.allow_localhost = other.allow_localhost,
                OptionName::Families => (self.ipv4, self.ipv6) = (other.ipv4, other.ipv6),
                OptionName::HostFirewall => self.host_firewall = other.host_firewall,
                OptionName::NodeSelectorLabels => {
                    self.node_selector_labels = other.node_selector_labels;
                }
                OptionName::NonDefaultDeny => self.non_default_deny = other.non_default_deny,
                OptionName::L7Proxy => self.l7_proxy = other.l7_proxy,
                OptionName::ExtendedIpProtocols => {
                    self.extended_ip_protocols = other.extended_ip_protocols;
                }
                OptionName::CidrMatchMode => self.cidr_match_nodes = other.cidr_match_nodes,
                OptionName::MinTtl => self.min_ttl = other.min_ttl,
                OptionName::IdleGrace => self.idle_grace = other.idle_grace,
            }
            self.given.insert(*option);
        }
    }

    /// The options with those of a `cilium-config` ConfigMap's `data` taken; what does not
    /// concern policies is passed over.
    ///
    /// # Errors
    /// [`OptionError::Value`] for a value an option does not have.
    pub fn with_config_map<'a>(
        mut self,
        data: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, OptionError> {
        for (name, value) in data {
            match self.set(name, value) {
                Ok(()) | Err(OptionError::Unknown(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self)
    }
}

fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

impl std::str::FromStr for Version {
    type Err = OptionError;

    /// Reads `1.19.4`, `v1.19.4`, `1.19`, and what follows a `-` or `+` is not looked at.
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let refused = || OptionError::Value {
            name: "cilium version",
            value: text.to_owned(),
            expected: "a release such as 1.19.4",
        };
        let plain = text.trim().trim_start_matches('v');
        let plain = plain.split(['-', '+']).next().unwrap_or_default();
        let mut parts = plain
            .split('.')
            .map(|part| part.parse().map_err(|_| refused()));
        let mut next = || parts.next().transpose();
        let (major, minor, patch) = (next()?, next()?, next()?);
        match (major, minor, parts.next()) {
            (Some(major), Some(minor), None) => Ok(Self {
                major,
                minor,
                patch: patch.unwrap_or_default(),
            }),
            _ => Err(refused()),
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_map_gives_what_concerns_policies() {
        let data = [
            ("cluster-name", "prod"),
            ("debug", "true"),
            ("enable-policy", "always"),
            ("policy-cidr-match-mode", "nodes"),
        ];
        let options = Options::default()
            .with_config_map(data.into_iter())
            .unwrap();
        assert_eq!(&*options.cluster_name, "prod");
        assert_eq!(options.enforcement, Enforcement::Always);
        assert!(options.cidr_match_nodes);
        assert_eq!(options.given.len(), 3);
    }

    #[test]
    fn what_was_given_is_given_again_by_its_settings() {
        let mut options = Options::default();
        for (name, value) in [
            ("cluster-name", "prod"),
            ("policy-default-local-cluster", "false"),
            ("enable-policy", "never"),
            ("allow-localhost", "policy"),
            ("enable-ipv6", "false"),
            ("enable-host-firewall", "true"),
            ("enable-node-selector-labels", "true"),
            ("enable-non-default-deny-policies", "false"),
            ("enable-l7-proxy", "false"),
            ("enable-extended-ip-protocols", "true"),
            ("policy-cidr-match-mode", "nodes"),
            ("tofqdns-min-ttl", "30"),
            ("tofqdns-idle-connection-grace-period", "1m30s"),
        ] {
            assert!(!options.settings().iter().any(|(known, _)| *known == name));
            options.set(name, value).unwrap();
            let mut again = Options::default();
            for (name, value) in options.settings() {
                again.set(name, &value).unwrap();
            }
            assert_eq!(again, options, "{name}");
        }
        assert!(Options::default().settings().is_empty());
    }

    #[test]
    fn a_value_that_is_none_is_refused_with_what_could_stand_there() {
        let error = Options::default().set("enable-ipv4", "maybe").unwrap_err();
        assert_eq!(
            error.to_string(),
            "enable-ipv4 is 'maybe', expected true or false"
        );
    }

    #[test]
    fn a_release_is_read_with_and_without_its_trimmings() {
        let version = |text: &str| text.parse::<Version>().map(|v| v.to_string());
        assert_eq!(version("v1.20.1+g7d68cfb3").unwrap(), "1.20.1");
        assert_eq!(version("1.19").unwrap(), "1.19.0");
        assert!(version("1").is_err());
        assert!(version("1.2.3.4").is_err());
        assert!(version("edge").is_err());
    }
}
