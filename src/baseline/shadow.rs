//! What detectors said on days that were only watched.
//!
//! Owns the figures that are kept of them: how often each kind of finding came, how unlikely
//! the least and the usual ones were, and from which scores on an incident is worth how much.
//! They stand in the baseline file, so that people see by what severities were set. How they
//! are made and what follows from them is `finding`'s.

/// The figures of shadow days.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shadow {
    /// From when to when, in nanoseconds since 1970 UTC.
    pub span: (i64, i64),
    /// False incidents a day at medium and above that anchors were made for.
    pub budget: f64,
    /// Incidents that came, at any severity.
    pub incidents: u64,
    /// From which scores on an incident is medium, high and critical.
    pub anchors: Anchors,
    /// By kind of finding, sorted by name.
    pub kinds: Vec<ShadowKind>,
}

/// The figures of one kind of finding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShadowKind {
    /// The kind, `new-edge`.
    pub kind: String,
    /// Hypotheses that its detector tested; 0 for a rule, which tests none.
    pub tests: u64,
    /// Findings: the same thing counts once in six hours.
    pub findings: u64,
    /// Powers of ten by which the likeliest of them was unlikely.
    pub least: f64,
    /// Mean of the powers of ten beyond that.
    pub mean: f64,
    /// Standard deviation of these.
    pub spread: f64,
    /// Tests whose p-value is known whatever it was; 0 for variants of a kind, whose tests are
    /// those of the kind.
    pub checked: u64,
    /// Of these the ones with p below 1 in 1,000 and 1 in 100,000.
    pub below: [u64; 2],
}

/// Scores from which an incident is medium, high and critical: rising.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Anchors {
    /// From here on medium.
    pub medium: f64,
    /// From here on high.
    pub high: f64,
    /// From here on critical.
    pub critical: f64,
}

impl Anchors {
    /// Those that are set by hand, where nothing was watched.
    pub const BY_HAND: Self = Self {
        medium: 6.0,
        high: 8.0,
        critical: 10.0,
    };
}

impl Default for Anchors {
    fn default() -> Self {
        Self::BY_HAND
    }
}

impl Shadow {
    /// Days that were watched.
    #[must_use]
    pub fn days(&self) -> f64 {
        let (from, to) = self.span;
        to.saturating_sub(from).max(0) as f64 / super::tick::DAY as f64
    }
}
