//! The bytes below HTTP/2, and what they tell of a connection that fails.
//!
//! Owns dialling (names, TCP, Unix sockets, TLS) and a wrapper that notes why a socket
//! failed: HTTP/2 reports little more than "broken pipe", while the alert of TLS or the
//! first bytes of a server that speaks something else say what to do about it.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::client::legacy::connect::{HttpConnector, dns::Name};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{UnixStream, lookup_host},
};
use tokio_rustls::TlsConnector;
use tower::{Service as _, ServiceExt as _, service_fn};

use super::{config::ConnectConfig, error::ConnectError, target::Target};

/// After this long without traffic the system asks whether the peer is still there; a
/// third unanswered question ends the connection. HTTP/2 pings would be refused by
/// gRPC servers when sent this often.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// A stream of bytes of any kind.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// All it takes to open a socket to one server, again and again.
#[derive(Clone)]
pub(super) struct Dialer {
    target: Target,
    /// The server as errors name it.
    pub(super) server: String,
    tls: Option<Arc<ClientConfig>>,
    tls_name: String,
    has_client: bool,
}

impl Dialer {
    pub(super) fn new(config: &ConnectConfig) -> Result<Self, ConnectError> {
        let tls = match &config.tls {
            Some(options) => Some(Arc::new(super::tls::client_config(options)?)),
            None => None,
        };
        let options = config.tls.as_ref();
        let tls_name = options.and_then(|options| options.server_name.as_deref());
        Ok(Self {
            server: config.target.to_string(),
            tls_name: tls_name.unwrap_or_else(|| config.target.host()).to_owned(),
            has_client: options.is_some_and(|options| options.client.is_some()),
            target: config.target.clone(),
            tls,
        })
    }

    pub(super) fn speaks_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The same server, spoken to with `tls`.
    pub(super) fn with_tls(&self, tls: Option<Arc<ClientConfig>>) -> Self {
        let mut target = self.target.clone();
        if let Target::Tcp { port, .. } = &mut target {
            *port = self
                .target
                .host_and_port(self.speaks_tls())
                .map(|(_, port)| port);
        }
        Self {
            target,
            tls,
            ..self.clone()
        }
    }

    /// The `host:port` that requests name.
    pub(super) fn authority(&self) -> String {
        match self.target.host_and_port(self.speaks_tls()) {
            Some((host, port)) if host.contains(':') => format!("[{host}]:{port}"),
            Some((host, port)) => format!("{host}:{port}"),
            None => "localhost".to_owned(),
        }
    }

    /// Opens a socket, through TLS where it is to be spoken.
    pub(super) async fn dial(&self) -> Result<Box<dyn Socket>, ConnectError> {
        let socket: Box<dyn Socket> = match &self.target {
            Target::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(|source| {
                let path = path.clone();
                match source.kind() {
                    io::ErrorKind::NotFound => ConnectError::SocketMissing { path },
                    io::ErrorKind::PermissionDenied => ConnectError::SocketDenied { path },
                    _ => ConnectError::of_socket(&self.server, source),
                }
            })?),
            Target::Tcp { .. } => self.dial_tcp().await?,
        };
        let Some(config) = &self.tls else {
            return Ok(socket);
        };
        let name =
            ServerName::try_from(self.tls_name.clone()).map_err(|_| ConnectError::ServerName {
                name: self.tls_name.clone(),
            })?;
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, socket);
        let stream = handshake.await.map_err(|error| self.explain(error))?;
        Ok(Box::new(stream))
    }

    async fn dial_tcp(&self) -> Result<Box<dyn Socket>, ConnectError> {
        let Some((host, port)) = self.target.host_and_port(self.speaks_tls()) else {
            return Err(ConnectError::Closed {
                server: self.server.clone(),
            });
        };
        let resolve = |source| ConnectError::Resolve {
            host: host.to_owned(),
            source,
        };
        let addresses: Vec<SocketAddr> =
            lookup_host((host, port)).await.map_err(resolve)?.collect();
        if addresses.is_empty() {
            return Err(resolve(io::ErrorKind::NotFound.into()));
        }
        // The addresses are known; the connector races those of IPv4 against IPv6.
        let known = service_fn(move |_: Name| {
            let addresses = addresses.clone();
            async move { Ok::<_, io::Error>(addresses.into_iter()) }
        });
        let mut connector = HttpConnector::new_with_resolver(known);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        connector.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        let uri = Uri::try_from(format!("http://resolved:{port}"))
            .map_err(|error| resolve(io::Error::other(error)))?;
        let ready = connector.ready().await;
        let connected = match ready {
            Ok(connector) => connector.call(uri).await,
            Err(error) => Err(error),
        };
        match connected {
            Ok(stream) => Ok(Box::new(stream.into_inner())),
            Err(error) => Err(ConnectError::of_socket(&self.server, innermost_io(&error))),
        }
    }

    /// What an error of the open socket means.
    pub(super) fn explain(&self, error: io::Error) -> ConnectError {
        match rustls_error(&error) {
            Some(tls) => ConnectError::of_tls(&self.server, &self.tls_name, self.has_client, tls),
            None => ConnectError::of_socket(&self.server, error),
        }
    }
}

