//! What a detector says: who did what, how unlikely it is, and in which words.
//!
//! Owns the shape of an observation. How bad it is, and what story it belongs to, is
//! `finding`'s.

use std::fmt;
use std::sync::Arc;

use crate::baseline::Flagged;
use crate::connection::PeerId;
use crate::flow::{FlowReference, Protocol};

/// Which detector it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// D1: a destination in the cluster that was never called.
    NewEdge,
    /// D2: a destination outside that was never called.
    NewName,
    /// D3: a port of a known destination that was never called, or a new listener.
    NewPort,
    /// D4: the identity of another workload.
    NewIdentity,
    /// D5: what passed is denied, or the other way round.
    VerdictShift,
    /// D6: more, fewer, or slowly more connections than usual.
    Rate,
    /// D7: a scan.
    Scan,
    /// D8: new edges that follow each other.
    LateralPath,
    /// D9: calls as regular as a clock.
    Beacon,
    /// D10: data carried away in names.
    DnsExfiltration,
    /// D11: names that are made up.
    Dga,
    /// D12: DNS that goes round the cluster's.
    ResolverBypass,
    /// D15: a cloud's metadata service.
    Metadata,
    /// D16: the API server, a kubelet or etcd.
    ControlPlane,
    /// D17: a mining pool.
    Mining,
    /// D19: many denied connections.
    DeniedBurst,
    /// D21: what always came does not come.
    Silence,
    /// An edge that the baseline forbids.
    Forbidden,
    /// A rule that a user wrote.
    Rule,
    /// A list of known bad names and addresses.
    Listed,
}

impl Kind {
    /// All of them, in the order of their ids.
    pub const ALL: [Self; 20] = [
        Self::NewEdge,
        Self::NewName,
        Self::NewPort,
        Self::NewIdentity,
        Self::VerdictShift,
        Self::Rate,
        Self::Scan,
        Self::LateralPath,
        Self::Beacon,
        Self::DnsExfiltration,
        Self::Dga,
        Self::ResolverBypass,
        Self::Metadata,
        Self::ControlPlane,
        Self::Mining,
        Self::DeniedBurst,
        Self::Silence,
        Self::Forbidden,
        Self::Rule,
        Self::Listed,
    ];

    /// Its id in documents and findings.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::NewEdge => "D1",
            Self::NewName => "D2",
            Self::NewPort => "D3",
            Self::NewIdentity => "D4",
            Self::VerdictShift => "D5",
            Self::Rate => "D6",
            Self::Scan => "D7",
            Self::LateralPath => "D8",
            Self::Beacon => "D9",
            Self::DnsExfiltration => "D10",
            Self::Dga => "D11",
            Self::ResolverBypass => "D12",
            Self::Metadata => "D15",
            Self::ControlPlane => "D16",
            Self::Mining => "D17",
            Self::DeniedBurst => "D19",
            Self::Silence => "D21",
            Self::Forbidden => "F",
            Self::Rule => "R",
            Self::Listed => "L",
        }
    }

    /// Its name, in small letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NewEdge => "new-edge",
            Self::NewName => "new-name",
            Self::NewPort => "new-port",
            Self::NewIdentity => "new-identity",
            Self::VerdictShift => "verdict-shift",
            Self::Rate => "rate",
            Self::Scan => "scan",
            Self::LateralPath => "lateral-path",
            Self::Beacon => "beacon",
            Self::DnsExfiltration => "dns-exfiltration",
            Self::Dga => "dga",
            Self::ResolverBypass => "resolver-bypass",
            Self::Metadata => "metadata",
            Self::ControlPlane => "control-plane",
            Self::Mining => "mining",
            Self::DeniedBurst => "denied-burst",
            Self::Silence => "silence",
            Self::Forbidden => "forbidden",
            Self::Rule => "rule",
            Self::Listed => "listed",
        }
    }

    /// The kind of an id or a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.id() == text || kind.name() == text)
    }

    /// Techniques of MITRE ATT&CK it may be a sign of.
    #[must_use]
    pub fn attack(self) -> &'static [&'static str] {
        match self {
            Self::NewEdge => &["T1021", "T1210"],
            Self::NewName => &["T1071", "T1041", "T1567"],
            Self::NewPort => &["T1571"],
            Self::NewIdentity => &["T1036", "T1078"],
            Self::VerdictShift => &["T1562.007"],
            Self::Rate => &["T1498", "T1499.002"],
            Self::Scan => &["T1046", "T1018"],
            Self::LateralPath => &["T1021", "T1210", "T1570"],
            Self::Beacon => &["T1071.001", "T1029"],
            Self::DnsExfiltration => &["T1048.003", "T1071.004"],
            Self::Dga => &["T1568.002"],
            Self::ResolverBypass => &["T1071.004"],
            Self::Metadata => &["T1552.005"],
            Self::ControlPlane => &["T1613", "T1552.007"],
            Self::Mining => &["T1496"],
            Self::DeniedBurst => &["T1046"],
            Self::Silence => &["T1489", "T1562"],
            Self::Forbidden | Self::Rule | Self::Listed => &[],
        }
    }

    /// Whether it says no more than that something is there that was not before. While a
    /// baseline is learned that is what is learned, and no reason not to.
    #[must_use]
    pub fn is_novelty(self) -> bool {
        matches!(
            self,
            Self::NewEdge
                | Self::NewName
                | Self::NewPort
                | Self::ResolverBypass
                | Self::Metadata
                | Self::ControlPlane
                | Self::Mining
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was let pass.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Passed {
    /// It was let pass: anomalous and allowed is a gap of the policies.
    #[default]
    Allowed,
    /// It was denied: an attempt.
    Denied,
    /// Audit mode let pass what would have been denied.
    Audited,
    /// Some of both.
    Mixed,
}

impl Passed {
    /// Its name in findings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Audited => "audited",
            Self::Mixed => "mixed",
        }
    }

    /// What both together are.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Mixed }
    }
}

