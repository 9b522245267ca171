//! A served recording and a client of it, for this room's tests.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message;
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{Status, transport::Channel};

use crate::proto::{
    flow::{Endpoint, Flow, LostEvent},
    observer::{
        GetFlowsRequest, GetFlowsResponse, get_flows_response::ResponseTypes,
        observer_client::ObserverClient,
    },
};

use super::{Address, Bounds, ListenError, Recording, ServerOptions, bind};
use crate::wire::restore::timestamp;

pub(super) const SECOND: i64 = 1_000_000_000;

/// A flow at `second`, its uuid saying which.
pub(super) fn flow(second: i64) -> GetFlowsResponse {
    let time = Some(timestamp(second * SECOND));
    let flow = Flow {
        time,
        uuid: format!("flow-{second}"),
        node_name: "c1/a".to_owned(),
        source: Some(Endpoint {
            namespace: if second % 2 == 0 { "even" } else { "odd" }.to_owned(),
            cluster_name: "c1".to_owned(),
            ..Endpoint::default()
        }),
        ..Flow::default()
    };
    GetFlowsResponse {
        response_types: Some(ResponseTypes::Flow(flow)),
        node_name: "c1/a".to_owned(),
        time,
    }
}

pub(super) fn lost(second: i64, count: u64) -> GetFlowsResponse {
    GetFlowsResponse {
        response_types: Some(ResponseTypes::LostEvents(LostEvent {
            num_events_lost: count,
            ..LostEvent::default()
        })),
        node_name: "c1/b".to_owned(),
        time: Some(timestamp(second * SECOND)),
    }
}

pub(super) fn encoded(response: &GetFlowsResponse) -> Bytes {
    response.encode_to_vec().into()
}

/// What a response is: `flow-N`, `lost N`, or its state change.
pub(super) fn name(response: &GetFlowsResponse) -> String {
    match &response.response_types {
        Some(ResponseTypes::Flow(flow)) => flow.uuid.clone(),
        Some(ResponseTypes::LostEvents(lost)) => format!("lost {}", lost.num_events_lost),
        Some(ResponseTypes::NodeStatus(status)) => format!(
            "{} {}",
            status.state_change().as_str_name(),
            status.node_names.join(",")
        ),
        None => "nothing".to_owned(),
    }
}

pub(super) struct Served {
    pub(super) recording: Arc<Recording>,
    pub(super) address: Address,
    pub(super) channel: Channel,
    pub(super) client: ObserverClient<Channel>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), ListenError>>,
}

impl Served {
    pub(super) async fn new(responses: &[GetFlowsResponse]) -> Self {
        Self::with(responses, Bounds::default(), &ServerOptions::default()).await
    }

    pub(super) async fn with(
        responses: &[GetFlowsResponse],
        bounds: Bounds,
        options: &ServerOptions,
    ) -> Self {
        let address = "127.0.0.1:0".parse().unwrap();
        Self::at(&address, responses, bounds, options).await
    }

    pub(super) async fn at(
        address: &Address,
        responses: &[GetFlowsResponse],
        bounds: Bounds,
        options: &ServerOptions,
    ) -> Self {
        let recording = Arc::new(Recording::new(bounds));
        recording.load(responses.iter().map(encoded));
        let bound = bind(address, Arc::clone(&recording), options)
            .await
            .unwrap();
        let address = bound.address().clone();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(bound.serve(async {
            let _ = stopped.await;
        }));
        // Of a unix socket it says nothing; such a test brings its own.
        let authority = match &address {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(_) => "localhost:1".to_owned(),
        };
        let channel = Channel::from_shared(format!("http://{authority}"))
            .unwrap()
            .connect_lazy();
        Self {
            recording,
            address,
            client: ObserverClient::new(channel.clone()),
            channel,
            stop,
            server,
        }
    }

    /// The same server by another way.
    pub(super) fn through(channel: Channel) -> Asker {
        Asker(ObserverClient::new(channel))
    }

    /// The whole answer, and the error that ended it.
    pub(super) async fn ask(&self, request: GetFlowsRequest) -> (Vec<String>, Option<Status>) {
        Asker(self.client.clone()).ask(request).await
    }

    /// The whole answer, which has to end well.
    pub(super) async fn get(&self, request: GetFlowsRequest) -> Vec<String> {
        let (names, error) = self.ask(request).await;
        assert!(error.is_none(), "{error:?} after {names:?}");
        names
    }

    /// Follows, pushes `arrivals` once the history has come, and returns `count` messages.
    pub(super) async fn follow(
        &self,
        request: GetFlowsRequest,
        arrivals: &[GetFlowsResponse],
        count: usize,
    ) -> Vec<String> {
        let request = GetFlowsRequest {
            follow: true,
            ..request
        };
        // The headers come once the stream follows, or before; a moment makes sure.
        let mut stream = self
            .client
            .clone()
            .get_flows(request)
            .await
            .unwrap()
            .into_inner();
        tokio::time::sleep(Duration::from_millis(50)).await;
        for arrival in arrivals {
            self.recording.push(encoded(arrival)).unwrap();
        }
        let mut names = Vec::new();
        while names.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(5), stream.message());
            match next.await.expect("the stream goes on").unwrap() {
                Some(response) => names.push(name(&response)),
                None => break,
            }
        }
        names
    }

    pub(super) async fn stop(self) -> Result<(), ListenError> {
        let _ = self.stop.send(());
        self.server.await.unwrap()
    }
}

/// One way to ask.
pub(super) struct Asker(ObserverClient<Channel>);

impl Asker {
    /// The whole answer, and the error that ended it.
    pub(super) async fn ask(&self, request: GetFlowsRequest) -> (Vec<String>, Option<Status>) {
        let mut names = Vec::new();
        let mut stream = match self.0.clone().get_flows(request).await {
            Ok(response) => response.into_inner(),
            Err(status) => return (names, Some(status)),
        };
        loop {
            match stream.message().await {
                Ok(Some(response)) => names.push(name(&response)),
                Ok(None) => return (names, None),
                Err(status) => return (names, Some(status)),
            }
        }
    }
}

/// A request for no more than its defaults.
pub(super) fn request() -> GetFlowsRequest {
    GetFlowsRequest::default()
}

#[expect(clippy::unnecessary_wraps, reason = "what a field of a request takes")]
pub(super) fn at(second: i64) -> Option<prost_types::Timestamp> {
    Some(timestamp(second * SECOND))
}
