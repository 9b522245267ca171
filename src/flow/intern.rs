//! Dictionaries: texts, endpoints, pairs and lists behind `u32` ids.
//!
//! Owns the tables a decoder interns into and the index that finds an entry by its
//! *undecoded* bytes, so that an endpoint is decoded only when its bytes are new.
//! Does not know any encoding.
//!
//! Tables grow in segments that are shared, not copied, when a batch is finished.
//! Their size is bounded: past [`Interner::is_full`] the owner starts a new epoch
//! with [`Interner::reset`]; ids are only comparable inside one epoch. Hashing is
//! keyed per interner, so crafted keys cannot degrade it.

use std::hash::{BuildHasher, Hash, Hasher};
use std::str::Utf8Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::recent::{Key, Place, Places, Recent, same};

/// Entries per segment. A power of two, so that an id splits by shift and mask.
const SEGMENT: usize = 1 << SEGMENT_BITS;
const SEGMENT_BITS: u32 = 10;
/// Bytes of a raw text that pick the candidates of [`RawIndex::find_prefix`].
const PREFIX: usize = 48;
/// Candidates tried by prefix before the caller has to find the end itself.
const CANDIDATES: usize = 8;
/// Raw bytes that are worth their copy: what is longer is hardly ever seen again.
const LONGEST_RAW: usize = 1 << 20;
/// Accounted beside the bytes of a text: its entry, its slot in the hash table.
const ENTRY_OVERHEAD: usize = 48;

/// Id of a text; 0 is the empty text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StrId(pub u32);

/// Id of an endpoint; 0 means that the flow has none on that side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u32);

/// Id of a list of texts; 0 is the empty list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListId(pub u32);

/// Id of a pair of texts (a service, two MAC addresses, an emitter); 0 means absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairId(pub u32);

/// One side of a flow, decoded once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Cilium endpoint id; node-local, 0 for endpoints of other nodes.
    pub id: u32,
    /// Numeric identity.
    pub identity: u32,
    /// Cluster name, empty before Cilium 1.17.
    pub cluster: Arc<str>,
    /// Namespace, empty outside Kubernetes.
    pub namespace: Arc<str>,
    /// Pod name.
    pub pod: Arc<str>,
    /// Labels, each `source:key=value`, as sent.
    pub labels: Vec<Arc<str>>,
    /// Workloads; sent for endpoints of the observing node only.
    pub workloads: Vec<Workload>,
}

/// Owner of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Name.
    pub name: Arc<str>,
    /// Kind, `Deployment` and the like.
    pub kind: Arc<str>,
}

/// A table in shared segments: what a finished batch keeps of it.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot<T> {
    segments: Vec<Arc<[T]>>,
}

impl<T> Default for Snapshot<T> {
    fn default() -> Self {
        Self {
            segments: Vec::new(),
        }
    }
}

impl<T> Snapshot<T> {
    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.segments
            .get(id as usize >> SEGMENT_BITS)?
            .get(id as usize & (SEGMENT - 1))
    }

    #[cfg(test)]
    fn iter(&self) -> impl Iterator<Item = &T> {
        self.segments.iter().flat_map(|segment| segment.iter())
    }
}

/// A growing table; ids count from 0.
#[derive(Debug)]
struct Table<T> {
    sealed: Vec<Arc<[T]>>,
    open: Vec<T>,
    /// What `open` was at the last snapshot.
    shared: Arc<[T]>,
}

impl<T: Clone> Table<T> {
    fn new(first: T) -> Self {
        Self {
            sealed: Vec::new(),
            open: vec![first],
            shared: Arc::from([]),
        }
    }

    fn push(&mut self, value: T) -> u32 {
        if self.open.len() == SEGMENT {
            self.sealed.push(std::mem::take(&mut self.open).into());
            self.shared = Arc::from([]);
        }
        let id = (self.sealed.len() << SEGMENT_BITS) + self.open.len();
        self.open.push(value);
        id as u32
    }

    fn get(&self, id: u32) -> Option<&T> {
        let (segment, at) = (id as usize >> SEGMENT_BITS, id as usize & (SEGMENT - 1));
        match self.sealed.get(segment) {
            Some(segment) => segment.get(at),
            None if segment == self.sealed.len() => self.open.get(at),
            None => None,
        }
    }

