//! What a cluster says of retention in one namespace, read once with the rights of who asks: policies, holds, minimums, and the
//! metadata of the objects that they select.
//!
//! May not: write, or count what may not be read as nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal as _, Write as _};

use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::discovery::{self, Scope, pinned_kind};
use kube::{Client, Error};
use serde_json::{Value, json};

use super::explain::Named;
use super::{Read, RetentionError, connect, policies};
use crate::api::names::{BASELINE_DEFAULT, LABEL_BASELINE, LABEL_TENANT};
use crate::api::{GuardParametersSpec, RetentionStart};
use crate::cli::files::items;
use crate::model::{
    Kind, KindState, LedgerState, ObjectKey, ResourceKind, Settings, World, completed,
};

/// How guards name the minimums of a baseline.
const OF_BASELINE: &str = "TenantBaseline ";
/// Objects asked for at once.
const PAGE: u32 = 500;

/// Reads a namespace.
pub(super) async fn read(client: &Client, namespace: String) -> anyhow::Result<Read> {
    let mut reading = Reading::begin(client, namespace).await?;
    reading.objects().await?;
    Ok(reading.done())
}

/// Reads a namespace, and finds one object in it.
pub(super) async fn find(
    client: &Client,
    namespace: String,
    named: &Named,
) -> anyhow::Result<(Read, ResourceKind, ObjectKey)> {
    let key = ObjectKey::new(&namespace, &named.name);
    let mut reading = Reading::begin(client, namespace).await?;
    reading.objects().await?;
    let kinds: Vec<ResourceKind> = reading.world.wanted_kinds().into_iter().collect();
    let selected = kinds.into_iter().filter(|kind| named.is(kind));
    let there = selected
        .clone()
        .find(|kind| reading.world.item(kind, &key).is_some());
    let (kind, resource) = match there {
        Some(kind) => return Ok((reading.done(), kind, key)),
        None => served(client, named, selected.collect()).await?,
    };
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), &key.namespace, &resource);
    match api.get_metadata(&key.name).await {
        Ok(object) => items::put(&mut reading.world, &kind, &object.metadata, None),
        Err(Error::Api(status)) if status.code == 404 => {
            return Err(RetentionError::NoSuchObject {
                kind: named.label(),
                key,
                place: "",
            }
            .into());
        }
        Err(error) => return Err(refused(client, &kind.kind, &key.namespace, error).await),
    }
    Ok((reading.done(), kind, key))
}

/// A policy as it is stored.
pub(super) async fn policy(client: &Client, key: &ObjectKey) -> anyhow::Result<DynamicObject> {
    let kind = Kind::RetentionPolicy;
    let api = within(client, kind, &key.namespace);
    match api.get(&key.name).await {
        Ok(object) => Ok(object),
        // The API server names the object where it knows the kind.
        Err(Error::Api(status))
            if status.code == 404
                && status
                    .details
                    .as_ref()
                    .is_some_and(|it| it.name == key.name) =>
        {
            let mut world = World::new(Settings::default());
            let listed = pages(&api, "").await.unwrap_or_default();
            for object in listed {
                world.apply(kind, object);
            }
            Err(RetentionError::NoSuchPolicy {
                policy: key.clone(),
                there: policies(&world, &key.namespace),
            }
            .into())
        }
        Err(error) => Err(refused(client, "RetentionPolicies", &key.namespace, error).await),
    }
}

struct Reading<'a> {
    client: &'a Client,
    namespace: String,
    world: World,
    notes: Vec<String>,
}

