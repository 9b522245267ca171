//! From flags in their order to the filters of a request.
//!
//! Owns what flags mean together: sides, `--not`, conflicts, namespaces. All allowed
//! flags make one condition and all negated ones another; each becomes one filter, or
//! two where a flag means either side: one asks it of the source, the other of the
//! destination.

use super::error::FlagError;
use super::flags::CONFLICTS;
use super::values::{self, Value};
use crate::proto::flow as pb;

/// Collects flags as they come.
#[derive(Debug, Default)]
pub(super) struct Builder {
    allow: Condition,
    deny: Condition,
    negate: bool,
}

impl Builder {
    /// Takes the next flag.
    pub(super) fn flag(&mut self, flag: &'static str, value: &str) -> Result<(), FlagError> {
        if flag == "not" {
            if self.negate {
                return Err(FlagError::ConsecutiveNot);
            }
            self.negate = true;
            return Ok(());
        }
        if std::mem::take(&mut self.negate) {
            self.deny.flag(flag, value)
        } else {
            self.allow.flag(flag, value)
        }
    }

    /// The allow filters and the deny filters.
    pub(super) fn finish(self) -> Result<(Vec<pb::FlowFilter>, Vec<pb::FlowFilter>), FlagError> {
        if self.negate {
            return Err(FlagError::TrailingNot);
        }
        Ok((self.allow.filters(), self.deny.filters()))
    }
}

/// Which side of a flow a flag means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Either,
    Source,
    Destination,
}

/// The flags of one sign. The filter is `left OR right`.
#[derive(Debug, Default)]
struct Condition {
    left: pb::FlowFilter,
    right: pb::FlowFilter,
    /// Namespaces by side; the empty one is any.
    either: Vec<String>,
    source: Vec<String>,
    destination: Vec<String>,
    /// Flags seen.
    seen: Vec<&'static str>,
}

/// A repeated field.
type Field<T> = fn(&mut pb::FlowFilter) -> &mut Vec<T>;

impl Condition {
    fn flag(&mut self, flag: &'static str, value: &str) -> Result<(), FlagError> {
        if !self.seen.contains(&flag) {
            self.seen.push(flag);
            self.check_conflicts()?;
        }
        self.apply(flag, value).map_err(|reason| FlagError::Value {
            flag,
            value: value.to_owned(),
            reason,
        })?;
        self.check_namespaces()
    }

    fn apply(&mut self, flag: &str, text: &str) -> Value<()> {
        let value = || text.to_owned();
        let (side, kind) = if let Some(kind) = flag.strip_prefix("from-") {
            (Side::Source, kind)
        } else if let Some(kind) = flag.strip_prefix("to-") {
            (Side::Destination, kind)
        } else {
            (Side::Either, flag)
        };
        match kind {
            "fqdn" => self.place(
                side,
                value(),
                |f| &mut f.source_fqdn,
                |f| &mut f.destination_fqdn,
            ),
            "pod" => self.place(
                side,
                value(),
                |f| &mut f.source_pod,
                |f| &mut f.destination_pod,
            ),
            "ip" => self.place(
                side,
                value(),
                |f| &mut f.source_ip,
                |f| &mut f.destination_ip,
            ),
            "label" => self.place(
                side,
                value(),
                |f| &mut f.source_label,
                |f| &mut f.destination_label,
            ),
            "service" => self.place(
                side,
                value(),
                |f| &mut f.source_service,
                |f| &mut f.destination_service,
            ),
            "port" => self.place(
                side,
                value(),
                |f| &mut f.source_port,
                |f| &mut f.destination_port,
            ),
            "cluster" => self.place(
                side,
                value(),
                |f| &mut f.source_cluster_name,
                |f| &mut f.destination_cluster_name,
            ),
            "workload" => {
                let workload = values::workload(text);
                self.place(
                    side,
                    workload,
                    |f| &mut f.source_workload,
                    |f| &mut f.destination_workload,
                );
            }
            "identity" => {
                let identity = values::identity(text)?;
                self.place(
                    side,
                    identity,
                    |f| &mut f.source_identity,
                    |f| &mut f.destination_identity,
                );
            }
            "namespace" => self.namespaces(side).push(value()),
            "all-namespaces" => self.namespaces(side).push(String::new()),
            "uuid" => self.both(value(), |f| &mut f.uuid),
            "snat-ip" => self.both(value(), |f| &mut f.source_ip_xlated),
            "ipv4" => self.both(pb::IpVersion::IPv4.into(), |f| &mut f.ip_version),
            "ipv6" => self.both(pb::IpVersion::IPv6.into(), |f| &mut f.ip_version),
            "ip-version" => self.both(values::ip_version(text)?, |f| &mut f.ip_version),
            "trace-id" => self.both(value(), |f| &mut f.trace_id),
            "ip-trace-id" => self.both(values::ip_trace_id(text)?, |f| &mut f.ip_trace_id),
            "verdict" => self.both(values::verdict(text)?, |f| &mut f.verdict),
            "drop-reason-desc" => {
                self.both(values::drop_reason(text)?, |f| &mut f.drop_reason_desc);
            }
            "http-status" => self.both(value(), |f| &mut f.http_status_code),
            "http-method" => self.both(value(), |f| &mut f.http_method),
            "http-path" => self.both(value(), |f| &mut f.http_path),
            "http-url" => self.both(value(), |f| &mut f.http_url),
            "http-header" => self.both(values::header(text)?, |f| &mut f.http_header),
            "type" => self.both(values::event_type(text)?, |f| &mut f.event_type),
            "protocol" => self.both(value(), |f| &mut f.protocol),
            "node-name" => self.both(value(), |f| &mut f.node_name),
            "node-label" => self.both(value(), |f| &mut f.node_labels),
            "tcp-flags" => self.both(values::tcp_flags(text)?, |f| &mut f.tcp_flags),
            "traffic-direction" => {
                self.both(values::direction(text)?, |f| &mut f.traffic_direction);
            }
            "cel-expression" => self.both(value(), |f| {
                &mut f.experimental.get_or_insert_default().cel_expression
            }),
            "interface" => {
                let interface = pb::NetworkInterface {
                    name: value(),
                    ..pb::NetworkInterface::default()
                };
                self.both(interface, |f| &mut f.interface);
            }
            "encrypted" => self.both(true, |f| &mut f.encrypted),
            "unencrypted" => self.both(false, |f| &mut f.encrypted),
            other => return Err(format!("unknown filter {other}")),
        }
        Ok(())
    }

