//! Canaries: a dry-run delete of the hold itself, sent to every API server, which must refuse in the name of this hold.
//!
//! A hold keeps itself by the very policy, binding and parameter by which it keeps everything else, and no other hold keeps
//! it while it is unreleased, so the name in the refusal is its own or none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use kube::api::{Api, DeleteParams, DynamicObject, Preconditions};
use kube::{Client, Config};

use super::short;
use crate::model::{CanaryAnswer, Kind, ObjectKey};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The name that every API server's certificate has.
const SERVER_NAME: &str = "kubernetes.default.svc";

/// A client for each API server.
#[derive(Clone)]
pub struct Servers {
    configured: Client,
    config: Config,
    clients: Arc<Mutex<BTreeMap<String, Client>>>,
}

impl Servers {
    /// Servers that are reached with the operator's own credentials.
    #[must_use]
    pub fn new(configured: Client, config: Config) -> Self {
        Self {
            configured,
            config,
            clients: Arc::default(),
        }
    }

    /// Sends a canary to each of these servers, or where none is known to the one of the configuration.
    pub async fn prove(
        &self,
        servers: &BTreeSet<String>,
        hold: &ObjectKey,
        uid: &str,
    ) -> Vec<(String, CanaryAnswer)> {
        let one = async |(server, client): (String, Result<Client, String>)| {
            let answer = match client {
                Ok(client) => canary(&client, hold, uid).await,
                Err(problem) => CanaryAnswer::Unreachable(problem),
            };
            (server, answer)
        };
        join_all(self.reach(servers).into_iter().map(one)).await
    }

    /// A client for each of these servers, or where none is known for the one of the configuration.
    pub(super) fn reach(
        &self,
        servers: &BTreeSet<String>,
    ) -> Vec<(String, Result<Client, String>)> {
        if servers.is_empty() {
            let address = self.config.cluster_url.to_string();
            return vec![(address, Ok(self.configured.clone()))];
        }
        let one = |server: &String| (server.clone(), self.client(server));
        servers.iter().map(one).collect()
    }

    fn client(&self, server: &str) -> Result<Client, String> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(server) {
            return Ok(client.clone());
        }
        let mut config = self.config.clone();
        config.cluster_url = format!("https://{server}")
            .parse()
            .map_err(|error| format!("not an address: {error}"))?;
        config.tls_server_name = Some(SERVER_NAME.to_owned());
        let client = Client::try_from(config).map_err(|error| error.to_string())?;
        clients.insert(server.to_owned(), client.clone());
        Ok(client)
    }
}

async fn canary(client: &Client, hold: &ObjectKey, uid: &str) -> CanaryAnswer {
    let resource = Kind::Hold.api_resource();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &hold.namespace, &resource);
    let parameters = DeleteParams {
        dry_run: true,
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let answer = tokio::time::timeout(PATIENCE, api.delete(&hold.name, &parameters)).await;
    match answer {
        Ok(Ok(_)) => CanaryAnswer::Passed,
        Ok(Err(kube::Error::Api(status))) => {
            let named = status.message.contains(&format!("[ProcessingHold {hold}]"));
            if status.code == 403 && named {
                CanaryAnswer::Refused
            } else {
                CanaryAnswer::Otherwise(short(&status.message))
            }
        }
        Ok(Err(error)) => CanaryAnswer::Unreachable(short(&error.to_string())),
        Err(_) => CanaryAnswer::Unreachable(format!("nothing within {}s", PATIENCE.as_secs())),
    }
}
