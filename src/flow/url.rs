//! URLs of requests as Hubble records them.
//!
//! Owns taking one apart. What a path means is the rules' that match it.

/// Authority and path with query of an absolute URL; a bare path has no authority.
#[must_use]
pub fn split_url(url: &str) -> (&str, &str) {
    let Some((_, rest)) = url.split_once("://") else {
        return ("", url);
    };
    match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_as_envoy_sees_it() {
        assert_eq!(split_url("http://shop:8080/a?b=c"), ("shop:8080", "/a?b=c"));
        assert_eq!(split_url("http://shop"), ("shop", "/"));
        assert_eq!(split_url("/a"), ("", "/a"));
    }
}
