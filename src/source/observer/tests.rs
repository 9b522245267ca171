//! Connections to real sockets: what works, and the one message for each way it does not.

use std::{io::Write as _, net::TcpListener, time::Duration};

use bytes::Bytes;
use prost::Message as _;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::TcpListener as AsyncListener};
use tonic::Code;

use super::{
    BasicAuth, ClientFiles, ConnectConfig, ConnectError, ObserverSource, TlsOptions,
    testing::{Authority, Fake, Signed, config},
};
use crate::proto::{
    health::health_check_response::ServingStatus,
    observer::{GetFlowsRequest, GetFlowsResponse},
};

async fn failure(config: ConnectConfig) -> ConnectError {
    match ObserverSource::connect(config).await {
        Ok(_) => panic!("should not connect"),
        Err(error) => error,
    }
}

fn trusting(authority: &Authority) -> TlsOptions {
    TlsOptions {
        ca_cert_files: vec![authority.file()],
        ..TlsOptions::default()
    }
}

fn shown_by(authority: &Authority, signed: &Signed) -> ClientFiles {
    ClientFiles {
        cert: authority.write("client.pem", &signed.cert),
        key: authority.write("client.key", &signed.key),
    }
}

fn flow(node: &str) -> GetFlowsResponse {
    GetFlowsResponse {
        node_name: node.into(),
        ..GetFlowsResponse::default()
    }
}

#[tokio::test]
async fn flows_arrive_as_they_were_encoded() {
    let server = Fake::with_flows(|request, sender| {
        assert_eq!(request.number, 2);
        for node in ["a", "b"] {
            sender.try_send(Ok(flow(node))).unwrap();
        }
        Ok(())
    })
    .listen()
    .await;
    let source = ObserverSource::connect(server.config()).await.unwrap();
    let request = GetFlowsRequest {
        number: 2,
        ..GetFlowsRequest::default()
    };

    let mut stream = source.raw_flows(request).await.unwrap().value;

    for node in ["a", "b"] {
        let message = stream.message().await.unwrap().unwrap();
        assert_eq!(message, Bytes::from(flow(node).encode_to_vec()));
    }
    assert_eq!(stream.message().await.unwrap(), None);
}

#[tokio::test]
async fn unary_calls_carry_the_version_and_say_what_is_not_offered() {
    let server = Fake::default().listen().await;
    let source = ObserverSource::connect(server.config()).await.unwrap();

    let status = source.server_status().await.unwrap();
    assert_eq!(status.value.max_flows, 4095);
    assert_eq!(status.version.agent.as_deref(), Some("1.19.4"));
    assert_eq!(
        source.namespaces().await.unwrap().value[0].namespace,
        "shop"
    );

    let error = source.nodes().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unimplemented { .. }));
    assert!(error.to_string().ends_with("ask a relay"), "{error}");
}

