//! Why a packet was dropped: numbers, Hubble's names and texts, and the class a
//! person triages by.
//!
//! Source: Cilium 1.19 `DropReason` and the monitor's texts; 206 and 207 are of 1.20
//! and have a text only.

use std::fmt;

/// A drop reason as an open number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DropReason(pub i32);

/// What kind of trouble a drop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropClass {
    /// A policy said no, or nothing said yes.
    Policy,
    /// An endpoint or the host was not ready yet; goes away by itself.
    Transient,
    /// Connection tracking.
    Conntrack,
    /// No route, no backend, unknown target.
    Routing,
    /// Everything else of the datapath.
    Infrastructure,
    /// Consumed or handed on; nothing was lost.
    NotADrop,
}

impl DropClass {
    /// Every class, in the order reports show them.
    pub const ALL: [Self; 6] = [
        Self::Policy,
        Self::Transient,
        Self::Conntrack,
        Self::Routing,
        Self::Infrastructure,
        Self::NotADrop,
    ];

    /// The word for the class.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Transient => "transient",
            Self::Conntrack => "conntrack",
            Self::Routing => "routing",
            Self::Infrastructure => "infrastructure",
            Self::NotADrop => "not a drop",
        }
    }
}

impl DropReason {
    /// No allow rule matched.
    pub const POLICY_DENIED: Self = Self(133);
    /// A deny rule matched.
    pub const POLICY_DENY: Self = Self(181);
    /// Mutual authentication is missing.
    pub const AUTH_REQUIRED: Self = Self(189);

    /// The enum name, where the number has one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.entry().and_then(|entry| entry.1)
    }

    /// The number of an enum name, spelled exactly.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        REASONS
            .iter()
            .find(|entry| entry.1 == Some(name))
            .map(|entry| Self(entry.0))
    }

    /// The text Cilium's monitor prints for the number, `None` for an unknown one.
    #[must_use]
    pub fn text(self) -> Option<&'static str> {
        self.entry().map(|entry| entry.2)
    }

    /// The class of the reason; an unknown number counts as infrastructure.
    #[must_use]
    pub fn class(self) -> DropClass {
        self.entry()
            .map_or(DropClass::Infrastructure, |entry| entry.3)
    }

    /// Every named reason.
    pub fn all() -> impl Iterator<Item = (Self, &'static str)> {
        REASONS
            .iter()
            .filter_map(|entry| entry.1.map(|name| (Self(entry.0), name)))
    }

    fn entry(self) -> Option<&'static Entry> {
        REASONS
            .binary_search_by_key(&self.0, |entry| entry.0)
            .ok()
            .map(|at| &REASONS[at])
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

type Entry = (i32, Option<&'static str>, &'static str, DropClass);

