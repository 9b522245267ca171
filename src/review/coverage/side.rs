//! What policies do for one pod in one direction.
//!
//! Owns reading it from the entries that select the pod. What is below default deny may be
//! changed by a policy that could not be read; default deny itself may not: policies only
//! ever add to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Cover, Doubt, SideCover};
use crate::policy::{
    BroadThresholds, Cause, Compiled, Direction, Enforcement, IdentityIndex, L7Rules, OptionName,
    Options, PolicyEntry, PortRule, TaintScope,
};

/// Prefix of a namespace's labels in the identities of its pods.
const OF_NAMESPACE: &str = "io.cilium.k8s.namespace.labels.";
/// The one of these that every namespace has.
const NAME_OF_NAMESPACE: &str = "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name";

/// What all pods of a cluster are looked at with.
pub(super) struct Look<'a> {
    pub(super) compiled: &'a Compiled,
    pub(super) options: &'a Options,
    pub(super) strict: bool,
    pub(super) thresholds: BroadThresholds,
}

/// A pod, and what is not known about it.
pub(super) struct Asked<'a> {
    pub(super) index: IdentityIndex,
    pub(super) namespace: Option<&'a str>,
    /// Its namespace's labels are not known.
    pub(super) namespace_guessed: bool,
    /// Hubble named a policy that was not given.
    pub(super) not_loaded: bool,
}

impl Look<'_> {
    /// Looks at a pod in one direction.
    pub(super) fn side(&self, asked: &Asked<'_>, direction: Direction) -> SideCover {
        let set = self.compiled.set();
        let entries: Vec<&PolicyEntry> = self
            .compiled
            .selecting(asked.index, direction)
            .into_iter()
            .filter_map(|index| set.entries.get(index as usize))
            .collect();
        let mut side = SideCover {
            policies: entries
                .iter()
                .filter_map(|entry| set.objects.get(entry.object as usize))
                .map(|object| object.id.clone())
                .collect(),
            layer7: entries
                .iter()
                .filter(|entry| !entry.deny)
                .flat_map(|entry| &entry.ports)
                .filter_map(layer7)
                .collect(),
            ..SideCover::default()
        };
        for entry in &entries {
            let allows = !entry.deny && entry.peers.as_ref().is_none_or(|peers| !peers.is_empty());
            side.allows += u32::from(allows);
            side.broad += u32::from(allows && self.thresholds.is_broad(entry));
        }
        side.cover = self.cover(asked, direction, &entries, side.broad > 0);
        side
    }

    fn cover(
        &self,
        asked: &Asked<'_>,
        direction: Direction,
        entries: &[&PolicyEntry],
        broad: bool,
    ) -> Cover {
        if self.strict && !self.options.given.contains(&OptionName::Enforcement) {
            return unknown(Cause::OptionAssumed(OptionName::Enforcement));
        }
        if self.compiled.conflict(asked.index).is_some() {
            return unknown(Cause::RulesInConflict);
        }
        let below = match self.options.enforcement {
            Enforcement::Never if entries.is_empty() => return Cover::NotSelected,
            Enforcement::Never => return Cover::NoDefaultDeny,
            Enforcement::Always if broad => return Cover::Broad,
            Enforcement::Always => return Cover::DefaultDeny,
            Enforcement::Default if entries.iter().any(|entry| entry.default_deny) => {
                return if broad {
                    Cover::Broad
                } else {
                    Cover::DefaultDeny
                };
            }
            Enforcement::Default if entries.is_empty() => Cover::NotSelected,
            Enforcement::Default => Cover::NoDefaultDeny,
        };
        if let Some(doubt) = self.unread(asked.namespace) {
            Cover::Unknown(doubt)
        } else if asked.not_loaded {
            unknown(Cause::PolicyNotLoaded)
        } else if asked.namespace_guessed && self.asks_for_namespaces(direction) {
            unknown(Cause::NamespaceUnknown)
        } else {
            below
        }
    }

    /// The first thing unread that may be about pods of a namespace.
    fn unread(&self, namespace: Option<&str>) -> Option<Doubt> {
        let taints = &self.compiled.set().taints;
        let index = taints.iter().position(|taint| match &taint.scope {
            TaintScope::Everything => true,
            TaintScope::Namespace(name) => namespace == Some(&**name),
        })?;
        let place = taints
            .get(index)
            .map(|taint| Arc::from(format!("{}:{}", taint.file, taint.at.line)));
        Some(Doubt {
            cause: Cause::PolicyUnreadable(index as u32),
            place,
        })
    }

    /// Whether a policy selects pods by labels of their namespace.
    fn asks_for_namespaces(&self, direction: Direction) -> bool {
        self.compiled.set().entries.iter().any(|entry| {
            entry.direction == direction
                && entry
                    .subject
                    .selector
                    .requirements()
                    .map(|requirement| &*requirement.key.name)
                    .any(|name| name.starts_with(OF_NAMESPACE) && name != NAME_OF_NAMESPACE)
        })
    }
}

fn unknown(cause: Cause) -> Cover {
    Cover::Unknown(Doubt { cause, place: None })
}

/// What a rule looks at beyond ports.
fn layer7(rule: &PortRule) -> Option<&'static str> {
    Some(match &rule.l7 {
        Some(L7Rules::Http(_)) => "http",
        Some(L7Rules::Dns(_)) => "dns",
        Some(L7Rules::Kafka(_)) => "kafka",
        Some(L7Rules::Generic { .. }) => "generic",
        None if !rule.server_names.is_empty() => "tls",
        None if rule.terminating_tls.is_some() || rule.originating_tls.is_some() => "tls",
        None if rule.listener.is_some() => "envoy",
        None => return None,
    })
}

impl SideCover {
    /// Takes in another pod of the same workload: it is covered as well as the one that is
    /// covered least.
    pub(super) fn with(mut self, other: Self) -> Self {
        if other.cover.rank() < self.cover.rank() {
            self.cover = other.cover;
        }
        self.policies.extend(other.policies);
        self.layer7 = if self.layer7.is_empty() || other.layer7.is_empty() {
            BTreeSet::new()
        } else {
            &self.layer7 | &other.layer7
        };
        self.allows = self.allows.max(other.allows);
        self.broad = self.broad.max(other.broad);
        self
    }
}
