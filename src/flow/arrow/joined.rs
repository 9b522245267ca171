//! A list of texts as one text that people can search, and back.
//!
//! Owns the spelling: items are separated by commas; a comma or backslash of an item has
//! a backslash before it. An empty list is no text at all.

use std::fmt;

/// The items as one text, `None` for no items.
pub fn join<'a>(items: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut text = String::new();
    join_into(&mut text, items).then_some(text)
}

/// Adds the items as one text to another; whether there were any.
pub(super) fn join_into<'a>(
    out: &mut impl fmt::Write,
    items: impl IntoIterator<Item = &'a str>,
) -> bool {
    let mut any = false;
    for item in items {
        if any {
            // Neither a text nor a builder of texts refuses one.
            let _ = out.write_char(',');
        }
        any = true;
        escape(item, out);
    }
    any
}

fn escape(item: &str, out: &mut impl fmt::Write) {
    let mut rest = item;
    while let Some(at) = memchr::memchr2(b',', b'\\', rest.as_bytes()) {
        let _ = out.write_str(&rest[..at]);
        let _ = out.write_char('\\');
        let _ = out.write_str(&rest[at..=at]);
        rest = &rest[at + 1..];
    }
    let _ = out.write_str(rest);
}

/// The items of a text that [`join`] made.
#[must_use]
pub fn split(joined: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut characters = joined.chars();
    while let Some(character) = characters.next() {
        match character {
            ',' => items.push(String::new()),
            other => {
                let literal = if other == '\\' {
                    characters.next().unwrap_or('\\')
                } else {
                    other
                };
                if let Some(item) = items.last_mut() {
                    item.push(literal);
                }
            }
        }
    }
    items
}

/// Two texts as one item, the first ended by `sign`.
pub(super) fn pair(first: &str, sign: char, second: &str) -> String {
    let mut text = String::with_capacity(first.len() + second.len() + 1);
    for character in first.chars() {
        if character == sign || character == '\\' {
            text.push('\\');
        }
        text.push(character);
    }
    text.push(sign);
    text.push_str(second);
    text
}

/// The texts that [`pair`] joined; one without a sign is the second.
pub(super) fn unpair(text: &str, sign: char) -> (String, &str) {
    let mut first = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            sign_found if sign_found == sign => {
                return (first, &text[at + sign.len_utf8()..]);
            }
            '\\' => first.extend(characters.next().map(|(_, literal)| literal)),
            other => first.push(other),
        }
    }
    (String::new(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_list_comes_back(items in proptest::collection::vec("[a,\\\\ :/=\u{e9}]{0,6}", 0..5)) {
            let joined = join(items.iter().map(String::as_str));
            let back = joined.as_deref().map(split).unwrap_or_default();
            proptest::prop_assert_eq!(back, items);
        }

        #[test]
        fn a_pair_comes_back(first in "[a:\\\\/]{0,5}", second in "[a:\\\\/]{0,5}") {
            let text = pair(&first, ':', &second);
            proptest::prop_assert_eq!(unpair(&text, ':'), (first, second.as_str()));
        }
    }

    #[test]
    fn usual_lists_read_as_they_are() {
        let labels = ["k8s:app=cart", "k8s:tier=2"];
        assert_eq!(join(labels).as_deref(), Some("k8s:app=cart,k8s:tier=2"));
        assert_eq!(join([]), None);
    }
}
