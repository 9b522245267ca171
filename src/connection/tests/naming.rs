//! Names that outlive pods and addresses.

use super::*;
use crate::flow::Workload;

#[test]
fn a_server_outside_is_named_by_dns_then_prefix_then_address() {
    let mut flow = syn(0).server("192.0.2.7");
    flow.destination = world();
    let shown = |flow: &Flow| {
        let out = fold(std::slice::from_ref(flow));
        out.shown(out.one().edge.server)
    };
    assert_eq!(shown(&flow), "192.0.2.7");
    flow.destination.labels.push("cidr:192.0.2.0/24".into());
    assert_eq!(shown(&flow), "192.0.2.0/24");
    flow.names = vec!["z.example.com", "API.example.com."];
    assert_eq!(shown(&flow), "api.example.com");

    // As a client it is the world.
    flow.names.clear();
    let out = fold(&[flow.back().with(|row| row.reply = Reply::No).with(|row| {
        row.flags = flags::HAS_L4;
    })]);
    assert_eq!(out.shown(out.one().edge.client), "world");
}

#[test]
fn a_later_flow_may_tell_the_owner_of_a_pod() {
    let told = {
        let mut flow = syn(MILLI).on("c/b").port(41_000);
        flow.destination.workloads = vec![Workload {
            name: "db".into(),
            kind: "StatefulSet".into(),
        }];
        flow
    };
    let out = fold(&[syn(0), told]);
    let servers: Vec<PeerId> = out.connections.iter().map(|one| one.edge.server).collect();
    assert_eq!(servers.len(), 2);
    assert_eq!(servers[0], servers[1]);
    assert_eq!(out.shown(servers[0]), "shop/db");
}

#[test]
fn a_socket_tells_the_service_of_what_follows() {
    let socket = |time, point, address: &str| {
        let mut flow = packet(time).port(0).server(address);
        flow.row.flow_type = FlowType::SOCK;
        flow.row.event_type = EventType::TRACE_SOCK.0;
        flow.socket = Some((point, 42));
        flow
    };
    let mut asked = socket(
        0,
        SockPoint::SOCK_XLATE_POINT_PRE_DIRECTION_FWD,
        "10.96.0.7",
    );
    asked.service = Some(("web", "shop"));
    let given = socket(1, SockPoint::SOCK_XLATE_POINT_POST_DIRECTION_FWD, SERVER.0);
    let out = fold(&[asked, given, syn(MILLI)]);
    assert_eq!(&*out.one().service, "shop/web");
    assert_eq!(out.fold.counts().socket_events, 2);
}
