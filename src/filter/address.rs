//! Addresses and prefixes of a filter.
//!
//! Hubble compares a plain address with the flow's as text, after writing it in its
//! canonical form, and a prefix with the parsed address, of the same family only.

use std::net::IpAddr;

use ipnet::IpNet;

/// Addresses and prefixes, any of which may match.
#[derive(Clone, Debug, Default)]
pub(super) struct AddressSet {
    addresses: Vec<String>,
    prefixes: Vec<IpNet>,
}

impl AddressSet {
    /// Parses the entries; the first that is neither is the error.
    pub(super) fn parse(entries: &[String]) -> Result<Self, &str> {
        let mut set = Self::default();
        for entry in entries {
            if entry.contains('/') {
                set.prefixes.push(prefix(entry).ok_or(entry.as_str())?);
            } else {
                set.addresses.push(canonical(entry).ok_or(entry.as_str())?);
            }
        }
        Ok(set)
    }

    /// The addresses, where there are no prefixes beside them.
    pub(super) fn plain(&self) -> Option<&[String]> {
        self.prefixes.is_empty().then_some(&self.addresses)
    }

    pub(super) fn matches(&self, address: &str) -> bool {
        if address.is_empty() {
            return false;
        }
        self.addresses.iter().any(|known| known == address)
            || (!self.prefixes.is_empty()
                && address.parse::<IpAddr>().is_ok_and(|address| {
                    self.prefixes.iter().any(|prefix| prefix.contains(&address))
                }))
    }
}

/// `fe80:0::1%eth0` is `fe80::1%eth0`: a zone stays as it is.
fn canonical(text: &str) -> Option<String> {
    match text.split_once('%') {
        None => text.parse::<IpAddr>().ok().map(|ip| ip.to_string()),
        Some((_, "")) => None,
        Some((address, zone)) => {
            let address: std::net::Ipv6Addr = address.parse().ok()?;
            Some(format!("{address}%{zone}"))
        }
    }
}

/// Host bits are allowed and ignored. `10.0.0.0/08` is not a prefix.
fn prefix(text: &str) -> Option<IpNet> {
    let (address, bits) = text.split_once('/')?;
    if bits.is_empty()
        || !bits.bytes().all(|byte| byte.is_ascii_digit())
        || (bits.len() > 1 && bits.starts_with('0'))
    {
        return None;
    }
    let net = IpNet::new(address.parse().ok()?, bits.parse().ok()?).ok()?;
    Some(net.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[&str]) -> AddressSet {
        let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
        AddressSet::parse(&entries).unwrap()
    }

    #[test]
    fn a_prefix_masks_its_host_bits_and_keeps_to_its_family() {
        let set = set(&["10.0.3.7/16", "fd00::1/64"]);
        assert!(set.matches("10.0.200.1"));
        assert!(set.matches("fd00::ffff"));
        assert!(!set.matches("10.1.0.1"));
        assert!(!set.matches("::ffff:10.0.0.1"));
        assert!(!set.matches(""));
        assert!(!set.matches("not an address"));
    }

    #[test]
    fn an_address_is_compared_in_its_canonical_form() {
        assert!(set(&["FD00:0::01"]).matches("fd00::1"));
        assert!(!set(&["fd00::1"]).matches("FD00::1"));
        assert!(set(&["fe80:0::1%eth0"]).matches("fe80::1%eth0"));
    }

    #[test]
    fn what_is_no_address_is_named() {
        for bad in [
            "300.1.1.1",
            "010.0.0.1",
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/08",
            "/8",
            "10.0.0.1%eth0",
            "10.0.0.0/+8",
            "1.2.3.4/8/9",
        ] {
            assert_eq!(AddressSet::parse(&[bad.to_owned()]).err(), Some(bad));
        }
    }
}
