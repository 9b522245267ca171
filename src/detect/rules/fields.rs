//! What a rule may ask about.
//!
//! Owns the fields of connections, questions and requests of a minute, their types and
//! values. `docs/detection.md` lists them.

use std::sync::Arc;

use super::Place;
use crate::baseline::{DnsGroup, Fate, Group, HttpGroup, Tick};
use crate::connection::{Peer, PeerId};
use crate::detect::{Scene, gate};
use crate::filter::{Variable, VariableType};
use crate::flow::Protocol;

/// What the rows of a rule are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Connections of a minute with the same client, server, port and fate.
    Connections,
    /// Questions to DNS of a minute that are alike.
    Questions,
    /// Requests of HTTP of a minute that are alike.
    Requests,
}

/// A field of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name in expressions.
    pub(super) name: &'static str,
    /// Its type.
    pub(super) of: VariableType,
}

const fn field(name: &'static str, of: VariableType) -> Field {
    Field { name, of }
}

use VariableType::{Bool, Int, Text, Texts};

/// Fields of connections.
const CONNECTIONS: &[Field] = &[
    field("client", Text),
    field("client_namespace", Text),
    field("server", Text),
    field("server_namespace", Text),
    field("destination", Text),
    field("outside", Bool),
    field("port", Int),
    field("protocol", Text),
    field("fate", Text),
    field("count", Int),
    field("attempts", Int),
    field("addresses", Texts),
    field("policies", Texts),
    field("known", Bool),
    field("days", Int),
    field("users", Int),
    field("workloads", Int),
    field("hour", Int),
    field("weekday", Int),
];

/// Fields of questions to DNS.
const QUESTIONS: &[Field] = &[
    field("client", Text),
    field("client_namespace", Text),
    field("server", Text),
    field("query", Text),
    field("domain", Text),
    field("types", Text),
    field("code", Int),
    field("answered", Bool),
    field("count", Int),
    field("hour", Int),
    field("weekday", Int),
];

/// Fields of requests of HTTP.
const REQUESTS: &[Field] = &[
    field("client", Text),
    field("client_namespace", Text),
    field("server", Text),
    field("server_namespace", Text),
    field("port", Int),
    field("method", Text),
    field("host", Text),
    field("path", Text),
    field("code", Int),
    field("count", Int),
    field("slowest_ms", Int),
    field("hour", Int),
    field("weekday", Int),
];

impl Over {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 3] = [Self::Connections, Self::Questions, Self::Requests];

    /// Its name in a file.
    #[must_use]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Questions => "questions",
            Self::Requests => "requests",
        }
    }

    /// Fields of its rows.
    #[must_use]
    pub(super) fn fields(self) -> &'static [Field] {
        match self {
            Self::Connections => CONNECTIONS,
            Self::Questions => QUESTIONS,
            Self::Requests => REQUESTS,
        }
    }

    /// What is said of a row where a rule does not.
    pub(super) fn usual(self) -> &'static str {
        match self {
            Self::Connections => {
                "{client} called {server} on {port}/{protocol}, {count} connection(s), {fate}"
            }
            Self::Questions => {
                "{client} asked {server} {count} times for {query} ({types}, code {code})"
            }
            Self::Requests => {
                "{client} asked {server} {count} times: {method} {path}, status {code}"
            }
        }
    }

    /// A sentence with the values of its fields in place of their names.
    pub(super) fn filled(self, sentence: &str, values: &[Variable]) -> String {
        let mut filled = sentence.to_owned();
        for (field, value) in self.fields().iter().zip(values) {
            let name = format!("{{{}}}", field.name);
            if filled.contains(&name) {
                filled = filled.replace(&name, &shown(value));
            }
        }
        filled
    }
}

