//! Which rules another release of Cilium decides otherwise.
//!
//! Owns the list, each with its source. What is modelled under its own version (the
//! NetworkPolicy defect of 1.19.0 to 1.19.4, `**.` in names before 1.19) is where it acts;
//! here is what is not, and so leaves verdicts unknown.

use super::entry::{Direction, L7Rules, PolicyEntry, Port};
use super::options::Version;
use super::selector::{CidrGroups, Operator, PeerSelector};

/// Releases whose rules are the same as far as they are modelled, but for the list below.
/// Older ones select by requirements over all rules, newer ones are not known.
const NEIGHBOURS: [u16; 4] = [17, 18, 19, 20];

impl Version {
    /// Whether it is the release that is modelled.
    #[must_use]
    pub fn is_modelled(self) -> bool {
        (self.major, self.minor) == (1, 19)
    }

    /// Whether an entry may mean something else in this release.
    #[must_use]
    pub fn differs(self, entry: &PolicyEntry) -> bool {
        if self.is_modelled() {
            return false;
        }
        if self.major != 1 || !NEIGHBOURS.contains(&self.minor) {
            return true;
        }
        let newer = self.minor > 19;
        let ports = || entry.ports.iter().flat_map(|rule| &rule.ports);
        // Since 1.20 a port's name on egress is that of the destination's own pod.
        let named = newer
            && entry.direction == Direction::Egress
            && ports().any(|port| matches!(port.port, Port::Name(_)));
        // Kafka rules are gone in 1.20.
        let kafka = newer
            && entry
                .ports
                .iter()
                .any(|rule| matches!(rule.l7, Some(L7Rules::Kafka(_))));
        // Since 1.20 a negative selector of CIDR groups asks for an address outside too.
        let groups = newer
            && entry.peers.iter().flatten().any(|peer| match peer {
                PeerSelector::CidrGroups {
                    groups: CidrGroups::Selected(selector),
                    ..
                } => selector.requirements().all(|requirement| {
                    matches!(
                        requirement.operator,
                        Operator::NotIn | Operator::DoesNotExist
                    )
                }),
                _ => false,
            });
        named || kafka || groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_modelled_release_and_its_neighbours_are_known() {
        let release = |text: &str| text.parse::<Version>().unwrap();
        assert!(release("1.19.0").is_modelled());
        assert!(!release("1.20.1").is_modelled());
        let entry = PolicyEntry {
            object: 0,
            rule: super::super::RulePlace {
                spec: None,
                section: super::super::Section::Egress,
                element: 0,
                peer: None,
                at: crate::manifest::Place::default(),
            },
            subject: super::super::Subject {
                selector: super::super::LabelSelector::default(),
                node: false,
            },
            direction: Direction::Egress,
            deny: false,
            default_deny: true,
            peers: None,
            ports: Vec::new(),
            auth: None,
            service_missing: false,
        };
        assert!(!release("1.19.2").differs(&entry));
        assert!(!release("1.18.0").differs(&entry));
        assert!(release("1.15.0").differs(&entry));
        assert!(release("1.21.0").differs(&entry));
    }
}
