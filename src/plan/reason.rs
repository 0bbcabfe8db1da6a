//! Every reason, typed: why a path is closed, what ends it, and what stands in the way of one that may open.
//!
//! Names are part of the API (status and metrics carry them); messages say what would make it open.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::api::{DataCategory, HoldEffect, ProcessorCategory, Purpose, TelemetryChannel};
use crate::model::FieldError;

/// What ends a path. The order breaks ties: the tenant's own word comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndCause {
    /// `spec.window.notAfter`.
    WindowEnds,
    /// The baseline's maximum duration of grants.
    MaximumDurationReached,
    /// The last of the vendor's agreements that join without a gap.
    AgreementEnds,
    /// The vendor's assessment gets older than twelve months.
    AssessmentLapses,
    /// The vendor's PCI-DSS level 1 certification ends.
    CertificationLapses,
    /// The recipient's acceptance ends.
    AcceptanceEnds,
}

impl EndCause {
    /// Name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WindowEnds => "WindowEnds",
            Self::MaximumDurationReached => "MaximumDurationReached",
            Self::AgreementEnds => "AgreementEnds",
            Self::AssessmentLapses => "AssessmentLapses",
            Self::CertificationLapses => "CertificationLapses",
            Self::AcceptanceEnds => "AcceptanceEnds",
        }
    }

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::WindowEnds => "its window ends",
            Self::MaximumDurationReached => "the baseline's maximum duration is reached",
            Self::AgreementEnds => "the vendor's agreement ends",
            Self::AssessmentLapses => "the vendor's assessment is twelve months old",
            Self::CertificationLapses => "the vendor's PCI-DSS certification ends",
            Self::AcceptanceEnds => "the recipient's acceptance ends",
        }
    }
}

