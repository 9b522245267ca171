//! Paths of HTTP with what differs from call to call replaced.
//!
//! Owns which parts of a path are identifiers. Queries are cut off before.

use std::borrow::Cow;

/// Parts of a path that are kept.
const MOST_PARTS: usize = 12;

/// The template of a path: `/orders/{n}` for `/orders/4711`.
///
/// Numbers become `{n}`, UUIDs `{uuid}`, eight and more hexadecimal digits `{hex}`, addresses
/// of mail `{mail}`, and what is 16 letters and longer and looks like neither words nor a
/// file `{id}`. Parts beyond the twelfth become `…`.
#[must_use]
pub fn template(path: &str) -> Cow<'_, str> {
    let mut parts = path.split('/');
    if path.split('/').count() <= MOST_PARTS + 1 && parts.all(|part| kind(part).is_none()) {
        return Cow::Borrowed(path);
    }
    let mut whole = String::with_capacity(path.len());
    for (at, part) in path.split('/').enumerate() {
        if at > 0 {
            whole.push('/');
        }
        if at > MOST_PARTS {
            whole.push('…');
            break;
        }
        whole.push_str(kind(part).unwrap_or(part));
    }
    Cow::Owned(whole)
}

fn kind(part: &str) -> Option<&'static str> {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    if part.is_empty() {
        return None;
    }
    if digits == part.len() {
        return Some("{n}");
    }
    if is_uuid(part) {
        return Some("{uuid}");
    }
    if part.len() >= 8 && digits > 0 && part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some("{hex}");
    }
    if part.contains('@') && part.contains('.') {
        return Some("{mail}");
    }
    if digits * 2 >= part.len() && digits >= 4 {
        return Some("{n}");
    }
    let is_code = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+~%".contains(&byte);
    let upper = part.bytes().any(|byte| byte.is_ascii_uppercase());
    let lower = part.bytes().any(|byte| byte.is_ascii_lowercase());
    let mixed = digits > 1 && (upper || lower) && (upper != lower || digits > 2 || upper);
    if part.len() >= 16 && mixed && part.bytes().all(is_code) {
        return Some("{id}");
    }
    None
}

fn is_uuid(part: &str) -> bool {
    let bytes = part.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_replaced_and_words_are_not() {
        for (path, wanted) in [
            ("/", "/"),
            ("", ""),
            ("/api/v1/orders", "/api/v1/orders"),
            ("/orders/4711/items/2", "/orders/{n}/items/{n}"),
            ("/u/123e4567-e89b-12d3-a456-426614174000", "/u/{uuid}"),
            ("/blob/deadbeef01", "/blob/{hex}"),
            ("/facade/decade", "/facade/decade"),
            ("/mail/a.b@example.com", "/mail/{mail}"),
            ("/t/eyJhbGciOiJIUzI1NiJ9xyz", "/t/{id}"),
            (
                "/static/application-settings",
                "/static/application-settings",
            ),
            ("/d/2026-11-30", "/d/{n}"),
            ("/assets/app.js", "/assets/app.js"),
        ] {
            assert_eq!(template(path), wanted, "{path}");
        }
    }

    #[test]
    fn a_long_path_is_cut() {
        let long = "/a".repeat(40);
        let cut = template(&long);
        assert!(cut.ends_with("/…"));
        assert_eq!(cut.matches('/').count(), 13);
    }
}