fn shown(value: &Variable) -> String {
    match value {
        Variable::Bool(value) => value.to_string(),
        Variable::Int(value) => value.to_string(),
        Variable::Text(value) => value.to_string(),
        Variable::Texts(values) => values.join(", "),
    }
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Row<'a> {
    Connections(&'a Group),
    Question(&'a DnsGroup),
    Request(&'a HttpGroup),
}

impl<'a> Row<'a> {
    /// Rows of a tick.
    pub(super) fn all(over: Over, tick: &'a Tick) -> Box<dyn Iterator<Item = Self> + 'a> {
        match over {
            Over::Connections => Box::new(tick.groups.iter().map(Self::Connections)),
            Over::Questions => Box::new(tick.dns.iter().map(Self::Question)),
            Over::Requests => Box::new(tick.http.iter().map(Self::Request)),
        }
    }

    pub(super) fn place(&self) -> Place {
        match self {
            Self::Connections(one) => gate::place(one),
            Self::Question(one) => (one.client, one.server, one.port, Protocol::Udp),
            Self::Request(one) => (one.client, one.key, one.port, Protocol::Tcp),
        }
    }

    pub(super) fn first(&self) -> i64 {
        match self {
            Self::Connections(one) => one.first,
            Self::Question(one) => one.first,
            Self::Request(one) => one.first,
        }
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Connections(one) => one.count,
            Self::Question(one) => one.count,
            Self::Request(one) => one.count,
        }
    }

    fn client(&self) -> PeerId {
        self.place().0
    }

    fn server(&self) -> PeerId {
        match self {
            Self::Connections(one) => one.server,
            Self::Question(one) => one.server,
            Self::Request(one) => one.server,
        }
    }

    /// Values of its fields, in their order; of those not wanted an empty one.
    pub(super) fn values(&self, scene: &Scene<'_>, wanted: &[bool]) -> Vec<Variable> {
        let over = match self {
            Self::Connections(_) => Over::Connections,
            Self::Question(_) => Over::Questions,
            Self::Request(_) => Over::Requests,
        };
        let fields = over.fields().iter().zip(wanted);
        fields
            .map(|(field, wanted)| {
                if *wanted {
                    self.value(field.name, scene)
                } else {
                    Variable::Bool(false)
                }
            })
            .collect()
    }

    fn value(&self, name: &str, scene: &Scene<'_>) -> Variable {
        let peer = |id: PeerId| Variable::Text(scene.peers.get(id).to_string().into());
        match name {
            "client" => peer(self.client()),
            "client_namespace" => namespace(scene.peers.get(self.client())),
            "server" => peer(self.server()),
            "server_namespace" => namespace(scene.peers.get(self.server())),
            "count" => Variable::Int(whole(self.count())),
            "hour" => Variable::Int(crate::baseline::slot_of(self.first()) as i64 % 24),
            // From Monday.
            "weekday" => Variable::Int(crate::baseline::slot_of(self.first()) as i64 / 24),
            _ => match self {
                Self::Connections(one) => connection(one, name, scene),
                Self::Question(one) => question(one, name),
                Self::Request(one) => request(one, name),
            },
        }
    }
}

fn connection(one: &Group, name: &str, scene: &Scene<'_>) -> Variable {
    let edge = || {
        scene
            .model
            .edge(one.client, one.key, one.port, one.protocol)
    };
    match name {
        "destination" => Variable::Text(scene.peers.get(one.key).to_string().into()),
        "outside" => Variable::Bool(gate::is_outside(one.key, scene)),
        "port" => Variable::Int(i64::from(one.port)),
        "protocol" => Variable::Text(one.protocol.name().into()),
        "fate" => Variable::Text(fate(one.fate).into()),
        "attempts" => Variable::Int(whole(one.attempts)),
        "addresses" => {
            let addresses = one.servers.kept.iter();
            Variable::Texts(addresses.map(|one| one.to_string().into()).collect())
        }
        "policies" => {
            let sides = [&one.sample.egress, &one.sample.ingress];
            let named = sides.iter().filter_map(|side| side.recorded.as_ref());
            let named = named.flat_map(|recorded| recorded.policies.iter().cloned());
            Variable::Texts(named.collect())
        }
        "known" => Variable::Bool(edge().is_some()),
        "days" => Variable::Int(edge().map_or(0, |edge| i64::from(edge.days))),
        "users" => Variable::Int(scene.model.users(one.key) as i64),
        _ => Variable::Int(scene.model.workload_count() as i64),
    }
}

fn question(one: &DnsGroup, name: &str) -> Variable {
    match name {
        "query" => Variable::Text(one.query.clone()),
        "domain" => Variable::Text(one.registered.clone()),
        "types" => Variable::Text(one.types.clone()),
        "answered" => Variable::Bool(one.answered),
        _ => Variable::Int(i64::from(one.code)),
    }
}

fn request(one: &HttpGroup, name: &str) -> Variable {
    match name {
        "port" => Variable::Int(i64::from(one.port)),
        "method" => Variable::Text(one.method.clone()),
        "host" => Variable::Text(one.host.clone()),
        "path" => Variable::Text(one.template.clone()),
        "slowest_ms" => Variable::Int(whole(one.slowest / 1_000_000)),
        _ => Variable::Int(i64::from(one.code)),
    }
}

fn namespace(peer: &Peer) -> Variable {
    match peer {
        Peer::Workload { namespace, .. } => Variable::Text(namespace.clone()),
        _ => Variable::Text(Arc::default()),
    }
}

/// What became of connections, as rules call it.
fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Answered => "answered",
        Fate::Unanswered => "unanswered",
        Fate::Refused => "refused",
        Fate::Denied => "denied",
        Fate::Audited => "audited",
        Fate::RequestDenied => "request-denied",
        Fate::Dropped(_) => "dropped",
        Fate::Missed => "missed",
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::Model;
    use crate::baseline::testing::Scenery;
    use crate::detect::Sight;

    /// Guarantees: every field has a value of its own type, whatever it is called.
    #[test]
    fn every_field_has_a_value_of_its_type() {
        let mut scenery = Scenery::default();
        let group = scenery.group("a/a", "b/b", 443, 0, Fate::Answered);
        let question = DnsGroup {
            client: group.client,
            server: group.server,
            port: 53,
            query: "q.example".into(),
            raw: true,
            registered: "q.example".into(),
            types: "A".into(),
            code: 3,
            answered: true,
            count: 1,
            first: 0,
        };
        let request = HttpGroup {
            client: group.client,
            server: group.server,
            key: group.key,
            port: 80,
            method: "GET".into(),
            host: "h".into(),
            template: "/".into(),
            code: 200,
            count: 1,
            slowest: 5_000_000,
            first: 0,
        };
        let (model, sight) = (Model::default(), Sight::default());
        let scene = Scene {
            peers: scenery.peers(),
            model: &model,
            sight: &sight,
            now: 0,
        };
        let rows = [
            Row::Connections(&group),
            Row::Question(&question),
            Row::Request(&request),
        ];
        for (row, over) in rows.iter().zip(Over::ALL) {
            let wanted = vec![true; over.fields().len()];
            for (field, value) in over.fields().iter().zip(row.values(&scene, &wanted)) {
                let fits = match value {
                    Variable::Bool(_) => field.of == Bool,
                    Variable::Int(_) => field.of == Int,
                    Variable::Text(_) => field.of == Text,
                    Variable::Texts(_) => field.of == Texts,
                };
                assert!(fits, "{} {}", over.name(), field.name);
            }
        }
        // 1970-01-01 was a Thursday.
        assert_eq!(rows[0].value("weekday", &scene), Variable::Int(3));
    }
}
