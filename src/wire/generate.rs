//! Messages at random, for the tests that hold one decoder against another.
//!
//! Owns a seeded generator that follows the descriptors, so that a field added to the
//! API is generated without a change here, and that now and then writes what no encoder
//! would. Values come from small pools: equal parts meet again, as they do in traffic.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::proto;

/// A seeded source of choices and messages.
pub(crate) struct Generator {
    state: u64,
    /// Oddities per thousand places where one could be.
    pub(crate) oddity: u64,
}

/// Texts that come often; the first ones are what real fields hold.
const TEXTS: [&str; 14] = [
    "",
    "shop",
    "web-7d9f8b6c5d-0001a",
    "10.0.0.1",
    "10.0.0.2",
    "default/node-01",
    "k8s:io.kubernetes.pod.namespace=shop",
    "k8s:app.kubernetes.io/name=web",
    "0a:58:0a:00:00:01",
    "TCP Flags: SYN",
    "f\u{fc}nf \u{1f980} \u{2028}",
    "a text that is long enough to need two bytes for its length, as summaries and some \
     labels are: k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop",
    "00000000-0000-0001-0000-00000000ff02",
    "quote \" slash \\ tab \t nul \u{0} del \u{7f}",
];

impl Generator {
    pub(crate) fn new(seed: u64, oddity: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d,
            oddity,
        }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.next() % 1000 < per_mille
    }

    pub(crate) fn odd(&mut self) -> bool {
        self.chance(self.oddity)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A `GetFlowsResponse`, mostly with a flow.
    pub(crate) fn response(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.message(&message("observer.GetFlowsResponse"), &mut out);
        out
    }

    /// Which fields of a message to fill, in which order: one arm of a oneof, some or all
    /// of the others; odd ones twice.
    pub(crate) fn fields(&mut self, of: &MessageDescriptor) -> Vec<FieldDescriptor> {
        let share = self.pick(&[120, 500, 900, 1000]);
        let mut fields: Vec<FieldDescriptor> = Vec::new();
        for field in of.fields() {
            let alone = field.containing_oneof().is_none();
            if alone && self.chance(share) {
                fields.push(field);
            }
        }
        for oneof in of.oneofs() {
            let arms: Vec<FieldDescriptor> = oneof.fields().collect();
            let first = self.chance(700);
            let arm = if first { 0 } else { self.below(arms.len()) };
            if self.chance(950) {
                fields.push(arms[arm].clone());
            }
            while self.odd() {
                let arm = self.below(arms.len());
                fields.push(arms[arm].clone());
            }
        }
        if self.odd() || self.odd() {
            for at in (1..fields.len()).rev() {
                let other = self.below(at + 1);
                fields.swap(at, other);
            }
        }
        while !fields.is_empty() && self.odd() {
            let again = self.below(fields.len());
            let field = fields[again].clone();
            let at = self.below(fields.len() + 1);
            fields.insert(at, field);
        }
        fields
    }

    fn message(&mut self, of: &MessageDescriptor, out: &mut Vec<u8>) {
        for field in self.fields(of) {
            let count = if field.is_list() { self.below(4) } else { 1 };
            for _ in 0..count {
                self.field(&field, out);
            }
            if self.odd() {
                self.unknown(out, 0);
            }
        }
        if self.odd() {
            self.unknown(out, 0);
        }
    }

    fn field(&mut self, field: &FieldDescriptor, out: &mut Vec<u8>) {
        if self.odd() && self.odd() {
            let wire_type = self.next() % 6;
            self.value_of(field.number(), wire_type, out, 0);
            return;
        }
        match field.kind() {
            Kind::Message(inner) => {
                let mut body = Vec::new();
                self.message(&inner, &mut body);
                self.delimited(field.number(), &body, out);
            }
            Kind::String | Kind::Bytes => {
                let text = self.text(field.name());
                let mut text = text.into_bytes();
                if self.odd() && self.odd() {
                    text.push(self.next() as u8);
                }
                self.delimited(field.number(), &text, out);
            }
            Kind::Double => {
                self.key(field.number(), 1, out);
                out.extend_from_slice(&self.next().to_le_bytes());
            }
            _ => {
                self.key(field.number(), 0, out);
                let number = self.number();
                self.varint(number, out);
            }
        }
    }

    /// A number: mostly small, now and then at an edge of a type.
    pub(crate) fn number(&mut self) -> u64 {
        match self.below(8) {
            0..=3 => self.next() % 10,
            4 => self.next() % 300,
            5 => self.next() % 70_000,
            6 => self.pick(&[
                u64::from(u32::MAX),
                1 << 32,
                1 << 31,
                u64::MAX,
                1 << 63,
                999_999_999,
                1_000_000_000,
                1_767_225_600,
                9_223_372_036,
                9_223_372_037,
            ]),
            _ => self.next(),
        }
    }

    /// A text for a field of that name.
    pub(crate) fn text(&mut self, name: &str) -> String {
        if name == "uuid" && self.chance(900) {
            let bits = if self.chance(20) { 0 } else { self.next() };
            return format!("{bits:08x}-0000-4000-8000-{:012x}", self.next() >> 16)
                .get(bits.leading_zeros() as usize % 2..)
                .unwrap_or_default()
                .to_owned();
        }
        if self.chance(30) {
            return format!("text {}", self.next() % 50);
        }
        self.pick(&TEXTS).to_owned()
    }

    fn unknown(&mut self, out: &mut Vec<u8>, depth: u32) {
        let number = self.pick(&[
            7,
            12,
            17,
            18,
            42,
            60,
            62,
            63,
            64,
            99,
            999,
            1002,
            21_003,
            21_008,
            99_999,
            200_000,
            536_870_911,
            0,
        ]);
        let wire_type = if self.odd() {
            self.next() % 8
        } else {
            self.pick(&[0, 1, 2, 2, 3, 5])
        };
        self.value_of(number, wire_type, out, depth);
    }

    fn value_of(&mut self, number: u32, wire_type: u64, out: &mut Vec<u8>, depth: u32) {
        self.key(number, wire_type, out);
        match wire_type {
            0 => {
                let value = self.number();
                self.varint(value, out);
            }
            1 => out.extend_from_slice(&self.next().to_le_bytes()),
            2 => {
                let text = self.pick(&TEXTS);
                out.push(text.len().min(120) as u8);
                out.extend_from_slice(&text.as_bytes()[..text.len().min(120)]);
            }
            3 => {
                // Deep enough, now and then, to meet prost's limit of nesting.
                let deep = if depth == 0 && self.chance(100) {
                    94 + self.below(8)
                } else {
                    0
                };
                for _ in 0..deep {
                    self.key(9, 3, out);
                }
                if depth < 3 && self.chance(500) {
                    self.unknown(out, depth + 1);
                }
                for _ in 0..deep {
                    self.key(9, 4, out);
                }
                let end = if self.odd() { number + 1 } else { number };
                self.key(end, 4, out);
            }
            5 => out.extend_from_slice(&(self.next() as u32).to_le_bytes()),
            _ => {}
        }
    }

    fn delimited(&mut self, number: u32, body: &[u8], out: &mut Vec<u8>) {
        self.key(number, 2, out);
        self.varint(body.len() as u64, out);
        out.extend_from_slice(body);
    }

    fn key(&mut self, number: u32, wire_type: u64, out: &mut Vec<u8>) {
        self.varint(u64::from(number) << 3 | wire_type, out);
    }

    /// A varint, now and then with more bytes than it needs, or more than there may be.
    fn varint(&mut self, mut value: u64, out: &mut Vec<u8>) {
        let padding = if self.odd() && self.odd() {
            self.below(9)
        } else {
            0
        };
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        if padding == 0 {
            out.push(value as u8);
            return;
        }
        out.push(value as u8 | 0x80);
        out.extend(std::iter::repeat_n(0x80, padding - 1));
        out.push(0);
    }

    /// Damages some bytes: changed, cut off, taken out or doubled.
    pub(crate) fn damage(&mut self, bytes: &mut Vec<u8>, alphabet: &[u8]) {
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(12)).min(bytes.len());
            match self.below(7) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next() as u8,
                2 => bytes[at] = self.pick(alphabet),
                3 => bytes.truncate(at),
                4 => drop(bytes.drain(at..end)),
                5 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => {
                    let byte = self.pick(alphabet);
                    bytes.insert(at, byte);
                }
            }
        }
    }
}

/// The descriptor of a message of the API.
pub(crate) fn message(name: &str) -> MessageDescriptor {
    proto::pool().get_message_by_name(name).unwrap()
}

/// How many cases a test makes: its own number, or `FLOWWATCH_CASES` for a long run.
pub(crate) fn cases(usual: u64) -> u64 {
    let wanted = std::env::var("FLOWWATCH_CASES").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(usual)
}
