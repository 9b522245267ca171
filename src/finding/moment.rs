//! Times in findings: nanoseconds inside, RFC 3339 in UTC where they are written down.

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// The text of a time; times that a timestamp cannot hold are its nearest.
#[must_use]
pub fn text(nanos: i64) -> String {
    Timestamp::from_nanosecond(i128::from(nanos))
        .unwrap_or_default()
        .to_string()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
pub(super) fn serialize<S: Serializer>(nanos: &i64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&text(*nanos))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(from)?;
    let time: Timestamp = text.parse().map_err(|_| {
        D::Error::custom(format!("'{text}' is no time, such as 2026-06-01T10:00:00Z"))
    })?;
    i64::try_from(time.as_nanosecond())
        .map_err(|_| D::Error::custom(format!("'{text}' is before 1677 or after 2262")))
}
