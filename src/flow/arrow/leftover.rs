//! The bytes of what has no column of its own.
//!
//! Owns two encodings, each with a version in its first byte: the leftovers of a row
//! (`extra`) and the policies that Hubble names (`policies`). Numbers are LEB128, texts
//! and bytes have their length before them. What is damaged or of a newer version is an
//! error of the column, not a guess.

use std::sync::Arc;

use crate::flow::{
    Dictionaries, Envelope, Extensions, Extra, Interner, Kafka, L7Record, Policy, Seconds, StrId,
    Tunnel,
};

const VERSION: u8 = 1;

/// Bytes that are not what [`write_extra`] or [`write_policies`] make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

const UUID: u8 = 1;
const VRRP: u8 = 2;
const IGMP: u8 = 3;
const SCTP_CHUNK: u8 = 4;
const KAFKA: u8 = 5;
const IP_TRACE_ID: u8 = 6;
const EXTENSIONS: u8 = 7;
const TUNNEL: u8 = 8;
const ODD_TIME: u8 = 9;
const ENVELOPE: u8 = 10;

/// Writes what of `extra` has no column; nothing where that is nothing.
pub(super) fn write_extra(words: &Dictionaries, extra: &Extra, out: &mut Vec<u8>) {
    let mut writer = Writer { words, out };
    if let Some(uuid) = &extra.uuid {
        writer.tag(UUID).bytes(uuid.as_bytes());
    }
    if let Some(numbers) = extra.vrrp {
        let writer = writer.tag(VRRP);
        for number in numbers {
            writer.number(number.into());
        }
    }
    if let Some((kind, group)) = extra.igmp {
        writer.tag(IGMP).number(kind.into()).text(group);
    }
    if extra.sctp_chunk != 0 {
        writer.tag(SCTP_CHUNK).signed(extra.sctp_chunk.into());
    }
    if let Some(L7Record::Kafka(kafka)) = extra.l7.as_deref().and_then(|l7| l7.record.as_ref()) {
        writer
            .tag(KAFKA)
            .signed(kafka.error_code.into())
            .signed(kafka.api_version.into())
            .text(kafka.api_key)
            .signed(kafka.correlation_id.into())
            .text(kafka.topic);
    }
    if let Some((trace, option)) = extra.ip_trace_id {
        writer.tag(IP_TRACE_ID).number(trace).number(option.into());
    }
    if let Some(any) = &extra.extensions {
        writer.tag(EXTENSIONS).text(any.type_url).bytes(&any.value);
    }
    if let Some(message) = extra
        .tunnel
        .as_ref()
        .and_then(|tunnel| tunnel.message.as_ref())
    {
        writer.tag(TUNNEL).bytes(message);
    }
    if let Some(time) = extra.odd_time {
        writer.tag(ODD_TIME).time(time);
    }
    if let Some(envelope) = &extra.envelope {
        let writer = writer.tag(ENVELOPE).text(envelope.node);
        writer.number(envelope.time.is_some().into());
        if let Some(time) = envelope.time {
            writer.time(time);
        }
    }
}

/// Adds what [`write_extra`] wrote.
pub(super) fn read_extra(
    interner: &mut Interner,
    bytes: &[u8],
    extra: &mut Extra,
) -> Result<(), Damaged> {
    let mut reader = Reader::new(bytes)?;
    while let Some(tag) = reader.tag() {
        match tag {
            UUID => extra.uuid = Some(Arc::from(reader.str()?)),
            VRRP => {
                extra.vrrp = Some([reader.u32()?, reader.u32()?, reader.u32()?]);
            }
            IGMP => extra.igmp = Some((reader.u32()?, reader.text(interner)?)),
            SCTP_CHUNK => extra.sctp_chunk = reader.i32()?,
            KAFKA => {
                let kafka = Kafka {
                    error_code: reader.i32()?,
                    api_version: reader.i32()?,
                    api_key: reader.text(interner)?,
                    correlation_id: reader.i32()?,
                    topic: reader.text(interner)?,
                };
                extra.l7.get_or_insert_default().record = Some(L7Record::Kafka(kafka));
            }
            IP_TRACE_ID => extra.ip_trace_id = Some((reader.number()?, reader.u32()?)),
            EXTENSIONS => {
                extra.extensions = Some(Box::new(Extensions {
                    type_url: reader.text(interner)?,
                    value: reader.bytes()?.into(),
                }));
            }
            TUNNEL => {
                let tunnel: &mut Tunnel = extra.tunnel.get_or_insert_default();
                tunnel.message = Some(reader.bytes()?.into());
            }
            ODD_TIME => extra.odd_time = Some(reader.time()?),
            ENVELOPE => {
                let node = reader.text(interner)?;
                let has_time = reader.number()? != 0;
                let time = has_time.then(|| reader.time()).transpose()?;
                extra.envelope = Some(Box::new(Envelope { node, time }));
            }
            _ => return Err(Damaged),
        }
    }
    Ok(())
}