impl<'a> Reading<'a> {
    /// Reads what decides.
    async fn begin(client: &'a Client, namespace: String) -> anyhow::Result<Self> {
        let mut world = World::new(Settings::default());
        let mut notes = Vec::new();
        let namespaces =
            Api::<DynamicObject>::all_with(client.clone(), &Kind::Namespace.api_resource());
        let found = match namespaces.get(&namespace).await {
            Ok(object) => Some(object),
            Err(Error::Api(status)) if status.code == 404 => {
                anyhow::bail!("there is no namespace {namespace}; name another with -n");
            }
            Err(Error::Api(status)) if status.code == 403 => None,
            Err(error) => return Err(refused(client, "the namespace", &namespace, error).await),
        };
        for (kind, what) in [
            (Kind::RetentionPolicy, "RetentionPolicies"),
            (Kind::Hold, "ProcessingHolds"),
            (Kind::GuardParameters, "GuardParameters"),
        ] {
            match pages(&within(client, kind, &namespace), "").await {
                Ok(objects) => {
                    for object in objects {
                        world.apply(kind, object);
                    }
                }
                Err(error) => return Err(refused(client, what, &namespace, error).await),
            }
        }
        let found = found.unwrap_or_else(|| {
            notes.push(format!(
                "you may not read namespace {namespace} itself: it counts as enrolled and in force, of a tenant that is not known"
            ));
            unread(&world, &namespace)
        });
        let labels = found.metadata.labels.as_ref();
        let named = labels.and_then(|labels| labels.get(LABEL_BASELINE));
        let baseline = named.map_or(BASELINE_DEFAULT, String::as_str).to_owned();
        world.apply(Kind::Namespace, found);
        let baselines =
            Api::<DynamicObject>::all_with(client.clone(), &Kind::Baseline.api_resource());
        match baselines.get(&baseline).await {
            Ok(object) => {
                world.apply(Kind::Baseline, object);
            }
            Err(Error::Api(status)) if status.code == 404 => {}
            Err(Error::Api(status)) if status.code == 403 => {
                let object = stand_in(client, &world, &namespace, &baseline).await;
                world.apply(Kind::Baseline, object);
                notes.push(format!(
                    "you may not read TenantBaseline {baseline}: its minimums are those that guards read; its grace and its limits are not known and count as they do where it says nothing (P1D, 50 a run, 500 a day)"
                ));
            }
            Err(error) => return Err(refused(client, "its baseline", &namespace, error).await),
        }
        doubts(&mut world, &namespace);
        Ok(Self {
            client,
            namespace,
            world,
            notes,
        })
    }

    /// Reads the metadata of what is selected.
    async fn objects(&mut self) -> anyhow::Result<()> {
        let asks_for_completion: BTreeSet<ResourceKind> = self
            .world
            .shelf(&self.namespace)
            .into_iter()
            .flat_map(|shelf| shelf.rules())
            .filter(|rule| rule.starts_at == Some(RetentionStart::CompletedAt))
            .flat_map(|rule| &rule.selections)
            .map(|selection| selection.kind.clone())
            .collect();
        for kind in self.world.wanted_kinds() {
            let state = match resource(self.client, &kind).await {
                Ok(resource) if asks_for_completion.contains(&kind) => {
                    self.whole(&kind, &resource).await?
                }
                Ok(resource) => self.metadata(&kind, &resource).await?,
                Err(state) => state,
            };
            let why = match &state {
                KindState::Synced | KindState::Syncing => None,
                KindState::NotServed => Some("the cluster does not serve it".to_owned()),
                KindState::NotNamespaced => Some("it is not in namespaces".to_owned()),
                KindState::Forbidden { message } | KindState::Failing { message } => {
                    Some(message.clone())
                }
            };
            if let Some(why) = why {
                self.notes.push(format!(
                    "{kind} could not be read ({why}): its objects are not known, which does not mean that there are none, and counts of its policies are the operator's"
                ));
            }
            self.world.tell_kind(&kind, state);
        }
        Ok(())
    }

    async fn metadata(
        &mut self,
        kind: &ResourceKind,
        resource: &ApiResource,
    ) -> anyhow::Result<KindState> {
        let api =
            Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, resource);
        let mut progress = Progress::new(resource);
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            let page = match api.list_metadata(&parameters).await {
                Ok(page) => page,
                Err(error) => return state_of(error, resource),
            };
            progress.add(page.items.len());
            for PartialObjectMeta { metadata, .. } in &page.items {
                items::put(&mut self.world, kind, metadata, None);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(KindState::Synced),
            }
        }
    }

    /// Whether something completed its metadata does not say.
    async fn whole(
        &mut self,
        kind: &ResourceKind,
        resource: &ApiResource,
    ) -> anyhow::Result<KindState> {
        let api =
            Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, resource);
        match pages(&api, &resource.plural).await {
            Ok(objects) => {
                for object in objects {
                    let done = completed(kind, &object.data);
                    items::put(&mut self.world, kind, &object.metadata, done);
                }
                Ok(KindState::Synced)
            }
            Err(error) => state_of(error, resource),
        }
    }

    fn done(self) -> Read {
        Read {
            world: self.world,
            namespace: Some(self.namespace),
            notes: self.notes,
            items: Vec::new(),
        }
    }
}