    fn both<T: Clone>(&mut self, value: T, field: Field<T>) {
        field(&mut self.left).push(value.clone());
        field(&mut self.right).push(value);
    }

    fn place<T: Clone>(&mut self, side: Side, value: T, source: Field<T>, destination: Field<T>) {
        match side {
            Side::Source => self.both(value, source),
            Side::Destination => self.both(value, destination),
            Side::Either => {
                source(&mut self.left).push(value.clone());
                destination(&mut self.right).push(value);
            }
        }
    }

    fn namespaces(&mut self, side: Side) -> &mut Vec<String> {
        match side {
            Side::Either => &mut self.either,
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        }
    }

    fn check_conflicts(&self) -> Result<(), FlagError> {
        for group in CONFLICTS {
            let mut used = group.iter().filter(|flag| self.seen.contains(flag));
            if let (Some(flag), Some(other)) = (used.next(), used.next()) {
                return Err(FlagError::Conflict { flag, other });
            }
        }
        Ok(())
    }

    fn check_namespaces(&self) -> Result<(), FlagError> {
        for filter in [&self.left, &self.right] {
            let sources = [&filter.source_pod, &filter.source_service];
            let destinations = [&filter.destination_pod, &filter.destination_service];
            for names in sources.into_iter().chain(destinations) {
                agree(&self.either, names)?;
            }
            for names in sources {
                agree(&self.source, names)?;
            }
            for names in destinations {
                agree(&self.destination, names)?;
            }
            for [pods, services] in [sources, destinations] {
                same_namespace(pods, services)?;
            }
        }
        Ok(())
    }

    fn filters(mut self) -> Vec<pb::FlowFilter> {
        if self.seen.is_empty() {
            return Vec::new();
        }
        for filter in [&mut self.left, &mut self.right] {
            if !self.destination.is_empty() {
                within_destination(filter, &self.destination);
            }
            if !self.source.is_empty() {
                within_source(filter, &self.source);
            }
        }
        if !self.either.is_empty() {
            within_source(&mut self.left, &self.either);
            within_destination(&mut self.right, &self.either);
        }
        if self.left == self.right {
            vec![self.left]
        } else {
            vec![self.left, self.right]
        }
    }
}

/// The namespace a name has of its own; empty for none.
fn namespace_of(name: &str) -> &str {
    name.split_once('/').map_or("", |(namespace, _)| namespace)
}

fn agree(namespaces: &[String], names: &[String]) -> Result<(), FlagError> {
    for namespace in namespaces {
        for name in names {
            let own = namespace_of(name);
            if !own.is_empty() && own != namespace {
                return Err(FlagError::Namespace {
                    namespace: namespace.clone(),
                    name: name.clone(),
                });
            }
        }
    }
    Ok(())
}

fn same_namespace(pods: &[String], services: &[String]) -> Result<(), FlagError> {
    for pod in pods.iter().filter(|pod| !namespace_of(pod).is_empty()) {
        for service in services {
            if namespace_of(service) != namespace_of(pod) {
                return Err(FlagError::ServiceNamespace {
                    service: service.clone(),
                    pod: pod.clone(),
                });
            }
        }
    }
    Ok(())
}

fn within_source(filter: &mut pb::FlowFilter, namespaces: &[String]) {
    within(
        &mut filter.source_pod,
        &mut filter.source_service,
        namespaces,
    );
}

fn within_destination(filter: &mut pb::FlowFilter, namespaces: &[String]) {
    within(
        &mut filter.destination_pod,
        &mut filter.destination_service,
        namespaces,
    );
}

/// Puts the names that have no namespace into each of these; any pod, if there is
/// neither pod nor service.
fn within(pods: &mut Vec<String>, services: &mut Vec<String>, namespaces: &[String]) {
    if pods.is_empty() && services.is_empty() {
        pods.push(String::new());
    }
    for names in [pods, services] {
        *names = names
            .drain(..)
            .flat_map(|name| {
                if name.contains('/') {
                    vec![name]
                } else {
                    let with = |namespace: &String| format!("{namespace}/{name}");
                    namespaces.iter().map(with).collect()
                }
            })
            .collect();
    }
}
