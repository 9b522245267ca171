//! Who a finding and an incident are about, and whether it is the same.
//!
//! Owns that comparison. A name outside is the same as its registered domain, an address the
//! same as a prefix around it: detectors sum up.

use ipnet::IpNet;
use serde_json::Value;

/// Somebody, as a file names them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    /// Namespace and name.
    Workload(String, String),
    /// A reserved identity; too many share it to be anybody.
    Entity(String),
    /// A DNS name.
    Name(String),
    Prefix(IpNet),
    /// Of a kind that is not compared.
    Other(String),
}

impl Party {
    /// `None` where there is nobody.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = text("name").to_owned();
        Some(match text("kind") {
            "" => return None,
            "workload" => Self::Workload(text("namespace").to_owned(), name),
            "entity" => Self::Entity(name),
            "name" => Self::Name(name.to_ascii_lowercase()),
            "prefix" => match name.parse().or_else(|_| {
                name.parse()
                    .map(|address: std::net::IpAddr| IpNet::from(address))
            }) {
                Ok(prefix) => Self::Prefix(prefix),
                Err(_) => Self::Other(name),
            },
            _ => Self::Other(name),
        })
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(two)) => {
                one == two || is_below(one, two) || is_below(two, one)
            }
            (Self::Prefix(one), Self::Prefix(two)) => one.contains(two) || two.contains(one),
            _ => self == other,
        }
    }

    /// Whether few enough share it that naming it means something.
    pub(super) fn is_somebody(&self) -> bool {
        !matches!(self, Self::Entity(_) | Self::Other(_))
    }

    pub(super) fn shown(&self) -> String {
        match self {
            Self::Workload(namespace, name) => format!("{namespace}/{name}"),
            Self::Entity(name) | Self::Name(name) | Self::Other(name) => name.clone(),
            Self::Prefix(prefix) => prefix.to_string(),
        }
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn party(kind: &str, name: &str) -> Party {
        Party::read(&json!({"kind": kind, "namespace": "shop", "name": name})).unwrap()
    }

    #[test]
    fn names_and_addresses_are_the_same_as_what_they_are_summed_up_to() {
        let name = party("name", "c2.cloudbase.test");
        assert!(name.is_same(&party("name", "cloudbase.test")));
        assert!(!name.is_same(&party("name", "base.test")));
        assert!(party("prefix", "192.0.2.7/32").is_same(&party("prefix", "192.0.2.0/24")));
        assert!(party("prefix", "192.0.2.7").is_same(&party("prefix", "192.0.2.0/24")));
        assert!(!party("prefix", "192.0.3.7/32").is_same(&party("prefix", "192.0.2.0/24")));
        assert!(party("workload", "web").is_same(&party("workload", "web")));
        assert!(!party("workload", "web").is_same(&party("name", "web")));
        assert!(!party("entity", "world").is_somebody());
        assert_eq!(Party::read(&Value::Null), None);
    }
}
