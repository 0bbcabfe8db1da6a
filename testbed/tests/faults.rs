//! Faults are exact: the proxy strikes at the n-th write, and nothing of the testbed outlives its process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ListParams, PostParams, WatchParams};
use kube::core::WatchEvent;
use kube::{Api, Client};
use testbed::audit::Counts;
use testbed::process::Process;
use testbed::proxy::{Fault, Moment, Proxy, Rule, Seen};
use testbed::{Cluster, ClusterOptions, always, eventually, kubeconfig};

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(serde_json::json!({ "metadata": { "name": name } })).unwrap()
}

async fn through(proxy: &Proxy, cluster: &Cluster) -> Client {
    let identity = cluster
        .service_account("kube-system", "default")
        .await
        .unwrap();
    let file = proxy.kubeconfig(&identity).unwrap();
    let config = kubeconfig::config(&std::fs::read_to_string(file).unwrap())
        .await
        .unwrap();
    kubeconfig::client(config).unwrap()
}

/// A program that does nothing, to be killed in place of the operator.
fn victim(cluster: &Cluster) -> Process {
    Process::start(
        "victim",
        Path::new("/bin/sleep"),
        &["1000".to_owned()],
        &cluster.folder().join("victim.log"),
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_strikes_where_it_is_told() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    let account = "system:serviceaccount:kube-system:default";
    cluster
        .bind_cluster_role(account, "cluster-admin")
        .await
        .unwrap();
    let proxy = Proxy::start(&cluster).await.unwrap();
    let client = through(&proxy, &cluster).await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let create = async |name: &str| maps.create(&PostParams::default(), &config_map(name)).await;
    let exists = async |name: &str| {
        let direct: Api<ConfigMap> = Api::namespaced(cluster.admin().client().unwrap(), "default");
        direct.get_opt(name).await.unwrap().is_some()
    };

    // Each kill switch, at the second write from where it is set.
    for (moment, arrives) in [
        (Moment::BeforeForwarding, false),
        (Moment::BeforeAnswering, true),
        (Moment::AfterAnswering, true),
    ] {
        let victim = victim(&cluster);
        let name = |part: &str| format!("{part}-{moment:?}").to_lowercase();
        proxy.add(Rule::at_write(
            proxy.write_count() + 2,
            Fault::kill(moment, victim.killer()),
        ));
        create(&name("first")).await.unwrap();
        assert!(victim.is_running());
        let second = create(&name("second")).await;
        assert_eq!(
            second.is_ok(),
            moment == Moment::AfterAnswering,
            "{moment:?}: {second:?}"
        );
        eventually("the victim is gone", Duration::from_secs(5), || async {
            !victim.is_running()
        })
        .await
        .unwrap();
        assert_eq!(exists(&name("second")).await, arrives, "{moment:?}");
        create(&name("third")).await.unwrap();
    }
    proxy.clear();

    // Answers of the proxy's own, for as many requests as were asked for.
    proxy.add(Rule::new(Fault::too_many_requests(1), Seen::is_mutating).times(1));
    proxy.add(
        Rule::new(Fault::conflict(), Seen::is_mutating)
            .skip(2)
            .times(1),
    );
    let code = |result: Result<ConfigMap, kube::Error>| match result {
        Err(kube::Error::Api(status)) => status.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(create("refused").await), 429);
    create("between").await.unwrap();
    assert_eq!(code(create("refused").await), 409);
    create("refused").await.unwrap();

    // The three counts of one thing agree: what we did, what the proxy wrote down, what the API server wrote down.
    let audit = cluster.audit().unwrap();
    let forwarded = proxy
        .writes()
        .iter()
        .filter(|entry| entry.forwarded)
        .count();
    assert_eq!(proxy.write_count(), 13);
    assert_eq!(forwarded, 10);
    assert_eq!(
        audit
            .mutating(account, Default::default())
            .await
            .unwrap()
            .len(),
        forwarded
    );
    assert_eq!(
        proxy.writes()[0].request.body["metadata"]["name"],
        "first-beforeforwarding"
    );
    assert_eq!(proxy.writes()[0].status, Some(201));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_freezes_and_cuts_watches() {
    let cluster = Cluster::start(ClusterOptions::new().without_controller_manager())
        .await
        .unwrap();
    cluster
        .admin()
        .kubectl(&["create", "serviceaccount", "default", "-n", "kube-system"])
        .await
        .unwrap();
    cluster
        .bind_cluster_role("system:serviceaccount:kube-system:default", "cluster-admin")
        .await
        .unwrap();
    let proxy = Proxy::start(&cluster).await.unwrap();
    let client = through(&proxy, &cluster).await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let namespaces: Api<Namespace> = Api::all(client);
    let version = maps
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let mut stream = maps
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    let mut names = namespaces
        .watch(&WatchParams::default(), "0")
        .await
        .unwrap()
        .boxed();
    names.next().await.unwrap().unwrap();
    let create = async |name: &str| {
        maps.create(&PostParams::default(), &config_map(name))
            .await
            .unwrap()
    };
    let added = |event: Result<WatchEvent<ConfigMap>, kube::Error>| match event {
        Ok(WatchEvent::Added(map)) => map.metadata.name.unwrap(),
        other => panic!("{other:?}"),
    };

    create("seen").await;
    assert_eq!(added(stream.next().await.unwrap()), "seen");
    assert_eq!(proxy.open_watches(), 2);

    let freeze = proxy.freeze_watches_of("configmaps");
    create("held-back").await;
    let silence = tokio::time::timeout(Duration::from_millis(500), stream.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    proxy.remove(freeze);
    assert_eq!(added(stream.next().await.unwrap()), "held-back");

    assert_eq!(proxy.cut_watches(|seen| seen.resource() == "configmaps"), 1);
    // The client takes a broken watch for one that has ended; either way nothing comes any more.
    assert!(!matches!(stream.next().await, Some(Ok(_))));
    eventually(
        "only the other watch is open",
        Duration::from_secs(5),
        || async { proxy.open_watches() == 1 },
    )
    .await
    .unwrap();
    drop(names);
    eventually(
        "a client that leaves is noticed",
        Duration::from_secs(5),
        || async { proxy.open_watches() == 0 },
    )
    .await
    .unwrap();

    // A watch is two lines of the audit log, when it begins and when it ends, and one request.
    let counts = Counts::of(&cluster.audit().unwrap().all().await.unwrap());
    let account = "system:serviceaccount:kube-system:default";
    assert_eq!(counts.get(account, "watch", "namespaces"), 1, "{counts}");
    assert_eq!(counts.get(account, "watch", "configmaps"), 1, "{counts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_a_process_that_is_killed() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_testbed-cluster"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let kubeconfig_file = Path::new(line.trim()).to_owned();
    let config = kubeconfig::config(&std::fs::read_to_string(&kubeconfig_file).unwrap())
        .await
        .unwrap();
    let server = config.cluster_url.authority().unwrap().to_string();
    let existing = Cluster::existing(&kubeconfig_file).await.unwrap();
    assert!(existing.audit().is_err());
    let impersonated = existing.identity("acme-admin").await.unwrap();
    let refusal = impersonated
        .kubectl(&["get", "namespaces"])
        .await
        .unwrap()
        .refusal()
        .unwrap();
    assert!(refusal.contains("acme-admin"), "{refusal}");

    child.kill().unwrap();
    child.wait().unwrap();
    let gone = || async {
        std::net::TcpStream::connect(&server).is_err()
            && !kubeconfig_file.parent().unwrap().exists()
    };
    eventually("server and folder are gone", Duration::from_secs(10), gone)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_says_what_was_seen_last() {
    let tries = Arc::new(AtomicUsize::new(0));
    let attempt = || async {
        let number = tries.fetch_add(1, Ordering::Relaxed);
        if number < 3 {
            Err(format!("try {number}"))
        } else {
            Ok(number)
        }
    };
    assert_eq!(
        eventually("the fourth try", Duration::from_secs(5), attempt)
            .await
            .unwrap(),
        3
    );
    let error = eventually("never", Duration::from_millis(50), || async {
        Err::<(), _>("still closed")
    })
    .await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("last seen: still closed")
    );
    assert!(
        always("for long", Duration::from_secs(5), || async { false })
            .await
            .is_err()
    );
}
