//! What is decided about one connection in one direction.
//!
//! Owns the answer's shape. How it comes about is `decide`'s.

use std::sync::Arc;

use super::cause::Cause;
use super::entry::AuthMode;
use super::options::OptionName;

/// What the policies of one end say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Passes.
    Allowed,
    /// Passes to a proxy, which decides about requests.
    Redirected,
    /// A deny rule covers it (drop reason 181).
    DeniedByRule,
    /// Nothing allows it (drop reason 133).
    DeniedByDefault,
    /// Passes, or is redirected, only with an authenticated session (drop reason 189).
    AuthRequired,
    /// Cannot be told.
    Unknown(Cause),
}

impl Verdict {
    /// Whether the connection passes, if only to a proxy or with an authenticated session.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::Allowed | Self::Redirected | Self::AuthRequired)
    }

    /// Whether policy refuses the connection.
    #[must_use]
    pub fn is_denied(self) -> bool {
        matches!(self, Self::DeniedByRule | Self::DeniedByDefault)
    }
}

/// Which kind of key decided: Hubble's `policy_match_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchKind {
    /// Nothing matched.
    #[default]
    None = 0,
    /// An identity, on every port.
    L3Only = 1,
    /// An identity and a port.
    L3L4 = 2,
    /// A port, for every identity.
    L4Only = 3,
    /// Everything.
    All = 4,
    /// An identity and a protocol.
    L3Protocol = 5,
    /// A protocol, for every identity.
    ProtocolOnly = 6,
}

/// The rules behind a decision; [`Compiled::rules`](super::Compiled::rules) resolves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RulesId(pub u32);

/// A proxy that connections are handed to; [`Compiled::redirect`](super::Compiled::redirect)
/// resolves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RedirectId(pub u32);

/// One direction's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// Policy is enforced for the subject in this direction.
    pub enforced: bool,
    /// What it comes to.
    pub verdict: Verdict,
    /// Authentication asked for; `Some` exactly with [`Verdict::AuthRequired`].
    pub auth: Option<AuthMode>,
    /// The authentication is taken over from a broader rule.
    pub auth_derived: bool,
    /// What kind of key decided.
    pub match_kind: MatchKind,
    /// The rules that decided.
    pub rules: RulesId,
    /// Where to, if to a proxy.
    pub redirect: Option<RedirectId>,
    /// An option nobody gave of which another value would give another verdict.
    pub assumed: Option<OptionName>,
}

impl Decision {
    /// A decision nothing decided.
    pub(crate) fn plain(enforced: bool, verdict: Verdict) -> Self {
        Self {
            enforced,
            verdict,
            auth: None,
            auth_derived: false,
            match_kind: MatchKind::None,
            rules: RulesId(0),
            redirect: None,
            assumed: None,
        }
    }

    /// As it is under `--strict`: what hangs on an assumed option is unknown.
    #[must_use]
    pub fn strict(self) -> Self {
        match self.assumed {
            Some(option) => Self {
                verdict: Verdict::Unknown(Cause::OptionAssumed(option)),
                ..self
            },
            None => self,
        }
    }
}

/// What looks at a redirected connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Parser {
    /// TLS, for its server name or to terminate it.
    Tls,
    /// An Envoy listener of one's own.
    Crd,
    /// HTTP.
    Http,
    /// Kafka.
    Kafka,
    /// DNS, in the agent itself.
    Dns,
    /// A parser of Envoy's Go extensions.
    Generic(Arc<str>),
}

impl Parser {
    /// Cilium's name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Tls => "tls",
            Self::Crd => "crd",
            Self::Http => "http",
            Self::Kafka => "kafka",
            Self::Dns => "dns",
            Self::Generic(name) => name,
        }
    }

    /// Its rank as a listener where none is written: lower goes first.
    pub(super) fn default_priority(&self) -> u8 {
        match self {
            Self::Http => 101,
            Self::Kafka => 106,
            Self::Generic(_) => 111,
            Self::Tls => 116,
            Self::Dns => 121,
            Self::Crd => 126,
        }
    }
}

/// Where a redirected connection goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Redirect {
    /// What looks at it.
    pub parser: Parser,
    /// The listener, `namespace/config/listener`, with an empty namespace where it is
    /// cluster-wide.
    pub listener: Option<Arc<str>>,
}

/// What stands behind a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// An entry of the policy set, by index.
    Entry(u32),
    /// The agent's own: the node's host reaches its endpoints.
    AllowLocalhost,
    /// The agent's own: nothing is enforced, or only rules without default deny apply.
    AllowAnyIngress,
    /// As above, for egress.
    AllowAnyEgress,
}

impl Origin {
    /// Cilium's name for what is the agent's own; `None` for a rule.
    #[must_use]
    pub fn reserved_name(self) -> Option<&'static str> {
        match self {
            Self::Entry(_) => None,
            Self::AllowLocalhost => Some("reserved:allow-localhost-ingress"),
            Self::AllowAnyIngress => Some("reserved:allow-any-ingress"),
            Self::AllowAnyEgress => Some("reserved:allow-any-egress"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strict_decision_is_unknown_where_an_option_was_assumed() {
        let mut decision = Decision::plain(true, Verdict::DeniedByDefault);
        assert_eq!(decision.strict(), decision);

        decision.assumed = Some(OptionName::AllowLocalhost);

        assert_eq!(
            decision.strict().verdict,
            Verdict::Unknown(Cause::OptionAssumed(OptionName::AllowLocalhost))
        );
    }
}
