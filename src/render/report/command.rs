//! Commands that show more, to be copied into a shell.
//!
//! Owns how peers and times are written as flags. That a command finds what it is about
//! hangs on the recording: a peer that no flag can name gives no command.

use jiff::Timestamp;

use super::Paths;
use super::words::peer;
use crate::connection::Peer;
use crate::flow::Protocol;

/// A span of time, in nanoseconds since 1970 UTC.
pub(in crate::render) type Times = (i64, i64);

/// `flowwatch explain` of a connection; `world` is the address that stands for a client
/// outside.
pub(in crate::render) fn explain(
    from: &Peer,
    to: &Peer,
    port: u16,
    protocol: Protocol,
    world: Option<&str>,
    paths: &Paths,
) -> Option<String> {
    let side = |one: &Peer| match one {
        // The world is many; one of them stands for it.
        Peer::Entity(name) if &**name == "world" => world.map(str::to_owned),
        Peer::Prefix(net) => Some(net.addr().to_string()),
        Peer::Workload { .. } | Peer::Entity(_) | Peer::Name(_) => Some(quoted(&peer(one))),
        Peer::Unknown | Peer::Others => None,
    };
    let to_port = match protocol {
        Protocol::Tcp => port.to_string(),
        Protocol::Udp | Protocol::Sctp | Protocol::Icmpv4 | Protocol::Icmpv6 => {
            format!("{port}/{}", protocol.name().to_lowercase())
        }
        _ => return None,
    };
    Some(format!(
        "flowwatch explain --policies {} --flows {} --from {} --to {} --port {to_port}",
        given(&paths.policies),
        given(&paths.flows),
        side(from)?,
        side(to)?
    ))
}

/// `flowwatch tail` of a span of time, with more flags.
pub(in crate::render) fn tail(paths: &Paths, times: Times, flags: &str) -> String {
    let space = if flags.is_empty() { "" } else { " " };
    format!(
        "flowwatch tail {} --since {} --until {}{space}{flags}",
        given(&paths.flows),
        time(times.0),
        time(times.1)
    )
}

/// The flags of an edge; a port where it is one.
pub(in crate::render) fn edge(
    from: &Peer,
    to: Option<&Peer>,
    port: Option<(Protocol, u16)>,
) -> String {
    let mut flags: Vec<String> = Vec::new();
    flags.extend(end("from", from));
    flags.extend(to.and_then(|to| end("to", to)));
    if let Some((protocol, port)) = port {
        match protocol {
            Protocol::Tcp | Protocol::Udp | Protocol::Sctp => {
                flags.push(format!("--to-port {port}"));
            }
            Protocol::Icmpv4 => flags.push("--protocol icmpv4".to_owned()),
            Protocol::Icmpv6 => flags.push("--protocol icmpv6".to_owned()),
            _ => {}
        }
    }
    flags.join(" ")
}

/// `--from-pod shop/web`.
fn end(side: &str, one: &Peer) -> Option<String> {
    Some(match one {
        Peer::Workload {
            namespace, name, ..
        } => format!("--{side}-pod {}", quoted(&format!("{namespace}/{name}"))),
        // What is outside is named by addresses and names, which are many.
        Peer::Entity(name) if &**name == "world" => return None,
        Peer::Entity(name) => format!("--{side}-label reserved:{}", quoted(name)),
        Peer::Name(name) => format!("--{side}-fqdn {}", quoted(name)),
        Peer::Prefix(net) if net.prefix_len() == net.max_prefix_len() => {
            format!("--{side}-ip {}", net.addr())
        }
        Peer::Prefix(net) => format!("--{side}-ip {net}"),
        Peer::Unknown | Peer::Others => return None,
    })
}

/// A time as flags take it: the day alone for midnight.
pub(in crate::render) fn time(nanos: i64) -> String {
    let Ok(time) = Timestamp::from_nanosecond(i128::from(nanos)) else {
        return String::new();
    };
    let format = if nanos % 86_400_000_000_000 == 0 {
        "%Y-%m-%d"
    } else {
        "%Y-%m-%dT%H:%M:%SZ"
    };
    time.strftime(format).to_string()
}

/// Paths, or a word that stands for one.
pub(in crate::render) fn given(paths: &[String]) -> String {
    match paths {
        [] => "PATH".to_owned(),
        paths => paths
            .iter()
            .map(|path| quoted(path))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// A word that a shell takes as it is.
pub(in crate::render) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte);
    if word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
