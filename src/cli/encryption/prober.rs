//! Probes of servers: what they negotiate with a client of TLS 1.3 and 1.2, and with one of TLS 1.2 alone.
//!
//! Each server is connected to three times at most, once each. May not: try again, wait without end, or call TLS 1.2 refused
//! where only silence was seen.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, ProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::address::{Address, HTTPS};
use super::certificate::Roots;
use super::handshake::{self, End, Shaken, alert_words, shake};
use super::{Progress, probe::Trusting};
use crate::render::{Offers, TlsProbe};

/// Servers that are probed at once.
const AT_ONCE: usize = 8;
/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;
/// How much of an answer is shown.
const SHOWN: usize = 64;

/// What is probed.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// As it is shown.
    pub shown: String,
    /// What publishes it.
    pub published_by: Option<String>,
    /// Where to connect to.
    pub connect: Address,
    /// The name that the certificate must be for.
    pub name: ServerName<'static>,
    /// Whether the name is somebody else's, who could have this machine talk to itself or its neighbours.
    pub is_foreign: bool,
}

/// Probes servers.
pub(super) struct Prober {
    both: Arc<ClientConfig>,
    tls12: Arc<ClientConfig>,
    roots: Roots,
    patience: Duration,
    now: Timestamp,
}

impl Prober {
    /// Reads roots.
    pub(super) fn new(trusting: &Trusting, now: Timestamp) -> anyhow::Result<Self> {
        let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(Self {
            both: handshake::config(&provider, &[&TLS13, &TLS12])?,
            tls12: handshake::config(&provider, &[&TLS12])?,
            roots: Roots::load(&provider, trusting.ca.as_deref())?,
            patience: Duration::from_secs(trusting.timeout.into()),
            now,
        })
    }

    /// Probes them all, a few at once; told in the order in which they were named.
    pub(super) async fn all(&self, targets: Vec<Target>, progress: &mut Progress) -> Vec<TlsProbe> {
        let count = targets.len();
        let mut probes = Vec::with_capacity(count);
        let mut running = futures::stream::iter(targets)
            .map(|target| self.one(target))
            .buffered(AT_ONCE);
        progress.tell(&format!("probing {count}"));
        while let Some(probe) = running.next().await {
            probes.push(probe);
            progress.tell(&format!("{} of {count} probed", probes.len()));
        }
        progress.clear();
        probes
    }

    async fn one(&self, target: Target) -> TlsProbe {
        let mut probe = TlsProbe::unseen(target.shown.clone(), Offers::Unreachable, "");
        probe.published_by.clone_from(&target.published_by);
        probe.server_name = Some(target.name.to_str().into_owned());
        let (stream, address) = match self.connect(&target).await {
            Ok(connected) => connected,
            Err((offers, reason)) => {
                probe.offers = offers;
                probe.reason = Some(reason);
                return probe.judged();
            }
        };
        probe.connected_to = Some(address.to_string());
        let name = || target.name.clone();
        let first = shake(stream, Arc::clone(&self.both), name(), self.patience).await;
        probe.certificate = self
            .roots
            .judge(&first.certificates, &target.name, self.now);
        probe.negotiated.clone_from(&first.negotiated);
        let (offers, reason) = match (&first.end, first.version) {
            (End::Done, Some(ProtocolVersion::TLSv1_3)) => {
                let (offers, reason, negotiated) = self.by_tls12_alone(address, name()).await;
                probe.negotiated_by_tls12_alone = negotiated;
                (offers, reason)
            }
            (End::Done, _) => (Offers::Tls12Only, None),
            // The version was agreed on, whatever became of the rest.
            (end, Some(ProtocolVersion::TLSv1_2)) => (Offers::Tls12Only, Some(end_words(end))),
            (End::Closed | End::Silent, None) => self.in_the_clear(address, &target, &first).await,
            (End::Plain(bytes), _) => (Offers::NoTls, Some(plain_words(bytes))),
            (End::Older | End::Alert(AlertDescription::ProtocolVersion), _) => {
                let reason = "it knows neither TLS 1.3 nor TLS 1.2";
                (Offers::Older, Some(reason.to_owned()))
            }
            (end, _) => (Offers::Refused, Some(end_words(end))),
        };
        probe.offers = offers;
        probe.reason = reason;
        probe.judged()
    }

