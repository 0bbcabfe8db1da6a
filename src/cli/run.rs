//! `covenant run`: the operator.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::operator::{self, CertificateFiles, LedgerOptions, Options};

/// Arguments of `covenant run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Kubeconfig; without it the pod's service account, or your own configuration
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Where /healthz, /readyz and /metrics are served
    #[arg(long, default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Certificate by which they are served, PEM, with what leads from it to an authority. TLS 1.3 alone is spoken. Without one, a
    /// certificate is made at each start
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Its private key, PEM. Both are read again when they are renewed
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// The least version of TLS by which API servers are spoken to: 1.2 where something older stands before them
    #[arg(long, default_value = "1.3", value_parser = ["1.2", "1.3"])]
    minimum_tls: String,
    /// The operator's own namespace, which is never enrolled
    #[arg(long, env = "POD_NAMESPACE", default_value = "covenant-system")]
    namespace: String,
    /// Address of an API server, once for each: where default/kubernetes lists them not, or only a load balancer
    #[arg(long = "api-server", value_name = "HOST:PORT")]
    servers: Vec<String>,
    /// Directory of the ledger: what is opened, closed, held, released and disposed of is recorded there. It is made where
    /// there is none
    #[arg(long, value_name = "DIR", env = "COVENANT_LEDGER")]
    ledger: PathBuf,
    /// The ledger's signing key; made at the first start. DIR.key when absent
    #[arg(long, value_name = "FILE")]
    ledger_key: Option<PathBuf>,
    /// The ledger's name, which is part of every checkpoint and never changes
    #[arg(long, value_name = "NAME", default_value = "covenant.local/ledger")]
    ledger_origin: String,
    /// Where each new head of the ledger is copied to: another disk, so that the ledger proves something to its owner's enemy
    #[arg(long, value_name = "FILE")]
    ledger_head_copy: Option<PathBuf>,
    /// How log lines look; text on a terminal and JSON elsewhere when absent. RUST_LOG filters them
    #[arg(long)]
    log_format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Runs the operator.
///
/// # Errors
/// When it cannot start, or a part of it ends by itself.
pub fn run(arguments: &RunArguments) -> anyhow::Result<()> {
    let on_terminal = if std::io::stderr().is_terminal() {
        LogFormat::Text
    } else {
        LogFormat::Json
    };
    let format = arguments.log_format.unwrap_or(on_terminal);
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,kube_client=warn"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    let options = Options {
        kubeconfig: arguments.kubeconfig.clone(),
        listen: arguments.listen,
        certificate: arguments
            .tls_certificate
            .clone()
            .zip(arguments.tls_key.clone())
            .map(|(certificate, key)| CertificateFiles { certificate, key }),
        older_servers: arguments.minimum_tls == "1.2",
        namespace: arguments.namespace.clone(),
        servers: arguments.servers.clone(),
        ledger: LedgerOptions {
            key: arguments
                .ledger_key
                .clone()
                .unwrap_or_else(|| arguments.ledger.with_added_extension("key")),
            directory: arguments.ledger.clone(),
            origin: arguments.ledger_origin.clone(),
            head_copy: arguments.ledger_head_copy.clone(),
        },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime could not be built")?;
    runtime.block_on(operator::run(options))?;
    Ok(())
}
