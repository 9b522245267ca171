//! Ways to reach the server beside plain TCP: TLS with client certificates, unix sockets.

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::serve::{
    Address, Bounds, ServerOptions, TlsFiles,
    harness::{Served, flow, request},
};

struct Pem {
    _folder: tempfile::TempDir,
    files: TlsFiles,
    ca: String,
    client: Identity,
}

fn pem() -> Pem {
    let key = || rcgen::KeyPair::generate().unwrap();
    let ca_key = key();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let signed = |name: &str| {
        let key = key();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &issuer).unwrap();
        (cert.pem(), key.serialize_pem())
    };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (cert, key) = signed("node.hubble");
    let files = TlsFiles {
        cert: write("cert", &cert),
        key: write("key", &key),
        client_ca: Some(write("ca", &ca_cert.pem())),
    };
    let (cert, key) = signed("client");
    Pem {
        files,
        ca: ca_cert.pem(),
        client: Identity::from_pem(cert, key),
        _folder: folder,
    }
}

#[tokio::test]
async fn tls_lets_in_who_shows_a_certificate_and_nobody_else() {
    let pem = pem();
    let options = ServerOptions {
        tls: Some(pem.files.clone()),
        // The cut has to find the connection under TLS as well.
        faults: Some(
            r#"{"acts": [{"stream": 1, "at": 3, "do": "cut_abruptly"}]}"#
                .parse()
                .unwrap(),
        ),
    };
    let served = Served::with(
        &[flow(1), flow(2), flow(3), flow(4)],
        Bounds::default(),
        &options,
    )
    .await;
    let connect = |identity: Option<Identity>| {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&pem.ca))
            .domain_name("node.hubble");
        if let Some(identity) = identity {
            tls = tls.identity(identity);
        }
        Channel::from_shared(format!("https://{}", served.address))
            .unwrap()
            .tls_config(tls)
            .unwrap()
            .connect_lazy()
    };
    let known = Served::through(connect(Some(pem.client.clone())));
    assert_eq!(known.ask(request()).await.0.len(), 4);
    assert_eq!(known.ask(request()).await.0.len(), 3);
    let unknown = Served::through(connect(None));
    assert!(unknown.ask(request()).await.1.is_some());
    assert!(served.ask(request()).await.1.is_some());
}

#[tokio::test]
async fn a_unix_socket_serves_and_is_gone_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hubble.sock");
    let address = Address::Unix(path.clone());
    let served = Served::at(
        &address,
        &[flow(1)],
        Bounds::default(),
        &ServerOptions::default(),
    )
    .await;
    let to = path.clone();
    let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(
        tower::service_fn(move |_| {
            let path = to.clone();
            async move {
                let stream = tokio::net::UnixStream::connect(path).await?;
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
            }
        }),
    );
    assert_eq!(Served::through(channel).ask(request()).await.0, ["flow-1"]);
    served.stop().await.unwrap();
    assert!(!path.exists());
}
