//! What the chart gives the operator for retention, and what it never does.

use serde_json::{Value, json};
use testbed::chart::{Rendered, folder, render};

async fn with(values: &[&str]) -> anyhow::Result<Rendered> {
    let mut arguments = Vec::new();
    for value in values {
        arguments.extend(["--set-json", value]);
    }
    render(&folder(), &arguments).await
}

fn find<'a>(rendered: &'a Rendered, kind: &str, name: &str) -> Option<&'a Value> {
    let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    rendered.rest.iter().find(is_it)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_gives_the_operator_kinds_to_dispose_of_one_at_a_time() {
    let none = with(&[]).await.unwrap();
    assert!(find(&none, "ClusterRole", "covenant-retention-0").is_none());
    let two = r#"retention.kinds=[{"apiGroups":["batch"],"resources":["jobs"]},{"apiGroups":[""],"resources":["configmaps","pods"]}]"#;
    let two = with(&[two]).await.unwrap();
    for (number, groups, resources) in [
        (0, json!(["batch"]), json!(["jobs"])),
        (1, json!([""]), json!(["configmaps", "pods"])),
    ] {
        let name = format!("covenant-retention-{number}");
        let role = find(&two, "ClusterRole", &name).unwrap();
        let rules = json!([{ "apiGroups": groups, "resources": resources, "verbs": ["get", "list", "watch", "delete"] }]);
        assert_eq!(role["rules"], rules);
        let binding = find(&two, "ClusterRoleBinding", &name).unwrap();
        assert_eq!(binding["roleRef"]["name"], name);
        let subject = json!([{ "kind": "ServiceAccount", "name": "covenant", "namespace": "covenant-system" }]);
        assert_eq!(binding["subjects"], subject);
    }
    assert!(find(&two, "ClusterRole", "covenant-retention-2").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_gives_the_operator_covenants_own_kinds_rbac_namespaces_or_a_wildcard() {
    for (group, resource) in [
        ("privacy.cloudnexus.io", "retentionpolicies"),
        ("authority.privacy.cloudnexus.io", "tenants"),
        ("rbac.authorization.k8s.io", "roles"),
        (
            "admissionregistration.k8s.io",
            "validatingadmissionpolicies",
        ),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("coordination.k8s.io", "leases"),
        ("*", "jobs"),
        ("batch", "*"),
        ("batch", "jobs/status"),
        ("", "namespaces"),
        ("", "nodes"),
        ("", "persistentvolumes"),
        ("", "events"),
    ] {
        let kinds =
            json!([{ "apiGroups": ["apps", group], "resources": ["deployments", resource] }]);
        let refused = with(&[&format!("retention.kinds={kinds}")]).await;
        let said = format!("{:#}", refused.expect_err(&format!("{group} {resource}")));
        assert!(
            said.contains("/retention/kinds/0/"),
            "{group} {resource}: {said}"
        );
    }
    for kinds in [
        json!([{ "apiGroups": ["batch"] }]),
        json!([{ "resources": ["jobs"] }]),
        json!([{ "apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["*"] }]),
        json!("jobs"),
    ] {
        assert!(
            with(&[&format!("retention.kinds={kinds}")]).await.is_err(),
            "{kinds}"
        );
    }
}

fn pod(rendered: &Rendered) -> &Value {
    &find(rendered, "Deployment", "covenant").unwrap()["spec"]["template"]["spec"]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_on_a_claim_that_outlives_the_release_and_has_one_writer() {
    let plain = with(&[]).await.unwrap();
    let claim = find(&plain, "PersistentVolumeClaim", "covenant-ledger").unwrap();
    assert_eq!(
        claim["metadata"]["annotations"]["helm.sh/resource-policy"],
        "keep"
    );
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "5Gi");
    assert!(claim["spec"]["storageClassName"].is_null());
    let deployment = find(&plain, "Deployment", "covenant").unwrap();
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
    assert_eq!(pod(&plain)["securityContext"]["fsGroup"], 65532);
    let volumes =
        json!([{ "name": "ledger", "persistentVolumeClaim": { "claimName": "covenant-ledger" } }]);
    assert_eq!(pod(&plain)["volumes"], volumes);
    let arguments = &pod(&plain)["containers"][0]["args"];
    let expected = json!([
        "run",
        "--listen",
        "0.0.0.0:8443",
        "--minimum-tls",
        "1.3",
        "--ledger",
        "/var/lib/covenant/ledger",
        "--ledger-key",
        "/var/lib/covenant/ledger.key",
        "--ledger-origin",
        "covenant.covenant-system",
    ]);
    assert_eq!(arguments, &expected);
    assert!(with(&["replicaCount=2"]).await.is_err());

    let elsewhere = with(&[
        r#"ledger.origin="example.com/ledger""#,
        r#"ledger.persistence={"enabled":true,"existingClaim":"mine"}"#,
        r#"ledger.key.secretName="signer""#,
        r#"ledger.headCopy={"enabled":true,"existingClaim":"heads","path":"head"}"#,
    ])
    .await
    .unwrap();
    assert!(find(&elsewhere, "PersistentVolumeClaim", "covenant-ledger").is_none());
    let arguments = pod(&elsewhere)["containers"][0]["args"].as_array().unwrap();
    let expected = [
        "/etc/covenant/ledger/ledger.key",
        "--ledger-origin",
        "example.com/ledger",
        "--ledger-head-copy",
        "/var/lib/covenant-heads/head",
    ];
    assert_eq!(arguments[8..], expected);
    let volumes = json!([
        { "name": "ledger", "persistentVolumeClaim": { "claimName": "mine" } },
        { "name": "ledger-key", "secret": { "secretName": "signer", "defaultMode": 288, "items": [{ "key": "ledger.key", "path": "ledger.key" }] } },
        { "name": "ledger-heads", "persistentVolumeClaim": { "claimName": "heads" } },
    ]);
    assert_eq!(pod(&elsewhere)["volumes"], volumes);
    let mounted = &pod(&elsewhere)["containers"][0]["volumeMounts"];
    let paths: Vec<&Value> = mounted
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| &mount["mountPath"])
        .collect();
    assert_eq!(
        paths,
        [
            "/var/lib/covenant",
            "/etc/covenant/ledger",
            "/var/lib/covenant-heads"
        ]
    );

    let passing = with(&["ledger.persistence.enabled=false"]).await.unwrap();
    assert!(find(&passing, "PersistentVolumeClaim", "covenant-ledger").is_none());
    let volumes = json!([{ "name": "ledger", "emptyDir": {} }]);
    assert_eq!(pod(&passing)["volumes"], volumes);
    let nowhere = with(&["ledger.headCopy.enabled=true"]).await;
    let said = format!("{:#}", nowhere.expect_err("a copy to nowhere"));
    assert!(said.contains("headCopy.existingClaim is missing"), "{said}");
    for bad in [
        r#"ledger.origin="two words""#,
        r#"ledger.persistence.size="lots""#,
        r#"ledger.headCopy.path="../elsewhere""#,
        r#"ledger.unknown=1"#,
    ] {
        assert!(with(&[bad]).await.is_err(), "{bad}");
    }
}
