//! An HTTP/2 connection to a server, checked before it is used.
//!
//! Owns the settings of HTTP/2, credentials, the health check, and the way from a
//! failed call to the error that explains it. Does not make requests for flows.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use super::{
    config::{BasicAuth, ConnectConfig},
    error::ConnectError,
    probe,
    socket::{Dialer, Trouble, Watched},
};
use crate::proto::health::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// What a server may send before we have read it: throughput is this over the round trip.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// HTTP/2 pings find a peer that is gone behind a proxy; gRPC servers take offence at
/// more than one in five minutes.
const PING_INTERVAL: Duration = Duration::from_secs(330);
/// The service a server of Hubble reports the health of.
const HEALTH_SERVICE: &str = "hubble.server.Observer";

/// A channel with credentials.
pub(super) type Service = InterceptedService<Channel, Credentials>;

/// A connection to one server.
#[derive(Clone)]
pub(super) struct Connection {
    service: Service,
    dialer: Arc<Dialer>,
    trouble: Trouble,
}

impl Connection {
    /// Connects and asks for the server's health, all within the connect timeout.
    pub(super) async fn open(config: &ConnectConfig) -> Result<Self, ConnectError> {
        if config.basic_auth.is_some() && config.tls.is_none() {
            return Err(ConnectError::AuthWithoutTls);
        }
        let dialer = Arc::new(Dialer::new(config)?);
        let attempt = async {
            let connection = Self::dial(config, Arc::clone(&dialer)).await?;
            connection.check_health().await?;
            Ok(connection)
        };
        match timeout(config.connect_timeout, attempt).await {
            Ok(done) => done,
            Err(_) => Err(ConnectError::Timeout {
                server: dialer.server.clone(),
                after: config.connect_timeout,
            }),
        }
    }

    async fn dial(config: &ConnectConfig, dialer: Arc<Dialer>) -> Result<Self, ConnectError> {
        let trouble = Trouble::default();
        let connector = service_fn({
            let (dialer, trouble) = (Arc::clone(&dialer), trouble.clone());
            move |_: Uri| {
                let (dialer, trouble) = (Arc::clone(&dialer), trouble.clone());
                async move {
                    match dialer.dial().await {
                        Ok(socket) => {
                            let socket = Watched::new(socket, Dialer::clone(&dialer), trouble);
                            Ok(TokioIo::new(socket))
                        }
                        Err(error) => {
                            trouble.note(error);
                            Err(std::io::Error::from(std::io::ErrorKind::NotConnected))
                        }
                    }
                }
            }
        });
        let channel = match endpoint(&dialer) {
            Ok(endpoint) => endpoint.connect_with_connector(connector).await,
            Err(error) => Err(error),
        };
        let channel = match channel {
            Ok(channel) => channel,
            Err(error) => {
                let status = Status::from_error(error.into());
                return Err(explain(&dialer, &trouble, "Connect", &status).await);
            }
        };
        let credentials = Credentials::of(config.basic_auth.as_ref());
        Ok(Self {
            service: InterceptedService::new(channel, credentials),
            dialer,
            trouble,
        })
    }

    /// An agent or relay says whether it serves; who does not know the question is fine.
    async fn check_health(&self) -> Result<(), ConnectError> {
        let request = HealthCheckRequest {
            service: HEALTH_SERVICE.to_owned(),
        };
        match HealthClient::new(self.service()).check(request).await {
            Ok(answer) => match answer.into_inner().status() {
                ServingStatus::NotServing => Err(ConnectError::NotServing {
                    server: self.dialer.server.clone(),
                }),
                _ => Ok(()),
            },
            Err(status) => match status.code() {
                Code::Unimplemented | Code::NotFound => Ok(()),
                _ => Err(self.explain("the health check", &status).await),
            },
        }
    }

    pub(super) fn service(&self) -> Service {
        self.service.clone()
    }

    /// The server as errors name it.
    pub(super) fn server(&self) -> &str {
        &self.dialer.server
    }

    /// Why a call failed.
    pub(super) async fn explain(&self, call: &'static str, status: &Status) -> ConnectError {
        explain(&self.dialer, &self.trouble, call, status).await
    }
}

async fn explain(
    dialer: &Dialer,
    trouble: &Trouble,
    call: &'static str,
    status: &Status,
) -> ConnectError {
    let plain = ConnectError::of_status(&dialer.server, call, status);
    let is_ours = matches!(plain, ConnectError::Lost { .. } | ConnectError::Call { .. });
    if !is_ours {
        return plain;
    }
    match trouble.take() {
        Some(closed @ ConnectError::Closed { .. }) => probe::ask(dialer).await.unwrap_or(closed),
        Some(known) => known,
        None if !trouble.heard() && matches!(plain, ConnectError::Lost { .. }) => {
            let closed = || ConnectError::Closed {
                server: dialer.server.clone(),
            };
            probe::ask(dialer).await.unwrap_or_else(closed)
        }
        None => plain,
    }
}

fn endpoint(dialer: &Dialer) -> Result<Endpoint, tonic::transport::Error> {
    let authority = dialer.authority();
    // TLS is the connector's; tonic would add its own to an https address. So requests
    // alone are told the scheme.
    let mut endpoint = Endpoint::from_shared(format!("http://{authority}"))?
        .user_agent(concat!("flowwatch/", env!("CARGO_PKG_VERSION")))?
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING_INTERVAL);
    if dialer.speaks_tls()
        && let Ok(origin) = Uri::try_from(format!("https://{authority}"))
    {
        endpoint = endpoint.origin(origin);
    }
    Ok(endpoint)
}

/// Adds credentials to each call.
#[derive(Clone)]
pub(super) struct Credentials(Option<MetadataValue<Ascii>>);

impl Credentials {
    fn of(auth: Option<&BasicAuth>) -> Self {
        Self(auth.and_then(|auth| {
            let pair = BASE64_STANDARD.encode(format!("{}:{}", auth.username, auth.password));
            let mut value = MetadataValue::try_from(format!("Basic {pair}")).ok()?;
            value.set_sensitive(true);
            Some(value)
        }))
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}
