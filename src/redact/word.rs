//! Words: a name of one part to another that tells nothing.
//!
//! Owns the form of what stands for a name, and which words stay. A pod's name keeps the
//! form that tells its workload: the random ends stay random ends, the number of a replica
//! and the minute of a job stay.

use super::key::{Key, Use};

/// Words that every cluster has, which stay wherever they stand. Position does not matter,
/// so that patterns of names fit as before.
pub const STAYING: [&str; 24] = [
    "arpa",
    "cluster",
    "com",
    "coredns",
    "default",
    "false",
    "in-addr",
    "io",
    "ip6",
    "kube-dns",
    "kube-node-lease",
    "kube-public",
    "kube-system",
    "kubernetes",
    "local",
    "localhost",
    "net",
    "org",
    "pod",
    "reserved",
    "svc",
    "true",
    "http",
    "https",
];

/// What a proxy writes in place of what it hides.
pub(super) const HIDDEN: &str = "HUBBLE_REDACTED";

const CONSONANTS: &[u8; 20] = b"bcdfghjklmnpqrstvwxz";
const VOWELS: &[u8; 5] = b"aeiou";
/// Syllables of a word: 10^12 words, of 12 letters.
const SYLLABLES: u32 = 6;
/// Digits of the random ends that Kubernetes gives to names; letters are the consonants.
const SAFE_DIGITS: &[u8; 7] = b"2456789";
/// Longest number of a replica, and digits of the minute in the name of a scheduled job.
const ORDINAL: usize = 5;
const MINUTE: usize = 8;

/// Maps one part of a name. Upper and lower case share a word, written differently.
pub(super) fn word(key: &Key, text: &str) -> String {
    if text.is_empty() || text == HIDDEN {
        return text.to_owned();
    }
    let lower = text.to_ascii_lowercase();
    let mapped = lower_word(key, &lower);
    if lower == text {
        return mapped;
    }
    let bits = key.number(Use::Case, text.as_bytes());
    let mut changed = false;
    let mut cased: String = mapped
        .chars()
        .enumerate()
        .map(|(at, letter)| {
            let upper = letter.is_ascii_lowercase() && bits >> (at % 64) & 1 == 1;
            changed |= upper;
            if upper {
                letter.to_ascii_uppercase()
            } else {
                letter
            }
        })
        .collect();
    if !changed {
        cased.make_ascii_uppercase();
    }
    cased
}

fn lower_word(key: &Key, text: &str) -> String {
    if STAYING.contains(&text) {
        return text.to_owned();
    }
    if let Some((stem, end)) = text.rsplit_once('-')
        && !stem.is_empty()
    {
        if is_number(end, MINUTE..=MINUTE) {
            return format!("{}-{end}", drawn(key, stem));
        }
        if is_number(end, 1..=ORDINAL) && !has_octets(stem) {
            return format!("{}-{end}", lower_word(key, stem));
        }
        if is_random(end) {
            return format!("{}-{}", lower_word(key, stem), random(key, end));
        }
    }
    if is_random(text) {
        return random(key, text);
    }
    drawn(key, text)
}

/// A word of its own for a text.
fn drawn(key: &Key, text: &str) -> String {
    if STAYING.contains(&text) {
        return text.to_owned();
    }
    let word = letters(key.number(Use::Name, text.as_bytes()));
    // What is no name remains none.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if text.bytes().all(plain) {
        word
    } else {
        format!("~{word}")
    }
}

/// A word of a number.
pub(super) fn letters(mut number: u64) -> String {
    let mut word = String::with_capacity(2 * SYLLABLES as usize);
    for _ in 0..SYLLABLES {
        let syllable = (number % 100) as usize;
        number /= 100;
        word.push(char::from(CONSONANTS[syllable / 5]));
        word.push(char::from(VOWELS[syllable % 5]));
    }
    word
}

/// Maps a random end letter by letter, each by those before it: no two become one.
fn random(key: &Key, text: &str) -> String {
    let mut mapped = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let letters: &[u8] = if byte.is_ascii_digit() {
            SAFE_DIGITS
        } else {
            CONSONANTS
        };
        let shift = key.number(Use::Random, &text.as_bytes()[..at]) as usize % letters.len();
        let place = letters.iter().position(|letter| *letter == byte);
        let place = place.unwrap_or_default();
        mapped.push(char::from(letters[(place + shift) % letters.len()]));
    }
    mapped
}

fn is_number(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_random(text: &str) -> bool {
    (5..=10).contains(&text.len())
        && text
            .bytes()
            .all(|byte| CONSONANTS.contains(&byte) || SAFE_DIGITS.contains(&byte))
}

/// Whether it ends with two numbers of an address: then what follows may be its next one.
fn has_octets(stem: &str) -> bool {
    let mut parts = stem.rsplit('-');
    let octet = |part: Option<&str>| {
        part.is_some_and(|part| is_number(part, 1..=3) && part.parse::<u8>().is_ok())
    };
    octet(parts.next()) && octet(parts.next())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::WorkloadName;

    fn key() -> Key {
        Key::new(b"0123456789abcdef").unwrap()
    }

    fn workload(pod: &str) -> String {
        WorkloadName::of_pod(pod, std::iter::empty())
            .name
            .to_string()
    }

    #[test]
    fn a_pod_still_tells_its_workload() {
        let key = key();
        for pod in [
            "checkout-7d5b9c6f48-hx2vp",
            "loki-read-7d5b9c6f48-hx2vp",
            "web-2-7d5b9c6f48-hx2vp",
            "db-0",
            "a-22555-44224-0",
            "agent-x7k2p",
            "report-29012345-x7k2p",
            "web-server",
            "coredns-7d5b9c6f48-hx2vp",
        ] {
            let mapped = word(&key, pod);
            assert_ne!(mapped, pod);
            assert_eq!(workload(&mapped), word(&key, &workload(pod)), "{pod}");
        }
        assert!(word(&key, "coredns-7d5b9c6f48-hx2vp").starts_with("coredns-"));
    }

    #[test]
    fn an_address_in_a_name_does_not_show() {
        let mapped = word(&key(), "ip-10-42-1-77");
        assert!(mapped.bytes().all(|b| b.is_ascii_lowercase()), "{mapped}");
    }

    #[test]
    fn what_is_no_name_remains_none_and_case_is_told_apart() {
        let key = key();
        assert!(word(&key, "a/b").starts_with('~'));
        assert_eq!(word(&key, "svc"), "svc");
        let (upper, lower) = (word(&key, "Shop"), word(&key, "shop"));
        assert_ne!(upper, lower);
        assert_eq!(upper.to_lowercase(), lower);
    }

    proptest! {
        #[test]
        fn no_two_names_become_one(
            secret: [u8; 16],
            one in "[a-d]{1,3}(-[bc25]{5,6})?(-[bcd24]{5})?(-[0-3]{1,2})?",
            other in "[a-d]{1,3}(-[bc25]{5,6})?(-[bcd24]{5})?(-[0-3]{1,2})?",
        ) {
            let key = Key::new(&secret).unwrap();
            prop_assert_eq!(one == other, word(&key, &one) == word(&key, &other));
            prop_assert_eq!(word(&key, &workload(&one)), workload(&word(&key, &one)));
        }
    }
}