/// A reason for which a path is closed. The variants stand in the order of the gates.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The grant could not be read.
    Invalid {
        /// What is wrong.
        errors: Vec<FieldError>,
    },
    /// The grant is being deleted.
    Deleting,
    /// A hold in a namespace at one end of the path suspends sharing or processing there.
    Held {
        /// The hold, by namespace and name.
        hold: String,
        /// The effect by which it closes the path.
        effect: HoldEffect,
    },
    /// The tenant revoked it.
    Revoked {
        /// The tenant's reason.
        reason: String,
    },
    /// The purpose is always refused.
    ForbiddenPurpose {
        /// The purpose.
        purpose: Purpose,
    },
    /// The namespace is not enrolled.
    NamespaceNotEnrolled,
    /// The namespace may not be enrolled.
    NamespaceExempt,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// The namespace only observes.
    NamespaceObserving,
    /// The namespace's baseline does not exist.
    BaselineMissing {
        /// Its name.
        baseline: String,
    },
    /// The namespace's baseline could not be read.
    BaselineInvalid {
        /// Its name.
        baseline: String,
    },
    /// A prohibition covers it.
    Prohibited {
        /// The prohibition's name.
        prohibition: String,
        /// The officer's reason.
        reason: String,
    },
    /// An opt-out at one end of the path covers it.
    OptedOut {
        /// The opted-out namespace.
        namespace: String,
        /// The channel.
        channel: TelemetryChannel,
        /// The agent that the baseline registers for it.
        agent: String,
        /// The sibling to which telemetry would go, and which does not stop the agent.
        carried_on_by: Option<String>,
    },
    /// The window has not begun.
    NotYet {
        /// When it does.
        not_before: Timestamp,
    },
    /// The window is over.
    WindowOver {
        /// Since when.
        not_after: Timestamp,
    },
    /// The baseline's maximum duration is over.
    MaximumDurationOver {
        /// Since when.
        at: Timestamp,
    },
    /// The end that was fixed before the path opened has passed.
    EndPassed {
        /// When.
        at: Timestamp,
        /// What ended it, by name.
        because: String,
    },
    /// No such vendor.
    ProcessorUnknown {
        /// Its name.
        processor: String,
    },
    /// The vendor could not be read.
    ProcessorInvalid {
        /// Its name.
        processor: String,
    },
    /// No agreement that permits processing.
    AgreementMissing {
        /// The vendor.
        processor: String,
    },
    /// The next agreement has not begun.
    AgreementNotYet {
        /// The vendor.
        processor: String,
        /// When it does.
        from: Timestamp,
    },
    /// The last agreement is over.
    AgreementOver {
        /// The vendor.
        processor: String,
        /// Since when.
        until: Timestamp,
    },
    /// No completed assessment.
    AssessmentMissing {
        /// The vendor.
        processor: String,
    },
    /// The latest assessment did not approve the vendor.
    AssessmentNotApproved {
        /// The vendor.
        processor: String,
    },
    /// The latest assessment is older than twelve months.
    AssessmentLapsed {
        /// The vendor.
        processor: String,
        /// Since when.
        at: Timestamp,
    },
    /// Payment processing without a PCI-DSS level 1 certification.
    CertificationMissing {
        /// The vendor.
        processor: String,
    },
    /// The PCI-DSS level 1 certification is over.
    CertificationLapsed {
        /// The vendor.
        processor: String,
        /// Since when.
        at: Timestamp,
    },
    /// The vendor was approved for other tenants only.
    TenantNotApproved {
        /// The vendor.
        processor: String,
    },
    /// The vendor was not approved for the purpose.
    PurposeNotApproved {
        /// The vendor.
        processor: String,
        /// The purpose.
        purpose: Purpose,
    },
    /// The vendor was not approved for these categories with this purpose.
    CategoryNotApproved {
        /// The vendor.
        processor: String,
        /// The categories that lack.
        categories: BTreeSet<DataCategory>,
    },
    /// The vendor serves transactional purposes only.
    PurposeNotTransactional {
        /// The vendor.
        processor: String,
        /// The purpose.
        purpose: Purpose,
    },
    /// The vendor has no such endpoint.
    EndpointUnknown {
        /// The vendor.
        processor: String,
        /// The endpoint.
        endpoint: String,
    },
    /// The endpoint is given by host names, and nothing here enforces names.
    HostNamesNotEnforced {
        /// The endpoint.
        endpoint: String,
    },
    /// The endpoint names no port, and a path to every port is wider than what was approved.
    EndpointWithoutPorts {
        /// The endpoint.
        endpoint: String,
    },
    /// The endpoint lies in a range that grants do not reach.
    AddressReserved {
        /// The endpoint.
        endpoint: String,
        /// The range.
        cidr: String,
        /// What is there.
        what: String,
    },
    /// The recipient is the namespace itself.
    RecipientIsSource,
    /// No such namespace.
    RecipientUnknown {
        /// Its name.
        namespace: String,
    },
    /// The recipient is another tenant's, or nobody's.
    RecipientOtherTenant {
        /// Its name.
        namespace: String,
    },
    /// The recipient is not in force.
    RecipientNotInForce {
        /// Its name.
        namespace: String,
        /// Why.
        because: String,
    },
    /// The recipient has not agreed.
    NotAccepted {
        /// Its name.
        namespace: String,
    },
    /// The recipient's acceptance covers less.
    AcceptanceTooNarrow {
        /// Namespace and name.
        acceptance: String,
        /// The categories that lack.
        categories: BTreeSet<DataCategory>,
    },
    /// The recipient's acceptance names no port to push to.
    AcceptanceWithoutPorts {
        /// Namespace and name.
        acceptance: String,
    },
    /// The recipient's acceptance is over.
    AcceptanceOver {
        /// Namespace and name.
        acceptance: String,
        /// Since when.
        at: Timestamp,
    },
}

