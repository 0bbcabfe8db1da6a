//! Installing a chart ends when its kinds are served and its guards refuse.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;

use testbed::{Cluster, ClusterOptions, chart};

const METADATA: &str = "
apiVersion: v2
name: covenant
version: 0.1.0
kubeVersion: '>=1.33.0-0'
";

const KIND: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: things.example.org }
spec:
  group: example.org
  scope: Namespaced
  names: { kind: Thing, plural: things, singular: thing }
  versions:
    - name: v1
      served: true
      storage: true
      schema: { openAPIV3Schema: { type: object } }
";

const TEMPLATES: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: { name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }} }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: covenant, namespace: {{ .Release.Namespace }} }
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: covenant-enrolment }
spec:
  matchConstraints:
    resourceRules:
      - { apiGroups: [""], apiVersions: ["v1"], operations: [CREATE, UPDATE], resources: [namespaces] }
  validations:
    - expression: "!('privacy.cloudnexus.io/tenant' in object.metadata.?labels.orValue({}))"
      message: nobody enrols anything here
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: { name: covenant-enrolment }
spec: { policyName: covenant-enrolment, validationActions: [Deny] }
---
{{ if .Values.thing }}
apiVersion: example.org/v1
kind: Thing
metadata: { name: {{ .Values.thing }}, namespace: default }
{{ end }}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_is_installed_when_its_guards_refuse() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    let folder = cluster.folder().join("chart");
    fs::create_dir_all(folder.join("templates")).unwrap();
    fs::create_dir_all(folder.join("crds")).unwrap();
    fs::write(folder.join("Chart.yaml"), METADATA).unwrap();
    fs::write(folder.join("crds/things.yaml"), KIND).unwrap();
    fs::write(folder.join("templates/all.yaml"), TEMPLATES).unwrap();

    cluster
        .install_chart_from(&folder, &["--set", "thing=one"])
        .await
        .unwrap();
    let admin = cluster.admin();
    admin.get(&["thing", "one"]).await.unwrap();
    let enrolled = "{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {privacy.cloudnexus.io/tenant: a}}}";
    admin.apply(enrolled).await.unwrap().refusal().unwrap();
    let policies = admin.get(&["validatingadmissionpolicies"]).await.unwrap();
    assert_eq!(
        policies["items"].as_array().unwrap().len(),
        1,
        "the sentinel is still there"
    );
    // Without nodes a Deployment would only wait for ever; the operator runs as a process.
    let deployments = admin
        .get(&["deployments", "-n", chart::NAMESPACE])
        .await
        .unwrap();
    assert!(deployments["items"].as_array().unwrap().is_empty());

    let operator = cluster.operator_identity().await.unwrap();
    assert_eq!(
        operator.name(),
        "system:serviceaccount:covenant-system:covenant"
    );
    let refusal = operator
        .kubectl(&["get", "secrets"])
        .await
        .unwrap()
        .refusal()
        .unwrap();
    assert!(refusal.contains(operator.name()), "{refusal}");
    // Twice is once.
    cluster
        .install_chart_from(&folder, &["--set", "thing=one"])
        .await
        .unwrap();
}