/// Writes the four lists of policies; nothing where they are empty.
pub(super) fn write_policies(words: &Dictionaries, extra: &Extra, out: &mut Vec<u8>) {
    let mut writer = Writer { words, out };
    let lists = [
        &extra.egress_allowed_by,
        &extra.ingress_allowed_by,
        &extra.egress_denied_by,
        &extra.ingress_denied_by,
    ];
    for (number, list) in (1..).zip(lists) {
        for policy in list {
            let labels = words.list(policy.labels);
            let writer = writer
                .tag(number)
                .text(policy.name)
                .text(policy.namespace)
                .text(policy.kind)
                .number(policy.revision)
                .number(labels.len() as u64);
            for label in labels {
                writer.bytes(label.as_bytes());
            }
        }
    }
}

/// Adds what [`write_policies`] wrote.
pub(super) fn read_policies(
    interner: &mut Interner,
    bytes: &[u8],
    extra: &mut Extra,
) -> Result<(), Damaged> {
    let mut reader = Reader::new(bytes)?;
    while let Some(tag) = reader.tag() {
        let (name, namespace, kind) = (
            reader.text(interner)?,
            reader.text(interner)?,
            reader.text(interner)?,
        );
        let revision = reader.number()?;
        let mut labels = Vec::new();
        for _ in 0..reader.number()? {
            labels.push(reader.str()?);
        }
        let list = match tag {
            1 => &mut extra.egress_allowed_by,
            2 => &mut extra.ingress_allowed_by,
            3 => &mut extra.egress_denied_by,
            4 => &mut extra.ingress_denied_by,
            _ => return Err(Damaged),
        };
        list.push(Policy {
            name,
            namespace,
            kind,
            labels: interner.list(labels.into_iter()),
            revision,
        });
    }
    Ok(())
}

struct Writer<'a> {
    words: &'a Dictionaries,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn tag(&mut self, tag: u8) -> &mut Self {
        if self.out.is_empty() {
            self.out.push(VERSION);
        }
        self.out.push(tag);
        self
    }

    fn number(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
        self
    }

    fn signed(&mut self, value: i64) -> &mut Self {
        self.number((value << 1 ^ value >> 63) as u64)
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
        self
    }

    fn text(&mut self, id: StrId) -> &mut Self {
        self.bytes(self.words.str(id).as_bytes())
    }

    fn time(&mut self, time: Seconds) -> &mut Self {
        self.signed(time.seconds).signed(time.nanos.into())
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Damaged> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Ok(Self(rest)),
            _ => Err(Damaged),
        }
    }

    fn tag(&mut self) -> Option<u8> {
        let (&tag, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(tag)
    }

    fn number(&mut self) -> Result<u64, Damaged> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.tag().ok_or(Damaged)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    fn u32(&mut self) -> Result<u32, Damaged> {
        self.number()?.try_into().map_err(|_| Damaged)
    }

    fn signed(&mut self) -> Result<i64, Damaged> {
        let value = self.number()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn i32(&mut self) -> Result<i32, Damaged> {
        self.signed()?.try_into().map_err(|_| Damaged)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn str(&mut self) -> Result<&'a str, Damaged> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damaged)
    }

    fn text(&mut self, interner: &mut Interner) -> Result<StrId, Damaged> {
        self.str().map(|text| interner.text(text))
    }

    fn time(&mut self) -> Result<Seconds, Damaged> {
        Ok(Seconds {
            seconds: self.signed()?,
            nanos: self.i32()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(0..20_u8, 0..40)) {
            let mut interner = Interner::new(1 << 20);
            let mut whole = vec![VERSION];
            whole.extend(&bytes);
            let _ = read_extra(&mut interner, &whole, &mut Extra::default());
            let _ = read_policies(&mut interner, &whole, &mut Extra::default());
        }
    }
}
