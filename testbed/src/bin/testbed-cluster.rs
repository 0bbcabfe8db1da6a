//! A cluster for people: starts one, says how to reach it, and ends it on Ctrl-C.
//!
//! May not: do anything that the library does not.

use std::io::Write as _;

use anyhow::Context as _;
use testbed::{Cluster, ClusterOptions};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut chart = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--chart" => chart = true,
            _ => {
                say(
                    "testbed-cluster [--chart]\n\nStarts a Kubernetes control plane on loopback and prints the path of \
                     its kubeconfig.\n  --chart   installs the chart as well\nIt ends, and leaves nothing, on Ctrl-C. \
                     COVENANT_KUBERNETES chooses the version.",
                )?;
                anyhow::ensure!(
                    argument == "--help" || argument == "-h",
                    "unknown argument {argument}"
                );
                return Ok(());
            }
        }
    }
    let cluster = Cluster::start(ClusterOptions::new()).await?;
    if chart {
        cluster.install_chart().await?;
    }
    let mut output = std::io::stdout();
    writeln!(output, "{}", cluster.admin().kubeconfig().display()).context("nobody listens")?;
    output.flush().context("nobody listens")?;
    say("Ready. Ctrl-C ends it.")?;
    tokio::signal::ctrl_c()
        .await
        .context("Ctrl-C cannot be waited for")?;
    Ok(())
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr(), "{text}").context("nobody listens")
}