fn rustls_error(error: &io::Error) -> Option<rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>().cloned()
}

/// The error of the system below that of the connector.
fn innermost_io(error: &(dyn std::error::Error + 'static)) -> io::Error {
    let mut found = None;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            found = Some(match io.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(io.kind(), io.to_string()),
            });
        }
        next = error.source();
    }
    found.unwrap_or_else(|| io::Error::other(error.to_string()))
}

/// Why a connection failed, as far as its sockets know.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    error: Mutex<Option<ConnectError>>,
    heard: AtomicBool,
}

impl Trouble {
    /// Notes the first error; what follows from it is of no interest.
    pub(super) fn note(&self, error: ConnectError) {
        let mut noted = self.0.error.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get_or_insert(error);
    }

    pub(super) fn take(&self) -> Option<ConnectError> {
        let mut noted = self.0.error.lock().unwrap_or_else(PoisonError::into_inner);
        noted.take()
    }

    /// Whether the server ever said anything.
    pub(super) fn heard(&self) -> bool {
        self.0.heard.load(Ordering::Relaxed)
    }
}

/// A socket that notes its trouble.
pub(super) struct Watched {
    socket: Box<dyn Socket>,
    dialer: Dialer,
    trouble: Trouble,
    heard: bool,
}

impl Watched {
    pub(super) fn new(socket: Box<dyn Socket>, dialer: Dialer, trouble: Trouble) -> Self {
        Self {
            socket,
            dialer,
            trouble,
            heard: false,
        }
    }

    /// Looks at the first bytes of a server: they should be HTTP/2's settings frame.
    fn hear(&mut self, first: &[u8]) {
        self.heard = true;
        let server = self.dialer.server.clone();
        if first.first() == Some(&0x15) && first.get(1) == Some(&0x03) {
            self.trouble.note(ConnectError::ServerSpeaksTls { server });
        } else if first.starts_with(b"HTTP/") {
            let line = first.split(|&byte| byte == b'\r' || byte == b'\n').next();
            self.trouble.note(ConnectError::NotGrpc {
                server,
                found: String::from_utf8_lossy(line.unwrap_or_default()).into_owned(),
            });
        } else if first.get(3).is_some_and(|&kind| kind != 0x04) {
            self.trouble.note(ConnectError::NotGrpc {
                server,
                found: format!("its first bytes are {:02x?}", &first[..first.len().min(9)]),
            });
        }
        self.trouble.0.heard.store(true, Ordering::Relaxed);
    }

    fn fail(&self, error: &io::Error) {
        if let Some(tls) = rustls_error(error) {
            self.trouble
                .note(self.dialer.explain(io::Error::new(error.kind(), tls)));
        } else if !self.heard {
            self.trouble.note(ConnectError::Closed {
                server: self.dialer.server.clone(),
            });
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let room = buf.remaining();
        let polled = Pin::new(&mut self.socket).poll_read(cx, buf);
        match &polled {
            Poll::Ready(Ok(())) if !self.heard && room > 0 => {
                let first = &buf.filled()[before..];
                if first.is_empty() {
                    self.fail(&io::ErrorKind::UnexpectedEof.into());
                } else {
                    self.hear(first);
                }
            }
            Poll::Ready(Err(error)) => self.fail(error),
            _ => {}
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
