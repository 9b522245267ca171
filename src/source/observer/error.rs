//! The ways a server cannot be reached or refuses, one message each.
//!
//! Owns the error, and how errors of sockets, TLS and gRPC are told apart. A message
//! says what is wrong and, where that is known, what helps.

use std::{error::Error as StdError, io, path::PathBuf, time::Duration};

use rustls::{AlertDescription, CertificateError, InvalidMessage};
use tonic::{Code, Status};

/// Why a server could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nothing listens there.
    #[error(
        "{server} refused the connection; for a relay in a cluster, first run: \
         kubectl -n kube-system port-forward service/hubble-relay 4245:80"
    )]
    Refused {
        /// The server.
        server: String,
    },
    /// The name has no address.
    #[error("host {host:?} cannot be resolved: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No answer in time.
    #[error(
        "{server} did not answer within {after:?}; --timeout and --request-timeout set how long to wait"
    )]
    Timeout {
        /// The server.
        server: String,
        /// How long was waited.
        after: Duration,
    },
    /// Another error of the network.
    #[error("{server} cannot be reached: {source}")]
    Unreachable {
        /// The server.
        server: String,
        /// What the system said.
        source: io::Error,
    },
    /// The connection ended before the server said anything.
    #[error(
        "{server} closed the connection without an answer; is it a Hubble server, and is what forwards to it alive?"
    )]
    Closed {
        /// The server.
        server: String,
    },
    /// The connection ended.
    #[error("the connection to {server} was lost: {reason}")]
    Lost {
        /// The server.
        server: String,
        /// What ended it.
        reason: String,
    },
    /// We speak plaintext, it speaks TLS.
    #[error("{server} speaks TLS; use --tls or tls:// in front of the address")]
    ServerSpeaksTls {
        /// The server.
        server: String,
    },
    /// We speak TLS, it does not.
    #[error("{server} does not speak TLS; leave out --tls or tls://")]
    ServerSpeaksPlain {
        /// The server.
        server: String,
    },
    /// What listens is no gRPC server.
    #[error("{server} does not speak gRPC: {found}")]
    NotGrpc {
        /// The server.
        server: String,
        /// What it said instead.
        found: String,
    },
    /// Its certificate is signed by nobody we trust.
    #[error(
        "{server} has a certificate of an unknown authority; name the authority with --tls-ca-cert-files"
    )]
    UnknownAuthority {
        /// The server.
        server: String,
    },
    /// Its certificate is for other names.
    #[error(
        "{server} has a certificate that is not for {expected:?}{}; --tls-server-name sets the name to expect",
        presented(.names)
    )]
    WrongName {
        /// The server.
        server: String,
        /// The name we asked for.
        expected: String,
        /// The names it is for, where known.
        names: Vec<String>,
    },
    /// Its certificate is out of date.
    #[error("{server} has a certificate that is {}", if *.expired { "expired" } else { "not valid yet" })]
    OutOfDate {
        /// The server.
        server: String,
        /// Expired, else not valid yet.
        expired: bool,
    },
    /// It wants to know who we are.
    #[error(
        "{server} requires a client certificate; give --tls-client-cert-file and --tls-client-key-file"
    )]
    ClientCertificateRequired {
        /// The server.
        server: String,
    },
    /// It does not accept who we are.
    #[error("{server} does not accept the client certificate ({alert})")]
    ClientCertificateRefused {
        /// The server.
        server: String,
        /// What it said.
        alert: String,
    },
    /// Another error of TLS.
    #[error("no TLS with {server}: {source}")]
    Tls {
        /// The server.
        server: String,
        /// What is wrong.
        source: rustls::Error,
    },
    /// No such socket.
    #[error("there is no socket {}; is this a node that runs Cilium?", .path.display())]
    SocketMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The socket is not for us.
    #[error("no permission to open the socket {}; it usually takes root", .path.display())]
    SocketDenied {
        /// Where it is.
        path: PathBuf,
    },
    /// The relay is there and is not ready.
    #[error("{server} is not serving; a relay says so while it has no connection to any node")]
    NotServing {
        /// The server.
        server: String,
    },
    /// It does not have the call.
    #[error("{server} does not offer {call}{}", hint(.call))]
    Unimplemented {
        /// The server.
        server: String,
        /// The call.
        call: &'static str,
    },
    /// It does not know us.
    #[error("{server} does not accept our credentials: {message}")]
    Unauthenticated {
        /// The server.
        server: String,
        /// What it said.
        message: String,
    },
    /// It knows us and refuses.
    #[error("{server} denies us {call}: {message}")]
    Denied {
        /// The server.
        server: String,
        /// The call.
        call: &'static str,
        /// What it said.
        message: String,
    },
    /// A filter or another part of the request is wrong.
    #[error("{server} refuses the request: {message}")]
    InvalidRequest {
        /// The server.
        server: String,
        /// What it said.
        message: String,
    },
    /// Another error of gRPC.
    #[error("{call} of {server} failed ({code:?}): {message}")]
    Call {
        /// The server.
        server: String,
        /// The call.
        call: &'static str,
        /// gRPC's code.
        code: Code,
        /// What it said.
        message: String,
    },
    /// A file of certificates or keys cannot be read.
    #[error("{} cannot be read: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file has not what it should have.
    #[error("{} has no {wanted} in PEM form", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should have.
        wanted: &'static str,
    },
    /// A certificate and a key that do not go together.
    #[error("client certificate {} cannot be used: {source}", .path.display())]
    ClientCertificate {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The system trusts nobody.
    #[error("the system has no certificate authorities; name one with --tls-ca-cert-files")]
    NoAuthorities,
    /// A name that no certificate can carry.
    #[error("{name:?} is no server name for TLS")]
    ServerName {
        /// The name.
        name: String,
    },
    /// A password that would be sent in the clear.
    #[error("basic authentication needs TLS; use --tls or tls:// in front of the address")]
    AuthWithoutTls,
}

