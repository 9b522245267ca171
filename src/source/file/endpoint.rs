//! An endpoint of a recorded flow, read when its text is new.
//!
//! Owns the plain form that Hubble writes. Whatever is unusual is [`Odd`] and goes the
//! general way. Where pods come and go, this is what a line costs.

use std::sync::Arc;

use super::cursor::{Cursor, Odd};
use super::scan::elements;
use crate::flow::{Endpoint, Interner, Workload};

/// Reads the text of an endpoint object.
pub(super) fn endpoint(interner: &mut Interner, text: &[u8]) -> Result<Endpoint, Odd> {
    let mut cursor = Cursor::new(text);
    let mut endpoint = Endpoint::default();
    let mut seen = 0_u8;
    cursor.expect(b'{')?;
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        let bit = match key {
            b"ID" => {
                endpoint.id = cursor.u32()?;
                0
            }
            b"identity" => {
                endpoint.identity = cursor.u32()?;
                1
            }
            b"cluster_name" => {
                endpoint.cluster = shared(interner, &mut cursor)?;
                2
            }
            b"namespace" => {
                endpoint.namespace = shared(interner, &mut cursor)?;
                3
            }
            b"labels" => {
                elements(&mut cursor, |cursor| {
                    endpoint.labels.push(shared(interner, cursor)?);
                    Ok(())
                })?;
                4
            }
            b"pod_name" => {
                endpoint.pod = shared(interner, &mut cursor)?;
                5
            }
            b"workloads" => {
                elements(&mut cursor, |cursor| {
                    endpoint.workloads.push(workload(interner, cursor)?);
                    Ok(())
                })?;
                6
            }
            _ => return Err(Odd),
        };
        if seen & 1 << bit != 0 {
            return Err(Odd);
        }
        seen |= 1 << bit;
    }
    cursor.end()?;
    Ok(endpoint)
}

fn workload(interner: &mut Interner, cursor: &mut Cursor<'_>) -> Result<Workload, Odd> {
    let (mut name, mut kind) = (None, None);
    cursor.expect(b'{')?;
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        let slot = match key {
            b"name" => &mut name,
            b"kind" => &mut kind,
            _ => return Err(Odd),
        };
        if slot.replace(shared(interner, cursor)?).is_some() {
            return Err(Odd);
        }
    }
    Ok(Workload {
        name: name.unwrap_or_default(),
        kind: kind.unwrap_or_default(),
    })
}

fn shared(interner: &mut Interner, cursor: &mut Cursor<'_>) -> Result<Arc<str>, Odd> {
    let text = std::str::from_utf8(cursor.plain()?).map_err(|_| Odd)?;
    Ok(interner.shared(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_endpoint_is_read_whole_and_an_odd_one_left_alone() {
        let mut interner = Interner::new(1 << 20);
        let text = br#"{"ID":7,"identity":26477,"namespace":"shop","labels":["k8s:app=cart","k8s:tier=2"],"pod_name":"cart-1","workloads":[{"name":"cart","kind":"Deployment"},{}]}"#;
        let read = endpoint(&mut interner, text).unwrap();
        assert_eq!((read.id, read.identity), (7, 26477));
        assert_eq!((&*read.namespace, &*read.pod), ("shop", "cart-1"));
        assert_eq!(read.labels.len(), 2);
        assert_eq!(&*read.workloads[0].kind, "Deployment");
        assert_eq!(read.workloads[1], Workload::default());
        for odd in [
            r#"{"ID":1,"ID":1}"#,
            r#"{"podName":"a"}"#,
            r#"{"pod_name":"\u0041"}"#,
            r#"{"ID":"1"}"#,
            r#"{"labels":null}"#,
        ] {
            assert_eq!(endpoint(&mut interner, odd.as_bytes()), Err(Odd), "{odd}");
        }
    }
}
