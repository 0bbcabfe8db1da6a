//! What a server was seen to negotiate.
//!
//! May not: say more than one client saw, at one instant, from where it was.

use jiff::Timestamp;
use serde::Serialize;

use crate::render::{Finding, REPORT_API_VERSION};

/// Probes of servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsProbes {
    api_version: &'static str,
    kind: &'static str,
    /// When they were made.
    pub at: Timestamp,
    /// The worst of all.
    pub result: Finding,
    /// In the order in which they were asked for.
    pub probes: Vec<TlsProbe>,
}

/// A probe of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsProbe {
    /// What was asked for, as `host:port`.
    pub target: String,
    /// What publishes it, as `Kind/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_by: Option<String>,
    /// The name that the certificate must be for, and that was sent (an address is not sent).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The address that was connected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_to: Option<String>,
    /// What it offers.
    pub offers: Offers,
    /// What it rests on, where something is to be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was negotiated with a client of TLS 1.3 and 1.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negotiated: Option<Negotiated>,
    /// What was negotiated with a client of TLS 1.2 alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negotiated_by_tls12_alone: Option<Negotiated>,
    /// Its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateSeen>,
    /// `Passed` where it offers TLS 1.3 only and its certificate is valid, `Failed` where it was seen that this is not so.
    pub result: Finding,
}

/// What a server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Offers {
    /// TLS 1.3, and TLS 1.2 was refused.
    Tls13Only,
    /// TLS 1.3, and TLS 1.2 to who asks for no more.
    Tls13AndTls12,
    /// TLS 1.3; whether TLS 1.2 too could not be found out.
    Tls13,
    /// TLS 1.2 at most.
    Tls12Only,
    /// Less than TLS 1.2.
    Older,
    /// Bytes that are not TLS.
    NoTls,
    /// TLS, and it refuses what was offered.
    Refused,
    /// It can be connected to, and does not answer.
    NoAnswer,
    /// It cannot be connected to.
    Unreachable,
    /// It was not tried.
    NotTried,
}

/// What was negotiated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Negotiated {
    /// Version, such as `TLS 1.3`.
    pub version: String,
    /// Cipher suite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher_suite: Option<String>,
    /// Group of the key exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Whether a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Trust {
    /// For this name, now, by a root that is trusted.
    Valid,
    /// It is not.
    NotValid,
    /// There were no roots to tell by.
    Unknown,
}

/// A certificate as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSeen {
    /// Subject.
    pub subject: String,
    /// Names and addresses that it is for.
    pub names: Vec<String>,
    /// Issuer.
    pub issuer: String,
    /// Its first instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Its last instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// Whole days that are left; negative once it has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
    /// Whether it is valid. Whether it was revoked is not looked at.
    pub trust: Trust,
    /// What it is judged by.
    pub roots: String,
    /// Why it is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl TlsProbes {
    /// A report of these.
    #[must_use]
    pub fn new(at: Timestamp, probes: Vec<TlsProbe>) -> Self {
        Self {
            api_version: REPORT_API_VERSION,
            kind: "EncryptionProbe",
            at,
            result: probes
                .iter()
                .map(|probe| probe.result)
                .max()
                .unwrap_or(Finding::Unknown),
            probes,
        }
    }
}

impl TlsProbe {
    /// A probe of which nothing is known but why.
    #[must_use]
    pub fn unseen(target: String, offers: Offers, reason: impl Into<String>) -> Self {
        Self {
            target,
            published_by: None,
            server_name: None,
            connected_to: None,
            offers,
            reason: Some(reason.into()),
            negotiated: None,
            negotiated_by_tls12_alone: None,
            certificate: None,
            result: Finding::Unknown,
        }
        .judged()
    }

    /// With its result.
    #[must_use]
    pub fn judged(mut self) -> Self {
        let offered = match self.offers {
            Offers::Tls13Only => Finding::Passed,
            Offers::Tls13AndTls12 | Offers::Tls12Only | Offers::Older | Offers::NoTls => {
                Finding::Failed
            }
            Offers::Tls13
            | Offers::Refused
            | Offers::NoAnswer
            | Offers::Unreachable
            | Offers::NotTried => Finding::Unknown,
        };
        let trusted = match self.certificate.as_ref().map(|seen| seen.trust) {
            Some(Trust::Valid) => Finding::Passed,
            Some(Trust::NotValid) => Finding::Failed,
            Some(Trust::Unknown) | None => Finding::Unknown,
        };
        self.result = offered.max(trusted);
        self
    }
}

impl Offers {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Tls13Only => "TLS 1.3 only",
            Self::Tls13AndTls12 => "TLS 1.3 and 1.2",
            Self::Tls13 => "TLS 1.3; whether 1.2 too is not known",
            Self::Tls12Only => "TLS 1.2 only",
            Self::Older => "older than TLS 1.2",
            Self::NoTls => "no TLS",
            Self::Refused => "the handshake failed",
            Self::NoAnswer => "no answer",
            Self::Unreachable => "unreachable",
            Self::NotTried => "not tried",
        }
    }
}
