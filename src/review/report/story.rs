//! Facts that belong together because they are about one pod.
//!
//! Owns putting beside each other what a pod was denied, what a proxy refused it, and with
//! whom outside it alone talks. It draws no conclusion: that is for detectors.

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::drops::Reach;
use super::edges::Outside;
use super::layer7::Refused;
use super::reading::Reading;
use crate::connection::Peer;

/// Pods a report tells about.
const MOST: usize = 5;
/// A share of all that was denied, one in so many, that a client must have.
const SHARE: u64 = 10;
/// Different targets from which on a denied client is worth telling about.
const WIDE: usize = 5;

/// What one pod did that others did not.
#[derive(Clone, Debug, PartialEq)]
pub struct Standout {
    /// Its address.
    pub address: IpAddr,
    /// `namespace/pod`, where flows tell it.
    pub pod: Option<Arc<str>>,
    /// How far it reached out and was denied.
    pub reach: Reach,
    /// Requests of its workload that a proxy refused.
    pub refused: Vec<Refused>,
    /// Servers outside with which it alone talks.
    pub alone: Vec<Outside>,
}

/// Clients that were denied most, with what else only they did.
pub(super) fn standouts(
    reaches: &HashMap<IpAddr, Reach, RandomState>,
    outside: &[Outside],
    refused: &[Refused],
    reading: &Reading,
) -> Vec<Standout> {
    let all: u64 = reaches.values().map(|reach| reach.connections).sum();
    let mut wide: Vec<(&IpAddr, &Reach)> = reaches
        .iter()
        .filter(|(_, reach)| {
            reach.addresses.max(reach.ports) >= WIDE && reach.connections * SHARE >= all
        })
        .collect();
    wide.sort_by(|left, right| (right.1.connections, left.0).cmp(&(left.1.connections, right.0)));
    wide.into_iter()
        .take(MOST)
        .map(|(address, reach)| {
            let pod = reading.pod(*address).cloned();
            let alone: Vec<Outside> = outside
                .iter()
                .filter(|server| {
                    server.connections > server.dropped
                        && !server.more
                        && matches!(server.addresses[..], [(only, _)] if only == *address)
                })
                .cloned()
                .collect();
            let own = |client: &Peer| match (client, &pod) {
                (
                    Peer::Workload {
                        namespace, name, ..
                    },
                    Some(pod),
                ) => pod
                    .strip_prefix(&**namespace)
                    .and_then(|rest| rest.strip_prefix('/'))
                    .is_some_and(|pod| pod.starts_with(&**name)),
                _ => false,
            };
            Standout {
                address: *address,
                refused: refused
                    .iter()
                    .filter(|refused| own(&refused.client))
                    .cloned()
                    .collect(),
                pod,
                reach: reach.clone(),
                alone,
            }
        })
        .collect()
}
