//! What an object holds at its end, as a digest: proof of what was destroyed to who has a copy, and of nothing to who has not.
//!
//! May not: keep what it digests.

use std::collections::BTreeMap;

use kube::api::{Api, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Client, Error};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::PATIENCE;
use crate::model::{ObjectKey, ResourceKind};
use crate::plan::{Candidate, Run};

/// From so many objects of a kind on they are listed, not read one by one.
const LISTED: usize = 64;
/// Objects in a page.
const PAGE: u32 = 500;
/// Pages of a list for each page of objects that go, beyond which reading one by one is less.
const PAGES_EACH: usize = 20;

/// What is known of one object's content.
#[derive(Clone, Debug)]
pub struct Content {
    /// SHA-256 of its canonical JSON (RFC 8785), in hexadecimal.
    pub digest: String,
    /// For a claim: the volume behind it.
    pub volume: Option<String>,
    version: String,
    uid: String,
}

/// Why what an object holds is not known.
#[derive(Clone, Debug)]
pub enum Unread {
    /// It is not the object that was planned any more.
    Changed,
    /// The API server said no: a right is missing.
    Refused(String),
    /// No answer, or none that says.
    Unknown(String),
}

/// Contents by kind and key; what is not in it is read when it is asked for.
pub struct Contents {
    known: BTreeMap<(ResourceKind, ObjectKey), Content>,
    resources: BTreeMap<ResourceKind, ApiResource>,
}

impl Contents {
    /// Lists the kinds of which many objects go.
    pub async fn of(
        client: &Client,
        run: &Run,
        resources: &BTreeMap<ResourceKind, ApiResource>,
    ) -> Self {
        let mut wanted: BTreeMap<&ResourceKind, usize> = BTreeMap::new();
        for candidate in &run.candidates {
            *wanted.entry(&candidate.kind).or_default() += 1;
        }
        let mut contents = Self {
            known: BTreeMap::new(),
            resources: resources.clone(),
        };
        for (kind, count) in wanted {
            if let Some(resource) = resources.get(kind)
                && count >= LISTED
                && let Err(error) = contents.list(client, run, kind, resource, count).await
            {
                tracing::info!(%error, kind = kind.kind, "objects could not be listed; they are read one by one");
            }
        }
        contents
    }

    async fn list(
        &mut self,
        client: &Client,
        run: &Run,
        kind: &ResourceKind,
        resource: &ApiResource,
        count: usize,
    ) -> Result<(), kube::Error> {
        let going: BTreeMap<&str, &Candidate> = run
            .candidates
            .iter()
            .filter(|candidate| candidate.kind == *kind)
            .map(|candidate| (candidate.key.name.as_str(), candidate))
            .collect();
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), &run.namespace, resource);
        let mut parameters = ListParams::default().limit(PAGE);
        let pages = (count / PAGE as usize + 1) * PAGES_EACH;
        for _ in 0..pages {
            let page = api.list(&parameters).await?;
            for object in page.items {
                let name = object.metadata.name.clone().unwrap_or_default();
                if going.contains_key(name.as_str()) {
                    let key = ObjectKey::new(&run.namespace, name);
                    self.known
                        .insert((kind.clone(), key), content(resource, object));
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// The content of an object, if it is still the one that was planned.
    ///
    /// # Errors
    /// When it is not, or cannot be read.
    pub async fn digest(&self, client: &Client, candidate: &Candidate) -> Result<Content, Unread> {
        let known = self
            .known
            .get(&(candidate.kind.clone(), candidate.key.clone()));
        let content = match known {
            Some(content) => content.clone(),
            None => self.read(client, candidate).await?,
        };
        if content.uid == candidate.uid && content.version == candidate.version {
            Ok(content)
        } else {
            Err(Unread::Changed)
        }
    }

    async fn read(&self, client: &Client, candidate: &Candidate) -> Result<Content, Unread> {
        let resource = self
            .resources
            .get(&candidate.kind)
            .ok_or_else(|| Unread::Unknown("its kind is not served any more".to_owned()))?;
        let api = Api::<DynamicObject>::namespaced_with(
            client.clone(),
            &candidate.key.namespace,
            resource,
        );
        let read = api.get(&candidate.key.name);
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(Ok(object)) => Ok(content(resource, object)),
            Ok(Err(Error::Api(status))) if status.code == 404 => Err(Unread::Changed),
            Ok(Err(Error::Api(status))) if status.is_forbidden() => {
                Err(Unread::Refused(status.message))
            }
            Ok(Err(error)) => Err(Unread::Unknown(format!("it cannot be read: {error}"))),
            Err(_) => Err(Unread::Unknown(
                "it cannot be read: no answer in time".to_owned(),
            )),
        }
    }
}

/// A list leaves out what its items are; both ways of reading come to the same digest.
fn content(resource: &ApiResource, object: DynamicObject) -> Content {
    let volume = (resource.kind == "PersistentVolumeClaim" && resource.group.is_empty())
        .then(|| {
            object
                .data
                .pointer("/spec/volumeName")?
                .as_str()
                .map(str::to_owned)
        })
        .flatten();
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let version = object.metadata.resource_version.clone().unwrap_or_default();
    let mut value = serde_json::to_value(object).unwrap_or(Value::Null);
    value["apiVersion"] = resource.api_version.clone().into();
    value["kind"] = resource.kind.clone().into();
    let canonical = serde_json_canonicalizer::to_vec(&value).unwrap_or_default();
    Content {
        digest: data_encoding::HEXLOWER.encode(&Sha256::digest(canonical)),
        volume,
        version,
        uid,
    }
}
