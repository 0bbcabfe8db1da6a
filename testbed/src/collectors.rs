//! Agents that collect, as they are distributed: Prometheus, and an OpenTelemetry Collector.
//!
//! May not: know what an agent is to leave out. Each does what its configuration says.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::identity::Identity;
use crate::ports;
use crate::process::Process;
use crate::tools::{self, Tool};
use crate::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(120);

/// A running Prometheus. Dropping it kills it.
#[derive(Debug)]
pub struct Prometheus {
    port: u16,
    process: Process,
}

impl Prometheus {
    /// Starts one with these `scrape_configs`, which looks every second; its store and its log are in this folder.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(folder: &Path, scrape_configs: &Value) -> anyhow::Result<Self> {
        let program = tools::find_async(Tool::Prometheus).await?;
        let config = folder.join("prometheus.json");
        write(
            &config,
            &json!({
                "global": { "scrape_interval": "1s", "scrape_timeout": "1s" },
                "scrape_configs": scrape_configs,
            }),
        )?;
        let port = ports::free()?;
        let arguments = [
            format!("--config.file={}", config.display()),
            format!(
                "--storage.tsdb.path={}",
                folder.join("prometheus").display()
            ),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let log = folder.join("prometheus.log");
        let process = Process::start("prometheus", &program, &arguments, &log)?;
        let started = Self { port, process };
        ready(&started.process, || async {
            started.ask("/-/ready").await.map(drop)
        })
        .await?;
        Ok(started)
    }

    /// What it scrapes and what it dropped: the `data` of its API's `targets`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn targets(&self) -> anyhow::Result<Value> {
        self.data("/api/v1/targets").await
    }

    /// What this metric is now, one entry a series; empty where nobody is scraped who has it.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn series(&self, metric: &str) -> anyhow::Result<Vec<Value>> {
        let data = self.data(&format!("/api/v1/query?query={metric}")).await?;
        data["result"]
            .as_array()
            .cloned()
            .with_context(|| format!("no series in {data}"))
    }

    async fn data(&self, path: &str) -> anyhow::Result<Value> {
        let text = self.ask(path).await?;
        let mut answer: Value =
            serde_json::from_slice(&text).context("Prometheus answers with something else")?;
        Ok(answer["data"].take())
    }

    async fn ask(&self, path: &str) -> anyhow::Result<Bytes> {
        let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let request = Request::get(format!("http://127.0.0.1:{}{path}", self.port))
            .body(Empty::new())
            .context("not a path")?;
        let answer = client
            .request(request)
            .await
            .context("Prometheus does not answer")?;
        let status = answer.status();
        let text = answer
            .into_body()
            .collect()
            .await
            .context("Prometheus broke off")?
            .to_bytes();
        ensure!(
            status.is_success(),
            "{status}: {}",
            String::from_utf8_lossy(&text)
        );
        Ok(text)
    }
}

/// A running OpenTelemetry Collector that reads what containers log. Dropping it kills it.
#[derive(Debug)]
pub struct Collector {
    logs: PathBuf,
    delivered: PathBuf,
    process: Process,
}

/// A line that the Collector delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The label `app` of the pod that wrote it; absent where the Collector did not know the pod.
    pub app: Option<String>,
    /// The line.
    pub line: String,
}

impl Collector {
    /// Starts one that asks for pods in this name, and delivers no line of a pod that has this annotation with this value. What
    /// containers log, what is delivered and its own log are in this folder.
    ///
    /// # Errors
    /// When it does not begin to read.
    pub async fn start(
        folder: &Path,
        identity: &Identity,
        leaves_out: (&str, &str),
    ) -> anyhow::Result<Self> {
        let program = tools::find_async(Tool::OpenTelemetryCollector).await?;
        let (logs, delivered) = (folder.join("pods"), folder.join("delivered.txt"));
        fs::create_dir_all(&logs).context("no folder for what containers log")?;
        let config = folder.join("otel-collector.json");
        write(&config, &configuration(&logs, &delivered, leaves_out))?;
        let arguments = [format!("--config=file:{}", config.display())];
        let kubeconfig = identity.kubeconfig().display().to_string();
        let environment = [("KUBECONFIG".to_owned(), kubeconfig)];
        let log = folder.join("otel-collector.log");
        let process =
            Process::start_with("otel-collector", &program, &arguments, &environment, &log)?;
        let started = Self {
            logs,
            delivered,
            process,
        };
        let process = &started.process;
        ready(process, || async {
            let told = fs::read_to_string(process.log()).context("it says nothing")?;
            ensure!(told.contains("Everything is ready"), "it starts");
            Ok(())
        })
        .await?;
        Ok(started)
    }

