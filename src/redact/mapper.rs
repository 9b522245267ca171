//! Everything that is mapped by one key: the same text is the same everywhere.
//!
//! Owns names of several parts, addresses as text, numbers of requests, and the counts of
//! what was replaced. What a field of a flow or an object is, is for others to say.

use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ipnet::IpNet;

use super::address;
use super::key::{Key, Use};
use super::tally::{Kind, Tally};
use super::word::{letters, word};

/// Names and addresses that are remembered; then all are forgotten.
const MOST_REMEMBERED: usize = 1 << 17;
/// Bytes of a name that is remembered.
const LONGEST_REMEMBERED: usize = 256;
/// Longest value of a label, and longest part of a DNS name.
const LONGEST_VALUE: usize = 63;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Maps texts under a key. One a thread: what it remembers changes nothing.
#[derive(Debug)]
pub struct Mapper {
    pub(super) key: Key,
    /// What was replaced so far.
    pub tally: Tally,
    names: HashMap<Box<str>, Box<str>, RandomState>,
    addresses: HashMap<IpAddr, IpAddr, RandomState>,
}

impl Mapper {
    /// A mapper under a key.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self {
            key,
            tally: Tally::default(),
            names: HashMap::default(),
            addresses: HashMap::default(),
        }
    }

    /// A name: each part between dots by itself. An address or a UUID is mapped as such.
    #[must_use]
    pub fn name(&mut self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        if let Some(known) = self.names.get(text) {
            return known.to_string();
        }
        let mapped = self.fresh_name(text);
        if text.len() <= LONGEST_REMEMBERED {
            if self.names.len() >= MOST_REMEMBERED {
                self.names.clear();
            }
            self.names.insert(text.into(), mapped.as_str().into());
        }
        mapped
    }

    fn fresh_name(&mut self, text: &str) -> String {
        if let Ok(address) = text.parse() {
            return self.ip(address).to_string();
        }
        if is_uuid(text) {
            return self.uuid_text(text);
        }
        if let Some(reverse) = self.reverse(text) {
            return reverse;
        }
        let parts: Vec<String> = text.split('.').map(|part| word(&self.key, part)).collect();
        parts.join(".")
    }

    /// A label's value: a name that is no longer than a value may be.
    #[must_use]
    pub fn value(&mut self, text: &str) -> String {
        let mapped = self.name(text);
        if mapped.len() > LONGEST_VALUE && text.len() <= LONGEST_VALUE {
            return self.opaque(text);
        }
        mapped
    }

    /// A text that has no parts: the word is another one than that of a name.
    #[must_use]
    pub fn opaque(&self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        letters(self.key.number(Use::Text, text.as_bytes()))
    }

    /// An address.
    #[must_use]
    pub fn ip(&mut self, address: IpAddr) -> IpAddr {
        if let Some(known) = self.addresses.get(&address) {
            return *known;
        }
        if self.addresses.len() >= MOST_REMEMBERED {
            self.addresses.clear();
        }
        let mapped = address::address(&self.key, address);
        self.addresses.insert(address, mapped);
        mapped
    }

    /// An address as text; what is none is a name.
    #[must_use]
    pub fn ip_text(&mut self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        self.tally.add(Kind::Address);
        match text.parse() {
            Ok(address) => self.ip(address).to_string(),
            Err(_) => self.name(text),
        }
    }

    /// A prefix or an address of a rule. What is none remains none.
    #[must_use]
    pub fn prefix_text(&mut self, text: &str) -> String {
        self.tally.add(Kind::Address);
        if let Ok(address) = text.parse() {
            return self.ip(address).to_string();
        }
        match text.parse::<IpNet>() {
            Ok(prefix) => address::prefix(&self.key, prefix).to_string(),
            Err(_) => format!("~{}", self.opaque(text)),
        }
    }

    /// A hardware address as text; what is none is opaque.
    #[must_use]
    pub fn mac_text(&mut self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        self.tally.add(Kind::Mac);
        let Some(mac) = mac_of(text) else {
            return self.opaque(text);
        };
        let mapped = address::mac(&self.key, mac);
        let parts: Vec<String> = mapped.iter().map(|byte| format!("{byte:02x}")).collect();
        parts.join(":")
    }

    /// A UUID or another identifier of hexadecimal digits; its form stays.
    #[must_use]
    pub fn id(&mut self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        self.tally.add(Kind::Id);
        if is_uuid(text) {
            return self.uuid_text(text);
        }
        if text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let drawn = self.key.draw(Use::Hex, text.as_bytes());
            return hex(&drawn, text.len());
        }
        self.opaque(text)
    }

    /// A number that names something.
    #[must_use]
    pub fn number(&mut self, number: u64) -> u64 {
        if number == 0 {
            return 0;
        }
        self.tally.add(Kind::Id);
        self.key.number(Use::Number, &number.to_be_bytes())
    }

    fn uuid_text(&self, text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        let digits = hex(&self.key.draw(Use::Uuid, lower.as_bytes()), 32);
        let mut drawn = digits.chars();
        // Its version and variant stay, as they say nothing of whose it is.
        lower
            .chars()
            .enumerate()
            .map(|(at, old)| match (at, old) {
                (_, '-') => '-',
                (14 | 19, old) => old,
                _ => drawn.next().unwrap_or('0'),
            })
            .collect()
    }

    /// The name under which an address is looked up in reverse, whole ones only.
    fn reverse(&mut self, text: &str) -> Option<String> {
        let (bare, dot) = match text.strip_suffix('.') {
            Some(bare) => (bare, "."),
            None => (text, ""),
        };
        let lower = bare.to_ascii_lowercase();
        if let Some(parts) = lower.strip_suffix(".in-addr.arpa") {
            let turned: Vec<&str> = parts.rsplit('.').collect();
            let address: std::net::Ipv4Addr = turned.join(".").parse().ok()?;
            let IpAddr::V4(mapped) = self.ip(IpAddr::V4(address)) else {
                return None;
            };
            let [a, b, c, d] = mapped.octets();
            return Some(format!("{d}.{c}.{b}.{a}.in-addr.arpa{dot}"));
        }
        let parts = lower.strip_suffix(".ip6.arpa")?;
        let mut bits = 0_u128;
        let mut count = 0;
        for part in parts.rsplit('.') {
            let digit = u128::from_str_radix(part, 16).ok()?;
            if part.len() != 1 || count == 32 {
                return None;
            }
            bits = bits << 4 | digit;
            count += 1;
        }
        if count != 32 {
            return None;
        }
        let IpAddr::V6(mapped) = self.ip(IpAddr::V6(bits.into())) else {
            return None;
        };
        let digits = format!("{:032x}", mapped.to_bits());
        let turned: Vec<String> = digits.chars().rev().map(String::from).collect();
        Some(format!("{}.ip6.arpa{dot}", turned.join(".")))
    }
}

