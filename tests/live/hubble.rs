//! What is said of a server, beside what the real Hubble CLI says of it.
//!
//! Text byte for byte but for the server's age, which goes on between two questions;
//! JSON as values.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{SHOP, Server};
use crate::serve_hubble::hubble;
use crate::support::flowwatch;

/// The CLI, and a home of its own.
struct Hubble {
    program: PathBuf,
    home: tempfile::TempDir,
}

impl Hubble {
    fn find() -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        hubble().map(|program| Self { program, home })
    }

    fn ask(&self, args: &str, server: &Server) -> String {
        let output = Command::new(&self.program)
            .args(args.split_whitespace())
            .args(["--server", &server.address])
            .env_clear()
            .env("HOME", self.home.path())
            .current_dir(self.home.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{args}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Without the age, and without the room it takes in a column.
fn ageless(text: &str) -> String {
    let is_age = |word: &str| {
        word.ends_with('s') && word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit())
    };
    let line = |line: &str| {
        let words: Vec<&str> = line
            .split_whitespace()
            .map(|word| if is_age(word) { "AGE" } else { word })
            .collect();
        words.join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn status_and_lists_are_what_hubble_prints() {
    let Some(hubble) = Hubble::find() else { return };
    let server = Server::new(SHOP);
    let ours = |args: &str| server.ask(args).run().exit(0).text().to_owned();
    for args in [
        "status",
        "list nodes",
        "list nodes -o wide",
        "list namespaces",
        "list namespaces -o wide",
    ] {
        assert_eq!(ours(args), hubble.ask(args, &server), "{args}");
    }
    for args in ["status -o dict", "status -o table"] {
        let (ours, theirs) = (ours(args), hubble.ask(args, &server));
        assert_eq!(ageless(&ours), ageless(&theirs), "{args}");
    }
    for args in [
        "status -o json",
        "list nodes -o json",
        "list namespaces -o json",
    ] {
        let value = |text: String| -> Value {
            let mut value: Value = serde_json::from_str(&text).unwrap();
            if let Some(status) = value.as_object_mut() {
                assert!(status.remove("uptime_ns").is_some());
            }
            value
        };
        assert_eq!(
            value(ours(args)),
            value(hubble.ask(args, &server)),
            "{args}"
        );
    }
}

/// Guarantees: where there is no CLI to compare with, the numbers are still those of the
/// recording.
#[test]
fn status_and_lists_say_what_the_recording_holds() {
    let server = Server::new(SHOP);
    let ours = |args: &str| server.ask(args).run().exit(0);
    let status: Value = serde_json::from_str(ours("status -o json").text()).unwrap();
    assert_eq!(status["seen_flows"], "679");
    let namespaces = ours("list namespaces");
    assert_eq!(
        namespaces.lines(),
        ["NAMESPACE", "kube-system", "payments", "shop"]
    );
    ours("list nodes").stdout_contains("shop-prod/worker-2   Connected ");
    // Several servers are asked one after the other.
    let twice = flowwatch()
        .args("status --server")
        .arg(&server.address)
        .args("--server")
        .arg(&server.address)
        .run()
        .exit(0);
    assert_eq!(twice.text().matches("Healthcheck (via ").count(), 2);
}
