//! One object of each kind, and a change to it that the API server would otherwise take.

use serde_json::{Value, json};
use testbed::raw::Call;

/// A kind that is held.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub kind: &'static str,
    /// Such as `/apis/apps/v1`.
    pub api: &'static str,
    pub plural: &'static str,
    /// Whether its pods can be counted up and down.
    pub scales: bool,
}

const fn of(kind: &'static str, api: &'static str, plural: &'static str) -> Kind {
    Kind {
        kind,
        api,
        plural,
        scales: false,
    }
}

const fn scales(kind: Kind) -> Kind {
    Kind {
        scales: true,
        ..kind
    }
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const NET: &str = "/apis/networking.k8s.io/v1";
const OURS: &str = "/apis/privacy.cloudnexus.io/v1alpha1";

pub const CONFIG_MAP: Kind = of("ConfigMap", "/api/v1", "configmaps");
pub const SECRET: Kind = of("Secret", "/api/v1", "secrets");
pub const SERVICE: Kind = of("Service", "/api/v1", "services");
pub const SERVICE_ACCOUNT: Kind = of("ServiceAccount", "/api/v1", "serviceaccounts");
pub const CLAIM: Kind = of("PersistentVolumeClaim", "/api/v1", "persistentvolumeclaims");
pub const DEPLOYMENT: Kind = scales(of("Deployment", "/apis/apps/v1", "deployments"));
pub const STATEFUL_SET: Kind = scales(of("StatefulSet", "/apis/apps/v1", "statefulsets"));
pub const REPLICA_SET: Kind = scales(of("ReplicaSet", "/apis/apps/v1", "replicasets"));
pub const DAEMON_SET: Kind = of("DaemonSet", "/apis/apps/v1", "daemonsets");
pub const CRON_JOB: Kind = of("CronJob", "/apis/batch/v1", "cronjobs");
pub const JOB: Kind = of("Job", "/apis/batch/v1", "jobs");
pub const ROLE: Kind = of("Role", RBAC, "roles");
pub const ROLE_BINDING: Kind = of("RoleBinding", RBAC, "rolebindings");
pub const INGRESS: Kind = of("Ingress", NET, "ingresses");
pub const POLICY: Kind = of("NetworkPolicy", NET, "networkpolicies");
pub const QUOTA: Kind = of("ResourceQuota", "/api/v1", "resourcequotas");
pub const LIMIT_RANGE: Kind = of("LimitRange", "/api/v1", "limitranges");
pub const AUTOSCALER: Kind = of(
    "HorizontalPodAutoscaler",
    "/apis/autoscaling/v2",
    "horizontalpodautoscalers",
);
pub const GADGET: Kind = of("Gadget", "/apis/example.com/v1", "gadgets");
pub const GRANT: Kind = of("DataSharingGrant", OURS, "datasharinggrants");
/// A policy in the network's own language.
pub const CILIUM: Kind = of(
    "CiliumNetworkPolicy",
    "/apis/cilium.io/v2",
    "ciliumnetworkpolicies",
);
pub const POD: Kind = of("Pod", "/api/v1", "pods");
pub const HOLD: Kind = of("ProcessingHold", OURS, "processingholds");
pub const EVENT: Kind = of("Event", "/api/v1", "events");

/// Every kind of the table but the hold itself.
pub const ALL: [Kind; 20] = [
    CONFIG_MAP,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    CLAIM,
    DEPLOYMENT,
    STATEFUL_SET,
    DAEMON_SET,
    REPLICA_SET,
    CRON_JOB,
    JOB,
    ROLE,
    ROLE_BINDING,
    INGRESS,
    QUOTA,
    LIMIT_RANGE,
    AUTOSCALER,
    GADGET,
    GRANT,
    POD,
];

impl Kind {
    /// `apps/v1`.
    pub fn api_version(&self) -> &'static str {
        self.api
            .trim_start_matches("/apis/")
            .trim_start_matches("/api/")
    }

    /// `apps`; empty for the core group.
    pub fn group(&self) -> &'static str {
        self.api_version().split_once('/').map_or("", |(a, _)| a)
    }

    pub fn all(&self, namespace: &str) -> String {
        format!("{}/namespaces/{namespace}/{}", self.api, self.plural)
    }

    pub fn one(&self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.all(namespace))
    }

    pub fn create(&self, namespace: &str, body: Value) -> Call {
        Call::new("POST", self.all(namespace)).with(testbed::raw::JSON, body)
    }

    pub fn get(&self, namespace: &str, name: &str) -> Call {
        Call::new("GET", self.one(namespace, name))
    }

    pub fn delete(&self, namespace: &str, name: &str) -> Call {
        Call::new("DELETE", self.one(namespace, name))
    }

    pub fn merge(&self, namespace: &str, name: &str, patch: Value) -> Call {
        Call::new("PATCH", self.one(namespace, name)).with(testbed::raw::MERGE, patch)
    }

    /// A merge patch by a subresource.
    pub fn merge_by(&self, subresource: &str, namespace: &str, name: &str, patch: Value) -> Call {
        Call::new(
            "PATCH",
            format!("{}/{subresource}", self.one(namespace, name)),
        )
        .with(testbed::raw::MERGE, patch)
    }

    /// A change of data or spec that this kind would take.
    pub fn change(&self) -> Value {
        match self.kind {
            "ConfigMap" => json!({ "data": { "a": "changed" } }),
            "Secret" => json!({ "data": { "a": "Yg==" } }),
            "Service" => json!({ "spec": { "selector": { "app": "changed" } } }),
            "ServiceAccount" => json!({ "automountServiceAccountToken": false }),
            "PersistentVolumeClaim" => json!({ "spec": { "volumeName": "changed" } }),
            "Deployment" => json!({ "spec": { "paused": true } }),
            "StatefulSet" | "DaemonSet" | "ReplicaSet" => {
                json!({ "spec": { "minReadySeconds": 7 } })
            }
            "CronJob" => json!({ "spec": { "schedule": "1 1 1 1 *" } }),
            "Job" => json!({ "spec": { "parallelism": 2 } }),
            "Role" => {
                json!({ "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] })
            }
            "RoleBinding" => json!({ "subjects": [subject("changed")] }),
            "Ingress" => json!({ "spec": { "ingressClassName": "changed" } }),
            "NetworkPolicy" => {
                json!({ "spec": { "podSelector": { "matchLabels": { "a": "b" } } } })
            }
            "ResourceQuota" => {
                json!({ "spec": { "hard": { "count/leases.coordination.k8s.io": "7" } } })
            }
            "LimitRange" => {
                json!({ "spec": { "limits": [{ "type": "PersistentVolumeClaim", "max": { "storage": "7Gi" } }] } })
            }
            "HorizontalPodAutoscaler" => json!({ "spec": { "maxReplicas": 7 } }),
            "Gadget" => json!({ "spec": { "a": "changed" } }),
            "DataSharingGrant" => json!({ "spec": { "revoked": { "reason": "changed" } } }),
            "Pod" => json!({ "spec": { "activeDeadlineSeconds": 3600 } }),
            other => panic!("no change is known for {other}"),
        }
    }

    /// The object, with the label `case: a`.
    pub fn object(&self, namespace: &str, name: &str) -> Value {
        let mut object = content(self.kind, name);
        object["apiVersion"] = json!(self.api_version());
        object["kind"] = json!(self.kind);
        object["metadata"] = json!({ "name": name, "namespace": namespace, "labels": { "case": "a", "test": name } });
        object
    }
}

fn subject(name: &str) -> Value {
    json!({ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name })
}

fn template(name: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": name } },
        "spec": { "containers": [{ "name": "app", "image": "app" }] }
    })
}

