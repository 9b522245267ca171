//! One entry of a suppression file: how it is written, and what it covers.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{MOST_ENTRIES, SuppressError, is_kind};
use crate::finding::fingerprint::is_id;
use crate::finding::party::Party;
use crate::finding::record::Finding;
use crate::manifest::{KeyedFile, Node, Number, Place, Value};

const KEYS: &str = "id, kind, subject, peer, port, since, expires, reason";

/// What is known and meant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Entry {
    pub(super) at: Place,
    pub(super) reason: String,
    ids: Vec<String>,
    kind: Option<String>,
    subject: Option<String>,
    peer: Option<String>,
    port: Option<(u16, Option<String>)>,
    since: Option<i64>,
    /// The first moment that is not covered any more.
    pub(super) expires: Option<i64>,
}

impl Entry {
    /// Whether it covers a finding, as that ended.
    pub(super) fn covers(&self, finding: &Finding) -> bool {
        let within = self.since.is_none_or(|since| since <= finding.last)
            && self.expires.is_none_or(|end| finding.last < end);
        let port = self.port.as_ref().is_none_or(|(number, protocol)| {
            finding.port == Some(*number)
                && protocol.as_ref().is_none_or(|wanted| {
                    let protocol = finding.protocol.as_deref().unwrap_or_default();
                    protocol.eq_ignore_ascii_case(wanted)
                })
        });
        within
            && port
            && (self.ids.is_empty() || self.ids.contains(&finding.id))
            && self
                .kind
                .as_ref()
                .is_none_or(|kind| *kind == finding.kind || *kind == finding.detector)
            && self
                .subject
                .as_ref()
                .is_none_or(|glob| fits(glob, &finding.subject))
            && self
                .peer
                .as_ref()
                .is_none_or(|glob| finding.peer.as_ref().is_some_and(|peer| fits(glob, peer)))
    }
}

/// The entries of a text.
pub(super) fn entries(text: &str, file: &str) -> Result<Vec<Entry>, SuppressError> {
    let file = KeyedFile::new(file);
    let mut entries = Vec::new();
    for document in &file.documents(text)? {
        for (key, at, value) in file.entries(&document.root, "the file")? {
            match key {
                "version" => {
                    if value.value != Value::Number(Number::Int(1)) {
                        return Err(file.kind(value.at, "version", "1").into());
                    }
                }
                "suppressions" if value.is_null() => {}
                "suppressions" => {
                    let list = value
                        .as_list()
                        .ok_or_else(|| file.kind(value.at, "suppressions", "a list"))?;
                    for node in list {
                        entries.push(entry(file, node)?);
                    }
                }
                _ => return Err(file.unknown(at, key, "version, suppressions").into()),
            }
        }
    }
    if entries.len() > MOST_ENTRIES {
        return Err(SuppressError::TooMany {
            file: file.name().to_owned(),
        });
    }
    Ok(entries)
}

fn entry(file: KeyedFile<'_>, node: &Node) -> Result<Entry, SuppressError> {
    let mut entry = Entry {
        at: node.at,
        ..Entry::default()
    };
    let name = || file.name().to_owned();
    let wrong =
        |at: Place, key: &'static str, text: &str, expected: &'static str| SuppressError::Value {
            file: name(),
            at,
            key,
            text: text.to_owned(),
            expected,
        };
    let text = |value: &Node, key: &str| {
        let text = value
            .as_str()
            .map(str::trim)
            .filter(|text| !text.is_empty());
        text.map(str::to_owned)
            .ok_or_else(|| file.kind(value.at, key, "a text"))
    };
    for (key, at, value) in file.entries(node, "a suppression")? {
        match key {
            "id" => entry.ids = ids(file, value)?,
            "kind" => {
                let kind = text(value, "kind")?;
                if !is_kind(&kind) {
                    let expected = "the kind or the detector of a finding, such as new-edge or D1";
                    return Err(wrong(value.at, "kind", &kind, expected));
                }
                entry.kind = Some(kind);
            }
            "subject" => entry.subject = Some(text(value, "subject")?),
            "peer" => entry.peer = Some(text(value, "peer")?),
            "port" => {
                let typed = match &value.value {
                    Value::Number(Number::Int(number)) => number.to_string(),
                    _ => text(value, "port")?,
                };
                let port = port(&typed).ok_or_else(|| {
                    wrong(value.at, "port", &typed, "a port such as 443 or 443/TCP")
                })?;
                entry.port = Some(port);
            }
            "since" | "expires" => {
                let key = if key == "since" { "since" } else { "expires" };
                let typed = text(value, key)?;
                let (begin, end) = span(&typed).ok_or_else(|| {
                    let expected = "a day or a time, such as 2026-12-31 or 2026-12-31T18:00:00Z";
                    wrong(value.at, key, &typed, expected)
                })?;
                if key == "since" {
                    entry.since = Some(begin);
                } else {
                    entry.expires = Some(end);
                }
            }
            // Said below, with the line of the entry.
            "reason" if value.as_str().is_some_and(|text| text.trim().is_empty()) => {}
            "reason" => entry.reason = text(value, "reason")?,
            _ => {
                return Err(file
                    .unknown(at, &format!("suppressions.{key}"), KEYS)
                    .into());
            }
        }
    }
    if entry.reason.is_empty() {
        return Err(SuppressError::NoReason {
            file: name(),
            at: node.at,
        });
    }
    let Entry {
        ids,
        kind,
        subject,
        peer,
        port,
        ..
    } = &entry;
    if ids.is_empty() && kind.is_none() && subject.is_none() && peer.is_none() && port.is_none() {
        return Err(SuppressError::Everything {
            file: name(),
            at: node.at,
        });
    }
    Ok(entry)
}

