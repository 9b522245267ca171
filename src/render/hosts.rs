//! Pods with their identities as they were written, kept from flow to flow.
//!
//! Owns nothing but speed: flows are of the same endpoints again and again. What is kept
//! is of one epoch of the dictionaries, and so bounded by them; long names, and whatever
//! is not shown by its pod, are written anew each time.

use super::words::{Side, Words};
use crate::flow::RowRef;

/// Longest name that is kept.
const LONGEST: usize = 255;

/// The texts of endpoints, by their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    epoch: u64,
    places: Vec<Place>,
    text: Vec<u8>,
}

/// Where a name and an identity are in the text, one after the other. The identity is
/// empty where the endpoint was not met yet, the name where it is not kept.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    start: u32,
    name: u8,
    identity: u8,
}

impl Hosts {
    /// Name and identity of a side that is shown by its pod, where they are kept. The name
    /// has no colour and no colon.
    #[inline]
    pub(super) fn get(
        &mut self,
        words: Words,
        row: RowRef<'_>,
        side: Side,
    ) -> Option<(&[u8], &[u8])> {
        let id = side.pod_of(row)?.0;
        let epoch = row.dictionaries().epoch();
        let known = match self.places.get(id as usize) {
            Some(place) if self.epoch == epoch && place.identity > 0 => *place,
            _ => self.add(words, row, side, id),
        };
        if known.name == 0 {
            return None;
        }
        let text = self.text.get(known.start as usize..)?;
        let (name, rest) = text.split_at_checked(known.name.into())?;
        Some((name, rest.get(..known.identity.into())?))
    }

    #[inline(never)]
    fn add(&mut self, words: Words, row: RowRef<'_>, side: Side, id: u32) -> Place {
        let epoch = row.dictionaries().epoch();
        if self.epoch != epoch {
            self.epoch = epoch;
            self.places.clear();
            self.text.clear();
        }
        let start = self.text.len();
        words.pod(&mut self.text, row, side);
        let name = &self.text[start..];
        let is_kept = name.len() <= LONGEST && memchr::memchr(b':', name).is_none();
        let mut place = Place {
            start: start as u32,
            name: if is_kept { name.len() as u8 } else { 0 },
            identity: 1,
        };
        if place.name == 0 {
            self.text.truncate(start);
        } else {
            let end = self.text.len();
            words.identity(&mut self.text, row, side);
            place.identity = (self.text.len() - end) as u8;
        }
        let at = id as usize;
        if self.places.len() <= at {
            self.places.resize(at + 1, Place::default());
        }
        self.places[at] = place;
        place
    }
}

#[cfg(test)]
mod tests {
    use crate::flow::{BatchBuilder, Endpoint, Row, flags};
    use crate::render::{LineOptions, LineRenderer};

    /// Scenario: endpoints of every kind, each twice, then others under the same ids.
    /// Guarantees: a renderer that remembers writes what one writes that has seen nothing.
    #[test]
    fn what_is_kept_is_what_would_be_written() {
        let long = "x".repeat(300);
        let pods = ["web-1", "", "a:b", "\u{1b}[31m", "d\u{e9}", long.as_str()];
        for color in [false, true] {
            let options = LineOptions {
                color,
                ..LineOptions::default()
            };
            let mut remembers = LineRenderer::new(options);
            let mut builder = BatchBuilder::default();
            for namespace in ["shop", "", "other"] {
                for (at, pod) in pods.iter().chain(&pods).enumerate() {
                    let interner = builder.interner();
                    let endpoint = Endpoint {
                        identity: [2, 70_000][at % 2] + at as u32 / 2,
                        namespace: namespace.into(),
                        pod: (*pod).into(),
                        ..Endpoint::default()
                    };
                    let service = if at % 5 == 4 {
                        interner.pair("api", "prod")
                    } else {
                        Row::default().source_service
                    };
                    let row = Row {
                        source: interner.endpoint(endpoint),
                        source_ip: interner.text("10.0.0.1"),
                        destination_ip: interner.text("fd00::1"),
                        source_port: at as u32 % 3,
                        source_service: service,
                        flags: if at % 7 == 6 { 0 } else { flags::HAS_IP },
                        ..Row::default()
                    };
                    builder.push(row, || unreachable!());
                }
                let batch = builder.finish();
                let (mut kept, mut fresh) = (Vec::new(), Vec::new());
                for row in batch.rows().chain(batch.rows()) {
                    remembers.flow(row, &mut kept);
                    LineRenderer::new(options).flow(row, &mut fresh);
                }
                assert_eq!(
                    String::from_utf8_lossy(&kept),
                    String::from_utf8_lossy(&fresh)
                );
                builder.interner().reset();
            }
        }
    }
}
