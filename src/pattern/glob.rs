//! Globs over DNS names and node names, as Hubble's filters mean them.
//!
//! Owns the two grammars and matching in linear time. `*` stands for any run of
//! lower-case letters, digits, `-` and `.`: it crosses dots, may be empty, and never
//! covers an underscore. Only the pattern is canonicalised; names are compared as they
//! are.

use memchr::memmem;

/// A pattern for DNS names: `*.example.com`.
#[derive(Clone, Debug)]
pub struct FqdnGlob(Glob);

/// A pattern for node names: `node`, `cluster/node`; an empty side is any name.
#[derive(Clone, Debug)]
pub struct NodeGlob {
    cluster: Option<Glob>,
    node: Option<Glob>,
}

/// Why a glob is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// Nothing is left after trimming.
    #[error("empty pattern")]
    Empty,
    /// One trailing dot is dropped, a second one is an error.
    #[error("multiple trailing dots in pattern")]
    TrailingDots,
    /// A node pattern has a cluster and a name, no more.
    #[error("too many slashes in pattern")]
    TooManySlashes,
    /// A character no name can have.
    #[error("{0:?}: invalid rune in pattern")]
    InvalidRune(char),
}

/// The cluster of a node whose name has none.
const DEFAULT_CLUSTER: &str = "default";

impl FqdnGlob {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Any [`GlobError`] but [`GlobError::TooManySlashes`].
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        Glob::new(pattern).map(Self)
    }

    /// Whether the whole name fits.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name.as_bytes())
    }
}

impl NodeGlob {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Any [`GlobError`].
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        if pattern.is_empty() {
            return Err(GlobError::Empty);
        }
        let (cluster, node) = pattern.split_once('/').unwrap_or(("", pattern));
        if node.contains('/') {
            return Err(GlobError::TooManySlashes);
        }
        Ok(Self {
            cluster: side(cluster)?,
            node: side(node)?,
        })
    }

    /// Whether a flow's node name fits; one without a cluster is of cluster `default`.
    pub fn matches(&self, node_name: &str) -> bool {
        if node_name.is_empty() {
            return false;
        }
        let (cluster, node) = node_name
            .split_once('/')
            .unwrap_or((DEFAULT_CLUSTER, node_name));
        side_matches(self.cluster.as_ref(), cluster) && side_matches(self.node.as_ref(), node)
    }
}

fn side(pattern: &str) -> Result<Option<Glob>, GlobError> {
    if pattern.is_empty() {
        return Ok(None);
    }
    Glob::new(pattern).map(Some)
}

fn side_matches(glob: Option<&Glob>, name: &str) -> bool {
    match glob {
        Some(glob) => glob.matches(name.as_bytes()),
        None => is_name(name),
    }
}

/// What an empty side stands for: labels of letters, digits, `-` and `_`, none empty.
fn is_name(name: &str) -> bool {
    name.split('.').all(|label| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b == b'_' || (b != b'.' && is_starred(b)))
    })
}

/// What `*` covers.
fn is_starred(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z')
}

/// The literals of a pattern, between its stars.
#[derive(Clone, Debug)]
struct Glob {
    first: Vec<u8>,
    rest: Option<Rest>,
}

/// What comes behind the first star.
#[derive(Clone, Debug)]
struct Rest {
    middle: Vec<memmem::Finder<'static>>,
    last: Vec<u8>,
}

