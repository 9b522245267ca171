//! Names with a namespace: `ns/prefix`, as pod and service filters take them.

/// One entry of a pod or service filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamePrefix {
    /// `None` is any namespace.
    namespace: Option<String>,
    prefix: String,
}

impl NamePrefix {
    /// `ns/pre`, `ns/` (all of it), `/pre` (any namespace), `pre` (namespace
    /// `default`). What follows a second slash is ignored. `None` for the empty text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let (namespace, prefix) = match text.split_once('/') {
            None => (Some("default"), text),
            Some((namespace, rest)) => (
                Some(namespace).filter(|namespace| !namespace.is_empty()),
                rest.split('/').next().unwrap_or_default(),
            ),
        };
        Some(Self {
            namespace: namespace.map(str::to_owned),
            prefix: prefix.to_owned(),
        })
    }

    /// The namespace, `None` for any.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// What names begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether it covers a name. What has neither name nor namespace is no object.
    pub(super) fn matches(&self, namespace: &str, name: &str) -> bool {
        (!namespace.is_empty() || !name.is_empty())
            && self
                .namespace
                .as_ref()
                .is_none_or(|wanted| wanted == namespace)
            && name.starts_with(&self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_names() {
        let matches = |pattern: &str, namespace: &str, name: &str| {
            NamePrefix::parse(pattern).unwrap().matches(namespace, name)
        };
        assert!(matches("shop/front", "shop", "front-1"));
        assert!(!matches("shop/front", "default", "front-1"));
        assert!(matches("shop/", "shop", "front-1"));
        assert!(matches("/front", "other", "front-1"));
        assert!(matches("front", "default", "front-1"));
        assert!(!matches("front", "shop", "front-1"));
        assert!(matches("/", "shop", ""));
        assert!(!matches("/", "", ""));
        assert!(matches("a/b/c", "a", "bcd"));
        assert_eq!(NamePrefix::parse(""), None);
    }
}
