//! CiliumCIDRGroup out of values.
//!
//! Owns which prefixes and labels count: a prefix that is none is left out by the agent with
//! a warning, the rest of the group stays.

use super::decode::{Decoder, present};
use super::meta::Meta;
use super::path::Path;
use crate::inventory::{CidrGroup, Label};
use crate::manifest::Map;
use crate::policy::cidr;

/// Labels of Cilium's own do not become labels of the group's prefixes.
const OWN: &str = "io.cilium.k8s";

/// Reads a group.
pub(super) fn group(d: &mut Decoder, map: &Map, meta: &Meta, path: &Path<'_>) -> CidrGroup {
    let mut prefixes = Vec::new();
    if let Some(node) = present(map, "spec") {
        let path = path.field("spec");
        if let Some(map) = d.object(node, &path, &["externalCIDRs"]) {
            let list = path.field("externalCIDRs");
            let texts = d.texts(map, "externalCIDRs", &path).unwrap_or_default();
            for (index, text) in texts.iter().enumerate() {
                match cidr::prefix(text) {
                    Ok(prefix) => prefixes.push(prefix.trunc()),
                    Err(reason) => {
                        let message = format!("'{}' is left out: {reason}", &**text);
                        d.warn(text.at, &list.item(index), message);
                    }
                }
            }
        }
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    CidrGroup {
        name: meta.name.value.clone(),
        labels: meta
            .labels
            .iter()
            .filter(|(key, _)| !key.starts_with(OWN))
            .map(|(key, value)| Label::new("cidrgroup", key, value))
            .collect(),
        prefixes,
    }
}
