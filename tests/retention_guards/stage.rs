//! The one cluster of this file, and short ways to keep, to try and to judge the answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testbed::raw::{APPLY, Answer, Call, Caller, JSON};
use testbed::{Cluster, ClusterOptions, Identity, eventually};
use tokio::sync::OnceCell;

use crate::kinds::{self, CONFIG_MAP, Kind, SERVICE_ACCOUNT};

pub const PATIENCE: Duration = Duration::from_secs(120);
/// Before every object of these tests began, and after.
pub const LONG_AGO: &str = "2020-01-01T00:00:00Z";
pub const FAR_AHEAD: &str = "2199-01-01T00:00:00Z";
/// What nobody's objects are called.
const SENTINEL: &str = "sentinel";
const KINDS: &str = r#"retention.kinds=[{"apiGroups":[""],"resources":["configmaps","pods"]},{"apiGroups":["batch"],"resources":["jobs"]},{"apiGroups":["example.com"],"resources":["gadgets"]}]"#;

pub const POLICY: Kind = of("RetentionPolicy", "retentionpolicies");
pub const PARAMETERS: Kind = of("GuardParameters", "guardparameters");

const fn of(kind: &'static str, plural: &'static str) -> Kind {
    Kind {
        kind,
        api: "/apis/privacy.cloudnexus.io/v1alpha1",
        plural,
        scales: false,
    }
}

static STAGE: OnceCell<Stage> = OnceCell::const_new();

pub struct Stage {
    pub cluster: Cluster,
    pub platform: Identity,
    pub officer: Identity,
    pub gitops: Identity,
    pub operator: Identity,
}

/// The one stage of this file, with the guards in force.
pub async fn stage() -> &'static Stage {
    STAGE.get_or_init(build).await
}

