//! What is encrypted, for people and programs: postures namespace by namespace, and what servers were seen to negotiate.
//!
//! May not: call anything encrypted that its posture or a handshake does not show.

mod json;
mod namespace;
mod probe;
#[cfg(test)]
mod tests;
mod text;

pub use json::{encryption_begin, encryption_end, encryption_next, escaped_json};
pub use namespace::{
    EncryptionSummary, ItemCounts, ItemReport, NamespaceEncryption, NoPosture,
    namespace_encryption, namespace_without_posture,
};
pub use probe::{CertificateSeen, Negotiated, Offers, TlsProbe, TlsProbes, Trust};
pub use text::{
    encryption_summary_text, namespace_encryption_text, tls_probe_text, tls_probes_text,
};
