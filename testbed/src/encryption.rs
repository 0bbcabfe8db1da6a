//! Encryption of Secrets in the store: configurations of the API server, with keys that are made when they are asked for.
//!
//! May not: write a key anywhere but into the folder of its cluster.

use std::path::PathBuf;

use anyhow::Context as _;
use data_encoding::BASE64;
use rustls::crypto::aws_lc_rs;
use serde_json::{Value, json};

/// A way in which an API server stores Secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// As they are.
    Identity,
    /// `aescbc`, with a new key of 32 bytes.
    AesCbc,
    /// `aesgcm`, with a new key of 32 bytes.
    AesGcm,
    /// `secretbox`, with a new key.
    SecretBox,
    /// `kms` of version 2: a plugin of this name that listens at this socket.
    KmsV2(String, PathBuf),
}

impl Provider {
    fn configured(&self) -> anyhow::Result<Value> {
        let keys = || -> anyhow::Result<Value> {
            let mut key = [0_u8; 32];
            let random = aws_lc_rs::default_provider().secure_random;
            let filled = random.fill(&mut key);
            filled.ok().context("no randomness for a key")?;
            // Each key has a name of its own, by which a stored value tells which one it needs.
            let name = format!("key-{}", BASE64.encode(&key[..3]).replace(['/', '+'], "x"));
            Ok(json!({ "keys": [{ "name": name, "secret": BASE64.encode(&key) }] }))
        };
        Ok(match self {
            Self::Identity => json!({ "identity": {} }),
            Self::AesCbc => json!({ "aescbc": keys()? }),
            Self::AesGcm => json!({ "aesgcm": keys()? }),
            Self::SecretBox => json!({ "secretbox": keys()? }),
            Self::KmsV2(name, socket) => {
                let endpoint = format!("unix://{}", socket.display());
                json!({ "kms": { "apiVersion": "v2", "name": name, "endpoint": endpoint, "timeout": "10s" } })
            }
        })
    }
}

/// An EncryptionConfiguration for Secrets: the first provider writes, all of them read. ConfigMaps are listed as well, and
/// stay as they are.
///
/// # Errors
/// When no key can be made.
pub fn configuration(providers: &[Provider]) -> anyhow::Result<Value> {
    let providers: anyhow::Result<Vec<Value>> =
        providers.iter().map(Provider::configured).collect();
    Ok(json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [
            { "resources": ["secrets"], "providers": providers? },
            { "resources": ["configmaps"], "providers": [{ "identity": {} }] },
        ],
    }))
}
