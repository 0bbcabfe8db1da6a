//! What the stories share: one cluster with the chart and the operator, and small objects.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::audit::Counts;
use testbed::operator::Operator;
use testbed::proxy::Proxy;
use testbed::{Cluster, ClusterOptions, Identity, eventually};
use tokio::sync::OnceCell;

/// How long a story waits for something that takes a moment.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Longer than the operator puts off any write: a posture that changes too often is left alone for ten seconds.
const QUIET: Duration = Duration::from_secs(12);
/// The operator's binary.
pub const COVENANT: &str = env!("CARGO_BIN_EXE_covenant");

/// A cluster with the chart, the operator and the people.
pub struct Stage {
    pub cluster: Cluster,
    pub operator: Operator,
    pub engineer: Identity,
    pub officer: Identity,
}

/// The cluster of most stories. Each story has namespaces and vendors of its own.
pub async fn shared() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(Stage::new).await
}

impl Stage {
    /// A fresh one, for stories that break things.
    pub async fn new() -> Self {
        Self::with(ClusterOptions::new()).await
    }

    /// A fresh one, on a cluster that is started in this way.
    pub async fn with(options: ClusterOptions) -> Self {
        let cluster = Cluster::start(options).await.unwrap();
        cluster.install_chart().await.unwrap();
        let engineer = cluster.platform_engineer().await.unwrap();
        let officer = cluster.officer().await.unwrap();
        engineer
            .apply(&baseline("default", "P90D").to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
        let operator = cluster.start_operator(COVENANT).await.unwrap();
        Self {
            cluster,
            operator,
            engineer,
            officer,
        }
    }

    /// The operator anew, behind a proxy.
    pub async fn behind_proxy(&self) -> (Proxy, Operator) {
        self.operator.stop().await.unwrap();
        let proxy = Proxy::start(&self.cluster).await.unwrap();
        let operator = self
            .cluster
            .start_operator_behind(COVENANT, &proxy)
            .await
            .unwrap();
        operator.wait_ready().await.unwrap();
        (proxy, operator)
    }

    /// Enrols a namespace, in force, and registers a vendor of the same name.
    pub async fn tenant(&self, name: &str) -> Tenant<'_> {
        self.enrol(name, "acme").await;
        self.engineer
            .apply(&vendor(name).to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
        let admin = self.cluster.tenant_admin(name).await.unwrap();
        Tenant {
            stage: self,
            name: name.to_owned(),
            admin,
        }
    }

    /// Enrols a namespace.
    pub async fn enrol(&self, name: &str, tenant: &str) {
        let labels = json!({ "privacy.cloudnexus.io/tenant": tenant });
        self.engineer
            .apply(&namespace(name, &labels).to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
    }

    /// Waits until the operator has nothing left to write.
    pub async fn at_rest(&self) {
        let user = self.cluster.operator_identity().await.unwrap();
        let audit = self.cluster.audit().unwrap();
        eventually("the operator is at rest", PATIENCE, || async {
            let marker = audit.marker().await?;
            tokio::time::sleep(QUIET).await;
            let written = audit.mutating(user.name(), marker).await?;
            anyhow::ensure!(written.is_empty(), "{}", Counts::of(&written));
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }

    /// Starts the operator anew and sees that it looks before it writes: what is as it must be is not written again.
    #[allow(
        dead_code,
        reason = "stories about kinds of others start it anew, in files of their own"
    )]
    pub async fn started_anew(&self) -> Operator {
        let user = self.cluster.operator_identity().await.unwrap();
        let audit = self.cluster.audit().unwrap();
        self.at_rest().await;
        let marker = audit.marker().await.unwrap();
        self.operator.stop().await.unwrap();
        let operator = self.cluster.start_operator(COVENANT).await.unwrap();
        operator.wait_ready().await.unwrap();
        self.at_rest().await;
        let written = audit.mutating(user.name(), marker).await.unwrap();
        assert!(written.is_empty(), "{}", Counts::of(&written));
        operator
    }

    /// Waits until a namespace's posture says so. Its findings are its spec and are stored first, its conditions follow.
    pub async fn enforced(&self, namespace: &str, status: &str, reason: &str) {
        let posture = ["posture", "current", "-n", namespace];
        eventually("Enforced is as told", PATIENCE, || async {
            let posture = self.cluster.admin().get(&posture).await?;
            let is = condition(&posture, "Enforced");
            anyhow::ensure!(is == (status.to_owned(), reason.to_owned()), "{posture}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }

    /// What a user may read of an object.
    pub async fn get(&self, arguments: &[&str]) -> Value {
        self.cluster.admin().get(arguments).await.unwrap()
    }
}

/// A tenant's namespace.
pub struct Tenant<'a> {
    pub stage: &'a Stage,
    pub name: String,
    pub admin: Identity,
}

impl Tenant<'_> {
    /// Waits until the operator knows namespace and vendor. Each comes to it by a watch of its own, so a grant may be seen,
    /// and refused, before the vendor that it names: for stories that count what was told.
    pub async fn known(&self) {
        let name = self.name.as_str();
        eventually("namespace and vendor are known", PATIENCE, || async {
            let admin = self.stage.cluster.admin();
            admin.get(&["posture", "current", "-n", name]).await?;
            let vendor = admin.get(&["dproc", name]).await?;
            anyhow::ensure!(condition(&vendor, "Approved").0 == "True", "{vendor}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }

    /// Applies a grant.
    pub async fn grants(&self, grant: &Value) {
        self.admin
            .apply(&grant.to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
    }

    /// A grant to the namespace's own vendor until then.
    pub fn grant(&self, name: &str, not_after: &str) -> Value {
        grant(&self.name, name, &self.name, not_after)
    }

    /// Waits until the grant's path is open, and returns the grant.
    pub async fn open(&self, name: &str) -> Value {
        self.wait(name, |grant| condition(grant, "Open").0 == "True")
            .await
    }

    /// Waits until the grant is closed for this reason and nothing of its path is left, and returns the grant.
    pub async fn closed(&self, name: &str, reason: &str) -> Value {
        let grant = self
            .wait(name, |grant| {
                condition(grant, "Open") == ("False".to_owned(), reason.to_owned())
            })
            .await;
        self.nothing_left(grant["metadata"]["uid"].as_str().unwrap())
            .await;
        grant
    }

    /// Waits until neither policy nor timer of the grant is left.
    pub async fn nothing_left(&self, uid: &str) {
        let selector = format!("privacy.cloudnexus.io/grant-uid={uid}");
        self.stage
            .cluster
            .admin()
            .wait_until_none(&["netpol,jobs", "-A", "-l", &selector], PATIENCE)
            .await
            .unwrap();
    }

    /// Waits until the grant is as asked for.
    pub async fn wait(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(
            &format!("grant {name} in {} is as told", self.name),
            PATIENCE,
            || async {
                let grant = self
                    .stage
                    .cluster
                    .admin()
                    .get(&["dsg", name, "-n", &self.name])
                    .await?;
                anyhow::ensure!(holds(&grant), "{}", grant["status"]);
                Ok(grant)
            },
        )
        .await
        .unwrap()
    }

    /// Waits until the events about a grant are these and no others. They follow the status.
    pub async fn events(&self, uid: &str, reasons: &[&str]) {
        let field = format!("regarding.uid={uid}");
        let list = [
            "events.events.k8s.io",
            "-n",
            &self.name,
            "--field-selector",
            &field,
        ];
        eventually("one event a transition", PATIENCE, || async {
            let list = self.stage.get(&list).await;
            let events = list["items"].as_array().into_iter().flatten();
            let mut told: Vec<_> = events
                .filter_map(|event| event["reason"].as_str())
                .collect();
            told.sort_unstable();
            anyhow::ensure!(told == reasons, "{told:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
}

/// Status and reason of a condition.
pub fn condition(object: &Value, kind: &str) -> (String, String) {
    let conditions = object["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let found = conditions
        .iter()
        .find(|condition| condition["type"] == kind);
    let text = |field: &str| {
        found
            .and_then(|condition| condition[field].as_str())
            .unwrap_or("absent")
            .to_owned()
    };
    (text("status"), text("reason"))
}

/// The reasons for which a grant is closed.
pub fn refusals(grant: &Value) -> Vec<String> {
    let list = grant["status"]["refusals"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    list.iter()
        .map(|refusal| refusal["reason"].as_str().unwrap().to_owned())
        .collect()
}

/// An instant so many seconds from now, in whole seconds.
pub fn in_seconds(seconds: i64) -> String {
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    now.checked_add(SignedDuration::from_secs(seconds))
        .unwrap()
        .to_string()
}

/// The date so many days from now.
pub fn in_days(days: i64) -> String {
    in_seconds(days * 86_400).get(..10).unwrap().to_owned()
}

pub fn namespace(name: &str, labels: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } })
}

pub fn baseline(name: &str, maximum: &str) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "TenantBaseline", "metadata": { "name": name },
        "spec": {
            "policyRef": { "document": "information-sharing-and-disclosure-policy", "version": "2025-02-10" },
            "network": {
                "sameTenant": "Allow",
                "dns": { "peers": [{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } } }] }
            },
            "grants": { "maximumDuration": maximum }
        }
    })
}

pub fn vendor(name: &str) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataProcessor", "metadata": { "name": name },
        "spec": {
            "displayName": "Datadog", "category": "InfrastructureMonitoring",
            "agreements": [{ "name": "dpa", "type": "DataProcessingAgreement", "effectiveFrom": in_days(-300), "effectiveUntil": in_days(60) }],
            "assessments": [{ "name": "annual", "completedOn": in_days(-100), "outcome": "AuditApproved", "by": "security-team" }],
            "approvedFor": [{ "name": "monitoring", "dataCategories": ["InfrastructureTelemetry"], "purposes": ["ServiceMonitoring"] }],
            "endpoints": [
                { "name": "intake", "cidrs": ["203.0.113.0/24"], "ports": [{ "port": 443, "protocol": "TCP" }] },
                { "name": "api", "hosts": ["api.example.com"], "ports": [{ "port": 443 }] }
            ]
        }
    })
}

pub fn grant(namespace: &str, name: &str, vendor: &str, not_after: &str) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataSharingGrant",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "recipient": { "processor": { "name": vendor, "endpoints": ["intake"] } }, "direction": "Push",
            "dataCategories": ["InfrastructureTelemetry"], "purpose": "ServiceMonitoring",
            "legalBasis": "ContractPerformance", "justification": "Dashboards for the on-call team",
            "source": { "podSelector": { "matchLabels": { "app": "metrics-agent" } } },
            "window": { "notAfter": not_after }
        }
    })
}
