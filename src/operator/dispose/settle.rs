//! Intents whose outcome nobody knows, because the process ended or an answer was lost: the cluster is looked at.
//!
//! May not: delete. What did not happen is planned again, if it is still due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::discovery::pinned_kind;

use super::super::clock;
use crate::api::names::LABEL_GRANT_UID;
use crate::ledger::{Entry, EntryKind, OpenIntent, Subject};
use crate::model::Kind;

/// Objects in a page.
const PAGE: u32 = 500;
/// A delete that was sent may go through for so long; the API server gives it up before.
const EFFECTIVE: SignedDuration = SignedDuration::from_secs(12);

/// What was found of an object that was to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is gone.
    Gone,
    /// It is there, and nobody deletes it.
    There,
    /// It is going.
    Going,
    /// The path stands.
    Opened,
    /// The path does not stand.
    NotOpened,
    /// It could not be looked at.
    Unseen(String),
}

/// Looks for the objects of these intents, by uid, once what was begun can have no effect any more.
pub async fn look(client: &Client, intents: Vec<OpenIntent>) -> Vec<(OpenIntent, Found)> {
    tokio::time::sleep(left(&intents, clock::now())).await;
    let mut by_place: BTreeMap<(String, String, Option<String>), Vec<OpenIntent>> = BTreeMap::new();
    let mut found = Vec::new();
    for open in intents {
        if open.intent.kind == EntryKind::PathOpened {
            let state = path(client, &open.intent).await;
            found.push((open, state));
            continue;
        }
        let Subject {
            api_version,
            kind,
            namespace,
            uid: _,
        } = open.intent.subject.clone();
        by_place
            .entry((api_version, kind, namespace))
            .or_default()
            .push(open);
    }
    for ((api_version, kind, namespace), intents) in by_place {
        let seen = uids(client, &api_version, &kind, namespace.as_deref()).await;
        found.extend(intents.into_iter().map(|open| {
            let uid = &open.intent.subject.uid;
            let state = match &seen {
                Err(error) => Found::Unseen(error.to_string()),
                Ok((_, going)) if going.contains(uid) => Found::Going,
                Ok((there, _)) if there.contains(uid) => Found::There,
                Ok(_) => Found::Gone,
            };
            (open, state)
        }));
    }
    found
}

/// How long until none of the deletes that were announced can go through any more.
fn left(intents: &[OpenIntent], now: Timestamp) -> Duration {
    let deletes = intents
        .iter()
        .map(|open| &open.intent)
        .filter(|intent| intent.kind == EntryKind::Disposal);
    let last = deletes.map(|intent| intent.time).max();
    let over = last.and_then(|last| last.checked_add(EFFECTIVE).ok());
    let left = over.map_or(Duration::ZERO, |over| {
        Duration::try_from(over.duration_since(now)).unwrap_or_default()
    });
    // A clock that was set back makes nobody wait for longer.
    left.min(Duration::try_from(EFFECTIVE).unwrap_or_default())
}

/// Whether the path of an intent stands.
async fn path(client: &Client, intent: &Entry) -> Found {
    let end = intent.detail.get("end").and_then(|end| end.as_str());
    let resource = Kind::NetworkPolicy.api_resource();
    let api = Api::<PartialObjectMeta<DynamicObject>>::namespaced_with(
        client.clone(),
        end.unwrap_or_default(),
        &resource,
    );
    let of_grant = format!("{LABEL_GRANT_UID}={}", intent.subject.uid);
    match api.list(&ListParams::default().labels(&of_grant)).await {
        Ok(list) if list.items.is_empty() => Found::NotOpened,
        Ok(_) => Found::Opened,
        Err(error) => Found::Unseen(error.to_string()),
    }
}

/// Uids of the objects of a kind in a namespace: those that stay, and those that are going.
async fn uids(
    client: &Client,
    api_version: &str,
    kind: &str,
    namespace: Option<&str>,
) -> Result<(BTreeSet<String>, BTreeSet<String>), kube::Error> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let wanted = GroupVersionKind::gvk(group, version, kind);
    let (resource, _) = pinned_kind(client, &wanted).await?;
    let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let (mut there, mut going) = (BTreeSet::new(), BTreeSet::new());
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&parameters).await?;
        for object in page.items {
            let uid = object.metadata.uid.unwrap_or_default();
            match object.metadata.deletion_timestamp {
                Some(_) => going.insert(uid),
                None => there.insert(uid),
            };
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok((there, going)),
        }
    }
}
