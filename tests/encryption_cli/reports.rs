//! Reports of postures on a real API server. The postures are written in the operator's name, since the guards let nobody else.

use std::process::Output;
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use testbed::{Cluster, ClusterOptions, Identity, eventually};
use tokio::sync::OnceCell;

use crate::servers::{Authority, BOTH, ONLY_13, Server, request};
use crate::{as_json, exits, fails};

const PATIENCE: Duration = Duration::from_secs(120);

struct Stage {
    cluster: Cluster,
    operator: Identity,
    /// What was told of all namespaces before anything was there.
    empty: [Output; 2],
    /// What was told before Covenant was.
    not_installed: [Output; 2],
}

/// The one cluster of these tests: the chart, and no operator.
async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE
        .get_or_init(|| async {
            let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
            let report = |more: &[&str]| covenant(cluster.admin(), more);
            let not_installed = [report(&["-A"]), report(&["-n", "default"])];
            cluster.install_chart().await.unwrap();
            eventually("postures are served", PATIENCE, async || {
                cluster.admin().get(&["posture", "-A"]).await
            })
            .await
            .unwrap();
            let empty = [report(&["-A"]), report(&["-A", "-o", "json"])];
            let operator = cluster.operator_identity().await.unwrap();
            Stage {
                cluster,
                operator,
                empty,
                not_installed,
            }
        })
        .await
}

fn covenant(who: &Identity, more: &[&str]) -> Output {
    let kubeconfig = who.kubeconfig().display().to_string();
    let mut arguments = vec!["report", "--kubeconfig", &kubeconfig];
    arguments.extend(more);
    crate::covenant(&arguments)
}

fn namespace(name: &str, is_enrolled: bool) -> Value {
    let mut namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    if is_enrolled {
        namespace["metadata"]["labels"] = json!({ "privacy.cloudnexus.io/tenant": "acme" });
    }
    namespace
}

fn item(name: &str, state: &str, evidence: &str) -> Value {
    json!({
        "scope": "AtRest", "item": name, "state": state, "reason": "ForTheTest", "evidence": evidence,
        "since": "2026-11-20T12:00:00Z"
    })
}

fn posture(name: &str, items: &[Value]) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataHandlingPosture",
        "metadata": { "name": "current", "namespace": name },
        "spec": {
            "tenant": "acme", "stage": "Enforce", "baseline": { "name": "default" }, "openPathCount": 0, "findingCount": 0,
            "encryption": { "items": items, "itemCount": items.len() }
        }
    })
}

/// A namespace with a posture as an operator writes it.
async fn judged(name: &str, items: &[Value], status: &str) {
    let stage = stage().await;
    let admin = stage.cluster.admin();
    admin.apply_object(&namespace(name, false)).await.unwrap();
    write(name, items).await;
    let status = json!({ "status": { "observedGeneration": 1, "conditions": [{
        "type": "Encrypted", "status": status, "reason": "Said", "message": "as the operator says",
        "lastTransitionTime": "2026-11-20T12:00:00Z", "observedGeneration": 1
    }] } });
    let patch = Patch::Merge(&status);
    let parameters = PatchParams::default();
    postures(name)
        .await
        .patch_status("current", &parameters, &patch)
        .await
        .unwrap();
}

/// Postures as the operator reaches them. Neither kubectl nor an apply lets control characters through.
async fn postures(namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("privacy.cloudnexus.io", "v1alpha1", "DataHandlingPosture");
    let resource = ApiResource::from_gvk_with_plural(&kind, "datahandlingpostures");
    let client = stage().await.operator.client().unwrap();
    Api::namespaced_with(client, namespace, &resource)
}

async fn write(namespace: &str, items: &[Value]) {
    let postures = postures(namespace).await;
    let object = posture(namespace, items);
    let new: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    eventually("the posture is taken", PATIENCE, async || {
        match postures.create(&PostParams::default(), &new).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let patch = Patch::Merge(&object);
                let parameters = PatchParams::default();
                postures.patch("current", &parameters, &patch).await
            }
            result => result,
        }
    })
    .await
    .unwrap();
}

