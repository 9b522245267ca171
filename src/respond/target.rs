//! Whom a response is about.
//!
//! Owns the ways to name somebody, and what each means. Who is meant of those that are
//! known is `known`'s.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// Whom a response is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// One pod.
    Pod {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// All pods of a workload.
    Workload {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name, as reports have it.
        name: Arc<str>,
    },
    /// All pods of a numeric identity.
    Identity(u32),
    /// A node, and by it what is on the node's own network.
    Node(Arc<str>),
    /// All pods of a namespace.
    Namespace(Arc<str>),
    /// What is outside, by address or prefix.
    Address(IpNet),
    /// What is outside, by the name DNS gives for it: lower case, no last dot.
    Name(Arc<str>),
}

/// A text that names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is no target: expected a workload or pod (shop/checkout), a namespace (shop/*), identity:NUMBER, node:NAME, an address or prefix, or a DNS name"
)]
pub struct TargetError {
    /// What was given.
    pub text: String,
}

impl Target {
    /// Reads a target. `shop/checkout` is a workload; whether it is a pod is told by who is
    /// known, see [`Known::settle`](super::Known::settle). A kind may be put before it:
    /// `pod:`, `workload:`, `namespace:`, `node:`, `identity:`, `address:`, `name:`.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        let wrong = || TargetError {
            text: text.to_owned(),
        };
        if let Some(prefix) = prefix(text) {
            return Ok(Self::Address(prefix));
        }
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, rest),
            None => ("", text),
        };
        let pair = || {
            let (namespace, name) = rest.split_once('/')?;
            (is_name(namespace) && is_name(name)).then(|| (namespace.into(), name.into()))
        };
        let found = match kind {
            "pod" => pair().map(|(namespace, name)| Self::Pod { namespace, name }),
            "workload" | "deployment" | "statefulset" | "daemonset" => {
                pair().map(|(namespace, name)| Self::Workload { namespace, name })
            }
            "namespace" | "ns" => is_name(rest).then(|| Self::Namespace(rest.into())),
            "node" => is_name(rest).then(|| Self::Node(rest.into())),
            "identity" => rest.parse().ok().map(Self::Identity),
            "address" => prefix(rest).map(Self::Address),
            "name" => dns_name(rest).map(Self::Name),
            "" => match rest.strip_suffix("/*") {
                Some(namespace) => is_name(namespace).then(|| Self::Namespace(namespace.into())),
                None if rest.contains('/') => {
                    pair().map(|(namespace, name)| Self::Workload { namespace, name })
                }
                None if rest.contains('.') => dns_name(rest).map(Self::Name),
                None => None,
            },
            _ => None,
        };
        found.ok_or_else(wrong)
    }

    /// Whether it is outside the cluster.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        matches!(self, Self::Address(_) | Self::Name(_))
    }

    /// The namespace it is in, where it is in one.
    #[must_use]
    pub fn namespace(&self) -> Option<&Arc<str>> {
        match self {
            Self::Pod { namespace, .. }
            | Self::Workload { namespace, .. }
            | Self::Namespace(namespace) => Some(namespace),
            _ => None,
        }
    }

    /// What kind of thing it is, for people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pod { .. } => "pod",
            Self::Workload { .. } => "workload",
            Self::Identity(_) => "identity",
            Self::Node(_) => "node",
            Self::Namespace(_) => "namespace",
            Self::Address(_) => "address",
            Self::Name(_) => "name",
        }
    }
}

impl fmt::Display for Target {
    /// `shop/checkout`, `identity 4711`, `node worker-2`, `shop/*`, `192.0.2.7`, a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { namespace, name } | Self::Workload { namespace, name } => {
                write!(f, "{namespace}/{name}")
            }
            Self::Identity(number) => write!(f, "identity {number}"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Namespace(namespace) => write!(f, "{namespace}/*"),
            Self::Address(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => {
                write!(f, "{}", prefix.addr())
            }
            Self::Address(prefix) => write!(f, "{prefix}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

fn prefix(text: &str) -> Option<IpNet> {
    let prefix: Option<IpNet> = text.parse().ok();
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    prefix.map(|prefix| prefix.trunc()).or_else(address)
}

fn dns_name(text: &str) -> Option<Arc<str>> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    (name.contains('.') && name.split('.').all(is_label)).then(|| name.into())
}

/// Whether a text can be the name of an object.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_people_write_it_and_shown_so() {
        let workload = Target::Workload {
            namespace: "shop".into(),
            name: "checkout".into(),
        };
        for (text, wanted, shown) in [
            ("shop/checkout", workload.clone(), "shop/checkout"),
            ("deployment:shop/checkout", workload, "shop/checkout"),
            (
                "pod:shop/checkout-0",
                Target::Pod {
                    namespace: "shop".into(),
                    name: "checkout-0".into(),
                },
                "shop/checkout-0",
            ),
            ("shop/*", Target::Namespace("shop".into()), "shop/*"),
            (
                "node:worker-2",
                Target::Node("worker-2".into()),
                "node worker-2",
            ),
            ("identity:4711", Target::Identity(4711), "identity 4711"),
            (
                "192.0.2.7",
                Target::Address("192.0.2.7/32".parse().unwrap()),
                "192.0.2.7",
            ),
            (
                "192.0.2.7/24",
                Target::Address("192.0.2.0/24".parse().unwrap()),
                "192.0.2.0/24",
            ),
            (
                "2001:db8::1",
                Target::Address("2001:db8::1/128".parse().unwrap()),
                "2001:db8::1",
            ),
            (
                "Q7x2-Sync.edge.example.",
                Target::Name("q7x2-sync.edge.example".into()),
                "q7x2-sync.edge.example",
            ),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(target, wanted, "{text}");
            assert_eq!(target.to_string(), shown);
        }
    }

    #[test]
    fn what_names_nobody_is_refused_with_its_text() {
        for text in [
            "",
            "checkout",
            "shop/",
            "/x",
            "identity:x",
            "shop/a b",
            "colour:red",
            "a..b",
        ] {
            assert_eq!(
                Target::parse(text),
                Err(TargetError {
                    text: text.to_owned()
                }),
                "{text}"
            );
        }
    }
}
