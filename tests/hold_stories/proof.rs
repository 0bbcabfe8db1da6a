//! When a hold may be said to be enforced, and when not.

use std::time::Instant;

use covenant::api::guards;
use covenant::model::{Kind, ObservedGuard};
use serde_json::{Value, json};
use testbed::operator::{Operator, OperatorOptions};
use testbed::{Cluster, ClusterOptions, Identity, always, eventually};

use crate::case::{ALL, hold};
use crate::stage::{COVENANT, PATIENCE, Stage, baseline, condition, in_seconds, shared};

#[tokio::test(flavor = "multi_thread")]
async fn enforced_is_true_once_the_api_server_refused_a_canary_in_the_holds_name() {
    let stage = shared().await;
    let tenant = stage.tenant("proof-true").await;
    stage.holds(&hold(&tenant.name, "case-1", &ALL)).await;
    let proven = stage.proven(&tenant.name, "case-1").await;
    let uid = proven["metadata"]["uid"].as_str().unwrap();
    tenant
        .events(
            uid,
            &["HoldEnforced", "ProcessingSuspended", "SharingSuspended"],
        )
        .await;
    // Proven for each hold by itself: a second one is not proven by the first.
    let mut second = hold(&tenant.name, "case-2", &ALL);
    second["spec"]["slot"] = json!(2);
    stage.holds(&second).await;
    stage.proven(&tenant.name, "case-2").await;
}

/// One way to make a guard say something else: which object, where it differs then, and its spec.
struct Weakening {
    kind: String,
    name: String,
    at: String,
    spec: Value,
}

/// Every expression, selector, rule and switch of every guard, weakened one at a time.
fn weakenings() -> Vec<Weakening> {
    let mut all = Vec::new();
    for (_, text) in guards::FILES {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        for document in documents {
            let (kind, name) = (&document["kind"], &document["metadata"]["name"]);
            let mut add = |at: String, spec: Value| {
                all.push(Weakening {
                    kind: kind.as_str().unwrap().to_owned(),
                    name: name.as_str().unwrap().to_owned(),
                    at,
                    spec,
                });
            };
            let spec = &document["spec"];
            for (list, before, after) in [
                ("validations", "true || (", ")"),
                ("matchConditions", "false && (", ")"),
                ("variables", "[", "][0]"),
            ] {
                for index in 0..spec[list].as_array().map_or(0, Vec::len) {
                    let mut weak = spec.clone();
                    let expression = spec[list][index]["expression"].as_str().unwrap();
                    weak[list][index]["expression"] = json!(format!("{before}{expression}{after}"));
                    add(format!("spec.{list}[{index}].expression"), weak);
                }
            }
            for index in 0..spec["matchConstraints"]["resourceRules"]
                .as_array()
                .map_or(0, Vec::len)
            {
                let mut weak = spec.clone();
                weak["matchConstraints"]["resourceRules"][index]["resources"] = json!(["bindings"]);
                add(
                    format!("spec.matchConstraints.resourceRules[{index}].resources"),
                    weak,
                );
            }
            if kind == "ValidatingAdmissionPolicy" {
                let mut weak = spec.clone();
                weak["failurePolicy"] = json!("Ignore");
                add("spec.failurePolicy".to_owned(), weak);
                let mut weak = spec.clone();
                weak["matchConstraints"]["namespaceSelector"] =
                    json!({ "matchLabels": { "none": "such" } });
                add("spec.matchConstraints.namespaceSelector".to_owned(), weak);
                let mut weak = spec.clone();
                weak["matchConstraints"]["excludeResourceRules"] = json!([{ "apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"] }]);
                add(
                    "spec.matchConstraints.excludeResourceRules".to_owned(),
                    weak,
                );
            } else {
                let mut weak = spec.clone();
                weak["validationActions"] = json!(["Warn", "Audit"]);
                if weak["validationActions"] != spec["validationActions"] {
                    add("spec.validationActions".to_owned(), weak);
                }
                let mut weak = spec.clone();
                weak["matchResources"]["namespaceSelector"] =
                    json!({ "matchLabels": { "none": "such" } });
                add("spec.matchResources".to_owned(), weak);
                let mut weak = spec.clone();
                weak["policyName"] = json!("covenant-pods-of-old");
                add("spec.policyName".to_owned(), weak);
            }
        }
    }
    all
}

