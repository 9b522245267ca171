//! TLS as a client of Hubble speaks it: what is trusted, what is shown.
//!
//! Owns the making of rustls' configuration from files and options. Does not connect.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

use super::{
    config::{ClientFiles, TlsOptions},
    error::ConnectError,
};

/// Makes the configuration of a client, with ALPN `h2`.
pub(super) fn client_config(options: &TlsOptions) -> Result<ClientConfig, ConnectError> {
    let provider = Arc::new(ring::default_provider());
    let tls = |source| ConnectError::Tls {
        server: "any server".to_owned(),
        source,
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(tls)?;
    let builder = if options.allow_insecure {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny { provider }))
    } else {
        builder.with_root_certificates(authorities(options)?)
    };
    let mut config = match &options.client {
        Some(files) => {
            let (chain, key) = read_client(files)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|source| ConnectError::ClientCertificate {
                    path: files.cert.clone(),
                    source,
                })?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Makes a configuration that trusts anyone, to find out whether a server speaks TLS at all.
pub(super) fn probe_config() -> Result<ClientConfig, ConnectError> {
    client_config(&TlsOptions {
        allow_insecure: true,
        ..TlsOptions::default()
    })
}

/// The authorities of the files given, else the system's.
fn authorities(options: &TlsOptions) -> Result<RootCertStore, ConnectError> {
    let mut store = RootCertStore::empty();
    if options.ca_cert_files.is_empty() {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if store.is_empty() {
            return Err(ConnectError::NoAuthorities);
        }
    }
    for path in &options.ca_cert_files {
        let (added, _) = store.add_parsable_certificates(read_certificates(path)?);
        if added == 0 {
            return Err(no_certificate(path));
        }
    }
    Ok(store)
}

fn read_client(
    files: &ClientFiles,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ConnectError> {
    let chain = read_certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(|_| ConnectError::Pem {
        path: files.key.clone(),
        wanted: "private key",
    })?;
    Ok((chain, key))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(no_certificate(path)),
    }
}

fn no_certificate(path: &Path) -> ConnectError {
    ConnectError::Pem {
        path: path.to_owned(),
        wanted: "certificate",
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConnectError> {
    fs::read(path).map_err(|source| ConnectError::File {
        path: path.to_owned(),
        source,
    })
}

/// Accepts any certificate, for `--tls-allow-insecure`; still holds the server to its key.
#[derive(Debug)]
struct AcceptAny {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
