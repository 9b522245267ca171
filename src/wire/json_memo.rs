//! The JSON of what comes again and again: endpoints and policies.
//!
//! Owns finding it by the bytes of the message. Two thirds of a flow's JSON are its two
//! endpoints, of which there are few beside the flows.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::shape::{self, Message};

/// Places, each with the last message that came to it.
const PLACES: usize = 4 << 10;
/// Longer messages are not kept: this takes about 16 MB at most, and 4 MB as a rule.
const LONGEST: usize = 1 << 10;

/// Messages with their JSON.
#[derive(Clone, Debug, Default)]
pub(super) struct Memo {
    /// The kinds that are kept.
    shapes: Vec<Message>,
    places: Vec<Option<Box<Kept>>>,
    hasher: RandomState,
}

#[derive(Clone, Debug)]
struct Kept {
    shape: Message,
    wire: Vec<u8>,
    json: Vec<u8>,
}

impl Memo {
    /// The place of a message, if it is of a kind that is kept.
    #[inline]
    pub(super) fn place(&mut self, shape: Message, wire: &[u8]) -> Option<usize> {
        if self.shapes.is_empty() {
            let names = ["flow.Endpoint", "flow.Policy"];
            self.shapes
                .extend(names.into_iter().filter_map(shape::by_full_name));
            self.places.resize_with(PLACES, || None);
        }
        let is_kept = self.shapes.iter().any(|kept| std::ptr::eq(*kept, shape));
        (is_kept && wire.len() <= LONGEST).then(|| self.hasher.hash_one(wire) as usize % PLACES)
    }

    /// Appends the JSON of a message; false where it is not known.
    #[inline]
    pub(super) fn write(
        &self,
        place: usize,
        shape: Message,
        wire: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        match &self.places[place] {
            // The bytes of an endpoint may be those of a policy.
            Some(kept) if std::ptr::eq(kept.shape, shape) && kept.wire == wire => {
                out.extend_from_slice(&kept.json);
                true
            }
            _ => false,
        }
    }

    /// Keeps the JSON of a message.
    pub(super) fn keep(&mut self, place: usize, shape: Message, wire: &[u8], json: &[u8]) {
        // Texts are escaped to six times their length.
        if json.len() > 3 * LONGEST {
            return;
        }
        let kept = self.places[place].get_or_insert_with(|| {
            Box::new(Kept {
                shape,
                wire: Vec::new(),
                json: Vec::new(),
            })
        });
        kept.shape = shape;
        kept.wire.clear();
        kept.wire.extend_from_slice(wire);
        kept.json.clear();
        kept.json.extend_from_slice(json);
    }
}
