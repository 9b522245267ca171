//! Recorded flows, as far as `explain` asks them: one flow by its name, and who is there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use super::side::Side;
use super::{Question, Request};
use crate::cli::error::{CommandError, UsageError};
use crate::engine::{Event, Judge, Party, Policies, cluster, split_url};
use crate::flow::{
    BatchBuilder, Endpoint, EventType, FlowReference, FlowType, L7Record, Protocol, Reply, RowRef,
    StrId,
};
use crate::source::file::{Chunk, ChunkReader, LineDecoder, inputs};

/// Pods remembered from flows; beyond that a question names its labels.
const MOST_PODS: usize = 100_000;

/// Who flows say is there.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    pods: BTreeMap<(String, String), Party>,
    /// The cluster of the first subject that says one.
    pub(super) cluster: Option<String>,
}

impl Endpoints {
    /// A pod by its name, or any pod of a workload.
    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<&Party> {
        let exact = self.pods.get(&(namespace.to_owned(), name.to_owned()));
        exact.or_else(|| {
            let first = (namespace.to_owned(), format!("{name}-"));
            self.pods
                .range(first..)
                .next()
                .filter(|((own, pod), _)| own == namespace && is_pod_of(pod, name))
                .map(|(_, party)| party)
        })
    }
}

/// Whether a pod's name is that of a workload with one or two generated parts.
fn is_pod_of(pod: &str, workload: &str) -> bool {
    pod.strip_prefix(workload)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|rest| !rest.is_empty() && rest.split('-').count() <= 2)
}

/// Everybody in the recordings.
pub(super) fn endpoints(paths: &[PathBuf]) -> Result<Endpoints, CommandError> {
    let mut found = Endpoints::default();
    rows(paths, |row| {
        let sides = [
            (row.source_endpoint(), row.source_ip(), row.source_names()),
            (
                row.destination_endpoint(),
                row.destination_ip(),
                row.destination_names(),
            ),
        ];
        for (endpoint, address, names) in sides {
            let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.pod.is_empty()) else {
                continue;
            };
            if found.cluster.is_none() {
                let node = row.str(row.node());
                found.cluster = cluster(Some(endpoint), node).map(str::to_owned);
            }
            let key = (endpoint.namespace.to_string(), endpoint.pod.to_string());
            if found.pods.len() < MOST_PODS && !found.pods.contains_key(&key) {
                let names = row.dictionaries().list(names);
                let party = Party::of(Some(endpoint), row.str(address), names);
                found.pods.insert(key, party);
            }
        }
        true
    })?;
    Ok(found)
}

/// The question a recorded flow asks; with the names that the recording tells, as `tail`
/// would judge it.
pub(super) fn question(
    policies: &Arc<Policies>,
    paths: &[PathBuf],
    reference: Option<&str>,
    uuid: Option<&str>,
    line: Option<&str>,
) -> Result<Question, CommandError> {
    let mut found = None;
    let wanted = if let Some(line) = line {
        let text = line_of(line)?;
        let mut decoder = LineDecoder::new(BatchBuilder::default());
        let chunk = Chunk {
            bytes: text.into_bytes().into(),
            dropped: 0,
            damaged: None,
        };
        let mut reference = None;
        decoder.decode(&chunk, |_, batch| {
            if let Some(row) = batch.rows().next() {
                found = Some(of_row(row, None));
                reference = Some(FlowReference::of(row).to_string());
            }
        });
        // What comes before the line matters only where names do.
        let (Some(Ok(question)), Some(reference)) = (&found, reference) else {
            return asked(found, line);
        };
        let file = line.rsplit_once(':').map_or(line, |(file, _)| file);
        if file != "-" && policies.cluster(question.cluster.as_deref()).names_matter() {
            judged_rows(policies, &[PathBuf::from(file)], |judge, row| {
                let is = FlowReference::of(row).to_string() == reference;
                if is {
                    found = Some(of_row(row, Some(judge)));
                }
                !is
            })?;
        }
        line
    } else if let Some(uuid) = uuid {
        let bits = u128::from_str_radix(&uuid.replace('-', ""), 16)
            .map_err(|_| UsageError::new(format!("--uuid {uuid}: not a uuid")))?;
        judged_rows(policies, paths, |judge, row| {
            let is = row.uuid() == bits;
            if is {
                found = Some(of_row(row, Some(judge)));
            }
            !is
        })?;
        uuid
    } else {
        let reference = reference.unwrap_or_default();
        judged_rows(policies, paths, |judge, row| {
            let is = FlowReference::of(row).to_string() == reference;
            if is {
                found = Some(of_row(row, Some(judge)));
            }
            !is
        })?;
        reference
    };
    asked(found, wanted)
}

fn asked(found: Option<Result<Question, String>>, wanted: &str) -> Result<Question, CommandError> {
    match found {
        Some(Ok(question)) => Ok(question),
        Some(Err(reason)) => Err(CommandError::failed(format!("{wanted}: {reason}"))),
        None => Err(CommandError::failed(format!("{wanted}: no such flow"))),
    }
}

