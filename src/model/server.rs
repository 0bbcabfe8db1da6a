//! The API servers: who says that it is there, by its identity Lease.
//!
//! May not: know the time; whether a Lease is fresh is decided where the time is known.

use jiff::Timestamp;
use kube::core::DynamicObject;

/// Label on the Leases by which API servers say that they are there.
pub const LABEL_IDENTITY: &str = "apiserver.kubernetes.io/identity";

/// An API server's Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLease {
    /// Who holds it: another one for every start of the server.
    pub holder: String,
    /// When it was last renewed, by the server's clock.
    pub renewed: Option<Timestamp>,
}

impl ServerLease {
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
