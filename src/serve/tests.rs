//! The service as a client meets it, a row of the API's behaviour a test.

mod transport;

use tonic::Code;

use crate::proto::{
    flow::FlowFilter,
    health::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    },
    observer::{
        GetAgentEventsRequest, GetFlowsRequest, GetFlowsResponse, GetNamespacesRequest,
        GetNodesRequest, ServerStatusRequest, get_flows_response::ResponseTypes,
    },
};

use super::{
    Bounds, ServerOptions,
    harness::{Served, at, encoded, flow, lost, request},
};

async fn ten() -> Served {
    let flows: Vec<_> = (1..=10).map(flow).collect();
    Served::new(&flows).await
}

fn names(seconds: impl IntoIterator<Item = i64>) -> Vec<String> {
    seconds.into_iter().map(|n| format!("flow-{n}")).collect()
}

#[tokio::test]
async fn a_number_is_the_newest_so_many_oldest_first() {
    let served = ten().await;
    let number = GetFlowsRequest {
        number: 3,
        ..request()
    };
    assert_eq!(served.get(number).await, names(8..=10));
    let more = GetFlowsRequest {
        number: 30,
        ..request()
    };
    assert_eq!(served.get(more).await, names(1..=10));
}

#[tokio::test]
async fn first_and_a_number_is_the_oldest_so_many() {
    let first = GetFlowsRequest {
        number: 3,
        first: true,
        ..request()
    };
    assert_eq!(ten().await.get(first).await, names(1..=3));
}

#[tokio::test]
async fn since_is_inclusive_and_runs_to_the_end() {
    let since = GetFlowsRequest {
        since: at(8),
        ..request()
    };
    assert_eq!(ten().await.get(since).await, names(8..=10));
}

#[tokio::test]
async fn since_and_a_number_is_the_oldest_so_many_of_it() {
    let since = GetFlowsRequest {
        since: at(4),
        number: 2,
        ..request()
    };
    assert_eq!(ten().await.get(since).await, names(4..=5));
}

#[tokio::test]
async fn since_before_the_ring_starts_at_its_oldest_without_a_word() {
    let flows: Vec<_> = (1..=10).map(flow).collect();
    let bounds = Bounds {
        max_flows: 4,
        ..Bounds::default()
    };
    let served = Served::with(&flows, bounds, &ServerOptions::default()).await;
    let since = GetFlowsRequest {
        since: at(2),
        ..request()
    };
    assert_eq!(served.get(since).await, names(7..=10));
}

#[tokio::test]
async fn until_is_inclusive_and_starts_at_the_oldest() {
    let served = ten().await;
    let until = GetFlowsRequest {
        until: at(3),
        ..request()
    };
    assert_eq!(served.get(until.clone()).await, names(1..=3));
    let newest = GetFlowsRequest { number: 2, ..until };
    assert_eq!(served.get(newest).await, names(2..=3));
}

#[tokio::test]
async fn nothing_asked_is_the_whole_ring() {
    assert_eq!(ten().await.get(request()).await, names(1..=10));
}

#[tokio::test]
async fn a_stream_of_many_pages_is_whole_and_in_order() {
    let flows: Vec<_> = (1..=5000).map(flow).collect();
    let served = Served::new(&flows).await;
    assert_eq!(served.get(request()).await, names(1..=5000));
    let number = GetFlowsRequest {
        number: 3000,
        ..request()
    };
    assert_eq!(served.get(number).await, names(2001..=5000));
}

#[tokio::test]
async fn following_is_only_what_arrives() {
    let followed = ten()
        .await
        .follow(request(), &[flow(11), flow(12)], 2)
        .await;
    assert_eq!(followed, names(11..=12));
}

#[tokio::test]
async fn following_with_a_number_rewinds_and_does_not_end() {
    let number = GetFlowsRequest {
        number: 2,
        ..request()
    };
    let followed = ten().await.follow(number, &[flow(11), flow(12)], 4).await;
    assert_eq!(followed, names(9..=12));
}

#[tokio::test]
async fn following_since_starts_there_and_goes_on() {
    let since = GetFlowsRequest {
        since: at(9),
        ..request()
    };
    let followed = ten().await.follow(since, &[flow(11)], 3).await;
    assert_eq!(followed, names(9..=11));
}

#[tokio::test]
async fn following_until_ends_with_the_first_flow_after_it() {
    let until = GetFlowsRequest {
        until: at(11),
        ..request()
    };
    let arrivals = [flow(11), flow(12), flow(10)];
    let followed = ten().await.follow(until, &arrivals, usize::MAX).await;
    assert_eq!(followed, names([11]));
}

#[tokio::test]
async fn first_with_follow_is_an_invalid_argument() {
    let both = GetFlowsRequest {
        first: true,
        follow: true,
        ..request()
    };
    let (names, error) = ten().await.ask(both).await;
    let error = error.unwrap();
    assert!(names.is_empty());
    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(error.message(), "first cannot be specified with follow");
}

