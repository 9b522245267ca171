//! The enums of Hubble's flow API as open numbers: a value a newer server sends is
//! kept as it is and shown as its number.
//!
//! Owns names and numbers (Cilium 1.19 `flow.proto`). Drop reasons have a file of
//! their own, for their texts and classes.

use std::fmt;

/// Makes a newtype over `i32` with named values, a look-up both ways and a `Display`
/// that falls back to the number.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($konst:ident = $number:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i32);

        #[allow(missing_docs, reason = "named as in the API")]
        impl $name {
            $(pub const $konst: Self = Self($number);)+

            /// Every named value, in the order of the API.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self($number), stringify!($konst))),+];

            /// The name of the value, where it has one.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($konst)),)+
                    _ => None,
                }
            }

            /// The value of a name, spelled exactly.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($konst) => Some(Self($number)),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }
    };
}

open_enum! {
    /// What Hubble says happened to the packet or request.
    Verdict {
        VERDICT_UNKNOWN = 0,
        FORWARDED = 1,
        DROPPED = 2,
        ERROR = 3,
        AUDIT = 4,
        REDIRECTED = 5,
        TRACED = 6,
        TRANSLATED = 7,
    }
}

open_enum! {
    /// The layer a flow was seen at.
    FlowType { UNKNOWN_TYPE = 0, L3_L4 = 1, L7 = 2, SOCK = 3 }
}

open_enum! {
    /// Direction of the connection, relative to the local endpoint.
    Direction { TRAFFIC_DIRECTION_UNKNOWN = 0, INGRESS = 1, EGRESS = 2 }
}

open_enum! {
    /// Mutual authentication that policy asks for.
    AuthType { DISABLED = 0, SPIRE = 1, TEST_ALWAYS_FAIL = 2 }
}

open_enum! {
    /// Request, response or sample.
    L7Type { UNKNOWN_L7_TYPE = 0, REQUEST = 1, RESPONSE = 2, SAMPLE = 3 }
}

open_enum! {
    /// Where in the datapath a trace was taken.
    TracePoint {
        UNKNOWN_POINT = 0,
        TO_PROXY = 1,
        TO_HOST = 2,
        TO_STACK = 3,
        TO_OVERLAY = 4,
        FROM_ENDPOINT = 5,
        FROM_PROXY = 6,
        FROM_HOST = 7,
        FROM_STACK = 8,
        FROM_OVERLAY = 9,
        FROM_NETWORK = 10,
        TO_NETWORK = 11,
        FROM_CRYPTO = 12,
        TO_CRYPTO = 13,
        TO_ENDPOINT = 101,
    }
}

open_enum! {
    /// Connection-tracking state a trace was taken in.
    TraceReason {
        TRACE_REASON_UNKNOWN = 0,
        NEW = 1,
        ESTABLISHED = 2,
        REPLY = 3,
        RELATED = 4,
        REOPENED = 5,
        SRV6_ENCAP = 6,
        SRV6_DECAP = 7,
        ENCRYPT_OVERLAY = 8,
    }
}

open_enum! {
    /// Point of a debug capture.
    CaptureEnum {
        DBG_CAPTURE_POINT_UNKNOWN = 0,
        DBG_CAPTURE_DELIVERY = 4,
        DBG_CAPTURE_FROM_LB = 5,
        DBG_CAPTURE_AFTER_V46 = 6,
        DBG_CAPTURE_AFTER_V64 = 7,
        DBG_CAPTURE_PROXY_PRE = 8,
        DBG_CAPTURE_PROXY_POST = 9,
        DBG_CAPTURE_SNAT_PRE = 10,
        DBG_CAPTURE_SNAT_POST = 11,
    }
}

open_enum! {
    /// Point of a socket-level address translation.
    SockPoint {
        SOCK_XLATE_POINT_UNKNOWN = 0,
        SOCK_XLATE_POINT_PRE_DIRECTION_FWD = 1,
        SOCK_XLATE_POINT_POST_DIRECTION_FWD = 2,
        SOCK_XLATE_POINT_PRE_DIRECTION_REV = 3,
        SOCK_XLATE_POINT_POST_DIRECTION_REV = 4,
    }
}

open_enum! {
    /// Where events were lost.
    LostSource {
        UNKNOWN_LOST_EVENT_SOURCE = 0,
        PERF_EVENT_RING_BUFFER = 1,
        OBSERVER_EVENTS_QUEUE = 2,
        HUBBLE_RING_BUFFER = 3,
    }
}

open_enum! {
    /// State of a node behind a relay.
    NodeState {
        UNKNOWN_NODE_STATE = 0,
        NODE_CONNECTED = 1,
        NODE_UNAVAILABLE = 2,
        NODE_GONE = 3,
        NODE_ERROR = 4,
    }
}

/// `CiliumEventType.type`: which monitor message a flow was made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType(pub i32);

#[allow(missing_docs, reason = "named as in the API")]
impl EventType {
    pub const UNSPECIFIED: Self = Self(0);
    pub const DROP: Self = Self(1);
    pub const DEBUG: Self = Self(2);
    pub const CAPTURE: Self = Self(3);
    pub const TRACE: Self = Self(4);
    pub const POLICY_VERDICT: Self = Self(5);
    pub const TRACE_SOCK: Self = Self(7);
    pub const L7: Self = Self(129);
    pub const AGENT: Self = Self(130);

    /// Every type with the name `hubble observe --type` knows it by.
    pub const NAMES: &'static [(Self, &'static str)] = &[
        (Self::CAPTURE, "capture"),
        (Self::DROP, "drop"),
        (Self::L7, "l7"),
        (Self::POLICY_VERDICT, "policy-verdict"),
        (Self::TRACE, "trace"),
        (Self::TRACE_SOCK, "trace-sock"),
    ];
}

/// The name of a reserved identity, `None` for any other.
///
/// Numbers 0 to 10 (11 has no name in Hubble's output).
#[must_use]
pub fn identity_name(identity: u32) -> Option<&'static str> {
    const NAMES: [&str; 11] = [
        "unknown",
        "host",
        "world",
        "unmanaged",
        "health",
        "init",
        "remote-node",
        "kube-apiserver",
        "ingress",
        "world-ipv4",
        "world-ipv6",
    ];
    NAMES.get(identity as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_without_a_name_shows_its_number() {
        assert_eq!(Verdict(42).to_string(), "42");
        assert_eq!(Verdict::DROPPED.to_string(), "DROPPED");
        assert_eq!(Verdict::from_name("dropped"), None);
    }
}
