//! The one cluster of this file, and short ways to hold, to try and to judge the answer.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::raw::{Answer, Call, Caller};
use testbed::{Cluster, ClusterOptions, Identity, eventually};
use tokio::sync::OnceCell;

use super::kinds::{self, HOLD, Kind};

pub const PATIENCE: Duration = Duration::from_secs(120);

/// Everything but the end of what runs: what a hold has whose effects cannot be read.
pub const FIVE: [&str; 5] = [
    "PreventDeletion",
    "PreventAlteration",
    "SuspendProcessing",
    "SuspendSharing",
    "FreezeAccess",
];

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
    cluster.install_chart().await.unwrap();
    cluster
        .apply_kinds(&[kinds::foreign_definition(), kinds::cilium_definition()])
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
    stage.holds("warm", hold("warm", "warm", &FIVE)).await;
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

    /// A namespace enrolled for acme, with its ServiceAccount `default`.
    pub async fn enrolled(&self, name: &str) {
        self.labelled(name, json!({ "privacy.cloudnexus.io/tenant": "acme" }))
            .await;
    }

    pub async fn labelled(&self, name: &str, labels: Value) {
        let known = labels.clone();
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
        let platform = self.platform.caller().unwrap();
        passes(
            &platform,
            Call::new("POST", "/api/v1/namespaces").with(testbed::raw::JSON, body),
        )
        .await;
        let admin = self.admin();
        let account = kinds::SERVICE_ACCOUNT.get(name, "default");
        eventually("the default ServiceAccount is there", PATIENCE, || async {
            Ok::<_, anyhow::Error>(admin.send(&account).await?.is_success())
                .and_then(|there| there.then_some(()).ok_or(anyhow::anyhow!("not yet")))
        })
        .await
        .unwrap();
        self.told(name, &known).await;
    }

    /// Where the namespace is enrolled, what guards read of it asks for nothing, so that only holds refuse.
    async fn told(&self, name: &str, labels: &Value) {
        if labels["privacy.cloudnexus.io/tenant"].is_string() {
            let asked = self.cluster.ask_nothing_of(name, &self.operator);
            asked.await.unwrap();
        }
    }

    /// One object of each of these kinds.
    pub async fn objects(&self, namespace: &str, name: &str, kinds: &[Kind]) {
        let admin = self.admin();
        for kind in kinds {
            passes(&admin, kind.create(namespace, kind.object(namespace, name))).await;
        }
    }

    /// Stores the hold and waits until this API server refuses in its name.
    pub async fn holds(&self, namespace: &str, hold: Value) -> Value {
        let stored = passes(&self.admin(), HOLD.create(namespace, hold)).await;
        let name = stored["metadata"]["name"].as_str().unwrap().to_owned();
        self.in_force(namespace, &name).await;
        stored
    }

    /// Waits until a hold is in force: the canary is a dry-run deletion of the hold itself.
    pub async fn in_force(&self, namespace: &str, name: &str) {
        let admin = self.admin();
        let canary = HOLD.delete(namespace, name).dry();
        let sign = sign(namespace, name);
        eventually("the hold is in force", PATIENCE, || async {
            let answer = admin.send(&canary).await?;
            anyhow::ensure!(answer.message().contains(&sign), "{answer:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }

    /// An officer's decision, and then this API server's knowledge of it.
    pub async fn decides(&self, namespace: &str, name: &str, decision: Value) {
        let officer = self.officer.caller().unwrap();
        passes(&officer, decision_call(namespace, name, &json!([decision]))).await;
        if decision["type"] == "Released" {
            self.lets_go(namespace, name).await;
        }
    }

    /// Waits until a released hold refuses nothing more: its namespace could be deleted.
    pub async fn lets_go(&self, namespace: &str, name: &str) {
        let admin = self.admin();
        let canary = Call::new("DELETE", format!("/api/v1/namespaces/{namespace}")).dry();
        let sign = sign(namespace, name);
        eventually("the hold lets go", PATIENCE, || async {
            let answer = admin.send(&canary).await?;
            anyhow::ensure!(!answer.message().contains(&sign), "{answer:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
}

/// What a refusal of this hold ends with.
pub fn sign(namespace: &str, name: &str) -> String {
    format!("[ProcessingHold {namespace}/{name}]")
}

/// A hold without scope.
pub fn hold(namespace: &str, name: &str, effects: &[&str]) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "matter": "CASE-2026-042", "ground": "LegalProceeding", "reason": "evidence for proceedings",
            "effects": effects,
        },
    })
}

/// A hold with this scope.
pub fn scoped(namespace: &str, name: &str, effects: &[&str], scope: Value) -> Value {
    let mut hold = hold(namespace, name, effects);
    hold["spec"]["scope"] = scope;
    hold
}

pub fn decision(kind: &str, by: &str) -> Value {
    json!({ "type": kind, "by": by, "reason": "the matter is over" })
}

pub fn narrowed(effects: &[&str], except: Value) -> Value {
    let mut decision = decision("Narrowed", "officer");
    if !effects.is_empty() {
        decision["effects"] = json!(effects);
    }
    if !except.is_null() {
        decision["exceptKinds"] = except;
    }
    decision
}

pub fn decision_call(namespace: &str, name: &str, decisions: &Value) -> Call {
    HOLD.merge_by(
        "status",
        namespace,
        name,
        json!({ "status": { "decisions": decisions } }),
    )
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

/// It was refused in the name of this hold, because of this effect (`Hold` and `Namespace` among them).
#[track_caller]
pub fn was_held(who: &Caller, call: &Call, answer: &Answer, hold: &str, effect: &str) {
    let seen = who.told(call, answer);
    assert_eq!(answer.code, 403, "{seen}");
    assert!(
        answer
            .message()
            .contains(&format!("[ProcessingHold {hold}]")),
        "not in the name of {hold}: {seen}"
    );
    assert_eq!(effect_of(answer.message()), effect, "{seen}");
}

pub async fn held(who: &Caller, call: Call, hold: &str, effect: &str) {
    let answer = who.send(&call).await.unwrap();
    was_held(who, &call, &answer, hold, effect);
}

/// It was refused, by whatever, in these words.
pub async fn refused(who: &Caller, call: Call, words: &str) {
    let answer = who.send(&call).await.unwrap();
    assert!(
        matches!(answer.code, 403 | 422) && answer.message().contains(words),
        "{}",
        who.told(&call, &answer)
    );
}

/// Which effect a refusal names.
pub fn effect_of(message: &str) -> &str {
    if message.contains("is a hold that nobody released") {
        return "Hold";
    }
    if message.contains("Its holds would end with it") {
        return "Namespace";
    }
    FIVE.into_iter()
        .find(|effect| message.contains(&format!("({effect}): ")))
        .unwrap_or("nothing")
}

/// What of an object must not change: everything but its status and its versions.
pub fn essence(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in [
            "resourceVersion",
            "managedFields",
            "generation",
            "annotations",
        ] {
            metadata.remove(field);
        }
    }
    object
}