    /// Writes a line as a container runtime does, into the file where a kubelet has it written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn log(&self, pod: &Value, line: &str) -> anyhow::Result<()> {
        let part = |name: &str| pod["metadata"][name].as_str().context("no stored pod");
        let name = format!("{}_{}_{}", part("namespace")?, part("name")?, part("uid")?);
        let folder = self.logs.join(name).join("main");
        fs::create_dir_all(&folder).context("no folder for a container's log")?;
        let line = format!("2026-01-01T00:00:00.000000000Z stdout F {line}\n");
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("0.log"))
            .context("no log of a container")?;
        file.write_all(line.as_bytes())
            .context("a container cannot log")
    }

    /// Everything that it delivered.
    ///
    /// # Errors
    /// When it has ended.
    pub fn delivered(&self) -> anyhow::Result<Vec<Delivered>> {
        alive(&self.process)?;
        // Nothing is there until it delivers something.
        let text = fs::read_to_string(&self.delivered).unwrap_or_default();
        Ok(text.split("ResourceLog #").skip(1).flat_map(read).collect())
    }
}

/// The lines of one pod, as the Collector prints them.
fn read(block: &str) -> Vec<Delivered> {
    let after = |line: &str, before: &str| {
        let rest = line.trim().strip_prefix(before)?;
        Some(rest.strip_suffix(')')?.to_owned())
    };
    let app = block.lines().find_map(|line| after(line, "-> app: Str("));
    let bodies = block.lines().filter_map(|line| after(line, "Body: Str("));
    bodies
        .map(|line| Delivered {
            app: app.clone(),
            line,
        })
        .collect()
}

fn configuration(logs: &Path, delivered: &Path, (name, value): (&str, &str)) -> Value {
    let excluded = format!("resource.attributes[\"{name}\"] == \"{value}\"");
    json!({
        "receivers": { "filelog": {
            "include": [logs.join("*/*/*.log")],
            "include_file_path": true,
            "start_at": "beginning",
            "operators": [{ "type": "container" }],
        } },
        "processors": {
            "k8sattributes": {
                "auth_type": "kubeConfig",
                "wait_for_metadata": true,
                "wait_for_metadata_timeout": "60s",
                "pod_association": [{ "sources": [{ "from": "resource_attribute", "name": "k8s.pod.uid" }] }],
                "extract": {
                    "metadata": ["k8s.pod.name", "k8s.pod.uid", "k8s.namespace.name"],
                    "annotations": [{ "from": "pod", "key": name, "tag_name": name }],
                    "labels": [{ "from": "pod", "key": "app", "tag_name": "app" }],
                },
            },
            "filter": { "error_mode": "propagate", "logs": { "log_record": [excluded] } },
        },
        "exporters": { "debug": {
            "verbosity": "detailed",
            "use_internal_logger": false,
            "output_paths": [delivered],
        } },
        "service": {
            // It would listen.
            "telemetry": { "metrics": { "level": "none" } },
            "pipelines": { "logs": {
                "receivers": ["filelog"],
                "processors": ["k8sattributes", "filter"],
                "exporters": ["debug"],
            } },
        },
    })
}

/// Waits until a process is ready, or has ended.
async fn ready<F: Future<Output = anyhow::Result<()>>>(
    process: &Process,
    is_ready: impl Fn() -> F,
) -> anyhow::Result<()> {
    let what = format!("{} is ready", process.name());
    let outcome = eventually(&what, PATIENCE, || async {
        match is_ready().await {
            Err(_) if !process.is_running() => Ok(()),
            outcome => outcome,
        }
    });
    outcome
        .await
        .with_context(|| format!("its last words:\n{}", process.tail(20)))?;
    alive(process)
}

fn alive(process: &Process) -> anyhow::Result<()> {
    let Some(status) = process.ended() else {
        return Ok(());
    };
    let (name, words) = (process.name(), process.tail(20));
    bail!("{name} has ended ({status}); its last words:\n{words}")
}

/// JSON, which every reader of YAML reads.
fn write(file: &Path, config: &Value) -> anyhow::Result<()> {
    fs::write(file, config.to_string()).with_context(|| format!("cannot write {}", file.display()))
}
