//! A server's certificate: what it says, and whether it is valid.
//!
//! May not: look up whether it was revoked.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::render::{CertificateSeen, Trust};

const DAY: i64 = 86_400;

/// What certificates are judged by.
pub(super) struct Roots {
    verifier: Option<Arc<WebPkiServerVerifier>>,
    named: String,
}

impl Roots {
    /// The roots of a file, or else of this system.
    pub(super) fn load(
        provider: &Arc<CryptoProvider>,
        file: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let mut store = RootCertStore::empty();
        let named = match file {
            Some(path) => {
                let shown = path.display();
                let read = CertificateDer::pem_file_iter(path)
                    .with_context(|| format!("--ca: cannot read {shown}"))?;
                for certificate in read {
                    let certificate =
                        certificate.with_context(|| format!("--ca: {shown} is not PEM"))?;
                    store.add(certificate).with_context(|| {
                        format!("--ca: {shown} has a certificate that is no root")
                    })?;
                }
                if store.is_empty() {
                    bail!("--ca: {shown} has no certificate; give one in PEM");
                }
                format!("the roots in {shown}")
            }
            None => {
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                "the roots of this system".to_owned()
            }
        };
        let verifier = if store.is_empty() {
            None
        } else {
            let builder =
                WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
            Some(builder.build().context("the roots cannot be used")?)
        };
        Ok(Self { verifier, named })
    }

    /// What a chain says, and whether it is valid for this name.
    pub(super) fn judge(
        &self,
        chain: &[CertificateDer<'static>],
        name: &ServerName<'_>,
        now: Timestamp,
    ) -> Option<CertificateSeen> {
        let (own, others) = chain.split_first()?;
        let (trust, problem) = match &self.verifier {
            None => {
                let problem = "this system has none; name them with --ca";
                (Trust::Unknown, Some(problem.to_owned()))
            }
            Some(verifier) => {
                let seconds = u64::try_from(now.as_second()).unwrap_or_default();
                let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
                match verifier.verify_server_cert(own, others, name, &[], at) {
                    Ok(_) => (Trust::Valid, None),
                    Err(error) => (Trust::NotValid, Some(words(error))),
                }
            }
        };
        let mut seen = CertificateSeen {
            subject: "not readable".to_owned(),
            names: Vec::new(),
            issuer: "not readable".to_owned(),
            not_before: None,
            not_after: None,
            days_left: None,
            trust,
            roots: self.named.clone(),
            problem,
        };
        if let Ok((_, read)) = X509Certificate::from_der(own) {
            describe(&mut seen, &read, now);
        }
        Some(seen)
    }
}

fn describe(seen: &mut CertificateSeen, read: &X509Certificate<'_>, now: Timestamp) {
    seen.subject = read.subject().to_string();
    if seen.subject.is_empty() {
        seen.subject = "no subject".to_owned();
    }
    seen.issuer = read.issuer().to_string();
    if read.subject().as_raw() == read.issuer().as_raw() {
        seen.issuer = format!("itself ({})", seen.issuer);
    }
    let instant = |seconds: i64| Timestamp::from_second(seconds).ok();
    let until = read.validity().not_after.timestamp();
    seen.not_before = instant(read.validity().not_before.timestamp());
    seen.not_after = instant(until);
    seen.days_left = Some(until.saturating_sub(now.as_second()).div_euclid(DAY));
    let names = read.subject_alternative_name().ok().flatten();
    let names = names.into_iter().flat_map(|it| &it.value.general_names);
    seen.names = names.filter_map(name_words).collect();
}

fn name_words(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(|it| Ipv4Addr::from(it).to_string());
            let six = <[u8; 16]>::try_from(*bytes).map(|it| Ipv6Addr::from(it).to_string());
            four.or(six).ok()
        }
        _ => None,
    }
}

fn words(error: Error) -> String {
    let Error::InvalidCertificate(error) = error else {
        return error.to_string();
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its time has not come".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for other names".to_owned()
        }
        CertificateError::UnknownIssuer => "none of them vouches for it".to_owned(),
        CertificateError::BadSignature => {
            "it is not signed by whom it names as its issuer".to_owned()
        }
        error => format!("{error}"),
    }
}