fn of_row(row: RowRef<'_>, judge: Option<&Judge>) -> Result<Question, String> {
    if row.flow_type() == FlowType::SOCK || row.event_type() == EventType::TRACE_SOCK.0 {
        return Err(
            "a socket's address translation: policies see the connection after it".to_owned(),
        );
    }
    // Of a reply the connection is asked about, which the other side opened.
    let reply = row.reply() == Reply::Yes;
    let destination_port = if reply {
        row.source_port()
    } else {
        row.destination_port()
    };
    let icmp = row
        .extra()
        .and_then(|extra| extra.icmp)
        .map(|icmp| icmp.kind);
    let protocol = row.protocol();
    let port = match protocol {
        Protocol::Tcp | Protocol::Udp | Protocol::Sctp => destination_port,
        Protocol::Icmpv4 | Protocol::Icmpv6 => icmp.unwrap_or_default(),
        Protocol::Vrrp | Protocol::Igmp => 0,
        Protocol::None => return Err("the flow has no layer 4".to_owned()),
    };
    let side = |endpoint: Option<&Endpoint>, address: StrId, names| {
        let text = row.str(address);
        let party = match judge {
            Some(judge) => judge.party(row, endpoint, address, names),
            None => Party::of(endpoint, text, row.dictionaries().list(names)),
        };
        let shown = endpoint
            .filter(|endpoint| !endpoint.pod.is_empty())
            .map_or_else(
                || text.to_owned(),
                |endpoint| format!("{}/{}", endpoint.namespace, endpoint.pod),
            );
        Side::of_flow(shown, party)
    };
    let request = row
        .extra()
        .and_then(|extra| extra.l7.as_deref())
        .and_then(|l7| match l7.record.as_ref()? {
            L7Record::Dns(dns) => Some(Request::Dns(row.str(dns.query).to_owned())),
            L7Record::Http(http) => {
                let url = row.str(http.url);
                let (host, path) = split_url(url);
                Some(Request::Http {
                    method: row.str(http.method).to_owned(),
                    path: path.to_owned(),
                    host: host.to_owned(),
                    headers: http
                        .headers
                        .iter()
                        .map(|header| {
                            (
                                row.str(header.key).to_owned(),
                                row.str(header.value).to_owned(),
                            )
                        })
                        .collect(),
                })
            }
            L7Record::Kafka(_) => None,
        });
    let subject = match Event::of(row).direction() {
        Some(crate::policy::Direction::Ingress) => row.destination_endpoint(),
        _ => row.source_endpoint(),
    };
    let mut from = side(row.source_endpoint(), row.source_ip(), row.source_names());
    let mut to = side(
        row.destination_endpoint(),
        row.destination_ip(),
        row.destination_names(),
    );
    let mut recorded = format!("{} ({})", row.verdict(), FlowReference::of(row));
    if reply {
        std::mem::swap(&mut from, &mut to);
        recorded.push_str(", a reply");
    }
    Ok(Question {
        from,
        to,
        protocol: protocol.iana(),
        port: u16::try_from(port).map_err(|_| format!("{port} is not a port"))?,
        request,
        recorded: Some(recorded),
        cluster: cluster(subject, row.str(row.node())).map(str::to_owned),
        names: judge
            .filter(|_| !reply)
            .and_then(|judge| judge.names_seen(row)),
    })
}

/// Looks at every row until `look` says that it has seen enough.
fn rows(paths: &[PathBuf], mut look: impl FnMut(RowRef<'_>) -> bool) -> Result<(), CommandError> {
    if paths.is_empty() {
        return Ok(());
    }
    let mut decoder = LineDecoder::new(BatchBuilder::default());
    for input in inputs(paths)? {
        let mut reader = ChunkReader::new(input.open().map_err(CommandError::failed)?);
        let mut wanted = true;
        while wanted && let Some(chunk) = reader.next_chunk() {
            decoder.decode(&chunk, |decoder, batch| {
                for row in batch.rows() {
                    wanted = wanted && look(row);
                }
                decoder.recycle(batch);
            });
        }
        if !wanted {
            break;
        }
    }
    Ok(())
}

/// The same, with a judge that has taken what comes before each row.
fn judged_rows(
    policies: &Arc<Policies>,
    paths: &[PathBuf],
    mut look: impl FnMut(&Judge, RowRef<'_>) -> bool,
) -> Result<(), CommandError> {
    if paths.is_empty() {
        return Ok(());
    }
    let mut judge = Judge::new(policies.clone());
    let mut decoder = LineDecoder::new(BatchBuilder::default());
    let mut piece = 0;
    let all = inputs(paths)?;
    for (number, input) in all.into_iter().enumerate() {
        let mut reader = ChunkReader::new(input.open().map_err(CommandError::failed)?);
        while let Some(chunk) = reader.next_chunk() {
            let mut batches = Vec::new();
            decoder.decode(&chunk, |_, batch| batches.push(batch));
            judge.begin(piece, number, &batches);
            piece += 1;
            for batch in batches {
                if !batch.rows().all(|row| look(&judge, row)) {
                    return Ok(());
                }
                judge.end_of(&batch);
                decoder.recycle(batch);
            }
        }
    }
    Ok(())
}

/// The text of `FILE:NUMBER`.
fn line_of(text: &str) -> Result<String, CommandError> {
    let usage = || UsageError::new(format!("--line {text}: expected FILE:NUMBER"));
    let (file, number) = text.rsplit_once(':').ok_or_else(usage)?;
    let number: usize = number.parse().map_err(|_| usage())?;
    let number = number.checked_sub(1).ok_or_else(usage)?;
    let found = inputs(&[PathBuf::from(file)])?;
    let input = found.first().ok_or_else(usage)?;
    BufReader::new(input.open().map_err(CommandError::failed)?)
        .lines()
        .nth(number)
        .ok_or_else(|| CommandError::failed(format!("{file} has no line {}", number + 1)))?
        .map_err(|error| CommandError::failed(format!("{file}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_of_a_workload_by_its_generated_parts() {
        assert!(is_pod_of("web-6f9c8d7b5-m2rtw", "web"));
        assert!(is_pod_of("db-0", "db"));
        assert!(!is_pod_of("web-admin-6f9c8d7b5-m2rtw", "web"));
        assert!(!is_pod_of("webhook-0", "web"));
    }
}
