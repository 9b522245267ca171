//! The address of a server, as `--server` takes it.
//!
//! Owns the grammar and the default ports. Does not resolve names nor connect.

use std::{fmt, path::PathBuf, str::FromStr};

/// Port of a relay or agent that speaks plaintext.
const PLAIN_PORT: u16 = 4245;
/// Port of a relay behind TLS.
const TLS_PORT: u16 = 443;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A host name or address over TCP.
    Tcp {
        /// Name or address, an IPv6 one without its brackets.
        host: String,
        /// The port; where it was not given, 443 for TLS and 4245 else.
        port: Option<u16>,
        /// Whether the address itself asks for TLS (`tls://`).
        tls: bool,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// An address that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing where a host should be.
    #[error("server address {given:?} has no host")]
    NoHost {
        /// What was given.
        given: String,
    },
    /// A port that is none.
    #[error("server address {given:?} has a port that is not a number from 1 to 65535: {port:?}")]
    Port {
        /// What was given.
        given: String,
        /// Its port.
        port: String,
    },
    /// A scheme that is not known here.
    #[error(
        "server address {given:?} has an unknown scheme {scheme:?}; known are tls://, unix:// and dns:///"
    )]
    Scheme {
        /// What was given.
        given: String,
        /// Its scheme.
        scheme: String,
    },
    /// A path, user or query after the host, or a host that is none.
    #[error("server address {given:?} is not host:port, tls://host:port or unix:///path")]
    Shape {
        /// What was given.
        given: String,
    },
}

impl Target {
    /// Whether the address itself asks for TLS.
    #[must_use]
    pub fn asks_for_tls(&self) -> bool {
        matches!(self, Self::Tcp { tls: true, .. })
    }

    /// The host and port to connect to, `None` for a socket.
    pub(super) fn host_and_port(&self, with_tls: bool) -> Option<(&str, u16)> {
        match self {
            Self::Tcp { host, port, .. } => {
                let default = if with_tls { TLS_PORT } else { PLAIN_PORT };
                Some((host, port.unwrap_or(default)))
            }
            Self::Unix(_) => None,
        }
    }

    /// The name a certificate has to carry; gRPC's for a socket is `localhost`.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Tcp { host, .. } => host,
            Self::Unix(_) => "localhost",
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(given: &str) -> Result<Self, TargetError> {
        let shape = || TargetError::Shape {
            given: given.to_owned(),
        };
        if let Some(path) = given.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') && path.len() > 1 {
                Ok(Self::Unix(PathBuf::from(path)))
            } else {
                Err(shape())
            };
        }
        let (rest, tls) = if let Some(rest) = given.strip_prefix("tls://") {
            (rest, true)
        } else if let Some(rest) = given.strip_prefix("dns:///") {
            (rest, false)
        } else if let Some((scheme, _)) = given.split_once("://") {
            return Err(TargetError::Scheme {
                given: given.to_owned(),
                scheme: scheme.to_owned(),
            });
        } else {
            (given, false)
        };

        let (host, port) = split_port(rest).ok_or_else(shape)?;
        if host.is_empty() {
            return Err(TargetError::NoHost {
                given: given.to_owned(),
            });
        }
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/@?#[]\\".contains(c);
        if host.contains(odd) {
            return Err(shape());
        }
        let port = match port {
            None => None,
            Some(text) => match text.parse() {
                Ok(port) if port > 0 && !text.starts_with('+') => Some(port),
                _ => {
                    return Err(TargetError::Port {
                        given: given.to_owned(),
                        port: text.to_owned(),
                    });
                }
            },
        };
        Ok(Self::Tcp {
            host: host.to_owned(),
            port,
            tls,
        })
    }
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`; a bare IPv6 address has no port.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(inside) = text.strip_prefix('[') {
        let (host, rest) = inside.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if rest.is_empty() => Some((host, None)),
            None => None,
        };
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some((text, None));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(port))),
        Some(_) => None,
        None => Some((text, None)),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, tls } => {
                if *tls {
                    f.write_str("tls://")?;
                }
                if host.contains(':') {
                    write!(f, "[{host}]")?;
                } else {
                    f.write_str(host)?;
                }
                match port {
                    Some(port) => write!(f, ":{port}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: impl Into<Option<u16>>, tls: bool) -> Target {
        Target::Tcp {
            host: host.to_owned(),
            port: port.into(),
            tls,
        }
    }

    #[test]
    fn every_known_form_is_read_and_written_back() {
        for (text, target, shown) in [
            (
                "localhost:4245",
                tcp("localhost", 4245, false),
                "localhost:4245",
            ),
            ("relay", tcp("relay", None, false), "relay"),
            ("10.0.0.1:1", tcp("10.0.0.1", 1, false), "10.0.0.1:1"),
            (
                "tls://relay:443",
                tcp("relay", 443, true),
                "tls://relay:443",
            ),
            ("tls://relay", tcp("relay", None, true), "tls://relay"),
            ("dns:///relay:80", tcp("relay", 80, false), "relay:80"),
            ("[::1]:4245", tcp("::1", 4245, false), "[::1]:4245"),
            ("[::1]", tcp("::1", None, false), "[::1]"),
            ("fe80::1", tcp("fe80::1", None, false), "[fe80::1]"),
            (
                "unix:///var/run/cilium/hubble.sock",
                Target::Unix("/var/run/cilium/hubble.sock".into()),
                "unix:///var/run/cilium/hubble.sock",
            ),
            ("unix:/a", Target::Unix("/a".into()), "unix:///a"),
        ] {
            let read: Target = text.parse().unwrap();
            assert_eq!(read, target, "{text}");
            assert_eq!(read.to_string(), shown);
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in [
            "",
            ":4245",
            "tls://",
            "http://relay",
            "https://relay:443/x",
            "relay:0",
            "relay:65536",
            "relay:+1",
            "relay:",
            "relay:http",
            "a:b:c",
            "[::1",
            "[::1]4245",
            "[relay]:1",
            "relay/x",
            "user@relay:1",
            "unix://",
            "unix://relative",
            "a b",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_default_port_follows_tls() {
        let port = |text: &str, tls| {
            text.parse::<Target>()
                .unwrap()
                .host_and_port(tls)
                .unwrap()
                .1
        };
        assert_eq!(port("relay", false), 4245);
        assert_eq!(port("relay", true), 443);
        assert_eq!(port("relay:80", true), 80);
    }
}
