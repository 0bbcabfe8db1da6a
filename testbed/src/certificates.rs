//! The certificate authority of one cluster: serving and client certificates, and the key that signs tokens.
//!
//! May not: write files or outlive its cluster. Everything is made when the cluster starts and forgotten with it.

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Signs the certificates of one cluster.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS #8.
    pub key: String,
}

/// The key with which the API server signs the tokens of ServiceAccounts, both halves PEM.
#[derive(Clone, Debug)]
pub struct TokenKey {
    /// The private half.
    pub private: String,
    /// The public half.
    pub public: String,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> anyhow::Result<Self> {
        let key = KeyPair::generate().context("no key for the certificate authority")?;
        let mut request = CertificateParams::default();
        request
            .distinguished_name
            .push(DnType::CommonName, "testbed");
        request.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        request.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let certificate = request
            .self_signed(&key)
            .context("no certificate for the authority")?
            .pem();
        Ok(Self {
            issuer: Issuer::new(request, key),
            certificate,
        })
    }

    /// The certificate that everyone trusts, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a server on loopback.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn server(&self, names: &[&str]) -> anyhow::Result<Pair> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut request = CertificateParams::new(names).context("not the name of a server")?;
        request
            .distinguished_name
            .push(DnType::CommonName, "server");
        request.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(request)
    }

    /// A certificate for a person: the API server reads the user from its common name, the groups from its organisations.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn client(&self, user: &str, group: Option<&str>) -> anyhow::Result<Pair> {
        let mut request = CertificateParams::default();
        request.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            request
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        request.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(request)
    }

    /// The key that signs tokens.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn token_key() -> anyhow::Result<TokenKey> {
        let key = KeyPair::generate().context("no key for tokens")?;
        Ok(TokenKey {
            private: key.serialize_pem(),
            public: key.public_key_pem(),
        })
    }

    fn sign(&self, mut request: CertificateParams) -> anyhow::Result<Pair> {
        let key = KeyPair::generate().context("no key")?;
        request.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = request
            .signed_by(&key, &self.issuer)
            .context("the authority cannot sign")?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}
