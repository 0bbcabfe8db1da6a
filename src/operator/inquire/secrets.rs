//! Canary Secrets, written through every API server, and its counters read before and after each.
//!
//! May not: read a Secret. The answer to a write is asked for without what is in it.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures::io::{AsyncBufReadExt as _, AsyncReadExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::canary::Servers;
use super::short;
use crate::api::names::{CANARY_SECRETS, LABEL_MANAGED_BY, MANAGED_BY_COVENANT, MANAGER_CANARY};
use crate::model::encryption::secrets::{Reading, Rounds, is_of_interest};
use crate::model::{SecretsAnswer, Unanswered};
use crate::operator::clock;

/// How long a server may take to tell all its metrics, which are megabytes in a large cluster.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to store a canary.
const WRITTEN: Duration = Duration::from_secs(10);
/// No page of metrics is larger; one that is, is none.
const PAGE: u64 = 64 << 20;
/// Lines of a page that may count; a page with more is none.
const LINES: usize = 4096;

impl Servers {
    /// Tries how each of these servers stores Secrets, one after the other, or where none is known the one of the
    /// configuration.
    pub async fn try_secrets(
        &self,
        servers: &BTreeSet<String>,
        namespace: &str,
    ) -> Vec<(String, SecretsAnswer)> {
        let mut answers = Vec::new();
        for (server, client) in self.reach(servers) {
            let answer = match client {
                Ok(client) => tried(&client, namespace).await,
                Err(problem) => SecretsAnswer::Unreadable(unanswered(problem)),
            };
            answers.push((server, answer));
        }
        answers
    }
}

async fn tried(client: &Client, namespace: &str) -> SecretsAnswer {
    let mut rounds = match reading(client).await {
        Ok(reading) => Rounds::after(reading),
        Err(problem) => return SecretsAnswer::Unreadable(problem),
    };
    loop {
        if let Err(problem) = write(client, namespace).await {
            return SecretsAnswer::Unwritten(problem);
        }
        match reading(client).await {
            Ok(reading) => rounds.take(reading),
            Err(problem) => return SecretsAnswer::Unreadable(problem),
        }
        if let Some(answer) = rounds.answer() {
            return answer;
        }
    }
}

/// Writes a canary. One that was stored under a key which the server no longer has can be neither read nor written any more,
/// so there are several names.
async fn write(client: &Client, namespace: &str) -> Result<(), Unanswered> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut last = unanswered("there is no name for it");
    for name in CANARY_SECRETS {
        // Each must differ from the one before, or nothing is stored.
        let text = format!(
            "Written to see how Secrets are stored. It is no secret. {}",
            clock::now()
        );
        let canary = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": name, "labels": { LABEL_MANAGED_BY: MANAGED_BY_COVENANT } },
            "data": { "canary": data_encoding::BASE64.encode(text.as_bytes()) },
        });
        let parameters = PatchParams::apply(MANAGER_CANARY).force();
        let patch = Patch::Apply(&canary);
        let written = api.patch_metadata(name, &parameters, &patch);
        match tokio::time::timeout(WRITTEN, written).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => {
                // A guard's refusal, as just after a server's start, says nothing of this name: it would use up the others.
                let another_may_do = matches!(&error, kube::Error::Api(status)
                    if (status.code == 500 || status.code == 422)
                        && !status.message.contains("ValidatingAdmissionPolicy"));
                last = of_error(&error);
                if !another_may_do {
                    return Err(last);
                }
            }
            Err(_) => return Err(unanswered(nothing_within(WRITTEN))),
        }
    }
    Err(last)
}

async fn reading(client: &Client) -> Result<Reading, Unanswered> {
    tokio::time::timeout(PATIENCE, metrics(client))
        .await
        .unwrap_or_else(|_| Err(unanswered(nothing_within(PATIENCE))))
}

/// Reads a server's metrics, of which only the lines that count are ever kept.
async fn metrics(client: &Client) -> Result<Reading, Unanswered> {
    let request = http::Request::get("/metrics").body(Vec::new());
    let request = request.map_err(|error| unanswered(error.to_string()))?;
    let page = client.request_stream(request).await;
    let mut page = pin!(page.map_err(|error| of_error(&error))?.take(PAGE));
    let (mut kept, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let read = page.read_until(b'\n', &mut line).await;
        if read.map_err(|error| unanswered(error.to_string()))? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        if is_of_interest(text.trim_end()) {
            kept.push(text.trim_end().to_owned());
        }
        if kept.len() > LINES {
            return Err(unanswered("too many lines for what they tell"));
        }
    }
    if page.limit() == 0 {
        return Err(unanswered(format!("more than {} MiB", PAGE >> 20)));
    }
    Reading::read(kept.iter().map(String::as_str)).map_err(|error| unanswered(error.to_string()))
}

fn nothing_within(patience: Duration) -> String {
    format!("nothing within {}s", patience.as_secs())
}

fn of_error(error: &kube::Error) -> Unanswered {
    match error {
        kube::Error::Api(status) => Unanswered {
            // A guard refuses with the same code, as it does for a moment after a server has started.
            forbidden: status.code == 403 && status.message.contains(" cannot "),
            said: short(&status.message),
        },
        other => unanswered(other.to_string()),
    }
}

fn unanswered(said: impl AsRef<str>) -> Unanswered {
    Unanswered {
        forbidden: false,
        said: short(said.as_ref()),
    }
}
