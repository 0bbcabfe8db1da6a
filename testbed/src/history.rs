//! The store, read past the API server: its revision, and every write from the first.
//!
//! May not: write. What the operator really changed is the difference of two revisions, whatever anyone logs.

use std::time::Duration;

use anyhow::{Context as _, bail};
use data_encoding::BASE64;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::{Value, json};

/// The etcd of a cluster of our own.
#[derive(Clone, Debug)]
pub struct Etcd {
    address: String,
}

/// One write to the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Number of the transaction; several writes of one transaction share it.
    pub revision: u64,
    /// `/registry/<group or resource>/…`
    pub key: String,
    /// What was written.
    pub change: Change,
}

/// What a write did.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The object as stored; a string when it is not JSON.
    Put(Value),
    /// It is gone.
    Delete,
}

impl Event {
    /// The object written, `None` for a deletion.
    #[must_use]
    pub fn object(&self) -> Option<&Value> {
        match &self.change {
            Change::Put(value) => Some(value),
            Change::Delete => None,
        }
    }
}

impl Etcd {
    pub(crate) fn new(address: String) -> Self {
        Self { address }
    }

    /// The current revision. It grows by one with every transaction that writes.
    ///
    /// # Errors
    /// When etcd does not answer.
    pub async fn revision(&self) -> anyhow::Result<u64> {
        // One key that is not there: the header is what we came for.
        let body = json!({ "key": BASE64.encode(b"\0"), "limit": "1", "keys_only": true });
        let response = self.post("/v3/kv/range", &body).await?;
        let bytes = response
            .collect()
            .await
            .context("etcd broke off")?
            .to_bytes();
        let answer: RangeAnswer =
            serde_json::from_slice(&bytes).context("etcd answered something else")?;
        answer
            .header
            .revision
            .parse()
            .context("a revision that is no number")
    }

    /// Every write so far, oldest first, from the first revision.
    ///
    /// # Errors
    /// When etcd does not answer or has forgotten its beginning.
    pub async fn history(&self) -> anyhow::Result<Vec<Event>> {
        self.history_since(0).await
    }

    /// Every write after this revision, oldest first, up to the revision of now.
    ///
    /// # Errors
    /// When etcd does not answer or has forgotten that much.
    pub async fn history_since(&self, revision: u64) -> anyhow::Result<Vec<Event>> {
        let last = self.revision().await?;
        if last <= revision {
            return Ok(Vec::new());
        }
        // Every key, as only then the last revision is sure to be among what comes.
        let all = BASE64.encode(b"\0");
        let start = (revision + 1).to_string();
        let body =
            json!({ "create_request": { "key": all, "range_end": all, "start_revision": start } });
        let mut stream = self.post("/v3/watch", &body).await?;
        let mut buffer = Vec::new();
        let mut events = Vec::new();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(30), stream.frame()).await;
            let frame = next
                .context("etcd went silent")?
                .context("etcd ended its history")?
                .context("etcd broke off")?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            buffer.extend_from_slice(data);
            while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                for event in parse(&line)? {
                    events.push(event);
                }
            }
            if events.last().is_some_and(|event| event.revision >= last) {
                events.retain(|event| event.revision <= last);
                return Ok(events);
            }
        }
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Incoming> {
        let client: Client<HttpConnector, Full<Bytes>> =
            Client::builder(TokioExecutor::new()).build_http();
        let request = Request::post(format!("{}{path}", self.address))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .context("no request")?;
        let response = client
            .request(request)
            .await
            .context("etcd does not answer")?;
        if !response.status().is_success() {
            bail!("etcd answered {}", response.status());
        }
        Ok(response.into_body())
    }
}

fn parse(line: &[u8]) -> anyhow::Result<Vec<Event>> {
    let message: WatchMessage =
        serde_json::from_slice(line).context("etcd sent something that is no event")?;
    if let Some(error) = message.error {
        bail!("etcd refused to tell its history: {error}");
    }
    let Some(result) = message.result else {
        return Ok(Vec::new());
    };
    if result.canceled {
        bail!("etcd ended its history: {}", result.cancel_reason);
    }
    result.events.into_iter().map(event_of).collect()
}

fn event_of(raw: RawEvent) -> anyhow::Result<Event> {
    let key = BASE64
        .decode(raw.kv.key.as_bytes())
        .context("a key that is not base64")?;
    let change = if raw.kind == "DELETE" {
        Change::Delete
    } else {
        let value = BASE64
            .decode(raw.kv.value.as_bytes())
            .context("a value that is not base64")?;
        Change::Put(
            serde_json::from_slice(&value)
                .unwrap_or_else(|_| json!(String::from_utf8_lossy(&value))),
        )
    };
    let revision = raw
        .kv
        .mod_revision
        .parse()
        .context("a revision that is no number")?;
    Ok(Event {
        revision,
        key: String::from_utf8_lossy(&key).into_owned(),
        change,
    })
}

#[derive(Deserialize)]
struct RangeAnswer {
    header: Header,
}

#[derive(Deserialize)]
struct Header {
    revision: String,
}

#[derive(Deserialize)]
struct WatchMessage {
    result: Option<WatchResult>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct WatchResult {
    #[serde(default)]
    events: Vec<RawEvent>,
    #[serde(default)]
    canceled: bool,
    #[serde(default)]
    cancel_reason: String,
}

// The gateway leaves out what has its default value: the type of a PUT, an empty value.
#[derive(Deserialize)]
struct RawEvent {
    #[serde(default, rename = "type")]
    kind: String,
    kv: RawPair,
}

#[derive(Deserialize)]
struct RawPair {
    key: String,
    #[serde(default)]
    value: String,
    mod_revision: String,
}