impl Refusal {
    /// Name in the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "Invalid",
            Self::Deleting => "Deleting",
            Self::Revoked { .. } => "Revoked",
            Self::ForbiddenPurpose { .. } => "ForbiddenPurpose",
            Self::NamespaceNotEnrolled => "NamespaceNotEnrolled",
            Self::Held { .. } => "Held",
            Self::NamespaceExempt => "NamespaceExempt",
            Self::NamespaceTerminating => "NamespaceTerminating",
            Self::NamespaceObserving => "NamespaceObserving",
            Self::BaselineMissing { .. } => "BaselineMissing",
            Self::BaselineInvalid { .. } => "BaselineInvalid",
            Self::Prohibited { .. } => "Prohibited",
            Self::OptedOut { .. } => "OptedOut",
            Self::NotYet { .. } => "NotYet",
            Self::WindowOver { .. } => "WindowOver",
            Self::MaximumDurationOver { .. } => "MaximumDurationOver",
            Self::EndPassed { .. } => "EndPassed",
            Self::ProcessorUnknown { .. } => "ProcessorUnknown",
            Self::ProcessorInvalid { .. } => "ProcessorInvalid",
            Self::AgreementMissing { .. } => "AgreementMissing",
            Self::AgreementNotYet { .. } => "AgreementNotYet",
            Self::AgreementOver { .. } => "AgreementOver",
            Self::AssessmentMissing { .. } => "AssessmentMissing",
            Self::AssessmentNotApproved { .. } => "AssessmentNotApproved",
            Self::AssessmentLapsed { .. } => "AssessmentLapsed",
            Self::CertificationMissing { .. } => "CertificationMissing",
            Self::CertificationLapsed { .. } => "CertificationLapsed",
            Self::TenantNotApproved { .. } => "TenantNotApproved",
            Self::PurposeNotApproved { .. } => "PurposeNotApproved",
            Self::CategoryNotApproved { .. } => "CategoryNotApproved",
            Self::PurposeNotTransactional { .. } => "PurposeNotTransactional",
            Self::EndpointUnknown { .. } => "EndpointUnknown",
            Self::HostNamesNotEnforced { .. } => "HostNamesNotEnforced",
            Self::EndpointWithoutPorts { .. } => "EndpointWithoutPorts",
            Self::AddressReserved { .. } => "AddressReserved",
            Self::RecipientIsSource => "RecipientIsSource",
            Self::RecipientUnknown { .. } => "RecipientUnknown",
            Self::RecipientOtherTenant { .. } => "RecipientOtherTenant",
            Self::RecipientNotInForce { .. } => "RecipientNotInForce",
            Self::NotAccepted { .. } => "NotAccepted",
            Self::AcceptanceTooNarrow { .. } => "AcceptanceTooNarrow",
            Self::AcceptanceWithoutPorts { .. } => "AcceptanceWithoutPorts",
            Self::AcceptanceOver { .. } => "AcceptanceOver",
        }
    }

    /// Whether the grant has had its time, or was ended by its own tenant.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        matches!(
            self,
            Self::Deleting
                | Self::Revoked { .. }
                | Self::WindowOver { .. }
                | Self::MaximumDurationOver { .. }
                | Self::EndPassed { .. }
        )
    }

    /// Whether nothing is wrong and only time or the stage holds it back.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        matches!(
            self,
            Self::NotYet { .. } | Self::NamespaceObserving | Self::Held { .. }
        )
    }

    /// What it is about, and what would make it open.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Invalid { errors } => {
                let shown: Vec<String> = errors.iter().take(8).map(ToString::to_string).collect();
                let more = errors.len().saturating_sub(shown.len());
                let tail = if more == 0 { String::new() } else { format!("; and {more} more") };
                format!("the grant cannot be read: {}{tail}; correct it", shown.join("; "))
            }
            Self::Deleting => "the grant is being deleted".to_owned(),
            Self::Revoked { reason } => {
                format!("revoked by the tenant: {reason}; remove spec.revoked to grant again")
            }
            Self::ForbiddenPurpose { purpose } => {
                format!("purpose {purpose:?} is never permitted; tenants' data is neither sold nor mined for advertising")
            }
            Self::NamespaceNotEnrolled => {
                "the namespace is not enrolled; the platform team sets its label privacy.cloudnexus.io/tenant".to_owned()
            }
            Self::NamespaceExempt => {
                "system namespaces and the operator's own are never enrolled; share from a tenant's namespace".to_owned()
            }
            Self::Held { hold, effect } => format!(
                "ProcessingHold {hold} ({}) keeps it closed; what is still permitted at its release opens then, until its old end",
                effect.as_str()
            ),
            Self::NamespaceTerminating => "the namespace is being deleted".to_owned(),
            Self::NamespaceObserving => {
                "the namespace only observes; the platform team removes its label privacy.cloudnexus.io/stage to enforce".to_owned()
            }
            Self::BaselineMissing { baseline } => {
                format!("there is no TenantBaseline {baseline}; the platform team creates it, or names another")
            }
            Self::BaselineInvalid { baseline } => {
                format!("TenantBaseline {baseline} cannot be read; its status says what to correct")
            }
            Self::Prohibited { prohibition, reason } => {
                format!("SharingProhibition {prohibition} covers it ({reason}); only an officer lifts that")
            }
            Self::OptedOut { namespace, channel, agent, carried_on_by } => {
                let channel = channel.as_str();
                match carried_on_by {
                    None => format!(
                        "TelemetryOptOut {namespace}/default opts out of {channel}, on which the baseline registers {agent}; the path opens again when the channel leaves the opt-out"
                    ),
                    Some(sibling) => format!(
                        "TelemetryOptOut {namespace}/default opts out of {channel}, on which the baseline registers {agent}, and {sibling} does not stop it: telemetry would go on from there. Opt {sibling} out of {channel} too, or leave InfrastructureTelemetry off the grant"
                    ),
                }
            }
            Self::NotYet { not_before } => format!("its window begins at {not_before}"),
            Self::WindowOver { not_after } => {
                format!("its window ended at {not_after}; set a later spec.window.notAfter to share again")
            }
            Self::MaximumDurationOver { at } => {
                format!("the baseline's maximum duration ended at {at}; create the grant anew to share again")
            }
            Self::EndPassed { at, because } => {
                format!("its end was fixed at {at} ({because}) and has passed; edit or create the grant anew to share again")
            }
            Self::ProcessorUnknown { processor } => {
                format!("there is no DataProcessor {processor}; the platform team registers vendors")
            }
            Self::ProcessorInvalid { processor } => {
                format!("DataProcessor {processor} cannot be read; its status says what to correct")
            }
            Self::AgreementMissing { processor } => {
                format!("DataProcessor {processor} has no agreement that permits processing; the platform team adds one")
            }
            Self::AgreementNotYet { processor, from } => {
                format!("the agreement with DataProcessor {processor} takes effect at {from}")
            }
            Self::AgreementOver { processor, until } => {
                format!("the agreement with DataProcessor {processor} ended at {until}; the platform team records its renewal")
            }
            Self::AssessmentMissing { processor } => {
                format!("DataProcessor {processor} has no completed assessment; it needs one at most twelve months old")
            }
            Self::AssessmentNotApproved { processor } => {
                format!("the latest assessment of DataProcessor {processor} did not approve it; it needs outcome AuditApproved")
            }
            Self::AssessmentLapsed { processor, at } => {
                format!("the assessment of DataProcessor {processor} lapsed at {at}; it needs one at most twelve months old")
            }
            Self::CertificationMissing { processor } => {
                format!("DataProcessor {processor} processes payments and has no PCI-DSS level 1 certification")
            }
            Self::CertificationLapsed { processor, at } => {
                format!("the PCI-DSS level 1 certification of DataProcessor {processor} ended at {at}")
            }
            Self::TenantNotApproved { processor } => {
                format!("DataProcessor {processor} is not approved for this tenant; the platform team extends approvedFor")
            }
            Self::PurposeNotApproved { processor, purpose } => {
                format!("DataProcessor {processor} is not approved for purpose {purpose:?}; choose an approved one, or the platform team extends approvedFor")
            }
            Self::CategoryNotApproved { processor, categories } => format!(
                "DataProcessor {processor} is not approved for {} with this purpose; share less, or the platform team extends approvedFor",
                names(categories)
            ),
            Self::PurposeNotTransactional { processor, purpose } => format!(
                "DataProcessor {processor} serves {:?} and may be used for transactional purposes only, not {purpose:?}",
                ProcessorCategory::Communication
            ),
            Self::EndpointUnknown { processor, endpoint } => {
                format!("DataProcessor {processor} has no endpoint {endpoint}; name one that it has")
            }
            Self::HostNamesNotEnforced { endpoint } => format!(
                "endpoint {endpoint} is given by host names, and nothing in this cluster enforces names; name an endpoint by address range"
            ),
            Self::EndpointWithoutPorts { endpoint } => {
                format!("endpoint {endpoint} names no port to connect to; the platform team adds its ports")
            }
            Self::AddressReserved { endpoint, cidr, what } => format!(
                "endpoint {endpoint} covers {cidr}, which is reserved ({what}); the baseline's network.grantsMayReach must contain it whole"
            ),
            Self::RecipientIsSource => "the recipient is the grant's own namespace; that traffic is the baseline's".to_owned(),
            Self::RecipientUnknown { namespace } => format!("there is no namespace {namespace}"),
            Self::RecipientOtherTenant { namespace } => {
                format!("namespace {namespace} is not enrolled for the same tenant")
            }
            Self::RecipientNotInForce { namespace, because } => {
                format!("namespace {namespace} is not in force ({because}); data could be relayed through it")
            }
            Self::NotAccepted { namespace } => format!(
                "namespace {namespace} has not agreed; it needs a SharingAcceptance that names this grant"
            ),
            Self::AcceptanceTooNarrow { acceptance, categories } => {
                format!("SharingAcceptance {acceptance} does not accept {}", names(categories))
            }
            Self::AcceptanceWithoutPorts { acceptance } => {
                format!("SharingAcceptance {acceptance} names no ports to connect to; direction Push needs them")
            }
            Self::AcceptanceOver { acceptance, at } => format!("SharingAcceptance {acceptance} ended at {at}"),
        }
    }
}