    /// The first address of the target that takes a connection.
    async fn connect(&self, target: &Target) -> Result<(TcpStream, SocketAddr), (Offers, String)> {
        let unreachable = |reason: String| (Offers::Unreachable, reason);
        let port = target.connect.port.unwrap_or(HTTPS);
        let addresses: Vec<SocketAddr> = match target.connect.host.parse::<IpAddr>() {
            Ok(address) => vec![(address, port).into()],
            Err(_) => {
                let found = timeout(
                    self.patience,
                    lookup_host((target.connect.host.as_str(), port)),
                );
                match found.await {
                    Ok(Ok(found)) => found.take(ADDRESSES).collect(),
                    Ok(Err(error)) => {
                        return Err(unreachable(format!("its name is not found: {error}")));
                    }
                    Err(_) => {
                        let seconds = self.patience.as_secs();
                        return Err(unreachable(format!(
                            "its name was not found within {seconds} s"
                        )));
                    }
                }
            }
        };
        let mut reason = "its name has no address".to_owned();
        for address in addresses {
            if target.is_foreign && is_nobodys(address.ip()) {
                let reason = format!(
                    "its name leads to {}, which is this machine or its link; a name that a tenant chose is not followed there",
                    address.ip()
                );
                return Err((Offers::NotTried, reason));
            }
            reason = match timeout(self.patience, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, address)),
                Ok(Err(error)) => format!("{address}: {error}"),
                Err(_) => {
                    let seconds = self.patience.as_secs();
                    format!("{address}: no connection within {seconds} s")
                }
            };
        }
        Err(unreachable(reason))
    }

    /// Whether a client that offers TLS 1.2 alone is served too. Only an alert is a refusal: silence may have any cause.
    async fn by_tls12_alone(
        &self,
        address: SocketAddr,
        name: ServerName<'static>,
    ) -> (Offers, Option<String>, Option<crate::render::Negotiated>) {
        let unknown = |why: String| {
            let reason = format!("a client that offers TLS 1.2 alone: {why}");
            (Offers::Tls13, Some(reason), None)
        };
        let stream = match timeout(self.patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return unknown(error.to_string()),
            Err(_) => return unknown("no connection in time".to_owned()),
        };
        let shaken = shake(stream, Arc::clone(&self.tls12), name, self.patience).await;
        match (&shaken.end, shaken.version) {
            (_, Some(_)) => (Offers::Tls13AndTls12, None, shaken.negotiated),
            (End::Older, None) => {
                let reason = "a client that offers TLS 1.2 alone is answered with something older";
                (Offers::Older, Some(reason.to_owned()), None)
            }
            (End::Alert(alert), None) if says_suites(*alert) => unknown(format!(
                "refused by {}, which is also said to who has no cipher suite in common",
                alert_words(*alert)
            )),
            (End::Alert(alert), None) => {
                let reason = format!("TLS 1.2 is refused by {}", alert_words(*alert));
                (Offers::Tls13Only, Some(reason), None)
            }
            (end, None) => unknown(end_words(end)),
        }
    }

    /// What a server says to plain HTTP that did not answer to TLS.
    async fn in_the_clear(
        &self,
        address: SocketAddr,
        target: &Target,
        first: &Shaken,
    ) -> (Offers, Option<String>) {
        let asked = async {
            let mut stream = TcpStream::connect(address).await?;
            let host = target.name.to_str();
            let request = format!("HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = vec![0; SHOWN];
            let read = stream.read(&mut answer).await?;
            answer.truncate(read);
            std::io::Result::Ok(answer)
        };
        match timeout(self.patience, asked).await {
            Ok(Ok(answer)) if !answer.is_empty() => (Offers::NoTls, Some(plain_words(&answer))),
            _ => (Offers::NoAnswer, Some(end_words(&first.end))),
        }
    }
}

/// Alerts of servers that share no cipher suite, group or algorithm.
fn says_suites(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity
    )
}

fn end_words(end: &End) -> String {
    match end {
        End::Done => "the handshake is whole".to_owned(),
        End::Plain(bytes) => plain_words(bytes),
        End::Alert(alert) => format!("refused by {}", alert_words(*alert)),
        End::Older => "answered with a version before TLS 1.2".to_owned(),
        End::Closed => "the connection was closed without an answer".to_owned(),
        End::Silent => "the connection was taken, and nothing was said in time".to_owned(),
        End::Broken(why) => format!("the handshake broke off: {why}"),
    }
}

fn plain_words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    let line = text.lines().next().unwrap_or_default();
    if line.starts_with("HTTP/") {
        format!("it answers in plain HTTP: {line}")
    } else {
        format!("it answers with something that is not TLS: {line}")
    }
}

/// Addresses that lead to this machine or its own link, whoever's name has them.
fn is_nobodys(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || match address {
            IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }
}
