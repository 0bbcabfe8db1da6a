//! Objects of any kind among the manifests, since a retention policy may select any: of each its metadata, and when it
//! completed.
//!
//! May not: count what cannot be read as nothing. An object of a selected kind that cannot be read is a problem.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::Value;

use crate::model::{ObjectKey, ResourceKind, World, completed, is_never_selected};

/// An object as it is written.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its metadata, or why that cannot be read.
    pub metadata: Result<Box<ObjectMeta>, String>,
    /// When it completed, if it says so.
    pub completed: Option<Timestamp>,
    /// The file that it is in.
    pub file: String,
    /// The line at which it begins.
    pub line: usize,
}

impl Item {
    /// Reads an object; none where nothing ever selects its kind.
    pub(super) fn read(
        file: &str,
        line: usize,
        value: &Value,
        default_namespace: &str,
    ) -> Option<Self> {
        let text = |at: &str| value.pointer(at).and_then(Value::as_str);
        let kind = ResourceKind::parse(text("/apiVersion")?, text("/kind")?);
        if is_never_selected(&kind.group, &kind.kind) {
            return None;
        }
        let metadata = value.get("metadata").cloned().unwrap_or_default();
        let metadata = serde_path_to_error::deserialize::<_, ObjectMeta>(metadata)
            .map_err(|error| format!("metadata.{}: {}", error.path(), error.inner()))
            .and_then(|mut metadata| {
                if metadata.name.as_deref().is_none_or(str::is_empty) {
                    return Err(
                        "needs metadata.name: what is selected by name or label has one".to_owned(),
                    );
                }
                let namespace = metadata.namespace.get_or_insert_default();
                if namespace.is_empty() {
                    default_namespace.clone_into(namespace);
                }
                Ok(Box::new(metadata))
            });
        Some(Self {
            completed: completed(&kind, value),
            kind,
            metadata,
            file: file.to_owned(),
            line,
        })
    }

    /// Its place; none where its metadata cannot be read.
    #[must_use]
    pub fn key(&self) -> Option<ObjectKey> {
        let metadata = self.metadata.as_ref().ok()?;
        Some(ObjectKey::new(
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        ))
    }

    /// Puts it into the World as an object of `kind`, which differs from its own in the version at most, with what the API
    /// server would have given to it. Says whether its creation had to be assumed.
    pub(in crate::cli) fn put(
        &self,
        world: &mut World,
        kind: &ResourceKind,
        now: Timestamp,
    ) -> bool {
        let (Ok(metadata), Some(key)) = (&self.metadata, self.key()) else {
            return false;
        };
        let mut metadata = (**metadata).clone();
        let assumed = metadata.creation_timestamp.is_none();
        if assumed {
            metadata.creation_timestamp = Some(Time(now));
        }
        if metadata.uid.as_deref().is_none_or(str::is_empty) {
            metadata.uid = Some(format!("offline-{kind}-{key}").replace(' ', "-"));
        }
        put(world, kind, &metadata, self.completed);
        assumed
    }
}

/// Puts an object into the World, with when it completed.
pub(in crate::cli) fn put(
    world: &mut World,
    kind: &ResourceKind,
    metadata: &ObjectMeta,
    completed: Option<Timestamp>,
) {
    world.apply_item(kind, metadata);
    if kind.completes() {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let key = ObjectKey::new(text(&metadata.namespace), text(&metadata.name));
        let (uid, version) = (text(&metadata.uid), text(&metadata.resource_version));
        world.learn_completion(kind, &key, &uid, &version, completed);
    }
}
