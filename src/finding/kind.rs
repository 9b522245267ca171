//! What each detector's findings are about: its name, its place in an attack, its techniques.
//!
//! Owns the catalogue: what is the same for all findings of a detector. What a detector
//! sees and how it counts is `detect`'s.
//!
//! Techniques are those of MITRE ATT&CK (Enterprise and Containers) that such a finding may
//! be part of; it proves none of them.

use serde::{Deserialize, Serialize};

use super::party::Party;

/// Where in an attack something stands, in the order of ATT&CK's tactics. What is no step of
/// an attack comes first and counts for no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tactic {
    /// Traffic that was normal and does not pass any more, or not as it should.
    Availability,
    /// What came with a change that was made on purpose.
    Change,
    /// Getting in.
    Access,
    /// Switching off or going around what protects.
    Evasion,
    /// Getting at secrets.
    Credentials,
    /// Finding out what is there.
    Discovery,
    /// From one workload to the next.
    Movement,
    /// Talking to whoever steers it.
    Control,
    /// Taking data out.
    Exfiltration,
    /// Using or damaging what is there.
    Impact,
}

/// An entry of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// The detector, `D1`.
    pub detector: &'static str,
    /// The kind of its findings, `new-edge`.
    pub name: &'static str,
    /// Its place in an attack.
    pub tactic: Tactic,
    /// Techniques it may be part of, the likeliest first.
    pub attack: &'static [&'static str],
    /// One sentence about what it says.
    pub summary: &'static str,
    /// A few words, for the title of an incident.
    pub phrase: &'static str,
    /// What the subject did: with a target in place of `{}`, and without one.
    did: [&'static str; 2],
    /// Whether it is about something never seen before: such findings come together with a
    /// release.
    pub novelty: bool,
    /// Whether it is about many targets at once: being denied is then no comfort.
    pub breadth: bool,
}

impl KindInfo {
    /// The entry of a kind or detector by its name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        KINDS
            .iter()
            .find(|kind| kind.name == name || kind.detector == name)
    }

    /// What a finding says in one line: `shop/web opened vault/vault:8200/TCP for the first
    /// time`.
    #[must_use]
    pub fn title(&self, subject: &Party, target: Option<&str>) -> String {
        let did = match target {
            Some(target) => self.did[0].replace("{}", target),
            None => self.did[1].to_owned(),
        };
        format!("{subject} {did}")
    }
}

/// Whether a port or an entity is one that an attacker wants: points to add, at most 2.
///
/// 2: metadata services, the API server, kubelets, etcd. 1: databases, secret stores, remote
/// administration.
#[must_use]
pub fn sensitivity(kind: &KindInfo, peer: Option<&Party>, port: Option<u16>) -> f64 {
    let entity = matches!(peer, Some(Party::Entity { name }) if name == "kube-apiserver");
    if matches!(kind.name, "metadata" | "control-plane") || entity {
        return 2.0;
    }
    let inside = matches!(peer, Some(Party::Workload { .. } | Party::Entity { .. }));
    match port {
        // Database and administration ports are of interest inside the cluster alone: what
        // is outside is judged by its name.
        _ if !inside => 0.0,
        Some(2379 | 2380 | 6443 | 10_250 | 10_255) => 2.0,
        Some(
            22 | 1433 | 1521 | 2375 | 2376 | 3306 | 3389 | 5432 | 5985 | 5986 | 6379 | 8200 | 9042
            | 9200 | 11_211 | 27_017,
        ) => 1.0,
        _ => 0.0,
    }
}

macro_rules! kinds {
    ($($detector:literal $name:literal $tactic:ident [$($attack:literal),*] $phrase:literal
        $did:literal / $alone:literal: $summary:literal $(, $flag:ident)*;)*) => {
        /// Every kind: the detectors by number, then what comes without one.
        pub static KINDS: &[KindInfo] = &[$(KindInfo {
            detector: $detector,
            name: $name,
            tactic: Tactic::$tactic,
            attack: &[$($attack),*],
            summary: $summary,
            phrase: $phrase,
            did: [$did, $alone],
            $($flag: true,)*
            ..PLAIN
        },)*];
    };
}

const PLAIN: KindInfo = KindInfo {
    detector: "",
    name: "",
    tactic: Tactic::Change,
    attack: &[],
    summary: "",
    phrase: "",
    did: ["", ""],
    novelty: false,
    breadth: false,
};

