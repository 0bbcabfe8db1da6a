//! The gate of a vendor (promise P09): an agreement in force, an assessment at most twelve months old, and a use that it
//! was approved for. A lapse of any closes every path to it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::decision::Deliberation;
use super::reason::{EndCause, Refusal};
use super::standing::Standing;
use crate::api::{AssessmentOutcome, DataCategory, Direction, ProcessorCategory, Purpose};
use crate::model::{Cidr, EndpointTerms, GrantTerms, ProcessorTerms, World};

/// Purposes that a Communication vendor may serve: messages that a transaction or the account itself calls for.
const TRANSACTIONAL: [Purpose; 5] = [
    Purpose::ServiceProvision,
    Purpose::IdentityAuthentication,
    Purpose::AccountManagement,
    Purpose::PaymentManagement,
    Purpose::EnforceSecurity,
];

/// Everything that a grant to a vendor must pass.
pub(super) fn gate(
    deliberation: &mut Deliberation,
    world: &World,
    terms: &GrantTerms,
    name: &str,
    endpoints: &BTreeSet<String>,
    standing: &Standing,
) {
    let Some(processor) = world
        .processor(name)
        .filter(|processor| !processor.meta.deleting)
    else {
        deliberation.refuse(Refusal::ProcessorUnknown {
            processor: name.to_owned(),
        });
        return;
    };
    let Ok(vendor) = &processor.terms else {
        deliberation.refuse(Refusal::ProcessorInvalid {
            processor: name.to_owned(),
        });
        return;
    };
    agreement(deliberation, name, vendor);
    assessment(deliberation, name, vendor);
    certification(deliberation, name, vendor);
    approved_use(deliberation, name, vendor, terms, standing.tenant());
    for endpoint in endpoints {
        match vendor.endpoints.get(endpoint) {
            None => deliberation.refuse(Refusal::EndpointUnknown {
                processor: name.to_owned(),
                endpoint: endpoint.clone(),
            }),
            Some(known) => {
                endpoint_reachable(deliberation, world, known, terms.direction, standing)
            }
        }
    }
}

/// The agreements that join without a gap count as one; it ends where the last of them does.
pub(super) fn agreement(deliberation: &mut Deliberation, name: &str, vendor: &ProcessorTerms) {
    let now = deliberation.now;
    let processor = name.to_owned();
    let mut end: Option<Timestamp> = None;
    let mut next: Option<Timestamp> = None;
    for &(from, until) in &vendor.agreements {
        if from <= end.unwrap_or(now) {
            if until > end.unwrap_or(now) {
                end = Some(until);
            }
        } else if from > now {
            next = next.or(Some(from));
            deliberation.changes(from);
        }
    }
    match (
        end,
        next,
        vendor.agreements.iter().map(|&(_, until)| until).max(),
    ) {
        (Some(end), ..) => deliberation.ends(end, EndCause::AgreementEnds),
        (None, Some(from), _) => deliberation.refuse(Refusal::AgreementNotYet { processor, from }),
        (None, None, Some(until)) => {
            deliberation.refuse(Refusal::AgreementOver { processor, until })
        }
        (None, None, None) => deliberation.refuse(Refusal::AgreementMissing { processor }),
    }
}

/// The latest completed assessment counts, whatever an earlier one said.
pub(super) fn assessment(deliberation: &mut Deliberation, name: &str, vendor: &ProcessorTerms) {
    let now = deliberation.now;
    let processor = name.to_owned();
    for &(completed, ..) in &vendor.assessments {
        deliberation.changes(completed);
    }
    match vendor
        .assessments
        .iter()
        .rfind(|&&(completed, ..)| completed <= now)
    {
        None => deliberation.refuse(Refusal::AssessmentMissing { processor }),
        Some(&(_, _, outcome)) if outcome != AssessmentOutcome::AuditApproved => {
            deliberation.refuse(Refusal::AssessmentNotApproved { processor });
        }
        Some(&(_, lapses, _)) if now >= lapses => {
            deliberation.refuse(Refusal::AssessmentLapsed {
                processor,
                at: lapses,
            });
        }
        Some(&(_, lapses, _)) => deliberation.ends(lapses, EndCause::AssessmentLapses),
    }
}

