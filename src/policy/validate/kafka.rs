//! Checks of Kafka rules.
//!
//! Owns the names of requests and roles.

use super::{Checked, reject};
use crate::policy::read::{Kafka, Path};

const MAX_TOPIC: usize = 255;

/// Requests by name, lower case.
const REQUESTS: &[&str] = &[
    "produce",
    "fetch",
    "offsets",
    "metadata",
    "leaderandisr",
    "stopreplica",
    "updatemetadata",
    "controlledshutdown",
    "offsetcommit",
    "offsetfetch",
    "findcoordinator",
    "joingroup",
    "heartbeat",
    "leavegroup",
    "syncgroup",
    "describegroups",
    "listgroups",
    "saslhandshake",
    "apiversions",
    "createtopics",
    "deletetopics",
    "deleterecords",
    "initproducerid",
    "offsetforleaderepoch",
    "addpartitionstotxn",
    "addoffsetstotxn",
    "endtxn",
    "writetxnmarkers",
    "txnoffsetcommit",
    "describeacls",
    "createacls",
    "deleteacls",
    "describeconfigs",
    "alterconfigs",
];

pub(super) fn check(rule: &Kafka, path: &Path<'_>) -> Checked {
    let wrong = if !rule.api_key.is_empty() && !rule.role.is_empty() {
        Some(("role", "'role' and 'apiKey' exclude each other"))
    } else if !rule.api_key.is_empty() && !REQUESTS.contains(&&*rule.api_key.to_ascii_lowercase()) {
        Some(("apiKey", "not the name of a request"))
    } else if !["", "produce", "consume"].contains(&&*rule.role.to_ascii_lowercase()) {
        Some(("role", "neither 'produce' nor 'consume'"))
    } else if !rule.api_version.is_empty() && !is_version(&rule.api_version) {
        Some(("apiVersion", "not a number from 0 to 32767"))
    } else if rule.topic.len() > MAX_TOPIC {
        Some(("topic", "longer than 255 characters"))
    } else if !rule.topic.bytes().all(is_topic_byte) {
        Some(("topic", "characters that no topic has"))
    } else {
        None
    };
    match wrong {
        Some((field, message)) => Err(reject("kafka", &path.field(field), rule.at, message)),
        None => Ok(()),
    }
}

fn is_version(text: &str) -> bool {
    text.parse::<i16>().is_ok_and(|version| version >= 0)
}

/// Cilium's expression takes a backslash too.
fn is_topic_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-\\".contains(&byte)
}
