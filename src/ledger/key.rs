//! The keys of a ledger: Ed25519, in the text forms of signed notes. The name of a key is the origin of its ledger.
//!
//! May not: make randomness, or show a signing key but by [`SigningKey::to_text`].

use std::fmt;

use data_encoding::BASE64;
use signed_note::{StandardSigner, StandardVerifier, VerifierList};
use thiserror::Error;

/// Signature algorithm of signed notes: Ed25519.
const ALGORITHM: u8 = 1;

/// Signs the checkpoints of one ledger.
#[derive(Clone)]
pub struct SigningKey {
    text: String,
    signer: StandardSigner,
    verifying: VerifyingKey,
}

/// Verifies the checkpoints of one ledger.
#[derive(Clone)]
pub struct VerifyingKey {
    text: String,
    origin: String,
    verifier: StandardVerifier,
}

/// Why a text is no key.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// The origin cannot name a key.
    #[error(
        "`{0}` cannot be the origin of a ledger: it is empty, or holds a space, a plus or a control character. Write it as a host and a \
         path, as ledger.example.com/cluster"
    )]
    Origin(String),
    /// No signing key.
    #[error(
        "the text is no signing key of a ledger (`PRIVATE+KEY+<origin>+<id>+<base64>`); make one with `covenant ledger keygen`"
    )]
    Signing,
    /// No verifying key.
    #[error(
        "the text is no verifying key of a ledger (`<origin>+<id>+<base64>`); it is the line that `covenant ledger keygen` prints"
    )]
    Verifying,
}

/// Whether a text can name a ledger, its key, and a file.
fn check_origin(origin: &str) -> Result<(), KeyError> {
    let wrong = !signed_note::is_key_name_valid(origin)
        || origin.chars().any(char::is_control)
        || origin.len() > 512
        || !matches!(last_part(origin), part if !part.is_empty() && part != "." && part != "..");
    if wrong {
        return Err(KeyError::Origin(origin.to_owned()));
    }
    Ok(())
}

fn last_part(origin: &str) -> &str {
    origin.rsplit('/').next().unwrap_or(origin)
}

impl SigningKey {
    /// The key of a ledger with this origin, from 32 bytes that nobody can guess.
    ///
    /// # Errors
    /// When the origin cannot name a key.
    pub fn generate(origin: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        check_origin(origin)?;
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        let verifying = signed_note::new_ed25519_verifier_key(origin, &key.verifying_key());
        let id = verifying
            .strip_prefix(origin)
            .and_then(|rest| rest.get(1..9))
            .ok_or(KeyError::Signing)?;
        let secret: Vec<u8> = [&[ALGORITHM], seed.as_slice()].concat();
        Self::parse(&format!(
            "PRIVATE+KEY+{origin}+{id}+{}",
            BASE64.encode(&secret)
        ))
    }

    /// Reads the text form. Space around it does not count.
    ///
    /// # Errors
    /// When it is no signing key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let signer = StandardSigner::new(text).map_err(|_| KeyError::Signing)?;
        // Base64 has pluses of its own, name and id have none.
        let secret = text.splitn(5, '+').nth(4).unwrap_or_default();
        let secret = BASE64
            .decode(secret.as_bytes())
            .map_err(|_| KeyError::Signing)?;
        let seed = secret
            .get(1..)
            .and_then(|it| <[u8; 32]>::try_from(it).ok())
            .ok_or(KeyError::Signing)?;
        let origin = signed_note::Signer::name(&signer).to_owned();
        check_origin(&origin)?;
        let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
        let verifying = signed_note::new_ed25519_verifier_key(&origin, &public);
        Ok(Self {
            text: text.to_owned(),
            signer,
            verifying: VerifyingKey::parse(&verifying)?,
        })
    }

    /// The text form, which is secret.
    #[must_use]
    pub fn to_text(&self) -> &str {
        &self.text
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// The origin of the ledger whose key it is.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.verifying.origin()
    }

    pub(super) fn signer(&self) -> &StandardSigner {
        &self.signer
    }
}

impl VerifyingKey {
    /// Reads the text form (a C2SP `vkey`). Space around it does not count.
    ///
    /// # Errors
    /// When it is no verifying key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let verifier = StandardVerifier::new(text).map_err(|_| KeyError::Verifying)?;
        let origin = signed_note::Verifier::name(&verifier).to_owned();
        check_origin(&origin)?;
        Ok(Self {
            text: text.to_owned(),
            origin,
            verifier,
        })
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> &str {
        &self.text
    }

    /// The origin of the ledger whose key it is.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Where a ledger keeps this key: `keys/<last part of the origin>.vkey`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("keys/{}.vkey", last_part(&self.origin))
    }

    pub(super) fn known(&self) -> VerifierList {
        VerifierList::new(vec![Box::new(self.verifier.clone())])
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("origin", &self.origin())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("VerifyingKey")
            .field(&self.text)
            .finish()
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for VerifyingKey {}
