//! What went through the proxy: one entry a request.
//!
//! May not: change anything. Rules read a request; the journal remembers it.

use std::time::Duration;

use serde_json::Value;

/// A request as the proxy sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Number of the request, from 1.
    pub sequence: usize,
    /// Number among the mutating requests, from 1; `None` when it mutates nothing.
    pub mutating: Option<usize>,
    /// `GET`, `PATCH` …
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query, empty when there is none.
    pub query: String,
    /// The body of a mutating request, null when it is not JSON.
    pub body: Value,
}

/// A request and what became of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The request.
    pub request: Seen,
    /// When it came, since the proxy began.
    pub at: Duration,
    /// What the client was answered; `None` while nothing was, or when the connection was cut instead.
    pub status: Option<u16>,
    /// Whether the API server was asked.
    pub forwarded: bool,
    /// Which faults were put in its way.
    pub faults: Vec<&'static str>,
}

impl Seen {
    /// Whether it opens a watch.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        self.method == "GET"
            && self
                .query
                .split('&')
                .any(|part| matches!(part, "watch=true" | "watch=1" | "watch"))
    }

    /// Whether it means to change what is stored.
    #[must_use]
    pub fn is_mutating(&self) -> bool {
        self.mutating.is_some()
    }

    /// Plural of the kind that the path is about, empty when it is about none.
    #[must_use]
    pub fn resource(&self) -> &str {
        let mut parts = self.path.trim_matches('/').split('/');
        let skip = match parts.next() {
            Some("api") => 1,
            Some("apis") => 2,
            _ => return "",
        };
        let rest: Vec<&str> = parts.skip(skip).collect();
        match rest.as_slice() {
            // `namespaces/x` and its subresources are the namespace itself; anything longer is in it.
            ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => {
                "namespaces"
            }
            ["namespaces", _, resource, ..] | [resource, ..] => resource,
            [] => "",
        }
    }

    /// Whether these requests are counted as writes: no reads, no questions by POST, no dry runs.
    pub(super) fn mutates(method: &str, path: &str, query: &str) -> bool {
        let reads = matches!(method, "GET" | "HEAD" | "OPTIONS");
        let asks = path.starts_with("/apis/authorization.k8s.io/")
            || path.starts_with("/apis/authentication.k8s.io/");
        !reads && !asks && !query.split('&').any(|part| part == "dryRun=All")
    }
}