    /// Mostly nothing is new since the last one.
    fn snapshot(&mut self) -> Snapshot<T> {
        if self.shared.len() != self.open.len() {
            self.shared = self.open.as_slice().into();
        }
        let mut segments = Vec::with_capacity(self.sealed.len() + 1);
        segments.extend(self.sealed.iter().cloned());
        segments.push(Arc::clone(&self.shared));
        Snapshot { segments }
    }
}

/// Finds a value by bytes that are not decoded.
#[derive(Debug, Default)]
pub(crate) struct RawIndex {
    whole: HashTable<u32>,
    by_prefix: HashTable<u32>,
    entries: Vec<Place>,
    bytes: Vec<u8>,
    recent: Places,
}

impl RawIndex {
    fn text(&self, entry: Place) -> &[u8] {
        let start = entry.start as usize;
        self.bytes
            .get(start..start + entry.len as usize)
            .unwrap_or_default()
    }

    /// The value of `raw`. What was found last is looked at first, by its ends: that
    /// saves hashing hundreds of bytes.
    #[inline]
    fn get(&mut self, state: &RandomState, raw: &[u8]) -> Option<u32> {
        match self.recent.get(raw, |place| same(self.text(place), raw)) {
            Some(place) => Some(place.value),
            None => self.get_slowly(state, raw),
        }
    }

    #[inline(never)]
    fn get_slowly(&mut self, state: &RandomState, raw: &[u8]) -> Option<u32> {
        let &at = self.whole.find(hash(state, raw), |&at| {
            self.text(self.entries[at as usize]) == raw
        })?;
        let entry = self.entries[at as usize];
        self.recent.put(raw, entry);
        Some(entry.value)
    }

    /// The entry whose bytes `text` starts with, and their length.
    fn find_prefix(&self, state: &RandomState, text: &[u8]) -> Option<(usize, u32)> {
        let prefix = text.get(..PREFIX)?;
        self.by_prefix
            .iter_hash(hash(state, prefix))
            .take(CANDIDATES)
            .map(|&at| self.entries[at as usize])
            .find(|&entry| text.starts_with(self.text(entry)))
            .map(|entry| (entry.len as usize, entry.value))
    }

    fn insert(&mut self, state: &RandomState, raw: &[u8], value: u32) {
        let at = self.entries.len() as u32;
        self.entries.push(Place {
            start: self.bytes.len() as u32,
            len: raw.len() as u32,
            value,
        });
        self.bytes.extend_from_slice(raw);
        let Self {
            whole,
            by_prefix,
            entries,
            bytes,
            ..
        } = self;
        let text = |at: u32| {
            let entry = entries[at as usize];
            &bytes[entry.start as usize..(entry.start + entry.len) as usize]
        };
        whole.insert_unique(hash(state, raw), at, |&at| hash(state, text(at)));
        if raw.len() >= PREFIX {
            by_prefix.insert_unique(hash(state, &raw[..PREFIX]), at, |&at| {
                hash(state, &text(at)[..PREFIX])
            });
        }
    }
}

fn hash(state: &RandomState, bytes: &[u8]) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// Which kind of thing raw bytes stand for, in which encoding; each has an index of its
/// own, since the bytes of one may be those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RawKind {
    Endpoint,
    Pair,
    List,
    JsonEndpoint,
    JsonEthernet,
    JsonService,
    JsonEmitter,
    JsonList,
}

const RAW_KINDS: usize = 8;

/// The dictionaries a decoder fills. One decoder, one interner: no locks.
#[derive(Debug)]
pub struct Interner {
    epoch: u64,
    limit: usize,
    state: RandomState,
    text_bytes: usize,
    raw_bytes: usize,
    strings: Table<Arc<str>>,
    by_text: HashTable<u32>,
    recent: Recent,
    endpoints: Table<Arc<Endpoint>>,
    by_endpoint: HashTable<u32>,
    pairs: Table<(StrId, StrId)>,
    by_pair: HashTable<u32>,
    lists: Table<Arc<[StrId]>>,
    by_list: HashTable<u32>,
    raw: [RawIndex; RAW_KINDS],
}

