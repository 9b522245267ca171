//! Patterns of rules: what can be mapped is, the rest becomes a mark.
//!
//! Owns which patterns mean the same of mapped values as they did of the original ones:
//! names with whole labels as wildcards, expressions that are a plain text up to a slash.
//! A mark is answered by the policy engine with `unknown(redacted)`.

use super::mapper::Mapper;
use super::tally::Kind;
use crate::policy::redacted_mark;

/// Ends of an expression of a path that begin where a segment does.
const ENDS: [&str; 6] = ["(/.*)?", "(?:/.*)?", "/.*", "/.+", "/?", ""];
/// Expressions that fit whatever path there is.
const ANY_PATH: [&str; 3] = ["", ".*", "/.*"];
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE",
];

/// Whether a method of HTTP is one that everybody uses.
pub(super) fn is_method(text: &str) -> bool {
    METHODS.contains(&text)
}

impl Mapper {
    /// A mark in place of a pattern; equal patterns have one mark.
    fn mark(&mut self, pattern: &str) -> String {
        self.tally.add(Kind::Pattern);
        redacted_mark(&self.opaque(pattern))
    }

    /// A DNS name or a pattern of names.
    #[must_use]
    pub fn name_pattern(&mut self, pattern: &str) -> String {
        self.tally.add(Kind::DnsName);
        if !pattern.contains('*') {
            return self.name(pattern);
        }
        let mut literal = false;
        let mut plain = true;
        let mut parts = Vec::new();
        for part in pattern.split('.') {
            if part.bytes().all(|byte| byte == b'*') {
                parts.push(part.to_owned());
            } else if part.contains('*') {
                return self.mark(pattern);
            } else {
                literal |= !matches!(part, "in-addr" | "ip6" | "arpa");
                plain &= !part.bytes().all(|byte| byte.is_ascii_digit());
                parts.push(super::word::word(&self.key, part));
            }
        }
        // Names that are addresses are mapped as such, not label by label.
        if !plain || literal && pattern.trim_end_matches('.').ends_with("arpa") {
            return self.mark(pattern);
        }
        parts.join(".")
    }

    /// An expression for the path of a request.
    #[must_use]
    pub fn path_pattern(&mut self, pattern: &str) -> String {
        self.tally.add(Kind::Url);
        let bare = unanchored(pattern);
        if ANY_PATH.contains(&bare) {
            return pattern.to_owned();
        }
        for end in ENDS {
            let Some(text) = bare.strip_suffix(end).and_then(literal) else {
                continue;
            };
            // Behind a question mark a slash begins nothing.
            if end.is_empty() || !text.contains('?') && !text.ends_with('/') {
                return self.path(&text).replace('?', "\\?") + end;
            }
        }
        self.mark(pattern)
    }

    /// An expression for the host of a request.
    #[must_use]
    pub fn host_pattern(&mut self, pattern: &str) -> String {
        self.tally.add(Kind::DnsName);
        let bare = unanchored(pattern);
        if matches!(bare, "" | ".*") {
            return pattern.to_owned();
        }
        match literal(bare) {
            Some(text) => self.authority(&text).replace('.', "\\."),
            None => self.mark(pattern),
        }
    }

    /// An expression for the method of a request: kept where all its words are methods.
    #[must_use]
    pub fn method_pattern(&mut self, pattern: &str) -> String {
        let known = pattern
            .split(|letter: char| !letter.is_ascii_alphanumeric())
            .all(|word| word.is_empty() || is_method(word));
        if known && pattern.is_ascii() {
            return pattern.to_owned();
        }
        self.mark(pattern)
    }
}

/// Without the anchors that a match of the whole value does not need.
fn unanchored(pattern: &str) -> &str {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    match pattern.strip_suffix('$') {
        Some(bare) if !bare.ends_with('\\') => bare,
        _ => pattern,
    }
}

/// The one text that an expression fits.
fn literal(pattern: &str) -> Option<String> {
    let mut text = String::with_capacity(pattern.len());
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.push(letters.next().filter(char::is_ascii_punctuation)?),
            '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => {
                return None;
            }
            plain => text.push(plain),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Re2;
    use crate::policy::is_redacted_mark;
    use crate::redact::Key;

    fn mapper() -> Mapper {
        Mapper::new(Key::new(b"0123456789abcdef").unwrap())
    }

    #[test]
    fn whole_labels_of_names_are_mapped_and_parts_are_marked() {
        let mut mapper = mapper();
        let edge = mapper.name("edge");
        assert_eq!(mapper.name_pattern("*.edge.com"), format!("*.{edge}.com"));
        assert_eq!(mapper.name_pattern("**.edge"), format!("**.{edge}"));
        assert_eq!(mapper.name_pattern("*"), "*");
        assert_eq!(mapper.name_pattern("*.in-addr.arpa"), "*.in-addr.arpa");
        for pattern in ["api-*.edge.com", "*edge.com", "*.10.in-addr.arpa", "10.*"] {
            let mark = mapper.name_pattern(pattern);
            assert!(is_redacted_mark(&mark), "{pattern}: {mark}");
            assert_eq!(mapper.name_pattern(pattern), mark);
        }
    }

    #[test]
    fn an_expression_fits_mapped_paths_as_before_or_is_marked() {
        let mut mapper = mapper();
        let patterns = [
            "/v1/charges",
            "^/v1/charges$",
            "/checkout(/.*)?",
            "/v1/.*",
            "/.*",
            "/v1\\.0/.+",
            "/a\\?b=c",
            "/charges/?",
        ];
        let paths = [
            "/v1/charges",
            "/v1/charges/7",
            "/checkout",
            "/checkout/a?b=/c",
            "/checkout?x",
            "/v1.0/x",
            "/a?b=c",
            "/charges/",
            "/charges",
            "/",
            "/v1",
            "/v1/",
        ];
        let mut hits = 0;
        for pattern in patterns {
            let mapped = mapper.path_pattern(pattern);
            assert!(!is_redacted_mark(&mapped), "{pattern}");
            let [one, other] = [pattern, &*mapped].map(|text| Re2::new(text).unwrap());
            for path in paths {
                let fits = one.is_full_match(path);
                hits += u32::from(fits);
                assert_eq!(
                    fits,
                    other.is_full_match(&mapper.path(path)),
                    "{pattern} {path}"
                );
            }
        }
        assert!(hits > 20, "{hits}");
        for pattern in ["/v1/charges/[0-9]+", "/public.*", "(?i)/a", "/v1.0"] {
            assert!(is_redacted_mark(&mapper.path_pattern(pattern)), "{pattern}");
        }
    }

    #[test]
    fn hosts_and_methods_are_mapped_where_they_are_plain() {
        let mut mapper = mapper();
        let host = mapper.authority("api.shop:8080");
        assert_eq!(
            mapper.host_pattern("api\\.shop:8080"),
            host.replace('.', "\\.")
        );
        assert!(is_redacted_mark(&mapper.host_pattern("api.shop")));
        assert_eq!(mapper.method_pattern("GET|HEAD"), "GET|HEAD");
        assert!(is_redacted_mark(&mapper.method_pattern("FETCH")));
    }
}
