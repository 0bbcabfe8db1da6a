//! What can go wrong in the shell, one error a step.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use super::endpoint::EndpointError;
use super::scribe::Unrecorded;
use crate::model::Target;

/// Why the operator could not run.
#[derive(Debug, Error)]
pub enum RunError {
    /// No configuration for reaching a cluster.
    #[error(
        "no way to reach a cluster was found; give --kubeconfig, or run in a pod with a service account"
    )]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The configuration does not make a client.
    #[error(
        "the configuration does not make a client; check the kubeconfig's certificates and addresses"
    )]
    Client(#[source] Box<kube::Error>),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// There is no certificate to be known by.
    #[error("the operator's endpoints cannot be served by TLS 1.3")]
    Endpoint(#[from] EndpointError),
    /// No signal can be waited for.
    #[error("termination signals cannot be waited for")]
    Signals(#[source] std::io::Error),
    /// The ledger's thread or keys could not be had.
    #[error("the ledger in {directory} cannot be written", directory = directory.display())]
    Ledger {
        /// Where it is.
        directory: std::path::PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A part of the operator ended that must not.
    #[error("the {0} ended by itself, which it must not; the operator restarts with its pod")]
    Ended(&'static str),
}

/// Why a write did not go through.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The API server said no.
    #[error("{target}: {message}")]
    Refused {
        /// The object.
        target: Target,
        /// What kind of no.
        category: Category,
        /// What it said.
        message: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// No answer in time.
    #[error("{target}: no answer within {}s", after.as_secs())]
    Timeout {
        /// The object.
        target: Target,
        /// How long was waited.
        after: Duration,
    },
    /// The ledger could not be written first.
    #[error("{target}: {source}")]
    Unrecorded {
        /// The object.
        target: Target,
        /// The cause.
        #[source]
        source: Unrecorded,
    },
    /// The answer was lost, or could not be read.
    #[error("{target}: the request did not go through")]
    Transport {
        /// The object.
        target: Target,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Kinds of failure. Bounded, so that they can be a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Somebody else's object has the name.
    NameTaken,
    /// The object is not the one that was seen.
    Conflict,
    /// The object is gone.
    NotFound,
    /// Rights, a quota or a policy.
    Forbidden,
    /// The API server does not take the object.
    Invalid,
    /// The API server asks for patience.
    TooManyRequests,
    /// The API server is not well.
    Unavailable,
    /// No answer.
    Timeout,
    /// No connection, or an unreadable answer.
    Transport,
    /// The ledger cannot be written, and this waits for it.
    LedgerUnavailable,
}

impl Category {
    /// As metrics and statuses spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NameTaken => "NameTaken",
            Self::Conflict => "Conflict",
            Self::NotFound => "NotFound",
            Self::Forbidden => "Forbidden",
            Self::Invalid => "Invalid",
            Self::TooManyRequests => "TooManyRequests",
            Self::Unavailable => "Unavailable",
            Self::Timeout => "Timeout",
            Self::Transport => "Transport",
            Self::LedgerUnavailable => "LedgerUnavailable",
        }
    }

    /// Whether it is about the object itself and people should read it in a status. The others pass by themselves.
    #[must_use]
    pub const fn is_lasting(self) -> bool {
        matches!(
            self,
            Self::NameTaken | Self::Forbidden | Self::Invalid | Self::LedgerUnavailable
        )
    }
}

impl WriteError {
    /// The object that was to be written.
    #[must_use]
    pub const fn target(&self) -> &Target {
        match self {
            Self::Refused { target, .. }
            | Self::Timeout { target, .. }
            | Self::Unrecorded { target, .. }
            | Self::Transport { target, .. } => target,
        }
    }

    /// The kind of failure.
    #[must_use]
    pub const fn category(&self) -> Category {
        match self {
            Self::Refused { category, .. } => *category,
            Self::Timeout { .. } => Category::Timeout,
            Self::Unrecorded { .. } => Category::LedgerUnavailable,
            Self::Transport { .. } => Category::Transport,
        }
    }

    /// How long the API server asks to be left alone.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Timeout { .. } | Self::Unrecorded { .. } | Self::Transport { .. } => None,
        }
    }
}
