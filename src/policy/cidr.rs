//! Prefixes and addresses as Go's `netip` reads them.
//!
//! Owns what parses. A bare address is no prefix; a length has no leading zero and no sign.

use std::net::IpAddr;

use ipnet::IpNet;

/// Reads `address/length`; host bits stay.
///
/// # Errors
/// Why it is none, a lower-case fragment.
pub(super) fn prefix(text: &str) -> Result<IpNet, &'static str> {
    let (address, length) = text.rsplit_once('/').ok_or("no '/'")?;
    let address: IpAddr = address
        .parse()
        .map_err(|_| "not an address before the '/'")?;
    let digits = length.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (length.len() > 1 && length.starts_with('0')) {
        return Err("not a prefix length after the '/'");
    }
    let length: u8 = length
        .parse()
        .map_err(|_| "not a prefix length after the '/'")?;
    IpNet::new(address, length).map_err(|_| "prefix length out of range")
}

/// Reads a prefix, or an address as the prefix that holds only it.
///
/// # Errors
/// Why it is neither.
pub(super) fn prefix_or_address(text: &str) -> Result<IpNet, &'static str> {
    if text.contains('/') {
        return prefix(text);
    }
    let address: IpAddr = text
        .parse()
        .map_err(|_| "neither an address nor a prefix")?;
    Ok(IpNet::from(address))
}

/// Whether a text is an address with a zone, which validation takes for an address and
/// which then crashes the agent.
pub(super) fn has_zone(text: &str) -> bool {
    text.split_once('%').is_some_and(|(address, zone)| {
        !zone.is_empty() && address.parse::<std::net::Ipv6Addr>().is_ok()
    })
}