impl Interner {
    /// Makes an interner that calls itself full at about `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            epoch: next_epoch(),
            limit,
            state: RandomState::default(),
            text_bytes: 0,
            raw_bytes: 0,
            strings: Table::new(Arc::from("")),
            by_text: HashTable::new(),
            recent: Recent::default(),
            endpoints: Table::new(Arc::default()),
            by_endpoint: HashTable::new(),
            pairs: Table::new((StrId(0), StrId(0))),
            by_pair: HashTable::new(),
            lists: Table::new(Arc::from([])),
            by_list: HashTable::new(),
            raw: Default::default(),
        }
    }

    /// Unique in the process; changes with [`Interner::reset`].
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether the tables have reached their bound.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.size() > self.limit
    }

    /// Bytes held, about.
    #[must_use]
    pub fn size(&self) -> usize {
        self.text_bytes + self.raw_bytes
    }

    /// Forgets everything and begins a new epoch. Batches made before keep theirs.
    pub fn reset(&mut self) {
        *self = Self::new(self.limit);
    }

    /// The id of a text.
    pub fn text(&mut self, text: &str) -> StrId {
        match self.find_text(text.as_bytes()) {
            Ok(id) => id,
            Err(hash) => self.add_text(hash, text),
        }
    }

    /// The id of a text that may not be UTF-8; only a text that is new is checked.
    ///
    /// # Errors
    /// That of the check.
    #[inline]
    pub fn text_bytes(&mut self, text: &[u8]) -> Result<StrId, Utf8Error> {
        let key = Key::of(text);
        if let Some(key) = &key
            && let Some(id) = self.recent.get(key)
            && (key.is_whole() || same(self.str(id).as_bytes(), text))
        {
            return Ok(id);
        }
        self.text_bytes_slowly(text, key)
    }

    #[inline(never)]
    fn text_bytes_slowly(&mut self, text: &[u8], key: Option<Key>) -> Result<StrId, Utf8Error> {
        let id = match self.find_text(text) {
            Ok(id) => id,
            Err(hash) => self.add_text(hash, std::str::from_utf8(text)?),
        };
        if let Some(key) = key {
            self.recent.put(key, id);
        }
        Ok(id)
    }

    /// The id of a known text, or the hash to add it under.
    fn find_text(&self, text: &[u8]) -> Result<StrId, u64> {
        if text.is_empty() {
            return Ok(StrId(0));
        }
        let hash = hash(&self.state, text);
        let same = |&id: &u32| {
            self.strings
                .get(id)
                .is_some_and(|known| known.as_bytes() == text)
        };
        self.by_text
            .find(hash, same)
            .map(|&id| StrId(id))
            .ok_or(hash)
    }

    fn add_text(&mut self, text_hash: u64, text: &str) -> StrId {
        self.text_bytes += text.len() + ENTRY_OVERHEAD;
        let id = self.strings.push(Arc::from(text));
        let Self {
            by_text,
            strings,
            state,
            ..
        } = self;
        by_text.insert_unique(text_hash, id, |&id| {
            hash(state, strings.get(id).map_or(&[], |text| text.as_bytes()))
        });
        StrId(id)
    }

    /// The text of an id, shared.
    pub fn shared(&mut self, text: &str) -> Arc<str> {
        let id = self.text(text);
        self.strings.get(id.0).cloned().unwrap_or_default()
    }

    /// The text of an id; empty for an id of another epoch.
    #[must_use]
    pub fn str(&self, id: StrId) -> &str {
        self.strings.get(id.0).map_or("", |text| text)
    }

    /// The id of an endpoint.
    pub fn endpoint(&mut self, endpoint: Endpoint) -> EndpointId {
        let size = ENTRY_OVERHEAD * (4 + endpoint.labels.len());
        let (id, new) = intern(
            &self.state,
            &mut self.by_endpoint,
            &mut self.endpoints,
            Arc::new(endpoint),
        );
        self.text_bytes += if new { size } else { 0 };
        EndpointId(id)
    }

    /// The id of a pair of texts.
    pub fn pair(&mut self, left: &str, right: &str) -> PairId {
        let pair = (self.text(left), self.text(right));
        let (id, new) = intern(&self.state, &mut self.by_pair, &mut self.pairs, pair);
        self.text_bytes += if new { ENTRY_OVERHEAD } else { 0 };
        PairId(id)
    }

    /// The id of a list of texts.
    pub fn list<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> ListId {
        let list: Arc<[StrId]> = texts.map(|text| self.text(text)).collect();
        if list.is_empty() {
            return ListId(0);
        }
        let size = ENTRY_OVERHEAD + 4 * list.len();
        let (id, new) = intern(&self.state, &mut self.by_list, &mut self.lists, list);
        self.text_bytes += if new { size } else { 0 };
        ListId(id)
    }

    #[inline]
    pub(crate) fn find_raw(&mut self, kind: RawKind, raw: &[u8]) -> Option<u32> {
        self.raw[kind as usize].get(&self.state, raw)
    }

    /// The value whose raw bytes `text` begins with, and how long they are.
    ///
    /// Sound only for self-delimiting encodings (a JSON object), where a whole value
    /// cannot be the beginning of another.
    pub(crate) fn find_raw_prefix(&self, kind: RawKind, text: &[u8]) -> Option<(usize, u32)> {
        self.raw[kind as usize].find_prefix(&self.state, text)
    }

    pub(crate) fn keep_raw(&mut self, kind: RawKind, raw: &[u8], value: u32) {
        if raw.len() > LONGEST_RAW {
            return;
        }
        self.raw_bytes += raw.len() + ENTRY_OVERHEAD;
        self.raw[kind as usize].insert(&self.state, raw, value);
    }

    pub(crate) fn string_snapshot(&mut self) -> Snapshot<Arc<str>> {
        self.strings.snapshot()
    }

    pub(crate) fn endpoint_snapshot(&mut self) -> Snapshot<Arc<Endpoint>> {
        self.endpoints.snapshot()
    }

    pub(crate) fn pair_snapshot(&mut self) -> Snapshot<(StrId, StrId)> {
        self.pairs.snapshot()
    }

    pub(crate) fn list_snapshot(&mut self) -> Snapshot<Arc<[StrId]>> {
        self.lists.snapshot()
    }
}