fn ids(file: KeyedFile<'_>, value: &Node) -> Result<Vec<String>, SuppressError> {
    let kind = || {
        file.kind(
            value.at,
            "id",
            "16 hexadecimal digits in quotes, or a list of such",
        )
    };
    let nodes = match &value.value {
        Value::String(_) => std::slice::from_ref(value),
        Value::List(list) if !list.is_empty() => list.as_slice(),
        _ => return Err(kind().into()),
    };
    let mut ids = Vec::new();
    for node in nodes {
        let text = node.as_str().ok_or_else(kind)?;
        if !is_id(text) {
            return Err(SuppressError::Value {
                file: file.name().to_owned(),
                at: node.at,
                key: "id",
                text: text.to_owned(),
                expected: "16 hexadecimal digits",
            });
        }
        ids.push(text.to_owned());
    }
    Ok(ids)
}

/// `443`, `443/TCP`.
fn port(text: &str) -> Option<(u16, Option<String>)> {
    match text.split_once('/') {
        None => Some((text.parse().ok()?, None)),
        Some((_, "")) => None,
        Some((number, protocol)) => Some((number.parse().ok()?, Some(protocol.to_owned()))),
    }
}

/// The moment of a time twice, begin and end of a day in UTC.
pub(super) fn span(text: &str) -> Option<(i64, i64)> {
    let nanos = |time: Timestamp| i64::try_from(time.as_nanosecond()).ok();
    if let Ok(time) = text.parse::<Timestamp>() {
        let time = nanos(time)?;
        return Some((time, time));
    }
    let day: Date = text.parse().ok().filter(|_| text.len() == 10)?;
    let begin = |day: Date| nanos(day.to_zoned(TimeZone::UTC).ok()?.timestamp());
    Some((begin(day)?, begin(day.tomorrow().ok()?)?))
}

/// Whether a pattern fits somebody, with or without the cluster before the name.
fn fits(glob: &str, party: &Party) -> bool {
    if matches(glob, &party.to_string()) {
        return true;
    }
    match party {
        Party::Workload { cluster, .. } if !cluster.is_empty() => {
            matches(glob, &format!("{cluster}/{party}"))
        }
        _ => false,
    }
}

/// Whether a text fits a pattern in which `*` stands for anything. Linear but for going back
/// to the last star.
fn matches(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut at, mut place) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while place < text.len() {
        match glob.get(at) {
            Some(b'*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(byte) if *byte == text[place] => {
                at += 1;
                place += 1;
            }
            _ => match star {
                Some((before, taken)) => {
                    star = Some((before, taken + 1));
                    at = before + 1;
                    place = taken + 1;
                }
                None => return false,
            },
        }
    }
    glob[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (glob, text, wanted) in [
            ("*", "", true),
            ("a*b", "ab", true),
            ("a*b", "axxbxb", true),
            ("a*b", "axxbx", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("shop/*", "shop/web", true),
            ("shop", "shop/web", false),
            ("**a**", "ba", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(glob, text), wanted, "{glob} {text}");
        }
    }

    #[test]
    fn a_day_is_a_span_and_a_time_is_a_moment() {
        let (begin, end) = span("2026-06-01").unwrap();
        assert_eq!(end - begin, 24 * 3_600_000_000_000);
        let (begin, end) = span("2026-06-01T10:00:00+02:00").unwrap();
        assert_eq!(
            (begin, begin),
            (end, span("2026-06-01T08:00:00Z").unwrap().0)
        );
        for text in [
            "",
            "2026-02-30",
            "2026-06-01T10:00",
            "20260601",
            "9999-12-31",
        ] {
            assert_eq!(span(text), None, "{text}");
        }
    }
}