impl Glob {
    fn new(pattern: &str) -> Result<Self, GlobError> {
        let pattern = pattern.trim();
        let pattern: String = pattern
            .strip_suffix('.')
            .unwrap_or(pattern)
            .chars()
            .filter_map(|c| c.to_lowercase().next())
            .collect();
        if pattern.is_empty() {
            return Err(GlobError::Empty);
        }
        if pattern.ends_with('.') {
            return Err(GlobError::TrailingDots);
        }
        let allowed = |c: char| matches!(c, '.' | '*' | '-' | '_' | '0'..='9' | 'a'..='z');
        if let Some(invalid) = pattern.chars().find(|c| !allowed(*c)) {
            return Err(GlobError::InvalidRune(invalid));
        }
        let Some((first, rest)) = pattern.split_once('*') else {
            return Ok(Self {
                first: pattern.into_bytes(),
                rest: None,
            });
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        Ok(Self {
            first: first.as_bytes().to_vec(),
            rest: Some(Rest {
                middle: middle
                    .split('*')
                    .filter(|literal| !literal.is_empty())
                    .map(|literal| memmem::Finder::new(literal).into_owned())
                    .collect(),
                last: last.as_bytes().to_vec(),
            }),
        })
    }

    /// Takes the earliest place of each literal. That is enough although `*` covers no
    /// underscore: a later place needs a star over the earlier one, so the literal and all
    /// up to the later place can be covered by the next star as well.
    fn matches(&self, name: &[u8]) -> bool {
        let Some(rest) = &self.rest else {
            return name == self.first;
        };
        let Some(mut left) = name
            .strip_prefix(self.first.as_slice())
            .and_then(|name| name.strip_suffix(rest.last.as_slice()))
        else {
            return false;
        };
        for literal in &rest.middle {
            let Some((covered, behind)) = literal
                .find(left)
                .and_then(|place| left.split_at_checked(place))
            else {
                return false;
            };
            let Some(behind) = behind.get(literal.needle().len()..) else {
                return false;
            };
            if !covered.iter().copied().all(is_starred) {
                return false;
            }
            left = behind;
        }
        left.iter().copied().all(is_starred)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fqdn(pattern: &str, name: &str) -> bool {
        FqdnGlob::new(pattern).unwrap().matches(name)
    }

    fn node(pattern: &str, name: &str) -> bool {
        NodeGlob::new(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_pattern_is_canonicalised_and_a_name_is_not() {
        assert!(fqdn("  EXAMPLE.com.  ", "example.com"));
        assert!(!fqdn("example.com", "example.com."));
        assert!(!fqdn("example.com", "Example.com"));
    }

    #[test]
    fn a_star_crosses_dots_but_not_underscores() {
        assert!(fqdn("*.example.com", "a.b.example.com"));
        assert!(fqdn("*example.com", "example.com"));
        assert!(!fqdn("*.example.com", "_tcp.example.com"));
        assert!(fqdn("_*.example.com", "_tcp.example.com"));
        assert!(!fqdn("*.example.com", "example.com"));
    }

    #[test]
    fn literals_around_a_star_do_not_share_a_character() {
        assert!(!fqdn("ab*ba", "aba"));
        assert!(fqdn("ab*ba", "abba"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert_eq!(FqdnGlob::new(" . ").unwrap_err(), GlobError::Empty);
        assert_eq!(FqdnGlob::new("a..").unwrap_err(), GlobError::TrailingDots);
        assert_eq!(NodeGlob::new("").unwrap_err(), GlobError::Empty);
        assert_eq!(NodeGlob::new(" /a").unwrap_err(), GlobError::Empty);
        let slashes = NodeGlob::new("a/b/c").unwrap_err();
        assert_eq!(slashes.to_string(), "too many slashes in pattern");
        let invalid = FqdnGlob::new("bad_name!.com").unwrap_err();
        assert_eq!(invalid.to_string(), "'!': invalid rune in pattern");
    }

    #[test]
    fn a_node_without_a_cluster_is_of_the_default_one() {
        assert!(node("node-a", "node-a"));
        assert!(node("node-a", "c1/node-a"));
        assert!(node("default/node-a", "node-a"));
        assert!(!node("c1/node-a", "node-a"));
        assert!(node("c1/", "c1/node_a"));
        assert!(node("/", "c1/node-a"));
        assert!(!node("/", ""));
        assert!(!node("/", "c1/a/b"));
        assert!(!node("c1/", "c1/a..b"));
    }

    fn as_expression(pattern: &str) -> regex::Regex {
        let body = pattern.replace('.', r"\.").replace('*', "[-.0-9a-z]*");
        regex::Regex::new(&format!(r"\A(?:{body})\z")).unwrap()
    }

    proptest! {
        #[test]
        fn a_glob_matches_what_its_expression_does(
            pattern in "[ab_.*-]{0,8}[ab_*-]",
            name in "[ab_.B-]{0,12}",
        ) {
            let glob = FqdnGlob::new(&pattern).unwrap();
            prop_assert_eq!(glob.matches(&name), as_expression(&pattern).is_match(&name));
        }

        #[test]
        fn any_pattern_and_any_name_are_fine(pattern in ".*", name in ".*") {
            if let Ok(glob) = FqdnGlob::new(&pattern) {
                glob.matches(&name);
            }
            if let Ok(glob) = NodeGlob::new(&pattern) {
                glob.matches(&name);
            }
        }
    }
}
