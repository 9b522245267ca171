//! Labels as Cilium writes them: `source:key=value`.
//!
//! Owns taking a label apart. Which labels a selector wants is `selector`'s.

use std::net::IpAddr;

/// The source a label without one has.
pub(super) const UNSPEC: &str = "unspec";
const RESERVED: &str = "reserved";

/// A label, borrowed from its text.
///
/// `$x` is `reserved:x`. A node's label (`zone=a`) has no source and gets `unspec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label<'a> {
    /// Who gave it: `k8s`, `reserved`, `cidr`, and so on
    pub source: &'a str,
    /// Its name.
    pub key: &'a str,
    /// Empty where there is none.
    pub value: &'a str,
}

impl<'a> Label<'a> {
    /// Takes a label apart; any text is some label.
    pub fn parse(text: &'a str) -> Self {
        let (source, rest) = if let Some(name) = text.strip_prefix('$') {
            (RESERVED, name)
        } else if let Some((source, rest)) = text.split_once(':') {
            (source, rest)
        } else if let Some(name) = text.strip_prefix("reserved.") {
            (RESERVED, name)
        } else {
            ("", text)
        };
        let (key, value) = match rest.split_once('=') {
            Some(("", name)) if source == RESERVED => (name, ""),
            Some(pair) => pair,
            None => (rest, ""),
        };
        Self {
            source: if source.is_empty() { UNSPEC } else { source },
            key,
            value,
        }
    }
}

/// The prefix a `cidr` label names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// Reads a label's key; `-` may stand for `:`, which selectors cannot contain.
    pub(super) fn from_key(key: &str) -> Option<Self> {
        let text = key.replace('-', ":");
        let (address, length) = text.rsplit_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let plain = length == "0" || length.starts_with(|c: char| matches!(c, '1'..='9'));
        let length = length.parse().ok().filter(|_| plain)?;
        let prefix = Self { address, length };
        (length <= prefix.bits()).then_some(prefix)
    }

    /// Whether all of `other` is inside.
    pub(super) fn covers(self, other: Self) -> bool {
        let (ours, theirs) = match (self.address, other.address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (
                u128::from(ours.to_bits()) << 96,
                u128::from(theirs.to_bits()) << 96,
            ),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits(), theirs.to_bits()),
            _ => return false,
        };
        let mask = u128::MAX
            .checked_shl(128 - u32::from(self.length))
            .unwrap_or(0);
        self.length <= other.length && (ours ^ theirs) & mask == 0
    }

    fn bits(self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (&str, &str, &str) {
        let label = Label::parse(text);
        (label.source, label.key, label.value)
    }

    #[test]
    fn a_label_is_source_key_and_value() {
        assert_eq!(parts("k8s:app=front"), ("k8s", "app", "front"));
        assert_eq!(parts("reserved:world"), ("reserved", "world", ""));
        assert_eq!(parts("$world"), ("reserved", "world", ""));
        assert_eq!(parts("reserved.world"), ("reserved", "world", ""));
        assert_eq!(parts("reserved:=world"), ("reserved", "world", ""));
        assert_eq!(parts("zone=a"), ("unspec", "zone", "a"));
        assert_eq!(parts(":zone=a"), ("unspec", "zone", "a"));
        assert_eq!(parts("cidr:fd00::/8"), ("cidr", "fd00::/8", ""));
        assert_eq!(parts(""), ("unspec", "", ""));
    }

    #[test]
    fn a_prefix_covers_what_is_as_narrow_and_inside() {
        let covers = |ours: &str, theirs: &str| {
            Prefix::from_key(ours)
                .unwrap()
                .covers(Prefix::from_key(theirs).unwrap())
        };
        assert!(covers("10.0.0.0/8", "10.1.2.3/32"));
        assert!(covers("10.0.0.0/8", "10.0.0.0/8"));
        assert!(!covers("10.1.0.0/16", "10.0.0.0/8"));
        assert!(!covers("10.0.0.0/8", "11.0.0.0/8"));
        assert!(covers("0.0.0.0/0", "11.0.0.0/8"));
        assert!(covers("0--0/0", "fd00::1/128"));
        assert!(!covers("0--0/0", "11.0.0.0/8"));
        assert!(covers("fd00--0/8", "fd00::1/128"));
        for wrong in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "x/8",
            "",
        ] {
            assert_eq!(Prefix::from_key(wrong), None, "{wrong}");
        }
    }
}