#[tokio::test]
async fn codes_of_grpc_have_their_own_errors() {
    for (code, expected) in [
        (Code::Unauthenticated, "does not accept our credentials"),
        (Code::PermissionDenied, "denies us ServerStatus"),
        (
            Code::InvalidArgument,
            "refuses the request: as the test wants",
        ),
        (Code::DataLoss, "ServerStatus of"),
    ] {
        let server = Fake {
            fails: Some(code),
            ..Fake::default()
        }
        .listen()
        .await;
        let source = ObserverSource::connect(server.config()).await.unwrap();
        let error = source.server_status().await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_serving_says_so() {
    let server = Fake {
        serving: ServingStatus::NotServing,
        ..Fake::default()
    }
    .listen()
    .await;
    let error = failure(server.config()).await;
    assert!(matches!(error, ConnectError::NotServing { .. }), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_refused_connection_says_how_to_forward_a_port() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = failure(config(&port.to_string())).await;
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("port-forward service/hubble-relay 4245:80")
    );
}

#[tokio::test]
async fn an_unknown_host_is_named() {
    let error = failure(config("no-such-host.invalid:4245")).await;
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error:?}");
    assert!(error.to_string().contains("no-such-host.invalid"));
}

#[tokio::test]
async fn a_silent_server_is_a_timeout() {
    let listener = AsyncListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(&listener.local_addr().unwrap().to_string());
    config.connect_timeout = Duration::from_millis(100);
    let error = failure(config).await;
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
}

/// A server that answers every connection with `answer` and hangs up.
///
/// It reads what it does not look at: closing a socket with unread bytes resets the
/// connection, and a reset may overtake the answer.
fn answering(answer: &'static [u8]) -> ConnectConfig {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config(&listener.local_addr().unwrap().to_string());
    std::thread::spawn(move || {
        for socket in listener.incoming().take(8).flatten() {
            let mut socket = socket;
            std::thread::spawn(move || {
                let _ = socket.set_read_timeout(Some(Duration::from_secs(5)));
                let _ = socket.write_all(answer);
                let _ = socket.shutdown(std::net::Shutdown::Write);
                let _ = std::io::copy(&mut socket, &mut std::io::sink());
            });
        }
    });
    config
}

#[tokio::test]
async fn a_server_that_hangs_up_or_is_none_of_ours_is_told_apart() {
    let error = failure(answering(b"")).await;
    assert!(matches!(error, ConnectError::Closed { .. }), "{error:?}");

    let error = failure(answering(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    assert!(matches!(error, ConnectError::NotGrpc { .. }), "{error:?}");
    assert!(
        error.to_string().contains("HTTP/1.1 400 Bad Request"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_without_tls_is_told_apart() {
    let server = Fake::default().listen().await;
    let mut config = server.tls_config();
    config.tls = Some(TlsOptions {
        allow_insecure: true,
        ..TlsOptions::default()
    });
    let error = failure(config).await;
    assert!(
        matches!(error, ConnectError::ServerSpeaksPlain { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_with_tls_is_told_apart() {
    let signed = Authority::new().sign("localhost");
    let server = Fake::default().listen_with(Some(signed.server())).await;
    let error = failure(server.config()).await;
    assert!(
        matches!(error, ConnectError::ServerSpeaksTls { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn tls_works_with_the_right_authority_and_name() {
    let authority = Authority::new();
    let server = Fake::default()
        .listen_with(Some(authority.sign("localhost").server()))
        .await;
    let mut config = server.tls_config();
    config.tls = Some(trusting(&authority));
    ObserverSource::connect(config).await.unwrap();
}

#[tokio::test]
async fn wrong_authorities_names_and_dates_are_told_apart() {
    let authority = Authority::new();
    let named = Fake::default()
        .listen_with(Some(authority.sign("relay.example").server()))
        .await;

    let mut config = named.tls_config();
    let stranger = Authority::new();
    config.tls = Some(trusting(&stranger));
    let error = failure(config.clone()).await;
    assert!(
        matches!(error, ConnectError::UnknownAuthority { .. }),
        "{error:?}"
    );

    config.tls = Some(trusting(&authority));
    let error = failure(config.clone()).await;
    assert!(
        error
            .to_string()
            .contains(r#"not for "localhost" but for relay.example;"#),
        "{error}"
    );

    config.tls = Some(TlsOptions {
        server_name: Some("relay.example".into()),
        ..trusting(&authority)
    });
    ObserverSource::connect(config.clone()).await.unwrap();

    config.tls = Some(TlsOptions {
        allow_insecure: true,
        ..TlsOptions::default()
    });
    ObserverSource::connect(config).await.unwrap();

    let old = Fake::default()
        .listen_with(Some(authority.sign_until("localhost", 2002).server()))
        .await;
    let mut config = old.tls_config();
    config.tls = Some(trusting(&authority));
    let error = failure(config).await;
    assert!(
        matches!(error, ConnectError::OutOfDate { expired: true, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn client_certificates_are_shown_and_missed() {
    let authority = Authority::new();
    let server = Fake::default()
        .listen_with(Some(
            authority.require(authority.sign("localhost").server()),
        ))
        .await;
    let mut config = server.tls_config();

    config.tls = Some(TlsOptions {
        client: Some(shown_by(&authority, &authority.sign("client"))),
        ..trusting(&authority)
    });
    ObserverSource::connect(config.clone()).await.unwrap();

    config.tls = Some(trusting(&authority));
    let error = failure(config.clone()).await;
    assert!(
        matches!(error, ConnectError::ClientCertificateRequired { .. }),
        "{error:?}"
    );

    let stranger = Authority::new();
    config.tls = Some(TlsOptions {
        client: Some(shown_by(&stranger, &stranger.sign("client"))),
        ..trusting(&authority)
    });
    let error = failure(config).await;
    assert!(
        matches!(error, ConnectError::ClientCertificateRefused { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn credentials_go_over_tls_only() {
    let authority = Authority::new();
    let fake = Fake::default();
    let seen = fake.authorizations.clone();
    let server = fake
        .listen_with(Some(authority.sign("localhost").server()))
        .await;
    let auth = BasicAuth {
        username: "ann".into(),
        password: "pw".into(),
    };
    let mut config = server.tls_config();
    config.basic_auth = Some(auth.clone());
    config.tls = Some(trusting(&authority));
    ObserverSource::connect(config).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["Basic YW5uOnB3"]);

    let mut config = server.config();
    config.basic_auth = Some(auth);
    let error = failure(config).await;
    assert!(matches!(error, ConnectError::AuthWithoutTls), "{error:?}");
}

#[tokio::test]
async fn files_that_are_missing_or_something_else_are_named() {
    let authority = Authority::new();
    let mut config = config("tls://localhost:1");
    for (path, expected) in [
        (
            authority.write("text", "hello"),
            "has no certificate in PEM form",
        ),
        ("/no/such/file".into(), "/no/such/file cannot be read"),
    ] {
        config.tls = Some(TlsOptions {
            ca_cert_files: vec![path],
            ..TlsOptions::default()
        });
        let error = failure(config.clone()).await.to_string();
        assert!(error.contains(expected), "{error}");
    }

    let files = shown_by(&authority, &authority.sign("client"));
    config.tls = Some(TlsOptions {
        client: Some(ClientFiles {
            key: files.cert.clone(),
            ..files
        }),
        ..trusting(&authority)
    });
    let error = failure(config).await.to_string();
    assert!(error.contains("has no private key"), "{error}");
}

#[tokio::test]
async fn unix_sockets_work_and_are_missed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("hubble.sock");
    let address = format!("unix://{}", path.display());

    let error = failure(config(&address)).await;
    assert!(
        matches!(error, ConnectError::SocketMissing { .. }),
        "{error:?}"
    );

    let server = Fake::default().listen_at(&path);
    ObserverSource::connect(config(&address)).await.unwrap();
    server.abort();
}

#[tokio::test]
async fn a_server_that_hangs_up_during_tls_is_no_riddle() {
    let listener = AsyncListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(&format!("tls://{}", listener.local_addr().unwrap()));
    config.tls = Some(TlsOptions {
        allow_insecure: true,
        ..TlsOptions::default()
    });
    let server = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.shutdown().await;
        }
    });
    let error = failure(config).await;
    assert!(matches!(error, ConnectError::Closed { .. }), "{error:?}");
    server.abort();
}
