//! Names with `*` in them, in files of our own.

/// A name in which `*` stands for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wild {
    parts: Vec<Box<str>>,
}

impl Wild {
    pub(super) fn new(pattern: &str) -> Self {
        Self {
            parts: pattern.split('*').map(Box::from).collect(),
        }
    }

    /// Whether the whole name fits.
    pub(super) fn matches(&self, name: &str) -> bool {
        let [first, rest @ ..] = self.parts.as_slice() else {
            return false;
        };
        let [middle @ .., last] = rest else {
            return name == &**first;
        };
        let Some(mut name) = name.strip_prefix(&**first) else {
            return false;
        };
        for part in middle {
            let Some((_, after)) = name.split_once(&**part) else {
                return false;
            };
            name = after;
        }
        name.ends_with(&**last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, name, fits) in [
            ("shop/web", "shop/web", true),
            ("shop/web", "shop/web2", false),
            ("shop/*", "shop/web", true),
            ("shop/*", "shops/web", false),
            ("*", "", true),
            ("*/web", "shop/web", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            // The star needs its own characters: both ends do not share them.
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(Wild::new(pattern).matches(name), fits, "{pattern} {name}");
        }
    }
}
