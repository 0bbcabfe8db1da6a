//! The main job as a story in the terminal: a real API server, the chart, the release binary with the chart's own rights.
//!
//! May not: pretend. Every line under a `$` is what kubectl printed; every table is cyclonus' verdict over the policies
//! that are stored.

mod objects;
mod stage;
mod story;

use std::path::PathBuf;

use anyhow::Context as _;
use testbed::{Cluster, ClusterOptions};

use stage::Stage;

struct Arguments {
    covenant: PathBuf,
    keep: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(arguments) = arguments()? else {
        return Ok(());
    };
    let stage = Stage::new();
    stage.chapter("A cluster")?;
    stage.say(
        "etcd, kube-apiserver and kube-controller-manager on loopback; no nodes, no containers.",
    )?;
    let cluster = Cluster::given_or_start(ClusterOptions::new()).await?;
    stage.say("The chart: resources, guards, and the operator's rights.")?;
    cluster
        .install_chart_with(&["--set", "replicaCount=0"])
        .await?;
    let outcome = story::tell(&stage, &cluster, &arguments.covenant).await;
    if let Err(error) = &outcome {
        stage.say(&format!("The story broke off: {error:#}"))?;
    }
    if arguments.keep {
        stage.chapter("Yours now")?;
        stage.say(&format!(
            "export KUBECONFIG={}",
            cluster.admin().kubeconfig().display()
        ))?;
        stage
            .say("kubectl get covenant -A; kubectl get netpol,jobs -A; kubectl explain dsg.spec")?;
        stage.say("The operator is stopped. To run it: covenant run --kubeconfig $KUBECONFIG --listen 127.0.0.1:8443")?;
        stage.say("Ctrl-C ends the cluster and leaves nothing behind.")?;
        tokio::signal::ctrl_c()
            .await
            .context("Ctrl-C cannot be waited for")?;
    } else if outcome.is_ok() {
        stage.say("The cluster is gone, and nothing is left of it. `make demo DEMO_FLAGS=--keep` leaves it to you.")?;
    }
    outcome
}

fn arguments() -> anyhow::Result<Option<Arguments>> {
    let mut covenant = None;
    let mut keep = false;
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--covenant" => covenant = given.next().map(PathBuf::from),
            "--keep" => keep = true,
            _ => {
                Stage::new().say(
                    "demo --covenant BINARY [--keep]\n\nTells the main job as a story.\n  --keep   leaves the cluster \
                     running afterwards, until Ctrl-C",
                )?;
                anyhow::ensure!(
                    argument == "--help" || argument == "-h",
                    "unknown argument {argument}"
                );
                return Ok(None);
            }
        }
    }
    let covenant =
        covenant.context("--covenant BINARY is missing: the operator's release binary")?;
    anyhow::ensure!(
        covenant.exists(),
        "there is no binary {}",
        covenant.display()
    );
    Ok(Some(Arguments { covenant, keep }))
}
