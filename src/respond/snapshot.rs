//! What to save before anybody touches a pod: what is gone with it, and how to get it.
//!
//! Owns the list, in the order in which things vanish: what a restart takes first. Every
//! command only reads, but for the ephemeral container and the checkpoint, which say so.

use std::collections::BTreeSet;

use super::pod::node_alone;
use crate::review::trace::{Target, Trace};

/// Pods whose commands are given one by one.
const MOST_PODS: usize = 5;
/// Namespace of Cilium's agents, as its chart has it.
const CILIUM: &str = "kube-system";
/// Where what is saved goes, below the bundle.
const FOLDER: &str = "snapshot";

/// Something to save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Save {
    /// What, and why now.
    pub what: &'static str,
    /// Commands, one a line.
    pub commands: Vec<String>,
    /// Whether a command changes something on the pod or the node.
    pub touches: bool,
}

/// What to save of one pod, or of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Whom.
    pub name: String,
    /// In this order.
    pub saves: Vec<Save>,
}

/// The lists of a trace's target. Pods that flows do not name are asked for by their labels.
#[must_use]
pub fn snapshots(trace: &Trace) -> Vec<Snapshot> {
    if let Target::Node(node) = &trace.target {
        let node = node_alone(node);
        return vec![Snapshot {
            name: format!("node {node}"),
            saves: of_node(node),
        }];
    }
    let pods = trace.who.iter().filter(|who| !who.pod.is_empty());
    pods.take(MOST_PODS)
        .filter_map(|who| {
            let (namespace, name) = who.pod.split_once('/')?;
            let node = who.nodes.iter().next().map(|node| node_alone(node));
            let addresses = who.addresses.iter().map(ToString::to_string).collect();
            Some(Snapshot {
                name: who.pod.to_string(),
                saves: of_pod(namespace, name, node, &addresses),
            })
        })
        .collect()
}

/// Pods beyond those whose commands are given.
#[must_use]
pub fn others(trace: &Trace) -> usize {
    let pods = trace.who.iter().filter(|who| !who.pod.is_empty()).count();
    pods.saturating_sub(MOST_PODS)
}

fn of_pod(
    namespace: &str,
    pod: &str,
    node: Option<&str>,
    addresses: &BTreeSet<String>,
) -> Vec<Save> {
    let to = |file: &str| format!("> {FOLDER}/{pod}-{file}");
    let get = format!("kubectl -n {namespace} get pod {pod}");
    let mut saves = vec![
        Save {
            what: "the object as it is: image digests, mounts, the labels from before the quarantine",
            commands: vec![
                format!("mkdir -p {FOLDER}"),
                format!("{get} -o yaml {}", to("pod.yaml")),
                format!(
                    "kubectl -n {namespace} describe pod {pod} {}",
                    to("describe.txt")
                ),
                format!(
                    "kubectl -n {namespace} get events --field-selector involvedObject.name={pod} -o yaml {}",
                    to("events.yaml")
                ),
            ],
            touches: false,
        },
        Save {
            what: "logs, those of the container before a restart too: a restart more and they are gone",
            commands: vec![
                format!(
                    "kubectl -n {namespace} logs {pod} --all-containers --timestamps {}",
                    to("logs.txt")
                ),
                format!(
                    "kubectl -n {namespace} logs {pod} --all-containers --timestamps --previous {}",
                    to("logs-previous.txt")
                ),
            ],
            touches: false,
        },
        Save {
            what: "processes and sockets: gone with the container. exec runs in it and may be seen",
            commands: vec![
                format!(
                    "kubectl -n {namespace} exec {pod} -- ps auxww {}",
                    to("ps.txt")
                ),
                format!(
                    "kubectl -n {namespace} exec {pod} -- ss -tunap {}",
                    to("ss.txt")
                ),
                format!(
                    "# no shell in the image: kubectl -n {namespace} debug {pod} --image=busybox --target=CONTAINER -it  (adds an ephemeral container)"
                ),
            ],
            touches: true,
        },
    ];
    let agent = agent(node);
    let filter = addresses
        .iter()
        .map(|address| format!("-e '{address}[^0-9]'"))
        .collect::<Vec<_>>()
        .join(" ");
    let only = if filter.is_empty() {
        String::new()
    } else {
        format!(" | grep {filter}")
    };
    saves.push(Save {
        what: "connections as the datapath has them, and the policy that is really loaded",
        commands: vec![
            agent.0,
            format!(
                "kubectl -n {CILIUM} exec \"$AGENT\" -c cilium-agent -- cilium-dbg bpf ct list global{only} {}",
                to("conntrack.txt")
            ),
            format!(
                "kubectl -n {CILIUM} exec \"$AGENT\" -c cilium-agent -- cilium-dbg endpoint list -o json {}",
                to("endpoints.json")
            ),
            format!(
                "kubectl -n {namespace} get ciliumendpoint {pod} -o yaml {}",
                to("ciliumendpoint.yaml")
            ),
        ],
        touches: false,
    });
    saves.push(Save {
        what: "the file system and the memory, where the node's runtime can: the container goes on",
        commands: vec![
            format!("# needs the feature ContainerCheckpoint and the right to call the kubelet ({})", agent.1),
            format!(
                "kubectl create --raw /api/v1/nodes/{}/proxy/checkpoint/{namespace}/{pod}/CONTAINER -f /dev/null",
                node.unwrap_or("NODE")
            ),
        ],
        touches: true,
    });
    saves
}

