//! The World of a live cluster, read once.
//!
//! Who may not read everything is told what is missing, since a story without prohibitions is not the whole story. May
//! not: write.

use std::path::PathBuf;

use anyhow::Context as _;
use kube::api::{Api, ListParams};
use kube::core::DynamicObject;
use kube::{Client, Error};

use crate::api::names::{LABEL_MANAGED_BY, MANAGED_BY_COVENANT};
use crate::model::{Kind, Settings, World};
use crate::operator;

/// Objects asked for at once.
const PAGE: u32 = 500;

/// What was read.
pub struct Live {
    /// The World.
    pub world: World,
    /// The namespace that is meant where none is named.
    pub namespace: String,
}

/// Reads every kind once. `namespace` is what is read of kinds that may not be read everywhere.
///
/// # Errors
/// When the cluster cannot be reached or does not answer.
pub fn read(kubeconfig: Option<PathBuf>, namespace: Option<String>) -> anyhow::Result<Live> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime could not be built")?;
    runtime.block_on(async {
        let client = operator::client(kubeconfig)
            .await
            .context("no cluster; name manifests with -f, or a cluster with --kubeconfig")?;
        let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        let mut world = World::new(Settings::default());
        for kind in Kind::ALL
            .into_iter()
            .filter(|kind| decides_about_grants(*kind))
        {
            for object in list(&client, kind, &namespace).await? {
                world.apply(kind, object);
            }
        }
        Ok(Live { world, namespace })
    })
}

/// The rest proves holds and needs rights that a tenant does not have.
fn decides_about_grants(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Volume | Kind::Guard | Kind::GuardBinding | Kind::ServerLease
    )
}

async fn list(client: &Client, kind: Kind, namespace: &str) -> anyhow::Result<Vec<DynamicObject>> {
    let resource = kind.api_resource();
    let everywhere = || Api::<DynamicObject>::all_with(client.clone(), &resource);
    let within = |namespace: &str| {
        Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource)
    };
    let parameters = ListParams::default().limit(PAGE);
    let (api, parameters) = match kind {
        Kind::Job => {
            let ours = format!("{LABEL_MANAGED_BY}={MANAGED_BY_COVENANT}");
            (everywhere(), parameters.labels(&ours))
        }
        Kind::EndpointSlice => {
            let of_api_server = "kubernetes.io/service-name=kubernetes";
            (within("default"), parameters.labels(of_api_server))
        }
        Kind::Service => (
            within("default"),
            parameters.fields("metadata.name=kubernetes"),
        ),
        _ => (everywhere(), parameters),
    };
    let mut found = pages(&api, &parameters).await;
    if is_forbidden(&found) && kind.is_namespaced() {
        found = pages(&within(namespace), &parameters).await;
        if found.is_ok() {
            anstream::eprintln!("note: of {kind} only those in namespace {namespace} may be read");
        }
    }
    if is_forbidden(&found) && kind == Kind::Namespace {
        let one = everywhere().get(namespace).await.map(|object| vec![object]);
        if one.is_ok() {
            anstream::eprintln!("note: of {kind} only {namespace} may be read");
            found = one;
        }
    }
    if is_forbidden(&found) {
        anstream::eprintln!("note: {kind} may not be read; what it would say is missing below");
        return Ok(Vec::new());
    }
    found.with_context(|| format!("{kind} cannot be read; is Covenant installed in this cluster?"))
}

async fn pages(
    api: &Api<DynamicObject>,
    parameters: &ListParams,
) -> Result<Vec<DynamicObject>, Error> {
    let mut parameters = parameters.clone();
    let mut objects = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

fn is_forbidden<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Api(status)) if status.code == 403)
}
