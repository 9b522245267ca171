//! The client of one server: its calls, and the stream of undecoded flows.
//!
//! Owns the calls and their time limits. Does not reconnect; that is `session`.

use tokio::time::timeout;
use tonic::{
    Request, Response, Status, client::Grpc, codegen::http::uri::PathAndQuery,
    metadata::MetadataMap,
};

use super::{
    codec::{RawCodec, RawStream},
    config::ConnectConfig,
    connect::Connection,
    error::ConnectError,
};
use crate::proto::observer::{
    GetFlowsRequest, GetNamespacesRequest, GetNodesRequest, Namespace, Node, ServerStatusRequest,
    ServerStatusResponse, observer_client::ObserverClient,
};

/// The largest message that is taken; a flow has 1 to 4 kB.
const MAX_MESSAGE: usize = 16 << 20;

/// A connection to one agent or relay.
#[derive(Clone)]
pub struct ObserverSource {
    config: ConnectConfig,
    connection: Connection,
}

/// What a server says of itself with an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerVersion {
    /// Of the agent (`hubble-server-version`).
    pub agent: Option<String>,
    /// Of the relay (`hubble-relay-version`).
    pub relay: Option<String>,
}

/// An answer and who gave it.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// The answer.
    pub value: T,
    /// Who gave it.
    pub version: ServerVersion,
}

impl ObserverSource {
    /// Connects to a server and makes sure that it answers.
    ///
    /// # Errors
    /// What is wrong with the files, the way or the server, one variant each.
    pub async fn connect(config: ConnectConfig) -> Result<Self, ConnectError> {
        let connection = Connection::open(&config).await?;
        Ok(Self { config, connection })
    }

    /// Replaces the connection by a new one.
    pub(super) async fn reconnect(&mut self) -> Result<(), ConnectError> {
        self.connection = Connection::open(&self.config).await?;
        Ok(())
    }

    /// How the server is reached.
    #[must_use]
    pub fn config(&self) -> &ConnectConfig {
        &self.config
    }

    /// Asks how full the server's rings are and how long it runs.
    ///
    /// # Errors
    /// [`ConnectError`], a timeout included.
    pub async fn server_status(&self) -> Result<Answer<ServerStatusResponse>, ConnectError> {
        let mut client = self.client();
        self.unary("ServerStatus", client.server_status(ServerStatusRequest {}))
            .await
    }

    /// Asks a relay for its nodes.
    ///
    /// # Errors
    /// [`ConnectError::Unimplemented`] from an agent, and the others.
    pub async fn nodes(&self) -> Result<Answer<Vec<Node>>, ConnectError> {
        let mut client = self.client();
        let answer = self
            .unary("GetNodes", client.get_nodes(GetNodesRequest {}))
            .await?;
        Ok(answer.map(|nodes| nodes.nodes))
    }

    /// Asks for the namespaces seen in flows of the last hour.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn namespaces(&self) -> Result<Answer<Vec<Namespace>>, ConnectError> {
        let mut client = self.client();
        let answer = self
            .unary(
                "GetNamespaces",
                client.get_namespaces(GetNamespacesRequest {}),
            )
            .await?;
        Ok(answer.map(|namespaces| namespaces.namespaces))
    }

    /// Starts one GetFlows call, which ends when its connection does.
    ///
    /// # Errors
    /// [`ConnectError`], where the server answers with an error at once.
    pub async fn raw_flows(
        &self,
        request: GetFlowsRequest,
    ) -> Result<Answer<RawStream>, ConnectError> {
        let mut grpc = Grpc::new(self.connection.service()).max_decoding_message_size(MAX_MESSAGE);
        let path = PathAndQuery::from_static("/observer.Observer/GetFlows");
        let call = async {
            grpc.ready()
                .await
                .map_err(|error| Status::from_error(error.into()))?;
            grpc.server_streaming(Request::new(request), path, RawCodec)
                .await
        };
        match call.await {
            Ok(response) => Ok(answer(response).map(RawStream::new)),
            Err(status) => Err(self.explain("GetFlows", &status).await),
        }
    }

    /// Why a call failed.
    pub(super) async fn explain(&self, call: &'static str, status: &Status) -> ConnectError {
        self.connection.explain(call, status).await
    }

    fn client(&self) -> ObserverClient<super::connect::Service> {
        ObserverClient::new(self.connection.service()).max_decoding_message_size(MAX_MESSAGE)
    }

    async fn unary<T>(
        &self,
        call: &'static str,
        answered: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Answer<T>, ConnectError> {
        match timeout(self.config.request_timeout, answered).await {
            Ok(Ok(response)) => Ok(answer(response)),
            Ok(Err(status)) => Err(self.explain(call, &status).await),
            Err(_) => Err(ConnectError::Timeout {
                server: self.connection.server().to_owned(),
                after: self.config.request_timeout,
            }),
        }
    }
}

impl<T> Answer<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Answer<U> {
        Answer {
            value: f(self.value),
            version: self.version,
        }
    }
}

fn answer<T>(response: Response<T>) -> Answer<T> {
    let (metadata, value, _) = response.into_parts();
    Answer {
        value,
        version: ServerVersion::of(&metadata),
    }
}

impl ServerVersion {
    fn of(metadata: &MetadataMap) -> Self {
        let text = |key| {
            let value = metadata.get(key)?.to_str().ok()?;
            Some(value.to_owned())
        };
        Self {
            agent: text("hubble-server-version"),
            relay: text("hubble-relay-version"),
        }
    }
}
