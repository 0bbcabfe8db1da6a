//! What users write and read: the wire types of `privacy.cloudnexus.io/v1alpha1`.
//!
//! Doc comments on fields become the descriptions that `kubectl explain` prints; they are the manual. Bounds stand on
//! every string and list, because the API server prices validation rules by their worst case.
//!
//! May not: interpret a value. What a spec means is decided in [`crate::model`], and only there.

#![allow(
    clippy::duplicated_attributes,
    reason = "each printer column has a name and a type of its own"
)]

mod baseline;
mod encryption;
mod grant;
mod guard_parameters;
pub mod guards;
mod hold;
pub mod names;
mod posture;
mod processor;
mod prohibition;
mod retention;
mod telemetry;
mod vocabulary;
mod wire;

pub use baseline::{
    AllowedPeer, BaselineDirection, BaselineGrants, BaselineMinimum, BaselineNetwork,
    BaselineRetention, Dns, DnsPeer, PolicyAnnouncement, PolicyReference, ReachableNetwork,
    SameTenant, TenantBaseline, TenantBaselineSpec, TenantBaselineStatus,
};
pub use encryption::{
    AtRest, Attestation, BaselineEncryption, DriverRule, EmptyDirRule, EncryptionInForce,
    EncryptionItem, EncryptionScope, EncryptionState, InTransit, MinimumTls, SecretsInForce,
    SecretsRule, StorageClassProof, StorageClassRule,
};
pub use grant::{
    AcceptedSource, DataSharingGrant, DataSharingGrantSpec, DataSharingGrantStatus, Direction,
    GrantSource, NamespaceRecipient, ObjectIdentity, PathStatus, ProcessorRecipient, Recipient,
    RefusalStatus, Revocation, SharingAcceptance, SharingAcceptanceSpec, SharingAcceptanceStatus,
    TimerIdentity, Window,
};
pub use guard_parameters::{AllowedClass, GuardParameters, GuardParametersSpec, RetentionRule};
pub use hold::{
    Ending, HeldCount, HeldKind, HoldDecision, HoldDecisionType, HoldEffect, HoldGround, HoldScope,
    Loss, ProcessingHold, ProcessingHoldSpec, ProcessingHoldStatus, SuspendedCount,
};
pub use posture::{
    BaselineInForce, DataHandlingPosture, DataHandlingPostureSpec, DataHandlingPostureStatus,
    Finding, HoldInForce, LedgerHeadKept, OpenPath,
};
pub use processor::{
    Agreement, AgreementType, ApprovedUse, Assessment, AssessmentOutcome, Certification,
    CertificationScheme, DataProcessor, DataProcessorSpec, DataProcessorStatus, Endpoint,
    ProcessorCategory,
};
pub use prohibition::{
    ProhibitedRecipients, SharingProhibition, SharingProhibitionSpec, SharingProhibitionStatus,
};
pub use retention::{
    DisposalMode, DisposedCount, DueCount, LedgerRange, Propagation, RetentionDecision,
    RetentionDecisionType, RetentionDisposal, RetentionPeriods, RetentionPolicy,
    RetentionPolicySpec, RetentionPolicyStatus, RetentionSelection, RetentionStart, WithheldCount,
};
pub use telemetry::{
    AgentKind, AgentMarkers, AgentStatus, BaselineTelemetry, ChannelOptedOut, ChannelStatus,
    GuardedMarkers, GuardedTelemetry, MarkerSet, OptOutMeans, OptOutState, ProcessorReference,
    TelemetryAgent, TelemetryChannel, TelemetryOptOut, TelemetryOptOutSpec, TelemetryOptOutStatus,
};
pub use vocabulary::{DataCategory, LegalBasis, Purpose};
pub use wire::{
    IntOrName, LabelOperator, LabelRequirement, NetworkPort, PeriodText, PortRule, Protocol,
    Selector, WhenText,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// Every CustomResourceDefinition of this release, in the order in which they are printed and installed.
#[must_use]
pub fn custom_resource_definitions() -> Vec<CustomResourceDefinition> {
    vec![
        TenantBaseline::crd(),
        DataProcessor::crd(),
        SharingProhibition::crd(),
        DataSharingGrant::crd(),
        SharingAcceptance::crd(),
        ProcessingHold::crd(),
        RetentionPolicy::crd(),
        TelemetryOptOut::crd(),
        DataHandlingPosture::crd(),
        GuardParameters::crd(),
    ]
}
