//! `covenant encryption probe`: which TLS servers negotiate, as seen from here.
//!
//! May not: talk to a cluster.

use std::path::PathBuf;

use anyhow::Context as _;

use super::address::{Address, server_name};
use super::prober::{Prober, Target};
use super::{Output, Progress, print};
use crate::cli::plan::Instant;
use crate::render::{Finding, TlsProbes, escaped_json, tls_probes_text};

/// Arguments of `covenant encryption probe`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A server is connected to at most three times: by a client that offers TLS 1.3 and 1.2, by one that offers TLS 1.2 \
                  alone, and in plain HTTP where it did not answer to TLS. Nothing is sent but handshakes, and `HEAD /` to who did \
                  not answer. Of the addresses of a name the first one that takes the connection is probed. It is what one client sees \
                  from here: another server behind the same address is not seen; a server that may have TLS 1.2 with cipher suites \
                  that this client lacks is told as not known; whether a certificate was revoked is not looked at.\n\n\
                  Exit code: 0 every server offers TLS 1.3 only and has a valid certificate, 1 one does not or could not be seen to, \
                  2 error."
)]
pub(super) struct ProbeArguments {
    /// Servers, each as HOST, HOST:PORT or [IPV6]:PORT; the port is 443 where none is given.
    #[arg(required = true, value_name = "ADDRESS[:PORT]")]
    addresses: Vec<String>,
    /// The name to ask for and that the certificate must be for; each server's host when absent.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    #[command(flatten)]
    trusting: Trusting,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How servers are judged.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Trusting {
    /// Certificates in PEM that are trusted, in place of this system's.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// How long a server may take for each step.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=60))]
    pub timeout: u16,
}

/// Probes and prints. Whether everything passed.
pub(super) async fn run(arguments: &ProbeArguments) -> anyhow::Result<bool> {
    let now = Instant::default().resolve()?;
    let named = match &arguments.server_name {
        Some(name) => Some(server_name(name).context("--server-name")?),
        None => None,
    };
    let targets: anyhow::Result<Vec<Target>> = arguments
        .addresses
        .iter()
        .map(|text| {
            let connect: Address = text.parse()?;
            let name = match &named {
                Some(name) => name.clone(),
                None => server_name(&connect.host)?,
            };
            Ok(Target {
                shown: connect.to_string(),
                published_by: None,
                connect,
                name,
                is_foreign: false,
            })
        })
        .collect();
    let prober = Prober::new(&arguments.trusting, now)?;
    let probes = prober.all(targets?, &mut Progress::new()).await;
    let report = TlsProbes::new(now, probes);
    match arguments.output {
        Output::Text => print(&tls_probes_text(&report))?,
        Output::Json => print(&format!("{}\n", escaped_json(&report)?))?,
    }
    Ok(report.result == Finding::Passed)
}
