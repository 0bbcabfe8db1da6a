//! The operator's own endpoints are served by TLS 1.3 alone, and it speaks to API servers by nothing less; and it talks to nobody
//! else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(dead_code, reason = "each test takes of it what it needs")]
#[path = "encryption_cli/servers.rs"]
mod servers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};
use serde_json::{Value, json};
use servers::{Authority, BOTH, NAME, ONLY_12, ONLY_13, Server, end};
use testbed::{Cluster, ClusterOptions, eventually};

const COVENANT: &str = env!("CARGO_BIN_EXE_covenant");
const PATIENCE: Duration = Duration::from_secs(120);

/// What a probe of this address says.
fn probed(address: &str) -> Value {
    let output = Command::new(COVENANT)
        .args(["encryption", "probe", address, "-o", "json"])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("{}", String::from_utf8_lossy(&output.stderr));
    })
}

/// An operator against a server that is none, until it is dropped.
struct Lonely(Child);

impl Lonely {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(COVENANT);
        command
            .args(["run", "--kubeconfig"])
            .arg(folder.join("kubeconfig"))
            .arg("--ledger")
            .arg(folder.join("ledger"))
            .args(arguments)
            .stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Lonely {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A kubeconfig for a server on loopback.
fn kubeconfig(folder: &Path, server: &Server, authority: &Authority) -> PathBuf {
    let path = folder.join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "one",
        "clusters": [{ "name": "one", "cluster": {
            "server": format!("https://{}", server.address), "tls-server-name": NAME, "certificate-authority": authority.file(),
        } }],
        "contexts": [{ "name": "one", "context": { "cluster": "one", "user": "one" } }],
        "users": [{ "name": "one", "user": {} }],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// A server that counts the handshakes that came to something, and those that did not.
fn counting(config: Arc<ServerConfig>) -> (Server, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (done, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (ok, bad) = (Arc::clone(&done), Arc::clone(&failed));
    let server = Server::new(move |mut stream| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        while connection.is_handshaking() {
            if connection.complete_io(&mut stream).is_err() {
                let _ = connection.write_tls(&mut stream);
                bad.fetch_add(1, Ordering::SeqCst);
                end(stream);
                return;
            }
        }
        ok.fetch_add(1, Ordering::SeqCst);
        end(stream);
    });
    (server, done, failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn api_servers_are_spoken_to_by_tls_1_3_unless_older_ones_are_allowed() {
    let authority = Authority::new();
    let cases: [(_, &[&str], bool); 4] = [
        (ONLY_12, &[], false),
        (ONLY_12, &["--minimum-tls", "1.2"], true),
        (ONLY_13, &[], true),
        (BOTH, &[], true),
    ];
    for (versions, arguments, speaks) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (server, done, failed) = counting(authority.config(versions));
        kubeconfig(folder.path(), &server, &authority);
        let listen = ["--listen", "127.0.0.1:0"];
        let operator = Lonely::start(folder.path(), &[&listen, arguments].concat());
        let counted = if speaks { &done } else { &failed };
        eventually("it spoke to the server", PATIENCE, || async {
            anyhow::ensure!(counted.load(Ordering::SeqCst) > 2, "not yet");
            anyhow::Ok(())
        })
        .await
        .unwrap();
        drop(operator);
        if !speaks {
            assert_eq!(done.load(Ordering::SeqCst), 0, "{versions:?} {arguments:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoints_speak_tls_1_3_alone_by_a_certificate_that_is_renewed_or_their_own() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    cluster.install_chart().await.unwrap();
    let operator = cluster.start_operator(COVENANT).await.unwrap();
    operator.wait_ready().await.unwrap();
    let address = format!("localhost:{}", operator.port());
    let probe = probed(&address);
    let found = &probe["probes"][0];
    assert_eq!(found["offers"], "Tls13Only", "{probe:#}");
    let first = found["certificate"]["names"].clone();
    assert_eq!(first, json!(["localhost"]), "{probe:#}");
    // Plain text is no answer.
    let plain = std::net::TcpStream::connect(("127.0.0.1", operator.port())).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = Vec::new();
    std::io::Write::write_all(
        &mut &plain,
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    )
    .unwrap();
    let _ = std::io::Read::read_to_end(&mut &plain, &mut said);
    assert!(
        !String::from_utf8_lossy(&said).contains("HTTP/"),
        "{said:?}"
    );

    // Half a renewal changes nothing; the whole of it is taken at the next connection.
    let made = rcgen::generate_simple_self_signed(["renewed".to_owned()]).unwrap();
    let file = |ending: &str| {
        let mut files = std::fs::read_dir(cluster.folder()).unwrap().flatten();
        let is_it = |name: &str| name.starts_with("covenant-") && name.ends_with(ending);
        let found = files.find(|file| is_it(&file.file_name().to_string_lossy()));
        found.unwrap().path()
    };
    std::fs::write(file(".crt"), made.cert.pem()).unwrap();
    assert_eq!(probed(&address)["probes"][0]["certificate"]["names"], first);
    std::fs::write(file(".key"), made.signing_key.serialize_pem()).unwrap();
    let second = probed(&address)["probes"][0]["certificate"]["names"].clone();
    assert_eq!(second, json!(["renewed"]));
    operator.stop().await.unwrap();

    // Without files it makes one.
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = cluster.operator_identity().await.unwrap();
    std::fs::copy(kubeconfig.kubeconfig(), folder.path().join("kubeconfig")).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let alone = Lonely::start(folder.path(), &["--listen", &port.to_string()]);
    eventually("it serves", PATIENCE, || async {
        let probe = probed(&port.to_string());
        anyhow::ensure!(probe["probes"][0]["offers"] == "Tls13Only", "{probe:#}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    drop(alone);
}

/// Addresses at the other end of a process's connections, and those that it sends datagrams to.
fn talks_to(pid: i32) -> BTreeSet<String> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let mut sockets = BTreeSet::new();
    for entry in std::fs::read_dir(folder.join("fd"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        let inode = target
            .strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'));
        sockets.extend(inode.map(str::to_owned));
    }
    let mut peers = BTreeSet::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = std::fs::read_to_string(folder.join("net").join(table)).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields.get(9).is_some_and(|inode| sockets.contains(*inode)) {
                let port = fields[2].rsplit(':').next().unwrap();
                let local = fields[1].rsplit(':').next().unwrap();
                peers.insert(format!("{table} {local} {port}"));
            }
        }
    }
    peers
}

/// Covenant sends no telemetry: whatever it does, the only peers of its sockets are the API server, and who asks its endpoints.
#[tokio::test(flavor = "multi_thread")]
async fn it_talks_to_its_api_server_and_to_nobody_else() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    cluster.install_chart().await.unwrap();
    let engineer = cluster.platform_engineer().await.unwrap();
    let operator = cluster.start_operator(COVENANT).await.unwrap();
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let (pid, told) = (operator.pid(), Arc::clone(&seen));
    let watcher = tokio::spawn(async move {
        loop {
            told.lock().unwrap().extend(talks_to(pid));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    operator.wait_ready().await.unwrap();
    for namespace in ["acme-prod", "acme-test"] {
        let labels = json!({ "privacy.cloudnexus.io/tenant": "acme" });
        let made = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace, "labels": labels } });
        engineer
            .apply(&made.to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
        eventually("its posture is there", PATIENCE, || async {
            let posture = ["posture", "current", "-n", namespace];
            cluster.admin().get(&posture).await
        })
        .await
        .unwrap();
    }
    operator.get("/metrics").await.unwrap();
    operator.stop().await.unwrap();
    watcher.abort();

    let server = cluster.admin().config().cluster_url.port_u16().unwrap();
    let own = operator.port();
    let seen = seen.lock().unwrap();
    let hexadecimal = |port: u16| format!("{port:04X}");
    assert!(
        seen.iter()
            .any(|peer| peer.starts_with("tcp ") && peer.ends_with(&hexadecimal(server))),
        "nothing was seen of its connection to the API server: {seen:?}"
    );
    let others: Vec<&String> = seen
        .iter()
        .filter(|peer| {
            let fields: Vec<&str> = peer.split(' ').collect();
            let is_served = fields[1] == hexadecimal(own);
            let is_api_server = fields[2] == hexadecimal(server);
            // A listening socket, or one that is not connected yet, has no peer.
            !(is_served || is_api_server || fields[2] == "0000" && fields[0].starts_with("tcp"))
        })
        .collect();
    assert!(others.is_empty(), "{others:?}");
}