fn hex(bytes: &[u8], digits: usize) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(HEX[usize::from(digit)]))
        .take(digits)
        .collect()
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn mac_of(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapper(secret: &[u8]) -> Mapper {
        Mapper::new(Key::new(secret).unwrap())
    }

    #[test]
    fn a_name_keeps_its_parts_and_what_every_cluster_has() {
        let mut mapper = mapper(b"0123456789abcdef");
        let name = mapper.name("checkout.shop.svc.cluster.local.");
        let parts: Vec<&str> = name.split('.').collect();
        assert_eq!(parts[2..], ["svc", "cluster", "local", ""]);
        assert_eq!(parts[0], mapper.name("checkout"));
        assert_eq!(parts[1], mapper.name("shop"));
        assert_ne!(parts[1], "shop");
        assert_eq!(mapper.name("shop.com").rsplit('.').next(), Some("com"));
        assert_eq!(mapper.name("kube-system"), "kube-system");
    }

    #[test]
    fn addresses_in_names_are_addresses() {
        let mut mapper = mapper(b"0123456789abcdef");
        let address = mapper.ip_text("9.8.7.6");
        assert_eq!(mapper.name("9.8.7.6"), address);
        let parts: Vec<&str> = address.split('.').rev().collect();
        let reverse = format!("{}.in-addr.arpa.", parts.join("."));
        assert_eq!(mapper.name("6.7.8.9.in-addr.arpa."), reverse);
        let long = format!("7.{}0.8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(22));
        let mapped = mapper.name(&long);
        assert!(mapped.ends_with(".ip6.arpa") && mapped.len() == long.len());
        assert_ne!(mapped, long);
    }

    #[test]
    fn another_key_gives_something_else_and_the_same_the_same() {
        let texts = ["shop", "10.42.1.77", "19516bcc-3cd5-4e90-921c-f947f037b8d2"];
        for text in texts {
            let one = mapper(b"0123456789abcdef").name(text);
            assert_eq!(mapper(b"0123456789abcdef").name(text), one);
            assert_ne!(mapper(b"fedcba9876543210").name(text), one);
            assert_ne!(one, text);
        }
    }

    #[test]
    fn identifiers_keep_their_form() {
        let mut mapper = mapper(b"0123456789abcdef");
        let uuid = mapper.id("19516bcc-3cd5-4e90-921c-f947f037b8d2");
        assert!(is_uuid(&uuid) && &uuid[14..15] == "4" && &uuid[19..20] == "9");
        assert_eq!(mapper.id("4bf92f3577b34da6a3ce929d0e0e4736").len(), 32);
        let mac = mapper.mac_text("46:25:c3:aa:ae:7a");
        assert!(mac_of(&mac).is_some_and(|mac| mac[0] & 3 == 2), "{mac}");
        assert_eq!(mapper.number(0), 0);
    }

    #[test]
    fn a_value_is_no_longer_than_a_value_may_be() {
        let mut mapper = mapper(b"0123456789abcdef");
        assert!(mapper.value("a.b.c.d.e.f.g").len() <= LONGEST_VALUE);
        assert_eq!(mapper.value("a.b"), mapper.name("a.b"));
    }
}
