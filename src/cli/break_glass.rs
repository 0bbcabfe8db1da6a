//! `covenant break-glass`: the authority for an emergency, for a while, on record.
//!
//! The token that is asked for is bound to a Secret, the Secret is owned by a Job without pods, and the Job's deadline ends
//! all three by the cluster's own controllers. May not: outlast that, be given to who is not appointed (the guards see to it),
//! or show the token anywhere but in the file that was asked for.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use data_encoding::BASE64;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ObjectReference, Secret, ServiceAccount};
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Config, Error};
use serde::Serialize;
use serde_json::{Value, json};

use super::connect::{self, Connection};
use super::plan::{Instant, Output, print};
use crate::api::PeriodText;
use crate::api::names::{ANNOTATION_REASON, ANNOTATION_REQUESTED_BY, BREAK_GLASS_ACCOUNT};
use crate::model::time;
use crate::render::REPORT_API_VERSION;

/// Longest time for which the glass is broken.
const LONGEST: i64 = 4 * 60 * 60;
/// The API server gives no token for less than this; the Job's deadline ends it earlier.
const SHORTEST_TOKEN: i64 = 600;
/// The API server stretches a token of so many seconds to a year.
const STRETCHED: i64 = 3607;
/// The API server refuses notes of events of more than 1,024 bytes.
const NOTE: usize = 1000;

/// Arguments of `covenant break-glass`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It takes an appointment: the ClusterRole and the Role covenant-break-glass. docs/appointments.md tells more."
)]
pub struct BreakGlassArguments {
    /// Why. It is kept on the Job and told in an event.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long, such as PT30M; PT4H at most.
    #[arg(long = "for", value_name = "PERIOD")]
    period: String,
    /// Where the kubeconfig is written, readable by you alone. The file must not be there yet.
    #[arg(long, value_name = "FILE")]
    kubeconfig_out: PathBuf,
    /// The operator's own namespace.
    #[arg(short, long, default_value = "covenant-system")]
    namespace: String,
    #[command(flatten)]
    connection: Connection,
    /// How to print what was given.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What was given. The token is not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BreakGlass {
    api_version: &'static str,
    kind: &'static str,
    /// The Job whose deadline ends it.
    job: String,
    namespace: String,
    /// Who acts from now on, as the audit log and decisions show it.
    acts_as: String,
    requested_by: String,
    reason: String,
    until: Timestamp,
    kubeconfig: String,
}

/// Asks for the authority and writes the kubeconfig.
///
/// # Errors
/// When the period is too long, the file is there, or the API server refuses.
pub fn run(arguments: &BreakGlassArguments) -> anyhow::Result<()> {
    let reason = arguments.reason.trim();
    if !(1..=512).contains(&reason.chars().count()) {
        bail!("--reason: say why, in 1 to 512 characters that an auditor will read");
    }
    let now = Instant::default().resolve()?;
    let seconds = seconds(&arguments.period, now)?;
    let given = connect::block_on(give(arguments, reason, seconds))?;
    print(arguments.output, &given, || text(&given))
}

fn seconds(period: &str, now: Timestamp) -> anyhow::Result<i64> {
    let end = time::after(now, &PeriodText(period.to_owned())).context("--for")?;
    match end.duration_since(now).as_secs() {
        seconds @ 1..=LONGEST => Ok(seconds),
        0 => bail!("--for: {period} is less than a second"),
        _ => bail!(
            "--for: {period} is too long; four hours (PT4H) at most, and it may be asked for again"
        ),
    }
}

/// Longer than the Job by what the API server asks; the Job ends it.
fn token_seconds(seconds: i64) -> i64 {
    match seconds.max(SHORTEST_TOKEN) {
        STRETCHED => STRETCHED + 1,
        seconds => seconds,
    }
}

