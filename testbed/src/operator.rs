//! The operator as a process: the real binary, with the rights that the chart gives it and no others.
//!
//! May not: help it. It is started, killed, paused and asked whether it is ready; nothing else reaches into it.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;

use crate::agent::NODE;
use crate::chart;
use crate::cluster::Cluster;
use crate::identity::Identity;
use crate::ports;
use crate::process::{Killer, Process};
use crate::proxy::Proxy;
use crate::wait::eventually;

/// How the operator is run.
#[derive(Clone, Debug, Default)]
pub struct OperatorOptions {
    /// Further arguments of `covenant run`.
    pub arguments: Vec<String>,
    /// Further environment variables.
    pub environment: Vec<(String, String)>,
}

/// A running operator. Dropping it kills it.
#[derive(Debug)]
pub struct Operator {
    binary: PathBuf,
    kubeconfig: PathBuf,
    ledger: PathBuf,
    port: u16,
    certificate: String,
    options: OperatorOptions,
    log: PathBuf,
    process: Process,
}

/// What the operator's own listener answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The text.
    pub text: String,
}

impl Cluster {
    /// The identity of the chart's ServiceAccount, which the operator runs as. Its token is asked for as a kubelet asks,
    /// because the guards give one to nobody else; on a cluster that was there before it is impersonated instead.
    ///
    /// # Errors
    /// When the chart is not installed.
    pub async fn operator_identity(&self) -> anyhow::Result<Identity> {
        let (namespace, name) = (chart::NAMESPACE, chart::RELEASE);
        if self.etcd().is_err() {
            let user = format!("system:serviceaccount:{namespace}:{name}");
            return self
                .identity_in_group(&user, Some("system:serviceaccounts"))
                .await;
        }
        let user = format!("system:node:{NODE}");
        let rules = json!([{ "apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"] }]);
        self.give(&user, "kubelet-tokens", &rules).await?;
        let kubelet = self.identity_in_group(&user, Some("system:nodes")).await?;
        self.service_account_as(&kubelet, namespace, name).await
    }

    /// Starts the operator and waits until it is ready. `binary` is `env!("CARGO_BIN_EXE_covenant")` in a test.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_operator(&self, binary: impl AsRef<Path>) -> anyhow::Result<Operator> {
        let identity = self.operator_identity().await?;
        let operator = Operator::start(
            self,
            binary.as_ref(),
            identity.kubeconfig(),
            OperatorOptions::default(),
        )?;
        operator.wait_ready().await?;
        Ok(operator)
    }

    /// Starts the operator behind a fault proxy. It does not wait: a proxy may be there to keep it from being ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start_operator_behind(
        &self,
        binary: impl AsRef<Path>,
        proxy: &Proxy,
    ) -> anyhow::Result<Operator> {
        let identity = self.operator_identity().await?;
        let file = proxy.kubeconfig(&identity)?;
        Operator::start(self, binary.as_ref(), &file, OperatorOptions::default())
    }
}

