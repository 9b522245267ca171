//! D4: a workload runs as somebody else: under the service account, or with the labels, of
//! another one.
//!
//! A rule: `p` is 1e-6 by decree for a service account or a set of labels that one to three
//! other workloads had before, and 1e-4 for a service account that nobody had, or that many
//! share. Labels that nobody had are not said: releases bring them. Labels that say which pod
//! it is, and those of the platform, do not count.
//!
//! Sees what flows say of a workload's pods. What a workload is first seen with in a session
//! is taken to be its own; pods whose flows do not name them are not looked at. Cannot see
//! who changed it: that is the API server's audit log. Blind where there are no labels.

use std::collections::BTreeMap;

use super::account::Account;
use super::{Blindness, Detector, Kind, Observation, Scene, words};
use crate::baseline::{DAY, IdentityChange, IdentityPart, Tick};
use crate::connection::PeerId;

/// By decree, for the identity of somebody else.
const P_TAKEN: f64 = 1e-6;
/// By decree, for another service account.
const P_OTHER: f64 = 1e-4;
/// Workloads that have the same: then it is nobody's own.
const SHARED: usize = 4;
/// Changes that are remembered to have been told.
const MOST: usize = 1 << 12;

/// Detects other identities. Holds the newest [`MOST`] that it has told.
#[derive(Debug, Default)]
pub struct Identity {
    told: BTreeMap<(PeerId, IdentityPart, String), i64>,
}

impl Detector for Identity {
    fn kind(&self) -> Kind {
        Kind::NewIdentity
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        for change in &tick.identities {
            let shared = change.owners.len() >= SHARED;
            let taken = !change.owners.is_empty() && !shared;
            if !taken && change.what == IdentityPart::Labels {
                continue;
            }
            let place = (change.workload, change.what, change.now.to_string());
            if self.told.contains_key(&place) {
                continue;
            }
            if self.told.len() >= MOST {
                self.told
                    .retain(|_, at| at.saturating_add(DAY) > change.time);
            }
            if self.told.len() < MOST {
                self.told.insert(place, change.time);
            }
            out.push(say(change, if taken { P_TAKEN } else { P_OTHER }, scene));
        }
    }

    fn blind(&self, _: &Scene<'_>) -> Option<Blindness> {
        None
    }

    fn held(&self) -> usize {
        self.told.len()
    }
}

fn say(change: &IdentityChange, p: f64, scene: &Scene<'_>) -> Observation {
    let mut one = Account::default().observation(Kind::NewIdentity, change.workload);
    (one.from, one.to, one.n) = (change.time, change.time, 1);
    (one.p, one.fixed, one.observed) = (p, true, 1.0);
    let who = words::who(scene.peers, change.workload);
    let mut owners: Vec<String> = change
        .owners
        .iter()
        .map(|owner| scene.peers.get(*owner).to_string())
        .collect();
    owners.sort();
    let what = match change.what {
        IdentityPart::Account => "the service account",
        IdentityPart::Labels => "the labels",
    };
    let now = match change.what {
        IdentityPart::Account => change.now.to_string(),
        IdentityPart::Labels => difference(&change.before, &change.now),
    };
    one.evidence.push(if p > P_TAKEN {
        format!(
            "{who} has {what} {now} since {}; it was {}.",
            words::at(change.time),
            change.before
        )
    } else {
        format!(
            "{who} has {what} of {}, {now}, since {}; {} {}.",
            super::figures::list(&owners, owners.len()),
            words::at(change.time),
            if change.what == IdentityPart::Account {
                "its own was"
            } else {
                "its own were"
            },
            change.before
        )
    });
    let template = scene
        .sight
        .changed_since(change.workload, scene.now, super::novel::EXPECTED);
    one.evidence.push(match template {
        Some(_) => "Its pods got a new template at the same time.".to_owned(),
        None => "Its pods got no new template with that, as far as names show it.".to_owned(),
    });
    // Which of its identities it is: the values themselves are long.
    one.key = match change.what {
        IdentityPart::Account => format!("account {}", change.now),
        IdentityPart::Labels => format!("labels {}", change.now),
    };
    one.normal = format!(
        "if {who} is meant to run as this, accept the finding with that reason; else see who \
         changed it in the audit log of the API server"
    );
    one
}

/// `+k8s:app=pay -k8s:app=cart`.
fn difference(before: &str, now: &str) -> String {
    let has = |labels: &str, label: &str| labels.split(',').any(|one| one == label);
    let added = now.split(',').filter(|label| !has(before, label));
    let gone = before.split(',').filter(|label| !has(now, label));
    let added = added.map(|label| format!("+{label}"));
    let gone = gone.map(|label| format!("-{label}"));
    added.chain(gone).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;

    fn change(stage: &mut Stage, what: IdentityPart, now: &str, owners: &[&str]) -> Tick {
        let time = stage.now + 1;
        Tick {
            start: stage.now,
            identities: vec![IdentityChange {
                workload: stage.scenery.peer("shop/cart"),
                time,
                what,
                before: "k8s:app=cart".into(),
                now: now.into(),
                owners: owners.iter().map(|name| stage.scenery.peer(name)).collect(),
            }],
            ..Tick::default()
        }
    }

    #[test]
    fn the_identity_of_another_is_told_once_and_new_labels_are_not() {
        let mut stage = Stage::default();
        let mut detector = Identity::default();
        let account = IdentityPart::Account;
        let tick = change(&mut stage, account, "pay", &["shop/pay"]);
        let seen = stage.play(&mut detector, &tick);
        assert!((seen[0].p - P_TAKEN).abs() < 1e-12 && seen[0].fixed);
        assert!(
            seen[0].evidence[0].starts_with(
                "shop/cart (Deployment) has the service account of shop/pay, pay, since 2026-"
            ),
            "{}",
            seen[0].evidence[0]
        );
        assert!(stage.play(&mut detector, &tick).is_empty());
        let labels = change(&mut stage, IdentityPart::Labels, "k8s:app=new", &[]);
        assert!(stage.play(&mut detector, &labels).is_empty());
        let copied = change(
            &mut stage,
            IdentityPart::Labels,
            "k8s:app=pay",
            &["shop/pay"],
        );
        let seen = stage.play(&mut detector, &copied);
        assert!(seen[0].evidence[0].contains("+k8s:app=pay -k8s:app=cart"));
    }

    #[test]
    fn an_account_that_many_share_is_nobodys_own() {
        let mut stage = Stage::default();
        let owners = ["a/a", "a/b", "a/c", "a/d"];
        let tick = change(&mut stage, IdentityPart::Account, "default", &owners);
        let seen = stage.play(&mut Identity::default(), &tick);
        assert!((seen[0].p - P_OTHER).abs() < 1e-12);
    }
}