async fn give(
    arguments: &BreakGlassArguments,
    reason: &str,
    seconds: i64,
) -> anyhow::Result<BreakGlass> {
    let config = arguments.connection.config().await?;
    let client = connect::client(config.clone())?;
    let who = connect::user(&client).await?;
    let asked = Asked {
        client,
        namespace: &arguments.namespace,
        who: &who,
        reason,
        seconds,
    };
    // A file that cannot be written is found out before anything is given.
    let path = &arguments.kubeconfig_out;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| {
            format!(
                "--kubeconfig-out: cannot make {}; name a file that is not there yet",
                path.display()
            )
        })?;
    let given = match asked.job().await {
        Ok(job) => {
            let written = write(&asked, &job, &config, &mut file, path).await;
            if written.is_err() {
                asked.withdraw(&job).await;
            }
            written.map(|until| (job, until))
        }
        Err(error) => Err(error),
    };
    match given {
        Ok((job, until)) => Ok(BreakGlass {
            api_version: REPORT_API_VERSION,
            kind: "BreakGlass",
            job: name(&job),
            namespace: arguments.namespace.clone(),
            acts_as: format!(
                "system:serviceaccount:{}:{BREAK_GLASS_ACCOUNT}",
                arguments.namespace
            ),
            requested_by: who.clone(),
            reason: reason.to_owned(),
            until,
            kubeconfig: path.display().to_string(),
        }),
        Err(error) => {
            let _ = fs::remove_file(path);
            Err(error)
        }
    }
}

/// Asks for the token and writes it down; until when it lasts.
async fn write(
    asked: &Asked<'_>,
    job: &Job,
    config: &Config,
    file: &mut fs::File,
    path: &Path,
) -> anyhow::Result<Timestamp> {
    let token = asked.token(job).await?;
    let until = Instant::default()
        .resolve()?
        .checked_add(jiff::SignedDuration::from_secs(asked.seconds))
        .context("the period does not end")?;
    let text = kubeconfig(config, asked.namespace, &token)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))?;
    asked.tell(job, until).await;
    Ok(until)
}

struct Asked<'a> {
    client: Client,
    namespace: &'a str,
    who: &'a str,
    reason: &'a str,
    seconds: i64,
}

impl Asked<'_> {
    /// The Job without pods whose deadline ends everything.
    async fn job(&self) -> anyhow::Result<Job> {
        let job = serde_json::from_value(json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "generateName": format!("{BREAK_GLASS_ACCOUNT}-"),
                "annotations": { ANNOTATION_REASON: self.reason, ANNOTATION_REQUESTED_BY: self.who },
            },
            "spec": {
                "parallelism": 0, "activeDeadlineSeconds": self.seconds, "ttlSecondsAfterFinished": 0,
                "template": { "spec": {
                    "restartPolicy": "Never", "automountServiceAccountToken": false,
                    "containers": [{ "name": "never-run", "image": "never-run" }],
                } },
            },
        }))
        .context("the Job")?;
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), self.namespace);
        jobs.create(&PostParams::default(), &job)
            .await
            .map_err(|error| self.refused(error, "make the Job that ends it"))
    }

    /// A token that is bound to a Secret that goes with the Job.
    async fn token(&self, job: &Job) -> anyhow::Result<String> {
        let secret = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true,
            "metadata": {
                "name": name(job),
                "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "Job", "name": name(job),
                    "uid": job.metadata.uid, "controller": true,
                }],
            },
        }))
        .context("the Secret")?;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), self.namespace);
        let secret = secrets
            .create(&PostParams::default(), &secret)
            .await
            .map_err(|error| self.refused(error, "make the Secret that it is bound to"))?;
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: Vec::new(),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Secret".to_owned()),
                    name: secret.metadata.name,
                    uid: secret.metadata.uid,
                }),
                expiration_seconds: Some(token_seconds(self.seconds)),
            },
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), self.namespace);
        let answer = accounts
            .create_token_request(BREAK_GLASS_ACCOUNT, &PostParams::default(), &request)
            .await
            .map_err(|error| self.refused(error, "ask for the token"))?;
        answer
            .status
            .map(|status| status.token)
            .context("the API server gave no token")
    }

    /// What was made for nothing goes at its deadline at the latest.
    async fn withdraw(&self, job: &Job) {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), self.namespace);
        let _ = jobs.delete(&name(job), &DeleteParams::background()).await;
    }

    async fn tell(&self, job: &Job, until: Timestamp) {
        let reporter = Reporter {
            controller: "kubectl-covenant".to_owned(),
            instance: None,
        };
        let reference = ObjectReference {
            api_version: Some("batch/v1".to_owned()),
            kind: Some("Job".to_owned()),
            name: job.metadata.name.clone(),
            namespace: Some(self.namespace.to_owned()),
            uid: job.metadata.uid.clone(),
            ..ObjectReference::default()
        };
        let note = format!(
            "{} broke the glass until {until}: {}",
            self.who, self.reason
        );
        let event = Event {
            type_: EventType::Warning,
            reason: "GlassBroken".to_owned(),
            action: "BreakGlass".to_owned(),
            note: Some(note[..note.floor_char_boundary(NOTE)].to_owned()),
            secondary: None,
        };
        let recorder = Recorder::new(self.client.clone(), reporter);
        if let Err(error) = recorder.publish(&event, &reference).await {
            anstream::eprintln!(
                "note: no event tells of it ({error}); the Job and the audit log do"
            );
        }
    }

    fn refused(&self, error: Error, what: &str) -> anyhow::Error {
        let (who, namespace) = (self.who, self.namespace);
        let Error::Api(status) = &error else {
            return anyhow::Error::new(error).context("the API server does not answer");
        };
        if let Some(said) = connect::guard_message(&status.message) {
            return anyhow::anyhow!("the guard refused: {said}");
        }
        match status.code {
            403 => anyhow::anyhow!(
                "{who} may not {what} in namespace {namespace}: RBAC gives no right. Breaking the glass is an appointment: \
                 ask the platform team to bind the ClusterRole and the Role covenant-break-glass"
            ),
            404 => anyhow::anyhow!(
                "there is no ServiceAccount {BREAK_GLASS_ACCOUNT} in namespace {namespace}; name the operator's namespace \
                 with -n, and see that the chart's breakGlass.enabled is true"
            ),
            _ => anyhow::Error::new(error).context(format!("cannot {what}")),
        }
    }
}

