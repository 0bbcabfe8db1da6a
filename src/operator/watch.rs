//! One watch stream a kind. Each feeds both the World and the queue, so that what caused a plan is in the World that the
//! plan reads.
//!
//! May not: interpret an object, or drop one.

use futures::StreamExt as _;
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, ResourceExt as _};
use tokio::sync::mpsc::Sender;

use super::inventory::ItemTold;
use super::publications::PublishedTold;
use crate::api::names::{LABEL_MANAGED_BY, MANAGED_BY_COVENANT};
use crate::model::{Kind, LABEL_IDENTITY, ObjectKey, ResourceKind};

/// A watch that neither delivers nor closes is given up this many seconds after it began, plus five. It bounds how long
/// a revocation can go unnoticed behind a dead connection; the price is one request a kind in that time.
pub const WATCH_SECONDS: u32 = 45;

/// What the engine hears.
#[derive(Debug)]
pub enum Heard {
    /// Of a kind that decides.
    Kind(Kind, Told),
    /// Of a kind whose objects have a retention.
    Item(ResourceKind, ItemTold),
    /// Of what tenants publish.
    Published(PublishedTold),
    /// The API server that was spoken to has broken off.
    BrokenOff,
}

/// What a stream says about a kind.
#[derive(Debug)]
pub enum Told {
    /// A new list begins.
    ListBegins,
    /// An object of the list.
    Listed(Box<DynamicObject>),
    /// The list is complete: what it lacks is not there.
    ListComplete,
    /// An object is new or changed.
    Changed(Box<DynamicObject>),
    /// An object is gone.
    Gone(Box<DynamicObject>),
}

impl Told {
    /// The object that it is about.
    #[must_use]
    pub fn key(&self) -> Option<ObjectKey> {
        match self {
            Self::Listed(object) | Self::Changed(object) | Self::Gone(object) => {
                Some(ObjectKey::of(object))
            }
            Self::ListBegins | Self::ListComplete => None,
        }
    }
}

/// Watches a kind until nobody listens.
pub async fn watch(client: Client, kind: Kind, listener: Sender<Heard>) {
    let resource = kind.api_resource();
    let everywhere = Api::<DynamicObject>::all_with(client.clone(), &resource);
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let (api, config) = match kind {
        Kind::Job => (
            everywhere,
            config.labels(&format!("{LABEL_MANAGED_BY}={MANAGED_BY_COVENANT}")),
        ),
        // Finished pods send nothing, and nobody collects from them.
        Kind::Pod => (
            everywhere,
            config.fields("status.phase!=Succeeded,status.phase!=Failed"),
        ),
        Kind::EndpointSlice => {
            let api = Api::namespaced_with(client, "default", &resource);
            (api, config.labels("kubernetes.io/service-name=kubernetes"))
        }
        Kind::Service => (
            Api::namespaced_with(client, "default", &resource),
            config.fields("metadata.name=kubernetes"),
        ),
        Kind::ServerLease => (
            Api::namespaced_with(client, "kube-system", &resource),
            config.labels(&format!("{LABEL_IDENTITY}=kube-apiserver")),
        ),
        _ => (everywhere, config),
    };
    let mut stream = watcher(api, config).default_backoff().boxed();
    while let Some(event) = stream.next().await {
        let told = match event {
            Ok(watcher::Event::Init) => Told::ListBegins,
            Ok(watcher::Event::InitApply(object)) => Told::Listed(Box::new(object)),
            Ok(watcher::Event::InitDone) => Told::ListComplete,
            Ok(watcher::Event::Apply(object)) => Told::Changed(Box::new(object)),
            Ok(watcher::Event::Delete(object)) => Told::Gone(Box::new(object)),
            Err(error) => {
                // All streams go over one connection, so one of them tells.
                if kind == Kind::ServerLease && has_broken_off(&error) {
                    let told = listener.send(Heard::BrokenOff).await;
                    if told.is_err() {
                        return;
                    }
                }
                match advice(&error) {
                    Some(advice) => {
                        tracing::error!(%kind, error = %error, advice, "this kind cannot be seen; it is tried again");
                    }
                    None => {
                        tracing::warn!(%kind, error = %error, "watch failed; it is tried again")
                    }
                }
                continue;
            }
        };
        tracing::trace!(%kind, object = ?name(&told), "told");
        if listener.send(Heard::Kind(kind, told)).await.is_err() {
            return;
        }
    }
}

/// Whether nobody answered, rather than said no.
fn has_broken_off(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(source)
    | watcher::Error::WatchStartFailed(source)
    | watcher::Error::WatchFailed(source)) = error
    else {
        return false;
    };
    !matches!(source, kube::Error::Api(_))
}

/// What somebody has to do about it; nothing where it passes by itself.
fn advice(error: &watcher::Error) -> Option<&'static str> {
    let (watcher::Error::InitialListFailed(source)
    | watcher::Error::WatchStartFailed(source)
    | watcher::Error::WatchFailed(source)) = error
    else {
        return None;
    };
    match source {
        // Where none of its group is served, the API server says no more than this number.
        kube::Error::Api(status) if status.code == 404 => {
            Some("the API server does not serve it: install the chart's definitions")
        }
        kube::Error::Api(status) if status.is_forbidden() => {
            Some("the service account may not list and watch it: install the chart's roles")
        }
        _ => None,
    }
}

fn name(told: &Told) -> Option<String> {
    match told {
        Told::Listed(object) | Told::Changed(object) | Told::Gone(object) => {
            Some(object.name_any())
        }
        Told::ListBegins | Told::ListComplete => None,
    }
}
