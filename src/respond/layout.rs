//! The files of a bundle, in the order a person needs them.
//!
//! Owns their names and what each is for. What is in them is whoever's it is: a room makes
//! the values, `render` the texts, `cli` the files.

/// A file of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Page {
    /// The first page: what happened, what to type, whether it is proven.
    Readme,
    /// Who talked to the target, in and out, since when.
    Timeline,
    /// The same for programs.
    TraceData,
    /// How far it got, how far it could have got.
    Reach,
    /// The quarantine, to be applied.
    Quarantine,
    /// What the quarantine leaves open, what it cuts, what is not known.
    Proof,
    /// The same for programs.
    ProofData,
    /// What takes the quarantine back.
    Rollback,
    /// What to save before the pod is touched, and what to revoke.
    Forensics,
    /// The page to fill in while it goes on.
    Runbook,
    /// The policies that would have prevented it.
    Improvement,
    /// Recorded flows.
    Evidence,
    /// What the bundle says of itself, for whoever verifies it.
    Record,
    /// Sums of all files.
    Sums,
}

impl Page {
    /// All pages, in order.
    pub const ALL: [Self; 14] = [
        Self::Readme,
        Self::Timeline,
        Self::TraceData,
        Self::Reach,
        Self::Quarantine,
        Self::Proof,
        Self::ProofData,
        Self::Rollback,
        Self::Forensics,
        Self::Runbook,
        Self::Improvement,
        Self::Evidence,
        Self::Record,
        Self::Sums,
    ];

    /// Name of the file in the bundle; of the evidence, of its folder.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Readme => "README.md",
            Self::Timeline => "10-timeline.md",
            Self::TraceData => "11-trace.json",
            Self::Reach => "20-reach.md",
            Self::Quarantine => "30-quarantine.yaml",
            Self::Proof => "40-proof.md",
            Self::ProofData => "41-proof.json",
            Self::Rollback => "50-rollback.yaml",
            Self::Forensics => "60-forensics.md",
            Self::Runbook => "70-runbook.md",
            Self::Improvement => "80-improvement.yaml",
            Self::Evidence => "90-evidence",
            Self::Record => "bundle.json",
            Self::Sums => "SHA256SUMS",
        }
    }

    /// What it is for, a few words.
    #[must_use]
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Readme => "this page",
            Self::Timeline => "who talked to it, in and out, since when",
            Self::TraceData => "who talked to it, for programs",
            Self::Reach => "how far it got, and how far it could have got",
            Self::Quarantine => "the policy to apply",
            Self::Proof => "what stays open, what is cut, what is not known",
            Self::ProofData => "the proof, for programs",
            Self::Rollback => "what takes it back",
            Self::Forensics => "what to save before the pod is touched, and what to revoke",
            Self::Runbook => "the page to fill in",
            Self::Improvement => "policies that would have prevented it",
            Self::Evidence => {
                "the recorded flows, an archive: `flowwatch tail` and all others take it"
            }
            Self::Record => "what `flowwatch verify` reads",
            Self::Sums => "SHA-256 of every file, for `sha256sum -c`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_sort_in_the_order_they_are_read_behind_the_first_page() {
        let names: Vec<&str> = Page::ALL.iter().map(|page| page.file()).collect();
        let numbered: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
            .collect();
        assert!(numbered.is_sorted());
        assert_eq!(names.first(), Some(&"README.md"));
        let mut distinct = names.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), names.len());
    }
}