async fn build() -> Stage {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    cluster
        .install_chart_with(&["--set-json", KINDS])
        .await
        .unwrap();
    cluster
        .apply_kinds(&[kinds::foreign_definition()])
        .await
        .unwrap();
    let gadgets = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "gadgets", "labels": { "rbac.authorization.k8s.io/aggregate-to-admin": "true" } },
        "rules": [{ "apiGroups": ["example.com"], "resources": ["*"], "verbs": ["*"] }],
    });
    cluster.admin().apply_object(&gadgets).await.unwrap();
    eventually("tenants have gadgets", PATIENCE, || async {
        let admin = cluster.admin().get(&["clusterrole", "admin"]).await?;
        anyhow::ensure!(
            admin["rules"].to_string().contains("example.com"),
            "not yet"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let stage = Stage {
        platform: cluster.platform_engineer().await.unwrap(),
        officer: cluster.officer().await.unwrap(),
        gitops: cluster.gitops().await.unwrap(),
        operator: cluster.operator_identity().await.unwrap(),
        cluster,
    };
    // Until a kind that was just made is known as a parameter, everything in an enrolled namespace is refused.
    stage.enrolled("warm").await;
    stage.keeps("warm", vec![]).await;
    stage.objects("warm", "selected", &[CONFIG_MAP]).await;
    let select = json!([entry(&CONFIG_MAP)]);
    stage.selects("warm", "warm", select, &["selected"]).await;
    stage
}

impl Stage {
    pub fn admin(&self) -> Caller {
        self.cluster.admin().caller().unwrap()
    }

    /// One of the cluster's own controllers.
    pub fn controller(&self, name: &str) -> Caller {
        self.admin()
            .acting_as(&format!("system:serviceaccount:kube-system:{name}"))
    }

    /// The built-in `admin` in this namespace, for a user of its own.
    pub async fn tenant(&self, namespace: &str) -> Caller {
        let user = format!("{namespace}-tenant");
        let tenant = self.cluster.namespace_role(&user, "admin", namespace);
        tenant.await.unwrap().caller().unwrap()
    }

    /// Everybody who may write what a tenant writes and does not administer the tenant: the tenant's admin, a cluster-admin
    /// bound here, the GitOps controller, system:masters.
    pub async fn everybody(&self, namespace: &str) -> Vec<Caller> {
        let boss = self.cluster.namespace_cluster_admin(namespace);
        vec![
            self.tenant(namespace).await,
            boss.await.unwrap().caller().unwrap(),
            self.gitops.caller().unwrap(),
            self.admin(),
        ]
    }

    /// A namespace enrolled for acme, with its ServiceAccount `default`, and the sentinel.
    pub async fn enrolled(&self, name: &str) {
        self.labelled(name, json!({ "privacy.cloudnexus.io/tenant": "acme" }))
            .await;
    }

    pub async fn labelled(&self, name: &str, labels: Value) {
        let enrolled = labels["privacy.cloudnexus.io/tenant"].is_string();
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
        let platform = self.platform.caller().unwrap();
        passes(
            &platform,
            Call::new("POST", "/api/v1/namespaces").with(JSON, body),
        )
        .await;
        let admin = self.admin();
        let account = SERVICE_ACCOUNT.get(name, "default");
        eventually("the default ServiceAccount is there", PATIENCE, || async {
            let answer = admin.send(&account).await?;
            anyhow::ensure!(answer.is_success(), "{answer:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
        if enrolled {
            let asked = self.cluster.ask_nothing_of(name, &self.operator);
            asked.await.unwrap();
        }
        let mut sentinel = CONFIG_MAP.object(name, SENTINEL);
        sentinel["metadata"]["labels"] = Value::Null;
        passes(&admin, CONFIG_MAP.create(name, sentinel)).await;
    }

    /// One object of each of these kinds.
    pub async fn objects(&self, namespace: &str, name: &str, kinds: &[Kind]) {
        let admin = self.admin();
        for kind in kinds {
            passes(&admin, kind.create(namespace, kind.object(namespace, name))).await;
        }
    }

    /// Writes the minimums of a namespace in the operator's name, and waits until this API server knows them.
    pub async fn keeps(&self, namespace: &str, mut rules: Vec<Value>) {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("sentinel-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut watched = rule(&name, &CONFIG_MAP);
        watched["matchLabels"] = json!({});
        watched["names"] = json!([SENTINEL]);
        rules.insert(0, watched);
        let operator = self.operator.caller().unwrap();
        passes(&operator, parameters(namespace, rules)).await;
        let canary = CONFIG_MAP.delete(namespace, SENTINEL).dry();
        self.until(&canary, &sign(namespace, &name)).await;
    }

    /// Stores a policy with a minimum and waits until this API server keeps what is called `names` by it.
    pub async fn selects(&self, namespace: &str, name: &str, select: Value, names: &[&str]) {
        let stored = policy(namespace, name, &select, json!({ "atLeast": "P1Y" }));
        passes(&self.admin(), POLICY.create(namespace, stored)).await;
        for object in names {
            let canary = CONFIG_MAP.delete(namespace, object).dry();
            self.until(&canary, "has yet to read").await;
        }
    }

    /// Waits until the administrator's request is refused in these words.
    pub async fn until(&self, call: &Call, words: &str) {
        let admin = self.admin();
        eventually(words, PATIENCE, || async {
            let answer = admin.send(call).await?;
            anyhow::ensure!(
                answer.code == 403 && answer.message().contains(words),
                "{answer:?}"
            );
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }

    /// Waits until the administrator's request, a dry run, is let through.
    pub async fn until_let_through(&self, call: &Call) {
        let admin = self.admin();
        eventually("it is let through", PATIENCE, || async {
            let answer = admin.send(call).await?;
            anyhow::ensure!(answer.is_success(), "{answer:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
}

/// What a refusal ends with.
pub fn sign(namespace: &str, policy: &str) -> String {
    format!("[RetentionPolicy {policy} in {namespace}]")
}

/// GuardParameters with these rules, as the operator writes them.
pub fn parameters(namespace: &str, rules: Vec<Value>) -> Call {
    let body = json!({
        "apiVersion": PARAMETERS.api_version(), "kind": PARAMETERS.kind,
        "metadata": { "name": "current", "namespace": namespace }, "spec": { "retention": rules },
    });
    let path = format!(
        "{}?fieldManager=covenant-parameters&force=true",
        PARAMETERS.one(namespace, "current")
    );
    Call::new("PATCH", path).with(APPLY, body)
}

/// A minimum that keeps every object of this kind with the label `case: a`.
pub fn rule(policy: &str, kind: &Kind) -> Value {
    json!({
        "rule": format!("RetentionPolicy {policy}"), "apiGroup": kind.group(), "kind": kind.kind,
        "matchLabels": { "case": "a" }, "startsAt": "CreatedAt", "atLeast": "P1Y",
    })
}

/// The same, over for what began by then.
pub fn over(mut rule: Value, started_before: &str) -> Value {
    rule["startedBefore"] = json!(started_before);
    rule
}

/// An entry of a policy that selects every object of this kind with the label `case: a`.
pub fn entry(kind: &Kind) -> Value {
    json!({ "apiVersion": kind.api_version(), "kind": kind.kind, "matchLabels": { "case": "a" } })
}

pub fn policy(namespace: &str, name: &str, select: &Value, keep: Value) -> Value {
    json!({
        "apiVersion": POLICY.api_version(), "kind": POLICY.kind, "metadata": { "name": name, "namespace": namespace },
        "spec": { "dataCategory": "SupportBilling", "select": select, "keep": keep, "basis": "Contract §7" },
    })
}

/// It was let through.
#[track_caller]
pub fn passed(who: &Caller, call: &Call, answer: Answer) -> Value {
    assert!(
        answer.is_success(),
        "{} was not let through",
        who.told(call, &answer)
    );
    answer.body
}

pub async fn passes(who: &Caller, call: Call) -> Value {
    let answer = who.send(&call).await.unwrap();
    passed(who, &call, answer)
}

/// It was refused, by whatever, in all of these words.
pub async fn refused(who: &Caller, call: Call, words: &[&str]) {
    let answer = who.send(&call).await.unwrap();
    assert!(
        matches!(answer.code, 403 | 422)
            && words.iter().all(|word| answer.message().contains(word)),
        "{} with {words:?}",
        who.told(&call, &answer)
    );
}

/// It was refused in the name of this policy's minimum.
pub async fn kept(who: &Caller, call: Call, namespace: &str, policy: &str) {
    refused(who, call, &[&sign(namespace, policy), who.name()]).await;
}
