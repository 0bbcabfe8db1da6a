//! Names of people, made unlinkable: whoever destroys the key makes strangers of all of them.
//!
//! May not: write a person's name anywhere, or keep one.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use thiserror::Error;

/// Bytes of a pseudonym: enough that no two people share one.
const LENGTH: usize = 20;
/// Users that are parts of the cluster, not people.
const MACHINES: [&str; 4] = [
    "system:serviceaccount:",
    "system:node:",
    "system:kube-",
    "system:apiserver",
];

/// Turns the names of actors into what may stand in an entry.
#[derive(Clone)]
pub struct Pseudonyms {
    key: [u8; 32],
}

/// The text is no key of pseudonyms.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "the text is no key of pseudonyms: it is 64 hexadecimal digits. With another key the same person has another pseudonym; take the \
     file back from where the signing key is kept"
)]
pub struct PseudonymKeyError;

impl Pseudonyms {
    /// With a key that nobody can guess.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// Reads the text form of the key.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, PseudonymKeyError> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE
            .decode(text.trim().as_bytes())
            .map_err(|_| PseudonymKeyError)?;
        let key = bytes.try_into().map_err(|_| PseudonymKeyError)?;
        Ok(Self { key })
    }

    /// The text form of the key, which is secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.key)
    }

    /// What stands in an entry for this user of the API server: a part of the cluster in clear, a person as `person:<base32>`.
    #[must_use]
    pub fn actor(&self, user: &str) -> String {
        if MACHINES.iter().any(|machine| user.starts_with(machine)) {
            return user.to_owned();
        }
        // HMAC takes keys of any length, so this cannot fail; without a key nobody is named.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            return "person:".to_owned();
        };
        mac.update(user.as_bytes());
        let code = mac.finalize().into_bytes();
        let short = code.get(..LENGTH).unwrap_or(&code);
        format!("person:{}", BASE32_NOPAD.encode(short).to_lowercase())
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pseudonyms").finish_non_exhaustive()
    }
}
