//! A small Observer on real sockets, for the tests of this room.
//!
//! Owns servers (plain, TLS, with client certificates, Unix sockets) and certificates.
//! What they answer is up to each test.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream};
use tonic::{
    Request, Response, Status,
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::Router},
};

use super::{Backoff, ConnectConfig};
use crate::proto::{
    health::{
        HealthCheckRequest, HealthCheckResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    },
    observer::{
        GetAgentEventsRequest, GetAgentEventsResponse, GetDebugEventsRequest,
        GetDebugEventsResponse, GetFlowsRequest, GetFlowsResponse, GetNamespacesRequest,
        GetNamespacesResponse, GetNodesRequest, GetNodesResponse, Namespace, ServerStatusRequest,
        ServerStatusResponse,
        observer_server::{Observer, ObserverServer},
    },
};

type FlowSender = mpsc::Sender<Result<GetFlowsResponse, Status>>;
type FlowsScript = dyn Fn(GetFlowsRequest, FlowSender) -> Result<(), Status> + Send + Sync;

/// What a server answers.
#[derive(Clone)]
pub(super) struct Fake {
    pub(super) flows: Arc<FlowsScript>,
    pub(super) serving: ServingStatus,
    /// The status of every unary call but GetNodes, where it is to fail.
    pub(super) fails: Option<tonic::Code>,
    /// Every `authorization` header seen.
    pub(super) authorizations: Arc<Mutex<Vec<String>>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            flows: Arc::new(|_, _| Ok(())),
            serving: ServingStatus::Serving,
            fails: None,
            authorizations: Arc::default(),
        }
    }
}

impl Fake {
    pub(super) fn with_flows(
        flows: impl Fn(GetFlowsRequest, FlowSender) -> Result<(), Status> + Send + Sync + 'static,
    ) -> Self {
        Self {
            flows: Arc::new(flows),
            ..Self::default()
        }
    }

    fn router(self, tls: Option<ServerTlsConfig>) -> Router {
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls).unwrap();
        }
        server
            .add_service(HealthServer::new(self.clone()))
            .add_service(ObserverServer::new(self))
    }

    pub(super) async fn listen(self) -> Running {
        self.listen_with(None).await
    }

    pub(super) async fn listen_with(self, tls: Option<ServerTlsConfig>) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = self
            .router(tls)
            .serve_with_incoming(TcpListenerStream::new(listener));
        Running {
            address,
            task: tokio::spawn(async move { served.await.unwrap() }),
        }
    }

    pub(super) fn listen_at(self, path: &Path) -> JoinHandle<()> {
        let listener = UnixListener::bind(path).unwrap();
        let served = self
            .router(None)
            .serve_with_incoming(UnixListenerStream::new(listener));
        tokio::spawn(async move { served.await.unwrap() })
    }

    fn unary<T>(&self, value: T) -> Result<Response<T>, Status> {
        if let Some(code) = self.fails {
            return Err(Status::new(code, "as the test wants"));
        }
        let mut response = Response::new(value);
        let version = "1.19.4".parse().unwrap();
        let metadata = response.metadata_mut();
        metadata.insert("hubble-server-version", version);
        Ok(response)
    }
}

/// A server that stops when dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) fn config(&self) -> ConnectConfig {
        config(&self.address.to_string())
    }

    pub(super) fn tls_config(&self) -> ConnectConfig {
        config(&format!("tls://localhost:{}", self.address.port()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The configuration for an address, with pauses short enough for a test.
pub(super) fn config(server: &str) -> ConnectConfig {
    ConnectConfig {
        backoff: Backoff {
            min: std::time::Duration::from_millis(1),
            max: std::time::Duration::from_millis(5),
        },
        ..ConnectConfig::new(server.parse().unwrap())
    }
}

#[tonic::async_trait]
impl Health for Fake {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if let Some(value) = request.metadata().get("authorization") {
            let value = value.to_str().unwrap().to_owned();
            self.authorizations.lock().unwrap().push(value);
        }
        Ok(Response::new(HealthCheckResponse {
            status: self.serving.into(),
        }))
    }

    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("watch"))
    }
}

#[tonic::async_trait]
impl Observer for Fake {
    type GetFlowsStream = ReceiverStream<Result<GetFlowsResponse, Status>>;

    async fn get_flows(
        &self,
        request: Request<GetFlowsRequest>,
    ) -> Result<Response<Self::GetFlowsStream>, Status> {
        let (sender, receiver) = mpsc::channel(64);
        (self.flows)(request.into_inner(), sender)?;
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    type GetAgentEventsStream = ReceiverStream<Result<GetAgentEventsResponse, Status>>;

    async fn get_agent_events(
        &self,
        _: Request<GetAgentEventsRequest>,
    ) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        Err(Status::unimplemented("agent events"))
    }

    type GetDebugEventsStream = ReceiverStream<Result<GetDebugEventsResponse, Status>>;

    async fn get_debug_events(
        &self,
        _: Request<GetDebugEventsRequest>,
    ) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        Err(Status::unimplemented("debug events"))
    }

    async fn get_nodes(
        &self,
        _: Request<GetNodesRequest>,
    ) -> Result<Response<GetNodesResponse>, Status> {
        Err(Status::unimplemented("nodes"))
    }

    async fn get_namespaces(
        &self,
        _: Request<GetNamespacesRequest>,
    ) -> Result<Response<GetNamespacesResponse>, Status> {
        self.unary(GetNamespacesResponse {
            namespaces: vec![Namespace {
                cluster: String::new(),
                namespace: "shop".into(),
            }],
        })
    }

    async fn server_status(
        &self,
        _: Request<ServerStatusRequest>,
    ) -> Result<Response<ServerStatusResponse>, Status> {
        self.unary(ServerStatusResponse {
            max_flows: 4095,
            ..ServerStatusResponse::default()
        })
    }
}

/// An authority and what it signs, with its files.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: TempDir,
}

/// A signed certificate.
pub(super) struct Signed {
    pub(super) cert: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
            folder: TempDir::new().unwrap(),
        }
    }

    pub(super) fn sign(&self, name: &str) -> Signed {
        self.sign_until(name, 2090)
    }

    pub(super) fn sign_until(&self, name: &str, year: i32) -> Signed {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Signed {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    /// The file of this authority's certificate.
    pub(super) fn file(&self) -> PathBuf {
        self.write("ca.pem", &self.pem)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// What a server needs that only speaks to clients of this authority.
    pub(super) fn require(&self, config: ServerTlsConfig) -> ServerTlsConfig {
        config.client_ca_root(Certificate::from_pem(&self.pem))
    }
}

impl Signed {
    pub(super) fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new().identity(Identity::from_pem(&self.cert, &self.key))
    }
}
