//! The path of a request URL, as Go's `url.ParseRequestURI` finds it.
//!
//! Owns only what decides whether there is a path and which: a URL Go refuses has none,
//! and the filter does not match.

use std::borrow::Cow;

/// The decoded path; `None` where Go refuses the URL. An opaque URL (`mailto:x`) has
/// the empty path. `#` is part of the path: a request has no fragment.
pub(super) fn request_path(url: &str) -> Option<Cow<'_, str>> {
    if url.is_empty() || url.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return None;
    }
    if url == "*" {
        return Some(Cow::Borrowed("*"));
    }
    let (scheme, rest) = split_scheme(url)?;
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    if !rest.starts_with('/') {
        return (!scheme.is_empty()).then_some(Cow::Borrowed(""));
    }
    let path = match rest.strip_prefix("//") {
        Some(after) if !scheme.is_empty() => {
            let slash = after.find('/').unwrap_or(after.len());
            if !valid_authority(&after[..slash]) {
                return None;
            }
            &after[slash..]
        }
        _ => rest,
    };
    decode(path)
}

/// The scheme (empty where there is none) and what follows it.
fn split_scheme(url: &str) -> Option<(&str, &str)> {
    for (at, byte) in url.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return None,
            b':' => return Some((&url[..at], &url[at + 1..])),
            _ => break,
        }
    }
    Some(("", url))
}

fn valid_authority(authority: &str) -> bool {
    let host = match authority.rsplit_once('@') {
        Some((user, host)) => {
            let allowed =
                |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
            if !user.bytes().all(allowed) || decode(user).is_none() {
                return false;
            }
            host
        }
        None => authority,
    };
    if let Some(rest) = host.strip_prefix('[') {
        return rest
            .rfind(']')
            .is_some_and(|end| valid_port(&rest[end + 1..]));
    }
    let (name, port) = host.rfind(':').map_or((host, ""), |at| host.split_at(at));
    // An escape in a host may only stand for what is not ASCII.
    let escapes_valid = name.match_indices('%').all(|(at, _)| {
        name.get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .is_some_and(|byte| byte >= 0x80)
    });
    valid_port(port) && escapes_valid && !name.bytes().any(|byte| b" \\^`{|}#".contains(&byte))
}

fn valid_port(port: &str) -> bool {
    port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Undoes `%xx`; `None` where one is broken.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let high = char::from(*bytes.get(at + 1)?).to_digit(16)?;
            let low = char::from(*bytes.get(at + 2)?).to_digit(16)?;
            out.push((high * 16 + low) as u8);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    Some(Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_path_is_decoded_and_ends_at_the_query() {
        let path = |url| request_path(url).map(Cow::into_owned);
        assert_eq!(path("http://a:80/b%20c?d=/e").as_deref(), Some("/b c"));
        assert_eq!(path("http://user:pw@a").as_deref(), Some(""));
        assert_eq!(path("/only/path#x").as_deref(), Some("/only/path#x"));
        assert_eq!(path("http://[::1]:80/x").as_deref(), Some("/x"));
        assert_eq!(path("//host/x").as_deref(), Some("//host/x"));
        assert_eq!(path("mailto:x@y").as_deref(), Some(""));
        assert_eq!(path("*").as_deref(), Some("*"));
    }

    #[test]
    fn what_go_refuses_has_no_path() {
        for bad in [
            "",
            "relative/x",
            "://x",
            "http://a:b/x",
            "http://a b/x",
            "http://a/%zz",
            "http://a/%2",
            "http://[::1/x",
            "/a\nb",
            "http://%41/",
        ] {
            assert_eq!(request_path(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), url in "(http|:|//|[a%@:/?#\\[\\]é0]){0,12}") {
            let _ = request_path(&text);
            let _ = request_path(&url);
        }
    }
}
