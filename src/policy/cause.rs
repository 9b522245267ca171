//! Why a verdict is not known, and what would make it known.
//!
//! Owns the list. A guess is a bug: whatever cannot be told from what was given has one of
//! these, and each says what to give.

use std::fmt;

use super::options::OptionName;

/// Why a verdict is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// The flow carries no labels of one end, so selectors cannot be asked.
    NoLabels,
    /// A rule names a port, and the pods that could define it are not known.
    NamedPort,
    /// A rule is about DNS names, and none that fits was observed for the address.
    NameNotObserved,
    /// A rule is about a Service that was not given.
    ServiceNotGiven,
    /// The namespace of the subject is not known.
    NamespaceUnknown,
    /// Something among the policies could not be read; the index of the taint in the set.
    PolicyUnreadable(u32),
    /// Hubble names a policy that was not given.
    PolicyNotLoaded,
    /// The verdict hangs on an option nobody gave, and strictness was asked for.
    OptionAssumed(OptionName),
    /// A dropped packet may be a reply, which policies do not decide.
    MayBeReply,
    /// The request is not in the flow, or nobody can judge its protocol from outside.
    L7NotVisible,
    /// An expression cannot be evaluated as RE2 would.
    Pattern,
    /// A pattern that a redaction took out of the policies takes part.
    Redacted,
    /// The rules that meet at the subject contradict each other: Cilium cannot compute its
    /// policy and keeps the one before.
    RulesInConflict,
    /// A policy of a kind that is not modelled takes part.
    KindNotModelled,
    /// Another release decides this otherwise, in a way that is not modelled.
    Version,
}

impl Cause {
    /// A stable name, for reports and counts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoLabels => "no labels",
            Self::NamedPort => "named port without pod spec",
            Self::NameNotObserved => "name never observed",
            Self::ServiceNotGiven => "service not given",
            Self::NamespaceUnknown => "namespace unknown",
            Self::PolicyUnreadable(_) => "policy unreadable",
            Self::PolicyNotLoaded => "policy not loaded",
            Self::OptionAssumed(_) => "option assumed",
            Self::MayBeReply => "may be a reply",
            Self::L7NotVisible => "L7 not visible",
            Self::Pattern => "pattern",
            Self::Redacted => "redacted",
            Self::RulesInConflict => "rules in conflict",
            Self::KindNotModelled => "kind not modelled",
            Self::Version => "version",
        }
    }

    /// What to give or change so that the verdict becomes known: one sentence.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::NoLabels => {
                "record flows with the labels of both ends, or give the pods' manifests"
            }
            Self::NamedPort => "give the manifests of the pods that define the named port",
            Self::NameNotObserved => {
                "record the DNS of the node too, without a hole and for longer than answers are kept"
            }
            Self::ServiceNotGiven => "give the manifests of the Services that rules refer to",
            Self::NamespaceUnknown => "give the namespace, or record flows that carry it",
            Self::PolicyUnreadable(_) => "mend or render the file that could not be read",
            Self::PolicyNotLoaded => "give the policy that the flows name",
            Self::OptionAssumed(_) => "give the agent's option",
            Self::MayBeReply => "record policy verdict events, which say who opened a connection",
            Self::L7NotVisible => "turn on L7 visibility, or record the L7 flows",
            Self::Pattern => "write the expression within RE2's limits",
            Self::Redacted => "ask whoever has the policies before they were redacted",
            Self::RulesInConflict => {
                "make the rules that meet on one port and selector agree on how to treat it"
            }
            Self::KindNotModelled => "give the same rules as a kind that is modelled",
            Self::Version => "run the release that policies are modelled for, or give its number",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Self::OptionAssumed(option) = self {
            write!(f, ": {}", option.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assumed_option_is_named() {
        let cause = Cause::OptionAssumed(OptionName::HostFirewall);
        assert_eq!(cause.to_string(), "option assumed: enable-host-firewall");
    }
}
