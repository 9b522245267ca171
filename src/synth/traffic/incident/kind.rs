//! The kinds of incidents.
//!
//! Owns their names, the techniques of ATT&CK they stand for, the detectors they are made to
//! try, and which knobs each has.

/// A kind of incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Vertical scan: many ports of one pod.
    A1,
    /// Horizontal scan: few ports of many addresses, or names.
    A2,
    /// Lateral path over several workloads.
    A3,
    /// Beacon to a server outside.
    A4,
    /// Data in DNS queries.
    A5,
    /// Generated domains that do not exist.
    A6,
    /// Data to a new server outside.
    A7,
    /// The cloud's metadata service.
    A8,
    /// API server and kubelets.
    A9,
    /// Mining.
    A10,
    /// Guessed passwords or paths.
    A11,
    /// Flood of SYN packets.
    A12,
    /// Slow growth, or a scan spread over replicas and hours.
    A13,
    /// A workload falls silent.
    A14,
    /// A beacon or metadata access that is there while the baseline is learned.
    A15,
    /// A pod with labels or a service account that are not its own.
    A16,
    /// Metadata, scan, lateral path, then data in DNS.
    A17,
}

/// What is known of a kind.
struct About {
    name: &'static str,
    title: &'static str,
    attack: &'static [&'static str],
    detectors: &'static [&'static str],
    knobs: &'static [&'static str],
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::A1,
        Self::A2,
        Self::A3,
        Self::A4,
        Self::A5,
        Self::A6,
        Self::A7,
        Self::A8,
        Self::A9,
        Self::A10,
        Self::A11,
        Self::A12,
        Self::A13,
        Self::A14,
        Self::A15,
        Self::A16,
        Self::A17,
    ];

    /// The kind of a name such as `A4`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// `A4`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.about().name
    }

    /// What it is, in a few words.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.about().title
    }

    /// Techniques of MITRE ATT&CK.
    #[must_use]
    pub fn attack(self) -> &'static [&'static str] {
        self.about().attack
    }

    /// Detectors it is made to try.
    #[must_use]
    pub fn detectors(self) -> &'static [&'static str] {
        self.about().detectors
    }

    /// Knobs that a world file can set.
    #[must_use]
    pub fn knobs(self) -> &'static [&'static str] {
        self.about().knobs
    }

    fn about(self) -> &'static About {
        &ABOUT[self as usize]
    }
}

const fn about(
    name: &'static str,
    title: &'static str,
    attack: &'static [&'static str],
    detectors: &'static [&'static str],
    knobs: &'static [&'static str],
) -> About {
    About {
        name,
        title,
        attack,
        detectors,
        knobs,
    }
}

/// In the order of [`Kind::ALL`].
const ABOUT: [About; 17] = [
    about(
        "A1",
        "vertical scan",
        &["T1046"],
        &["D7", "D19"],
        &["rate", "ports"],
    ),
    about(
        "A2",
        "horizontal scan",
        &["T1046", "T1018"],
        &["D7", "D19"],
        &["variant", "rate", "addresses", "ports", "vacant"],
    ),
    about(
        "A3",
        "lateral path",
        &["T1021", "T1210"],
        &["D1", "D3", "D8"],
        &["hops", "dwell", "port", "connections"],
    ),
    about(
        "A4",
        "beacon",
        &["T1071.001"],
        &["D9", "D2"],
        &["period", "jitter", "miss", "growing", "bare", "callbacks"],
    ),
    about(
        "A5",
        "data in DNS",
        &["T1048.003", "T1071.004"],
        &["D10"],
        &["rate", "bytes", "encoding", "type", "domains", "bypass"],
    ),
    about(
        "A6",
        "generated domains",
        &["T1568.002"],
        &["D11"],
        &["rate", "length", "search"],
    ),
    about(
        "A7",
        "data to a new server",
        &["T1041", "T1567"],
        &["D2", "D13"],
        &["variant", "length", "rate", "bare"],
    ),
    about(
        "A8",
        "metadata service",
        &["T1552.005"],
        &["D15"],
        &["requests", "gap"],
    ),
    about(
        "A9",
        "API server and kubelets",
        &["T1613"],
        &["D16"],
        &["calls", "length", "kubelets"],
    ),
    about(
        "A10",
        "mining",
        &["T1496"],
        &["D17", "D2", "D13"],
        &["port", "listed", "length"],
    ),
    about(
        "A11",
        "guessing",
        &["T1110", "T1595.002"],
        &["D14"],
        &["variant", "rate", "requests"],
    ),
    about(
        "A12",
        "flood",
        &["T1498.001"],
        &["D18"],
        &["variant", "rate", "length"],
    ),
    about(
        "A13",
        "slow growth",
        &["T1030"],
        &["D6", "D7"],
        &["variant", "factor", "length", "gap"],
    ),
    about("A14", "silence", &["T1489"], &["D21"], &["length"]),
    about(
        "A15",
        "poisoned baseline",
        &["T1071.001", "T1552.005"],
        &["D9", "D2", "D15"],
        &["behaviour", "share", "training", "period", "jitter"],
    ),
    about(
        "A16",
        "masquerade",
        &["T1036"],
        &["D4", "D1"],
        &["length", "calls"],
    ),
    about(
        "A17",
        "kill chain",
        &["T1552.005", "T1046", "T1021", "T1048.003"],
        &["D15", "D7", "D1", "D10"],
        &["length"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_row() {
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            assert_eq!(kind.name(), format!("A{}", number + 1));
            assert_eq!(Kind::named(kind.name()), Some(kind));
            assert!(!kind.attack().is_empty() && !kind.detectors().is_empty());
        }
        assert_eq!(Kind::named("A18"), None);
    }
}
