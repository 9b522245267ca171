//! How much was replaced or left out, by kind.
//!
//! Owns the counts. What they are called for people is here too, since each kind has one name.

/// What was replaced, or left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Names of namespaces, pods, workloads, services, nodes, clusters and policies.
    Name,
    /// Labels.
    Label,
    /// Addresses and prefixes.
    Address,
    /// Hardware addresses.
    Mac,
    /// DNS names and patterns.
    DnsName,
    /// URLs and paths.
    Url,
    /// Values of HTTP headers.
    Header,
    /// UUIDs and identifiers of traces.
    Id,
    /// Names of interfaces, topics and the like.
    Other,
    /// Texts for people, left out.
    Text,
    /// Expressions and patterns that cannot be mapped: replaced by a mark.
    Pattern,
}

const KINDS: [(Kind, &str); 11] = [
    (Kind::Name, "names"),
    (Kind::Label, "labels"),
    (Kind::Address, "addresses"),
    (Kind::Mac, "hardware addresses"),
    (Kind::DnsName, "DNS names"),
    (Kind::Url, "URLs"),
    (Kind::Header, "header values"),
    (Kind::Id, "identifiers"),
    (Kind::Other, "other words"),
    (Kind::Text, "texts left out"),
    (Kind::Pattern, "patterns that cannot be mapped"),
];

/// Counts by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: [u64; KINDS.len()],
}

impl Tally {
    /// Counts one.
    pub fn add(&mut self, kind: Kind) {
        self.counts[kind as usize] += 1;
    }

    /// Takes in the counts of another.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// The count of a kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts[kind as usize]
    }

    /// Kinds that were met: what they are called, and how many.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KINDS
            .iter()
            .map(|(kind, name)| (*name, self.count(*kind)))
            .filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_by_kind() {
        let mut tally = Tally::default();
        tally.add(Kind::Url);
        tally.merge(&tally.clone());
        assert_eq!(tally.iter().collect::<Vec<_>>(), [("URLs", 2)]);
        for (at, (kind, _)) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, at);
        }
    }
}