fn name(job: &Job) -> String {
    job.metadata.name.clone().unwrap_or_default()
}

/// A kubeconfig for the same cluster with this token. It is JSON, which every reader of YAML reads.
fn kubeconfig(config: &Config, namespace: &str, token: &str) -> anyhow::Result<String> {
    let mut cluster = json!({ "server": config.cluster_url.to_string().trim_end_matches('/') });
    if let Some(authority) = authority(config)? {
        cluster["certificate-authority-data"] = Value::String(BASE64.encode(authority.as_bytes()));
    }
    if config.accept_invalid_certs {
        cluster["insecure-skip-tls-verify"] = json!(true);
    }
    if let Some(name) = &config.tls_server_name {
        cluster["tls-server-name"] = json!(name);
    }
    if let Some(proxy) = &config.proxy_url {
        cluster["proxy-url"] = json!(proxy.to_string());
    }
    let user = format!("{namespace}-{BREAK_GLASS_ACCOUNT}");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": user,
        "clusters": [{ "name": "cluster", "cluster": cluster }],
        "users": [{ "name": user, "user": { "token": token } }],
        "contexts": [{ "name": user, "context": { "cluster": "cluster", "user": user } }],
    });
    Ok(format!("{text:#}\n"))
}

/// The certificates that the cluster is trusted by, PEM.
fn authority(config: &Config) -> anyhow::Result<Option<String>> {
    if let Some(certificates) = &config.root_cert {
        let pem: Vec<String> = certificates.iter().map(|der| pem(der)).collect();
        return Ok(Some(pem.concat()));
    }
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    config.root_cert_file.as_deref().map(read).transpose()
}

fn pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

fn text(given: &BreakGlass) -> String {
    format!(
        "The glass is broken until {until}. It ends by itself; the API server may go on believing the token for ten seconds.\n\
         \n  Kubeconfig  {file} (readable by you alone; do not pass it on)\
         \n  Acts as     {acts_as}\
         \n  On record   Job {job} and an event in namespace {namespace}, and the audit log: {who}, {reason}\n\
         \nIt may, for every tenant: release and narrow holds, write and lift sharing prohibitions, enrol and release namespaces.\
         \n  kubectl covenant hold release NAME -n NAMESPACE --reason TEXT --kubeconfig {file}\
         \nTo end it sooner, as yourself:\
         \n  kubectl delete job {job} -n {namespace}; rm {file}\n",
        until = given.until,
        file = given.kubeconfig,
        acts_as = given.acts_as,
        job = given.job,
        namespace = given.namespace,
        who = given.requested_by,
        reason = given.reason,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use super::*;

    #[test]
    fn a_period_is_four_hours_at_most() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        assert_eq!(seconds("PT5S", now).unwrap(), 5);
        assert_eq!(seconds("PT4H", now).unwrap(), LONGEST);
        for wrong in ["PT4H1S", "P1D", "PT0S", "PT0.2S", "soon", "-PT1H"] {
            assert!(seconds(wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_token_is_of_the_length_that_is_stretched() {
        assert_eq!(token_seconds(5), 600);
        assert_eq!(token_seconds(1800), 1800);
        assert_eq!(token_seconds(3607), 3608);
        assert_eq!(token_seconds(LONGEST), LONGEST);
    }
}
