//! What network policies mean, judged by someone else: cyclonus, offline, without our code.
//!
//! May not: know a rule of NetworkPolicy. It writes the question down, and reads the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::kubectl::run;
use crate::tools::{self, Tool};

/// Asks cyclonus.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judge;

/// One end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Its address.
    pub ip: String,
    /// The pod behind it; absent for an address outside of the cluster.
    pub pod: Option<Pod>,
}

/// A pod as policies see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Labels of the namespace. Its name is added as the API server does.
    pub namespace_labels: BTreeMap<String, String>,
    /// Labels of the pod.
    pub labels: BTreeMap<String, String>,
}

/// One connection that is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Who opens it.
    pub from: End,
    /// Who is addressed.
    pub to: End,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The port addressed.
    pub port: u16,
    /// Its name, when the addressed pod names it.
    pub port_name: String,
}

impl End {
    /// An address outside of the cluster.
    #[must_use]
    pub fn outside(ip: &str) -> Self {
        Self {
            ip: ip.to_owned(),
            pod: None,
        }
    }

    /// A pod with these labels, in a namespace with these labels.
    #[must_use]
    pub fn pod(
        ip: &str,
        namespace: &str,
        namespace_labels: &[(&str, &str)],
        labels: &[(&str, &str)],
    ) -> Self {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|&(key, value)| (key.to_owned(), value.to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let mut namespace_labels = map(namespace_labels);
        namespace_labels.insert(
            crate::names::LABEL_NAMESPACE_NAME.to_owned(),
            namespace.to_owned(),
        );
        let pod = Pod {
            namespace: namespace.to_owned(),
            namespace_labels,
            labels: map(labels),
        };
        Self {
            ip: ip.to_owned(),
            pod: Some(pod),
        }
    }

    fn question(&self) -> Value {
        let mut end = json!({ "IP": self.ip });
        if let Some(pod) = &self.pod {
            end["Internal"] = json!({
                "Namespace": pod.namespace, "NamespaceLabels": pod.namespace_labels, "PodLabels": pod.labels,
            });
        }
        end
    }
}

impl Traffic {
    /// A TCP connection.
    #[must_use]
    pub fn tcp(from: End, to: End, port: u16) -> Self {
        Self {
            from,
            to,
            protocol: "TCP".to_owned(),
            port,
            port_name: String::new(),
        }
    }

    /// A UDP packet.
    #[must_use]
    pub fn udp(from: End, to: End, port: u16) -> Self {
        Self {
            from,
            to,
            protocol: "UDP".to_owned(),
            port,
            port_name: String::new(),
        }
    }

    fn question(&self) -> Value {
        json!({
            "Source": self.from.question(), "Destination": self.to.question(),
            "ResolvedPort": self.port, "ResolvedPortName": self.port_name, "Protocol": self.protocol,
        })
    }
}

impl Judge {
    /// For each connection, in order, whether these policies allow it both at its source and at its destination.
    ///
    /// # Errors
    /// When cyclonus fails, or did not read every policy or answer every question.
    pub async fn evaluate(
        &self,
        policies: &[Value],
        traffic: &[Traffic],
    ) -> anyhow::Result<Vec<bool>> {
        if traffic.is_empty() {
            return Ok(Vec::new());
        }
        if policies.is_empty() {
            // Nothing isolates anything, and cyclonus will not read an empty folder.
            return Ok(vec![true; traffic.len()]);
        }
        let folder = tempfile::tempdir().context("no folder for the questions")?;
        let policy_folder = folder.path().join("policies");
        fs::create_dir(&policy_folder).context("no folder for the policies")?;
        for (number, policy) in policies.iter().enumerate() {
            if policy["kind"] != "NetworkPolicy" {
                bail!("cyclonus judges NetworkPolicies, and this is none: {policy}");
            }
            // One object a file: of several in one file only the first is read, and nobody is told.
            let file = policy_folder.join(format!("{number:05}.yaml"));
            fs::write(&file, policy.to_string()).context("a policy cannot be written")?;
        }
        let questions = folder.path().join("traffic.json");
        let list: Vec<Value> = traffic.iter().map(Traffic::question).collect();
        fs::write(&questions, Value::from(list).to_string())
            .context("the questions cannot be written")?;
        let mut command = Command::new(tools::find_async(Tool::Cyclonus).await?);
        command
            .args(["analyze", "--mode", "parse,query-traffic", "--policy-path"])
            .arg(&policy_folder);
        command.arg("--traffic-path").arg(&questions);
        let output = run(command, "cyclonus analyze", "").await?.success()?;
        // It skips what it cannot read, and would then find everything allowed.
        let (read, written) = (
            policies_read(&output.stdout),
            policies.iter().map(name_of).collect(),
        );
        if read != written {
            bail!("cyclonus read the policies {read:?}, but was given {written:?}");
        }
        let verdicts = verdicts(&output.stdout);
        if verdicts.len() != traffic.len() {
            bail!(
                "cyclonus answered {} of {} questions: {output}",
                verdicts.len(),
                traffic.len()
            );
        }
        Ok(verdicts)
    }
}

/// The policies that it says it has read, as `namespace/name`: the first column of its first table.
fn policies_read(text: &str) -> BTreeSet<String> {
    text.lines()
        .take_while(|line| !line.starts_with("query traffic"))
        .filter_map(|line| line.strip_prefix('|')?.split('|').next())
        .map(str::trim)
        .filter(|cell| cell.contains('/'))
        .map(str::to_owned)
        .collect()
}

fn name_of(policy: &Value) -> String {
    let text = |field: &str| {
        policy["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    format!("{}/{}", text("namespace"), text("name"))
}

/// The answers in order: each is a table whose last row says whether the connection is allowed.
fn verdicts(text: &str) -> Vec<bool> {
    text.lines()
        .filter(|line| line.contains("IS ALLOWED?"))
        .filter_map(|line| {
            line.split('|')
                .map(str::trim)
                .find_map(|cell| cell.to_ascii_lowercase().parse().ok())
        })
        .collect()
}
