//! Prohibitions, read. What of one cannot be read binds everything: an officer's no is never weakened by a typing error
//! or a newer version's word.

use std::collections::BTreeSet;

use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::FieldError;
use super::grant::{RecipientTerms, split};
use super::identity::Meta;
use crate::api::{DataCategory, SharingProhibitionStatus};

/// A prohibition.
#[derive(Clone, Debug, PartialEq)]
pub struct Prohibition {
    /// Metadata.
    pub meta: Meta,
    /// Tenants that it binds.
    pub tenants: Scope<String>,
    /// Namespaces that it binds.
    pub namespaces: Scope<String>,
    /// Vendors that receive nothing. With `recipient_namespaces`: if both are everything, every recipient.
    pub processors: Scope<String>,
    /// Namespaces that receive nothing.
    pub recipient_namespaces: Scope<String>,
    /// Categories that are not shared.
    pub categories: Scope<DataCategory>,
    /// Why.
    pub reason: String,
    /// What could not be read, and so binds everything.
    pub errors: Vec<FieldError>,
    /// The stored status.
    pub status: SharingProhibitionStatus,
}

/// Everything, or some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope<T> {
    /// Everything.
    All,
    /// Only these.
    Only(BTreeSet<T>),
}

impl<T: Ord> Scope<T> {
    /// Whether the value is within.
    pub fn contains(&self, value: &T) -> bool {
        match self {
            Self::All => true,
            Self::Only(some) => some.contains(value),
        }
    }

    /// Whether any of the values is within.
    pub fn intersects(&self, values: &BTreeSet<T>) -> bool {
        match self {
            Self::All => true,
            Self::Only(some) => !some.is_disjoint(values),
        }
    }
}

impl Prohibition {
    /// Reads a prohibition.
    #[must_use]
    pub fn read(object: DynamicObject) -> Self {
        let (meta, spec, status) = split(object);
        let mut errors = Vec::new();
        if !spec.is_object() {
            errors.push(FieldError::new("spec", "is missing or unreadable"));
        }
        let recipients = spec.get("recipients").cloned().unwrap_or_default();
        if !(recipients.is_null() || recipients.is_object()) {
            errors.push(FieldError::new("spec.recipients", "is unreadable"));
        }
        let mut prohibition = Self {
            meta,
            tenants: scope(&mut errors, "spec.tenants", spec.get("tenants")),
            namespaces: scope(&mut errors, "spec.namespaces", spec.get("namespaces")),
            processors: scope(
                &mut errors,
                "spec.recipients.processors",
                recipients.get("processors"),
            ),
            recipient_namespaces: scope(
                &mut errors,
                "spec.recipients.namespaces",
                recipients.get("namespaces"),
            ),
            categories: scope(
                &mut errors,
                "spec.dataCategories",
                spec.get("dataCategories"),
            ),
            reason: spec
                .get("reason")
                .and_then(Value::as_str)
                .unwrap_or("no reason could be read")
                .to_owned(),
            errors,
            status: serde_json::from_value(status).unwrap_or_default(),
        };
        // An empty list means all, but naming only vendors does not mean all namespaces, nor the other way round.
        let unreadable = prohibition
            .errors
            .iter()
            .any(|error| error.path.starts_with("spec.recipients"));
        if !unreadable {
            match (&prohibition.processors, &prohibition.recipient_namespaces) {
                (Scope::Only(_), Scope::All) => {
                    prohibition.recipient_namespaces = Scope::Only(BTreeSet::new())
                }
                (Scope::All, Scope::Only(_)) => {
                    prohibition.processors = Scope::Only(BTreeSet::new())
                }
                _ => {}
            }
        }
        prohibition
    }

    /// Whether it binds grants of this namespace, of this tenant.
    #[must_use]
    pub fn binds(&self, tenant: Option<&str>, namespace: &str) -> bool {
        let tenant_bound = match (&self.tenants, tenant) {
            (Scope::All, _) => true,
            (Scope::Only(tenants), Some(tenant)) => tenants.contains(tenant),
            (Scope::Only(_), None) => false,
        };
        tenant_bound && self.namespaces.contains(&namespace.to_owned())
    }

    /// Whether it covers sharing these categories with this recipient.
    #[must_use]
    pub fn covers(&self, recipient: &RecipientTerms, categories: &BTreeSet<DataCategory>) -> bool {
        let recipient_covered = match recipient {
            RecipientTerms::Processor { name, .. } => self.processors.contains(name),
            RecipientTerms::Namespace { name } => self.recipient_namespaces.contains(name),
        };
        recipient_covered && self.categories.intersects(categories)
    }
}

/// Empty and absent mean all; unreadable means all too, and is said.
fn scope<T: DeserializeOwned + Ord>(
    errors: &mut Vec<FieldError>,
    path: &str,
    value: Option<&Value>,
) -> Scope<T> {
    match value {
        None | Some(Value::Null) => Scope::All,
        Some(value) => match serde_json::from_value::<BTreeSet<T>>(value.clone()) {
            Ok(some) if some.is_empty() => Scope::All,
            Ok(some) => Scope::Only(some),
            Err(error) => {
                errors.push(FieldError::new(
                    path,
                    format!("{error}; until it can be read, it binds everything"),
                ));
                Scope::All
            }
        },
    }
}
