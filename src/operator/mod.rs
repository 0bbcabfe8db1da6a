//! The shell: watches → World → plan → check → diff → writes → statuses. Every await of the program is here.
//!
//! May not: look at a domain fact. What is decided is decided in the plan.

mod clock;
mod dispose;
mod endpoint;
mod engine;
mod error;
mod events;
mod execute;
mod feed;
mod inquire;
mod inventory;
mod metrics;
mod patience;
mod publications;
mod retention;
mod schedule;
mod scribe;
mod server;
mod watch;
mod witness;
mod writer;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch as flag};
use tokio::task::JoinSet;

use crate::model::{Kind, Settings, World};
use scribe::Scribe;

pub use clock::now;
pub use endpoint::{CertificateFiles, EndpointError};
pub use error::{Category, RunError, WriteError};
pub use scribe::{LedgerOptions, Unrecorded};

/// Messages of all streams that may wait for the engine. A full channel makes the streams wait, not the memory grow.
const WAITING: usize = 4096;

/// A connection on which a request is under way and nothing comes is given up after this long.
const SILENCE: Duration = Duration::from_secs(55);
/// What is under way when the operator is told to stop has this long to finish.
const FAREWELL: Duration = Duration::from_secs(10);

/// How the operator is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Kubeconfig; without it the pod's service account, or the user's own configuration.
    pub kubeconfig: Option<PathBuf>,
    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    pub listen: SocketAddr,
    /// By which certificate; one that is made at the start where there is none.
    pub certificate: Option<CertificateFiles>,
    /// Whether API servers are spoken to by TLS 1.2 too, where something older stands before them.
    pub older_servers: bool,
    /// The operator's own namespace.
    pub namespace: String,
    /// Addresses of every API server, where `default/kubernetes` does not list them.
    pub servers: Vec<String>,
    /// The ledger.
    pub ledger: LedgerOptions,
}

/// Runs the operator until it is told to stop.
///
/// # Errors
/// When the cluster cannot be configured, the address is taken, or a part of the operator ends by itself.
pub async fn run(options: Options) -> Result<(), RunError> {
    let config = config(options.kubeconfig, options.older_servers).await?;
    let client = connect(config.clone())?;
    let served_by = endpoint::config(options.certificate)?;
    let listener = listen(options.listen).map_err(|source| RunError::Listen {
        address: options.listen,
        source,
    })?;
    let (stop, stopped) = flag::channel(false);
    let health = server::Health::default();
    health.beat();
    let settings = Settings {
        operator_namespace: Some(options.namespace),
        servers: options.servers,
    };
    let (listener_of_streams, told) = mpsc::channel(WAITING);
    let (reports, inbox) = mpsc::channel(WAITING);
    let directory = options.ledger.directory.clone();
    let scribe = Scribe::start(options.ledger, health.metrics.clone(), reports.clone())
        .map_err(|source| RunError::Ledger { directory, source })?;
    let engine = engine::Engine::new(
        client.clone(),
        config,
        World::new(settings),
        health.clone(),
        scribe.clone(),
        listener_of_streams.clone(),
        (reports, inbox),
    );

    let mut parts = JoinSet::new();
    for kind in Kind::ALL {
        let stream = watch::watch(client.clone(), kind, listener_of_streams.clone());
        parts.spawn(async move {
            stream.await;
            "watch"
        });
    }
    drop(listener_of_streams);
    parts.spawn(async move {
        match server::serve(listener, served_by, health).await {
            Ok(()) => "server",
            Err(error) => {
                tracing::error!(%error, "the server failed");
                "server"
            }
        }
    });
    let mut running = tokio::spawn(engine.run(told, stopped));
    tracing::info!(listen = %options.listen, version = env!("CARGO_PKG_VERSION"), "started");

    tokio::select! {
        signal = asked_to_stop() => signal.map_err(RunError::Signals)?,
        part = parts.join_next() => return Err(RunError::Ended(part.and_then(Result::ok).unwrap_or("part"))),
        _ = &mut running => return Err(RunError::Ended("engine")),
    }
    // The engine is the only receiver; if it is gone there is nothing left to stop.
    let _ = stop.send(true);
    let finished = tokio::time::timeout(FAREWELL, running).await;
    let recorded = tokio::time::timeout(FAREWELL, scribe.finish()).await;
    tracing::info!(
        in_time = finished.is_ok(),
        recorded = recorded.is_ok(),
        "stopped"
    );
    Ok(())
}

/// A client that does not retry by itself: the schedule decides what is tried again, and closing is never held up behind
/// minutes of somebody else's patience.
///
/// # Errors
/// When there is no configuration, or it does not make a client.
pub async fn client(kubeconfig: Option<PathBuf>) -> Result<Client, RunError> {
    connect(config(kubeconfig, true).await?)
}

fn connect(config: Config) -> Result<Client, RunError> {
    Client::try_from(config).map_err(|error| RunError::Client(Box::new(error)))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Makes TLS 1.3 the least that this process speaks as a client, unless older servers must be reached too. The client of kube
/// takes what the process has: a provider without the suites of TLS 1.2 does not offer it.
fn speak(older_servers: bool) {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if !older_servers {
        provider
            .cipher_suites
            .retain(|suite| suite.tls13().is_some());
    }
    // Already installed when a client was made before.
    let _ = provider.install_default();
}

async fn config(kubeconfig: Option<PathBuf>, older_servers: bool) -> Result<Config, RunError> {
    speak(older_servers);
    let mut config = match kubeconfig {
        Some(path) => {
            let read =
                Kubeconfig::read_from(path).map_err(|error| RunError::Config(Box::new(error)))?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                .await
                .map_err(|error| RunError::Config(Box::new(error)))?
        }
        None => Config::infer()
            .await
            .map_err(|error| RunError::Config(Box::new(error)))?,
    };
    config.default_retry = false;
    // A list that never comes would leave its kind unseen for good. Watches say something or end well before this.
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    Ok(config)
}

async fn asked_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
