//! `covenant encryption report`: what postures say of encryption, printed as they are read.
//!
//! May not: keep more than a page of a cluster's postures, however many namespaces there are.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, Error};
use serde_json::json;

use super::address::Address;
use super::probe::Trusting;
use super::prober::Prober;
use super::published::published;
use super::{EncryptionError, Output, Progress, connect, print};
use crate::api::names::{LABEL_TENANT, POSTURE_NAME};
use crate::cli::connect::Connection;
use crate::cli::files::Sources;
use crate::cli::plan::{self, Instant, Opened};
use crate::model::{Kind, ObjectKey};
use crate::render::{
    EncryptionSummary, NamespaceEncryption, NoPosture, encryption_begin, encryption_end,
    encryption_next, encryption_summary_text, namespace_encryption, namespace_encryption_text,
    namespace_without_posture,
};
use crate::simulate;

/// Postures asked for at once. One may have some hundred kilobytes.
const POSTURES: u32 = 100;
/// Names of namespaces asked for at once.
const NAMES: u32 = 500;

/// Arguments of `covenant encryption report`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "With -f it reads manifests, and tells what a cluster with these and no more would come to: what is only seen on a cluster, \
                  such as ciphertext in etcd, is unknown. Without -f it reads postures of a cluster.\n\n\
                  Verified: it was tried, and seen. Proven: what is written on it says so, by the documentation of who carries it out. \
                  Attested: somebody answers for it, until a date. Not shown are NotEncrypted, Unknown (it could not be found out) and \
                  NotJudged (nobody asked, or there is no way to tell).\n\n\
                  It repeats what the operator wrote last; whether the operator runs is told by `covenant check`.\n\n\
                  Exit code: 0 every namespace is encrypted (with --probe, and every server passed), 1 one is not or it is not known, \
                  2 error."
)]
pub(super) struct ReportArguments {
    #[command(flatten)]
    sources: Sources,
    /// With -f: the instant (2027-01-31T00:00:00Z) or date to tell of; now when absent.
    #[arg(long, value_name = "INSTANT", requires = "filenames")]
    at: Option<String>,
    /// Every namespace that is enrolled.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Also connect, from here, to the hosts that Ingresses and Gateways publish, as `covenant encryption probe` does. The names are
    /// the tenants' choice: one that leads to this machine or its link is not followed.
    #[arg(long, conflicts_with = "filenames")]
    probe: bool,
    /// With --probe: connect to this address in place of what the names lead to, such as a load balancer's.
    #[arg(long, value_name = "ADDRESS[:PORT]", requires = "probe")]
    connect_to: Option<String>,
    #[command(flatten)]
    trusting: Trusting,
    #[command(flatten)]
    connection: Connection,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Reads and prints. Whether everything was shown.
pub(super) async fn run(arguments: &ReportArguments) -> anyhow::Result<bool> {
    let at = arguments.at.clone();
    let now = Instant { at }.resolve()?;
    if arguments.trusting.ca.is_some() && !arguments.probe {
        bail!("--ca judges the certificates of servers; give it with --probe");
    }
    let connect_to: Option<Address> = match &arguments.connect_to {
        Some(text) => Some(text.parse().context("--connect-to")?),
        None => None,
    };
    let prober = match arguments.probe {
        true => Some(Prober::new(&arguments.trusting, now)?),
        false => None,
    };
    let mut telling = Telling {
        prober,
        connect_to,
        output: arguments.output,
        now,
        summary: EncryptionSummary::default(),
        count: 0,
        progress: Progress::new(),
    };
    let sources = &arguments.sources;
    if !sources.filenames.is_empty() {
        if arguments.connection.is_named() {
            bail!("name manifests with -f, or a cluster with --kubeconfig or --context; not both");
        }
        telling.files(sources)?;
    } else {
        let client = arguments.connection.client().await?;
        if arguments.all_namespaces {
            telling.everywhere(&client).await?;
        } else {
            let namespace = sources.namespace.clone();
            let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
            telling.within(&client, &namespace).await?;
        }
    }
    telling.end()?;
    Ok(telling.summary.is_shown())
}

struct Telling {
    prober: Option<Prober>,
    connect_to: Option<Address>,
    output: Output,
    now: Timestamp,
    summary: EncryptionSummary,
    count: usize,
    progress: Progress,
}

impl Telling {
    /// Tells what a cluster with these manifests alone would come to.
    fn files(&mut self, sources: &Sources) -> anyhow::Result<()> {
        let Opened { world, notes, .. } = plan::open(sources, self.now)?;
        for note in notes {
            anstream::eprintln!("note: {note}");
        }
        let world = simulate::converge(world, self.now)?.world;
        let of = |name: &str| {
            let posture = world.posture(&ObjectKey::new(name, POSTURE_NAME))?;
            let mut object =
                DynamicObject::new(POSTURE_NAME, &Kind::Posture.api_resource()).within(name);
            object.metadata.generation = Some(posture.meta.generation);
            object.data = json!({ "spec": posture.spec, "status": posture.status });
            Some(namespace_encryption(&object))
        };
        if let Some(name) = &sources.namespace {
            let none = || namespace_without_posture(name, NoPosture::NotEnrolled);
            return self.print(&of(name).unwrap_or_else(none));
        }
        for told in world.namespaces().keys().filter_map(|name| of(name)) {
            self.print(&told)?;
        }
        Ok(())
    }

