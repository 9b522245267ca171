//! Who a finding is about, as it is written down.
//!
//! Owns the form of peers in findings and their names for people. Who somebody is was
//! decided where flows were folded.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::connection::Peer;

/// A workload, an entity, a name or a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Party {
    /// Pods of one owner.
    Workload {
        /// Cluster, empty where flows do not say.
        #[serde(default)]
        cluster: String,
        /// Namespace.
        namespace: String,
        /// Kind of the owner, empty where it is not known.
        #[serde(default)]
        workload_kind: String,
        /// Name of the owner.
        name: String,
    },
    /// A reserved identity; `unknown` and `others` where flows or bounds say no more.
    Entity {
        /// Its name, without `reserved:`.
        name: String,
    },
    /// A name that DNS gave, or a registered domain.
    Name {
        /// Lower case, no last dot.
        name: String,
    },
    /// A network outside of which no name is known.
    Prefix {
        /// `192.0.2.0/24`.
        name: String,
    },
}

impl Party {
    /// A workload.
    #[must_use]
    pub fn workload(cluster: &str, namespace: &str, kind: &str, name: &str) -> Self {
        Self::Workload {
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
            workload_kind: kind.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Whether it is so general that two findings about it need not have anything to do with
    /// each other.
    #[must_use]
    pub fn is_general(&self) -> bool {
        match self {
            Self::Entity { name } => name != "kube-apiserver",
            Self::Workload { name, .. } => name.is_empty(),
            Self::Name { .. } | Self::Prefix { .. } => false,
        }
    }

    /// Whether it is outside the cluster.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        match self {
            Self::Name { .. } | Self::Prefix { .. } => true,
            Self::Entity { name } => name == "world",
            Self::Workload { .. } => false,
        }
    }

    /// What makes it the same one in every run: its parts without the kind of the owner,
    /// which flows do not always say.
    pub(super) fn parts(&self) -> [&str; 4] {
        match self {
            Self::Workload {
                cluster,
                namespace,
                name,
                ..
            } => ["workload", cluster, namespace, name],
            Self::Entity { name } => ["entity", name, "", ""],
            Self::Name { name } => ["name", name, "", ""],
            Self::Prefix { name } => ["prefix", name, "", ""],
        }
    }
}

impl From<&Peer> for Party {
    fn from(peer: &Peer) -> Self {
        match peer {
            Peer::Workload {
                cluster,
                namespace,
                kind,
                name,
            } => Self::workload(cluster, namespace, kind, name),
            Peer::Entity(name) => Self::Entity {
                name: name.to_string(),
            },
            Peer::Name(name) => Self::Name {
                name: name.to_string(),
            },
            Peer::Prefix(net) => Self::Prefix {
                name: net.to_string(),
            },
            Peer::Unknown => Self::Entity {
                name: "unknown".to_owned(),
            },
            Peer::Others => Self::Entity {
                name: "others".to_owned(),
            },
        }
    }
}

impl fmt::Display for Party {
    /// `shop/checkout`, `world`, `api.example.com`, `192.0.2.0/24`; an address alone where
    /// the prefix is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload {
                namespace, name, ..
            } => {
                let name = if name.is_empty() { "?" } else { name };
                if namespace.is_empty() {
                    f.write_str(name)
                } else {
                    write!(f, "{namespace}/{name}")
                }
            }
            Self::Entity { name } | Self::Name { name } => f.write_str(name),
            Self::Prefix { name } => f.write_str(
                name.strip_suffix("/32")
                    .or_else(|| name.strip_suffix("/128"))
                    .unwrap_or(name),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_written_as_it_is_shown() {
        for peer in [
            Peer::Workload {
                cluster: "c".into(),
                namespace: "shop".into(),
                kind: "Deployment".into(),
                name: "checkout".into(),
            },
            Peer::Entity("world".into()),
            Peer::Name("api.example.com".into()),
            Peer::Prefix("192.0.2.7/32".parse().unwrap()),
            Peer::Prefix("2001:db8::/48".parse().unwrap()),
            Peer::Unknown,
            Peer::Others,
        ] {
            assert_eq!(Party::from(&peer).to_string(), peer.to_string());
        }
    }

    #[test]
    fn the_form_is_that_of_the_contract() {
        let party = Party::workload("c", "shop", "Deployment", "web");
        let text = serde_json::to_string(&party).unwrap();
        assert_eq!(
            text,
            r#"{"kind":"workload","cluster":"c","namespace":"shop","workload_kind":"Deployment","name":"web"}"#
        );
        assert_eq!(serde_json::from_str::<Party>(&text).unwrap(), party);
        let prefix = Party::Prefix {
            name: "192.0.2.0/24".into(),
        };
        assert_eq!(
            serde_json::to_string(&prefix).unwrap(),
            r#"{"kind":"prefix","name":"192.0.2.0/24"}"#
        );
    }
}
