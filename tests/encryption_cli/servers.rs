//! Servers to be probed, on loopback, with certificates that are made when they start.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

/// The name that certificates here are for.
pub const NAME: &str = "server.acme.example";

pub const ONLY_13: &[&SupportedProtocolVersion] = &[&TLS13];
pub const ONLY_12: &[&SupportedProtocolVersion] = &[&TLS12];
pub const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// A server that goes on until the test ends.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// A server that does this with each connection.
    pub fn new(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0", serve)
    }

    pub fn on(address: &str, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (Arc::clone(&connections), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || serve(stream));
            }
        });
        Self {
            address,
            connections,
        }
    }

    pub fn tls(config: Arc<ServerConfig>) -> Self {
        Self::new(move |stream| talk(&config, stream))
    }

    pub fn text(&self) -> String {
        self.address.to_string()
    }

    /// How many connections it took.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// TLS until the other side ends it.
pub fn talk(config: &Arc<ServerConfig>, mut stream: TcpStream) {
    let mut connection = ServerConnection::new(Arc::clone(config)).unwrap();
    while connection.is_handshaking() {
        if connection.complete_io(&mut stream).is_err() {
            // The alert that says why.
            let _ = connection.write_tls(&mut stream);
            end(stream);
            return;
        }
    }
    end(stream);
}

/// Ends a connection so that what was written arrives.
pub fn end(mut stream: TcpStream) {
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// Reads something, then answers with these bytes.
pub fn answers(bytes: &'static [u8]) -> Server {
    Server::new(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
        end(stream);
    })
}

/// An authority with its certificate in a file.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut request = CertificateParams::default();
        let name = "an authority";
        request.distinguished_name.push(DnType::CommonName, name);
        request.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().unwrap();
        let pem = request.self_signed(&key).unwrap().pem();
        std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
        Self {
            issuer: Issuer::new(request, key),
            folder,
        }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A server's settings with a certificate for [`NAME`] that this authority signed.
    pub fn config(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        self.config_with(versions, request(&[NAME]))
    }

    pub fn config_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        request: CertificateParams,
    ) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = request.signed_by(&key, &self.issuer).unwrap();
        settings(versions, &certificate, &key, false)
    }

    /// The same for a server that asks its clients for certificates.
    pub fn config_for_known_clients(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = request(&[NAME]).signed_by(&key, &self.issuer).unwrap();
        settings(versions, &certificate, &key, true)
    }
}

/// What a certificate is asked for with.
pub fn request(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut request = CertificateParams::new(names).unwrap();
    request.distinguished_name = rcgen::DistinguishedName::new();
    request
        .distinguished_name
        .push(DnType::CommonName, "a server");
    request
}

/// A server's settings with a certificate that nobody else signed.
pub fn self_signed() -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let certificate = request(&[NAME]).self_signed(&key).unwrap();
    settings(ONLY_13, &certificate, &key, false)
}

fn settings(
    versions: &[&'static SupportedProtocolVersion],
    certificate: &rcgen::Certificate,
    key: &KeyPair,
    asks_clients: bool,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = if asks_clients {
        let mut roots = RootCertStore::empty();
        let known = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = authority.self_signed(&known).unwrap();
        roots.add(authority.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let chain = vec![certificate.der().clone()];
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}