fn certification(deliberation: &mut Deliberation, name: &str, vendor: &ProcessorTerms) {
    if vendor.category != ProcessorCategory::PaymentProcessing {
        return;
    }
    let processor = name.to_owned();
    match vendor.pci_level_one.iter().max() {
        None => deliberation.refuse(Refusal::CertificationMissing { processor }),
        Some(&at) if deliberation.now >= at => {
            deliberation.refuse(Refusal::CertificationLapsed { processor, at })
        }
        Some(&at) => deliberation.ends(at, EndCause::CertificationLapses),
    }
}

/// One entry of `approvedFor` must cover the grant whole; parts of several do not add up.
fn approved_use(
    deliberation: &mut Deliberation,
    name: &str,
    vendor: &ProcessorTerms,
    terms: &GrantTerms,
    tenant: Option<&str>,
) {
    let processor = || name.to_owned();
    if vendor.category == ProcessorCategory::Communication
        && !TRANSACTIONAL.contains(&terms.purpose)
    {
        deliberation.refuse(Refusal::PurposeNotTransactional {
            processor: processor(),
            purpose: terms.purpose,
        });
    }
    let for_tenant: Vec<_> = vendor
        .approved
        .iter()
        .filter(|entry| {
            entry.tenants.is_empty() || tenant.is_some_and(|tenant| entry.tenants.contains(tenant))
        })
        .collect();
    if for_tenant.is_empty() {
        deliberation.refuse(Refusal::TenantNotApproved {
            processor: processor(),
        });
        return;
    }
    let for_purpose: Vec<_> = for_tenant
        .iter()
        .copied()
        .filter(|entry| entry.purposes.contains(&terms.purpose))
        .collect();
    if for_purpose.is_empty() {
        deliberation.refuse(Refusal::PurposeNotApproved {
            processor: processor(),
            purpose: terms.purpose,
        });
    }
    let lacking = |approved: &BTreeSet<DataCategory>| -> BTreeSet<DataCategory> {
        terms.categories.difference(approved).copied().collect()
    };
    // Where no entry has the purpose, the categories are still compared, so that every reason is told at once.
    let nearest = if for_purpose.is_empty() {
        &for_tenant
    } else {
        &for_purpose
    }
    .iter()
    .map(|entry| lacking(&entry.categories))
    .min_by_key(BTreeSet::len);
    if let Some(categories) = nearest.filter(|categories| !categories.is_empty()) {
        deliberation.refuse(Refusal::CategoryNotApproved {
            processor: processor(),
            categories,
        });
    }
}

fn endpoint_reachable(
    deliberation: &mut Deliberation,
    world: &World,
    endpoint: &EndpointTerms,
    direction: Direction,
    standing: &Standing,
) {
    let name = || endpoint.name.clone();
    if !endpoint.hosts.is_empty() {
        deliberation.refuse(Refusal::HostNamesNotEnforced { endpoint: name() });
    }
    if direction == Direction::Push && endpoint.ports.is_empty() {
        deliberation.refuse(Refusal::EndpointWithoutPorts { endpoint: name() });
    }
    let allowed = |cidr: &Cidr| {
        standing.floor().is_some_and(|floor| {
            floor
                .grants_may_reach
                .iter()
                .any(|range| range.contains(cidr))
        })
    };
    for (cidr, reserved) in endpoint.cidrs.iter().filter(|(cidr, _)| !allowed(cidr)) {
        let server = world
            .api_server_addresses()
            .find(|address| cidr.contains_address(*address));
        let protected = standing.floor().and_then(|floor| {
            floor
                .protected
                .iter()
                .find(|(range, _)| range.overlaps(cidr))
        });
        let what = match (reserved, server, protected) {
            (Some(what), ..) => (*what).to_owned(),
            (None, Some(address), _) => format!("the API server at {address}"),
            (None, None, Some((_, reason))) => reason.clone(),
            (None, None, None) => continue,
        };
        deliberation.refuse(Refusal::AddressReserved {
            endpoint: name(),
            cidr: cidr.to_string(),
            what,
        });
    }
}