/// One thing that a detector saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Which detector.
    pub kind: Kind,
    /// Who did it.
    pub subject: PeerId,
    /// To whom, where it is one.
    pub peer: Option<PeerId>,
    /// On which port, where it is one.
    pub port: Option<(u16, Protocol)>,
    /// Beginning of what was seen, in nanoseconds since 1970 UTC.
    pub from: i64,
    /// Its end.
    pub to: i64,
    /// How probable something at least as unusual is when all is normal.
    pub p: f64,
    /// Whether `p` is a figure by decree, and not calibrated.
    pub fixed: bool,
    /// What was counted.
    pub observed: f64,
    /// What was to be expected of it.
    pub expected: f64,
    /// Of how many it was counted.
    pub n: u64,
    /// Sentences that say what happened, with numbers.
    pub evidence: Vec<String>,
    /// What would make it normal.
    pub normal: String,
    /// Flows that show it, at most three.
    pub samples: Vec<FlowReference>,
    /// Whether it was let pass.
    pub passed: Passed,
    /// Whether it passed because no policy, or only a broad rule, has a say in it.
    pub gap: bool,
    /// Policies that Hubble or the computed verdict names, sorted.
    pub policies: Vec<Arc<str>>,
    /// Rules behind the verdict, by file and line; none without policies.
    pub rules: Vec<RuleAt>,
    /// What its fingerprint is made of beside kind, subject, peer and port.
    pub key: String,
}

impl Observation {
    /// What it keeps from being learned.
    #[must_use]
    pub fn flagged(&self) -> Flagged {
        Flagged {
            subject: self.subject,
            peer: self.peer,
            port: self.port,
            novelty: self.kind.is_novelty(),
        }
    }
}

/// A rule of a policy and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleAt {
    /// `namespace/name` of the policy, or `name`.
    pub policy: Arc<str>,
    /// File, empty where it is from a cluster.
    pub file: Arc<str>,
    /// Line, from 1; 0 where it is not known.
    pub line: u32,
}

/// Why a detector cannot see, in whole or in part.
#[derive(Clone, Debug, PartialEq)]
pub struct Blindness {
    /// Which detector.
    pub kind: Kind,
    /// Why, as a fragment: `no DNS is visible for 3 of 12 workloads`.
    pub why: String,
    /// Share of what it is for that it cannot see, 0 to 1.
    pub share: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_lead_back_to_their_kind() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.id()), Some(kind));
            assert_eq!(Kind::parse(kind.name()), Some(kind));
        }
        assert_eq!(Kind::parse("D99"), None);
    }

    #[test]
    fn what_is_partly_denied_is_mixed() {
        assert_eq!(Passed::Denied.and(Passed::Denied), Passed::Denied);
        assert_eq!(Passed::Denied.and(Passed::Allowed), Passed::Mixed);
    }
}
