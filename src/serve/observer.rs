//! The Observer service over a recording.
//!
//! Owns the six calls and the codec that sends flows as the bytes they came in. Where a
//! stream starts, ends and what it leaves out is `request`'s, `reader`'s and `select`'s.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes};
use prost::Message;
use tokio::sync::watch;
use tonic::{
    Request, Response, Status,
    body::Body,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, NamedService, ServerStreamingService, UnaryService},
    transport::server::TlsConnectInfo,
};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::proto::{
    observer::{
        GetFlowsRequest, GetNamespacesRequest, GetNamespacesResponse, GetNodesRequest,
        GetNodesResponse, Namespace, Node, ServerStatusRequest, ServerStatusResponse,
    },
    relay::NodeState,
};

use super::{
    connection::Scissors,
    faults::Faults,
    outlet::{Messages, Sabotage, outlet},
    reader::Reader,
    request::Extent,
    select::Selection,
    store::Recording,
};

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

/// The Observer API over one recording.
#[derive(Clone, Debug)]
pub(super) struct Observer {
    recording: Arc<Recording>,
    stopping: watch::Receiver<bool>,
    faults: Option<Arc<Faults>>,
}

impl Observer {
    /// Streams end with `UNAVAILABLE` when `stopping` turns true.
    pub(super) fn new(
        recording: Arc<Recording>,
        stopping: watch::Receiver<bool>,
        faults: Option<Arc<Faults>>,
    ) -> Self {
        Self {
            recording,
            stopping,
            faults,
        }
    }

    fn get_flows(&self, request: &Request<GetFlowsRequest>) -> Result<Messages, Status> {
        let scissors = scissors(request);
        let request = request.get_ref();
        let extent =
            Extent::of(request).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let selection =
            Selection::of(request).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (sabotage, overrun) = match &self.faults {
            Some(faults) => {
                let (faults, overrun) = faults.next_stream();
                (Some(Sabotage { faults, scissors }), overrun)
            }
            None => (None, 0),
        };
        let (outlet, messages) = outlet(sabotage);
        let reader = Reader {
            recording: Arc::clone(&self.recording),
            extent,
            selection,
            overrun,
            stopping: self.stopping.clone(),
        };
        tokio::spawn(reader.run(outlet));
        Ok(messages)
    }

    fn status(&self) -> ServerStatusResponse {
        let totals = self.recording.totals();
        ServerStatusResponse {
            num_flows: totals.held,
            max_flows: totals.max_flows,
            seen_flows: totals.seen_flows,
            uptime_ns: totals.uptime.as_nanos() as u64,
            num_connected_nodes: Some(self.recording.nodes().len() as u32),
            num_unavailable_nodes: Some(0),
            unavailable_nodes: Vec::new(),
            version: version(),
            flows_rate: totals.flows_rate,
        }
    }

    /// The nodes of the recording. Their uptime is the span they were seen in, since
    /// that is what a rate of their flows can be taken over.
    fn nodes(&self) -> GetNodesResponse {
        let max_flows = self.recording.totals().max_flows;
        let nodes = self.recording.nodes().into_iter().map(|node| Node {
            uptime_ns: node.last.abs_diff(node.first),
            name: node.name,
            version: version(),
            state: NodeState::NodeConnected.into(),
            num_flows: node.held,
            max_flows,
            seen_flows: node.flows,
            ..Node::default()
        });
        GetNodesResponse {
            nodes: nodes.collect(),
        }
    }

    fn namespaces(&self) -> GetNamespacesResponse {
        let namespaces = self.recording.namespaces().into_iter();
        GetNamespacesResponse {
            namespaces: namespaces
                .map(|(cluster, namespace)| Namespace { cluster, namespace })
                .collect(),
        }
    }
}

/// What cuts the connection that a request came by.
fn scissors<T>(request: &Request<T>) -> Option<Scissors> {
    let extensions = request.extensions();
    match extensions.get::<TlsConnectInfo<Scissors>>() {
        Some(tls) => Some(tls.get_ref().clone()),
        None => extensions.get::<Scissors>().cloned(),
    }
}

/// What the server says it is.
fn version() -> String {
    format!("flowwatch v{}", env!("CARGO_PKG_VERSION"))
}

impl NamedService for Observer {
    const NAME: &'static str = "observer.Observer";
}

impl Service<http::Request<Body>> for Observer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let observer = self.clone();
        Box::pin(async move {
            let response = match request.uri().path() {
                "/observer.Observer/GetFlows" => {
                    Grpc::new(FlowsCodec)
                        .server_streaming(GetFlows(observer), request)
                        .await
                }
                "/observer.Observer/ServerStatus" => {
                    unary(request, move |_: ServerStatusRequest| observer.status()).await
                }
                "/observer.Observer/GetNodes" => {
                    unary(request, move |_: GetNodesRequest| observer.nodes()).await
                }
                "/observer.Observer/GetNamespaces" => {
                    unary(request, move |_: GetNamespacesRequest| {
                        observer.namespaces()
                    })
                    .await
                }
                path => {
                    let what = path.rsplit('/').next().unwrap_or(path);
                    Status::unimplemented(format!("{what} is not served from recorded flows"))
                        .into_http()
                }
            };
            Ok(response)
        })
    }
}

async fn unary<Q, A, F>(request: http::Request<Body>, answer: F) -> http::Response<Body>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
    F: Fn(Q) -> A + Send,
{
    Grpc::new(ProstCodec::<A, Q>::default())
        .unary(Unary(answer, std::marker::PhantomData), request)
        .await
}

struct Unary<F, Q>(F, std::marker::PhantomData<fn(Q)>);

impl<F, Q, A> UnaryService<Q> for Unary<F, Q>
where
    F: Fn(Q) -> A,
    A: Send + 'static,
{
    type Response = A;
    type Future = std::future::Ready<Result<Response<A>, Status>>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        std::future::ready(Ok(Response::new(self.0(request.into_inner()))))
    }
}

struct GetFlows(Observer);

impl ServerStreamingService<GetFlowsRequest> for GetFlows {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Answer<Messages>;

    fn call(&mut self, request: Request<GetFlowsRequest>) -> Self::Future {
        let answer = self.0.get_flows(&request).map(Response::new);
        Box::pin(std::future::ready(answer))
    }
}

/// Reads requests as messages and writes responses as the bytes they are.
struct FlowsCodec;

impl Codec for FlowsCodec {
    type Encode = Bytes;
    type Decode = GetFlowsRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for FlowsCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.len());
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for FlowsCodec {
    type Item = GetFlowsRequest;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<GetFlowsRequest>, Status> {
        match GetFlowsRequest::decode(buffer) {
            Ok(request) => Ok(Some(request)),
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }
}
