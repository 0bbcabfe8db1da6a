//! The one cluster, the people in it, and short ways to try something.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::{Cluster, ClusterOptions, Identity, Output, eventually, names};
use tokio::sync::OnceCell;

/// How long anything may take that happens in the end: far longer than on a machine that has nothing else to do.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The cluster with the chart, and everybody who tries something on it.
pub struct Stage {
    pub cluster: Cluster,
    /// `administer` for every tenant.
    pub platform: Identity,
    /// The chart's own ServiceAccount.
    pub operator: Identity,
    /// `*` on everything, by RBAC.
    pub gitops: Identity,
}

static STAGE: OnceCell<Stage> = OnceCell::const_new();

/// The one stage of this file.
pub async fn stage() -> &'static Stage {
    STAGE.get_or_init(build).await
}

async fn build() -> Stage {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    cluster.install_chart().await.unwrap();
    Stage {
        platform: cluster.platform_engineer().await.unwrap(),
        operator: cluster.operator_identity().await.unwrap(),
        gitops: cluster.gitops().await.unwrap(),
        cluster,
    }
}

impl Stage {
    /// Member of `system:masters`.
    pub fn admin(&self) -> &Identity {
        self.cluster.admin()
    }

    /// An enrolled namespace in force.
    pub async fn enrolled(&self, name: &str, tenant: &str) {
        self.labelled(name, &[(names::LABEL_TENANT, tenant)]).await;
    }

    /// A namespace with these labels, made by the platform.
    pub async fn labelled(&self, name: &str, labels: &[(&str, &str)]) {
        passes(self.platform.apply(&namespace(name, labels)).await.unwrap());
    }

    /// Everybody who has every right in this namespace or everywhere, and no authority: the tenant's admin, a
    /// cluster-admin bound here, the GitOps controller, and system:masters.
    pub async fn attackers(&self, namespace: &str) -> Vec<Identity> {
        vec![
            self.tenant(namespace).await,
            self.cluster
                .namespace_cluster_admin(namespace)
                .await
                .unwrap(),
            self.gitops.clone(),
            self.admin().clone(),
        ]
    }

    /// The built-in `admin` in this namespace, for a user of its own: tests that run beside each other share no files.
    pub async fn tenant(&self, namespace: &str) -> Identity {
        let user = format!("{namespace}-tenant");
        self.cluster
            .namespace_role(&user, "admin", namespace)
            .await
            .unwrap()
    }

    /// kubectl with the name and the rights of one of the cluster's own controllers.
    pub async fn controller(&self, name: &str, arguments: &[&str], input: &str) -> Output {
        let user = format!("--as=system:serviceaccount:kube-system:{name}");
        let mut all = vec![user.as_str()];
        all.extend_from_slice(arguments);
        self.admin().kubectl_with(&all, input).await.unwrap()
    }
}

/// A namespace in YAML.
pub fn namespace(name: &str, labels: &[(&str, &str)]) -> String {
    let mut text =
        format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n");
    writeln!(text, "    testbed: 'true'").unwrap();
    for (key, value) in labels {
        writeln!(text, "    {key}: '{value}'").unwrap();
    }
    text
}

/// It was let through.
#[track_caller]
pub fn passes(output: Output) -> Output {
    match output.success() {
        Ok(output) => output,
        Err(error) => panic!("{error:#}"),
    }
}

/// It was refused by this guard, in these words.
#[track_caller]
pub fn refused(output: Output, guard: &str, words: &[&str]) {
    let command = output.to_string();
    let refusal = output.refusal().unwrap_or_else(|error| panic!("{error:#}"));
    assert!(
        refusal.contains(&format!("'{guard}'")),
        "not by {guard}: {command}"
    );
    for word in words {
        assert!(refusal.contains(word), "no «{word}»: {command}");
    }
}

/// `kubectl patch` with a merge patch.
pub async fn patch(who: &Identity, object: &[&str], patch: &Value) -> Output {
    let text = patch.to_string();
    let mut arguments = vec!["patch", "--type=merge", "-p", &text];
    arguments.extend_from_slice(object);
    who.kubectl(&arguments).await.unwrap()
}

/// Makes an object under a field manager's name.
pub async fn writes(who: &Identity, object: &Value, manager: &str) {
    let arguments = ["create", "--field-manager", manager, "-f", "-"];
    passes(
        who.kubectl_with(&arguments, &object.to_string())
            .await
            .unwrap(),
    );
}

/// Every way to take the operator's name out of an object, which it goes by beside the label. Nothing else changes.
pub async fn nobody_takes_its_writer_off(stage: &Stage, object: &[&str], path: &str, guard: &str) {
    let namespace = object[object.len() - 1];
    for who in stage.attackers(namespace).await {
        let mut stored = stage.admin().get(object).await.unwrap();
        let reset = json!({ "metadata": { "managedFields": [{}] } });
        refused(patch(&who, object, &reset).await, guard, &["is "]);
        for managers in [
            json!([{}]),
            json!([{ "manager": "own", "operation": "Update", "apiVersion": stored["apiVersion"], "fieldsType": "FieldsV1", "fieldsV1": { "f:metadata": {} } }]),
        ] {
            stored["metadata"]["managedFields"] = managers;
            refused(put(&who, path, &stored).await, guard, &["is "]);
        }
    }
    let stored = stage.admin().get(object).await.unwrap();
    let tenant = stage.tenant(namespace).await;
    passes(put(&tenant, path, &stored).await);
}

/// A write to any path of the API, subresources included: the body of a PUT.
pub async fn put(who: &Identity, path: &str, object: &Value) -> Output {
    who.kubectl_with(&["replace", "--raw", path, "-f", "-"], &object.to_string())
        .await
        .unwrap()
}

/// Waits until it is gone.
pub async fn gone(who: &Identity, object: &[&str], within: Duration) {
    eventually(&format!("{object:?} is gone"), within, async || {
        let mut arguments = vec!["get", "--ignore-not-found", "-o", "yaml"];
        arguments.extend_from_slice(object);
        let seen = who.kubectl(&arguments).await?.success()?.stdout;
        if seen.is_empty() {
            Ok(())
        } else {
            Err(anyhow::anyhow!("{seen}"))
        }
    })
    .await
    .unwrap();
}
