//! The command that shows the flows of a finding.
//!
//! Owns which flags of `hubble observe` say it; `flowwatch tail` takes the same. A ring holds
//! minutes: the command is for a recording, or for what goes on.

use super::moment;
use super::party::Party;
use crate::detect::Passed;

use super::seen::Seen;
use crate::flow::Protocol;

const SECOND: i64 = 1_000_000_000;

/// The command.
#[must_use]
pub(super) fn observe(seen: &Seen) -> String {
    let mut command = format!(
        "hubble observe --since {} --until {}",
        moment::text(seen.from.div_euclid(SECOND) * SECOND),
        moment::text((seen.to.div_euclid(SECOND) + 1) * SECOND),
    );
    let mut add = |flag: &str| {
        command.push(' ');
        command.push_str(flag);
    };
    for flag in end("from", &seen.subject) {
        add(&flag);
    }
    let asks_dns = matches!(seen.kind.name, "dns-exfiltration" | "dga");
    if asks_dns {
        add("--protocol dns");
        return command;
    }
    if let Some(peer) = &seen.peer {
        for flag in end("to", peer) {
            add(&flag);
        }
    }
    match seen.port {
        Some((port, Protocol::Tcp | Protocol::Udp | Protocol::Sctp)) => {
            add(&format!("--to-port {port}"));
        }
        Some((_, Protocol::Icmpv4)) => add("--protocol icmpv4"),
        Some((_, Protocol::Icmpv6)) => add("--protocol icmpv6"),
        _ => {}
    }
    match seen.passed {
        Passed::Denied => add("--verdict DROPPED"),
        Passed::Audited => add("--verdict AUDIT"),
        Passed::Allowed | Passed::Mixed => {}
    }
    command
}

/// The flags of one side; none for what no flag names.
fn end(side: &str, party: &Party) -> Vec<String> {
    match party {
        Party::Workload {
            namespace, name, ..
        } => {
            vec![format!(
                "--{side}-pod {}",
                quoted(&format!("{namespace}/{name}"))
            )]
        }
        Party::Entity { name } if matches!(&**name, "unknown" | "others") => Vec::new(),
        Party::Entity { name } => vec![format!("--{side}-identity {}", quoted(name))],
        // A registered domain stands for the names below it.
        Party::Name { name } => vec![
            format!("--{side}-fqdn {}", quoted(name)),
            format!("--{side}-fqdn {}", quoted(&format!("*.{name}"))),
        ],
        Party::Prefix { name } => vec![format!("--{side}-ip {}", quoted(name))],
    }
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::testing::{name, seen, workload};

    #[test]
    fn a_command_names_both_sides_port_and_verdict() {
        let mut one = seen(
            "new-name",
            workload("shop/web"),
            Some(name("evil.example")),
            1e-5,
        );
        one.port = Some((443, Protocol::Tcp));
        one.passed = Passed::Denied;
        one.from = 1_780_308_120_500_000_000;
        one.to = one.from;
        assert_eq!(
            observe(&one),
            "hubble observe --since 2026-06-01T10:02:00Z --until 2026-06-01T10:02:01Z \
             --from-pod shop/web --to-fqdn evil.example --to-fqdn '*.evil.example' --to-port 443 \
             --verdict DROPPED"
        );
    }

    #[test]
    fn names_are_shown_by_the_questions_for_them() {
        let one = seen(
            "dns-exfiltration",
            workload("shop/web"),
            Some(name("evil.example")),
            1e-5,
        );
        assert!(observe(&one).ends_with("--from-pod shop/web --protocol dns"));
    }

    #[test]
    fn what_no_flag_names_is_left_out() {
        let one = seen(
            "new-edge",
            Party::Entity {
                name: "others".into(),
            },
            None,
            1e-5,
        );
        assert!(!observe(&one).contains("--from"));
        let world = seen(
            "new-edge",
            Party::Entity {
                name: "world".into(),
            },
            None,
            1e-5,
        );
        assert!(observe(&world).ends_with("--from-identity world --to-port 8443"));
        let odd = seen("new-edge", workload("shop/it's"), None, 1e-5);
        assert!(observe(&odd).contains(r"--from-pod 'shop/it'\''s' "));
    }
}
