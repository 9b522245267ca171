//! A second look at a server that hung up without a word.
//!
//! Owns the two questions that tell why: "would you rather speak TLS?" and "would you
//! rather not, or do you miss my certificate?". Asked once, after a failure only.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{error::ConnectError, socket::Dialer, tls::probe_config};

/// Bound on each question.
const PATIENCE: Duration = Duration::from_secs(2);

/// The start of HTTP/2 from a client: the preface and an empty settings frame.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Why the server hung up, where it can be found out.
pub(super) async fn ask(dialer: &Dialer) -> Option<ConnectError> {
    if !dialer.speaks_tls() {
        return answers_tls(dialer)
            .await
            .then(|| ConnectError::ServerSpeaksTls {
                server: dialer.server.clone(),
            });
    }
    if let Some(complaint) = complaint_after_handshake(dialer).await {
        return Some(complaint);
    }
    answers_plain(dialer)
        .await
        .then(|| ConnectError::ServerSpeaksPlain {
            server: dialer.server.clone(),
        })
}

async fn answers_tls(dialer: &Dialer) -> bool {
    let Ok(config) = probe_config() else {
        return false;
    };
    let dialer = dialer.with_tls(Some(Arc::new(config)));
    match timeout(PATIENCE, dialer.dial()).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => matches!(
            error,
            ConnectError::Tls { .. }
                | ConnectError::ClientCertificateRequired { .. }
                | ConnectError::ClientCertificateRefused { .. }
        ),
        Err(_) => false,
    }
}

/// With TLS 1.3 a server refuses a client's certificate only after the handshake, and
/// its alert is lost when we write meanwhile. So only listen.
async fn complaint_after_handshake(dialer: &Dialer) -> Option<ConnectError> {
    let listen = async {
        let mut socket = match dialer.dial().await {
            Ok(socket) => socket,
            Err(ConnectError::Closed { .. }) => return None,
            Err(error) => return Some(error),
        };
        let mut first = [0; 16];
        match socket.read(&mut first).await {
            Ok(_) => None,
            Err(error) => match dialer.explain(error) {
                ConnectError::Closed { .. } | ConnectError::Unreachable { .. } => None,
                error => Some(error),
            },
        }
    };
    timeout(PATIENCE, listen).await.ok().flatten()
}

async fn answers_plain(dialer: &Dialer) -> bool {
    let talk = async {
        let mut socket = dialer.with_tls(None).dial().await.ok()?;
        socket.write_all(HELLO).await.ok()?;
        let mut first = [0; 9];
        socket.read_exact(&mut first).await.ok()?;
        Some(first[3] == 0x04)
    };
    timeout(PATIENCE, talk).await.ok().flatten() == Some(true)
}
