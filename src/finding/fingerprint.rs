//! Names of findings and incidents that are the same in every run.
//!
//! Owns what goes into them: no times for findings, no order, no counts. FNV-1a over the
//! parts, as 16 hexadecimal digits.

use super::kind::KindInfo;
use super::party::Party;
use crate::flow::{Fnv, Protocol};

/// The fingerprint of a finding: kind, subject, peer, port and what else tells it apart.
///
/// Clusters are in it, kinds of owners are not: flows do not always say them.
#[must_use]
pub fn fingerprint(
    kind: &KindInfo,
    subject: &Party,
    peer: Option<&Party>,
    port: Option<(u16, Protocol)>,
    key: &str,
) -> String {
    let mut hash = Fnv::default();
    hash.add(kind.name.as_bytes());
    for part in subject.parts() {
        hash.add(part.as_bytes());
    }
    for part in peer.map(Party::parts).unwrap_or_default() {
        hash.add(part.as_bytes());
    }
    let (number, protocol) = port.map_or((0, ""), |(number, protocol)| (number, protocol.name()));
    hash.add(&number.to_le_bytes());
    hash.add(protocol.as_bytes());
    hash.add(key.as_bytes());
    format!("{:016x}", hash.value())
}

/// The name of an incident: its first finding, and when that began.
#[must_use]
pub(super) fn incident_id(finding: &str, first: i64) -> String {
    let mut hash = Fnv::default();
    hash.add(b"incident");
    hash.add(finding.as_bytes());
    hash.add(&first.to_le_bytes());
    format!("{:016x}", hash.value())
}

/// Whether a text is such a name.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == 16
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str, kind: &str, port: u16, key: &str) -> String {
        fingerprint(
            KindInfo::of("new-edge").unwrap(),
            &Party::workload("c", "shop", kind, name),
            Some(&Party::workload("c", "vault", "", "vault")),
            Some((port, Protocol::Tcp)),
            key,
        )
    }

    /// Guarantees: files of other versions name the same finding; changing this value breaks
    /// suppressions that people wrote.
    #[test]
    fn a_fingerprint_is_the_same_for_ever() {
        assert_eq!(id("checkout", "Deployment", 8200, ""), "8193125c81b02086");
        assert_eq!(
            id("checkout", "", 8200, ""),
            id("checkout", "Deployment", 8200, "")
        );
    }

    #[test]
    fn what_differs_has_another_fingerprint() {
        let all = [
            id("checkout", "", 8200, ""),
            id("checkout", "", 8201, ""),
            id("cart", "", 8200, ""),
            id("checkout", "", 8200, "a"),
        ];
        let mut unique = all.to_vec();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), all.len());
        assert!(all.iter().all(|id| is_id(id)));
        assert!(!is_id("0123456789ABCDEF"));
    }
}