impl Operator {
    /// Starts `covenant run` with this kubeconfig. It does not wait.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        cluster: &Cluster,
        binary: &Path,
        kubeconfig: &Path,
        mut options: OperatorOptions,
    ) -> anyhow::Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = cluster.folder().join(format!("covenant-{number}.log"));
        let port = ports::free()?;
        // One ledger a cluster, over all operators that it ever has.
        let ledger = cluster.folder().join("ledger");
        let certificate = certified(
            &cluster.folder().join(format!("covenant-{number}")),
            &mut options,
        )?;
        let process = launch(binary, kubeconfig, &ledger, port, &options, &log)?;
        Ok(Self {
            certificate,
            binary: binary.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            ledger,
            port,
            options,
            log,
            process,
        })
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// When it does not within a minute, or the operator ends, with its last words.
    pub async fn wait_ready(&self) -> anyhow::Result<()> {
        self.wait_ready_within(Duration::from_secs(60)).await
    }

    /// As [`Operator::wait_ready`], with another deadline.
    ///
    /// # Errors
    /// As there.
    pub async fn wait_ready_within(&self, patience: Duration) -> anyhow::Result<()> {
        let ready = async || {
            let answer = self.get("/readyz").await?;
            if answer.status == 200 {
                anyhow::Ok(())
            } else {
                bail!("{} {}", answer.status, answer.text)
            }
        };
        let attempt = || async {
            match self.process.ended() {
                Some(status) => Ok(Err(anyhow::anyhow!("the operator has ended: {status}"))),
                None => ready().await.map(Ok),
            }
        };
        eventually("the operator is ready", patience, attempt)
            .await
            .and_then(|settled| settled)
            .with_context(|| format!("the operator's last words:\n{}", self.tail(40)))
    }

    /// Asks the operator's own listener (`/readyz`, `/metrics` …).
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trusting(&self.certificate)?)
            .https_only()
            .enable_http1()
            .build();
        let client: Client<_, Empty<Bytes>> =
            Client::builder(TokioExecutor::new()).build(connector);
        let request = Request::get(format!("https://localhost:{}{path}", self.port))
            .body(Empty::new())
            .context("not a path")?;
        let response = client
            .request(request)
            .await
            .context("the operator's listener does not answer")?;
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .context("the operator's listener broke off")?
            .to_bytes();
        Ok(Answer {
            status,
            text: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    /// The port of its own listener.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, for measurements.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Kills it (SIGKILL).
    pub fn kill(&self) {
        self.process.kill();
    }

    /// A switch that kills it, for the fault proxy.
    #[must_use]
    pub fn killer(&self) -> Killer {
        self.process.killer()
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// When it has not ended after half a minute, which is what a kubelet gives it; it is killed then.
    pub async fn stop(&self) -> anyhow::Result<ExitStatus> {
        self.process.ask_to_end()?;
        let ended = eventually(
            "the operator has ended",
            Duration::from_secs(30),
            async || self.process.ended(),
        )
        .await;
        self.process.kill();
        ended.with_context(|| format!("the operator's last words:\n{}", self.tail(40)))
    }

    /// Stops its clock (SIGSTOP).
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process.pause()
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.process.resume()
    }

    /// Kills it when it still runs, and starts it again as it was. It does not wait.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.process.kill();
        self.process = launch(
            &self.binary,
            &self.kubeconfig,
            &self.ledger,
            self.port,
            &self.options,
            &self.log,
        )?;
        Ok(())
    }

    /// The directory of its ledger.
    #[must_use]
    pub fn ledger(&self) -> &Path {
        &self.ledger
    }

    /// The file with everything that it logged, over all its starts.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines that it logged.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        self.process.tail(lines)
    }
}

/// Gives the operator a certificate of its own for `localhost`, and returns it.
fn certified(stem: &Path, options: &mut OperatorOptions) -> anyhow::Result<String> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .context("no certificate for the operator")?;
    let (certificate, key) = (stem.with_extension("crt"), stem.with_extension("key"));
    let texts = [
        (&certificate, "--tls-certificate", made.cert.pem()),
        (&key, "--tls-key", made.signing_key.serialize_pem()),
    ];
    for (path, argument, text) in texts {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        let path = path.display().to_string();
        options.arguments.extend([argument.to_owned(), path]);
    }
    Ok(made.cert.pem())
}

/// A client that believes this certificate and no other.
fn trusting(certificate: &str) -> anyhow::Result<ClientConfig> {
    let certificate =
        CertificateDer::from_pem_slice(certificate.as_bytes()).context("no certificate")?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).context("it is believed by nobody")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .context("TLS 1.3 cannot be spoken")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn launch(
    binary: &Path,
    kubeconfig: &Path,
    ledger: &Path,
    port: u16,
    options: &OperatorOptions,
    log: &Path,
) -> anyhow::Result<Process> {
    let mut arguments = vec![
        "run".to_owned(),
        "--kubeconfig".to_owned(),
        kubeconfig.display().to_string(),
        "--listen".to_owned(),
        format!("127.0.0.1:{port}"),
        "--ledger".to_owned(),
        ledger.display().to_string(),
    ];
    arguments.extend(options.arguments.iter().cloned());
    Process::start_with("covenant", binary, &arguments, &options.environment, log)
}
