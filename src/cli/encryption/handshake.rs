//! One handshake of TLS over a connection, as far as it comes.
//!
//! May not: send anything but the handshake and its end, or judge a certificate: it takes every one, in order to see it.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, Error,
    PeerIncompatible, ProtocolVersion, SignatureScheme, SupportedProtocolVersion,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::render::Negotiated;

/// Longest that a server's half of a handshake is read.
const MOST_BYTES: usize = 256 * 1024;
/// Content types of TLS records: change of cipher, alert, handshake, application data.
const RECORDS: std::ops::RangeInclusive<u8> = 20..=23;

/// How far a handshake came.
pub(super) struct Shaken {
    /// What was negotiated; the version is known from the server's first word on.
    pub negotiated: Option<Negotiated>,
    /// The version.
    pub version: Option<ProtocolVersion>,
    /// The server's certificates, its own first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// How it ended.
    pub end: End,
}

/// How a handshake ended.
#[derive(Debug)]
pub(super) enum End {
    /// It is whole.
    Done,
    /// The answer is not TLS; this is how it begins.
    Plain(Vec<u8>),
    /// The server refused by this alert.
    Alert(AlertDescription),
    /// The server answered with a version before TLS 1.2.
    Older,
    /// The server closed the connection.
    Closed,
    /// Nothing came in time.
    Silent,
    /// Something of it was not as it must be.
    Broken(String),
}

/// A client's settings that offers these versions.
pub(super) fn config(
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ClientConfig>, Error> {
    let takes_every = TakesEvery(Arc::clone(provider));
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(takes_every))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// Shakes hands.
pub(super) async fn shake(
    mut stream: TcpStream,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    patience: Duration,
) -> Shaken {
    let mut connection = match ClientConnection::new(config, name) {
        Ok(connection) => connection,
        Err(error) => {
            return Shaken {
                negotiated: None,
                version: None,
                certificates: Vec::new(),
                end: End::Broken(error.to_string()),
            };
        }
    };
    let end = timeout(patience, drive(&mut stream, &mut connection)).await;
    let end = end.unwrap_or(End::Silent);
    let version = connection.protocol_version();
    let suite = connection.negotiated_cipher_suite();
    let group = connection.negotiated_key_exchange_group();
    Shaken {
        negotiated: version.map(|version| Negotiated {
            version: version_words(version),
            cipher_suite: suite.map(|suite| format!("{:?}", suite.suite())),
            group: group.map(|group| format!("{:?}", group.name())),
        }),
        version,
        certificates: connection
            .peer_certificates()
            .map(<[_]>::to_vec)
            .unwrap_or_default(),
        end,
    }
}

async fn drive(stream: &mut TcpStream, connection: &mut ClientConnection) -> End {
    let mut buffer = [0; 4096];
    let mut count = 0;
    loop {
        // Whoever refuses may close before everything is written, and what it said is still there to be read.
        let written = flush(stream, connection).await;
        if !connection.is_handshaking() {
            connection.send_close_notify();
            let _ = flush(stream, connection).await;
            return End::Done;
        }
        let read = match stream.read(&mut buffer).await {
            Ok(0) => return End::Closed,
            Ok(read) => read,
            Err(error) => {
                let closed = written.is_err()
                    || matches!(
                        error.kind(),
                        std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
                    );
                return if closed {
                    End::Closed
                } else {
                    End::Broken(error.to_string())
                };
            }
        };
        let mut bytes = &buffer[..read];
        if count == 0 && !RECORDS.contains(&bytes[0]) {
            return End::Plain(bytes.to_vec());
        }
        count += read;
        if count > MOST_BYTES {
            return End::Broken("its half of the handshake has no end".to_owned());
        }
        while !bytes.is_empty() {
            if let Err(error) = connection.read_tls(&mut bytes) {
                return End::Broken(error.to_string());
            }
            if let Err(error) = connection.process_new_packets() {
                let _ = flush(stream, connection).await;
                return match error {
                    Error::AlertReceived(alert) => End::Alert(alert),
                    Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
                        End::Older
                    }
                    error => End::Broken(error.to_string()),
                };
            }
        }
    }
}

async fn flush(stream: &mut TcpStream, connection: &mut ClientConnection) -> std::io::Result<()> {
    while connection.wants_write() {
        let mut bytes = Vec::new();
        connection.write_tls(&mut bytes)?;
        stream.write_all(&bytes).await?;
    }
    Ok(())
}

/// A version as its specification writes it.
pub(super) fn version_words(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_3 => "TLS 1.3".to_owned(),
        ProtocolVersion::TLSv1_2 => "TLS 1.2".to_owned(),
        other => format!("{other:?}"),
    }
}

/// An alert as its specification writes it.
pub(super) fn alert_words(alert: AlertDescription) -> String {
    let name = format!("{alert:?}");
    let mut words = String::with_capacity(name.len() + 4);
    for (at, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            words.push('_');
        }
        words.push(letter.to_ascii_lowercase());
    }
    format!("alert {words}")
}

/// Takes every certificate; that the server has its key is still verified.
#[derive(Debug)]
struct TakesEvery(Arc<CryptoProvider>);

impl ServerCertVerifier for TakesEvery {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
