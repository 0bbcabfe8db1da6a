//! The audit log of the API server: who asked for what, and how it ended. The count of calls that nobody can argue with.
//!
//! May not: guess. A line that is no event is an error, so that nothing goes uncounted.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use http::Request;
use serde::Deserialize;

use crate::identity::Identity;
use crate::wait::eventually;

/// The audit log of one API server.
#[derive(Clone, Debug)]
pub struct AuditLog {
    file: PathBuf,
    admin: Identity,
}

/// A place in the log; everything after it happened after it was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Marker(u64);

/// One request, as the API server wrote it down when it was done with it (a watch: when it began).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// Identifies the request.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// `ResponseComplete`, `ResponseStarted` (watches) or `Panic`.
    pub stage: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// Who asked.
    pub user: AuditUser,
    /// As whom, when it was impersonated.
    #[serde(default)]
    pub impersonated_user: Option<AuditUser>,
    /// What it was about; absent for requests that are about no resource.
    #[serde(default)]
    pub object_ref: Option<AuditObject>,
    /// How it ended.
    #[serde(default)]
    pub response_status: Option<AuditStatus>,
    /// The program, as it calls itself.
    #[serde(default)]
    pub user_agent: String,
    /// When it came in, RFC 3339 with microseconds.
    pub request_received_timestamp: String,
    /// When this stage was reached.
    pub stage_timestamp: String,
    /// What admission and authorization had to say.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// A user of the audit log.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct AuditUser {
    /// Its name.
    #[serde(default)]
    pub username: String,
    /// Its groups.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// The object of a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditObject {
    /// Plural of the kind.
    pub resource: String,
    /// `status`, `finalize` and the like; empty for the object itself.
    pub subresource: String,
    /// Empty for what has none.
    pub namespace: String,
    /// Empty for lists, and for creations whose name is in the body.
    pub name: String,
    /// Empty for the core group.
    pub api_group: String,
    /// The uid that the request named.
    pub uid: String,
}

/// How a request ended.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AuditStatus {
    /// The HTTP status.
    pub code: u16,
    /// Why it was refused, when it was.
    pub message: String,
}

impl AuditEvent {
    /// Whose request it is: the impersonated user where there is one.
    #[must_use]
    pub fn user(&self) -> &str {
        &self
            .impersonated_user
            .as_ref()
            .unwrap_or(&self.user)
            .username
    }

    /// Plural of the kind, empty when it is about no resource.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.object_ref
            .as_ref()
            .map_or("", |object| &object.resource)
    }

    /// The subresource, empty when it is about the object itself.
    #[must_use]
    pub fn subresource(&self) -> &str {
        self.object_ref
            .as_ref()
            .map_or("", |object| &object.subresource)
    }

    /// The namespace, empty when there is none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.object_ref
            .as_ref()
            .map_or("", |object| &object.namespace)
    }

    /// The name, empty when the request has none.
    #[must_use]
    pub fn object_name(&self) -> &str {
        self.object_ref.as_ref().map_or("", |object| &object.name)
    }

    /// The HTTP status, 0 when there is none.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.response_status
            .as_ref()
            .map_or(0, |status| status.code)
    }

    /// Whether it asks only what would happen.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.uri.contains("dryRun=All")
    }

    /// Whether its answer goes on and on.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.verb == "watch"
            || matches!(
                self.subresource(),
                "attach" | "exec" | "log" | "portforward" | "proxy"
            )
    }

    /// Whether it means to change what is stored. Questions that are asked by POST (access reviews, tokens) do not.
    #[must_use]
    pub fn is_mutating(&self) -> bool {
        let asks = matches!(
            self.object_ref
                .as_ref()
                .map(|object| object.api_group.as_str()),
            Some("authorization.k8s.io" | "authentication.k8s.io")
        );
        let writes = matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        );
        writes && !asks && !self.is_dry_run()
    }
}

impl AuditLog {
    pub(crate) fn new(file: PathBuf, admin: Identity) -> Self {
        Self { file, admin }
    }