fn shown() -> Vec<Value> {
    vec![
        item("Secrets", "Verified", "a canary was encrypted"),
        item("StorageClass/gold", "Proven", "encrypted is true"),
        item("StorageClass/local", "Attested", "LUKS"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_posture_is_told_with_every_item_and_its_exit_code() {
    judged("told-good", &shown(), "True").await;
    let mut every = shown();
    every.push(item("PersistentVolumeClaim/old", "Unknown", "nobody knows"));
    every.push(item("Gateways", "NotJudged", "nobody asked"));
    every.push(item(
        "EmptyDir",
        "NotEncrypted",
        "a\u{1b}[2Jb\u{9b}1m\u{202e}c",
    ));
    judged("told-bad", &every, "False").await;
    let admin = stage().await.cluster.admin();

    let text = exits(0, &covenant(admin, &["-n", "told-good"]));
    let expected = "Namespace told-good (tenant acme, baseline default): encrypted\n";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.ends_with("\n\nNamespaces: 1 encrypted.\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "a pipe gets no colours: {text}");

    let text = exits(1, &covenant(admin, &["-n", "told-bad"]));
    assert!(
        text.contains(": not encrypted\n  Said: as the operator says\n"),
        "{text}"
    );
    assert!(text.contains("a\\u{1b}[2Jb\\u{9b}1m\\u{202e}c"), "{text}");
    let counts = "Shown: 1 verified, 1 proven, 1 attested. Not shown: 1 not encrypted, 1 unknown, 1 not judged.";
    assert!(text.contains(counts), "{text}");

    let printed = exits(1, &covenant(admin, &["-n", "told-bad", "-o", "json"]));
    assert!(
        !printed.contains('\u{9b}') && !printed.contains('\u{202e}'),
        "{printed:?}"
    );
    let mut report = as_json(&printed);
    assert!(report["at"].as_str().is_some_and(|at| at.ends_with('Z')));
    report["at"] = json!("then");
    let evidence = &mut report["namespaces"][0]["items"][5]["evidence"];
    assert_eq!(evidence.take(), json!("a\u{1b}[2Jb\u{9b}1m\u{202e}c"));
    insta::assert_json_snapshot!("report", report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_about_an_earlier_posture_proves_nothing() {
    let name = "told-stale";
    judged(name, &shown(), "True").await;
    let stage = stage().await;
    write(name, &shown()[..2]).await;
    let text = exits(1, &covenant(stage.cluster.admin(), &["-n", name]));
    assert!(
        text.contains("not known to be encrypted\n  Outdated: "),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_without_a_posture_says_what_to_do() {
    let stage = stage().await;
    let admin = stage.cluster.admin();
    let platform = stage.cluster.platform_engineer().await.unwrap();
    admin.apply_object(&namespace("bare", false)).await.unwrap();
    eventually("it is enrolled", PATIENCE, async || {
        platform.apply_object(&namespace("enrolled", true)).await
    })
    .await
    .unwrap();
    let text = exits(1, &covenant(admin, &["-n", "bare"]));
    assert!(text.contains("NotEnrolled: it is not enrolled"), "{text}");
    let text = exits(1, &covenant(admin, &["-n", "enrolled"]));
    assert!(text.contains("kubectl covenant check"), "{text}");
    let missing = covenant(admin, &["-n", "nowhere"]);
    fails(&missing, &["there is no namespace nowhere"]);
    let report = as_json(&exits(1, &covenant(admin, &["-A", "-o", "json"])));
    let told = |name: &str| {
        let mut namespaces = report["namespaces"].as_array().unwrap().iter();
        namespaces.find(|it| it["name"] == name).cloned()
    };
    assert_eq!(told("enrolled").unwrap()["reason"], "NoPosture");
    assert_eq!(told("bare"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_cluster_and_one_without_covenant_are_told_apart() {
    let stage = stage().await;
    let words = "No namespace is enrolled, so nothing is promised or judged.\n";
    assert_eq!(exits(0, &stage.empty[0]), words);
    let report = as_json(&exits(0, &stage.empty[1]));
    assert_eq!(report["namespaces"], json!([]));
    for output in &stage.not_installed {
        fails(
            output,
            &["knows no DataHandlingPostures", "install Covenant"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_read_is_told_who_may() {
    judged("told-tenant", &shown(), "True").await;
    let stage = stage().await;
    let nobody = stage.cluster.identity("nobody").await.unwrap();
    let words = [
        "nobody may not read DataHandlingPostures in namespace told-tenant",
        "covenant-view",
    ];
    fails(&covenant(&nobody, &["-n", "told-tenant"]), &words);
    let words = ["nobody may not read DataHandlingPostures in all namespaces"];
    fails(&covenant(&nobody, &["-A"]), &words);

    let tenant = stage.cluster.tenant_admin("told-tenant").await.unwrap();
    let text = exits(0, &covenant(&tenant, &["-n", "told-tenant"]));
    assert!(text.contains("Namespaces: 1 encrypted."), "{text}");
    fails(&covenant(&tenant, &["-A"]), &["in all namespaces"]);

    // All postures, and no namespaces.
    let rules = json!([{
        "apiGroups": ["privacy.cloudnexus.io"], "resources": ["datahandlingpostures"], "verbs": ["get", "list"]
    }]);
    let auditor = stage.cluster.identity("auditor").await.unwrap();
    stage
        .cluster
        .give("auditor", "auditor", &rules)
        .await
        .unwrap();
    let output = covenant(&auditor, &["-A"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("you may not list namespaces"), "{said}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("Namespace told-tenant (tenant acme"),
        "{text}"
    );
    let words = [
        "auditor may not read Ingress in namespace told-tenant",
        "ClusterRole view",
    ];
    fails(
        &covenant(&auditor, &["-n", "told-tenant", "--probe"]),
        &words,
    );

    let mixed = covenant(&auditor, &["-n", "told-tenant", "-A"]);
    assert_eq!(mixed.status.code(), Some(2));
    fails(
        &covenant(&auditor, &["--ca", "x"]),
        &["give it with --probe"],
    );
    let nowhere = crate::covenant(&["report", "--kubeconfig", "/nowhere"]);
    fails(&nowhere, &["cannot read /nowhere"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_probed_where_it_was_asked_for() {
    let name = "told-published";
    judged(name, &shown(), "True").await;
    let stage = stage().await;
    let admin = stage.cluster.admin();
    let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    let path = json!([{ "path": "/", "pathType": "Prefix", "backend": backend }]);
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "web", "namespace": name },
        "spec": {
            "tls": [{ "hosts": ["localhost", "*.acme.example"], "secretName": "web" }],
            "rules": [{ "host": "localhost", "http": { "paths": path } }, { "host": "*.acme.example", "http": { "paths": path } }]
        }
    });
    admin.apply_object(&ingress).await.unwrap();

    let text = exits(0, &covenant(admin, &["-n", name]));
    assert!(!text.contains("localhost"), "nobody asked: {text}");
    // A name of a tenant's is not followed to whoever asks.
    let arguments = ["-n", name, "--probe", "--timeout", "2", "-o", "json"];
    let report = as_json(&exits(1, &covenant(admin, &arguments)));
    let probes = &report["namespaces"][0]["probes"];
    assert_eq!(probes[1]["target"], "localhost:443");
    assert_eq!(probes[1]["offers"], "NotTried", "{probes}");
    assert_eq!(report["namespaces"][0]["encrypted"], "True");
    assert_eq!(report["summary"]["probesNotPassed"], 2);

    let authority = Authority::new();
    let names = ["localhost", "*.acme.example"];
    let ca = authority.file().display().to_string();
    for (versions, code, offers) in [(ONLY_13, 0, "Tls13Only"), (BOTH, 1, "Tls13AndTls12")] {
        let server = Server::tls(authority.config_with(versions, request(&names)));
        let address = server.text();
        let arguments = [
            "-n",
            name,
            "--probe",
            "--connect-to",
            &address,
            "--ca",
            &ca,
            "-o",
            "json",
            "--timeout",
            "60",
        ];
        let report = as_json(&exits(code, &covenant(admin, &arguments)));
        let probes = report["namespaces"][0]["probes"].as_array().unwrap();
        let targets: Vec<&str> = probes
            .iter()
            .map(|it| it["target"].as_str().unwrap())
            .collect();
        assert_eq!(targets, ["*.acme.example:443", "localhost:443"]);
        assert_eq!(probes[0]["serverName"], "covenant-probe.acme.example");
        for probe in probes {
            assert_eq!(probe["offers"], offers, "{probe}");
            assert_eq!(probe["certificate"]["trust"], "Valid", "{probe}");
            assert_eq!(probe["publishedBy"], "Ingress/web");
            assert_eq!(probe["connectedTo"], address);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_namespaces_than_a_page_are_all_told_once() {
    const COUNT: usize = 230;
    let stage = stage().await;
    let admin = stage.cluster.admin().client().unwrap();
    let namespaces = Api::all_with(
        admin,
        &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace")),
    );
    let parameters = PostParams::default();
    let parse = |object: Value| serde_json::from_value::<DynamicObject>(object).unwrap();
    futures::stream::iter(0..COUNT)
        .for_each_concurrent(8, async |number| {
            let name = format!("page-{number}");
            let object = parse(namespace(&name, false));
            namespaces.create(&parameters, &object).await.unwrap();
            write(&name, &shown()).await;
        })
        .await;
    let report = as_json(&exits(
        1,
        &covenant(stage.cluster.admin(), &["-A", "-o", "json"]),
    ));
    let told = report["namespaces"].as_array().unwrap().iter();
    let mut told: Vec<&str> = told
        .map(|it| it["name"].as_str().unwrap())
        .filter(|name| name.starts_with("page-"))
        .collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), COUNT);
}
