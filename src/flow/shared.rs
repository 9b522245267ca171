//! What few rows have, renamed once for all rows that have the same.
//!
//! Owns telling that two rows have the same. Most rows have something (policies by name, a
//! request), and nine of ten have what another one has.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::extra::{Extra, L7Record, Renamed};

/// Of one set of dictionaries. One that has many bytes of its own is not kept, so that this
/// takes about 8 MB at most.
const MOST: usize = 8 << 10;
/// Headers and policies of one that is kept.
const USUAL: usize = 32;
/// Those found last, which are told by their places in memory.
const RECENT: usize = 512;

/// What was renamed, with what it was before.
#[derive(Debug, Default)]
pub(super) struct SharedExtras {
    known: HashTable<(Arc<Extra>, Arc<Extra>)>,
    hasher: RandomState,
    /// By the hash of the place in memory; empty, or [`RECENT`] of them.
    recent: Vec<Option<(Arc<Extra>, Arc<Extra>)>>,
}

impl SharedExtras {
    /// The same with new ids.
    pub(super) fn renamed(&mut self, extra: &Arc<Extra>, to: &mut impl Renamed) -> Arc<Extra> {
        let place = slot(extra);
        if let Some(Some((before, renamed))) = self.recent.get(place)
            && Arc::ptr_eq(before, extra)
        {
            return Arc::clone(renamed);
        }
        if is_large(extra) {
            return rename(extra, to);
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        let hash = self.hasher.hash_one(&**extra);
        let entry = self.known.entry(
            hash,
            |(before, _)| before == extra,
            |(before, _)| self.hasher.hash_one(&**before),
        );
        let renamed = match entry {
            Entry::Occupied(entry) => Arc::clone(&entry.get().1),
            Entry::Vacant(entry) => {
                let renamed = rename(extra, to);
                entry.insert((Arc::clone(extra), Arc::clone(&renamed)));
                renamed
            }
        };
        self.recent.resize(RECENT, None);
        self.recent[place] = Some((Arc::clone(extra), Arc::clone(&renamed)));
        renamed
    }
}

/// Where in [`SharedExtras::recent`] one is, by Fibonacci hashing of its place in memory.
fn slot(extra: &Arc<Extra>) -> usize {
    let place = Arc::as_ptr(extra) as usize as u64;
    (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - RECENT.ilog2())) as usize
}

fn rename(extra: &Extra, to: &mut impl Renamed) -> Arc<Extra> {
    let mut extra = extra.clone();
    extra.rename(to);
    Arc::new(extra)
}

/// Whether it holds bytes, or more ids than usual.
fn is_large(extra: &Extra) -> bool {
    let tunnel = extra.tunnel.as_ref();
    let headers = match extra.l7.as_ref().and_then(|l7| l7.record.as_ref()) {
        Some(L7Record::Http(http)) => http.headers.len(),
        _ => 0,
    };
    let lists = [
        &extra.egress_allowed_by,
        &extra.ingress_allowed_by,
        &extra.egress_denied_by,
        &extra.ingress_denied_by,
    ];
    extra.extensions.is_some()
        || extra.uuid.is_some()
        || tunnel.is_some_and(|tunnel| tunnel.message.is_some())
        || headers + lists.iter().map(|list| list.len()).sum::<usize>() > USUAL
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{ListId, Policy, StrId};

    struct Next(u32);

    impl Renamed for Next {
        fn str(&mut self, id: StrId) -> StrId {
            StrId(id.0 + self.0)
        }
        fn list(&mut self, id: ListId) -> ListId {
            id
        }
    }

    /// Guarantees: equal ones are shared, others are not, and each is what renaming makes.
    #[test]
    fn what_is_the_same_is_renamed_once() {
        let extra = |name| {
            Arc::new(Extra {
                ingress_allowed_by: vec![Policy {
                    name: StrId(name),
                    ..Policy::default()
                }],
                ..Extra::default()
            })
        };
        let mut shared = SharedExtras::default();
        let mut renamed = |name| shared.renamed(&extra(name), &mut Next(10));
        let (first, second, other) = (renamed(1), renamed(1), renamed(2));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(first.ingress_allowed_by[0].name, StrId(11));
        assert_eq!(other.ingress_allowed_by[0].name, StrId(12));
    }
}