    /// The file itself.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.file
    }

    /// A place in the log after everything that was answered before this call.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn marker(&self) -> anyhow::Result<Marker> {
        self.settle().await
    }

    /// Every event since the marker, up to everything that was answered before this call.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn since(&self, marker: Marker) -> anyhow::Result<Vec<AuditEvent>> {
        self.settle().await?;
        Ok(self.read(marker)?.0)
    }

    /// Every event so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn all(&self) -> anyhow::Result<Vec<AuditEvent>> {
        self.since(Marker::default()).await
    }

    /// The mutating requests of one user since the marker: no dry runs, no questions.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn mutating(&self, user: &str, marker: Marker) -> anyhow::Result<Vec<AuditEvent>> {
        let events = self.since(marker).await?;
        Ok(events
            .into_iter()
            .filter(|event| event.user() == user && event.is_mutating())
            .collect())
    }

    /// Asks something of its own, and waits until that is in the log: an answer may reach its client just before the
    /// line reaches the file.
    async fn settle(&self) -> anyhow::Result<Marker> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let sign = format!("/version?testbed={}-{number}", std::process::id());
        let before = std::fs::metadata(&self.file).map_or(0, |data| data.len());
        let request = Request::get(&sign).body(Vec::new()).context("no request")?;
        self.admin
            .client()?
            .request_text(request)
            .await
            .context("the API server does not answer")?;
        // Lines are written in the order of answers, but for those under way at the same moment.
        tokio::time::sleep(Duration::from_millis(20)).await;
        eventually(
            "the audit log holds our own request",
            Duration::from_secs(60),
            || async {
                let mut file = File::open(&self.file).context("there is no audit log")?;
                file.seek(SeekFrom::Start(before))
                    .context("the audit log has shrunk")?;
                let mut new = Vec::new();
                file.read_to_end(&mut new)
                    .context("the audit log cannot be read")?;
                let found = new
                    .windows(sign.len())
                    .position(|window| window == sign.as_bytes());
                let end = found.and_then(|at| {
                    Some(at + new.get(at..)?.iter().position(|&byte| byte == b'\n')? + 1)
                });
                let end = end.with_context(|| {
                    format!("{} new bytes, and ours are not among them", new.len())
                })?;
                anyhow::Ok(Marker(
                    before + u64::try_from(end).context("a log beyond all measure")?,
                ))
            },
        )
        .await
    }

    fn read(&self, from: Marker) -> anyhow::Result<(Vec<AuditEvent>, Marker)> {
        let mut file = File::open(&self.file)
            .with_context(|| format!("no audit log at {}", self.file.display()))?;
        file.seek(SeekFrom::Start(from.0))
            .context("the audit log has shrunk")?;
        let mut reader = BufReader::new(file);
        let mut place = from.0;
        let mut events = Vec::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = reader
                .read_until(b'\n', &mut line)
                .context("the audit log cannot be read")?;
            // Half a line is one that is being written.
            if length == 0 || line.last() != Some(&b'\n') {
                return Ok((events, Marker(place)));
            }
            place += u64::try_from(length).context("a line beyond all measure")?;
            let event: AuditEvent =
                serde_json::from_slice(&line).context("a line of the audit log is no event")?;
            // What streams is written down when it begins and again when it ends; it is one request.
            if !(event.is_streaming() && event.stage == "ResponseComplete") {
                events.push(event);
            }
        }
    }
}

/// How many requests of each sort: by user, verb and resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<(String, String, String), usize>);

impl Counts {
    /// Counts events. A subresource is written `resource/subresource`.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a AuditEvent>) -> Self {
        let mut counts = BTreeMap::new();
        for event in events {
            let resource = match event.subresource() {
                "" => event.resource().to_owned(),
                subresource => format!("{}/{subresource}", event.resource()),
            };
            *counts
                .entry((event.user().to_owned(), event.verb.clone(), resource))
                .or_insert(0) += 1;
        }
        Self(counts)
    }

    /// How many requests of one sort.
    #[must_use]
    pub fn get(&self, user: &str, verb: &str, resource: &str) -> usize {
        self.0
            .get(&(user.to_owned(), verb.to_owned(), resource.to_owned()))
            .copied()
            .unwrap_or(0)
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((user, verb, resource), count) in &self.0 {
            writeln!(formatter, "{count:>6}  {verb:<16} {resource:<40} {user}")?;
        }
        Ok(())
    }
}
