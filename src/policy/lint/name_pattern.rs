//! Names and patterns of DNS as Cilium 1.19 matches them.
//!
//! Owns what a star stands for: characters of one label; at the beginning, two or more of
//! them before a dot stand for one or more labels; alone for every name.

/// Whether a pattern (or a plain name) matches a name without its trailing dot.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let pattern = pattern.trim().trim_end_matches('.').to_ascii_lowercase();
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if !pattern.is_empty() && pattern.bytes().all(|byte| byte == b'*') {
        return true;
    }
    let stars = pattern.bytes().take_while(|byte| *byte == b'*').count();
    if stars > 1
        && let Some(rest) = pattern[stars..].strip_prefix('.')
    {
        return name
            .match_indices('.')
            .any(|(dot, _)| dot > 0 && glob(rest.as_bytes(), &name.as_bytes()[dot + 1..]));
    }
    glob(pattern.as_bytes(), name.as_bytes())
}

/// A name that a pattern matches, to try others on.
pub(super) fn sample(pattern: &str) -> String {
    let stars = pattern.bytes().take_while(|byte| *byte == b'*').count();
    let (head, rest) = if stars > 1 && pattern[stars..].starts_with('.') {
        ("sample.deeper", &pattern[stars..])
    } else {
        ("", pattern)
    };
    format!("{head}{}", rest.replace('*', "sample"))
}

/// Matches with stars that stand for any characters but a dot. Linear but for the last star.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut next) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while next < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, next));
                at += 1;
                continue;
            }
            Some(byte) if *byte == name[next] => {
                at += 1;
                next += 1;
                continue;
            }
            _ => {}
        }
        let Some((star_at, taken)) = star.filter(|(_, taken)| name[*taken] != b'.') else {
            return false;
        };
        star = Some((star_at, taken + 1));
        at = star_at + 1;
        next = taken + 1;
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_a_label() {
        for (pattern, name, expected) in [
            ("*", "a.b.c", true),
            ("*.cilium.io", "www.cilium.io", true),
            ("*.cilium.io", "a.b.cilium.io", false),
            ("*.cilium.io", "cilium.io", false),
            ("*cilium.io", "cilium.io", true),
            ("*cilium.io", "www.cilium.io", false),
            ("**.cilium.io", "a.b.cilium.io", true),
            ("**.cilium.io", "cilium.io", false),
            ("a.**.b", "a.x.b", true),
            ("a.**.b", "a.x.y.b", false),
            ("sub*.cilium.io", "subdomain.cilium.io", true),
            ("*.*.io", "a.b.io", true),
            ("*.*.io", "a.io", false),
            ("*a*b.io", "xaybaab.io", true),
            ("API.example.com", "api.example.com.", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_matches_its_sample() {
        for pattern in ["*", "*.a.b", "**.a.b", "x*.a", "a.**.b"] {
            assert!(matches(pattern, &sample(pattern)), "{pattern}");
        }
    }
}
