//! Where the server listens: TCP or a unix socket, plain or TLS; and how it stops.
//!
//! Owns binding, TLS files and shutdown. What is answered is the services'.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, UnixListener},
    sync::{mpsc, watch},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use crate::proto::health::health_server::HealthServer;

use super::{
    connection::{Connection, Listener},
    faults::{Faults, Script},
    health::Health,
    observer::Observer,
    store::Recording,
};

/// How long streams have to end once the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// Pause after a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where to listen, or where it is listened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// How to serve.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Serve TLS with these files; plain without.
    pub tls: Option<TlsFiles>,
    /// Go wrong by this script.
    pub faults: Option<Script>,
}

/// PEM files for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Require clients to show a certificate of this authority.
    pub client_ca: Option<PathBuf>,
}

/// A server that accepts connections but does not answer yet.
pub struct Bound {
    address: Address,
    listener: Listener,
    server: Server,
    recording: Arc<Recording>,
    faults: Option<Arc<Faults>>,
}

/// Why the server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The text is no address.
    #[error("`{text}` is neither host:port nor unix:///path")]
    Address {
        /// As given.
        text: String,
    },
    /// Binding failed.
    #[error("listen on {address}: {source}")]
    Bind {
        /// Where.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// A TLS file cannot be read.
    #[error("read {}: {source}", path.display())]
    TlsFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The TLS files do not make a TLS server.
    #[error("set up TLS: {0}")]
    Tls(tonic::transport::Error),
    /// The server ended by itself.
    #[error("serve: {0}")]
    Serve(tonic::transport::Error),
}

/// Binds `address` and prepares to serve `recording` there.
///
/// # Errors
/// [`ListenError`] when the address is taken or the TLS files are not usable.
pub async fn bind(
    address: &Address,
    recording: Arc<Recording>,
    options: &ServerOptions,
) -> Result<Bound, ListenError> {
    let mut server = Server::builder();
    if let Some(files) = &options.tls {
        let tls = tls_config(files).await?;
        server = server.tls_config(tls).map_err(ListenError::Tls)?;
    }
    let (listener, address) = match listen(address).await {
        Ok(bound) => bound,
        Err(source) => {
            let address = address.clone();
            return Err(ListenError::Bind { address, source });
        }
    };
    Ok(Bound {
        address,
        listener,
        server,
        recording,
        faults: options
            .faults
            .clone()
            .map(|script| Arc::new(Faults::new(script))),
    })
}

impl Bound {
    /// Where it is listened, with the port that was chosen.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Serves until `shutdown`; streams are then ended and given a moment to say so.
    ///
    /// # Errors
    /// [`ListenError::Serve`] when the transport fails as a whole.
    pub async fn serve(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ListenError> {
        let (stop, stopping) = watch::channel(false);
        let observer = Observer::new(
            Arc::clone(&self.recording),
            stopping.clone(),
            self.faults.clone(),
        );
        let health = Health {
            faults: self.faults.clone(),
        };
        let routes = self
            .server
            .add_service(observer)
            .add_service(HealthServer::new(health));

        let (connections, incoming) = mpsc::channel(16);
        let acceptor = tokio::spawn(accept(
            self.listener,
            connections,
            self.faults.clone(),
            stopping.clone(),
        ));
        let mut stopped = stopping;
        let serving =
            routes.serve_with_incoming_shutdown(ReceiverStream::new(incoming), async move {
                // An error means that the sender is gone, which is the end as well.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            });
        let mut serving = std::pin::pin!(serving);
        let outcome = tokio::select! {
            outcome = &mut serving => outcome,
            () = shutdown => {
                stop.send_replace(true);
                tokio::time::timeout(GRACE, serving).await.unwrap_or(Ok(()))
            }
        };
        acceptor.abort();
        if let Address::Unix(path) = &self.address {
            // Someone may have removed it already.
            let _ = std::fs::remove_file(path);
        }
        outcome.map_err(ListenError::Serve)
    }
}

async fn accept(
    listener: Listener,
    connections: mpsc::Sender<io::Result<Connection>>,
    faults: Option<Arc<Faults>>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        match accepted {
            Ok(_)
                if faults
                    .as_ref()
                    .is_some_and(|faults| faults.refuses_connection()) => {}
            Ok(connection) => {
                if connections.send(Ok(connection)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn listen(address: &Address) -> io::Result<(Listener, Address)> {
    match address {
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok((Listener::Tcp(listener), Address::Tcp(address)))
        }
        Address::Unix(path) => Ok((Listener::Unix(listen_unix(path)?), address.clone())),
    }
}

/// Binds a unix socket, in place of one that nobody listens on any more.
fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let abandoned = std::os::unix::net::UnixStream::connect(path)
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if !abandoned {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

async fn tls_config(files: &TlsFiles) -> Result<ServerTlsConfig, ListenError> {
    let cert = read(&files.cert).await?;
    let key = read(&files.key).await?;
    let config = ServerTlsConfig::new().identity(Identity::from_pem(cert, key));
    Ok(match &files.client_ca {
        Some(path) => config.client_ca_root(Certificate::from_pem(read(path).await?)),
        None => config,
    })
}

async fn read(path: &Path) -> Result<Vec<u8>, ListenError> {
    match tokio::fs::read(path).await {
        Ok(bytes) => Ok(bytes),
        Err(source) => {
            let path = path.to_owned();
            Err(ListenError::TlsFile { path, source })
        }
    }
}

impl std::str::FromStr for Address {
    type Err = ListenError;

    /// Reads `host:port` (an IP or `localhost`), `:port`, or `unix:///path`.
    fn from_str(text: &str) -> Result<Self, ListenError> {
        let wrong = || ListenError::Address {
            text: text.to_owned(),
        };
        if let Some(path) = text.strip_prefix("unix://") {
            return match path {
                "" => Err(wrong()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let full = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None if text.starts_with(':') => format!("[::]{text}"),
            None => text.to_owned(),
        };
        full.parse().map(Self::Tcp).map_err(|_| wrong())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, read) in [
            ("127.0.0.1:4245", "127.0.0.1:4245"),
            ("localhost:0", "127.0.0.1:0"),
            (":80", "[::]:80"),
            ("unix:///run/x.sock", "unix:///run/x.sock"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), read);
        }
        for text in ["", "unix://", "4245", "relay:http"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn an_abandoned_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hubble.sock");
        drop(listen_unix(&path).unwrap());
        let _live = listen_unix(&path).unwrap();
        assert_eq!(
            listen_unix(&path).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }
}