/// Sorted by number.
const REASONS: &[Entry] = &[
    (
        0,
        Some("DROP_REASON_UNKNOWN"),
        "Success",
        DropClass::Infrastructure,
    ),
    (
        130,
        Some("INVALID_SOURCE_MAC"),
        "Invalid source mac",
        DropClass::Infrastructure,
    ),
    (
        131,
        Some("INVALID_DESTINATION_MAC"),
        "Invalid destination mac",
        DropClass::Infrastructure,
    ),
    (
        132,
        Some("INVALID_SOURCE_IP"),
        "Invalid source ip",
        DropClass::Infrastructure,
    ),
    (
        133,
        Some("POLICY_DENIED"),
        "Policy denied",
        DropClass::Policy,
    ),
    (
        134,
        Some("INVALID_PACKET_DROPPED"),
        "Invalid packet",
        DropClass::Infrastructure,
    ),
    (
        135,
        Some("CT_TRUNCATED_OR_INVALID_HEADER"),
        "CT: Truncated or invalid header",
        DropClass::Conntrack,
    ),
    (
        136,
        Some("CT_MISSING_TCP_ACK_FLAG"),
        "Fragmentation needed",
        DropClass::Infrastructure,
    ),
    (
        137,
        Some("CT_UNKNOWN_L4_PROTOCOL"),
        "CT: Unknown L4 protocol",
        DropClass::Conntrack,
    ),
    (
        138,
        Some("CT_CANNOT_CREATE_ENTRY_FROM_PACKET"),
        "CT: Can't create entry from packet",
        DropClass::Infrastructure,
    ),
    (
        139,
        Some("UNSUPPORTED_L3_PROTOCOL"),
        "Unsupported L3 protocol",
        DropClass::Infrastructure,
    ),
    (
        140,
        Some("MISSED_TAIL_CALL"),
        "Missed tail call",
        DropClass::Transient,
    ),
    (
        141,
        Some("ERROR_WRITING_TO_PACKET"),
        "Error writing to packet",
        DropClass::Infrastructure,
    ),
    (
        142,
        Some("UNKNOWN_L4_PROTOCOL"),
        "Unknown L4 protocol",
        DropClass::Infrastructure,
    ),
    (
        143,
        Some("UNKNOWN_ICMPV4_CODE"),
        "Unknown ICMPv4 code",
        DropClass::Infrastructure,
    ),
    (
        144,
        Some("UNKNOWN_ICMPV4_TYPE"),
        "Unknown ICMPv4 type",
        DropClass::Infrastructure,
    ),
    (
        145,
        Some("UNKNOWN_ICMPV6_CODE"),
        "Unknown ICMPv6 code",
        DropClass::Infrastructure,
    ),
    (
        146,
        Some("UNKNOWN_ICMPV6_TYPE"),
        "Unknown ICMPv6 type",
        DropClass::Infrastructure,
    ),
    (
        147,
        Some("ERROR_RETRIEVING_TUNNEL_KEY"),
        "Error retrieving tunnel key",
        DropClass::Infrastructure,
    ),
    (
        148,
        Some("ERROR_RETRIEVING_TUNNEL_OPTIONS"),
        "Error retrieving tunnel options",
        DropClass::Infrastructure,
    ),
    (
        149,
        Some("INVALID_GENEVE_OPTION"),
        "Invalid Geneve option",
        DropClass::Infrastructure,
    ),
    (
        150,
        Some("UNKNOWN_L3_TARGET_ADDRESS"),
        "Unknown L3 target address",
        DropClass::Routing,
    ),
    (
        151,
        Some("STALE_OR_UNROUTABLE_IP"),
        "Stale or unroutable IP",
        DropClass::Routing,
    ),
    (
        152,
        Some("NO_MATCHING_LOCAL_CONTAINER_FOUND"),
        "No matching local container found",
        DropClass::Infrastructure,
    ),
    (
        153,
        Some("ERROR_WHILE_CORRECTING_L3_CHECKSUM"),
        "Error while correcting L3 checksum",
        DropClass::Infrastructure,
    ),
    (
        154,
        Some("ERROR_WHILE_CORRECTING_L4_CHECKSUM"),
        "Error while correcting L4 checksum",
        DropClass::Infrastructure,
    ),
    (
        155,
        Some("CT_MAP_INSERTION_FAILED"),
        "CT: Map insertion failed",
        DropClass::Conntrack,
    ),
    (
        156,
        Some("INVALID_IPV6_EXTENSION_HEADER"),
        "Invalid IPv6 extension header",
        DropClass::Infrastructure,
    ),
    (
        157,
        Some("IP_FRAGMENTATION_NOT_SUPPORTED"),
        "IP fragmentation not supported",
        DropClass::Infrastructure,
    ),
    (
        158,
        Some("SERVICE_BACKEND_NOT_FOUND"),
        "Service backend not found",
        DropClass::Routing,
    ),
    (
        160,
        Some("NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT"),
        "No tunnel/encapsulation endpoint (datapath BUG!)",
        DropClass::Infrastructure,
    ),
    (
        161,
        Some("FAILED_TO_INSERT_INTO_PROXYMAP"),
        "NAT 46/64 not enabled",
        DropClass::Infrastructure,
    ),
    (
        162,
        Some("REACHED_EDT_RATE_LIMITING_DROP_HORIZON"),
        "Reached EDT rate-limiting drop horizon",
        DropClass::Infrastructure,
    ),
    (
        163,
        Some("UNKNOWN_CONNECTION_TRACKING_STATE"),
        "Unknown connection tracking state",
        DropClass::Conntrack,
    ),
    (
        164,
        Some("LOCAL_HOST_IS_UNREACHABLE"),
        "Local host is unreachable",
        DropClass::Routing,
    ),
    (
        165,
        Some("NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION"),
        "No configuration available to perform policy decision",
        DropClass::Transient,
    ),
    (
        166,
        Some("UNSUPPORTED_L2_PROTOCOL"),
        "Unsupported L2 protocol",
        DropClass::Infrastructure,
    ),
    (
        167,
        Some("NO_MAPPING_FOR_NAT_MASQUERADE"),
        "No mapping for NAT masquerade",
        DropClass::Infrastructure,
    ),
    (
        168,
        Some("UNSUPPORTED_PROTOCOL_FOR_NAT_MASQUERADE"),
        "Unsupported protocol for NAT masquerade",
        DropClass::Infrastructure,
    ),
    (
        169,
        Some("FIB_LOOKUP_FAILED"),
        "FIB lookup failed",
        DropClass::Routing,
    ),
    (
        170,
        Some("ENCAPSULATION_TRAFFIC_IS_PROHIBITED"),
        "Encapsulation traffic is prohibited",
        DropClass::Infrastructure,
    ),
    (
        171,
        Some("INVALID_IDENTITY"),
        "Invalid identity",
        DropClass::Infrastructure,
    ),
    (
        172,
        Some("UNKNOWN_SENDER"),
        "Unknown sender",
        DropClass::Routing,
    ),
    (
        173,
        Some("NAT_NOT_NEEDED"),
        "NAT not needed",
        DropClass::Infrastructure,
    ),
    (
        174,
        Some("IS_A_CLUSTERIP"),
        "Is a ClusterIP",
        DropClass::Infrastructure,
    ),
    (
        175,
        Some("FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND"),
        "First logical datagram fragment not found",
        DropClass::Infrastructure,
    ),
    (
        176,
        Some("FORBIDDEN_ICMPV6_MESSAGE"),
        "Forbidden ICMPv6 message",
        DropClass::Infrastructure,
    ),
    (
        177,
        Some("DENIED_BY_LB_SRC_RANGE_CHECK"),
        "Denied by LB src range check",
        DropClass::Infrastructure,
    ),
    (
        178,
        Some("SOCKET_LOOKUP_FAILED"),
        "Socket lookup failed",
        DropClass::Infrastructure,
    ),
    (
        179,
        Some("SOCKET_ASSIGN_FAILED"),
        "Socket assign failed",
        DropClass::Infrastructure,
    ),
    (
        180,
        Some("PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL"),
        "Proxy redirection not supported for protocol",
        DropClass::Infrastructure,
    ),
    (
        181,
        Some("POLICY_DENY"),
        "Policy denied by denylist",
        DropClass::Policy,
    ),
    (
        182,
        Some("VLAN_FILTERED"),
        "VLAN traffic disallowed by VLAN filter",
        DropClass::Infrastructure,
    ),
    (
        183,
        Some("INVALID_VNI"),
        "Incorrect VNI from VTEP",
        DropClass::Infrastructure,
    ),
    (
        184,
        Some("INVALID_TC_BUFFER"),
        "Failed to update or lookup TC buffer",
        DropClass::Infrastructure,
    ),
    (
        185,
        Some("NO_SID"),
        "No SID was found for the IP address",
        DropClass::Infrastructure,
    ),
    (
        186,
        Some("MISSING_SRV6_STATE"),
        "SRv6 state was removed during tail call",
        DropClass::Infrastructure,
    ),
    (
        187,
        Some("NAT46"),
        "L3 translation from IPv4 to IPv6 failed (NAT46)",
        DropClass::Infrastructure,
    ),
    (
        188,
        Some("NAT64"),
        "L3 translation from IPv6 to IPv4 failed (NAT64)",
        DropClass::Infrastructure,
    ),
    (
        189,
        Some("AUTH_REQUIRED"),
        "Authentication required",
        DropClass::Policy,
    ),
    (
        190,
        Some("CT_NO_MAP_FOUND"),
        "No conntrack map found",
        DropClass::Conntrack,
    ),
    (
        191,
        Some("SNAT_NO_MAP_FOUND"),
        "No nat map found",
        DropClass::Infrastructure,
    ),
    (
        192,
        Some("INVALID_CLUSTER_ID"),
        "Invalid ClusterID",
        DropClass::Infrastructure,
    ),
    (
        193,
        Some("UNSUPPORTED_PROTOCOL_FOR_DSR_ENCAP"),
        "Unsupported packet protocol for DSR encapsulation",
        DropClass::Infrastructure,
    ),
    (
        194,
        Some("NO_EGRESS_GATEWAY"),
        "No egress gateway found",
        DropClass::Infrastructure,
    ),
    (
        195,
        Some("UNENCRYPTED_TRAFFIC"),
        "Traffic is unencrypted",
        DropClass::Infrastructure,
    ),
    (
        196,
        Some("TTL_EXCEEDED"),
        "TTL exceeded",
        DropClass::Infrastructure,
    ),
    (
        197,
        Some("NO_NODE_ID"),
        "No node ID found",
        DropClass::Infrastructure,
    ),
    (
        198,
        Some("DROP_RATE_LIMITED"),
        "Rate limited",
        DropClass::Infrastructure,
    ),
    (
        199,
        Some("IGMP_HANDLED"),
        "IGMP handled",
        DropClass::NotADrop,
    ),
    (
        200,
        Some("IGMP_SUBSCRIBED"),
        "IGMP subscribed",
        DropClass::NotADrop,
    ),
    (
        201,
        Some("MULTICAST_HANDLED"),
        "Multicast handled",
        DropClass::NotADrop,
    ),
    (
        202,
        Some("DROP_HOST_NOT_READY"),
        "Host datapath not ready",
        DropClass::Transient,
    ),
    (
        203,
        Some("DROP_EP_NOT_READY"),
        "Endpoint policy program not available",
        DropClass::Transient,
    ),
    (
        204,
        Some("DROP_NO_EGRESS_IP"),
        "No Egress IP configured",
        DropClass::Infrastructure,
    ),
    (
        205,
        Some("DROP_PUNT_PROXY"),
        "Punt to proxy",
        DropClass::NotADrop,
    ),
    (206, None, "No device", DropClass::Infrastructure),
    (
        207,
        None,
        "First logical datagram fragment not found from world",
        DropClass::Infrastructure,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_look_ups_find_everything() {
        assert!(REASONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(DropReason(133).name(), Some("POLICY_DENIED"));
        assert_eq!(DropReason(136).text(), Some("Fragmentation needed"));
        assert_eq!(DropReason(206).to_string(), "206");
    }

    #[test]
    fn classes_follow_the_reason() {
        assert_eq!(DropReason(181).class(), DropClass::Policy);
        assert_eq!(DropReason(202).class(), DropClass::Transient);
        assert_eq!(DropReason(9999).class(), DropClass::Infrastructure);
    }
}
