//! Whether what is published here speaks TLS 1.3.
//!
//! May not: say what is negotiated; that is what a probe finds out.

use super::item;
use crate::api::{EncryptionItem, EncryptionScope, EncryptionState, MinimumTls};
use crate::model::World;

/// The items of a namespace.
pub(super) fn items(
    _world: &World,
    _namespace: &str,
    minimum: Option<MinimumTls>,
) -> Vec<EncryptionItem> {
    if minimum.is_none() {
        let found = (EncryptionState::NotJudged, "NotInBaseline");
        let evidence = "the baseline says nothing of encryption in transit";
        return vec![item(
            EncryptionScope::InTransit,
            "Gateways",
            found,
            evidence,
            None,
        )];
    }
    Vec::new()
}