fn content(kind: &str, name: &str) -> Value {
    let workload = json!({ "replicas": 0, "selector": { "matchLabels": { "app": name } }, "template": template(name) });
    let mut job_template = template(name);
    job_template["spec"]["restartPolicy"] = json!("Never");
    match kind {
        "ConfigMap" => json!({ "data": { "a": "a" } }),
        "Secret" => json!({ "data": { "a": "YQ==" } }),
        "Service" => json!({ "spec": { "selector": { "app": name }, "ports": [{ "port": 80 }] } }),
        "ServiceAccount" => json!({ "automountServiceAccountToken": true }),
        "PersistentVolumeClaim" => json!({ "spec": {
            "storageClassName": "none", "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
        } }),
        "Deployment" | "ReplicaSet" => json!({ "spec": workload }),
        "StatefulSet" => {
            let mut spec = workload;
            spec["serviceName"] = json!(name);
            json!({ "spec": spec })
        }
        "DaemonSet" => {
            json!({ "spec": { "selector": { "matchLabels": { "app": name } }, "template": template(name) } })
        }
        "CronJob" => json!({ "spec": {
            "schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": { "spec": { "template": job_template } },
        } }),
        "Job" => {
            json!({ "spec": { "suspend": true, "parallelism": 1, "template": job_template } })
        }
        "Role" => {
            json!({ "rules": [{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"] }] })
        }
        "RoleBinding" => json!({
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
            "subjects": [subject("somebody")],
        }),
        "Ingress" => {
            json!({ "spec": { "defaultBackend": { "service": { "name": name, "port": { "number": 80 } } } } })
        }
        "NetworkPolicy" => json!({ "spec": { "podSelector": {} } }),
        "ResourceQuota" => {
            json!({ "spec": { "hard": { "count/leases.coordination.k8s.io": "9" } } })
        }
        "LimitRange" => {
            json!({ "spec": { "limits": [{ "type": "PersistentVolumeClaim", "max": { "storage": "9Gi" } }] } })
        }
        "HorizontalPodAutoscaler" => json!({ "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name }, "maxReplicas": 9,
        } }),
        "Gadget" => json!({ "spec": { "a": "a" } }),
        "DataSharingGrant" => json!({ "spec": {
            "recipient": { "processor": { "name": "stripe", "endpoints": ["api"] } }, "direction": "Push",
            "dataCategories": ["SupportBilling"], "purpose": "PaymentManagement", "legalBasis": "ContractPerformance",
            "justification": "Card payments", "source": { "podSelector": { "matchLabels": { "app": "checkout" } } },
            "window": { "notBefore": "2026-11-15", "notAfter": "2027-01-31" },
        } }),
        "Pod" => json!({ "spec": { "containers": [{ "name": "app", "image": "app" }] } }),
        other => panic!("no object is known for {other}"),
    }
}

/// The network's own policies, as far as anybody here reads them.
pub fn cilium_definition() -> Value {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "ciliumnetworkpolicies.cilium.io" },
        "spec": {
            "group": "cilium.io", "scope": "Namespaced",
            "names": { "kind": "CiliumNetworkPolicy", "plural": "ciliumnetworkpolicies", "singular": "ciliumnetworkpolicy" },
            "versions": [{ "name": "v2", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema }, "subresources": { "status": {} } }],
        },
    })
}

/// A kind that is nobody's in particular.
pub fn foreign_definition() -> Value {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "gadgets.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": { "kind": "Gadget", "listKind": "GadgetList", "plural": "gadgets", "singular": "gadget" },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema },
                "subresources": { "status": {}, "scale": { "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas" } },
            }],
        },
    })
}