kinds! {
    "D1" "new-edge" Movement ["T1021", "T1210", "T1046"] "a new edge"
        "opened {} for the first time" / "opened an edge for the first time":
        "A workload talks to another one for the first time.", novelty;
    "D2" "new-name" Control ["T1071", "T1041", "T1567", "T1105"] "a new destination outside"
        "contacted {}, which it never did" / "contacted a new destination outside":
        "A workload talks to a name or network outside the cluster for the first time.", novelty;
    "D3" "new-port" Movement ["T1571"] "a new port"
        "uses {}, a port never seen there" / "listens on a port never seen there":
        "A known pair uses another port, or a workload listens on a new one.", novelty;
    "D4" "new-identity" Evasion ["T1036", "T1078"] "changed labels"
        "has other labels towards {}" / "has other labels than ever before":
        "The labels of a workload changed without a release, or are those of another one.";
    "D5" "verdict-shift" Availability ["T1562.007"] "changed verdicts"
        "is denied {}, which was allowed" / "is denied what was allowed":
        "An edge that was allowed is denied now, or the other way round.";
    "D6" "rate" Impact ["T1498", "T1499.002"] "an unusual rate"
        "opens connections to {} at another rate than usual" / "opens connections at another rate than usual":
        "Connections are many more or many fewer than usual at this hour.";
    "D7" "scan" Discovery ["T1046", "T1018", "T1595.001"] "a scan"
        "tries many ports or addresses of {}" / "tries many ports or addresses":
        "A workload tries one target after the other, and most of them fail.", breadth;
    "D8" "lateral-path" Movement ["T1021", "T1210", "T1570"] "a path of new edges"
        "is part of a path of new edges to {}" / "is part of a path of new edges":
        "New edges follow each other from workload to workload.";
    "D9" "beacon" Control ["T1071.001", "T1029", "T1571"] "regular callbacks"
        "calls {} in a rhythm" / "calls out in a rhythm":
        "A workload calls a rare or new destination at regular intervals.";
    "D10" "dns-exfiltration" Exfiltration ["T1048.003", "T1071.004", "T1572"] "data in DNS names"
        "asks for ever new names below {}" / "asks for ever new names":
        "The names a workload asks for below one domain carry much information.";
    "D11" "dga" Control ["T1568.002"] "names that do not exist"
        "asks for many domains that do not exist, at {}" / "asks for many domains that do not exist":
        "A workload asks for many registered domains that do not exist.", breadth;
    "D12" "resolver-bypass" Evasion ["T1071.004"] "DNS around the cluster"
        "sends DNS to {}" / "sends DNS to others than the cluster's resolver":
        "DNS goes to another server than the cluster's own.";
    "D13" "exfiltration" Exfiltration ["T1041", "T1048", "T1030"] "long connections outside"
        "is busy with {} for unusually long" / "is busy outside for unusually long":
        "A new destination outside is talked to for long; how much is not known.";
    "D14" "http" Access ["T1190", "T1595.002", "T1110"] "unusual requests"
        "asks {} for what it never asked" / "asks for what it never asked":
        "Requests fail more than usual, or are of a kind never seen.";
    "D15" "metadata" Credentials ["T1552.005"] "access to cloud metadata"
        "asked the metadata service {}" / "asked the metadata service":
        "A workload talks to the cloud's metadata service, which it never did.";
    "D16" "control-plane" Discovery ["T1613", "T1552.007"] "access to the control plane"
        "asked for {} of the control plane" / "asked for the control plane":
        "A workload talks to the API server, a kubelet or etcd, which it never did.";
    "D17" "mining" Impact ["T1496"] "a mining pool"
        "contacted {}, as miners do" / "contacted a mining pool":
        "A destination outside has a port or name of mining pools.";
    "D18" "tcp-abuse" Impact ["T1498.001", "T1046"] "broken TCP"
        "sends {} TCP that no client sends" / "sends TCP that no client sends":
        "Many connections are never completed, or have flags that no client sends.", breadth;
    "D19" "denied-burst" Discovery ["T1046"] "a burst of denials"
        "is denied many times, most at {}" / "is denied many times":
        "Many more connections of a workload are denied than usual.", breadth;
    "D20" "revival" Access ["T1078", "T1133"] "a revived edge"
        "talks to {} again after a long time" / "is active again after a long time":
        "Something that was silent for weeks is active again.";
    "D21" "silence" Availability ["T1489", "T1562"] "silence"
        "does not talk to {} any more" / "is silent":
        "Traffic that always came does not come, and nothing was lost.";
    "D22" "plain-text" Evasion ["T1557"] "unencrypted traffic"
        "talks to {} without encryption" / "talks without encryption":
        "Traffic between two nodes was encrypted, and is not any more.";
    "F" "forbidden" Movement ["T1021"] "a forbidden edge"
        "called {}, which the baseline forbids" / "did what the baseline forbids":
        "An edge that somebody forbade in the baseline is used.";
    "R" "rule" Change [] "a rule of yours"
        "fits one of your rules, with {}" / "fits one of your rules":
        "A rule that was written for this cluster fits.";
    "L" "listed" Control ["T1071"] "a listed destination"
        "contacted {}, which is on a list" / "contacted a destination on a list":
        "A destination is on a list of domains or networks that was given.";
    "E" "release" Change [] "new edges with a release"
        "talks to others since its release, among them {}" / "talks to others since its release":
        "Edges that came within an hour of a release, told once.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_names_of_their_own_and_techniques_that_look_like_some() {
        let mut names: Vec<&str> = KINDS
            .iter()
            .flat_map(|kind| [kind.detector, kind.name])
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        for kind in KINDS {
            assert!(kind.did[0].contains("{}"), "{}", kind.name);
            for technique in kind.attack {
                let digits = technique.strip_prefix('T').unwrap().replace('.', "");
                assert!(
                    digits.bytes().all(|byte| byte.is_ascii_digit()),
                    "{technique}"
                );
                assert!(matches!(digits.len(), 4 | 7), "{technique}");
            }
        }
        for number in 1..=22 {
            assert!(KindInfo::of(&format!("D{number}")).is_some(), "D{number}");
        }
    }

    #[test]
    fn a_database_inside_is_sensitive_and_one_outside_is_judged_by_its_name() {
        let edge = KindInfo::of("new-edge").unwrap();
        let inside = Party::workload("", "data", "StatefulSet", "postgres");
        let outside = Party::Name {
            name: "db.example".into(),
        };
        let server = Party::Entity {
            name: "kube-apiserver".into(),
        };
        assert_eq!(sensitivity(edge, Some(&inside), Some(5432)), 1.0);
        assert_eq!(sensitivity(edge, Some(&inside), Some(8080)), 0.0);
        assert_eq!(sensitivity(edge, Some(&outside), Some(5432)), 0.0);
        assert_eq!(sensitivity(edge, Some(&server), Some(443)), 2.0);
        assert_eq!(sensitivity(KindInfo::of("D15").unwrap(), None, None), 2.0);
    }
}
