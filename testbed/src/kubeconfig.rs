//! Kubeconfig files: how a user, a ServiceAccount or an impersonated user reaches an API server.
//!
//! May not: decide who may do what. It writes credentials down, and reads them back as a client.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use data_encoding::BASE64;
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::certificates::Pair;

/// Where an API server is, and whose certificate to trust there.
#[derive(Clone, Debug)]
pub struct Server {
    /// `https://127.0.0.1:…`, or `http://…` for the fault proxy.
    pub address: String,
    /// Certificate of the authority, PEM; absent for plain http.
    pub authority: Option<String>,
}

/// By what one is known to an API server.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A client certificate.
    Certificate(Pair),
    /// A bearer token.
    Token(String),
}

/// The text of a kubeconfig. It is JSON, which every reader of YAML reads.
#[must_use]
pub fn text(server: &Server, user: &str, credential: &Credential) -> String {
    let mut cluster = json!({ "server": server.address });
    if let Some(authority) = &server.authority {
        cluster["certificate-authority-data"] = json!(BASE64.encode(authority.as_bytes()));
    }
    let user_data = match credential {
        Credential::Certificate(pair) => json!({
            "client-certificate-data": BASE64.encode(pair.certificate.as_bytes()),
            "client-key-data": BASE64.encode(pair.key.as_bytes()),
        }),
        Credential::Token(token) => json!({ "token": token }),
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": user,
        "clusters": [{ "name": "testbed", "cluster": cluster }],
        "users": [{ "name": user, "user": user_data }],
        "contexts": [{ "name": user, "context": { "cluster": "testbed", "user": user } }],
    });
    format!("{config:#}\n")
}

/// The text of a kubeconfig that acts as someone else with the credential of `original`.
#[must_use]
pub fn impersonating(original: &Value, user: &str, group: Option<&str>) -> String {
    let mut config = original.clone();
    for credential in credentials(&mut config) {
        credential["as"] = json!(user);
        credential["as-groups"] = json!(group.into_iter().collect::<Vec<_>>());
    }
    format!("{config:#}\n")
}

/// The text of a kubeconfig for the same server as `original`, with a bearer token.
#[must_use]
pub fn with_token(original: &Value, token: &str) -> String {
    let mut config = original.clone();
    for credential in credentials(&mut config) {
        *credential = json!({ "token": token });
    }
    format!("{config:#}\n")
}

/// The text of a kubeconfig with the same credential as `original`, for another address over plain http.
#[must_use]
pub fn redirected(original: &Value, address: &str) -> String {
    let mut config = original.clone();
    if let Some(clusters) = config["clusters"].as_array_mut() {
        for named in clusters {
            named["cluster"] = json!({ "server": address });
        }
    }
    format!("{config:#}\n")
}

/// Reads a kubeconfig file, with the paths in it made absolute.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> anyhow::Result<Value> {
    let parsed =
        Kubeconfig::read_from(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::to_value(parsed).context("a kubeconfig that cannot be written again")
}

fn credentials(config: &mut Value) -> impl Iterator<Item = &mut Value> {
    config["users"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .map(|named| &mut named["user"])
}

/// Writes a file that only its owner may read.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    // Removed first, so that the mode holds for a file that was there.
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The client configuration that a kubeconfig text describes. It never retries by itself: a test wants to see the
/// server's first answer.
///
/// # Errors
/// When the text is no kubeconfig.
pub async fn config(text: &str) -> anyhow::Result<Config> {
    let parsed = Kubeconfig::from_yaml(text).context("not a kubeconfig")?;
    let mut config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .context("a kubeconfig that no client can use")?;
    config.default_retry = false;
    Ok(config)
}

/// A new client. Each runtime needs its own, as a client's worker lives on the runtime that made it.
///
/// # Errors
/// When the configuration cannot be used.
pub fn client(config: Config) -> anyhow::Result<Client> {
    crate::tools::install_crypto();
    Client::try_from(config).context("no client for this kubeconfig")
}
