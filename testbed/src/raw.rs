//! Requests as a program writes them, thousands of them: one connection pool, no kubectl, the first answer as it came.
//!
//! May not: retry or interpret.

use anyhow::Context as _;
use http::Request;
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use crate::identity::Identity;

/// Media type of a merge patch.
pub const MERGE: &str = "application/merge-patch+json";
/// Media type of a server-side apply.
pub const APPLY: &str = "application/apply-patch+yaml";
/// Media type of everything else.
pub const JSON: &str = "application/json";

/// Somebody's connections. They belong to the runtime that asked for them.
#[derive(Clone)]
pub struct Caller {
    name: String,
    client: Client,
    impersonates: Option<String>,
}

/// One request, to be sent by several.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// Media type of the body.
    pub media: &'static str,
    /// The body; null for none.
    pub body: Value,
}

/// The first answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// The body: JSON, or a string where it is none.
    pub body: Value,
    /// What admission policies warned of.
    pub warnings: Vec<String>,
}

impl Answer {
    /// Whether it was let through.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// The words of a refusal; empty when there are none.
    #[must_use]
    pub fn message(&self) -> &str {
        self.body["message"]
            .as_str()
            .or_else(|| self.body.as_str())
            .unwrap_or_default()
    }
}

impl Call {
    /// A request without a body.
    #[must_use]
    pub fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            media: JSON,
            body: Value::Null,
        }
    }

    /// With this body.
    #[must_use]
    pub fn with(mut self, media: &'static str, body: Value) -> Self {
        self.media = media;
        self.body = body;
        self
    }

    /// Asking only what would happen.
    #[must_use]
    pub fn dry(mut self) -> Self {
        self.path
            .push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str("dryRun=All");
        // A deletion's options are read from its body where it has one.
        if self.body["kind"] == "DeleteOptions" {
            self.body["dryRun"] = serde_json::json!(["All"]);
        }
        self
    }
}

impl Identity {
    /// Connections of this identity's.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn caller(&self) -> anyhow::Result<Caller> {
        Ok(Caller {
            name: self.name().to_owned(),
            client: self.client()?,
            impersonates: None,
        })
    }
}

impl Caller {
    /// Whose requests these are.
    #[must_use]
    pub fn name(&self) -> &str {
        self.impersonates.as_deref().unwrap_or(&self.name)
    }

    /// The same connections, in the name and with the rights of someone else: of one of the cluster's own controllers.
    #[must_use]
    pub fn acting_as(&self, user: &str) -> Self {
        Self {
            impersonates: Some(user.to_owned()),
            ..self.clone()
        }
    }

    /// Who asked what and what came of it, for what a test says when that is not as it must be.
    #[must_use]
    pub fn told(&self, call: &Call, answer: &Answer) -> String {
        format!(
            "{}: {} {} {}\n{} {}",
            self.name(),
            call.method,
            call.path,
            call.body,
            answer.code,
            answer.message()
        )
    }

    /// Sends it.
    ///
    /// # Errors
    /// When there is no answer at all.
    pub async fn send(&self, call: &Call) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(call.method).uri(&call.path);
        if let Some(user) = &self.impersonates {
            request = request.header("Impersonate-User", user);
        }
        let bytes = if call.body.is_null() {
            Vec::new()
        } else {
            request = request.header("Content-Type", call.media);
            serde_json::to_vec(&call.body).context("a body that is no JSON")?
        };
        let request = request.body(Body::from(bytes)).context("no request")?;
        let response = self
            .client
            .send(request)
            .await
            .with_context(|| format!("no answer to {} {}", call.method, call.path))?;
        let code = response.status().as_u16();
        let warnings = response
            .headers()
            .get_all("Warning")
            .iter()
            .filter_map(|value| Some(value.to_str().ok()?.to_owned()))
            .collect();
        let bytes = response
            .into_body()
            .collect()
            .await
            .context("half an answer")?
            .to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Answer {
            code,
            body,
            warnings,
        })
    }
}
