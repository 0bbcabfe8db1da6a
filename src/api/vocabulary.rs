//! The closed vocabularies: data categories, purposes and legal bases.
//!
//! Names follow the W3C Data Privacy Vocabulary in CamelCase. May not: say which of them are permitted; that is a
//! decision ([`crate::plan`]).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A category of information, as the policy's section 1 lists them. The list is closed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum DataCategory {
    /// Registration details, credentials, single sign-on and role-based access control.
    AccountIdentity,
    /// Utilisation metrics, deployment logs, health checks.
    InfrastructureTelemetry,
    /// IP addresses, firewall rules, certificates, threat detection.
    NetworkSecurity,
    /// Tickets, payment history, invoicing preferences.
    SupportBilling,
    /// Audit trails.
    ComplianceAudit,
}

impl DataCategory {
    /// All of them, in the policy's order.
    pub const ALL: [Self; 5] = [
        Self::AccountIdentity,
        Self::InfrastructureTelemetry,
        Self::NetworkSecurity,
        Self::SupportBilling,
        Self::ComplianceAudit,
    ];
}

/// What data is shared for. `SellDataToThirdParties` and `Advertising` exist so that their refusal is explicit: no grant
/// for them ever opens (promise P01).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Purpose {
    /// To provide the service.
    ServiceProvision,
    /// To watch that it works.
    ServiceMonitoring,
    /// To make it better or cheaper to run.
    ServiceOptimisation,
    /// To understand how it is used.
    ServiceUsageAnalytics,
    /// To keep it secure.
    EnforceSecurity,
    /// To find and stop misuse.
    MisusePreventionAndDetection,
    /// To find and stop fraud.
    FraudPreventionAndDetection,
    /// To establish who somebody is.
    IdentityAuthentication,
    /// To run accounts.
    AccountManagement,
    /// To help customers.
    CustomerCare,
    /// To take and make payments.
    PaymentManagement,
    /// To comply with law.
    LegalCompliance,
    /// To fulfil the rights of data subjects.
    RightsFulfilment,
    /// To keep records.
    RecordManagement,
    /// To run the relation with a vendor.
    VendorManagement,
    /// Always refused.
    SellDataToThirdParties,
    /// Always refused.
    Advertising,
}

/// Legal basis of the sharing (GDPR, Article 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LegalBasis {
    /// Article 6(1)(a).
    Consent,
    /// Article 6(1)(b), performance.
    ContractPerformance,
    /// Article 6(1)(b), steps before a contract.
    EnterIntoContract,
    /// Article 6(1)(c).
    LegalObligation,
    /// Article 6(1)(d).
    VitalInterest,
    /// Article 6(1)(e), public interest.
    PublicInterest,
    /// Article 6(1)(e), official authority.
    OfficialAuthorityOfController,
    /// Article 6(1)(f), the controller's interest.
    LegitimateInterestOfController,
    /// Article 6(1)(f), a third party's interest.
    LegitimateInterestOfThirdParty,
}