/// How a kind stands that could not be listed.
fn state_of(error: Error, resource: &ApiResource) -> anyhow::Result<KindState> {
    match error {
        Error::Api(status) if status.code == 403 => Ok(KindState::Failing {
            message: format!(
                "you may not list {} here",
                if resource.group.is_empty() {
                    resource.plural.clone()
                } else {
                    format!("{}.{}", resource.plural, resource.group)
                }
            ),
        }),
        Error::Api(status) if status.code == 404 => Ok(KindState::NotServed),
        error => Err(anyhow::Error::new(error).context(format!(
            "{} could not be listed to the end",
            resource.plural
        ))),
    }
}

/// What the operator said of its ledger and of its clock concerns what goes.
fn doubts(world: &mut World, namespace: &str) {
    let said = |reason: &str| {
        let mut policies = world.retention_policies_in(namespace);
        policies.find_map(|policy| {
            let mut conditions = policy.status.conditions.iter();
            let found = conditions.find(|it| it.type_ == "Ready" && it.reason == reason)?;
            Some(found.message.clone())
        })
    };
    let (problem, doubt) = (said("LedgerUnavailable"), said("ClockDoubted"));
    world.learn_ledger(LedgerState {
        head: None,
        problem,
    });
    if let Some(doubt) = doubt {
        world.learn_clock(Some(doubt));
    }
}

/// A namespace that may not be read: in force, on the baseline whose minimums guards read there.
fn unread(world: &World, namespace: &str) -> DynamicObject {
    let mut object = DynamicObject::new(namespace, &Kind::Namespace.api_resource());
    let mut labels = BTreeMap::from([(LABEL_TENANT.to_owned(), "unknown".to_owned())]);
    let stored = world
        .parameters(namespace)
        .and_then(|stored| stored.spec.as_ref());
    let rules = stored.into_iter().flat_map(|spec| &spec.retention);
    let mut baselines = rules.filter_map(|rule| rule.rule.strip_prefix(OF_BASELINE));
    if let Some(name) = baselines.next() {
        labels.insert(LABEL_BASELINE.to_owned(), name.to_owned());
    }
    object.metadata.labels = Some(labels);
    object
}

/// A baseline with the minimums that guards read: what a tenant may see of it.
async fn stand_in(
    client: &Client,
    world: &World,
    namespace: &str,
    baseline: &str,
) -> DynamicObject {
    let spec = world
        .parameters(namespace)
        .and_then(|stored| stored.spec.as_ref());
    let mut keep = Vec::new();
    let rules = spec
        .into_iter()
        .flat_map(|spec: &GuardParametersSpec| &spec.retention);
    for rule in rules.filter(|rule| rule.rule.starts_with(OF_BASELINE)) {
        let known = world.wanted_kinds().into_iter();
        let mut known =
            known.filter(|kind| (&kind.group, &kind.kind) == (&rule.api_group, &rule.kind));
        let kind = match known.next() {
            Some(kind) => kind.api_version(),
            None => match recommended(client, &rule.api_group, &rule.kind).await {
                Some((kind, _)) => kind.api_version(),
                None => continue,
            },
        };
        let mut select = json!({ "apiVersion": kind, "kind": rule.kind });
        if !rule.match_labels.is_empty() {
            select["matchLabels"] = json!(rule.match_labels);
        }
        if !rule.names.is_empty() {
            select["names"] = json!(rule.names);
        }
        if let Some(prefix) = &rule.name_prefix {
            select["namePrefix"] = json!(prefix);
        }
        keep.push(json!({
            "select": select,
            "atLeast": rule.at_least,
            "startsAt": rule.starts_at,
            "basis": "as guards read it",
        }));
    }
    let mut object = DynamicObject::new(baseline, &Kind::Baseline.api_resource());
    object.data = spec_of(&keep);
    object
}