/// The command that finds the agent of a node, and what the node is called.
fn agent(node: Option<&str>) -> (String, String) {
    let node = node.unwrap_or("NODE");
    (
        format!(
            "AGENT=$(kubectl -n {CILIUM} get pods -l k8s-app=cilium --field-selector spec.nodeName={node} -o name)"
        ),
        format!("node {node}"),
    )
}

fn of_node(node: &str) -> Vec<Save> {
    let to = |file: &str| format!("> {FOLDER}/{node}-{file}");
    let (agent, _) = agent(Some(node));
    vec![
        Save {
            what: "the object, its events, and who runs there",
            commands: vec![
                format!("mkdir -p {FOLDER}"),
                format!("kubectl get node {node} -o yaml {}", to("node.yaml")),
                format!("kubectl describe node {node} {}", to("describe.txt")),
                format!(
                    "kubectl get pods -A --field-selector spec.nodeName={node} -o yaml {}",
                    to("pods.yaml")
                ),
            ],
            touches: false,
        },
        Save {
            what: "connections as the datapath has them",
            commands: vec![
                agent,
                format!(
                    "kubectl -n {CILIUM} exec \"$AGENT\" -c cilium-agent -- cilium-dbg bpf ct list global {}",
                    to("conntrack.txt")
                ),
                format!(
                    "kubectl -n {CILIUM} exec \"$AGENT\" -c cilium-agent -- cilium-dbg endpoint list -o json {}",
                    to("endpoints.json")
                ),
            ],
            touches: false,
        },
        Save {
            what: "processes and sockets of the node: a pod with the node's namespaces is started for it",
            commands: vec![format!(
                "kubectl debug -i node/{node} --image=busybox --profile=sysadmin -- chroot /host sh -c 'ps auxww; ss -tunap' {}",
                to("ps-ss.txt")
            )],
            touches: true,
        },
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::review::report::{Reading, Seen};
    use crate::review::trace::Who;

    fn trace(target: &str, who: Vec<Who>) -> Trace {
        Trace {
            target: Target::parse(target).unwrap(),
            reading: Reading::default(),
            window: Seen::default(),
            incident: None,
            who,
            hops: Vec::new(),
            asked: Vec::new(),
            more_asked: 0,
        }
    }

    fn pod(name: &str) -> Who {
        Who {
            pod: name.into(),
            nodes: [Arc::from("c/worker-2")].into(),
            addresses: ["10.0.1.7".parse().unwrap()].into(),
            ..Who::default()
        }
    }

    #[test]
    fn every_pod_has_what_a_restart_takes_and_its_own_files() {
        let pods = (0..7).map(|at| pod(&format!("shop/web-{at}"))).collect();
        let traced = trace("shop/web", pods);
        let lists = snapshots(&traced);
        assert_eq!((lists.len(), others(&traced)), (5, 2));
        let all: String = lists[1]
            .saves
            .iter()
            .flat_map(|save| save.commands.iter().map(|line| format!("{line}\n")))
            .collect();
        for wanted in [
            "kubectl -n shop get pod web-1 -o yaml > snapshot/web-1-pod.yaml",
            "logs web-1 --all-containers --timestamps --previous",
            "exec web-1 -- ss -tunap",
            "spec.nodeName=worker-2",
            "bpf ct list global | grep -e '10.0.1.7[^0-9]'",
            "/nodes/worker-2/proxy/checkpoint/shop/web-1/CONTAINER",
        ] {
            assert!(all.contains(wanted), "{wanted} is not in\n{all}");
        }
    }

    #[test]
    fn a_node_is_saved_as_a_node() {
        let lists = snapshots(&trace("node:c/worker-2", Vec::new()));
        assert_eq!(lists[0].name, "node worker-2");
        assert!(lists[0].saves[0].commands[1].starts_with("kubectl get node worker-2 "));
    }
}
