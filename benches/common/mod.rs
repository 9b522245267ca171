//! The traffic that is decoded, and runs side by side.
//!
//! 400 pods, the busy ones busier (Zipf), on ten nodes: parts of flows repeat as they do
//! in a cluster. Every bench binary uses some of this.
#![allow(dead_code, reason = "a bench uses the part it needs")]

use std::time::{Duration, Instant};

use flowwatch::proto::flow as pb;
use flowwatch::proto::observer::GetFlowsResponse;
use flowwatch::proto::observer::get_flows_response::ResponseTypes;
use prost::Message;
use serde_json::json;

pub(crate) mod cluster;

struct Pod {
    endpoint: pb::Endpoint,
    ip: String,
}

/// A small generator; the same numbers in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(42)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// `count` flows between pods with that many labels each.
pub(crate) fn flows(count: usize, labels: usize) -> Vec<GetFlowsResponse> {
    let mut random = Random::new();
    let pods: Vec<Pod> = (0..400).map(|at| pod(at, labels, &mut random)).collect();
    let weights: Vec<f64> = (0..pods.len())
        .map(|rank| (8.0 + rank as f64).powf(-1.1))
        .collect();
    let total: f64 = weights.iter().sum();
    let zipf = move |random: &mut Random| {
        let mut left = (random.next() >> 11) as f64 / (1_u64 << 53) as f64 * total;
        let at = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        at.unwrap_or(0)
    };
    (0..count)
        .map(|at| {
            let (from, to) = (zipf(&mut random), zipf(&mut random));
            flow(at, &pods[from], &pods[to], &mut random)
        })
        .collect()
}

/// Whole flows, encoded: about 1.1 kB each.
pub(crate) fn full(count: usize) -> Vec<Vec<u8>> {
    flows(count, 9).iter().map(Message::encode_to_vec).collect()
}

/// What the default mask leaves, encoded, with names as long as those of a managed cluster.
pub(crate) fn masked(count: usize) -> Vec<Vec<u8>> {
    let mut flows = flows(count, 0);
    for response in &mut flows {
        let node = |name: &str| {
            let number = name.rsplit('-').next().unwrap_or_default();
            format!("default/ip-10-20-103-{number}.eu-central-1.compute.internal")
        };
        response.node_name = node(&response.node_name);
        let flow = flow_of(response).unwrap();
        flow.node_name = node(&flow.node_name);
        flow.ethernet = None;
        (flow.trace_observation_point, flow.trace_reason) = (0, 0);
        for endpoint in [&mut flow.source, &mut flow.destination] {
            let endpoint = endpoint.as_mut().unwrap();
            endpoint.id = 0;
            endpoint.cluster_name.clear();
            endpoint.labels.clear();
            endpoint.workloads.clear();
            endpoint.namespace.push_str("-production");
            endpoint.pod_name.insert_str(8, "recommendation-worker-");
        }
    }
    flows.iter().map(Message::encode_to_vec).collect()
}

