//! Encryption of Secrets in the store: configurations of the API server, with keys that are made at run time.
//!
//! May not: write a key anywhere but into the folder of its cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use data_encoding::{BASE64, HEXLOWER};
use rustls::crypto::aws_lc_rs;
use serde_json::{Value, json};

use crate::process::Process;
use crate::tools::{self, Tool};
use crate::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(90);

/// A key of 32 bytes, made at run time.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new() -> anyhow::Result<Self> {
        let mut key = [0; 32];
        let filled = aws_lc_rs::default_provider().secure_random.fill(&mut key);
        filled.ok().context("no randomness for a key")?;
        Ok(Self(key))
    }

    /// With a name of its own, by which a stored value tells which key it needs.
    fn configured(&self) -> Value {
        let name = format!("key-{}", HEXLOWER.encode(&self.0[..3]));
        json!({ "keys": [{ "name": name, "secret": BASE64.encode(&self.0) }] })
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        text.write_str("Key(..)")
    }
}

/// A running kms v2 plugin, with a key that ends with it. Dropping it kills it.
#[derive(Debug)]
pub struct KmsPlugin {
    name: String,
    socket: PathBuf,
    _process: Process,
}

impl KmsPlugin {
    /// Starts one of this name, which listens in this folder.
    ///
    /// # Errors
    /// When it does not begin to listen.
    pub async fn start(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let program = tools::find_async(Tool::KmsPlugin).await?;
        let socket = folder.join(format!("{name}.socket"));
        let log = folder.join(format!("{name}.log"));
        let arguments = [socket.display().to_string()];
        let process = Process::start("kms-plugin", &program, &arguments, &log)?;
        let listens = || async { socket.exists().then_some(()) };
        eventually("the kms plugin listens", PATIENCE, listens)
            .await
            .with_context(|| format!("its last words:\n{}", process.tail(10)))?;
        Ok(Self {
            name: name.to_owned(),
            socket,
            _process: process,
        })
    }

    /// The provider that asks it.
    #[must_use]
    pub fn provider(&self) -> Provider {
        Provider::KmsV2(self.name.clone(), self.socket.clone())
    }
}

/// A way in which an API server stores Secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// As they are.
    Identity,
    /// `aescbc`.
    AesCbc(Key),
    /// `aesgcm`.
    AesGcm(Key),
    /// `secretbox`.
    SecretBox(Key),
    /// `kms` of version 2: a plugin of this name that listens at this socket.
    KmsV2(String, PathBuf),
}

impl Provider {
    fn configured(&self) -> Value {
        match self {
            Self::Identity => json!({ "identity": {} }),
            Self::AesCbc(key) => json!({ "aescbc": key.configured() }),
            Self::AesGcm(key) => json!({ "aesgcm": key.configured() }),
            Self::SecretBox(key) => json!({ "secretbox": key.configured() }),
            Self::KmsV2(name, socket) => {
                let endpoint = format!("unix://{}", socket.display());
                json!({ "kms": { "apiVersion": "v2", "name": name, "endpoint": endpoint, "timeout": "10s" } })
            }
        }
    }
}

/// An EncryptionConfiguration for Secrets: the first provider writes, all of them read. ConfigMaps are listed as well, and
/// stay as they are.
#[must_use]
pub fn configuration(providers: &[Provider]) -> Value {
    let providers: Vec<Value> = providers.iter().map(Provider::configured).collect();
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [
            { "resources": ["secrets"], "providers": providers },
            { "resources": ["configmaps"], "providers": [{ "identity": {} }] },
        ],
    })
}
