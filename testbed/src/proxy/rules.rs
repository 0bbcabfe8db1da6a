//! Which fault meets which request.
//!
//! May not: know the API. A rule is a question about a request and what to do when the answer is yes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::journal::Seen;
use crate::process::Killer;

/// When a kill switch is thrown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the API server sees the request: it is never made.
    BeforeForwarding,
    /// The API server has done it, and its answer reaches nobody.
    BeforeAnswering,
    /// The answer has been passed on.
    AfterAnswering,
}

/// What happens to a request.
#[derive(Clone)]
pub enum Fault {
    /// Calls this at that moment. Before or instead of an answer, the connection is cut as well.
    Switch(Moment, Arc<dyn Fn() + Send + Sync>),
    /// Answers without asking the API server. `retry_after` in seconds becomes a header.
    Answer {
        /// The HTTP status.
        status: u16,
        /// Seconds of the `Retry-After` header.
        retry_after: Option<u32>,
    },
    /// Waits before forwarding.
    Delay(Duration),
    /// Lets the API server do it, and cuts the connection instead of answering.
    LoseAnswer,
    /// Cuts the connection without asking the API server.
    LoseRequest,
    /// Dates the answer so many seconds later than the API server did, or earlier.
    Misdate(i64),
}

impl Fault {
    /// `429 Too Many Requests`.
    #[must_use]
    pub fn too_many_requests(retry_after: u32) -> Self {
        Self::Answer {
            status: 429,
            retry_after: Some(retry_after),
        }
    }

    /// `409 Conflict`.
    #[must_use]
    pub fn conflict() -> Self {
        Self::Answer {
            status: 409,
            retry_after: None,
        }
    }

    /// `503 Service Unavailable`.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::Answer {
            status: 503,
            retry_after: None,
        }
    }

    /// Kills a process at this moment.
    #[must_use]
    pub fn kill(moment: Moment, killer: Killer) -> Self {
        Self::Switch(moment, Arc::new(move || killer.kill()))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Switch(Moment::BeforeForwarding, _) => "switch before forwarding",
            Self::Switch(Moment::BeforeAnswering, _) => "switch before answering",
            Self::Switch(Moment::AfterAnswering, _) => "switch after answering",
            Self::Answer { .. } => "answered by the proxy",
            Self::Delay(_) => "delayed",
            Self::LoseAnswer => "answer lost",
            Self::LoseRequest => "request lost",
            Self::Misdate(_) => "answer misdated",
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A question about a request.
pub type Matcher = Arc<dyn Fn(&Seen) -> bool + Send + Sync>;

/// A fault for requests that match, but for the first few, and for so many of them.
#[derive(Clone)]
pub struct Rule {
    pub(super) matcher: Matcher,
    pub(super) skip: usize,
    pub(super) times: usize,
    pub(super) fault: Fault,
}

impl Rule {
    /// A fault for every request that matches.
    pub fn new(fault: Fault, matcher: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Self {
        Self {
            matcher: Arc::new(matcher),
            skip: 0,
            times: usize::MAX,
            fault,
        }
    }

    /// A fault for the `n`-th mutating request, from 1, as counted since the proxy began.
    #[must_use]
    pub fn at_write(n: usize, fault: Fault) -> Self {
        Self::new(fault, move |seen| seen.mutating == Some(n))
    }

    /// Only for so many requests.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Not for the first so many requests that match.
    #[must_use]
    pub fn skip(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:?} after {} for {}",
            self.fault, self.skip, self.times
        )
    }
}
