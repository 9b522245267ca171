//! Well-known places: addresses, ports and names that mean something by themselves.
//!
//! Owns the lists. What follows from being on one is each detector's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::baseline::Group;
use crate::connection::{Peer, PeerId, Peers};

/// Addresses at which clouds give out metadata and credentials: AWS, Google Cloud, Azure
/// and others (one address for all), ECS tasks, EKS pods, Alibaba, Azure's wire server.
const METADATA: [IpAddr; 7] = [
    v4(169, 254, 169, 254),
    v4(169, 254, 170, 2),
    v4(169, 254, 170, 23),
    v4(100, 100, 100, 200),
    v4(168, 63, 129, 16),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

/// Names of the same.
const METADATA_NAMES: [&str; 3] = [
    "metadata.google.internal",
    "metadata.goog",
    "instance-data.ec2.internal",
];

/// Resolvers that answer DNS over HTTPS, by name.
const DOH_NAMES: [&str; 16] = [
    "chrome.cloudflare-dns.com",
    "cloudflare-dns.com",
    "dns.adguard.com",
    "dns.alidns.com",
    "dns.google",
    "dns.nextdns.io",
    "dns.quad9.net",
    "dns10.quad9.net",
    "dns64.dns.google",
    "doh.cleanbrowsing.org",
    "doh.dns.sb",
    "doh.opendns.com",
    "doh.pub",
    "mozilla.cloudflare-dns.com",
    "one.one.one.one",
    "security.cloudflare-dns.com",
];

/// The same, by address.
const DOH_ADDRESSES: [IpAddr; 12] = [
    v4(1, 0, 0, 1),
    v4(1, 1, 1, 1),
    v4(8, 8, 4, 4),
    v4(8, 8, 8, 8),
    v4(9, 9, 9, 9),
    v4(94, 140, 14, 14),
    v4(149, 112, 112, 112),
    v4(208, 67, 220, 220),
    v4(208, 67, 222, 222),
    v4(223, 5, 5, 5),
    IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888)),
];

/// Ports that pools of miners listen on and little else does: Falco's `miner_ports`
/// without 25, 8000, 8001, 8008, 8080, 8118 and 8888.
const MINING_PORTS: [u16; 24] = [
    3333, 3334, 3335, 3336, 3357, 4444, 5555, 5556, 5588, 5730, 6099, 6666, 7777, 7778, 8333, 8899,
    9332, 9999, 14433, 14444, 45560, 45700, 3032, 20535,
];

/// Registered domains of mining pools.
const MINING_DOMAINS: [&str; 48] = [
    "2miners.com",
    "antpool.com",
    "baikalmine.com",
    "binance-pool.com",
    "bohemianpool.com",
    "braiins.com",
    "btc.com",
    "c3pool.com",
    "c3pool.org",
    "coinhive.com",
    "coinmine.pl",
    "crypto-pool.fr",
    "dwarfpool.com",
    "ethermine.org",
    "ezil.me",
    "f2pool.com",
    "flexpool.io",
    "flypool.org",
    "gntl.co.uk",
    "gulf.moneroocean.stream",
    "hashvault.pro",
    "herominers.com",
    "hiveon.net",
    "k1pool.com",
    "kryptex.network",
    "luckpool.net",
    "mine.moneropool.com",
    "minergate.com",
    "minexmr.com",
    "miningpoolhub.com",
    "miningrigrentals.com",
    "moneroocean.stream",
    "monerpool.org",
    "nanopool.org",
    "nicehash.com",
    "poolin.com",
    "pool.hashvault.pro",
    "prohashing.com",
    "slushpool.com",
    "supportxmr.com",
    "suprnova.cc",
    "unmineable.com",
    "viabtc.com",
    "woolypooly.com",
    "xmrpool.eu",
    "xmrpool.net",
    "zergpool.com",
    "zpool.ca",
];

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// What a metadata service is called by, where a group goes to one: its address or name.
pub(super) fn metadata(group: &Group, peers: &Peers) -> Option<String> {
    if let Peer::Name(name) = peers.get(group.server)
        && is_under(name, &METADATA_NAMES)
    {
        return Some(name.to_string());
    }
    addresses(group, peers)
        .find(|address| METADATA.contains(address))
        .map(|address| address.to_string())
}

/// Whether a group goes to a known resolver of DNS over HTTPS.
pub(super) fn doh(group: &Group, peers: &Peers) -> bool {
    is_doh_name(group.server, peers)
        || addresses(group, peers).any(|address| DOH_ADDRESSES.contains(&address))
}

fn is_doh_name(server: PeerId, peers: &Peers) -> bool {
    matches!(peers.get(server), Peer::Name(name) if is_under(name, &DOH_NAMES))
}

/// Whether a port is one of mining pools.
pub(super) fn mining_port(port: u16) -> bool {
    MINING_PORTS.contains(&port)
}

/// Whether a name is one of mining pools: on the list, or with `stratum` or the like in it.
pub(super) fn mining_name(name: &str) -> bool {
    let telling = |label: &str| {
        matches!(label, "stratum" | "xmrig" | "minexmr" | "moneropool")
            || label.starts_with("stratum-")
            || label.ends_with("-stratum")
            || label.starts_with("xmr-")
            || label.starts_with("xmrpool")
    };
    is_under(name, &MINING_DOMAINS) || name.split('.').any(telling)
}

/// Addresses that a group went to.
fn addresses(group: &Group, peers: &Peers) -> impl Iterator<Item = IpAddr> {
    let own = match peers.get(group.server) {
        Peer::Prefix(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => {
            Some(prefix.addr())
        }
        _ => None,
    };
    let outside = matches!(peers.get(group.key), Peer::Prefix(_) | Peer::Name(_));
    let kept = if outside {
        &group.servers.kept[..]
    } else {
        &[]
    };
    own.into_iter().chain(kept.iter().copied())
}

/// Whether a name is one of a list, or under one.
fn is_under(name: &str, list: &[&str]) -> bool {
    list.iter().any(|known| {
        name.strip_suffix(known)
            .is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

/// Whether a name is of the cluster or of its machines, and nobody outside can own it.
pub(super) fn is_internal_name(name: &str) -> bool {
    const INTERNAL: [&str; 8] = [
        "cluster.local",
        "svc",
        "local",
        "internal",
        "localdomain",
        "in-addr.arpa",
        "ip6.arpa",
        "internal.cloudapp.net",
    ];
    !name.contains('.') || is_under(name, &INTERNAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_by_whole_labels() {
        assert!(mining_name("pool.supportxmr.com") && mining_name("stratum.example.com"));
        assert!(!mining_name("notsupportxmr.com") && !mining_name("poolparty.example.com"));
        assert!(is_internal_name("pay.shop.svc.cluster.local") && is_internal_name("redis"));
        assert!(is_internal_name("1.0.0.10.in-addr.arpa"));
        assert!(!is_internal_name("example.com") && !is_internal_name("x.notlocal"));
    }
}