#[tokio::test]
async fn losses_come_in_place_and_do_not_count() {
    let served = Served::new(&[flow(1), lost(2, 7), flow(3), lost(4, 8), flow(5)]).await;
    let number = GetFlowsRequest {
        number: 2,
        ..request()
    };
    assert_eq!(served.get(number).await, ["flow-3", "lost 8", "flow-5"]);
    let first = GetFlowsRequest {
        number: 2,
        first: true,
        since: at(3),
        ..request()
    };
    assert_eq!(
        served.get(first).await,
        ["lost 7", "flow-3", "lost 8", "flow-5"]
    );
}

/// Scenario: a follower that does not read while more arrives than is kept for it.
/// Guarantees: it is told how many it missed, as by an agent, and gets the rest.
#[tokio::test]
async fn a_follower_that_was_overtaken_is_told() {
    let served = ten().await;
    let follow = GetFlowsRequest {
        follow: true,
        ..request()
    };
    let mut stream = served
        .client
        .clone()
        .get_flows(follow)
        .await
        .unwrap()
        .into_inner();
    let total = 20_000;
    for second in 0..total {
        served.recording.push(encoded(&flow(100 + second))).unwrap();
    }
    let mut accounted = 0;
    while accounted < total {
        let response = stream.message().await.unwrap().unwrap();
        accounted += match super::harness::name(&response).strip_prefix("lost ") {
            Some(count) => count.parse::<i64>().unwrap(),
            None => 1,
        };
    }
    assert_eq!(accounted, total);
}

#[tokio::test]
async fn unknown_fields_pass_through_unharmed() {
    use prost::Message;
    let served = ten().await;
    let mut bytes = flow(11).encode_to_vec();
    bytes.extend([0xba, 0x9c, 0x01, 3, b'n', b'e', b'w']);
    served.recording.push(bytes.clone().into()).unwrap();
    assert_eq!(served.recording.snapshot().last().unwrap().bytes, bytes);
    let number = GetFlowsRequest {
        number: 1,
        ..request()
    };
    assert_eq!(served.get(number).await, ["flow-11"]);
}

#[tokio::test]
async fn the_status_counts_and_does_not_pretend() {
    let flows: Vec<_> = (1..=10).map(flow).collect();
    let bounds = Bounds {
        max_flows: 4,
        ..Bounds::default()
    };
    let served = Served::with(&flows, bounds, &ServerOptions::default()).await;
    let mut client = served.client.clone();
    let status = client
        .server_status(ServerStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (status.num_flows, status.max_flows, status.seen_flows),
        (4, 4, 10)
    );
    assert_eq!(status.num_connected_nodes, Some(1));
    assert!(status.uptime_ns > 0);
    assert!(
        (status.flows_rate - 4.0 / 3.0).abs() < 1e-9,
        "{}",
        status.flows_rate
    );
    assert!(status.version.starts_with("flowwatch v"));
}

#[tokio::test]
async fn nodes_and_namespaces_are_those_of_the_flows() {
    let served = Served::new(&[flow(1), flow(2), lost(3, 5)]).await;
    let mut client = served.client.clone();
    let nodes = client
        .get_nodes(GetNodesRequest {})
        .await
        .unwrap()
        .into_inner()
        .nodes;
    let seen: Vec<_> = nodes
        .iter()
        .map(|node| (node.name.as_str(), node.seen_flows))
        .collect();
    assert_eq!(seen, [("c1/a", 2), ("c1/b", 0)]);
    let namespaces = client
        .get_namespaces(GetNamespacesRequest {})
        .await
        .unwrap()
        .into_inner();
    let seen: Vec<_> = namespaces
        .namespaces
        .iter()
        .map(|seen| (seen.cluster.as_str(), seen.namespace.as_str()))
        .collect();
    assert_eq!(seen, [("c1", "even"), ("c1", "odd")]);
}

