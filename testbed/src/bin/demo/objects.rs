//! What the people of the story apply.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// The floor under every enrolled namespace.
pub const BASELINE: &str = "\
apiVersion: privacy.cloudnexus.io/v1alpha1
kind: TenantBaseline
metadata: {name: default}
spec:
  policyRef: {document: information-sharing-and-disclosure-policy, version: \"2025-02-10\"}
  network:
    sameTenant: Allow
    dns: {peers: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]}
  grants: {maximumDuration: P90D}
";

/// A namespace, enrolled for a tenant.
pub fn namespace(name: &str, tenant: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels: {{privacy.cloudnexus.io/tenant: {tenant}}}\n"
    )
}

/// A vetted vendor, whose agreement ends then.
pub fn vendor(
    name: &str,
    display_name: &str,
    cidr: &str,
    today: Timestamp,
    agreement_ends: &str,
) -> String {
    let date = |days: i64| {
        let instant = today
            .checked_add(SignedDuration::from_hours(24 * days))
            .unwrap_or(today)
            .to_string();
        instant.chars().take(10).collect::<String>()
    };
    format!(
        "\
apiVersion: privacy.cloudnexus.io/v1alpha1
kind: DataProcessor
metadata: {{name: {name}}}
spec:
  displayName: {display_name}
  category: InfrastructureMonitoring
  agreements:
  - {{name: DPA-1, type: DataProcessingAgreement, effectiveFrom: {}, effectiveUntil: {agreement_ends}}}
  assessments:
  - {{name: annual, completedOn: {}, outcome: AuditApproved, by: security-team}}
  approvedFor:
  - {{name: monitoring, dataCategories: [InfrastructureTelemetry], purposes: [ServiceMonitoring]}}
  endpoints:
  - {{name: intake, cidrs: [{cidr}], ports: [{{port: 443, protocol: TCP}}]}}
",
        date(-300),
        date(-100),
    )
}

/// What a grant says, where the story's grants differ.
pub struct Grant<'a> {
    /// Its name.
    pub name: &'a str,
    /// The vendor.
    pub vendor: &'a str,
    /// What for.
    pub purpose: &'a str,
    /// What is shared.
    pub category: &'a str,
    /// Its end.
    pub not_after: &'a str,
}

impl Grant<'_> {
    /// As YAML, in acme's namespace.
    pub fn yaml(&self) -> String {
        format!(
            "\
apiVersion: privacy.cloudnexus.io/v1alpha1
kind: DataSharingGrant
metadata: {{name: {}, namespace: acme-prod}}
spec:
  recipient: {{processor: {{name: {}, endpoints: [intake]}}}}
  direction: Push
  dataCategories: [{}]
  purpose: {}
  legalBasis: ContractPerformance
  justification: Dashboards for the on-call team
  source: {{podSelector: {{matchLabels: {{app: metrics-agent}}}}}}
  window: {{notAfter: {}}}
",
            self.name, self.vendor, self.category, self.purpose, self.not_after
        )
    }
}
