//! What to save before the pod is touched, and what to revoke.

use super::Bundle;
use super::words::{commands, head, heading, item, row};
use crate::render::report::words::counted;
use crate::respond::credentials::{Credential, Kind};

/// The page.
#[must_use]
pub fn forensics(bundle: &Bundle<'_>) -> String {
    let mut out = format!(
        "# Before {} is touched\n\n",
        crate::render::report::markdown::text(&bundle.target)
    );
    out.push_str("In this order: what a restart takes comes first. Nothing here was run.\n");
    heading(&mut out, 2, "Save");
    for snapshot in bundle.snapshots {
        heading(&mut out, 3, &snapshot.name);
        for save in &snapshot.saves {
            let touches = if save.touches {
                " **This one touches it.**"
            } else {
                ""
            };
            out.push_str(&crate::render::report::markdown::text(save.what));
            out.push('.');
            out.push_str(touches);
            out.push_str("\n\n");
            commands(&mut out, save.commands.iter().map(String::as_str));
            out.push('\n');
        }
    }
    if bundle.snapshots.is_empty() {
        item(
            &mut out,
            "No pod of it is known by flows: find them by `kubectl get pods`.",
        );
    }
    if bundle.more_pods > 0 {
        item(
            &mut out,
            &format!(
                "and {}, in the same way",
                counted(bundle.more_pods as u64, "more pod")
            ),
        );
    }
    heading(&mut out, 2, "Sums of what was saved");
    commands(&mut out, ["sha256sum snapshot/* >> snapshot/SHA256SUMS"]);
    heading(&mut out, 2, "Revoke");
    out.push_str("Whoever was inside may have taken these with them. A quarantine does not make them invalid.\n\n");
    head(&mut out, &["what", "why", "see"]);
    for one in bundle.credentials {
        row(
            &mut out,
            &[
                what(one),
                one.why.clone(),
                one.command.clone().unwrap_or_default(),
            ],
        );
    }
    out
}

fn what(one: &Credential) -> String {
    let look = if one.known { "" } else { " (look for it)" };
    let name = match &one.what {
        Kind::ServiceAccount(namespace, name) => format!("service account {namespace}/{name}"),
        Kind::Secret(namespace, name) => format!("Secret {namespace}/{name}"),
        Kind::Cloud => "credentials of the node from the cloud".to_owned(),
        Kind::Account(server) => format!("account at {server}"),
        Kind::Undeclared => "what no document says".to_owned(),
    };
    format!("{name}{look}")
}