#[tokio::test]
async fn agent_events_are_not_served() {
    let served = ten().await;
    let status = served
        .client
        .clone()
        .get_agent_events(GetAgentEventsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn health_knows_the_observer_and_nothing_else() {
    let served = ten().await;
    let mut health = HealthClient::new(served.channel.clone());
    for service in ["", "hubble.server.Observer"] {
        let service = service.to_owned();
        let answer = health.check(HealthCheckRequest { service }).await.unwrap();
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    }
    let service = "other".to_owned();
    let status = health
        .check(HealthCheckRequest { service })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn stopping_ends_followers_with_a_word() {
    let served = ten().await;
    let follow = GetFlowsRequest {
        follow: true,
        ..request()
    };
    let mut stream = served
        .client
        .clone()
        .get_flows(follow)
        .await
        .unwrap()
        .into_inner();
    let (stopped, ended) = tokio::join!(served.stop(), stream.message());
    stopped.unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn filters_decide_on_flows_and_a_number_counts_what_passes() {
    let even = FlowFilter {
        source_pod: vec!["even/".to_owned()],
        ..FlowFilter::default()
    };
    let served = ten().await;
    let allow = GetFlowsRequest {
        whitelist: vec![even.clone()],
        ..request()
    };
    assert_eq!(served.get(allow.clone()).await, names([2, 4, 6, 8, 10]));
    let newest = GetFlowsRequest {
        number: 2,
        ..allow.clone()
    };
    assert_eq!(served.get(newest).await, names([8, 10]));
    let first = GetFlowsRequest {
        number: 2,
        first: true,
        ..allow.clone()
    };
    assert_eq!(served.get(first).await, names([2, 4]));
    let deny = GetFlowsRequest {
        blacklist: vec![even],
        ..request()
    };
    assert_eq!(served.get(deny).await, names([1, 3, 5, 7, 9]));
    let followed = served
        .follow(allow, &[flow(11), lost(11, 3), flow(12)], 2)
        .await;
    assert_eq!(followed, ["lost 3", "flow-12"]);
}

#[tokio::test]
async fn a_filter_that_means_nothing_is_refused() {
    let wrong = GetFlowsRequest {
        whitelist: vec![FlowFilter {
            source_ip: vec!["10.0.0.0/99".to_owned()],
            ..FlowFilter::default()
        }],
        ..request()
    };
    let (_, error) = ten().await.ask(wrong).await;
    assert_eq!(error.unwrap().code(), Code::InvalidArgument);
}

async fn masked(paths: &[&str]) -> GetFlowsResponse {
    let mask = prost_types::FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    };
    let request = GetFlowsRequest {
        number: 1,
        field_mask: Some(mask),
        ..request()
    };
    let served = ten().await;
    let mut stream = served
        .client
        .clone()
        .get_flows(request)
        .await
        .unwrap()
        .into_inner();
    stream.message().await.unwrap().unwrap()
}

#[tokio::test]
async fn a_mask_takes_the_envelope_along() {
    let whole = masked(&["time", "node_name", "uuid"]).await;
    assert_eq!(whole.time, at(10));
    assert_eq!(whole.node_name, "c1/a");
    let Some(ResponseTypes::Flow(kept)) = whole.response_types else {
        panic!("a flow was expected");
    };
    assert_eq!((kept.uuid.as_str(), kept.source), ("flow-10", None));
    let bare = masked(&["uuid"]).await;
    assert_eq!((bare.time, bare.node_name.as_str()), (None, ""));
}

#[tokio::test]
async fn a_mask_of_no_field_is_refused_and_losses_are_not_masked() {
    let mut asked = GetFlowsRequest {
        field_mask: Some(prost_types::FieldMask {
            paths: vec!["nope".to_owned()],
        }),
        ..request()
    };
    let served = Served::new(&[flow(1), lost(2, 5)]).await;
    let (_, error) = served.ask(asked.clone()).await;
    assert_eq!(error.unwrap().code(), Code::InvalidArgument);
    asked.field_mask = Some(prost_types::FieldMask {
        paths: vec!["uuid".to_owned()],
    });
    assert_eq!(served.get(asked).await, ["flow-1", "lost 5"]);
}

async fn sabotaged(script: &str) -> Served {
    let flows: Vec<_> = (1..=10).map(flow).collect();
    let options = ServerOptions {
        faults: Some(script.parse().unwrap()),
        ..ServerOptions::default()
    };
    Served::with(&flows, Bounds::default(), &options).await
}

#[tokio::test]
async fn a_scripted_cut_ends_one_stream_with_its_status() {
    let served = sabotaged(
        r#"{"acts": [{"stream": 0, "at": 3, "do": "cut", "code": 14, "message": "gone"}]}"#,
    )
    .await;
    let (got, error) = served.ask(request()).await;
    let error = error.unwrap();
    assert_eq!(got, names(1..=3));
    assert_eq!((error.code(), error.message()), (Code::Unavailable, "gone"));
    assert_eq!(served.get(request()).await, names(1..=10));
}

#[tokio::test]
async fn an_abrupt_cut_is_the_end_of_the_connection() {
    let served = sabotaged(r#"{"acts": [{"stream": 0, "at": 3, "do": "cut_abruptly"}]}"#).await;
    let (got, error) = served.ask(request()).await;
    assert_eq!(got, names(1..=3));
    assert!(error.is_some());
    assert_eq!(served.get(request()).await, names(1..=10));
}

#[tokio::test]
async fn an_overrun_forgets_the_oldest_without_a_word() {
    let served = sabotaged(r#"{"overruns": [{"stream": 1, "oldest": 6}]}"#).await;
    let since = GetFlowsRequest {
        since: at(3),
        ..request()
    };
    assert_eq!(served.get(since.clone()).await, names(3..=10));
    assert_eq!(served.get(since.clone()).await, names(7..=10));
    assert_eq!(served.get(since).await, names(3..=10));
}

#[tokio::test]
async fn connections_are_refused_and_health_fails_as_often_as_scripted() {
    let served = sabotaged(r#"{"refuse_connections": 1, "not_serving_checks": 2}"#).await;
    let mut health = HealthClient::new(served.channel.clone());
    let mut answers = Vec::new();
    for _ in 0..4 {
        let check = health.check(HealthCheckRequest::default()).await;
        answers.push(check.map(|answer| answer.into_inner().status()).ok());
    }
    let expected = [
        None,
        Some(ServingStatus::NotServing),
        Some(ServingStatus::NotServing),
        Some(ServingStatus::Serving),
    ];
    assert_eq!(answers, expected);
}
