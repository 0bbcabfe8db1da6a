//! The gates that a grant passes, by name, and which gate each reason belongs to.

use serde::Serialize;

use crate::plan::Refusal;

/// A gate. The order is the order in which people read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Gate {
    /// The spec can be read.
    Readable,
    /// No hold keeps it closed.
    NoHold,
    /// Its own tenant has not ended it.
    NotRevoked,
    /// The purpose is one that may be permitted.
    Purpose,
    /// The namespace is enrolled and in force.
    Enrolment,
    /// The namespace's baseline can be read.
    Baseline,
    /// No prohibition covers it.
    NoProhibition,
    /// No opt-out of telemetry covers it.
    NotOptedOut,
    /// Now is within its window.
    Window,
    /// The baseline's maximum duration is not over.
    MaximumDuration,
    /// The end that was fixed has not passed.
    FixedEnd,
    /// The vendor is registered.
    Vendor,
    /// An agreement with the vendor is in force.
    Agreement,
    /// The vendor's assessment counts.
    Assessment,
    /// Payment processing: the vendor is certified.
    Certification,
    /// The vendor was approved for this use.
    ApprovedUse,
    /// The endpoints can be opened exactly.
    Endpoints,
    /// The recipient is another namespace of the same tenant.
    Recipient,
    /// The recipient is in force.
    RecipientInForce,
    /// The recipient agrees.
    Acceptance,
}

impl Gate {
    /// The gates of every grant.
    pub const COMMON: [Self; 11] = [
        Self::Readable,
        Self::NoHold,
        Self::NotRevoked,
        Self::Purpose,
        Self::Enrolment,
        Self::Baseline,
        Self::NoProhibition,
        Self::NotOptedOut,
        Self::Window,
        Self::MaximumDuration,
        Self::FixedEnd,
    ];
    /// Further gates of grants to vendors.
    pub const VENDOR: [Self; 6] = [
        Self::Vendor,
        Self::Agreement,
        Self::Assessment,
        Self::Certification,
        Self::ApprovedUse,
        Self::Endpoints,
    ];
    /// Further gates of grants to namespaces.
    pub const NAMESPACE: [Self; 3] = [Self::Recipient, Self::RecipientInForce, Self::Acceptance];

    /// What holds where the gate is passed.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Readable => "the grant can be read",
            Self::NoHold => "no hold keeps it closed",
            Self::NotRevoked => "its tenant has not ended it",
            Self::Purpose => "its purpose may be permitted",
            Self::Enrolment => "its namespace is enrolled and in force",
            Self::Baseline => "its namespace's baseline can be read",
            Self::NoProhibition => "no prohibition covers it",
            Self::NotOptedOut => "no opt-out of telemetry covers it",
            Self::Window => "now is within its window",
            Self::MaximumDuration => "the baseline's maximum duration is not over",
            Self::FixedEnd => "its fixed end has not passed",
            Self::Vendor => "the vendor is registered",
            Self::Agreement => "an agreement with the vendor is in force",
            Self::Assessment => "the vendor's assessment is approved and at most twelve months old",
            Self::Certification => "the vendor has the certification that its category needs",
            Self::ApprovedUse => "the vendor is approved for these categories and this purpose",
            Self::Endpoints => "the endpoints can be opened exactly",
            Self::Recipient => "the recipient is another namespace of the same tenant",
            Self::RecipientInForce => "the recipient is in force",
            Self::Acceptance => "the recipient agrees",
        }
    }

    /// The gate that a reason belongs to.
    #[must_use]
    pub const fn of(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Invalid { .. } => Self::Readable,
            Refusal::Held { .. } => Self::NoHold,
            Refusal::Deleting | Refusal::Revoked { .. } => Self::NotRevoked,
            Refusal::ForbiddenPurpose { .. } => Self::Purpose,
            Refusal::NamespaceNotEnrolled
            | Refusal::NamespaceExempt
            | Refusal::NamespaceTerminating
            | Refusal::NamespaceObserving => Self::Enrolment,
            Refusal::BaselineMissing { .. } | Refusal::BaselineInvalid { .. } => Self::Baseline,
            Refusal::Prohibited { .. } => Self::NoProhibition,
            Refusal::OptedOut { .. } => Self::NotOptedOut,
            Refusal::NotYet { .. } | Refusal::WindowOver { .. } => Self::Window,
            Refusal::MaximumDurationOver { .. } => Self::MaximumDuration,
            Refusal::EndPassed { .. } => Self::FixedEnd,
            Refusal::ProcessorUnknown { .. } | Refusal::ProcessorInvalid { .. } => Self::Vendor,
            Refusal::AgreementMissing { .. }
            | Refusal::AgreementNotYet { .. }
            | Refusal::AgreementOver { .. } => Self::Agreement,
            Refusal::AssessmentMissing { .. }
            | Refusal::AssessmentNotApproved { .. }
            | Refusal::AssessmentLapsed { .. } => Self::Assessment,
            Refusal::CertificationMissing { .. } | Refusal::CertificationLapsed { .. } => {
                Self::Certification
            }
            Refusal::TenantNotApproved { .. }
            | Refusal::PurposeNotApproved { .. }
            | Refusal::CategoryNotApproved { .. }
            | Refusal::PurposeNotTransactional { .. } => Self::ApprovedUse,
            Refusal::EndpointUnknown { .. }
            | Refusal::HostNamesNotEnforced { .. }
            | Refusal::EndpointWithoutPorts { .. }
            | Refusal::AddressReserved { .. } => Self::Endpoints,
            Refusal::RecipientIsSource
            | Refusal::RecipientUnknown { .. }
            | Refusal::RecipientOtherTenant { .. } => Self::Recipient,
            Refusal::RecipientNotInForce { .. } => Self::RecipientInForce,
            Refusal::NotAccepted { .. }
            | Refusal::AcceptanceTooNarrow { .. }
            | Refusal::AcceptanceWithoutPorts { .. }
            | Refusal::AcceptanceOver { .. } => Self::Acceptance,
        }
    }
}