    async fn within(&mut self, client: &Client, namespace: &str) -> anyhow::Result<()> {
        let resource = Kind::Posture.api_resource();
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let told = match api.get(POSTURE_NAME).await {
            Ok(posture) => namespace_encryption(&posture),
            Err(Error::Api(status)) if status.code == 404 && !names_an_object(&status) => {
                return Err(EncryptionError::NotInstalled.into());
            }
            Err(Error::Api(status)) if status.code == 404 => {
                namespace_without_posture(namespace, why_none(client, namespace).await?)
            }
            Err(error) => {
                let place = format!("namespace {namespace}");
                return Err(unread(client, place, error).await);
            }
        };
        self.tell(client, told).await
    }

    async fn everywhere(&mut self, client: &Client) -> anyhow::Result<()> {
        let resource = Kind::Posture.api_resource();
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let mut parameters = ListParams::default()
            .limit(POSTURES)
            .fields(&format!("metadata.name={POSTURE_NAME}"));
        let mut seen = BTreeSet::new();
        loop {
            let page = match api.list(&parameters).await {
                Ok(page) => page,
                Err(error) => {
                    let place = "all namespaces".to_owned();
                    return Err(unread(client, place, error).await);
                }
            };
            for posture in &page.items {
                let told = namespace_encryption(posture);
                seen.insert(told.name.clone());
                self.tell(client, told).await?;
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => break,
            }
        }
        self.without_posture(client, &seen).await
    }

    /// Tells of enrolled namespaces that have no posture.
    async fn without_posture(
        &mut self,
        client: &Client,
        seen: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let api: Api<DynamicObject> =
            Api::all_with(client.clone(), &Kind::Namespace.api_resource());
        let mut parameters = ListParams::default().limit(NAMES).labels(LABEL_TENANT);
        loop {
            let page = match api.list_metadata(&parameters).await {
                Ok(page) => page,
                Err(Error::Api(status)) if status.code == 403 => {
                    self.progress.clear();
                    anstream::eprintln!(
                        "note: you may not list namespaces: enrolled ones that have no posture yet are missing below"
                    );
                    return Ok(());
                }
                Err(error) => {
                    let error = anyhow::Error::new(error);
                    return Err(error.context("namespaces could not be listed to the end"));
                }
            };
            let names = page.items.into_iter().filter_map(|it| it.metadata.name);
            for name in names.filter(|name| !seen.contains(name)) {
                self.tell(client, namespace_without_posture(&name, NoPosture::NotYet))
                    .await?;
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    async fn tell(
        &mut self,
        client: &Client,
        mut namespace: NamespaceEncryption,
    ) -> anyhow::Result<()> {
        if let Some(prober) = &self.prober {
            self.progress
                .tell(&format!("reading what {} publishes", namespace.name));
            let connect_to = self.connect_to.as_ref();
            let published = published(client, &namespace.name, connect_to).await?;
            let mut probes = prober.all(published.targets, &mut self.progress).await;
            probes.extend(published.untried);
            namespace.probes = Some(probes);
        }
        self.print(&namespace)
    }

    fn print(&mut self, namespace: &NamespaceEncryption) -> anyhow::Result<()> {
        self.progress.clear();
        self.summary.add(namespace);
        let is_first = self.count == 0;
        self.count += 1;
        match self.output {
            Output::Text => {
                let text = namespace_encryption_text(namespace, self.now);
                print(&format!("{text}\n"))
            }
            Output::Json => {
                if is_first {
                    print(&encryption_begin(self.now))?;
                }
                print(&encryption_next(namespace, is_first)?)
            }
        }
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.progress.clear();
        match self.output {
            Output::Text => print(&encryption_summary_text(&self.summary)),
            Output::Json => {
                if self.count == 0 {
                    print(&encryption_begin(self.now))?;
                }
                print(&encryption_end(&self.summary)?)
            }
        }
    }
}

/// Why a namespace has no posture.
async fn why_none(client: &Client, namespace: &str) -> anyhow::Result<NoPosture> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &Kind::Namespace.api_resource());
    match api.get_metadata(namespace).await {
        Ok(found) => {
            let labels = found.metadata.labels.unwrap_or_default();
            Ok(if labels.contains_key(LABEL_TENANT) {
                NoPosture::NotYet
            } else {
                NoPosture::NotEnrolled
            })
        }
        Err(Error::Api(status)) if status.code == 404 => {
            Err(EncryptionError::NoSuchNamespace(namespace.to_owned()).into())
        }
        Err(Error::Api(status)) if status.code == 403 => Ok(NoPosture::MayNotRead),
        Err(error) => Err(unread(client, format!("namespace {namespace}"), error).await),
    }
}

/// The API server names the object where it knows the kind.
fn names_an_object(status: &kube::core::Status) -> bool {
    let details = status.details.as_ref();
    details.is_some_and(|it| it.name == POSTURE_NAME)
}

/// What a refused reading means.
async fn unread(client: &Client, place: String, error: Error) -> anyhow::Error {
    match error {
        Error::Api(status) if status.code == 403 => match connect::user(client).await {
            Ok(user) => EncryptionError::MayNotRead { user, place }.into(),
            Err(error) => error,
        },
        Error::Api(status) if status.code == 404 => EncryptionError::NotInstalled.into(),
        Error::Api(status) => EncryptionError::NotNow(status.message).into(),
        error => {
            anyhow::Error::new(error).context("the cluster does not answer; is --kubeconfig right?")
        }
    }
}
