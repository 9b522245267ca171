//! Patterns of DNS names, as Cilium's `matchName` and `matchPattern` mean them.
//!
//! Owns both uses: which addresses a `toFQDNs` element selects, and which queries a DNS
//! rule lets through. Names are compared in lower case with a trailing dot.

use super::options::Version;

/// What a star stands for: any number of these.
const CHARACTERS: &str = "[-a-zA-Z0-9_]";

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NamePattern {
    /// Every name.
    All,
    /// Every name made of letters, digits, `-` and `_`, and the root.
    AllPlain,
    /// One shape.
    Shape {
        /// `**.` in front: one or more labels.
        subdomains: bool,
        /// The rest, lower case; `*` is a run of characters without a dot.
        rest: Box<str>,
    },
}

impl NamePattern {
    /// What a `toFQDNs` element selects by: its name, or else its pattern.
    pub(crate) fn of_selector(name: &str, pattern: &str, version: Version) -> Self {
        let text = if name.is_empty() {
            sanitised(pattern)
        } else {
            rooted(name)
        };
        if is_everything(&text) {
            return Self::AllPlain;
        }
        Self::shape(&text, version)
    }

    /// What one text of a DNS rule lets through.
    pub(crate) fn of_rule(text: &str, version: Version) -> Self {
        let text = sanitised(text);
        if is_everything(&text) {
            return Self::All;
        }
        Self::shape(&text, version)
    }

    /// Several labels behind `**.` are new in 1.19; before, it was one star.
    fn shape(text: &str, version: Version) -> Self {
        let text = text.trim().to_lowercase();
        let behind = text.trim_start_matches('*');
        let stars = text.len() - behind.len();
        match behind.strip_prefix('.') {
            Some(rest) if stars >= 2 && (version.major, version.minor) >= (1, 19) => Self::Shape {
                subdomains: true,
                rest: rest.into(),
            },
            _ => Self::Shape {
                subdomains: false,
                rest: text.into(),
            },
        }
    }

    /// Whether a name fits: lower case, with a trailing dot.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::AllPlain => {
                name == "."
                    || name
                        .strip_suffix('.')
                        .is_some_and(|name| name.split('.').all(is_label))
            }
            Self::Shape {
                subdomains: false,
                rest,
            } => glob(rest.as_bytes(), name.as_bytes()),
            Self::Shape {
                subdomains: true,
                rest,
            } => {
                let mut at = 0;
                for label in name.split('.') {
                    if !is_label(label) {
                        return false;
                    }
                    at += label.len() + 1;
                    match name.get(at..) {
                        Some(behind) if glob(rest.as_bytes(), behind.as_bytes()) => return true,
                        Some(_) => {}
                        None => return false,
                    }
                }
                false
            }
        }
    }

    /// The regular expression that Cilium makes of it, not anchored.
    pub(crate) fn expression(&self) -> String {
        match self {
            Self::All => ".*".to_owned(),
            Self::AllPlain => format!("(^({CHARACTERS}+[.])+$)|(^[.]$)"),
            Self::Shape { subdomains, rest } => {
                let mut text = String::new();
                if *subdomains {
                    for part in ["(", CHARACTERS, "+([.]", CHARACTERS, "+){0,})[.]"] {
                        text.push_str(part);
                    }
                }
                let mut starred = false;
                for c in rest.chars() {
                    match c {
                        '*' if starred => {}
                        '*' => {
                            text.push_str(CHARACTERS);
                            text.push('*');
                        }
                        '.' => text.push_str("[.]"),
                        c => text.push(c),
                    }
                    starred = c == '*';
                }
                text
            }
        }
    }
}

/// A name as patterns are compared with it.
pub(crate) fn canonical(name: &str) -> String {
    rooted(&name.to_lowercase())
}

fn rooted(name: &str) -> String {
    if name.ends_with('.') {
        name.to_owned()
    } else {
        format!("{name}.")
    }
}

fn sanitised(pattern: &str) -> String {
    if is_everything(pattern) {
        pattern.to_owned()
    } else {
        rooted(pattern)
    }
}

/// Only stars, perhaps with a dot behind.
fn is_everything(pattern: &str) -> bool {
    let stars = pattern.strip_suffix('.').unwrap_or(pattern);
    !stars.is_empty() && stars.bytes().all(|b| b == b'*')
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(is_starred)
}

fn is_starred(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Whether the whole name fits. Going back to the last star alone is enough: what lies
/// before it holds a literal, and a star that could be stretched over that literal leaves
/// nothing the last star could not cover as well.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), name.get(n)) {
            (Some(b'*'), _) => {
                p += 1;
                back = Some((p, n));
            }
            (None, None) => return true,
            (Some(want), Some(have)) if want == have => {
                p += 1;
                n += 1;
            }
            _ => match back {
                Some((behind, start)) if name.get(start).copied().is_some_and(is_starred) => {
                    p = behind;
                    n = start + 1;
                    back = Some((behind, n));
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Version = Version {
        major: 1,
        minor: 19,
        patch: 4,
    };

    fn rule(pattern: &str, name: &str) -> bool {
        NamePattern::of_rule(pattern, NOW).matches(&canonical(name))
    }

    #[test]
    fn a_star_is_part_of_one_label() {
        assert!(rule("*.cilium.io", "www.cilium.io"));
        assert!(!rule("*.cilium.io", "a.b.cilium.io"));
        assert!(!rule("*.cilium.io", "cilium.io"));
        assert!(rule("*cilium.io", "subcilium.io"));
        assert!(rule("sub*.cilium.io", "SUBDOMAIN.cilium.io."));
        assert!(rule("a.**.b", "a.x.b"));
    }

    #[test]
    fn two_stars_in_front_are_one_or_more_labels_since_1_19() {
        assert!(rule("**.cilium.io", "a.b.cilium.io"));
        assert!(rule("***.cilium.io", "a.cilium.io"));
        assert!(!rule("**.cilium.io", "cilium.io"));
        let before = Version { minor: 18, ..NOW };
        let pattern = NamePattern::of_rule("**.cilium.io", before);
        assert!(pattern.matches("a.cilium.io."));
        assert!(!pattern.matches("a.b.cilium.io."));
    }

    #[test]
    fn an_empty_element_selects_the_root_only() {
        let empty = NamePattern::of_selector("", "", NOW);
        assert!(empty.matches("."));
        assert!(!empty.matches("a."));
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_its_expression_does(
            pattern in "[a-b*.]{1,8}",
            name in "[a-b_.]{0,10}",
        ) {
            let name = canonical(&name);
            for (pattern, anchored) in [
                (NamePattern::of_rule(&pattern, NOW), false),
                (NamePattern::of_selector("", &pattern, NOW), true),
            ] {
                let text = pattern.expression();
                let text = if anchored && pattern == NamePattern::AllPlain {
                    text
                } else {
                    format!("^(?:{text})$")
                };
                let expression = regex::Regex::new(&text).unwrap();
                prop_assert_eq!(pattern.matches(&name), expression.is_match(&name), "{}", text);
            }
        }
    }
}