fn names(categories: &BTreeSet<DataCategory>) -> String {
    let names: Vec<String> = categories
        .iter()
        .map(|category| format!("{category:?}"))
        .collect();
    names.join(", ")
}

/// What stands in the way of a path that may open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The end is less than a second away.
    EndTooClose,
    /// The end is not yet stored in the grant's status.
    EndNotStored,
    /// The timer is not stored yet, or no controller has started it yet.
    TimerStarting,
    /// No controller has started the timer for a long time.
    TimerNotStarted {
        /// The Job.
        timer: String,
    },
    /// The API server refused the timer: a quota, a policy, missing rights.
    TimerRefused {
        /// What it said.
        message: String,
    },
    /// Something suspends the timer, such as a queueing controller.
    TimerSuspended {
        /// The Job.
        timer: String,
    },
    /// The timer is not as it was made, and cannot be mended in place.
    TimerAltered {
        /// The Job.
        timer: String,
        /// What is different.
        what: String,
    },
    /// The timer is ending.
    TimerEnding,
    /// The timer does not end in time yet.
    TimerTooLong,
    /// Clocks differ, so the timer proves nothing.
    ClockSkew {
        /// Which clocks, and by how much.
        what: String,
    },
    /// Somebody else's object has the name.
    NameTaken {
        /// Kind and name.
        object: String,
    },
    /// The policy is not stored yet.
    PolicyPending,
    /// The API server refused the policy.
    PolicyRefused {
        /// What it said.
        message: String,
    },
    /// The ledger cannot be written, and without its record nothing opens.
    LedgerUnavailable {
        /// What was said.
        message: String,
    },
}

