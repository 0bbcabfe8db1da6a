//! The API servers: who says that it is there, by its identity Lease.
//!
//! May not: know the time; whether a Lease is fresh is decided where the time is known.

use jiff::{SignedDuration, Timestamp};
use kube::core::DynamicObject;

/// Label on the Leases by which API servers say that they are there.
pub const LABEL_IDENTITY: &str = "apiserver.kubernetes.io/identity";

/// An API server's Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLease {
    /// Who holds it: often, but not always, another one for every start of the server.
    pub holder: String,
    /// When it was last renewed, by the server's clock.
    pub renewed: Option<Timestamp>,
}

/// An API server renews its Lease this long after it has renewed it, at the earliest and at the latest, while it runs: every
/// ten seconds and a little more.
const RENEWED: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(9), SignedDuration::from_secs(12));

impl ServerLease {
    /// Whether the server may have been started again since. The holder alone does not tell: an older Kubernetes renews
    /// the Lease of the process before, and so does a later one whose first requests are refused. It begins to renew at its
    /// start, out of step but by chance.
    #[must_use]
    pub fn may_be_another_start(&self, before: &Self) -> bool {
        let pause = match (before.renewed, self.renewed) {
            (Some(before), Some(renewed)) => renewed.duration_since(before),
            _ => SignedDuration::ZERO,
        };
        // Told twice of one renewal, it says nothing.
        let out_of_step = !pause.is_zero() && !(RENEWED.0..=RENEWED.1).contains(&pause);
        self.holder != before.holder || out_of_step
    }

    /// Reads a Lease; none where it is not an API server's.
    #[must_use]
    pub fn read(object: &DynamicObject) -> Option<Self> {
        let labels = object.metadata.labels.as_ref()?;
        if labels.get(LABEL_IDENTITY).map(String::as_str) != Some("kube-apiserver") {
            return None;
        }
        let text = |pointer: &str| object.data.pointer(pointer)?.as_str();
        Some(Self {
            holder: text("/spec/holderIdentity").unwrap_or_default().to_owned(),
            renewed: text("/spec/renewTime").and_then(|time| time.parse().ok()),
        })
    }
}