impl ConnectError {
    /// Whether trying again may help; what the request or the credentials cause, does not.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Resolve { .. }
            | Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Closed { .. }
            | Self::Lost { .. }
            | Self::SocketMissing { .. }
            | Self::NotServing { .. } => true,
            Self::Call { code, .. } => matches!(
                code,
                Code::Unavailable
                    | Code::Internal
                    | Code::Aborted
                    | Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::ResourceExhausted
            ),
            _ => false,
        }
    }

    /// What the answer to a call means.
    pub(super) fn of_status(server: &str, call: &'static str, status: &Status) -> Self {
        let server = server.to_owned();
        let message = status.message().to_owned();
        match status.code() {
            Code::Unimplemented => Self::Unimplemented { server, call },
            Code::Unauthenticated => Self::Unauthenticated { server, message },
            Code::PermissionDenied => Self::Denied {
                server,
                call,
                message,
            },
            Code::InvalidArgument => Self::InvalidRequest { server, message },
            code if is_transport(status) => Self::Lost {
                server,
                reason: root_cause(status).unwrap_or_else(|| format!("{code:?}")),
            },
            code => Self::Call {
                server,
                call,
                code,
                message,
            },
        }
    }

    /// What an error of the socket means, before TLS.
    pub(super) fn of_socket(server: &str, source: io::Error) -> Self {
        let server = server.to_owned();
        match source.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused { server },
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::Closed { server },
            _ => Self::Unreachable { server, source },
        }
    }

    /// What an error of TLS means. `name` is the one that was asked for.
    pub(super) fn of_tls(server: &str, name: &str, has_client: bool, error: rustls::Error) -> Self {
        let server = server.to_owned();
        match error {
            rustls::Error::InvalidCertificate(invalid) => match invalid {
                // Each cluster's own authority is called the same, so that of another
                // cluster is found by its name and does not fit.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    Self::UnknownAuthority { server }
                }
                CertificateError::NotValidForName => Self::WrongName {
                    server,
                    expected: name.to_owned(),
                    names: Vec::new(),
                },
                CertificateError::NotValidForNameContext { presented, .. } => Self::WrongName {
                    server,
                    expected: name.to_owned(),
                    names: presented.iter().map(|name| plain_name(name)).collect(),
                },
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Self::OutOfDate {
                        server,
                        expired: true,
                    }
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::OutOfDate {
                        server,
                        expired: false,
                    }
                }
                other => Self::Tls {
                    server,
                    source: rustls::Error::InvalidCertificate(other),
                },
            },
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge
                | InvalidMessage::InvalidEmptyPayload,
            ) => Self::ServerSpeaksPlain { server },
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired => Self::ClientCertificateRequired { server },
                AlertDescription::BadCertificate
                | AlertDescription::HandshakeFailure
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                    if !has_client =>
                {
                    Self::ClientCertificateRequired { server }
                }
                AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError => Self::ClientCertificateRefused {
                    server,
                    alert: format!("{alert:?}"),
                },
                other => Self::Tls {
                    server,
                    source: rustls::Error::AlertReceived(other),
                },
            },
            source => Self::Tls { server, source },
        }
    }
}

/// A name as rustls shows it, without `DnsName("…")` around it.
fn plain_name(shown: &str) -> String {
    match shown
        .split_once("(\"")
        .and_then(|(_, rest)| rest.rsplit_once("\")"))
    {
        Some((name, _)) => name.to_owned(),
        None => shown.to_owned(),
    }
}

fn presented(names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(" but for {}", names.join(", "))
    }
}

fn hint(call: &str) -> &'static str {
    match call {
        "GetNodes" => "; an agent does not, ask a relay",
        "GetAgentEvents" | "GetDebugEvents" => "; a relay does not, ask an agent",
        _ => "",
    }
}

/// Whether a status was made by our side of the connection.
fn is_transport(status: &Status) -> bool {
    status.source().is_some()
}

/// The innermost error below a status, which says most.
fn root_cause(status: &Status) -> Option<String> {
    let mut error = status.source()?;
    while let Some(inner) = error.source() {
        error = inner;
    }
    Some(error.to_string())
}
