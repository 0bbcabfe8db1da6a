//! What a change may have changed.

use std::collections::BTreeSet;

use super::identity::{ObjectKey, Unit};

/// The units whose plan a change can affect, and no others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dirty(pub BTreeSet<Unit>);

impl Dirty {
    /// Marks a namespace.
    pub fn namespace(&mut self, name: &str) {
        if !name.is_empty() {
            self.0.insert(Unit::Namespace(name.to_owned()));
        }
    }

    /// Marks what is kept and disposed of in a namespace.
    pub fn retention(&mut self, namespace: &str) {
        if !namespace.is_empty() {
            self.0.insert(Unit::Retention(namespace.to_owned()));
        }
    }

    /// Marks a grant and its namespace.
    pub fn grant(&mut self, key: &ObjectKey) {
        self.namespace(&key.namespace);
        self.0.insert(Unit::Grant(key.clone()));
    }

    /// Marks several namespaces.
    pub fn namespaces<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) {
        for name in names {
            self.namespace(name);
        }
    }

    /// Marks a unit.
    pub fn unit(&mut self, unit: Unit) {
        self.0.insert(unit);
    }
}