fn spec_of(keep: &[Value]) -> Value {
    json!({ "spec": {
        "network": { "sameTenant": "Deny" },
        "grants": { "maximumDuration": "P90D" },
        "retention": { "keep": keep },
    } })
}

/// The kind that a name on the command line means, and how to reach it.
async fn served(
    client: &Client,
    named: &Named,
    selected: Vec<ResourceKind>,
) -> anyhow::Result<(ResourceKind, ApiResource)> {
    if let Some(kind) = selected.into_iter().next()
        && let Ok(resource) = resource(client, &kind).await
    {
        return Ok((kind, resource));
    }
    let group = named.group.as_deref().unwrap_or_default();
    let found = recommended(client, group, &named.kind).await;
    found.ok_or_else(|| RetentionError::NoSuchKind(named.label()).into())
}

/// A namespaced kind as the cluster would have it, whatever the case of its letters.
async fn recommended(
    client: &Client,
    group: &str,
    kind: &str,
) -> Option<(ResourceKind, ApiResource)> {
    let group = discovery::group(client, group).await.ok()?;
    let (resource, _) =
        group
            .recommended_resources()
            .into_iter()
            .find(|(resource, capabilities)| {
                resource.kind.eq_ignore_ascii_case(kind) && capabilities.scope == Scope::Namespaced
            })?;
    let kind = ResourceKind::parse(&resource.api_version, &resource.kind);
    Some((kind, resource))
}

async fn resource(client: &Client, kind: &ResourceKind) -> Result<ApiResource, KindState> {
    let wanted = GroupVersionKind::gvk(&kind.group, &kind.version, &kind.kind);
    match pinned_kind(client, &wanted).await {
        Ok((resource, capabilities)) if capabilities.scope == Scope::Namespaced => Ok(resource),
        Ok(_) => Err(KindState::NotNamespaced),
        Err(Error::Discovery(_)) => Err(KindState::NotServed),
        Err(Error::Api(status)) if status.code == 404 => Err(KindState::NotServed),
        Err(error) => Err(KindState::Failing {
            message: error.to_string(),
        }),
    }
}

fn within(client: &Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kind.api_resource())
}

async fn pages(api: &Api<DynamicObject>, plural: &str) -> Result<Vec<DynamicObject>, Error> {
    let mut parameters = ListParams::default().limit(PAGE);
    let mut objects = Vec::new();
    let mut progress = Progress {
        plural: plural.to_owned(),
        count: 0,
        shown: false,
    };
    loop {
        let page = api.list(&parameters).await?;
        progress.add(page.items.len());
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

/// What a refused reading means.
async fn refused(client: &Client, what: &str, namespace: &str, error: Error) -> anyhow::Error {
    match error {
        Error::Api(status) if status.code == 403 => match connect::user(client).await {
            Ok(user) => RetentionError::MayNotRead {
                user,
                what: what.to_owned(),
                namespace: namespace.to_owned(),
            }
            .into(),
            Err(error) => error,
        },
        Error::Api(status) if status.code == 404 => RetentionError::NotInstalled.into(),
        error => {
            anyhow::Error::new(error).context("the cluster does not answer; is --kubeconfig right?")
        }
    }
}

/// How many objects were read, for who waits at a terminal.
struct Progress {
    plural: String,
    count: usize,
    shown: bool,
}

impl Progress {
    fn new(resource: &ApiResource) -> Self {
        Self {
            plural: resource.plural.clone(),
            count: 0,
            shown: false,
        }
    }

    fn add(&mut self, count: usize) {
        self.count += count;
        let mut err = std::io::stderr();
        // One page needs no telling.
        if self.count > PAGE as usize && !self.plural.is_empty() && err.is_terminal() {
            self.shown = true;
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(err, "\r{} {} read…", self.count, self.plural);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