/// Finds or adds a value; whether it was added comes second. Id 0 is not indexed: it
/// stands for "absent".
fn intern<T: Hash + Eq + Clone>(
    state: &RandomState,
    index: &mut HashTable<u32>,
    table: &mut Table<T>,
    value: T,
) -> (u32, bool) {
    let hash = state.hash_one(&value);
    if let Some(&id) = index.find(hash, |&id| table.get(id) == Some(&value)) {
        return (id, false);
    }
    let id = table.push(value);
    index.insert_unique(hash, id, |&id| {
        table.get(id).map_or(0, |value| state.hash_one(value))
    });
    (id, true)
}

fn next_epoch() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_id_over_many_segments() {
        let mut interner = Interner::new(1 << 30);
        let ids: Vec<StrId> = (0..5000)
            .map(|n| interner.text(&format!("text-{n}")))
            .collect();
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(interner.text(&format!("text-{n}")), *id);
            assert_eq!(interner.str(*id), format!("text-{n}"));
        }
        let snapshot = interner.string_snapshot();
        assert_eq!(snapshot.iter().count(), 5001);
        assert_eq!(
            snapshot.get(ids[4321].0).map(|text| &**text),
            Some("text-4321")
        );
    }

    #[test]
    fn raw_bytes_are_found_whole_and_as_a_beginning() {
        let mut interner = Interner::new(1 << 30);
        let long = [b'x'; 60];
        interner.keep_raw(RawKind::Endpoint, &long, 7);
        interner.keep_raw(RawKind::Endpoint, b"short", 8);

        let mut line = long.to_vec();
        line.extend_from_slice(b",more");
        assert_eq!(
            interner.find_raw_prefix(RawKind::Endpoint, &line),
            Some((60, 7))
        );
        assert_eq!(interner.find_raw_prefix(RawKind::Pair, &line), None);
        assert_eq!(interner.find_raw(RawKind::Endpoint, b"short"), Some(8));
        assert_eq!(interner.find_raw_prefix(RawKind::Endpoint, b"short"), None);
    }

    #[test]
    fn a_full_interner_says_so_and_starts_a_new_epoch() {
        let mut interner = Interner::new(1000);
        let epoch = interner.epoch();
        let mut n = 0;
        while !interner.is_full() {
            interner.text(&format!("{n}"));
            n += 1;
        }
        assert!(n < 30);
        interner.reset();
        assert_ne!(interner.epoch(), epoch);
        assert_eq!(interner.size(), 0);
    }
}