#[test]
fn every_word_of_a_guard_that_differs_is_seen_and_told_by_its_place() {
    let read = |kind: &str, name: &str, spec: &Value| {
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": name }, "spec": spec
        });
        let kind = Kind::of("admissionregistration.k8s.io/v1", kind).unwrap();
        ObservedGuard::read(
            kind,
            &serde_json::from_value(object).unwrap(),
            "covenant-system",
        )
        .unwrap()
    };
    for Weakening {
        kind,
        name,
        at,
        spec,
    } in weakenings()
    {
        assert_eq!(
            read(&kind, &name, &original(&kind, &name)).differs,
            Vec::<String>::new()
        );
        let differs = read(&kind, &name, &spec).differs;
        assert!(
            differs.iter().any(|path| path.starts_with(&at)),
            "{kind} {name} at {at}: {differs:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weakening_any_word_of_a_guard_or_taking_it_away_is_said_by_every_hold() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("weakened").await;
    stage.holds(&hold(&tenant.name, "case-1", &ALL)).await;
    stage.proven(&tenant.name, "case-1").await;
    let admin = stage.cluster.admin();
    let all = weakenings();
    assert!(all.len() > 200, "{}", all.len());
    // That each of them is seen is shown below without a cluster; `make soak` shows it with one.
    let every = if testbed::effort::is_exhaustive() {
        1
    } else {
        16
    };
    let weakenings: Vec<Weakening> = all.into_iter().step_by(every).collect();
    let mut slowest = std::time::Duration::ZERO;
    for weakening in &weakenings {
        let Weakening {
            kind,
            name,
            at,
            spec,
        } = weakening;
        replace(admin, kind, name, spec).await;
        let begun = Instant::now();
        let said = format!("{kind} {name} was altered at {at}");
        eventually(&said, PATIENCE, || async {
            let held = admin.get(&["phold", "case-1", "-n", &tenant.name]).await?;
            anyhow::ensure!(
                condition(&held, "Enforced") == ("False".to_owned(), "GuardsAltered".to_owned()),
                "{}",
                held["status"]
            );
            anyhow::ensure!(
                held["status"]["conditions"].to_string().contains(&said),
                "{}",
                held["status"]
            );
            anyhow::Ok(())
        })
        .await
        .unwrap();
        slowest = slowest.max(begun.elapsed());
        replace(admin, kind, name, &original(kind, name)).await;
    }
    println!(
        "{} weakenings, each said within {slowest:?} at most",
        weakenings.len()
    );
    stage.proven(&tenant.name, "case-1").await;

    for (kind, name) in [
        ("ValidatingAdmissionPolicyBinding", "covenant-holds"),
        ("ValidatingAdmissionPolicy", "covenant-enrolment"),
    ] {
        let document = json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": name }, "spec": original(kind, name) });
        admin
            .kubectl(&["delete", kind, name])
            .await
            .unwrap()
            .success()
            .unwrap();
        let held = stage
            .hold_is(&tenant.name, "case-1", "Enforced", "False", "GuardsAltered")
            .await;
        assert!(
            held["status"]["conditions"]
                .to_string()
                .contains(&format!("{kind} {name} is missing")),
            "{held}"
        );
        eventually("the metric tells", PATIENCE, || async {
            let metrics = stage.operator.get("/metrics").await?.text;
            anyhow::ensure!(metrics.contains("covenant_guards_altered 1"), "{metrics}");
            anyhow::ensure!(
                metrics.contains("covenant_holds{state=\"not_enforced\"} 1"),
                "{metrics}"
            );
            anyhow::Ok(())
        })
        .await
        .unwrap();
        admin
            .apply(&document.to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
        stage.proven(&tenant.name, "case-1").await;
    }
}

fn original(kind: &str, name: &str) -> Value {
    let documents = guards::FILES
        .iter()
        .flat_map(|(_, text)| serde_saphyr::from_multiple::<Value>(text).unwrap());
    documents
        .into_iter()
        .find(|document| document["kind"] == kind && document["metadata"]["name"] == name)
        .map(|document| document["spec"].clone())
        .unwrap()
}

async fn replace(admin: &Identity, kind: &str, name: &str, spec: &Value) {
    let patch = json!([{ "op": "replace", "path": "/spec", "value": spec }]).to_string();
    admin
        .kubectl(&["patch", kind, name, "--type=json", "-p", &patch])
        .await
        .unwrap()
        .success()
        .unwrap();
}

async fn operator_at(cluster: &Cluster, servers: &[&str]) -> Operator {
    let identity = cluster.operator_identity().await.unwrap();
    let arguments = servers
        .iter()
        .flat_map(|server| ["--api-server".to_owned(), (*server).to_owned()])
        .collect();
    let options = OperatorOptions {
        arguments,
        ..OperatorOptions::default()
    };
    let operator =
        Operator::start(cluster, COVENANT.as_ref(), identity.kubeconfig(), options).unwrap();
    operator.wait_ready().await.unwrap();
    operator
}

fn address(identity: &Identity) -> String {
    identity
        .config()
        .cluster_url
        .authority()
        .unwrap()
        .to_string()
}

/// A cluster with the chart, a baseline and nobody who enforces.
async fn prepared(options: ClusterOptions) -> Cluster {
    let cluster = Cluster::start(options).await.unwrap();
    cluster.install_chart().await.unwrap();
    let engineer = cluster.platform_engineer().await.unwrap();
    engineer
        .apply(&baseline("default", "P90D").to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let labels = json!({ "privacy.cloudnexus.io/tenant": "acme" });
    let namespace = crate::stage::namespace("held", &labels).to_string();
    engineer.apply(&namespace).await.unwrap().success().unwrap();
    cluster
}

async fn says(cluster: &Cluster, status: &str, reason: &str) -> Value {
    eventually(
        &format!("Enforced is {status} ({reason})"),
        PATIENCE,
        || async {
            let held = cluster
                .admin()
                .get(&["phold", "case-1", "-n", "held"])
                .await?;
            anyhow::ensure!(
                condition(&held, "Enforced") == (status.to_owned(), reason.to_owned()),
                "{}",
                held["status"]
            );
            Ok(held)
        },
    )
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn enforced_is_never_true_before_every_api_server_refuses() {
    let cluster = prepared(ClusterOptions::new()).await;
    let second = cluster.another_api_server().await.unwrap();
    let servers = [address(cluster.admin()), address(second.admin())];
    let _operator = operator_at(&cluster, &[&servers[0], &servers[1]]).await;
    let officer = cluster.officer().await.unwrap();
    for round in 0..5 {
        let name = format!("case-{round}");
        let mut held = hold("held", &name, &["PreventDeletion"]);
        held["spec"]["slot"] = json!(round + 1);
        officer
            .apply(&held.to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
        eventually("it is proven", PATIENCE, || async {
            let held = cluster.admin().get(&["phold", &name, "-n", "held"]).await?;
            anyhow::ensure!(
                condition(&held, "Enforced").0 == "True",
                "{}",
                held["status"]
            );
            anyhow::Ok(())
        })
        .await
        .unwrap();
        for admin in [cluster.admin(), second.admin()] {
            let deleted = admin
                .kubectl(&["delete", "phold", &name, "-n", "held"])
                .await
                .unwrap();
            assert!(
                deleted
                    .stderr
                    .contains(&format!("[ProcessingHold held/{name}]")),
                "{deleted}"
            );
        }
    }
    // A server that gives no answer leaves it open; one that is back is asked again.
    let mut held = hold("held", "case-1", &["PreventDeletion"]);
    held["metadata"]["name"] = json!("case-late");
    held["spec"]["slot"] = json!(8);
    second.pause().unwrap();
    officer
        .apply(&held.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let late = |status: &'static str, reason: &'static str| {
        let cluster = &cluster;
        async move {
            eventually(
                &format!("the late one is {status} ({reason})"),
                PATIENCE,
                || async {
                    let held = cluster
                        .admin()
                        .get(&["phold", "case-late", "-n", "held"])
                        .await?;
                    anyhow::ensure!(
                        condition(&held, "Enforced") == (status.to_owned(), reason.to_owned()),
                        "{}",
                        held["status"]
                    );
                    Ok(held)
                },
            )
            .await
            .unwrap()
        }
    };
    let unknown = late("Unknown", "ServerUnreachable").await;
    assert!(
        unknown["status"]["conditions"]
            .to_string()
            .contains(&servers[1]),
        "{unknown}"
    );
    second.resume().unwrap();
    late("True", "ProvenOnAllServers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_fewer_addresses_than_servers_it_is_unknown_and_says_so() {
    let cluster = prepared(ClusterOptions::new()).await;
    let _operator = operator_at(&cluster, &[]).await;
    let officer = cluster.officer().await.unwrap();
    officer
        .apply(&hold("held", "case-1", &ALL).to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    says(&cluster, "True", "ProvenOnAllServers").await;
    let another = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": "apiserver-behind-a-load-balancer", "namespace": "kube-system", "labels": { "apiserver.kubernetes.io/identity": "kube-apiserver" } },
        "spec": { "holderIdentity": "apiserver-behind-a-load-balancer_1", "leaseDurationSeconds": 3600, "renewTime": in_seconds(30).replace('Z', ".000000Z") }
    });
    cluster
        .admin()
        .apply(&another.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let unknown = says(&cluster, "Unknown", "ServersUncounted").await;
    assert!(
        unknown["status"]["conditions"]
            .to_string()
            .contains("2 API servers say that they are there"),
        "{unknown}"
    );
    cluster
        .admin()
        .kubectl(&[
            "delete",
            "lease",
            "apiserver-behind-a-load-balancer",
            "-n",
            "kube-system",
        ])
        .await
        .unwrap()
        .success()
        .unwrap();
    says(&cluster, "True", "ProvenOnAllServers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_which_guards_do_not_run_is_found_out_though_they_are_stored_as_they_must_be() {
    let cluster = prepared(ClusterOptions::new()).await;
    let _operator = operator_at(&cluster, &[]).await;
    let officer = cluster.officer().await.unwrap();
    officer
        .apply(&hold("held", "case-1", &ALL).to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    says(&cluster, "True", "ProvenOnAllServers").await;
    // The same store behind a server that leaves the plugin out, and an operator that is told of both.
    let without = cluster
        .another_api_server_with(&["--disable-admission-plugins=ValidatingAdmissionPolicy"])
        .await
        .unwrap();
    let careless = address(without.admin());
    let _told = operator_at(&cluster, &[&address(cluster.admin()), &careless]).await;
    drop(_operator);
    let held = says(&cluster, "False", "NotRefused").await;
    assert!(
        held["status"]["conditions"].to_string().contains(&careless),
        "{held}"
    );
    without.kill();
    says(&cluster, "Unknown", "ServerUnreachable").await;
    let still = || async {
        let held = cluster
            .admin()
            .get(&["phold", "case-1", "-n", "held"])
            .await?;
        anyhow::ensure!(condition(&held, "Enforced").0 != "True", "{held}");
        anyhow::Ok(())
    };
    always(
        "nothing is claimed",
        std::time::Duration::from_secs(3),
        still,
    )
    .await
    .unwrap();
}
