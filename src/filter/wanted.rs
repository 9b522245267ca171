//! What a filter asks of single columns, for readers that can leave out rows by them.
//!
//! Owns which predicates say something about one column that has to hold. Whatever is not
//! simple (patterns, prefixes of addresses, labels, CEL, deny filters) says nothing here,
//! and is asked of the rows that are left.

use super::name::NamePrefix;
use super::predicate::{EndpointTest, Predicate, Side, TextColumn, TextTest};
use super::{Filter, Filters};
use crate::flow::{Verdict, Wanted};
use crate::proto::flow as pb;

impl Filters {
    /// What has to hold of the columns of every flow that [`Filters::matches`].
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        if self.allow.is_empty() {
            return Wanted::default();
        }
        Wanted::any(self.allow.iter().map(Filter::wanted))
    }
}

impl Filter {
    fn wanted(&self) -> Wanted {
        Wanted::all(self.0.iter().map(Predicate::wanted))
    }
}

/// The columns of a side.
struct Columns {
    namespace: &'static str,
    pod: &'static str,
    workload: &'static str,
    workloads: &'static str,
    identity: &'static str,
    cluster: &'static str,
    port: &'static str,
}

impl Side {
    fn columns(self) -> Columns {
        match self {
            Self::Source => Columns {
                namespace: "source_namespace",
                pod: "source_pod",
                workload: "source_workload",
                workloads: "source_workloads",
                identity: "source_identity",
                cluster: "source_cluster",
                port: "source_port",
            },
            Self::Destination => Columns {
                namespace: "destination_namespace",
                pod: "destination_pod",
                workload: "destination_workload",
                workloads: "destination_workloads",
                identity: "destination_identity",
                cluster: "destination_cluster",
                port: "destination_port",
            },
        }
    }
}

impl Predicate {
    fn wanted(&self) -> Wanted {
        match self {
            Self::Verdict(wanted) => numbers("verdict", wanted),
            Self::Direction(wanted) => numbers("traffic_direction", wanted),
            Self::DropReason(wanted) => Wanted::all([
                numbers("verdict", &[Verdict::DROPPED.0]),
                numbers("drop_reason", wanted),
            ]),
            Self::Port(side, wanted) => numbers(side.columns().port, wanted),
            // Flows whose sides are unknown have no identity, and match none.
            Self::Identity(side, wanted) => numbers(side.columns().identity, wanted),
            Self::Text(column, TextTest::Address(set), _) => {
                let column = match column {
                    TextColumn::SourceIp => "source_ip",
                    TextColumn::DestinationIp => "destination_ip",
                    _ => return Wanted::default(),
                };
                set.plain()
                    .map_or_else(Wanted::default, |plain| texts(column, plain))
            }
            Self::Endpoint(side, test, _) => test.wanted(&side.columns()),
            _ => Wanted::default(),
        }
    }
}

impl EndpointTest {
    fn wanted(&self, columns: &Columns) -> Wanted {
        match self {
            Self::Pod(names) => Wanted::any(names.iter().map(|name| pod(name, columns))),
            Self::Workload(wanted) => {
                Wanted::any(wanted.iter().map(|wanted| workload(wanted, columns)))
            }
            Self::Cluster(names) => texts(columns.cluster, names),
            Self::Label(_) => Wanted::default(),
        }
    }
}

fn pod(name: &NamePrefix, columns: &Columns) -> Wanted {
    let namespace = name
        .namespace()
        .map(|namespace| texts(columns.namespace, &[namespace.to_owned()]));
    let prefix = Some(name.prefix())
        .filter(|prefix| !prefix.is_empty())
        .map(|prefix| Wanted::Prefix(columns.pod, vec![prefix.to_owned()]));
    Wanted::all([namespace, prefix].into_iter().flatten())
}

/// The column has the first workload of an endpoint; of several, any may be meant.
fn workload(wanted: &pb::Workload, columns: &Columns) -> Wanted {
    if wanted.name.is_empty() {
        return Wanted::default();
    }
    Wanted::any([
        texts(columns.workload, std::slice::from_ref(&wanted.name)),
        Wanted::Several(columns.workloads),
    ])
}

/// A column without a text says the empty one: that is nothing to look for.
fn texts(column: &'static str, texts: &[String]) -> Wanted {
    if texts.iter().any(String::is_empty) {
        return Wanted::default();
    }
    Wanted::Text(column, texts.to_vec())
}

fn numbers<T: Copy + Into<i64>>(column: &'static str, numbers: &[T]) -> Wanted {
    Wanted::Number(
        column,
        numbers.iter().map(|&number| number.into()).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(allow: &[pb::FlowFilter]) -> Wanted {
        Filters::compile(allow, &[]).unwrap().wanted()
    }

    fn of(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn either_side_of_a_pod_by_namespace_and_beginning() {
        let sides = [
            pb::FlowFilter {
                source_pod: of(&["shop/front", "/db"]),
                ..Default::default()
            },
            pb::FlowFilter {
                destination_pod: of(&["shop/"]),
                verdict: vec![2],
                ..Default::default()
            },
        ];
        let text = |column, text: &str| Wanted::Text(column, of(&[text]));
        assert_eq!(
            wanted(&sides),
            Wanted::Any(vec![
                Wanted::Any(vec![
                    Wanted::All(vec![
                        text("source_namespace", "shop"),
                        Wanted::Prefix("source_pod", of(&["front"])),
                    ]),
                    Wanted::Prefix("source_pod", of(&["db"])),
                ]),
                Wanted::All(vec![
                    Wanted::Number("verdict", vec![2]),
                    text("destination_namespace", "shop"),
                ]),
            ])
        );
    }

    #[test]
    fn what_is_no_plain_value_asks_for_everything() {
        let prefix = pb::FlowFilter {
            source_ip: of(&["10.0.0.1", "10.1.0.0/16"]),
            ..Default::default()
        };
        let plain = pb::FlowFilter {
            source_ip: of(&["10.0.0.1"]),
            ..Default::default()
        };
        let label = pb::FlowFilter {
            source_label: of(&["app=web"]),
            ..Default::default()
        };
        let kind = pb::FlowFilter {
            source_workload: vec![pb::Workload {
                kind: "Job".to_owned(),
                name: String::new(),
            }],
            ..Default::default()
        };
        assert!(wanted(&[]).is_everything());
        assert!(wanted(&[plain, prefix]).is_everything());
        assert!(wanted(&[label]).is_everything());
        assert!(wanted(&[kind]).is_everything());
        let deny = [pb::FlowFilter {
            verdict: vec![1],
            ..Default::default()
        }];
        let denied = Filters::compile(&[], &deny).unwrap();
        assert!(denied.wanted().is_everything());
    }
}