/// The lines Hubble's exporter would write of the flows.
pub(crate) fn lines(count: usize) -> Vec<u8> {
    let endpoint = |endpoint: &Option<pb::Endpoint>| {
        let endpoint = endpoint.as_ref().unwrap();
        let workload = &endpoint.workloads[0];
        json!({
            "ID": endpoint.id, "identity": endpoint.identity, "cluster_name": endpoint.cluster_name,
            "namespace": endpoint.namespace, "labels": endpoint.labels,
            "pod_name": endpoint.pod_name,
            "workloads": [{"name": workload.name, "kind": workload.kind}],
        })
    };
    let mut text = Vec::new();
    for mut response in flows(count, 6) {
        let flow = flow_of(&mut response).unwrap();
        let stamp = flow.time.as_ref().unwrap();
        let time = jiff::Timestamp::new(stamp.seconds, stamp.nanos)
            .unwrap()
            .to_string();
        let (ip, ethernet) = (flow.ip.as_ref().unwrap(), flow.ethernet.as_ref().unwrap());
        let Some(pb::layer4::Protocol::Tcp(tcp)) = &flow.l4.as_ref().unwrap().protocol else {
            unreachable!("the flows are TCP");
        };
        let event = flow.event_type.as_ref().unwrap();
        let mut json = json!({
            "time": time, "uuid": flow.uuid, "verdict": flow.verdict().as_str_name(),
            "ethernet": {"source": ethernet.source, "destination": ethernet.destination},
            "IP": {"source": ip.source, "destination": ip.destination, "ipVersion": "IPv4"},
            "l4": {"TCP": {"source_port": tcp.source_port,
                "destination_port": tcp.destination_port, "flags": {"SYN": true}}},
            "source": endpoint(&flow.source), "destination": endpoint(&flow.destination),
            "Type": "L3_L4", "node_name": flow.node_name,
            "event_type": {"type": event.r#type, "sub_type": event.sub_type},
            "traffic_direction": "INGRESS",
        });
        let object = json.as_object_mut().unwrap();
        match flow.is_reply {
            None => {
                object.insert("drop_reason_desc".to_owned(), json!("POLICY_DENIED"));
            }
            Some(reply) => {
                object.insert("trace_observation_point".to_owned(), json!("TO_ENDPOINT"));
                object.insert("trace_reason".to_owned(), json!("NEW"));
                object.insert("is_reply".to_owned(), json!(reply));
            }
        }
        object.insert("Summary".to_owned(), json!(flow.summary));
        let line = json!({"flow": json, "node_name": response.node_name, "time": time});
        serde_json::to_writer(&mut text, &line).unwrap();
        text.push(b'\n');
    }
    text
}

fn pod(at: usize, labels: usize, random: &mut Random) -> Pod {
    let namespace = format!("team-{:02}", at % 20);
    let service = format!("svc-{:03}", at / 2);
    let mut all = vec![
        format!("k8s:app.kubernetes.io/name={service}"),
        "k8s:app.kubernetes.io/part-of=shop".to_owned(),
        format!("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={namespace}"),
        "k8s:io.cilium.k8s.policy.cluster=default".to_owned(),
        format!("k8s:io.cilium.k8s.policy.serviceaccount={service}"),
        format!("k8s:io.kubernetes.pod.namespace={namespace}"),
    ];
    for label in all.len()..labels {
        let value = random.next() % 20;
        all.push(format!("k8s:example.com/label-{label:02}=value-{value:02}"));
    }
    Pod {
        endpoint: pb::Endpoint {
            id: 1000 + at as u32,
            identity: 20_000 + at as u32 / 2,
            cluster_name: "default".to_owned(),
            namespace,
            labels: all,
            pod_name: format!("{service}-7d9f8b6c5d-{:05x}", random.next() % (1 << 20)),
            workloads: vec![pb::Workload {
                name: service,
                kind: "Deployment".to_owned(),
            }],
        },
        ip: format!("10.{}.{}.{}", at / 250, at % 50, at % 250 + 1),
    }
}

fn flow(at: usize, from: &Pod, to: &Pod, random: &mut Random) -> GetFlowsResponse {
    let nanos = 1_767_225_600_000_000_000 + at as i64 * 137_000;
    let time = Some(prost_types::Timestamp {
        seconds: nanos / 1_000_000_000,
        nanos: (nanos % 1_000_000_000) as i32,
    });
    let dropped = at.is_multiple_of(50);
    let flow = pb::Flow {
        time,
        uuid: format!(
            "{:08x}-{:04x}-4000-8000-{at:012x}",
            random.next() as u32,
            at & 0xffff
        ),
        verdict: if dropped { 2 } else { 1 },
        drop_reason_desc: if dropped { 133 } else { 0 },
        ethernet: Some(pb::Ethernet {
            source: "0a:58:0a:00:00:01".to_owned(),
            destination: "0a:58:0a:00:00:02".to_owned(),
        }),
        ip: Some(pb::Ip {
            source: from.ip.clone(),
            destination: to.ip.clone(),
            ip_version: 1,
            ..pb::Ip::default()
        }),
        l4: Some(pb::Layer4 {
            protocol: Some(pb::layer4::Protocol::Tcp(pb::Tcp {
                source_port: 32_768 + (random.next() % 28_000) as u32,
                destination_port: [80, 443, 8080, 5432, 6379, 9090][random.next() as usize % 6],
                flags: Some(pb::TcpFlags {
                    syn: true,
                    ..pb::TcpFlags::default()
                }),
            })),
        }),
        source: Some(from.endpoint.clone()),
        destination: Some(to.endpoint.clone()),
        r#type: 1,
        node_name: format!("default/node-{:02}", at % 10),
        event_type: Some(pb::CiliumEventType {
            r#type: if dropped { 1 } else { 4 },
            sub_type: if dropped { 133 } else { 0 },
        }),
        traffic_direction: 1,
        trace_observation_point: if dropped { 0 } else { 101 },
        trace_reason: i32::from(!dropped),
        is_reply: (!dropped).then_some(at % 2 == 1),
        summary: "TCP Flags: SYN".to_owned(),
        ..pb::Flow::default()
    };
    GetFlowsResponse {
        node_name: flow.node_name.clone(),
        time,
        response_types: Some(ResponseTypes::Flow(flow)),
    }
}

/// The flow of a response of this module.
pub(crate) fn flow_of(response: &mut GetFlowsResponse) -> Option<&mut pb::Flow> {
    match &mut response.response_types {
        Some(ResponseTypes::Flow(flow)) => Some(flow),
        _ => None,
    }
}

/// Medians of two works that take turns, and of their ratio: first over second.
pub(crate) struct Compared {
    pub(crate) first: Duration,
    pub(crate) second: Duration,
    pub(crate) ratio: f64,
}

pub(crate) fn compare(
    rounds: usize,
    mut first: impl FnMut(),
    mut second: impl FnMut(),
) -> Compared {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    time(&mut first);
    time(&mut second);
    let mut pairs: Vec<(Duration, Duration)> = (0..rounds)
        .map(|_| (time(&mut first), time(&mut second)))
        .collect();
    let mut ratios: Vec<f64> = pairs
        .iter()
        .map(|(first, second)| first.as_secs_f64() / second.as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    pairs.sort_by_key(|pair| pair.0);
    let first = pairs[rounds / 2].0;
    pairs.sort_by_key(|pair| pair.1);
    Compared {
        first,
        second: pairs[rounds / 2].1,
        ratio: ratios[rounds / 2],
    }
}
