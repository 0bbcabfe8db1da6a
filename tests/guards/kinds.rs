//! Who writes our kinds.

use serde_json::{Value, json};

use super::stage::{assert_refused, cluster, enrolled, everybody};

#[tokio::test(flavor = "multi_thread")]
async fn postures_and_statuses_are_the_operators_word() {
    let cluster = cluster().await;
    enrolled(cluster, "word").await;
    let posture = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataHandlingPosture",
        "metadata": { "name": "current", "namespace": "word" },
        "spec": { "tenant": "acme", "stage": "Enforce", "baseline": { "name": "default" }, "openPathCount": 0, "findingCount": 0 }
    });
    let operator = cluster.operator_identity().await.unwrap();
    operator
        .kubectl_with(&["create", "-f", "-"], &posture.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let tenant = cluster.tenant_admin("word").await.unwrap();
    tenant
        .apply(&grant("word").to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    for attacker in everybody(cluster, "word").await {
        let forged = r#"{"status":{"closesAt":"2099-01-01T00:00:00Z","observedGeneration":1}}"#;
        let arguments = [
            "patch",
            "dsg",
            "metrics",
            "-n",
            "word",
            "--subresource=status",
            "--type=merge",
            "-p",
            forged,
        ];
        assert_refused(
            &attacker,
            "a forged status",
            &attacker.kubectl(&arguments).await.unwrap(),
        );
        let arguments = [
            "patch",
            "posture",
            "current",
            "-n",
            "word",
            "--type=merge",
            "-p",
            r#"{"spec":{"openPathCount":0}}"#,
        ];
        assert_refused(
            &attacker,
            "a forged posture",
            &attacker.kubectl(&arguments).await.unwrap(),
        );
        let deleted = attacker
            .kubectl(&["delete", "posture", "current", "-n", "word"])
            .await
            .unwrap();
        assert_refused(&attacker, "deleting the posture", &deleted);
    }
}

fn grant(namespace: &str) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataSharingGrant",
        "metadata": { "name": "metrics", "namespace": namespace },
        "spec": {
            "recipient": { "processor": { "name": "datadog", "endpoints": ["intake"] } }, "direction": "Push",
            "dataCategories": ["InfrastructureTelemetry"], "purpose": "ServiceMonitoring",
            "legalBasis": "ContractPerformance", "justification": "Dashboards for the on-call team",
            "source": { "podSelector": { "matchLabels": { "app": "metrics-agent" } } },
            "window": { "notAfter": "2030-01-31" }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn vendors_baselines_and_definitions_take_an_appointed_administrator() {
    let cluster = cluster().await;
    let vendor = |name: &str| {
        json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataProcessor", "metadata": { "name": name },
            "spec": { "displayName": "Datadog", "category": "InfrastructureMonitoring" }
        })
    };
    let baseline = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "TenantBaseline", "metadata": { "name": "lax" },
        "spec": { "network": { "sameTenant": "Allow" }, "grants": { "maximumDuration": "P90D" } }
    });
    let engineer = cluster.platform_engineer().await.unwrap();
    engineer
        .apply(&vendor("guarded").to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    for attacker in [
        cluster.gitops().await.unwrap(),
        cluster.admin().clone(),
        cluster.officer().await.unwrap(),
    ] {
        let made = attacker
            .kubectl_with(&["create", "-f", "-"], &vendor("forged").to_string())
            .await
            .unwrap();
        assert_refused(&attacker, "a vendor", &made);
        let made = attacker
            .kubectl_with(&["create", "-f", "-"], &baseline.to_string())
            .await
            .unwrap();
        assert_refused(&attacker, "a baseline", &made);
        let patch = r#"{"spec":{"displayName":"Other"}}"#;
        let edited = attacker
            .kubectl(&["patch", "dproc", "guarded", "--type=merge", "-p", patch])
            .await
            .unwrap();
        assert_refused(&attacker, "editing a vendor", &edited);
        assert_refused(
            &attacker,
            "deleting a vendor",
            &attacker
                .kubectl(&["delete", "dproc", "guarded"])
                .await
                .unwrap(),
        );
        let definition = "sharingprohibitions.privacy.cloudnexus.io";
        assert_refused(
            &attacker,
            "deleting a definition",
            &attacker
                .kubectl(&["delete", "crd", definition])
                .await
                .unwrap(),
        );
    }
    engineer
        .kubectl(&["delete", "dproc", "guarded"])
        .await
        .unwrap()
        .success()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prohibition_is_written_and_lifted_by_an_officer_of_its_tenant_only() {
    let cluster = cluster().await;
    let prohibition = |name: &str, tenants: Value| {
        json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "SharingProhibition", "metadata": { "name": name },
            "spec": { "tenants": tenants, "recipients": { "processors": ["datadog"] }, "reason": "breach notice" }
        })
        .to_string()
    };
    cluster
        .appoint("acme-officer", "revoke", &["acme"])
        .await
        .unwrap();
    let rules = json!([{ "apiGroups": ["privacy.cloudnexus.io"], "resources": ["sharingprohibitions"], "verbs": ["get", "create", "update", "patch", "delete"] }]);
    cluster
        .give("acme-officer", "acme-officer-kinds", &rules)
        .await
        .unwrap();
    let acme = cluster.identity("acme-officer").await.unwrap();
    let officer = cluster.officer().await.unwrap();
    acme.apply(&prohibition("of-acme", json!(["acme"])))
        .await
        .unwrap()
        .success()
        .unwrap();
    officer
        .apply(&prohibition("of-all", json!([])))
        .await
        .unwrap()
        .success()
        .unwrap();
    for (what, tenants) in [
        ("another tenant", json!(["globex"])),
        ("every tenant", json!([])),
        ("two tenants", json!(["acme", "globex"])),
    ] {
        let made = acme
            .kubectl_with(&["create", "-f", "-"], &prohibition("wider", tenants))
            .await
            .unwrap();
        assert_refused(&acme, what, &made);
    }
    assert_refused(
        &acme,
        "lifting what binds all",
        &acme.kubectl(&["delete", "prohib", "of-all"]).await.unwrap(),
    );
    let steal = acme
        .kubectl_with(
            &["replace", "-f", "-"],
            &prohibition("of-all", json!(["acme"])),
        )
        .await
        .unwrap();
    assert_refused(&acme, "lifting by editing", &steal);
    for attacker in [
        cluster.gitops().await.unwrap(),
        cluster.admin().clone(),
        cluster.platform_engineer().await.unwrap(),
    ] {
        assert_refused(
            &attacker,
            "lifting",
            &attacker
                .kubectl(&["delete", "prohib", "of-acme"])
                .await
                .unwrap(),
        );
        let made = attacker
            .kubectl_with(
                &["create", "-f", "-"],
                &prohibition("forged", json!(["acme"])),
            )
            .await
            .unwrap();
        assert_refused(&attacker, "prohibiting", &made);
    }
    acme.kubectl(&["delete", "prohib", "of-acme"])
        .await
        .unwrap()
        .success()
        .unwrap();
    officer
        .kubectl(&["delete", "prohib", "of-all"])
        .await
        .unwrap()
        .success()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_is_marked_as_kept_is_deleted_by_nobody_and_unmarked_by_an_appointed_administrator()
 {
    let cluster = cluster().await;
    let admin = cluster.admin();
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "parts.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": { "kind": "Part", "listKind": "PartList", "plural": "parts", "singular": "part" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "evidence": { "type": "string" } } } },
            }],
            "conversion": { "strategy": "Webhook", "webhook": {
                "conversionReviewVersions": ["v1"], "clientConfig": { "service": { "namespace": "default", "name": "converts" } },
            } },
        },
    });
    admin
        .apply(&definition.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let label = |value: &'static str| async move {
        let arguments = ["label", "crd", "parts.example.com", value, "--overwrite"];
        cluster.admin().kubectl(&arguments).await.unwrap()
    };
    label("privacy.cloudnexus.io/kept=true")
        .await
        .success()
        .unwrap();
    let rules = json!([{ "apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions", "customresourcedefinitions/status"], "verbs": ["get", "patch", "update", "delete"] }]);
    let platform = cluster.platform_engineer().await.unwrap();
    cluster
        .give(platform.name(), "platform-definitions", &rules)
        .await
        .unwrap();
    let gitops = cluster.gitops().await.unwrap();
    let shown = "jsonpath={.clusters[0].cluster.certificate-authority-data}";
    let authority = admin
        .kubectl(&["config", "view", "--raw", "-o", shown])
        .await;
    let authority = authority.unwrap().success().unwrap().stdout;
    for who in [admin, &gitops, &platform] {
        let output = who
            .kubectl(&["delete", "crd", "parts.example.com"])
            .await
            .unwrap();
        assert_refused(who, "deleting a definition that is kept", &output);
        assert!(output.stderr.contains("kubectl get phold -A"), "{output}");
    }
    for who in [admin, &gitops] {
        for patch in [
            r#"{"metadata":{"labels":{"privacy.cloudnexus.io/kept":null}}}"#,
            r#"{"metadata":{"labels":{"privacy.cloudnexus.io/kept":"false"}}}"#,
            r#"{"metadata":{"labels":null}}"#,
        ] {
            for subresource in [&[][..], &["--subresource=status"]] {
                let mut arguments = vec!["patch", "crd", "parts.example.com", "--type=merge"];
                arguments.extend(["-p", patch]);
                arguments.extend(subresource);
                let output = who.kubectl(&arguments).await.unwrap();
                // By a status the API server may leave labels out; then nothing happens.
                if subresource.is_empty() || !output.is_success() {
                    assert_refused(who, "taking the mark off", &output);
                }
                let seen = admin.get(&["crd", "parts.example.com"]).await.unwrap();
                let labels = &seen["metadata"]["labels"];
                assert_eq!(labels["privacy.cloudnexus.io/kept"], "true", "{seen}");
            }
        }
        // Whoever looks after the kind goes on.
        let annotate = ["annotate", "crd", "parts.example.com", "a=b", "--overwrite"];
        who.kubectl(&annotate).await.unwrap().success().unwrap();
        // With another schema its objects would say something else.
        for (patch, subresource) in [
            (
                r#"[{"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/properties/evidence"}]"#,
                "",
            ),
            (
                r#"[{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/evidence/default","value":"forged"}]"#,
                "",
            ),
            (
                r#"[{"op":"add","path":"/status/conditions/-","value":{"type":"Terminating","status":"True","reason":"R","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}}]"#,
                "--subresource=status",
            ),
        ] {
            let mut arguments = vec![
                "patch",
                "crd",
                "parts.example.com",
                "--type=json",
                "-p",
                patch,
            ];
            arguments.extend((!subresource.is_empty()).then_some(subresource));
            let output = who.kubectl(&arguments).await.unwrap();
            assert_refused(who, "another schema", &output);
        }
        // The certificates of its conversion are renewed by a controller.
        let renewed = json!({ "spec": { "conversion": { "webhook": { "clientConfig": { "caBundle": authority } } } } });
        let renewed = renewed.to_string();
        let arguments = [
            "patch",
            "crd",
            "parts.example.com",
            "--type=merge",
            "-p",
            &renewed,
            "--dry-run=server",
        ];
        who.kubectl(&arguments).await.unwrap().success().unwrap();
    }
    let upgrade = [
        "patch",
        "crd",
        "parts.example.com",
        "--type=json",
        "-p",
        r#"[{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/more","value":{"type":"string"}}]"#,
    ];
    platform.kubectl(&upgrade).await.unwrap().success().unwrap();
    let unmark = [
        "label",
        "crd",
        "parts.example.com",
        "privacy.cloudnexus.io/kept-",
    ];
    platform.kubectl(&unmark).await.unwrap().success().unwrap();
    gitops
        .kubectl(&["delete", "crd", "parts.example.com"])
        .await
        .unwrap()
        .success()
        .unwrap();
}