impl Obstacle {
    /// Name in the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::EndTooClose => "EndTooClose",
            Self::EndNotStored => "EndNotStored",
            Self::TimerStarting => "TimerStarting",
            Self::TimerNotStarted { .. } => "TimerNotStarted",
            Self::TimerRefused { .. } => "TimerRefused",
            Self::TimerSuspended { .. } => "TimerSuspended",
            Self::TimerAltered { .. } => "TimerAltered",
            Self::TimerEnding => "TimerEnding",
            Self::TimerTooLong => "TimerTooLong",
            Self::ClockSkew { .. } => "ClockSkew",
            Self::NameTaken { .. } => "NameTaken",
            Self::PolicyPending => "PolicyPending",
            Self::PolicyRefused { .. } => "PolicyRefused",
            Self::LedgerUnavailable { .. } => "LedgerUnavailable",
        }
    }

    /// Whether the operator's next steps will clear it without anybody's help.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::EndTooClose
                | Self::EndNotStored
                | Self::TimerStarting
                | Self::TimerEnding
                | Self::TimerTooLong
                | Self::PolicyPending
        )
    }

    /// What it is about, and what to do.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::EndTooClose => "less than a second is left".to_owned(),
            Self::EndNotStored => "its end is being stored first".to_owned(),
            Self::TimerStarting => "its timer is being started".to_owned(),
            Self::TimerNotStarted { timer } => format!(
                "no controller has started Job {timer} in 30 s; the path stays closed until one does: is kube-controller-manager running?"
            ),
            Self::TimerRefused { message } => format!("its timer could not be stored: {message}"),
            Self::TimerSuspended { timer } => {
                format!(
                    "Job {timer} is suspended; exempt Jobs labelled privacy.cloudnexus.io/managed-by from queueing"
                )
            }
            Self::TimerAltered { timer, what } => {
                format!("Job {timer} was altered ({what}) and proves nothing")
            }
            Self::TimerEnding => "its timer is ending".to_owned(),
            Self::TimerTooLong => "its timer is being set to its end".to_owned(),
            Self::ClockSkew { what } => {
                format!("clocks differ: {what}; no path opens until they agree")
            }
            Self::NameTaken { object } => {
                format!(
                    "{object} is not ours and has the name that the path needs; its owner must remove it"
                )
            }
            Self::PolicyPending => "its policy is being stored".to_owned(),
            Self::PolicyRefused { message } => format!("its policy could not be stored: {message}"),
            Self::LedgerUnavailable { message } => {
                format!("it waits for its record, and opens as soon as it has one: {message}")
            }
        }
    }
}
