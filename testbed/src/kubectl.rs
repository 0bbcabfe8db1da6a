//! What people type: kubectl as an identity, and what it answered.
//!
//! May not: retry or interpret. A test reads the exit status and the words that a person would read.

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::identity::Identity;
use crate::tools::{self, Tool};
use crate::wait::eventually;

/// What a program answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The arguments, for messages.
    pub command: String,
    /// Exit status; -1 when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it exited with 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status == 0
    }

    /// Itself when it exited with 0.
    ///
    /// # Errors
    /// When it did not, with what it said.
    pub fn success(self) -> anyhow::Result<Self> {
        if self.is_success() {
            Ok(self)
        } else {
            bail!("{self}")
        }
    }

    /// What it said on standard error when it was refused.
    ///
    /// # Errors
    /// When it was not refused.
    pub fn refusal(self) -> anyhow::Result<String> {
        if self.is_success() {
            bail!("was let through: {self}")
        } else {
            Ok(self.stderr)
        }
    }

    /// Standard output as JSON.
    ///
    /// # Errors
    /// When it failed or printed something else.
    pub fn json(self) -> anyhow::Result<Value> {
        let done = self.success()?;
        serde_json::from_str(&done.stdout).with_context(|| format!("not JSON: {done}"))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} (exit {})\n{}{}",
            self.command, self.status, self.stdout, self.stderr
        )
    }
}

impl Identity {
    /// Runs kubectl as this identity.
    ///
    /// # Errors
    /// When kubectl cannot be run; a refusal is an [`Output`].
    pub async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.kubectl_with(arguments, "").await
    }

    /// Runs kubectl as this identity, with this text on its standard input.
    ///
    /// # Errors
    /// When kubectl cannot be run; a refusal is an [`Output`].
    pub async fn kubectl_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
        let program = tools::find_async(Tool::Kubectl).await?;
        let mut command = Command::new(program);
        // Ports come back with another cluster behind them, so what is remembered of one must end with it; and
        // nobody's personal defaults have a say.
        let cache = self.kubeconfig().with_file_name("kubectl-cache");
        command
            .arg("--cache-dir")
            .arg(cache)
            .env("KUBECTL_KUBERC", "false");
        command
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(arguments);
        run(
            command,
            &format!("kubectl {} # as {}", arguments.join(" "), self.name()),
            input,
        )
        .await
    }

    /// `kubectl apply --server-side -f -` of a YAML text, which may hold several documents.
    ///
    /// # Errors
    /// When kubectl cannot be run; a refusal is an [`Output`].
    pub async fn apply(&self, yaml: &str) -> anyhow::Result<Output> {
        self.kubectl_with(&["apply", "--server-side", "-f", "-"], yaml)
            .await
    }

    /// Applies one object on the server's side.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn apply_object(&self, object: &Value) -> anyhow::Result<()> {
        self.apply(&object.to_string()).await?.success().map(drop)
    }

    /// One object, or a list, as JSON: the arguments of `kubectl get` without the output format.
    ///
    /// # Errors
    /// When it is not there or may not be read.
    pub async fn get(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut all = vec!["get", "-o", "json"];
        all.extend_from_slice(arguments);
        self.kubectl(&all).await?.json()
    }

    /// Waits until such a list is empty.
    ///
    /// # Errors
    /// When the time is over, with what was left.
    pub async fn wait_until_none(
        &self,
        arguments: &[&str],
        timeout: Duration,
    ) -> anyhow::Result<()> {
        let what = format!("no {} is left", arguments.join(" "));
        eventually(&what, timeout, || async {
            let left = self.get(arguments).await?;
            let none = left["items"].as_array().is_some_and(Vec::is_empty);
            anyhow::ensure!(none, "{left}");
            anyhow::Ok(())
        })
        .await
    }
}

/// Runs a program to its end. It is killed when the caller no longer waits.
pub(crate) async fn run(mut command: Command, shown: &str, input: &str) -> anyhow::Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {shown}"))?;
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input closes it, which is no failure.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), write);
    let output = output.with_context(|| format!("{shown} did not end"))?;
    Ok(Output {
        command: shown.to_owned(),
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
