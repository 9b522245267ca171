//! Doors that stay shut, and what is said about it: nothing on standard output, exit
//! code 2, one line that names the server and what helps.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::{SHOP, Server};
use crate::support::{Run, flowwatch};

/// A certificate authority with the files it signed.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of a certificate and its key.
struct Signed {
    cert: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        fs::write(folder.path().join("ca.pem"), pem).unwrap();
        let issuer = Issuer::new(params, key);
        Self { folder, issuer }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn sign(&self, name: &str) -> Signed {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        let file = |ending, text| {
            let path = self.folder.path().join(format!("{name}.{ending}"));
            fs::write(&path, text).unwrap();
            path
        };
        Signed {
            cert: file("pem", pem),
            key: file("key", key.serialize_pem()),
        }
    }

    /// A server with a certificate for `name`.
    fn serve(&self, name: &str, asks_for_client: bool) -> Server {
        let signed = self.sign(name);
        let mut run = flowwatch()
            .args("serve --listen 127.0.0.1:0 --input-file")
            .args(SHOP)
            .args("--tls-cert-file")
            .path(signed.cert)
            .args("--tls-key-file")
            .path(signed.key);
        if asks_for_client {
            run = run.args("--tls-client-ca-file").path(self.file());
        }
        Server::start(&run)
    }
}

/// `tail` of a server's last three flows by another address.
fn tail_at(address: &str) -> Run {
    flowwatch().args("tail --last 3 --server").arg(address)
}

fn over_tls(server: &Server) -> Run {
    tail_at(&format!("tls://localhost:{}", server.port()))
}

#[track_caller]
fn opens(run: Run) {
    assert_eq!(run.run().exit(0).lines().len(), 3);
}

#[track_caller]
fn stays_shut(run: Run, said: &str) {
    let ran = run.run().exit(2).prints_nothing().stderr_contains(said);
    let complaints = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("flowwatch: "));
    assert_eq!(complaints.count(), 1, "{}", ran.stderr);
}

#[test]
fn where_nothing_listens_the_way_to_a_relay_is_told() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for command in [
        "tail",
        "tail --all",
        "status",
        "list nodes",
        "list namespaces",
    ] {
        let run = flowwatch()
            .args(command)
            .args("--server")
            .arg(port.to_string());
        stays_shut(
            run,
            &format!(
                "flowwatch: {port} refused the connection; for a relay in a cluster, first run: \
                 kubectl -n kube-system port-forward service/hubble-relay 4245:80"
            ),
        );
    }
    stays_shut(
        tail_at("no-such-host.invalid:4245"),
        "host \"no-such-host.invalid\" cannot be resolved",
    );
    stays_shut(
        tail_at("unix:///no/such/hubble.sock"),
        "there is no socket /no/such/hubble.sock; is this a node that runs Cilium?",
    );
}

#[test]
fn one_of_two_servers_that_is_not_there_does_not_hide_the_other() {
    let server = Server::new(SHOP);
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let run = server
        .ask("tail --last 3")
        .args("--server")
        .arg(port.to_string());
    let ran = run.run().exit(2).stderr_contains("refused the connection");
    assert_eq!(ran.lines().len(), 3);
    ran.stderr_contains("1 of 2 servers failed");
}

#[test]
fn plain_and_tls_are_told_apart() {
    let plain = Server::new(SHOP);
    opens(tail_at(&plain.address));
    stays_shut(
        over_tls(&plain).args("--tls-allow-insecure"),
        "does not speak TLS; leave out --tls or tls://",
    );
    let tls = Authority::new().serve("localhost", false);
    stays_shut(tail_at(&tls.address), "speaks TLS; use --tls or tls://");
    opens(over_tls(&tls).args("--tls-allow-insecure"));
    opens(tail_at(&tls.address).args("--tls --tls-allow-insecure"));
    opens(
        tail_at(&tls.address)
            .env("HUBBLE_TLS", "true")
            .env("HUBBLE_TLS_ALLOW_INSECURE", "1"),
    );
}

#[test]
fn authorities_and_names_are_checked() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = authority.serve("relay.example", false);
    let trusting = |authority: &Authority| {
        over_tls(&server)
            .args("--tls-ca-cert-files")
            .path(authority.file())
    };
    stays_shut(
        trusting(&stranger),
        "has a certificate of an unknown authority; name the authority with --tls-ca-cert-files",
    );
    stays_shut(
        trusting(&authority),
        "has a certificate that is not for \"localhost\" but for relay.example; \
         --tls-server-name sets the name to expect",
    );
    opens(trusting(&authority).args("--tls-server-name relay.example"));
    stays_shut(
        over_tls(&server).args("--tls-ca-cert-files /no/such/ca.pem"),
        "/no/such/ca.pem cannot be read",
    );
}

#[test]
fn a_client_certificate_that_is_missing_or_strange_is_told() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = authority.serve("localhost", true);
    let trusting = || {
        over_tls(&server)
            .args("--tls-ca-cert-files")
            .path(authority.file())
    };
    let showing = |signed: Signed| {
        trusting()
            .args("--tls-client-cert-file")
            .path(signed.cert)
            .args("--tls-client-key-file")
            .path(signed.key)
    };
    stays_shut(
        trusting(),
        "requires a client certificate; give --tls-client-cert-file and --tls-client-key-file",
    );
    stays_shut(
        showing(stranger.sign("client")),
        "does not accept the client certificate",
    );
    opens(showing(authority.sign("client")));
}

#[test]
fn a_unix_socket_is_a_door_too() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("unix://{}", folder.path().join("hubble.sock").display());
    let run = flowwatch()
        .args("serve --input-file")
        .args(SHOP)
        .args("--listen")
        .arg(&address);
    let server = Server::start(&run);
    assert_eq!(server.address, address);
    opens(tail_at(&address));
    opens(
        flowwatch()
            .args("tail --last 3")
            .env("HUBBLE_SERVER", &address),
    );
    let status = server.ask("status").run().exit(0);
    assert_eq!(
        status.lines()[0],
        format!("Healthcheck (via {address}): Ok")
    );
}

#[test]
fn what_is_no_hubble_server_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            // What is not read when a socket closes takes the answer with it.
            let mut hello = [0; 4096];
            let _ = socket.read(&mut hello);
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = socket.shutdown(Shutdown::Write);
            let _ = socket.read_to_end(&mut Vec::new());
        }
    });
    stays_shut(
        tail_at(&address),
        "does not speak gRPC: HTTP/1.1 400 Bad Request",
    );
}
