//! Only an appointed administrator enrols, moves or releases a namespace.

use serde_json::json;

use super::stage::{assert_refused, cluster, enrolled, namespace};

#[tokio::test(flavor = "multi_thread")]
async fn only_an_appointed_administrator_enrols_moves_or_releases_a_namespace() {
    let cluster = cluster().await;
    let engineer = enrolled(cluster, "enrol-taken").await;
    engineer
        .apply(&namespace("enrol-free", "team: any"))
        .await
        .unwrap()
        .success()
        .unwrap();
    let tenant = "privacy.cloudnexus.io/tenant";
    let attackers = [
        cluster.gitops().await.unwrap(),
        cluster.admin().clone(),
        cluster.officer().await.unwrap(),
        cluster
            .namespace_cluster_admin("enrol-taken")
            .await
            .unwrap(),
        cluster.tenant_admin("enrol-taken").await.unwrap(),
    ];
    for attacker in &attackers {
        for (what, arguments) in [
            (
                "enrolling",
                vec![
                    "label",
                    "ns",
                    "enrol-free",
                    "privacy.cloudnexus.io/tenant=globex",
                ],
            ),
            (
                "moving",
                vec![
                    "label",
                    "--overwrite",
                    "ns",
                    "enrol-taken",
                    "privacy.cloudnexus.io/tenant=globex",
                ],
            ),
            (
                "releasing",
                vec![
                    "label",
                    "ns",
                    "enrol-taken",
                    "privacy.cloudnexus.io/tenant-",
                ],
            ),
            (
                "observing",
                vec![
                    "label",
                    "ns",
                    "enrol-taken",
                    "privacy.cloudnexus.io/stage=observe",
                ],
            ),
            (
                "another baseline",
                vec![
                    "label",
                    "ns",
                    "enrol-taken",
                    "privacy.cloudnexus.io/baseline=lax",
                ],
            ),
            (
                "preparing",
                vec![
                    "label",
                    "ns",
                    "enrol-free",
                    "privacy.cloudnexus.io/stage=observe",
                ],
            ),
        ] {
            assert_refused(attacker, what, &attacker.kubectl(&arguments).await.unwrap());
        }
        let made = attacker
            .kubectl_with(
                &["create", "-f", "-"],
                &namespace("enrol-born", &format!("{tenant}: acme")),
            )
            .await;
        assert_refused(attacker, "a namespace born enrolled", &made.unwrap());
    }
    let kept = cluster.admin().get(&["ns", "enrol-taken"]).await.unwrap();
    assert_eq!(kept["metadata"]["labels"][tenant], "acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_finalize_are_no_way_round_enrolment() {
    let cluster = cluster().await;
    enrolled(cluster, "enrol-status").await;
    for attacker in [cluster.gitops().await.unwrap(), cluster.admin().clone()] {
        let patch = r#"{"metadata":{"labels":{"privacy.cloudnexus.io/tenant":null}}}"#;
        let arguments = [
            "patch",
            "ns",
            "enrol-status",
            "--subresource=status",
            "--type=merge",
            "-p",
            patch,
        ];
        assert_refused(
            &attacker,
            "/status",
            &attacker.kubectl(&arguments).await.unwrap(),
        );
        let mut object = cluster.admin().get(&["ns", "enrol-status"]).await.unwrap();
        object["metadata"]["labels"]
            .as_object_mut()
            .unwrap()
            .remove("privacy.cloudnexus.io/tenant");
        let arguments = [
            "replace",
            "--raw",
            "/api/v1/namespaces/enrol-status/finalize",
            "-f",
            "-",
        ];
        let output = attacker
            .kubectl_with(&arguments, &object.to_string())
            .await
            .unwrap();
        assert_refused(&attacker, "/finalize", &output);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_of_one_tenant_cannot_take_a_namespace_from_another() {
    let cluster = cluster().await;
    enrolled(cluster, "enrol-one").await;
    cluster
        .appoint("acme-platform", "administer", &["acme"])
        .await
        .unwrap();
    cluster
        .appoint("globex-platform", "administer", &["globex"])
        .await
        .unwrap();
    let rules = json!([{ "apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "create", "update", "patch"] }]);
    for user in ["acme-platform", "globex-platform"] {
        cluster
            .give(user, &format!("{user}-namespaces"), &rules)
            .await
            .unwrap();
    }
    let (acme, globex) = (
        cluster.identity("acme-platform").await.unwrap(),
        cluster.identity("globex-platform").await.unwrap(),
    );
    let to_globex = [
        "label",
        "--overwrite",
        "ns",
        "enrol-one",
        "privacy.cloudnexus.io/tenant=globex",
    ];
    assert_refused(
        &globex,
        "taking",
        &globex.kubectl(&to_globex).await.unwrap(),
    );
    assert_refused(&acme, "giving", &acme.kubectl(&to_globex).await.unwrap());
    acme.kubectl(&[
        "label",
        "ns",
        "enrol-one",
        "privacy.cloudnexus.io/stage=observe",
    ])
    .await
    .unwrap()
    .success()
    .unwrap();
    acme.kubectl(&["label", "ns", "enrol-one", "privacy.cloudnexus.io/tenant-"])
        .await
        .unwrap()
        .success()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn system_namespaces_and_the_operators_own_are_never_enrolled() {
    let cluster = cluster().await;
    let engineer = cluster.platform_engineer().await.unwrap();
    for name in ["kube-system", "kube-public", "default", "covenant-system"] {
        let output = engineer
            .kubectl(&["label", "ns", name, "privacy.cloudnexus.io/tenant=acme"])
            .await
            .unwrap();
        assert!(output.refusal().unwrap().contains("never enrolled"));
    }
    let output = engineer
        .apply(&namespace(
            "kube-mine",
            "privacy.cloudnexus.io/tenant: acme",
        ))
        .await
        .unwrap();
    assert!(output.refusal().unwrap().contains("never enrolled"));
}
