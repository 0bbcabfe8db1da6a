//! By what the operator's own endpoints are served: TLS 1.3 (RFC 8446) and nothing less.
//!
//! The certificate is read from files, and read again when they were written, as a Secret's are when it is renewed. Without files one
//! is made at each start: it keeps what is told from being read, and proves to nobody who tells it. May not: serve in plain text.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

/// The name of a certificate that is made at the start.
const SELF: &str = "covenant";

/// Where the certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate and what leads from it to an authority, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Why there is no certificate to be known by.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// A file cannot be read, or holds something else.
    #[error("{} holds no {what} in PEM that can be read; check --tls-certificate and --tls-key", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What it must hold.
        what: &'static str,
        /// The cause.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not belong together, or the key is of no use.
    #[error("certificate and key make no pair")]
    Pair(#[source] rustls::Error),
    /// TLS 1.3 cannot be spoken by this build.
    #[error("this build cannot speak TLS 1.3")]
    Version(#[source] rustls::Error),
    /// No certificate could be made.
    #[error("a certificate for this run could not be made")]
    Made(#[source] rcgen::Error),
}

/// What is served by.
///
/// # Errors
/// When there is no certificate to be known by.
pub fn config(files: Option<CertificateFiles>) -> Result<Arc<ServerConfig>, EndpointError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let resolver: Arc<dyn ResolvesServerCert> = match files {
        Some(files) => Arc::new(Renewed::read(files, Arc::clone(&provider))?),
        None => Arc::new(Always(made(&provider)?)),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(EndpointError::Version)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn made(provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, EndpointError> {
    let made =
        rcgen::generate_simple_self_signed([SELF.to_owned()]).map_err(EndpointError::Made)?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let chain = vec![made.cert.der().clone()];
    let pair = CertifiedKey::from_der(chain, key.into(), provider).map_err(EndpointError::Pair)?;
    Ok(Arc::new(pair))
}

/// One certificate for as long as this runs.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// The certificate of files, as they are now.
#[derive(Debug)]
struct Renewed {
    files: CertificateFiles,
    provider: Arc<CryptoProvider>,
    read: Mutex<Read>,
}

/// What was read, of files that were written then.
#[derive(Debug)]
struct Read {
    written: Option<SystemTime>,
    pair: Arc<CertifiedKey>,
}

impl Renewed {
    fn read(files: CertificateFiles, provider: Arc<CryptoProvider>) -> Result<Self, EndpointError> {
        let written = written(&files);
        let pair = pair(&files, &provider)?;
        Ok(Self {
            files,
            provider,
            read: Mutex::new(Read { written, pair }),
        })
    }
}

impl ResolvesServerCert for Renewed {
    /// Reads again what was written since. Half a renewal is no pair: the one before goes on until the whole is there.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let written = written(&self.files);
        if read.written != written {
            match pair(&self.files, &self.provider) {
                Ok(pair) => *read = Read { written, pair },
                Err(error) => {
                    tracing::warn!(%error, "the renewed certificate cannot be used; the one before goes on");
                }
            }
        }
        Some(Arc::clone(&read.pair))
    }
}

/// When the younger of the two was written.
fn written(files: &CertificateFiles) -> Option<SystemTime> {
    let of = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let both = [of(&files.certificate).ok(), of(&files.key).ok()];
    both.into_iter().flatten().max()
}

fn pair(
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, EndpointError> {
    let wrong = |path: &Path, what| {
        let path = path.to_owned();
        move |source| EndpointError::File { path, what, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(wrong(&files.certificate, "certificate"))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(wrong(&files.key, "private key"))?;
    let pair = CertifiedKey::from_der(chain, key, provider).map_err(EndpointError::Pair)?;
    Ok(Arc::new(pair))
}
