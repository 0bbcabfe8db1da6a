//! Vendors, read.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::core::DynamicObject;

use super::address::{Cidr, reserved_range};
use super::error::{FieldError, read};
use super::grant::{Validity, keep, split};
use super::identity::Meta;
use super::time;
use crate::api::{
    AgreementType, AssessmentOutcome, CertificationScheme, DataCategory, DataProcessorSpec,
    DataProcessorStatus, Endpoint, ProcessorCategory, Protocol, Purpose,
};

/// A vendor.
#[derive(Clone, Debug, PartialEq)]
pub struct Processor {
    /// Metadata.
    pub meta: Meta,
    /// The spec, if it could be read. No grant to a vendor without terms opens.
    pub terms: Validity<ProcessorTerms>,
    /// The stored status.
    pub status: DataProcessorStatus,
}

/// What a readable vendor says.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessorTerms {
    /// Name for people.
    pub display_name: String,
    /// Kind of vendor.
    pub category: ProcessorCategory,
    /// Agreements that permit processing, as `[from, until)`, sorted.
    pub agreements: Vec<(Timestamp, Timestamp)>,
    /// Assessments as (completed, lapses, outcome), sorted by completion.
    pub assessments: Vec<(Timestamp, Timestamp, AssessmentOutcome)>,
    /// Ends of PCI-DSS level 1 certifications.
    pub pci_level_one: Vec<Timestamp>,
    /// Uses that were approved.
    pub approved: Vec<ApprovedUseTerms>,
    /// Endpoints by name.
    pub endpoints: BTreeMap<String, EndpointTerms>,
}

/// A use that was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovedUseTerms {
    /// Its name.
    pub name: String,
    /// Categories.
    pub categories: BTreeSet<DataCategory>,
    /// Purposes.
    pub purposes: BTreeSet<Purpose>,
    /// Tenants; empty means every tenant.
    pub tenants: BTreeSet<String>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointTerms {
    /// Its name.
    pub name: String,
    /// Ranges, each with what it is reserved for, if it is.
    pub cidrs: Vec<(Cidr, Option<&'static str>)>,
    /// Host names.
    pub hosts: Vec<String>,
    /// Ports.
    pub ports: Vec<(i32, Protocol)>,
}

impl Processor {
    /// Reads a vendor. What cannot be read is kept as errors.
    #[must_use]
    pub fn read(object: DynamicObject) -> Self {
        let (meta, spec, status) = split(object);
        let terms = read::<DataProcessorSpec>(spec, "spec").and_then(terms);
        Self {
            meta,
            terms,
            status: serde_json::from_value(status).unwrap_or_default(),
        }
    }
}

fn terms(spec: DataProcessorSpec) -> Validity<ProcessorTerms> {
    let mut errors = Vec::new();
    let mut agreements = Vec::new();
    for (index, agreement) in spec.agreements.iter().enumerate() {
        let path = format!("spec.agreements[{index}]");
        let from = keep(
            &mut errors,
            format!("{path}.effectiveFrom"),
            time::beginning(&agreement.effective_from),
        );
        let until = keep(
            &mut errors,
            format!("{path}.effectiveUntil"),
            time::end(&agreement.effective_until),
        );
        if let (Some(from), Some(until)) = (from, until) {
            if from >= until {
                errors.push(FieldError::new(
                    path,
                    "effectiveUntil must be later than effectiveFrom",
                ));
            } else if permits_processing(agreement.type_) {
                agreements.push((from, until));
            }
        }
    }
    agreements.sort_unstable();

    let mut assessments = Vec::new();
    for (index, assessment) in spec.assessments.iter().enumerate() {
        let path = format!("spec.assessments[{index}].completedOn");
        let completed = keep(
            &mut errors,
            path.clone(),
            time::beginning(&assessment.completed_on),
        );
        let lapses = keep(
            &mut errors,
            path,
            time::twelve_months_after(&assessment.completed_on),
        );
        if let (Some(completed), Some(lapses)) = (completed, lapses) {
            assessments.push((completed, lapses, assessment.outcome));
        }
    }
    // Of two assessments completed at the same instant the stricter outcome counts as the later one.
    assessments.sort_unstable_by_key(|&(completed, lapses, outcome)| {
        (
            completed,
            outcome != AssessmentOutcome::AuditApproved,
            lapses,
        )
    });

    let mut pci_level_one = Vec::new();
    for (index, certification) in spec.certifications.iter().enumerate() {
        let path = format!("spec.certifications[{index}].validUntil");
        if let Some(until) = keep(&mut errors, path, time::end(&certification.valid_until))
            && certification.scheme == CertificationScheme::PciDss
            && certification.level.as_deref() == Some("1")
        {
            pci_level_one.push(until);
        }
    }

    let approved = spec
        .approved_for
        .into_iter()
        .map(|entry| ApprovedUseTerms {
            name: entry.name,
            categories: entry.data_categories.into_iter().collect(),
            purposes: entry.purposes.into_iter().collect(),
            tenants: entry.tenants.into_iter().collect(),
        })
        .collect();

    let mut endpoints = BTreeMap::new();
    for (index, endpoint) in spec.endpoints.into_iter().enumerate() {
        let path = format!("spec.endpoints[{index}]");
        let name = endpoint.name.clone();
        let terms = endpoint_terms(&mut errors, &path, endpoint);
        if endpoints.insert(name.clone(), terms).is_some() {
            errors.push(FieldError::new(
                path,
                format!("the name `{name}` is used twice"),
            ));
        }
    }

    if errors.is_empty() {
        Ok(ProcessorTerms {
            display_name: spec.display_name,
            category: spec.category,
            agreements,
            assessments,
            pci_level_one,
            approved,
            endpoints,
        })
    } else {
        Err(errors)
    }
}

fn permits_processing(kind: AgreementType) -> bool {
    match kind {
        AgreementType::DataProcessingAgreement
        | AgreementType::ControllerProcessorAgreement
        | AgreementType::SubProcessorAgreement => true,
        AgreementType::JointDataControllersAgreement | AgreementType::NonDisclosureAgreement => {
            false
        }
    }
}

fn endpoint_terms(errors: &mut Vec<FieldError>, path: &str, endpoint: Endpoint) -> EndpointTerms {
    if endpoint.cidrs.is_empty() == endpoint.hosts.is_empty() {
        errors.push(FieldError::new(
            path,
            "exactly one of cidrs and hosts must be given",
        ));
    }
    let mut cidrs = Vec::new();
    for (index, text) in endpoint.cidrs.iter().enumerate() {
        if let Some(cidr) = keep(errors, format!("{path}.cidrs[{index}]"), Cidr::parse(text)) {
            cidrs.push((cidr, reserved_range(&cidr).map(|(_, what)| what)));
        }
    }
    let mut ports = Vec::new();
    for (index, port) in endpoint.ports.iter().enumerate() {
        if (1..=65535).contains(&port.port) {
            ports.push((port.port, port.protocol.unwrap_or_default()));
        } else {
            errors.push(FieldError::new(
                format!("{path}.ports[{index}].port"),
                "a port is a number from 1 to 65535",
            ));
        }
    }
    EndpointTerms {
        name: endpoint.name,
        cidrs,
        hosts: endpoint.hosts,
        ports,
    }
}
